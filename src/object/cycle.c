/* SPDX-License-Identifier: MIT */
/*
 * cycle.c - a full collection in slices, while the program runs between them.
 *
 * References between tracked objects are counted page by page; whoever has more
 * references than were counted is a root; what roots reach is marked.  All that
 * with the program changing the graph at will and without any barrier: so what
 * stays unmarked is only a set of candidates.
 *
 *   Complete: garbage cannot change.  What was garbage when the cycle began is
 * still there with the same references, nobody but garbage refers to it, all of
 * these were counted, and so it is never a root, nor reached from one.  This is why
 * younger generations are not collected meanwhile.
 *
 *   Sound: candidates are split into connected components, and on each batch of
 * whole components the exact rule of subset.c decides.
 *
 * Marking goes by page: a page that gets a mark waits in a queue, and is scanned
 * for all marks that have gathered when its turn comes, in the order of addresses.
 *
 * Objects born meanwhile have both bits and are no candidates.
 */
#include "object/world.h"

#include <string.h>

/* Between two looks at the clock; and objects of a batch, or one component. */
#ifdef HG_FAULTS
enum { SLOTS_BETWEEN = 4, PAGES_BETWEEN = 1, PICKED_BETWEEN = 3, BATCH = 8 };
#else
enum { SLOTS_BETWEEN = 256, PAGES_BETWEEN = 8, PICKED_BETWEEN = 512, BATCH = 1024 };
#endif

enum {
    LIVE_TRACKED = IS_LIVE | IS_TRACKED,
    AHEAD = 8,
    LATE = sizeof((struct cycle){0}.late) / sizeof(uint16_t *),
    SOON = sizeof((struct cycle){0}.soon) / sizeof(hg_object *)
};

static inline bool late(uint64_t until_ns)
{
    return until_ns != UINT64_MAX && world_now_ns() >= until_ns;
}

/* The page at `seq` if it has tracked objects. */
static struct page *page_to_scan(hg_world *w, uint32_t seq)
{
    uint32_t id = w->order[seq];
    if (id == NO_PAGE)
        return NULL;
    struct page *page = page_at(w, id);
    return page->kind == PAGE_OTHERS ? page : NULL;
}

static inline bool bit_of(const uint64_t *bits, uint32_t slot)
{
    return bits[slot / 64] >> slot % 64 & 1;
}

static inline void mark(struct page *page, uint32_t slot)
{
    page->seen[slot / 64] |= 1ull << slot % 64;
    page->dirty |= 1ull << slot / 64;
}

static inline void queue_push(struct cycle *cycle, struct page *page)
{
    page->queued = true;
    cycle->queue[cycle->queue_tail++ & cycle->queue_mask] = page->seq;
}

static inline void array_prefetch(const hg_object *object)
{
    uint16_t at = object->type->array.at;
    if (at != 0)
        __builtin_prefetch(*(void *const *)((const char *)object + at));
}

/* The counts of a large world are not in the cache: ask for each, and add when some
   others have been asked for. */
HG_ALWAYS_INLINE void edge_count(void *target, void *arg)
{
    hg_world *w = arg;
    struct page *page = target == NULL ? NULL : page_of(w, target);
    if (HG_UNLIKELY(page == NULL))
        return;
    struct cycle *cycle = &w->cycle;
    uint16_t *count = &page->count[slot_of(page, target)];
    __builtin_prefetch(count, 1);
    unsigned at = cycle->late_at++ % LATE;
    ++*cycle->late[at];
    cycle->late[at] = count;
}

static void counts_begin(struct cycle *cycle)
{
    for (unsigned i = 0; i < LATE; i++)
        cycle->late[i] = &cycle->nowhere;
}

/* Before anything looks at counts, or a page may go. */
static void counts_end(struct cycle *cycle)
{
    for (unsigned i = 0; i < LATE; i++)
        ++*cycle->late[i];
}

/* Leaves have all bits set already, and so cost no branch of their own. */
HG_ALWAYS_INLINE void edge_see(void *target, void *arg)
{
    hg_world *w = arg;
    struct page *page = target == NULL ? NULL : page_of(w, target);
    if (HG_UNLIKELY(page == NULL))
        return;
    uint32_t slot = slot_of(page, target);
    if (bit_of(page->seen, slot))
        return;
    mark(page, slot);
    if (!page->queued)
        queue_push(&w->cycle, page);
}

