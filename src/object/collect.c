/* SPDX-License-Identifier: MIT */
/*
 * collect.c - when a world collects and what.
 *
 * Younger generations are collected at once, by the exact rule on the set of their
 * members.  A full collection is a cycle (cycle.c), in one piece or in slices.
 *
 * Slices follow allocation.  So that garbage does not run away from them, a cycle
 * that has let the world grow by twice the share at which it begins runs to its end
 * at once, whatever the time: the waiting garbage is bounded, too.
 */
#include "object/world.h"

#include <string.h>

#ifdef HG_STRESS
enum { TICK_CYCLE = 1, TICK_IDLE = 1 };
#else
enum { TICK_CYCLE = 512, TICK_IDLE = 256 };
#endif

/* What bounds an automatic collection of the younger generations: those that
   survived young ones wait for company up to so many times policy.young; and what
   is this long waits for a full one, whose slices may end within it. */
enum { MIDDLE_SHARE = 2, LONG_YOUNG = 4096 };

/*
 * Collections that find nothing are the rule in many programs.  So the younger ones
 * learn to be skipped, what is young then is old at once, and full ones to wait for
 * more growth; one that finds something, and all is as the policy says.
 */
enum { YOUNG_SKIP_MOST = 7, GROWTH_FACTOR_MOST = 3 };

static bool is_useless(const hg_collection *done)
{
    return done->unreachable * 64 < done->examined;
}

static void learn(unsigned *patience, bool useless, unsigned most)
{
    *patience = !useless ? 0 : 2 * *patience + 1 < most ? 2 * *patience + 1 : most;
}

static void call_out(hg_world *w, int generation, const hg_collection *done)
{
    if (w->on_collection != NULL)
        w->on_collection(w, generation, done, w->on_collection_arg);
}

static void collection_begins(hg_world *w, int generation)
{
    w->now = (hg_collection){.generation = generation};
    call_out(w, generation, NULL);
}

static void slice_ends(hg_world *w, uint64_t began_ns)
{
    uint64_t ns = world_now_ns() - began_ns;
    w->now.slices++;
    w->now.total_ns += ns;
    w->statistics.collector_ns += ns;
    if (ns > w->now.longest_ns)
        w->now.longest_ns = ns;
    if (ns > w->statistics.longest_ns)
        w->statistics.longest_ns = ns;
}

/* One that memory has failed is told of, too, but did not come to its end. */
static void collection_ends(hg_world *w, hg_status status)
{
    hg_collection done = w->now;
    w->statistics.freed[done.generation] += done.freed;
    if (status == HG_OK) {
        w->statistics.collections[done.generation]++;
        if (done.generation == HG_FULL)
            w->live_then = w->live;
    }
    call_out(w, done.generation, &done);
}

/* ---- the younger generations ---- */

/* The next slot from `slot` on with one of these bits in its state; page->carved:
   there is none.  Most pages have few, so eight are looked at at once. */
static uint32_t next_with(const struct page *page, uint32_t slot, uint8_t bits)
{
    while (slot < page->carved && !(page->state[slot] & bits)) {
        uint64_t eight = 0;
        if (page->carved - slot >= 8)
            memcpy(&eight, page->state + slot, 8);
        else
            eight = bits;
        slot += eight & 0x0101010101010101u * bits ? 1 : 8;
    }
    return slot;
}

/* Members are objects with at most `longest` items. */
static bool gather(hg_world *w, struct page *page, uint8_t wanted, uint32_t longest)
{
    if (!set_reach(&w->set, w->set.count + page->live))
        return false;
    for (uint32_t slot = 0; (slot = next_with(page, slot, wanted)) < page->carved;
         slot++) {
        if ((page->state[slot] & (IS_LIVE | IS_TRACKED)) != (IS_LIVE | IS_TRACKED))
            continue;
        uint32_t count;
        items_of(object_at(page, slot), &count);
        if (count <= longest)
            w->set.object[w->set.count++] = object_at(page, slot);
    }
    return true;
}

/* Everything in the page is older from now on. */
static void promote(struct page *page, uint8_t from, uint8_t to)
{
    for (uint32_t slot = 0; (slot = next_with(page, slot, from)) < page->carved;
         slot++)
        page->state[slot] = (uint8_t)((page->state[slot] & ~from) | to);
}

