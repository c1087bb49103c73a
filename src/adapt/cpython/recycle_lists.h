/* SPDX-License-Identifier: MIT */
/*
 * recycle_lists.h - where the free lists are and whether that was proved; shared by
 * recycle_find.c and recycle_prove.c, which tell, recycle_keys.c, and recycle.c,
 * which switches them off.
 */
#ifndef HG_ADAPT_CPYTHON_RECYCLE_LISTS_H
#define HG_ADAPT_CPYTHON_RECYCLE_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The beginnings of PyObject, PyTypeObject, PyMethodDef and PyGC_Head, the same
   from 3.8 to 3.15 (builds with the GIL). */
struct object {
    intptr_t refcount;
    struct type *type;
};

struct method {
    const char *name;
    struct object *(*call)(struct object *self, struct object *argument);
    int flags;
    const char *doc;
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
    LISTS_313,  /* that many up to 3.13 */
    LIST_INT = LISTS_313,
    LIST_LIST_ITERATOR,
    LIST_TUPLE_ITERATOR,
    LIST_RANGE,
    LIST_RANGE_ITERATOR,
    LIST_FUTURE_ITERATOR,
    LIST_CHUNK, /* of the collector's stack */
    LIST_WRITER,
    LIST_FUNCTION,
    LIST_CLASS_METHOD, /* PyCMethodObject */
    LIST_METHOD,
    LISTS_314, /* that many in 3.14 */
    LIST_COMPLEX = LISTS_314,
    LIST_BYTES_WRITER,
    LISTS
};

enum list_shape {
    SHAPE_CHAIN, /* *head is the last block pushed, a word of it the one before */
    SHAPE_ARRAY, /* head[0] to head[count - 1] */
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
    void **head; /* NULL: not there, or it is not what it should be */
    void *count; /* an int, or an intptr_t if it is wide */
    bool wide;
    uint8_t shape;
    uint8_t link;      /* CHAIN: the word of the object that holds the next */
    uint8_t how;       /* enum list_off, once it is off */
    bool never_popped; /* up to 3.12 tuples of 20 are pushed but not popped */
    bool proved;       /* one was seen to be pushed; else its place looks right */
    int made;          /* blocks that the proof made and that rest in the list */
};

/* The interpreter's functions and types. */
struct interpreter {
    bool usable; /* a version whose objects and types are as above */
    int minor;
    int lists;       /* so many lists it has */
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
    struct object *(*int_new)(long);
    struct object *(*iterator_of)(struct object *);
    struct object *(*call)(struct object *, ...);
    struct object *(*method_new)(struct object *, struct object *);
    struct object *(*function_new)(struct method *, struct object *,
                                   struct object *, struct type *);
    void *(*writer_new)(intptr_t);
    void (*writer_drop)(void *);
    struct object *(*complex_new)(double, double);
    void *(*bytes_writer_new)(intptr_t);
    void (*bytes_writer_drop)(void *);
    struct object *(*sys_get)(const char *);
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
    void *(*state_get)(void); /* NULL: nobody holds the GIL */
    int (*is_finalizing)(void);
    int (*trash_begin)(void *, struct object *); /* up to 3.12, or NULL */
    void (*trash_end)(void *);
    struct object *none;
    struct type *base_type, *type_type, *tuple_type, *list_type, *dict_type,
        *context_type, *slice_type, *range_type, *module_type;
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

static inline intptr_t list_count(const struct free_list *list)
{
    return list->wide ? *(const intptr_t *)list->count : *(const int *)list->count;
}

static inline void list_set_count(const struct free_list *list, intptr_t count)
{
    if (list->wide)
        *(intptr_t *)list->count = count;
    else
        *(int *)list->count = (int)count;
}

/*
 * Fill `ip` and `lists`, and prove them.  A list that is not what it should be has
 * no head.  NULL, or why nothing could be found.  Runs no collection and no Python
 * code.
 */
const char *lists_find(void);

/* Prove lists that were placed, and find the types of those that cannot be. Finding
   takes a list: one is in store once lists are proved, and is not counted. */
void lists_prove(void);
void lists_find_types(void);

/* Whether list_make() knows how. */
bool list_can_make(const struct free_list *list);

/* Make an object whose death pushes a block to `list`; it takes one from there if
   there is one.  NULL: no memory; the exception is cleared. */
struct object *list_make(const struct free_list *list);

/* Let go of what list_make() gave. */
void list_drop(const struct free_list *list, struct object *object);

/* The block pushed last, for which the count must be above 0, or NULL. */
void *list_top(const struct free_list *list);

/* Free all blocks of a list that has been on.  The collector counts objects that
   come from malloc up, and down when they go.  Pushing did not count these down,
   and nothing would have: only those that the proof had made are. */
void list_empty(struct free_list *list);

/* The same for what was pushed to a list that should be off: all are counted down.
 */
void list_take_back(struct free_list *list);

/* Keys of dicts up to 3.12: recycle_keys.c.  What is at *keys_count is never below
   0, and when it is above, keys_take_back() is to be called. */
extern int *keys_count;
void keys_take_back(void);
void keys_off(void); /* when dicts are off */
void keys_on(void);

#endif
