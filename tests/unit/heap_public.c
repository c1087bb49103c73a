/* SPDX-License-Identifier: MIT */
/* heap_public.c - include/heapglass/heap.h: heaps as objects, limits, tags, caches.
 */
#include "heap_test.h"

#include "heapglass/heap.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static hg_census public_census(void)
{
    hg_census c;
    hg_take_census(&c);
    ck_assert_uint_eq(c.mapped, c.live + c.parked + c.free_blocks + c.untouched +
                                    c.free_pools + c.tails + c.headers);
    return c;
}

static hg_heap_statistics statistics(hg_heap *heap)
{
    hg_heap_statistics s;
    hg_get_heap_statistics(heap, &s);
    return s;
}

/* A few of every kind: small, medium, large and huge. */
static const size_t kinds[] = {1, 16, 100, 512, 513, 5000, 16384, 40000, 600000};
enum { KINDS = sizeof kinds / sizeof *kinds };

START_TEST(closing_a_heap_frees_all_of_its_blocks_and_no_others)
{
    char *mine = hg_alloc(100);
    hg_heap *other = hg_heap_open(0);
    char *others = hg_heap_alloc(other, 100);
    memset(mine, 1, 100);
    memset(others, 2, 100);
    size_t before = public_census().live;
    for (int round = 0; round < 20; round++) {
        hg_heap *heap = hg_heap_open(round % 2 == 0 ? HG_TAGS : 0);
        for (int i = 0; i < 300; i++)
            for (int k = 0; k < KINDS; k++)
                if (i < 5 || kinds[k] < 40000)
                    memset(hg_heap_alloc(heap, kinds[k]), 0xAA, kinds[k]);
        heap_check();
        ck_assert_uint_eq(statistics(heap).blocks, 300 * 7 + 5 * 2);
        hg_heap_close(heap);
        heap_check();
        ck_assert_uint_eq(public_census().live, before);
    }
    ck_assert_int_eq(mine[99], 1);
    ck_assert_int_eq(others[99], 2);
    hg_heap_close(other);
    hg_free(mine);
}
END_TEST

START_TEST(blocks_of_a_heap_are_reused_within_it)
{
    hg_heap *heap = hg_heap_open(0);
    for (int k = 0; k < KINDS; k++) {
        for (int i = 0; i < 2000; i++)
            hg_heap_free(heap, hg_heap_alloc(heap, kinds[k]));
        heap_check();
    }
    ck_assert_uint_eq(statistics(heap).blocks, 0);
    /* One pool of a class at rest. */
    ck_assert_uint_le(statistics(heap).held, 32 * SLOT_BYTES);
    hg_heap_close(heap);
}
END_TEST

START_TEST(a_heap_never_holds_more_than_its_limit)
{
    hg_heap *heap = hg_heap_open(0);
    hg_heap_limit(heap, MIB);
    for (int k = 0; k < KINDS; k++) {
        static void *block[140000];
        int n = 0;
        while (n < 140000 && (block[n] = hg_heap_alloc(heap, kinds[k])) != NULL)
            n++;
        ck_assert_int_lt(n, 140000);
        ck_assert_uint_le(statistics(heap).held, MIB);
        ck_assert_uint_le(statistics(heap).held_peak, MIB);
        heap_check();
        /* What it has is whole, and what it gives back it may have again. */
        for (int i = 0; i < n; i++)
            hg_heap_free(heap, block[i]);
        void *again = hg_heap_alloc(heap, kinds[k]);
        ck_assert_ptr_nonnull(again);
        hg_heap_free(heap, again);
    }
    void *block = hg_heap_alloc(heap, 600000);
    ck_assert_ptr_null(hg_heap_realloc(heap, block, 2 * MIB));
    ck_assert_ptr_nonnull(hg_heap_realloc(heap, block, 700000));
    hg_heap_close(heap);
    ck_assert_ptr_nonnull(hg_alloc(4 * MIB));
}
END_TEST

