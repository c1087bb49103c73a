/* SPDX-License-Identifier: MIT */
/* object_threads.c - worlds of several threads, and worlds that change hands. */
#include "object_test.h"

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 50, PAIRS = 100 };

static pthread_t begin(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, body, arg), 0);
    return thread;
}

static void end(pthread_t thread)
{
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static void count_call(hg_world *w, hg_weak *weak, void *arg)
{
    (void)w, (void)weak;
    ++*(size_t *)arg;
}

/* Cycles that nobody holds, with a weak reference each.  How many of these called.
 */
static size_t come_and_go(hg_world *w)
{
    size_t called = 0;
    hg_weak *weak[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        Node *a = pair(w);
        hg_move(w, &a->right, hg_new(w, &Leaf_type));
        weak[i] = hg_weak_new(w, a, count_call, &called);
        hg_release(w, a);
    }
    ck_assert_int_eq(hg_collect(w, HG_FULL, NULL), HG_OK);
    for (int i = 0; i < PAIRS; i++)
        hg_weak_free(w, weak[i]);
    return called;
}

static void *live_alone(void *arg)
{
    size_t *called = arg;
    hg_world *w = hg_world_new();
    Node *kept = pair(w);
    for (int i = 0; i < ROUNDS; i++)
        *called += come_and_go(w);
    ck_assert_uint_eq(objects(w), 2);
    hg_check(w);
    hg_release(w, kept);
    hg_world_free(w);
    return NULL;
}

START_TEST(each_thread_has_a_world_of_its_own)
{
    pthread_t thread[THREADS];
    size_t called[THREADS] = {0};
    for (int i = 0; i < THREADS; i++)
        thread[i] = begin(live_alone, &called[i]);
    for (int i = 0; i < THREADS; i++)
        end(thread[i]);
    for (int i = 0; i < THREADS; i++)
        ck_assert_uint_eq(called[i], PAIRS * ROUNDS);
    ck_assert_uint_eq(live_blocks(), 0);
    heap_check();
}
END_TEST

struct shared {
    pthread_mutex_t lock; /* whoever holds it has the world */
    hg_world *w;
    Node *list;
};

/* The list grows at its head, garbage comes up, and a collection goes on wherever
   the one before left it. */
static void *take_turns(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < ROUNDS * 10; i++) {
        pthread_mutex_lock(&shared->lock);
        hg_world *w = shared->w;
        Node *head = hg_new(w, &Node_type);
        hg_move(w, &head->left, hg_take(&shared->list));
        shared->list = head;
        hg_release(w, pair(w));
        int done;
        ck_assert_int_eq(hg_step(w, 1, &done), HG_OK);
        pthread_mutex_unlock(&shared->lock);
    }
    return NULL;
}

START_TEST(threads_take_turns_in_a_world)
{
    struct shared shared = {PTHREAD_MUTEX_INITIALIZER, hg_world_new(), NULL};
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++)
        thread[i] = begin(take_turns, &shared);
    for (int i = 0; i < THREADS; i++)
        end(thread[i]);
    collect(shared.w, HG_FULL);
    ck_assert_uint_eq(objects(shared.w), THREADS * ROUNDS * 10);
    hg_release(shared.w, shared.list);
    hg_flush(shared.w, 0);
    ck_assert_uint_eq(objects(shared.w), 0);
    hg_world_free(shared.w);
    ck_assert_uint_eq(live_blocks(), 0);
    heap_check();
}
END_TEST

static void *make_a_world(void *arg)
{
    hg_world **w = arg;
    *w = quiet_world();
    for (int i = 0; i < 1000 * PAIRS; i++)
        hg_release(*w, pair(*w));
    return NULL;
}

static void *collect_a_world(void *arg)
{
    hg_world **w = arg;
    ck_assert_uint_eq(collect(*w, HG_FULL), 2 * 1000 * PAIRS);
    return NULL;
}

START_TEST(a_world_outlives_the_thread_that_made_it)
{
    hg_world *w;
    end(begin(make_a_world, &w));
    end(begin(collect_a_world, &w));
    ck_assert_uint_eq(objects(w), 0);
    hg_world_free(w);
    ck_assert_uint_eq(live_blocks(), 0);
    heap_check();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("object_threads");
    TCase *t = add_case(suite, "threads");
    tcase_add_test(t, each_thread_has_a_world_of_its_own);
    tcase_add_test(t, threads_take_turns_in_a_world);
    tcase_add_test(t, a_world_outlives_the_thread_that_made_it);
    return run_suite(suite);
}
