/* SPDX-License-Identifier: MIT */
/*
 * walk.c - everything, looked at: blocks, bytes, invariants.
 *
 * All locks are held meanwhile, so no pool comes or goes, and the sums of a census
 * are exact even if other threads allocate.  How many blocks of a pool are live is
 * then only known as well as its owner's count could be read.
 */
#include "heap/own.h"

#include <string.h>

void locks_take(void)
{
    lock_take(&heaps_lock);
    lock_take(&tags_lock);
    lock_take(&objects_lock);
    lock_take(&arenas_lock);
    lock_take(&huge_lock);
}

void locks_release(void)
{
    lock_release(&huge_lock);
    lock_release(&arenas_lock);
    lock_release(&objects_lock);
    lock_release(&tags_lock);
    lock_release(&heaps_lock);
}

void locks_reset(void)
{
    lock_reset(&huge_lock);
    lock_reset(&arenas_lock);
    lock_reset(&objects_lock);
    lock_reset(&tags_lock);
    lock_reset(&heaps_lock);
}

void pools_walk(pool_visit *visit, void *arg)
{
    for (uint32_t i = 0; i < arenas_count; i++) {
        const struct arena *a = arena_at(i);
        if (a->kind != ARENA_MAPPED)
            continue;
        uint64_t none = a->free | a->leaving;
        for (unsigned s = 0; s < ARENA_SLOTS;) {
            struct pool *pool = pool_at_slot(i * ARENA_SLOTS + s);
            /* Acquire pairs with pool_take() and large_alloc().  A slot that is
               taken, but not yet or no longer in a pool: its thread is at work. */
            if ((none >> s & 1) != 0 ||
                atomic_load_explicit(&pool->state, memory_order_acquire) ==
                    POOL_FREE) {
                s++;
                continue;
            }
            visit(arg, pool);
            s += pool->slots;
        }
    }
}

/* --- blocks ------------------------------------------------------------------ */

HG_RACY uint32_t chain_mark(const struct pool *pool, void *first, uint64_t *bits,
                            void **end)
{
    uint32_t n = 0;
    *end = NULL;
    for (void *block = first; block != NULL; block = link_read(block)) {
        if (!pool_has_block(pool, block))
            return NO_INDEX;
        uint32_t index = pool_block_index(pool, block);
        if (pool_absent_at(pool, (size_t)((char *)block - pool_start(pool))) ||
            (bits[index / 64] >> index % 64 & 1) != 0)
            return NO_INDEX;
        bits[index / 64] |= (uint64_t)1 << index % 64;
        *end = block;
        n++;
    }
    return n;
}

HG_RACY uint32_t absent_mark(const struct pool *pool, uint64_t *bits)
{
    const struct size_class *c = &heap_classes[pool->class];
    uint32_t n = 0;
    for (uint32_t left = pool->absent; left != 0; left &= left - 1) {
        unsigned page = (unsigned)__builtin_ctz(left);
        uint32_t to = page_first_block(c, page + 1);
        for (uint32_t i = page_first_block(c, page); i < to; i++) {
            bits[i / 64] |= (uint64_t)1 << i % 64;
            n++;
        }
    }
    return n;
}

/* Sets a bit for each block that nobody holds; numbers are NO_INDEX if there is
   something wrong with a list. */
static HG_RACY void mark_free(struct pool *pool, uint64_t *bits, uint32_t *absent,
                              uint32_t *freed, uint32_t *remote)
{
    void *end;
    memset(bits, 0, POOL_BITMAP_WORDS * sizeof *bits);
    *absent = absent_mark(pool, bits);
    *freed = chain_mark(pool, pool->free, bits, &end);
    /* Acquire pairs with remote_free(): the links are there. */
    void *first = atomic_load_explicit(&pool->remote, memory_order_acquire);
    *remote = chain_mark(pool, first, bits, &end);
}

/* Sets a bit for each block of a hardened heap that is in quarantine, or about to
   be freed by another thread. */
static HG_RACY void mark_freed(const struct pool *pool, uint64_t *bits)
{
    const guard *guards = pool_guards(pool);
    uint32_t capacity = pool_capacity(pool);
    for (uint32_t i = 0; i < capacity; i++) {
        unsigned word = atomic_load_explicit(&guards[i], memory_order_relaxed);
        if (word == 0 || word >= GUARD_FREED)
            bits[i / 64] |= (uint64_t)1 << i % 64;
    }
}

struct walk {
    heap_visit *visit;
    void *arg;
};

