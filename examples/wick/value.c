/* SPDX-License-Identifier: MIT */
/* value.c - the types of Wick's objects, and what can be done with one of them. */
#include "wick.h"

#include <heapglass/heap.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void visit_value(Value v, hg_visit *visit, void *arg)
{
    if (is_object(v))
        visit(as_object(v), arg);
}

static void list_traverse(const void *self, hg_visit *visit, void *arg)
{
    const List *list = self;
    for (uint32_t i = 0; i < list->count; i++)
        visit_value(list->item[i], visit, arg);
}

static void list_dispose(void *self)
{
    hg_free(((List *)self)->item);
}

static void map_traverse(const void *self, hg_visit *visit, void *arg)
{
    const Map *map = self;
    for (uint32_t i = 0; i < map->used; i++) {
        visit_value(map->entry[i].key, visit, arg);
        visit_value(map->entry[i].value, visit, arg);
    }
}

static void map_dispose(void *self)
{
    hg_free(((Map *)self)->entry);
    hg_free(((Map *)self)->index);
}

static void function_traverse(const void *self, hg_visit *visit, void *arg)
{
    const Function *function = self;
    for (uint32_t i = 0; i < function->constants; i++)
        visit_value(function->constant[i], visit, arg);
}

static void function_dispose(void *self)
{
    Function *function = self;
    hg_free(function->code);
    hg_free(function->line);
    hg_free(function->constant);
}

static void cell_traverse(const void *self, hg_visit *visit, void *arg)
{
    visit_value(((const Cell *)self)->closed, visit, arg);
}

static void bound_traverse(const void *self, hg_visit *visit, void *arg)
{
    const Bound *bound = self;
    visit_value(bound->self, visit, arg);
    visit_value(bound->method, visit, arg);
}

const hg_type String_type = {
    .name = "string", .size = offsetof(String, text), .flags = HG_BYTES};
const hg_type List_type = {.name = "list",
                           .size = sizeof(List),
                           .traverse = list_traverse,
                           .dispose = list_dispose};
const hg_type Map_type = {.name = "map",
                          .size = sizeof(Map),
                          .traverse = map_traverse,
                          .dispose = map_dispose};
const hg_type Module_type = {.name = "module",
                             .size = sizeof(Module),
                             .refs = HG_REFS(Module, name, globals)};
const hg_type Function_type = {.name = "function",
                               .size = sizeof(Function),
                               .refs = HG_REFS(Function, name, module),
                               .traverse = function_traverse,
                               .dispose = function_dispose};
const hg_type Cell_type = {
    .name = "cell", .size = sizeof(Cell), .traverse = cell_traverse};
const hg_type Closure_type = {.name = "closure",
                              .size = sizeof(Closure),
                              .refs = HG_REFS(Closure, function),
                              .flags = HG_ITEMS};
const hg_type Class_type = {.name = "class",
                            .size = sizeof(Class),
                            .refs = HG_REFS(Class, name, base, methods)};
const hg_type Instance_type = {.name = "instance",
                               .size = sizeof(Instance),
                               .refs = HG_REFS(Instance, class, fields)};
const hg_type Bound_type = {
    .name = "method", .size = sizeof(Bound), .traverse = bound_traverse};
const hg_type Native_type = {.name = "builtin", .size = sizeof(Native)};

static void *checked(void *block)
{
    if (block == NULL) {
        fputs("wick: out of memory\n", stderr);
        exit(70);
    }
    return block;
}

void *resize(void *block, size_t bytes)
{
    return checked(hg_realloc(block, bytes));
}

/* Where the program is: an object's site is a line of Wick, not of C.  Texts are
   kept for good, each once; only a world that debugs asks for them. */
static const char *site(Machine *vm)
{
    static char **text;
    static size_t count, room;
    if (!vm->debugs || vm->frames == 0)
        return NULL;
    const struct frame *frame = &vm->frame[vm->frames - 1];
    const Function *function = frame->closure->function;
    char line[300];
    snprintf(line, sizeof line, "%.256s:%u", function->module->name->text,
             function->line[frame->at - function->code - 1]);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text[i], line) == 0)
            return text[i];
    }
    if (count == room) {
        room = 2 * room + 64;
        text = resize(text, room * sizeof *text);
    }
    size_t bytes = strlen(line) + 1;
    text[count] = resize(NULL, bytes);
    return memcpy(text[count++], line, bytes);
}

