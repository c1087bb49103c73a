/* SPDX-License-Identifier: MIT */
/*
 * recycle_find.c - find CPython's free lists in the main interpreter's state and
 * prove each of them by using it.
 *
 * A table tells, for each minor version, how the lists lie to each other; where
 * they lie in the state differs between builds.  Two floats are dropped, the state
 * is searched for the one word that names first the one and then the other: that is
 * the head of the list of floats, and the table gives the rest.
 *
 * Then each list is proved.  Four objects are made, and dropped and made again in a
 * fixed order (steps[]), while a stack of our own says what the list must look
 * like: its count goes up by one at each death and down at each birth, its head is
 * the block that died last, that block names the one before, and who is born gets
 * that block. Whatever does not follow every step is not the list that we think it
 * is, and nothing is ever written to it.
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

struct place {
    uint16_t head, count;
};

static const struct lists_layout {
    int minor;
    uint16_t size_bytes;
    struct place floats, tuple, list, dict, keys, context, value, asend;
    uint16_t slice;
} layouts[] = {
#define PLACE(v, h, c)                                                             \
    {                                                                              \
        offsetof(struct lists_##v, h), offsetof(struct lists_##v, c)               \
    }
#define LAYOUT(v, m)                                                               \
    {                                                                              \
        .minor = m, .size_bytes = sizeof(struct lists_##v),                        \
        .floats = PLACE(v, float_head, float_count),                               \
        .tuple = PLACE(v, tuple_head, tuple_count),                                \
        .list = PLACE(v, list, list_count), .dict = PLACE(v, dict, dict_count),    \
        .keys = PLACE(v, keys, keys_count),                                        \
        .context = PLACE(v, context_head, context_count),                          \
        .value = PLACE(v, value, value_count),                                     \
        .asend = PLACE(v, asend, asend_count),                                     \
        .slice = offsetof(struct lists_##v, slice)                                 \
    }
    LAYOUT(311, 11),
    LAYOUT(312, 12),
    LAYOUT(313, 13),
};

/* Words of an object that name the next block of a chain: ob_type, ob_item[0] and
   ctx_weakreflist. */
enum { LINK_FLOAT = 1, LINK_TUPLE = 3, LINK_CONTEXT = 4 };

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
static void find_helper_types(void)
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

/* The head of the list of floats between two addresses, or NULL. */
static void **find_floats(char *low, char *high)
{
    enum { CANDIDATES = 64 };
    void **found[CANDIDATES];
    int found_count = 0;
    struct object *first = ip.float_new(3.25), *second = ip.float_new(3.5);
    void **head = NULL;

    if (first == NULL || second == NULL) {
        ip.error_clear();
    } else {
        struct object *one = first, *two = second;
        first = second = NULL;
        ip.drop(one);
        for (char *at = low + 8; at + 8 <= high && found_count < CANDIDATES;
             at += 8) {
            int count = ((int *)at)[-2]; /* it comes first, and is padded */
            if (*(void **)at == one && count > 0 && count <= 100)
                found[found_count++] = (void **)at;
        }
        ip.drop(two);
        for (int i = 0; i < found_count; i++) {
            if (*found[i] != two || ((void **)two)[LINK_FLOAT] != one)
                continue;
            if (head != NULL)
                return NULL;
            head = found[i];
        }
    }
    if (first != NULL)
        ip.drop(first);
    if (second != NULL)
        ip.drop(second);
    return head;
}

/* ---- Objects to prove with ---- */

/* Keys are no objects: a dict is filled and cleared to make and drop some.  Dicts
   that came and went with them would push and pop as well, so some are kept
   meanwhile. */
enum { SPARE_DICTS = 4 };
static struct object *spare[SPARE_DICTS];
static int spare_count;
static bool sparing;

static struct object *make_keys(void)
{
    struct object *dict = spare_count > 0 ? spare[--spare_count] : ip.dict_new();
    struct object *key = ip.text_new("heapglass");
    if (dict != NULL && (key == NULL || ip.dict_set(dict, key, ip.none) != 0)) {
        ip.drop(dict);
        dict = NULL;
    }
    if (key != NULL)
        ip.drop(key);
    return dict;
}

