/* SPDX-License-Identifier: MIT */
/* heap.h - the heap as the other rooms see it, with the fast paths inline. */
#ifndef HG_HEAP_HEAP_H
#define HG_HEAP_HEAP_H

#include "heap/types.h"

/* A thread's heap.  Only its thread touches it, but for `mail`. */
struct heap {
    struct pool **ring;               /* see own.h */
    struct pool *pool[SMALL_CLASSES]; /* where the next block comes from; `free` may
                                         be NULL, which leads to the slow path */
    /* More follows in heap.c's own structure, of which this is the beginning. */
};

/* Hidden, so that position-independent code reaches them in one step. */
extern struct heap_space heap_space __attribute__((visibility("hidden")));
extern __thread struct heap *heap_mine
    __attribute__((tls_model("initial-exec"), visibility("hidden")));
extern struct heap *heap_ours __attribute__((visibility("hidden")));

/*
 * heap_mine is this thread's heap; heap_ours the one of all threads that take turns
 * under a lock of the caller's, as CPython's do: a block that one of them frees is
 * nobody else's, whoever allocated it.  Neither is ever NULL: before there is one,
 * it points to a heap all of whose pools are one that is always exhausted, so the
 * fast paths need no test for it.
 *
 * Functions that take a heap may be given heap_mine; or, by whose turn it is,
 * heap_ours; or a heap that was opened as an object, by its owner.
 */

/* The heap to try next when heap_ours has nothing: itself, made if need be, or
   heap_mine.  By whose turn it is, as the next one. */
struct heap *heap_ours_joined(void);

/*
 * There will be several such locks: from now on heap_ours is always exhausted, and
 * each thread uses its own.  Any thread may say so, while another has its turn,
 * which ends with the heap that it began with.  The next one to have a turn of the
 * same lock, or the same again, leaves that heap to whoever needs its pools.
 */
void heap_ours_divide(void);
void heap_ours_leave(void);

static inline uintptr_t heap_base(void)
{
    return heap_space.base;
}

static inline struct pool *heap_pool_at(size_t offset)
{
    return heap_space.pools + (offset >> SLOT_SHIFT);
}

/* Whether an address is in the window, which is not yet to say that it is a block.
 */
static inline bool heap_in_window(const void *address, size_t *offset)
{
    /* Acquire pairs with arenas_grow(): base and descriptors are there. */
    size_t bytes = atomic_load_explicit(&heap_space.bytes, memory_order_acquire);
    *offset = (uintptr_t)address - heap_base();
    return *offset < bytes;
}

/* The index of a block, by its start, within its pool of one slot; slots are
 * aligned to their size, and what lies before the first block is less than a block.
 */
static inline uint32_t heap_block_index(const struct pool *pool, const void *block)
{
    uint64_t within = (uintptr_t)block & (SLOT_BYTES - 1);
    return (uint32_t)(within * pool->reciprocal >> 32);
}

/* Whether a request is of a small class.  Not so for 0, which slow paths make 1. */
static inline bool heap_is_small(size_t bytes)
{
    return bytes - 1 < SMALL_MAX;
}

static inline size_t heap_small_class(size_t bytes) /* 1..SMALL_MAX */
{
    return (bytes - 1) / BLOCK_ALIGN;
}

static inline size_t heap_small_bytes(size_t class)
{
    return (class + 1) * BLOCK_ALIGN;
}

/* What a block of a small class is larger than the request. */
static inline size_t heap_small_slack(size_t bytes)
{
    return -bytes & (BLOCK_ALIGN - 1);
}

/*
 * Take a block of a small class, or NULL: then call heap_alloc_slow().  The
 * block's pool goes to *pool.
 */
static inline void *heap_alloc_fast(struct heap *heap, size_t class,
                                    struct pool **pool)
{
    struct pool *p = heap->pool[class];
    void *block = p->free;
    if (__builtin_expect(block == NULL, 0))
        return NULL;
    p->free = *(void **)block;
    p->used++;
    *pool = p;
    return block;
}

/* After heap_alloc_fast(): whether another try will do, because the heap has a pool
   of the class with a block to take.  Cheaper than heap_alloc_slow(). */
bool heap_refill(struct heap *heap, size_t class);

/*
 * The pool of `block` if it is a used one of this heap, so that heap_free_fast()
 * may free it; else NULL.  *offset is set when a pool is returned.
 */
static inline struct pool *heap_fast_pool(const struct heap *heap,
                                          const void *block, size_t *offset)
{
    size_t at;
    if (__builtin_expect(!heap_in_window(block, &at), 0))
        return NULL;
    struct pool *pool = heap_pool_at(at);
    if (pool == NULL)
        __builtin_unreachable(); /* saves the callers a test */
    *offset = at;
    struct heap *owner = atomic_load_explicit(&pool->fast, memory_order_relaxed);
    return __builtin_expect(owner == heap, 1) ? pool : NULL;
}

