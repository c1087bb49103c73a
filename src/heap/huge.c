/* SPDX-License-Identifier: MIT */
/*
 * huge.c - blocks with a mapping of their own.
 *
 * A record for each, found by a hash table of addresses: open addressing, linear
 * probing, at most half full, in a mapping of its own that is replaced by one of
 * twice the size.  Records do not move, for callers keep pointers to the tag and
 * the requested size in them.
 *
 * A few mappings are kept after they were freed, for lists that grow and buffers
 * that come and go; they are dropped by the first slow path that finds them a
 * second old, and when the system refuses a mapping.  None are kept when address
 * space is limited: the program may need it for what we do not see.
 */
#include "heap/own.h"

#include <string.h>

#ifdef HG_STRESS
#define CHUNK_BYTES PAGE_BYTES
#define FIRST_TABLE_BYTES ((size_t)64)
#define KEPT_MS 1u
#else
#define CHUNK_BYTES ((size_t)64 << 10)
#define FIRST_TABLE_BYTES PAGE_BYTES
#define KEPT_MS 1000u
#endif
#define KEPT_BYTES_MAX ((size_t)64 << 20)
#define KEPT_BYTES_MIN ((size_t)16 << 20)

struct lock huge_lock = {.rank = LOCK_HUGE};

/* All guarded by huge_lock. */
static struct huge_record **table;
static size_t table_size; /* entries; a power of two */
static size_t records;    /* in the table */
static struct huge_record *free_records;
static size_t chunk_bytes; /* of all records, used or free */
static struct huge_kept kept[KEPT_MAPPINGS];
static size_t kept_bytes;
static _Atomic unsigned kept_count; /* relaxed: read without the lock as a hint */
static _Atomic uint32_t kept_since_ms; /* no kept one is older; the same */
static bool limited;                   /* pages_limited(), when we last asked */
static uint32_t limited_ms;            /* when that was */

struct huge_record **const *const huge_table_at = &table;
const size_t *const huge_size_at = &table_size;
const struct huge_kept *const huge_kept_at = kept;

/* --- the table ------------------------------------------------------------- */

static size_t bucket_of(const void *start)
{
    uint64_t h = ((uintptr_t)start >> 12) * 0x9E3779B97F4A7C15u;
    return (size_t)(h >> 32) & (table_size - 1);
}

static struct huge_record *find(const void *start)
{
    if (table == NULL)
        return NULL;
    for (size_t i = bucket_of(start); table[i] != NULL;
         i = (i + 1) & (table_size - 1))
        if (table[i]->start == start)
            return table[i];
    return NULL;
}

static void insert(struct huge_record *record)
{
    size_t i = bucket_of(record->start);
    while (table[i] != NULL)
        i = (i + 1) & (table_size - 1);
    table[i] = record;
    records++;
}

static void remove_record(const struct huge_record *record)
{
    size_t hole = bucket_of(record->start);
    while (table[hole] != record)
        hole = (hole + 1) & (table_size - 1);
    /* Move back what would not be found any more across the hole. */
    for (size_t i = (hole + 1) & (table_size - 1); table[i] != NULL;
         i = (i + 1) & (table_size - 1)) {
        size_t home = bucket_of(table[i]->start);
        if (((i - home) & (table_size - 1)) >= ((i - hole) & (table_size - 1))) {
            table[hole] = table[i];
            hole = i;
        }
    }
    table[hole] = NULL;
    records--;
}

/* Make room for one more. */
static bool table_grow(void)
{
    if (table != NULL && (records + 1) * 2 <= table_size)
        return true;
    struct huge_record **old = table;
    size_t old_size = table_size;
    size_t bytes = old == NULL ? FIRST_TABLE_BYTES : old_size * 2 * sizeof *old;
    struct huge_record **bigger = pages_map(bytes);
    if (bigger == NULL)
        return false;
    held_add(bytes);
    table = bigger;
    table_size = bytes / sizeof *table;
    records = 0;
    if (old != NULL) {
        for (size_t i = 0; i < old_size; i++)
            if (old[i] != NULL)
                insert(old[i]);
        pages_unmap(old, old_size * sizeof *old);
        held_sub(old_size * sizeof *old);
    }
    return true;
}

