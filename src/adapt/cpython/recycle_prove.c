/* SPDX-License-Identifier: MIT */
/*
 * recycle_prove.c - each free list is proved by using it.
 *
 * Four objects are made, and dropped and made again in a fixed order (steps[]),
 * while a stack of our own says what the list must look like: its count goes up by
 * one at each death and down at each birth, its head is the block that died last,
 * that block names the one before, and who is born gets that block.  Whatever does
 * not follow every step is not the list that we think it is, and nothing is ever
 * written to it.
 *
 * Some objects cannot be made without a trace: the helpers of asynchronous
 * generators would run Python code, contexts in 3.11 leave an object that all
 * contexts share, others belong to modules.  Those lists must look right and be at
 * their place among lists that were proved; recycle.c proves them when the first
 * such object dies, or, in 3.14, where all lists are one array, the proof of the
 * last one is theirs.
 */
#include "adapt/cpython/recycle_lists.h"

#include <string.h>

/* ---- Making ---- */

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

static struct object *make_range(void)
{
    struct object *five = ip.int_new(5);
    struct object *range =
        five != NULL ? ip.call((struct object *)ip.range_type, five, NULL) : NULL;
    if (five != NULL)
        ip.drop(five);
    return range;
}

/* The iterator of an object that it takes. */
static struct object *make_iterator(struct object *take_from)
{
    struct object *iterator = take_from != NULL ? ip.iterator_of(take_from) : NULL;
    if (take_from != NULL)
        ip.drop(take_from);
    return iterator;
}

/* Any list will do, but one that we made would be counted by the collector. */
static struct object *make_list_iterator(void)
{
    struct object *path = ip.sys_get("path");
    return path != NULL && path->type == ip.list_type ? ip.iterator_of(path) : NULL;
}

static struct object *nothing(struct object *self, struct object *argument)
{
    (void)self;
    (void)argument;
    return NULL;
}

static struct method a_function = {"heapglass", nothing, 0x0004 /* METH_NOARGS */,
                                   NULL};
static struct method a_class_method = {
    "heapglass", nothing, 0x0282 /* METH_METHOD | METH_FASTCALL | METH_KEYWORDS */,
    NULL};

bool list_can_make(const struct free_list *list)
{
    switch (list - lists) {
    case LIST_VALUE:
    case LIST_ASEND:
    case LIST_FUTURE_ITERATOR:
    case LIST_CHUNK:
        return false;
    case LIST_CONTEXT:
        return ip.minor >= 12;
    case LIST_WRITER:
        return ip.writer_new != NULL && ip.writer_drop != NULL;
    case LIST_BYTES_WRITER:
        return ip.bytes_writer_new != NULL && ip.bytes_writer_drop != NULL;
    default:
        return true;
    }
}

struct object *list_make(const struct free_list *list)
{
    struct object *object = NULL;
    int i = (int)(list - lists);

    switch (i) {
    case LIST_FLOAT:
        object = ip.float_new(3.25);
        break;
    case LIST_LIST:
        object = ip.list_new(0);
        break;
    case LIST_DICT:
        object = ip.dict_new();
        break;
    case LIST_KEYS:
        object = make_keys();
        break;
    case LIST_CONTEXT:
        object = ip.context_new();
        break;
    case LIST_SLICE:
        object = ip.slice_new(NULL, NULL, NULL);
        break;
    case LIST_INT:
        object = ip.int_new(7654321);
        break;
    case LIST_LIST_ITERATOR:
        object = make_list_iterator();
        break;
    case LIST_TUPLE_ITERATOR:
        object = make_iterator(ip.tuple_new(0)); /* there is but one */
        break;
    case LIST_RANGE:
        object = make_range();
        break;
    case LIST_RANGE_ITERATOR:
        object = make_iterator(make_range());
        break;
    case LIST_WRITER:
        object = ip.writer_new(0);
        break;
    case LIST_COMPLEX:
        object = ip.complex_new(3.25, 3.5);
        break;
    case LIST_BYTES_WRITER:
        object = ip.bytes_writer_new(0);
        break;
    case LIST_FUNCTION:
        object = ip.function_new(&a_function, NULL, NULL, NULL);
        break;
    case LIST_CLASS_METHOD:
        object = ip.function_new(&a_class_method, ip.none, NULL, ip.base_type);
        break;
    case LIST_METHOD:
        object = ip.method_new((struct object *)ip.base_type, ip.none);
        break;
    default:
        if (i >= LIST_TUPLE && i < LIST_LIST)
            object = ip.tuple_new(i - LIST_TUPLE + 1);
    }
    if (object == NULL)
        ip.error_clear();
    return object;
}

