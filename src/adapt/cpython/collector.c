/* SPDX-License-Identifier: MIT */
/*
 * collector.c - the interpreter's own collector, watched.
 *
 * CPython calls what is in a list, its gc.callbacks, when a collection begins and
 * when it has ended.  The collector and the module `gc` each hold a reference to
 * that list.  We give the collector another one, in which our function stands alone
 * and calls what is in the program's list, as the collector would: so the program's
 * list is what the program made it.  Ours and the function are not tracked, and no
 * program finds them.  When `gc` is imported it takes its list from the collector:
 * meanwhile the program's is back in its place.
 *
 * To tell of a collection CPython makes a dict.  Its blocks are charged to the line
 * that happens to run; they are taken over from there by the thread.
 */
#include "adapt/cpython/collector.h"

#include "adapt/cpython/proof.h"
#include "adapt/cpython/python.h"
#include "adapt/cpython/reaping.h"
#include "adapt/cpython/recycle_lists.h"
#include "base/process.h"
#include "heap/heap.h"
#include "trace/block.h"
#include "trace/garbage.h"
#include "trace/requests.h"
#include "trace/session.h"
#include "trace/threads.h"

#include <dlfcn.h>
#include <string.h>

/* PyListObject, PyModuleDef, its slots and the entries of PyImport_Inittab. */
struct list {
    struct object head;
    intptr_t size;
    struct object **items;
};

struct slot {
    int what;
    void *value;
};

struct module_def {
    struct object head;
    void *base[3];
    const char *name;
    void *others[3];
    struct slot *slots;
};

struct builtin {
    const char *name;
    struct object *(*init)(void);
};

/* The collector's own words, after its statistics. */
struct words {
    struct object *garbage;
    struct list *callbacks;
    intptr_t others[5];
};

/* All guarded by the lock of the main interpreter. */
static struct {
    struct words *words;
    struct list *theirs;       /* the program's; our function has the reference */
    char *generations;         /* the first one's */
    const intptr_t *survivors; /* of the last full collection, and since then */
    intptr_t promoted;         /* survivors[1] when the collection began */
    struct object *info, *phase;
    struct ledger_collection now, latest;
    unsigned generation;
    bool under_way;
    int (*exec)(struct object *module);
    struct object *(*init)(void);
} collector;

static struct {
    struct object *(*list_new)(intptr_t);
    int (*list_append)(struct object *, struct object *);
    struct object *(*function_new)(struct method *, struct object *,
                                   struct object *);
    void (*untrack)(void *);
    int (*dict_next)(struct object *, intptr_t *, struct object **,
                     struct object **);
    struct object *(*call)(struct object *, ...);
    void (*say_unraisable)(struct object *);
    void (*format_unraisable)(const char *, ...);
} api;

/* ------------------------------------------------------------------- a collection
 */

/* In the interpreter's own words. */
static void say_ignored(struct object *callback)
{
    if (python.layout->minor >= 14 && api.format_unraisable != NULL)
        api.format_unraisable("Exception ignored while calling GC callback %R",
                              callback);
    else
        api.say_unraisable(callback);
}

static void forward(struct object *const *arguments)
{
    struct list *theirs = collector.theirs;

    for (intptr_t i = 0; i < theirs->size; i++) {
        struct object *callback = theirs->items[i];
        python.keep(callback);
        struct object *result =
            api.call(callback, arguments[0], arguments[1], NULL);
        if (result == NULL)
            say_ignored(callback);
        python.release(result);
        python.release(callback);
    }
}

/* The block of an object that begins `before` bytes behind it, or one without an
   object: from the line that was charged for it to the thread. */
static void take_over(const void *block, uint32_t line)
{
    struct place place;

    if (!heap_find(block, &place) || place.tag == NULL ||
        tag_node(*place.tag) != line)
        return;
    book_move(place.tag, threads_node(), block_bytes(&place));
}

static void take_over_info(struct object *info, struct object *phase)
{
    enum { HEADER = 16 };
    struct object *key, *value;
    struct place place;
    intptr_t position = 0;

    const char *block = (const char *)info - HEADER;
    if (book.nodes == NULL || !heap_find(block, &place) || place.tag == NULL)
        return;
    uint32_t line = tag_node(*place.tag);
    if (line == LEDGER_NO_NODE)
        return;
    take_over(block, line);
    take_over(((void **)info)[DICT_KEYS], line);
    while (api.dict_next(info, &position, &key, &value)) {
        if (key->refcount == 1)
            take_over(key, line);
        if (value->refcount == 1)
            take_over(value, line);
    }
    if (phase->refcount == 1)
        take_over(phase, line);
}

/* In the order of their making; candidates from 3.15 on. */
enum { GENERATION, COLLECTED, UNCOLLECTABLE, CANDIDATES, INFO };

static bool read_info(struct object *info, long values[INFO])
{
    struct object *key, *value;
    intptr_t position = 0;
    int n = 0;

    values[CANDIDATES] = -1;
    while (n < INFO && api.dict_next(info, &position, &key, &value))
        values[n++] = python.int_value(value);
    return n > UNCOLLECTABLE && values[GENERATION] >= 0 &&
           values[GENERATION] < LEDGER_GENERATION_COUNT;
}

