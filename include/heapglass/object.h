/* SPDX-License-Identifier: MIT */
/*
 * object.h - objects with reference counts and a collector for their cycles.
 *
 * A world holds objects; objects refer to each other.  An object goes when its last
 * reference goes; cycles, which never see that happen, go when the collector finds
 * that nothing outside of them refers to them.
 *
 *     typedef struct Node { hg_object head; struct Node *left, *right; } Node;
 *     static const hg_type Node_type = {.name = "Node", .size = sizeof(Node),
 *                                       .refs = HG_REFS(Node, left, right)};
 *
 *     hg_world *w = hg_world_new();
 *     Node *n = hg_new(w, &Node_type);
 *     hg_set(w, &n->left, n);        a cycle
 *     hg_release(w, n);              nobody has it any more
 *     hg_collect(w, HG_FULL, NULL);  and it is gone
 *     hg_world_free(w);
 *
 * The usual author writes no traverse and no clear function: offsets will do.
 *
 * Threads: a world and its objects belong to one thread at a time; moving it to
 * another needs a happens-before edge and nothing else.  Worlds know nothing of
 * each other: an object of one must not refer to an object of another.  Nothing
 * here may be called by a signal handler.  After fork() the child has a copy of
 * each world.
 *
 * What fails says so by NULL or a negative hg_status, and nothing has changed then.
 * Misuse that is noticed, such as a release too many, ends the program by abort(),
 * after one line that names the object.  Pointers are not NULL but where that is
 * said to be allowed.
 *
 * "May call back" below means: may run finalizers, disposers, callbacks of weak
 * references and of events, of this world, before it returns.  All of these return:
 * a longjmp() or an exception out of one leaves its world unusable.
 */
#ifndef HEAPGLASS_OBJECT_H
#define HEAPGLASS_OBJECT_H

#include "heapglass/status.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef HG_API
#define HG_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hg_world hg_world;
typedef struct hg_type hg_type;
typedef struct hg_weak hg_weak;

/* Every object begins with one; its fields are the library's to write. */
typedef struct {
    uint32_t count;  /* references; 1 << 31 and above: immortal */
    uint32_t length; /* items or bytes, of a type with HG_ITEMS or HG_BYTES */
    const hg_type *type;
} hg_object;

/* Called by a traverse function with `arg` as it came, once for each reference that
   the object owns.  NULL is allowed and ignored. */
typedef void hg_visit(void *target, void *arg);

enum {
    /* After `size` bytes come `length` references: void *items[length]. */
    HG_ITEMS = 1,
    /* Takes part in no cycle: the collector never looks at its objects.  Types that
       own no reference need not say so. */
    HG_ACYCLIC = 2,
    /* After `size` bytes come `length` bytes, which hold no reference. */
    HG_BYTES = 4,
};

/*
 * What the library knows of objects of one kind.  Constant, and outlives every
 * object of the type.  What is not needed stays 0.
 *
 * References that an object owns are those of `refs`, of HG_ITEMS, of `array` and
 * of `traverse`, each counted in its target.  The library drops them when the
 * object goes: no function may do that for it.
 */
struct hg_type {
    const char *name;     /* for reports */
    size_t size;          /* bytes, with the head: sizeof(hg_object) to 65535 */
    const uint16_t *refs; /* HG_REFS(), offsets of references; ends with 0 */
    /* HG_ARRAY(): a counted array of references somewhere else, which `dispose`
       frees.  The count is a uint32_t; NULL entries are allowed. */
    struct {
        uint16_t at;       /* offset of a pointer to the first; 0: there is none */
        uint16_t count_at; /* offset of the count */
    } array;
    unsigned flags;
    /*
     * For tagged values and hash tables: call `visit` for each reference that the
     * others above do not name.  Runs at any time, on any object that hg_new() has
     * returned: zeros must be fine.  Calls nothing else of this library and changes
     * nothing.
     */
    void (*traverse)(const void *self, hg_visit *visit, void *arg);
    /*
     * Runs once in an object's life, when nothing refers to it any more, or only
     * garbage does.  All it refers to is still whole.  May call everything; may
     * bring the object back by storing a reference.  Then it is as before, but its
     * finalizer does not run again.
     */
    void (*finalize)(hg_world *world, void *self);
    /*
     * Gives back what is not an object (memory, descriptors), right before the
     * object's memory goes.  What it refers to may be gone already: do not touch
     * it. Must not call the library, but for hg_weak_free().
     */
    void (*dispose)(void *self);
};

