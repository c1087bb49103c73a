/* SPDX-License-Identifier: MIT */
/*
 * memory_map.c - see memory_map.h
 *
 * The system says how much of each mapping is in memory.  What is known in more
 * detail, our heap and the stacks of threads, claims its share of that, page by
 * page; the rest of a mapping belongs to whatever the mapping is.  So the parts sum
 * to the whole, and a claim that is too large for its mapping, because memory came
 * or went between two looks, is cut.
 */
#include "analyze/memory_map.h"

#include "analyze/heap_find.h"
#include "analyze/shared.h"
#include "heap/anatomy.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ARENA_PAGES (ARENA_BYTES / PEER_PAGE)
#define STACK_MAX ((uint64_t)64 << 20)
#define C_ARENA_BYTES ((uint64_t)64 << 20)

struct mapping {
    const struct peer *peer;
    const char *ledger;
    struct regions regions;
    uint64_t *claimed;  /* by region */
    bool *may_be_stack; /* by region: no other claim was made on it */
    struct memory_map *out;
    uint64_t arena; /* whose pages are known */
    bool resident[ARENA_PAGES];
    bool failed; /* no memory */
};

static const char *const part_names[MAP_PARTS] = {
    "live",   "freed",  "untouched", "free",   "headers",
    "unread", "frames", "code",      "data",   "stacks",
    "c_heap", "files",  "shared",    "ledger", "unaccounted"};

const char *map_part_name(enum map_part part)
{
    return part_names[part];
}

/* --- rows -------------------------------------------------------------------- */

static void add(struct mapping *mapping, enum map_part part, const char *name,
                uint64_t rss, uint64_t mapped)
{
    struct memory_map *out = mapping->out;
    out->part[part] += rss;
    for (size_t i = 0; i < out->count; i++) {
        struct map_row *row = &out->rows[i];
        if (row->part == part && strcmp(row->name, name) == 0) {
            row->rss += rss;
            row->mapped += mapped;
            return;
        }
    }
    struct map_row *more = realloc(out->rows, (out->count + 1) * sizeof *more);
    char *copy = strdup(name);
    if (more != NULL)
        out->rows = more;
    if (more == NULL || copy == NULL) {
        free(copy);
        mapping->failed = true;
        return;
    }
    out->rows[out->count++] = (struct map_row){part, copy, rss, mapped};
}

/* Take so much from what a region has; returns what it had. */
static uint64_t claim(struct mapping *mapping, uint64_t address, uint64_t bytes)
{
    struct region *region = regions_find(&mapping->regions, address);
    if (region == NULL || bytes == 0)
        return 0;
    size_t i = (size_t)(region - mapping->regions.at);
    uint64_t left = region->rss - mapping->claimed[i];
    if (bytes > left)
        bytes = left;
    mapping->claimed[i] += bytes;
    mapping->may_be_stack[i] = false;
    return bytes;
}

/* The same of a range, which several regions may share. */
static uint64_t claim_range(struct mapping *mapping, uint64_t start, uint64_t end)
{
    uint64_t bytes = 0;
    start &= ~(PEER_PAGE - 1);
    end = (end + PEER_PAGE - 1) & ~(PEER_PAGE - 1);
    while (start < end) {
        const struct region *region = regions_find(&mapping->regions, start);
        if (region == NULL)
            break;
        uint64_t to = region->end < end ? region->end : end;
        bytes +=
            claim(mapping, start, peer_resident_bytes(mapping->peer, start, to));
        start = to;
    }
    return bytes;
}

/* --- our heap ---------------------------------------------------------------- */

static void claim_heap(struct mapping *mapping, enum map_part part,
                       uint64_t address, uint64_t bytes)
{
    mapping->out->part[part] += claim(mapping, address, bytes);
}

/* The bytes of [start, end), in the arena that is known, that are in memory. */
static uint64_t resident_in_arena(const struct mapping *mapping, uint64_t start,
                                  uint64_t end)
{
    uint64_t bytes = 0;
    while (start < end) {
        uint64_t next = (start & ~(PEER_PAGE - 1)) + PEER_PAGE;
        if (next > end)
            next = end;
        if (mapping->resident[(start - mapping->arena) / PEER_PAGE])
            bytes += next - start;
        start = next;
    }
    return bytes;
}

static void on_arena(void *arg, const struct anatomy_arena *arena)
{
    struct mapping *mapping = arg;
    mapping->arena = arena->start;
    peer_resident(mapping->peer, arena->start, ARENA_PAGES, mapping->resident);
    uint64_t free_bytes = 0;
    for (unsigned i = 0; i < ARENA_SLOTS; i++)
        if ((arena->free >> i & 1) != 0)
            free_bytes += resident_in_arena(mapping, arena->start + i * SLOT_BYTES,
                                            arena->start + (i + 1) * SLOT_BYTES);
    claim_heap(mapping, MAP_FREE, arena->start, free_bytes);
}

