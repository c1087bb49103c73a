/* SPDX-License-Identifier: MIT */
/*
 * recycle_find.c - find CPython's free lists in the main interpreter's state.
 *
 * A table tells, for each minor version, how the lists lie to each other; where
 * they lie in the state differs between builds.  Two floats are dropped, the state
 * is searched for the one word that names first the one and then the other: that is
 * the head of the list of floats, and the table gives the rest.  recycle_prove.c
 * then has to agree.
 */
#include "adapt/cpython/recycle_lists.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

struct interpreter ip;
struct free_list lists[LISTS];

/* How the lists lie in pycore_interp.h (3.11, 3.12) and pycore_freelist.h (3.13);
   arrays have 80 blocks.  Names and order are the same; what lies between is not.
 */

struct lists_311 {
    int float_count;
    void *float_head;
    void *slice;
    void *tuple_head[TUPLES];
    int tuple_count[TUPLES];
    void *list[80];
    int list_count;
    void *dict[80];
    int dict_count;
    void *keys[80];
    int keys_count;
    void *value[80];
    int value_count;
    void *asend[80];
    int asend_count;
    void *context_head;
    int context_count;
};

struct lists_312 {
    int float_count;
    void *float_head;
    int max_digits;
    void *powers, *bigints[8];
    double bigint_memory[288];
    double *bigint_next;
    uint32_t function_version;
    void *slice;
    void *tuple_head[TUPLES];
    int tuple_count[TUPLES];
    void *list[80];
    int list_count;
    uint64_t dict_version;
    uint32_t keys_version;
    void *dict[80];
    void *keys[80];
    int dict_count;
    int keys_count;
    void *watchers[8];
    void *value[80];
    int value_count;
    void *asend[80];
    int asend_count;
    void *context_head;
    int context_count;
};

struct lists_313 {
    int float_count;
    void *float_head;
    void *tuple_head[TUPLES];
    int tuple_count[TUPLES];
    void *list[80];
    int list_count;
    void *dict[80];
    int dict_count;
    void *keys[80];
    int keys_count;
    void *slice;
    void *context_head;
    int context_count;
    void *value[80];
    int value_count;
    void *asend[80];
    int asend_count;
};

/* From 3.14 on: one array.  The names are those of struct _Py_freelists. */
struct pair {
    void *head;
    intptr_t count;
};

struct lists_314 {
    struct pair floats, ints, tuples[TUPLES], lists, list_iters, tuple_iters, dicts,
        dictkeys, slices, ranges, range_iters, contexts, async_gens,
        async_gen_asends, futureiters, object_stack_chunks, unicode_writers,
        pycfunctionobject, pycmethodobject, pymethodobjects;
};

struct lists_315 {
    struct pair floats, complexes, ints, tuples[TUPLES], lists, list_iters,
        tuple_iters, dicts, dictkeys, slices, ranges, range_iters, contexts,
        async_gens, async_gen_asends, futureiters, object_stack_chunks,
        unicode_writers, bytes_writers, pycfunctionobject, pycmethodobject,
        pymethodobjects;
};

enum { NO_COUNT = UINT16_MAX };

struct place {
    uint16_t head, count;
};

