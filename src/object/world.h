/* SPDX-License-Identifier: MIT */
/* world.h - the structures of a world, and what always holds of them. */
#ifndef HG_OBJECT_WORLD_H
#define HG_OBJECT_WORLD_H

#include "base/base.h"
#include "heap/heap.h"
#include "heapglass/object.h"

#include <stdbool.h>

/*
 * Objects lie in pages of 128 KiB, aligned, that a world gets from the heap: each
 * page holds objects of one size class, and either leaves (objects that the
 * collector never looks at) or others.  Large objects have a page of their own, of
 * their size. What the collector knows of an object stands outside of the page, in
 * dense arrays by slot: a collection then runs over bits and bytes, page after
 * page, and touches the objects themselves in the order of their addresses.
 *
 * A page's descriptor is found by address: table[(address - heap_base()) >> 17].
 * Objects beyond LARGE_MAX are outside the heap's window and have theirs in `huge`,
 * by a hash of the address.
 */
#define PAGE_SHIFT 17
#define WORLD_PAGE ((size_t)1 << PAGE_SHIFT)
#define OBJECT_ALIGN 16u
#define OBJECT_MIN 32u
#define OBJECT_SMALL 1024u /* classes up to here are steps of OBJECT_ALIGN */
#define OBJECT_MEDIUM (WORLD_PAGE / 8)
#define PAGE_SLOTS (WORLD_PAGE / OBJECT_MIN) /* at most */
#define OBJECT_CLASSES (OBJECT_SMALL / OBJECT_ALIGN + 4 * 4)
#define SLOT_BITS 12
#define PAGES_MAX ((1u << (31 - SLOT_BITS)) - 2)
#define NO_PAGE UINT32_MAX
#define HUGE_ID                                                                    \
    (1u << 31) /* ids of pages: an index of `table`, or this and one of            \
                  `huge` */

_Static_assert(PAGE_SLOTS <= (size_t)64 * 64, "a bit for each word of bits");
_Static_assert(PAGE_SLOTS <= 1u << SLOT_BITS, "a slot's number fits into a link");

/* While something waits to be disposed of, world_tick() comes every so many
 * objects. */
#define TICK_DEAD 8

#define COUNT_IMMORTAL (1u << 31)
/* Above it: dead, in the queue, and a link or this, which is none. */
#define COUNT_DEAD UINT32_MAX

/*
 * One byte for each slot.  0: free.  IS_LIVE: an object that may be used.  IS_SET
 * without IS_LIVE: dead, in the queue of those to be disposed of.  RESTS alone:
 * dead and gone, but its memory is not used again for a while (debug.c).
 */
enum {
    IS_LIVE = 1,
    IS_TRACKED = 2, /* collections look at it */
    IS_FROZEN = 4,  /* would be tracked, were it not frozen */
    IS_FINALIZED = 8,
    HAS_WEAK = 16, /* iff `weak` has an entry for it */
    IS_YOUNG = 32, /* generation 0; neither this nor the next: generation 2 */
    IS_MIDDLE = 64,
    IS_SET = 128, /* with IS_LIVE: in the set that is checked right now */
    RESTS = IS_FINALIZED,
};

enum page_kind { PAGE_NONE, PAGE_LEAVES, PAGE_OTHERS };

struct page {
    /* What every reference into the page needs: one line of the cache. */
    _Alignas(64) uint64_t *seen; /* a bit for each slot: reached; leaves: all ones,
                                    shared */
    uint16_t *count; /* references found, modulo 2^16; leaves: never read, shared */
    uint8_t *state;
    uint32_t reciprocal; /* slot = offset * reciprocal >> 32; one slot: 0 */
    uint32_t seq;        /* order[seq] is its id */
    uint8_t kind;        /* enum page_kind */
    uint8_t class;
    bool listed;    /* in the list of its class by prev, next; or the current one */
    bool queued;    /* in the queue of pages to scan */
    bool young;     /* in young[], as may hold objects of generation 0 */
    bool middle;    /* in middle[] */
    uint64_t *done; /* reached and scanned */
    uint64_t dirty; /* a bit for each word of `seen` that may have others */
    uint32_t *exact; /* a number for each slot, or NULL: subset.c, cycle.c */

