/* SPDX-License-Identifier: MIT */
/*
 * life.c - worlds, and an object's way from hg_new() to its end.
 *
 * An object whose count reaches 0 goes into the queue of the dead, a list that runs
 * through the counts of its members: bit 31 and a page and slot number.  So a chain
 * of a million objects needs neither stack nor memory to go, and retains and
 * releases of a dead object see an odd count.  Whoever pushed the first works
 * the queue off, for as long as the policy allows; the rest waits for allocations,
 * each of which frees more than it takes.
 *
 * A few wait in `dying` and are taken first.  Of most structures none ever gets any
 * further, and the processor knows the address of the next one early.
 */
#include "object/world.h"

#include <string.h>
#include <time.h>

enum {
    CLOCK_EVERY = 64, /* objects disposed of between two looks at the clock */
    DYING = sizeof((hg_world){0}.dying) / sizeof(hg_object *),
};

uint64_t world_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

hg_world *hg_world_new(void)
{
    hg_world *w = memory_take(sizeof *w);
    if (w == NULL)
        return NULL;
    memset(w->ones, 0xFF, sizeof w->ones);
    memset(w->current, 0xFF, sizeof w->current);
    memset(w->roomy, 0xFF, sizeof w->roomy);
    world_start(w);
    return w;
}

/* The live ones only: what was disposed of has given its own back. */
static void dispose_left(hg_world *w)
{
    for (uint32_t seq = 0; seq < w->order_count; seq++) {
        if (w->order[seq] == NO_PAGE)
            continue;
        struct page *page = page_at(w, w->order[seq]);
        for (uint32_t slot = 0; slot < page->carved; slot++) {
            hg_object *object = object_at(page, slot);
            if (page->state[slot] & (IS_LIVE | IS_SET) &&
                object->type->dispose != NULL)
                object->type->dispose(object);
        }
    }
}

void hg_world_free(hg_world *w)
{
    if (w == NULL)
        return;
    HG_VERIFY(!w->disposing && !w->collecting && !w->calling,
              "world freed in a callback", w);
    hg_flush(w, 0);
    world_last_collection(w);
    dispose_left(w);
    weak_close(w);
    world_end(w);
    pages_free(w);
    memory_give(w);
}

/* ---- birth ---- */

static inline unsigned class_of(size_t bytes, size_t *slot_bytes)
{
    if (HG_LIKELY(bytes <= OBJECT_SMALL)) {
        if (bytes < OBJECT_MIN)
            bytes = OBJECT_MIN;
        unsigned class = (unsigned)((bytes + OBJECT_ALIGN - 1) / OBJECT_ALIGN) - 1;
        *slot_bytes = ((size_t) class + 1) * OBJECT_ALIGN;
        return class;
    }
    unsigned doubling = 63u - (unsigned)__builtin_clzll(bytes - 1) - 10u;
    size_t from = (size_t)OBJECT_SMALL << doubling;
    size_t quarter = from / 4;
    unsigned quarters = (unsigned)((bytes - from + quarter - 1) / quarter);
    *slot_bytes = from + quarters * quarter;
    return OBJECT_SMALL / OBJECT_ALIGN + doubling * 4 + quarters - 1;
}

/* A slot, whose contents are anything. */
static inline hg_object *slot_take(struct page *page)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a page is in a table */
    hg_object *object = page->free;
    if (object != NULL)
        page->free = *free_link(object);
    else if (page->carved < page->slots)
        object = object_at(page, page->carved++);
    return object;
}

static HG_NOINLINE hg_object *slot_take_slow(hg_world *w, bool leaf, unsigned class,
                                             size_t bytes, uint32_t *id)
{
    if (bytes > OBJECT_MEDIUM) {
        if (!page_add(w, leaf, 0, bytes, id))
            return NULL;
    } else {
        if (!page_next(w, leaf, class, bytes))
            return NULL;
        *id = w->current[leaf][class];
    }
    return slot_take(page_at(w, *id));
}