struct object *list_make(struct free_list *list)
{
    int i = (int)(list - lists);
    struct object *object;
    if (i == LIST_FLOAT)
        object = ip.float_new(3.25);
    else if (i < LIST_LIST)
        object = ip.tuple_new(i - LIST_TUPLE + 1);
    else if (i == LIST_LIST)
        object = ip.list_new(0);
    else if (i == LIST_DICT)
        object = ip.dict_new();
    else if (i == LIST_CONTEXT)
        object = ip.context_new();
    else if (i == LIST_SLICE)
        object = ip.slice_new(NULL, NULL, NULL);
    else if (i == LIST_KEYS)
        object = make_keys();
    else
        return NULL;
    if (object == NULL)
        ip.error_clear();
    return object;
}

void list_drop(const struct free_list *list, struct object *object)
{
    if (list == &lists[LIST_KEYS]) {
        ip.dict_clear(object);
        if (sparing) {
            spare[spare_count++] = object;
            return;
        }
    }
    ip.drop(object);
}

/* The block of an object that its list will get. */
static void *block_of(const struct free_list *list, struct object *object)
{
    return list == &lists[LIST_KEYS] ? ((void **)object)[DICT_KEYS] : object;
}

/* ---- The proofs ---- */

void *list_top(const struct free_list *list)
{
    if (list->shape != SHAPE_ARRAY)
        return *list->head;
    return *list->count > 0 && *list->count <= 80 ? list->head[*list->count - 1]
                                                  : NULL;
}

/* D: one dies, B: one is born. */
static const char steps[] = "DDBDDBBDDDBBD";

static bool prove_stack(struct free_list *list)
{
    enum { HELD = 4 };
    struct object *living[HELD];
    void *dead[HELD];
    int living_count = 0, dead_count = 0, made = 0;
    bool follows = *list->count >= 0 && *list->count <= 2000;

    while (follows && living_count < HELD) {
        bool empty = *list->count == 0;
        struct object *object = list_make(list);
        if (object == NULL) {
            follows = false;
        } else {
            living[living_count++] = object;
            made += empty;
        }
    }
    for (const char *step = steps; follows && *step != 0; step++) {
        int before = *list->count;
        if (*step == 'D') {
            struct object *object = living[--living_count];
            dead[dead_count++] = block_of(list, object);
            list_drop(list, object);
            follows = *list->count == before + 1;
        } else {
            struct object *object = list_make(list);
            if (object == NULL) {
                follows = false;
                break;
            }
            living[living_count++] = object;
            follows = block_of(list, object) == dead[--dead_count] &&
                      *list->count == before - 1;
        }
        if (follows && dead_count > 0)
            follows = list_top(list) == dead[dead_count - 1];
        if (follows && dead_count > 1 && list->shape == SHAPE_CHAIN)
            follows =
                ((void **)dead[dead_count - 1])[list->link] == dead[dead_count - 2];
    }
    while (living_count > 0)
        list_drop(list, living[--living_count]);
    list->made = made;
    return follows;
}

static bool prove_keys(struct free_list *list)
{
    bool follows = true;
    while (follows && spare_count < SPARE_DICTS) {
        struct object *dict = ip.dict_new();
        follows = dict != NULL;
        if (follows)
            spare[spare_count++] = dict;
    }
    sparing = true;
    if (follows)
        follows = prove_stack(list);
    else
        ip.error_clear();
    sparing = false;
    while (spare_count > 0)
        ip.drop(spare[--spare_count]);
    return follows;
}

