/* SPDX-License-Identifier: MIT */
/*
 * guard.c - where the interpreter would stumble over our marks, they are taken
 * away.
 *
 * The functions stand in tables of the type `frame` that CPython keeps in its data
 * segment, and are called by way of these tables each time; so an entry of our own
 * that takes the mark away and goes on to the function that was there is seen by
 * all callers and by no program.
 */
#include "adapt/cpython/guard.h"

#include "adapt/cpython/frames.h"
#include "adapt/cpython/python.h"
#include "base/process.h"

#include <dlfcn.h>
#include <string.h>

/* PyMethodDef and PyGetSetDef, as they have been since Python 3.0. */
struct method_def {
    const char *name;
    void *(*call)(void *self, void *arguments);
    int flags;
    const char *doc;
};

struct getset_def {
    const char *name;
    void *(*get)(void *self, void *closure);
    int (*set)(void *self, void *value, void *closure);
    const char *doc;
    void *closure;
};

enum {
    DESCRIPTOR_DEF = 40, /* in a descriptor: the entry of the table */
    FRAME_OBJECT_FRAME =
        24, /* in a frame object of 3.11: the interpreter's frame */
};

static void *(*real_clear)(void *, void *);
static int (*real_set_line)(void *, void *, void *);

static void unmark(void *frame_object)
{
    char *frame = word_at(frame_object, FRAME_OBJECT_FRAME);
    char *owner = frame + python.layout->frame_owner;

    if (*owner == MARKED_OWNER) {
        *owner = 0;
        frames_force_slow();
    }
}

static void *guarded_clear(void *self, void *arguments)
{
    unmark(self);
    return real_clear(self, arguments);
}

static int guarded_set_line(void *self, void *value, void *closure)
{
    if (python.layout->mark == MARK_OWNER)
        unmark(self);
    int status = real_set_line(self, value, closure);
    frames_forget();
    return status;
}

/* Store a pointer where perhaps nobody may write. */
static bool poke(void *address, const void *pointer)
{
    return process_poke(address, &pointer, sizeof pointer);
}

static bool guard_clear(void *descriptor)
{
    enum { NO_ARGUMENTS = 0x0004 };
    void *(*ours)(void *, void *) = guarded_clear;
    struct method_def *method = word_at(descriptor, DESCRIPTOR_DEF);

    if (strcmp(method->name, "clear") != 0 || method->flags != NO_ARGUMENTS)
        return false;
    real_clear = method->call;
    return poke(&method->call, *(void **)&ours);
}

static bool guard_set_line(void *descriptor)
{
    int (*ours)(void *, void *, void *) = guarded_set_line;
    struct getset_def *getset = word_at(descriptor, DESCRIPTOR_DEF);

    if (strcmp(getset->name, "f_lineno") != 0 || getset->set == NULL)
        return false;
    real_set_line = getset->set;
    return poke(&getset->set, *(void **)&ours);
}

bool guard_marks(const struct py_layout *layout)
{
    void *frame_type = dlsym(RTLD_DEFAULT, "PyFrame_Type");
    void *(*get)(void *, const char *);
    void (*release)(void *);

    *(void **)&get = dlsym(RTLD_DEFAULT, "PyObject_GetAttrString");
    *(void **)&release = dlsym(RTLD_DEFAULT, "Py_DecRef");
    if (frame_type == NULL || get == NULL || release == NULL)
        return false;
    void *clear = get(frame_type, "clear");
    void *line = get(frame_type, "f_lineno");
    bool done = clear != NULL && line != NULL && guard_set_line(line) &&
                (layout->mark != MARK_OWNER || guard_clear(clear));
    if (clear != NULL)
        release(clear);
    if (line != NULL)
        release(line);
    return done;
}
