/* SPDX-License-Identifier: MIT */
/* heap_threads.c - heaps per thread: remote frees, threads that end. */
#include "heap_test.h"

#include <pthread.h>

#define SMALL 64
enum { POOL_BLOCKS = SLOT_BYTES / SMALL - 1 }; /* its lead costs a pool one */

static void run(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, body, arg), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

struct blocks {
    size_t bytes, count;
    void **block;
};

static void *take_all(void *arg)
{
    struct blocks *b = arg;
    for (size_t i = 0; i < b->count; i++)
        b->block[i] = memset(take(b->bytes), 1, b->bytes);
    return NULL;
}

static void *give_all(void *arg)
{
    struct blocks *b = arg;
    for (size_t i = 0; i < b->count; i++)
        give(b->block[i]);
    return NULL;
}

START_TEST(block_freed_elsewhere_comes_back_to_its_owner)
{
    void *block[POOL_BLOCKS];
    struct blocks blocks = {SMALL, POOL_BLOCKS, block};
    take_all(&blocks);
    struct pool *pool = pool_of_block(block[0]);
    blocks.count = 1;
    run(give_all, &blocks);
    /* Not yet: the owner has not looked. */
    ck_assert_uint_eq(pool->used, POOL_BLOCKS);
    ck_assert_uint_eq(live_blocks(), POOL_BLOCKS - 1);
    ck_assert_ptr_eq(take(SMALL), block[0]);
    heap_check();
}
END_TEST

START_TEST(pool_emptied_elsewhere_is_given_back)
{
    enum { COUNT = 20 * POOL_BLOCKS };
    static void *block[COUNT];
    struct blocks blocks = {SMALL, COUNT, block};
    take_all(&blocks);
    run(give_all, &blocks);
    take(SMALL);
    take(SMALL * 2);
    heap_trim();
    ck_assert_uint_le(census().free_blocks, 3 * SLOT_BYTES);
    ck_assert_uint_eq(live_blocks(), 2);
    heap_check();
}
END_TEST

START_TEST(all_kinds_are_freed_elsewhere)
{
    static const size_t sizes[] = {1, 512, 600, 16 * KIB, 100 * KIB, 2 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *block[50];
        struct blocks blocks = {sizes[i], 50, block};
        take_all(&blocks);
        run(give_all, &blocks);
        ck_assert_uint_eq(live_blocks(), 0);
        heap_check();
    }
}
END_TEST

static void *heap_address(void *arg)
{
    take(SMALL);
    *(struct heap **)arg = heap_mine;
    return NULL;
}

START_TEST(a_new_thread_takes_over_the_heap_of_a_dead_one)
{
    struct heap *first = NULL;
    struct heap *second = NULL;
    run(heap_address, &first);
    run(heap_address, &second);
    ck_assert_ptr_eq(first, second);
    ck_assert_ptr_ne(first, heap_mine);
    heap_check();
}
END_TEST

START_TEST(freeing_a_dead_threads_blocks_makes_the_pool_ours)
{
    void *block[POOL_BLOCKS];
    struct blocks blocks = {SMALL, POOL_BLOCKS, block};
    take(SMALL * 2); /* so that this thread has a heap */
    run(take_all, &blocks);
    give(block[0]);
    size_t offset;
    ck_assert_ptr_nonnull(heap_fast_pool(heap_mine, block[1], &offset));
    ck_assert_ptr_eq(take(SMALL), block[0]);
    heap_check();
}
END_TEST

START_TEST(memory_of_dead_threads_goes_back_when_it_is_freed)
{
    enum { COUNT = 400 * POOL_BLOCKS };
    static void *block[COUNT];
    struct blocks blocks = {SMALL, COUNT, block};
    run(take_all, &blocks);
    give_all(&blocks); /* by a thread that never allocated */
    heap_check();
    struct heap_census c = census();
    ck_assert_uint_eq(c.live, 0);
    ck_assert_uint_eq(c.free_blocks, 0);
    heap_trim();
    ck_assert_uint_eq(census().free_pools, 0);
}
END_TEST

START_TEST(pools_of_dead_threads_are_used_before_new_ones)
{
    void *block[4 * POOL_BLOCKS];
    struct blocks blocks = {SMALL, 4 * POOL_BLOCKS, block};
    take(SMALL * 2);
    run(take_all, &blocks);
    blocks.count = 2 * POOL_BLOCKS + 1;
    run(give_all, &blocks); /* by a thread that becomes the next owner, and dies */
    size_t held = heap_held_bytes();
    void *again = take(SMALL);
    ck_assert_uint_eq(heap_held_bytes(), held);
    ck_assert_ptr_nonnull(again);
    heap_check();
}
END_TEST

static pthread_key_t late_key;
static unsigned late_calls;

/* Comes after the heap's own destructor, and again each time it sets its key. */
static void late_destructor(void *old)
{
    give(old);
    void *block = memset(take(SMALL), 1, SMALL);
    void *big = take(5000);
    give(big);
    if (++late_calls < 3)
        pthread_setspecific(late_key, block);
    else
        give(block);
}

static void *set_late_key(void *arg)
{
    (void)arg;
    void *block = take(SMALL);
    pthread_setspecific(late_key, block);
    return NULL;
}

