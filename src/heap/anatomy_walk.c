/* SPDX-License-Identifier: MIT */
/*
 * anatomy_walk.c - the reader's side of anatomy.h.
 *
 * Tables are copied whole, pools one by one: of a used pool its pages too, for free
 * blocks are linked through themselves.  Nothing that was copied is believed: an
 * index, a class, a link may be of any moment, or half of one.
 */
#include "heap/anatomy.h"
#include "heap/own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS 4
#define BLOCKS_MAX (SLOT_BYTES / BLOCK_ALIGN)
#define POOL_BYTES_MAX (8 * SLOT_BYTES)

struct walk {
    anatomy_read *read;
    void *read_arg;
    struct heap_anatomy anatomy; /* addresses are the other process's */
    const struct anatomy_visitor *to;
    struct anatomy_account *account;
    uint64_t base;
    uint64_t pools_start;
    uintptr_t link_key; /* 0: its heaps are not hardened */
    struct arena *arenas;
    struct pool *pools; /* of the arena that is being walked */
    /* Of the pool that is being read. */
    uint8_t kind[BLOCKS_MAX];
    uint32_t tags[BLOCKS_MAX];
    uint16_t guards[BLOCKS_MAX];
    char bytes[POOL_BYTES_MAX];
};

static bool copy(struct walk *walk, const void *at, void *into, size_t bytes)
{
    return walk->read(walk->read_arg, (uintptr_t)at, into, bytes);
}

/* --- pools ------------------------------------------------------------------- */

static void mark_untouched(struct walk *walk, const struct pool *pool)
{
    const struct size_class *c = &heap_classes[pool->class];
    memset(walk->kind, BLOCK_LIVE, c->capacity);
    for (uint32_t left = pool->absent & c->pages; left != 0; left &= left - 1) {
        unsigned page = (unsigned)__builtin_ctz(left);
        uint32_t from = page_first_block(c, page);
        memset(walk->kind + from, BLOCK_UNTOUCHED,
               page_first_block(c, page + 1) - from);
    }
}

/* Marks the blocks of a list; false when it is broken. */
static bool mark_freed(struct walk *walk, const struct pool *pool, uint64_t start,
                       uint64_t link)
{
    const struct size_class *c = &heap_classes[pool->class];
    while (link != 0) {
        uint64_t within = link - start - c->lead;
        if (within > (uint64_t)(c->capacity - 1) * c->bytes ||
            within % c->bytes != 0 || walk->kind[within / c->bytes] != BLOCK_LIVE)
            return false;
        walk->kind[within / c->bytes] = BLOCK_FREED;
        memcpy(&link, walk->bytes + c->lead + within, sizeof link);
        if (walk->link_key != 0)
            link = __builtin_bswap64(link) ^ walk->link_key ^
                   (start + c->lead + within);
    }
    return true;
}

/* Copy the pages of a pool in which free blocks may begin.  The others may be gone:
   to read one would map a page there. */
static bool copy_pages(struct walk *walk, const struct pool *pool, uint64_t start)
{
    uint32_t pages = heap_classes[pool->class].pages & ~pool->absent;
    while (pages != 0) {
        unsigned first = (unsigned)__builtin_ctz(pages);
        uint64_t from = (uint64_t)pages >> first;
        unsigned count = (unsigned)__builtin_ctzll(~from);
        size_t at = first * PAGE_BYTES;
        if (!copy(walk, (const void *)(uintptr_t)(start + at), walk->bytes + at,
                  count * PAGE_BYTES))
            return false;
        pages &= ~(uint32_t)((((uint64_t)1 << count) - 1) << first);
    }
    return true;
}

/* Of a hardened heap: the guards tell, and no block need be looked at. */
static bool read_guards(struct walk *walk, const struct pool *pool)
{
    uint32_t capacity = heap_classes[pool->class].capacity;
    const void *at = pool_guards(pool);
    mark_untouched(walk, pool);
    if (at == NULL || !copy(walk, at, walk->guards, capacity * sizeof(guard)))
        return false;
    for (uint32_t i = 0; i < capacity; i++)
        if (walk->kind[i] == BLOCK_LIVE &&
            (walk->guards[i] == 0 || walk->guards[i] >= GUARD_FREED))
            walk->kind[i] = BLOCK_FREED;
    return true;
}

/* One attempt at the free blocks of a pool. */
static bool read_blocks(struct walk *walk, const struct pool *pool, uint64_t start)
{
    uint64_t remote =
        (uintptr_t)atomic_load_explicit(&pool->remote, memory_order_relaxed);
    uint64_t first = pool_state(pool) == POOL_FULL ? 0 : (uintptr_t)pool->free;
    if (walk->link_key != 0 && pool_owner(pool) != SYSTEM_HEAP)
        return read_guards(walk, pool);
    mark_untouched(walk, pool);
    if (first == 0 && remote == 0)
        return true;
    return copy_pages(walk, pool, start) && mark_freed(walk, pool, start, first) &&
           mark_freed(walk, pool, start, remote);
}