static void promote_listed(hg_world *w, int generation)
{
    uint8_t from = generation == HG_YOUNG ? IS_YOUNG : IS_YOUNG | IS_MIDDLE;
    uint8_t to = generation == HG_YOUNG ? IS_MIDDLE : 0;
    if (generation != HG_YOUNG) {
        for (uint32_t i = 0; i < w->middle_pages; i++) {
            struct page *page = page_at(w, w->middle[i]);
            promote(page, from, to);
            page->middle = false;
        }
        w->middle_pages = 0;
    }
    for (uint32_t i = 0; i < w->young_pages; i++) {
        struct page *page = page_at(w, w->young[i]);
        promote(page, from, to);
        page->young = false;
        if (generation == HG_YOUNG && !page->middle) {
            page->middle = true;
            w->middle[w->middle_pages++] = w->young[i];
        }
    }
    w->young_pages = 0;
    if (generation != HG_YOUNG)
        w->middle_most = 0;
    w->young_count = 0;
}

static hg_status collect_younger(hg_world *w, int generation, uint32_t longest)
{
    uint8_t wanted = generation == HG_YOUNG ? IS_YOUNG : IS_YOUNG | IS_MIDDLE;
    w->set.count = 0;
    for (uint32_t i = 0; i < w->young_pages; i++) {
        if (!gather(w, page_at(w, w->young[i]), wanted, longest))
            return HG_ENOMEM;
    }
    for (uint32_t i = 0; generation != HG_YOUNG && i < w->middle_pages; i++) {
        struct page *page = page_at(w, w->middle[i]);
        if (!page->young && !gather(w, page, wanted, longest))
            return HG_ENOMEM;
    }
    size_t examined = w->set.count;
    if (!set_reduce(w, &w->set, 0, NULL) || !set_reach(&w->alive, w->set.count))
        return HG_ENOMEM;
    promote_listed(w, generation);
    w->now.examined = examined;
    w->now.candidates = w->now.unreachable = w->set.count;
    if (generation == HG_YOUNG)
        w->middle_most += examined - w->set.count;
    size_t at = 0;
    HG_VERIFY(set_settle(w, &w->set), "no memory that was there before", w);
    set_free(w, &w->set, &at, SIZE_MAX);
    w->now.freed = w->set.count;
    return HG_OK;
}

/* ---- all of them ---- */

static void full_begin(hg_world *w)
{
    collection_begins(w, HG_FULL);
    cycle_begin(w);
}

static hg_status full_slice(hg_world *w, uint64_t us)
{
    uint64_t began_ns = world_now_ns();
    w->collecting = true;
    hg_status status =
        cycle_step(w, us == UINT64_MAX ? UINT64_MAX : began_ns + us * 1000);
    w->collecting = false;
    slice_ends(w, began_ns);
    if (status != HG_EBUSY)
        collection_ends(w, status);
    return status;
}

static bool in_callback(const hg_world *w)
{
    return w->collecting || w->disposing || w->calling;
}

static hg_status younger_now(hg_world *w, int generation, uint32_t longest)
{
    collection_begins(w, generation);
    uint64_t began_ns = world_now_ns();
    w->collecting = true;
    hg_status status = collect_younger(w, generation, longest);
    w->collecting = false;
    slice_ends(w, began_ns);
    collection_ends(w, status);
    return status;
}

static hg_status full_now(hg_world *w)
{
    full_begin(w);
    hg_status status = full_slice(w, UINT64_MAX);
    if (status == HG_OK)
        promote_listed(w, HG_MIDDLE);
    return status;
}

hg_status hg_collect(hg_world *w, int generation, hg_collection *out)
{
    if (generation < HG_YOUNG || generation > HG_FULL)
        return HG_EINVAL;
    if (in_callback(w))
        return HG_EBUSY;
    hg_status status = HG_OK;
    w->calling = true;
    if (w->cycle.phase != CYCLE_NONE)
        status = full_slice(w, UINT64_MAX);
    if (status == HG_OK)
        status = generation == HG_FULL ? full_now(w)
                                       : younger_now(w, generation, UINT32_MAX);
    hg_collection done = w->now;
    w->calling = false;
    dispose_some(w, UINT64_MAX, 0); /* what garbage alone referred to */
    if (status == HG_OK && out != NULL)
        *out = done;
    return status;
}

