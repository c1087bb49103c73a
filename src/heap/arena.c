/* SPDX-License-Identifier: MIT */
/*
 * arena.c - slots: taken for a pool, given back, discarded.
 *
 * Pools come from the fullest arena that has room, so that the emptiest become
 * empty.  Arenas are in lists by their number of free slots, and a bitmap tells
 * which lists are not empty; runs of slots are found by shifting and anding the
 * bitmap of an arena.  Within an arena dirty slots go first: they cost no page
 * fault.
 *
 * Dirty free slots are kept for a while, since programs that have just freed much
 * are likely to want it again.  Beyond a tenth of what we hold they go back to the
 * system, beginning with the arena where a slot was given back the longest ago.
 *
 * A program that builds and drops something big in turn would have to pay for its
 * pages each time.  When it takes slots within a second of their being discarded,
 * that was a mistake, and as many more are kept from then on.  What was free
 * throughout a second is not needed any more, and kept no longer.
 *
 * Address space costs nothing, unless it is limited (ulimit -v): then arenas that
 * have no pool any more are unmapped, but for a few, so that the program finds room
 * for what we do not see, as the stacks of its threads.  When the system refuses a
 * mapping, all of them are.
 */
#include "heap/own.h"

#include <string.h>

#ifdef HG_STRESS
#define STEP 1u
#define CANDIDATES 1u
#define KEEP_BYTES_MIN (2 * SLOT_BYTES)
#define SPARE_ARENAS 1u
#define SECOND_MS 3u
#else
#define STEP 4u       /* arenas mapped at once */
#define CANDIDATES 8u /* arenas looked at in one list */
#define KEEP_BYTES_MIN ((size_t)8 << 20)
#define SPARE_ARENAS 4u /* without a pool, yet mapped in a limited space */
#define SECOND_MS 1000u
#endif
#define WINDOW_ARENAS ((uint32_t)(WINDOW_BYTES / ARENA_BYTES))

struct lock arenas_lock = {.rank = LOCK_ARENAS};
uint32_t arenas_count;

/* All guarded by arenas_lock. */
static uint32_t list_head[ARENA_SLOTS + 1]; /* arena + 1; by free slots; 0: empty */
static uint64_t lists;                   /* bit n - 1: list_head[n] is not empty */
static uint32_t dirty_first, dirty_last; /* arena + 1 */
static uint32_t unmapped_first;          /* arena + 1; the last one unmapped */
static _Atomic uint32_t empty_arenas; /* mapped, without a pool; like dirty_slots */
static _Atomic bool limited; /* pages_limited(), when we last asked; the same */
static _Atomic size_t dirty_slots; /* relaxed when read without the lock */
static _Atomic size_t regretted;   /* bytes kept on top; like dirty_slots */
static size_t lowest;              /* of dirty_bytes(), in the current second */
static uint32_t second_ms;         /* when that began */

static uint64_t run_mask(unsigned first, unsigned count)
{
    return (count == 64 ? UINT64_MAX : (((uint64_t)1 << count) - 1)) << first;
}

/* --- lists; links are arena + 1, 0 ends a list ----------------------------- */

static void empty_arenas_change(int by)
{
    uint32_t now = atomic_load_explicit(&empty_arenas, memory_order_relaxed);
    atomic_store_explicit(&empty_arenas, now + (uint32_t)by, memory_order_relaxed);
}

static void list_insert(uint32_t index)
{
    struct arena *a = arena_at(index);
    a->free_count = (uint8_t)bit_count(a->free);
    if (a->free_count == 0)
        return;
    uint32_t *head = &list_head[a->free_count];
    a->next = *head;
    a->prev = 0;
    if (*head != 0)
        arena_at(*head - 1)->prev = index + 1;
    *head = index + 1;
    lists |= (uint64_t)1 << (a->free_count - 1);
    if (a->free_count == ARENA_SLOTS)
        empty_arenas_change(1);
}

