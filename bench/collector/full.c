/* SPDX-License-Identifier: MIT */
/*
 * full.c - nanoseconds per object of a full collection that finds nothing, on
 * a live graph: ours, and beside it in the same process CPython's algorithm on
 * CPython's layout (a linked list through 16 bytes before each object, callbacks to
 * traverse).
 *
 *     collector [OBJECTS [GRAPH [RUNS]]]       GRAPH: app, rand or tree
 *     collector pauses [OBJECTS [REQUESTS [STEP_US]]]
 */
#include "base/process.h"
#include "graph.h"
#include "heapglass/heap.h"
#include "heapglass/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- ours ---- */

typedef struct {
    hg_object head;
    hg_object *field[FIELDS];
} Box;

typedef struct {
    hg_object head;
    hg_object **item;
    uint32_t used;
} Array;

static void dispose_array(void *self)
{
    free(((Array *)self)->item);
}

#define AT(n) (uint16_t) offsetof(Box, field[n])
static const uint16_t refs4[] = {AT(0), AT(1), AT(2), AT(3), 0};
static const uint16_t refs8[] = {AT(0), AT(1), AT(2), AT(3), AT(4),
                                 AT(5), AT(6), AT(7), 0};
static const hg_type types[] = {
    {.name = "instance", .size = offsetof(Box, field[4]), .refs = refs4},
    {.name = "dict", .size = sizeof(Box), .refs = refs8},
    {.name = "array",
     .size = sizeof(Array),
     .array = HG_ARRAY(Array, item, used),
     .dispose = dispose_array},
};
static const hg_type leaf_type = {.name = "leaf", .size = 32};

static hg_object **slots_of(hg_object *o)
{
    return o->type->array.at != 0 ? ((Array *)o)->item : ((Box *)o)->field;
}

static hg_object *our_new(hg_world *w, enum kind kind)
{
    hg_object *o = hg_new(w, &types[kind]);
    if (o != NULL && kind == ARRAY) {
        ((Array *)o)->item = calloc(4, sizeof(void *));
        ((Array *)o)->used = 4;
    }
    if (o == NULL)
        abort();
    return o;
}

static hg_world *our_graph(hg_object **root)
{
    hg_world *w = hg_world_new();
    hg_policy quiet;
    hg_get_policy(w, &quiet);
    quiet.automatic = 0;
    hg_set_policy(w, &quiet);
    hg_object **object = calloc(count, sizeof(void *));
    hg_object **leaf = calloc((size_t)leaves + 1, sizeof(void *));
    for (size_t i = 0; i < count; i++)
        object[i] = our_new(w, kind_of[i]);
    for (size_t i = 0; i < count; i++) {
        for (int f = 0; f < fields_of(i); f++) {
            int32_t to = field_of[i][f];
            hg_object **which = to >= 0 ? &object[to] : &leaf[-1 - to];
            if (*which == NULL)
                *which = hg_new(w, &leaf_type);
            hg_set(w, &slots_of(object[i])[f], *which);
        }
    }
    for (int32_t i = 0; i < leaves; i++)
        hg_release(w, leaf[i]);
    *root = hg_retain(object[0]);
    for (size_t i = 0; i < count; i++)
        hg_release(w, object[i]);
    free(object);
    free(leaf);
    return w;
}

/* ---- CPython's layout and algorithm ---- */

struct list_object;
typedef void list_visit(struct list_object *target, void *arg);

struct list_type {
    bool leaf;
    void (*traverse)(struct list_object *self, list_visit *visit, void *arg);
};

struct list_object {
    size_t count;
    const struct list_type *type;
    struct list_object *field[FIELDS]; /* arrays: only a pointer to four */
};

/* Before each container; `prev` also holds a count of references, shifted by 2. */
struct list_head {
    struct list_head *next;
    uintptr_t prev;
};

enum { UNREACHED = 1, COLLECTING = 2, SHIFT = 2 };

static struct list_head generation = {&generation, (uintptr_t)&generation};

static struct list_object *object_of(struct list_head *head)
{
    return (struct list_object *)(head + 1);
}

static struct list_head *head_of(struct list_object *object)
{
    return (struct list_head *)object - 1;
}

static void traverse_fields(struct list_object *o, list_visit *visit, void *arg,
                            int n, struct list_object **field)
{
    (void)o;
    for (int i = 0; i < n; i++) {
        if (field[i] != NULL)
            visit(field[i], arg);
    }
}

static void traverse4(struct list_object *o, list_visit *visit, void *arg)
{
    traverse_fields(o, visit, arg, 4, o->field);
}

static void traverse8(struct list_object *o, list_visit *visit, void *arg)
{
    traverse_fields(o, visit, arg, 8, o->field);
}

static void traverse_array(struct list_object *o, list_visit *visit, void *arg)
{
    traverse_fields(o, visit, arg, 4, (struct list_object **)(void *)o->field[0]);
}

static const struct list_type list_types[] = {
    {false, traverse4}, {false, traverse8}, {false, traverse_array}};
