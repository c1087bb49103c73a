/* SPDX-License-Identifier: MIT */
/* library.c - the functions that every module sees, and methods of strings, lists
   and maps.  A native function has its arguments on loan and gives its result. */
#include "wick.h"

#include <heapglass/heap.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void *need(Machine *vm, Value v, const hg_type *type)
{
    void *object = as_a(v, type);
    if (object == NULL)
        vm_fail(vm, "a %s is needed, not a %s", type->name, type_name(v));
    return object;
}

static bool need_number(Machine *vm, Value v, double *number)
{
    if (!is_number(v)) {
        vm_fail(vm, "a number is needed, not a %s", type_name(v));
        return false;
    }
    *number = as_number(v);
    return true;
}

static Value text_value(Machine *vm, const char *text, size_t bytes)
{
    return from_object(string_new(vm, text, bytes));
}

/* ---- functions ---- */

/* NOLINTBEGIN(readability-non-const-parameter): all have the type native_call */

static Value print(Machine *vm, Value self, int count, Value *argument)
{
    (void)self;
    for (int i = 0; i < count; i++) {
        String *text = string_of(vm, argument[i]);
        printf("%s%s", i == 0 ? "" : " ", text->text);
        hg_release(vm->world, text);
    }
    putchar('\n');
    return NIL;
}

static Value len(Machine *vm, Value self, int count, Value *argument)
{
    (void)self, (void)count;
    const String *string = as_a(argument[0], &String_type);
    const List *list = as_a(argument[0], &List_type);
    const Map *map = as_a(argument[0], &Map_type);
    if (string != NULL)
        return from_number(string->head.length - 1);
    if (list != NULL)
        return from_number(list->count);
    if (map != NULL)
        return from_number(map->live);
    vm_fail(vm, "a %s has no length", type_name(argument[0]));
    return ABSENT;
}

static Value str(Machine *vm, Value self, int count, Value *argument)
{
    (void)self, (void)count;
    return from_object(string_of(vm, argument[0]));
}

/* nil when the text is no number. */
static Value num(Machine *vm, Value self, int count, Value *argument)
{
    (void)self, (void)count;
    const String *string = need(vm, argument[0], &String_type);
    if (string == NULL)
        return ABSENT;
    char *end;
    double number = strtod(string->text, &end);
    return end == string->text || *end != 0 || isnan(number) ? NIL
                                                             : from_number(number);
}

static Value type(Machine *vm, Value self, int count, Value *argument)
{
    (void)self, (void)count;
    const char *name = type_name(argument[0]);
    return text_value(vm, name, strlen(name));
}

static Value range(Machine *vm, Value self, int count, Value *argument)
{
    double from = 0, to;
    (void)self;
    if (count != 1 && count != 2) {
        vm_fail(vm, "range() takes one or two arguments, not %d", count);
        return ABSENT;
    }
    if ((count == 2 && !need_number(vm, argument[0], &from)) ||
        !need_number(vm, argument[count - 1], &to))
        return ABSENT;
    double count_of = ceil(to - from);
    if (!(count_of < UINT32_MAX / 2)) {
        vm_fail(vm, "a range of %.14g numbers", count_of);
        return ABSENT;
    }
    List *list = new_object(vm, &List_type);
    uint32_t end = count_of > 0 ? (uint32_t)count_of : 0;
    for (uint32_t i = 0; i < end; i++)
        list_add(list, from_number(from + i));
    return from_object(list);
}

static Value floor_of(Machine *vm, Value self, int count, Value *argument)
{
    double number;
    (void)self, (void)count;
    return need_number(vm, argument[0], &number) ? from_number(floor(number))
                                                 : ABSENT;
}

static Value sqrt_of(Machine *vm, Value self, int count, Value *argument)
{
    double number;
    (void)self, (void)count;
    if (!need_number(vm, argument[0], &number))
        return ABSENT;
    if (number < 0) {
        vm_fail(vm, "the root of a negative number");
        return ABSENT;
    }
    return from_number(sqrt(number));
}

static Value clock_of(Machine *vm, Value self, int count, Value *argument)
{
    (void)vm, (void)self, (void)count, (void)argument;
    return from_number((double)clock() / CLOCKS_PER_SEC);
}

static Value fail(Machine *vm, Value self, int count, Value *argument)
{
    (void)self, (void)count;
    String *text = string_of(vm, argument[0]);
    vm_fail(vm, "%s", text->text);
    hg_release(vm->world, text);
    return ABSENT;
}

/* How many objects a full collection frees. */
static Value collect(Machine *vm, Value self, int count, Value *argument)
{
    hg_collection done;
    (void)self, (void)count, (void)argument;
    if (hg_collect(vm->world, HG_FULL, &done) != HG_OK) {
        vm_fail(vm, "no memory to collect in");
        return ABSENT;
    }
    return from_number((double)done.freed);
}