START_TEST(destructors_may_allocate_after_the_heap_was_abandoned)
{
    take(SMALL * 2); /* the heap's key comes first */
    pthread_key_create(&late_key, late_destructor);
    run(set_late_key, NULL);
    ck_assert_uint_eq(late_calls, 3);
    heap_check();
    ck_assert_uint_eq(live_blocks(), 1);
    struct heap *again = NULL;
    run(heap_address, &again);
    heap_check();
}
END_TEST

static void *nothing_but_free(void *block)
{
    give(block);
    return heap_mine;
}

START_TEST(a_thread_that_only_frees_gets_no_heap)
{
    take(SMALL);
    size_t held = heap_held_bytes();
    run(nothing_but_free, take(SMALL));
    run(nothing_but_free, take(5000));
    heap_trim();
    ck_assert_uint_le(heap_held_bytes(), held + 16 * SLOT_BYTES);
    heap_check();
}
END_TEST

/* One block of every 16 KiB stays, in a heap that sleeps while another asks. */
enum { PER_SLOT = 16 * KIB / SMALL, SPARSE = PER_SLOT * 40 };
static pthread_barrier_t meeting;

static void *sleep_on_free_pages(void *untouched)
{
    static void *blocks[SPARSE];
    for (int i = 0; i < SPARSE; i++)
        blocks[i] = take(SMALL);
    for (int i = 0; i < SPARSE; i++)
        if (i % PER_SLOT != 0)
            give(blocks[i]);
    pthread_barrier_wait(&meeting);
    pthread_barrier_wait(&meeting);
    size_t before = census().untouched;
    void *block = take(3 * KIB); /* of a class that has no pool yet */
    *(size_t *)untouched = census().untouched - before;
    give(block);
    for (int i = 0; i < SPARSE; i += PER_SLOT)
        give(blocks[i]);
    return NULL;
}

START_TEST(other_threads_give_back_on_their_next_slow_path)
{
    pthread_t thread;
    size_t given = 0;
    pthread_barrier_init(&meeting, NULL, 2);
    pthread_create(&thread, NULL, sleep_on_free_pages, &given);
    pthread_barrier_wait(&meeting);
    heap_trim();
    pthread_barrier_wait(&meeting);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&meeting);
    heap_check();
#if !defined HG_STRESS && !defined HG_CLASSIC_GEOMETRY /* whose pools are pages */
    ck_assert_uint_ge(given, (size_t)40 / 2 * 8 * KIB);
#endif
}
END_TEST

/* Hand over one block at a time: the producer's pools have to be reused. */
static _Atomic(void *) shelf;
static atomic_bool enough;

static void *consume(void *arg)
{
    (void)arg;
    while (!enough) {
        void *block = atomic_exchange(&shelf, NULL);
        if (block != NULL)
            give(block);
    }
    return NULL;
}

START_TEST(producer_and_consumer_need_no_more_and_more)
{
    pthread_t thread;
    pthread_create(&thread, NULL, consume, NULL);
    for (int i = 0; i < 200000; i++) {
        void *old = atomic_exchange(&shelf, take(SMALL));
        if (old != NULL)
            give(old);
    }
    enough = true;
    pthread_join(thread, NULL);
    heap_check();
    ck_assert_uint_lt(heap_held_bytes(), 4 * MIB);
}
END_TEST

static void *be_busy(void *arg)
{
    void *block[50] = {NULL};
    for (size_t i = 0; !enough; i++) {
        void **b = &block[i * 7 % 50];
        if (*b != NULL)
            give(*b);
        *b = memset(take(1 + i % 1000), 0x41, 1 + i % 1000);
        void *old = atomic_exchange(&shelf, take(i % 100));
        if (old != NULL)
            give(old);
    }
    (void)arg;
    return NULL;
}

START_TEST(others_may_allocate_while_the_heap_is_walked)
{
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, be_busy, NULL);
    for (int i = 0; i < 500; i++) {
        /* A list caught half-way makes the other blocks of its pool look live. */
        ck_assert_uint_lt(live_blocks(), 102 + 2 * SLOT_BYTES / BLOCK_ALIGN);
        struct heap_census c = census();
        ck_assert_uint_eq(c.mapped, heap_census_sum(&c));
    }
    enough = true;
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    heap_check();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap_threads");
    TCase *t = add_case(suite, "threads");
    tcase_add_test(t, block_freed_elsewhere_comes_back_to_its_owner);
    tcase_add_test(t, pool_emptied_elsewhere_is_given_back);
    tcase_add_test(t, all_kinds_are_freed_elsewhere);
    tcase_add_test(t, a_new_thread_takes_over_the_heap_of_a_dead_one);
    tcase_add_test(t, freeing_a_dead_threads_blocks_makes_the_pool_ours);
    tcase_add_test(t, memory_of_dead_threads_goes_back_when_it_is_freed);
    tcase_add_test(t, pools_of_dead_threads_are_used_before_new_ones);
    tcase_add_test(t, destructors_may_allocate_after_the_heap_was_abandoned);
    tcase_add_test(t, a_thread_that_only_frees_gets_no_heap);
    tcase_add_test(t, others_may_allocate_while_the_heap_is_walked);
    tcase_add_test(t, other_threads_give_back_on_their_next_slow_path);
    tcase_add_test(t, producer_and_consumer_need_no_more_and_more);
    return run_suite(suite);
}
