/* SPDX-License-Identifier: MIT */
/*
 * large.c - blocks that are a run of slots each.
 *
 * They have no owner: any thread frees them, under the lock of the arenas.  Tag and
 * requested size are in the descriptor, in fields that other pools use for their
 * blocks.  Only the first slot's descriptor is written.
 */
#include "heap/own.h"

#include <string.h>

static unsigned slots_for(size_t bytes)
{
    return (unsigned)((bytes + SLOT_BYTES - 1) >> SLOT_SHIFT);
}

void large_place(struct pool *pool, struct place *place)
{
    bool tags = object_keeps_tags(pool_owner(pool));
    place->tag = tags ? &pool->tag : NULL;
    place->bytes = tags ? &pool->bytes : NULL;
    place->bytes32 = NULL;
    place->usable = pool->slots * SLOT_BYTES;
}

void *large_alloc(struct thread_heap *object, size_t bytes, size_t align, bool zero,
                  struct place *place)
{
    unsigned count = slots_for(bytes);
    unsigned align_slots =
        align <= SLOT_BYTES ? 1 : (unsigned)(align >> SLOT_SHIFT);
    bool clean = false;
    if (!object_hold(object, count * SLOT_BYTES))
        return NULL;
    uint32_t slot = slots_take(count, align_slots, &clean);
    if (slot == NO_INDEX) {
        object_let_go(object, count * SLOT_BYTES);
        return NULL;
    }
    struct pool *pool = pool_at_slot(slot);
    HG_ASSERT(pool_state(pool) == POOL_FREE);
    pool->class = CLASS_LARGE;
    pool->slots = (uint8_t)count;
    pool->bytes = bytes;
    pool->tag = 0;
    atomic_store_explicit(&pool->heap_id, object_id(object), memory_order_relaxed);
    /* Release pairs with pools_walk(). */
    atomic_store_explicit(&pool->state, POOL_LARGE, memory_order_release);
    object_link(object, pool);
    void *block = slot_start(slot);
    if (zero && !clean)
        memset(block, 0, bytes);
    large_place(pool, place);
    slow_end();
    return block;
}

void large_free(struct pool *pool, void *block)
{
    HG_VERIFY(block == pool_start(pool), "not the start of a block", block);
    /* Exchanged, so that of two threads that free it one is stopped. */
    HG_VERIFY(atomic_exchange_explicit(&pool->state, POOL_FREE,
                                       memory_order_relaxed) == POOL_LARGE,
              "block freed twice", block);
    struct thread_heap *object = object_at(pool_owner(pool));
    object_unlink(object, pool);
    object_let_go(object, pool->slots * SLOT_BYTES);
    slots_return(pool_slot(pool), pool->slots);
    slow_end();
}

bool large_resize(struct pool *pool, void *block, size_t bytes)
{
    HG_VERIFY(block == pool_start(pool), "not the start of a block", block);
    if (bytes <= MEDIUM_MAX || bytes > LARGE_MAX)
        return false;
    unsigned count = slots_for(bytes);
    unsigned have = pool->slots;
    struct thread_heap *object = object_at(pool_owner(pool));
    if (count > have) {
        size_t more = (count - have) * SLOT_BYTES;
        if (!object_hold(object, more))
            return false;
        if (!slots_take_at(pool_slot(pool) + have, count - have)) {
            object_let_go(object, more);
            return false;
        }
    }
    pool->slots = (uint8_t)count;
    if (count < have) {
        object_let_go(object, (have - count) * SLOT_BYTES);
        slots_return(pool_slot(pool) + count, have - count);
    }
    return true;
}
