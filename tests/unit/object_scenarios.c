/* SPDX-License-Identifier: MIT */
/*
 * object_scenarios.c - what CPython's own tests of its collector, of finalizers and
 * of weak references ask for, in the words of this library.
 *
 * The table at the end names each by the test it comes from.  Left out is what only
 * Python has: frames, uncollectable garbage, proxies, exceptions in callbacks.
 */
#include "object_test.h"

/* ------------------------------------------------------------------ what is told
 */

static hg_world *w;
static int finalized, told;
static Node *kept; /* what a finalizer or a callback saved */

static void count_finalized(hg_world *world, void *self)
{
    (void)world, (void)self;
    finalized++;
}

static void save(hg_world *world, void *self)
{
    (void)world;
    finalized++;
    kept = hg_retain(self);
}

/* As a finalizer that takes its object out of the cycle. */
static void leave_cycle(hg_world *world, void *self)
{
    finalized++;
    hg_set(world, &((Node *)self)->left, NULL);
}

#define NODE(name_, finalize_)                                                     \
    static const hg_type name_##_type = {.name = #name_,                           \
                                         .size = sizeof(Node),                     \
                                         .refs = HG_REFS(Node, left, right),       \
                                         .finalize = finalize_};
NODE(Counted, count_finalized)
NODE(Saved, save)
NODE(Suicidal, leave_cycle)

typedef struct {
    hg_object head;
    void *items[];
} List;
static const hg_type List_type = {
    .name = "List", .size = sizeof(List), .flags = HG_ITEMS};

typedef struct {
    hg_object head;
    void *key, *value;
} Table;

static void traverse_table(const void *self, hg_visit *visit, void *arg)
{
    const Table *table = self;
    visit(table->key, arg);
    visit(table->value, arg);
}

static const hg_type Table_type = {
    .name = "Table", .size = sizeof(Table), .traverse = traverse_table};

static void tell(hg_world *world, hg_weak *weak, void *arg)
{
    ck_assert_ptr_null(hg_weak_get(world, weak));
    told++;
    if (arg != NULL)
        (*(int *)arg)++;
}

/* A chain of `count` that ends where it begins; of alternating types.  The caller
   has no reference. */
static Node *drop_ring(const hg_type *a, const hg_type *b, int count)
{
    Node *first = hg_new(w, a), *last = first;
    for (int i = 1; i < count; i++) {
        Node *next = hg_new(w, i % 2 ? b : a);
        hg_move(w, &last->left, next);
        last = next;
    }
    hg_set(w, &last->left, first);
    hg_release(w, first);
    return first;
}

/* --------------------------------------------------------------------- containers
 */

static void a_list_in_itself(void)
{
    List *list = hg_new_items(w, &List_type, 3);
    hg_set(w, &list->items[1], list);
    hg_release(w, list);
    ck_assert_uint_eq(collect(w, HG_FULL), 1);
}

static void a_table_in_itself(void)
{
    Table *table = hg_new(w, &Table_type);
    hg_set(w, &table->value, table);
    hg_release(w, table);
    ck_assert_uint_eq(collect(w, HG_FULL), 1);
}

static void a_tuple_in_a_list_in_it(void)
{
    List *tuple = hg_new_items(w, &List_type, 1);
    List *list = hg_new_items(w, &List_type, 2);
    hg_move(w, &tuple->items[0], list);
    hg_set(w, &list->items[0], tuple);
    hg_release(w, tuple);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
}

/* The class refers to itself; its instance goes at once, the class by a collection.
 */
static void a_class_and_its_instance(void)
{
    Node *class = hg_new(w, &Node_type), *instance = hg_new(w, &Node_type);
    hg_set(w, &class->right, class);
    hg_set(w, &instance->left, class);
    hg_release(w, instance);
    ck_assert_uint_eq(objects(w), 1);
    hg_release(w, class);
    ck_assert_uint_eq(collect(w, HG_FULL), 1);
}

static void a_method_bound_to_its_object(void)
{
    Node *object = hg_new(w, &Node_type);
    hg_move(w, &object->left, hg_new(w, &Node_type));
    hg_set(w, &object->left->left, object);
    hg_release(w, object);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
}