static void list_remove(uint32_t index)
{
    struct arena *a = arena_at(index);
    if (a->free_count == 0)
        return;
    if (a->next != 0)
        arena_at(a->next - 1)->prev = a->prev;
    if (a->prev != 0)
        arena_at(a->prev - 1)->next = a->next;
    else
        list_head[a->free_count] = a->next;
    if (list_head[a->free_count] == 0)
        lists &= ~((uint64_t)1 << (a->free_count - 1));
    if (a->free_count == ARENA_SLOTS)
        empty_arenas_change(-1);
    a->free_count = 0;
}

static void dirty_insert(uint32_t index)
{
    struct arena *a = arena_at(index);
    a->dirty_next = 0;
    a->dirty_prev = dirty_last;
    if (dirty_last != 0)
        arena_at(dirty_last - 1)->dirty_next = index + 1;
    else
        dirty_first = index + 1;
    dirty_last = index + 1;
}

static void dirty_remove(uint32_t index)
{
    struct arena *a = arena_at(index);
    if (a->dirty_next != 0)
        arena_at(a->dirty_next - 1)->dirty_prev = a->dirty_prev;
    else
        dirty_last = a->dirty_prev;
    if (a->dirty_prev != 0)
        arena_at(a->dirty_prev - 1)->dirty_next = a->dirty_next;
    else
        dirty_first = a->dirty_next;
    a->dirty_next = a->dirty_prev = 0;
}

static size_t dirty_bytes(void)
{
    return atomic_load_explicit(&dirty_slots, memory_order_relaxed) * SLOT_BYTES;
}

static void dirty_slots_change(size_t more, size_t less)
{
    size_t now = atomic_load_explicit(&dirty_slots, memory_order_relaxed);
    atomic_store_explicit(&dirty_slots, now + more - less, memory_order_relaxed);
}

/* --- growing --------------------------------------------------------------- */

static void ask_for_limit(void)
{
    atomic_store_explicit(&limited, pages_limited(), memory_order_relaxed);
}

static void arena_add(uint32_t index, enum arena_kind kind)
{
    struct arena *a = arena_at(index);
    a->kind = (uint8_t)kind;
    a->free = kind == ARENA_MAPPED ? UINT64_MAX : 0;
    list_insert(index);
}

/* Map `count` arenas behind the last one. */
static enum pages_result arenas_map(uint32_t count)
{
    uint32_t end = arenas_count + count;
    if (count > WINDOW_ARENAS - arenas_count)
        return PAGES_NONE;
    /* The tables first: what is below heap_space.bytes has a descriptor. */
    if (!table_reach(&table_arenas, end * sizeof(struct arena)))
        return PAGES_NONE;
    if (!table_reach(&table_pools, (size_t)end * ARENA_SLOTS * sizeof(struct pool)))
        return PAGES_NONE;
    if (heap_frees_checked && !live_reach(end))
        return PAGES_NONE;
    uintptr_t at = heap_base() + arenas_count * ARENA_BYTES;
    enum pages_result result = pages_map_at(at, count * ARENA_BYTES);
    if (result == PAGES_NONE || (result == PAGES_TAKEN && count > 1))
        return result;
    /* The lowest last, so that it is the first in its list. */
    for (uint32_t i = end; i-- > arenas_count;)
        arena_add(i, result == PAGES_TAKEN ? ARENA_HOLE : ARENA_MAPPED);
    arenas_count = end;
    /* Release pairs with heap_in_window(). */
    atomic_store_explicit(&heap_space.bytes, end * ARENA_BYTES,
                          memory_order_release);
    if (heap_frees_checked)
        atomic_store_explicit(&heap_space.live_count,
                              end * (ARENA_BYTES >> BLOCK_SHIFT),
                              memory_order_release);
    return result;
}

/* Map the arena again that was unmapped last. */
static enum pages_result arenas_remap(void)
{
    uint32_t index = unmapped_first - 1;
    struct arena *a = arena_at(index);
    enum pages_result result =
        pages_map_at(heap_base() + index * ARENA_BYTES, ARENA_BYTES);
    if (result == PAGES_NONE)
        return result;
    unmapped_first = a->next;
    arena_add(index, result == PAGES_TAKEN ? ARENA_HOLE : ARENA_MAPPED);
    return result;
}