void list_drop(const struct free_list *list, struct object *object)
{
    if (list == &lists[LIST_WRITER]) {
        ip.writer_drop(object);
        return;
    }
    if (list == &lists[LIST_BYTES_WRITER]) {
        ip.bytes_writer_drop(object);
        return;
    }
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
    intptr_t count = list_count(list);
    return count > 0 && count <= 80 ? list->head[count - 1] : NULL;
}

static void *next_of(const struct free_list *list, const void *block)
{
    return ((void *const *)block)[list->link];
}

/* D: one dies, B: one is born. */
static const char steps[] = "DDBDDBBDDDBBD";

static bool prove_stack(struct free_list *list)
{
    enum { HELD = 4 };
    struct object *living[HELD];
    void *dead[HELD];
    int living_count = 0, dead_count = 0, made = 0;
    bool follows = list_count(list) >= 0 && list_count(list) <= 2000;

    while (follows && living_count < HELD) {
        bool empty = list_count(list) == 0;
        struct object *object = list_make(list);
        if (object == NULL) {
            follows = false;
        } else {
            living[living_count++] = object;
            made += empty;
        }
    }
    for (const char *step = steps; follows && *step != 0; step++) {
        intptr_t before = list_count(list);
        if (*step == 'D') {
            struct object *object = living[--living_count];
            dead[dead_count++] = block_of(list, object);
            list_drop(list, object);
            follows = list_count(list) == before + 1;
        } else {
            struct object *object = list_make(list);
            if (object == NULL) {
                follows = false;
                break;
            }
            living[living_count++] = object;
            follows = block_of(list, object) == dead[--dead_count] &&
                      list_count(list) == before - 1;
        }
        if (follows && dead_count > 0)
            follows = list_top(list) == dead[dead_count - 1];
        if (follows && dead_count > 1 && list->shape == SHAPE_CHAIN)
            follows = next_of(list, dead[dead_count - 1]) == dead[dead_count - 2];
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

static void drop_if(const struct free_list *list, struct object *object)
{
    if (object != NULL)
        list_drop(list, object);
}

/* 3.11 and 3.12 push tuples of 20, by mistake, and never pop them. */
static bool prove_never_popped(struct free_list *list)
{
    struct object *first = list_make(list);
    struct object *second = list_make(list);
    struct object *third = NULL;
    intptr_t before = list_count(list);
    bool follows = first != NULL && second != NULL;
    struct object *one = first, *two = second;

    if (follows) {
        list_drop(list, first);
        first = NULL;
        follows = list_count(list) == before + 1 && *list->head == one;
    }
    if (follows) {
        third = list_make(list);
        follows = third != NULL && third != one && list_count(list) == before + 1 &&
                  *list->head == one;
    }
    if (follows) {
        list_drop(list, second);
        second = NULL;
        follows = list_count(list) == before + 2 && *list->head == two &&
                  next_of(list, two) == one;
    }
    drop_if(list, first);
    drop_if(list, second);
    drop_if(list, third);
    list->made = 3;
    list->never_popped = follows;
    return follows;
}

/* A list of one block. */
static bool prove_cache(struct free_list *list)
{
    bool was_empty = *list->head == NULL;
    struct object *first = list_make(list);
    struct object *second = list_make(list);
    struct object *third = NULL;
    bool follows = first != NULL && second != NULL && *list->head == NULL;
    struct object *one = first;

    if (follows) {
        list_drop(list, first);
        first = NULL;
        follows = *list->head == one;
    }
    if (follows) {
        list_drop(list, second);
        second = NULL;
        follows = *list->head == one;
    }
    if (follows) {
        third = list_make(list);
        follows = third == one && *list->head == NULL;
    }
    drop_if(list, first);
    drop_if(list, second);
    drop_if(list, third);
    list->made = was_empty;
    return follows && *list->head == one &&
           (list->count == NULL || list_count(list) == 1);
}

/* What rests in a list whose objects cannot be made must be theirs. */
static bool looks_right(const struct free_list *list, const struct type *type)
{
    bool chain = list->shape == SHAPE_CHAIN;
    const struct object *object = chain ? *list->head : NULL;

    if (list_count(list) < 0 || list_count(list) > (chain ? 255 : 80))
        return false;
    for (intptr_t i = list_count(list); i-- > 0;) {
        if (!chain)
            object = list->head[i];
        if (object == NULL || object->refcount != 0 || object->type != type)
            return false;
        if (chain)
            object = next_of(list, object);
    }
    return !chain || object == NULL;
}

static bool prove(int i)
{
    struct free_list *list = &lists[i];

    switch (i) {
    case LIST_KEYS:
        return prove_keys(list);
    case LIST_SLICE:
    case LIST_WRITER:
    case LIST_BYTES_WRITER:
        return prove_cache(list);
    case LIST_TUPLE + TUPLES - 1:
        return ip.minor <= 12 ? prove_never_popped(list) : prove_stack(list);
    default:
        return prove_stack(list);
    }
}

void lists_prove(void)
{
    bool all = true;
    for (int i = 0; i < ip.lists; i++) {
        struct free_list *list = &lists[i];
        if (list_can_make(list)) {
            list->proved = prove(i);
            all &= list->proved;
            if (!list->proved)
                list->head = NULL;
        }
    }
    lists_find_types();
    for (int i = 0; i < ip.lists; i++) {
        struct free_list *list = &lists[i];
        const struct type *type = i == LIST_CONTEXT ? ip.context_type
                                  : i == LIST_VALUE ? ip.value_type
                                  : i == LIST_ASEND ? ip.asend_type
                                                    : NULL;
        if (list_can_make(list))
            continue;
        if (!looks_right(list, type) || (ip.minor >= 14 && !all))
            list->head = NULL;
    }
}

/* ---- Emptying ---- */

static void free_block(const struct free_list *list, void *block, bool counted)
{
    switch (list - lists) {
    case LIST_KEYS:
        if (ip.minor >= 13)
            ip.mem_free(block);
        else
            ip.object_free(block);
        break;
    case LIST_WRITER:
    case LIST_BYTES_WRITER:
        ip.mem_free(block);
        break;
    case LIST_FLOAT:
    case LIST_INT:
    case LIST_COMPLEX:
    case LIST_RANGE:
    case LIST_RANGE_ITERATOR:
        ip.object_free(block);
        break;
    default: /* objects that the collector knows */
        if (counted)
            ip.gc_del(block);
        else
            ip.object_free((struct gc_head *)block - 1);
    }
}

/* The last block pushed, or NULL. */
static void *pop(struct free_list *list)
{
    bool cache = list->shape == SHAPE_CACHE;
    void *block = cache || list_count(list) > 0 ? list_top(list) : NULL;
    if (block == NULL)
        return NULL;
    if (cache)
        *list->head = NULL;
    else
        list_set_count(list, list_count(list) - 1);
    if (list->shape == SHAPE_CHAIN)
        *list->head = next_of(list, block);
    return block;
}

void list_empty(struct free_list *list)
{
    void *block;
    while ((block = pop(list)) != NULL) {
        free_block(list, block, list->made > 0);
        list->made -= list->made > 0;
    }
}

void list_take_back(struct free_list *list)
{
    void *block;
    while ((block = pop(list)) != NULL)
        free_block(list, block, true);
}