static void deeply_nested_lists(void)
{
    enum { DEEP = 300000 };
    for (int round = 0; round < 2; round++) {
        List *outer = hg_new_items(w, &List_type, 1);
        for (int i = 0; i < DEEP; i++) {
            List *next = hg_new_items(w, &List_type, 1);
            hg_move(w, &next->items[0], outer);
            outer = next;
        }
        hg_release(w, outer);
        ck_assert_uint_eq(hg_flush(w, 0), 0);
    }
}

/* --------------------------------------------------------------------- the module
 */

static void count_of_the_young(void)
{
    hg_statistics s;
    hg_get_statistics(w, &s);
    size_t before = s.young;
    Node *a = hg_new(w, &Node_type), *b = hg_new(w, &Node_type);
    hg_get_statistics(w, &s);
    ck_assert_uint_eq(s.young, before + 2);
    hg_release(w, a);
    hg_release(w, b);
    hg_get_statistics(w, &s);
    ck_assert_uint_eq(s.young, before);
}

static void generations_are_climbed_one_by_one(void)
{
    Node *a = pair(w);
    collect(w, HG_YOUNG);
    collect(w, HG_MIDDLE);
    hg_release(w, a);
    ck_assert_uint_eq(collect(w, HG_YOUNG), 0);
    ck_assert_uint_eq(collect(w, HG_MIDDLE), 0);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
}

static void statistics_count_collections(void)
{
    hg_statistics before, after;
    hg_get_statistics(w, &before);
    hg_release(w, pair(w));
    collect(w, HG_YOUNG);
    collect(w, HG_FULL);
    hg_get_statistics(w, &after);
    ck_assert_uint_eq(after.collections[HG_YOUNG],
                      before.collections[HG_YOUNG] + 1);
    ck_assert_uint_eq(after.collections[HG_FULL], before.collections[HG_FULL] + 1);
    ck_assert_uint_eq(after.freed[HG_YOUNG], before.freed[HG_YOUNG] + 2);
}

static void what_is_frozen_is_left_alone(void)
{
    Node *a = pair(w);
    hg_freeze(w);
    hg_release(w, a);
    ck_assert_uint_eq(collect(w, HG_FULL), 0);
    hg_unfreeze(w);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
}

static void count_object(const void *object, void *arg)
{
    (void)object;
    ++*(int *)arg;
}

static void all_objects_are_shown(void)
{
    Node *a = pair(w);
    int count = 0;
    hg_walk(w, count_object, &count);
    ck_assert_int_eq(count, 2);
    hg_release(w, a);
    collect(w, HG_FULL);
}

static void referents_are_shown_with_every_mention(void)
{
    List *list = hg_new_items(w, &List_type, 4);
    Leaf *leaf = hg_new(w, &Leaf_type);
    hg_set(w, &list->items[0], leaf);
    hg_set(w, &list->items[3], leaf);
    int count = 0;
    hg_referents(list, count_object, &count);
    ck_assert_int_eq(count, 2);
    hg_release(w, leaf);
    hg_release(w, list);
}

static void what_can_be_in_no_cycle_is_not_tracked(void)
{
    Leaf *leaf = hg_new(w, &Leaf_type);
    Node *node = hg_new(w, &Node_type);
    ck_assert(!hg_is_tracked(w, leaf));
    ck_assert(hg_is_tracked(w, node));
    hg_untrack(w, node);
    ck_assert(!hg_is_tracked(w, node));
    hg_release(w, leaf);
    hg_release(w, node);
}

static void a_finalized_object_says_so(void)
{
    Node *node = hg_new(w, &Saved_type);
    ck_assert(!hg_is_finalized(w, node));
    hg_release(w, node);
    ck_assert(hg_is_finalized(w, kept));
    hg_release(w, kept);
}

static void note_phase(hg_world *world, int generation, const hg_collection *done,
                       void *arg)
{
    (void)world;
    int *phases = arg;
    phases[done != NULL]++;
    phases[2] = generation;
    if (done != NULL)
        phases[3] = (int)done->freed;
}

