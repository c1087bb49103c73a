/* SPDX-License-Identifier: MIT */
/* heap_test.h - what the tests of the heap have in common. */
#ifndef HG_TESTS_HEAP_TEST_H
#define HG_TESTS_HEAP_TEST_H

#include "base/base.h"
#include "base/pages.h"
#include "heap/heap.h"
#include "sanitized.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)

/* As an adapter does it: the fast path, and the slow one when that has nothing. */
static inline void *take(size_t bytes)
{
    struct pool *pool;
    void *block = NULL;
    if (bytes - 1 < SMALL_MAX)
        block = heap_alloc_fast(heap_mine, heap_small_class(bytes), &pool);
    struct place place;
    return block != NULL ? block : heap_alloc_slow(bytes, &place);
}

static inline void give(void *block)
{
    size_t offset;
    struct pool *pool = heap_fast_pool(heap_mine, block, &offset);
    if (pool != NULL)
        heap_free_fast(pool, block);
    else
        heap_free_slow(block);
}

static inline struct place place_of(const void *block)
{
    struct place place;
    ck_assert(heap_find(block, &place));
    return place;
}

static inline struct pool *pool_of_block(const void *block)
{
    size_t offset;
    ck_assert(heap_in_window(block, &offset));
    struct pool *pool = heap_pool_at(offset);
    return pool - pool->slot_of_run;
}

static inline struct heap_census census(void)
{
    struct heap_census c;
    heap_census(&c);
    return c;
}

static inline void add_to_count(void *arg, void *block, size_t usable,
                                uint32_t *tag, size_t requested)
{
    (void)block, (void)usable, (void)tag, (void)requested;
    ++*(size_t *)arg;
}

static inline size_t live_blocks(void)
{
    size_t n = 0;
    heap_walk(add_to_count, &n);
    return n;
}

/* The same on every machine. */
static inline uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* A size of any kind of block, small ones most of all. */
static inline size_t random_bytes(uint32_t *state)
{
    uint32_t kind = random_next(state) % 100;
    if (kind == 0)
        return 1 + random_next(state) % (2 * MIB);
    if (kind < 20)
        return 1 + random_next(state) % 100000;
    return 1 + random_next(state) % 600;
}

/* Runs the suite that make_suite() returns; to be called by main(). */
static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

static inline TCase *add_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return tcase;
}

#endif
