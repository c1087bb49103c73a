/* SPDX-License-Identifier: MIT */
/*
 * cache.c - dead objects of one kind, kept for the next: the layer above the heap.
 *
 * To the heap they are live blocks; a census looks here to tell them apart.  The
 * list goes through the first word of each.
 */
#include "heap/own.h"
#include "heap/public.h"

struct hg_cache {
    void *first;            /* its user's thread only, as is what follows */
    _Atomic uint32_t count; /* relaxed: read by a census */
    uint32_t keep;
    size_t bytes;  /* of an object, as asked for */
    size_t usable; /* of its block; constant */
    hg_heap *heap;
    hg_cache *next, *prev; /* guarded by caches_lock */
};

static struct lock caches_lock = {.rank = LOCK_CACHES};
static hg_cache *caches; /* guarded by caches_lock */

hg_cache *hg_cache_new(hg_heap *heap, size_t bytes, uint32_t keep)
{
    hg_cache *cache = hg_heap_calloc(heap, 1, sizeof *cache);
    if (cache == NULL)
        return NULL;
    cache->keep = heap_hardened || heap_frees_checked
                      ? 0
                      : keep; /* the heap shall see every death */
    cache->bytes = bytes < sizeof(void *) ? sizeof(void *) : bytes;
    cache->heap = heap;
    lock_take(&caches_lock);
    cache->next = caches;
    if (caches != NULL)
        caches->prev = cache;
    caches = cache;
    lock_release(&caches_lock);
    return cache;
}

static void set_count(hg_cache *cache, uint32_t count)
{
    atomic_store_explicit(&cache->count, count, memory_order_relaxed);
}

static uint32_t count_of(const hg_cache *cache)
{
    return atomic_load_explicit(&cache->count, memory_order_relaxed);
}

void *hg_cache_take(hg_cache *cache)
{
    void *object = cache->first;
    if (object == NULL)
        return hg_heap_alloc(cache->heap, cache->bytes);
    cache->first = *(void **)object;
    set_count(cache, count_of(cache) - 1);
    return object;
}

void hg_cache_give(hg_cache *cache, void *object)
{
    HG_VERIFY(object != cache->first,
              object == NULL ? "no object was given back to a cache, but NULL"
                             : "object given back twice",
              object);
    if (count_of(cache) >= cache->keep) {
        hg_heap_free(cache->heap, object);
        return;
    }
    if (HG_UNLIKELY(cache->usable == 0))
        cache->usable = hg_usable_size(object);
    *(void **)object = cache->first;
    cache->first = object;
    set_count(cache, count_of(cache) + 1);
}

void hg_cache_drop(hg_cache *cache)
{
    while (cache->first != NULL) {
        void *object = cache->first;
        cache->first = *(void **)object;
        set_count(cache, count_of(cache) - 1);
        hg_heap_free(cache->heap, object);
    }
}

/* With the lock. */
static void forget(hg_cache *cache)
{
    if (cache->next != NULL)
        cache->next->prev = cache->prev;
    if (cache->prev != NULL)
        cache->prev->next = cache->next;
    else
        caches = cache->next;
}

void hg_cache_free(hg_cache *cache)
{
    if (cache == NULL)
        return;
    hg_cache_drop(cache);
    lock_take(&caches_lock);
    forget(cache);
    lock_release(&caches_lock);
    hg_heap_free(cache->heap, cache);
}

void caches_forget(const hg_heap *heap)
{
    lock_take(&caches_lock);
    hg_cache *next;
    for (hg_cache *cache = caches; cache != NULL; cache = next) {
        next = cache->next;
        if (cache->heap == heap)
            forget(cache);
    }
    lock_release(&caches_lock);
}

void caches_lock_take(void)
{
    lock_take(&caches_lock);
}

void caches_lock_release(void)
{
    lock_release(&caches_lock);
}

size_t caches_parked_bytes(void)
{
    size_t bytes = 0;
    for (const hg_cache *cache = caches; cache != NULL; cache = cache->next)
        bytes += count_of(cache) * cache->usable;
    return bytes;
}