static void before_and_after_are_told(void)
{
    int phases[4] = {0};
    hg_set_on_collection(w, note_phase, phases);
    hg_release(w, pair(w));
    collect(w, HG_FULL);
    ck_assert_int_eq(phases[0], 1);
    ck_assert_int_eq(phases[1], 1);
    ck_assert_int_eq(phases[2], HG_FULL);
    ck_assert_int_eq(phases[3], 2);
    collect(w, HG_YOUNG);
    ck_assert_int_eq(phases[2], HG_YOUNG);
    ck_assert_int_eq(phases[3], 0);
    hg_set_on_collection(w, NULL, NULL);
}

static void garbage_goes_with_its_world(void)
{
    drop_ring(&Counted_type, &Node_type, 4);
    hg_world_free(w);
    ck_assert_int_eq(finalized, 2);
    w = quiet_world();
}

/* --------------------------------------------------------------------- finalizers
 */

static void one_without_a_cycle(void)
{
    hg_release(w, hg_new(w, &Counted_type));
    ck_assert_int_eq(finalized, 1);
    ck_assert_uint_eq(objects(w), 0);
}

static void one_that_saves_itself(void)
{
    hg_release(w, hg_new(w, &Saved_type));
    ck_assert_int_eq(finalized, 1);
    ck_assert_uint_eq(objects(w), 1);
    hg_release(w, kept);
    ck_assert_int_eq(finalized, 1);
    ck_assert_uint_eq(objects(w), 0);
}

static const hg_type Plain_type = {.name = "Plain",
                                   .size = sizeof(Node),
                                   .flags = HG_ACYCLIC,
                                   .finalize = count_finalized};

static void one_that_no_collector_looks_at(void)
{
    hg_release(w, hg_new(w, &Plain_type));
    ck_assert_int_eq(finalized, 1);
    ck_assert_uint_eq(objects(w), 0);
}

static const hg_type Plain_saved_type = {.name = "PlainSaved",
                                         .size = sizeof(Node),
                                         .flags = HG_ACYCLIC,
                                         .finalize = save};

static void one_that_no_collector_looks_at_saves_itself(void)
{
    hg_release(w, hg_new(w, &Plain_saved_type));
    ck_assert_uint_eq(objects(w), 1);
    hg_release(w, kept);
    ck_assert_int_eq(finalized, 1);
    ck_assert_uint_eq(objects(w), 0);
}

static void in_a_cycle_of_its_own(void)
{
    drop_ring(&Counted_type, &Counted_type, 1);
    ck_assert_int_eq(finalized, 0);
    ck_assert_uint_eq(collect(w, HG_FULL), 1);
    ck_assert_int_eq(finalized, 1);
}

static void in_a_cycle_of_its_own_saves_itself(void)
{
    drop_ring(&Saved_type, &Saved_type, 1);
    ck_assert_uint_eq(collect(w, HG_FULL), 0);
    ck_assert_int_eq(finalized, 1);
    hg_release(w, kept);
    ck_assert_uint_eq(collect(w, HG_FULL), 1);
    ck_assert_int_eq(finalized, 1);
}

static void in_a_cycle_of_its_own_breaks_it(void)
{
    drop_ring(&Suicidal_type, &Suicidal_type, 1);
    collect(w, HG_FULL);
    ck_assert_int_eq(finalized, 1);
    ck_assert_uint_eq(objects(w), 0);
}

static void a_chain_of_one_kind(void)
{
    drop_ring(&Counted_type, &Counted_type, 10);
    ck_assert_uint_eq(collect(w, HG_FULL), 10);
    ck_assert_int_eq(finalized, 10);
}

static void a_chain_of_one_kind_that_breaks_itself(void)
{
    drop_ring(&Suicidal_type, &Suicidal_type, 10);
    collect(w, HG_FULL);
    ck_assert_int_eq(finalized, 10);
    ck_assert_uint_eq(objects(w), 0);
}