static HG_RACY void walk_pool(void *arg, struct pool *pool)
{
    struct walk *walk = arg;
    char *block = pool_start(pool);
    if (pool_state(pool) == POOL_LARGE) {
        uint32_t *tag = object_keeps_tags(pool_owner(pool)) ? &pool->tag : NULL;
        walk->visit(walk->arg, block, pool->slots * SLOT_BYTES, tag, pool->bytes);
        return;
    }
    if (pool_owner(pool) == SYSTEM_HEAP)
        return;
    /* While its owner is at work a list may look broken: whatever was found of it
       will do.  Nor is anything unmapped or reused meanwhile, for the locks are
       held. */
    uint64_t bits[POOL_BITMAP_WORDS];
    uint32_t absent, freed, remote;
    mark_free(pool, bits, &absent, &freed, &remote);
    if (is_guarded(pool))
        mark_freed(pool, bits);
    uint32_t capacity = pool_capacity(pool);
    size_t bytes = heap_classes[pool->class].bytes;
    uint32_t *tags = pool->tags;
    block += pool_lead(pool);
    for (uint32_t i = 0; i < capacity; i++) {
        if ((bits[i / 64] >> i % 64 & 1) == 0) {
            uint32_t *tag = tags == NULL ? NULL : &tags[i];
            size_t requested =
                tag == NULL || pool->class < SMALL_CLASSES ? 0 : tags[capacity + i];
            walk->visit(walk->arg, block, bytes, tag, requested);
        }
        block += bytes;
    }
}

void heap_walk(heap_visit *visit, void *arg)
{
    struct walk walk = {visit, arg};
    locks_take();
    pools_walk(walk_pool, &walk);
    huge_walk(NULL, true, visit, arg);
    locks_release();
}

static void walk_pool_of_none(void *arg, struct pool *pool)
{
    uint32_t owner = pool_owner(pool);
    if (owner == SYSTEM_HEAP || !heap_is_object(heap_at(owner)))
        walk_pool(arg, pool);
}

static void object_pools_walk(struct thread_heap *object, pool_visit *visit,
                              void *arg)
{
    for (uint32_t i = object->full_first; i != 0; i = pool_at_slot(i - 1)->next)
        visit(arg, pool_at_slot(i - 1));
    for (uint32_t i = object->large_first; i != 0; i = pool_at_slot(i - 1)->next)
        visit(arg, pool_at_slot(i - 1));
    for (unsigned class = 0; class < CLASSES; class ++) {
        struct pool *head = object->ring[class];
        if (head == &pool_exhausted)
            continue;
        struct pool *pool = head;
        do {
            visit(arg, pool);
            pool = pool_at_slot(pool->next);
        } while (pool != head);
    }
}

void heap_walk_object(struct heap *heap, heap_visit *visit, void *arg)
{
    struct thread_heap *object = (struct thread_heap *)heap;
    struct walk walk = {visit, arg};
    locks_take();
    if (object == NULL)
        pools_walk(walk_pool_of_none, &walk);
    else
        object_pools_walk(object, walk_pool, &walk);
    huge_walk(object, false, visit, arg);
    locks_release();
}

/* --- bytes ------------------------------------------------------------------- */

static HG_RACY uint32_t absent_blocks(const struct pool *pool)
{
    const struct size_class *c = &heap_classes[pool->class];
    uint32_t n = 0;
    for (uint32_t left = pool->absent; left != 0; left &= left - 1) {
        unsigned page = (unsigned)__builtin_ctz(left);
        n += page_first_block(c, page + 1) - page_first_block(c, page);
    }
    return n;
}

static HG_RACY void census_pool(void *arg, struct pool *pool)
{
    struct heap_census *out = arg;
    size_t whole = pool->slots * SLOT_BYTES;
    /* What is left in the end are slots between pool and arena. */
    out->free_pools -= whole;
    enum pool_state state = pool_state(pool);
    if (state == POOL_LARGE) {
        out->live += whole;
        out->large++;
        return;
    }
    if (pool_owner(pool) == SYSTEM_HEAP) {
        out->headers += whole;
        return;
    }
    out->pools_used += state == POOL_USED;
    out->pools_full += state == POOL_FULL;
    size_t bytes = heap_classes[pool->class].bytes;
    size_t blocks = pool_capacity(pool) * bytes;
    size_t live = pool->used * bytes;
    /* Their owner may be at work between the one count and the other. */
    if (live > blocks)
        live = blocks;
    size_t untouched = absent_blocks(pool) * bytes;
    if (untouched > blocks - live)
        untouched = blocks - live;
    out->live += live;
    out->untouched += untouched;
    out->free_blocks += blocks - live - untouched;
    out->tails += whole - blocks;
}

