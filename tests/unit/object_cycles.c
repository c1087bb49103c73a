/* SPDX-License-Identifier: MIT */
/* object_cycles.c - collections: what they find, spare and call. */
#include "object_test.h"

#include <signal.h>

START_TEST(a_node_that_refers_to_itself_is_found)
{
    hg_world *w = quiet_world();
    Node *node = hg_new(w, &Node_type);
    hg_set(w, &node->left, node);
    ck_assert_uint_eq(collect(w, HG_FULL), 0);
    hg_release(w, node);
    ck_assert_uint_eq(objects(w), 1);
    ck_assert_uint_eq(collect(w, HG_FULL), 1);
    ck_assert_uint_eq(objects(w), 0);
    hg_world_free(w);
}
END_TEST

START_TEST(what_is_held_from_outside_stays_with_all_it_reaches)
{
    hg_world *w = quiet_world();
    Node *a = pair(w), *b = pair(w);
    hg_set(w, &a->right, b);
    hg_move(w, &b->right, hg_new(w, &Leaf_type));
    hg_release(w, b);
    ck_assert_uint_eq(collect(w, HG_YOUNG), 0);
    ck_assert_uint_eq(collect(w, HG_FULL), 0);
    hg_set(w, &a->right, NULL);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
    ck_assert_uint_eq(objects(w), 2);
    hg_release(w, a);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
    ck_assert_uint_eq(objects(w), 0);
    hg_world_free(w);
}
END_TEST

START_TEST(garbage_drops_what_is_no_garbage)
{
    hg_world *w = quiet_world();
    Leaf *leaf = hg_new(w, &Leaf_type);
    Node *a = pair(w);
    hg_set(w, &a->right, leaf);
    ck_assert_uint_eq(leaf->head.count, 2);
    hg_release(w, a);
    collect(w, HG_YOUNG);
    ck_assert_uint_eq(leaf->head.count, 1);
    hg_release(w, leaf);
    hg_world_free(w);
}
END_TEST

START_TEST(survivors_grow_older_and_are_left_alone)
{
    hg_world *w = quiet_world();
    Node *a = pair(w);
    collect(w, HG_YOUNG);
    hg_release(w, a);
    ck_assert_uint_eq(collect(w, HG_YOUNG), 0);
    ck_assert_uint_eq(collect(w, HG_MIDDLE), 2);

    a = pair(w);
    collect(w, HG_YOUNG);
    collect(w, HG_MIDDLE);
    hg_release(w, a);
    ck_assert_uint_eq(collect(w, HG_MIDDLE), 0);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
    hg_world_free(w);
}
END_TEST

START_TEST(untracked_and_frozen_objects_hold_what_they_refer_to)
{
    hg_world *w = quiet_world();
    Node *a = pair(w), *b = pair(w);
    hg_untrack(w, a);
    ck_assert(!hg_is_tracked(w, a));
    hg_release(w, a);
    ck_assert_uint_eq(collect(w, HG_FULL), 0);
    hg_track(w, a);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);

    hg_freeze(w);
    ck_assert(hg_is_tracked(w, b));
    hg_release(w, b);
    ck_assert_uint_eq(collect(w, HG_FULL), 0);
    hg_unfreeze(w);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
    hg_world_free(w);
}
END_TEST

START_TEST(worlds_collect_only_their_own)
{
    hg_world *v = quiet_world(), *w = quiet_world();
    hg_release(v, pair(v));
    hg_release(w, pair(w));
    ck_assert_uint_eq(collect(v, HG_FULL), 2);
    ck_assert_uint_eq(objects(w), 2);
    hg_world_free(w);
    hg_world_free(v);
}
END_TEST

START_TEST(more_references_than_a_count_of_marking_holds)
{
    enum { REFERENCES = 65536 };
    hg_world *w = quiet_world();
    Node *a = pair(w);
    for (int i = 0; i < REFERENCES; i++)
        hg_retain(a);
    ck_assert_uint_eq(collect(w, HG_FULL), 0);
    for (int i = 0; i < REFERENCES; i++)
        hg_release(w, a);
    hg_release(w, a);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
    hg_world_free(w);
}
END_TEST

/* ---- finalizers ---- */

static int finalized;
static void *saved;

static void count_finalizer(hg_world *w, void *self)
{
    (void)w, (void)self;
    finalized++;
}