/* Up to 8 fields by name: .refs = HG_REFS(Node, left, right). */
#define HG_REFS(...)                                                               \
    HG_REFS_PICK_(__VA_ARGS__, HG_REFS8_, HG_REFS7_, HG_REFS6_, HG_REFS5_,         \
                  HG_REFS4_, HG_REFS3_, HG_REFS2_, HG_REFS1_, 0)                   \
    (__VA_ARGS__)
#define HG_REFS_PICK_(t, a, b, c, d, e, f, g, h, pick, ...) pick
#define HG_AT_(t, f) (uint16_t) offsetof(t, f)
#define HG_REFS1_(t, a)                                                            \
    (const uint16_t[])                                                             \
    {                                                                              \
        HG_AT_(t, a), 0                                                            \
    }
#define HG_REFS2_(t, a, b)                                                         \
    (const uint16_t[])                                                             \
    {                                                                              \
        HG_AT_(t, a), HG_AT_(t, b), 0                                              \
    }
#define HG_REFS3_(t, a, b, c)                                                      \
    (const uint16_t[])                                                             \
    {                                                                              \
        HG_AT_(t, a), HG_AT_(t, b), HG_AT_(t, c), 0                                \
    }
#define HG_REFS4_(t, a, b, c, d)                                                   \
    (const uint16_t[])                                                             \
    {                                                                              \
        HG_AT_(t, a), HG_AT_(t, b), HG_AT_(t, c), HG_AT_(t, d), 0                  \
    }
#define HG_REFS5_(t, a, b, c, d, e)                                                \
    (const uint16_t[])                                                             \
    {                                                                              \
        HG_AT_(t, a), HG_AT_(t, b), HG_AT_(t, c), HG_AT_(t, d), HG_AT_(t, e), 0    \
    }
#define HG_REFS6_(t, a, b, c, d, e, f)                                             \
    (const uint16_t[])                                                             \
    {                                                                              \
        HG_AT_(t, a), HG_AT_(t, b), HG_AT_(t, c), HG_AT_(t, d), HG_AT_(t, e),      \
            HG_AT_(t, f), 0                                                        \
    }
#define HG_REFS7_(t, a, b, c, d, e, f, g)                                          \
    (const uint16_t[])                                                             \
    {                                                                              \
        HG_AT_(t, a), HG_AT_(t, b), HG_AT_(t, c), HG_AT_(t, d), HG_AT_(t, e),      \
            HG_AT_(t, f), HG_AT_(t, g), 0                                          \
    }
#define HG_REFS8_(t, a, b, c, d, e, f, g, h)                                       \
    (const uint16_t[])                                                             \
    {                                                                              \
        HG_AT_(t, a), HG_AT_(t, b), HG_AT_(t, c), HG_AT_(t, d), HG_AT_(t, e),      \
            HG_AT_(t, f), HG_AT_(t, g), HG_AT_(t, h), 0                            \
    }

/* .array = HG_ARRAY(List, items, used), where `items` points to references. */
#define HG_ARRAY(t, pointer, used)                                                 \
    {                                                                              \
        HG_AT_(t, pointer), HG_AT_(t, used)                                        \
    }

/* A world without objects, or NULL when there is no memory. */
HG_API hg_world *hg_world_new(void);

/*
 * Collect, then free what is left without finalizers but with `dispose`, and the
 * world.  Weak references that were not freed are, and their callbacks do not run.
 * NULL is allowed.  May call back; not from inside a callback of this world.
 */
HG_API void hg_world_free(hg_world *world);

/*
 * A new object, all zeros after its head, with one reference, the caller's; NULL
 * when there is no memory, or it would have 4 GiB or more.  It begins at a multiple
 * of 16 and stays where it is until it goes.  hg_new_items() is for
 * types with HG_ITEMS or HG_BYTES, hg_new() for the others; the wrong one aborts.
 * May collect first, and so call back.  Constant time but for that and the zeros.
 *
 * `site` tells hg_site() and reports where it comes from, see hg_debug(): a text
 * that outlives the world, or NULL; an interpreter names a line of its program.
 */
