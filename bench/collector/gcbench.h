/* SPDX-License-Identifier: MIT */
/*
 * gcbench.h - Ellis, Kovac and Boehm's GCBench: trees of nodes with two fields, of
 * many sizes, top down and bottom up, beside a tree and an array that live long.
 *
 * Whoever includes it says what a node is and how it comes and goes:
 *
 *     node_new()              one with empty fields, owned by the caller
 *     node_left(node, child)  the field takes the child; likewise node_right
 *     node_drop(node)         the caller's, with all below it
 */
#ifndef HG_BENCH_GCBENCH_H
#define HG_BENCH_GCBENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum { LONG_LIVED = 16, ARRAY = 500000, LEAST = 4 };

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t nodes, longest_ns;

/* A node, and how long it took: what a program sees of a collector. */
static node *timed_new(void)
{
    uint64_t began = clock_ns();
    node *n = node_new();
    uint64_t ns = clock_ns() - began;
    longest_ns = ns > longest_ns ? ns : longest_ns;
    nodes++;
    return n;
}

static bool timing; /* the clock costs more than a node */

static node *another(void)
{
    if (timing)
        return timed_new();
    nodes++;
    return node_new();
}

static void populate(node *at, int depth)
{
    if (depth == 0)
        return;
    node *left = another();
    node_left(at, left);
    node *right = another();
    node_right(at, right);
    populate(left, depth - 1);
    populate(right, depth - 1);
}

static node *bottom_up(int depth)
{
    node *made = another();
    if (depth > 0) {
        node_left(made, bottom_up(depth - 1));
        node_right(made, bottom_up(depth - 1));
    }
    return made;
}

static int gcbench(const char *name, int argc, char **argv)
{
    int most = argc > 1 ? atoi(argv[1]) : 18;
    timing = argc > 2;
    uint64_t began = clock_ns();
    node *stretch = bottom_up(most);
    node_drop(stretch);
    node *lives = another();
    populate(lives, LONG_LIVED);
    double *array = malloc(ARRAY * sizeof *array);
    for (int i = 0; i < ARRAY; i++)
        array[i] = 1.0 / (i + 1);
    for (int depth = LEAST; depth <= most; depth += 2) {
        int times = 2 * (1 << (most + 1)) / (1 << (depth + 1));
        for (int i = 0; i < times; i++) {
            node *tree = another();
            populate(tree, depth);
            node_drop(tree);
            tree = bottom_up(depth);
            node_drop(tree);
        }
    }
    double ns = (double)(clock_ns() - began);
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    /* One line: name, ns a node, longest ms (or 0), peak RSS in MB. */
    printf("%s %.1f %.3f %ld\n", name, ns / (double)nodes, (double)longest_ns / 1e6,
           use.ru_maxrss / 1024);
    node_drop(lives);
    int wrong = array[1000] != 1.0 / 1001;
    free(array);
    return wrong;
}

#endif