static void save_finalizer(hg_world *w, void *self)
{
    (void)w;
    finalized++;
    saved = hg_retain(self);
}

static const hg_type Final_type = {.name = "Final",
                                   .size = sizeof(Node),
                                   .refs = HG_REFS(Node, left, right),
                                   .finalize = count_finalizer};
static const hg_type Saved_type = {.name = "Saved",
                                   .size = sizeof(Node),
                                   .refs = HG_REFS(Node, left, right),
                                   .finalize = save_finalizer};

static Node *loop(hg_world *w, const hg_type *type)
{
    Node *node = hg_new(w, type);
    hg_set(w, &node->left, node);
    return node;
}

START_TEST(finalizers_run_once_by_release_and_by_collection)
{
    hg_world *w = quiet_world();
    finalized = 0;
    hg_release(w, hg_new(w, &Final_type));
    ck_assert_int_eq(finalized, 1);
    hg_release(w, loop(w, &Final_type));
    ck_assert_uint_eq(collect(w, HG_FULL), 1);
    ck_assert_int_eq(finalized, 2);
    ck_assert_uint_eq(objects(w), 0);
    hg_world_free(w);
}
END_TEST

START_TEST(a_resurrected_object_is_not_finalized_again)
{
    hg_world *w = quiet_world();
    finalized = 0;
    hg_release(w, hg_new(w, &Saved_type));
    ck_assert_uint_eq(objects(w), 1);
    ck_assert(hg_is_finalized(w, saved));
    hg_check(w);
    hg_release(w, saved);
    ck_assert_int_eq(finalized, 1);
    ck_assert_uint_eq(objects(w), 0);
    hg_world_free(w);
}
END_TEST

START_TEST(resurrection_saves_what_it_reaches_and_no_more)
{
    hg_world *w = quiet_world();
    Node *a = loop(w, &Saved_type), *lost = pair(w);
    hg_move(w, &a->right, pair(w));
    hg_set(w, &lost->right, a);
    hg_release(w, lost);
    hg_release(w, a);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
    ck_assert_uint_eq(objects(w), 3);
    ck_assert_ptr_eq(saved, a);
    ck_assert_uint_eq(a->head.count, 2);
    hg_release(w, saved);
    ck_assert_uint_eq(collect(w, HG_FULL), 3);
    hg_world_free(w);
}
END_TEST

static void break_finalizer(hg_world *w, void *self)
{
    hg_set(w, &((Node *)self)->left, NULL);
    hg_release(w, pair(w));
}

static const hg_type Breaker_type = {.name = "Breaker",
                                     .size = sizeof(Node),
                                     .refs = HG_REFS(Node, left, right),
                                     .finalize = break_finalizer};

START_TEST(finalizers_may_take_garbage_apart_and_allocate)
{
    hg_world *w = quiet_world();
    Node *a = hg_new(w, &Breaker_type), *b = hg_new(w, &Breaker_type);
    hg_set(w, &a->left, b);
    hg_move(w, &b->left, a);
    hg_release(w, b);
    collect(w, HG_FULL);
    ck_assert_uint_eq(objects(w), 4);
    ck_assert_uint_eq(collect(w, HG_FULL), 4);
    hg_world_free(w);
}
END_TEST

static void see_dead(hg_world *w, hg_weak *weak, void *arg)
{
    ck_assert_ptr_null(hg_weak_get(w, weak));
    ck_assert_int_eq(hg_collect(w, HG_FULL, NULL), HG_EBUSY);
    hg_release(w, pair(w));
    hg_weak_free(w, weak);
    ++*(int *)arg;
}

START_TEST(weak_references_to_garbage_go_and_call)
{
    hg_world *w = quiet_world();
    int calls = 0;
    Node *a = pair(w);
    hg_weak_new(w, a, see_dead, &calls);
    hg_weak_new(w, a->left, see_dead, &calls);
    hg_release(w, a);
    collect(w, HG_FULL);
    ck_assert_int_eq(calls, 2);
    ck_assert_uint_eq(collect(w, HG_FULL), 4);
    hg_world_free(w);
}
END_TEST

/* ---- slices ---- */

