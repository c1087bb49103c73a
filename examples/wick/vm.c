/* SPDX-License-Identifier: MIT */
/*
 * vm.c - the machine: a stack that owns what lies on it, and a loop over code.
 *
 * What is popped into a variable of C is owned by that variable, until it is
 * dropped or pushed.  Releases may free objects, but they run nothing of Wick, so
 * they may stand anywhere.
 */
#include "wick.h"

#include <heapglass/heap.h>

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void push(Machine *vm, Value v) /* takes the reference */
{
    if (vm->top == vm->stack + STACK) {
        fputs("wick: a value too many for the stack\n", stderr);
        exit(70);
    }
    *vm->top++ = v;
}

static Value pop(Machine *vm)
{
    return *--vm->top;
}

static void pop_drop(Machine *vm)
{
    drop(vm->world, pop(vm));
}

static void pop_to(Machine *vm, const Value *down_to)
{
    while (vm->top > down_to)
        pop_drop(vm);
}

void vm_fail(Machine *vm, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(vm->error, sizeof vm->error / 2, format, list);
    va_end(list);
    size_t n = strlen(vm->error);
    for (int i = vm->frames - 1; i >= 0 && n < sizeof vm->error - 400; i--) {
        const struct frame *frame = &vm->frame[i];
        const Function *f = frame->closure->function;
        if (i == vm->frames - 17 && i > 16) {
            n += (size_t)snprintf(vm->error + n, 100, "\n  ... %d more", i - 15);
            i = 15;
        }
        n += (size_t)snprintf(
            vm->error + n, 390, "\n  at %.100s:%u%s%.100s", f->module->name->text,
            f->line[frame->at - f->code - 1], f->name == NULL ? "" : ", in ",
            f->name == NULL ? "" : f->name->text);
    }
    snprintf(vm->error + n, sizeof vm->error - n, "\n");
}

/* ---- cells ---- */

static Cell *cell_of(Machine *vm, Value *variable)
{
    Cell **link = &vm->open;
    while (*link != NULL && (*link)->at > variable)
        link = &(*link)->below;
    if (*link != NULL && (*link)->at == variable)
        return hg_retain(*link);
    Cell *cell = new_object(vm, &Cell_type);
    cell->at = variable;
    cell->below = *link;
    *link = cell;
    /* The list owns one, so that the cell is there as long as the variable. */
    return hg_retain(cell);
}

/* Variables from `from` on leave the stack: their cells take the values over. */
static void close_cells(Machine *vm, const Value *from)
{
    while (vm->open != NULL && vm->open->at >= from) {
        Cell *cell = vm->open;
        vm->open = cell->below;
        cell->closed = *cell->at;
        *cell->at = NIL;
        cell->at = &cell->closed;
        hg_release(vm->world, cell);
    }
}

/* ---- calls ---- */

static bool enter(Machine *vm, Closure *closure, int count)
{
    Value *base = vm->top - count - 1;
    if ((uint32_t)count != closure->function->arity) {
        vm_fail(vm, "%s() takes %u arguments, not %d",
                closure->function->name == NULL ? ""
                                                : closure->function->name->text,
                closure->function->arity, count);
        return false;
    }
    if (vm->frames == FRAMES || vm->top - vm->stack > STACK - 600) {
        vm_fail(vm, "calls nested too deeply");
        return false;
    }
    vm->frame[vm->frames++] =
        (struct frame){hg_retain(closure), closure->function->code, base};
    return true;
}

static bool call_native(Machine *vm, const Native *native, Value self, int count)
{
    if (native->arity >= 0 && native->arity != count) {
        vm_fail(vm, "%s() takes %d arguments, not %d", native->name, native->arity,
                count);
        return false;
    }
    Value *base = vm->top - count - 1;
    Value result = native->call(vm, self, count, base + 1);
    if (result == ABSENT)
        return false;
    pop_to(vm, base);
    push(vm, result);
    return true;
}

