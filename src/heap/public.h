/* SPDX-License-Identifier: MIT */
/* public.h - what the public functions share among themselves. */
#ifndef HG_HEAP_PUBLIC_H
#define HG_HEAP_PUBLIC_H

#include "heapglass/heap.h"

#include <stddef.h>

/* Bytes of blocks in all caches; with the lock of the caches, which is taken first.
 */
void caches_lock_take(void);
void caches_lock_release(void);
size_t caches_parked_bytes(void);
/* The heap is about to be closed, and with it the caches on it. */
void caches_forget(const hg_heap *heap);

#endif