void census_parts(struct heap_census *out)
{
    *out = (struct heap_census){0};
    for (uint32_t i = 0; i < arenas_count; i++) {
        const struct arena *a = arena_at(i);
        if (a->kind != ARENA_MAPPED)
            continue;
        out->arenas++;
        out->free_pools += bit_count(~a->free | a->dirty) * SLOT_BYTES;
    }
    pools_walk(census_pool, out);
    for (uint32_t id = 0; id < heaps_count; id++) {
        size_t waiting = hard_bytes(heap_at(id));
        if (waiting > out->live)
            waiting = out->live;
        out->live -= waiting;
        out->free_blocks += waiting;
    }
    out->headers += table_pools.mapped + table_arenas.mapped + table_heaps.mapped +
                    table_live.mapped;
    huge_census(out);
}

void heap_census(struct heap_census *out)
{
    *out = (struct heap_census){0};
    if (!heap_start())
        return;
    locks_take();
    census_parts(out);
    out->mapped = heap_held_bytes();
    locks_release();
}

_Atomic uint32_t heap_trims;

/* By its owner. */
static size_t trim_pools(struct thread_heap *heap)
{
    heap->trims = atomic_load_explicit(&heap_trims, memory_order_relaxed);
    mail_drain(heap, heap);
    hard_flush(heap);
    heap_retire_empty(heap);
    heap->stirred = false;
    return pools_cool_all(heap);
}

void heap_trim_late(struct thread_heap *heap)
{
    trim_pools(heap);
    arenas_discard(0);
}

/* `ours` is the caller's for now, besides its own; or NULL. */
static size_t trim(struct thread_heap *ours)
{
    atomic_fetch_add_explicit(&heap_trims, 1, memory_order_relaxed);
    struct thread_heap *heap = heap_of_thread();
    size_t given = heap != NULL ? trim_pools(heap) : 0;
    given += ours != NULL ? trim_pools(ours) : 0;
    given += heaps_trim_abandoned();
    given += huge_trim() + arenas_discard(0);
    arenas_unmap(0);
    return given;
}

size_t heap_trim(void)
{
    return trim(NULL);
}

size_t heap_trim_ours(void)
{
    struct heap *ours = __atomic_load_n(&heap_ours, __ATOMIC_RELAXED);
    return trim(ours != &heap_exhausted.fast ? (struct thread_heap *)ours : NULL);
}

/* --- invariants -------------------------------------------------------------- */

struct check {
    uint32_t pools;
    uint32_t used_pools;
    uint32_t full_pools; /* of objects */
};

static void check_pool(void *arg, struct pool *pool)
{
    struct check *check = arg;
    char *start = pool_start(pool);
    enum pool_state state = pool_state(pool);
    uint32_t slot = pool_slot(pool);
    HG_VERIFY(pool->slots != 0, "pool: no slots", start);
    HG_VERIFY(slot % ARENA_SLOTS + pool->slots <= ARENA_SLOTS,
              "pool: too many slots", start);
    HG_VERIFY(pool->slot_of_run == 0, "pool: not its first slot", start);
    const struct arena *a = arena_at(slot / ARENA_SLOTS);
    for (unsigned i = 0; i < pool->slots; i++)
        HG_VERIFY(((a->free | a->leaving) >> (slot % ARENA_SLOTS + i) & 1) == 0,
                  "pool: a slot is free", start);
    struct heap *fast = atomic_load_explicit(&pool->fast, memory_order_relaxed);
    for (unsigned i = 1; i < pool->slots; i++) {
        HG_VERIFY(pool_state(pool + i) == POOL_FREE, "pool: a pool in a pool",
                  start);
        HG_VERIFY(pool[i].slot_of_run == (state == POOL_LARGE ? 0 : i),
                  "pool: a slot of the run does not say so", start);
        HG_VERIFY(atomic_load_explicit(&pool[i].fast, memory_order_relaxed) == NULL,
                  "pool: a slot of the run has an owner", start);
    }
    if (state == POOL_LARGE) {
        HG_VERIFY(fast == NULL, "pool: a large block has an owner", start);
        if (heap_hardened)
            hard_verify(start, pool->bytes, pool->slots * SLOT_BYTES, NULL);
        return;
    }
    HG_VERIFY(pool_owner(pool) < heaps_count, "pool: no such heap", start);
    struct thread_heap *heap = heap_at(pool_owner(pool));
    check->pools++;

    uint64_t bits[POOL_BITMAP_WORDS];
    uint32_t absent, freed, remote;
    mark_free(pool, bits, &absent, &freed, &remote);
    HG_VERIFY(freed != NO_INDEX, "pool: broken list of free blocks", start);
    HG_VERIFY(remote != NO_INDEX, "pool: broken list of remote blocks", start);
    HG_VERIFY(freed + pool->used + absent == pool_capacity(pool),
              "pool: used + free + absent != capacity", start);
    HG_VERIFY((pool->absent & ~heap_classes[pool->class].pages) == 0,
              "pool: an absent page has no block", start);
    HG_VERIFY(remote <= pool->used, "pool: more remote than used", start);
    if (is_guarded(pool))
        hard_check_pool(pool);
    if (heap_frees_checked)
        live_check_pool(pool, bits);
    bool guarded = is_guarded(pool);
    HG_VERIFY(!guarded || fast != NULL, "pool: no guards", start);
    if (state == POOL_FULL) {
        HG_VERIFY(guarded || fast == NULL, "pool: full, but has a fast path",
                  start);
        HG_VERIFY(pool->used == pool_capacity(pool), "pool: full, but has room",
                  start);
        check->full_pools += heap_is_object(heap);
        return;
    }
    check->used_pools++;
    HG_VERIFY(guarded || fast == pool_fast(heap, pool),
              "pool: used, but its owner is another", start);
    HG_VERIFY(pool_at_slot(pool->next)->prev == slot, "pool: broken ring", start);
    HG_VERIFY(pool_at_slot(pool->prev)->next == slot, "pool: broken ring", start);
}

