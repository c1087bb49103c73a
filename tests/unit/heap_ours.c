/* SPDX-License-Identifier: MIT */
/* heap_ours.c - the heap of threads that take turns under a lock. */
#include "heap_test.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL 64

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

/* As an adapter does it; by whose turn it is. */
static void *take_ours(size_t bytes)
{
    struct pool *pool;
    struct place place;
    size_t class = heap_small_class(bytes);
    if (heap_is_small(bytes)) {
        void *block = heap_alloc_fast(heap_ours, class, &pool);
        if (block == NULL && heap_refill(heap_ours, class))
            block = heap_alloc_fast(heap_ours, class, &pool);
        if (block != NULL)
            return block;
    }
    return heap_alloc_in(heap_ours_joined(), 1, bytes, false, &place);
}

static void give_ours(void *block)
{
    size_t offset;
    struct pool *pool = heap_fast_pool(heap_ours, block, &offset);
    if (pool == NULL && heap_reopen(heap_ours, block))
        pool = heap_fast_pool(heap_ours, block, &offset);
    if (pool != NULL) {
        heap_free_fast(pool, block);
        return;
    }
    heap_free_in(heap_ours_joined(), block);
}

static void run(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, body, arg), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

enum { COUNT = 3000 };
static unsigned char *block[COUNT]; /* guarded by turn */
static size_t bytes_of[COUNT];

static void *take_turns(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    for (int i = 0; i < 40000; i++) {
        size_t at = (size_t)rand_r(&seed) % COUNT;
        pthread_mutex_lock(&turn);
        if (block[at] == NULL) {
            bytes_of[at] = 1 + (size_t)rand_r(&seed) % (at % 50 == 0 ? 9000 : 700);
            block[at] = memset(take_ours(bytes_of[at]), (int)at, bytes_of[at]);
        } else {
            size_t last = bytes_of[at] - 1;
            ck_assert(block[at][0] == at % 256 && block[at][last] == at % 256);
            give_ours(block[at]);
            block[at] = NULL;
        }
        pthread_mutex_unlock(&turn);
    }
    return NULL;
}

static size_t blocks_held(void)
{
    size_t n = 0;
    for (size_t i = 0; i < COUNT; i++)
        n += block[i] != NULL;
    return n;
}

static void give_all(void)
{
    for (size_t i = 0; i < COUNT; i++)
        if (block[i] != NULL)
            give_ours(block[i]);
}

static void turns_of_four_threads(void)
{
    pthread_t thread[4];
    static unsigned seed[4] = {1, 2, 3, 4};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, take_turns, &seed[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
}

START_TEST(threads_take_turns)
{
    turns_of_four_threads();
    heap_check();
    ck_assert_uint_eq(live_blocks(), blocks_held());
    give_all();
    ck_assert_uint_eq(live_blocks(), 0);
    heap_check();
}
END_TEST

static void *take_one(void *arg)
{
    *(void **)arg = take_ours(SMALL);
    return NULL;
}

START_TEST(what_an_ended_thread_took_is_nobody_elses)
{
    void *kept = take_ours(SMALL);
    void *taken;
    size_t offset;
    run(take_one, &taken);
    ck_assert_ptr_nonnull(heap_fast_pool(heap_ours, taken, &offset));
    ck_assert_uint_eq(pool_of_block(taken)->used, 2);
    give_ours(taken);
    ck_assert_uint_eq(pool_of_block(kept)->used, 1);
    ck_assert_ptr_ne(heap_ours, heap_mine);
    heap_check();
}
END_TEST

static void *free_as_mine(void *arg)
{
    give(arg);
    return NULL;
}

START_TEST(a_block_of_ours_may_be_freed_out_of_turn)
{
    void *taken = take_ours(SMALL);
    run(free_as_mine, taken);
    ck_assert_uint_eq(live_blocks(), 0);
    heap_check();
}
END_TEST

START_TEST(a_child_goes_on_with_ours)
{
    turns_of_four_threads();
    give_ours(take_ours(SMALL));
    heap_before_fork();
    pid_t child = fork();
    if (child == 0) {
        heap_after_fork_child();
        if (live_blocks() != blocks_held())
            _exit(1);
        heap_check();
        unsigned seed = 9;
        take_turns(&seed);
        heap_ours_divide();
        give_all();
        heap_check();
        _exit(live_blocks() == 0 ? 0 : 2);
    }
    heap_after_fork_parent();
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    give_all();
    heap_check();
}
END_TEST

static pthread_barrier_t both;

/* Two threads, each with a lock of its own, so to say. */
static void *work_alone(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    void *mine[500] = {NULL};
    pthread_mutex_lock(&turn);
    give_ours(take_ours(SMALL));
    if (seed == 1)
        heap_ours_divide();
    pthread_mutex_unlock(&turn);
    pthread_barrier_wait(&both);
    for (size_t i = seed % 2; i < COUNT; i += 2)
        if (block[i] != NULL)
            give_ours(block[i]);
    for (int i = 0; i < 50000; i++) {
        size_t at = (size_t)rand_r(&seed) % 500;
        if (mine[at] != NULL)
            give_ours(mine[at]);
        mine[at] = take_ours(1 + (size_t)rand_r(&seed) % 600);
    }
    for (size_t i = 0; i < 500; i++)
        if (mine[i] != NULL)
            give_ours(mine[i]);
    return NULL;
}

START_TEST(divided_it_is_each_threads_own)
{
    turns_of_four_threads();
    give_ours(take_ours(SMALL)); /* this thread shares it too */
    pthread_barrier_init(&both, NULL, 2);
    pthread_t thread[2];
    static unsigned seed[2] = {1, 2};
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, work_alone, &seed[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    ck_assert_uint_eq(live_blocks(), 0);
    give_ours(take_ours(SMALL));
    ck_assert_ptr_eq(heap_ours_joined(), heap_mine);
    heap_check();
}
END_TEST

/* One block of every 16 KiB stays: all other pages can go. */
START_TEST(trimmed_by_whose_turn_it_is_ours_gives_back_pages)
{
    enum { PER_SLOT = 16 * KIB / SMALL, SLOTS = 40, BLOCKS = PER_SLOT * SLOTS };
    static void *ours[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        ours[i] = take_ours(SMALL);
    for (int i = 0; i < BLOCKS; i++)
        if (i % PER_SLOT != 0)
            give_ours(ours[i]);
    heap_trim();
    size_t untouched = census().untouched;
    size_t given = heap_trim_ours();
    heap_check();
#if !defined HG_STRESS && !defined HG_CLASSIC_GEOMETRY /* whose pools are pages */
    ck_assert_uint_ge(given, SLOTS / 2 * 8 * KIB);
    ck_assert_uint_gt(census().untouched, untouched);
#else
    ck_assert_uint_ge(census().untouched + given, untouched);
#endif
    for (int i = 0; i < BLOCKS; i += PER_SLOT)
        give_ours(ours[i]);
    heap_check();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap_ours");
    TCase *t = add_case(suite, "ours");
    tcase_add_test(t, threads_take_turns);
    tcase_add_test(t, what_an_ended_thread_took_is_nobody_elses);
    tcase_add_test(t, a_block_of_ours_may_be_freed_out_of_turn);
    tcase_add_test(t, a_child_goes_on_with_ours);
    tcase_add_test(t, trimmed_by_whose_turn_it_is_ours_gives_back_pages);
    tcase_add_test(t, divided_it_is_each_threads_own);
    return run_suite(suite);
}
