/* SPDX-License-Identifier: MIT */
/*
 * reaping.c - what the collector frees while it works: whose it was, and what.
 *
 * While a collection is under way our functions stand before those that serve MEM
 * and OBJ, whoever these belong to.  Blocks that come into being meanwhile, in
 * finalizers and callbacks of weak references, are remembered by address, so that
 * they are not taken for garbage when they go.
 *
 * A dying object still says of which type it is when its block is freed; whether
 * the block is an object at all is not said anywhere.  So it counts as one if it
 * looks like one in all respects: a reference count of 0, and in the right distance
 * from the beginning something that is a type with a collector's header and whose
 * instances are no larger than the block.
 */
#include "adapt/cpython/reaping.h"

#include "adapt/cpython/python.h"
#include "adapt/cpython/recycle_lists.h"
#include "base/base.h"
#include "base/hash.h"
#include "base/pages.h"
#include "base/process.h"
#include "heap/heap.h"
#include "trace/block.h"
#include "trace/garbage.h"
#include "trace/shares.h"

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

/* Of this thread: it collects, and is not in a function that one of ours calls. */
__thread bool reaping_now;

/* ------------------------------------------------------------------ blocks born
 */

/* Open addressing; 0 is free, 1 was taken out.  Guarded by the interpreter's lock.
 */
static struct {
    uintptr_t *at;
    size_t room; /* a power of two, or 0 */
    size_t used; /* those that were taken out included */
} born;

enum { FIRST_ROOM = 1024, TAKEN_OUT = 1 };

static size_t slot_of(uintptr_t block)
{
    return (size_t)hash_mix(block) & (born.room - 1);
}

static void put_born(uintptr_t block)
{
    size_t i = slot_of(block);

    while (born.at[i] != 0)
        i = (i + 1) & (born.room - 1);
    born.at[i] = block;
    born.used++;
}

/* False: no memory.  The block will then count as garbage, should it be freed. */
static bool grow_born(void)
{
    size_t old_room = born.room;
    uintptr_t *old = born.at;
    size_t room = old_room != 0 ? 2 * old_room : FIRST_ROOM;
    uintptr_t *at = pages_map(room * sizeof *at);

    if (at == NULL)
        return false;
    born.at = at;
    born.room = room;
    born.used = 0;
    for (size_t i = 0; i < old_room; i++)
        if (old[i] > TAKEN_OUT)
            put_born(old[i]);
    if (old != NULL)
        pages_unmap(old, old_room * sizeof *old);
    return true;
}

static void note_born(const void *block)
{
    if (block != NULL && (born.used * 2 < born.room || grow_born()))
        put_born((uintptr_t)block);
}

/* Whether it was born since the collection began; it is not any more. */
static bool forget_born(const void *block)
{
    if (born.used == 0)
        return false;
    for (size_t i = slot_of((uintptr_t)block); born.at[i] != 0;
         i = (i + 1) & (born.room - 1)) {
        if (born.at[i] == (uintptr_t)block) {
            born.at[i] = TAKEN_OUT;
            return true;
        }
    }
    return false;
}

static void forget_all_born(void)
{
    if (born.room > FIRST_ROOM) {
        pages_unmap(born.at, born.room * sizeof *born.at);
        born.at = NULL;
        born.room = 0;
    } else if (born.used != 0) {
        memset(born.at, 0, born.room * sizeof *born.at);
    }
    born.used = 0;
}

/* ------------------------------------------------------------------------- types
 */

enum { TYPE_FLAGS = 168, HAS_HEADER = 1 << 14, NAME_BYTES = 200 };
#define IS_TYPE_CLASS (1u << 31)

struct known_type {
    const struct type *type; /* NULL: free */
    const char *name;        /* where the type has it: another one, another name */
    uint32_t number;         /* in the ledger */
    bool is_type;
};

/* By address, each at one place: what falls out is looked at again. */
static struct known_type known[512];

