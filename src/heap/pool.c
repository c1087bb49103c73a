/* SPDX-License-Identifier: MIT */
/*
 * pool.c - pools of blocks of one class, as their owner sees them.
 *
 *     free slots --pool_take--> used --last block goes--> full
 *          ^                     | ^                       |
 *          +------pool_retire----+ +---a block comes back--+
 *
 * The used pools of a class form a ring, headed by heap->ring[class], from which
 * blocks are taken until it has none.  A full pool that gets a block back waits its
 * turn at the end of the ring: as head it would be full again one block later, and
 * a program that takes and frees in turn would go the slow way each time.  An empty
 * pool goes back to its arena, unless it is the only one in its ring: a program
 * that takes and frees one block would otherwise take and give back a pool each
 * time.
 *
 * Nothing is written into a block before it is first handed out, and blocks are
 * carved a page at a time: the pages of a pool that was never full stay untouched,
 * and those that were given back (cool.c) stay away as long as there is another.
 */
#include "heap/own.h"

#include <string.h>

struct pool pool_exhausted;

void heap_init_empty(struct thread_heap *heap, uint32_t id, enum heap_state state)
{
    for (unsigned class = 0; class < CLASSES; class ++)
        heap->pool[class] = heap->ring[class] = &pool_exhausted;
    heap->id = id;
    heap->pools = 0;
    heap->stirred = false;
    heap->unsettled = false;
    heap->opened = 0;
    heap->looked_ms = heap->cool_second_ms = 0;
    heap->cool_given = heap->cool_regretted = 0;
    heap->trims = atomic_load_explicit(&heap_trims, memory_order_relaxed);
    heap->look_class = 0;
    heap->look_slot = NO_INDEX;
    heap->list_next = 0;
    heap->full_first = 0;
    hard_forget(heap);
    atomic_store_explicit(&heap->state, state, memory_order_relaxed);
}

static void set_state(struct pool *pool, enum pool_state state)
{
    atomic_store_explicit(&pool->state, (uint8_t)state, memory_order_relaxed);
}

static void set_fast(struct pool *pool, struct thread_heap *heap)
{
    if (HG_UNLIKELY(is_guarded(pool)))
        return;
    atomic_store_explicit(&pool->fast, heap == NULL ? NULL : pool_fast(heap, pool),
                          memory_order_relaxed);
}

/* --- the ring ---------------------------------------------------------------- */

/* `ring`: its place in the heap's ring[]. */
static inline void ring_insert(struct pool **ring, struct pool *pool)
{
    uint32_t slot = pool_slot(pool);
    struct pool *head = *ring;
    if (head == &pool_exhausted) {
        pool->next = pool->prev = slot;
    } else {
        pool->next = pool_slot(head);
        pool->prev = head->prev;
        pool_at_slot(pool->prev)->next = slot;
        head->prev = slot;
    }
    *ring = pool;
}

static void ring_insert_first(struct thread_heap *heap, struct pool *pool)
{
    ring_insert(&heap->ring[pool->class], pool);
}

static bool ring_only(const struct pool *pool)
{
    return pool->next == pool_slot(pool);
}

static void ring_remove(struct thread_heap *heap, struct pool *pool)
{
    struct pool *next = pool_at_slot(pool->next);
    if (heap->look_slot == pool_slot(pool))
        heap->look_slot = next == pool ? NO_INDEX : pool->next;
    if (next == pool) {
        heap->ring[pool->class] = &pool_exhausted;
        return;
    }
    next->prev = pool->prev;
    pool_at_slot(pool->prev)->next = pool->next;
    if (heap->ring[pool->class] == pool)
        heap->ring[pool->class] = next;
}

/* --- full pools of an object, for heap_retire_all(); the links end with 0 ------
 */

static void full_insert(struct thread_heap *heap, struct pool *pool)
{
    pool->prev = 0;
    pool->next = heap->full_first;
    if (pool->next != 0)
        pool_at_slot(pool->next - 1)->prev = pool_slot(pool) + 1;
    heap->full_first = pool_slot(pool) + 1;
}

static void full_remove(struct thread_heap *heap, struct pool *pool)
{
    if (pool->next != 0)
        pool_at_slot(pool->next - 1)->prev = pool->prev;
    if (pool->prev != 0)
        pool_at_slot(pool->prev - 1)->next = pool->next;
    else
        heap->full_first = pool->next;
}

