/* SPDX-License-Identifier: MIT */
/* check.c - walk a world and abort at the first broken invariant. */
#include "object/world.h"

static void check_edge(void *target, void *arg)
{
    hg_world *w = arg;
    if (target == NULL)
        return;
    const hg_object *object = target;
    struct page *page = page_of(w, target);
    HG_VERIFY(page != NULL, "a reference to no object of this world", target);
    uint32_t slot = slot_of(page, target);
    HG_VERIFY(object_at(page, slot) == object, "a reference into an object",
              target);
    HG_VERIFY(page->state[slot] & IS_LIVE, "a reference to a dead object", target);
    HG_VERIFY(object->count != 0, "a reference to an object without any", target);
}

static void check_page(hg_world *w, struct page *page, size_t *young,
                       size_t *resting)
{
    uint32_t live = 0;
    for (uint32_t slot = 0; slot < page->slots; slot++) {
        uint8_t state = page->state[slot];
        if (state == 0)
            continue;
        hg_object *object = object_at(page, slot);
        HG_VERIFY(slot < page->carved, "an object that was never born", object);
        live++;
        if (state == RESTS) {
            debug_check(page, slot);
            ++*resting;
            continue;
        }
        if (state & IS_YOUNG) {
            HG_VERIFY(page->young, "a young object in a page without", object);
            ++*young;
        }
        if (state & IS_MIDDLE)
            HG_VERIFY(page->middle, "a middle object in a page without", object);
        if (!(state & IS_LIVE))
            continue;
        HG_VERIFY(!(state & IS_SET), "a set that was left", object);
        HG_VERIFY(object->count != 0, "a live object without references", object);
        edges_each(object, check_edge, w);
    }
    HG_VERIFY(live == page->live, "objects of a page are miscounted", page->base);
    uint32_t vacant = page->slots - page->carved;
    for (void *slot = page->free; slot != NULL; slot = *free_link(slot))
        vacant++;
    HG_VERIFY(live + vacant == page->slots, "slots are lost", page->base);
}

void hg_check(hg_world *w)
{
    size_t live = 0, young = 0, resting = 0;
    for (uint32_t seq = 0; seq < w->order_count; seq++) {
        if (w->order[seq] == NO_PAGE)
            continue;
        struct page *page = page_at(w, w->order[seq]);
        HG_VERIFY(page->seq == seq, "a page out of order", page->base);
        check_page(w, page, &young, &resting);
        live += page->live;
    }
    HG_VERIFY(live == w->live + resting, "objects are miscounted", w);
    HG_VERIFY(young == w->young_count, "young objects are miscounted", w);
    size_t weak = 0;
    for (size_t i = 0; i < w->weak_room; i++) {
        const struct weak_entry *entry = &w->weak[i];
        if (entry->target == NULL)
            continue;
        weak++;
        HG_VERIFY(entry->first != NULL, "no weak reference", entry->target);
        HG_VERIFY(*state_of(w, entry->target) & HAS_WEAK,
                  "a weak reference unknown", entry->target);
        for (hg_weak *ref = entry->first; ref != NULL; ref = ref->next)
            HG_VERIFY(ref->target == entry->target, "a stray weak reference", ref);
    }
    HG_VERIFY(weak == w->weak_count, "weak references are miscounted", w);
}
