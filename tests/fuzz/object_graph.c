/* SPDX-License-Identifier: MIT */
/*
 * object_graph.c - a script of changes to an object graph, against a model of it.
 *
 * The model knows every reference, and finds by brute force what is reachable from
 * the references that the script itself holds.
 *
 *   - What is reachable is never disposed of.
 *   - After a full collection all that is not reachable is gone; after an
 * incremental one all that was not when it began.
 *   - Weak references give what was always reachable, and nothing that is gone.
 *
 * Four bytes are a command: what, and three operands.  As a program of its own it
 * makes scripts up: object_graph SEEDS [FIRST]; with libFuzzer it is a fuzz target.
 */
#include "object/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OBJECTS = 512, FIELDS = 4, WEAKS = 64 };

typedef struct {
    hg_object head;
    int id;
    void *field[FIELDS]; /* last: of a type with items they are the first items */
} Thing;

/* A field may be tagged: then the lowest bit of the pointer is set. */
static void traverse_tagged(const void *self, hg_visit *visit, void *arg)
{
    const Thing *thing = self;
    for (int i = 0; i < FIELDS; i++)
        visit((void *)((uintptr_t)thing->field[i] & ~(uintptr_t)1), arg);
}

static struct model {
    Thing *thing; /* NULL: gone, or never was */
    int field[FIELDS];
    int held; /* references that the script holds */
    bool tracked, frozen, saves, finalized, was_garbage;
} model[OBJECTS];
static int born;
static long now_seed;
static hg_world *world;
static bool reached[OBJECTS], gone[OBJECTS];

static struct {
    hg_weak *weak;
    int target;
    bool lost; /* the target was unreachable at a time: a finalizer brought it back
                */
} weaks[WEAKS];

static void fail(const char *what, int id)
{
    fprintf(stderr, "object_graph: %s: %d (seed %ld)\n", what, id, now_seed);
    abort();
}

static void dispose(void *self)
{
    int id = ((Thing *)self)->id;
    if (id < 0)
        return;
    if (model[id].thing != self)
        fail("disposed of twice", id);
    model[id].thing = NULL;
    gone[id] = true;
}

static void finalize(hg_world *w, void *self)
{
    Thing *thing = self;
    int id = thing->id;
    (void)w;
    if (model[id].finalized)
        fail("finalized twice", id);
    model[id].finalized = true;
    if (model[id].saves) {
        hg_retain(thing);
        model[id].held++;
    }
}

static const uint16_t fields[] = {offsetof(Thing, field), offsetof(Thing, field[1]),
                                  offsetof(Thing, field[2]),
                                  offsetof(Thing, field[3]), 0};
static const hg_type types[] = {
    {.name = "plain", .size = sizeof(Thing), .refs = fields, .dispose = dispose},
    {.name = "tagged",
     .size = sizeof(Thing),
     .traverse = traverse_tagged,
     .dispose = dispose},
    {.name = "final",
     .size = sizeof(Thing),
     .refs = fields,
     .finalize = finalize,
     .dispose = dispose},
    {.name = "big",
     .size = 20000,
     .refs = fields,
     .finalize = finalize,
     .dispose = dispose},
    {.name = "items",
     .size = offsetof(Thing, field),
     .flags = HG_ITEMS,
     .dispose = dispose},
};
enum { TYPES = sizeof types / sizeof *types };

static void reach(int id)
{
    static int stack[OBJECTS];
    int depth = 0;
    if (reached[id])
        return;
    reached[id] = true;
    stack[depth++] = id;
    while (depth > 0) {
        struct model *m = &model[stack[--depth]];
        for (int i = 0; i < FIELDS; i++) {
            if (m->field[i] >= 0 && !reached[m->field[i]]) {
                reached[m->field[i]] = true;
                stack[depth++] = m->field[i];
            }
        }
    }
}

/* Loosely: also what collections are told to leave alone. */
static void reach_all(bool loosely)
{
    memset(reached, 0, sizeof reached);
    for (int id = 0; id < born; id++) {
        struct model *m = &model[id];
        if (m->thing != NULL &&
            (m->held > 0 || (loosely && (!m->tracked || m->frozen))))
            reach(id);
    }
}