static void on_pool(void *arg, const struct anatomy_pool *pool)
{
    static const enum map_part parts[] = {[BLOCK_LIVE] = MAP_LIVE,
                                          [BLOCK_FREED] = MAP_FREED,
                                          [BLOCK_UNTOUCHED] = MAP_UNTOUCHED};
    struct mapping *mapping = arg;
    uint64_t at = pool->start;
    for (uint32_t i = 0; i < pool->capacity && !pool->headers;) {
        uint32_t to = i + 1;
        while (to < pool->capacity && pool->kind[to] == pool->kind[i])
            to++;
        uint64_t end = pool->start + pool->lead + (uint64_t)to * pool->block_bytes;
        claim_heap(mapping, parts[pool->kind[i]], at,
                   resident_in_arena(mapping, at, end));
        at = end;
        i = to;
    }
    claim_heap(mapping, pool->headers ? MAP_HEADERS : MAP_UNTOUCHED, at,
               resident_in_arena(mapping, at, pool->start + pool->bytes));
}

static void on_huge(void *arg, const struct anatomy_huge *huge)
{
    struct mapping *mapping = arg;
    mapping->out->part[huge->kept ? MAP_FREE : MAP_LIVE] +=
        claim_range(mapping, huge->start, huge->start + huge->bytes);
}

static void on_table(void *arg, uint64_t start, size_t bytes)
{
    struct mapping *mapping = arg;
    /* Records of huge blocks are smaller than a page: all of theirs. */
    mapping->out->part[MAP_HEADERS] +=
        bytes % PEER_PAGE == 0 ? claim_range(mapping, start, start + bytes)
                               : claim(mapping, start, bytes);
}

/* Whatever of the heap's range is not claimed yet. */
static void claim_rest_of_heap(struct mapping *mapping,
                               const struct ledger_heap *heap)
{
    for (size_t i = 0; i < mapping->regions.count; i++) {
        const struct region *region = &mapping->regions.at[i];
        if (region->start >= heap->from && region->end <= heap->to)
            claim_heap(mapping, MAP_UNREAD, region->start, region->rss);
    }
}

static hg_status map_heap(struct mapping *mapping, const struct ledger_heap *heap)
{
    const struct anatomy_visitor visitor = {mapping, on_arena, on_pool, on_huge,
                                            on_table};
    struct anatomy_account account;
    hg_status status = anatomy_walk(peer_read, (void *)mapping->peer, heap->anatomy,
                                    &visitor, &account);
    if (status == HG_ENOMEM)
        return status;
    mapping->out->opened = status == HG_OK;
    mapping->out->heap_error = status == HG_OK    ? 0
                               : status == HG_EIO ? errno
                                                  : EPROTO;
    claim_rest_of_heap(mapping, heap);
    return HG_OK;
}

/* One that was found: another one, or none at all, may have its magic, too. */
static void map_found(void *arg, uint64_t at)
{
    struct mapping *mapping = arg;
    const struct anatomy_visitor visitor = {mapping, on_arena, on_pool, on_huge,
                                            on_table};
    struct anatomy_account account;
    switch (
        anatomy_walk(peer_read, (void *)mapping->peer, at, &visitor, &account)) {
    case HG_OK:
        mapping->out->opened = mapping->out->opened || account.arenas > 0;
        break;
    case HG_ENOMEM:
        mapping->failed = true;
        break;
    case HG_EVERSION:
        mapping->out->heap_error = EPROTO;
        break;
    default:
        break;
    }
}

/* Whether Heapglass is in the process, as a library. */
static bool has_library(const struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->regions.count; i++)
        if (strstr(mapping->regions.at[i].path, "/libheapglass") != NULL)
            return true;
    return false;
}

static void map_found_heaps(struct mapping *mapping)
{
    int error = heap_find_all(mapping->peer, &mapping->regions, map_found, mapping);
    if (error != 0 && has_library(mapping))
        mapping->out->heap_error = error;
}

static void map_chunks(struct mapping *mapping, uint64_t at)
{
    struct ledger_chunks chunks;
    uint64_t bytes = 0;
    uint64_t rss = 0;
    if (at == 0 || !peer_read((void *)mapping->peer, at, &chunks, sizeof chunks))
        return;
    for (unsigned i = 0; i < LEDGER_CHUNKS; i++) {
        uint64_t start = chunks.at[i].start;
        if (start == 0)
            continue;
        bytes += chunks.at[i].bytes;
        rss += claim_range(mapping, start, start + chunks.at[i].bytes);
    }
    add(mapping, MAP_FRAMES, "chunks", rss, bytes);
}

