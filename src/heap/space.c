/* SPDX-License-Identifier: MIT */
/*
 * space.c - where in the address space the heap lies, and the tables beside it.
 *
 *     | live | heaps | arenas | descriptors | window                        |
 *                                           ^ heap_space.base, a multiple of 1 GiB
 *
 * The first table is used only where frees are checked.
 *
 * Nothing here is mapped ahead of need and nothing is reserved.  The place is far
 * below where the system puts mappings of its own, so that it is still vacant when
 * the heap grows; if it is not, arena.c steps over what is in the way.  A table has
 * no way to do that: if somebody maps what lies right behind a table's end, the
 * heap cannot grow any more, and allocations fail.
 */
#include "heap/own.h"

#include <time.h>

#define GIB ((uintptr_t)1 << 30)
#define HEAP_TABLE_BYTES GIB
#define ARENA_TABLE_BYTES (WINDOW_BYTES / ARENA_BYTES * sizeof(struct arena))
#define LIVE_TABLE_BYTES (WINDOW_BYTES >> BLOCK_SHIFT)
#define TABLES_BYTES                                                               \
    (LIVE_TABLE_BYTES + HEAP_TABLE_BYTES + ARENA_TABLE_BYTES + DESCRIPTOR_WINDOW)
#define PROBE_BYTES ((size_t)2 << 20)
/* From the newest mapping of the system's down to the window's end: what others
   may map before they reach us. */
#define DISTANCE WINDOW_BYTES
#define STEP (WINDOW_BYTES / 4)
#define SPACE_END (((uintptr_t)1 << 47) - WINDOW_BYTES)

struct heap_space heap_space;
struct table table_pools;
struct table table_arenas;
struct table table_heaps;
struct table table_live;
bool heap_tags_kept;
_Atomic size_t heap_held;

static _Atomic size_t limit = SIZE_MAX; /* of heap_held; relaxed */

static struct lock start_lock = {.rank = LOCK_HUGE};
static atomic_bool started;

void held_add(size_t bytes)
{
    atomic_fetch_add_explicit(&heap_held, bytes, memory_order_relaxed);
}

void held_sub(size_t bytes)
{
    atomic_fetch_sub_explicit(&heap_held, bytes, memory_order_relaxed);
}

size_t heap_held_bytes(void)
{
    return atomic_load_explicit(&heap_held, memory_order_relaxed);
}

#ifdef HG_FAULTS
static bool now_stands;
static uint32_t now_stands_at;

void now_pass(uint32_t ms)
{
    now_stands_at = now_ms() + ms;
    now_stands = true;
}
#endif

uint32_t now_ms(void)
{
#ifdef HG_FAULTS
    if (now_stands)
        return now_stands_at;
#endif
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* a few instructions, no call */
    return (uint32_t)((uint64_t)now.tv_sec * 1000 +
                      (uint64_t)now.tv_nsec / 1000000);
}

void heap_keep_tags(void)
{
    heap_tags_kept = true;
    heap_exhausted.keeps_tags = true;
}

void heap_limit(size_t bytes)
{
    atomic_store_explicit(&limit, bytes, memory_order_relaxed);
}

size_t heap_get_limit(void)
{
    return atomic_load_explicit(&limit, memory_order_relaxed);
}

bool limit_allows(size_t bytes, bool trim)
{
    size_t most = atomic_load_explicit(&limit, memory_order_relaxed);
    if (HG_LIKELY(most == SIZE_MAX) || bytes == 0)
        return true;
    size_t held = heap_held_bytes();
    if (trim && (held > most || bytes > most - held)) {
        huge_trim();
        arenas_discard(0);
        held = heap_held_bytes();
    }
    return held <= most && bytes <= most - held;
}

bool table_reach(struct table *table, size_t bytes)
{
    if (bytes <= table->mapped)
        return true;
    size_t more = (bytes - table->mapped + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
    if (!limit_allows(more, false))
        return false;
    if (pages_map_at(table->start + table->mapped, more) != PAGES_OK)
        return false;
    table->mapped += more;
    held_add(more);
    return true;
}

/*
 * Whether a window may begin here.  Only some pages are asked for: mapping all of
 * it to see, even for a moment, is refused under a limit and slow under valgrind.
 * What is overlooked becomes a hole.
 */
static bool is_vacant(uintptr_t base)
{
    if (!pages_vacant(base - TABLES_BYTES + LIVE_TABLE_BYTES, PAGE_BYTES) ||
        !pages_vacant(base - DESCRIPTOR_WINDOW - ARENA_TABLE_BYTES, PAGE_BYTES) ||
        !pages_vacant(base - DESCRIPTOR_WINDOW, PAGE_BYTES) ||
        (heap_frees_checked && !pages_vacant(base - TABLES_BYTES, PAGE_BYTES)))
        return false;
    for (uintptr_t at = base; at < base + WINDOW_BYTES; at += WINDOW_BYTES / 4)
        if (!pages_vacant(at, PAGE_BYTES))
            return false;
    return pages_vacant(base + WINDOW_BYTES - PAGE_BYTES, PAGE_BYTES);
}

static uintptr_t find_base(void)
{
    void *probe = pages_map(PROBE_BYTES);
    if (probe == NULL)
        return 0;
    pages_unmap(probe, PROBE_BYTES);
    uintptr_t first = (uintptr_t)probe & ~(GIB - 1);
    uintptr_t base;
    for (base = first - DISTANCE - WINDOW_BYTES;
         base < first && base > TABLES_BYTES + GIB; base -= STEP)
        if (is_vacant(base))
            return base;
    /* The system maps from low addresses upwards, as under valgrind. */
    for (base = first + DISTANCE + (TABLES_BYTES & ~(GIB - 1)); base < SPACE_END;
         base += STEP)
        if (is_vacant(base))
            return base;
    return 0;
}

static bool start(void)
{
    uintptr_t base = find_base();
    if (base == 0)
        return false;
    classes_init();
    table_pools.start = base - DESCRIPTOR_WINDOW;
    table_arenas.start = table_pools.start - ARENA_TABLE_BYTES;
    table_heaps.start = table_arenas.start - HEAP_TABLE_BYTES;
    table_live.start = base - TABLES_BYTES;
    heap_space.pools = (struct pool *)table_pools.start;
    heap_space.base = base;
    return true;
}

bool heap_start(void)
{
    /* Acquire pairs with the release below: who sees `started` sees the rest. */
    if (HG_LIKELY(atomic_load_explicit(&started, memory_order_acquire)))
        return true;
    lock_take(&start_lock);
    bool done = atomic_load_explicit(&started, memory_order_relaxed) || start();
    if (done)
        atomic_store_explicit(&started, true, memory_order_release);
    lock_release(&start_lock);
    return done;
}

bool heap_range(uint64_t *from, uint64_t *to)
{
    if (!heap_start())
        return false;
    *from = heap_frees_checked ? table_live.start : table_heaps.start;
    *to = heap_base() + WINDOW_BYTES;
    return true;
}
