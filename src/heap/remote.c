/* SPDX-License-Identifier: MIT */
/*
 * remote.c - blocks freed by threads that do not own their pool.
 *
 * Each pool has a stack of such blocks, `remote`; each heap has a stack of pools,
 * `mail`.  Whoever pushes a block and finds `remote` empty also pushes the pool on
 * the mail of the heap that owns it.  The owner takes its mail on its slow path,
 * and the blocks of each pool in it.
 *
 *   1. A block is pushed on `remote` by anybody, and only the owner takes blocks
 *      off, all at once, and only of a pool that it has just taken from its mail.
 *   2. So between the push that finds `remote` empty and the owner's taking the
 * pool from the mail, `remote` stays non-empty: nobody else pushes the pool, and
 *      mail_next belongs to the one who has to.
 *   3. And as blocks on `remote` count as used, the pool cannot be retired or
 * change its class in that time, however long the pusher takes.  A pusher that
 * finds `remote` not empty is done with the pool when its exchange has succeeded.
 *
 * The pool may change its owner in that time.  Then the mail arrives at the wrong
 * heap, and whoever takes it there sends it on.  Heaps are never unmapped and their
 * numbers never reused, and every heap's mail is taken some time: by its thread;
 * if it has none, by those who look for pools, or who free a block of it.
 *
 * A heap whose thread has ended is abandoned: it then belongs to whoever holds
 * heaps_lock.  A new thread takes over a whole heap; others take what they need:
 * pools of a class of which they would otherwise take a new one, and pools of which
 * they freed a block.
 */
#include "heap/own.h"

#define HEAPS_TRIED 4u /* how many heaps are looked at for a pool */
#define POOLS_MOVED 4u /* how many pools of one are taken over at once */

struct lock heaps_lock = {.rank = LOCK_HEAPS};

_Atomic uint32_t abandoned_count;
static uint32_t abandoned_first,
    abandoned_last; /* guarded by heaps_lock; 0: none */

/* The system heap, number 0, is never in the list. */
void abandoned_push(struct thread_heap *heap, bool first)
{
    heap->list_next = first ? abandoned_first : 0;
    if (abandoned_first == 0) {
        abandoned_first = abandoned_last = heap->id;
    } else if (first) {
        abandoned_first = heap->id;
    } else {
        heap_at(abandoned_last)->list_next = heap->id;
        abandoned_last = heap->id;
    }
    atomic_fetch_add_explicit(&abandoned_count, 1, memory_order_relaxed);
}

void abandoned_forget(void)
{
    abandoned_first = abandoned_last = 0;
    atomic_store_explicit(&abandoned_count, 0, memory_order_relaxed);
}

struct thread_heap *abandoned_pop(void)
{
    if (abandoned_first == 0)
        return NULL;
    struct thread_heap *heap = heap_at(abandoned_first);
    abandoned_first = heap->list_next;
    atomic_fetch_sub_explicit(&abandoned_count, 1, memory_order_relaxed);
    return heap;
}

void mail_push(struct thread_heap *heap, struct pool *pool)
{
    uint32_t head = atomic_load_explicit(&heap->mail, memory_order_relaxed);
    do
        pool->mail_next = head;
    /* Release pairs with mail_drain(): it sees mail_next and the block. */
    while (!atomic_compare_exchange_weak_explicit(
        &heap->mail, &head, pool_slot(pool) + 1, memory_order_release,
        memory_order_relaxed));
}

static bool is_abandoned(const struct thread_heap *heap)
{
    return atomic_load_explicit(&heap->state, memory_order_relaxed) ==
           HEAP_ABANDONED;
}

/* The pool's mail went to a heap without a thread: become the owner of what is in
   it, so that the next block freed there is a local one. */
static void adopt_mail(struct thread_heap *heap)
{
    struct thread_heap *mine = heap_of_thread();
    if (!lock_try(&heaps_lock))
        return; /* who holds it may see the mail; the next free will try again */
    if (is_abandoned(heap))
        mail_drain(heap, mine != NULL ? mine : heap);
    lock_release(&heaps_lock);
    if (mine == NULL)
        slow_end();
    else if (mine->stirred)
        thread_slow_end(mine);
}