static void a_chain_where_some_break_it(void)
{
    drop_ring(&Suicidal_type, &Counted_type, 8);
    collect(w, HG_FULL);
    ck_assert_int_eq(finalized, 8);
    ck_assert_uint_eq(objects(w), 0);
}

static void a_chain_where_one_saves_all(void)
{
    Node *first = drop_ring(&Counted_type, &Counted_type, 4);
    Node *saved = hg_new(w, &Saved_type);
    hg_move(w, &first->right, saved);
    hg_set(w, &saved->right, first);
    ck_assert_uint_eq(collect(w, HG_FULL), 0);
    ck_assert_int_eq(finalized, 5);
    ck_assert_uint_eq(objects(w), 5);
    hg_release(w, kept);
    ck_assert_uint_eq(collect(w, HG_FULL), 5);
    ck_assert_int_eq(finalized, 5);
}

static void resurrection_does_not_keep_others(void)
{
    enum { OTHERS = 100 };
    drop_ring(&Saved_type, &Saved_type, 1);
    for (int i = 0; i < OTHERS; i++)
        drop_ring(&Counted_type, &Node_type, 2);
    ck_assert_uint_eq(collect(w, HG_FULL), 2 * OTHERS);
    ck_assert_uint_eq(objects(w), 1);
    hg_release(w, kept);
    ck_assert_uint_eq(collect(w, HG_FULL), 1);
}

/* ----------------------------------------------------------------- weak references
 */

static void it_gives_its_target_while_there_is_one(void)
{
    Node *node = hg_new(w, &Node_type);
    hg_weak *weak = hg_weak_new(w, node, NULL, NULL);
    Node *same = hg_weak_get(w, weak);
    ck_assert_ptr_eq(same, node);
    hg_release(w, same);
    hg_release(w, node);
    ck_assert_ptr_null(hg_weak_get(w, weak));
    hg_weak_free(w, weak);
}

static void each_of_several_is_told(void)
{
    enum { WEAKS = 5 };
    Node *node = hg_new(w, &Node_type);
    hg_weak *weaks[WEAKS];
    int each[WEAKS] = {0};
    for (int i = 0; i < WEAKS; i++)
        weaks[i] = hg_weak_new(w, node, tell, &each[i]);
    hg_release(w, node);
    for (int i = 0; i < WEAKS; i++) {
        ck_assert_int_eq(each[i], 1);
        hg_weak_free(w, weaks[i]);
    }
}

static hg_weak *mates[2];

static void free_both(hg_world *world, hg_weak *weak, void *arg)
{
    (void)weak, (void)arg;
    told++;
    for (int i = 0; i < 2; i++) {
        hg_weak_free(world, mates[i]);
        mates[i] = NULL;
    }
}

static void one_that_frees_the_others_is_told_alone(void)
{
    Node *node = hg_new(w, &Node_type);
    for (int i = 0; i < 2; i++)
        mates[i] = hg_weak_new(w, node, free_both, NULL);
    hg_release(w, node);
    ck_assert_int_eq(told, 1);
}

static void garbage_is_told_of_and_gives_nothing(void)
{
    Node *a = pair(w);
    hg_weak *one = hg_weak_new(w, a, tell, NULL);
    hg_weak *two = hg_weak_new(w, a->left, tell, NULL);
    hg_release(w, a);
    ck_assert_int_eq(told, 0);
    collect(w, HG_FULL);
    ck_assert_int_eq(told, 2);
    hg_weak_free(w, one);
    hg_weak_free(w, two);
}

static void what_only_garbage_refers_to_is_told_of(void)
{
    Node *a = pair(w);
    Leaf *leaf = hg_new(w, &Leaf_type);
    hg_move(w, &a->right, leaf);
    hg_weak *weak = hg_weak_new(w, leaf, tell, NULL);
    hg_release(w, a);
    collect(w, HG_FULL);
    ck_assert_int_eq(told, 1);
    hg_weak_free(w, weak);
}

static hg_weak *seen_by_finalizer;

static void look_at_weak(hg_world *world, void *self)
{
    (void)self;
    finalized++;
    ck_assert_ptr_null(hg_weak_get(world, seen_by_finalizer));
}