    char *base;
    const char **site; /* of each slot, or NULL: nobody asked */
    void *free;        /* the first of the free ones, linked by free_link() */
    uint32_t slot_bytes;
    uint32_t slots, carved; /* slots beyond `carved` were never used */
    uint32_t live;          /* slots in use: iff 0 the page may go */
    uint32_t prev, next;    /* ids: pages of the class with free slots; huge: of the
                               same hash */
};

struct hg_weak {
    hg_object *target; /* NULL: dead */
    hg_on_dead *on_dead;
    void *arg;
    hg_weak *prev, *next; /* of the same target, or waiting for the call; */
    hg_weak **head;       /* of which list it is in; NULL: in none */
};

struct weak_entry {
    hg_object *target; /* NULL: free */
    hg_weak *first;
};

/* Objects that are looked at together. */
struct set {
    hg_object **object;
    size_t count, room;
};

enum cycle_phase {
    CYCLE_NONE,
    CYCLE_FLUSH, /* the queue of the dead */
    CYCLE_INIT,  /* clear bits and counts */
    CYCLE_COUNT, /* references from tracked objects */
    CYCLE_ROOTS, /* seen: what has others, too */
    CYCLE_DRAIN, /* seen: what these reach */
    CYCLE_TALLY, /* the others are candidates */
    CYCLE_PICK,
    CYCLE_NUMBER,
    CYCLE_UNITE, /* into connected components */
    CYCLE_SIZES,
    CYCLE_STARTS,
    CYCLE_SORT,
    CYCLE_BATCH, /* the exact rule, and the end of what it finds */
    CYCLE_PAGES, /* that are empty go */
};

struct cycle {
    enum cycle_phase phase;
    size_t live;       /* when it began */
    uint32_t pages;    /* order_count then */
    uint32_t at, slot; /* how far the phase has come: seq and slot, */
    uint32_t item;     /* and item of a long object */
    struct set longs;  /* marked, with items still to be scanned; */
    uint32_t long_at;  /* of the last of them so many were */
    size_t index;      /* or candidates */
    uint32_t *queue;   /* of pages (seq), a ring; each is in it at most once */
    uint32_t queue_mask, queue_head, queue_tail;
    struct set picked;   /* candidates */
    uint32_t *parent;    /* of each, in its component: not above itself */
    uint32_t *start;     /* of each component in `sorted`, by its smallest member */
    uint32_t *sorted;    /* candidates, component after component */
    struct set batch;    /* found to be garbage, */
    bool batched;        /* and not yet freed; */
    size_t batch_at;     /* so far it has come */
    hg_object *soon[16]; /* reached, to be scanned; a ring */
    unsigned soon_at;
    uint16_t *late[16]; /* counts that wait for their line of the cache; a ring */
    unsigned late_at;
    uint16_t nowhere; /* what the ring begins with */
};

struct hg_world {
    struct page *table;
    uint32_t table_room;
    uint32_t current[2][OBJECT_CLASSES]; /* ids: where the next object comes from */
    uint32_t roomy[2][OBJECT_CLASSES];   /* ids: first of other pages with room */
    int32_t countdown;                   /* objects until world_tick(), */
    int32_t countdown_then; /* and from there to the collector's turn */

    uint32_t *order; /* ids of all pages; a hole is NO_PAGE */
    uint32_t order_count, order_room;
    uint32_t holes;      /* in order, */
    uint32_t first_hole; /* not before this */

    struct page *huge;
    uint32_t huge_count, huge_room;
    uint32_t *huge_first; /* ids, by hash; as many as huge_room */