/* --- stacks ------------------------------------------------------------------ */

/* The stack pointer of a thread that waits in the system; 0: not to be had. */
static uint64_t stack_pointer(const struct peer *peer, int tid)
{
    char name[64];
    char text[256];
    unsigned long long sp = 0;
    snprintf(name, sizeof name, "task/%d/syscall", tid);
    peer_line(peer, name, text, sizeof text);
    if (sscanf(text, "-1 %llx", &sp) == 1)
        return sp;
    if (sscanf(text, "%*d %*x %*x %*x %*x %*x %*x %llx", &sp) == 1)
        return sp;
    return 0;
}

static void map_stack(struct mapping *mapping, int tid)
{
    uint64_t sp = stack_pointer(mapping->peer, tid);
    const struct region *region =
        sp == 0 ? NULL : regions_find(&mapping->regions, sp);
    if (region == NULL || strcmp(region->path, "[stack]") == 0 ||
        (region->path[0] != '\0' && region->path[0] != '['))
        return;
    char file[64];
    char comm[64];
    char label[160];
    snprintf(file, sizeof file, "task/%d/comm", tid);
    peer_line(mapping->peer, file, comm, sizeof comm);
    snprintf(label, sizeof label, "thread %d (%s)", tid, comm);
    uint64_t end = region->end;
    if (end - region->start > STACK_MAX)
        end = region->start + STACK_MAX;
    if (sp >= end)
        return;
    add(mapping, MAP_STACK, label, claim_range(mapping, region->start, end),
        end - region->start);
}

static void map_stacks(struct mapping *mapping)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)mapping->peer->pid);
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.')
            map_stack(mapping, (int)strtol(entry->d_name, NULL, 10));
    if (folder != NULL)
        closedir(folder);
}

/* --- what a mapping is ------------------------------------------------------- */

static bool is_shared_memory(const char *path)
{
    return strncmp(path, "/dev/shm/", 9) == 0 || strncmp(path, "/SYSV", 5) == 0 ||
           strncmp(path, "/memfd:", 7) == 0 ||
           strcmp(path, "/dev/zero (deleted)") == 0;
}

static bool is_ledger(const struct mapping *mapping, const struct region *region)
{
    struct stat st;
    return mapping->ledger != NULL && region->inode != 0 &&
           stat(mapping->ledger, &st) == 0 && st.st_ino == region->inode &&
           strncmp(region->path, mapping->ledger, strlen(mapping->ledger)) == 0;
}

/* Whether some mapping of this file can be executed. */
static bool is_program(const struct mapping *mapping, const char *path)
{
    for (size_t i = 0; i < mapping->regions.count; i++) {
        const struct region *region = &mapping->regions.at[i];
        if (region->access[2] == 'x' && strcmp(region->path, path) == 0)
            return true;
    }
    return false;
}

static bool is_anonymous(const struct region *region)
{
    return region->path[0] == '\0' || strncmp(region->path, "[anon", 5) == 0;
}

static bool is_reserved(const struct region *region)
{
    return is_anonymous(region) && strncmp(region->access, "---", 3) == 0;
}

/* One of the C library's arenas: from a multiple of 64 MiB, the rest reserved. */
static bool is_c_arena(const struct region *region, const struct region *next)
{
    if (strncmp(region->path, "[anon: glibc: malloc", 20) == 0)
        return true;
    return region->start % C_ARENA_BYTES == 0 && next != NULL &&
           next->start == region->end && is_reserved(next) &&
           next->end - region->start == C_ARENA_BYTES;
}

static void classify_anonymous(struct mapping *mapping, size_t i, uint64_t rss)
{
    const struct region *region = &mapping->regions.at[i];
    uint64_t bytes = region->end - region->start;
    const struct region *before = i > 0 ? region - 1 : NULL;
    const struct region *next = i + 1 < mapping->regions.count ? region + 1 : NULL;
    if (before != NULL && before->end != region->start)
        before = NULL;
    if (region->access[2] == 'x')
        add(mapping, MAP_CODE, "made while it runs", rss, bytes);
    else if (before != NULL && before->path[0] == '/' && before->access[1] == 'w' &&
             is_program(mapping, before->path))
        add(mapping, MAP_DATA, before->path, rss, bytes);
    else if (is_c_arena(region, next))
        add(mapping, MAP_C_HEAP, "arenas of threads", rss, bytes);
    else if (strncmp(region->path, "[anon: glibc: pthread", 21) == 0 ||
             (before != NULL && is_reserved(before) &&
              before->end - before->start <= 16 * PEER_PAGE &&
              mapping->may_be_stack[i] && region->access[1] == 'w' &&
              bytes <= STACK_MAX))
        add(mapping, MAP_STACK, "other threads, running or ended", rss, bytes);
    else
        add(mapping, MAP_UNACCOUNTED, "anonymous mappings", rss, bytes);
}