/* --- taking and giving back -------------------------------------------------- */

/* Bytes of the guards of a pool, which stand before its tags. */
static size_t guard_bytes(const struct thread_heap *heap, unsigned class)
{
    if (heap->hard == NULL)
        return 0;
    return (heap_classes[class].capacity * sizeof(guard) + 63u) & ~(size_t)63;
}

/* What belongs to blocks and stands outside of them. */
static bool headers_new(const struct thread_heap *heap, unsigned class,
                        char **headers)
{
    size_t guards = guard_bytes(heap, class);
    size_t tags = heap->keeps_tags ? heap_classes[class].tag_bytes : 0;
    *headers = NULL;
    if (guards + tags == 0)
        return true;
    *headers = tags_new(guards + tags);
    if (*headers == NULL)
        return false;
    /* Who frees what was never handed out is believed until its tag is seen. */
    memset(*headers, 0, guards + tags);
    return true;
}

static struct pool *pool_take(struct thread_heap *heap, unsigned class)
{
    const struct size_class *c = &heap_classes[class];
    struct thread_heap *object = object_of(heap);
    char *headers;
    if (!headers_new(heap, class, &headers))
        return NULL;
    bool clean;
    uint32_t slot = NO_INDEX;
    if (object_hold(object, c->slots * SLOT_BYTES)) {
        slot = slots_take(c->slots, 1, &clean);
        if (slot == NO_INDEX)
            object_let_go(object, c->slots * SLOT_BYTES);
    }
    if (slot == NO_INDEX) {
        if (headers != NULL)
            tags_free(headers);
        return NULL;
    }
    struct pool *pool = pool_at_slot(slot);
    HG_ASSERT(pool_state(pool) == POOL_FREE);
    HG_ASSERT(pool->remote == NULL);
    pool->free = NULL;
    pool->used = 0;
    pool->seen = 0;
    pool->reciprocal = c->reciprocal;
    pool->tags =
        heap->keeps_tags ? (uint32_t *)(headers + guard_bytes(heap, class)) : NULL;
    pool->absent = c->pages;
    pool->class = (uint8_t) class;
    pool->slots = c->slots;
    for (unsigned i = 1; i < c->slots; i++)
        pool[i].slot_of_run = (uint8_t)i;
    atomic_store_explicit(&pool->heap_id, heap->id, memory_order_relaxed);
    ring_insert_first(heap, pool);
    heap->pools++;
    heap->stirred = true;
    if (HG_UNLIKELY(heap->hard != NULL))
        atomic_store_explicit(&pool->fast, (struct heap *)headers,
                              memory_order_relaxed);
    /* Release pairs with pools_walk().  Last: in the child of a fork a slot that is
       neither free nor in a pool shows that its thread was right here; see fork.c.
     */
    atomic_store_explicit(&pool->state, POOL_USED, memory_order_release);
    set_fast(pool, heap);
    return pool;
}

/*
 * The pool has no block and is in no ring.
 *
 * used == 0 is enough; `remote` needs no look.  A block freed by another thread
 * stays counted in `used` until we, the owner, take it off `remote`, and that we do
 * only after we found the pool in our mail.  So used == 0 means every block has
 * come back, whoever put the pool into the mail has done so, nobody holds a pointer
 * into the pool, and nobody is left to push.
 */
static void pool_retire(struct thread_heap *heap, struct pool *pool)
{
    HG_ASSERT(pool->used == 0);
    HG_ASSERT(atomic_load_explicit(&pool->remote, memory_order_relaxed) == NULL);
    unsigned slots = pool->slots;
    void *headers = is_guarded(pool) ? (void *)pool_guards(pool) : pool->tags;
    atomic_store_explicit(&pool->fast, NULL, memory_order_relaxed);
    set_state(pool, POOL_FREE);
    for (unsigned i = 1; i < slots; i++)
        pool[i].slot_of_run = 0;
    pool->tags = NULL;
    heap->pools--;
    heap->opened++;
    heap->stirred = true;
    object_let_go(object_of(heap), slots * SLOT_BYTES);
    slots_return(pool_slot(pool), slots);
    if (headers != NULL)
        tags_free(headers);
}

/* The same, of a pool all of whose blocks were freed one by one. */
static void pool_leave(struct thread_heap *heap, struct pool *pool)
{
    if (HG_UNLIKELY(is_guarded(pool)))
        hard_verify_list(pool);
    ring_remove(heap, pool);
    pool_retire(heap, pool);
}

