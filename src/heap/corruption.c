/* SPDX-License-Identifier: MIT */
/*
 * corruption.c - what is said of a block that turned out to be corrupt.
 *
 * Runs inside malloc, perhaps with locks held, in a heap that is not to be trusted:
 * text is put together in one buffer, and written at once.
 */
#include "base/text.h"
#include "heap/own.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 8u  /* callers that are named */
#define BYTES_MAX 16u /* that are shown */

static char said[4096];
static struct text text = {said, 0, sizeof said - 1};
static atomic_flag busy = ATOMIC_FLAG_INIT;

/* "heapglass:   block      ": names of one length. */
static void put_name(const char *name)
{
    static const char blanks[] = "            ";
    text_put_string(&text, "\n  ");
    text_put_string(&text, name);
    text_put(&text, blanks, sizeof blanks - 1 - strlen(name));
}

static void put_block(const struct corruption *c)
{
    put_name("block");
    text_put_string(&text, "0x");
    text_put_number(&text, (uintptr_t)c->block, 16);
    if (c->requested == 0)
        return;
    text_put_string(&text, c->requested == 1 ? ", 1 byte" : ", ");
    if (c->requested != 1) {
        text_put_number(&text, c->requested, 10);
        text_put_string(&text, " bytes");
    }
    text_put_string(&text, " asked for, ");
    text_put_number(&text, c->usable, 10);
    text_put_string(&text, " taken");
}

/* What was written, from the first byte on that is not as expected. */
static void put_bytes(const struct corruption *c)
{
    size_t first = 0;
    size_t last = 0;
    while (first < c->count && c->bytes[first] == c->expected)
        first++;
    for (size_t i = first; i < c->count; i++)
        if (c->bytes[i] != c->expected)
            last = i;
    put_name(c->count == 0 ? "at" : "written");
    text_put_string(&text, "offset ");
    text_put_number(
        &text, (size_t)(c->bytes - (const unsigned char *)c->block) + first, 10);
    if (c->count == 0 || first == c->count)
        return;
    text_put_string(&text, ":");
    for (size_t i = first; i <= last && i < first + BYTES_MAX; i++) {
        text_put_string(&text, c->bytes[i] < 16 ? " 0" : " ");
        text_put_number(&text, c->bytes[i], 16);
    }
    if (last >= first + BYTES_MAX)
        text_put_string(&text, " ...");
}

static void put_owner(const struct corruption *c)
{
    static char owner[512];
    size_t n = 0;
    unsigned depth = 0;
    if (c->tag != NULL && heap_tell_tag != NULL)
        n = heap_tell_tag(*c->tag, depth, owner, sizeof owner);
    if (n == 0) {
        put_name("allocated");
        text_put_string(&text, "where is not known: no accounts are kept of it");
    }
    while (n != 0 && depth < DEPTH_MAX) {
        put_name(depth == 0 ? "allocated" : "");
        text_put(&text, owner, n);
        depth++;
        n = heap_tell_tag(*c->tag, depth, owner, sizeof owner);
    }
    if (n != 0) {
        put_name("");
        text_put_string(&text, "...");
    }
}

void corruption_report(const struct corruption *c)
{
    if (atomic_flag_test_and_set(&busy))
        abort();
    text_put_string(&text, "heapglass: the heap is corrupt: ");
    text_put_string(&text, c->what);
    put_block(c);
    if (c->bytes != NULL)
        put_bytes(c);
    if (c->when != NULL) {
        put_name("noticed");
        text_put_string(&text, c->when);
    }
    put_owner(c);
    said[text.used++] = '\n'; /* the last one of room is for this */
    if (write(STDERR_FILENO, said, text.used) < 0) {
        /* Nobody is left to tell. */
    }
    abort();
}

/* `what` is wrong with a block that is large, or was.  In a few words where nobody
   could say whose it is. */
static _Noreturn void bad_large(const struct pool *pool, const char *what,
                                const void *address)
{
    struct corruption c = {
        .what = what,
        .block = pool_start(pool),
        .requested = heap_hardened ? pool->bytes : 0,
        .usable = pool->slots * SLOT_BYTES,
        .tag = &pool->tag,
        .bytes = address != pool_start(pool) ? address : NULL,
    };
    if (heap_tell_tag == NULL && !heap_hardened && !heap_frees_checked)
        base_panic(what, address);
    corruption_report(&c);
}

void bad_free_in_large(const struct pool *pool, const void *address)
{
    bad_large(pool, "freed inside of a block, not at its start", address);
}

/* Whether the slot is in no run; races with who takes it, but the program ends. */
static HG_RACY bool is_free_slot(uint32_t slot)
{
    return (arena_at(slot / ARENA_SLOTS)->free >> (slot % ARENA_SLOTS) & 1) != 0;
}

void bad_free_of_slot(const struct pool *slot, const void *address)
{
    uint32_t number = pool_slot(slot);
    bool is_free = is_free_slot(number);
    for (uint32_t i = 1; !is_free && i <= number % ARENA_SLOTS; i++)
        if (pool_state(slot - i) == POOL_LARGE && (slot - i)->slots > i)
            bad_free_in_large(slot - i, address);
    /* A descriptor stays as it was until a pool or a large block begins there. */
    if (is_free && slot->class == CLASS_LARGE && address == pool_start(slot))
        bad_large(slot, "a block was freed twice", address);
    base_panic("block freed twice, or never allocated", address);
}