void *new_object(Machine *vm, const hg_type *type)
{
    return checked(hg_new_at(vm->world, type, site(vm)));
}

Closure *new_closure(Machine *vm, uint32_t captures)
{
    return checked(hg_new_items_at(vm->world, &Closure_type, captures, site(vm)));
}

String *string_new(Machine *vm, const char *text, size_t bytes)
{
    if (bytes > UINT32_MAX / 2)
        checked(NULL);
    String *s = checked(
        hg_new_items_at(vm->world, &String_type, (uint32_t)bytes + 1, site(vm)));
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    s->hash = hash;
    memcpy(s->text, text, bytes);
    return s;
}

const char *type_name(Value v)
{
    if (is_number(v))
        return "number";
    if (v == NIL)
        return "nil";
    const Instance *instance = as_a(v, &Instance_type);
    if (instance != NULL)
        return instance->class->name->text;
    return is_object(v) ? ((const hg_object *)as_object(v))->type->name : "bool";
}

bool is_true(Value v)
{
    return v != NIL && v != FALSE;
}

bool is_equal(Value a, Value b)
{
    if (is_number(a) && is_number(b))
        return as_number(a) == as_number(b);
    if (a == b)
        return true;
    const String *s = as_a(a, &String_type), *t = as_a(b, &String_type);
    return s != NULL && t != NULL && s->hash == t->hash &&
           s->head.length == t->head.length &&
           memcmp(s->text, t->text, s->head.length) == 0;
}

void list_add(List *list, Value v)
{
    if (list->count == list->room) {
        if (list->room > UINT32_MAX / 2)
            checked(NULL);
        list->room = list->room == 0 ? 4 : 2 * list->room;
        list->item = resize(list->item, list->room * sizeof(Value));
    }
    list->item[list->count++] = v;
}

/* ---- maps ---- */

bool is_key(Value v)
{
    return !is_object(v) || as_a(v, &String_type) != NULL;
}

static uint32_t hash_of(Value key)
{
    const String *s = as_a(key, &String_type);
    if (s != NULL)
        return s->hash;
    if (is_number(key) && as_number(key) == 0)
        key = from_number(0); /* and -0 */
    key *= 0x9E3779B97F4A7C15u;
    return (uint32_t)(key >> 32);
}

/* The place in `index` of the key, or of where it would be. */
static uint32_t *map_place(const Map *map, Value key)
{
    uint32_t mask = 2 * map->room - 1;
    uint32_t i = hash_of(key) & mask;
    while (map->index[i] != 0 && !is_equal(map->entry[map->index[i] - 1].key, key))
        i = (i + 1) & mask;
    return &map->index[i];
}

Value *map_find(const Map *map, Value key)
{
    if (map->live == 0)
        return NULL;
    uint32_t *place = map_place(map, key);
    return *place == 0 ? NULL : &map->entry[*place - 1].value;
}

/* Room for one more; entries that were removed go. */
static void map_grow(Map *map)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < map->used; i++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): used is 0 then */
        if (map->entry[i].key != ABSENT)
            map->entry[live++] = map->entry[i];
    }
    map->used = live;
    uint32_t room = 8;
    if (live > UINT32_MAX / 8)
        checked(NULL);
    while (room < 2 * live)
        room *= 2;
    map->entry = resize(map->entry, room * sizeof *map->entry);
    size_t index_bytes = (size_t)2 * room * sizeof *map->index;
    map->index = resize(map->index, index_bytes);
    map->room = room;
    memset(map->index, 0, index_bytes);
    for (uint32_t i = 0; i < live; i++)
        *map_place(map, map->entry[i].key) = i + 1;
}

