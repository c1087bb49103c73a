/* SPDX-License-Identifier: MIT */
/*
 * subset.c - the exact rule, and the end of what it finds.
 *
 * Take any set of objects.  Count the references that come from inside of it.  A
 * member with more references than that is referred to from outside, and so is what
 * it reaches within the set.  The others are garbage: nothing outside of the set
 * refers to them, whatever the rest of the world looks like.  So the rule needs no
 * other knowledge, and no knowledge of the past.
 *
 *     members have IS_SET; exact[slot] counts references from inside
 */
#include "object/world.h"

bool set_reach(struct set *set, size_t count)
{
    if (count <= set->room)
        return true;
    size_t room = set->room < 512 ? 1024 : 2 * set->room;
    while (room < count)
        room *= 2;
    hg_object **object = memory_take(room * sizeof(hg_object *));
    if (object == NULL)
        return false;
    for (size_t i = 0; i < set->count; i++)
        object[i] = set->object[i];
    memory_give(set->object);
    set->object = object;
    set->room = room;
    return true;
}

bool page_exact(struct page *page)
{
    if (page->exact == NULL)
        page->exact = memory_take(page->slots * sizeof(uint32_t));
    return page->exact != NULL;
}

enum { MEMBER = IS_LIVE | IS_SET, AHEAD = 8 };

/* The state of a target if it may be a member: leaves never are. */
static inline uint8_t *member(hg_world *w, const void *target, struct page **page,
                              uint32_t *slot)
{
    *page = page_of(w, target);
    if (*page == NULL || (*page)->kind != PAGE_OTHERS)
        return NULL;
    *slot = slot_of(*page, target);
    uint8_t *state = &(*page)->state[*slot];
    return (*state & MEMBER) == MEMBER ? state : NULL;
}

HG_ALWAYS_INLINE void edge_count(void *target, void *arg)
{
    struct page *page;
    uint32_t slot;
    if (target != NULL && member(arg, target, &page, &slot) != NULL)
        page->exact[slot]++;
}

static void edge_rescue(void *target, void *arg)
{
    hg_world *w = arg;
    struct page *page;
    uint32_t slot;
    uint8_t *state = target == NULL ? NULL : member(w, target, &page, &slot);
    if (state == NULL)
        return;
    *state &= (uint8_t)~IS_SET;
    w->rescued.object[w->rescued.count++] = target;
}

static void rescue(hg_world *w, hg_object *object)
{
    edge_rescue(object, w);
    while (w->rescued.count > 0)
        edges_each(w->rescued.object[--w->rescued.count], edge_rescue, w);
}

bool set_reduce(hg_world *w, struct set *set, uint32_t held, struct set *alive)
{
    if (!set_reach(&w->rescued, set->count))
        return false;
    size_t members = 0;
    for (size_t i = 0; i < set->count; i++) {
        hg_object *object = set->object[i];
        struct page *page = page_of(w, object);
        uint32_t slot = slot_of(page, object);
        if (!page_exact(page)) {
            for (size_t k = 0; k < members; k++)
                *state_of(w, set->object[k]) &= (uint8_t)~IS_SET;
            return false;
        }
        uint8_t *state = &page->state[slot];
        bool wanted = (*state & (IS_LIVE | IS_TRACKED)) == (IS_LIVE | IS_TRACKED);
        if (wanted) {
            *state |= IS_SET;
            page->exact[slot] = 0;
        } else if (alive == NULL) {
            continue;
        }
        set->object[members++] = object;
    }
    set->count = members;
    for (size_t i = 0; i < members; i++) {
        if (i + AHEAD < members)
            __builtin_prefetch(set->object[i + AHEAD]);
        if (*state_of(w, set->object[i]) & IS_SET)
            edges_each(set->object[i], edge_count, w);
    }
    for (size_t i = 0; i < members; i++) {
        hg_object *object = set->object[i];
        struct page *page = page_of(w, object);
        uint32_t slot = slot_of(page, object);
        if ((page->state[slot] & MEMBER) == MEMBER &&
            object->count - held != page->exact[slot])
            rescue(w, object);
    }
    size_t garbage = 0;
    for (size_t i = 0; i < members; i++) {
        hg_object *object = set->object[i];
        uint8_t *state = state_of(w, object);
        if ((*state & MEMBER) == MEMBER) {
            *state &= (uint8_t)~IS_SET;
            set->object[garbage++] = object;
        } else if (alive != NULL) {
            alive->object[alive->count++] = object;
        }
    }
    set->count = garbage;
    return true;
}