static bool arenas_grow(void)
{
    while (unmapped_first != 0) {
        enum pages_result again = arenas_remap();
        if (again != PAGES_TAKEN)
            return again == PAGES_OK;
    }
    ask_for_limit();
    if (!atomic_load_explicit(&limited, memory_order_relaxed) &&
        arenas_map(STEP) == PAGES_OK)
        return true;
    /* One by one: there is less memory, or somebody's mapping is in the way.  Then
       arenas are holes until it is behind us. */
    enum pages_result result;
    do
        result = arenas_map(1);
    while (result == PAGES_TAKEN);
    return result == PAGES_OK;
}

/* --- taking and giving back ------------------------------------------------ */

/* Bits at which a run of `count` set bits begins. */
static uint64_t run_starts(uint64_t bits, unsigned count)
{
    unsigned have = 1;
    while (have < count && bits != 0) {
        unsigned shift = have < count - have ? have : count - have;
        bits &= bits >> shift;
        have += shift;
    }
    return bits;
}

static uint64_t aligned_starts(unsigned align)
{
    uint64_t mask = 1;
    for (unsigned i = align; i < ARENA_SLOTS; i += align)
        mask |= (uint64_t)1 << i;
    return mask;
}

static uint32_t arena_find(unsigned count, uint64_t allowed)
{
    uint64_t left = lists & ~(((uint64_t)1 << (count - 1)) - 1);
    while (left != 0) {
        uint32_t best = NO_INDEX;
        uint32_t i = list_head[__builtin_ctzll(left) + 1];
        for (unsigned n = 0; i != 0 && n < CANDIDATES; n++) {
            struct arena *a = arena_at(i - 1);
            if (i - 1 < best && (run_starts(a->free, count) & allowed) != 0)
                best = i - 1;
            i = a->next;
        }
        if (best != NO_INDEX)
            return best;
        left &= left - 1;
    }
    return NO_INDEX;
}

/* Slots of the arena have been taken. */
static void learn(struct arena *a, uint64_t slots)
{
    uint64_t again = a->given & slots;
    size_t keep = atomic_load_explicit(&regretted, memory_order_relaxed);
    if (HG_LIKELY(again == 0 && keep == 0))
        return;
    a->given &= ~slots;
    uint32_t now = now_ms();
    if (again != 0 && now - a->given_ms < SECOND_MS) {
        if (keep == 0) {
            second_ms = now;
            lowest = dirty_bytes();
        }
        keep += bit_count(again) * SLOT_BYTES;
        atomic_store_explicit(&regretted, keep, memory_order_relaxed);
    }
    if (dirty_bytes() < lowest)
        lowest = dirty_bytes();
}

/* The bytes that may stay dirty. */
static size_t keep_bytes(void)
{
    size_t keep = heap_held_bytes() / 10;
    if (keep < KEEP_BYTES_MIN)
        keep = KEEP_BYTES_MIN;
    if (HG_LIKELY(atomic_load_explicit(&regretted, memory_order_relaxed) == 0))
        return keep;

    lock_take(&arenas_lock);
    size_t more = atomic_load_explicit(&regretted, memory_order_relaxed);
    uint32_t now = now_ms();
    if (now - second_ms >= SECOND_MS) {
        size_t idle = lowest > keep ? lowest - keep : 0;
        more = more > idle ? more - idle : 0;
        atomic_store_explicit(&regretted, more, memory_order_relaxed);
        second_ms = now;
        lowest = dirty_bytes();
    }
    lock_release(&arenas_lock);
    return keep > more ? keep : more;
}