/* `remote` was empty: the owner is told. */
static HG_NOINLINE void send(struct pool *pool)
{
    uint32_t id = pool_owner(pool);
    struct thread_heap *owner = heap_at(id);
    mail_push(owner, pool);
    if (HG_UNLIKELY(is_abandoned(owner)))
        adopt_mail(owner);
}

void remote_free(struct pool *pool, void *block)
{
    void *head = atomic_load_explicit(&pool->remote, memory_order_relaxed);
    do {
        HG_VERIFY(head != block, "block freed twice", block);
        link_write(block, head);
        /* Release pairs with pool_collect(): it sees the links.  Acquire pairs with
           it too: it has read mail_next, which we may be about to write. */
    } while (!atomic_compare_exchange_weak_explicit(
        &pool->remote, &head, block, memory_order_acq_rel, memory_order_relaxed));
    if (head == NULL) /* else the pool may be gone by now */
        send(pool);
}

/* The caller owns both heaps and has just taken the pool from the mail of `from`.
 */
static void pool_collect(struct thread_heap *from, struct thread_heap *to,
                         struct pool *pool)
{
    /* Acquire and release pair with the pushes in remote_free(). */
    void *first =
        atomic_exchange_explicit(&pool->remote, NULL, memory_order_acq_rel);
    void *last = NULL;
    uint32_t n = chain_length(pool, first, &last);
    HG_VERIFY(n != 0 && n <= pool->used, "block freed twice", first);
    if (HG_UNLIKELY(is_guarded(pool))) {
        if (from != to)
            pool_move(from, to, pool);
        hard_collect(to, pool, first);
        return;
    }
    link_write(last, pool->free);
    pool->free = first;
    pool->used = (uint16_t)(pool->used - n);
    if (pool_state(pool) == POOL_FULL)
        pool_set_used(from, pool);
    if (from != to)
        pool_move(from, to, pool);
    if (pool->used == 0)
        pool_emptied(to, pool);
}

void mail_drain(struct thread_heap *from, struct thread_heap *to)
{
    /* Acquire pairs with mail_push(). */
    uint32_t link = atomic_exchange_explicit(&from->mail, 0, memory_order_acquire);
    while (link != 0) {
        struct pool *pool = pool_at_slot(link - 1);
        /* Before `remote` is taken: after that it is the next pusher's. */
        link = pool->mail_next;
        /* Only the owner changes heap_id.  If it is ours, it stays so; if not, it
           was not when we took the mail, and will not become ours. */
        uint32_t id = pool_owner(pool);
        if (id == from->id)
            pool_collect(from, to, pool);
        else
            mail_push(heap_at(id), pool);
    }
}

bool heaps_adopt_pools(struct thread_heap *heap, unsigned class)
{
    /* The system heap is nobody's to fill: its lock has a higher rank. */
    if (heap->id == SYSTEM_HEAP || heap_is_object(heap) ||
        atomic_load_explicit(&abandoned_count, memory_order_relaxed) == 0)
        return false;
    if (!lock_try(&heaps_lock))
        return false; /* a new pool will do */
    unsigned moved = 0;
    uint32_t left = atomic_load_explicit(&abandoned_count, memory_order_relaxed);
    for (unsigned i = 0; i < HEAPS_TRIED && left != 0 && moved == 0; i++, left--) {
        struct thread_heap *other = abandoned_pop();
        mail_drain(other, other);
        while (moved < POOLS_MOVED && other->ring[class] != &pool_exhausted) {
            pool_move(other, heap, other->ring[class]);
            moved++;
        }
        abandoned_push(other, false);
    }
    lock_release(&heaps_lock);
    return moved != 0;
}

size_t heaps_trim_abandoned(void)
{
    size_t bytes = 0;
    lock_take(&heaps_lock);
    uint32_t left = atomic_load_explicit(&abandoned_count, memory_order_relaxed);
    for (; left != 0; left--) {
        struct thread_heap *heap = abandoned_pop();
        heap->trims = atomic_load_explicit(&heap_trims, memory_order_relaxed);
        /* Nothing without a block is kept in such a heap. */
        mail_drain(heap, heap);
        bytes += pools_cool_all(heap);
        abandoned_push(heap, false);
    }
    lock_release(&heaps_lock);
    return bytes;
}
