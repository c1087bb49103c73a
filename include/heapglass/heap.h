/* SPDX-License-Identifier: MIT */
/*
 * heap.h - memory in arenas, pools and blocks, that shows where every byte is.
 *
 *     char *name = hg_alloc(32);            the default heap, any thread
 *     hg_free(name);
 *
 *     hg_heap *request = hg_heap_open(0);   a heap of its own
 *     hg_heap_limit(request, 16 << 20);
 *     char *page = hg_heap_alloc(request, 4000);
 *     hg_heap_close(request);               and all of its blocks are gone
 *
 * Three layers, from below: the system gives address space and takes pages back;
 * the heaps cut it into arenas, pools of one size and blocks; caches, for objects
 * of one kind, keep dead ones for the next.
 *
 * Sizes are in bytes.  A request for 0 counts as one for 1.  Blocks are aligned to
 * 16 bytes (8 in the classic geometry, -Dclassic=true).  What allocates returns
 * NULL when there is no memory, after asking hg_heap_on_failure()'s function.
 * Freeing what is no live block aborts the program with one line that names the
 * address, as far as that is noticed at no cost: hg_check_frees() has all of it
 * noticed.
 *
 * Threads: functions without a heap may be called by any thread at any time.  Those
 * with one are called by one thread at a time for each heap but the default one,
 * NULL; to hand a heap over to another thread needs a happens-before edge and
 * nothing else.  Its blocks may be freed by any thread at any time, by hg_free().
 * Nothing here may be called by a signal handler.  After fork() the child has all
 * heaps.
 */
#ifndef HEAPGLASS_HEAP_H
#define HEAPGLASS_HEAP_H

#include "heapglass/status.h"

#include <stddef.h>
#include <stdint.h>

#ifndef HG_API
#define HG_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* --- the default heap --------------------------------------------------------- */

HG_API void *hg_alloc(size_t bytes);
HG_API void *hg_calloc(size_t count, size_t bytes); /* zeros; NULL on overflow */
/* `align`: a power of two. */
HG_API void *hg_aligned(size_t align, size_t bytes);
/* The block may move, with all that was usable of it; NULL: it is as it was.
   `block` may be NULL.  Its alignment is kept only as far as that of all blocks. */
HG_API void *hg_realloc(void *block, size_t bytes);
/* A block of any heap, or NULL. */
HG_API void hg_free(void *block);

/* --- heaps as objects -----------------------------------------------------------
 */

typedef struct hg_heap hg_heap;

enum {
    HG_TAGS = 1, /* keep a tag and the requested size of each block: 4 to 8 bytes */
};

/*
 * A new heap, with pools of its own.  NULL: no memory, or other flags than those.
 * It holds nothing until the first block; then whole pools, of 16 KiB and more, for
 * each size class in use: for a handful of blocks the default heap is the better
 * one.
 */
HG_API hg_heap *hg_heap_open(unsigned flags);

/*
 * Frees all blocks of the heap, with the caches on it.  Costs a step for each pool,
 * not for each block.  Every hg_free() of one of its blocks must have returned.
 * NULL is allowed and does nothing: the default heap is never closed.
 */
HG_API void hg_heap_close(hg_heap *heap);

/* As above, of `heap`; NULL: the default heap.  A block is resized by its heap. */
HG_API void *hg_heap_alloc(hg_heap *heap, size_t bytes);
HG_API void *hg_heap_calloc(hg_heap *heap, size_t count, size_t bytes);
HG_API void *hg_heap_aligned(hg_heap *heap, size_t align, size_t bytes);
HG_API void *hg_heap_realloc(hg_heap *heap, void *block, size_t bytes);
/* What the heap's own thread frees in this way needs no lock and no mail. */
HG_API void hg_heap_free(hg_heap *heap, void *block);

/*
 * At most so many bytes for the heap: its pools, large and huge blocks, as the
 * system sees them.  What would need more fails as if memory were exhausted.
 * SIZE_MAX: no limit, which is the default.  May be less than it holds.
 *
 * Of NULL: for everything that this library holds, other heaps and its own tables
 * included.  Then free memory is given back before anything fails; threads that
 * grow in the same moment may exceed it by a pool each.
 */
HG_API void hg_heap_limit(hg_heap *heap, size_t bytes);

/*
 * Called when a request is about to fail; it may free blocks of this heap.  Not 0:
 * try again.  Of NULL: for the default heap, to be set before threads start. `call`
 * may be NULL.
 */
typedef int hg_on_failure(size_t bytes, void *arg);
HG_API void hg_heap_on_failure(hg_heap *heap, hg_on_failure *call, void *arg);

/* --- what is known of a block ---------------------------------------------------
 */

/* Bytes that the block has room for; `block` is a live one, or NULL: 0. */
HG_API size_t hg_usable_size(const void *block);
/* Bytes that were asked for, if its heap keeps tags; otherwise hg_usable_size(). */
HG_API size_t hg_requested_size(const void *block);
/* Whether the address is that of a block, live or not, of this library. */
HG_API int hg_owns(const void *address);