/* A cycle looks only for what was garbage when it began: no candidate later. */
static inline void blacken(const hg_world *w, struct page *page, uint32_t slot)
{
    if (HG_LIKELY(!w->cycle_runs) || page->kind == PAGE_LEAVES)
        return;
    page->seen[slot / 64] |= 1ull << slot % 64;
    page->done[slot / 64] |= 1ull << slot % 64;
}

/* `id` is the page's. */
static inline void *object_born(hg_world *w, struct page *page, uint32_t id,
                                hg_object *object, const hg_type *type,
                                size_t bytes, size_t slot_bytes, uint32_t length)
{
    object->count = 1;
    object->length = length;
    object->type = type;
    for (size_t at = sizeof *object; at < bytes; at += OBJECT_ALIGN)
        memset((char *)object + at, 0,
               OBJECT_ALIGN); /* slots are multiples of it */
    uint32_t slot = slot_of(page, object);
    page->live++;
    w->live++;
    w->live_bytes += slot_bytes;
    if (page->kind == PAGE_LEAVES) {
        page->state[slot] = IS_LIVE;
        return object;
    }
    page->state[slot] = IS_LIVE | IS_TRACKED | IS_YOUNG;
    w->young_count++;
    if (HG_UNLIKELY(!page->young)) {
        page->young = true;
        w->young[w->young_pages++] = id;
    }
    blacken(w, page, slot);
    return object;
}

/* Any birth. */
static HG_NOINLINE void *object_new_slow(hg_world *w, const hg_type *type,
                                         size_t bytes, uint32_t length,
                                         const char *site)
{
    HG_VERIFY(type->size - sizeof(hg_object) <= UINT16_MAX - sizeof(hg_object),
              "a type of an impossible size", type);
    if (--w->countdown < 0)
        world_tick(w);
    bool leaf = type_is_leaf(type);
    size_t slot_bytes = (bytes + OBJECT_ALIGN - 1) & -(size_t)OBJECT_ALIGN;
    unsigned class = 0;
    uint32_t id = NO_PAGE;
    hg_object *object = NULL;
    if (bytes <= OBJECT_MEDIUM) {
        class = class_of(bytes, &slot_bytes);
        id = w->current[leaf][class];
        if (id != NO_PAGE)
            object = slot_take(&w->table[id]);
    }
    if (object == NULL) {
        object = slot_take_slow(w, leaf, class, slot_bytes, &id);
        if (object == NULL)
            return NULL;
    }
    struct page *page = page_at(w, id);
    if (w->debug & HG_DEBUG_SITES)
        debug_born(w, page, slot_of(page, object), site);
    return object_born(w, page, id, object, type, bytes, slot_bytes, length);
}

/* The usual birth calls nothing; any other begins anew. */
HG_ALWAYS_INLINE void *object_new(hg_world *w, const hg_type *type, size_t bytes,
                                  uint32_t length, const char *site)
{
    if (HG_LIKELY(bytes - sizeof(hg_object) <= OBJECT_SMALL - sizeof(hg_object) &&
                  w->countdown > 0 && w->debug == 0)) {
        size_t slot_bytes;
        unsigned class = class_of(bytes, &slot_bytes);
        uint32_t id = w->current[type_is_leaf(type)][class];
        struct page *page = HG_LIKELY(id != NO_PAGE) ? &w->table[id] : NULL;
        hg_object *object = page == NULL ? NULL : slot_take(page);
        if (HG_LIKELY(object != NULL)) {
            w->countdown--;
            return object_born(w, page, id, object, type, bytes, slot_bytes,
                               length);
        }
    }
    return object_new_slow(w, type, bytes, length, site);
}

void *hg_new_at(hg_world *w, const hg_type *type, const char *site)
{
    HG_VERIFY(!(type->flags & (HG_ITEMS | HG_BYTES)),
              "hg_new() of a type with items", type);
    return object_new(w, type, type->size, 0, site);
}

