/* SPDX-License-Identifier: MIT */
/* occupancy.h - how full a heap is, and whose blocks keep its pages. */
#ifndef HG_ANALYZE_OCCUPANCY_H
#define HG_ANALYZE_OCCUPANCY_H

#include "analyze/keys.h"
#include "analyze/peer.h"
#include "ledger/reader.h"

/* Of all pools of a size class; of 0 bytes: blocks with pools of their own. */
struct occupancy_class {
    size_t block_bytes;
    uint64_t pools, blocks, live_blocks;
    uint64_t resident, live; /* bytes in memory, and of live blocks there */
};

/* As the heap has them. */
#define OCCUPANCY_SLOTS 64u
#define OCCUPANCY_CLASSES 93u /* at most, and the large ones; 0 bytes: these */

#define SLOT_FREE UINT8_MAX /* in no pool */

struct occupancy_arena {
    uint64_t start;
    uint64_t resident, live;
    uint8_t full[OCCUPANCY_SLOTS];   /* percent of a slot's bytes that are live */
    bool in_memory[OCCUPANCY_SLOTS]; /* some page of it is */
};

/*
 * A line and the pages in which no block is live but its own: if these went, the
 * pages would go back.
 */
struct occupancy_pin {
    uint32_t code, line; /* 0, 0: not known */
    uint64_t blocks;
    uint64_t live; /* bytes in these pages */
    uint64_t pages;
};

struct occupancy {
    struct occupancy_class classes[OCCUPANCY_CLASSES];
    struct occupancy_arena *arenas; /* those of which something is in memory */
    size_t arena_count;
    struct occupancy_pin *pins; /* what would leave most beside the blocks first */
    size_t pin_count;
    uint64_t resident, live;            /* of all arenas */
    uint64_t free_bytes;                /* of pages without a live block */
    uint64_t shared_pages, shared_live; /* pages with blocks of several lines */
    uint32_t pools, unread; /* unread: changed whenever they were looked at */
};

/* `copy` was read with LEDGER_PART_ACCOUNTS.  As anatomy_walk(). */
hg_status occupancy_take(const struct peer *peer, const struct ledger_copy *copy,
                         struct occupancy *out);
void occupancy_drop(struct occupancy *occupancy);

/* What goes back with the blocks of a pin and is not theirs. */
static inline uint64_t occupancy_excess(const struct occupancy_pin *pin)
{
    return pin->pages * PEER_PAGE - pin->live;
}

#endif
