/* SPDX-License-Identifier: MIT */
/* ask.c - who refers to whom, why an object is there, and which types lie. */
#include "object/world.h"

#include <string.h>

static void each_with(hg_world *w, uint8_t mask, uint8_t bits, on_live *each,
                      void *arg)
{
    for (uint32_t seq = 0; seq < w->order_count; seq++) {
        if (w->order[seq] == NO_PAGE)
            continue;
        struct page *page = page_at(w, w->order[seq]);
        for (uint32_t slot = 0; slot < page->carved; slot++) {
            if ((page->state[slot] & mask) == bits)
                each(w, page, object_at(page, slot), arg);
        }
    }
}

void each_live(hg_world *w, on_live *each, void *arg)
{
    each_with(w, IS_LIVE, IS_LIVE, each, arg);
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

/* The dead that wait in the queue still hold what they refer to; of a long one, the
   first items are let go already, and all that is no item. */
static void count_from_dead(hg_world *w, struct page *page, hg_object *object,
                            void *arg)
{
    if (object != w->dropping || w->dropping_at == 0) {
        count_from(w, page, object, arg);
        return;
    }
    uint32_t count;
    void *const *item = items_of(object, &count);
    for (uint32_t i = w->dropping_at; i < count; i++)
        count_target(item[i], w);
}

/* A running cycle keeps numbers of its own in `exact`. */
hg_status exact_count(hg_world *w)
{
    if (w->cycle.phase != CYCLE_NONE || w->collecting)
        return HG_EBUSY;
    hg_status status = exact_clear(w);
    if (status == HG_OK) {
        each_live(w, count_from, NULL);
        each_with(w, IS_LIVE | IS_SET, IS_SET, count_from_dead, NULL);
    }
    return status;
}

/* ---- ways from one object to another ---- */

hg_status search_open(struct search *search, hg_world *w)
{
    *search = (struct search){.w = w};
    if (w->live >= UINT32_MAX)
        return HG_ENOMEM;
    search->reached = memory_take((w->live + 1) * sizeof *search->reached);
    search->from = memory_take((w->live + 1) * sizeof *search->from);
    if (search->reached != NULL && search->from != NULL)
        return HG_OK;
    search_close(search);
    return HG_ENOMEM;
}

void search_close(struct search *search)
{
    memory_give(search->reached);
    memory_give(search->from);
}

void search_start(struct search *search)
{
    search->count = search->at = 0;
}

void search_clear(struct search *search)
{
    exact_clear(search->w); /* it needs no memory: exact_count() was called */
}

void search_add(struct search *search, hg_object *object, size_t from)
{
    search->from[search->count] = (uint32_t)from;
    search->reached[search->count++] = object;
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

size_t search_run(struct search *search, const void *goal)
{
    for (size_t i = 0; i < search->count; i++) {
        if (search->reached[i] != goal)
            *exact_of(search->w, search->reached[i]) = 1;
    }
    for (size_t seen = search->count;; search->at++) {
        for (; seen < search->count; seen++) {
            if (search->reached[seen] == goal)
                return seen;
        }
        if (search->at == search->count)
            return SIZE_MAX;
        edges_each(search->reached[search->at], add_target, search);
    }
}

/* Turn the way round, then go along it. */
void search_tell(struct search *search, size_t end, hg_on_object *call, void *arg)
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

static void add_root(hg_world *w, struct page *page, hg_object *object, void *arg)
{
    struct search *search = arg;
    (void)w;
    if (object->count != page->exact[slot_of(page, object)])
        search_add(search, object, search->count);
}

hg_status hg_why_alive(hg_world *w, const void *object, hg_on_object *call,
                       void *arg)
{
    struct search search;
    hg_status status = exact_count(w);
    if (status == HG_OK)
        status = search_open(&search, w);
    if (status != HG_OK)
        return status;
    each_live(w, add_root, &search);
    search_clear(&search);
    size_t end = SIZE_MAX;
    for (size_t i = 0; i < search.count && end == SIZE_MAX; i++) {
        if (search.reached[i] == object)
            end = i;
    }
    if (end == SIZE_MAX)
        end = search_run(&search, object);
    if (end != SIZE_MAX)
        search_tell(&search, end, call, arg);
    search_close(&search);
    return HG_OK;
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

/* ---- references that a type forgot ---- */

struct forgotten {
    hg_world *w;
    hg_on_forgotten *call;
    void *arg;
    const void *target; /* traverse was asked for it, */
    bool named;         /* and named it */
};

static void is_named(void *target, void *arg)
{
    struct forgotten *f = arg;
    f->named |= target == f->target;
}

/* Does the type know of the word at this offset?  Where a traverse function looks
   cannot be told: if it names the target somewhere, that is believed. */
static bool names_word(struct forgotten *f, const hg_object *object, size_t at)
{
    const hg_type *type = object->type;
    for (const uint16_t *ref = type->refs; ref != NULL && *ref != 0; ref++) {
        if (*ref == at)
            return true;
    }
    f->named = false;
    if (type->traverse != NULL)
        type->traverse(object, is_named, f);
    return f->named;
}

/* An object's start that has more references than are known, or NULL. */
static const hg_object *unexplained(hg_world *w, void *word)
{
    struct page *page = page_of(w, word);
    if (page == NULL)
        return NULL;
    uint32_t slot = slot_of(page, word);
    if (slot >= page->carved || object_at(page, slot) != word ||
        !(page->state[slot] & IS_LIVE))
        return NULL;
    const hg_object *object = word;
    return !(object->count & COUNT_IMMORTAL) && object->count > page->exact[slot]
               ? object
               : NULL;
}

static void ask_words(hg_world *w, struct page *page, hg_object *object, void *arg)
{
    struct forgotten *f = arg;
    (void)page;
    for (size_t at = sizeof *object; at + sizeof(void *) <= object->type->size;
         at += sizeof(void *)) {
        void *word = *(void **)((char *)object + at);
        f->target = unexplained(w, word);
        if (f->target != NULL && !names_word(f, object, at))
            f->call(object, at, word, f->arg);
    }
}

hg_status hg_find_forgotten(hg_world *w, hg_on_forgotten *call, void *arg)
{
    hg_status status = exact_count(w);
    if (status != HG_OK)
        return status;
    struct forgotten forgotten = {.w = w, .call = call, .arg = arg};
    each_live(w, ask_words, &forgotten);
    return HG_OK;
}
