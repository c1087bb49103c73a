/* SPDX-License-Identifier: MIT */
/*
 * gcbench.c - GCBench in one of four ways, by macros:
 *
 *     WITH_OBJECTS    Heapglass's objects
 *     WITH_BOEHM      Boehm's collector
 *     otherwise       malloc and free: the floor
 *
 * and CYCLIC: every node refers to its parent, so that counts alone free nothing;
 * not with malloc.
 *
 *     gcbench DEPTH [timed]
 */
#ifdef WITH_OBJECTS
#include "heapglass/object.h"

typedef struct node {
    hg_object head;
    struct node *left, *right, *parent;
} node;

static const hg_type node_type = {.name = "node",
                                  .size = sizeof(node),
                                  .refs = HG_REFS(node, left, right, parent)};
static hg_world *world;

static node *node_new(void)
{
    return hg_new(world, &node_type);
}

static void node_left(node *at, node *child)
{
    hg_move(world, &at->left, child);
#ifdef CYCLIC
    hg_set(world, &child->parent, at);
#endif
}

static void node_right(node *at, node *child)
{
    hg_move(world, &at->right, child);
#ifdef CYCLIC
    hg_set(world, &child->parent, at);
#endif
}

static void node_drop(node *at)
{
    hg_release(world, at);
}

#else
#ifdef WITH_BOEHM
#include <gc/gc.h>
#else
#include <stdlib.h>
#endif
#include <stddef.h>

/* As large as an object of ours. */
typedef struct node {
    struct node *left, *right;
    struct node *parent;
    size_t numbers[2];
} node;

static node *node_new(void)
{
#ifdef WITH_BOEHM
    return GC_MALLOC(sizeof(node));
#else
    return calloc(1, sizeof(node));
#endif
}

static void node_left(node *at, node *child)
{
    at->left = child;
#ifdef CYCLIC
    child->parent = at;
#endif
}

static void node_right(node *at, node *child)
{
    at->right = child;
#ifdef CYCLIC
    child->parent = at;
#endif
}

static void node_drop(node *at)
{
#ifdef WITH_BOEHM
    (void)at;
#else
    if (at == NULL)
        return;
    node_drop(at->left);
    node_drop(at->right);
    free(at);
#endif
}
#endif

#include "gcbench.h"

int main(int argc, char **argv)
{
#ifdef WITH_OBJECTS
    world = hg_world_new();
    return gcbench("heapglass", argc, argv);
#elif defined WITH_BOEHM
    GC_INIT();
    return gcbench("boehm", argc, argv);
#else
    return gcbench("malloc", argc, argv);
#endif
}
