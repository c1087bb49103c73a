/* SPDX-License-Identifier: MIT */
/* collector.c - see collector.h */
#include "analyze/collector.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void add_generation(struct ledger_generation *sum,
                           const struct ledger_generation *part)
{
    sum->collections += part->collections;
    sum->useless += part->useless;
    sum->pause_ns += part->pause_ns;
    if (part->pause_max_ns > sum->pause_max_ns)
        sum->pause_max_ns = part->pause_max_ns;
    sum->useless_ns += part->useless_ns;
    sum->visited += part->visited;
    sum->found += part->found;
    sum->uncollectable += part->uncollectable;
    sum->freed_bytes += part->freed_bytes;
    sum->freed_blocks += part->freed_blocks;
    for (int i = 0; i < LEDGER_PAUSE_CLASSES; i++)
        sum->pauses[i] += part->pauses[i];
}

static void add_type(struct collector *collector, struct collector_type type)
{
    for (size_t i = 0; i < collector->type_count; i++) {
        struct collector_type *known = &collector->types[i];
        if (slice_equal(known->name, type.name)) {
            known->objects += type.objects;
            known->bytes += type.bytes;
            return;
        }
    }
    collector->types[collector->type_count++] = type;
}

static hg_status add_types(struct collector *collector,
                           const struct ledger_copy *copy)
{
    size_t room = collector->type_count + copy->type_count;
    struct collector_type *types =
        realloc(collector->types, (room + 1) * sizeof *types);
    if (types == NULL)
        return HG_ENOMEM;
    collector->types = types;
    for (uint32_t i = 0; i < copy->type_count; i++) {
        const struct ledger_type *type = &copy->types[i];
        if (type->objects > 0)
            add_type(collector,
                     (struct collector_type){ledger_copy_text(copy, type->name),
                                             type->objects, type->bytes});
    }
    return HG_OK;
}

static int by_bytes(const void *a, const void *b)
{
    const struct collector_type *x = a;
    const struct collector_type *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    size_t common = x->name.bytes < y->name.bytes ? x->name.bytes : y->name.bytes;
    int order = common > 0 ? memcmp(x->name.at, y->name.at, common) : 0;
    return order != 0 ? order : x->name.bytes < y->name.bytes ? -1 : 1;
}

/* From its start to its end, or to the last that is known of it. */
static uint64_t run_ns(const struct process *process)
{
    const struct ledger_copy *copy = process->copy;
    uint64_t ns = copy->header.end_ns;
    if (ns == 0 && copy->sample_count > 0)
        ns = copy->samples[copy->sample_count - 1].time_ns;
    for (uint32_t i = 0; i < copy->collection_count; i++) {
        const struct ledger_collection *of = &copy->collections[i];
        if (of->number != 0 && of->time_ns + of->pause_ns > ns)
            ns = of->time_ns + of->pause_ns;
    }
    return ns;
}

hg_status collector_work_out(const struct gathering *family, struct collector *out)
{
    *out = (struct collector){0};
    for (size_t i = 0; i < family->count; i++) {
        const struct ledger_copy *copy = family->processes[i].copy;
        if (copy->generation_count == 0)
            continue;
        out->watched = true;
        out->run_ns += run_ns(&family->processes[i]);
        for (uint32_t g = 0; g < copy->generation_count; g++) {
            add_generation(&out->generations[g], &copy->generations[g]);
            add_generation(&out->sum, &copy->generations[g]);
        }
        if (add_types(out, copy) != HG_OK) {
            collector_drop(out);
            return HG_ENOMEM;
        }
    }
    if (out->type_count > 1)
        qsort(out->types, out->type_count, sizeof *out->types, by_bytes);
    return HG_OK;
}

void collector_drop(struct collector *collector)
{
    free(collector->types);
    *collector = (struct collector){0};
}

uint64_t collector_median_ns(const struct ledger_generation *of)
{
    uint64_t count = 0;
    uint64_t below = 0;

    for (unsigned i = 0; i < LEDGER_PAUSE_CLASSES; i++)
        count += of->pauses[i];
    for (unsigned i = 0; i < LEDGER_PAUSE_CLASSES; i++) {
        below += of->pauses[i];
        if (of->pauses[i] == 0 || 2 * below < count)
            continue;
        uint64_t middle =
            i + 1 < LEDGER_PAUSE_CLASSES
                ? (ledger_pause_least_ns(i) + ledger_pause_least_ns(i + 1)) / 2
                : ledger_pause_least_ns(i);
        return middle < of->pause_max_ns ? middle : of->pause_max_ns;
    }
    return 0;
}