/* The slots are free; returns which of them were dirty. */
static uint64_t arena_take(uint32_t index, uint64_t slots)
{
    struct arena *a = arena_at(index);
    list_remove(index);
    uint64_t dirty = a->dirty & slots;
    a->free &= ~slots;
    a->dirty &= ~slots;
    list_insert(index);
    if (dirty != 0) {
        dirty_slots_change(0, bit_count(dirty));
        if (a->dirty == 0)
            dirty_remove(index);
    }
    held_add(bit_count(slots & ~dirty) * SLOT_BYTES);
    learn(a, slots);
    return dirty;
}

static uint32_t slots_try(unsigned count, uint64_t allowed, bool *clean)
{
    uint32_t slot = NO_INDEX;
    lock_take(&arenas_lock);
    uint32_t index = arena_find(count, allowed);
    if (index == NO_INDEX && arenas_grow())
        index = arena_find(count, allowed);
    if (index != NO_INDEX) {
        struct arena *a = arena_at(index);
        uint64_t starts = run_starts(a->dirty, count) & allowed;
        if (starts == 0)
            starts = run_starts(a->free, count) & allowed;
        unsigned first = (unsigned)__builtin_ctzll(starts);
        *clean = arena_take(index, run_mask(first, count)) == 0;
        slot = index * ARENA_SLOTS + first;
    }
    lock_release(&arenas_lock);
    return slot;
}

uint32_t slots_take(unsigned count, unsigned align, bool *clean)
{
    if (!limit_allows(count * SLOT_BYTES, true))
        return NO_INDEX;
    uint64_t allowed = align == 1 ? UINT64_MAX : aligned_starts(align);
    uint32_t slot = slots_try(count, allowed, clean);
    /* No arena is empty, or there would be room in it: there is nothing to unmap
       but what huge.c keeps. */
    if (HG_UNLIKELY(slot == NO_INDEX) && huge_trim() != 0)
        slot = slots_try(count, allowed, clean);
    return slot;
}

bool slots_take_at(uint32_t first, unsigned count)
{
    uint32_t index = first / ARENA_SLOTS;
    if (first % ARENA_SLOTS == 0 || first % ARENA_SLOTS + count > ARENA_SLOTS ||
        !limit_allows(count * SLOT_BYTES, false))
        return false;
    uint64_t slots = run_mask(first % ARENA_SLOTS, count);
    lock_take(&arenas_lock);
    bool can = (arena_at(index)->free & slots) == slots;
    if (can)
        arena_take(index, slots);
    lock_release(&arenas_lock);
    return can;
}

void slots_return(uint32_t first, unsigned count)
{
    uint32_t index = first / ARENA_SLOTS;
    uint64_t slots = run_mask(first % ARENA_SLOTS, count);
    lock_take(&arenas_lock);
    struct arena *a = arena_at(index);
    HG_VERIFY(((a->free | a->leaving) & slots) == 0, "slots freed twice",
              slot_start(first));
    list_remove(index);
    /* To the end of the list, in any case: the arena is in use. */
    if (a->dirty != 0)
        dirty_remove(index);
    a->free |= slots;
    a->dirty |= slots;
    dirty_insert(index);
    list_insert(index);
    dirty_slots_change(count, 0);
    /* Here, since it is seldom: a limit may be set at any time. */
    if (a->free == UINT64_MAX)
        ask_for_limit();
    lock_release(&arenas_lock);
}

/* --- giving back to the system ---------------------------------------------- */

static bool discard_runs(uint32_t index, uint64_t slots)
{
    while (slots != 0) {
        unsigned first = (unsigned)__builtin_ctzll(slots);
        uint64_t from = slots >> first;
        unsigned count = from == UINT64_MAX ? 64 : (unsigned)__builtin_ctzll(~from);
        if (!pages_discard(slot_start(index * ARENA_SLOTS + first),
                           count * SLOT_BYTES))
            return false;
        slots &= ~run_mask(first, count);
    }
    return true;
}