/*
 * A tag is a number of yours that goes with a block, 0 at first, and stays with it
 * when it is resized.  HG_ENOTSUP: the block's heap keeps no tags.  HG_EINVAL: not
 * a block, or a tag above HG_TAG_MAX.
 */
#define HG_TAG_MAX ((1u << 27) - 1)
HG_API hg_status hg_set_tag(void *block, uint32_t tag);
HG_API hg_status hg_get_tag(const void *block, uint32_t *out);
/* From now on the default heap keeps tags; HG_EBUSY: it has blocks already. */
HG_API hg_status hg_keep_tags(void);

/*
 * Calls with each live block of the heap.  Holds back threads that need memory from
 * the system; `call` may not call this library.  Exact only while no other thread
 * allocates or frees.  `requested` as by hg_requested_size(), `tag` 0 where none is
 * kept.  Blocks that a cache has parked are among them.
 */
typedef void hg_on_block(void *block, size_t usable, size_t requested, uint32_t tag,
                         void *arg);
HG_API void hg_heap_walk(hg_heap *heap, hg_on_block *call, void *arg);

/*
 * From now on find misuse, in all heaps: writing behind the end of a block as far
 * as its slack reaches, writing to a freed block, freeing twice.  A report on
 * standard error names the block and the tag, and the program is aborted.  Costs
 * some time and memory; hg_usable_size() is then what was asked for, and caches
 * keep nothing.  Every `check_every` times that a heap has to look for room the
 * whole of it is checked; 0: never.  HG_EBUSY: there are blocks already.
 */
HG_API hg_status hg_harden(uint32_t check_every);
/*
 * The cheap part of that, for production: from now on an address that is freed or
 * resized has to be that of a live block, in all heaps; else a report is made as
 * above.  A block that is freed twice is stopped as long as it was not handed out
 * again.  Costs some instructions and a byte for each 16 bytes.  HG_EBUSY: there
 * are blocks already, or heaps are hardened.
 */
HG_API hg_status hg_check_frees(void);

/* --- where the bytes are ---------------------------------------------------------
 */

/*
 * Of all heaps.  The parts are disjoint and complete:
 *
 *     mapped == live + parked + free_blocks + untouched + free_pools + tails +
 * headers
 *
 * Pools that the system has got back are not counted; single pages of pools that it
 * has got back are, as untouched blocks.
 */
typedef struct {
    size_t mapped;      /* obtained from the system and not yet returned */
    size_t live;        /* blocks handed out, at the size of their class */
    size_t parked;      /* blocks that caches keep for the next object */
    size_t free_blocks; /* blocks of pools in use that were freed */
    size_t untouched;  /* blocks of pools in use that nobody has, or had for long */
    size_t free_pools; /* whole pools that any size class may take */
    size_t tails;      /* ends of pools, too short for one more block */
    size_t headers;    /* our own bookkeeping, tags included */

    size_t arenas;     /* of 1 MiB (256 KiB), mapped */
    size_t pools_used; /* with blocks of both kinds, or only with free ones */
    size_t pools_full; /* without a free block */
    size_t large;      /* blocks with whole pools to themselves */
    size_t huge;       /* blocks with a mapping of their own */
} hg_census;

/* A census of one instant.  Holds back threads that need memory from the system;
   the time grows with the number of pools, not of blocks. */
HG_API void hg_take_census(hg_census *out);

typedef struct {
    size_t held;      /* bytes from the system: pools, large and huge blocks */
    size_t held_peak; /* the most so far; of the default heap it is `held` */
    size_t limit;     /* SIZE_MAX: none */
    size_t live;      /* bytes of live blocks, at the size of their class */
    size_t blocks;    /* that are live */
} hg_heap_statistics;

/* Of one heap; of NULL: of the default one, where `held` is that of all. */
HG_API void hg_get_heap_statistics(hg_heap *heap, hg_heap_statistics *out);

/* Give back to the system what is free, by pool and by page, at once: bytes given
   back.  Other threads, and those who use heaps that are open, give back theirs
   when they next look for memory beyond the pools at hand. */
HG_API size_t hg_trim(void);

/* Walk everything and abort on the first broken invariant.  No other thread may be
   at work in a heap. */
HG_API void hg_heap_check(void);

/* --- caches for objects of one kind
 * ----------------------------------------------- */

/*
 * Keeps up to `keep` dead objects of `bytes` bytes each and hands out the last one
 * first: as it was given back, but for its first word.  One thread at a time. NULL:
 * no memory.
 */
typedef struct hg_cache hg_cache;
HG_API hg_cache *hg_cache_new(hg_heap *heap, size_t bytes, uint32_t keep);
HG_API void *hg_cache_take(hg_cache *cache);
HG_API void hg_cache_give(hg_cache *cache, void *object); /* not NULL */
/* Gives back all that is kept. */
HG_API void hg_cache_drop(hg_cache *cache);
/* The same, and the cache itself; NULL is allowed. */
HG_API void hg_cache_free(hg_cache *cache);

#ifdef __cplusplus
}
#endif

#endif
