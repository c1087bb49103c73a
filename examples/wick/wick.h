/* SPDX-License-Identifier: MIT */
/*
 * wick.h - Wick, a small language; every value of it is an object of Heapglass, or
 * fits into a word.
 *
 * A value is a double, or hidden in the room that doubles leave for "not a number":
 * nil, true, false and references.  So a field may hold a reference or not, and
 * types with such fields have a traverse function; the others name their
 * references.
 *
 * Whoever has a Value in a variable either owns a reference or has it on loan from
 * something that does: functions here lend their parameters and give their results,
 * where nothing else is said.  There are no roots to keep and no write barrier:
 * what the stack owns is counted, and that is all the collector needs to know.
 */
#ifndef WICK_H
#define WICK_H

#include <heapglass/object.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t Value;

#define QUIET 0x7FFC000000000000u
#define OBJECT 0xFFFC000000000000u
#define NIL ((Value)(QUIET | 1))
#define FALSE ((Value)(QUIET | 2))
#define TRUE ((Value)(QUIET | 3))
#define ABSENT ((Value)(QUIET | 4)) /* no value of the language */

static inline bool is_object(Value v)
{
    return (v & OBJECT) == OBJECT;
}

static inline bool is_number(Value v)
{
    return (v & QUIET) != QUIET;
}

static inline double as_number(Value v)
{
    double number;
    memcpy(&number, &v, sizeof number);
    return number;
}

static inline Value from_number(double number)
{
    Value v;
    memcpy(&v, &number, sizeof v);
    return v;
}

static inline void *as_object(Value v)
{
    return (void *)(uintptr_t)(v & ~OBJECT);
}

static inline Value from_object(const void *object)
{
    return OBJECT | (Value)(uintptr_t)object;
}

static inline Value from_bool(bool truth)
{
    return truth ? TRUE : FALSE;
}

static inline Value keep(Value v)
{
    if (is_object(v))
        hg_retain(as_object(v));
    return v;
}

static inline void drop(hg_world *world, Value v)
{
    if (is_object(v))
        hg_release(world, as_object(v));
}

/* NULL when it is no object of the type. */
static inline void *as_a(Value v, const hg_type *type)
{
    if (!is_object(v) || ((const hg_object *)as_object(v))->type != type)
        return NULL;
    return as_object(v);
}

/* ---- objects ---- */

typedef struct {
    hg_object head; /* head.length: bytes of `text`, with the ending 0 */
    uint32_t hash;
    char text[];
} String;

typedef struct {
    hg_object head;
    Value *item;
    uint32_t count, room;
} List;

/* In the order of insertion; a removed entry has the key ABSENT. */
typedef struct {
    hg_object head;
    struct entry {
        Value key, value;
    } * entry;
    uint32_t used, live, room;
    uint32_t *index; /* by hash: 1 + index of an entry, or 0; 2 * room of them */
} Map;

typedef struct {
    hg_object head;
    String *name;
    Map *globals;
} Module;

typedef struct {
    hg_object head;
    String *name; /* NULL: the module's own code */
    Module *module;
    uint8_t *code;
    uint32_t *line; /* of each byte of code */
    uint32_t bytes, code_room;
    Value *constant;
    uint32_t constants, constant_room;
    uint32_t arity, captures;
} Function;

/* A variable that a closure uses after its function has returned, or may. */
typedef struct Cell {
    hg_object head;
    Value *at; /* on the stack, or `closed` */
    Value closed;
    struct Cell *below; /* the next one that is open; a loan */
} Cell;

typedef struct {
    hg_object head; /* items: a Cell each */
    Function *function;
    Cell *cell[];
} Closure;

typedef struct Class {
    hg_object head;
    String *name;
    struct Class *base;
    Map *methods;
} Class;

typedef struct {
    hg_object head;
    Class *class;
    Map *fields;
} Instance;

/* A method with its object. */
typedef struct {
    hg_object head;
    Value self;
    Value method;
} Bound;

struct Machine;
/* Returns ABSENT after vm_fail(). */
typedef Value native_call(struct Machine *vm, Value self, int count,
                          Value *argument);

