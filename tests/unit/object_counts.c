/* SPDX-License-Identifier: MIT */
/* object_counts.c - reference counts, deferred release, weak references. */
#include "object_test.h"

#include <signal.h>

START_TEST(the_last_release_frees)
{
    hg_world *w = quiet_world();
    Leaf *leaf = hg_new(w, &Leaf_type);
    ck_assert_int_eq(leaf->number, 0);
    hg_retain(leaf);
    hg_release(w, leaf);
    ck_assert_uint_eq(objects(w), 1);
    hg_release(w, leaf);
    ck_assert_uint_eq(objects(w), 0);
    hg_check(w);
    hg_world_free(w);
}
END_TEST

START_TEST(memory_of_the_dead_is_used_again_and_zero)
{
    hg_world *w = quiet_world();
    Node *a = hg_new(w, &Node_type);
    a->number = 7;
    hg_release(w, a);
    Node *b = hg_new(w, &Node_type);
    ck_assert_ptr_eq(a, b);
    ck_assert_int_eq(b->number, 0);
    hg_release(w, b);
    hg_world_free(w);
}
END_TEST

START_TEST(a_chain_of_a_million_goes_bit_by_bit)
{
    hg_world *w = quiet_world();
    hg_policy policy;
    hg_get_policy(w, &policy);
    policy.release_us = 100;
    hg_set_policy(w, &policy);
    Node *first = NULL;
    for (int i = 0; i < 1000000; i++) {
        Node *node = hg_new(w, &Node_type);
        hg_move(w, &node->left, first);
        first = node;
    }
    hg_release(w, first);
    ck_assert_uint_gt(objects(w), 0);
    /* Allocation pays it off: faster than it adds to it. */
    for (int i = 0; i < 300000; i++)
        hg_release(w, hg_new(w, &Leaf_type));
    ck_assert_uint_eq(objects(w), 0);
    hg_check(w);
    hg_world_free(w);
}
END_TEST

START_TEST(flush_frees_what_waits)
{
    hg_world *w = quiet_world();
    hg_policy policy;
    hg_get_policy(w, &policy);
    policy.release_us = 1;
    hg_set_policy(w, &policy);
    Node *first = NULL;
    for (int i = 0; i < 100000; i++) {
        Node *node = hg_new(w, &Node_type);
        hg_move(w, &node->right, first);
        first = node;
    }
    hg_release(w, first);
    ck_assert_uint_eq(hg_flush(w, 0), 0);
    ck_assert_uint_eq(objects(w), 0);
    hg_world_free(w);
}
END_TEST

static const hg_type Tuple_type = {
    .name = "Tuple", .size = sizeof(hg_object), .flags = HG_ITEMS};

START_TEST(items_of_every_size_are_dropped)
{
    hg_world *w = quiet_world();
    for (uint32_t n = 0; n < 200000; n = n * 5 / 4 + 1) {
        hg_object *tuple = hg_new_items(w, &Tuple_type, n);
        void **item = (void **)(tuple + 1);
        for (uint32_t i = 0; i < n; i += 1 + n / 50)
            item[i] = hg_new(w, &Leaf_type);
        hg_check(w);
        hg_release(w, tuple);
        hg_flush(w, 0);
        ck_assert_uint_eq(objects(w), 0);
    }
    hg_check(w);
    hg_world_free(w);
}
END_TEST

typedef struct {
    hg_object head;
    void **item;
    uint32_t used;
} List;

static int disposed;

static void dispose_list(void *self)
{
    disposed++;
    free(((List *)self)->item);
}

static const hg_type List_type = {.name = "List",
                                  .size = sizeof(List),
                                  .array = HG_ARRAY(List, item, used),
                                  .dispose = dispose_list};

START_TEST(an_array_elsewhere_is_dropped_before_it_is_disposed_of)
{
    hg_world *w = quiet_world();
    List *list = hg_new(w, &List_type);
    list->item = calloc(3, sizeof(void *));
    list->used = 3;
    list->item[0] = hg_new(w, &Leaf_type);
    list->item[2] = hg_retain(list);
    hg_release(w, list);
    ck_assert_uint_eq(collect(w, HG_FULL), 1);
    ck_assert_int_eq(disposed, 1);
    ck_assert_uint_eq(objects(w), 0);
    hg_world_free(w);
}
END_TEST

START_TEST(world_free_disposes_of_what_is_left)
{
    hg_world *w = quiet_world();
    List *list = hg_new(w, &List_type);
    list->item = calloc(1, sizeof(void *));
    disposed = 0;
    hg_world_free(w);
    ck_assert_int_eq(disposed, 1);
}
END_TEST

START_TEST(worlds_give_all_memory_back)
{
    size_t before = live_blocks();
    hg_world *w = hg_world_new();
    for (int i = 0; i < 50000; i++) {
        Node *a = pair(w);
        hg_weak_new(w, a, NULL, NULL);
        if (i % 7 != 0)
            hg_release(w, a);
    }
    hg_new_items(w, &Tuple_type, 1000000);
    hg_world_free(w);
    ck_assert_uint_eq(live_blocks(), before);
    heap_check();
}
END_TEST

START_TEST(immortals_ignore_releases)
{
    hg_world *w = quiet_world();
    Leaf *leaf = hg_new(w, &Leaf_type);
    hg_immortal(leaf);
    for (int i = 0; i < 10; i++)
        hg_release(w, leaf);
    hg_retain(leaf);
    ck_assert_uint_eq(objects(w), 1);
    hg_check(w);
    hg_world_free(w);
}
END_TEST