void pool_emptied(struct thread_heap *heap, struct pool *pool)
{
    bool keep =
        ring_only(pool) &&
        atomic_load_explicit(&heap->state, memory_order_relaxed) != HEAP_ABANDONED;
    if (!keep)
        pool_leave(heap, pool);
}

/* Whatever is in it; it is in no ring. */
static void pool_drop(struct thread_heap *heap, struct pool *pool)
{
    pool->used = 0;
    atomic_store_explicit(&pool->remote, NULL, memory_order_relaxed);
    if (HG_UNLIKELY(heap_frees_checked))
        live_forget(pool_slot(pool), pool->slots);
    pool_retire(heap, pool);
}

void heap_retire_empty(struct thread_heap *heap)
{
    for (unsigned class = 0; class < CLASSES; class ++) {
        struct pool *pool = heap->ring[class];
        /* At most one of a ring is empty: it was alone when it became so. */
        while (pool->used != 0 && pool_at_slot(pool->next) != heap->ring[class])
            pool = pool_at_slot(pool->next);
        if (pool != &pool_exhausted && pool->used == 0)
            pool_leave(heap, pool);
    }
}

void heap_retire_all(struct thread_heap *heap)
{
    hard_forget(heap);
    while (heap->full_first != 0) {
        struct pool *pool = pool_at_slot(heap->full_first - 1);
        full_remove(heap, pool);
        pool_drop(heap, pool);
    }
    for (unsigned class = 0; class < CLASSES; class ++) {
        while (heap->ring[class] != &pool_exhausted) {
            struct pool *pool = heap->ring[class];
            ring_remove(heap, pool);
            pool_drop(heap, pool);
        }
    }
}

void pool_set_used(struct thread_heap *heap, struct pool *pool)
{
    if (HG_UNLIKELY(heap_is_object(heap)) && pool_state(pool) == POOL_FULL)
        full_remove(heap, pool);
    struct pool **ring = &heap->ring[pool->class];
    struct pool *head = *ring;
    ring_insert(ring, pool);
    if (head->free != NULL)
        *ring = head; /* which makes the other the last one */
    heap->opened++;
    set_state(pool, POOL_USED);
    set_fast(pool, heap);
}

HG_ALWAYS_INLINE void set_full(struct thread_heap *heap, struct pool *pool)
{
    if (HG_UNLIKELY(heap_is_object(heap)))
        full_insert(heap, pool);
    set_fast(pool, NULL);
    set_state(pool, POOL_FULL);
}

void pool_set_full(struct thread_heap *heap, struct pool *pool)
{
    set_full(heap, pool);
}

void pool_move(struct thread_heap *from, struct thread_heap *to, struct pool *pool)
{
    bool used = pool_state(pool) == POOL_USED;
    if (used)
        ring_remove(from, pool);
    from->pools--;
    to->pools++;
    /* Who reads the old number puts the pool into the mail of `from`, whose owner
       sends it on; see mail_drain(). */
    atomic_store_explicit(&pool->heap_id, to->id, memory_order_relaxed);
    if (used) {
        ring_insert_first(to, pool);
        set_fast(pool, to);
    }
}

/* --- blocks ------------------------------------------------------------------ */

/* Put the blocks that begin in the first absent page on the empty free list. */
static void pool_carve(struct thread_heap *heap, struct pool *pool)
{
    const struct size_class *c = &heap_classes[pool->class];
    unsigned page = (unsigned)__builtin_ctz(pool->absent);
    uint32_t from = page_first_block(c, page);
    uint32_t to = page_first_block(c, page + 1);
    char *first = pool_start(pool) + c->lead + (size_t)from * c->bytes;
    char *block = first;
    uintptr_t key =
        heap_link_key; /* a block might be it, for all the compiler knows */
    size_t bytes = c->bytes;
    for (uint32_t i = from + 1; i < to; i++) {
        link_write_by(key, block, block + bytes);
        block += bytes;
    }
    link_write_by(key, block, NULL);
    if (HG_UNLIKELY(is_guarded(pool)))
        memset((void *)(pool_guards(pool) + from), 0, (to - from) * sizeof(guard));
    pool->absent &= pool->absent - 1;
    pool->free = first;
    if (HG_UNLIKELY(pool_was_cold(pool)))
        pool_recarved(heap, pool);
}