static void classify_file(struct mapping *mapping, const struct region *region,
                          uint64_t rss)
{
    uint64_t bytes = region->end - region->start;
    if (is_ledger(mapping, region))
        add(mapping, MAP_LEDGER, region->path, rss, bytes);
    else if (is_shared_memory(region->path))
        add(mapping, MAP_SHARED, region->path, rss, bytes);
    else if (!is_program(mapping, region->path))
        add(mapping, MAP_FILES, region->path, rss, bytes);
    else
        add(mapping, region->access[1] == 'w' ? MAP_DATA : MAP_CODE, region->path,
            rss, bytes);
}

/* The rest of a region, and all of one that nobody claimed. */
static void classify(struct mapping *mapping, size_t i)
{
    const struct region *region = &mapping->regions.at[i];
    uint64_t rss = region->rss - mapping->claimed[i];
    uint64_t bytes = region->end - region->start;
    if (rss == 0 && (mapping->claimed[i] != 0 || is_anonymous(region)))
        return;
    if (is_anonymous(region))
        classify_anonymous(mapping, i, rss);
    else if (strcmp(region->path, "[heap]") == 0)
        add(mapping, MAP_C_HEAP, "main heap", rss, bytes);
    else if (strcmp(region->path, "[stack]") == 0)
        add(mapping, MAP_STACK, "main thread", rss, bytes);
    else if (region->path[0] == '[')
        add(mapping, MAP_CODE, "of the system", rss, bytes);
    else
        classify_file(mapping, region, rss);
}

static int larger_first(const void *a, const void *b)
{
    const struct map_row *x = a;
    const struct map_row *y = b;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return x->rss > y->rss ? -1 : x->rss < y->rss;
}

static hg_status map_regions(struct mapping *mapping,
                             const struct ledger_header *header)
{
    size_t count = mapping->regions.count;
    mapping->claimed = calloc(count + 1, sizeof *mapping->claimed);
    mapping->may_be_stack = malloc(count + 1);
    if (mapping->claimed == NULL || mapping->may_be_stack == NULL)
        return HG_ENOMEM;
    memset(mapping->may_be_stack, true, count + 1);
    mapping->out->rss = mapping->regions.rss;
    hg_status status = HG_OK;
    if (header != NULL && header->heap.anatomy != 0)
        status = map_heap(mapping, &header->heap);
    else
        map_found_heaps(mapping);
    if (status != HG_OK)
        return status;
    if (header != NULL)
        map_chunks(mapping, header->heap.chunks);
    map_stacks(mapping);
    for (size_t i = 0; i < count; i++)
        classify(mapping, i);
    return mapping->failed ? HG_ENOMEM : HG_OK;
}

hg_status memory_map_take(const struct peer *peer,
                          const struct ledger_header *header, const char *ledger,
                          struct memory_map *out)
{
    struct mapping *mapping = calloc(1, sizeof *mapping);
    *out = (struct memory_map){.rss = 0};
    if (mapping == NULL)
        return HG_ENOMEM;
    mapping->peer = peer;
    mapping->ledger = ledger;
    mapping->out = out;
    hg_status status = regions_read(peer, &mapping->regions);
    if (status == HG_OK)
        status = map_regions(mapping, header);
    if (status == HG_OK)
        status = memory_map_left(out);
    if (status == HG_OK && out->count > 1)
        qsort(out->rows, out->count, sizeof *out->rows, larger_first);
    int error = errno;
    regions_drop(&mapping->regions);
    free(mapping->claimed);
    free(mapping->may_be_stack);
    free(mapping);
    if (status != HG_OK)
        memory_map_drop(out);
    errno = error;
    return status;
}

hg_status memory_map_left(struct memory_map *out)
{
    return shared_left(&out->left, &out->left_count);
}

void memory_map_drop(struct memory_map *map)
{
    for (size_t i = 0; i < map->count; i++)
        free(map->rows[i].name);
    for (size_t i = 0; i < map->left_count; i++)
        free(map->left[i].name);
    free(map->rows);
    free(map->left);
    *map = (struct memory_map){.rss = 0};
}
