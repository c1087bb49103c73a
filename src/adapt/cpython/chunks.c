/* SPDX-License-Identifier: MIT */
/*
 * chunks.c - see chunks.h
 *
 * Frames of Python functions lie in chunks that the interpreter takes from what it
 * calls its arena allocator, which has no other customer while blocks are ours.
 * Each chunk is passed on and written down; interpreters with locks of their own
 * may do so at the same time.
 */
#include "adapt/cpython/chunks.h"

#include "adapt/cpython/python.h"

struct ledger_chunks chunks;

static struct py_arenas before;

static void *chunk_new(void *context, size_t bytes)
{
    void *start = before.alloc(context, bytes);
    for (uint32_t i = 0; start != NULL && i < LEDGER_CHUNKS; i++) {
        uint64_t none = 0;
        /* Relaxed: a reader can do with any bytes beside any start. */
        if (__atomic_compare_exchange_n(&chunks.at[i].start, &none,
                                        (uintptr_t)start, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            __atomic_store_n(&chunks.at[i].bytes, bytes, __ATOMIC_RELAXED);
            break;
        }
    }
    return start;
}

static void chunk_free(void *context, void *start, size_t bytes)
{
    for (uint32_t i = 0; i < LEDGER_CHUNKS; i++) {
        uint64_t at = (uintptr_t)start;
        if (__atomic_compare_exchange_n(&chunks.at[i].start, &at, 0, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            break;
    }
    before.free(context, start, bytes);
}

void chunks_install(void)
{
    if (python.get_arenas == NULL || python.set_arenas == NULL)
        return;
    python.get_arenas(&before);
    struct py_arenas ours = {before.context, chunk_new, chunk_free};
    python.set_arenas(&ours);
}