    hg_object *dying[16]; /* the dead that go next: the last one first; */
    unsigned dying_count;
    uint32_t dead;        /* after them, link to the first of the others; 0: none */
    size_t dead_count;    /* all of these, and `dropping` */
    hg_object *dropping;  /* a long one, dead, or NULL; */
    uint32_t dropping_at; /* so many of its items have lost their reference */
    bool disposing;
    bool
        calling; /* hg_collect() or hg_step() is at work, or a callback of theirs */
    bool collecting; /* a collection or a slice of one is at work */
    bool cycle_runs; /* an incremental one is between two slices, or in one */
    bool keep_pages; /* no page goes, as a cycle remembers objects by address */

    struct weak_entry *weak;
    size_t weak_count, weak_room;
    hg_weak *calls; /* whose callbacks are still to be called */
    hg_weak *gone;  /* whose targets are dead */

    size_t live;              /* objects, dead ones in the queue too */
    size_t live_bytes;        /* at the size of their slots */
    uint32_t *young, *middle; /* ids; as much room as order */
    uint32_t young_pages, middle_pages;
    size_t young_count; /* objects of generation 0 */
    size_t middle_most; /* of generation 1 there are no more */

    /* subset.c */
    struct set rescued; /* stack */
    struct set alive;   /* what finalizers brought back */

    /* collect.c */
    struct set set;
    unsigned young_runs;    /* since the middle generation was collected */
    unsigned young_skip;    /* so many times the younger ones are not looked at, */
    unsigned young_skipped; /* and have not been */
    unsigned growth_factor;
    size_t live_then; /* when the last full one ended, or the least since */
    hg_policy policy;
    hg_on_collection *on_collection;
    void *on_collection_arg;
    hg_statistics statistics;
    hg_collection now; /* the one at work */

    struct cycle cycle;

    unsigned debug;      /* of hg_debug() */
    hg_object **resting; /* a ring, or NULL */
    uint32_t resting_at;

    uint64_t ones[PAGE_SLOTS / 64];
    uint16_t counts_of_leaves[PAGE_SLOTS];
};

/* ---- memory.c: memory of the library's own, from the heap ---- */
void *memory_take(size_t bytes); /* zeros; NULL when there is none */
void memory_give(void *block);   /* NULL is ignored */
/* Make array[index] valid; what is new is zero.  False: as it was. */
bool memory_grow(void *array_pointer, uint32_t *room, uint32_t index, size_t size);
#ifdef HG_FAULTS
void memory_fail(unsigned after, unsigned every); /* as pages_fail() */
unsigned memory_fail_never(void);
#endif

/* ---- page.c: objects in pages ---- */
struct page *page_of_huge(hg_world *w, const void *object);
bool page_add(hg_world *w, bool leaf, unsigned class, size_t bytes, uint32_t *id);
void page_empty(hg_world *w, uint32_t id); /* live just became 0 */
void page_roomy(hg_world *w, uint32_t id); /* a slot became free */
/* Make a page with room the current one of its class. */
bool page_next(hg_world *w, bool leaf, unsigned class, size_t bytes);
void pages_free(hg_world *w);

static inline struct page *page_at(hg_world *w, uint32_t id)
{
    return id & HUGE_ID ? &w->huge[id & ~HUGE_ID] : &w->table[id];
}

/* NULL when it is no object of this world, as far as that is seen at once.  Adding
   a page moves descriptors: find them again after anything that allocates. */
static inline struct page *page_of(hg_world *w, const void *object)
{
    uintptr_t index = ((uintptr_t)object - heap_base()) >> PAGE_SHIFT;
    if (HG_LIKELY(index < w->table_room)) {
        struct page *page = &w->table[index];
        return HG_LIKELY(page->kind != PAGE_NONE) ? page : NULL;
    }
    return page_of_huge(w, object);
}

