/* SPDX-License-Identifier: MIT */
/*
 * heap_script.c - a script of allocations against a table of what should be there.
 *
 * Four bytes are a command: what, which entry of the table, and two for a size. The
 * heap lives on from one script to the next, as in a long program; each script
 * frees what it took.  A script may have parts run by other threads, which end
 * before it goes on: so blocks are freed by strangers and heaps change hands.
 */
#include "heap/heap.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES = 256 };

struct entry {
    unsigned char *block;
    size_t bytes;
    uint32_t tag;
};

static struct entry table[ENTRIES];
static uint32_t tags_given;

struct script {
    const uint8_t *next;
    size_t left;
    int depth;
};

static void fail(const char *what)
{
    fprintf(stderr, "heap_script: %s\n", what);
    abort();
}

/* Nearly all sizes of pools, some beyond; the two bytes tell which. */
static size_t size_of(const uint8_t *command)
{
    size_t n = command[2] | (size_t)command[3] << 8;
    switch (n >> 14) {
    case 0:
        return n & 511;
    case 1:
        return n & 0x3FFF;
    case 2:
        return (n & 0x3FFF) * 40; /* up to 640 KiB */
    default:
        return (n & 0x3FFF) * 200; /* up to 3 MiB */
    }
}

/* Of a long block some will do: scripts should be quick, and page faults are slow.
 */
static size_t next_byte(size_t i)
{
    if (i < 256)
        return i + 1;
    return i < 32768 ? (i + 4096) / 4096 * 4096 : (i + 524288) / 524288 * 524288;
}

static void fill(const struct entry *e)
{
    for (size_t i = 0; i < e->bytes; i = next_byte(i))
        e->block[i] = e->tag & 255;
}

static void check_bytes(const struct entry *e, size_t bytes, unsigned char expected)
{
    for (size_t i = 0; i < bytes; i = next_byte(i))
        if (e->block[i] != expected)
            fail("a block's bytes are not what they were");
}

static void note(struct entry *e, const struct place *place)
{
    if (place->usable < e->bytes)
        fail("a block is too short");
    *place->tag = e->tag;
    if (place->bytes != NULL)
        *place->bytes = e->bytes;
    if (place->bytes32 != NULL)
        *place->bytes32 = (uint32_t)e->bytes;
}

static void give(struct entry *e)
{
    struct place place;
    if (!heap_find(e->block, &place))
        fail("a block is not found");
    if (*place.tag != e->tag)
        fail("a tag has changed");
    check_bytes(e, e->bytes, e->tag & 255);
    e->tag = 0xDD;
    fill(e);
    size_t offset;
    struct pool *pool = heap_fast_pool(heap_mine, e->block, &offset);
    if (pool != NULL)
        heap_free_fast(pool, e->block);
    else
        heap_free_slow(e->block);
    e->block = NULL;
}

static void take(struct entry *e, const uint8_t *command)
{
    struct place place;
    struct pool *pool;
    size_t align = 1;
    e->bytes = size_of(command);
    e->tag = ++tags_given;
    switch (command[0] >> 4 & 3) {
    case 0:
        e->block =
            heap_is_small(e->bytes)
                ? heap_alloc_fast(heap_mine, heap_small_class(e->bytes), &pool)
                : NULL;
        if (e->block != NULL) {
            heap_find(e->block, &place);
            break;
        } /* fall through */
    case 1:
        e->block = heap_alloc_slow(e->bytes, &place);
        break;
    case 2:
        e->block = heap_calloc_slow(e->bytes, &place);
        if (e->block != NULL)
            check_bytes(e, e->bytes, 0);
        break;
    default:
        align = (size_t)1 << (command[0] >> 6 | (command[1] & 7) << 2) % 22;
        e->block = heap_alloc_aligned(align, e->bytes, &place);
    }
    if (e->block == NULL)
        fail("no memory");
    if ((uintptr_t)e->block % align != 0)
        fail("a block is not aligned");
    note(e, &place);
    fill(e);
}

static void resize(struct entry *e, const uint8_t *command)
{
    size_t bytes = size_of(command);
    size_t kept = bytes < e->bytes ? bytes : e->bytes;
    struct place place;
    if (!heap_resize_in_place(e->block, bytes, &place)) {
        unsigned char *moved = heap_remap_huge(e->block, bytes, &place);
        if (moved == NULL)
            return;
        e->block = moved;
    }
    if (*place.tag != e->tag)
        fail("a tag was lost in a resize");
    check_bytes(e, kept, e->tag & 255);
    e->bytes = bytes;
    note(e, &place);
    fill(e);
}

struct sum {
    size_t blocks;
    uint64_t tags;
};

static void add(void *arg, void *block, size_t usable, uint32_t *tag,
                size_t requested)
{
    struct sum *sum = arg;
    (void)block;
    if (requested > usable)
        fail("a walk shows more requested than there is");
    sum->blocks++;
    sum->tags += *tag;
}

static void compare_walk(void)
{
    struct sum seen = {0, 0};
    struct sum expected = {0, 0};
    heap_walk(add, &seen);
    for (int i = 0; i < ENTRIES; i++) {
        if (table[i].block != NULL) {
            expected.blocks++;
            expected.tags += table[i].tag;
        }
    }
    if (seen.blocks != expected.blocks || seen.tags != expected.tags)
        fail("a walk does not show what is live");
}

static void run(struct script *script);

static void *run_part(void *arg)
{
    run(arg);
    return NULL;
}

static void run_elsewhere(struct script *script, size_t commands)
{
    size_t bytes = commands * 4 < script->left ? commands * 4 : script->left;
    struct script part = {script->next, bytes, script->depth + 1};
    script->next += bytes;
    script->left -= bytes;
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_part, &part) != 0)
        fail("no thread");
    pthread_join(thread, NULL);
}

static void run(struct script *script)
{
    while (script->left >= 4) {
        const uint8_t *command = script->next;
        struct entry *e = &table[command[1]];
        script->next += 4;
        script->left -= 4;
        switch (command[0] & 15) {
        default:
            if (e->block == NULL)
                take(e, command);
            else
                give(e);
            break;
        case 9:
            if (e->block != NULL)
                resize(e, command);
            break;
        case 10: /* many of a size */
            for (int i = 0; i < (command[3] & 63); i++)
                if (table[(command[1] + i) % ENTRIES].block == NULL)
                    take(&table[(command[1] + i) % ENTRIES],
                         (uint8_t[]){0, 0, command[2], command[3] & 64});
            break;
        case 11:
            for (int i = 0; i < command[2]; i++)
                if (table[(command[1] + i) % ENTRIES].block != NULL)
                    give(&table[(command[1] + i) % ENTRIES]);
            break;
        case 12:
            if (script->depth < 2)
                run_elsewhere(script, command[1] & 63);
            break;
        case 13:
            heap_check();
            break;
        case 14:
            compare_walk();
            break;
        case 15:
            heap_trim();
            break;
        }
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    heap_keep_tags();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size, 0};
    run(&script);
    compare_walk();
    for (int i = 0; i < ENTRIES; i++)
        if (table[i].block != NULL)
            give(&table[i]);
    heap_check();
    compare_walk();
    return 0;
}
