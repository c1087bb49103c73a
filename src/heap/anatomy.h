/* SPDX-License-Identifier: MIT */
/*
 * anatomy.h - the heap of another process, laid open.
 *
 * A process says where the tables of its heap are: at `heap_anatomy`.  Whoever may
 * read its memory copies them, pool by pool, without stopping it and without its
 * help.  The tables change meanwhile; what makes no sense is read again, and what
 * never does is counted as unread.
 */
#ifndef HG_HEAP_ANATOMY_H
#define HG_HEAP_ANATOMY_H

#include "heap/types.h"

/* Where everything begins in the process that has this.  Never changes. */
struct heap_anatomy {
    char magic[8];
    /* Of the build: a reader of another geometry can do nothing with it. */
    uint32_t slot_shift, classes, small_classes, pool_bytes, arena_bytes,
        heap_bytes, record_bytes, kept_mappings;
    const void *pools, *arenas, *heaps, *live; /* struct table each */
    const void *space;                         /* struct heap_space */
    /* Pointers to pointers: see own.h. */
    const void *huge_table, *huge_size, *huge_kept;
    const void *link_key; /* uintptr_t: see link_read() */
};

#define HEAP_ANATOMY_MAGIC "HGHEAP3"

/* Readers that know of no ledger find it by its magic: analyze/heap_find.c. */
extern const struct heap_anatomy heap_anatomy __attribute__((visibility("hidden")));

/* Copies `bytes` bytes at `at`; false (errno) when that cannot be done. */
typedef bool anatomy_read(void *arg, uint64_t at, void *into, size_t bytes);

enum anatomy_block {
    BLOCK_LIVE,
    BLOCK_FREED,     /* on a list */
    BLOCK_UNTOUCHED, /* never handed out, or gone with its page */
};

/* A pool, or a large block: then `class` is CLASS_LARGE, and there is one block. */
struct anatomy_pool {
    uint64_t start;
    size_t bytes; /* of the pool */
    size_t lead;  /* before its first block */
    unsigned class;
    size_t block_bytes;
    uint32_t capacity;
    uint32_t live;
    bool headers;         /* tags of other pools: blocks of the heap's own */
    const uint8_t *kind;  /* of each block: enum anatomy_block */
    const uint32_t *tags; /* of each block; NULL: none are kept */
};

struct anatomy_huge {
    uint64_t start;
    size_t bytes; /* of the mapping */
    bool has_tag;
    uint32_t tag;
    bool kept; /* nobody's block: kept for the next one */
};

struct anatomy_arena {
    uint32_t number;
    uint64_t start;
    size_t bytes;
    uint64_t free; /* bit i: slot i is in no pool */
};

struct anatomy_visitor {
    void *arg;
    /* In the order of addresses; an arena before its pools.  Each may be NULL. */
    void (*arena)(void *arg, const struct anatomy_arena *arena);
    void (*pool)(void *arg, const struct anatomy_pool *pool);
    void (*huge)(void *arg, const struct anatomy_huge *huge);
    /* Tables of the heap. */
    void (*table)(void *arg, uint64_t start, size_t bytes);
};

struct anatomy_account {
    uint32_t arenas;
    uint32_t pools;
    uint32_t unread; /* pools that changed each time they were looked at */
};

/*
 * Walk the heap whose heap_anatomy is at `at`.  HG_EIO: cannot be read (errno
 * tells); HG_EVERSION: of another build; HG_ECORRUPT: no heap; HG_ENOMEM.
 */
int anatomy_walk(anatomy_read *read, void *arg, uint64_t at,
                 const struct anatomy_visitor *visitor,
                 struct anatomy_account *account);

#endif