static Value *find_method(const Class *class, Value name)
{
    for (; class != NULL; class = class->base) {
        Value *found = map_find(class->methods, name);
        if (found != NULL)
            return found;
    }
    return NULL;
}

static bool call_value(Machine *vm, Value callee, int count);

/* What is called stands below the arguments; slot 0 becomes `self`. */
static bool call_method(Machine *vm, Value self, Value method, int count)
{
    Value *base = vm->top - count - 1;
    Value old = *base;
    Native *native = as_a(method, &Native_type);
    keep(method);
    *base = keep(self);
    drop(vm->world, old);
    bool called = native != NULL ? call_native(vm, native, *base, count)
                                 : call_value(vm, method, count);
    drop(vm->world, method);
    return called;
}

static bool call_class(Machine *vm, Class *class, int count)
{
    Instance *made = new_object(vm, &Instance_type);
    hg_set(vm->world, &made->class, class);
    hg_move(vm->world, &made->fields, new_object(vm, &Map_type));
    Value *base = vm->top - count - 1;
    Value *init = find_method(class, from_object(vm->init));
    if (init != NULL) {
        bool called = call_method(vm, from_object(made), *init, count);
        hg_release(vm->world, made);
        return called;
    }
    if (count != 0) {
        hg_release(vm->world, made);
        vm_fail(vm, "%s() takes no arguments: it has no init", class->name->text);
        return false;
    }
    drop(vm->world, *base);
    *base = from_object(made);
    return true;
}

static bool call_value(Machine *vm, Value callee, int count)
{
    Closure *closure = as_a(callee, &Closure_type);
    if (closure != NULL)
        return enter(vm, closure, count);
    Native *native = as_a(callee, &Native_type);
    if (native != NULL)
        return call_native(vm, native, NIL, count);
    Class *class = as_a(callee, &Class_type);
    if (class != NULL)
        return call_class(vm, class, count);
    Bound *bound = as_a(callee, &Bound_type);
    if (bound != NULL)
        return call_method(vm, bound->self, bound->method, count);
    vm_fail(vm, "a %s cannot be called", type_name(callee));
    return false;
}

/* ---- fields and items ---- */

static Value bind(Machine *vm, Value self, Value method)
{
    Bound *bound = new_object(vm, &Bound_type);
    bound->self = keep(self);
    bound->method = keep(method);
    return from_object(bound);
}

static const Map *methods_of(Machine *vm, Value v)
{
    return as_a(v, &String_type) != NULL ? vm->methods[0]
           : as_a(v, &List_type) != NULL ? vm->methods[1]
           : as_a(v, &Map_type) != NULL  ? vm->methods[2]
                                         : NULL;
}

/* On loan; *is_method: to be bound.  NULL: there is none. */
static Value *find_field(Machine *vm, Value object, Value name, bool *is_method)
{
    *is_method = false;
    Module *module = as_a(object, &Module_type);
    if (module != NULL)
        return map_find(module->globals, name);
    Instance *instance = as_a(object, &Instance_type);
    if (instance != NULL) {
        Value *field = map_find(instance->fields, name);
        if (field != NULL)
            return field;
        *is_method = true;
        return find_method(instance->class, name);
    }
    *is_method = true;
    const Map *methods = methods_of(vm, object);
    return methods == NULL ? NULL : map_find(methods, name);
}

static void fail_field(Machine *vm, Value object, Value name)
{
    vm_fail(vm, "a %s has no '%s'", type_name(object),
            ((String *)as_object(name))->text);
}

static bool get_field(Machine *vm, Value name)
{
    bool is_method;
    Value object = vm->top[-1];
    Value *found = find_field(vm, object, name, &is_method);
    if (found == NULL) {
        fail_field(vm, object, name);
        return false;
    }
    vm->top[-1] = is_method ? bind(vm, object, *found) : keep(*found);
    drop(vm->world, object);
    return true;
}