START_TEST(all_that_is_garbage_when_a_cycle_begins_is_gone_when_it_ends)
{
    enum { PAIRS = 40000 };
    static Node *node[PAIRS];
    hg_world *w = quiet_world();
    for (int i = 0; i < PAIRS; i++)
        node[i] = pair(w);
    for (int i = 0; i < PAIRS; i += 2)
        hg_release(w, node[i]);
    int done = 0, slices = 0;
    for (; !done; slices++) {
        ck_assert_int_eq(hg_step(w, 50, &done), HG_OK);
        /* The program goes on: it moves references about, and makes garbage. */
        for (int i = 1; i + 2 < PAIRS; i += 2 * 97)
            hg_set(w, &node[i]->right, node[i + 2]);
        hg_release(w, pair(w));
    }
    hg_check(w);
    ck_assert_int_gt(slices, 3);
    ck_assert_uint_ge(objects(w), PAIRS);
    ck_assert_uint_le(objects(w), PAIRS + 2 * (size_t)slices);
    collect(w, HG_FULL);
    ck_assert_uint_eq(objects(w), PAIRS);
    hg_world_free(w);
}
END_TEST

START_TEST(a_reference_hidden_from_marking_is_found_by_the_exact_rule)
{
    enum { COUNT = 30000 };
    hg_world *w = quiet_world();
    Node *holder = hg_new(w, &Node_type), *first = NULL;
    for (int i = 0; i < COUNT; i++) {
        Node *node = hg_new(w, &Node_type);
        hg_set(w, &node->right, node);
        hg_move(w, &node->left, first);
        first = node;
    }
    hg_move(w, &holder->left, first);
    int done = 0;
    while (!done) {
        ck_assert_int_eq(hg_step(w, 20, &done), HG_OK);
        /* Carry the only way in from one field to the other. */
        void *way = hg_take(&holder->left);
        hg_move(w, &holder->left, hg_take(&holder->right));
        hg_move(w, &holder->right, way);
    }
    hg_check(w);
    ck_assert_uint_eq(objects(w), COUNT + 1);
    hg_world_free(w);
}
END_TEST

static int events[2];

static void on_event(hg_world *w, int generation, const hg_collection *done,
                     void *arg)
{
    (void)arg;
    ck_assert_int_eq(generation, HG_FULL);
    ck_assert_int_eq(hg_collect(w, HG_FULL, NULL), HG_EBUSY);
    events[done != NULL]++;
    if (done != NULL)
        ck_assert_uint_eq(done->freed, 2);
}

START_TEST(a_collection_tells_before_and_after)
{
    hg_world *w = quiet_world();
    hg_set_on_collection(w, on_event, NULL);
    hg_release(w, pair(w));
    collect(w, HG_FULL);
    ck_assert_int_eq(events[0], 1);
    ck_assert_int_eq(events[1], 1);
    hg_set_on_collection(w, NULL, NULL);
    hg_world_free(w);
}
END_TEST

static void free_world(hg_world *w, int generation, const hg_collection *done,
                       void *arg)
{
    (void)generation, (void)done, (void)arg;
    hg_world_free(w);
}

START_TEST(a_world_freed_while_it_tells_of_a_collection_aborts)
{
    hg_world *w = quiet_world();
    hg_set_on_collection(w, free_world, NULL);
    hg_collect(w, HG_FULL, NULL);
}
END_TEST

static void collect_again(hg_world *w, int generation, const hg_collection *done,
                          void *arg)
{
    int *busy = arg;
    (void)generation, (void)done;
    *busy += hg_collect(w, HG_YOUNG, NULL) == HG_EBUSY;
    *busy += hg_step(w, 1, NULL) == HG_EBUSY;
    hg_release(w, pair(w));
    hg_set_on_collection(w, done == NULL ? collect_again : NULL, arg);
}

START_TEST(who_is_told_may_allocate_and_take_himself_off_but_not_collect)
{
    hg_world *w = quiet_world();
    int busy = 0;
    hg_set_on_collection(w, collect_again, &busy);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
    ck_assert_int_eq(busy, 4);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
    ck_assert_int_eq(busy, 4);
    hg_world_free(w);
}
END_TEST

static void count_event(hg_world *w, int generation, const hg_collection *done,
                        void *arg)
{
    (void)w, (void)generation, (void)arg;
    events[done != NULL]++;
}