static const struct list_type list_leaf = {true, NULL};

static void *take(size_t bytes)
{
    void *block = hg_calloc(1, bytes);
    if (block == NULL)
        abort();
    return block;
}

static struct list_object *list_new(enum kind kind)
{
    static const size_t bytes[] = {48, 80, 32};
    struct list_head *head = take(sizeof *head + bytes[kind]);
    struct list_object *o = object_of(head);
    struct list_head *last = (struct list_head *)generation.prev;
    last->next = head;
    head->prev = (uintptr_t)last;
    head->next = &generation;
    generation.prev = (uintptr_t)head;
    o->count = 1;
    o->type = &list_types[kind];
    if (kind == ARRAY)
        o->field[0] = calloc(4, sizeof(void *));
    return o;
}

static void list_graph(void)
{
    struct list_object **object = calloc(count, sizeof(void *));
    struct list_object **leaf = calloc((size_t)leaves + 1, sizeof(void *));
    for (size_t i = 0; i < count; i++)
        object[i] = list_new(kind_of[i]);
    for (size_t i = 0; i < count; i++) {
        struct list_object **field =
            kind_of[i] == ARRAY ? (struct list_object **)(void *)object[i]->field[0]
                                : object[i]->field;
        for (int f = 0; f < fields_of(i); f++) {
            int32_t to = field_of[i][f];
            struct list_object **which = to >= 0 ? &object[to] : &leaf[-1 - to];
            if (*which == NULL) {
                *which = take(32);
                (*which)->type = &list_leaf;
            }
            field[f] = *which;
            field[f]->count++;
        }
    }
    /* All but the first lose the reference that made them. */
    for (size_t i = 1; i < count; i++)
        object[i]->count--;
    free(object);
    free(leaf);
}

static void visit_subtract(struct list_object *o, void *arg)
{
    (void)arg;
    if (!o->type->leaf && head_of(o)->prev & COLLECTING)
        head_of(o)->prev -= 1u << SHIFT;
}

static void visit_reach(struct list_object *o, void *arg)
{
    struct list_head *reachable = arg;
    if (o->type->leaf || !(head_of(o)->prev & COLLECTING))
        return;
    struct list_head *head = head_of(o);
    if ((uintptr_t)head->next & UNREACHED) {
        struct list_head *prev = (struct list_head *)(head->prev & ~(uintptr_t)3);
        struct list_head *next =
            (struct list_head *)((uintptr_t)head->next & ~(uintptr_t)1);
        prev->next = (struct list_head *)((uintptr_t)next | UNREACHED);
        next->prev = (next->prev & 3) | (uintptr_t)prev;
        struct list_head *last = (struct list_head *)reachable->prev;
        last->next = head;
        head->next = reachable;
        reachable->prev = (uintptr_t)head;
        head->prev = 1u << SHIFT | COLLECTING;
    } else if (head->prev >> SHIFT == 0) {
        head->prev = 1u << SHIFT | COLLECTING;
    }
}

/* How many are unreachable; this bench has none, and does not free them. */
static size_t list_collect(void)
{
    struct list_head *head;
    for (head = generation.next; head != &generation; head = head->next)
        head->prev = object_of(head)->count << SHIFT | COLLECTING;
    for (head = generation.next; head != &generation; head = head->next)
        object_of(head)->type->traverse(object_of(head), visit_subtract, NULL);
    struct list_head unreached;
    unreached.next = (struct list_head *)((uintptr_t)&unreached | UNREACHED);
    unreached.prev = (uintptr_t)&unreached;
    struct list_head *prev = &generation;
    for (head = generation.next; head != &generation; head = prev->next) {
        if (head->prev >> SHIFT != 0) {
            object_of(head)->type->traverse(object_of(head), visit_reach,
                                            &generation);
            head->prev = (uintptr_t)prev;
            prev = head;
        } else {
            prev->next = head->next;
            struct list_head *last =
                (struct list_head *)(unreached.prev & ~(uintptr_t)3);
            last->next = (struct list_head *)((uintptr_t)head | UNREACHED);
            head->prev = (uintptr_t)last | COLLECTING;
            head->next = (struct list_head *)((uintptr_t)&unreached | UNREACHED);
            unreached.prev = (uintptr_t)head;
        }
    }
    generation.prev = (uintptr_t)prev;
    size_t found = 0;
    head = (struct list_head *)((uintptr_t)unreached.next & ~(uintptr_t)1);
    for (; head != &unreached;
         head = (struct list_head *)((uintptr_t)head->next & ~(uintptr_t)1))
        found++;
    return found;
}