static bool is_sound(const struct pool *pool, unsigned slot_in_arena)
{
    enum pool_state state = pool_state(pool);
    if (pool->slots == 0 || slot_in_arena + pool->slots > ARENA_SLOTS)
        return false;
    if (state == POOL_LARGE)
        return true;
    return (state == POOL_USED || state == POOL_FULL) && pool->class < CLASSES &&
           pool->slots == heap_classes[pool->class].slots;
}

static void visit_large(struct walk *walk, const struct pool *pool, uint64_t start)
{
    static const uint8_t live = BLOCK_LIVE;
    size_t bytes = pool->slots * SLOT_BYTES;
    struct anatomy_pool seen = {
        .start = start,
        .bytes = bytes,
        .class = CLASS_LARGE,
        .block_bytes = bytes,
        .capacity = 1,
        .live = 1,
        .kind = &live,
        .tags = &pool->tag,
    };
    walk->account->pools++;
    if (walk->to->pool != NULL)
        walk->to->pool(walk->to->arg, &seen);
}

static void visit_pool(struct walk *walk, const struct pool *pool, uint64_t start)
{
    const struct size_class *c = &heap_classes[pool->class];
    bool has_tags = pool->tags != NULL && copy(walk, pool->tags, walk->tags,
                                               c->capacity * sizeof *walk->tags);
    struct anatomy_pool seen = {
        .start = start,
        .bytes = pool->slots * SLOT_BYTES,
        .lead = c->lead,
        .class = pool->class,
        .block_bytes = c->bytes,
        .capacity = c->capacity,
        .headers = pool_owner(pool) == SYSTEM_HEAP,
        .kind = walk->kind,
        .tags = has_tags ? walk->tags : NULL,
    };
    for (uint32_t i = 0; i < c->capacity; i++)
        seen.live += walk->kind[i] == BLOCK_LIVE;
    walk->account->pools++;
    if (walk->to->pool != NULL)
        walk->to->pool(walk->to->arg, &seen);
}

/* The pool that began in this slot when the arena was copied; slots that it takes.
 */
static unsigned walk_pool(struct walk *walk, uint32_t slot, unsigned in_arena)
{
    struct pool pool = walk->pools[in_arena];
    uint64_t start = walk->base + ((uint64_t)slot << SLOT_SHIFT);
    if (pool_state(&pool) == POOL_FREE)
        return 1; /* on its way to or from a pool */
    for (int i = 0; i < ATTEMPTS; i++) {
        uint64_t at = walk->pools_start + (uint64_t)slot * sizeof pool;
        if (i > 0 && !copy(walk, (const void *)(uintptr_t)at, &pool, sizeof pool))
            break;
        if (!is_sound(&pool, in_arena))
            continue;
        if (pool_state(&pool) == POOL_LARGE) {
            visit_large(walk, &pool, start);
            return pool.slots;
        }
        if (read_blocks(walk, &pool, start)) {
            visit_pool(walk, &pool, start);
            return pool.slots;
        }
    }
    walk->account->unread++;
    return is_sound(&pool, in_arena) ? pool.slots : 1;
}

/* --- arenas ------------------------------------------------------------------ */

static bool walk_arena(struct walk *walk, uint32_t number)
{
    const struct arena *a = &walk->arenas[number];
    uint64_t at =
        walk->pools_start + (uint64_t)number * ARENA_SLOTS * sizeof(struct pool);
    struct anatomy_arena seen = {
        .number = number,
        .start = walk->base + (uint64_t)number * ARENA_BYTES,
        .bytes = ARENA_BYTES,
        .free = a->free | a->leaving,
    };
    if (a->kind != ARENA_MAPPED)
        return true;
    if (!copy(walk, (const void *)(uintptr_t)at, walk->pools,
              ARENA_SLOTS * sizeof(struct pool)))
        return false;
    walk->account->arenas++;
    if (walk->to->arena != NULL)
        walk->to->arena(walk->to->arg, &seen);
    for (unsigned i = 0; i < ARENA_SLOTS;) {
        if ((seen.free >> i & 1) != 0)
            i++;
        else
            i += walk_pool(walk, number * ARENA_SLOTS + i, i);
    }
    return true;
}

static int walk_arenas(struct walk *walk)
{
    struct heap_space space;
    struct table pools, arenas;
    if (!copy(walk, walk->anatomy.space, &space, sizeof space) ||
        !copy(walk, walk->anatomy.pools, &pools, sizeof pools) ||
        !copy(walk, walk->anatomy.arenas, &arenas, sizeof arenas) ||
        !copy(walk, walk->anatomy.link_key, &walk->link_key, sizeof walk->link_key))
        return HG_EIO;
    size_t count =
        atomic_load_explicit(&space.bytes, memory_order_relaxed) / ARENA_BYTES;
    if (count > WINDOW_BYTES / ARENA_BYTES)
        return HG_ECORRUPT;
    walk->base = space.base;
    walk->pools_start = pools.start;
    walk->arenas = calloc(count + 1, sizeof *walk->arenas);
    walk->pools = calloc(ARENA_SLOTS, sizeof *walk->pools);
    if (walk->arenas == NULL || walk->pools == NULL)
        return HG_ENOMEM;
    if (count > 0 && !copy(walk, (const void *)arenas.start, walk->arenas,
                           count * sizeof *walk->arenas))
        return HG_EIO;
    for (uint32_t i = 0; i < count; i++)
        if (!walk_arena(walk, i))
            return HG_EIO;
    return HG_OK;
}

