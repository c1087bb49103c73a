/* SPDX-License-Identifier: MIT */
/*
 * recycle.c - CPython's free lists switched off, so that the allocator hears of
 * every birth and death.
 *
 * What "off" is differs, for we only use states that the interpreter's own code
 * lives with (recycle_find.c and recycle_prove.c tell where the lists are):
 *
 *   a count     From 3.13 on a list neither pushes nor pops at -1, which CPython
 * itself sets when it finalizes; in 3.14 that goes for all lists.  3.11 and 3.12 do
 * not look at the count when they pop a float or a tuple, and push none at INT_MAX.
 *   a disguise  lists and dicts on 3.11 and 3.12: only exact ones are recycled, so
 * a dying one is given the type `disguise`, a copy of its own, and then to
 *               CPython's own tp_dealloc.  That finds its tp_dealloc in the copy
 * and so goes through the trashcan as ever, and frees what it does not know. taken
 * back  slices and the helpers of asynchronous generators up to 3.13, contexts and
 * keys of dicts (recycle_keys.c) up to 3.12: after CPython's tp_dealloc, what it
 * has pushed is freed.
 *
 * A full collection frees what is in the lists, and at that sets the counts of
 * floats and tuples back to 0, up to 3.13.  On 3.11 and 3.12 two bells tell us.
 * Tuples of 20 are pushed but never popped, so nothing but that can touch what lies
 * in their list: we put a bell there, a block of our own, and when it is freed
 * (recycle_freed) the counts of all tuples are 0 and those of floats are next.  We
 * put another bell with the lists, which come after the floats; when that one is
 * freed, everything is set off again before the interpreter could make or drop one
 * object.  3.13 pops whatever is in a list; there, recycle_resume() does it, at the
 * first allocation after the collection.
 *
 * Dying objects alone wear a disguise, so no program sees it: they are untracked
 * and nobody has a reference.
 */
#include "adapt/cpython/recycle.h"

#include "adapt/cpython/recycle_lists.h"
#include "base/base.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

void (*recycle_collection_began)(void);

typedef void (*destructor)(struct object *);

/* All guarded by the GIL of the main interpreter, but for what the wrappers read in
   other interpreters: set before any of them can run, and while it is still
   wrapped. */
static struct {
    bool off;
    bool bells; /* they are laid out, and need no recycle_resume() */
    int off_count;
    struct free_list
        *first_counted; /* a collection has been here if it is not off */
    struct recycle_result result;
} recycle;

/* ---- tp_dealloc, wrapped ---- */

static destructor dealloc_list, dealloc_dict, dealloc_context, dealloc_slice,
    dealloc_value, dealloc_asend;

/* Copies of PyList_Type and PyDict_Type with their own tp_dealloc; 416 bytes
 * in 3.12. */
union disguise {
    struct type type;
    char bytes[512];
};
static union disguise disguise_list, disguise_dict;

static struct type *list_type, *dict_type;

/*
 * An object whose static type got our wrapper as its own tp_dealloc, by
 * inheritance, after we had put it into PyList_Type or PyDict_Type.  CPython's
 * function does without the trashcan for it, because it is not the one in its slot:
 * that is left to us.
 */
static HG_COLD void dealloc_heir(struct object *object, destructor dealloc)
{
    if (ip.trash_begin == NULL || ip.trash_end == NULL) {
        dealloc(object);
        return;
    }
    void *state = ip.state_get();
    ip.gc_untrack(object);
    if (ip.trash_begin(state, object))
        return;
    dealloc(object);
    ip.trash_end(state);
}

static void wrap_list(struct object *object)
{
    if (HG_LIKELY(object->type == list_type))
        object->type = &disguise_list.type;
    else if (object->type->dealloc == wrap_list) {
        dealloc_heir(object, dealloc_list);
        return;
    }
    dealloc_list(object);
}