/* Each pool is in the ring of its owner: counts the pools in all rings. */
static uint32_t check_rings(const struct thread_heap *heap)
{
    uint32_t count = 0;
    for (unsigned class = 0; class < CLASSES; class ++) {
        struct pool *head = heap->ring[class];
        if (head == &pool_exhausted)
            continue;
        uint32_t empty = 0;
        struct pool *pool = head;
        do {
            HG_VERIFY(pool_state(pool) == POOL_USED, "ring: a pool is not used",
                      pool);
            HG_VERIFY(pool->class == class, "ring: a pool of another class", pool);
            HG_VERIFY(pool_owner(pool) == heap->id, "ring: of another heap", pool);
            count++;
            empty += pool->used == 0;
            pool = pool_at_slot(pool->next);
        } while (pool != head);
        bool abandoned = atomic_load_explicit(&heap->state, memory_order_relaxed) ==
                         HEAP_ABANDONED;
        HG_VERIFY(empty <= (abandoned ? 0 : 1), "ring: too many empty pools", head);
    }
    return count;
}

/* The full pools and the large blocks of an object are in its lists. */
static uint32_t check_object(const struct thread_heap *object)
{
    uint32_t full = 0;
    for (uint32_t i = object->full_first; i != 0; i = pool_at_slot(i - 1)->next) {
        const struct pool *pool = pool_at_slot(i - 1);
        HG_VERIFY(pool_state(pool) == POOL_FULL && pool_owner(pool) == object->id,
                  "object: not a full pool of it", pool);
        full++;
    }
    for (uint32_t i = object->large_first; i != 0; i = pool_at_slot(i - 1)->next) {
        const struct pool *pool = pool_at_slot(i - 1);
        HG_VERIFY(pool_state(pool) == POOL_LARGE && pool_owner(pool) == object->id,
                  "object: not a large block of it", pool);
    }
    return full;
}

static void check_heaps(const struct check *check)
{
    uint32_t pools = 0;
    uint32_t in_rings = 0;
    uint32_t full = 0;
    for (uint32_t id = 0; id < heaps_count; id++) {
        const struct thread_heap *heap = heap_at(id);
        HG_VERIFY(heap->id == id, "heap: wrong number", heap);
        pools += heap->pools;
        in_rings += check_rings(heap);
        hard_check_quarantine(heap);
        full += check_object(heap);
    }
    HG_VERIFY(full == check->full_pools, "object: a full pool is in no list", NULL);
    HG_VERIFY(pools == check->pools, "heaps: wrong number of pools", NULL);
    HG_VERIFY(in_rings == check->used_pools, "heaps: a used pool is in no ring",
              NULL);
}

void heap_check(void)
{
    if (!heap_start())
        return;
    struct check check = {0};
    locks_take();
    arenas_check();
    pools_walk(check_pool, &check);
    check_heaps(&check);
    huge_check();
    locks_release();
    struct heap_census c;
    heap_census(&c);
    HG_VERIFY(c.mapped == heap_census_sum(&c),
              "census: the parts are not the whole", NULL);
}
