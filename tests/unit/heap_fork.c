/* SPDX-License-Identifier: MIT */
/* heap_fork.c - the child of a fork has a whole heap, whatever others were doing.
 */
#include "heap_test.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL 64

static void child_ends_well(pid_t child)
{
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

static pid_t fork_heap(void)
{
    heap_before_fork();
    pid_t child = fork();
    if (child == 0)
        heap_after_fork_child();
    else
        heap_after_fork_parent();
    return child;
}

static void use_heap(unsigned seed)
{
    enum { COUNT = 500 };
    void *block[COUNT] = {NULL};
    for (int i = 0; i < 20000; i++) {
        int at = rand_r(&seed) % COUNT;
        if (block[at] != NULL) {
            give(block[at]);
            block[at] = NULL;
        } else {
            size_t bytes = (size_t)rand_r(&seed) % 3000;
            block[at] = memset(take(bytes), 1, bytes);
        }
    }
    for (int i = 0; i < COUNT; i++)
        if (block[i] != NULL)
            give(block[i]);
}

START_TEST(parent_and_child_go_on)
{
    static void *block[1000];
    for (size_t i = 0; i < 1000; i++)
        block[i] = take(1 + i);
    pid_t child = fork_heap();
    ck_assert_uint_eq(live_blocks(), 1000);
    for (size_t i = 0; i < 1000; i++)
        give(block[i]);
    use_heap(1);
    heap_check();
    ck_assert_uint_eq(live_blocks(), 0);
    if (child == 0)
        _exit(0);
    child_ends_well(child);
}
END_TEST

enum { THREADS = 3, KEPT = 300 };
static void *kept[THREADS][KEPT];
static pthread_barrier_t barrier;

static void *keep_and_wait(void *arg)
{
    void **block = arg;
    for (size_t i = 0; i < KEPT; i++)
        block[i] = take(SMALL + i);
    for (size_t i = 0; i < KEPT; i += 3)
        give(block[i]);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

START_TEST(child_takes_over_the_heaps_of_sleeping_threads)
{
    pthread_t thread[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, keep_and_wait, kept[i]);
    pthread_barrier_wait(&barrier);
    pid_t child = fork_heap();
    if (child == 0) {
        /* They were asleep, so it is known which of their blocks are live. */
        if (live_blocks() != THREADS * KEPT * 2 / 3)
            _exit(2);
        heap_check();
        for (int i = 0; i < THREADS; i++)
            for (size_t j = 0; j < KEPT; j++)
                if (j % 3 != 0)
                    give(kept[i][j]);
        heap_check();
        use_heap(2);
        heap_trim();
        heap_check();
        struct heap_census c = census();
        _exit(c.live == 0 && c.free_pools == 0 ? 0 : 3);
    }
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    heap_check();
    child_ends_well(child);
}
END_TEST

static atomic_bool enough;
static _Atomic(void *) shelf[16];

static void *work(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    while (!enough) {
        size_t bytes = (size_t)rand_r(&seed) % 2000;
        if (rand_r(&seed) % 50 == 0)
            bytes = 200 * KIB;
        if (rand_r(&seed) % 100 == 0)
            bytes = 2 * MIB;
        void *old = atomic_exchange(&shelf[rand_r(&seed) % 16], take(bytes));
        if (old != NULL)
            give(old);
    }
    return NULL;
}

START_TEST(child_of_a_busy_program_has_a_whole_heap)
{
    pthread_t thread[THREADS];
    heap_keep_tags();
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, work, (void *)(i + 1));
    for (unsigned i = 0; i < 30; i++) {
        use_heap(i);
        pid_t child = fork_heap();
        if (child == 0) {
            heap_check();
            use_heap(i + 1);
            heap_check();
            _exit(0);
        }
        child_ends_well(child);
    }
    enough = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    heap_check();
}
END_TEST

#ifndef HG_SANITIZED
START_TEST(child_of_a_bare_fork_has_a_heap_too)
{
    pthread_t thread[THREADS];
    heap_keep_tags();
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, work, (void *)(i + 1));
    for (unsigned i = 0; i < 30; i++) {
        use_heap(i);
        pid_t child = _Fork();
        if (child == 0) {
            heap_after_bare_fork();
            heap_check();
            use_heap(i + 1);
            heap_check();
            _exit(0);
        }
        child_ends_well(child);
    }
    enough = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    heap_check();
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("heap_fork");
    TCase *t = add_case(suite, "fork");
    tcase_add_test(t, parent_and_child_go_on);
    tcase_add_test(t, child_takes_over_the_heaps_of_sleeping_threads);
    tcase_add_test(t, child_of_a_busy_program_has_a_whole_heap);
#ifndef HG_SANITIZED /* whose own locks nobody mends */
    tcase_add_test(t, child_of_a_bare_fork_has_a_heap_too);
#endif
    return run_suite(suite);
}