/* Who takes the time between the two must not wait for the second for good. */
START_TEST(a_collection_that_memory_fails_is_told_of_to_its_end)
{
    for (int generation = HG_YOUNG; generation <= HG_FULL; generation++) {
        hg_world *w = quiet_world();
        hg_release(w, pair(w));
        events[0] = events[1] = 0;
        hg_set_on_collection(w, count_event, NULL);
        memory_fail(0, 1);
        ck_assert_int_eq(hg_collect(w, generation, NULL), HG_ENOMEM);
        memory_fail_never();
        ck_assert_int_eq(events[0], 1);
        ck_assert_int_eq(events[1], 1);
        hg_statistics s;
        hg_get_statistics(w, &s);
        ck_assert_uint_eq(s.collections[generation], 0);
        hg_set_on_collection(w, NULL, NULL);
        ck_assert_uint_eq(collect(w, generation), 2);
        hg_world_free(w);
    }
}
END_TEST

static void on_object(const void *object, void *arg)
{
    (void)object, (void)arg;
}

static void on_pair(const void *referrer, const void *object, void *arg)
{
    (void)referrer, (void)object, (void)arg;
}

static void on_word(const void *referrer, size_t offset, const void *target,
                    void *arg)
{
    (void)referrer, (void)offset, (void)target, (void)arg;
}

static void on_text(const char *line, void *arg)
{
    (void)line, (void)arg;
}

static void save_by_weak(hg_world *w, hg_weak *weak, void *arg)
{
    ck_assert_ptr_null(hg_weak_get(w, weak));
    hg_weak_free(w, weak);
    hg_release(w, hg_new(w, &Saved_type)); /* `saved` or no memory */
    if (arg != NULL)
        hg_weak_free(w, hg_weak_new(w, arg, NULL, NULL));
}

/* All that asks for memory, with finalizers that resurrect and callbacks that
   allocate. */
static void use_everything(hg_world *w)
{
    hg_root *root = hg_root_new(w, "root");
    if (root == NULL)
        return;
    if (hg_debug(w, HG_DEBUG_SITES | HG_DEBUG_DEAD) != HG_OK)
        ck_assert_uint_eq(w->debug, 0);
    for (int i = 0; i < 20; i++) {
        Node *node = hg_new(w, i % 3 == 0 ? &Saved_type : &Final_type);
        if (node == NULL)
            break;
        hg_move(w, &node->left, hg_take(&root->target));
        hg_set(w, &node->right, i % 4 == 0 ? (void *)node : (void *)root);
        hg_weak_new(w, node, save_by_weak, i % 2 == 0 ? root : NULL);
        hg_move(w, &root->target, node);
    }
    hg_why_alive(w, root->target == NULL ? root : root->target, on_object, NULL);
    hg_find_liars(w, on_pair, NULL);
    hg_find_forgotten(w, on_word, NULL);
    hg_report_leaks(w, on_text, NULL, NULL);
    hg_collect(w, HG_YOUNG, NULL);
    hg_step(w, 0, NULL);
    hg_freeze(w);
    hg_unfreeze(w);
    hg_set(w, &root->target, NULL);
    hg_release(w, root);
    for (int i = 0; i < 50; i++)
        hg_step(w, 0, NULL);
    hg_collect(w, HG_MIDDLE, NULL);
    hg_collect(w, HG_FULL, NULL);
}

struct saved {
    hg_world *w;
    Node *held;
};

static void find_saved(const void *object, void *arg)
{
    struct saved *s = arg;
    Node *node = (Node *)(uintptr_t)object;
    if (node->head.type == &Saved_type && node->number == 0 &&
        hg_is_finalized(s->w, node))
        s->held = node;
}

/* Each that has saved itself is held once, by nobody any more. */
static void let_saved_go(hg_world *w)
{
    struct saved s = {.w = w};
    do {
        s.held = NULL;
        collect(w, HG_FULL);
        hg_walk(w, find_saved, &s);
        if (s.held != NULL)
            s.held->number = 1;
        hg_release(w, s.held);
    } while (s.held != NULL);
}

START_TEST(every_allocation_of_every_call_may_fail)
{
    unsigned failed = 1;
    for (unsigned after = 0; failed > 0; after++) {
        hg_world *w = quiet_world();
        memory_fail(after, after % 5 == 0 ? 3 : 0);
        use_everything(w);
        failed = memory_fail_never();
        hg_check(w);
        let_saved_go(w);
        ck_assert_uint_eq(objects(w), 0);
        hg_world_free(w);
    }
}
END_TEST

