/* SPDX-License-Identifier: MIT */
/* occupancy.c - see occupancy.h */
#include "analyze/occupancy.h"

#include "base/grow.h"
#include "heap/anatomy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_PAGES (ARENA_BYTES / PEER_PAGE)
#define SLOT_PAGES (SLOT_BYTES / PEER_PAGE)
_Static_assert(OCCUPANCY_SLOTS == ARENA_SLOTS, "slots of an arena");
_Static_assert(OCCUPANCY_CLASSES > CLASS_LARGE, "classes of blocks");

#define TAG_NODE_SHIFT (32 - LEDGER_NODE_BITS)

struct looking {
    const struct peer *peer;
    const struct ledger_copy *copy;
    struct occupancy *out;
    struct keys lines;
    uint32_t arena_room, pin_room;
    struct occupancy_arena *arena; /* the last one */
    bool resident[ARENA_PAGES];
    uint64_t slot_live[ARENA_SLOTS];
    uint32_t counted; /* blocks of the pool below this number are */
    bool failed;
};

/* The pin of the line that a tag names. */
static struct occupancy_pin *pin_of(struct looking *looking, uint32_t tag)
{
    uint32_t node = tag >> TAG_NODE_SHIFT;
    struct key key = {{0, 0, 0}};
    uint32_t number;
    if (node < looking->copy->node_count) {
        key.word[0] = looking->copy->nodes[node].code;
        key.word[1] = key.word[0] != 0 ? looking->copy->nodes[node].line : 0;
    }
    if (keys_put(&looking->lines, key, &number) != HG_OK)
        goto fail;
    struct occupancy_pin *pins =
        grow_to(looking->out->pins, &looking->pin_room, number, sizeof *pins);
    if (pins == NULL)
        goto fail;
    looking->out->pins = pins;
    pins[number].code = key.word[0];
    pins[number].line = key.word[1];
    return &pins[number];
fail:
    looking->failed = true;
    return NULL;
}

/* The finished arena: percents of its slots. */
static void close_arena(struct looking *looking)
{
    struct occupancy_arena *arena = looking->arena;
    if (arena == NULL)
        return;
    for (unsigned i = 0; i < ARENA_SLOTS; i++) {
        if (arena->full[i] != SLOT_FREE)
            arena->full[i] = (uint8_t)(looking->slot_live[i] * 100 / SLOT_BYTES);
        for (unsigned p = 0; p < SLOT_PAGES; p++)
            arena->in_memory[i] |= looking->resident[i * SLOT_PAGES + p];
    }
    looking->arena = NULL;
}

static void on_arena(void *arg, const struct anatomy_arena *arena)
{
    struct looking *looking = arg;
    struct occupancy *out = looking->out;
    close_arena(looking);
    struct occupancy_arena *arenas =
        grow_to(out->arenas, &looking->arena_room, (uint32_t)out->arena_count,
                sizeof *arenas);
    if (arenas == NULL) {
        looking->failed = true;
        return;
    }
    out->arenas = arenas;
    looking->arena = &arenas[out->arena_count];
    *looking->arena = (struct occupancy_arena){.start = arena->start};
    memset(looking->arena->full, SLOT_FREE, sizeof looking->arena->full);
    memset(looking->slot_live, 0, sizeof looking->slot_live);
    peer_resident(looking->peer, arena->start, ARENA_PAGES, looking->resident);
    for (size_t i = 0; i < ARENA_PAGES; i++) {
        looking->arena->resident += looking->resident[i] ? PEER_PAGE : 0;
        if (looking->resident[i] && (arena->free >> i / SLOT_PAGES & 1) != 0)
            out->free_bytes += PEER_PAGE;
    }
    out->resident += looking->arena->resident;
    out->arena_count += looking->arena->resident != 0;
}

/* The bytes that a block has in a page, both as offsets in their pool. */
static uint64_t overlap(uint64_t block, size_t bytes, uint64_t page)
{
    uint64_t from = block > page ? block : page;
    uint64_t to =
        block + bytes < page + PEER_PAGE ? block + bytes : page + PEER_PAGE;
    return to > from ? to - from : 0;
}

/* Charge a page to the line whose blocks alone are live there, if there is one.
   Returns the bytes that are live. */
