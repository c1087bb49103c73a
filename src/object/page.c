/* SPDX-License-Identifier: MIT */
/*
 * page.c - the pages that objects lie in.
 *
 * The table of descriptors spans the heap's window from its beginning to our last
 * page.  It is zeroed memory of which only the parts that describe pages of this
 * world are ever touched, so a page costs its descriptor, of 128 bytes, and
 * no more.
 */
#include "base/hash.h"
#include "base/pages.h"
#include "object/world.h"

#include <string.h>

static bool table_reach(hg_world *w, size_t index)
{
    if (index < w->table_room)
        return true;
    size_t room = w->table_room < 64 ? 64 : 2 * (size_t)w->table_room;
    while (room <= index)
        room *= 2;
    if (room >= HUGE_ID)
        return false;
    size_t bytes = (room * sizeof(struct page) + PAGE_BYTES - 1) & -PAGE_BYTES;
    size_t old =
        (w->table_room * sizeof(struct page) + PAGE_BYTES - 1) & -PAGE_BYTES;
    /* Moved by the system, not copied: what was never touched stays so. */
    void *table = w->table == NULL ? pages_map(bytes)
                                   : pages_remap(w->table, old, bytes, true);
    if (table == NULL)
        return false;
    w->table = table;
    w->table_room = (uint32_t)room;
    return true;
}

static uint32_t huge_hash(const hg_world *w, const void *object)
{
    return (uint32_t)hash_mix((uintptr_t)object) & (w->huge_room - 1);
}

HG_NOINLINE struct page *page_of_huge(hg_world *w, const void *object)
{
    if (w->huge_room == 0)
        return NULL;
    uint32_t id = w->huge_first[huge_hash(w, object)];
    while (id != NO_PAGE && w->huge[id & ~HUGE_ID].base != object)
        id = w->huge[id & ~HUGE_ID].next;
    return id == NO_PAGE ? NULL : &w->huge[id & ~HUGE_ID];
}

static void huge_link(hg_world *w, uint32_t index)
{
    uint32_t *first = &w->huge_first[huge_hash(w, w->huge[index].base)];
    w->huge[index].next = *first;
    *first = HUGE_ID | index;
}

/* A descriptor for a huge object; its kind is still PAGE_NONE. */
static bool huge_take(hg_world *w, uint32_t *index)
{
    for (uint32_t i = 0; i < w->huge_count; i++) {
        if (w->huge[i].kind == PAGE_NONE) {
            *index = i;
            return true;
        }
    }
    if (w->huge_count == w->huge_room) {
        uint32_t room = w->huge_room == 0 ? 16 : 2 * w->huge_room;
        uint32_t *first = memory_take(room * sizeof *first);
        if (first == NULL ||
            !memory_grow(&w->huge, &w->huge_room, w->huge_count, sizeof *w->huge)) {
            memory_give(first);
            return false;
        }
        HG_ASSERT(w->huge_room == room);
        memset(first, 0xFF, room * sizeof *first);
        memory_give(w->huge_first);
        w->huge_first = first;
        for (uint32_t i = 0; i < w->huge_count; i++)
            huge_link(w, i);
    }
    *index = w->huge_count++;
    return true;
}

/* Room for one more page in everything that counts pages, so that a collection
   never needs any. */
static bool order_reach(hg_world *w)
{
    if (w->order_count < w->order_room)
        return true;
    uint32_t room = w->order_room;
    uint32_t young_room = room, middle_room = room;
    /* One that has grown while another cannot is no harm. */
    return memory_grow(&w->young, &young_room, w->order_count, sizeof *w->young) &&
           memory_grow(&w->middle, &middle_room, w->order_count,
                       sizeof *w->middle) &&
           memory_grow(&w->order, &w->order_room, w->order_count, sizeof *w->order);
}

static uint32_t order_take(hg_world *w)
{
    if (w->holes > 0) {
        uint32_t seq = w->first_hole;
        while (w->order[seq] != NO_PAGE)
            seq++;
        w->holes--;
        w->first_hole = seq + 1;
        return seq;
    }
    return w->order_count++;
}

static void *side_take(struct page *page)
{
    size_t words = (page->slots + 63) / 64;
    char *side = memory_take(2 * words * 8 + (size_t)page->slots * 3);
    if (side == NULL)
        return NULL;
    page->seen = (uint64_t *)(void *)side;
    page->done = page->seen + words;
    page->count = (uint16_t *)(page->done + words);
    page->state = (uint8_t *)(page->count + page->slots);
    return side;
}

