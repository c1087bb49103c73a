/* SPDX-License-Identifier: MIT */
/* mappings.h - memory that programs take from the system themselves, by mmap. */
#ifndef HG_ADAPT_NATIVE_MAPPINGS_H
#define HG_ADAPT_NATIVE_MAPPINGS_H

#include <stddef.h>
#include <stdint.h>

/* Call count(arg, tag, bytes) for each that is known: in a child, for what it
   inherited. */
void mappings_walk(void (*count)(void *arg, uint32_t tag, size_t bytes), void *arg);

/* About fork(): the table must not be left half changed. */
void mappings_before_fork(void);
void mappings_after_fork_parent(void);
void mappings_after_fork_child(void);
/* In a child of _Fork() or clone(): if another thread was changing the table,
   forget it. */
void mappings_forked(void);

#endif