HG_ALWAYS_INLINE void die_as_dict(struct object *object, destructor ours)
{
    if (HG_LIKELY(object->type == dict_type)) {
        object->type = &disguise_dict.type;
        dealloc_dict(object);
    } else if (object->type->dealloc == ours) {
        dealloc_heir(object, dealloc_dict);
    } else {
        dealloc_dict(object);
    }
    if (*keys_count > 0)
        keys_take_back();
}

static void wrap_dict(struct object *object)
{
    die_as_dict(object, wrap_dict);
}

/*
 * 3.12 has watchers of dicts.  They are told when one dies, may look at it and may
 * keep it: such a dict wears no disguise, but is taken back.  The low byte of
 * ma_version_tag says whether there are any.
 */
static void wrap_dict_312(struct object *object)
{
    enum { VERSION_TAG = 3 };
    if (HG_LIKELY((((uintptr_t *)object)[VERSION_TAG] & 0xff) == 0)) {
        die_as_dict(object, wrap_dict_312);
        return;
    }
    dealloc_dict(object);
    if (!in_main())
        return;
    list_take_back(&lists[LIST_DICT]);
    if (*keys_count > 0)
        keys_take_back();
}

/* In another interpreter with a lock of its own, what is seen here may be a slice
   that the main one is just about to take back. */
static void wrap_slice(struct object *object)
{
    dealloc_slice(object);
    struct free_list *list = &lists[LIST_SLICE];
    if (list->how != OFF_TAKE_BACK || *list->head == NULL ||
        (ip.own_locks && !in_main()))
        return;
    void *block = *list->head;
    *list->head = NULL;
    ip.gc_del(block);
}

static void say_state(void);

/*
 * Objects that cannot be made without a trace, so that the list was not proved: the
 * first one that dies proves it, for it is found on top.  If it is not, it may have
 * been brought back to life, but we do not know and leave the list alone.
 */
static void dealloc_helper(struct object *object, struct free_list *list,
                           destructor dealloc)
{
    dealloc(object);
    if (list->how != OFF_TAKE_BACK || (list->proved && list_count(list) == 0) ||
        !in_main())
        return;
    if (list_count(list) > 0 && list_top(list) == object) {
        list->proved = true;
        list_take_back(list);
    } else if (!list->proved) {
        list->how = OFF_NOT;
        say_state();
    }
}

static void wrap_context(struct object *object)
{
    dealloc_helper(object, &lists[LIST_CONTEXT], dealloc_context);
}

static void wrap_value(struct object *object)
{
    dealloc_helper(object, &lists[LIST_VALUE], dealloc_value);
}

static void wrap_asend(struct object *object)
{
    dealloc_helper(object, &lists[LIST_ASEND], dealloc_asend);
}

/* If somebody has wrapped us in turn, we are still in the way and stay there. */
static void wrap(struct type *type, destructor *old, destructor ours)
{
    if (type->dealloc == ours || (*old != NULL && type->dealloc != *old))
        return;
    *old = type->dealloc;
    type->dealloc = ours;
}

static void unwrap(struct type *type, destructor old, destructor ours)
{
    if (type != NULL && type->dealloc == ours)
        type->dealloc = old;
}

/* ---- Bells ---- */

/* A dead tuple of 20 and a dead list, as they lie in their free lists. */
static struct {
    struct gc_head head;
    struct object object;
    intptr_t size;
    void *items[TUPLES];
} bell_tuple __attribute__((aligned(16)));

static struct {
    struct gc_head head;
    struct object object;
    intptr_t size;
    void *items;
    intptr_t room;
} bell_list __attribute__((aligned(16)));

static void set_off(struct free_list *list)
{
    *list->head = list->never_popped && recycle.bells ? &bell_tuple.object : NULL;
    list_set_count(list, recycle.off_count);
}

/* Set the counts again that a collection has set to 0; free what was pushed since.
 */
static void counts_restore(void)
{
    for (int i = 0; i < ip.lists; i++) {
        struct free_list *list = &lists[i];
        if (list->how != OFF_COUNT || list_count(list) == recycle.off_count)
            continue;
        list_take_back(list);
        set_off(list);
    }
}