size_t arenas_discard(size_t keep)
{
    size_t given = 0;
    bool done = true;
    while (done &&
           atomic_load_explicit(&dirty_slots, memory_order_relaxed) * SLOT_BYTES >
               keep) {
        lock_take(&arenas_lock);
        if (dirty_first == 0) {
            lock_release(&arenas_lock);
            break;
        }
        uint32_t index = dirty_first - 1;
        struct arena *a = arena_at(index);
        uint64_t slots = a->dirty;
        size_t count = bit_count(slots);
        dirty_remove(index);
        list_remove(index);
        a->free &= ~slots;
        a->dirty = 0;
        /* Another thread may be at work on this arena too; so keep the bits apart
           from its own. */
        a->leaving |= slots;
        list_insert(index);
        dirty_slots_change(0, count);
        lock_release(&arenas_lock);

        /* Nobody can take them meanwhile, and nobody has to wait for the system. */
        done = discard_runs(index, slots);

        lock_take(&arenas_lock);
        list_remove(index);
        a->leaving &= ~slots;
        a->free |= slots;
        list_insert(index);
        if (done) {
            a->given |= keep == 0 ? 0 : slots;
            a->given_ms = now_ms();
            held_sub(count * SLOT_BYTES);
            given += count * SLOT_BYTES;
            if (HG_UNLIKELY(heap_frees_checked) && a->free == UINT64_MAX &&
                a->dirty == 0)
                live_discard(index);
        } else {
            /* Some may be gone, but dirty is what is safe to say. */
            if (a->dirty == 0)
                dirty_insert(index);
            a->dirty |= slots;
            dirty_slots_change(count, 0);
        }
        lock_release(&arenas_lock);
    }
    return given;
}

/* The arena has no pool.  With the lock, so that no fork sees it half done; in the
   child of a bare one it may be mapped still, and is found to be a hole then. */
static void arena_unmap(uint32_t index)
{
    struct arena *a = arena_at(index);
    size_t dirty = bit_count(a->dirty);
    list_remove(index);
    if (dirty != 0)
        dirty_remove(index);
    dirty_slots_change(0, dirty);
    held_sub(dirty * SLOT_BYTES);
    a->free = a->dirty = a->given = 0;
    a->kind = ARENA_UNMAPPED;
    a->next = unmapped_first;
    unmapped_first = index + 1;
    if (HG_UNLIKELY(heap_frees_checked))
        live_discard(index);
    pages_unmap(slot_start(index * ARENA_SLOTS), ARENA_BYTES);
}

size_t arenas_unmap(unsigned keep)
{
    size_t bytes = 0;
    lock_take(&arenas_lock);
    while (atomic_load_explicit(&empty_arenas, memory_order_relaxed) > keep) {
        arena_unmap(list_head[ARENA_SLOTS] - 1);
        bytes += ARENA_BYTES;
    }
    lock_release(&arenas_lock);
    return bytes;
}

void arenas_tidy(void)
{
    if (HG_UNLIKELY(atomic_load_explicit(&limited, memory_order_relaxed)) &&
        atomic_load_explicit(&empty_arenas, memory_order_relaxed) > SPARE_ARENAS)
        arenas_unmap(SPARE_ARENAS);
    if (HG_UNLIKELY(dirty_bytes() > KEEP_BYTES_MIN)) {
        size_t keep = keep_bytes();
        if (dirty_bytes() > keep)
            arenas_discard(keep);
    }
}

/* Slots of the arena that belong to a pool; the descriptors of the others are made
   what those of free slots have to be. */
static uint64_t taken_slots(uint32_t index)
{
    uint64_t taken = 0;
    struct pool *pool = pool_at_slot(index * ARENA_SLOTS);
    for (unsigned s = 0; s < ARENA_SLOTS;) {
        if (atomic_load_explicit(&pool[s].state, memory_order_relaxed) !=
            POOL_FREE) {
            taken |= run_mask(s, pool[s].slots);
            s += pool[s].slots;
            continue;
        }
        pool[s].slot_of_run = 0;
        pool[s].tags = NULL;
        atomic_store_explicit(&pool[s].fast, NULL, memory_order_relaxed);
        atomic_store_explicit(&pool[s].remote, NULL, memory_order_relaxed);
        s++;
    }
    return taken;
}