static bool set_field(Machine *vm, Value name)
{
    Instance *instance = as_a(vm->top[-2], &Instance_type);
    Module *module = as_a(vm->top[-2], &Module_type);
    if (instance == NULL && module == NULL) {
        vm_fail(vm, "a %s has no fields", type_name(vm->top[-2]));
        return false;
    }
    map_set(vm, instance != NULL ? instance->fields : module->globals, name,
            vm->top[-1]);
    Value value = pop(vm);
    pop_drop(vm);
    push(vm, value);
    return true;
}

static bool invoke(Machine *vm, Value name, int count)
{
    bool is_method;
    Value object = vm->top[-1 - count];
    Value *found = find_field(vm, object, name, &is_method);
    if (found == NULL) {
        fail_field(vm, object, name);
        return false;
    }
    if (is_method)
        return call_method(vm, object, *found, count);
    Value old = object;
    Value callee = vm->top[-1 - count] = keep(*found);
    drop(vm->world, old);
    return call_value(vm, callee, count);
}

/* An index among `count` items, from the end if negative; -1 after vm_fail(). */
static int64_t item_index(Machine *vm, const char *of, uint32_t count, Value index)
{
    if (!is_number(index)) {
        vm_fail(vm, "a %s as a %s's index", type_name(index), of);
        return -1;
    }
    double number = as_number(index);
    double at = number < 0 ? number + count : number;
    if (at >= 0 && at < count && at == floor(at))
        return (int64_t)at;
    vm_fail(vm, "index %.14g of a %s of %u", number, of, count);
    return -1;
}

static bool get_item(Machine *vm)
{
    Value of = vm->top[-2], index = vm->top[-1], result = NIL;
    List *list = as_a(of, &List_type);
    Map *map = as_a(of, &Map_type);
    String *string = as_a(of, &String_type);
    if (list != NULL) {
        int64_t at = item_index(vm, "list", list->count, index);
        if (at < 0)
            return false;
        result = keep(list->item[at]);
    } else if (map != NULL) {
        Value *found = is_key(index) ? map_find(map, index) : NULL;
        result = found == NULL ? NIL : keep(*found);
    } else if (string != NULL) {
        int64_t at = item_index(vm, "string", string->head.length - 1, index);
        if (at < 0)
            return false;
        result = from_object(string_new(vm, string->text + at, 1));
    } else {
        vm_fail(vm, "a %s has no items", type_name(of));
        return false;
    }
    pop_drop(vm);
    pop_drop(vm);
    push(vm, result);
    return true;
}

static bool set_item(Machine *vm)
{
    Value of = vm->top[-3], index = vm->top[-2];
    List *list = as_a(of, &List_type);
    Map *map = as_a(of, &Map_type);
    if (list != NULL) {
        int64_t at = item_index(vm, "list", list->count, index);
        if (at < 0)
            return false;
        Value old = list->item[at];
        list->item[at] = keep(vm->top[-1]);
        drop(vm->world, old);
    } else if (map != NULL && is_key(index)) {
        map_set(vm, map, index, vm->top[-1]);
    } else {
        vm_fail(vm, map != NULL ? "a %s as a key" : "items of a %s cannot be set",
                type_name(map != NULL ? index : of));
        return false;
    }
    Value value = pop(vm);
    pop_drop(vm);
    pop_drop(vm);
    push(vm, value);
    return true;
}

/* The next of what a loop goes through: 1, pushed; 0: there is none; -1: failed. */
static int next_item(Machine *vm)
{
    Value of = vm->top[-2];
    uint32_t at = (uint32_t)as_number(vm->top[-1]);
    List *list = as_a(of, &List_type);
    Map *map = as_a(of, &Map_type);
    String *string = as_a(of, &String_type);
    Value item;
    if (list != NULL) {
        if (at >= list->count)
            return 0;
        item = keep(list->item[at]);
    } else if (map != NULL) {
        while (at < map->used && map->entry[at].key == ABSENT)
            at++;
        if (at >= map->used)
            return 0;
        item = keep(map->entry[at].key);
    } else if (string != NULL) {
        if (at + 1 >= string->head.length)
            return 0;
        item = from_object(string_new(vm, string->text + at, 1));
    } else {
        vm_fail(vm, "a %s cannot be gone through", type_name(of));
        return -1;
    }
    vm->top[-1] = from_number(at + 1.0);
    push(vm, item);
    return 1;
}

