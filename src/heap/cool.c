/* SPDX-License-Identifier: MIT */
/*
 * cool.c - pages inside used pools that hold no live block go back to the system.
 *
 * Frees drive it, for a program that has freed much may go to sleep right after.
 * A heap counts the pools that get a block back when they were full, or go empty,
 * less those that become full: it grows while the heap shrinks and stays where it
 * is while blocks only come and go.  For each such pool a few pools of the rings
 * are looked at, one after the other, round and round.
 *
 * A pool with as many blocks in use as when it was last looked at, a round ago, is
 * cold.  Its list becomes a bitmap, the bitmap tells in which pages there is no
 * live block, and of the rest the list is made anew, in the order of addresses.
 * Blocks that begin in a page that goes are on no list: the page is `absent`, as it
 * was before it was first carved, and class_alloc() carves it again.  So nobody
 * else has to know, and a pool that is not looked at pays nothing.
 *
 * A block that is free may begin in a page that stays and reach into one that has
 * gone; taking it brings that page back, as it does with pages not yet carved.
 *
 * Pages that are carved again within a second should have been kept.  When they
 * are more than a quarter of those that were given back, nothing is for a second.
 */
#include "heap/own.h"

#ifdef HG_STRESS
#define POOLS_MIN 2u
#define AGE_MS 1u
#define SECOND_MS 3u
#define REGRETS_MIN 64u
#else
#define POOLS_MIN 128u /* of the heap; below, it is not worth the while */
#define AGE_MS 100u    /* when nothing is freed any more */
#define SECOND_MS 1000u
#define REGRETS_MIN 256u
#endif
#define LOOKS 4u /* for each pool opened */

_Static_assert(SLOT_BYTES / BLOCK_ALIGN < SEEN_COLD, "struct pool: seen");

/* Pages next to each other go back at once. */
struct batch {
    char *start, *end;
    size_t bytes;
};

static void batch_flush(struct batch *batch)
{
    /* If the system refuses, the pages are as good as new ones all the same. */
    if (batch->start != batch->end)
        pages_discard(batch->start, (size_t)(batch->end - batch->start));
    batch->start = batch->end = NULL;
}

static void batch_add(struct batch *batch, char *start, size_t bytes)
{
    if (batch->end != start) {
        batch_flush(batch);
        batch->start = start;
    }
    batch->end = start + bytes;
    batch->bytes += bytes;
}

/* The pages that a block of the pool is in whose bit is not set. */
static uint32_t live_pages(const struct pool *pool, const uint64_t *bits)
{
    uint32_t bytes = heap_classes[pool->class].bytes;
    uint32_t capacity = pool_capacity(pool);
    size_t lead = pool_lead(pool);
    uint32_t pages = 0;
    for (uint32_t base = 0; base < capacity; base += 64) {
        uint64_t live = ~bits[base / 64];
        if (capacity - base < 64)
            live &= ((uint64_t)1 << (capacity - base)) - 1;
        for (; live != 0; live &= live - 1) {
            size_t start =
                lead + (size_t)(base + (uint32_t)__builtin_ctzll(live)) * bytes;
            unsigned first = (unsigned)(start / PAGE_BYTES);
            unsigned last = (unsigned)((start + bytes - 1) / PAGE_BYTES);
            pages |= (UINT32_MAX >> (31 - (last - first))) << first;
        }
    }
    return pages;
}

/* Of the blocks whose bit is set and that do not begin in an absent page. */
static void list_again(struct pool *pool, const uint64_t *bits)
{
    uint32_t bytes = heap_classes[pool->class].bytes;
    uint32_t capacity = pool_capacity(pool);
    char *start = pool_start(pool);
    size_t lead = pool_lead(pool);
    void *first = NULL;
    void *last = NULL;
    for (uint32_t base = 0; base < capacity; base += 64) {
        for (uint64_t free = bits[base / 64]; free != 0; free &= free - 1) {
            size_t within =
                lead + (size_t)(base + (uint32_t)__builtin_ctzll(free)) * bytes;
            if ((pool->absent >> within / PAGE_BYTES & 1) != 0)
                continue;
            if (last == NULL)
                first = start + within;
            else
                link_write(last, start + within);
            last = start + within;
        }
    }
    if (last != NULL)
        link_write(last, NULL);
    pool->free = first;
}