void arenas_mend(bool bare)
{
    size_t in_use = atomic_load_explicit(&heap_space.bytes, memory_order_relaxed);
    if (arenas_count < in_use / ARENA_BYTES)
        arenas_count = (uint32_t)(in_use / ARENA_BYTES);
    memset(list_head, 0, sizeof list_head);
    lists = 0;
    dirty_first = dirty_last = 0;
    unmapped_first = 0;
    atomic_store_explicit(&empty_arenas, 0, memory_order_relaxed);
    size_t dirty = 0;
    for (uint32_t i = 0; i < arenas_count; i++) {
        struct arena *a = arena_at(i);
        if (a->kind == ARENA_UNMAPPED) {
            a->free = a->dirty = 0;
            a->free_count = 0;
            a->next = unmapped_first;
            unmapped_first = i + 1;
        }
        if (a->kind != ARENA_MAPPED)
            continue;
        uint64_t taken = taken_slots(i);
        /* Without the lock a slot may have been written to, unknown to its arena.
         */
        uint64_t clean = bare ? 0 : a->free & ~a->dirty & ~taken;
        a->free = ~taken;
        a->dirty = a->free & ~clean;
        a->leaving = 0;
        list_insert(i);
        if (a->dirty != 0)
            dirty_insert(i);
        dirty += bit_count(a->dirty);
    }
    atomic_store_explicit(&dirty_slots, dirty, memory_order_relaxed);
}

/* --- checking --------------------------------------------------------------- */

static void arena_check(const struct arena *a, uint32_t index)
{
    HG_VERIFY((a->dirty & ~a->free) == 0, "arena: a taken slot is dirty", a);
    HG_VERIFY((a->leaving & a->free) == 0, "arena: a leaving slot is free", a);
    HG_VERIFY(a->free_count == bit_count(a->free), "arena: wrong count", a);
    HG_VERIFY(a->kind == ARENA_MAPPED || (a->free | a->leaving) == 0,
              "arena: has slots, but is not mapped", a);
    if (a->free_count != 0) {
        HG_VERIFY(a->prev != 0 || list_head[a->free_count] == index + 1,
                  "arena: not in its list", a);
        HG_VERIFY(a->next == 0 || arena_at(a->next - 1)->prev == index + 1,
                  "arena: list is broken", a);
    }
    if (a->dirty != 0) {
        HG_VERIFY(a->dirty_prev != 0 || dirty_first == index + 1,
                  "arena: not in the dirty list", a);
        HG_VERIFY(a->dirty_next == 0 ||
                      arena_at(a->dirty_next - 1)->dirty_prev == index + 1,
                  "arena: dirty list is broken", a);
    }
}

void arenas_check(void) /* with arenas_lock */
{
    size_t dirty = 0;
    uint32_t empty = 0;
    uint32_t unmapped = 0;
    for (uint32_t i = 0; i < arenas_count; i++) {
        arena_check(arena_at(i), i);
        dirty += bit_count(arena_at(i)->dirty);
        empty += arena_at(i)->free == UINT64_MAX;
        unmapped += arena_at(i)->kind == ARENA_UNMAPPED;
    }
    HG_VERIFY(empty == empty_arenas, "arenas: wrong number of empty ones", NULL);
    for (uint32_t i = unmapped_first; i != 0; i = arena_at(i - 1)->next) {
        HG_VERIFY(arena_at(i - 1)->kind == ARENA_UNMAPPED && unmapped != 0,
                  "arenas: broken list of unmapped ones", arena_at(i - 1));
        unmapped--;
    }
    HG_VERIFY(unmapped == 0, "arenas: an unmapped one is in no list", NULL);
    HG_VERIFY(dirty == dirty_slots, "arenas: wrong number of dirty slots", NULL);
    for (unsigned n = 1; n <= ARENA_SLOTS; n++)
        HG_VERIFY((list_head[n] != 0) == (lists >> (n - 1) & 1),
                  "arenas: wrong lists", NULL);
}
