/* SPDX-License-Identifier: MIT */
/*
 * recycle_lists.h - where the free lists are and whether that was proved; shared by
 * recycle_find.c, which proves it, and recycle.c, which switches them off.
 */
#ifndef HG_ADAPT_CPYTHON_RECYCLE_LISTS_H
#define HG_ADAPT_CPYTHON_RECYCLE_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The beginnings of PyObject, PyTypeObject and PyGC_Head, the same from 3.8 to 3.14
   (builds with the GIL). */
struct object {
    intptr_t refcount;
    struct type *type;
};

struct type {
    struct object head;
    intptr_t size;
    const char *name;
    intptr_t basic_size, item_size;
    void (*dealloc)(struct object *);
    void *others[16];
    int (*traverse)(struct object *, int (*visit)(struct object *, void *), void *);
    void *more[5];
    const struct method *methods;
};

struct method {
    const char *name;
    struct object *(*call)(struct object *self, struct object *argument);
    int flags;
    const char *doc;
};

struct gc_head {
    uintptr_t next, previous;
};

_Static_assert(offsetof(struct type, dealloc) == 48, "tp_dealloc");
_Static_assert(offsetof(struct type, traverse) == 184, "tp_traverse");
_Static_assert(offsetof(struct type, methods) == 232, "tp_methods");

enum { TUPLES = 20 }; /* the longest tuple that is recycled */

enum list_name {
    LIST_FLOAT,
    LIST_TUPLE, /* of length 1; the longer ones follow */
    LIST_LIST = LIST_TUPLE + TUPLES,
    LIST_DICT,
    LIST_KEYS,
    LIST_CONTEXT,
    LIST_SLICE,
    LIST_VALUE, /* what asynchronous generators wrap the values they yield in */
    LIST_ASEND, /* what their __anext__ and asend return */
    LISTS
};

enum list_shape {
    SHAPE_CHAIN, /* *head is the last block pushed, a word of it the one before */
    SHAPE_ARRAY, /* head[0] to head[*count - 1] */
    SHAPE_CACHE, /* *head is one block or NULL; there is no count */
};

enum list_off {
    OFF_NOT,       /* left on */
    OFF_COUNT,     /* a count at which CPython neither pushes nor pops */
    OFF_DISGUISE,  /* dying objects wear another type, so CPython does not know them
                    */
    OFF_TAKE_BACK, /* what was pushed is freed before anything else can happen */
};

struct free_list {
    const char *name;
    void **head;
    int *count;
    uint8_t shape;
    uint8_t link;      /* CHAIN: the word of the object that holds the next */
    uint8_t how;       /* enum list_off, once it is off */
    bool never_popped; /* up to 3.12 tuples of 20 are pushed but not popped */
    bool proved;       /* of helpers: one was seen to be pushed */
    int made;          /* blocks that the proof made and that rest in the list */
};

/* The interpreter's functions and types; every one was found, or `ready` is false.
 */
struct interpreter {
    bool ready;
    int minor;
    bool own_locks;  /* other interpreters may run while we do: 3.12 and later */
    void *main;      /* the main interpreter's state */
    int *collecting; /* set while its collector works; NULL: not known where */

    struct object *(*float_new)(double);
    struct object *(*tuple_new)(intptr_t);
    struct object *(*list_new)(intptr_t);
    struct object *(*dict_new)(void);
    int (*dict_set)(struct object *, struct object *, struct object *);
    void (*dict_clear)(struct object *);
    struct object *(*context_new)(void);
    struct object *(*slice_new)(struct object *, struct object *, struct object *);
    struct object *(*text_new)(const char *);
    void (*drop)(struct object *);
    void *(*object_malloc)(size_t);
    void (*object_free)(void *);
    void (*mem_free)(void *);
    void (*gc_del)(void *);
    void (*gc_untrack)(void *);
    int (*gc_disable)(void);
    int (*gc_enable)(void);
    struct object *(*error_occurred)(void);
    void (*error_clear)(void);
    void *(*interpreter_main)(void);
    void *(*interpreter_of)(void *state);
    int (*is_finalizing)(void);
    void *(*state_get)(void);                    /* NULL: nobody holds the GIL */
    int (*trash_begin)(void *, struct object *); /* up to 3.12, or NULL */
    void (*trash_end)(void *);
    struct object *none;
    struct type *base_type, *type_type, *tuple_type, *list_type, *dict_type,
        *context_type, *slice_type, *module_type;
    struct type *asend_type, *value_type; /* or NULL */
    size_t type_bytes;                    /* sizeof(PyTypeObject) */
};

extern struct interpreter ip;
extern struct free_list lists[LISTS];

enum { DICT_KEYS = 4 }; /* the word of a dict that names its table of keys */

static inline bool in_main(void)
{
    void *state = ip.state_get();
    return state != NULL && ip.interpreter_of(state) == ip.main;
}

/*
 * Fill `ip` and `lists`.  A list whose place was not proved has no head.  NULL, or
 * why nothing could be found.  Runs no collection and no Python code.
 */
const char *lists_find(void);

/* Make an object whose death pushes a block to `list`; it takes one from there if
   there is one.  NULL: no memory; the exception is cleared. */
struct object *list_make(struct free_list *list);

/* Let go of what list_make() gave. */
void list_drop(const struct free_list *list, struct object *object);

/* The block pushed last, for which the count must be above 0, or NULL. */
void *list_top(const struct free_list *list);

/*
 * Free a block that is no longer in its list.  The collector counts objects that
 * come from malloc up, and down when they go.  `counted`: this one is to be counted
 * down.
 */
void list_free_block(const struct free_list *list, void *block, bool counted);

/* Free all blocks of a list that has been on.  Pushing did not count them down, and
   nothing would have: only those that the proof had made are. */
void list_empty(struct free_list *list);

/* The same for what was pushed to a list that should be off. */
void list_take_back(struct free_list *list);

/* Keys of dicts up to 3.12: recycle_keys.c.  What is at *keys_count is never below
   0, and when it is above, keys_take_back() is to be called. */
extern int *keys_count;
void keys_take_back(void);
void keys_off(void); /* when dicts are off */
void keys_on(void);

#endif
