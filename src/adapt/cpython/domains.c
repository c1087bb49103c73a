/* SPDX-License-Identifier: MIT */
/*
 * domains.c - blocks of CPython's three domains: of any size, from any allocator.
 *
 * A resized block belongs to the line that resized it, and counts as freed there
 * and allocated here, in this order, wherever it then lies: as with tracemalloc.
 */
#include "adapt/cpython/domains.h"

#include "adapt/cpython/apart.h"
#include "adapt/cpython/frames.h"
#include "adapt/cpython/observer.h"
#include "trace/block.h"
#include "trace/session.h"

#include <stdint.h>
#include <string.h>

struct py_allocator domains_before[PY_DOMAINS];

size_t domain_header_bytes;

bool domain_watch(const void *object)
{
    enum { HEADER_MAX = 64 };
    struct place place;

    for (size_t header = 0; header <= HEADER_MAX; header += DOMAIN_HEADER_STEP)
        if (heap_find((const char *)object - header, &place)) {
            if (place.tag != NULL)
                *place.tag |= TAG_WATCHED;
            if (header > domain_header_bytes)
                domain_header_bytes = header;
            return true;
        }
    return false;
}

/*
 * Before an interpreter begins that may have a lock of its own, and so not take
 * turns with the others, the block of its state is allocated: in 3.12 by whoever
 * holds the lock of another, later by a thread that has just let go of it.
 */
static void look_for_interpreter(size_t bytes)
{
    enum { STATE_BYTES_MIN = 64 << 10, FIRST_MINOR = 12 };

    if (bytes >= STATE_BYTES_MIN &&
        (python.layout == NULL || python.layout->minor >= FIRST_MINOR) &&
        python.current_state != NULL &&
        (python.current_state() != NULL || python.is_initialized()))
        apart_begin();
}

/* Write down a block of any kind that was just handed out. */
static void record(struct owner owner, enum ledger_domain domain,
                   const struct place *place, size_t bytes)
{
    block_note(place, owner.node, bytes);
    if (place->tag == NULL || owner.node == LEDGER_NO_NODE)
        return;
    if (shares_on) {
        shares_allocated(apart_share(), *place->tag, domain, bytes);
    } else if (owner.away) {
        book_away(owner.node, LEDGER_RAW, false, bytes);
    } else {
        book_watch_epochs();
        book_allocated(*place->tag, domain, bytes);
    }
}

static HG_COLD bool watched_died(void *block, const struct place *place,
                                 size_t bytes)
{
    *place->tag = tag_of(LEDGER_NO_NODE, 0);
    return frames_block_died(block, bytes);
}

/* Strike out a block of any kind that is about to be freed, or resized.  True: the
   adapter keeps it for now. */
static bool strike(bool away, enum ledger_domain domain, void *block,
                   const struct place *place, size_t bytes)
{
    uint32_t node;

    if (place->tag == NULL || book.nodes == NULL)
        return false;
    node = tag_node(*place->tag);
    if (node == LEDGER_NO_NODE)
        return false;
    if (shares_on) {
        shares_freed(apart_share(), *place->tag, domain, bytes);
        return (*place->tag & TAG_WATCHED) && watched_died(block, place, bytes);
    }
    if (away) {
        if (*place->tag & TAG_WATCHED)
            frames_block_died_away();
        book_away(node, LEDGER_RAW, true, bytes);
        return false;
    }
    book_freed(*place->tag, domain, bytes);
    return (*place->tag & TAG_WATCHED) && watched_died(block, place, bytes);
}

void *domain_alloc(struct owner owner, enum py_domain domain, size_t bytes,
                   bool zero)
{
    struct place place;

    if (zero && domain == PY_RAW)
        look_for_interpreter(bytes);
    void *block = heap_alloc_in(domain_heap_joined(domain), 1, bytes, zero, &place);
    if (block != NULL)
        record(owner, domain_ledger(domain), &place, bytes);
    return block;
}

/* What is in our window was never anybody else's: the heap says what is wrong. */
static HG_COLD void free_foreign(enum py_domain domain, void *block)
{
    size_t offset;

    if (heap_in_window(block, &offset))
        heap_free_in(domain_heap_joined(domain), block);
    else if (domain != PY_OBJ || !observer_foreign_block(block))
        domains_before[domain].free(domains_before[domain].context, block);
}

void domain_free(bool away, enum py_domain domain, void *block)
{
    struct place place;

    if (block == NULL)
        return;
    if (book.nodes == NULL && !away)
        session_awake();
    if (domain == PY_RAW && !away && book_has_away())
        book_take_over();
    if (!heap_find(block, &place)) {
        free_foreign(domain, block);
        return;
    }
    size_t bytes = place.tag != NULL ? block_bytes(&place) : 0;
    if (!strike(away, domain_ledger(domain), block, &place, bytes))
        heap_free_in(domain_heap_joined(domain), block);
}

/* A block of the allocator before us: resize it there, then move it here. */
static HG_COLD void *adopt(enum py_domain domain, void *block, size_t bytes,
                           struct owner owner)
{
    size_t offset;

    HG_VERIFY(!heap_in_window(block, &offset),
              "resized, though it is no live block", block);
    void *resized = domains_before[domain].realloc(domains_before[domain].context,
                                                   block, bytes);

    if (resized == NULL)
        return NULL;
    void *ours = domain_alloc(owner, domain, bytes, false);
    if (ours == NULL)
        return resized;
    memcpy(ours, resized, bytes);
    domains_before[domain].free(domains_before[domain].context, resized);
    return ours;
}

void *domain_resize(struct owner owner, enum py_domain domain, void *block,
                    size_t bytes)
{
    enum ledger_domain ledger = domain_ledger(domain);
    struct place old;
    struct place place;

    if (bytes > PTRDIFF_MAX)
        return NULL;
    if (!heap_find(block, &old))
        return adopt(domain, block, bytes, owner);
    /* Tags are true only while accounts are kept. */
    bool told = old.tag != NULL && book.nodes != NULL;
    size_t old_bytes = told ? block_bytes(&old) : old.usable;
    uint32_t old_tag = told ? *old.tag : 0;
    void *moved = block;
    if (!heap_resize_in_place(block, bytes, &place)) {
        moved = heap_remap_huge(block, bytes, &place);
        if (moved == NULL) {
            struct heap *heap = domain_heap_joined(domain);
            moved = heap_alloc_in(heap, 1, bytes, false, &place);
            if (moved == NULL)
                return NULL;
            memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
            if (!strike(owner.away, ledger, block, &old, old_bytes))
                heap_free_in(heap, block);
            record(owner, ledger, &place, bytes);
            return moved;
        }
    }
    if (place.tag != NULL) {
        struct place then = {.tag = &old_tag};
        strike(owner.away, ledger, block, &then, old_bytes);
        record(owner, ledger, &place, bytes);
    }
    return moved;
}
