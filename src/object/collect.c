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

#ifdef HG_STRESS
enum { TICK_CYCLE = 1, TICK_IDLE = 1 };
#else
enum { TICK_CYCLE = 512, TICK_IDLE = 256 };
#endif

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

static void collection_ends(hg_world *w)
{
    hg_collection done = w->now;
    w->statistics.collections[done.generation]++;
    w->statistics.freed[done.generation] += done.freed;
    if (done.generation == HG_FULL) {
        w->tracked_then = done.examined - done.freed;
        w->live_then = w->live;
        w->old_born = 0;
    }
    call_out(w, done.generation, &done);
}

/* ---- the younger generations ---- */

static bool gather(hg_world *w, struct page *page, uint8_t wanted)
{
    if (!set_reach(&w->set, w->set.count + page->live))
        return false;
    for (uint32_t slot = 0; slot < page->carved; slot++) {
        uint8_t state = page->state[slot];
        if (state & wanted &&
            (state & (IS_LIVE | IS_TRACKED)) == (IS_LIVE | IS_TRACKED))
            w->set.object[w->set.count++] = object_at(page, slot);
    }
    return true;
}

/* Everything in the page is older from now on. */
static void promote(struct page *page, uint8_t from, uint8_t to)
{
    for (uint32_t slot = 0; slot < page->carved; slot++) {
        uint8_t state = page->state[slot];
        if (state & from)
            page->state[slot] = (uint8_t)((state & ~from) | to);
    }
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
    w->young_count = 0;
}

static hg_status collect_younger(hg_world *w, int generation)
{
    uint8_t wanted = generation == HG_YOUNG ? IS_YOUNG : IS_YOUNG | IS_MIDDLE;
    w->set.count = 0;
    for (uint32_t i = 0; i < w->young_pages; i++) {
        if (!gather(w, page_at(w, w->young[i]), wanted))
            return HG_ENOMEM;
    }
    for (uint32_t i = 0; generation != HG_YOUNG && i < w->middle_pages; i++) {
        struct page *page = page_at(w, w->middle[i]);
        if (!page->young && !gather(w, page, wanted))
            return HG_ENOMEM;
    }
    size_t examined = w->set.count;
    if (!set_reduce(w, &w->set, 0, NULL) || !set_reach(&w->alive, w->set.count))
        return HG_ENOMEM;
    promote_listed(w, generation);
    w->now.examined = examined;
    w->now.candidates = w->now.unreachable = w->set.count;
    if (generation == HG_MIDDLE)
        w->old_born += examined - w->set.count;
    bool freed = set_free(w, &w->set);
    HG_VERIFY(freed, "no memory that was there before", w);
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
    if (status == HG_OK)
        collection_ends(w);
    return status;
}

static hg_status full_now(hg_world *w)
{
    full_begin(w);
    return full_slice(w, UINT64_MAX);
}

static bool in_callback(const hg_world *w)
{
    return w->collecting || w->disposing || w->calling;
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
    if (status == HG_OK && generation == HG_FULL) {
        status = full_now(w);
        if (status == HG_OK)
            promote_listed(w, HG_MIDDLE);
    } else if (status == HG_OK) {
        collection_begins(w, generation);
        uint64_t began_ns = world_now_ns();
        w->collecting = true;
        status = collect_younger(w, generation);
        w->collecting = false;
        slice_ends(w, began_ns);
        if (status == HG_OK)
            collection_ends(w);
    }
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
    *done = status == HG_OK;
    return HG_OK;
}

/* ---- by itself ---- */

/* How long the next slice of the running cycle may be. */
static uint64_t slice_us(const hg_world *w)
{
    double grown = (double)w->live - (double)w->live_then;
    double bound = (double)w->live_then * w->policy.growth + 10.0 * w->policy.young;
    if (w->policy.step_us == 0 || grown > 2 * bound)
        return UINT64_MAX;
    return w->policy.step_us;
}

static void tick_collect(hg_world *w)
{
    int done;
    hg_policy *policy = &w->policy;
    if (w->cycle.phase != CYCLE_NONE) {
        uint64_t us = slice_us(w);
        if (us == UINT64_MAX) {
            w->calling = true;
            full_slice(w, us);
            w->calling = false;
        } else {
            hg_step(w, (uint32_t)us, &done);
        }
        return;
    }
    if (w->young_count < policy->young)
        return;
    bool middle = ++w->young_runs > policy->middle;
    if (middle)
        w->young_runs = 0;
    hg_collect(w, middle ? HG_MIDDLE : HG_YOUNG, NULL);
    if (middle && (double)w->old_born > (double)w->tracked_then * policy->growth) {
        if (policy->step_us == 0)
            hg_collect(w, HG_FULL, NULL);
        else
            hg_step(w, policy->step_us, &done);
    }
}

void world_tick(hg_world *w)
{
    if (w->dead != 0)
        dispose_some(w, 0, DISPOSE_ALWAYS);
    if (w->policy.automatic && !in_callback(w)) {
#ifdef HG_STRESS
        hg_collect(w, HG_FULL, NULL);
#endif
        tick_collect(w);
    }
    if (w->dead != 0)
        w->countdown = TICK_DEAD;
    else
        w->countdown = w->cycle.phase != CYCLE_NONE ? TICK_CYCLE : TICK_IDLE;
}

void world_start(hg_world *w)
{
    w->policy = (hg_policy){1, 2000, 10, 0.25, 1000, 1000};
}

void world_last_collection(hg_world *w)
{
    hg_collect(w, HG_FULL, NULL);
    if (w->cycle.phase != CYCLE_NONE)
        cycle_end(w);
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