#define hg_new(world, type) hg_new_at(world, type, HG_HERE_)
#define hg_new_items(world, type, length)                                          \
    hg_new_items_at(world, type, length, HG_HERE_)
HG_API void *hg_new_at(hg_world *world, const hg_type *type, const char *site);
HG_API void *hg_new_items_at(hg_world *world, const hg_type *type, uint32_t length,
                             const char *site);
#define HG_HERE_ __FILE__ ":" HG_TEXT_(__LINE__)
#define HG_TEXT_(x) HG_TEXT2_(x)
#define HG_TEXT2_(x) #x

/*
 * A named place for a reference of the program's own, a global variable's for
 * instance: hg_set(world, &root->target, x).  Questions and reports begin their
 * chains with its name.  It is an object like others: hg_release() ends it.  `name`
 * outlives it.  NULL when there is no memory.
 */
typedef struct {
    hg_object head;
    const char *name;
    void *target;
} hg_root;
HG_API hg_root *hg_root_new(hg_world *world, const char *name);

HG_API void hg_last_release_(hg_world *world, hg_object *object);
HG_API void hg_odd_retain_(hg_object *object);

/* One more reference, the caller's.  Returns `object`, which may be NULL.  Aborts
   when the object is dead. */
static inline void *hg_retain(void *object)
{
    hg_object *o = (hg_object *)object;
    if (o != NULL) {
        if (o->count - 1u < 0x7FFFFFFFu)
            o->count++;
        else
            hg_odd_retain_(o);
    }
    return object;
}

/*
 * One reference less, the caller's; NULL is ignored.  When it was the last the
 * object goes, and what only it referred to: at once as far as the policy's
 * `release_us` allows, the rest bit by bit as the world allocates.  May call back.
 * Aborts when the object has no reference.
 */
static inline void hg_release(hg_world *world, void *object)
{
    hg_object *o = (hg_object *)object;
    if (o != NULL) {
        if (o->count - 2u < 0x7FFFFFFEu)
            o->count--;
        else
            hg_last_release_(world, o);
    }
}

/* `slot` is the address of a reference: any pointer to an object, or NULL.  Store
   `value`, the caller's reference to it moves there, and release what was there.
   The slot is written before anything is called back. */
static inline void hg_move(hg_world *world, void *slot, void *value)
{
    void *old;
    memcpy(&old, slot, sizeof old); /* whatever the pointer's type */
    memcpy(slot, &value, sizeof value);
    hg_release(world, old);
}

/* The same, but `value` is retained: the caller keeps its reference. */
static inline void hg_set(hg_world *world, void *slot, void *value)
{
    hg_move(world, slot, hg_retain(value));
}

/* Empty the slot; its reference is the caller's now. */
static inline void *hg_take(void *slot)
{
    void *value;
    memcpy(&value, slot, sizeof value);
    memset(slot, 0, sizeof value);
    return value;
}

/* From now on never freed before its world, whatever its count: retain and release
   leave it alone. */
HG_API void hg_immortal(void *object);

/* Promise that the object is in no cycle, or take that back; of a type that is in
   none anyway both do nothing.  What an untracked object refers to counts as
   referred to from outside. */
HG_API void hg_untrack(hg_world *world, void *object);
HG_API void hg_track(hg_world *world, void *object);
HG_API int hg_is_tracked(hg_world *world, const void *object);
/* Whether the finalizer has run. */
HG_API int hg_is_finalized(hg_world *world, const void *object);

/* No collection looks at what is tracked now, and it stays, if only cycles keep it;
   or all of that is tracked again, in the oldest generation.  Both look at every
   object once. */
HG_API void hg_freeze(hg_world *world);
HG_API void hg_unfreeze(hg_world *world);

/*
 * A reference that does not keep its target.  `on_dead` (or NULL) is called once,
 * after the target has become unreachable and hg_weak_get() gives NULL; it may call
 * everything, and free `weak`.  An object that is its `arg` may have died with the
 * target: it is whole, but hg_weak_new() gives NULL for it and hg_retain() aborts.
 * Of a target that the collector finds, weak
 * references go before finalizers run; of others, after.  The handle is the
 * caller's, to be given to hg_weak_free(), which ignores NULL, before or after the
 * target's death; then nothing is called.  NULL when there is no memory, or
 * `target` is dead.  None of the three calls back.
 */
