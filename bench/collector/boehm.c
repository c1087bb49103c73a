/* SPDX-License-Identifier: MIT */
/* boehm.c - what full.c measures, by Boehm's collector: boehm [OBJECTS [GRAPH
 * [RUNS]]]. */
#include "graph.h"

#include <gc/gc.h>
#include <stdio.h>

typedef struct object {
    size_t count;
    size_t kind;
    struct object *field[]; /* arrays: only a pointer to four */
} object;

static object *take(enum kind kind)
{
    static const size_t bytes[] = {48, 80, 32};
    object *o = GC_MALLOC(bytes[kind]);
    o->kind = kind;
    if (kind == ARRAY)
        o->field[0] = GC_MALLOC(4 * sizeof(void *));
    return o;
}

static object *make(void)
{
    object **made = GC_MALLOC_UNCOLLECTABLE(count * sizeof(void *));
    object **leaf = GC_MALLOC_UNCOLLECTABLE(((size_t)leaves + 1) * sizeof(void *));
    for (size_t i = 0; i < count; i++)
        made[i] = take(kind_of[i]);
    for (size_t i = 0; i < count; i++) {
        object **field =
            kind_of[i] == ARRAY ? (object **)made[i]->field[0] : made[i]->field;
        for (int f = 0; f < fields_of(i); f++) {
            int32_t to = field_of[i][f];
            object **which = to >= 0 ? &made[to] : &leaf[-1 - to];
            if (*which == NULL)
                *which = GC_MALLOC_ATOMIC(32);
            field[f] = *which;
        }
    }
    object *root = made[0];
    GC_FREE(made);
    GC_FREE(leaf);
    return root;
}

int main(int argc, char **argv)
{
    count = argc > 1 ? (size_t)atof(argv[1]) : 1000000;
    int runs = argc > 3 ? atoi(argv[3]) % 99 : 7;
    GC_INIT();
    GC_disable();
    draw(argc > 2 ? argv[2] : "app");
    static object *root; /* static data is searched */
    root = make();
    GC_enable();
    double ns[99];
    for (int i = 0; i < runs; i++) {
        uint64_t at = cpu_ns();
        GC_gcollect();
        ns[i] = (double)(cpu_ns() - at) / (double)count;
    }
    qsort(ns, (size_t)runs, sizeof *ns, compare);
    printf("boehm %.1f\n", ns[runs / 2]);
    return root == NULL;
}