void *hg_new_items_at(hg_world *w, const hg_type *type, uint32_t length,
                      const char *site)
{
    HG_VERIFY(type->size - sizeof(hg_object) <= UINT16_MAX - sizeof(hg_object),
              "a type of an impossible size", type);
    size_t each = type->flags & HG_BYTES ? 1 : sizeof(void *);
    unsigned kinds = type->flags & (HG_ITEMS | HG_BYTES);
    HG_VERIFY(kinds == HG_ITEMS || kinds == HG_BYTES,
              "hg_new_items() of a type without, or with both kinds", type);
    HG_VERIFY(type->size % each == 0, "items would not be aligned", type);
    size_t bytes = type->size + length * each;
    if (bytes > UINT32_MAX - OBJECT_ALIGN)
        return NULL;
    return object_new(w, type, bytes, length, site);
}

/* ---- references ---- */

void hg_odd_retain_(hg_object *object)
{
    if (object->count != COUNT_IMMORTAL)
        object_panic(NULL, object, "retained, and is dead");
}

void hg_immortal(void *object)
{
    ((hg_object *)object)->count = COUNT_IMMORTAL;
}

void hg_untrack(hg_world *w, void *object)
{
    *state_of(w, object) &= (uint8_t) ~(IS_TRACKED | IS_FROZEN);
}

void hg_track(hg_world *w, void *object)
{
    struct page *page = page_of(w, object);
    HG_VERIFY(page != NULL, "not an object of this world", object);
    if (page->kind != PAGE_OTHERS)
        return;
    page->state[slot_of(page, object)] |= IS_TRACKED;
    blacken(w, page, slot_of(page, object));
}

int hg_is_tracked(hg_world *w, const void *object)
{
    return (*state_of(w, object) & (IS_TRACKED | IS_FROZEN)) != 0;
}

int hg_is_finalized(hg_world *w, const void *object)
{
    return (*state_of(w, object) & IS_FINALIZED) != 0;
}

static void change_all(hg_world *w, uint8_t from, uint8_t to)
{
    for (uint32_t seq = 0; seq < w->order_count; seq++) {
        if (w->order[seq] == NO_PAGE)
            continue;
        struct page *page = page_at(w, w->order[seq]);
        for (uint32_t slot = 0; slot < page->carved; slot++) {
            uint8_t *state = &page->state[slot];
            if (!(*state & from))
                continue;
            if (*state & IS_YOUNG)
                w->young_count--;
            *state = (uint8_t)((*state & ~(from | IS_YOUNG | IS_MIDDLE)) | to);
            blacken(w, page, slot);
        }
    }
}

void hg_freeze(hg_world *w)
{
    change_all(w, IS_TRACKED, IS_FROZEN);
}

void hg_unfreeze(hg_world *w)
{
    change_all(w, IS_FROZEN, IS_TRACKED);
}

/* ---- death ---- */

static inline void died(hg_world *w, hg_object *object)
{
    struct page *page = page_of(w, object);
    HG_VERIFY(page != NULL, "not an object of this world", object);
    uint32_t slot = slot_of(page, object);
    HG_VERIFY(page->state[slot] & IS_LIVE, "an object that died before", object);
    page->state[slot] = (uint8_t)((page->state[slot] & ~IS_LIVE) | IS_SET);
    w->dead_count++;
    object->count = COUNT_DEAD; /* and the end of the list */
    if (HG_LIKELY(w->dying_count < DYING)) {
        w->dying[w->dying_count++] = object;
        return;
    }
    if (w->dead != 0)
        object->count = w->dead;
    w->dead = COUNT_IMMORTAL | (page->seq + 1) << SLOT_BITS | slot;
}