static unsigned flags_of(const struct type *type)
{
    unsigned flags;
    memcpy(&flags, (const char *)type + TYPE_FLAGS, sizeof flags);
    return flags;
}

static bool peek_type(const void *address, struct type *out)
{
    return (uintptr_t)address % sizeof(void *) == 0 &&
           process_peek(address, out, sizeof *out);
}

/* A type whose own type is `type`, or a metaclass. */
static bool is_type(const struct type *seen)
{
    static const void *type_type;
    struct type meta;

    if (type_type == NULL)
        type_type = dlsym(RTLD_DEFAULT, "PyType_Type");
    if (seen->basic_size <= 0 || seen->item_size < 0 || seen->name == NULL)
        return false;
    return seen->head.type == type_type ||
           (peek_type(seen->head.type, &meta) && meta.head.type == type_type &&
            (flags_of(&meta) & IS_TYPE_CLASS) != 0);
}

/* Its name, up to a length; "" if it cannot be read. */
static void read_name(const char *at, char name[NAME_BYTES])
{
    size_t n = 0;

    while (n < NAME_BYTES - 1 && process_peek(at + n, &name[n], 1) && name[n] != 0)
        n++;
    name[n] = 0;
}

static void look_at_type(struct known_type *as, const struct type *type)
{
    struct type seen;
    char name[NAME_BYTES];

    *as = (struct known_type){.type = type};
    if (!peek_type(type, &seen) || !is_type(&seen))
        return;
    read_name(seen.name, name);
    as->name = seen.name;
    as->number = garbage_type(name);
    as->is_type = name[0] != 0;
}

static const struct known_type *know_type(const struct type *type)
{
    struct known_type *as =
        &known[hash_mix((uintptr_t)type) % (sizeof known / sizeof *known)];

    if (as->type != type || (as->is_type && as->name != type->name))
        look_at_type(as, type);
    return as->is_type ? as : NULL;
}

/* The type of a dying object that begins `before` bytes behind its block's. */
static const struct known_type *type_behind(const char *block, size_t before,
                                            size_t bytes)
{
    struct object object;

    if (bytes < before + sizeof object)
        return NULL;
    memcpy(&object, block + before, sizeof object);
    /* From 3.12 on, other things than the count are in the upper half. */
    if ((uint32_t)object.refcount != 0 || (uintptr_t)object.type < 4096 ||
        (uintptr_t)object.type >> 47 != 0)
        return NULL;
    const struct known_type *as = know_type(object.type);
    if (as == NULL || (flags_of(as->type) & HAS_HEADER) == 0 ||
        (size_t)as->type->basic_size > bytes - before)
        return NULL;
    return as;
}

static void note_type(const char *block, size_t bytes)
{
    enum { HEADER = 16, HEADER_AND_MANAGED = 32 };
    const struct known_type *as = type_behind(block, HEADER, bytes);

    if (as == NULL)
        as = type_behind(block, HEADER_AND_MANAGED, bytes);
    if (as != NULL)
        garbage_of_type(as->number, bytes);
}

void reaping_note_born(const void *block)
{
    note_born(block);
}

void reaping_note_moved(const void *from, const void *to)
{
    if (forget_born(from))
        note_born(to);
}

void reaping_note_freed(const void *block, uint32_t tag, size_t bytes)
{
    if (!forget_born(block) && tag_node(tag) != LEDGER_NO_NODE)
        garbage_freed(tag_node(tag), bytes);
}

void reaping_forked(void)
{
    memset(known, 0, sizeof known);
}

/* ------------------------------------------------------------------- the functions
 */

struct station {
    struct py_allocator before; /* whose place we take */
    bool standing;
    bool captured; /* somebody took us for good, and calls us on */
    enum py_domain domain;
};
static struct station stations[] = {{.domain = PY_MEM}, {.domain = PY_OBJ}};
enum { STATIONS = sizeof stations / sizeof *stations };

