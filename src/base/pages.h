/* SPDX-License-Identifier: MIT */
/* pages.h - memory from the system and back; may run inside malloc. */
#ifndef HG_BASE_PAGES_H
#define HG_BASE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Addresses and sizes are multiples of this unless something else is said.  It
   is the smallest page we count with; the system's may be larger. */
#define PAGE_BYTES ((size_t)4096)

enum pages_result {
    PAGES_OK,
    PAGES_TAKEN, /* something else is mapped there */
    PAGES_NONE,  /* the system has no memory, or a limit is reached */
};

/* Zeroed memory wherever the system likes, or NULL. */
void *pages_map(size_t bytes);

/* Zeroed memory at `address` and nowhere else.  Never replaces a mapping. */
enum pages_result pages_map_at(uintptr_t address, size_t bytes);

/* Whether nothing is mapped in the range; also true when a limit on the address
   space keeps us from finding out. */
bool pages_vacant(uintptr_t address, size_t bytes);

/* Keep errno: they run inside free(). */
void pages_unmap(void *start, size_t bytes);

/* Give the pages back; they stay mapped and read as zeros.  False when the system
   refuses (locked memory): then nothing is known of their contents. */
bool pages_discard(void *start, size_t bytes);

/* Resize a mapping that pages_map() made; NULL when that is not possible, and
   then it is as it was. */
void *pages_remap(void *start, size_t old_bytes, size_t bytes, bool may_move);

/* Whether the address space of this process is limited (ulimit -v). */
bool pages_limited(void);

#ifdef HG_FAULTS
/* Tests only: let the mapping after `after` others fail, then, unless `every` is 0,
   each every-th.  Until pages_fail_never(), which tells how many failed. */
void pages_fail(unsigned after, unsigned every);
unsigned pages_fail_never(void);
#endif

#endif