START_TEST(the_limit_of_all_holds_for_all)
{
    hg_free(hg_alloc(10));
    hg_heap *heap = hg_heap_open(0);
    hg_heap_limit(NULL, 8 * MIB);
    while (hg_alloc(100) != NULL && hg_heap_alloc(heap, 3000) != NULL &&
           hg_alloc(40000) != NULL && hg_heap_alloc(heap, 600000) != NULL)
        ck_assert_uint_le(heap_held_bytes(), 8 * MIB);
    ck_assert_uint_gt(heap_held_bytes(), 6 * MIB);
    ck_assert_uint_le(heap_held_bytes(), 8 * MIB);
    heap_check();
    hg_heap_close(heap);
    ck_assert_ptr_nonnull(hg_alloc(600000));
    hg_heap_limit(NULL, SIZE_MAX);
    ck_assert_ptr_nonnull(hg_alloc(16 * MIB));
    heap_check();
}
END_TEST

struct reserve {
    hg_heap *heap;
    void *block;
    int calls;
};

static int free_the_reserve(size_t bytes, void *arg)
{
    struct reserve *reserve = arg;
    ck_assert_uint_eq(bytes, 100000);
    reserve->calls++;
    if (reserve->block == NULL)
        return 0;
    hg_heap_free(reserve->heap, reserve->block);
    reserve->block = NULL;
    return 1;
}

START_TEST(a_failure_hook_may_make_room)
{
    struct reserve reserve = {.heap = hg_heap_open(0)};
    reserve.block = hg_heap_alloc(reserve.heap, 120000);
    hg_heap_limit(reserve.heap, 150000);
    hg_heap_on_failure(reserve.heap, free_the_reserve, &reserve);
    ck_assert_ptr_nonnull(hg_heap_alloc(reserve.heap, 100000));
    ck_assert_int_eq(reserve.calls, 1);
    ck_assert_ptr_null(hg_heap_alloc(reserve.heap, 100000));
    ck_assert_int_eq(reserve.calls, 2);
    hg_heap_close(reserve.heap);
}
END_TEST

START_TEST(no_heap_has_flags_that_there_are_not)
{
    ck_assert_ptr_null(hg_heap_open(2));
    ck_assert_ptr_null(hg_heap_open(~0u));
}
END_TEST

#ifndef HG_STRESS /* where next to nothing is kept */
/* What is free is kept for the next, unless somebody asks for it again. */
START_TEST(a_heap_that_is_opened_after_a_trim_gives_nothing_back)
{
    enum { BLOCKS = 512 };
    static void *blocks[BLOCKS];
    hg_trim();
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = memset(hg_alloc(1000), 1, 1000);
    for (int i = 0; i < BLOCKS; i++)
        hg_free(blocks[i]);
    size_t kept = public_census().free_pools;
    ck_assert_uint_gt(kept, 100000);
    hg_heap *heap = hg_heap_open(0);
    ck_assert_ptr_nonnull(hg_heap_alloc(heap, 1000));
    ck_assert_uint_ge(public_census().free_pools + (128 << 10), kept);
    hg_heap_close(heap);
}
END_TEST
#endif

START_TEST(every_refused_mapping_is_survived)
{
    unsigned failed = 0;
    for (unsigned after = 0; after < 60; after++) {
        hg_heap *heap = hg_heap_open(HG_TAGS);
        pages_fail(after, 1);
        for (int i = 0; heap != NULL && i < 40; i++)
            for (int k = 0; k < KINDS; k++) {
                char *block = hg_heap_calloc(heap, 1, kinds[k]);
                if (block == NULL)
                    continue;
                ck_assert_int_eq(block[kinds[k] - 1], 0);
                ck_assert_uint_eq(hg_requested_size(block), kinds[k]);
            }
        failed += pages_fail_never() != 0;
        heap_check();
        hg_heap_close(heap);
        hg_trim();
        heap_check();
        ck_assert_uint_eq(public_census().live, 0);
    }
    ck_assert_uint_gt(failed, 30);
}
END_TEST