/* 3.11 and 3.12 push tuples of 20, by mistake, and never pop them. */
static bool prove_never_popped(struct free_list *list)
{
    struct object *first = list_make(list), *second = list_make(list),
                  *third = NULL;
    bool follows = first != NULL && second != NULL;
    int before = *list->count;
    struct object *one = first, *two = second;

    if (follows) {
        ip.drop(first);
        first = NULL;
        follows = *list->count == before + 1 && *list->head == one;
    }
    if (follows) {
        third = list_make(list);
        follows = third != NULL && third != one && *list->count == before + 1 &&
                  *list->head == one;
    }
    if (follows) {
        ip.drop(second);
        second = NULL;
        follows = *list->count == before + 2 && *list->head == two &&
                  ((void **)two)[list->link] == one;
    }
    if (first != NULL)
        ip.drop(first);
    if (second != NULL)
        ip.drop(second);
    if (third != NULL)
        ip.drop(third);
    list->made = 3;
    list->never_popped = follows;
    return follows;
}

static bool prove_cache(struct free_list *list)
{
    bool was_empty = *list->head == NULL;
    struct object *first = list_make(list), *second = list_make(list),
                  *third = NULL;
    bool follows = first != NULL && second != NULL && *list->head == NULL;
    struct object *one = first;

    if (follows) {
        ip.drop(first);
        first = NULL;
        follows = *list->head == one;
    }
    if (follows) {
        ip.drop(second);
        second = NULL;
        follows = *list->head == one;
    }
    if (follows) {
        third = list_make(list);
        follows = third == one && *list->head == NULL;
    }
    if (first != NULL)
        ip.drop(first);
    if (second != NULL)
        ip.drop(second);
    if (third != NULL)
        ip.drop(third);
    list->made = was_empty;
    return follows && *list->head == one;
}

/*
 * The helpers of asynchronous generators cannot be made without running Python
 * code, nor, in 3.11, a context without leaving an object that all contexts share.
 * What rests in their lists, if anything, must be theirs; the proof proper is in
 * recycle.c, when the first of them dies.
 */
static bool looks_right(const struct free_list *list, const struct type *type)
{
    int count = *list->count;
    if (type == NULL || count < 0 ||
        count > (list->shape == SHAPE_CHAIN ? 255 : 80))
        return false;
    const struct object *object = list_top(list);
    for (int i = count - 1; i >= 0; i--) {
        if (object == NULL || object->refcount != 0 || object->type != type)
            return false;
        object = list->shape == SHAPE_CHAIN ? ((void **)object)[list->link]
                 : i > 0                    ? list->head[i - 1]
                                            : NULL;
    }
    return object == NULL;
}

static void place(enum list_name which, const char *name, char *base,
                  struct place at, enum list_shape shape, int link)
{
    lists[which] = (struct free_list){
        .name = name,
        .head = (void **)(base + at.head),
        .count = (int *)(base + at.count),
        .shape = (uint8_t)shape,
        .link = (uint8_t)link,
    };
}

static void place_and_prove(char *base, const struct lists_layout *layout)
{
    place(LIST_FLOAT, "floats", base, layout->floats, SHAPE_CHAIN, LINK_FLOAT);
    for (int i = 0; i < TUPLES; i++) {
        struct place tuple = {layout->tuple.head + i * 8,
                              layout->tuple.count + i * 4};
        place(LIST_TUPLE + i, "tuples", base, tuple, SHAPE_CHAIN, LINK_TUPLE);
    }
    place(LIST_LIST, "lists", base, layout->list, SHAPE_ARRAY, 0);
    place(LIST_DICT, "dicts", base, layout->dict, SHAPE_ARRAY, 0);
    place(LIST_KEYS, "keys", base, layout->keys, SHAPE_ARRAY, 0);
    place(LIST_CONTEXT, "contexts", base, layout->context, SHAPE_CHAIN,
          LINK_CONTEXT);
    place(LIST_VALUE, "values", base, layout->value, SHAPE_ARRAY, 0);
    place(LIST_ASEND, "asends", base, layout->asend, SHAPE_ARRAY, 0);
    lists[LIST_SLICE] = (struct free_list){
        .name = "slices",
        .head = (void **)(base + layout->slice),
        .shape = SHAPE_CACHE,
    };

    /* The helpers come last: finding their types takes a list, which is in store
       once lists are proved, so that the collector counts no new object. */
    for (int i = 0; i < LISTS; i++) {
        struct free_list *list = &lists[i];
        bool proved = true;
        if (i == LIST_VALUE)
            find_helper_types();
        if (i == LIST_SLICE)
            list->proved = proved = prove_cache(list);
        else if (i == LIST_TUPLE + TUPLES - 1 && layout->minor <= 12)
            proved = prove_never_popped(list);
        else if (i == LIST_VALUE)
            proved = looks_right(list, ip.value_type);
        else if (i == LIST_ASEND)
            proved = looks_right(list, ip.asend_type);
        else if (i == LIST_CONTEXT && layout->minor <= 11)
            proved = looks_right(list, ip.context_type);
        else if (i == LIST_KEYS)
            proved = prove_keys(list);
        else
            list->proved = proved = prove_stack(list);
        if (!proved)
            list->head = NULL;
    }
}

