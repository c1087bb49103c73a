/* SPDX-License-Identifier: MIT */
/* garbage.h - what the interpreter's collector does, written into the ledger. */
#ifndef HG_TRACE_GARBAGE_H
#define HG_TRACE_GARBAGE_H

#include "ledger/layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A collection begins: false if it cannot be written down, because no accounts are
 * kept or the ledger has no room.  From here to garbage_collected(), the
 * interpreter's lock may pass to others, but only the thread that collects calls
 * the functions below.  They may run inside malloc.
 */
bool garbage_begin(void);

/* The collector frees a block of this node. */
void garbage_freed(uint32_t node, size_t bytes);

/* The number of a type's name, for garbage_of_type(); 0: there is no more room, and
   all such types are one. */
uint32_t garbage_type(const char *name);

/* An object that the collector frees is of this type. */
void garbage_of_type(uint32_t type, size_t bytes);

/* The collection has ended.  Of *what, what was freed is filled in. */
void garbage_collected(unsigned generation, struct ledger_collection *what);

/* Nanoseconds since the session began. */
uint64_t garbage_now_ns(void);

#endif