/* ---- arithmetic ---- */

static bool add(Machine *vm)
{
    Value a = vm->top[-2], b = vm->top[-1];
    String *s = as_a(a, &String_type), *t = as_a(b, &String_type);
    List *l = as_a(a, &List_type), *m = as_a(b, &List_type);
    Value sum;
    if (s != NULL && t != NULL) {
        size_t n = s->head.length - 1, more = t->head.length - 1;
        char *text = resize(NULL, n + more + 1);
        memcpy(text, s->text, n);
        memcpy(text + n, t->text, more);
        sum = from_object(string_new(vm, text, n + more));
        hg_free(text);
    } else if (l != NULL && m != NULL) {
        List *both = new_object(vm, &List_type);
        for (uint32_t i = 0; i < l->count; i++)
            list_add(both, keep(l->item[i]));
        for (uint32_t i = 0; i < m->count; i++)
            list_add(both, keep(m->item[i]));
        sum = from_object(both);
    } else {
        vm_fail(vm, "a %s and a %s cannot be added", type_name(a), type_name(b));
        return false;
    }
    pop_drop(vm);
    pop_drop(vm);
    push(vm, sum);
    return true;
}

static bool less(Machine *vm, bool or_equal)
{
    String *s = as_a(vm->top[-2], &String_type),
           *t = as_a(vm->top[-1], &String_type);
    if (s == NULL || t == NULL) {
        vm_fail(vm, "a %s and a %s cannot be compared", type_name(vm->top[-2]),
                type_name(vm->top[-1]));
        return false;
    }
    int order = strcmp(s->text, t->text);
    pop_drop(vm);
    pop_drop(vm);
    push(vm, from_bool(or_equal ? order <= 0 : order < 0));
    return true;
}

static bool arithmetic(Machine *vm, enum op op)
{
    Value a = vm->top[-2], b = vm->top[-1];
    if (!is_number(a) || !is_number(b)) {
        if (op == OP_ADD)
            return add(vm);
        if (op == OP_LESS || op == OP_LESS_EQUAL)
            return less(vm, op == OP_LESS_EQUAL);
        vm_fail(vm, "numbers are needed, not a %s and a %s", type_name(a),
                type_name(b));
        return false;
    }
    double x = as_number(a), y = as_number(b);
    vm->top--;
    vm->top[-1] = op == OP_ADD        ? from_number(x + y)
                  : op == OP_SUBTRACT ? from_number(x - y)
                  : op == OP_MULTIPLY ? from_number(x * y)
                  : op == OP_DIVIDE   ? from_number(x / y)
                  : op == OP_MODULO   ? from_number(x - y * floor(x / y))
                  : op == OP_LESS     ? from_bool(x < y)
                                      : from_bool(x <= y);
    return true;
}

/* ---- the loop ---- */

static void make_list(Machine *vm, unsigned count)
{
    List *list = new_object(vm, &List_type);
    for (unsigned i = 0; i < count; i++)
        list_add(list, vm->top[(int)i - (int)count]);
    vm->top -= count;
    push(vm, from_object(list));
}

static bool make_map(Machine *vm, size_t count)
{
    Map *map = new_object(vm, &Map_type);
    Value *first = vm->top - 2 * count;
    for (size_t i = 0; i < count; i++) {
        if (!is_key(first[2 * i])) {
            hg_release(vm->world, map);
            vm_fail(vm, "a %s as a key", type_name(first[2 * i]));
            return false;
        }
        map_set(vm, map, first[2 * i], first[2 * i + 1]);
    }
    pop_to(vm, first);
    push(vm, from_object(map));
    return true;
}

