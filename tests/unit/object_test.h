/* SPDX-License-Identifier: MIT */
/* object_test.h - what the tests of objects have in common. */
#ifndef HG_TESTS_OBJECT_TEST_H
#define HG_TESTS_OBJECT_TEST_H

#include "heap_test.h"
#include "heapglass/object.h"
#include "object/world.h"

typedef struct Node {
    hg_object head;
    struct Node *left, *right;
    int number;
} Node;

static const hg_type Node_type __attribute__((unused)) = {
    .name = "Node", .size = sizeof(Node), .refs = HG_REFS(Node, left, right)};

typedef struct {
    hg_object head;
    int number;
} Leaf;

static const hg_type Leaf_type
    __attribute__((unused)) = {.name = "Leaf", .size = sizeof(Leaf)};

/* A world that collects only when it is told to. */
static inline hg_world *quiet_world(void)
{
    hg_world *w = hg_world_new();
    ck_assert_ptr_nonnull(w);
    hg_policy policy;
    hg_get_policy(w, &policy);
    policy.automatic = 0;
    hg_set_policy(w, &policy);
    return w;
}

static inline size_t objects(const hg_world *w)
{
    hg_statistics s;
    hg_get_statistics(w, &s);
    return s.objects;
}

static inline size_t collect(hg_world *w, int generation)
{
    hg_collection done;
    ck_assert_int_eq(hg_collect(w, generation, &done), HG_OK);
    hg_check(w);
    return done.freed;
}

/* Two nodes that refer to each other, and to nothing else; one reference is the
   caller's. */
static inline Node *pair(hg_world *w)
{
    Node *a = hg_new(w, &Node_type);
    hg_move(w, &a->left, hg_new(w, &Node_type));
    hg_set(w, &a->left->left, a);
    return a;
}

#endif