START_TEST(sizes_are_exact_and_tags_stay_with_their_blocks)
{
    hg_heap *heap = hg_heap_open(HG_TAGS);
    for (size_t bytes = 0; bytes < 70000; bytes += bytes < 2000 ? 1 : 997) {
        void *block = hg_heap_alloc(heap, bytes);
        uint32_t tag = 7;
        ck_assert_uint_eq(hg_requested_size(block), bytes == 0 ? 1 : bytes);
        ck_assert_uint_ge(hg_usable_size(block), bytes);
        ck_assert_int_eq(hg_get_tag(block, &tag), HG_OK);
        ck_assert_uint_eq(tag, 0);
        ck_assert_int_eq(hg_set_tag(block, HG_TAG_MAX - (uint32_t)bytes), HG_OK);
        ck_assert_uint_eq(hg_requested_size(block), bytes == 0 ? 1 : bytes);
        size_t usable = hg_usable_size(block);
        memset(block, 0x5A, usable);
        block = hg_heap_realloc(heap, block, bytes * 2 + 1);
        ck_assert(bytes * 2 < usable || ((char *)block)[usable - 1] == 0x5A);
        ck_assert_int_eq(hg_get_tag(block, &tag), HG_OK);
        ck_assert_uint_eq(tag, HG_TAG_MAX - bytes);
        ck_assert_uint_eq(hg_requested_size(block), bytes * 2 + 1);
        hg_heap_free(heap, block);
    }
    void *aligned = hg_heap_aligned(heap, 256, 200);
    ck_assert_uint_eq((uintptr_t)aligned % 256, 0);
    ck_assert_uint_eq(hg_requested_size(aligned), 200);
    ck_assert_int_eq(hg_set_tag(aligned, HG_TAG_MAX + 1), HG_EINVAL);
    void *plain = hg_alloc(100);
    ck_assert_int_eq(hg_set_tag(plain, 1), HG_ENOTSUP);
    ck_assert_int_eq(hg_set_tag(&plain, 1), HG_EINVAL);
    ck_assert_int_eq(hg_keep_tags(), HG_EBUSY);
    hg_heap_close(heap);
}
END_TEST

static void add_tag(void *block, size_t usable, size_t requested, uint32_t tag,
                    void *arg)
{
    size_t *sums = arg;
    (void)block;
    ck_assert_uint_ge(usable, requested);
    sums[0]++;
    sums[1] += requested;
    sums[2] += tag;
}

START_TEST(a_walk_finds_the_blocks_of_its_heap_and_no_others)
{
    hg_heap *heap = hg_heap_open(HG_TAGS);
    size_t expected[3] = {0};
    hg_alloc(50);
    hg_alloc(50000);
    for (int i = 0; i < 500; i++) {
        size_t bytes = kinds[i % (KINDS - 1)] + (size_t)i % 13;
        void *block = hg_heap_alloc(heap, bytes);
        hg_set_tag(block, (uint32_t)i);
        if (i % 3 == 0) {
            hg_heap_free(heap, block);
            continue;
        }
        expected[0]++;
        expected[1] += bytes;
        expected[2] += (size_t)i;
    }
    size_t sums[3] = {0};
    hg_heap_walk(heap, add_tag, sums);
    ck_assert_uint_eq(sums[0], expected[0]);
    ck_assert_uint_eq(sums[1], expected[1]);
    ck_assert_uint_eq(sums[2], expected[2]);
    memset(sums, 0, sizeof sums);
    hg_heap_walk(NULL, add_tag, sums);
    ck_assert_uint_eq(sums[0], 2);
    hg_heap_close(heap);
}
END_TEST

enum { SHARED = 3000 };

static void *free_them(void *arg)
{
    void **block = arg;
    for (int i = 0; i < SHARED; i++)
        hg_free(block[i]);
    return NULL;
}

START_TEST(any_thread_frees_blocks_of_a_heap)
{
    static void *block[SHARED];
    hg_heap *heap = hg_heap_open(0);
    size_t held = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < SHARED; i++)
            block[i] = hg_heap_alloc(heap, kinds[i % (i % 100 == 0 ? KINDS : 7)]);
        if (round == 1)
            held = statistics(heap).held;
        pthread_t thread;
        pthread_create(&thread, NULL, free_them, block);
        pthread_join(thread, NULL);
    }
    heap_check();
    ck_assert_uint_eq(statistics(heap).blocks, 0);
    ck_assert_uint_le(statistics(heap).held, held);
    hg_heap_close(heap);
    heap_check();
}
END_TEST