typedef struct {
    hg_object head;
    const char *name;
    native_call *call;
    int arity; /* -1: any */
} Native;

extern const hg_type String_type, List_type, Map_type, Module_type, Function_type,
    Cell_type, Closure_type, Class_type, Instance_type, Bound_type, Native_type;

/* ---- the machine ---- */

enum { FRAMES = 1000, STACK = 64 * 1024 };

struct frame {
    Closure *closure;
    uint8_t *at;
    Value *base; /* what was called, then the parameters and variables */
};

typedef struct Machine {
    hg_world *world;
    hg_root *root;    /* keeps all that is not on the stack: a list */
    Map *modules;     /* by path; loans from the root's */
    Map *builtins;    /* names that every module sees */
    Map *methods[3];  /* of strings, lists, maps */
    String *init;     /* "init" */
    Value *top;       /* one above the last value */
    Cell *open;       /* cells of variables on the stack, the highest first */
    bool debugs;      /* objects know their line */
    bool interactive; /* the value of a line is shown */
    bool unfinished;  /* more lines may mend what did not compile */
    int frames;
    struct frame frame[FRAMES];
    Value stack[STACK];
    char error[4096]; /* message and trace */
} Machine;

/* value.c.  Memory that does not suffice ends the program: `out of memory`. */
void *new_object(Machine *vm, const hg_type *type);
Closure *new_closure(Machine *vm, uint32_t captures);
void *resize(void *block, size_t bytes);
String *string_new(Machine *vm, const char *text, size_t bytes);
String *string_of(Machine *vm, Value v); /* as print() shows it */
const char *type_name(Value v);          /* of an instance its class's; a loan */
bool is_true(Value v);
bool is_equal(Value a, Value b);
void list_add(List *list, Value v);         /* takes the reference */
bool is_key(Value v);                       /* strings, numbers, nil, true, false */
Value *map_find(const Map *map, Value key); /* NULL: not there */
void map_set(Machine *vm, Map *map, Value key, Value value);
bool map_remove(Machine *vm, Map *map, Value key);

/* compile.c: NULL after an error, which is in vm->error. */
Function *compile(Machine *vm, Module *module, const char *source);

/* vm.c */
Machine *vm_new(void);
void vm_free(Machine *vm);
/* False: vm->error tells. */
bool vm_run(Machine *vm, Module *module, const char *source, Value *result);
Value vm_call(Machine *vm, Value callee, int count, const Value *argument);
void vm_fail(Machine *vm, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
Module *module_new(Machine *vm, const char *name);
Module *module_import(Machine *vm, Module *from,
                      String *path); /* a loan; NULL: failed */

/* library.c */
void library_open(Machine *vm);

enum op {
    OP_CONSTANT, /* index (2 bytes), as wherever there is one */
    OP_NIL,
    OP_TRUE,
    OP_FALSE,
    OP_POP,
    OP_GET_LOCAL, /* slot */
    OP_SET_LOCAL,
    OP_GET_GLOBAL, /* name */
    OP_SET_GLOBAL,
    OP_DEFINE,
    OP_GET_CELL, /* index */
    OP_SET_CELL,
    OP_GET_FIELD, /* name */
    OP_SET_FIELD,
    OP_GET_SUPER,
    OP_GET_ITEM,
    OP_SET_ITEM,
    OP_EQUAL,
    OP_LESS,
    OP_LESS_EQUAL,
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_DIVIDE,
    OP_MODULO,
    OP_NOT,
    OP_NEGATE,
    OP_JUMP, /* distance (2 bytes) */
    OP_JUMP_IF_FALSE,
    OP_LOOP,
    OP_NEXT,    /* distance; on the stack: what is gone through, and how far */
    OP_CALL,    /* count (1 byte) */
    OP_INVOKE,  /* name, count */
    OP_CLOSURE, /* function; then for each cell: 1 if a variable of ours; index */
    OP_CLOSE,
    OP_RETURN,
    OP_LIST, /* how many */
    OP_MAP,
    OP_CLASS, /* name */
    OP_INHERIT,
    OP_METHOD, /* name */
    OP_IMPORT, /* path */
};

#endif