bool recycle_freed(const void *block)
{
    if (block == &bell_tuple) {
        struct free_list *next = &lists[LIST_LIST];
        if (!recycle.off)
            return true;
        if (ip.is_finalizing()) {
            recycle_on();
        } else if (list_count(next) == 0) {
            next->head[0] = &bell_list.object;
            list_set_count(
                next, 1); /* the collector takes it before anybody else looks */
        }
        return true;
    }
    if (block == &bell_list) {
        if (recycle.off)
            counts_restore();
        return true;
    }
    return false;
}

/* ---- The beginning of a collection ---- */

static int (*traverse_module)(struct object *, int (*)(struct object *, void *),
                              void *);

/* Modules are few, live long, and are looked at by each full collection at its
 * start. */
static int wrap_traverse(struct object *module,
                         int (*visit)(struct object *, void *), void *arg)
{
    void (*began)(void) = recycle_collection_began;
    if (began != NULL)
        began();
    return traverse_module(module, visit, arg);
}

/* ---- On and off ---- */

/* Make two, drop two: nothing may have stayed in the list. */
static bool stays_off(const struct free_list *list)
{
    struct object *first = list_make(list);
    struct object *second = list_make(list);
    bool made = first != NULL && second != NULL;
    if (first != NULL)
        list_drop(list, first);
    if (second != NULL)
        list_drop(list, second);
    if (list->shape == SHAPE_CACHE)
        return made && *list->head == NULL;
    if (list->how == OFF_COUNT)
        return made && list_count(list) == recycle.off_count && *list->head == NULL;
    return made && list_count(list) == 0;
}

static void off_by_count(struct free_list *list)
{
    if (list->proved)
        list_empty(list);
    else if (list_count(list) != 0)
        return;
    set_off(list);
    list->how = OFF_COUNT;
    if (!list->proved || stays_off(list))
        return;
    list_set_count(list, 0);
    list->how = OFF_NOT;
}

static void off_by_disguise(struct free_list *list, struct type *type,
                            union disguise *copy, destructor *old, destructor ours)
{
    if (ip.type_bytes < 400 || ip.type_bytes > sizeof *copy)
        return;
    if (*old == NULL)
        memcpy(copy, type, ip.type_bytes);
    wrap(type, old, ours);
    list_empty(list);
    list->how = OFF_DISGUISE;
    if (stays_off(list))
        return;
    unwrap(type, *old, ours);
    list->how = OFF_NOT;
}

static void off_by_taking_back(struct free_list *list, struct type *type,
                               destructor *old, destructor ours)
{
    if (type == NULL)
        return;
    wrap(type, old, ours);
    list->how = OFF_TAKE_BACK;
    if (!list->proved)
        return;
    list_empty(list);
    if (stays_off(list))
        return;
    unwrap(type, *old, ours);
    list->how = OFF_NOT;
}

static void off_as_it_must(int i)
{
    struct free_list *list = &lists[i];

    if (ip.minor >= 14)
        /* NOLINTNEXTLINE(bugprone-branch-clone): the order of the cases matters */
        off_by_count(list);
    else if (i == LIST_SLICE)
        off_by_taking_back(list, ip.slice_type, &dealloc_slice, wrap_slice);
    else if (i == LIST_VALUE)
        off_by_taking_back(list, ip.value_type, &dealloc_value, wrap_value);
    else if (i == LIST_ASEND)
        off_by_taking_back(list, ip.asend_type, &dealloc_asend, wrap_asend);
    else if (i < LIST_LIST || ip.minor >= 13)
        off_by_count(list);
    else if (i == LIST_LIST)
        off_by_disguise(list, ip.list_type, &disguise_list, &dealloc_list,
                        wrap_list);
    else if (i == LIST_DICT)
        off_by_disguise(list, ip.dict_type, &disguise_dict, &dealloc_dict,
                        ip.minor >= 12 ? wrap_dict_312 : wrap_dict);
    else if (i == LIST_KEYS)
        keys_off();
    else
        off_by_taking_back(list, ip.context_type, &dealloc_context, wrap_context);
}

