/* SPDX-License-Identifier: MIT */
/* domains.h - blocks of CPython's three domains, whatever their size and whose
 * ever.
 */
#ifndef HG_ADAPT_CPYTHON_DOMAINS_H
#define HG_ADAPT_CPYTHON_DOMAINS_H

#include "adapt/cpython/apart.h"
#include "adapt/cpython/python.h"
#include "heap/heap.h"
#include "trace/block.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The allocators whose place we took; their blocks are given back to them. */
extern struct py_allocator domains_before[PY_DOMAINS] HG_HIDDEN;

HG_ALWAYS_INLINE enum ledger_domain domain_ledger(enum py_domain domain)
{
    return domain == PY_RAW   ? LEDGER_RAW
           : domain == PY_MEM ? LEDGER_MEM
                              : LEDGER_OBJ;
}

/* Size 0 counts as 1, as CPython has it. */
HG_ALWAYS_INLINE size_t domain_bytes(size_t bytes)
{
    return bytes + (bytes == 0);
}

/* False: no block may be so large. */
static inline bool domain_product(size_t count, size_t bytes, size_t *product)
{
    return !__builtin_mul_overflow(count, bytes, product) &&
           *product <= PTRDIFF_MAX;
}

/*
 * Blocks of MEM and OBJ come from the heap that the holders of the interpreter's
 * lock share, those of RAW from the thread's own.
 */
HG_ALWAYS_INLINE struct heap *domain_heap(enum py_domain domain)
{
    return domain == PY_RAW ? heap_mine : heap_ours;
}

/* The same for the slow functions of the heap. */
static inline struct heap *domain_heap_joined(enum py_domain domain)
{
    if (HG_UNLIKELY(apart_unsettled))
        apart_settle();
    return domain == PY_RAW ? heap_mine : heap_ours_joined();
}

/*
 * Have frames_block_died() told when the block ends in which an object lies: at its
 * beginning, or behind the header of somebody who wraps us, as CPython's debug
 * hooks do.  False: the object lies in no block of ours.
 */
bool domain_watch(const void *object);

/* The largest such header so far. */
extern size_t domain_header_bytes HG_HIDDEN;
enum { DOMAIN_HEADER_STEP = 16 };

/* A block of any size, recorded as the owner's.  NULL: no memory. */
void *domain_alloc(struct owner owner, enum py_domain domain, size_t bytes,
                   bool zero);

/* A block of anybody's, NULL too.  `away`: the thread does not hold the
   interpreter's lock. */
void domain_free(bool away, enum py_domain domain, void *block);

/* A block of anybody's, which stays as it is when this is NULL. */
void *domain_resize(struct owner owner, enum py_domain domain, void *block,
                    size_t bytes);

#endif