START_TEST(a_release_too_many_aborts)
{
    hg_world *w = quiet_world();
    Leaf *leaf = hg_new(w, &Leaf_type);
    hg_release(w, leaf);
    hg_release(w, leaf);
}
END_TEST

START_TEST(a_retain_of_the_freed_aborts)
{
    hg_world *w = quiet_world();
    Leaf *leaf = hg_new(w, &Leaf_type);
    hg_release(w, leaf);
    hg_retain(leaf);
}
END_TEST

/* ---- weak references ---- */

static int died;

static void on_dead(hg_world *w, hg_weak *weak, void *arg)
{
    ck_assert_ptr_null(hg_weak_get(w, weak));
    died += *(int *)arg;
}

START_TEST(a_weak_reference_gives_its_target_until_it_dies)
{
    hg_world *w = quiet_world();
    Leaf *leaf = hg_new(w, &Leaf_type);
    int one = 1, ten = 10;
    hg_weak *a = hg_weak_new(w, leaf, on_dead, &one);
    hg_weak *b = hg_weak_new(w, leaf, on_dead, &ten);
    hg_weak *none = hg_weak_new(w, leaf, NULL, NULL);
    ck_assert_ptr_eq(hg_weak_get(w, a), leaf);
    hg_release(w, leaf);
    ck_assert_int_eq(died, 0);
    hg_release(w, leaf);
    ck_assert_int_eq(died, 11);
    ck_assert_ptr_null(hg_weak_get(w, none));
    hg_weak_free(w, a);
    hg_weak_free(w, b);
    hg_weak_free(w, none);
    hg_check(w);
    hg_world_free(w);
}
END_TEST

START_TEST(a_freed_weak_reference_calls_nothing)
{
    hg_world *w = quiet_world();
    Leaf *leaf = hg_new(w, &Leaf_type);
    int one = 1;
    died = 0;
    hg_weak_free(w, hg_weak_new(w, leaf, on_dead, &one));
    hg_check(w);
    hg_release(w, leaf);
    ck_assert_int_eq(died, 0);
    hg_world_free(w);
}
END_TEST

START_TEST(ten_thousand_targets_keep_theirs_apart)
{
    enum { COUNT = 10000 };
    static Leaf *leaf[COUNT];
    static hg_weak *weak[COUNT];
    hg_world *w = quiet_world();
    for (int i = 0; i < COUNT; i++) {
        leaf[i] = hg_new(w, &Leaf_type);
        weak[i] = hg_weak_new(w, leaf[i], NULL, NULL);
    }
    for (int i = 0; i < COUNT; i += 2)
        hg_release(w, leaf[i]);
    hg_check(w);
    for (int i = 0; i < COUNT; i++) {
        void *got = hg_weak_get(w, weak[i]);
        ck_assert_ptr_eq(got, i % 2 == 0 ? NULL : leaf[i]);
        hg_release(w, got);
    }
    hg_world_free(w);
}
END_TEST

START_TEST(a_long_array_is_dropped_bit_by_bit)
{
    static const hg_type items_type = {
        .name = "items", .size = sizeof(hg_object), .flags = HG_ITEMS};
    hg_world *w = quiet_world();
    hg_policy policy = {.release_us = 1};
    hg_set_policy(w, &policy);
    Leaf *leaf = hg_new(w, &Leaf_type);
    hg_object *list = hg_new_items(w, &items_type, 100000);
    for (int i = 0; i < 100000; i++)
        hg_set(w, (void **)(list + 1) + i, leaf);
    hg_release(w, list);
    ck_assert_uint_gt(leaf->head.count, 1);
    ck_assert_uint_lt(leaf->head.count, 100001);
    ck_assert_uint_eq(objects(w), 2);
    hg_check(w);
    for (int i = 0; objects(w) > 1; i++) {
        ck_assert_int_lt(i, 100000);
        hg_flush(w, 1);
    }
    ck_assert_uint_eq(leaf->head.count, 1);
    hg_release(w, leaf);
    ck_assert_uint_eq(hg_flush(w, 0), 0);
    ck_assert_uint_eq(objects(w), 0);
    hg_world_free(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("object_counts");
    TCase *t = add_case(suite, "counts");
    tcase_add_test(t, the_last_release_frees);
    tcase_add_test(t, memory_of_the_dead_is_used_again_and_zero);
    tcase_add_test(t, a_chain_of_a_million_goes_bit_by_bit);
    tcase_add_test(t, flush_frees_what_waits);
    tcase_add_test(t, items_of_every_size_are_dropped);
    tcase_add_test(t, an_array_elsewhere_is_dropped_before_it_is_disposed_of);
    tcase_add_test(t, a_long_array_is_dropped_bit_by_bit);
    tcase_add_test(t, world_free_disposes_of_what_is_left);
    tcase_add_test(t, worlds_give_all_memory_back);
    tcase_add_test(t, immortals_ignore_releases);
    tcase_add_test_raise_signal(t, a_release_too_many_aborts, SIGABRT);
    tcase_add_test_raise_signal(t, a_retain_of_the_freed_aborts, SIGABRT);
    TCase *k = add_case(suite, "weak");
    tcase_add_test(k, a_weak_reference_gives_its_target_until_it_dies);
    tcase_add_test(k, a_freed_weak_reference_calls_nothing);
    tcase_add_test(k, ten_thousand_targets_keep_theirs_apart);
    return run_suite(suite);
}
