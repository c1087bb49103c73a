/* SPDX-License-Identifier: MIT */
/* ask.c - who refers to whom, why an object is there, and which types lie. */
#include "object/world.h"

#include <string.h>

/* Call each(w, page, object) for the live ones. */
typedef void on_live(hg_world *w, struct page *page, hg_object *object, void *arg);

static void each_live(hg_world *w, on_live *each, void *arg)
{
    for (uint32_t seq = 0; seq < w->order_count; seq++) {
        if (w->order[seq] == NO_PAGE)
            continue;
        struct page *page = page_at(w, w->order[seq]);
        for (uint32_t slot = 0; slot < page->carved; slot++) {
            if (page->state[slot] & IS_LIVE)
                each(w, page, object_at(page, slot), arg);
        }
    }
}

struct asked {
    hg_on_object *call;
    void *arg;
    const void *target;
    const hg_object *from;
};

static void tell(hg_world *w, struct page *page, hg_object *object, void *arg)
{
    const struct asked *asked = arg;
    (void)w, (void)page;
    asked->call(object, asked->arg);
}

void hg_walk(hg_world *w, hg_on_object *call, void *arg)
{
    struct asked asked = {.call = call, .arg = arg};
    each_live(w, tell, &asked);
}

static void tell_target(void *target, void *arg)
{
    const struct asked *asked = arg;
    if (target != NULL)
        asked->call(target, asked->arg);
}

void hg_referents(const void *object, hg_on_object *call, void *arg)
{
    struct asked asked = {.call = call, .arg = arg};
    edges_each(object, tell_target, &asked);
}

static void tell_if_target(void *target, void *arg)
{
    const struct asked *asked = arg;
    if (target == asked->target)
        asked->call(asked->from, asked->arg);
}

static void ask_referrer(hg_world *w, struct page *page, hg_object *object,
                         void *arg)
{
    struct asked *asked = arg;
    (void)w, (void)page;
    asked->from = object;
    edges_each(object, tell_if_target, asked);
}

void hg_referrers(hg_world *w, const void *object, hg_on_object *call, void *arg)
{
    struct asked asked = {.call = call, .arg = arg, .target = object};
    each_live(w, ask_referrer, &asked);
}

/* ---- counting all references: exact[slot] of every page ---- */

static uint32_t *exact_of(hg_world *w, const void *object)
{
    struct page *page = object == NULL ? NULL : page_of(w, object);
    return page == NULL ? NULL : &page->exact[slot_of(page, object)];
}

static hg_status exact_clear(hg_world *w)
{
    for (uint32_t seq = 0; seq < w->order_count; seq++) {
        if (w->order[seq] == NO_PAGE)
            continue;
        struct page *page = page_at(w, w->order[seq]);
        if (!page_exact(page))
            return HG_ENOMEM;
        memset(page->exact, 0, page->slots * sizeof *page->exact);
    }
    return HG_OK;
}

static void count_target(void *target, void *arg)
{
    uint32_t *exact = exact_of(arg, target);
    if (exact != NULL)
        ++*exact;
}

static void count_from(hg_world *w, struct page *page, hg_object *object, void *arg)
{
    (void)page, (void)arg;
    edges_each(object, count_target, w);
}

/* A running cycle keeps numbers of its own in `exact`. */
static hg_status exact_count(hg_world *w)
{
    if (w->cycle.phase != CYCLE_NONE || w->collecting)
        return HG_EBUSY;
    hg_status status = exact_clear(w);
    if (status == HG_OK)
        each_live(w, count_from, NULL);
    return status;
}

/* ---- why alive: breadth first, from all roots at once ---- */

struct search {
    hg_world *w;
    hg_object **reached; /* in the order of their distance */
    uint32_t *from;      /* of each, the index of who reached it; a root: itself */
    size_t count, at;
};

static void search_add(struct search *search, hg_object *object, size_t from)
{
    search->from[search->count] = (uint32_t)from;
    search->reached[search->count++] = object;
}

static void add_root(hg_world *w, struct page *page, hg_object *object, void *arg)
{
    struct search *search = arg;
    (void)w;
    if (object->count != page->exact[slot_of(page, object)])
        search_add(search, object, search->count);
}

static void add_target(void *target, void *arg)
{
    struct search *search = arg;
    uint32_t *exact = exact_of(search->w, target);
    if (exact == NULL || *exact != 0)
        return;
    *exact = 1;
    search_add(search, target, search->at);
}

/* From the root down: turn the chain round, then go along it. */
static void tell_chain(struct search *search, size_t end, hg_on_object *call,
                       void *arg)
{
    size_t start = end;
    for (size_t i = end;;) {
        size_t from = search->from[i];
        search->from[i] = (uint32_t)start;
        start = i;
        if (from == i)
            break;
        i = from;
    }
    for (size_t i = start;; i = search->from[i]) {
        call(search->reached[i], arg);
        if (i == end)
            return;
    }
}

hg_status hg_why_alive(hg_world *w, const void *object, hg_on_object *call,
                       void *arg)
{
    hg_status status = exact_count(w);
    if (status != HG_OK)
        return status;
    struct search search = {.w = w};
    if (w->live >= UINT32_MAX)
        return HG_ENOMEM;
    search.reached = memory_take((w->live + 1) * sizeof *search.reached);
    search.from = memory_take((w->live + 1) * sizeof *search.from);
    if (search.reached == NULL || search.from == NULL) {
        status = HG_ENOMEM;
        goto done;
    }
    each_live(w, add_root, &search);
    exact_clear(w); /* from now on: whether it was reached */
    for (size_t i = 0; i < search.count; i++)
        *exact_of(w, search.reached[i]) = 1;
    for (; search.at < search.count; search.at++) {
        if (search.reached[search.at] == object) {
            tell_chain(&search, search.at, call, arg);
            break;
        }
        edges_each(search.reached[search.at], add_target, &search);
    }
done:
    memory_give(search.reached);
    memory_give(search.from);
    return status;
}

/* ---- types that lie ---- */

struct liars {
    hg_world *w;
    hg_on_liar *call;
    void *arg;
    const hg_object *from;
};

static void tell_liar(void *target, void *arg)
{
    const struct liars *liars = arg;
    const hg_object *object = target;
    const uint32_t *exact = exact_of(liars->w, target);
    if (exact != NULL && !(object->count & COUNT_IMMORTAL) &&
        *exact > object->count)
        liars->call(liars->from, target, liars->arg);
}

static void ask_liar(hg_world *w, struct page *page, hg_object *object, void *arg)
{
    struct liars *liars = arg;
    (void)w, (void)page;
    liars->from = object;
    edges_each(object, tell_liar, liars);
}

hg_status hg_find_liars(hg_world *w, hg_on_liar *call, void *arg)
{
    hg_status status = exact_count(w);
    if (status != HG_OK)
        return status;
    struct liars liars = {.w = w, .call = call, .arg = arg};
    each_live(w, ask_liar, &liars);
    return HG_OK;
}
