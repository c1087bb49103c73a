/* SPDX-License-Identifier: MIT */
/*
 * thread.c - which heap a thread has.
 *
 * A thread begins with heap_exhausted, in which nothing is ever free, and so
 * arrives at its first slow path, where it gets a heap: one that a thread has left
 * behind, or a new one.  When the thread ends, the destructor of a pthread key
 * abandons it.
 *
 * Destructors of other keys may allocate after ours.  There is no way to learn
 * which is the last, so from then on the thread only borrows: each block that it
 * takes comes from a heap taken over for this one block and abandoned again.  The
 * same goes for a thread for which no destructor can be set.
 */
#include "heap/own.h"

#include <pthread.h>

#define HEAPS_MAX ((uint32_t)(((size_t)1 << 30) / sizeof(struct thread_heap)))

#define FOUR(x) x, x, x, x
#define SIXTEEN(x) FOUR(x), FOUR(x), FOUR(x), FOUR(x)
#if BLOCK_ALIGN == 8
#define EACH_CLASS(x) FOUR(SIXTEEN(x)), SIXTEEN(x), FOUR(x), FOUR(x), FOUR(x)
#else
#define EACH_CLASS(x) FOUR(SIXTEEN(x)), FOUR(x), FOUR(x), FOUR(x)
#endif

/* The compiler warns of more initialisers than classes, this of fewer. */
struct thread_heap heap_exhausted = {.pool = {EACH_CLASS(&pool_exhausted)},
                                     .ring = heap_exhausted.pool,
                                     .id = NO_INDEX};
_Static_assert(CLASSES == (BLOCK_ALIGN == 8 ? 92 : 76), "EACH_CLASS");

__thread struct heap *heap_mine __attribute__((tls_model("initial-exec"))) =
    &heap_exhausted.fast;
struct heap *heap_ours = &heap_exhausted.fast;
static __thread bool borrows __attribute__((tls_model("initial-exec")));

uint32_t heaps_count; /* guarded by heaps_lock */
void (*heap_on_slow_path)(void);

static pthread_key_t key; /* guarded by heaps_lock until key_made, then constant */
static bool key_made;     /* guarded by heaps_lock */

/* With heaps_lock. */
static void abandon(struct thread_heap *heap)
{
    /* Once the state says so, nothing is kept. */
    atomic_store_explicit(&heap->state, HEAP_ABANDONED, memory_order_relaxed);
    hard_flush(heap);
    mail_drain(heap, heap);
    heap_retire_empty(heap);
    heap->stirred = false;
    abandoned_push(heap, heap->pools != 0);
}

static void heap_abandon(struct thread_heap *heap)
{
    heap_mine = &heap_exhausted.fast;
    lock_take(&heaps_lock);
    abandon(heap);
    lock_release(&heaps_lock);
}

static void thread_ends(void *heap)
{
    borrows = true;
    /* Not so if the thread went through fork() and the like; then it has none. */
    if (heap_mine == heap) {
        heap_abandon(heap);
        slow_end();
    }
}

struct thread_heap *heap_new(void)
{
    if (heaps_count >= HEAPS_MAX)
        return NULL;
    uint32_t id = heaps_count == 0 ? SYSTEM_HEAP + 1 : heaps_count;
    if (!table_reach(&table_heaps, (id + 1) * sizeof(struct thread_heap)))
        return NULL;
    if (heaps_count == 0) {
        heap_at(SYSTEM_HEAP)->ring = heap_at(SYSTEM_HEAP)->pool;
        heap_init_empty(heap_at(SYSTEM_HEAP), SYSTEM_HEAP, HEAP_SYSTEM);
        heaps_count = 1;
    }
    struct thread_heap *heap = heap_at(id);
    heap->ring = heap->pool;
    if (heap_hardened) {
        heap->hard = hard_new();
        if (heap->hard == NULL)
            return NULL;
        heap->ring = heap->hard->ring;
    } else if (heap_frees_checked) {
        heap->ring = tags_new(CLASSES * sizeof *heap->ring);
        if (heap->ring == NULL)
            return NULL;
    }
    heap_init_empty(heap, id, HEAP_ABANDONED);
    heap->keeps_tags = heap_tags_kept;
    heaps_count = id + 1;
    return heap;
}

struct thread_heap *thread_enter(void)
{
    if (!heap_start())
        return NULL;
    lock_take(&heaps_lock);
    struct thread_heap *heap = abandoned_pop();
    if (heap == NULL)
        heap = heap_new();
    if (heap != NULL)
        atomic_store_explicit(&heap->state, HEAP_OWNED, memory_order_relaxed);
    if (!key_made)
        key_made = pthread_key_create(&key, thread_ends) == 0;
    bool can_end = key_made;
    lock_release(&heaps_lock);
    if (heap == NULL)
        return NULL;
    heap_mine = &heap->fast;
    /* May allocate, and then finds the heap in place. */
    if (!borrows && !(can_end && pthread_setspecific(key, heap) == 0))
        borrows = true;
    return heap;
}

void slow_end(void)
{
    arenas_tidy();
    huge_drop_old();
    if (heap_on_slow_path != NULL)
        heap_on_slow_path();
}

void thread_slow_end(struct thread_heap *heap)
{
    bool stirred = heap->stirred;
    heap->stirred = false;
    if (HG_UNLIKELY(heap->hard != NULL))
        hard_slow_end(heap);
    if (HG_UNLIKELY(heap->trims !=
                    atomic_load_explicit(&heap_trims, memory_order_relaxed)) &&
        heap->hard == NULL)
        heap_trim_late(heap);
    else if (stirred)
        pools_cool(heap);
    if (HG_UNLIKELY(borrows) && heap_mine == &heap->fast)
        heap_abandon(heap);
    if (stirred)
        slow_end();
}

/* --- the heap that threads take turns in ---------------------------------------
 */

static _Atomic bool divided;      /* set for good, by who holds heaps_lock */
static struct heap *divided_from; /* guarded by heaps_lock; not yet abandoned */

static HG_NOINLINE struct heap *make_ours(void)
{
    if (atomic_load_explicit(&divided, memory_order_relaxed) || !heap_start())
        return heap_mine;
    lock_take(&heaps_lock);
    struct thread_heap *heap =
        atomic_load_explicit(&divided, memory_order_relaxed) ? NULL : heap_new();
    if (heap != NULL) {
        atomic_store_explicit(&heap->state, HEAP_OURS, memory_order_relaxed);
        __atomic_store_n(&heap_ours, &heap->fast, __ATOMIC_RELAXED);
    }
    lock_release(&heaps_lock);
    return heap != NULL ? &heap->fast : heap_mine;
}

struct heap *heap_ours_joined(void)
{
    struct heap *ours = __atomic_load_n(&heap_ours, __ATOMIC_RELAXED);
    return HG_LIKELY(ours != &heap_exhausted.fast) ? ours : make_ours();
}

void heap_ours_divide(void)
{
    lock_take(&heaps_lock);
    if (heap_ours != &heap_exhausted.fast)
        divided_from = heap_ours;
    atomic_store_explicit(&divided, true, memory_order_relaxed);
    /* Relaxed: who does not see it yet still has the old heap to himself. */
    __atomic_store_n(&heap_ours, &heap_exhausted.fast, __ATOMIC_RELAXED);
    lock_release(&heaps_lock);
}

void heap_ours_leave(void)
{
    lock_take(&heaps_lock);
    if (divided_from != NULL)
        abandon((struct thread_heap *)divided_from);
    divided_from = NULL;
    lock_release(&heaps_lock);
}