/* --- the rest ---------------------------------------------------------------- */

static void visit_huge(struct walk *walk, struct anatomy_huge huge)
{
    if (walk->to->huge != NULL && huge.start != 0)
        walk->to->huge(walk->to->arg, &huge);
}

static void visit_table(struct walk *walk, uint64_t start, size_t bytes)
{
    if (walk->to->table != NULL && bytes != 0)
        walk->to->table(walk->to->arg, start, bytes);
}

/* A pointer in the other process, and what it points to. */
static bool follow(struct walk *walk, const void *at, void *into, size_t bytes)
{
    const void *pointer;
    return copy(walk, at, &pointer, sizeof pointer) &&
           copy(walk, pointer, into, bytes);
}

static int walk_records(struct walk *walk, struct huge_record *const *at,
                        size_t size)
{
    struct huge_record **records = calloc(size + 1, sizeof *records);
    if (records == NULL)
        return HG_ENOMEM;
    int status = copy(walk, at, records, size * sizeof *records) ? HG_OK : HG_EIO;
    for (size_t i = 0; i < size && status == HG_OK; i++) {
        struct huge_record r;
        if (records[i] == NULL || !copy(walk, records[i], &r, sizeof r))
            continue; /* gone since */
        visit_table(walk, (uintptr_t)records[i], sizeof r);
        visit_huge(walk, (struct anatomy_huge){.start = (uintptr_t)r.start,
                                               .bytes = r.bytes,
                                               .has_tag = true,
                                               .tag = r.tag});
    }
    visit_table(walk, (uintptr_t)at, size * sizeof *records);
    free(records);
    return status;
}

static int walk_huge(struct walk *walk)
{
    struct huge_record **at;
    size_t size;
    struct huge_kept kept[KEPT_MAPPINGS];
    const void *pointer;
    if (!follow(walk, walk->anatomy.huge_table, &at, sizeof at) ||
        !follow(walk, walk->anatomy.huge_size, &size, sizeof size) ||
        !copy(walk, walk->anatomy.huge_kept, &pointer, sizeof pointer) ||
        !copy(walk, pointer, kept, sizeof kept))
        return HG_EIO;
    for (unsigned i = 0; i < KEPT_MAPPINGS; i++)
        visit_huge(walk, (struct anatomy_huge){.start = (uintptr_t)kept[i].start,
                                               .bytes = kept[i].bytes,
                                               .kept = true});
    if (at == NULL)
        return HG_OK;
    if (size > (size_t)1 << 32)
        return HG_ECORRUPT;
    return walk_records(walk, at, size);
}

static int walk_tables(struct walk *walk)
{
    const void *const tables[] = {walk->anatomy.heaps, walk->anatomy.arenas,
                                  walk->anatomy.pools, walk->anatomy.live};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct table table;
        if (!copy(walk, tables[i], &table, sizeof table))
            return HG_EIO;
        visit_table(walk, table.start, table.mapped);
    }
    return HG_OK;
}

static bool same_build(const struct heap_anatomy *a)
{
    const struct heap_anatomy *b = &heap_anatomy;
    return a->slot_shift == b->slot_shift && a->classes == b->classes &&
           a->small_classes == b->small_classes && a->pool_bytes == b->pool_bytes &&
           a->arena_bytes == b->arena_bytes && a->heap_bytes == b->heap_bytes &&
           a->record_bytes == b->record_bytes &&
           a->kept_mappings == b->kept_mappings;
}

int anatomy_walk(anatomy_read *read, void *arg, uint64_t at,
                 const struct anatomy_visitor *visitor,
                 struct anatomy_account *account)
{
    struct walk *walk = calloc(1, sizeof *walk);
    *account = (struct anatomy_account){0};
    if (walk == NULL)
        return HG_ENOMEM;
    walk->read = read;
    walk->read_arg = arg;
    walk->to = visitor;
    walk->account = account;
    classes_init();
    int status = HG_OK;
    if (!copy(walk, (const void *)(uintptr_t)at, &walk->anatomy,
              sizeof walk->anatomy))
        status = HG_EIO;
    else if (memcmp(walk->anatomy.magic, HEAP_ANATOMY_MAGIC,
                    sizeof walk->anatomy.magic) != 0)
        status = HG_ECORRUPT;
    else if (!same_build(&walk->anatomy))
        status = HG_EVERSION;
    if (status == HG_OK)
        status = walk_tables(walk);
    if (status == HG_OK)
        status = walk_arenas(walk);
    if (status == HG_OK)
        status = walk_huge(walk);
    int error = errno;
    free(walk->arenas);
    free(walk->pools);
    free(walk);
    errno = error;
    return status;
}