NODE(Looking, look_at_weak)

static void they_go_before_finalizers_of_garbage_run(void)
{
    Node *a = hg_new(w, &Looking_type);
    hg_set(w, &a->left, a);
    seen_by_finalizer = hg_weak_new(w, a, tell, NULL);
    hg_release(w, a);
    collect(w, HG_FULL);
    ck_assert_int_eq(finalized, 1);
    ck_assert_int_eq(told, 1);
    hg_weak_free(w, seen_by_finalizer);
}

static void garbage_that_is_saved_has_lost_them(void)
{
    Node *a = hg_new(w, &Saved_type);
    hg_set(w, &a->left, a);
    hg_weak *weak = hg_weak_new(w, a, tell, NULL);
    hg_release(w, a);
    collect(w, HG_FULL);
    ck_assert_uint_eq(objects(w), 1);
    ck_assert_ptr_null(hg_weak_get(w, weak));
    ck_assert_int_eq(told, 1);
    hg_weak_free(w, weak);
    hg_release(w, kept);
    collect(w, HG_FULL);
}

static void make_weak(hg_world *world, void *self)
{
    finalized++;
    hg_weak *weak = hg_weak_new(world, self, tell, NULL);
    if (weak != NULL)
        hg_weak_free(world, weak);
}

NODE(Weakening, make_weak)

static void one_made_in_a_finalizer(void)
{
    hg_release(w, hg_new(w, &Weakening_type));
    drop_ring(&Weakening_type, &Weakening_type, 3);
    collect(w, HG_FULL);
    ck_assert_int_eq(finalized, 4);
    ck_assert_int_eq(told, 0);
    ck_assert_uint_eq(objects(w), 0);
}

static void collect_in_callback(hg_world *world, hg_weak *weak, void *arg)
{
    tell(world, weak, arg);
    drop_ring(&Node_type, &Node_type, 3);
    hg_collect(world, HG_FULL, NULL);
}

static void one_that_collects_when_it_is_told(void)
{
    Node *plain = hg_new(w, &Node_type), *ring = pair(w);
    hg_weak *one = hg_weak_new(w, plain, collect_in_callback, NULL);
    hg_weak *two = hg_weak_new(w, ring, collect_in_callback, NULL);
    hg_release(w, plain);
    hg_release(w, ring);
    collect(w, HG_FULL);
    collect(w, HG_FULL);
    ck_assert_int_eq(told, 2);
    ck_assert_uint_eq(objects(w), 0);
    hg_weak_free(w, one);
    hg_weak_free(w, two);
}

/* One that calls back lies in garbage itself: it is told while all is whole, and
   may bring it back. */
typedef struct {
    hg_object head;
    void *to;
    hg_weak *weak;
    int load;
} Watcher;
static Watcher *brought_back;

static void watcher_dispose(void *self)
{
    hg_weak_free(w, ((Watcher *)self)->weak);
}

static const hg_type Watcher_type = {.name = "Watcher",
                                     .size = sizeof(Watcher),
                                     .refs = HG_REFS(Watcher, to),
                                     .dispose = watcher_dispose};

static void bring_back(hg_world *world, hg_weak *weak, void *arg)
{
    Watcher *self = arg;
    ck_assert_ptr_null(hg_weak_get(world, weak));
    ck_assert_int_eq(self->load, 42);
    told++;
    brought_back = hg_retain(self);
}

static void one_in_garbage_that_saves_itself(void)
{
    Watcher *watcher = hg_new(w, &Watcher_type);
    Node *node = hg_new(w, &Node_type);
    watcher->load = 42;
    watcher->weak = hg_weak_new(w, node, bring_back, watcher);
    hg_set(w, &node->left, watcher);
    hg_set(w, &watcher->to, node);
    hg_release(w, node);
    hg_release(w, watcher);
    ck_assert_uint_eq(collect(w, HG_FULL), 0);
    ck_assert_int_eq(told, 1);
    ck_assert_ptr_eq(brought_back->to, node);
    hg_release(w, brought_back);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
    ck_assert_int_eq(told, 1);
}