static void nothing_reachable_is_gone(void)
{
    reach_all(false);
    for (int id = 0; id < born; id++) {
        if (reached[id] && gone[id])
            fail("reachable and disposed of", id);
        if (reached[id])
            model[id].was_garbage = false; /* brought back by a finalizer */
    }
    for (int i = 0; i < WEAKS; i++) {
        if (weaks[i].weak != NULL && !reached[weaks[i].target])
            weaks[i].lost = true;
    }
}

static void all_garbage_is_gone(bool only_marked)
{
    reach_all(true);
    for (int id = 0; id < born; id++) {
        if (model[id].thing != NULL && !reached[id] &&
            (!only_marked || model[id].was_garbage))
            fail(only_marked ? "garbage survived a cycle"
                             : "garbage survived a collection",
                 id);
    }
}

static void mark_garbage(void)
{
    reach_all(true);
    for (int id = 0; id < born; id++)
        model[id].was_garbage = model[id].thing != NULL && !reached[id];
}

/* The first reachable one from `operand` on, or -1. */
static int pick(uint8_t operand, uint8_t more)
{
    if (born == 0)
        return -1;
    reach_all(false);
    int from = (operand | more << 8) % born;
    for (int i = 0; i < born; i++) {
        int id = (from + i) % born;
        if (reached[id])
            return id;
    }
    return -1;
}

static void make(const uint8_t *command)
{
    if (born == OBJECTS)
        return;
    const hg_type *type = &types[command[1] % TYPES];
    Thing *thing =
        type->flags & HG_ITEMS
            ? hg_new_items(world, type,
                           FIELDS + (command[2] == 255 ? 100000u : command[2]))
            : hg_new(world, type);
    if (thing == NULL)
        return;
    struct model *m = &model[born];
    *m = (struct model){.thing = thing,
                        .field = {-1, -1, -1, -1},
                        .held = 1,
                        .tracked = true,
                        .saves = command[3] % 3 == 0};
    thing->id = born;
    gone[born++] = false;
}

static void store(int from, int field, int to)
{
    Thing *thing = model[from].thing;
    model[from].field[field] = to;
    if (thing->head.type->traverse == NULL) {
        hg_set(world, &thing->field[field], to < 0 ? NULL : model[to].thing);
        return;
    }
    void *old = (void *)((uintptr_t)thing->field[field] & ~(uintptr_t)1);
    thing->field[field] =
        to < 0 ? NULL : (char *)hg_retain(model[to].thing) + (field & 1);
    hg_release(world, old);
}

static void weak_command(const uint8_t *command)
{
    int i = command[1] % WEAKS;
    if (weaks[i].weak == NULL) {
        int id = pick(command[2], command[3]);
        if (id < 0)
            return;
        weaks[i].weak = hg_weak_new(world, model[id].thing, NULL, NULL);
        weaks[i].target = id;
        weaks[i].lost = false;
        return;
    }
    int id = weaks[i].target;
    Thing *got = hg_weak_get(world, weaks[i].weak);
    reach_all(false);
    if (got != NULL && got != model[id].thing)
        fail("a weak reference gives something else", id);
    if (got == NULL && reached[id] && !weaks[i].lost)
        fail("a weak reference to the living gives nothing", id);
    hg_release(world, got);
    if (command[2] % 4 == 0) {
        hg_weak_free(world, weaks[i].weak);
        weaks[i].weak = NULL;
    }
}

static bool may_fail;

static void collect_command(const uint8_t *command)
{
    int generation = command[1] % 3;
    hg_status status = hg_collect(world, generation, NULL);
    if (status != HG_OK && !(status == HG_ENOMEM && may_fail))
        fail("hg_collect() fails", status);
    if (status == HG_OK && generation == HG_FULL)
        all_garbage_is_gone(false);
}