/*
 * How many objects the collection looked at, by the interpreter's own counts.  Of
 * the youngest generation as many as were made and not dropped since its last
 * collection, which is known at its beginning; of the others those that survived
 * and those that were found.
 */
static void count_young(void)
{
    int young;

    memcpy(&young, collector.generations, sizeof young);
    collector.now.visited = young > 0 ? (uint64_t)young : 0;
    collector.promoted = collector.survivors[1];
}

static void count_visited(void)
{
    intptr_t survivors = collector.survivors[0];

    if (collector.generation == 0)
        return;
    if (collector.generation == 1)
        survivors = collector.survivors[1] - collector.promoted;
    collector.now.visited =
        collector.now.found + (survivors > 0 ? (uint64_t)survivors : 0);
}

static void began(struct object *phase, struct object *info)
{
    long values[INFO];

    if (python.is_finalizing()) {
        session_finalize();
        return;
    }
    if (!read_info(info, values) || !garbage_begin())
        return;
    take_over_info(info, phase);
    collector.generation = (unsigned)values[GENERATION];
    /* Until the end, so that they are not taken for garbage. */
    python.keep(collector.info = info);
    python.keep(collector.phase = phase);
    collector.now = (struct ledger_collection){0};
    count_young();
    collector.under_way = true;
    reaping_begin();
    collector.now.time_ns = garbage_now_ns();
}

static void ended(struct object *phase, struct object *info)
{
    long values[INFO];

    if (!collector.under_way)
        return;
    uint64_t now_ns = garbage_now_ns();
    reaping_end();
    collector.under_way = false;
    python.release(collector.info);
    python.release(collector.phase);
    if (!read_info(info, values))
        return;
    take_over_info(info, phase);
    collector.now.pause_ns = now_ns - collector.now.time_ns;
    collector.now.found = (uint64_t)(values[COLLECTED] + values[UNCOLLECTABLE]);
    collector.now.uncollectable = (uint64_t)values[UNCOLLECTABLE];
    if (values[CANDIDATES] >= 0)
        collector.now.visited = (uint64_t)values[CANDIDATES];
    else
        count_visited();
    garbage_collected(collector.generation, &collector.now);
    collector.latest = collector.now;
    requests_look();
}

static struct object *on_collection(struct object *self,
                                    struct object *const *arguments, intptr_t count)
{
    enum { THIRD = 2 }; /* st-a-rt, st-o-p */

    (void)self;
    if (count == 2 && python.text_char(arguments[0], THIRD) == 'a') {
        forward(arguments);
        began(arguments[0], arguments[1]);
    } else if (count == 2) {
        ended(arguments[0], arguments[1]);
        forward(arguments);
    }
    python.keep(python.none);
    return python.none;
}

/* 3.9 has no functions for it, but a word before its generations. */
static bool enable(bool wanted)
{
    enum { COUNT_AFTER_ENABLED = 32 };

    if (python.gc_enable != NULL)
        return wanted ? python.gc_enable() != 0 : python.gc_disable() != 0;
    if (collector.generations == NULL)
        return wanted;
    int *enabled = (int *)(collector.generations - COUNT_AFTER_ENABLED);
    bool before = *enabled != 0;
    *enabled = wanted;
    return before;
}

void collector_collect(struct ledger_answer *answer)
{
    intptr_t (*collect)(void);

    *(void **)&collect = dlsym(RTLD_DEFAULT, "PyGC_Collect");
    if (collect == NULL)
        return;
    collector.latest = (struct ledger_collection){0};
    bool enabled = enable(true);
    intptr_t found = collect();
    if (!enabled)
        enable(false);
    answer->found = found > 0 ? (uint64_t)found : 0;
    answer->freed_bytes = collector.latest.freed_bytes;
    answer->freed_blocks = collector.latest.freed_blocks;
    answer->pause_ns = collector.latest.pause_ns;
}

/* -------------------------------------------------------------------- the module
 * gc
 */

static bool in_main_interpreter(void)
{
    void *state = python.current_state();

    return state != NULL && python.interp_of(state) == python.main_interp();
}

static int exec_gc(struct object *module)
{
    if (!in_main_interpreter())
        return collector.exec(module);
    struct list *ours = collector.words->callbacks;
    collector.words->callbacks = collector.theirs;
    int status = collector.exec(module);
    collector.words->callbacks = ours;
    return status;
}

static struct object *init_gc(void)
{
    if (!in_main_interpreter())
        return collector.init();
    struct list *ours = collector.words->callbacks;
    collector.words->callbacks = collector.theirs;
    struct object *module = collector.init();
    collector.words->callbacks = ours;
    return module;
}