/* A live one is told of one part of the garbage, and looks for another. */
static hg_weak *of_another;

static void look_for_another(hg_world *world, hg_weak *weak, void *arg)
{
    tell(world, weak, arg);
    ck_assert_ptr_null(hg_weak_get(world, of_another));
}

static void one_that_looks_for_other_garbage(void)
{
    Node *a = pair(w);
    hg_weak *one = hg_weak_new(w, a, look_for_another, NULL);
    of_another = hg_weak_new(w, a->left, tell, NULL);
    hg_release(w, a);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
    ck_assert_int_eq(told, 2);
    hg_weak_free(w, one);
    hg_weak_free(w, of_another);
}

/* What is told of one death makes another, which is told, too. */
static Node *second;

static void drop_second(hg_world *world, hg_weak *weak, void *arg)
{
    tell(world, weak, arg);
    hg_release(world, second);
}

static void one_whose_call_is_another_s_reason(void)
{
    Node *first = hg_new(w, &Node_type);
    second = hg_new(w, &Node_type);
    hg_weak *one = hg_weak_new(w, first, drop_second, NULL);
    hg_weak *two = hg_weak_new(w, second, tell, NULL);
    hg_release(w, first);
    ck_assert_int_eq(told, 2);
    hg_weak_free(w, one);
    hg_weak_free(w, two);
}

/* Every link of a long chain is watched, and each call makes and drops others. */
static void make_and_drop(hg_world *world, hg_weak *weak, void *arg)
{
    tell(world, weak, arg);
    hg_weak_free(world, weak);
    hg_release(world, hg_new(world, &Counted_type));
}

static void a_long_chain_of_watched_ones(void)
{
    enum { LONG_CHAIN = 20000 };
    Node *first = NULL;
    for (int i = 0; i < LONG_CHAIN; i++) {
        Node *node = hg_new(w, &Node_type);
        hg_move(w, &node->left, first);
        hg_weak_new(w, node, make_and_drop, NULL);
        first = node;
    }
    hg_release(w, first);
    hg_flush(w, 0);
    ck_assert_int_eq(told, LONG_CHAIN);
    ck_assert_int_eq(finalized, LONG_CHAIN);
}

/* A function and the table of globals that it is in. */
static void a_function_in_its_globals(void)
{
    Table *globals = hg_new(w, &Table_type);
    Node *function = hg_new(w, &Node_type);
    hg_set(w, &function->left, globals);
    hg_move(w, &globals->value, function);
    hg_release(w, globals);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
}

static void automatic(int on)
{
    hg_policy policy;
    hg_get_policy(w, &policy);
    policy.automatic = on;
    policy.young = 100;
    hg_set_policy(w, &policy);
}

static void none_comes_while_they_are_switched_off(void)
{
    for (int i = 0; i < 5000; i++)
        hg_release(w, pair(w));
    ck_assert_uint_eq(objects(w), 10000);
    automatic(1);
    for (int i = 0; i < 5000; i++)
        hg_release(w, pair(w));
    ck_assert_uint_lt(objects(w), 15000);
    automatic(0);
    size_t before = objects(w);
    hg_release(w, pair(w));
    ck_assert_uint_eq(objects(w), before + 2);
    collect(w, HG_FULL);
}

/* Those that saved themselves were not freed: the count says so, that time and the
   next. */
static void what_is_saved_is_not_counted_as_freed(void)
{
    hg_collection done;
    drop_ring(&Saved_type, &Saved_type, 1);
    drop_ring(&Counted_type, &Counted_type, 5);
    ck_assert_int_eq(hg_collect(w, HG_FULL, &done), HG_OK);
    ck_assert_uint_eq(done.unreachable, 6);
    ck_assert_uint_eq(done.freed, 5);
    hg_release(w, kept);
    ck_assert_int_eq(hg_collect(w, HG_FULL, &done), HG_OK);
    ck_assert_uint_eq(done.unreachable, 1);
    ck_assert_uint_eq(done.freed, 1);
}