typedef void hg_on_dead(hg_world *world, hg_weak *weak, void *arg);
HG_API hg_weak *hg_weak_new(hg_world *world, void *target, hg_on_dead *on_dead,
                            void *arg);
HG_API void hg_weak_free(hg_world *world, hg_weak *weak);
/* A new reference to the target, the caller's, or NULL. */
HG_API void *hg_weak_get(hg_world *world, const hg_weak *weak);

/* Go on freeing what has died, for about `us` microseconds (0: to the end). Returns
   how many objects still wait: 0 but when the time was over, or in a callback,
   where it does nothing.  May call back. */
HG_API size_t hg_flush(hg_world *world, uint32_t us);

/* ---- collection ---- */

/* Generations: 0 young, 1 middle, 2 old. */
enum { HG_YOUNG = 0, HG_MIDDLE = 1, HG_FULL = 2 };

/* What one collection did. */
typedef struct {
    int generation;      /* it, and the younger ones */
    unsigned slices;     /* pieces that it ran in: 1 without increments */
    size_t examined;     /* tracked objects that it looked at */
    size_t candidates;   /* of these, what marking had not reached */
    size_t unreachable;  /* of these, garbage: by the exact rule */
    size_t freed;        /* of these, freed; the others were resurrected */
    uint64_t total_ns;   /* time inside the collector and what it calls */
    uint64_t longest_ns; /* the longest slice */
} hg_collection;

/*
 * Collect a generation and the younger ones at once; an incremental collection that
 * runs is brought to its end first.  All garbage of these generations is gone
 * afterwards, unless a finalizer stored it; what survives is one generation older.
 * `out` may be NULL.  HG_EINVAL: no such generation.  HG_EBUSY: inside a callback.
 * HG_ENOMEM: no memory to work with; what was not found is left for the next one.
 * May call back.
 */
HG_API hg_status hg_collect(hg_world *world, int generation, hg_collection *out);

/*
 * A slice of an incremental full collection, of about `us` microseconds, at least
 * some progress; begins one if none runs.  *done (or NULL) is set to 1 when it came
 * to its end, else to 0; all that was garbage when it began is then gone.  The
 * exact check of a connected structure of candidates cannot be divided: it may make
 * a slice longer.  Errors as hg_collect(), but HG_ENOMEM gives the running
 * collection up. May call back.
 */
HG_API hg_status hg_step(hg_world *world, uint32_t us, int *done);

/*
 * When the world collects by itself, and how long it may stop the program.  After
 * collections that find nothing the next ones wait: up to 7 of 8 of the younger
 * ones are left out, and a full one comes after up to four times the growth.
 */
typedef struct {
    int automatic;   /* 0: only hg_collect() and hg_step() collect */
    uint32_t young;  /* tracked objects born, net, that start a young collection */
    uint32_t middle; /* every so many young ones, or when twice `young` objects have
                        survived these, the middle generation too */
    double growth;   /* a full one when there are more objects, by this share and 10
                        times `young`, than when the last one ended, or since */
    uint32_t step_us;    /* slices of a full one; 0: in one piece */
    uint32_t release_us; /* freeing in one release; 0: to the end */
} hg_policy;

/* The default: {1, 2000, 10, 0.25, 1000, 1000}.  Both copy; what is set is in force
   from the next allocation on. */
HG_API void hg_get_policy(const hg_world *world, hg_policy *out);
HG_API void hg_set_policy(hg_world *world, const hg_policy *policy);

typedef struct {
    size_t objects;          /* all, also those that wait to be freed */
    size_t bytes;            /* of these, at the size of their slots */
    size_t young;            /* tracked ones of generation 0 */
    size_t waiting;          /* dead ones that wait to be freed */
    size_t pages;            /* that the objects lie in */
    size_t weak_targets;     /* objects with weak references */
    uint64_t collections[3]; /* that ended, by generation */
    uint64_t freed[3];       /* by them */
    uint64_t collector_ns;   /* all of them, together */
    uint64_t longest_ns;     /* the longest pause of a collection */
} hg_statistics;
/* Constant time. */
HG_API void hg_get_statistics(const hg_world *world, hg_statistics *out);

/*
 * Called before and after each collection, automatic or not; before an incremental
 * one's first slice and after its last; also after one that memory failed, with
 * what it has done.  `done` is NULL before, and lent to the call.  It may call
 * everything but hg_world_free(); hg_collect() and hg_step() give HG_EBUSY.  One
 * function a world; NULL: none.
 */