static const struct lists_layout {
    int minor;
    int lists;
    size_t size_bytes;
    struct place places[LISTS]; /* of tuples only the first */
} layouts[] = {
#define AT(v, h, c)                                                                \
    {                                                                              \
        offsetof(struct lists_##v, h), offsetof(struct lists_##v, c)               \
    }
#define LAYOUT(v, m)                                                               \
    {                                                                              \
        .minor = (m), .lists = LISTS_313, .size_bytes = sizeof(struct lists_##v),  \
        .places = {                                                                \
            [LIST_FLOAT] = AT(v, float_head, float_count),                         \
            [LIST_TUPLE] = AT(v, tuple_head, tuple_count),                         \
            [LIST_LIST] = AT(v, list, list_count),                                 \
            [LIST_DICT] = AT(v, dict, dict_count),                                 \
            [LIST_KEYS] = AT(v, keys, keys_count),                                 \
            [LIST_CONTEXT] = AT(v, context_head, context_count),                   \
            [LIST_SLICE] = {offsetof(struct lists_##v, slice), NO_COUNT},          \
            [LIST_VALUE] = AT(v, value, value_count),                              \
            [LIST_ASEND] = AT(v, asend, asend_count),                              \
        }                                                                          \
    }
    LAYOUT(311, 11),
    LAYOUT(312, 12),
    LAYOUT(313, 13),
/* NOLINTNEXTLINE(bugprone-macro-parentheses): the name of a field */
#define PAIR(v, name) AT(v, name.head, name.count)
#define PAIRS(v)                                                                   \
    [LIST_FLOAT] = PAIR(v, floats), [LIST_TUPLE] = PAIR(v, tuples[0]),             \
    [LIST_LIST] = PAIR(v, lists), [LIST_DICT] = PAIR(v, dicts),                    \
    [LIST_KEYS] = PAIR(v, dictkeys), [LIST_CONTEXT] = PAIR(v, contexts),           \
    [LIST_SLICE] = PAIR(v, slices), [LIST_VALUE] = PAIR(v, async_gens),            \
    [LIST_ASEND] = PAIR(v, async_gen_asends), [LIST_INT] = PAIR(v, ints),          \
    [LIST_LIST_ITERATOR] = PAIR(v, list_iters),                                    \
    [LIST_TUPLE_ITERATOR] = PAIR(v, tuple_iters), [LIST_RANGE] = PAIR(v, ranges),  \
    [LIST_RANGE_ITERATOR] = PAIR(v, range_iters),                                  \
    [LIST_FUTURE_ITERATOR] = PAIR(v, futureiters),                                 \
    [LIST_CHUNK] = PAIR(v, object_stack_chunks),                                   \
    [LIST_WRITER] = PAIR(v, unicode_writers),                                      \
    [LIST_FUNCTION] = PAIR(v, pycfunctionobject),                                  \
    [LIST_CLASS_METHOD] = PAIR(v, pycmethodobject),                                \
    [LIST_METHOD] = PAIR(v, pymethodobjects)
    {.minor = 14,
     .lists = LISTS_314,
     .size_bytes = sizeof(struct lists_314),
     .places = {PAIRS(314)}},
    {.minor = 15,
     .lists = LISTS,
     .size_bytes = sizeof(struct lists_315),
     .places = {PAIRS(315), [LIST_COMPLEX] = PAIR(315, complexes),
                [LIST_BYTES_WRITER] = PAIR(315, bytes_writers)}},
};

/* ---- The interpreter's own names ---- */

static bool find_names(void)
{
    static const struct {
        const char *name, *otherwise;
        void *to;
        bool optional;
    } names[] = {
        {"PyFloat_FromDouble", NULL, &ip.float_new, false},
        {"PyTuple_New", NULL, &ip.tuple_new, false},
        {"PyList_New", NULL, &ip.list_new, false},
        {"PyDict_New", NULL, &ip.dict_new, false},
        {"PyDict_SetItem", NULL, &ip.dict_set, false},
        {"PyDict_Clear", NULL, &ip.dict_clear, false},
        {"PyContext_New", NULL, &ip.context_new, false},
        {"PySlice_New", NULL, &ip.slice_new, false},
        {"PyUnicode_FromString", NULL, &ip.text_new, false},
        {"PyLong_FromLong", NULL, &ip.int_new, false},
        {"PyObject_GetIter", NULL, &ip.iterator_of, false},
        {"PyObject_CallFunctionObjArgs", NULL, &ip.call, false},
        {"PyMethod_New", NULL, &ip.method_new, false},
        {"PyCMethod_New", NULL, &ip.function_new, false},
        {"PyUnicodeWriter_Create", NULL, &ip.writer_new, true}, /* 3.14 */
        {"PyUnicodeWriter_Discard", NULL, &ip.writer_drop, true},
        {"PyComplex_FromDoubles", NULL, &ip.complex_new, false},
        {"PyBytesWriter_Create", NULL, &ip.bytes_writer_new, true}, /* 3.15 */
        {"PyBytesWriter_Discard", NULL, &ip.bytes_writer_drop, true},
        {"PySys_GetObject", NULL, &ip.sys_get, false},
        {"Py_DecRef", NULL, &ip.drop, false},
        {"PyObject_Malloc", NULL, &ip.object_malloc, false},
        {"PyObject_Free", NULL, &ip.object_free, false},
        {"PyMem_Free", NULL, &ip.mem_free, false},
        {"PyObject_GC_Del", NULL, &ip.gc_del, false},
        {"PyObject_GC_UnTrack", NULL, &ip.gc_untrack, false},
        {"PyGC_Disable", NULL, &ip.gc_disable, false},
        {"PyGC_Enable", NULL, &ip.gc_enable, false},
        {"PyErr_Occurred", NULL, &ip.error_occurred, false},
        {"PyErr_Clear", NULL, &ip.error_clear, false},
        {"PyInterpreterState_Main", NULL, &ip.interpreter_main, false},
        {"PyThreadState_GetInterpreter", NULL, &ip.interpreter_of, false},
        {"PyThreadState_GetUnchecked", "_PyThreadState_UncheckedGet", &ip.state_get,
         false},
        {"Py_IsFinalizing", "_Py_IsFinalizing", &ip.is_finalizing, false},
        {"_Py_NoneStruct", NULL, &ip.none, false},
        {"PyBaseObject_Type", NULL, &ip.base_type, false},
        {"PyType_Type", NULL, &ip.type_type, false},
        {"PyTuple_Type", NULL, &ip.tuple_type, false},
        {"PyList_Type", NULL, &ip.list_type, false},
        {"PyDict_Type", NULL, &ip.dict_type, false},
        {"PyContext_Type", NULL, &ip.context_type, false},
        {"PySlice_Type", NULL, &ip.slice_type, false},
        {"PyRange_Type", NULL, &ip.range_type, false},
        {"PyModule_Type", NULL, &ip.module_type, false},
        {"_PyAsyncGenASend_Type", NULL, &ip.asend_type, true},
        {"_PyAsyncGenWrappedValue_Type", NULL, &ip.value_type, true},
        {"_PyTrash_begin", NULL, &ip.trash_begin, true},
        {"_PyTrash_end", NULL, &ip.trash_end, true},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *at = dlsym(RTLD_DEFAULT, names[i].name);
        if (at == NULL && names[i].otherwise != NULL)
            at = dlsym(RTLD_DEFAULT, names[i].otherwise);
        if (at == NULL && !names[i].optional)
            return false;
        memcpy(names[i].to, &at, sizeof at);
    }
    return true;
}

/* The size in bytes that an exported object has by its symbol, or 0. */
static size_t symbol_size(const void *object)
{
    Dl_info info;
    void *symbol = NULL;
    if (dladdr1(object, &info, &symbol, RTLD_DL_SYMENT) == 0 || symbol == NULL ||
        info.dli_saddr != object)
        return 0;
    return ((const ElfW(Sym) *)symbol)->st_size;
}

/*
 * The helpers' types are not exported everywhere, but every type is a subclass of
 * object.  type.__subclasses__ is called by its place in the table of methods: a
 * look-up by name would leave the name in a cache.
 */
void lists_find_types(void)
{
    if (ip.asend_type != NULL && ip.value_type != NULL)
        return;
    const struct method *method = ip.type_type->methods;
    while (method->name != NULL && strcmp(method->name, "__subclasses__") != 0)
        method++;
    if (method->name == NULL)
        return;
    struct object *all = method->call((struct object *)ip.base_type, NULL);
    if (all == NULL) {
        ip.error_clear();
        return;
    }
    if (all->type == ip.list_type) {
        intptr_t count = ((intptr_t *)all)[2];
        struct type **types = ((struct type ***)all)[3];
        for (intptr_t i = 0; i < count; i++) {
            if (strcmp(types[i]->name, "async_generator_asend") == 0)
                ip.asend_type = types[i];
            if (strcmp(types[i]->name, "async_generator_wrapped_value") == 0)
                ip.value_type = types[i];
        }
    }
    ip.drop(all);
}

/* From 3.13 on the runtime begins with a table of offsets (_Py_DebugOffsets) for
   tools like us; these are the places in it of two that we want. */
static int *find_collecting(const char *runtime)
{
    enum { OFFSET_INTERPRETER_GC = 80, OFFSET_GC_COLLECTING = 576 };
    uint64_t version, gc, collecting;
    if (ip.minor != 13 || memcmp(runtime, "xdebugpy", 8) != 0)
        return NULL;
    memcpy(&version, runtime + 8, 8);
    memcpy(&gc, runtime + OFFSET_INTERPRETER_GC, 8);
    memcpy(&collecting, runtime + OFFSET_GC_COLLECTING, 8);
    if (version >> 16 != 0x030d || gc > 1 << 20 || collecting > 4096)
        return NULL;
    int *flag = (int *)((char *)ip.main + gc + collecting);
    return *flag == 0 ? flag : NULL;
}

/* ---- The search ---- */

/*
 * The head of the list of floats between two addresses, or NULL.  `count` is where
 * its count is from there, `link` the word of a float that names the next.
 */
static void **find_floats(char *low, const char *high, int count, int link)
{
    enum { CANDIDATES = 64 };
    void **found[CANDIDATES];
    int found_count = 0;
    struct object *one = ip.float_new(3.25), *two = ip.float_new(3.5);
    void **head = NULL;

    if (one == NULL || two == NULL) {
        ip.error_clear();
        if (one != NULL)
            ip.drop(one);
        return NULL;
    }
    ip.drop(one);
    for (char *at = low + 8; at + 16 <= high && found_count < CANDIDATES; at += 8) {
        int in_list = *(int *)(at + count);
        if (*(void **)at == one && in_list > 0 && in_list <= 100)
            found[found_count++] = (void **)at;
    }
    ip.drop(two);
    for (int i = 0; i < found_count; i++) {
        if (*found[i] != two || ((void **)two)[link] != one)
            continue;
        if (head != NULL)
            return NULL;
        head = found[i];
    }
    return head;
}

/* ---- All of it ---- */

/* NOLINTNEXTLINE(readability-non-const-parameter): the lists are written to */
static void place_lists(char *base, const struct lists_layout *layout)
{
    static const struct {
        const char *name;
        uint8_t shape, link; /* up to 3.13 */
    } kinds[LISTS] = {
        [LIST_FLOAT] = {"floats", SHAPE_CHAIN, 1}, /* ob_type */
        [LIST_TUPLE] = {"tuples", SHAPE_CHAIN, 3}, /* ob_item[0] */
        [LIST_LIST] = {"lists", SHAPE_ARRAY, 0},
        [LIST_DICT] = {"dicts", SHAPE_ARRAY, 0},
        [LIST_KEYS] = {"keys", SHAPE_ARRAY, 0},
        [LIST_CONTEXT] = {"contexts", SHAPE_CHAIN, 4}, /* ctx_weakreflist */
        [LIST_SLICE] = {"slices", SHAPE_CACHE, 0},
        [LIST_VALUE] = {"asynchronous values", SHAPE_ARRAY, 0},
        [LIST_ASEND] = {"asynchronous sends", SHAPE_ARRAY, 0},
        [LIST_INT] = {"ints", SHAPE_CHAIN, 0},
        [LIST_LIST_ITERATOR] = {"list iterators", SHAPE_CHAIN, 0},
        [LIST_TUPLE_ITERATOR] = {"tuple iterators", SHAPE_CHAIN, 0},
        [LIST_RANGE] = {"ranges", SHAPE_CHAIN, 0},
        [LIST_RANGE_ITERATOR] = {"range iterators", SHAPE_CHAIN, 0},
        [LIST_FUTURE_ITERATOR] = {"future iterators", SHAPE_CHAIN, 0},
        [LIST_CHUNK] = {"collector's chunks", SHAPE_CHAIN, 0},
        [LIST_WRITER] = {"writers", SHAPE_CHAIN, 0},
        [LIST_FUNCTION] = {"built-in functions", SHAPE_CHAIN, 0},
        [LIST_CLASS_METHOD] = {"built-in methods", SHAPE_CHAIN, 0},
        [LIST_METHOD] = {"methods", SHAPE_CHAIN, 0},
        [LIST_COMPLEX] = {"complex numbers", SHAPE_CHAIN, 0},
        [LIST_BYTES_WRITER] = {"writers of bytes", SHAPE_CHAIN, 0},
    };
    bool pairs = layout->minor >= 14;

    for (int i = 0; i < ip.lists; i++) {
        int kind = i > LIST_TUPLE && i < LIST_LIST ? LIST_TUPLE : i;
        struct place at = layout->places[kind];
        if (kind == LIST_TUPLE) {
            at.head +=
                (i - LIST_TUPLE) * (pairs ? sizeof(struct pair) : sizeof(void *));
            at.count +=
                (i - LIST_TUPLE) * (pairs ? sizeof(struct pair) : sizeof(int));
        }
        lists[i] = (struct free_list){
            .name = kinds[kind].name,
            .head = (void **)(base + at.head),
            .count = at.count != NO_COUNT ? base + at.count : NULL,
            .wide = pairs,
            .shape = pairs ? SHAPE_CHAIN : kinds[kind].shape,
            .link = pairs ? 0 : kinds[kind].link,
        };
    }
}

/* Which interpreter this is, and its names.  NULL, or why not. */
static const char *find_interpreter(void)
{
    const char *(*get_version)(void);
    void *at = dlsym(RTLD_DEFAULT, "Py_GetVersion");
    memset(&ip, 0, sizeof ip);
    memset(lists, 0, sizeof lists);
    if (at == NULL)
        return "not CPython";
    memcpy(&get_version, &at, sizeof at);
    const char *version = get_version();
    if (strncmp(version, "3.", 2) != 0)
        return "neither 3.8 nor later";
    if (strstr(version, "free-threading") != NULL)
        return "a build without the GIL";
    ip.minor = atoi(version + 2);
    ip.own_locks = ip.minor >= 12;
    if (!find_names())
        return "functions are missing";
    ip.usable = ip.minor >= 8 && ip.minor <= 15;
    ip.type_bytes = symbol_size(ip.list_type);
    ip.main = ip.interpreter_main();
    if (!in_main())
        return "not the main interpreter";
    return ip.error_occurred() != NULL ? "an exception is set" : NULL;
}

static const char *find_lists(const struct lists_layout *layout)
{
    char *runtime = dlsym(RTLD_DEFAULT, "_PyRuntime");
    char *high = runtime != NULL ? runtime + symbol_size(runtime) : NULL;
    char *low = ip.main;
    struct place first = layout->places[LIST_FLOAT];

    if (low < runtime || low >= high)
        return "the interpreter's state is not in the runtime's";
    ip.collecting = find_collecting(runtime);
    char *floats = (char *)find_floats(low, high, first.count - first.head,
                                       layout->minor >= 14 ? 0 : 1);
    if (floats == NULL || floats - low < first.head ||
        (size_t)(high - floats) < layout->size_bytes - first.head)
        return "not found";
    ip.lists = layout->lists;
    place_lists(floats - first.head, layout);
    lists_prove();
    return NULL;
}

const char *lists_find(void)
{
    const char *why = find_interpreter();
    if (why != NULL)
        return why;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        if (layouts[i].minor != ip.minor)
            continue;
        int collects = ip.gc_disable();
        why = find_lists(&layouts[i]);
        if (collects)
            ip.gc_enable();
        return why;
    }
    return "where this version keeps them is not known";
}