void cycle_begin(hg_world *w)
{
    w->cycle.picked.count = 0;
    w->cycle.longs.count = 0;
    w->cycle.batched = false;
    w->cycle.long_at = w->cycle.item = 0;
    w->cycle.live = w->live;
    w->cycle.phase = CYCLE_FLUSH;
}

static bool queue_reach(struct cycle *cycle, uint32_t pages)
{
    uint32_t room = 64;
    while (room < pages)
        room *= 2;
    cycle->queue_head = cycle->queue_tail = 0;
    if (cycle->queue != NULL && cycle->queue_mask + 1 >= room)
        return true;
    memory_give(cycle->queue);
    cycle->queue = memory_take(room * sizeof *cycle->queue);
    cycle->queue_mask = room - 1;
    return cycle->queue != NULL;
}

/* No object is remembered by address any more. */
static void cycle_forget(hg_world *w)
{
    struct cycle *cycle = &w->cycle;
    memory_give(cycle->parent);
    memory_give(cycle->start);
    memory_give(cycle->sorted);
    cycle->parent = cycle->start = cycle->sorted = NULL;
    w->cycle_runs = w->keep_pages = false;
}

static int phase_pages(hg_world *w, uint64_t until_ns)
{
    for (struct cycle *c = &w->cycle; c->at < w->order_count;) {
        uint32_t id = w->order[c->at++];
        if (id == NO_PAGE || page_at(w, id)->live > 0)
            continue;
        page_empty(w, id);
        if (late(until_ns))
            return 0;
    }
    return 1;
}

static void cycle_give_up(hg_world *w)
{
    cycle_forget(w);
    w->cycle.at = 0;
    phase_pages(w, UINT64_MAX);
    w->cycle.phase = CYCLE_NONE;
}

/* Each phase returns 1 when it has come to its end, 0 when time has; -1: no memory.
 */

static int phase_flush(hg_world *w, uint64_t until_ns)
{
    dispose_some(w, until_ns, 1);
    if (w->dead_count != 0)
        return 0;
    if (!queue_reach(&w->cycle, w->order_count))
        return -1;
    w->cycle_runs = true;
    w->keep_pages = true;
    w->cycle.pages = w->order_count;
    return 1;
}

static int phase_init(hg_world *w, uint64_t until_ns)
{
    for (struct cycle *c = &w->cycle; c->at < c->pages;) {
        struct page *page = page_to_scan(w, c->at++);
        if (page != NULL) {
            size_t words = (page->slots + 63) / 64;
            memset(page->seen, 0, words * 8);
            memset(page->done, 0, words * 8);
            memset(page->count, 0, page->slots * sizeof *page->count);
            page->queued = false;
            page->dirty = 0;
        }
        if (c->at % PAGES_BETWEEN == 0 && late(until_ns))
            return 0;
    }
    return 1;
}

/* Counting goes through a page from end to end: what an array's items lie in is all
   that the machine does not foresee. */
static inline void items_ask(const struct page *page, uint32_t slot)
{
    if (slot < page->carved && (page->state[slot] & LIVE_TRACKED) == LIVE_TRACKED)
        array_prefetch(object_at(page, slot));
}

static int count_pages(hg_world *w, uint64_t until_ns)
{
    for (struct cycle *c = &w->cycle; c->at < c->pages; c->at++, c->slot = 0) {
        struct page *page = page_to_scan(w, c->at);
        while (page != NULL && c->slot < page->carved) {
            uint32_t end = c->slot + SLOTS_BETWEEN;
            if (end > page->carved)
                end = page->carved;
            for (; c->slot < end; c->slot++, c->item = 0) {
                items_ask(page, c->slot + AHEAD);
                if ((page->state[c->slot] & LIVE_TRACKED) != LIVE_TRACKED ||
                    bit_of(page->done, c->slot))
                    continue;
                w->now.examined += c->item == 0;
                /* It may shrink or die between slices: then it was no garbage. */
                while (edges_slice(object_at(page, c->slot), &c->item, edge_count,
                                   w)) {
                    if (late(until_ns))
                        return 0;
                }
            }
            if (late(until_ns))
                return 0;
        }
    }
    return 1;
}

