/* SPDX-License-Identifier: MIT */
/*
 * recycle_preload.c - counts what a Python program asks of its OBJ and MEM
 * allocators, by size, with CPython's free lists off.  For test_recycle.py, which
 * builds it with src/adapt/cpython/recycle*.c and preloads it.
 *
 * HG_RECYCLE says what is done: "off" (lists off, the default), "on" (nothing),
 * "undone" (off and on again), "again" (off, on, off), "forgotten" (nobody calls
 * recycle_resume or recycle_on).
 */
#include "adapt/cpython/recycle.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

/* PyMemAllocatorEx */
struct allocator {
    void *context;
    void *(*malloc)(void *context, size_t bytes);
    void *(*calloc)(void *context, size_t count, size_t bytes);
    void *(*realloc)(void *context, void *block, size_t bytes);
    void (*free)(void *context, void *block);
};

enum { DOMAINS = 2, SIZES = 2048 };

/* Before each block stands its size. */
struct header {
    size_t bytes;
    size_t magic;
};

static struct counts {
    uint64_t born[DOMAINS][SIZES], died[DOMAINS][SIZES];
} now, marks[2];

static const char *mode;
static bool asked, look;
static unsigned calls;
static struct recycle_result result;
static int64_t off_ns;
static long
    live_then[2]; /* "again": blocks alive after the first time and the second */
static int (*is_initialized)(void), (*is_finalizing)(void);
static int (*add_pending)(int (*)(void *), void *);

static int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long live_blocks(void)
{
    long live = 0;
    for (int domain = 0; domain < DOMAINS; domain++)
        for (int i = 0; i < SIZES; i++)
            live += (long)(now.born[domain][i] - now.died[domain][i]);
    return live;
}

static int switch_off(void *unused)
{
    (void)unused;
    int64_t start = clock_ns();
    recycle_off(&result);
    off_ns = clock_ns() - start;
    live_then[0] = live_blocks();
    if (strcmp(mode, "undone") == 0 || strcmp(mode, "again") == 0)
        recycle_on();
    if (strcmp(mode, "again") == 0)
        recycle_off(&result);
    live_then[1] = live_blocks();
    return 0;
}

static void slow_path(void)
{
    if (!asked && is_initialized()) {
        asked = true;
        if (strcmp(mode, "on") != 0)
            add_pending(switch_off, NULL);
    }
    look =
        !recycle_resume(); /* a slow path, as an allocator has them now and then */
}

static void began(void)
{
    if (strcmp(mode, "forgotten") == 0)
        return;
    if (is_finalizing())
        recycle_on();
    else
        look = true;
}

static size_t index_of(size_t bytes)
{
    return bytes < SIZES ? bytes : SIZES - 1;
}

static void *hook_malloc(void *context, size_t bytes)
{
    if (!asked || look || (++calls % 64 == 0 && strcmp(mode, "forgotten") != 0))
        slow_path();
    if ((intptr_t)context == 0 && bytes - 1 >= recycle_quiet_bytes)
        recycle_asked(bytes);
    struct header *header = malloc(sizeof *header + bytes);
    if (header == NULL)
        return NULL;
    *header = (struct header){bytes, 0x6c6c697374ul};
    now.born[(intptr_t)context][index_of(bytes)]++;
    return header + 1;
}

static void *hook_calloc(void *context, size_t count, size_t bytes)
{
    void *block = hook_malloc(context, count * bytes);
    return block != NULL ? memset(block, 0, count * bytes) : NULL;
}

static void hook_free(void *context, void *block)
{
    if (block == NULL || recycle_freed(block))
        return;
    if ((intptr_t)context == 0 && recycle_quiet_bytes == 0)
        recycle_asked(1);
    struct header *header = (struct header *)block - 1;
    if (header->magic != 0x6c6c697374ul) {
        fprintf(stderr, "recycle_preload: free of %p, which is no block\n", block);
        abort();
    }
    header->magic = 0;
    now.died[(intptr_t)context][index_of(header->bytes)]++;
    memset(block, 0xdd, header->bytes < 64 ? header->bytes : 64);
    free(header);
}

static void *hook_realloc(void *context, void *block, size_t bytes)
{
    void *copy = hook_malloc(context, bytes);
    if (copy == NULL || block == NULL)
        return copy;
    size_t old = ((struct header *)block - 1)->bytes;
    memcpy(copy, block, old < bytes ? old : bytes);
    hook_free(context, block);
    return copy;
}

static __attribute__((constructor)) void preload(void)
{
    void (*set_allocator)(int, struct allocator *);
    *(void **)&set_allocator = dlsym(RTLD_DEFAULT, "PyMem_SetAllocator");
    *(void **)&is_initialized = dlsym(RTLD_DEFAULT, "Py_IsInitialized");
    *(void **)&add_pending = dlsym(RTLD_DEFAULT, "Py_AddPendingCall");
    *(void **)&is_finalizing = dlsym(RTLD_DEFAULT, "Py_IsFinalizing");
    if (is_finalizing == NULL)
        *(void **)&is_finalizing = dlsym(RTLD_DEFAULT, "_Py_IsFinalizing");
    if (set_allocator == NULL)
        return;
    mode = getenv("HG_RECYCLE");
    if (mode == NULL)
        mode = "off";
    recycle_collection_began = began;
    for (intptr_t domain = 0; domain < DOMAINS; domain++) {
        struct allocator hooks = {(void *)domain, hook_malloc, hook_calloc,
                                  hook_realloc, hook_free};
        set_allocator(domain == 0 ? 2 : 1, &hooks);
    }
}

/* ---- For the test, by ctypes ---- */

EXPORT void counts_mark(int which)
{
    marks[which] = now;
}

/* Between the two marks: how many blocks of that size were born (or died). */
EXPORT long counts_between(int domain, int died, int size)
{
    return died ? (long)(marks[1].died[domain][size] - marks[0].died[domain][size])
                : (long)(marks[1].born[domain][size] - marks[0].born[domain][size]);
}

EXPORT const char *recycle_how(void)
{
    recycle_state(&result);
    return result.how;
}

EXPORT int recycle_watched(void)
{
    recycle_state(&result);
    return result.watched;
}

EXPORT long recycle_took_ns(void)
{
    return (long)off_ns;
}

EXPORT long recycle_leaked(void)
{
    return live_then[1] - live_then[0];
}

/*
 * A static type that says nothing but its base, as extensions have them.  It
 * inherits what is in its base's tp_dealloc now.
 */
EXPORT void *heir_of(void *base)
{
    enum { FLAGS = 21, BASE = 32, WORDS = 64 };
    int (*ready)(void *);
    void **type = calloc(WORDS, sizeof *type);
    *(void **)&ready = dlsym(RTLD_DEFAULT, "PyType_Ready");
    type[0] = (void *)1;
    type[1] = dlsym(RTLD_DEFAULT, "PyType_Type");
    type[3] = (void *)"heir";
    type[BASE] = base;
    return ready(type) == 0 ? type : NULL;
}
