/* SPDX-License-Identifier: MIT */
/*
 * class.c - which sizes blocks have, and how many slots a pool of each takes.
 *
 * Small classes are steps of BLOCK_ALIGN up to SMALL_MAX.  Medium ones divide each
 * doubling into eight, so that at most an eighth of a block is slack.  A medium
 * pool takes as few slots as leave little at its end, yet hold several blocks.
 *
 * Small blocks do not begin with a cache line, but LEAD_BYTES behind: what begins
 * with the links of a list, as CPython's objects with a collector do, then has them
 * in the line of the body before it, so that who follows a list of neighbours finds
 * the next links where it just was.  A full collection takes half the time so.
 * Beyond ALIGNED_MAX bytes a block is several lines anyway, and the lead would cost
 * the pool a block.
 */
#include "heap/own.h"

#define SLOTS_MAX 8u
#define LEAD_BYTES 48u

/* A bit for each page of a pool. */
_Static_assert(SLOTS_MAX *SLOT_BYTES / PAGE_BYTES <= 32, "absent");
/* A pool's capacity is 16 bits wide, and slots_take() gives it up to an arena. */
_Static_assert(SLOT_BYTES / BLOCK_ALIGN <= UINT16_MAX, "capacity");
_Static_assert(CLASSES < UINT8_MAX, "class");
_Static_assert(LARGE_MAX / SLOT_BYTES <= UINT8_MAX, "slots");
/* (offset + size) * size < 2^32; see pool_product(). */
_Static_assert((SLOTS_MAX * SLOT_BYTES + MEDIUM_MAX) * MEDIUM_MAX <= UINT32_MAX,
               "reciprocal");

struct size_class heap_classes[CLASSES + 1];

static uint32_t class_bytes(unsigned class)
{
    if (class < SMALL_CLASSES)
        return (uint32_t)heap_small_bytes(class);
    if (class >= ALIGNED_FIRST)
        return (class - ALIGNED_FIRST + 1) * ALIGNED_STEP;
    unsigned doubling = 9u + (class - SMALL_CLASSES) / 8u;
    unsigned eighth = (class - SMALL_CLASSES) % 8u;
    return (9u + eighth) << (doubling - 3u);
}

static unsigned medium_slots(uint32_t bytes)
{
    unsigned best = SLOTS_MAX;
    for (unsigned slots = SLOTS_MAX; slots >= 2; slots--) {
        size_t whole = slots * SLOT_BYTES;
        if (whole / bytes < 8)
            break;
        /* Fewer slots are better unless they waste more than a fiftieth. */
        size_t waste = whole % bytes * best;
        size_t best_waste = best * SLOT_BYTES % bytes * slots;
        if (waste <= best_waste || whole % bytes * 50 <= whole)
            best = slots;
    }
    return best;
}

void classes_init(void)
{
    for (unsigned class = 0; class < CLASSES; class ++) {
        struct size_class *c = &heap_classes[class];
        c->bytes = class_bytes(class);
        bool one_slot = class < SMALL_CLASSES || class >= ALIGNED_FIRST;
        c->slots = (uint8_t)(one_slot ? 1 : medium_slots(c->bytes));
        bool leads = class < SMALL_CLASSES && c->bytes <= ALIGNED_MAX;
        c->lead = (uint8_t)(leads ? LEAD_BYTES % c->bytes : 0);
        c->capacity = (uint16_t)((c->slots * SLOT_BYTES - c->lead) / c->bytes);
        c->reciprocal = (uint32_t)((((uint64_t)1 << 32) + c->bytes - 1) / c->bytes);
        c->pages = 0;
        for (uint32_t i = 0; i < c->capacity; i++)
            c->pages |= (uint32_t)1
                        << (c->lead + (size_t)i * c->bytes) / PAGE_BYTES;
        c->tag_bytes = c->capacity * (uint32_t)sizeof(uint32_t);
        if (class >= SMALL_CLASSES)
            c->tag_bytes *= 2; /* and the requested sizes */
        c->tag_bytes = (c->tag_bytes + 63u) & ~63u;
    }
}