/* Each of a ring saves itself: all stay, until each was let go. */
static Node *all_saved[16];
static int saved_count;

static void save_each(hg_world *world, void *self)
{
    (void)world;
    finalized++;
    all_saved[saved_count++] = hg_retain(self);
}

NODE(Each, save_each)

static void let_all_go(void)
{
    while (saved_count > 0)
        hg_release(w, all_saved[--saved_count]);
}

static void a_chain_where_each_saves_itself(void)
{
    saved_count = 0;
    drop_ring(&Each_type, &Each_type, 8);
    ck_assert_uint_eq(collect(w, HG_FULL), 0);
    ck_assert_int_eq(finalized, 8);
    let_all_go();
    ck_assert_uint_eq(collect(w, HG_FULL), 8);
    ck_assert_int_eq(finalized, 8);
}

/* One breaks the ring, another saves itself: what it reaches stays with it. */
static void a_chain_where_some_break_it_and_some_save_themselves(void)
{
    saved_count = 0;
    drop_ring(&Suicidal_type, &Each_type, 8);
    collect(w, HG_FULL);
    ck_assert_int_eq(finalized, 8);
    ck_assert_uint_eq(objects(w), 8 - 4 + 4);
    let_all_go();
    collect(w, HG_FULL);
    ck_assert_int_eq(finalized, 8);
    ck_assert_uint_eq(objects(w), 0);
}

/* A finalizer makes garbage of its own kind: that of one collection is for the
 * next.
 */
static void make_garbage(hg_world *world, void *self)
{
    (void)self;
    if (finalized++ < 3) {
        Node *node = hg_new(world, ((Node *)self)->head.type);
        hg_set(world, &node->left, node);
        hg_release(world, node);
    }
}

NODE(Fertile, make_garbage)

static void one_that_makes_garbage(void)
{
    drop_ring(&Fertile_type, &Fertile_type, 1);
    for (int i = 1; i <= 4; i++) {
        ck_assert_uint_eq(collect(w, HG_FULL), 1);
        ck_assert_int_eq(finalized, i);
    }
    ck_assert_uint_eq(objects(w), 0);
}

/* Incremental: saved and freed in slices are the same. */
static void slices_find_the_same(void)
{
    drop_ring(&Saved_type, &Saved_type, 1);
    drop_ring(&Counted_type, &Counted_type, 300);
    for (int done = 0; !done;)
        ck_assert_int_eq(hg_step(w, 0, &done), HG_OK);
    ck_assert_int_eq(finalized, 301);
    ck_assert_uint_eq(objects(w), 1);
    hg_release(w, kept);
    ck_assert_uint_eq(collect(w, HG_FULL), 1);
}

/* -------------------------------------------------------------------------- table
 */