static inline uint32_t slot_of(const struct page *page, const void *object)
{
    uint64_t offset = (uintptr_t)object & (WORLD_PAGE - 1); /* pages are aligned */
    return (uint32_t)(offset * page->reciprocal >> 32);
}

static inline hg_object *object_at(const struct page *page, uint32_t slot)
{
    return (hg_object *)(page->base + (size_t)slot * page->slot_bytes);
}

static inline uint8_t *state_of(hg_world *w, const void *object)
{
    struct page *page = page_of(w, object);
    HG_VERIFY(page != NULL, "not an object of this world", object);
    return &page->state[slot_of(page, object)];
}

/* A free slot keeps its link where the type was, and a count of 0: whoever releases
   or retains a freed object meets that. */
static inline void **free_link(void *object)
{
    return (void **)&((hg_object *)object)->type;
}

/* ---- life.c ---- */
void object_died(hg_world *w, hg_object *object); /* count is 0: into the queue */
void dispose_some(hg_world *w, uint64_t until_ns, size_t at_least);
void dispose_budget(hg_world *w);                 /* as the policy allows */
void object_free(hg_world *w, hg_object *object); /* only the memory */
void slot_give(hg_world *w, struct page *page, uint32_t slot);
bool object_finalize(hg_world *w, hg_object *object); /* true: it is referred to */
uint64_t world_now_ns(void);
enum { DISPOSE_ALWAYS = 4 * TICK_DEAD }; /* at a tick: so the queue gets shorter */

/* ---- subset.c ---- */
bool set_reach(struct set *set, size_t count);
bool page_exact(struct page *page);
/*
 * Reduce a set to what is garbage by the exact rule, if each member is held by
 * `held` references that are none of an object's.  The others go to `alive`, with
 * room for them, unless it is NULL.  False: no memory, and the set is of no use any
 * more.
 */
bool set_reduce(hg_world *w, struct set *set, uint32_t held, struct set *alive);
/* A set is garbage: weak references, finalizers, callbacks.  What they bring back
   leaves the set, the rest is dead.  False: no memory, and nothing was done. */
bool set_settle(hg_world *w, struct set *set);
/* Free the dead: `most` steps more, of which *at, from 0 on, counts those done.
   True: all are gone. */
bool set_free(hg_world *w, const struct set *set, size_t *at, size_t most);

/* ---- cycle.c ---- */
void cycle_begin(hg_world *w);
/* Work until the time has come.  HG_OK; HG_EBUSY: there is more; HG_ENOMEM: given
 * up. */
hg_status cycle_step(hg_world *w, uint64_t until_ns);

/* ---- collect.c: when and what to collect ---- */
void world_start(hg_world *w);
void world_tick(hg_world *w);      /* countdown has run out; may call back */
void world_tick_soon(hg_world *w); /* something waits to be disposed of */
void world_last_collection(hg_world *w);
void world_end(hg_world *w);

/* ---- debug.c ---- */
extern const hg_type root_type;
void debug_born(hg_world *w, struct page *page, uint32_t slot, const char *site);
/* The object is dead, `slot` is to rest: true, or may be used again: false. */
bool debug_rests(hg_world *w, struct page *page, uint32_t slot);
void debug_check(const struct page *page, uint32_t slot); /* of one that rests */
const char *type_called(const hg_type *type);             /* which may have none */
_Noreturn void object_panic(hg_world *w, const hg_object *object,
                            const char *message) HG_COLD;

/* ---- ask.c ---- */
/* Call each(w, page, object, arg) for the live ones. */
typedef void on_live(hg_world *w, struct page *page, hg_object *object, void *arg);
void each_live(hg_world *w, on_live *each, void *arg);
/* Into `exact`: references from objects, also dead ones that wait.  HG_EBUSY,
   HG_ENOMEM. */
hg_status exact_count(hg_world *w);

/* Breadth first, through what refers to what: `exact` of all pages tells what was
   reached, 0: not. */
