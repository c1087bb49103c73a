/* SPDX-License-Identifier: MIT */
/*
 * heap_stress.c - many threads at once, their blocks checked, and heap_check() when
 * all are quiet.  Each phase does it with new threads, so heaps change hands.
 *
 *     test-heap-stress [PHASES [STEPS [SEED]]]
 */
#include "heap/heap.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 5, HELD = 300, SHELF = 64 };

struct held {
    unsigned char *block;
    size_t bytes;
    unsigned char fill;
};

/* Blocks that are passed from thread to thread: the first 8 bytes tell how many. */
static _Atomic(void *) shelf[SHELF];
static unsigned steps = 20000;

static void fail(const char *what)
{
    fprintf(stderr, "heap_stress: %s\n", what);
    abort();
}

static void *take(size_t bytes, struct place *place)
{
    struct pool *pool;
    void *block = NULL;
    if (bytes - 1 < SMALL_MAX)
        block = heap_alloc_fast(heap_mine, heap_small_class(bytes), &pool);
    if (block == NULL)
        block = heap_alloc_slow(bytes, place);
    if (block == NULL || !heap_find(block, place))
        fail("no block");
    if (place->usable < bytes)
        fail("block is too short");
    return block;
}

static void give(void *block)
{
    size_t offset;
    struct pool *pool = heap_fast_pool(heap_mine, block, &offset);
    if (pool != NULL)
        heap_free_fast(pool, block);
    else
        heap_free_slow(block);
}

static size_t some_bytes(unsigned *seed)
{
    unsigned kind = (unsigned)rand_r(seed) % 1000;
    size_t r = (size_t)rand_r(seed);
    if (kind < 800)
        return r % (SMALL_MAX + 1);
    if (kind < 980)
        return r % (MEDIUM_MAX + 1);
    if (kind < 998)
        return r % (LARGE_MAX + 1);
    return r % (4 * LARGE_MAX);
}

static void fill(struct held *h)
{
    memset(h->block, h->fill, h->bytes);
}

/* Of long blocks a few bytes of each page are enough. */
static void check(const struct held *h)
{
    for (size_t i = 0; i<h->bytes; i += h->bytes> 4096 ? 1021 : 1)
        if (h->block[i] != h->fill)
            fail("somebody wrote into a block");
    struct place place;
    if (heap_find(h->block, &place) && place.tag != NULL && *place.tag != h->fill)
        fail("somebody wrote a block's tag");
}

static void new_block(struct held *h, unsigned *seed)
{
    struct place place;
    h->bytes = some_bytes(seed);
    h->fill = (unsigned char)rand_r(seed);
    if (rand_r(seed) % 50 == 0) {
        size_t align = (size_t)1 << (rand_r(seed) % 18);
        h->block = heap_alloc_aligned(align, h->bytes, &place);
        if (h->block == NULL || (uintptr_t)h->block % align != 0)
            fail("block is not aligned");
    } else {
        h->block = take(h->bytes, &place);
    }
    if (place.tag != NULL)
        *place.tag = h->fill;
    fill(h);
}

static void resize(struct held *h, unsigned *seed)
{
    struct place place;
    struct held new = {NULL, some_bytes(seed), h->fill};
    if (heap_resize_in_place(h->block, new.bytes, &place)) {
        new.block = h->block;
    } else {
        new.block = heap_remap_huge(h->block, new.bytes, &place);
        if (new.block == NULL) {
            new.block = take(new.bytes, &place);
            size_t common = h->bytes < new.bytes ? h->bytes : new.bytes;
            memcpy(new.block, h->block, common);
            give(h->block);
        }
    }
    struct held common = {new.block, h->bytes < new.bytes ? h->bytes : new.bytes,
                          h->fill};
    if (place.tag != NULL)
        *place.tag = new.fill;
    check(&common);
    fill(&new);
    *h = new;
}

static void exchange(unsigned *seed)
{
    struct place place;
    size_t bytes = 8 + some_bytes(seed);
    size_t *block = take(bytes, &place);
    block[0] = bytes;
    size_t *other = atomic_exchange(&shelf[rand_r(seed) % SHELF], block);
    if (other == NULL)
        return;
    if (!heap_find(other, &place) || place.usable < other[0])
        fail("a block of another thread is not whole");
    give(other);
}

static void *work(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    struct held held[HELD] = {{NULL, 0, 0}};
    for (unsigned i = 0; i < steps; i++) {
        struct held *h = &held[rand_r(&seed) % HELD];
        unsigned what = (unsigned)rand_r(&seed) % 100;
        if (h->block == NULL) {
            new_block(h, &seed);
        } else if (what < 60) {
            check(h);
            give(h->block);
            h->block = NULL;
        } else if (what < 70) {
            resize(h, &seed);
        } else {
            exchange(&seed);
        }
        if (what == 99 && i % 50 == 0)
            heap_trim();
    }
    for (int i = 0; i < HELD; i++) {
        if (held[i].block == NULL)
            continue;
        check(&held[i]);
        /* Some outlive their thread. */
        void *old = held[i].block;
        if (i % 4 == 0 && held[i].bytes >= 8) {
            *(size_t *)old = held[i].bytes;
            old = atomic_exchange(&shelf[i % SHELF], old);
        }
        if (old != NULL)
            give(old);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned phases = argc > 1 ? (unsigned)atoi(argv[1]) : 6;
    if (argc > 2)
        steps = (unsigned)atoi(argv[2]);
    unsigned seed = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
    if (seed % 2 == 1)
        heap_keep_tags();

    for (unsigned phase = 0; phase < phases; phase++) {
        pthread_t thread[THREADS];
        for (unsigned i = 0; i < THREADS; i++) {
            uintptr_t s = seed * 1000 + phase * THREADS + i;
            if (pthread_create(&thread[i], NULL, work, (void *)s) != 0)
                fail("no thread");
        }
        if (phase % 2 == 1)
            work((void *)(uintptr_t)(phase + seed));
        for (unsigned i = 0; i < THREADS; i++)
            pthread_join(thread[i], NULL);
        heap_check();
    }

    for (int i = 0; i < SHELF; i++)
        if (shelf[i] != NULL)
            give(shelf[i]);
    heap_check();
    heap_trim();
    heap_check();
    struct heap_census c;
    heap_census(&c);
    if (c.live != 0)
        fail("blocks are left");
    if (c.mapped != c.headers)
        fail("memory was not given back");
    return 0;
}