static const struct {
    const char *name;
    void (*run)(void);
} scenarios[] = {
    {"test_gc.test_list", a_list_in_itself},
    {"test_gc.test_dict", a_table_in_itself},
    {"test_gc.test_tuple", a_tuple_in_a_list_in_it},
    {"test_gc.test_newinstance", a_class_and_its_instance},
    {"test_gc.test_method", a_method_bound_to_its_object},
    {"test_gc.test_del_newclass", one_without_a_cycle},
    {"test_gc.test_get_count", count_of_the_young},
    {"test_gc.test_collect_generations", generations_are_climbed_one_by_one},
    {"test_gc.test_trashcan", deeply_nested_lists},
    {"test_gc.test_boom", in_a_cycle_of_its_own_breaks_it},
    {"test_gc.test_get_referents", referents_are_shown_with_every_mention},
    {"test_gc.test_is_tracked", what_can_be_in_no_cycle_is_not_tracked},
    {"test_gc.test_is_finalized", a_finalized_object_says_so},
    {"test_gc.test_bug1055820", what_only_garbage_refers_to_is_told_of},
    {"test_gc.test_bug21435", they_go_before_finalizers_of_garbage_run},
    {"test_gc.test_garbage_at_shutdown", garbage_goes_with_its_world},
    {"test_gc.test_get_stats", statistics_count_collections},
    {"test_gc.test_freeze", what_is_frozen_is_left_alone},
    {"test_gc.test_get_objects", all_objects_are_shown},
    {"test_gc.test_resurrection_only_happens_once_per_object",
     in_a_cycle_of_its_own_saves_itself},
    {"test_gc.test_resurrection_is_transitive", a_chain_where_one_saves_all},
    {"test_gc.test_resurrection_does_not_block_cleanup_of_other_objects",
     resurrection_does_not_keep_others},
    {"test_gc.test_trash_weakref_clear", garbage_is_told_of_and_gives_nothing},
    {"test_gc.GCCallbackTests.test_collect", before_and_after_are_told},
    {"test_finalization.test_simple", one_without_a_cycle},
    {"test_finalization.test_simple_resurrect", one_that_saves_itself},
    {"test_finalization.test_non_gc", one_that_no_collector_looks_at},
    {"test_finalization.test_non_gc_resurrect",
     one_that_no_collector_looks_at_saves_itself},
    {"test_finalization.SelfCycle.test_simple", in_a_cycle_of_its_own},
    {"test_finalization.SelfCycle.test_simple_resurrect",
     in_a_cycle_of_its_own_saves_itself},
    {"test_finalization.SelfCycle.test_simple_suicide",
     in_a_cycle_of_its_own_breaks_it},
    {"test_finalization.test_homogenous", a_chain_of_one_kind},
    {"test_finalization.test_homogenous_suicidal",
     a_chain_of_one_kind_that_breaks_itself},
    {"test_finalization.test_heterogenous_suicidal", a_chain_where_some_break_it},
    {"test_finalization.test_heterogenous_resurrect", a_chain_where_one_saves_all},
    {"test_weakref.test_basic_ref", it_gives_its_target_while_there_is_one},
    {"test_weakref.test_multiple_callbacks", each_of_several_is_told},
    {"test_weakref.test_multiple_selfref_callbacks",
     one_that_frees_the_others_is_told_alone},
    {"test_weakref.test_callback_in_cycle", garbage_is_told_of_and_gives_nothing},
    {"test_weakref.test_callback_reachable_one_way",
     what_only_garbage_refers_to_is_told_of},
    {"test_weakref.test_callback_in_cycle_resurrection",
     garbage_that_is_saved_has_lost_them},
    {"test_weakref.test_ref_created_during_del", one_made_in_a_finalizer},
    {"test_weakref.test_callback_gcs", one_that_collects_when_it_is_told},
    {"test_weakref.test_callback_in_cycle_1", one_in_garbage_that_saves_itself},
    {"test_weakref.test_callbacks_on_callback", one_whose_call_is_another_s_reason},
    {"test_weakref.test_trashcan_16602", a_long_chain_of_watched_ones},
    {"test_gc.test_bug1055820c", one_that_looks_for_other_garbage},
    {"test_gc.test_function", a_function_in_its_globals},
    {"test_gc.GCTogglingTests", none_comes_while_they_are_switched_off},
    {"test_gc.test_38379", what_is_saved_is_not_counted_as_freed},
    {"test_gc.test_boom2", one_that_makes_garbage},
    {"test_gc.test_incremental_gc_handles_fast_cycle_creation",
     slices_find_the_same},
    {"test_finalization.test_homogenous_resurrect",
     a_chain_where_each_saves_itself},
    {"test_finalization.test_heterogenous_resurrect_two",
     a_chain_where_some_break_it_and_some_save_themselves},
};
enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

START_TEST(scenario)
{
    finalized = told = 0;
    kept = NULL;
    w = quiet_world();
    scenarios[_i].run();
    hg_check(w);
    ck_assert_msg(objects(w) == 0, "%s leaves objects", scenarios[_i].name);
    hg_world_free(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("object_scenarios");
    /* Each is a case of its own, named by the test that it comes from. */
    for (int i = 0; i < SCENARIOS; i++) {
        TCase *one = add_case(suite, scenarios[i].name);
        tcase_add_loop_test(one, scenario, i, i + 1);
    }
    return run_suite(suite);
}
