/* SPDX-License-Identifier: MIT */
/*
 * garbage.c - collections of the interpreter's own collector, in the ledger.
 *
 * Totals by generation and the latest collections of each; by node, what of its
 * blocks the collector freed; by the name of the type, how many objects.
 */
#include "trace/garbage.h"

#include "trace/book.h"
#include "trace/session.h"

#include <string.h>
#include <time.h>

static struct ledger_garbage freed; /* in the collection under way */

uint64_t garbage_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec -
           session.ledger.header->start_ns;
}

/* All records that need no growing, in a ledger that has none yet. */
static bool make_records(struct ledger *ledger)
{
    enum { COLLECTIONS = LEDGER_GENERATION_COUNT * LEDGER_LATEST_COLLECTIONS };

    if (ledger_used(ledger, LEDGER_GENERATIONS) != 0)
        return true;
    if (!ledger_reserve(ledger, LEDGER_COLLECTIONS, COLLECTIONS) ||
        !ledger_reserve(ledger, LEDGER_GARBAGE, LEDGER_NOT_RECORDED + 1) ||
        !ledger_reserve(ledger, LEDGER_TYPES, 1) ||
        !ledger_reserve(ledger, LEDGER_GENERATIONS, LEDGER_GENERATION_COUNT))
        return false;
    ledger_publish(ledger, LEDGER_COLLECTIONS, COLLECTIONS);
    ledger_publish(ledger, LEDGER_GARBAGE, LEDGER_NOT_RECORDED + 1);
    ledger_publish(ledger, LEDGER_TYPES, 1);
    ledger_publish(ledger, LEDGER_GENERATIONS, LEDGER_GENERATION_COUNT);
    return true;
}

bool garbage_begin(void)
{
    freed = (struct ledger_garbage){0, 0};
    return (book.nodes != NULL || session_awake()) && make_records(&session.ledger);
}

/* A forked child that was made in a finalizer has records only from its next
   collection on. */
static bool has_records(void)
{
    return book.nodes != NULL && ledger_used(&session.ledger, LEDGER_TYPES) != 0;
}

void garbage_freed(uint32_t node, size_t bytes)
{
    struct ledger *ledger = &session.ledger;

    if (!has_records())
        return;
    if (node >= ledger_used(ledger, LEDGER_GARBAGE)) {
        if (ledger_reserve(ledger, LEDGER_GARBAGE, (size_t)node + 1))
            ledger_publish(ledger, LEDGER_GARBAGE, (uint64_t)node + 1);
        else
            node = LEDGER_NOT_RECORDED;
    }
    struct ledger_garbage *of = ledger_at(ledger, LEDGER_GARBAGE);
    of[node].bytes += bytes;
    of[node].blocks++;
    freed.bytes += bytes;
    freed.blocks++;
}

static bool is_named(const struct ledger_type *type, const char *name, size_t bytes)
{
    const char *texts = ledger_at(&session.ledger, LEDGER_STRINGS);

    return type->name.bytes == bytes &&
           memcmp(texts + type->name.offset, name, bytes) == 0;
}

uint32_t garbage_type(const char *name)
{
    struct ledger *ledger = &session.ledger;
    size_t bytes = strlen(name);

    if (!has_records() || bytes == 0)
        return 0;
    struct ledger_type *types = ledger_at(ledger, LEDGER_TYPES);
    uint32_t count = (uint32_t)ledger_used(ledger, LEDGER_TYPES);
    for (uint32_t i = 1; i < count; i++)
        if (is_named(&types[i], name, bytes))
            return i;
    if (!ledger_reserve(ledger, LEDGER_TYPES, count + 1))
        return 0;
    lock_take(&session_names); /* the strings are also those of the tree */
    struct ledger_text text = ledger_put_text(ledger, name, bytes);
    lock_release(&session_names);
    if (text.bytes == 0)
        return 0;
    types[count] = (struct ledger_type){.name = text};
    ledger_publish(ledger, LEDGER_TYPES, count + 1);
    return count;
}

void garbage_of_type(uint32_t type, size_t bytes)
{
    if (!has_records() || type >= ledger_used(&session.ledger, LEDGER_TYPES))
        return;
    struct ledger_type *types = ledger_at(&session.ledger, LEDGER_TYPES);
    types[type].objects++;
    types[type].bytes += bytes;
}

static void add_to_generation(struct ledger_generation *sum,
                              const struct ledger_collection *what)
{
    bool useless = what->found == 0 && what->uncollectable == 0;

    sum->collections++;
    sum->pause_ns += what->pause_ns;
    if (what->pause_ns > sum->pause_max_ns)
        sum->pause_max_ns = what->pause_ns;
    sum->pauses[ledger_pause_class(what->pause_ns)]++;
    if (useless) {
        sum->useless++;
        sum->useless_ns += what->pause_ns;
    }
    sum->visited += what->visited;
    sum->found += what->found;
    sum->uncollectable += what->uncollectable;
    sum->freed_bytes += what->freed_bytes;
    sum->freed_blocks += what->freed_blocks;
}

void garbage_collected(unsigned generation, struct ledger_collection *what)
{
    struct ledger *ledger = &session.ledger;

    if (!has_records() || generation >= LEDGER_GENERATION_COUNT ||
        ledger_used(ledger, LEDGER_GENERATIONS) == 0)
        return;
    struct ledger_generation *sum =
        (struct ledger_generation *)ledger_at(ledger, LEDGER_GENERATIONS) +
        generation;
    what->freed_bytes = freed.bytes;
    what->freed_blocks = freed.blocks;
    add_to_generation(sum, what);

    struct ledger_collection *at = ledger_at(ledger, LEDGER_COLLECTIONS);
    at += (size_t)generation * LEDGER_LATEST_COLLECTIONS +
          (sum->collections - 1) % LEDGER_LATEST_COLLECTIONS;
    __atomic_store_n(&at->number, 0, __ATOMIC_RELEASE);
    what->number = 0;
    *at = *what;
    __atomic_store_n(&at->number, sum->collections, __ATOMIC_RELEASE);
}