uint32_t chain_length(const struct pool *pool, void *first, void **last)
{
    struct blocks blocks = pool_blocks(pool);
    uint32_t capacity = pool_capacity(pool);
    uintptr_t key = heap_link_key;
    void *end = NULL;
    uint32_t n = 0;
    for (void *block = first; block != NULL; block = link_read_by(key, block)) {
        HG_VERIFY(blocks_have(&blocks, block), "corrupt list of free blocks",
                  block);
        HG_VERIFY(n < capacity, "block freed twice", block);
        n++;
        end = block;
    }
    *last = end;
    return n;
}

/* Relaxed: a look whether mail_drain() is worth a call. */
static inline bool has_mail(const struct thread_heap *heap)
{
    return atomic_load_explicit(&heap->mail, memory_order_relaxed) != 0;
}

/* Make the head of the ring a pool that has a block to take, or the ring empty.
   False: it is empty, or there is mail to be read first. */
static inline bool ring_refill(struct thread_heap *heap, size_t class)
{
    for (;;) {
        struct pool *pool = heap->ring[class];
        if (pool->free != NULL)
            return true;
        if (pool == &pool_exhausted || has_mail(heap))
            return false;
        if (pool->absent == 0) {
            ring_remove(heap, pool);
            set_full(heap, pool);
            heap->opened -= heap->opened != 0;
            continue;
        }
        /* What was used before costs no fresh page. */
        struct pool *next = pool_at_slot(pool->next);
        if (next->free == NULL) {
            pool_carve(heap, pool);
            return true;
        }
        heap->ring[class] = next;
    }
}

bool heap_refill(struct heap *fast, size_t class)
{
    struct thread_heap *heap = (struct thread_heap *)fast;
    return heap->pool[class] != &pool_exhausted && ring_refill(heap, class);
}

bool heap_checked_refill(struct heap *fast, size_t class)
{
    struct thread_heap *heap = (struct thread_heap *)fast;
    return heap->ring[class] != &pool_exhausted && ring_refill(heap, class);
}

bool class_refill(struct thread_heap *heap, unsigned class)
{
    if (has_mail(heap))
        mail_drain(heap, heap);
    else if (heap->ring[class] != &pool_exhausted)
        ring_refill(heap, class);
    else
        return heaps_adopt_pools(heap, class) || pool_take(heap, class) != NULL;
    return true;
}

void *class_alloc(struct thread_heap *heap, unsigned class)
{
    do {
        struct pool *pool = heap->ring[class];
        void *block = pool->free;
        if (block != NULL) {
            pool->free = link_read(block);
            pool->used++;
            return block;
        }
    } while (class_refill(heap, class));
    return NULL;
}

bool heap_reopen(struct heap *fast, const void *block)
{
    size_t offset;
    if (!heap_in_window(block, &offset) || HG_UNLIKELY(heap_hardened) ||
        HG_UNLIKELY(heap_frees_checked))
        return false;
    struct thread_heap *heap = (struct thread_heap *)fast;
    struct pool *pool = heap_pool_at(offset);
    if (atomic_load_explicit(&pool->fast, memory_order_relaxed) == fast)
        return true;
    size_t within = offset & (SLOT_BYTES - 1);
    uint64_t product = pool_product(pool, within);
    if (pool_state(pool) != POOL_FULL || pool->class >= SMALL_CLASSES ||
        pool_owner(pool) != heap->id || (uint32_t)product >= pool->reciprocal ||
        product >> 32 >= pool_capacity(pool))
        return false;
    pool_set_used(heap, pool);
    if (HG_UNLIKELY(heap->opened >= OPENED_MIN))
        pools_cool(heap);
    return true;
}

void class_free(struct thread_heap *heap, struct pool *pool, void *block)
{
    HG_VERIFY(block != pool->free, "block freed twice", block);
    HG_VERIFY(pool->used != 0, "block freed twice", block);
    link_write(block, pool->free);
    pool->free = block;
    pool->used--;
    if (pool_state(pool) == POOL_FULL)
        pool_set_used(heap, pool);
    if (pool->used == 0)
        pool_emptied(heap, pool);
}

void heap_pool_emptied(struct pool *pool)
{
    struct thread_heap *heap = heap_at(pool_owner(pool));
    pool_emptied(heap, pool);
    if (heap->stirred)
        thread_slow_end(heap);
}