/* 3.9: the module is made at once, by a function in a table. */
static bool stand_before_init(void)
{
    struct builtin **table = dlsym(RTLD_DEFAULT, "PyImport_Inittab");
    struct object *(*ours)(void) = init_gc;

    for (struct builtin *at = table != NULL ? *table : NULL;
         at != NULL && at->name != NULL; at++) {
        if (strcmp(at->name, "gc") != 0)
            continue;
        collector.init = at->init;
        return process_poke(&at->init, &ours, sizeof ours);
    }
    return false;
}

/* Later ones: in steps, one of which fills it. */
static bool stand_before_exec(void)
{
    enum { EXEC = 2, EXEC_315 = 85, ID = 0xffff };
    int exec = python.layout->minor < 15 ? EXEC : EXEC_315;
    const void *def_type = dlsym(RTLD_DEFAULT, "PyModuleDef_Type");
    struct object *(*init)(void);
    int (*ours)(struct object *) = exec_gc;

    *(void **)&init = dlsym(RTLD_DEFAULT, "PyInit_gc");
    struct module_def *def = init != NULL ? (struct module_def *)init() : NULL;
    if (def == NULL || def->head.type != def_type || strcmp(def->name, "gc") != 0)
        return false;
    for (struct slot *slot = def->slots; slot != NULL && slot->what != 0; slot++) {
        if ((slot->what & ID) != exec)
            continue;
        *(void **)&collector.exec = slot->value;
        return process_poke(&slot->value, &ours, sizeof ours);
    }
    return false;
}

/* ------------------------------------------------------------------------- set-up
 */

static bool find_api(void)
{
    *(void **)&api.list_new = dlsym(RTLD_DEFAULT, "PyList_New");
    *(void **)&api.list_append = dlsym(RTLD_DEFAULT, "PyList_Append");
    *(void **)&api.function_new = dlsym(RTLD_DEFAULT, "PyCFunction_NewEx");
    *(void **)&api.untrack = dlsym(RTLD_DEFAULT, "PyObject_GC_UnTrack");
    *(void **)&api.dict_next = dlsym(RTLD_DEFAULT, "PyDict_Next");
    *(void **)&api.call = dlsym(RTLD_DEFAULT, "PyObject_CallFunctionObjArgs");
    *(void **)&api.say_unraisable = dlsym(RTLD_DEFAULT, "PyErr_WriteUnraisable");
    *(void **)&api.format_unraisable =
        dlsym(RTLD_DEFAULT, "PyErr_FormatUnraisable");
    return api.list_new && api.list_append && api.function_new && api.untrack &&
           api.dict_next && api.call && api.say_unraisable && python.keep &&
           python.release && python.int_value && python.clear_error &&
           python.interp_of;
}

/* An empty list that lies in our heap. */
static bool is_empty_list(const struct object *object)
{
    enum { HEADER = 16 };

    return object != NULL && heap_owns((const char *)object - HEADER) &&
           object->type == dlsym(RTLD_DEFAULT, "PyList_Type") &&
           ((const struct list *)object)->size == 0;
}

/* Whether the collector's words are where they should be: after its statistics, two
   lists that are empty at first.  In 3.9 the second comes with the module. */
static bool find_words(void)
{
    enum { STATS = 72, AFTER_STATS = 8, AFTER_POINTER = 24 };
    const struct py_layout *l = python.layout;
    char *interp = proof_found_collector() ? python.main_interp() : NULL;

    if (interp == NULL)
        return false;
    size_t after = l->gc_stats_in_rings ? AFTER_POINTER : STATS + AFTER_STATS;
    struct words *words = (struct words *)(interp + l->interp_gc_stats + after);
    if (!is_empty_list(words->garbage))
        return false;
    if (words->callbacks == NULL && l->minor == 9)
        words->callbacks = (struct list *)api.list_new(0);
    if (words->callbacks == NULL || !heap_owns((char *)words->callbacks - 16) ||
        words->callbacks->head.type != words->garbage->type)
        return false;
    collector.words = words;
    collector.theirs = words->callbacks;
    collector.generations = interp + l->interp_gc_young;
    collector.survivors = &words->others[l->minor == 14 ? 3 : l->minor == 15];
    return true;
}

/* The program's list, and how it is reached: from now on by our function alone. */
static void stand_before_callbacks(void)
{
    enum { FAST_CALL = 0x0080 };
    static struct method method = {"heapglass", NULL, FAST_CALL, NULL};
    struct object *(*call)(struct object *, struct object *const *, intptr_t) =
        on_collection;

    memcpy(&method.call, &call, sizeof call);
    struct object *function =
        api.function_new(&method, &collector.theirs->head, NULL);
    struct object *list = api.list_new(0);
    if (function == NULL || list == NULL || api.list_append(list, function) != 0) {
        python.clear_error();
        python.release(function);
        python.release(list);
        return;
    }
    api.untrack(list);
    api.untrack(function);
    python.release(function); /* the list has it */
    collector.words->callbacks = (struct list *)list;
    python.release(collector.theirs); /* the function has it */
}

void collector_watch(void)
{
    if (!find_api() || !find_words())
        return;
    if (python.layout->minor == 9 ? stand_before_init() : stand_before_exec())
        stand_before_callbacks();
}