typedef void hg_on_collection(hg_world *world, int generation,
                              const hg_collection *done, void *arg);
HG_API void hg_set_on_collection(hg_world *world, hg_on_collection *call,
                                 void *arg);

/* ---- questions ---- */

/*
 * The functions below call `call` for objects of the world, which stay what they
 * are: it must not call anything that changes the world.  They cost time in
 * proportion to all its objects.  Dead objects that wait to be freed are not shown.
 */
typedef void hg_on_object(const void *object, void *arg);

/* Every object, in the order of pages: those left at the end, by type, are the
 * leaks. */
HG_API void hg_walk(hg_world *world, hg_on_object *call, void *arg);
/* What an object refers to, once for each reference; in constant time each. */
HG_API void hg_referents(const void *object, hg_on_object *call, void *arg);
/* What refers to an object, once for each reference. */
HG_API void hg_referrers(hg_world *world, const void *object, hg_on_object *call,
                         void *arg);

/*
 * Why an object is there: the shortest chain of references, from an object with
 * references that no object owns, a variable's for instance, to `object`.  No call:
 * there is none, and a collection would free it.  HG_EBUSY while an incremental
 * collection runs; HG_ENOMEM, after no call: it needs 16 bytes an object meanwhile.
 */
HG_API hg_status hg_why_alive(hg_world *world, const void *object,
                              hg_on_object *call, void *arg);

/*
 * Types that lie: a traverse function (or `refs`) that names a reference twice, or
 * one that nobody counted, makes an object seem to have more references than it
 * has.  Calls with each such object, and with everything that says it refers to it:
 * the liar is among those.  Errors as hg_why_alive().
 */
typedef void hg_on_liar(const void *referrer, const void *object, void *arg);
HG_API hg_status hg_find_liars(hg_world *world, hg_on_liar *call, void *arg);

/*
 * References that a type forgot, the commonest lie: nothing looks at them, so what
 * they refer to seems to be referred to from outside, and garbage is kept for good.
 * Calls for each word in the memory of an object that is the address of another
 * one that has more references than its referrers name, if the type does not name
 * this word.  A borrowed pointer that was never retained looks the same.  Memory
 * that an object has elsewhere is not seen.  Errors as hg_why_alive().
 */
typedef void hg_on_forgotten(const void *referrer, size_t offset,
                             const void *target, void *arg);
HG_API hg_status hg_find_forgotten(hg_world *world, hg_on_forgotten *call,
                                   void *arg);

/* ---- debugging ---- */

enum {
    /* Remember where each object was made.  8 bytes a slot. */
    HG_DEBUG_SITES = 1,
    /* Fill the dead with 0xDB, and use their memory again only when 4096 others
       have died: whoever retains or releases one meanwhile, or has written to it,
       is told its type and site, and aborted. */
    HG_DEBUG_DEAD = 2,
};
/* Add to what the world does for those who look for mistakes; from now on, until it
   goes.  HG_ENOMEM. */
HG_API hg_status hg_debug(hg_world *world, unsigned flags);
/* Where the object was made, as hg_new_at() was told, or NULL: not remembered. */
HG_API const char *hg_site(hg_world *world, const void *object);
/* Write what hg_debug() and the object's type tell, such as "Node from tree.c:31";
   at most `bytes`, the ending 0 among them.  Returns `text`. */
HG_API char *hg_describe(hg_world *world, const void *object, char *text,
                         size_t bytes);

/*
 * What is left at the end, when the program has dropped all that it held: a line
 * for each type and site, the most bytes first; then, of the first 16, for one
 * object the shortest chain that keeps it and the cycle that it is in, as names of
 * types. Roots and what they reach are left out.  `call` is given a line at a time,
 * without its end, and must not change the world; *count (or NULL) becomes the
 * number of objects.  What waits to be freed goes first: may call back.  Errors as
 * hg_why_alive().
 */
typedef void hg_on_line(const char *line, void *arg);
HG_API hg_status hg_report_leaks(hg_world *world, hg_on_line *call, void *arg,
                                 size_t *count);

/* Walk everything and abort at the first broken invariant.  Not in a callback. */
HG_API void hg_check(hg_world *world);

#ifdef __cplusplus
}
#endif

#endif
