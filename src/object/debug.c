/* SPDX-License-Identifier: MIT */
/*
 * debug.c - what a world does for those who look for mistakes: sites, and the dead
 * that rest for a while before their memory is used again.
 *
 * One that rests keeps its type; its count is 0, so that retaining and releasing
 * fail; `length` says that it rests, which no living object's can be; the first
 * words of its body keep where it was made, and the rest is DEAD_BYTE.
 */
#include "object/world.h"

#include <stdio.h>
#include <string.h>

enum { RESTING = 4096, DEAD_BYTE = 0xDB };
#define LENGTH_OF_RESTING UINT32_MAX

const hg_type root_type = {
    .name = "root", .size = sizeof(hg_root), .refs = HG_REFS(hg_root, target)};

struct rest {
    hg_object head;
    const char *site;
};
_Static_assert(sizeof(struct rest) <= OBJECT_MIN, "fits into every slot");

hg_status hg_debug(hg_world *w, unsigned flags)
{
    if (flags & HG_DEBUG_DEAD && w->resting == NULL) {
        w->resting = memory_take(RESTING * sizeof(hg_object *));
        if (w->resting == NULL)
            return HG_ENOMEM;
    }
    w->debug |= flags;
    return HG_OK;
}

void debug_born(hg_world *w, struct page *page, uint32_t slot, const char *site)
{
    (void)w;
    if (page->site == NULL)
        page->site = memory_take(page->slots * sizeof *page->site);
    if (page->site != NULL)
        page->site[slot] = site;
}

static const char *site_at(const struct page *page, uint32_t slot)
{
    return page->site == NULL ? NULL : page->site[slot];
}

const char *hg_site(hg_world *w, const void *object)
{
    struct page *page = page_of(w, object);
    HG_VERIFY(page != NULL, "not an object of this world", object);
    return site_at(page, slot_of(page, object));
}

const char *type_called(const hg_type *type)
{
    return type->name == NULL ? "(nameless)" : type->name;
}

void object_panic(hg_world *w, const hg_object *object, const char *message)
{
    char line[256];
    const char *site = NULL;
    if (object->length == LENGTH_OF_RESTING) {
        site = ((const struct rest *)object)->site;
    } else if (w != NULL && page_of(w, object) != NULL &&
               *state_of(w, object) & (IS_LIVE | IS_SET)) {
        site = hg_site(w, object);
    } else if (object->count <= COUNT_IMMORTAL) {
        /* Nothing is known of it but its address. */
        snprintf(line, sizeof line, "an object %s", message);
        base_panic(line, object);
    }
    snprintf(line, sizeof line, "a %s from %s %s", type_called(object->type),
             site == NULL ? "a site unknown" : site, message);
    base_panic(line, object);
}

void debug_check(const struct page *page, uint32_t slot)
{
    const hg_object *object = object_at(page, slot);
    bool head = object->count == 0 && object->length == LENGTH_OF_RESTING;
    HG_VERIFY(head, "the head of a dead object was written to", object);
    const uint8_t *byte = (const uint8_t *)object;
    for (uint32_t i = sizeof(struct rest); i < page->slot_bytes; i++) {
        if (byte[i] != DEAD_BYTE)
            object_panic(NULL, object, "was written to, and is dead");
    }
}

bool debug_rests(hg_world *w, struct page *page, uint32_t slot)
{
    if (page->slots == 1)
        return false; /* its page goes: whoever touches it meets the system */
    hg_object *object = object_at(page, slot);
    struct rest *rest = (struct rest *)object;
    memset(object + 1, DEAD_BYTE, page->slot_bytes - sizeof *object);
    rest->site = site_at(page, slot);
    object->length = LENGTH_OF_RESTING;
    page->state[slot] = RESTS;
    hg_object **place = &w->resting[w->resting_at++ % RESTING];
    hg_object *longest = *place;
    *place = object;
    if (longest != NULL) {
        page = page_of(w, longest);
        slot = slot_of(page, longest);
        debug_check(page, slot);
        slot_give(w, page, slot);
    }
    return true;
}

hg_root *hg_root_new(hg_world *w, const char *name)
{
    hg_root *root = hg_new_at(w, &root_type, NULL);
    if (root != NULL)
        root->name = name;
    return root;
}

char *hg_describe(hg_world *w, const void *object, char *text, size_t bytes)
{
    const hg_object *o = object;
    const char *site = hg_site(w, object);
    if (o->type == &root_type)
        snprintf(text, bytes, "root %s", ((const hg_root *)object)->name);
    else
        snprintf(text, bytes, "%s%s%s", type_called(o->type),
                 site == NULL ? "" : " from ", site == NULL ? "" : site);
    return text;
}
