/* SPDX-License-Identifier: MIT */
/*
 * graph.h - the graphs that collectors are compared on, as numbers, and the clock.
 *
 * Graphs: each container (5 of 10 have 4 fields, 3 have 8, 2 are arrays of 4) hangs
 * on one of the 64 made before it.  What is left of its fields refers in "app" to
 * leaves (60 %), to containers near by (28 %) or anywhere (12 %); in "rand"
 * anywhere; in "tree" to leaves.  Both sides get the same graph, made in the same
 * order.
 */
#ifndef HG_BENCH_GRAPH_H
#define HG_BENCH_GRAPH_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FIELDS = 8, NEAR = 64 };

static uint64_t random_state = 88172645463325252u;

static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % n;
}

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the graph, as numbers ---- */

enum kind { INSTANCE, DICT, ARRAY };

static size_t count;
static uint8_t *kind_of, *used_of;
static int32_t (*field_of)[FIELDS]; /* a container, or -1 - a leaf */
static int32_t leaves;

static int fields_of(size_t i)
{
    return kind_of[i] == DICT ? 8 : 4;
}

static int32_t any_leaf(int32_t *recent)
{
    int32_t *which = &recent[random_below(NEAR)];
    if (*which == 0 || random_below(2) == 0)
        *which = -1 - leaves++;
    return *which;
}

static void draw(const char *shape)
{
    int leaf = 60, near = 28;
    if (strcmp(shape, "rand") == 0)
        leaf = near = 0;
    else if (strcmp(shape, "tree") == 0)
        leaf = 100, near = 0;
    kind_of = calloc(count, 1);
    used_of = calloc(count, 1);
    field_of = calloc(count, sizeof *field_of);
    for (size_t i = 0; i < count; i++) {
        uint64_t k = random_below(10);
        kind_of[i] = k < 5 ? INSTANCE : k < 8 ? DICT : ARRAY;
        while (i > 0) {
            size_t parent = i - 1 - random_below(i < NEAR ? i : NEAR);
            if (used_of[parent] < fields_of(parent)) {
                field_of[parent][used_of[parent]++] = (int32_t)i;
                break;
            }
        }
    }
    int32_t recent[NEAR] = {0};
    for (size_t i = 0; i < count; i++) {
        for (int f = used_of[i]; f < fields_of(i); f++) {
            int r = (int)random_below(100);
            size_t to = random_below(count);
            if (r >= leaf && r < leaf + near)
                to = (i > NEAR ? i - NEAR : 0) + random_below(2 * NEAR);
            field_of[i][f] = r < leaf      ? any_leaf(recent)
                             : to >= count ? (int32_t)count - 1
                                           : (int32_t)to;
        }
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

#endif