static struct huge_record *record_new(void)
{
    if (!table_grow())
        return NULL;
    if (free_records == NULL) {
        struct huge_record *chunk = pages_map(CHUNK_BYTES);
        if (chunk == NULL)
            return NULL;
        held_add(CHUNK_BYTES);
        chunk_bytes += CHUNK_BYTES;
        for (size_t i = CHUNK_BYTES / sizeof *chunk; i-- > 0;) {
            chunk[i].next_free = free_records;
            free_records = &chunk[i];
        }
    }
    struct huge_record *record = free_records;
    free_records = record->next_free;
    return record;
}

static void record_free(struct huge_record *record)
{
    record->start = NULL;
    record->next_free = free_records;
    free_records = record;
}

/* --- kept mappings ----------------------------------------------------------- */

static struct huge_kept kept_remove(unsigned i)
{
    struct huge_kept k = kept[i];
    kept[i].start = NULL;
    kept_bytes -= k.bytes;
    atomic_fetch_sub_explicit(&kept_count, 1, memory_order_relaxed);
    return k;
}

/* The oldest, or the first empty one. */
static unsigned kept_oldest(void)
{
    unsigned oldest = 0;
    for (unsigned i = 0; i < KEPT_MAPPINGS; i++) {
        if (kept[i].start == NULL)
            return i;
        if ((int32_t)(kept[i].since_ms - kept[oldest].since_ms) < 0)
            oldest = i;
    }
    return oldest;
}

/* As much as a quarter of what we hold, for arrays that are computed one from
   another; but a program that then goes to sleep should not look bigger than it is.
 */
static size_t kept_bytes_max(void)
{
    size_t max = heap_held_bytes() / 4;
    if (max < KEPT_BYTES_MIN)
        max = KEPT_BYTES_MIN;
    return max < KEPT_BYTES_MAX ? max : KEPT_BYTES_MAX;
}

/* The system is asked again when the clock has gone on. */
static bool is_limited(uint32_t now)
{
    if (now != limited_ms || limited) {
        limited = pages_limited();
        limited_ms = now;
    }
    return limited;
}

static void kept_put(unsigned i, struct huge_kept new)
{
    if (atomic_fetch_add_explicit(&kept_count, 1, memory_order_relaxed) == 0)
        atomic_store_explicit(&kept_since_ms, new.since_ms, memory_order_relaxed);
    kept[i] = new;
    kept_bytes += new.bytes;
}

/* Keep the mapping and return what has to go for it, or return the mapping itself.
 */
static struct huge_kept kept_insert(struct huge_kept new)
{
    if (new.bytes > kept_bytes_max() || is_limited(new.since_ms))
        return new;
    unsigned i = kept_oldest();
    struct huge_kept old = {NULL, 0, 0};
    if (kept[i].start != NULL)
        old = kept_remove(i);
    if (kept_bytes + new.bytes > kept_bytes_max()) {
        /* Rare; the next slow paths find the others old. */
        if (old.start == NULL)
            return new;
        kept_put(i, old);
        return new;
    }
    kept_put(i, new);
    return old;
}

/* How well a kept mapping fits; 0: not at all.  Half as much again is not too much,
   for what is not reused lies beside its successor; nor is a third too little. */
static size_t fitness(const struct huge_kept *k, size_t bytes)
{
    if (k->start == NULL || k->bytes > bytes + bytes / 2 ||
        bytes > k->bytes + k->bytes / 2)
        return 0;
    return k->bytes >= bytes ? SIZE_MAX - k->bytes : k->bytes;
}

static struct huge_kept kept_find(size_t bytes)
{
    unsigned best = KEPT_MAPPINGS;
    size_t most = 0;
    if (atomic_load_explicit(&kept_count, memory_order_relaxed) == 0)
        return (struct huge_kept){NULL, 0, 0};
    for (unsigned i = 0; i < KEPT_MAPPINGS; i++) {
        size_t fits = fitness(&kept[i], bytes);
        best = fits > most ? i : best;
        most = fits > most ? fits : most;
    }
    return most != 0 ? kept_remove(best) : (struct huge_kept){NULL, 0, 0};
}

