/* SPDX-License-Identifier: MIT */
/* object_ask.c - referrers, why an object is alive, types that lie. */
#include "object_test.h"

static const void *seen[8];
static int seen_count;

static void note(const void *object, void *arg)
{
    (void)arg;
    if (seen_count < 8)
        seen[seen_count] = object;
    seen_count++;
}

START_TEST(referents_and_referrers_are_each_others_reverse)
{
    hg_world *w = quiet_world();
    Node *a = hg_new(w, &Node_type), *b = hg_new(w, &Node_type);
    hg_set(w, &a->left, b);
    hg_set(w, &a->right, b);
    hg_referents(a, note, NULL);
    ck_assert_int_eq(seen_count, 2);
    ck_assert_ptr_eq(seen[0], b);
    seen_count = 0;
    hg_referrers(w, b, note, NULL);
    ck_assert_int_eq(seen_count, 2);
    ck_assert_ptr_eq(seen[1], a);
    seen_count = 0;
    hg_walk(w, note, NULL);
    ck_assert_int_eq(seen_count, 2);
    hg_world_free(w);
}
END_TEST

START_TEST(why_alive_is_the_shortest_chain_from_a_held_object)
{
    hg_world *w = quiet_world();
    Node *root = hg_new(w, &Node_type);
    Node *way = root;
    Leaf *leaf = hg_new(w, &Leaf_type);
    for (int i = 0; i < 5; i++) {
        hg_move(w, &way->left, hg_new(w, &Node_type));
        way = way->left;
    }
    hg_set(w, &way->right, leaf);
    hg_set(w, &root->left->left->right, leaf);
    hg_release(w, leaf);
    ck_assert_int_eq(hg_why_alive(w, leaf, note, NULL), HG_OK);
    ck_assert_int_eq(seen_count, 4);
    ck_assert_ptr_eq(seen[0], root);
    ck_assert_ptr_eq(seen[1], root->left);
    ck_assert_ptr_eq(seen[2], root->left->left);
    ck_assert_ptr_eq(seen[3], leaf);

    seen_count = 0;
    ck_assert_int_eq(hg_why_alive(w, root, note, NULL), HG_OK);
    ck_assert_int_eq(seen_count, 1);
    hg_world_free(w);
}
END_TEST

START_TEST(garbage_has_no_reason_to_be_alive)
{
    hg_world *w = quiet_world();
    Node *a = pair(w);
    hg_release(w, a);
    ck_assert_int_eq(hg_why_alive(w, a, note, NULL), HG_OK);
    ck_assert_int_eq(seen_count, 0);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
    hg_world_free(w);
}
END_TEST

START_TEST(asking_while_a_cycle_runs_is_refused)
{
    hg_world *w = quiet_world();
    Node *a = pair(w);
    int done = 1;
    ck_assert_int_eq(hg_step(w, 0, &done), HG_OK);
    ck_assert_int_eq(done, 0);
    ck_assert_int_eq(hg_why_alive(w, a, note, NULL), HG_EBUSY);
    hg_world_free(w);
}
END_TEST

static const hg_type Items_type = {
    .name = "Items", .size = sizeof(hg_object), .flags = HG_ITEMS};

/* Released, but not yet freed: so what only they refer to is held by nobody. */
START_TEST(the_dead_that_wait_are_no_reason_to_be_alive)
{
    enum { CHAIN = 100000 };
    hg_world *w = quiet_world();
    hg_policy policy = {.release_us = 1};
    hg_set_policy(w, &policy);
    Node *last = hg_new(w, &Node_type), *first = last;
    for (int i = 0; i < CHAIN; i++) {
        Node *node = hg_new(w, &Node_type);
        hg_move(w, &node->left, first);
        first = node;
    }
    hg_object *list = hg_new_items(w, &Items_type, CHAIN);
    Leaf *leaf = hg_new(w, &Leaf_type);
    for (int i = 0; i < CHAIN; i++)
        hg_set(w, (void **)(list + 1) + i, leaf);
    hg_release(w, leaf);
    hg_release(w, list); /* some of its items are let go */
    hg_release(w, first);
    hg_statistics s;
    hg_get_statistics(w, &s);
    ck_assert_uint_gt(s.waiting, 0);
    ck_assert_int_eq(hg_why_alive(w, leaf, note, NULL), HG_OK);
    ck_assert_int_eq(seen_count, 0);
    ck_assert_int_eq(hg_why_alive(w, last, note, NULL), HG_OK);
    ck_assert_int_eq(seen_count, 0);
    hg_world_free(w);
}
END_TEST

static void traverse_twice(const void *self, hg_visit *visit, void *arg)
{
    visit(((const Node *)self)->left, arg);
    visit(((const Node *)self)->left, arg);
}

static const hg_type Liar_type = {
    .name = "Liar", .size = sizeof(Node), .traverse = traverse_twice};

static void expect_liar(const void *referrer, const void *object, void *arg)
{
    (void)object, (void)arg;
    ck_assert_str_eq(((const hg_object *)referrer)->type->name, "Liar");
    seen_count++;
}

START_TEST(a_traverse_that_names_a_field_twice_is_found_out)
{
    hg_world *w = quiet_world();
    Node *honest = pair(w);
    Node *liar = hg_new(w, &Liar_type);
    hg_move(w, &liar->left, hg_new(w, &Leaf_type));
    ck_assert_int_eq(hg_find_liars(w, expect_liar, NULL), HG_OK);
    ck_assert_int_eq(seen_count, 2);
    hg_move(w, &honest->right, hg_take(&liar->left));
    seen_count = 0;
    ck_assert_int_eq(hg_find_liars(w, expect_liar, NULL), HG_OK);
    ck_assert_int_eq(seen_count, 0);
    hg_world_free(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("object_ask");
    TCase *t = add_case(suite, "ask");
    tcase_add_test(t, referents_and_referrers_are_each_others_reverse);
    tcase_add_test(t, why_alive_is_the_shortest_chain_from_a_held_object);
    tcase_add_test(t, garbage_has_no_reason_to_be_alive);
    tcase_add_test(t, asking_while_a_cycle_runs_is_refused);
    tcase_add_test(t, the_dead_that_wait_are_no_reason_to_be_alive);
    tcase_add_test(t, a_traverse_that_names_a_field_twice_is_found_out);
    return run_suite(suite);
}