START_TEST(a_child_of_fork_has_all_heaps)
{
    hg_heap *heap = hg_heap_open(HG_TAGS);
    hg_heap_limit(heap, 64 * MIB);
    static void *block[SHARED];
    for (int i = 0; i < SHARED; i++)
        block[i] = hg_heap_alloc(heap, kinds[i % (i % 100 == 0 ? KINDS : 7)]);
    size_t held = statistics(heap).held;
    pid_t child = fork();
    if (child == 0) {
        heap_check();
        if (statistics(heap).held != held || statistics(heap).blocks != SHARED)
            _exit(1);
        for (int i = 0; i < SHARED; i += 2)
            hg_heap_free(heap, block[i]);
        heap_check();
        hg_heap_close(heap);
        heap_check();
        _exit(public_census().live == 0 ? 0 : 2);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    hg_heap_close(heap);
}
END_TEST

START_TEST(what_a_cache_keeps_is_parked)
{
    hg_heap *heap = hg_heap_open(0);
    hg_cache *cache = hg_cache_new(heap, 48, 10);
    void *object[20];
    for (int i = 0; i < 20; i++)
        object[i] = hg_cache_take(cache);
    size_t live = public_census().live;
    ck_assert_uint_eq(public_census().parked, 0);
    for (int i = 0; i < 20; i++)
        hg_cache_give(cache, object[i]);
    ck_assert_uint_eq(public_census().parked, (size_t)10 * 48);
    ck_assert_uint_eq(public_census().live, live - (size_t)20 * 48);
    ck_assert_ptr_eq(hg_cache_take(cache), object[9]);
    ck_assert_uint_eq(public_census().parked, (size_t)9 * 48);
    hg_cache_drop(cache);
    ck_assert_uint_eq(public_census().parked, 0);
    hg_cache_give(cache, object[9]);
    hg_cache *other = hg_cache_new(NULL, 1, 10);
    hg_cache_give(other, hg_cache_take(other));
    ck_assert_uint_gt(public_census().parked, (size_t)48);
    hg_heap_close(heap);
    hg_cache_free(other);
    ck_assert_uint_eq(public_census().parked, 0);
    ck_assert_uint_eq(public_census().live, 0);
}
END_TEST

START_TEST(a_block_of_another_heap_is_not_taken_for_its_own)
{
    hg_heap *heap = hg_heap_open(0);
    void *block = hg_alloc(100);
    hg_heap_free(heap, block); /* goes by mail, as from another thread */
    heap_check();
    ck_assert_ptr_nonnull(hg_heap_alloc(heap, 100));
    hg_heap_close(heap);
    heap_check();
}
END_TEST

START_TEST(closing_twice_is_stopped)
{
    hg_heap *heap = hg_heap_open(0);
    hg_heap_close(heap);
    hg_heap_close(heap);
}
END_TEST

START_TEST(freeing_twice_is_stopped)
{
    void *block = hg_alloc(100);
    hg_free(block);
    hg_free(block);
}
END_TEST

START_TEST(giving_a_cache_nothing_is_stopped)
{
    hg_cache_give(hg_cache_new(NULL, 40, 8), NULL);
}
END_TEST

START_TEST(nothing_has_no_size)
{
    ck_assert_uint_eq(hg_usable_size(NULL), 0);
    ck_assert_uint_eq(hg_requested_size(NULL), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap_public");
    TCase *t = add_case(suite, "public");
    tcase_add_test(t, closing_a_heap_frees_all_of_its_blocks_and_no_others);
    tcase_add_test(t, blocks_of_a_heap_are_reused_within_it);
    tcase_add_test(t, a_heap_never_holds_more_than_its_limit);
    tcase_add_test(t, the_limit_of_all_holds_for_all);
    tcase_add_test(t, a_failure_hook_may_make_room);
    tcase_add_test(t, no_heap_has_flags_that_there_are_not);
#ifndef HG_STRESS
    tcase_add_test(t, a_heap_that_is_opened_after_a_trim_gives_nothing_back);
#endif
    tcase_add_test(t, every_refused_mapping_is_survived);
    tcase_add_test(t, sizes_are_exact_and_tags_stay_with_their_blocks);
    tcase_add_test(t, a_walk_finds_the_blocks_of_its_heap_and_no_others);
    tcase_add_test(t, any_thread_frees_blocks_of_a_heap);
    tcase_add_test(t, a_child_of_fork_has_all_heaps);
    tcase_add_test(t, what_a_cache_keeps_is_parked);
    tcase_add_test(t, a_block_of_another_heap_is_not_taken_for_its_own);
    tcase_add_test(t, nothing_has_no_size);
    tcase_add_test_raise_signal(t, closing_twice_is_stopped, 6);
    tcase_add_test_raise_signal(t, freeing_twice_is_stopped, 6);
    tcase_add_test_raise_signal(t, giving_a_cache_nothing_is_stopped, 6);
    return run_suite(suite);
}
