/* SPDX-License-Identifier: MIT */
/*
 * fork.c - the heap in the child of a fork, where all threads but one are gone.
 *
 * What a lock guards is whole, for the thread that forks holds all of them.  What
 * other threads owned may be caught half-way: they were not stopped, and the system
 * copies one page after the other, so a descriptor may be younger or older than the
 * blocks it counts.  A descriptor itself lies in one page.
 *
 * So the rings and the mail are made anew from the descriptors, and a free list is
 * believed only if every link is a block of the pool, none comes twice, and their
 * number is the one that the descriptor says.  That is so for every thread that was
 * asleep while fork() ran.  Otherwise all blocks of the pool are taken for live
 * ones: it loses its free blocks and nothing else.
 *
 * What remains: other threads' frees, half seen, that happen to look like such a
 * list.  POSIX promises such a child no malloc at all.
 */
#include "heap/own.h"

#include <string.h>

static uint32_t chain_try(const struct pool *pool, void *first, void **end)
{
    uint64_t seen[POOL_BITMAP_WORDS] = {0};
    return chain_mark(pool, first, seen, end);
}

static void forget_free_blocks(struct pool *pool)
{
    if (pool->tags != NULL) {
        /* Nobody ever wrote these tags, and now they will be read. */
        uint32_t count = (uint32_t)(pool->capacity - pool->carved);
        memset(pool->tags + pool->carved, 0, count * sizeof *pool->tags);
        if (pool->class >= SMALL_CLASSES)
            memset(pool->tags + pool->capacity + pool->carved, 0,
                   count * sizeof *pool->tags);
    }
    pool->free = NULL;
    pool->carved = pool->capacity;
    pool->used = pool->capacity;
}

static void adopt_pool(struct thread_heap *heap, struct pool *pool)
{
    void *end;
    uint32_t n = chain_try(pool, pool->free, &end);
    if (n == NO_INDEX || n + pool->used != pool->carved)
        forget_free_blocks(pool);
    heap->pools++;
    if (pool->used == pool->capacity)
        pool_set_full(pool);
    else
        pool_set_used(heap, pool);
}

/* A pusher may not have come to the mail, or not to the links. */
static void mend_remote(struct pool *pool)
{
    void *first = atomic_load_explicit(&pool->remote, memory_order_relaxed);
    if (first == NULL)
        return;
    void *end;
    uint32_t n = chain_try(pool, first, &end);
    if (n == NO_INDEX) {
        if (end != NULL)
            *(void **)end = NULL;
        else
            first = NULL;
        n = chain_try(pool, first, &end);
    }
    if (n > pool->used)
        first = NULL;
    atomic_store_explicit(&pool->remote, first, memory_order_relaxed);
    if (first != NULL)
        mail_push(heap_at(pool_owner(pool)), pool);
}

static bool is_lost(const struct thread_heap *heap)
{
    return atomic_load_explicit(&heap->state, memory_order_relaxed) == HEAP_OWNED &&
           heap != heap_of_thread();
}

static void mend_pool(void *arg, struct pool *pool)
{
    (void)arg;
    if (pool_state(pool) == POOL_LARGE || pool_owner(pool) == SYSTEM_HEAP)
        return;
    struct thread_heap *heap = heap_at(pool_owner(pool));
    if (is_lost(heap))
        adopt_pool(heap, pool);
    mend_remote(pool);
}

/* Slots that a thread had just taken, or was about to give back. */
static void return_orphans(void)
{
    for (uint32_t slot = 0; slot < arenas_count * ARENA_SLOTS;) {
        const struct arena *a = arena_at(slot / ARENA_SLOTS);
        struct pool *pool = pool_at_slot(slot);
        if (a->hole || (a->free >> slot % ARENA_SLOTS & 1) != 0) {
            slot++;
        } else if (pool_state(pool) != POOL_FREE) {
            slot += pool->slots;
        } else {
            pool->slot_of_run = 0;
            pool->tags = NULL;
            atomic_store_explicit(&pool->fast, NULL, memory_order_relaxed);
            atomic_store_explicit(&pool->remote, NULL, memory_order_relaxed);
            slots_return(slot, 1);
            slot++;
        }
    }
}

static void retire_empty(void *arg, struct pool *pool)
{
    (void)arg;
    enum pool_state state = pool_state(pool);
    if (state != POOL_USED || pool->used != 0 || pool_owner(pool) == SYSTEM_HEAP)
        return;
    struct thread_heap *heap = heap_at(pool_owner(pool));
    if (heap != heap_of_thread())
        pool_emptied(heap, pool);
}

void heap_before_fork(void)
{
    /* For its lock, which nobody takes once this has succeeded. */
    heap_start();
    locks_take();
}

void heap_after_fork_parent(void)
{
    locks_release();
}

/* The caller is alone and no lock is held; what is done here takes some of them. */
static void mend(void)
{
    arenas_after_fork();
    for (uint32_t id = 0; id < heaps_count; id++) {
        struct thread_heap *heap = heap_at(id);
        atomic_store_explicit(&heap->mail, 0, memory_order_relaxed);
        if (is_lost(heap))
            heap_init_empty(heap, id, HEAP_OWNED);
    }
    return_orphans();
    pools_walk(mend_pool, NULL);
    for (uint32_t id = 0; id < heaps_count; id++) {
        struct thread_heap *heap = heap_at(id);
        if (is_lost(heap)) {
            atomic_store_explicit(&heap->state, HEAP_ABANDONED,
                                  memory_order_relaxed);
            abandoned_push(heap, true);
        }
    }
    pools_walk(retire_empty, NULL);

    /* A mapping that a thread was taking or returning is in no table. */
    struct heap_census parts;
    census_parts(&parts);
    atomic_store_explicit(&heap_held,
                          parts.live + parts.free_blocks + parts.free_pools +
                              parts.tails + parts.headers,
                          memory_order_relaxed);
}

void heap_after_fork_child(void)
{
    locks_release();
    mend();
}

void heap_after_bare_fork(void)
{
    locks_reset();
    mend();
}
