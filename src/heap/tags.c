/* SPDX-License-Identifier: MIT */
/*
 * tags.c - the arrays of tags and guards, in a heap of their own.
 *
 * They are blocks of the system heap, number 0, which has no thread and keeps no
 * tags of its own: packed by the same classes, reused when pools change class, and
 * given back like any other pool.  In a census they are headers.
 */
#include "heap/own.h"

struct lock tags_lock = {.rank = LOCK_TAGS};

static struct thread_heap *system_heap(void)
{
    return heap_at(SYSTEM_HEAP);
}

void *tags_new(size_t bytes)
{
    lock_take(&tags_lock);
    void *tags = class_alloc(system_heap(), class_of(bytes));
    lock_release(&tags_lock);
    return tags;
}

void tags_free(void *tags)
{
    size_t offset;
    bool ours = heap_in_window(tags, &offset);
    HG_VERIFY(ours, "tags are not ours", tags);
    struct pool *pool = heap_pool_at(offset);
    pool -= pool->slot_of_run;
    lock_take(&tags_lock);
    class_free(system_heap(), pool, tags);
    lock_release(&tags_lock);
}