/* Whichever allocation fails: nothing is lost, and the next collection is whole. */
START_TEST(every_allocation_may_fail)
{
    unsigned failed = 1;
    for (unsigned after = 0; failed > 0; after++) {
        hg_world *w = quiet_world();
        memory_fail(after, 0);
        Node *a = hg_new(w, &Node_type);
        Node *b = a == NULL ? NULL : hg_new(w, &Node_type);
        if (b != NULL) {
            hg_set(w, &a->left, b);
            hg_move(w, &b->left, a);
            hg_weak_new(w, b, NULL, NULL);
            hg_release(w, b);
            hg_collect(w, HG_YOUNG, NULL);
            hg_collect(w, HG_FULL, NULL);
        } else {
            hg_release(w, a);
        }
        failed = memory_fail_never();
        collect(w, HG_FULL);
        ck_assert_uint_eq(objects(w), 0);
        hg_world_free(w);
    }
}
END_TEST

static void keep_slices(hg_world *w, int generation, const hg_collection *done,
                        void *arg)
{
    (void)w, (void)generation;
    if (done != NULL)
        *(hg_collection *)arg = *done;
}

/* One connected structure is judged at once, but freed bit by bit. */
START_TEST(a_large_ring_is_freed_in_slices_while_others_are_born)
{
    enum { RING = 1000 };
    hg_world *w = quiet_world();
    hg_collection last = {0};
    hg_set_on_collection(w, keep_slices, &last);
    Leaf *leaf = hg_new(w, &Leaf_type);
    Node *first = hg_new(w, &Node_type), *node = first;
    for (int i = 1; i < RING; i++) {
        hg_set(w, &node->right, leaf);
        hg_move(w, &node->left, hg_new(w, &Node_type));
        node = node->left;
    }
    hg_move(w, &node->left, first);
    Node *kept = hg_new(w, &Node_type);
    int done = 0, partly = 0;
    while (!done) {
        ck_assert_int_eq(hg_step(w, 0, &done), HG_OK);
        hg_check(w);
        Node *next = hg_new(w, &Node_type);
        hg_move(w, &next->left, kept);
        kept = next;
        partly += leaf->head.count > 1 && leaf->head.count < RING;
    }
    ck_assert_uint_eq(last.freed, RING);
    ck_assert_int_gt(partly, RING / 10);
    ck_assert_uint_eq(leaf->head.count, 1);
    hg_release(w, kept);
    hg_release(w, leaf);
    ck_assert_uint_eq(objects(w), 0);
    hg_world_free(w);
}
END_TEST

/* When a world collects by itself; a stress build does at every object. */
#ifndef HG_STRESS
START_TEST(a_world_collects_by_itself_and_stays_small)
{
    hg_world *w = hg_world_new();
    size_t most = 0;
    for (int i = 0; i < 300000; i++) {
        hg_release(w, pair(w));
        if (objects(w) > most)
            most = objects(w);
    }
    ck_assert_uint_le(most, 60000);
    hg_statistics s;
    hg_get_statistics(w, &s);
    ck_assert_uint_gt(s.collections[HG_YOUNG] + s.collections[HG_FULL], 0);
    hg_world_free(w);
}
END_TEST

/* Nothing but survivors: the middle generation is looked at before it is large. */
START_TEST(survivors_do_not_pile_up_in_the_middle)
{
    hg_world *w = hg_world_new();
    hg_policy policy = {
        .automatic = 1, .young = 1000, .middle = 1000000, .growth = 1e9};
    hg_set_policy(w, &policy);
    hg_collection last = {0};
    size_t most = 0;
    hg_set_on_collection(w, keep_slices, &last);
    Node *list = NULL;
    for (int i = 0; i < 50000; i++) {
        Node *node = hg_new(w, &Node_type);
        hg_move(w, &node->left, list);
        list = node;
        if (i % 20 == 0)
            hg_release(w, pair(w)); /* what finds nothing is left out */
        if (last.generation == HG_MIDDLE && last.examined > most)
            most = last.examined;
    }
    ck_assert_uint_gt(most, 3000);
    ck_assert_uint_lt(most, 5000);
    hg_release(w, list);
    hg_world_free(w);
}
END_TEST

