/* SPDX-License-Identifier: MIT */
/* memory_map.h - where the resident memory of a running process is. */
#ifndef HG_ANALYZE_MEMORY_MAP_H
#define HG_ANALYZE_MEMORY_MAP_H

#include "analyze/peer.h"
#include "ledger/reader.h"

enum map_part {
    /* Of our heap: parts of pages that are in memory. */
    MAP_LIVE,      /* blocks that the program holds, at the size of their class */
    MAP_FREED,     /* freed blocks of pools in use */
    MAP_UNTOUCHED, /* blocks never handed out, and what is left at ends of pools */
    MAP_FREE,      /* whole pools and mappings, kept for the next */
    MAP_HEADERS,   /* descriptors, tags, tables */
    MAP_UNREAD,    /* what could not be looked into */

    MAP_FRAMES, /* of the interpreter's frames, outside the heap */
    MAP_CODE,
    MAP_DATA,   /* static data of programs and libraries */
    MAP_STACK,  /* of threads */
    MAP_C_HEAP, /* what the C library's malloc has */
    MAP_FILES,  /* mapped files */
    MAP_SHARED, /* shared memory */
    MAP_LEDGER,
    MAP_UNACCOUNTED,
    MAP_PARTS
};

/* "live", "code" and so on: as JSON has them. */
const char *map_part_name(enum map_part part);

/* What is known by a name: a thread, a file, a piece of shared memory. */
struct map_row {
    enum map_part part;
    char *name;
    uint64_t rss;
    uint64_t mapped; /* address space */
};

/* Shared memory that nobody has mapped any more. */
struct map_left {
    char *name;
    uint64_t bytes;
    int32_t pid; /* who made it, and has ended; 0: not known */
};

struct memory_map {
    uint64_t rss;             /* the sum of all parts */
    uint64_t part[MAP_PARTS]; /* bytes */
    struct map_row *rows;     /* of the parts from MAP_FRAMES on, largest first */
    size_t count;
    struct map_left *left;
    size_t left_count;
    bool opened;    /* the heap was looked into */
    int heap_error; /* errno, if it could not be; 0: there is none of ours */
};

/*
 * Map the process.  `header` is of its ledger, whose file is `ledger`; or both are
 * NULL.  The parts are of slightly different moments if it runs meanwhile, but sum
 * to `rss`.  HG_EIO (errno): it is gone, or may not be looked at.
 */
hg_status memory_map_take(const struct peer *peer,
                          const struct ledger_header *header, const char *ledger,
                          struct memory_map *out);

/* Only what nobody has mapped any more, of any process. */
hg_status memory_map_left(struct memory_map *out);

void memory_map_drop(struct memory_map *map);

#endif