static Value objects(Machine *vm, Value self, int count, Value *argument)
{
    hg_statistics statistics;
    (void)self, (void)count, (void)argument;
    hg_flush(vm->world, 0);
    hg_get_statistics(vm->world, &statistics);
    return from_number((double)statistics.objects);
}

static void add_name(const void *object, void *arg)
{
    Machine *vm = ((Machine *const *)arg)[0];
    List *list = ((List *const *)arg)[1];
    char text[200];
    hg_describe(vm->world, object, text, sizeof text);
    size_t bytes = strlen(text) + 1;
    list_add(list, (Value)(uintptr_t)memcpy(resize(NULL, bytes), text, bytes));
}

/* Why an object is there: a list of texts.  Nothing may be made while the world is
   walked, so they become strings afterwards. */
static Value why(Machine *vm, Value self, int count, Value *argument)
{
    (void)self, (void)count;
    if (!is_object(argument[0])) {
        vm_fail(vm, "a %s is no object", type_name(argument[0]));
        return ABSENT;
    }
    List *list = new_object(vm, &List_type);
    void *arg[] = {vm, list};
    hg_flush(vm->world, 0);
    int done = 0;
    while (hg_step(vm->world, 1000000, &done) == HG_OK && !done)
        continue;
    /* The argument is on the stack, which would be reason enough. */
    hg_object *object = as_object(argument[0]);
    argument[0] = NIL;
    object->count--;
    hg_status status = hg_why_alive(vm->world, object, add_name, arg);
    object->count++;
    argument[0] = from_object(object);
    for (uint32_t i = 0; i < list->count; i++) {
        char *text = (char *)(uintptr_t)list->item[i];
        list->item[i] = text_value(vm, text, strlen(text));
        hg_free(text);
    }
    if (status == HG_OK)
        return from_object(list);
    hg_release(vm->world, list);
    vm_fail(vm, "no memory to look for it");
    return ABSENT;
}

/* ---- strings ---- */