static void make_closure(Machine *vm, struct frame *frame, Function *function)
{
    Closure *made = new_closure(vm, function->captures);
    hg_set(vm->world, &made->function, function);
    push(vm, from_object(made));
    for (uint32_t i = 0; i < function->captures; i++) {
        bool local = *frame->at++;
        uint8_t index = *frame->at++;
        made->cell[i] = local ? cell_of(vm, &frame->base[index])
                              : hg_retain(frame->closure->cell[index]);
    }
}

static void make_class(Machine *vm, String *name)
{
    Class *class = new_object(vm, &Class_type);
    hg_set(vm->world, &class->name, name);
    hg_move(vm->world, &class->methods, new_object(vm, &Map_type));
    push(vm, from_object(class));
}

static bool inherit(Machine *vm)
{
    Class *base = as_a(vm->top[-2], &Class_type);
    if (base == NULL) {
        vm_fail(vm, "a %s is no class to inherit from", type_name(vm->top[-2]));
        return false;
    }
    hg_set(vm->world, &((Class *)as_object(vm->top[-1]))->base, base);
    pop_drop(vm);
    return true;
}

static bool get_super(Machine *vm, Value name)
{
    Value *method = find_method(as_object(vm->top[-1]), name);
    if (method == NULL) {
        vm_fail(vm, "the base has no '%s'", ((String *)as_object(name))->text);
        return false;
    }
    Value bound = bind(vm, vm->top[-2], *method);
    pop_drop(vm);
    pop_drop(vm);
    push(vm, bound);
    return true;
}

static Value *find_global(Machine *vm, const struct frame *frame, Value name)
{
    Value *found = map_find(frame->closure->function->module->globals, name);
    return found != NULL ? found : map_find(vm->builtins, name);
}

static void set_variable(Machine *vm, Value *variable)
{
    Value old = *variable;
    *variable = keep(vm->top[-1]);
    drop(vm->world, old);
}

/* True: the frame that `frames` counted at first is done, its value on the stack.
 */
static bool leave(Machine *vm, int frames)
{
    struct frame *frame = &vm->frame[vm->frames - 1];
    Value result = pop(vm);
    close_cells(vm, frame->base);
    pop_to(vm, frame->base);
    hg_release(vm->world, frame->closure);
    vm->frames--;
    push(vm, result);
    return vm->frames == frames;
}

static void unwind(Machine *vm, int frames)
{
    while (vm->frames > frames) {
        struct frame *frame = &vm->frame[vm->frames - 1];
        close_cells(vm, frame->base);
        pop_to(vm, frame->base);
        hg_release(vm->world, frame->closure);
        vm->frames--;
    }
}

static bool step_simple(Machine *vm, struct frame *frame, enum op op);

/* Until as many frames are left as `frames`; then the result is on the stack. */
static bool run(Machine *vm, int frames)
{
    for (;;) {
        struct frame *frame = &vm->frame[vm->frames - 1];
        enum op op = *frame->at++;
        if (op == OP_RETURN) {
            if (leave(vm, frames))
                return true;
        } else if (!step_simple(vm, frame, op)) {
            unwind(vm, frames);
            return false;
        }
    }
}

static unsigned read2(struct frame *frame)
{
    unsigned number = (unsigned)(frame->at[0] << 8 | frame->at[1]);
    frame->at += 2;
    return number;
}

static Value read_constant(struct frame *frame)
{
    return frame->closure->function->constant[read2(frame)];
}