static void pool_cool(struct pool *pool, struct batch *batch)
{
    uint64_t bits[POOL_BITMAP_WORDS] = {0};
    void *end;
    HG_VERIFY(chain_mark(pool, pool->free, bits, &end) != NO_INDEX,
              "corrupt list of free blocks", pool_start(pool));
    absent_mark(pool, bits);
    unsigned pages = (unsigned)(pool->slots * (SLOT_BYTES / PAGE_BYTES));
    uint32_t idle = UINT32_MAX >> (32 - pages) & ~live_pages(pool, bits);
    if ((idle & ~pool->absent) == 0)
        return;
    if (HG_UNLIKELY(is_guarded(pool)))
        hard_verify_list(pool);
    pool->absent |= idle & heap_classes[pool->class].pages;
    list_again(pool, bits);
    if (HG_UNLIKELY(is_guarded(pool)))
        hard_pages_go(pool, idle);
    while (idle != 0) {
        unsigned first = (unsigned)__builtin_ctz(idle);
        uint64_t from = (uint64_t)idle >> first;
        unsigned count = (unsigned)__builtin_ctzll(~from);
        batch_add(batch, pool_start(pool) + first * PAGE_BYTES, count * PAGE_BYTES);
        idle &= ~(uint32_t)(((((uint64_t)1 << count) - 1)) << first);
    }
}

/* Whether there can be a page without a live block: blocks in use are not enough to
   touch every page. */
static bool may_have_idle_pages(const struct pool *pool)
{
    return (uint32_t)pool->used * 4 <= pool_capacity(pool) * 3;
}

static void look(struct pool *pool, struct batch *batch)
{
    unsigned seen = pool->seen;
    if (seen == (pool->used | SEEN_COLD))
        return;
    if (seen != pool->used) {
        pool->seen = pool->used;
        return;
    }
    pool->seen = (uint16_t)(pool->used | SEEN_COLD);
    if (may_have_idle_pages(pool))
        pool_cool(pool, batch);
}

/* --- rounds ------------------------------------------------------------------ */

/* The next pool of the round, or NULL: it is over.  The head of a ring is where
   blocks come from, and not looked at. */
static struct pool *next_pool(struct thread_heap *heap)
{
    for (; heap->look_class < CLASSES; heap->look_class++) {
        struct pool *head = heap->ring[heap->look_class];
        if (head == &pool_exhausted)
            continue;
        if (heap->look_slot == NO_INDEX)
            heap->look_slot = head->next;
        struct pool *pool = pool_at_slot(heap->look_slot);
        if (pool != head) {
            heap->look_slot = pool->next;
            return pool;
        }
        heap->look_slot = NO_INDEX;
    }
    heap->look_class = 0;
    return NULL;
}

/* Whether what was given back lately was wanted back. */
static bool regrets(struct thread_heap *heap, uint32_t now)
{
    if (now - heap->cool_second_ms >= SECOND_MS) {
        heap->cool_second_ms = now;
        heap->cool_given = heap->cool_regretted = 0;
    }
    return heap->cool_regretted >= REGRETS_MIN &&
           heap->cool_regretted > heap->cool_given / 4;
}

void pools_cool(struct thread_heap *heap)
{
    bool many = heap->opened >= OPENED_MIN;
    if (!many && !heap->unsettled)
        return;
    uint32_t now = now_ms();
    if (!many && now - heap->looked_ms < AGE_MS)
        return;
    /* When it is only late, all pools once more, and then no more. */
    uint32_t looks = many ? heap->opened * LOOKS : heap->pools;
    heap->opened = 0;
    heap->looked_ms = now;
    heap->unsettled = many;
    if (heap->pools < POOLS_MIN || regrets(heap, now))
        return;
    struct batch batch = {NULL, NULL, 0};
    for (; looks != 0; looks--) {
        struct pool *pool = next_pool(heap);
        if (pool == NULL)
            break; /* none is looked at twice in one batch */
        look(pool, &batch);
    }
    batch_flush(&batch);
    heap->cool_given += (uint32_t)(batch.bytes / PAGE_BYTES);
}

void pool_recarved(struct thread_heap *heap, struct pool *pool)
{
    pool->seen = pool->used;
    if (now_ms() - heap->cool_second_ms < SECOND_MS)
        heap->cool_regretted++;
}

size_t pools_cool_all(struct thread_heap *heap)
{
    struct batch batch = {NULL, NULL, 0};
    for (unsigned class = 0; class < CLASSES; class ++) {
        struct pool *head = heap->ring[class];
        if (head == &pool_exhausted)
            continue;
        struct pool *pool = head;
        do {
            pool->seen = (uint16_t)(pool->used | SEEN_COLD);
            pool_cool(pool, &batch);
            pool = pool_at_slot(pool->next);
        } while (pool != head);
    }
    batch_flush(&batch);
    return batch.bytes;
}