/* Make what was kept as large as is needed; else it is gone. */
static void kept_grow(struct huge_kept *mapping, size_t whole)
{
    if (mapping->start == NULL || mapping->bytes >= whole)
        return;
    void *moved = limit_allows(whole, false)
                      ? pages_remap(mapping->start, mapping->bytes, whole, true)
                      : NULL;
    if (moved == NULL)
        pages_unmap(mapping->start, mapping->bytes);
    mapping->start = moved;
    mapping->bytes = whole;
}

/* Those that have been kept for at least `age_ms`. */
static size_t drop(uint32_t age_ms)
{
    struct huge_kept gone[KEPT_MAPPINGS];
    unsigned n = 0;
    size_t bytes = 0;
    lock_take(&huge_lock);
    uint32_t now = now_ms();
    uint32_t oldest = 0; /* of those that stay: its age */
    for (unsigned i = 0; i < KEPT_MAPPINGS; i++) {
        uint32_t age = now - kept[i].since_ms;
        if (kept[i].start != NULL && age >= age_ms) {
            gone[n] = kept_remove(i);
            bytes += gone[n].bytes;
            n++;
        } else if (kept[i].start != NULL && age > oldest) {
            oldest = age;
        }
    }
    atomic_store_explicit(&kept_since_ms, now - oldest, memory_order_relaxed);
    held_sub(bytes);
    lock_release(&huge_lock);
    while (n-- > 0)
        pages_unmap(gone[n].start, gone[n].bytes);
    return bytes;
}

void huge_drop_old(void)
{
    if (atomic_load_explicit(&kept_count, memory_order_relaxed) != 0 &&
        now_ms() - atomic_load_explicit(&kept_since_ms, memory_order_relaxed) >=
            KEPT_MS)
        drop(KEPT_MS);
}

size_t huge_trim(void)
{
    return drop(0);
}

/* The system has refused a mapping: give back what nobody uses.  False: there was
   nothing. */
static bool make_room(void)
{
    size_t dropped = huge_trim();
    return arenas_unmap(0) + dropped != 0;
}

/* --- blocks ------------------------------------------------------------------ */