/* One in eight of the young collections is made, until one finds something. */
START_TEST(collections_that_find_nothing_are_left_out)
{
    hg_world *w = hg_world_new();
    hg_policy policy = {
        .automatic = 1, .young = 1000, .middle = 1000000, .growth = 1e9};
    hg_set_policy(w, &policy);
    Node *list = NULL;
    hg_statistics s;
    for (int i = 0; i < 100000; i++) {
        Node *node = hg_new(w, &Node_type);
        hg_move(w, &node->left, list);
        list = node;
    }
    hg_get_statistics(w, &s);
    ck_assert_uint_ge(s.collections[HG_YOUNG] + s.collections[HG_MIDDLE], 10);
    ck_assert_uint_le(s.collections[HG_YOUNG] + s.collections[HG_MIDDLE], 20);
    for (int i = 0; i < 100000; i++)
        hg_release(w, pair(w));
    hg_get_statistics(w, &s);
    ck_assert_uint_ge(s.collections[HG_YOUNG] + s.collections[HG_MIDDLE], 100);
    ck_assert_uint_lt(s.objects, 120000);
    hg_release(w, list);
    hg_world_free(w);
}
END_TEST

START_TEST(a_long_object_waits_for_a_collection_of_the_old)
{
    static const hg_type items_type = {
        .name = "items", .size = sizeof(hg_object), .flags = HG_ITEMS};
    hg_world *w = hg_world_new();
    hg_policy policy = {.automatic = 1, .young = 100, .middle = 2, .growth = 1e9};
    hg_set_policy(w, &policy);
    for (uint32_t length = 4096; length <= 4097; length++) {
        hg_object *list = hg_new_items(w, &items_type, length);
        hg_set(w, list + 1, list);
        hg_weak *weak = hg_weak_new(w, list, NULL, NULL);
        hg_release(w, list);
        for (int i = 0; i < 5000; i++)
            hg_release(w, pair(w));
        void *got = hg_weak_get(w, weak);
        ck_assert_ptr_eq(got, length == 4096 ? NULL : list);
        hg_release(w, got);
        hg_weak_free(w, weak);
    }
    ck_assert_uint_ge(collect(w, HG_FULL), 1);
    ck_assert_uint_eq(objects(w), 0);
    hg_world_free(w);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("object_cycles");
    TCase *t = add_case(suite, "cycles");
    tcase_add_test(t, a_node_that_refers_to_itself_is_found);
    tcase_add_test(t, what_is_held_from_outside_stays_with_all_it_reaches);
    tcase_add_test(t, garbage_drops_what_is_no_garbage);
    tcase_add_test(t, survivors_grow_older_and_are_left_alone);
    tcase_add_test(t, untracked_and_frozen_objects_hold_what_they_refer_to);
    tcase_add_test(t, worlds_collect_only_their_own);
    tcase_add_test(t, more_references_than_a_count_of_marking_holds);
    tcase_add_test(t, finalizers_run_once_by_release_and_by_collection);
    tcase_add_test(t, a_resurrected_object_is_not_finalized_again);
    tcase_add_test(t, resurrection_saves_what_it_reaches_and_no_more);
    tcase_add_test(t, finalizers_may_take_garbage_apart_and_allocate);
    tcase_add_test(t, weak_references_to_garbage_go_and_call);
    TCase *s = add_case(suite, "slices");
    tcase_add_test(s, all_that_is_garbage_when_a_cycle_begins_is_gone_when_it_ends);
    tcase_add_test(s, a_reference_hidden_from_marking_is_found_by_the_exact_rule);
    tcase_add_test(s, a_large_ring_is_freed_in_slices_while_others_are_born);
#ifndef HG_STRESS
    tcase_add_test(s, a_world_collects_by_itself_and_stays_small);
    tcase_add_test(s, survivors_do_not_pile_up_in_the_middle);
    tcase_add_test(s, collections_that_find_nothing_are_left_out);
    tcase_add_test(s, a_long_object_waits_for_a_collection_of_the_old);
#endif
    tcase_add_test(s, a_collection_tells_before_and_after);
    tcase_add_test_raise_signal(
        s, a_world_freed_while_it_tells_of_a_collection_aborts, SIGABRT);
    tcase_add_test(s,
                   who_is_told_may_allocate_and_take_himself_off_but_not_collect);
    tcase_add_test(s, a_collection_that_memory_fails_is_told_of_to_its_end);
    tcase_add_test(s, every_allocation_may_fail);
    tcase_add_test(s, every_allocation_of_every_call_may_fail);
    return run_suite(suite);
}