static void note_freed(const struct station *station, void *block)
{
    struct place place;

    if (book.nodes == NULL || forget_born(block) || !heap_find(block, &place) ||
        place.tag == NULL || tag_node(*place.tag) == LEDGER_NO_NODE)
        return;
    size_t bytes = block_bytes(&place);
    garbage_freed(tag_node(*place.tag), bytes);
    if (station->domain == PY_OBJ)
        note_type(block, bytes);
}

static void *reaping_malloc(struct station *station, size_t bytes)
{
    bool ours = reaping_now;

    reaping_now = false;
    void *block = station->before.malloc(station->before.context, bytes);
    reaping_now = ours;
    if (ours)
        note_born(block);
    return block;
}

static void *reaping_calloc(struct station *station, size_t count, size_t bytes)
{
    bool ours = reaping_now;

    reaping_now = false;
    void *block = station->before.calloc(station->before.context, count, bytes);
    reaping_now = ours;
    if (ours)
        note_born(block);
    return block;
}

/* What is resized is no garbage, and as old as it was. */
static void *reaping_realloc(struct station *station, void *block, size_t bytes)
{
    bool ours = reaping_now;

    reaping_now = false;
    void *moved = station->before.realloc(station->before.context, block, bytes);
    reaping_now = ours;
    if (ours && moved != NULL && (block == NULL || forget_born(block)))
        note_born(moved);
    return moved;
}

static void reaping_free(struct station *station, void *block)
{
    bool ours = reaping_now;

    if (ours && block != NULL)
        note_freed(station, block);
    reaping_now = false;
    station->before.free(station->before.context, block);
    reaping_now = ours;
}

/* They do not look at the context: where interpreters run at the same time, another
   thread may be about to call a function with the context of the one before it. */
#define FUNCTIONS(name, station)                                                   \
    static void *name##_malloc(void *context, size_t bytes)                        \
    {                                                                              \
        (void)context;                                                             \
        return reaping_malloc(station, bytes);                                     \
    }                                                                              \
    static void *name##_calloc(void *context, size_t count, size_t bytes)          \
    {                                                                              \
        (void)context;                                                             \
        return reaping_calloc(station, count, bytes);                              \
    }                                                                              \
    static void *name##_realloc(void *context, void *block, size_t bytes)          \
    {                                                                              \
        (void)context;                                                             \
        return reaping_realloc(station, block, bytes);                             \
    }                                                                              \
    static void name##_free(void *context, void *block)                            \
    {                                                                              \
        (void)context;                                                             \
        reaping_free(station, block);                                              \
    }
FUNCTIONS(mem, &stations[0])
FUNCTIONS(obj, &stations[1])

static const struct py_allocator functions[STATIONS] = {
    {NULL, mem_malloc, mem_calloc, mem_realloc, mem_free},
    {NULL, obj_malloc, obj_calloc, obj_realloc, obj_free}};

static void stand(struct station *station)
{
    struct py_allocator ours = functions[station - stations];

    if (station->captured)
        return;
    python.get_allocator(station->domain, &station->before);
    /* Somebody else's functions may need their context. */
    if (shares_on && station->before.context != NULL)
        return;
    python.set_allocator(station->domain, &ours);
    station->standing = true;
}

static void leave(struct station *station)
{
    struct py_allocator now;

    if (!station->standing)
        return;
    station->standing = false;
    python.get_allocator(station->domain, &now);
    if (now.malloc == functions[station - stations].malloc)
        python.set_allocator(station->domain, &station->before);
    else
        station->captured = true; /* tracemalloc began in a finalizer, say */
}

void reaping_begin(void)
{
    for (int i = 0; i < STATIONS; i++)
        stand(&stations[i]);
    reaping_now = true;
}

void reaping_end(void)
{
    reaping_now = false;
    for (int i = 0; i < STATIONS; i++)
        leave(&stations[i]);
    forget_all_born();
}