hg_status hg_step(hg_world *w, uint32_t us, int *done)
{
    if (in_callback(w))
        return HG_EBUSY;
    w->calling = true;
    if (w->cycle.phase == CYCLE_NONE)
        full_begin(w);
    hg_status status = full_slice(w, us);
    w->calling = false;
    if (status != HG_OK && status != HG_EBUSY)
        return status;
    if (done != NULL)
        *done = status == HG_OK;
    return HG_OK;
}

/* ---- by itself ---- */

/* A share of what there is, and a small world may grow by more. */
static double growth_bound(const hg_world *w, size_t live)
{
    return (double)live * w->policy.growth + 10.0 * w->policy.young;
}

/* How long the next slice of the running cycle may be. */
static uint64_t slice_us(const hg_world *w)
{
    double grown = (double)w->live - (double)w->cycle.live;
    if (w->policy.step_us == 0 || grown > growth_bound(w, w->cycle.live))
        return UINT64_MAX;
    return w->policy.step_us;
}

static void tick_cycle(hg_world *w)
{
    w->calling = true;
    if (w->cycle.phase == CYCLE_NONE)
        full_begin(w);
    if (full_slice(w, slice_us(w)) == HG_OK)
        learn(&w->growth_factor, is_useless(&w->now), GROWTH_FACTOR_MOST);
    w->calling = false;
}

static void tick_younger(hg_world *w)
{
    if (w->young_skipped < w->young_skip) {
        w->young_skipped++;
        promote_listed(w, HG_MIDDLE);
        return;
    }
    bool middle = ++w->young_runs > w->policy.middle ||
                  w->middle_most >= MIDDLE_SHARE * (size_t)w->policy.young;
    if (middle)
        w->young_runs = 0;
    w->calling = true;
    hg_status status = younger_now(w, middle ? HG_MIDDLE : HG_YOUNG, LONG_YOUNG);
    w->calling = false;
    if (status == HG_OK)
        learn(&w->young_skip, is_useless(&w->now), YOUNG_SKIP_MOST);
    w->young_skipped = 0;
    dispose_budget(w);
}

static void tick_collect(hg_world *w)
{
    if (w->cycle.phase != CYCLE_NONE) {
        tick_cycle(w);
        return;
    }
    if (w->young_count < w->policy.young)
        return;
    tick_younger(w);
    if (w->live < w->live_then)
        w->live_then = w->live;
    double grown = (double)(w->live - w->live_then);
    if (grown > growth_bound(w, w->live_then) * (1 + w->growth_factor))
        tick_cycle(w);
}

void world_tick_soon(hg_world *w)
{
    if (w->countdown > TICK_DEAD) {
        w->countdown_then += w->countdown - TICK_DEAD;
        w->countdown = TICK_DEAD;
    }
}

void world_tick(hg_world *w)
{
    if (w->dead_count != 0)
        dispose_some(w, 0, DISPOSE_ALWAYS);
    int32_t next = w->countdown_then;
    if (next <= 0) {
        if (w->policy.automatic && !in_callback(w)) {
#ifdef HG_STRESS
            hg_collect(w, HG_FULL, NULL);
#endif
            tick_collect(w);
        }
        next = w->cycle.phase != CYCLE_NONE ? TICK_CYCLE : TICK_IDLE;
    }
    w->countdown = next;
    w->countdown_then = 0;
    if (w->dead_count != 0)
        world_tick_soon(w);
}

void world_start(hg_world *w)
{
    w->policy = (hg_policy){1, 2000, 10, 0.25, 1000, 1000};
}

void world_last_collection(hg_world *w)
{
    hg_collect(w, HG_FULL, NULL);
}

void world_end(hg_world *w)
{
    struct set *sets[] = {&w->set,          &w->rescued,     &w->alive,
                          &w->cycle.picked, &w->cycle.batch, &w->cycle.longs};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        memory_give(sets[i]->object);
    memory_give(w->cycle.queue);
}

void hg_get_policy(const hg_world *w, hg_policy *out)
{
    *out = w->policy;
}

void hg_set_policy(hg_world *w, const hg_policy *policy)
{
    w->policy = *policy;
}

void hg_set_on_collection(hg_world *w, hg_on_collection *call, void *arg)
{
    w->on_collection = call;
    w->on_collection_arg = arg;
}

void hg_get_statistics(const hg_world *w, hg_statistics *out)
{
    *out = w->statistics;
    out->objects = w->live;
    out->bytes = w->live_bytes;
    out->young = w->young_count;
    out->waiting = w->dead_count;
    out->pages = w->order_count - w->holes;
    out->weak_targets = w->weak_count;
}
