/* SPDX-License-Identifier: MIT */
/* memory.c - what a world keeps beside its objects, as blocks of the heap. */
#include "object/world.h"

#include <string.h>

#ifdef HG_FAULTS
static unsigned fail_after, fail_every, failed;
static bool failing;

void memory_fail(unsigned after, unsigned every)
{
    fail_after = after;
    fail_every = every;
    failed = 0;
    failing = true;
}

unsigned memory_fail_never(void)
{
    failing = false;
    return failed;
}

static bool fails_now(void)
{
    if (!failing)
        return false;
    if (fail_after > 0) {
        fail_after--;
        return false;
    }
    if (fail_every == 0)
        failing = false;
    else
        fail_after = fail_every - 1;
    failed++;
    return true;
}
#endif

void *memory_take(size_t bytes)
{
#ifdef HG_FAULTS
    if (fails_now())
        return NULL;
#endif
    struct place place;
    void *block = heap_calloc_slow(bytes, &place);
    if (block != NULL && place.tag != NULL) {
        *place.tag = 0;
        if (place.bytes != NULL)
            *place.bytes = bytes;
        if (place.bytes32 != NULL)
            *place.bytes32 = (uint32_t)bytes;
    }
    return block;
}

void memory_give(void *block)
{
    if (block != NULL)
        heap_free_slow(block);
}

bool memory_grow(void *array_pointer, uint32_t *room, uint32_t index, size_t size)
{
    if (index < *room)
        return true;
    size_t wanted = *room < 8 ? 16 : 2 * (size_t)*room;
    while (wanted <= index)
        wanted *= 2;
    if (wanted > UINT32_MAX || wanted > SIZE_MAX / size)
        return false;
    void *grown = memory_take(wanted * size);
    if (grown == NULL)
        return false;
    void *old;
    memcpy(&old, array_pointer, sizeof old);
    if (*room > 0)
        memcpy(grown, old, *room * size);
    memory_give(old);
    memcpy(array_pointer, &grown, sizeof grown);
    *room = (uint32_t)wanted;
    return true;
}