static int phase_count(hg_world *w, uint64_t until_ns)
{
    counts_begin(&w->cycle);
    int done = count_pages(w, until_ns);
    counts_end(&w->cycle);
    return done;
}

static inline void object_scan(hg_world *w, hg_object *object)
{
    uint32_t count;
    items_of(object, &count);
    struct set *longs = &w->cycle.longs;
    if (HG_UNLIKELY(count > LONG) && set_reach(longs, longs->count + 1))
        longs->object[longs->count++] = object;
    else
        edges_each(object, edge_see, w);
}

/*
 * What is to be scanned is not in the cache either: it waits in a ring while it is
 * asked for, and halfway through so are the items of its array.
 */
static inline void object_soon(hg_world *w, hg_object *object, size_t bytes)
{
    struct cycle *c = &w->cycle;
    __builtin_prefetch(object);
    __builtin_prefetch((char *)object + bytes - 1);
    unsigned at = c->soon_at++;
    const hg_object *half = c->soon[(at + SOON / 2) % SOON];
    if (half != NULL)
        array_prefetch(half);
    hg_object *now = c->soon[at % SOON];
    c->soon[at % SOON] = object;
    if (now != NULL)
        object_scan(w, now);
}

/* Before a slice ends, for what is waiting may die then. */
static void soon_end(hg_world *w)
{
    struct cycle *c = &w->cycle;
    for (unsigned i = 0; i < SOON; i++) {
        hg_object *now = c->soon[(c->soon_at + i) % SOON];
        c->soon[(c->soon_at + i) % SOON] = NULL;
        if (now != NULL)
            object_scan(w, now);
    }
}

/* Once upwards; what it marks behind itself waits for the next time. */
static HG_NOINLINE void page_scan(hg_world *w, struct page *page)
{
    uint64_t ahead = UINT64_MAX;
    page->queued = true;
    while ((page->dirty & ahead) != 0) {
        uint32_t i = (uint32_t)__builtin_ctzll(page->dirty & ahead);
        uint64_t fresh = page->seen[i] & ~page->done[i];
        page->dirty &= ~(1ull << i);
        page->done[i] |= fresh;
        ahead = UINT64_MAX << i;
        for (; fresh != 0; fresh &= fresh - 1) {
            uint32_t slot = i * 64 + (uint32_t)__builtin_ctzll(fresh);
            if ((page->state[slot] & LIVE_TRACKED) == LIVE_TRACKED)
                object_soon(w, object_at(page, slot), page->slot_bytes);
        }
    }
    page->queued = false;
    if (page->dirty != 0)
        queue_push(&w->cycle, page);
}

static int roots_pages(hg_world *w, uint64_t until_ns)
{
    for (struct cycle *c = &w->cycle; c->at < c->pages;) {
        struct page *page = page_to_scan(w, c->at++);
        if (page == NULL)
            continue;
        for (uint32_t slot = 0; slot < page->carved; slot++) {
            if ((page->state[slot] & LIVE_TRACKED) != LIVE_TRACKED)
                continue;
            uint32_t count = object_at(page, slot)->count;
            if ((uint16_t)count != page->count[slot] || count & COUNT_IMMORTAL)
                mark(page, slot);
        }
        /* While it is in the cache. */
        if (!page->queued)
            page_scan(w, page);
        if (late(until_ns))
            return 0;
    }
    return 1;
}

static int phase_roots(hg_world *w, uint64_t until_ns)
{
    int done = roots_pages(w, until_ns);
    soon_end(w);
    return done;
}

/* Scan some of the last of the long ones, which may have died meanwhile. */
static void long_scan(hg_world *w)
{
    struct cycle *c = &w->cycle;
    hg_object *object = c->longs.object[c->longs.count - 1];
    if ((*state_of(w, object) & LIVE_TRACKED) != LIVE_TRACKED ||
        !edges_slice(object, &c->long_at, edge_see, w)) {
        c->longs.count--;
        c->long_at = 0;
    }
}

static int phase_drain(hg_world *w, uint64_t until_ns)
{
    struct cycle *c = &w->cycle;
    for (;;) {
        if (c->queue_head == c->queue_tail)
            soon_end(w);
        if (c->longs.count == 0 && c->queue_head == c->queue_tail)
            return 1;
        if (c->longs.count > 0) {
            long_scan(w);
        } else {
            uint32_t seq = c->queue[c->queue_head++ & c->queue_mask];
            page_scan(w, page_at(w, w->order[seq]));
        }
        if (late(until_ns)) {
            soon_end(w);
            return 0;
        }
    }
}