static uint64_t look_at_page(struct looking *looking,
                             const struct anatomy_pool *pool, uint64_t page)
{
    struct occupancy_pin *only = NULL;
    bool shared = false;
    uint64_t live = 0;
    uint64_t blocks = 0;
    uint32_t counted = 0;
    uint32_t i =
        page == 0 ? 0 : (uint32_t)((page - pool->lead) / pool->block_bytes);
    for (; i < pool->capacity; i++) {
        uint64_t start = pool->lead + (uint64_t)i * pool->block_bytes;
        if (start >= page + PEER_PAGE)
            break;
        if (pool->kind[i] != BLOCK_LIVE)
            continue;
        struct occupancy_pin *pin =
            pin_of(looking, pool->tags != NULL ? pool->tags[i] : 0);
        shared = shared || (only != NULL && pin != only);
        only = pin;
        live += overlap(start, pool->block_bytes, page);
        /* One that reaches into several pages, where the first that it alone keeps
           is. */
        blocks += i >= looking->counted;
        counted = i + 1;
    }
    if (only == NULL) {
        looking->out->free_bytes += PEER_PAGE;
    } else if (shared) {
        looking->out->shared_pages++;
        looking->out->shared_live += live;
    } else {
        only->pages++;
        only->live += live;
        only->blocks += blocks;
        looking->counted = counted;
    }
    return live;
}

static void on_pool(void *arg, const struct anatomy_pool *pool)
{
    struct looking *looking = arg;
    struct occupancy_class *class = &looking->out->classes[pool->class];
    if (looking->arena == NULL)
        return;
    looking->counted = 0;
    size_t first = (size_t)(pool->start - looking->arena->start) / PEER_PAGE;
    for (size_t i = 0; i < pool->bytes / PEER_PAGE; i++) {
        size_t slot = (first + i) / SLOT_PAGES;
        looking->arena->full[slot] = 0;
        if (!looking->resident[first + i] && !pool->headers)
            continue;
        uint64_t live =
            pool->headers ? PEER_PAGE : look_at_page(looking, pool, i * PEER_PAGE);
        looking->slot_live[slot] += live;
        looking->arena->live += live;
        looking->out->live += live;
        if (pool->headers)
            continue;
        class->resident += PEER_PAGE;
        class->live += live;
    }
    if (pool->headers)
        return;
    class->block_bytes = pool->class == CLASS_LARGE ? 0 : pool->block_bytes;
    class->pools++;
    class->blocks += pool->capacity;
    class->live_blocks += pool->live;
}

static int most_excess_first(const void *a, const void *b)
{
    uint64_t x = occupancy_excess(a);
    uint64_t y = occupancy_excess(b);
    return x > y ? -1 : x < y;
}

hg_status occupancy_take(const struct peer *peer, const struct ledger_copy *copy,
                         struct occupancy *out)
{
    struct looking *looking = calloc(1, sizeof *looking);
    *out = (struct occupancy){.resident = 0};
    if (looking == NULL)
        return HG_ENOMEM;
    looking->peer = peer;
    looking->copy = copy;
    looking->out = out;
    const struct anatomy_visitor visitor = {
        .arg = looking, .arena = on_arena, .pool = on_pool};
    struct anatomy_account account;
    hg_status status = anatomy_walk(peer_read, (void *)peer,
                                    copy->header.heap.anatomy, &visitor, &account);
    out->pools = account.pools;
    out->unread = account.unread;
    int error = errno;
    close_arena(looking);
    if (status == HG_OK && looking->failed)
        status = HG_ENOMEM;
    for (uint32_t i = 0; i < looking->lines.count && i < looking->pin_room; i++)
        if (out->pins[i].pages != 0)
            out->pins[out->pin_count++] = out->pins[i];
    if (out->pin_count > 1)
        qsort(out->pins, out->pin_count, sizeof *out->pins, most_excess_first);
    keys_drop(&looking->lines);
    free(looking);
    if (status != HG_OK)
        occupancy_drop(out);
    errno = error;
    return status;
}

void occupancy_drop(struct occupancy *occupancy)
{
    free(occupancy->arenas);
    free(occupancy->pins);
    *occupancy = (struct occupancy){.resident = 0};
}