/* The next of the dead, which leaves the queue. */
static inline hg_object *next_dead(hg_world *w, struct page **page, uint32_t *slot)
{
    if (HG_LIKELY(w->dying_count > 0)) {
        hg_object *object = w->dying[--w->dying_count];
        *page = page_of(w, object);
        *slot = slot_of(*page, object);
        return object;
    }
    uint32_t seq = ((w->dead & ~COUNT_IMMORTAL) >> SLOT_BITS) - 1;
    *page = page_at(w, w->order[seq]);
    *slot = w->dead & ((1u << SLOT_BITS) - 1);
    hg_object *object = object_at(*page, *slot);
    w->dead = object->count == COUNT_DEAD ? 0 : object->count;
    return object;
}

void object_died(hg_world *w, hg_object *object)
{
    died(w, object);
}

void hg_last_release_(hg_world *w, hg_object *object)
{
    if (object->count == COUNT_IMMORTAL)
        return;
    if (HG_UNLIKELY(object->count == 0 || object->count & COUNT_IMMORTAL))
        object_panic(w, object, "released more often than retained");
    object->count = 0;
    died(w, object);
    if (!w->disposing)
        dispose_budget(w);
}

HG_ALWAYS_INLINE void edge_drop(void *target, void *arg)
{
    hg_object *object = target;
    if (object == NULL)
        return;
    if (HG_UNLIKELY(object->count & COUNT_IMMORTAL)) {
        /* Nobody should refer to one in the queue. */
        hg_world *w = arg;
        if (w->debug & HG_DEBUG_DEAD && !(*state_of(w, object) & IS_LIVE))
            object_panic(w, object, "referred to more often than retained");
        return;
    }
    if (HG_UNLIKELY(object->count == 0))
        object_panic(arg, object, "referred to more often than retained");
    if (--object->count == 0)
        died(arg, object);
}

static inline void slot_free(hg_world *w, struct page *page, uint32_t slot,
                             hg_object *object)
{
    if (page->state[slot] & IS_YOUNG)
        w->young_count--;
    object->count = 0;
    w->live--;
    w->live_bytes -= page->slot_bytes;
    if (HG_LIKELY(!(w->debug & HG_DEBUG_DEAD)) || !debug_rests(w, page, slot))
        slot_give(w, page, slot);
}

void object_free(hg_world *w, hg_object *object)
{
    struct page *page = page_of(w, object);
    slot_free(w, page, slot_of(page, object), object);
}

void slot_give(hg_world *w, struct page *page, uint32_t slot)
{
    hg_object *object = object_at(page, slot);
    page->state[slot] = 0;
    *free_link(object) = page->free;
    page->free = object;
    if (HG_UNLIKELY(--page->live == 0))
        page_empty(w, w->order[page->seq]);
    else if (HG_UNLIKELY(!page->listed))
        page_roomy(w, w->order[page->seq]);
}

/* True: it stays, for its finalizer has stored a reference to it. */
bool object_finalize(hg_world *w, hg_object *object)
{
    *state_of(w, object) |= IS_FINALIZED;
    uint32_t before = object->count;
    object->type->finalize(w, object);
    return object->count > before;
}

static inline void dispose_end(hg_world *w, struct page *page, uint32_t slot,
                               hg_object *object)
{
    if (object->type->dispose != NULL)
        object->type->dispose(object);
    slot_free(w, page, slot, object);
    w->dead_count--;
}

/* Some of the references of a long one. */
static HG_NOINLINE void dispose_more(hg_world *w)
{
    hg_object *object = w->dropping;
    if (edges_slice(object, &w->dropping_at, edge_drop, w))
        return;
    w->dropping = NULL;
    struct page *page = page_of(w, object);
    dispose_end(w, page, slot_of(page, object), object);
}