static bool step_simple(Machine *vm, struct frame *frame, enum op op)
{
    unsigned number;
    Value v, *found;
    switch (op) {
    case OP_CONSTANT:
        push(vm, keep(read_constant(frame)));
        return true;
    case OP_NIL:
        push(vm, NIL);
        return true;
    case OP_TRUE:
        push(vm, TRUE);
        return true;
    case OP_FALSE:
        push(vm, FALSE);
        return true;
    case OP_POP:
        pop_drop(vm);
        return true;
    case OP_GET_LOCAL:
        push(vm, keep(frame->base[read2(frame)]));
        return true;
    case OP_SET_LOCAL:
        set_variable(vm, &frame->base[read2(frame)]);
        return true;
    case OP_GET_CELL:
        push(vm, keep(*frame->closure->cell[read2(frame)]->at));
        return true;
    case OP_SET_CELL:
        set_variable(vm, frame->closure->cell[read2(frame)]->at);
        return true;
    case OP_GET_GLOBAL:
    case OP_SET_GLOBAL:
        v = read_constant(frame);
        found = find_global(vm, frame, v);
        if (found == NULL) {
            vm_fail(vm, "nothing is called '%s'", ((String *)as_object(v))->text);
            return false;
        }
        if (op == OP_GET_GLOBAL)
            push(vm, keep(*found));
        else
            map_set(vm, frame->closure->function->module->globals, v, vm->top[-1]);
        return true;
    case OP_DEFINE:
        map_set(vm, frame->closure->function->module->globals, read_constant(frame),
                vm->top[-1]);
        pop_drop(vm);
        return true;
    case OP_GET_FIELD:
        return get_field(vm, read_constant(frame));
    case OP_SET_FIELD:
        return set_field(vm, read_constant(frame));
    case OP_GET_SUPER:
        return get_super(vm, read_constant(frame));
    case OP_GET_ITEM:
        return get_item(vm);
    case OP_SET_ITEM:
        return set_item(vm);
    case OP_EQUAL:
        v = from_bool(is_equal(vm->top[-2], vm->top[-1]));
        pop_drop(vm);
        pop_drop(vm);
        push(vm, v);
        return true;
    case OP_LESS:
    case OP_LESS_EQUAL:
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
    case OP_DIVIDE:
    case OP_MODULO:
        return arithmetic(vm, op);
    case OP_NOT:
        v = pop(vm);
        push(vm, from_bool(!is_true(v)));
        drop(vm->world, v);
        return true;
    case OP_NEGATE:
        if (!is_number(vm->top[-1])) {
            vm_fail(vm, "a %s cannot be negated", type_name(vm->top[-1]));
            return false;
        }
        vm->top[-1] = from_number(-as_number(vm->top[-1]));
        return true;
    case OP_JUMP:
        number = read2(frame);
        frame->at += number;
        return true;
    case OP_JUMP_IF_FALSE:
        number = read2(frame);
        if (!is_true(vm->top[-1]))
            frame->at += number;
        return true;
    case OP_LOOP:
        number = read2(frame);
        frame->at -= number;
        return true;
    case OP_NEXT: {
        number = read2(frame);
        int more = next_item(vm);
        if (more == 0)
            frame->at += number;
        return more >= 0;
    }
    case OP_CALL:
        number = *frame->at++;
        return call_value(vm, vm->top[-1 - (int)number], (int)number);
    case OP_INVOKE:
        v = read_constant(frame);
        number = *frame->at++;
        return invoke(vm, v, (int)number);
    case OP_CLOSURE:
        make_closure(vm, frame, as_object(read_constant(frame)));
        return true;
    case OP_CLOSE:
        close_cells(vm, vm->top - 1);
        pop_drop(vm);
        return true;
    case OP_LIST:
        make_list(vm, read2(frame));
        return true;
    case OP_MAP:
        return make_map(vm, read2(frame));
    case OP_CLASS:
        make_class(vm, as_object(read_constant(frame)));
        return true;
    case OP_INHERIT:
        return inherit(vm);
    case OP_METHOD: {
        v = read_constant(frame);
        Class *class = as_object(vm->top[-2]);
        map_set(vm, class->methods, v, vm->top[-1]);
        pop_drop(vm);
        return true;
    }
    case OP_IMPORT: {
        Module *module = module_import(vm, frame->closure->function->module,
                                       as_object(vm->top[-1]));
        if (module == NULL)
            return false;
        pop_drop(vm);
        push(vm, from_object(hg_retain(module)));
        return true;
    }
    case OP_RETURN:
        break;
    }
    vm_fail(vm, "an unknown instruction");
    return false;
}