static inline bool is_candidate(const struct page *page, uint32_t slot)
{
    return (page->state[slot] & LIVE_TRACKED) == LIVE_TRACKED &&
           !bit_of(page->seen, slot);
}

/* Call each(w, object) for candidates. */
HG_ALWAYS_INLINE int each_candidate(hg_world *w, uint64_t until_ns,
                                    void (*each)(hg_world *, hg_object *))
{
    for (struct cycle *c = &w->cycle; c->at < c->pages;) {
        struct page *page = page_to_scan(w, c->at++);
        uint32_t carved = page == NULL ? 0 : page->carved;
        for (uint32_t slot = 0; slot < carved; slot++) {
            if (slot % 64 == 0 && page->seen[slot / 64] == UINT64_MAX)
                slot += 63;
            else if (is_candidate(page, slot))
                each(w, object_at(page, slot));
        }
        if (c->at % PAGES_BETWEEN == 0 && late(until_ns))
            return 0;
    }
    return 1;
}

static void tally(hg_world *w, hg_object *object)
{
    (void)object;
    w->now.candidates++;
}

/* Some of those that were counted may have died. */
static void pick(hg_world *w, hg_object *object)
{
    struct set *picked = &w->cycle.picked;
    HG_VERIFY(picked->count < w->now.candidates, "a late candidate", object);
    picked->object[picked->count++] = object;
}

static int phase_tally(hg_world *w, uint64_t until_ns)
{
    struct cycle *c = &w->cycle;
    if (!each_candidate(w, until_ns, tally))
        return 0;
    if (w->now.candidates == 0)
        return 1;
    if (w->now.candidates >= UINT32_MAX ||
        !set_reach(&c->picked, w->now.candidates))
        return -1;
    size_t bytes = (w->now.candidates + 1) * sizeof(uint32_t);
    c->parent = memory_take(bytes);
    c->start = memory_take(bytes);
    c->sorted = memory_take(bytes);
    return c->parent != NULL && c->start != NULL && c->sorted != NULL ? 1 : -1;
}

static int phase_pick(hg_world *w, uint64_t until_ns)
{
    return each_candidate(w, until_ns, pick);
}

static int phase_number(hg_world *w, uint64_t until_ns)
{
    for (struct cycle *c = &w->cycle; c->index < c->picked.count;) {
        hg_object *object = c->picked.object[c->index];
        struct page *page = page_of(w, object);
        if (!page_exact(page))
            return -1;
        page->exact[slot_of(page, object)] = (uint32_t)c->index;
        c->parent[c->index] = (uint32_t)c->index;
        c->index++;
        if (c->index % PICKED_BETWEEN == 0 && late(until_ns))
            return 0;
    }
    return 1;
}