static void record_place(struct huge_record *record, struct place *place)
{
    bool tags = object_keeps_tags(record->object);
    place->tag = tags ? &record->tag : NULL;
    place->bytes = tags ? &record->requested : NULL;
    place->bytes32 = NULL;
    place->usable = record->bytes;
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

static char *map_aligned(size_t bytes, size_t align)
{
    if (align <= PAGE_BYTES)
        return pages_map(bytes);
    char *start = pages_map(bytes + align);
    if (start == NULL)
        return NULL;
    size_t before = -(uintptr_t)start & (align - 1);
    if (before != 0)
        pages_unmap(start, before);
    if (align != before)
        pages_unmap(start + before + bytes, align - before);
    return start + before;
}

void *huge_alloc(struct thread_heap *object, size_t bytes, size_t align, bool zero,
                 struct place *place)
{
    size_t whole = whole_pages(bytes);
    struct huge_kept mapping = {NULL, 0, 0};
    lock_take(&huge_lock);
    /* A kept one may be larger than its object's limit allows. */
    if (align <= PAGE_BYTES && object == NULL)
        mapping = kept_find(whole);
    held_sub(mapping.bytes); /* for a census of the moment: it is in no table */
    lock_release(&huge_lock);

    kept_grow(&mapping, whole);
    bool reused = mapping.start != NULL;
    if (!reused && (!limit_allows(whole, true) || !object_hold(object, whole)))
        return NULL;
    if (!reused)
        mapping = (struct huge_kept){map_aligned(whole, align), whole, 0};
    if (mapping.start == NULL && make_room())
        mapping.start = map_aligned(whole, align);
    if (mapping.start == NULL) {
        object_let_go(object, whole);
        return NULL;
    }

    lock_take(&huge_lock);
    struct huge_record *record = record_new();
    if (record == NULL) {
        lock_release(&huge_lock);
        make_room();
        lock_take(&huge_lock);
        record = record_new();
    }
    if (record != NULL) {
        *record = (struct huge_record){.start = mapping.start,
                                       .bytes = mapping.bytes,
                                       .requested = bytes,
                                       .object = object_id(object)};
        insert(record);
        held_add(mapping.bytes);
        record_place(record, place);
    }
    lock_release(&huge_lock);

    if (record == NULL) {
        pages_unmap(mapping.start, mapping.bytes);
        object_let_go(object, whole);
        return NULL;
    }
    if (zero && reused)
        memset(mapping.start, 0, bytes);
    slow_end();
    return mapping.start;
}

/* With huge_lock.  What has to be unmapped then, without it. */
static struct huge_kept forget(struct huge_record *record)
{
    struct huge_kept mapping = {record->start, record->bytes, now_ms()};
    object_let_go(object_at(record->object), record->bytes);
    remove_record(record);
    record_free(record);
    struct huge_kept gone = kept_insert(mapping);
    if (gone.start != NULL)
        held_sub(gone.bytes);
    return gone;
}

bool huge_free(void *block)
{
    lock_take(&huge_lock);
    struct huge_record *record = find(block);
    if (record == NULL) {
        lock_release(&huge_lock);
        return false;
    }
    struct huge_kept gone = forget(record);
    lock_release(&huge_lock);
    if (gone.start != NULL)
        pages_unmap(gone.start, gone.bytes);
    return true;
}

void huge_free_all(const struct thread_heap *object)
{
    lock_take(&huge_lock);
    for (size_t i = 0; i < table_size;) {
        struct huge_record *record = table[i];
        if (record == NULL || record->object != object->id) {
            i++;
            continue;
        }
        /* Others move back across the hole, and this entry is looked at again. */
        struct huge_kept gone = forget(record);
        if (gone.start != NULL)
            pages_unmap(gone.start, gone.bytes);
    }
    lock_release(&huge_lock);
}

void huge_mend_objects(void)
{
    for (size_t i = 0; i < table_size; i++)
        if (table[i] != NULL)
            object_count(object_at(table[i]->object), table[i]->bytes);
}

bool huge_find(const void *block, struct place *place)
{
    if ((uintptr_t)block % PAGE_BYTES != 0)
        return false;
    lock_take(&huge_lock);
    struct huge_record *record = find(block);
    if (record != NULL)
        record_place(record, place);
    lock_release(&huge_lock);
    return record != NULL;
}

size_t huge_requested(const void *block)
{
    lock_take(&huge_lock);
    const struct huge_record *record = find(block);
    size_t bytes = record != NULL ? record->requested : 0;
    lock_release(&huge_lock);
    return bytes;
}

static void verify(const struct huge_record *r)
{
    hard_verify(r->start, r->requested, r->bytes,
                object_keeps_tags(r->object) ? &r->tag : NULL);
}

void huge_verify(const void *block)
{
    lock_take(&huge_lock);
    const struct huge_record *record = find(block);
    if (record != NULL)
        verify(record);
    lock_release(&huge_lock);
}

/* Where the mapping is when it has `whole` bytes; NULL: all is as it was. */
static void *remap(const struct huge_record *record, size_t whole, bool may_move)
{
    struct thread_heap *object = object_at(record->object);
    size_t old = record->bytes;
    if (whole == old)
        return record->start;
    size_t more = whole > old ? whole - old : 0;
    if (!limit_allows(more, false) || !object_hold(object, more))
        return NULL;
    void *moved = pages_remap(record->start, old, whole, may_move);
    if (moved == NULL)
        object_let_go(object, more);
    else if (whole < old)
        object_let_go(object, old - whole);
    return moved;
}

/* The bytes that the mapping should have for a block of another size. */
static size_t resized(const struct huge_record *record, size_t bytes)
{
    size_t whole = whole_pages(bytes);
    /* One that grows may have come with room for it. */
    return bytes >= record->requested && whole < record->bytes ? record->bytes
                                                               : whole;
}

/* The block's owner calls, so the record stays; the lock is for the tables. */
static void *resize(void *block, size_t bytes, bool may_move, struct place *place)
{
    if (bytes <= LARGE_MAX || bytes > REQUEST_MAX)
        return NULL;
    void *moved = NULL;
    size_t whole = 0;
    lock_take(&huge_lock);
    struct huge_record *record = find(block);
    if (record != NULL) {
        if (HG_UNLIKELY(heap_hardened))
            verify(record);
        whole = resized(record, bytes);
        moved = remap(record, whole, may_move);
    }
    if (moved != NULL) {
        if (moved != block) {
            remove_record(record);
            record->start = moved;
            insert(record);
        }
        held_add(whole - record->bytes);
        record->bytes = whole;
        record_place(record, place);
        if (place->bytes == NULL)
            record->requested = bytes; /* or the caller knows */
        if (HG_UNLIKELY(heap_hardened)) {
            record->requested = bytes;
            hard_guard(record->start, bytes, whole);
        }
    }
    lock_release(&huge_lock);
    return moved;
}

bool huge_resize(void *block, size_t bytes, struct place *place)
{
    return resize(block, bytes, false, place) != NULL;
}

void *heap_remap_huge(void *block, size_t bytes, struct place *place)
{
    size_t offset;
    if (heap_in_window(block, &offset))
        return NULL;
    void *moved = resize(block, bytes, true, place);
    if (moved == NULL && bytes > LARGE_MAX && make_room())
        moved = resize(block, bytes, true, place);
    return moved;
}

void huge_mend(void)
{
    records = 0;
    for (size_t i = 0; i < table_size; i++)
        records += table[i] != NULL;
    free_records = NULL; /* some are lost, but none is in use twice */
    kept_bytes = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < KEPT_MAPPINGS; i++) {
        if (kept[i].start != NULL) {
            kept_bytes += kept[i].bytes;
            count++;
        }
    }
    atomic_store_explicit(&kept_count, count, memory_order_relaxed);
}