Value vm_call(Machine *vm, Value callee, int count, const Value *argument)
{
    int frames = vm->frames;
    push(vm, keep(callee));
    for (int i = 0; i < count; i++)
        push(vm, keep(argument[i]));
    if (!call_value(vm, callee, count))
        return ABSENT; /* what was pushed goes with the caller's frame */
    if (vm->frames > frames && !run(vm, frames))
        return ABSENT;
    return pop(vm);
}

bool vm_run(Machine *vm, Module *module, const char *source, Value *result)
{
    Value *top = vm->top;
    Function *function = compile(vm, module, source);
    if (function == NULL)
        return false;
    Closure *closure = new_closure(vm, 0);
    hg_move(vm->world, &closure->function, function);
    Value value = vm_call(vm, from_object(closure), 0, NULL);
    hg_release(vm->world, closure);
    if (value == ABSENT) {
        pop_to(vm, top);
        return false;
    }
    if (result != NULL)
        *result = value;
    else
        drop(vm->world, value);
    return true;
}

/* ---- modules ---- */

Module *module_new(Machine *vm, const char *name)
{
    Module *module = new_object(vm, &Module_type);
    hg_move(vm->world, &module->name, string_new(vm, name, strlen(name)));
    hg_move(vm->world, &module->globals, new_object(vm, &Map_type));
    return module;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    char *text = NULL;
    size_t length = 0, got;
    do {
        text = resize(text, length + 65537);
        got = fread(text + length, 1, 65536, file);
        length += got;
    } while (got > 0);
    text[length] = 0;
    fclose(file);
    return text;
}

/* Beside the file that imports it. */
Module *module_import(Machine *vm, Module *from, String *path)
{
    char full[PATH_MAX];
    const char *slash = strrchr(from->name->text, '/');
    int folder = slash == NULL || path->text[0] == '/'
                     ? 0
                     : (int)(slash + 1 - from->name->text);
    snprintf(full, sizeof full, "%.*s%s", folder, from->name->text, path->text);
    String *name = string_new(vm, full, strlen(full));
    Value *known = map_find(vm->modules, from_object(name));
    hg_release(vm->world, name);
    if (known != NULL)
        return as_object(*known);
    char *source = read_file(full);
    if (source == NULL) {
        vm_fail(vm, "cannot read %s", full);
        return NULL;
    }
    Module *module = module_new(vm, full);
    map_set(vm, vm->modules, from_object(module->name), from_object(module));
    hg_release(vm->world, module); /* the map has it */
    bool interactive = vm->interactive;
    vm->interactive = false;
    bool done = vm_run(vm, module, source, NULL);
    vm->interactive = interactive;
    hg_free(source);
    if (done)
        return module;
    map_remove(vm, vm->modules, from_object(module->name));
    return NULL;
}

/* ---- the machine ---- */

Machine *vm_new(void)
{
    Machine *vm = hg_calloc(1, sizeof *vm);
    if (vm == NULL || (vm->world = hg_world_new()) == NULL)
        abort();
    vm->top = vm->stack;
    vm->root = hg_root_new(vm->world, "machine");
    List *kept = new_object(vm, &List_type);
    hg_move(vm->world, &vm->root->target, kept);
    vm->modules = new_object(vm, &Map_type);
    vm->builtins = new_object(vm, &Map_type);
    vm->init = string_new(vm, "init", 4);
    list_add(kept, from_object(vm->modules));
    list_add(kept, from_object(vm->builtins));
    list_add(kept, from_object(vm->init));
    for (int i = 0; i < 3; i++) {
        vm->methods[i] = new_object(vm, &Map_type);
        list_add(kept, from_object(vm->methods[i]));
    }
    library_open(vm);
    return vm;
}

void vm_free(Machine *vm)
{
    hg_release(vm->world, vm->root);
    hg_world_free(vm->world);
    hg_free(vm);
}