bool page_add(hg_world *w, bool leaf, unsigned class, size_t bytes, uint32_t *id)
{
    bool one = bytes > OBJECT_MEDIUM;
    if ((w->holes == 0 && w->order_count >= PAGES_MAX) || !order_reach(w))
        return false;
#ifdef HG_FAULTS
    void *probe = memory_take(1); /* lets the page itself fail, too */
    if (probe == NULL)
        return false;
    memory_give(probe);
#endif
    struct place place;
    size_t mapped = one ? bytes : WORLD_PAGE;
    char *base = heap_alloc_aligned(WORLD_PAGE, mapped, &place);
    if (base == NULL)
        return false;
    if (place.tag != NULL) {
        *place.tag = 0;
        if (place.bytes != NULL)
            *place.bytes = mapped;
    }
    struct page page = {.base = base,
                        .kind = leaf ? PAGE_LEAVES : PAGE_OTHERS,
                        .class = (uint8_t) class,
                        .slot_bytes = (uint32_t)bytes,
                        .slots = (uint32_t)(one ? 1 : WORLD_PAGE / bytes),
                        .prev = NO_PAGE,
                        .next = NO_PAGE};
    if (!one)
        page.reciprocal = (uint32_t)(((1ull << 32) + bytes - 1) / bytes);
    if (side_take(&page) == NULL)
        goto no_side;
    if (leaf) {
        page.done = page.seen; /* the beginning of the side block, to be freed */
        page.seen = w->ones;
        page.count = w->counts_of_leaves;
    }
    size_t index = ((uintptr_t)base - heap_base()) >> PAGE_SHIFT;
    size_t offset;
    if (heap_in_window(base, &offset)) {
        if (!table_reach(w, index))
            goto no_descriptor;
        *id = (uint32_t)index;
    } else {
        uint32_t number;
        if (!huge_take(w, &number))
            goto no_descriptor;
        *id = HUGE_ID | number;
    }
    page.seq = order_take(w);
    w->order[page.seq] = *id;
    *page_at(w, *id) = page;
    if (*id & HUGE_ID)
        huge_link(w, *id & ~HUGE_ID);
    return true;

no_descriptor:
    memory_give(leaf ? page.done : page.seen);
no_side:
    heap_free_slow(base);
    return false;
}

static void page_remove(hg_world *w, uint32_t id)
{
    struct page *page = page_at(w, id);
    if (id & HUGE_ID) {
        uint32_t *link = &w->huge_first[huge_hash(w, page->base)];
        while (*link != id)
            link = &w->huge[*link & ~HUGE_ID].next;
        *link = page->next;
    }
    /* Lists of pages with young objects hold ids; an id that is used again is in
       the list once more than needed, which `young` of the new page does not know.
     */
    for (uint32_t i = 0; page->young && i < w->young_pages; i++) {
        if (w->young[i] == id) {
            w->young[i] = w->young[--w->young_pages];
            break;
        }
    }
    for (uint32_t i = 0; page->middle && i < w->middle_pages; i++) {
        if (w->middle[i] == id) {
            w->middle[i] = w->middle[--w->middle_pages];
            break;
        }
    }
    w->order[page->seq] = NO_PAGE;
    w->holes++;
    if (page->seq < w->first_hole)
        w->first_hole = page->seq;
    memory_give(page->kind == PAGE_LEAVES ? page->done : page->seen);
    memory_give(page->exact);
    memory_give(page->site);
    void *base = page->base;
    memset(page, 0, sizeof *page);
    heap_free_slow(base);
}

static void roomy_unlink(hg_world *w, struct page *page)
{
    if (page->next != NO_PAGE)
        page_at(w, page->next)->prev = page->prev;
    if (page->prev != NO_PAGE)
        page_at(w, page->prev)->next = page->next;
    else
        w->roomy[page->kind == PAGE_LEAVES][page->class] = page->next;
    page->prev = page->next = NO_PAGE;
    page->listed = false;
}

void page_empty(hg_world *w, uint32_t id)
{
    struct page *page = page_at(w, id);
    HG_ASSERT(page->live == 0);
    if (w->keep_pages)
        return;
    if (page->slot_bytes <= OBJECT_MEDIUM) {
        if (w->current[page->kind == PAGE_LEAVES][page->class] == id)
            return;
        if (page->listed)
            roomy_unlink(w, page);
    }
    page_remove(w, id);
}

void page_roomy(hg_world *w, uint32_t id)
{
    struct page *page = page_at(w, id);
    bool leaf = page->kind == PAGE_LEAVES;
    if (page->listed || page->slot_bytes > OBJECT_MEDIUM)
        return;
    uint32_t *first = &w->roomy[leaf][page->class];
    page->prev = NO_PAGE;
    page->next = *first;
    if (*first != NO_PAGE)
        page_at(w, *first)->prev = id;
    *first = id;
    page->listed = true;
}

bool page_next(hg_world *w, bool leaf, unsigned class, size_t bytes)
{
    uint32_t id = w->roomy[leaf][class];
    if (id != NO_PAGE)
        roomy_unlink(w, page_at(w, id));
    else if (!page_add(w, leaf, class, bytes, &id))
        return false;
    /* The one before is full. */
    uint32_t old = w->current[leaf][class];
    if (old != NO_PAGE)
        page_at(w, old)->listed = false;
    page_at(w, id)->listed = true;
    w->current[leaf][class] = id;
    return true;
}

void pages_free(hg_world *w)
{
    for (uint32_t seq = 0; seq < w->order_count; seq++) {
        if (w->order[seq] != NO_PAGE)
            page_remove(w, w->order[seq]);
    }
    if (w->table != NULL)
        pages_unmap(w->table,
                    (w->table_room * sizeof(struct page) + PAGE_BYTES - 1) &
                        -PAGE_BYTES);
    memory_give(w->huge);
    memory_give(w->huge_first);
    memory_give(w->order);
    memory_give(w->young);
    memory_give(w->middle);
    memory_give(w->resting);
}
