/* SPDX-License-Identifier: MIT */
/*
 * allocators.c - allocators for objects that an extension module might put before
 * CPython's at run time, as CPython allows: each passes on what it does not serve.
 *
 * Loaded by ctypes.  Needs no headers of CPython, so one serves all versions.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct allocator {
    void *context;
    void *(*malloc)(void *context, size_t bytes);
    void *(*calloc)(void *context, size_t count, size_t bytes);
    void *(*realloc)(void *context, void *block, size_t bytes);
    void (*free)(void *context, void *block);
};

enum { OBJ = 2, SERVED_MAX = 2048 };

static struct allocator before;

static void put(struct allocator *now)
{
    void (*get)(int, struct allocator *);
    void (*set)(int, struct allocator *);

    *(void **)&get = dlsym(RTLD_DEFAULT, "PyMem_GetAllocator");
    *(void **)&set = dlsym(RTLD_DEFAULT, "PyMem_SetAllocator");
    get(OBJ, &before);
    set(OBJ, now);
}

/* ---- One that passes everything on ---- */

static void *pass_malloc(void *context, size_t bytes)
{
    (void)context;
    return before.malloc(before.context, bytes);
}

static void *pass_calloc(void *context, size_t count, size_t bytes)
{
    (void)context;
    return before.calloc(before.context, count, bytes);
}

static void *pass_realloc(void *context, void *block, size_t bytes)
{
    (void)context;
    return before.realloc(before.context, block, bytes);
}

static void pass_free(void *context, void *block)
{
    (void)context;
    before.free(before.context, block);
}

void use_one_that_passes_on(void)
{
    put(&(struct allocator){NULL, pass_malloc, pass_calloc, pass_realloc,
                            pass_free});
}

/* ---- One that asks malloc, and remembers of what ---- */

enum { SLOTS = 1 << 20 };
static void *slots[SLOTS]; /* by open addressing */
static char gone;          /* where one was */

/* Where a block is, or would be. */
static size_t slot_of(const void *block, int is_new)
{
    size_t i = (uintptr_t)block / 16 * 0x9E3779B97F4A7C15u >> 44;
    while (slots[i] != NULL && slots[i] != block && !(is_new && slots[i] == &gone))
        i = (i + 1) % SLOTS;
    return i;
}

static int asked_for(const void *block)
{
    return block != NULL && slots[slot_of(block, 0)] == block;
}

static void *noted(void *block)
{
    if (block != NULL)
        slots[slot_of(block, 1)] = block;
    return block;
}

static void *ask_malloc(void *context, size_t bytes)
{
    return bytes <= SERVED_MAX ? noted(malloc(bytes + !bytes))
                               : pass_malloc(context, bytes);
}

static void *ask_calloc(void *context, size_t count, size_t bytes)
{
    return count <= SERVED_MAX && bytes <= SERVED_MAX / (count + !count)
               ? noted(calloc(1, count * bytes + !(count * bytes)))
               : pass_calloc(context, count, bytes);
}

static void *ask_realloc(void *context, void *block, size_t bytes)
{
    if (block == NULL)
        return ask_malloc(context, bytes);
    if (!asked_for(block))
        return pass_realloc(context, block, bytes);
    void *moved = realloc(block, bytes + !bytes);
    if (moved != NULL && moved != block) {
        slots[slot_of(block, 0)] = &gone;
        noted(moved);
    }
    return moved;
}

static void ask_free(void *context, void *block)
{
    if (!asked_for(block)) {
        pass_free(context, block);
        return;
    }
    slots[slot_of(block, 0)] = &gone;
    free(block);
}

void use_one_over_malloc(void)
{
    put(&(struct allocator){NULL, ask_malloc, ask_calloc, ask_realloc, ask_free});
}

/* ---- One with memory of its own for what is not large ---- */

enum { UNIT = 64, CLASSES = SERVED_MAX / UNIT + 1 };
static const size_t REGION = (size_t)256 << 20;

struct freed {
    struct freed *next;
};
static struct freed *lists[CLASSES];
static char *region, *next;
static uint8_t *classes; /* by number of unit */

static size_t class_of(const void *block)
{
    return classes[((const char *)block - region) / UNIT];
}

static int is_own(const void *block)
{
    return (uintptr_t)block - (uintptr_t)region < REGION;
}

static void *own_malloc(void *context, size_t bytes)
{
    size_t class = (bytes + UNIT - 1) / UNIT + (bytes == 0);
    void *block = bytes <= SERVED_MAX ? lists[class] : NULL;

    (void)context;
    if (bytes > SERVED_MAX || next + class * UNIT > region + REGION)
        return before.malloc(before.context, bytes);
    if (block != NULL) {
        lists[class] = lists[class]->next;
        return block;
    }
    block = next;
    next += class * UNIT;
    classes[((char *)block - region) / UNIT] = (uint8_t) class;
    return block;
}

static void *own_calloc(void *context, size_t count, size_t bytes)
{
    if (count != 0 && bytes > PTRDIFF_MAX / count)
        return NULL;
    void *block = own_malloc(context, count * bytes);
    return block != NULL ? memset(block, 0, count * bytes) : NULL;
}

static void own_free(void *context, void *block)
{
    (void)context;
    if (!is_own(block)) {
        before.free(before.context, block);
        return;
    }
    struct freed *freed = block;
    freed->next = lists[class_of(block)];
    lists[class_of(block)] = freed;
}

static void *own_realloc(void *context, void *block, size_t bytes)
{
    if (block == NULL)
        return own_malloc(context, bytes);
    if (!is_own(block))
        return before.realloc(before.context, block, bytes);
    size_t old = class_of(block) * UNIT;
    if (bytes <= old)
        return block;
    void *moved = own_malloc(context, bytes);
    if (moved != NULL) {
        memcpy(moved, block, old);
        own_free(context, block);
    }
    return moved;
}

int use_one_with_memory_of_its_own(void)
{
    region = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                  -1, 0);
    classes = mmap(NULL, REGION / UNIT, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED || classes == MAP_FAILED)
        return 0;
    next = region;
    put(&(struct allocator){NULL, own_malloc, own_calloc, own_realloc, own_free});
    return 1;
}