/* ---- Emptying ---- */

void list_free_block(const struct free_list *list, void *block, bool counted)
{
    int i = (int)(list - lists);
    if (i == LIST_FLOAT)
        ip.object_free(block);
    else if (i == LIST_KEYS)
        (ip.minor >= 13 ? ip.mem_free : ip.object_free)(block);
    else if (counted)
        ip.gc_del(block);
    else
        ip.object_free((struct gc_head *)block - 1);
}

/* The last block pushed, or NULL. */
static void *pop(struct free_list *list)
{
    void *block = list->count == NULL || *list->count > 0 ? list_top(list) : NULL;
    if (block == NULL)
        return NULL;
    if (list->shape == SHAPE_CACHE)
        *list->head = NULL;
    else if (list->shape == SHAPE_CHAIN)
        *list->head = ((void **)block)[list->link];
    if (list->count != NULL)
        --*list->count;
    return block;
}

void list_empty(struct free_list *list)
{
    void *block;
    while ((block = pop(list)) != NULL) {
        list_free_block(list, block, list->made > 0);
        list->made -= list->made > 0;
    }
}

void list_take_back(struct free_list *list)
{
    void *block;
    while ((block = pop(list)) != NULL)
        list_free_block(list, block, true);
}

const char *lists_find(void)
{
    const char *(*get_version)(void);
    void *at = dlsym(RTLD_DEFAULT, "Py_GetVersion");
    memset(&ip, 0, sizeof ip);
    memset(lists, 0, sizeof lists);
    if (at == NULL || !find_names())
        return "functions are missing";
    memcpy(&get_version, &at, sizeof at);
    const char *version = get_version();
    if (strncmp(version, "3.", 2) != 0)
        return "unknown version";
    if (strstr(version, "free-threading") != NULL)
        return "a build without the GIL";
    ip.minor = atoi(version + 2);
    ip.own_locks = ip.minor >= 12;
    const struct lists_layout *layout = NULL;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].minor == ip.minor)
            layout = &layouts[i];
    if (layout == NULL)
        return "unknown version";
    ip.type_bytes = symbol_size(ip.list_type);

    char *runtime = dlsym(RTLD_DEFAULT, "_PyRuntime");
    size_t runtime_bytes = runtime != NULL ? symbol_size(runtime) : 0;
    char *low = ip.main = ip.interpreter_main();
    if (runtime_bytes == 0 || low < runtime || low >= runtime + runtime_bytes)
        return "the interpreter's state is not in the runtime's";
    if (!in_main())
        return "not the main interpreter";
    if (ip.error_occurred() != NULL)
        return "an exception is set";
    ip.collecting = find_collecting(runtime);

    char *high = runtime + runtime_bytes;
    int collects = ip.gc_disable();
    const char *why = NULL;
    char *floats = (char *)find_floats(low, high);
    if (floats == NULL || floats - low < layout->floats.head ||
        high - floats < layout->size_bytes - layout->floats.head) {
        why = "not found";
    } else {
        place_and_prove(floats - layout->floats.head, layout);
        ip.ready = true;
    }
    if (collects)
        ip.gc_enable();
    return why;
}
