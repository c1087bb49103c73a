/* SPDX-License-Identifier: MIT */
/*
 * live.c - frees that are checked, at a cost that no production notices.
 *
 * A byte for each BLOCK_ALIGN bytes of the window tells whether a live block begins
 * there.  It is set when a block is handed out; whoever frees or resizes a block
 * looks at it first.  So a block that is freed twice, an address inside of a block
 * and one that was never handed out are stopped before anything of the heap is
 * touched; what is outside of the window is either in the table of huge blocks or
 * not ours.
 *
 *     none --handed out--> live --freed--> freed --handed out--> live
 *
 * Blocks of the heap's own (tags.c) are never live, for nobody may free them.
 *
 * Chosen before the first block, once for all heaps.  As in a hardened heap the
 * fast paths of others find nothing: rings are elsewhere, and `fast` of pools is
 * nobody's address.  Those that look at the byte are inline, too (heap.h).
 *
 * A byte belongs to whoever has the block that begins there.  Of two threads that
 * free one block at the same time one is stopped when neither owns its pool; the
 * owner does not pay for an exchange.
 */
#include "heap/own.h"

#include <stdlib.h>
#include <string.h>

bool heap_frees_checked;

void heap_check_frees(void)
{
    heap_frees_checked = true;
}

bool live_reach(uint32_t arenas)
{
    if (!table_reach(&table_live, arenas * (ARENA_BYTES >> BLOCK_SHIFT)))
        return false;
    heap_space.live = (_Atomic uint8_t *)table_live.start;
    return true;
}

/* `what` is wrong with a block that is there, or was. */
static HG_COLD _Noreturn void bad_block(const struct pool *pool, uint32_t index,
                                        const void *address, const char *what)
{
    const char *block = pool_block(pool, index);
    struct corruption c = {
        .what = what,
        .block = block,
        .usable = heap_classes[pool->class].bytes,
        .tag = pool->tags != NULL ? &pool->tags[index] : NULL,
        .bytes = address != block ? address : NULL,
    };
    corruption_report(&c);
}

static HG_COLD _Noreturn void not_live(const void *address, bool resized)
{
    const struct pool *slot = heap_pool_at((uintptr_t)address - heap_base());
    const struct pool *pool = slot - slot->slot_of_run;
    enum pool_state state = pool_state(pool);
    if (pool_owner(pool) != SYSTEM_HEAP &&
        (state == POOL_USED || state == POOL_FULL)) {
        uint32_t index = pool_block_index(pool, address);
        bool starts = pool_has_block(pool, address);
        if (starts && atomic_load_explicit(&heap_space.live[live_at(address)],
                                           memory_order_relaxed) == LIFE_FREED)
            bad_block(pool, index, address,
                      resized ? "a freed block was resized"
                              : "a block was freed twice");
        if (!starts && index < pool_capacity(pool))
            bad_block(pool, index, address,
                      resized ? "resized inside of a block, not at its start"
                              : "freed inside of a block, not at its start");
    }
    if (!resized && state == POOL_FREE)
        bad_free_of_slot(pool, address);
    if (!resized && state == POOL_LARGE)
        bad_free_in_large(pool, address);
    HG_VERIFY(false,
              resized ? "resized, though it is no live block"
                      : "block freed twice, or never allocated",
              address);
    abort();
}

void live_end(const void *block, bool owned)
{
    _Atomic uint8_t *life = &heap_space.live[live_at(block)];
    uint8_t before = LIFE_LIVE;
    if ((uintptr_t)block % BLOCK_ALIGN != 0 || (owned && !is_live(block)))
        not_live(block, false);
    if (owned)
        atomic_store_explicit(life, LIFE_FREED, memory_order_relaxed);
    else if (!atomic_compare_exchange_strong_explicit(life, &before, LIFE_FREED,
                                                      memory_order_relaxed,
                                                      memory_order_relaxed))
        not_live(block, false);
}

void live_verify(const void *block)
{
    if ((uintptr_t)block % BLOCK_ALIGN != 0 || !is_live(block))
        not_live(block, true);
}

void live_forget(uint32_t slot, unsigned slots)
{
    memset((void *)(heap_space.live + ((size_t)slot << (SLOT_SHIFT - BLOCK_SHIFT))),
           LIFE_NONE, slots * (SLOT_BYTES >> BLOCK_SHIFT));
}

void live_discard(uint32_t arena)
{
    size_t bytes = ARENA_BYTES >> BLOCK_SHIFT;
    pages_discard((void *)(heap_space.live + arena * bytes), bytes);
}

void live_check_pool(const struct pool *pool, const uint64_t *freed)
{
    uint32_t capacity = pool_capacity(pool);
    for (uint32_t i = 0; i < capacity; i++)
        HG_VERIFY((freed[i / 64] >> i % 64 & 1) == 0 ||
                      !is_live(pool_block(pool, i)),
                  "pool: a free block is live", pool_block(pool, i));
}