/* Weak references go; true if there is something of the author's to call. */
static bool set_forget(hg_world *w, const struct set *set)
{
    bool call = false;
    for (size_t i = 0; i < set->count; i++) {
        hg_object *object = set->object[i];
        uint8_t state = *state_of(w, object);
        if (state & HAS_WEAK)
            weak_clear(w, object);
        if (object->type->finalize != NULL && !(state & IS_FINALIZED))
            call = true;
    }
    return call || w->calls != NULL;
}

/*
 * Callbacks and finalizers may do anything, also take garbage apart: so the library
 * holds each object by one reference meanwhile.  Afterwards the rule is applied
 * again: what they brought back, and what that reaches, stays.
 */
static bool set_call(hg_world *w, struct set *set)
{
    struct set *alive = &w->alive;
    alive->count = 0;
    if (!set_reach(alive, set->count))
        return false;
    for (size_t i = 0; i < set->count; i++)
        set->object[i]->count++;
    weak_call(w);
    for (size_t i = 0; i < set->count; i++) {
        hg_object *object = set->object[i];
        if (object->type->finalize != NULL &&
            !(*state_of(w, object) & IS_FINALIZED))
            object_finalize(w, object);
    }
    /* Memory is there: `rescued` and `exact` are as large as they were just now. */
    HG_VERIFY(set_reduce(w, set, 1, alive), "no memory that was there before", w);
    for (size_t i = 0; i < alive->count; i++) {
        hg_object *object = alive->object[i];
        uint8_t *state = state_of(w, object);
        if (*state & IS_YOUNG)
            w->young_count--;
        *state &= (uint8_t) ~(IS_YOUNG | IS_MIDDLE | IS_SET);
        hg_release(w, object);
    }
    return true;
}

/* The death of one that its members' state shows: what they refer to outside loses
   these references, and is not touched if it is dead itself. */
HG_ALWAYS_INLINE void edge_drop_outside(void *target, void *arg)
{
    hg_world *w = arg;
    hg_object *object = target;
    if (object == NULL || object->count & COUNT_IMMORTAL ||
        !(*state_of(w, object) & IS_LIVE))
        return;
    if (HG_UNLIKELY(object->count == 0))
        object_panic(w, object, "referred to more often than retained");
    if (--object->count == 0)
        object_died(w, object);
}

bool set_settle(hg_world *w, struct set *set)
{
    /* All that may fail comes first. */
    if (!set_reach(&w->alive, set->count))
        return false;
    bool disposing = w->disposing;
    w->disposing = true; /* what dies by the way waits */
    if (set_forget(w, set)) {
        if (!set_call(w, set))
            base_panic("no memory that was there before", w);
        set_forget(w, set); /* those made by finalizers */
        for (size_t i = 0; i < set->count; i++)
            set->object[i]->count--;
    }
    for (size_t i = 0; i < set->count; i++) {
        uint8_t *state = state_of(w, set->object[i]);
        *state = (uint8_t)((*state & ~(IS_LIVE | IS_TRACKED)) | IS_SET);
    }
    weak_call(w);
    w->disposing = disposing;
    return true;
}

/* All members stay where they are until nobody needs their state any more. */
bool set_free(hg_world *w, const struct set *set, size_t *at, size_t most)
{
    bool disposing = w->disposing;
    w->disposing = true;
    for (; most > 0 && *at < set->count; most--)
        edges_each(set->object[(*at)++], edge_drop_outside, w);
    for (; most > 0 && *at < 2 * set->count; most--) {
        hg_object *object = set->object[(*at)++ - set->count];
        if (object->type->dispose != NULL)
            object->type->dispose(object);
        object_free(w, object);
    }
    w->disposing = disposing;
    return *at == 2 * set->count;
}