static void hang_bells(void)
{
    struct free_list *longest = &lists[LIST_LIST - 1];

    recycle.bells = longest->never_popped && longest->how == OFF_COUNT &&
                    lists[LIST_LIST].how == OFF_DISGUISE;
    if (!recycle.bells)
        return;
    bell_tuple.object.type = ip.tuple_type;
    bell_tuple.size = TUPLES;
    bell_list.object.type = ip.list_type;
    set_off(longest);
}

static void say_state(void)
{
    struct recycle_result *result = &recycle.result;
    int off = 0;
    for (int i = 0; i < ip.lists; i++)
        off += lists[i].how != OFF_NOT;
    int n = snprintf(result->how, sizeof result->how, "free lists off (%d of %d",
                     off, ip.lists);
    const char *before = "; on: ";
    for (int i = 0; i < ip.lists; i++) {
        size_t room = sizeof result->how - (size_t)n;
        if (lists[i].how == OFF_NOT && strlen(lists[i].name) + 8 < room &&
            (i == 0 || lists[i].name != lists[i - 1].name)) {
            n += snprintf(result->how + n, room, "%s%s", before, lists[i].name);
            before = ", ";
        }
    }
    snprintf(result->how + n, sizeof result->how - (size_t)n, ")");
    result->watched = off == ip.lists;
}

static void switch_off(void)
{
    int collects = ip.gc_disable();
    recycle.off_count = ip.minor <= 12 ? INT_MAX : -1;
    recycle.bells = false;
    recycle.first_counted = NULL;
    list_type = ip.list_type;
    dict_type = ip.dict_type;
    for (int i = 0; i < ip.lists; i++) {
        if (lists[i].head != NULL)
            off_as_it_must(i);
        if (recycle.first_counted == NULL && lists[i].how == OFF_COUNT)
            recycle.first_counted = &lists[i];
    }
    hang_bells();
    if (collects)
        ip.gc_enable();
    recycle.off = true;
    say_state();
}

void recycle_off(struct recycle_result *out)
{
    if (!recycle.off) {
        const char *why = lists_find();
        if (why == NULL) {
            switch_off();
        } else {
            recycle.result.watched = false;
            snprintf(recycle.result.how, sizeof recycle.result.how,
                     "free lists on: %s", why);
        }
        struct type *module = ip.usable ? ip.module_type : NULL;
        if (module != NULL &&
            (traverse_module == NULL || module->traverse == traverse_module)) {
            traverse_module = module->traverse;
            module->traverse = wrap_traverse;
        }
    }
    *out = recycle.result;
}

bool recycle_resume(void)
{
    if (!recycle.off || (ip.own_locks && !in_main()))
        return true;
    if (ip.collecting != NULL && *ip.collecting)
        return false;
    struct free_list *first = recycle.first_counted;
    if (first != NULL && list_count(first) != recycle.off_count)
        counts_restore();
    if (*keys_count > 0)
        keys_take_back();
    return true;
}

void recycle_on(void)
{
    if (ip.usable && ip.module_type->traverse == wrap_traverse)
        ip.module_type->traverse = traverse_module;
    if (!recycle.off)
        return;
    recycle.off = false;
    unwrap(ip.list_type, dealloc_list, wrap_list);
    unwrap(ip.dict_type, dealloc_dict, ip.minor >= 12 ? wrap_dict_312 : wrap_dict);
    unwrap(ip.context_type, dealloc_context, wrap_context);
    unwrap(ip.slice_type, dealloc_slice, wrap_slice);
    unwrap(ip.value_type, dealloc_value, wrap_value);
    unwrap(ip.asend_type, dealloc_asend, wrap_asend);
    keys_on();
    for (int i = 0; i < ip.lists; i++) {
        struct free_list *list = &lists[i];
        if (list->how == OFF_COUNT && list_count(list) == recycle.off_count) {
            *list->head = NULL;
            list_set_count(list, 0);
        }
        list->how = OFF_NOT;
    }
    say_state();
}

void recycle_state(struct recycle_result *out)
{
    *out = recycle.result;
}