static uint32_t component_of(uint32_t *parent, uint32_t i)
{
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

static void edge_unite(void *target, void *arg)
{
    hg_world *w = arg;
    struct cycle *c = &w->cycle;
    struct page *page = target == NULL ? NULL : page_of(w, target);
    if (page == NULL || page->exact == NULL)
        return;
    uint32_t number = page->exact[slot_of(page, target)];
    if (number >= c->picked.count || c->picked.object[number] != target)
        return; /* no candidate: a number of old */
    uint32_t a = component_of(c->parent, (uint32_t)c->index);
    uint32_t b = component_of(c->parent, number);
    if (a < b)
        c->parent[b] = a;
    else
        c->parent[a] = b;
}

static int phase_unite(hg_world *w, uint64_t until_ns)
{
    for (struct cycle *c = &w->cycle; c->index < c->picked.count;) {
        hg_object *object = c->picked.object[c->index];
        if ((*state_of(w, object) & LIVE_TRACKED) == LIVE_TRACKED)
            edges_each(object, edge_unite, w);
        c->index++;
        if (c->index % PICKED_BETWEEN == 0 && late(until_ns))
            return 0;
    }
    return 1;
}

/* A counting sort by component, in slices. */
static int phase_sizes(hg_world *w, uint64_t until_ns)
{
    for (struct cycle *c = &w->cycle; c->index < c->picked.count;) {
        uint32_t i = (uint32_t)c->index++;
        c->parent[i] = component_of(c->parent, i);
        c->start[c->parent[i] + 1]++;
        if (c->index % PICKED_BETWEEN == 0 && late(until_ns))
            return 0;
    }
    return 1;
}

static int phase_starts(hg_world *w, uint64_t until_ns)
{
    for (struct cycle *c = &w->cycle; c->index < c->picked.count;) {
        c->start[c->index + 1] += c->start[c->index];
        c->index++;
        if (c->index % PICKED_BETWEEN == 0 && late(until_ns))
            return 0;
    }
    return 1;
}

static int phase_sort(hg_world *w, uint64_t until_ns)
{
    for (struct cycle *c = &w->cycle; c->index < c->picked.count;) {
        uint32_t i = (uint32_t)c->index++;
        c->sorted[c->start[c->parent[i]]++] = i;
        if (c->index % PICKED_BETWEEN == 0 && late(until_ns))
            return 0;
    }
    return 1;
}

/* Whole components, from c->index on.  False: no memory. */
static bool batch_fill(struct cycle *c)
{
    uint32_t component = c->parent[c->sorted[c->index]];
    c->batch.count = 0;
    for (; c->index < c->picked.count; c->index++) {
        uint32_t i = c->sorted[c->index];
        if (c->parent[i] != component && c->batch.count >= BATCH)
            return true;
        component = c->parent[i];
        if (!set_reach(&c->batch, c->batch.count + 1))
            return false;
        c->batch.object[c->batch.count++] = c->picked.object[i];
    }
    return true;
}

static int phase_batch(hg_world *w, uint64_t until_ns)
{
    struct cycle *c = &w->cycle;
    while (c->batched || c->index < c->picked.count) {
        if (!c->batched) {
            if (!batch_fill(c) || !set_reduce(w, &c->batch, 0, NULL))
                return -1;
            w->now.unreachable += c->batch.count;
            if (!set_settle(w, &c->batch))
                return -1;
            w->now.freed += c->batch.count;
            c->batch_at = 0;
        }
        c->batched = !set_free(w, &c->batch, &c->batch_at, PICKED_BETWEEN);
        if (late(until_ns))
            return 0;
    }
    cycle_forget(w);
    return 1;
}

static int phase_run(hg_world *w, uint64_t until_ns)
{
    switch (w->cycle.phase) {
    case CYCLE_FLUSH:
        return phase_flush(w, until_ns);
    case CYCLE_INIT:
        return phase_init(w, until_ns);
    case CYCLE_COUNT:
        return phase_count(w, until_ns);
    case CYCLE_ROOTS:
        return phase_roots(w, until_ns);
    case CYCLE_DRAIN:
        return phase_drain(w, until_ns);
    case CYCLE_TALLY:
        return phase_tally(w, until_ns);
    case CYCLE_PICK:
        return phase_pick(w, until_ns);
    case CYCLE_NUMBER:
        return phase_number(w, until_ns);
    case CYCLE_UNITE:
        return phase_unite(w, until_ns);
    case CYCLE_SIZES:
        return phase_sizes(w, until_ns);
    case CYCLE_STARTS:
        return phase_starts(w, until_ns);
    case CYCLE_SORT:
        return phase_sort(w, until_ns);
    case CYCLE_BATCH:
        return phase_batch(w, until_ns);
    case CYCLE_PAGES:
    case CYCLE_NONE:
        break;
    }
    return phase_pages(w, until_ns);
}

hg_status cycle_step(hg_world *w, uint64_t until_ns)
{
    struct cycle *c = &w->cycle;
    HG_ASSERT(c->phase != CYCLE_NONE);
    for (;;) {
        int done = phase_run(w, until_ns);
        if (done < 0) {
            cycle_give_up(w);
            return HG_ENOMEM;
        }
        if (done == 0)
            return HG_EBUSY;
        if (c->phase == CYCLE_PAGES) {
            c->phase = CYCLE_NONE;
            return HG_OK;
        }
        c->phase++;
        c->at = c->slot = 0;
        c->index = 0;
        if (late(until_ns))
            return HG_EBUSY;
    }
}