/* After heap_fast_pool(): whether (another) try will do, because the block is a
   small one of a pool of this heap's, be it one that was full.  Cheaper than
   heap_free_slow(). */
bool heap_reopen(struct heap *heap, const void *block);

void heap_pool_emptied(struct pool *pool); /* by its owner; used became 0 */

static inline void heap_free_fast(struct pool *pool, void *block)
{
    *(void **)block = pool->free;
    pool->free = block;
    if (__builtin_expect(--pool->used == 0, 0))
        heap_pool_emptied(pool);
}

/*
 * The same where frees are checked: the fast paths above find nothing then, and
 * those that do may be used instead.  See live.c.
 */
extern bool heap_frees_checked __attribute__((visibility("hidden")));

static inline void *heap_checked_alloc_fast(struct heap *heap, size_t class)
{
    struct pool *p = heap->ring[class];
    void *block = p->free;
    if (__builtin_expect(block == NULL, 0))
        return NULL;
    p->free = *(void **)block;
    p->used++;
    size_t at = ((uintptr_t)block - heap_base()) >> BLOCK_SHIFT;
    atomic_store_explicit(&heap_space.live[at], LIFE_LIVE, memory_order_relaxed);
    return block;
}

/* As heap_refill(). */
bool heap_checked_refill(struct heap *heap, size_t class);

/* What heap_checked_free_fast() and its like find in struct pool. */
static inline struct heap *heap_checked_owner(const struct heap *heap)
{
    return (struct heap *)((uintptr_t)heap | 1);
}

/* The pool of `block` if that is live, and its pool a used one of this heap; else
   NULL.  *at is its entry in heap_space.live. */
static inline struct pool *heap_checked_pool(const struct heap *heap,
                                             const void *block, size_t *at)
{
    size_t offset = (uintptr_t)block - heap_base();
    /* Turned, so that what is not aligned is far outside of the window. */
    *at = offset >> BLOCK_SHIFT | offset << (64 - BLOCK_SHIFT);
    if (__builtin_expect(*at >= atomic_load_explicit(&heap_space.live_count,
                                                     memory_order_acquire),
                         0))
        return NULL;
    struct pool *pool = heap_space.pools + (*at >> (SLOT_SHIFT - BLOCK_SHIFT));
    if (pool == NULL)
        __builtin_unreachable(); /* saves the callers a test */
    if (__builtin_expect(atomic_load_explicit(&heap_space.live[*at],
                                              memory_order_relaxed) != LIFE_LIVE,
                         0))
        return NULL;
    struct heap *owner = atomic_load_explicit(&pool->fast, memory_order_relaxed);
    return __builtin_expect(owner == heap_checked_owner(heap), 1) ? pool : NULL;
}

/* False: heap_free_in() finds out why not. */
static inline bool heap_checked_free_fast(struct heap *heap, void *block)
{
    size_t at;
    struct pool *pool = heap_checked_pool(heap, block, &at);
    if (__builtin_expect(pool == NULL, 0))
        return false;
    atomic_store_explicit(&heap_space.live[at], LIFE_FREED, memory_order_relaxed);
    heap_free_fast(pool, block);
    return true;
}

/*
 * Every function below may be called by any thread, inside malloc, and before
 * main(); none calls malloc or stdio.  Sizes are in bytes; 0 is taken as 1.
 */

/* Once, before the first block: keep a tag for each block from now on. */
void heap_keep_tags(void);

/* Once, before the first block: stop each free of what is no live block. */
void heap_check_frees(void);
/*
 * Once, before the first block: find misuse from now on, at some cost.  The fast
 * paths find nothing then.  Every `check_every` slow paths (0: never) a heap is
 * looked at as a whole.
 */
void heap_harden(uint32_t check_every);
/* By a thread of a program that ends: look at the pools and the quarantine of its
   heap, and if there is no other thread of ours. */
void heap_hard_end(void);
extern bool heap_hardened __attribute__((visibility("hidden")));
/* The fast paths of a hardened heap: a block of a small class, or NULL; and a block
   in the window. */
void *heap_hard_take(struct heap *heap, size_t bytes);
void heap_hard_give(struct heap *heap, void *block);
/* Of a live block: what was asked for, where that is known; else its size. */
size_t heap_requested_bytes(const void *block);
/*
 * Whoever knows what tags mean tells it when a block turns out to be corrupt: the
 * text of its owner at `depth`, 0 for who asked for it, then his callers; 0 bytes:
 * there are no more.  Runs inside malloc, in a program that is about to abort.
 */
extern size_t (*heap_tell_tag)(uint32_t tag, unsigned depth, char *out,
                               size_t room);

/* Allocate any size; *place tells where its tag is.  NULL when there is no memory.
 */
