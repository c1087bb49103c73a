/* SPDX-License-Identifier: MIT */
/*
 * displaced.c - when the user has chosen another allocator, there is still RSS to
 * show.
 *
 * Once displaced we are called by nobody.  An audit hook, which Python code cannot
 * see and which is only set when something hints at a displacement, tells when the
 * interpreter is up; from then on thin wrappers around the allocators that
 * displaced us look at the clock every so many calls.  They change nothing else.
 */
#include "adapt/cpython/displaced.h"

#include "adapt/cpython/hooks.h"
#include "adapt/cpython/python.h"
#include "adapt/native/native.h"
#include "trace/session.h"
#include "trace/timeline.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS_PER_LOOK = 1024 };

static struct py_allocator theirs[PY_DOMAINS];
static char what[128];
static bool looked;

/* The interpreter's record of our hook comes from the allocator of that moment, and
   goes back, when all ends, to the one that has displaced it: unless we step in. */
static struct py_allocator original; /* RAW, before anybody took its place */
static void *hook_entry;

static void *noted_malloc(void *context, size_t bytes)
{
    (void)context;
    hook_entry = original.malloc(original.context, bytes);
    return hook_entry;
}

static void count_call(void)
{
    static unsigned
        calls; /* under the interpreter's lock; a lost count does no harm */

    if (++calls % CALLS_PER_LOOK == 0)
        timeline_tick();
}

static void *passed_malloc(void *context, size_t bytes)
{
    struct py_allocator *to = context;
    count_call();
    return to->malloc(to->context, bytes);
}

static void *passed_calloc(void *context, size_t count, size_t bytes)
{
    struct py_allocator *to = context;
    count_call();
    return to->calloc(to->context, count, bytes);
}

static void *passed_realloc(void *context, void *block, size_t bytes)
{
    struct py_allocator *to = context;
    count_call();
    return to->realloc(to->context, block, bytes);
}

static void passed_free(void *context, void *block)
{
    struct py_allocator *to = context;

    if (block == hook_entry && block != NULL)
        to = &original;
    to->free(to->context, block);
}

static void wrap(int domain)
{
    python.get_allocator(domain, &theirs[domain]);
    struct py_allocator passed = {&theirs[domain], passed_malloc, passed_calloc,
                                  passed_realloc, passed_free};
    python.set_allocator(domain, &passed);
}

/* Whatever asks malloc may now be the interpreter: frames and code objects come and
   go there, unseen by the hooks. */
static void give_way(void)
{
    session_note_displaced(what);
    /* These are called under the interpreter's lock alone. */
    wrap(PY_MEM);
    wrap(PY_OBJ);
    native_leave();
}

bool displaced_look(void)
{
    if (looked || hooks_served() || !hooks_displaced(PY_OBJ))
        return false;
    looked = true;
    strcpy(what, "the program's own allocator");
    give_way();
    return true;
}

static int on_event(const char *event, void *arguments, void *data)
{
    (void)event;
    (void)arguments;
    (void)data;
    if (looked || !python.is_initialized())
        return 0;
    looked = true;
    if (hooks_displaced(PY_RAW) && hooks_displaced(PY_OBJ)) {
        wrap(PY_RAW); /* no thread has been started yet */
        give_way();
    } else {
        hooks_trace_native();
    }
    return 0;
}

/* The value of -X dev among the interpreter's own options, which end at the
 * program. */
static bool has_dev_option(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];
        if (argument[0] != '-' || strcmp(argument, "-") == 0 ||
            strncmp(argument, "-c", 2) == 0 || strncmp(argument, "-m", 2) == 0)
            return false;
        if (strcmp(argument, "-Xdev") == 0)
            return true;
        if (strcmp(argument, "-X") == 0 || strcmp(argument, "-W") == 0) {
            if (i + 1 < count && argument[1] == 'X' &&
                strcmp(arguments[i + 1], "dev") == 0)
                return true;
            i++;
        }
    }
    return false;
}

bool displaced_expect(int count, char **arguments)
{
    int (*add_hook)(int (*)(const char *, void *, void *), void *);
    const char *chosen = getenv("PYTHONMALLOC");
    const char *dev = getenv("PYTHONDEVMODE");

    if (chosen != NULL && *chosen != 0)
        snprintf(what, sizeof what, "PYTHONMALLOC=%s", chosen);
    else if (has_dev_option(count, arguments))
        strcpy(what, "-X dev");
    else if (dev != NULL && *dev != 0)
        snprintf(what, sizeof what, "PYTHONDEVMODE=%s", dev);
    else
        return false;
    *(void **)&add_hook = dlsym(RTLD_DEFAULT, "PySys_AddAuditHook");
    if (add_hook == NULL)
        return false;
    python.get_allocator(PY_RAW, &original);
    struct py_allocator noted = original;
    noted.malloc = noted_malloc;
    python.set_allocator(PY_RAW, &noted);
    add_hook(on_event, NULL);
    python.set_allocator(PY_RAW, &original);
    return true;
}