static void step_command(const uint8_t *command)
{
    int done = 0;
    if (world->cycle.phase == CYCLE_NONE)
        mark_garbage();
    hg_status status = hg_step(world, command[1] % 4, &done);
    if (status != HG_OK && !(status == HG_ENOMEM && may_fail))
        fail("hg_step() fails", status);
    if (status == HG_OK && done) {
        hg_flush(world, 0);
        all_garbage_is_gone(true);
    }
}

static void do_command(const uint8_t *command)
{
    int id;
    switch (command[0] % 16) {
    case 0:
    case 1:
    case 2:
        make(command);
        break;
    case 3:
    case 4:
    case 5: {
        int from = pick(command[1], 0), to = pick(command[2], 0);
        if (from >= 0)
            store(from, command[3] % FIELDS, command[3] >= 240 ? -1 : to);
        break;
    }
    case 6:
    case 7:
        id = pick(command[1], command[2]);
        if (id >= 0 && model[id].held > 0) {
            model[id].held--;
            hg_release(world, model[id].thing);
        }
        break;
    case 8:
        id = pick(command[1], command[2]);
        if (id >= 0) {
            model[id].held++;
            hg_retain(model[id].thing);
        }
        break;
    case 9:
        weak_command(command);
        break;
    case 10:
        collect_command(command);
        break;
    case 11:
    case 12:
        step_command(command);
        break;
    case 13:
        id = pick(command[1], command[2]);
        if (id >= 0 && command[3] < 64) {
            model[id].tracked = command[3] & 1;
            if (model[id].tracked) {
                hg_track(world, model[id].thing);
            } else {
                hg_untrack(world, model[id].thing);
                model[id].frozen = false;
            }
        }
        break;
    case 14: {
        hg_policy policy;
        hg_get_policy(world, &policy);
        policy.automatic = 0;
        policy.release_us = command[1] % 2;
        hg_set_policy(world, &policy);
        if (command[2] % 2)
            hg_flush(world, 0);
        break;
    }
    case 15:
#ifdef HG_FAULTS
        if (command[1] < 64) {
            memory_fail(command[2], command[1] % 8);
            may_fail = true;
        } else {
            memory_fail_never();
        }
#endif
        if (command[1] == 255)
            hg_check(world);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    born = 0;
    may_fail = false;
    memset(weaks, 0, sizeof weaks);
    memset(gone, 0, sizeof gone);
    world = hg_world_new();
    hg_policy policy = {0, 100, 3, 0.25, 1, 0};
    hg_set_policy(world, &policy);
    if (size > 0 && data[0] & 1 &&
        hg_debug(world, HG_DEBUG_SITES | HG_DEBUG_DEAD) != HG_OK)
        fail("hg_debug() fails", 0);
    for (; size >= 4; data += 4, size -= 4) {
        do_command(data);
        nothing_reachable_is_gone();
    }
#ifdef HG_FAULTS
    memory_fail_never();
#endif
    hg_check(world);
    hg_collect(world, HG_FULL, NULL);
    all_garbage_is_gone(false);
    for (int id = 0; id < born; id++)
        model[id].saves = false;
    for (int id = 0; id < born; id++) {
        while (model[id].thing != NULL && model[id].held > 0) {
            model[id].held--;
            hg_release(world, model[id].thing);
        }
        if (model[id].thing != NULL && !model[id].tracked) {
            hg_track(world, model[id].thing);
            model[id].tracked = true;
        }
    }
    hg_collect(world, HG_FULL, NULL);
    all_garbage_is_gone(false);
    hg_check(world);
    hg_world_free(world);
    return 0;
}

#ifdef HG_FUZZ_ALONE
int main(int argc, char **argv)
{
    long seeds = argc > 1 ? atol(argv[1]) : 200;
    long first = argc > 2 ? atol(argv[2]) : 1;
    for (long seed = first; seed < first + seeds; seed++) {
        static uint8_t script[4 * 2000];
        uint64_t x = (uint64_t)seed * 0x9E3779B97F4A7C15u + 1;
        for (size_t i = 0; i < sizeof script; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            script[i] = (uint8_t)(x >> 32);
        }
        now_seed = seed;
        LLVMFuzzerTestOneInput(script, sizeof script);
    }
    return 0;
}
#endif