/* --- walking ----------------------------------------------------------------- */

void huge_walk(const struct thread_heap *object, bool all, heap_visit *visit,
               void *arg)
{
    for (size_t i = 0; i < table_size; i++) {
        struct huge_record *r = table[i];
        if (r != NULL && (all || r->object == object_id(object)))
            visit(arg, r->start, r->bytes,
                  object_keeps_tags(r->object) ? &r->tag : NULL, r->requested);
    }
}

void huge_census(struct heap_census *census) /* with huge_lock */
{
    for (size_t i = 0; i < table_size; i++)
        if (table[i] != NULL)
            census->huge_bytes += table[i]->bytes;
    census->live += census->huge_bytes;
    census->huge = records;
    census->free_pools += kept_bytes;
    census->headers += table_size * sizeof *table + chunk_bytes;
}

void huge_check(void) /* with huge_lock */
{
    size_t n = 0;
    for (size_t i = 0; i < table_size; i++) {
        struct huge_record *r = table[i];
        if (r == NULL)
            continue;
        n++;
        HG_VERIFY(find(r->start) == r, "huge: a block is not found", r->start);
        HG_VERIFY(r->bytes % PAGE_BYTES == 0, "huge: broken size", r->start);
        if (heap_hardened)
            verify(r);
    }
    HG_VERIFY(n == records, "huge: wrong number of records", NULL);
    HG_VERIFY(n * 2 <= table_size, "huge: table is too full", NULL);
    size_t bytes = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < KEPT_MAPPINGS; i++) {
        if (kept[i].start == NULL)
            continue;
        bytes += kept[i].bytes;
        count++;
    }
    HG_VERIFY(bytes == kept_bytes, "huge: wrong sum of kept bytes", NULL);
    HG_VERIFY(count == kept_count, "huge: wrong number of kept mappings", NULL);
}