static Value string_upper(Machine *vm, Value self, int count, Value *argument)
{
    (void)count, (void)argument;
    const String *string = as_object(self);
    char *text = resize(NULL, string->head.length);
    for (uint32_t i = 0; i < string->head.length; i++) {
        char c = string->text[i];
        text[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    Value made = text_value(vm, text, string->head.length - 1);
    hg_free(text);
    return made;
}

static Value string_split(Machine *vm, Value self, int count, Value *argument)
{
    (void)count;
    const String *string = as_object(self),
                 *by = need(vm, argument[0], &String_type);
    if (by == NULL)
        return ABSENT;
    if (by->text[0] == 0) {
        vm_fail(vm, "split() by nothing");
        return ABSENT;
    }
    List *list = new_object(vm, &List_type);
    const char *at = string->text, *found;
    for (; (found = strstr(at, by->text)) != NULL; at = found + by->head.length - 1)
        list_add(list, text_value(vm, at, (size_t)(found - at)));
    list_add(list, text_value(vm, at, strlen(at)));
    return from_object(list);
}

/* From one index to before another; both within the string. */
static Value string_slice(Machine *vm, Value self, int count, Value *argument)
{
    const String *string = as_object(self);
    double from, to, length = string->head.length - 1;
    (void)count;
    if (!need_number(vm, argument[0], &from) || !need_number(vm, argument[1], &to))
        return ABSENT;
    if (!(from >= 0 && from <= to && to <= length)) {
        vm_fail(vm, "slice(%.14g, %.14g) of a string of %.0f", from, to, length);
        return ABSENT;
    }
    return text_value(vm, string->text + (size_t)from, (size_t)to - (size_t)from);
}

/* The first index of a text, or -1. */
static Value string_find(Machine *vm, Value self, int count, Value *argument)
{
    (void)count;
    const String *string = as_object(self),
                 *what = need(vm, argument[0], &String_type);
    if (what == NULL)
        return ABSENT;
    const char *found = strstr(string->text, what->text);
    return from_number(found == NULL ? -1.0 : (double)(found - string->text));
}

/* ---- lists ---- */

static Value list_append(Machine *vm, Value self, int count, Value *argument)
{
    (void)vm, (void)count;
    list_add(as_object(self), keep(argument[0]));
    return NIL;
}

static Value list_pop(Machine *vm, Value self, int count, Value *argument)
{
    (void)count, (void)argument;
    List *list = as_object(self);
    if (list->count == 0) {
        vm_fail(vm, "pop() of an empty list");
        return ABSENT;
    }
    return list->item[--list->count];
}

static Value list_join(Machine *vm, Value self, int count, Value *argument)
{
    (void)count;
    const List *list = as_object(self);
    const String *between = need(vm, argument[0], &String_type);
    if (between == NULL)
        return ABSENT;
    char *text = NULL;
    size_t length = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        String *item = string_of(vm, list->item[i]);
        size_t gap = i == 0 ? 0 : between->head.length - 1;
        text = resize(text, length + gap + item->head.length);
        memcpy(text + length, between->text, gap);
        memcpy(text + length + gap, item->text, item->head.length - 1);
        length += gap + item->head.length - 1;
        hg_release(vm->world, item);
    }
    Value joined = text_value(vm, text == NULL ? "" : text, length);
    hg_free(text);
    return joined;
}

/* By `less`, which is called; a merge sort, so equal ones keep their order. */
static bool sort(Machine *vm, List *list, Value *room, uint32_t from, uint32_t to,
                 Value less)
{
    if (to - from < 2)
        return true;
    uint32_t middle = from + (to - from) / 2;
    if (!sort(vm, list, room, from, middle, less) ||
        !sort(vm, list, room, middle, to, less))
        return false;
    uint32_t a = from, b = middle;
    for (uint32_t i = from; i < to; i++) {
        if (a < middle && b < to) {
            Value pair[] = {list->item[b], list->item[a]};
            Value answer = vm_call(vm, less, 2, pair);
            if (answer == ABSENT)
                return false;
            room[i] = is_true(answer) ? list->item[b++] : list->item[a++];
            drop(vm->world, answer);
        } else {
            room[i] = a < middle ? list->item[a++] : list->item[b++];
        }
    }
    memcpy(list->item + from, room + from, (to - from) * sizeof *room);
    return true;
}

/* On a copy: `less` may change the list. */
static Value list_sort(Machine *vm, Value self, int count, Value *argument)
{
    (void)count;
    const List *list = as_object(self);
    List *made = new_object(vm, &List_type);
    for (uint32_t i = 0; i < list->count; i++)
        list_add(made, keep(list->item[i]));
    Value *room = resize(NULL, (made->count + 1) * sizeof *room);
    bool sorted = sort(vm, made, room, 0, made->count, argument[0]);
    hg_free(room);
    if (sorted)
        return from_object(made);
    hg_release(vm->world, made);
    return ABSENT;
}

static Value list_map(Machine *vm, Value self, int count, Value *argument)
{
    (void)count;
    const List *list = as_object(self);
    List *made = new_object(vm, &List_type);
    for (uint32_t i = 0; i < list->count; i++) {
        Value item = keep(list->item[i]);
        Value result = vm_call(vm, argument[0], 1, &item);
        drop(vm->world, item);
        if (result == ABSENT) {
            hg_release(vm->world, made);
            return ABSENT;
        }
        list_add(made, result);
    }
    return from_object(made);
}

/* ---- maps ---- */

static Value map_keys(Machine *vm, Value self, int count, Value *argument)
{
    (void)count, (void)argument;
    const Map *map = as_object(self);
    List *list = new_object(vm, &List_type);
    for (uint32_t i = 0; i < map->used; i++) {
        if (map->entry[i].key != ABSENT)
            list_add(list, keep(map->entry[i].key));
    }
    return from_object(list);
}

static Value map_has(Machine *vm, Value self, int count, Value *argument)
{
    (void)vm, (void)count;
    return from_bool(is_key(argument[0]) &&
                     map_find(as_object(self), argument[0]) != NULL);
}

static Value map_drop(Machine *vm, Value self, int count, Value *argument)
{
    (void)count;
    return from_bool(is_key(argument[0]) &&
                     map_remove(vm, as_object(self), argument[0]));
}

/* ---- */

static void define(Machine *vm, Map *map, const char *name, native_call *call,
                   int arity)
{
    Native *made = new_object(vm, &Native_type);
    *made = (Native){made->head, name, call, arity};
    String *key = string_new(vm, name, strlen(name));
    map_set(vm, map, from_object(key), from_object(made));
    hg_release(vm->world, key);
    hg_release(vm->world, made);
}

/* NOLINTEND(readability-non-const-parameter) */

void library_open(Machine *vm)
{
    static const struct {
        const char *name;
        native_call *call;
        int arity;
    } functions[] = {
        {"print", print, -1},   {"len", len, 1},         {"str", str, 1},
        {"num", num, 1},        {"type", type, 1},       {"range", range, -1},
        {"floor", floor_of, 1}, {"sqrt", sqrt_of, 1},    {"clock", clock_of, 0},
        {"fail", fail, 1},      {"collect", collect, 0}, {"objects", objects, 0},
        {"why", why, 1}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        define(vm, vm->builtins, functions[i].name, functions[i].call,
               functions[i].arity);
    define(vm, vm->methods[0], "upper", string_upper, 0);
    define(vm, vm->methods[0], "split", string_split, 1);
    define(vm, vm->methods[0], "slice", string_slice, 2);
    define(vm, vm->methods[0], "find", string_find, 1);
    define(vm, vm->methods[1], "add", list_append, 1);
    define(vm, vm->methods[1], "pop", list_pop, 0);
    define(vm, vm->methods[1], "join", list_join, 1);
    define(vm, vm->methods[1], "sort", list_sort, 1);
    define(vm, vm->methods[1], "map", list_map, 1);
    define(vm, vm->methods[2], "keys", map_keys, 0);
    define(vm, vm->methods[2], "has", map_has, 1);
    define(vm, vm->methods[2], "remove", map_drop, 1);
}