void map_set(Machine *vm, Map *map, Value key, Value value)
{
    Value *found = map_find(map, key);
    if (found != NULL) {
        Value old = *found;
        *found = keep(value);
        drop(vm->world, old);
        return;
    }
    if (map->used == map->room)
        map_grow(map);
    *map_place(map, key) = map->used + 1;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there is room */
    map->entry[map->used++] = (struct entry){keep(key), keep(value)};
    map->live++;
}

bool map_remove(Machine *vm, Map *map, Value key)
{
    Value *found = map_find(map, key);
    if (found == NULL)
        return false;
    struct entry *entry =
        (struct entry *)(void *)((char *)found - offsetof(struct entry, value));
    struct entry old = *entry;
    *entry = (struct entry){ABSENT, NIL};
    map->live--;
    drop(vm->world, old.key);
    drop(vm->world, old.value);
    return true;
}

/* ---- text ---- */

struct text {
    char *at;
    size_t length, room;
    int depth;
};

static void text_add(struct text *text, const char *more, size_t bytes)
{
    if (text->length + bytes >= text->room) {
        text->room = 2 * (text->length + bytes) + 64;
        text->at = resize(text->at, text->room);
    }
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): there is room */
    memcpy(text->at + text->length, more, bytes);
    text->length += bytes;
}

static void text_puts(struct text *text, const char *more)
{
    text_add(text, more, strlen(more));
}

static void text_value(struct text *text, Value v, bool quoted);

static void text_list(struct text *text, const List *list)
{
    text_puts(text, "[");
    for (uint32_t i = 0; i < list->count; i++) {
        text_puts(text, i == 0 ? "" : ", ");
        text_value(text, list->item[i], true);
    }
    text_puts(text, "]");
}

static void text_map(struct text *text, const Map *map)
{
    const char *between = "";
    text_puts(text, "{");
    for (uint32_t i = 0; i < map->used; i++) {
        if (map->entry[i].key == ABSENT)
            continue;
        text_puts(text, between);
        between = ", ";
        text_value(text, map->entry[i].key, true);
        text_puts(text, ": ");
        text_value(text, map->entry[i].value, true);
    }
    text_puts(text, "}");
}

static void text_number(struct text *text, double number)
{
    char digits[32];
    int n = number == floor(number) && fabs(number) < 1e15
                ? snprintf(digits, sizeof digits, "%.0f", number)
                : snprintf(digits, sizeof digits, "%.14g", number);
    text_add(text, digits, (size_t)n);
}

static void text_named(struct text *text, const char *what, const String *name)
{
    text_puts(text, what);
    text_puts(text, name == NULL ? "(module)" : name->text);
}

static void text_object(struct text *text, const hg_object *o, bool quoted)
{
    if (o->type == &String_type) {
        text_puts(text, quoted ? "\"" : "");
        text_add(text, ((const String *)o)->text, o->length - 1);
        text_puts(text, quoted ? "\"" : "");
    } else if (text->depth > 8) {
        text_puts(text, "..."); /* it may contain itself */
    } else if (o->type == &List_type) {
        text_list(text, (const List *)o);
    } else if (o->type == &Map_type) {
        text_map(text, (const Map *)o);
    } else if (o->type == &Class_type) {
        text_named(text, "class ", ((const Class *)o)->name);
    } else if (o->type == &Instance_type) {
        text_named(text, "a ", ((const Instance *)o)->class->name);
    } else if (o->type == &Closure_type) {
        text_named(text, "fun ", ((const Closure *)o)->function->name);
    } else if (o->type == &Module_type) {
        text_named(text, "module ", ((const Module *)o)->name);
    } else {
        text_puts(text, o->type->name);
    }
}

static void text_value(struct text *text, Value v, bool quoted)
{
    text->depth++;
    if (is_number(v))
        text_number(text, as_number(v));
    else if (is_object(v))
        text_object(text, as_object(v), quoted);
    else
        text_puts(text, v == NIL ? "nil" : v == TRUE ? "true" : "false");
    text->depth--;
}

String *string_of(Machine *vm, Value v)
{
    String *s = as_a(v, &String_type);
    if (s != NULL)
        return hg_retain(s);
    struct text text = {0};
    text_value(&text, v, false);
    s = string_new(vm, text.at, text.length);
    hg_free(text.at);
    return s;
}