static void compare_full(const char *shape, int runs)
{
    draw(shape);
    hg_object *root;
    uint64_t rss = process_rss_bytes();
    list_graph();
    uint64_t rss_list = process_rss_bytes();
    hg_world *w = our_graph(&root);
    uint64_t rss_ours = process_rss_bytes();
    double list[99], ours[99];
    for (int i = 0; i < runs; i++) {
        uint64_t at = cpu_ns();
        size_t found = list_collect();
        list[i] = (double)(cpu_ns() - at) / (double)count;
        at = cpu_ns();
        hg_collection done;
        if (hg_collect(w, HG_FULL, &done) != HG_OK)
            abort();
        ours[i] = (double)(cpu_ns() - at) / (double)count;
        if (found != 0 || done.unreachable != 0 || done.examined != count)
            abort();
    }
    qsort(list, (size_t)runs, sizeof *list, compare);
    qsort(ours, (size_t)runs, sizeof *ours, compare);
    printf(
        "%-5s %9zu containers: list %6.1f (least %6.1f), ours %6.1f (least %6.1f) "
        "ns each, CPU: %.2f times; RSS %zu and %zu MB\n",
        shape, count, list[runs / 2], list[0], ours[runs / 2], ours[0],
        list[runs / 2] / ours[runs / 2], (size_t)((rss_list - rss) / 1000000),
        (size_t)((rss_ours - rss_list) / 1000000));
}

/* ---- pauses: a large live graph, and a cache whose entries are small cycles ----
 */

static hg_object *entry(hg_world *w)
{
    hg_object *a = our_new(w, INSTANCE), *d = our_new(w, DICT),
              *v = our_new(w, INSTANCE);
    hg_set(w, &slots_of(d)[0], a);
    hg_set(w, &slots_of(v)[0], a);
    hg_move(w, &slots_of(d)[1], v);
    hg_move(w, &slots_of(d)[2], hg_new(w, &leaf_type));
    hg_move(w, &slots_of(a)[0], d);
    return a;
}

/* What a request met: a collection of a generation that ended in it, a slice of an
   incremental one, or nothing. */
enum { MET_SLICE = 3, MET_NOTHING, MET };

static int met(const hg_statistics *before, const hg_statistics *after)
{
    for (int g = HG_FULL; g >= HG_YOUNG; g--) {
        if (after->collections[g] != before->collections[g])
            return g;
    }
    return after->collector_ns != before->collector_ns ? MET_SLICE : MET_NOTHING;
}

static void pauses(long requests, uint32_t step_us)
{
    draw("app");
    hg_object *root;
    hg_world *w = our_graph(&root);
    uint32_t cached = (uint32_t)(count / 8);
    static const hg_type cache_type = {
        .name = "cache", .size = sizeof(hg_object), .flags = HG_ITEMS};
    hg_object *cache = hg_new_items(w, &cache_type, cached);
    void **item = (void **)(cache + 1);
    for (uint32_t i = 0; i < cached; i++)
        hg_move(w, &item[i], entry(w));
    if (hg_collect(w, HG_FULL, NULL) != HG_OK)
        abort();
    hg_policy policy;
    hg_get_policy(w, &policy);
    policy.automatic = 1;
    policy.step_us = step_us;
    hg_set_policy(w, &policy);
    hg_statistics before, last, s;
    hg_get_statistics(w, &before);
    last = before;
    size_t most = 0;
    double worst_ms[MET] = {0};
    uint64_t began = cpu_ns();
    for (long i = 0; i < requests; i++) {
        uint64_t at = cpu_ns();
        hg_move(w, &item[random_below(cached)], entry(w));
        for (int k = 0; k < 8; k++)
            hg_release(w, our_new(w, k % 3));
        double ms = (double)(cpu_ns() - at) / 1e6;
        hg_get_statistics(w, &s);
        double *worst = &worst_ms[met(&last, &s)];
        *worst = ms > *worst ? ms : *worst;
        most = s.objects > most ? s.objects : most;
        last = s;
    }
    /* As run.py has it in its table. */
    printf("%zu %u %.2f %.2f %lu %lu %.2f %.2f %.2f %.2f %.2f %.0f\n",
           before.objects, step_us, (double)(cpu_ns() - began) / 1e9,
           (double)(s.collector_ns - before.collector_ns) / 1e9,
           (unsigned long)(s.collections[2] - before.collections[2]),
           (unsigned long)(s.collections[0] + s.collections[1]), worst_ms[HG_YOUNG],
           worst_ms[HG_MIDDLE], worst_ms[HG_FULL], worst_ms[MET_SLICE],
           worst_ms[MET_NOTHING],
           100.0 * (double)(most - before.objects) / (double)before.objects);
}

int main(int argc, char **argv)
{
    bool pausing = argc > 1 && strcmp(argv[1], "pauses") == 0;
    argv += pausing;
    argc -= pausing;
    count = argc > 1 ? (size_t)atof(argv[1]) : 1000000;
    if (count < 1 || count > 100000000)
        return 2;
    if (pausing)
        pauses(argc > 2 ? (long)atof(argv[2]) : 1000000,
               argc > 3 ? (uint32_t)atoi(argv[3]) : 1000);
    else
        compare_full(argc > 2 ? argv[2] : "app", argc > 3 ? atoi(argv[3]) % 99 : 7);
    return 0;
}
