/* SPDX-License-Identifier: MIT */
/*
 * anatomy.c - where the tables are: in a process whose heap may be read by others.
 *
 * Addresses of variables and sizes, filled in by the linker: it costs nothing.
 */
#include "heap/anatomy.h"

#include "heap/own.h"

const struct heap_anatomy heap_anatomy = {
    .magic = HEAP_ANATOMY_MAGIC,
    .slot_shift = SLOT_SHIFT,
    .classes = CLASSES,
    .small_classes = SMALL_CLASSES,
    .pool_bytes = sizeof(struct pool),
    .arena_bytes = sizeof(struct arena),
    .heap_bytes = sizeof(struct thread_heap),
    .record_bytes = sizeof(struct huge_record),
    .kept_mappings = KEPT_MAPPINGS,
    .pools = &table_pools,
    .arenas = &table_arenas,
    .heaps = &table_heaps,
    .live = &table_live,
    .space = &heap_space,
    .huge_table = &huge_table_at,
    .huge_size = &huge_size_at,
    .huge_kept = &huge_kept_at,
    .link_key = &heap_link_key,
};
