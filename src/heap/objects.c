/* SPDX-License-Identifier: MIT */
/*
 * objects.c - heaps that are opened and closed: all of their blocks go at once.
 *
 * An object is a heap as a thread has one, with pools of its own, but belongs to
 * whoever its user lets use it, one thread at a time.  So its fast paths are those
 * of a thread, without a lock, and blocks that others free come back by mail.  No
 * other heap takes over pools of it, and it takes over none: every block in its
 * pools is its own, and closing gives back pools, whatever is in them.  That costs
 * a step for each pool and each large block and none for a block, which is why an
 * object keeps its full pools in a list, too.
 *
 * Any thread frees large and huge blocks, so the list of the one is guarded by a
 * lock; the others are found in their table.
 */
#include "heap/own.h"

struct lock objects_lock = {.rank = LOCK_OBJECTS};

static uint32_t closed_first; /* guarded by heaps_lock; list of heaps; 0: none */

static void closed_push(struct thread_heap *heap)
{
    heap->list_next = closed_first;
    closed_first = heap->id;
}

void objects_mend_closed(void)
{
    closed_first = 0;
    for (uint32_t id = SYSTEM_HEAP + 1; id < heaps_count; id++)
        if (atomic_load_explicit(&heap_at(id)->state, memory_order_relaxed) ==
            HEAP_UNUSED)
            closed_push(heap_at(id));
}

struct heap *heap_object_open(bool tags)
{
    if (!heap_start())
        return NULL;
    lock_take(&heaps_lock);
    struct thread_heap *heap;
    if (closed_first != 0) {
        heap = heap_at(closed_first);
        closed_first = heap->list_next;
    } else {
        heap = heap_new();
    }
    if (heap != NULL) {
        heap_init_empty(heap, heap->id, HEAP_OBJECT);
        heap->keeps_tags = tags;
        heap->large_first = 0;
        atomic_store_explicit(&heap->held, 0, memory_order_relaxed);
        heap->held_peak = 0;
        heap->limit = SIZE_MAX;
        heap->on_failure = NULL;
    }
    lock_release(&heaps_lock);
    return heap == NULL ? NULL : &heap->fast;
}

void heap_object_close(struct heap *object)
{
    struct thread_heap *heap = (struct thread_heap *)object;
    HG_VERIFY(heap_is_object(heap), "not an open heap", heap);
    heap_retire_all(heap);
    while (heap->large_first != 0) {
        struct pool *pool = pool_at_slot(heap->large_first - 1);
        if (HG_UNLIKELY(heap_frees_checked))
            live_forget(pool_slot(pool), 1);
        large_free(pool, pool_start(pool));
    }
    huge_free_all(heap);
    HG_VERIFY(heap->pools == 0, "a heap closed while it is used", heap);
    /* Of pools that are gone. */
    atomic_store_explicit(&heap->mail, 0, memory_order_relaxed);
    lock_take(&heaps_lock);
    atomic_store_explicit(&heap->state, HEAP_UNUSED, memory_order_relaxed);
    closed_push(heap);
    lock_release(&heaps_lock);
    slow_end();
}

void heap_object_limit(struct heap *object, size_t bytes)
{
    ((struct thread_heap *)object)->limit = bytes;
}

void object_count(struct thread_heap *object, size_t bytes)
{
    if (object != NULL)
        atomic_fetch_add_explicit(&object->held, bytes, memory_order_relaxed);
}

bool object_hold(struct thread_heap *object, size_t bytes)
{
    if (HG_LIKELY(object == NULL) || bytes == 0)
        return true;
    /* Others only make it less meanwhile. */
    size_t held = atomic_load_explicit(&object->held, memory_order_relaxed);
    if (held > object->limit || bytes > object->limit - held)
        return false;
    object_count(object, bytes);
    if (held + bytes > object->held_peak)
        object->held_peak = held + bytes;
    return true;
}

void object_let_go(struct thread_heap *object, size_t bytes)
{
    if (HG_UNLIKELY(object != NULL))
        atomic_fetch_sub_explicit(&object->held, bytes, memory_order_relaxed);
}

void object_link(struct thread_heap *object, struct pool *pool)
{
    if (HG_LIKELY(object == NULL))
        return;
    lock_take(&objects_lock);
    pool->prev = 0;
    pool->next = object->large_first;
    if (pool->next != 0)
        pool_at_slot(pool->next - 1)->prev = pool_slot(pool) + 1;
    object->large_first = pool_slot(pool) + 1;
    lock_release(&objects_lock);
}

void object_unlink(struct thread_heap *object, struct pool *pool)
{
    if (HG_LIKELY(object == NULL))
        return;
    lock_take(&objects_lock);
    if (pool->next != 0)
        pool_at_slot(pool->next - 1)->prev = pool->prev;
    if (pool->prev != 0)
        pool_at_slot(pool->prev - 1)->next = pool->next;
    else
        object->large_first = pool->next;
    lock_release(&objects_lock);
}