struct search {
    hg_world *w;
    hg_object **reached; /* in the order of their distance */
    uint32_t *from;      /* of each, the index of who reached it; a start: itself */
    size_t count, at;
};
/* Room for all objects. */
hg_status search_open(struct search *search, hg_world *w);
void search_close(struct search *search);
void search_clear(struct search *search); /* nothing is reached */
/* Where a search begins: any number, after search_start(). */
void search_start(struct search *search);
void search_add(struct search *search, hg_object *object, size_t from);
/* After search_clear(): until `goal` is reached, or as far as there is a way.
   `goal` may be a start: then it is to be reached again.  Returns where it is in
   `reached`, or SIZE_MAX. */
size_t search_run(struct search *search, const void *goal);
/* The way to reached[end], from its start on. */
void search_tell(struct search *search, size_t end, hg_on_object *call, void *arg);

/* ---- weak.c ---- */
void weak_clear(hg_world *w, hg_object *object); /* of one target; calls wait */
void weak_call(hg_world *w);                     /* those that wait */
void weak_close(hg_world *w);

/* The references of an object that may be many: an array, or none. */
static inline void *const *items_of(const hg_object *object, uint32_t *count)
{
    const hg_type *type = object->type;
    const char *at = (const char *)object;
    if (type->array.at != 0) {
        *count = *(const uint32_t *)(at + type->array.count_at);
        return *(void **const *)(at + type->array.at);
    }
    *count = type->flags & HG_ITEMS ? object->length : 0;
    return (void *const *)(at + type->size);
}

/* Call op(target, arg) for each reference of an object that `refs` of its type
   names. Inlined, with op, where op is a constant; so are those below. */
HG_ALWAYS_INLINE void refs_each(const hg_object *object, hg_visit *op, void *arg)
{
    const uint16_t *ref = object->type->refs;
    for (; ref != NULL && *ref != 0; ref++) {
        void *target = *(void *const *)((const char *)object + *ref);
        if (target != NULL)
            op(target, arg);
    }
}

/* For each that is no item. */
HG_ALWAYS_INLINE void edges_other(const hg_object *object, hg_visit *op, void *arg)
{
    const hg_type *type = object->type;
    refs_each(object, op, arg);
    if (type->traverse != NULL)
        type->traverse(object, op, arg);
    if (type->array.at != 0 && type->flags & HG_ITEMS) {
        /* A type with both: items_of() gives the array. */
        void *const *item = (void *const *)((const char *)object + type->size);
        for (uint32_t i = 0; i < object->length; i++) {
            if (item[i] != NULL)
                op(item[i], arg);
        }
    }
}

/* For all references. */
HG_ALWAYS_INLINE void edges_each(const hg_object *object, hg_visit *op, void *arg)
{
    edges_other(object, op, arg);
    uint32_t count;
    void *const *item = items_of(object, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (item[i] != NULL)
            op(item[i], arg);
    }
}

#ifdef HG_FAULTS
enum { LONG = 2 }; /* tests */
#else
enum { LONG = 2048 }; /* items looked at between two looks at the clock */
#endif

/* The others at first, then some items from *at on; true when there are more. */
HG_ALWAYS_INLINE bool edges_slice(const hg_object *object, uint32_t *at,
                                  hg_visit *op, void *arg)
{
    if (*at == 0)
        edges_other(object, op, arg);
    uint32_t count;
    void *const *item = items_of(object, &count);
    uint32_t end = *at < count && count - *at > LONG ? *at + LONG : count;
    for (; *at < end; ++*at) {
        if (item[*at] != NULL)
            op(item[*at], arg);
    }
    if (*at < count)
        return true;
    *at = 0;
    return false;
}

static inline bool type_is_leaf(const hg_type *type)
{
    return (type->flags & HG_ACYCLIC) ||
           (type->refs == NULL && type->traverse == NULL && type->array.at == 0 &&
            !(type->flags & HG_ITEMS));
}

#endif
