/* SPDX-License-Identifier: MIT */
/* python.h - the interpreter in this process, found by its exported symbols. */
#ifndef HG_ADAPT_CPYTHON_PYTHON_H
#define HG_ADAPT_CPYTHON_PYTHON_H

#include "adapt/cpython/layout.h"

#include "base/base.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct py_object py_object; /* a PyObject, opaque */

/* PyMemAllocatorEx, as every CPython since 3.5 declares it. */
struct py_allocator {
    void *context;
    void *(*malloc)(void *context, size_t bytes);
    void *(*calloc)(void *context, size_t count, size_t bytes);
    void *(*realloc)(void *context, void *block, size_t bytes);
    void (*free)(void *context, void *block);
};

/* PyObjectArenaAllocator, as every CPython since 3.4 declares it. */
struct py_arenas {
    void *context;
    void *(*alloc)(void *context, size_t bytes);
    void (*free)(void *context, void *start, size_t bytes);
};

enum py_domain { PY_RAW, PY_MEM, PY_OBJ, PY_DOMAINS };

/* The library is loaded into programs that are not Python, too: nothing of the
   interpreter's may be an undefined symbol of ours. */
struct python {
    const struct py_layout *layout; /* NULL: a version without a row */
    bool debug_build;               /* asserts about its frames */
    bool may_mark;                  /* frames; not before guard_marks() */
    char *runtime;                  /* &_PyRuntime */
    void **state; /* &current thread state, where it is a word of it */
    void *none;
    const void *frame_type, *code_type, *text_type, *bytes_type;

    const char *(*get_version)(void);
    int (*is_initialized)(void);
    int (*is_finalizing)(void);
    int (*add_pending_call)(int (*call)(void *), void *arg);
    void *(*current_state)(void); /* the lock's holder's; NULL: nobody's */
    void *(*this_threads_state)(void);
    void *(*main_interp)(void);
    void (*get_allocator)(int domain, struct py_allocator *out);
    void (*set_allocator)(int domain, struct py_allocator *in);
    void (*get_arenas)(struct py_arenas *out);
    void (*set_arenas)(struct py_arenas *in);
    int (*code_line)(void *code, int offset_bytes);
    long (*text_length)(void *text);
    unsigned (*text_char)(void *text, long index);
    void (*keep)(void *object);    /* one reference more */
    void (*release)(void *object); /* one less; or NULL */
    void *(*get_attribute)(void *object, const char *name);
    long (*int_value)(void *object);
    void (*clear_error)(void);
    void *(*interp_of)(void *state);
    uint64_t (*state_id)(void *state);
    int (*gc_disable)(void); /* whether it was enabled */
    int (*gc_enable)(void);
};

extern struct python python HG_HIDDEN; /* set before the interpreter starts */

/* Find the interpreter.  False: this program is none, or one that cannot be
   watched; then `*unwatched` says what it is, in a few words, and is NULL
   otherwise. */
bool python_find(const char **unwatched);

#endif
