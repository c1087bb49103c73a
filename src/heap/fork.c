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
 * After a fork that ran no handlers, _Fork() or clone(), nothing is whole but what
 * the thread itself owned.  Then lists that locks guard are made anew as well.
 *
 * An object is treated like the heap of a thread that is gone, except that it stays
 * whose it was: its owner may be the thread that forked, or another.
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
        const struct size_class *c = &heap_classes[pool->class];
        for (unsigned page = 0; page < 32; page++) {
            if ((pool->absent >> page & 1) == 0)
                continue;
            uint32_t from = page_first_block(c, page);
            uint32_t count = page_first_block(c, page + 1) - from;
            memset(pool->tags + from, 0, count * sizeof *pool->tags);
            if (pool->class >= SMALL_CLASSES)
                memset(pool->tags + c->capacity + from, 0,
                       count * sizeof *pool->tags);
        }
    }
    pool->free = NULL;
    pool->absent = 0;
    pool->used = (uint16_t)pool_capacity(pool);
}

static void adopt_pool(struct thread_heap *heap, struct pool *pool)
{
    void *end;
    uint64_t absent[POOL_BITMAP_WORDS] = {0};
    if (is_guarded(pool)) {
        hard_mend(pool);
    } else {
        uint32_t n = chain_try(pool, pool->free, &end);
        if (n == NO_INDEX ||
            n + pool->used + absent_mark(pool, absent) != pool_capacity(pool))
            forget_free_blocks(pool);
    }
    heap->pools++;
    object_count(object_of(heap), pool->slots * SLOT_BYTES);
    /* As it is in no list and no ring now. */
    atomic_store_explicit(&pool->state, POOL_USED, memory_order_relaxed);
    if (pool->used == pool_capacity(pool))
        pool_set_full(heap, pool);
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
            link_write(end, NULL);
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

/* The heap of this thread, or the one that threads take turns in: the child of a
   fork out of turn must not use it. */
static bool is_kept(const struct thread_heap *heap)
{
    return heap == heap_of_thread() ||
           atomic_load_explicit(&heap->state, memory_order_relaxed) == HEAP_OURS;
}

/* A heap that nobody owns any more, or that its lock did not keep whole. */
static bool is_lost(const struct thread_heap *heap, bool bare)
{
    uint8_t state = atomic_load_explicit(&heap->state, memory_order_relaxed);
    return !is_kept(heap) && state != HEAP_UNUSED &&
           (state == HEAP_OWNED || state == HEAP_OBJECT || bare);
}

/* *arg tells whether the fork was a bare one. */
static void mend_pool(void *arg, struct pool *pool)
{
    if (pool_state(pool) == POOL_LARGE) {
        struct thread_heap *object = object_at(pool_owner(pool));
        object_count(object, pool->slots * SLOT_BYTES);
        object_link(object, pool);
        return;
    }
    struct thread_heap *heap = heap_at(pool_owner(pool));
    if (is_lost(heap, *(bool *)arg))
        adopt_pool(heap, pool);
    mend_remote(pool);
}

static void retire_empty(void *arg, struct pool *pool)
{
    (void)arg;
    if (pool_state(pool) != POOL_USED || pool->used != 0)
        return;
    struct thread_heap *heap = heap_at(pool_owner(pool));
    if (!is_kept(heap))
        pool_emptied(heap, pool);
}

/* Who was lost has no thread any more; those who had none are in the list already,
   unless that is made anew. */
static void list_abandoned(bool bare)
{
    if (bare)
        abandoned_forget();
    for (uint32_t id = SYSTEM_HEAP + 1; id < heaps_count; id++) {
        struct thread_heap *heap = heap_at(id);
        if (!is_lost(heap, bare) || heap_is_object(heap))
            continue;
        atomic_store_explicit(&heap->state, HEAP_ABANDONED, memory_order_relaxed);
        abandoned_push(heap, heap->pools != 0);
    }
}

/* The caller is alone and no lock is held; what is done here takes some of them. */
static void mend(bool bare)
{
    arenas_mend(bare);
    if (bare) {
        huge_mend();
        objects_mend_closed();
    }
    for (uint32_t id = 0; id < heaps_count; id++) {
        struct thread_heap *heap = heap_at(id);
        atomic_store_explicit(&heap->mail, 0, memory_order_relaxed);
        if (!is_lost(heap, bare))
            continue;
        uint8_t state = atomic_load_explicit(&heap->state, memory_order_relaxed);
        heap_init_empty(heap, id, state == HEAP_ABANDONED ? HEAP_OWNED : state);
        heap->large_first = 0;
        atomic_store_explicit(&heap->held, 0, memory_order_relaxed);
    }
    huge_mend_objects();
    pools_walk(mend_pool, &bare);
    list_abandoned(bare);
    pools_walk(retire_empty, NULL);

    /* A mapping that a thread was taking or returning is in no table. */
    struct heap_census parts;
    census_parts(&parts);
    atomic_store_explicit(&heap_held, heap_census_sum(&parts),
                          memory_order_relaxed);
}

void heap_before_fork(void)
{
    /* For its lock, which nobody takes once this has succeeded. */
    heap_start();
    locks_take();
    /* Handlers of others, if they were registered before ours, run after them, and
       may allocate. */
    lock_holds_all = true;
}

void heap_after_fork_parent(void)
{
    lock_holds_all = false;
    locks_release();
}

void heap_after_fork_child(void)
{
    lock_holds_all = false;
    locks_release();
    mend(false);
}

void heap_after_bare_fork(void)
{
    locks_reset();
    mend(true);
}