void *heap_alloc_slow(size_t bytes, struct place *place);
/* The same, filled with zeros; fresh pages are not written. */
void *heap_calloc_slow(size_t bytes, struct place *place);
/* A multiple of `align`, a power of two. */
void *heap_alloc_aligned(size_t align, size_t bytes, struct place *place);

/* Free a block of any kind, from any thread.  Aborts, naming the address, when
   `block` is inside the window or the table of huge blocks but no live block. */
void heap_free_slow(void *block);

/* The same of a block outside of the window; false: it is not ours. */
bool heap_free_huge(void *block);

/* Fill *place; false when `block` is not ours. */
bool heap_find(const void *block, struct place *place);
static inline bool heap_owns(const void *block)
{
    struct place place;
    return heap_find(block, &place);
}

/*
 * Resize without moving, if that can be done: the class stays the same, or a
 * large or huge block has room or can be extended where it is.  Fills *place
 * as for the new size.  The caller keeps tag and requested size.
 */
bool heap_resize_in_place(void *block, size_t bytes, struct place *place);
/* Huge blocks may be moved by the system (mremap) without copying.  NULL: not done,
   the block is as it was.  Tag and requested size move along. */
void *heap_remap_huge(void *block, size_t bytes, struct place *place);

/* Heaps as objects.  Each belongs to one thread at a time; its blocks may be freed
   by any. */
struct heap *heap_object_open(bool tags); /* NULL: no memory */
/* Frees all of its blocks.  Nobody may be freeing one of them. */
void heap_object_close(struct heap *object);
/* `align`: a power of two, or 1. */
void *heap_alloc_in(struct heap *heap, size_t align, size_t bytes, bool zero,
                    struct place *place);
/* By the owner of `heap`, of which `block` is, or by anybody else. */
void heap_free_in(struct heap *heap, void *block);
void heap_object_limit(struct heap *object, size_t bytes);

/* At most so many bytes from the system for everything. */
void heap_limit(size_t bytes);
size_t heap_get_limit(void); /* SIZE_MAX: none */

/* Called on slow paths, with no lock held, about once for each pool taken or
   given back and for each large or huge block; at most one function. */
extern void (*heap_on_slow_path)(void); /* set before threads start */

/*
 * Walk all live blocks; those that wait for their owner on a remote list are not.
 * All locks are held meanwhile, so `visit` may not call the heap or anything that
 * may.  Exact only while no other thread allocates; else blocks that are just taken
 * or freed may be shown or not, and may be without a tag yet.
 */
typedef void heap_visit(void *arg, void *block, size_t usable, uint32_t *tag,
                        size_t requested /* 0: see tag */);
void heap_walk(heap_visit *visit, void *arg);
/* The blocks of one object; NULL: of none. */
void heap_walk_object(struct heap *object, heap_visit *visit, void *arg);

/*
 * Where the bytes are.  Parts are disjoint and complete:
 *
 *     mapped == live + free_blocks + untouched + free_pools + tails + headers
 *
 * Slots that were never used, or have been given back, are not counted as mapped.
 */
struct heap_census {
    size_t mapped; /* from the system and not yet returned, huge blocks too */
    size_t live;   /* blocks handed out, at the size of their class; blocks freed
                      by another thread until their owner has taken notice */
    size_t free_blocks; /* blocks of used pools, on their lists */
    size_t untouched;   /* the others: never handed out, or gone with their page */
    size_t free_pools;  /* slots that any class may take, and kept huge mappings */
    size_t tails;       /* ends of pools, too short for one more block */
    size_t headers;     /* descriptors, tags, tables */

    size_t arenas; /* mapped */
    size_t pools_used, pools_full, large, huge;
    size_t huge_bytes; /* of `live` */
};
void heap_census(struct heap_census *out); /* walks pools, not blocks */
size_t heap_held_bytes(void); /* census.mapped, at the cost of a load */

/* The parts of a census, summed. */
static inline size_t heap_census_sum(const struct heap_census *c)
{
    return c->live + c->free_blocks + c->untouched + c->free_pools + c->tails +
           c->headers;
}

/* The range of addresses in which window and tables lie; nobody else's memory does.
   Not of huge blocks.  False: there is no window yet, and no room for one. */
bool heap_range(uint64_t *from, uint64_t *to);

/* Give back to the system what is free, at once; bytes given back.  Heaps that
   others own give back theirs when they next take a slow path, which is not
   counted; hardened ones do not. */
size_t heap_trim(void);
/* The same, by whose turn it is: of heap_ours, too. */
size_t heap_trim_ours(void);

/* Walk everything and abort on the first broken invariant.  No other thread may be
   at work in the heap. */
void heap_check(void);

/* Around fork(): take and release all locks, in rank order. */
void heap_before_fork(void);
void heap_after_fork_parent(void);
/* Adopts the heaps of the threads that are gone. */
void heap_after_fork_child(void);
/* The same in the child of _Fork() or clone(), where no handler ran before. */
void heap_after_bare_fork(void);

#endif