hg_status collector_accounts(const struct ledger_copy *copy,
                             struct accounts *accounts)
{
    *accounts = (struct accounts){0};
    accounts->nodes = calloc((size_t)copy->node_count + 1, sizeof *accounts->nodes);
    if (accounts->nodes == NULL)
        return HG_ENOMEM;
    for (uint32_t id = 1; id < copy->node_count && id < copy->garbage_count; id++) {
        struct amount freed = {copy->garbage[id].bytes, copy->garbage[id].blocks};
        for (int m = 0; m < MOMENTS; m++)
            accounts->nodes[id].at[m] = freed;
        measure_add(&accounts->sum, &accounts->nodes[id]);
    }
    return HG_OK;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static void generation_since(struct ledger_generation *now,
                             const struct ledger_generation *then)
{
    now->collections = less(now->collections, then->collections);
    now->useless = less(now->useless, then->useless);
    now->pause_ns = less(now->pause_ns, then->pause_ns);
    now->useless_ns = less(now->useless_ns, then->useless_ns);
    now->visited = less(now->visited, then->visited);
    now->found = less(now->found, then->found);
    now->uncollectable = less(now->uncollectable, then->uncollectable);
    now->freed_bytes = less(now->freed_bytes, then->freed_bytes);
    now->freed_blocks = less(now->freed_blocks, then->freed_blocks);
    for (int i = 0; i < LEDGER_PAUSE_CLASSES; i++)
        now->pauses[i] =
            now->pauses[i] > then->pauses[i] ? now->pauses[i] - then->pauses[i] : 0;
}

/* Forget those that were there; the longest of the others is the longest. */
static void latest_since(struct ledger_generation *generations, uint32_t count,
                         struct ledger_collection *latest, uint32_t latest_count,
                         const struct ledger_generation *then)
{
    for (uint32_t g = 0; g < count; g++)
        generations[g].pause_max_ns = 0;
    for (uint32_t i = 0; i < latest_count; i++) {
        uint32_t g = i / LEDGER_LATEST_COLLECTIONS;
        if (g >= count || latest[i].number <= then[g].collections)
            latest[i].number = 0;
        else if (latest[i].pause_ns > generations[g].pause_max_ns)
            generations[g].pause_max_ns = latest[i].pause_ns;
    }
}

void collector_since(struct ledger_copy *copy, const struct ledger_copy *before)
{
    struct ledger_generation *generations =
        (struct ledger_generation *)copy->generations;
    struct ledger_garbage *garbage = (struct ledger_garbage *)copy->garbage;
    struct ledger_type *types = (struct ledger_type *)copy->types;

    if (before->generation_count != copy->generation_count)
        return; /* the first collection came in between */
    for (uint32_t i = 0; i < copy->garbage_count && i < before->garbage_count;
         i++) {
        garbage[i].bytes = less(garbage[i].bytes, before->garbage[i].bytes);
        garbage[i].blocks = less(garbage[i].blocks, before->garbage[i].blocks);
    }
    for (uint32_t i = 0; i < copy->type_count && i < before->type_count; i++) {
        types[i].objects = less(types[i].objects, before->types[i].objects);
        types[i].bytes = less(types[i].bytes, before->types[i].bytes);
    }
    latest_since(generations, copy->generation_count,
                 (struct ledger_collection *)copy->collections,
                 copy->collection_count, before->generations);
    for (uint32_t g = 0; g < copy->generation_count; g++)
        generation_since(&generations[g], &before->generations[g]);
}

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

/*
 * Said only where it would help: pauses that do nothing and matter, and pauses that
 * matter altogether.  Few full collections, or short ones, are nobody's trouble.
 */
void collector_advice(const struct collector *collector, char *into, size_t room)
{
    enum { ENOUGH = 5, LONG_NS = 10000000, MUCH_NS = 100000000 };
    const struct ledger_generation *full = &collector->generations[2];
    double useless = share(full->useless, full->collections);
    double of_run = share(collector->sum.pause_ns, collector->run_ns);
    bool much = of_run >= 0.05 && collector->sum.pause_ns >= MUCH_NS;
    bool matters = share(full->useless_ns, collector->run_ns) >= 0.01 ||
                   full->pause_max_ns >= LONG_NS;

    into[0] = '\0';
    if (full->collections >= ENOUGH && useless >= 0.9 && matters)
        snprintf(into, room,
                 "%.0f%% of full collections found nothing: gc.freeze() once the "
                 "program has started, or a higher threshold.",
                 useless * 100);
    else if (collector->sum.uncollectable > 0)
        snprintf(into, room,
                 "%" PRIu64 " objects could not be freed: gc.garbage holds them.",
                 collector->sum.uncollectable);
    else if (much && collector->sum.found > 0)
        snprintf(into, room,
                 "Collections take %.0f%% of the time: break the cycles that these "
                 "lines make, or raise gc.set_threshold().",
                 of_run * 100);
    else if (much)
        snprintf(into, room,
                 "Collections take %.0f%% of the time and find nothing: raise "
                 "gc.set_threshold(), or gc.freeze() after the start.",
                 of_run * 100);
}