/* Of the author's something runs, or the references are many. */
static HG_NOINLINE void dispose_with_care(hg_world *w, struct page *page,
                                          uint32_t slot, hg_object *object)
{
    uint8_t state = page->state[slot];
    if (object->type->finalize != NULL && !(state & IS_FINALIZED)) {
        /* Alive again, held by us, while its finalizer runs. */
        page->state[slot] = (uint8_t)((state & ~IS_SET) | IS_LIVE);
        blacken(w, page, slot);
        object->count = 1;
        bool stays = object_finalize(w, object);
        HG_VERIFY(object->count != 0 && (*state_of(w, object) & IS_LIVE),
                  "an object released by its own finalizer", object);
        if (stays) {
            w->dead_count--;
            if (!(object->count & COUNT_IMMORTAL))
                object->count--;
            return;
        }
        page = page_of(w, object);
        state = page->state[slot];
    }
    /* Nobody can reach it: nor should a collection that a callback begins. */
    page->state[slot] = (uint8_t)((state & ~(IS_LIVE | IS_TRACKED)) | IS_SET);
    object->count = COUNT_DEAD;
    if (state & HAS_WEAK) {
        weak_clear(w, object);
        weak_call(w);
        page = page_of(w, object);
    }
    uint32_t count;
    items_of(object, &count);
    if (count > LONG) {
        w->dropping = object;
        return;
    }
    edges_each(object, edge_drop, w); /* makes no page: ours stays where it is */
    dispose_end(w, page, slot, object);
}

static inline bool needs_care(const hg_type *type, uint8_t state)
{
    return type->finalize != NULL || type->dispose != NULL ||
           type->traverse != NULL || type->array.at != 0 ||
           type->flags & HG_ITEMS || state & HAS_WEAK;
}

/* What an object refers to first was often made first, and lies beside it: so it
   goes first. */
static inline void dying_reverse(hg_world *w, unsigned first)
{
    for (unsigned last = w->dying_count; first + 1 < last; first++) {
        hg_object *object = w->dying[first];
        w->dying[first] = w->dying[--last];
        w->dying[last] = object;
    }
}

static inline void dispose_one(hg_world *w)
{
    struct page *page;
    uint32_t slot;
    hg_object *object = next_dead(w, &page, &slot);
    if (HG_UNLIKELY(needs_care(object->type, page->state[slot]))) {
        dispose_with_care(w, page, slot, object);
        return;
    }
    unsigned first = w->dying_count;
    refs_each(object, edge_drop, w);
    dying_reverse(w, first);
    slot_free(w, page, slot, object);
    w->dead_count--;
}

/* A slice of a long one counts as many. */
static void dispose_most(hg_world *w, size_t most)
{
    while (w->dead_count != 0 && most > 0) {
        if (HG_LIKELY(w->dropping == NULL)) {
            dispose_one(w);
            most--;
        } else {
            dispose_more(w);
            most -= most < CLOCK_EVERY ? most : CLOCK_EVERY;
        }
    }
}

void dispose_some(hg_world *w, uint64_t until_ns, size_t at_least)
{
    if (w->disposing)
        return;
    w->disposing = true;
    dispose_most(w, until_ns == UINT64_MAX ? SIZE_MAX : at_least);
    while (w->dead_count != 0 && until_ns != 0 && world_now_ns() < until_ns)
        dispose_most(w, CLOCK_EVERY);
    w->disposing = false;
}

void dispose_budget(hg_world *w)
{
    uint64_t until = w->policy.release_us == 0 ? UINT64_MAX : 0;
    dispose_some(w, until, CLOCK_EVERY);
    if (HG_UNLIKELY(w->dead_count != 0) && !w->collecting)
        dispose_some(w, world_now_ns() + w->policy.release_us * 1000ull, 0);
    if (HG_UNLIKELY(w->dead_count != 0))
        world_tick_soon(w);
}

size_t hg_flush(hg_world *w, uint32_t us)
{
    dispose_some(w, us == 0 ? UINT64_MAX : world_now_ns() + us * 1000ull, 1);
    return w->dead_count;
}
