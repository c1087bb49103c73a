/* SPDX-License-Identifier: MIT */
/*
 * corruption.c - what is said of a block that turned out to be corrupt.
 *
 * Runs inside malloc, perhaps with locks held, in a heap that is not to be trusted:
 * text is put together in one buffer, and written at once.
 */
#include "heap/own.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 8u  /* callers that are named */
#define BYTES_MAX 16u /* that are shown */

static char text[4096];
static size_t used;
static atomic_flag busy = ATOMIC_FLAG_INIT;

static void put(const char *bytes, size_t count)
{
    if (count > sizeof text - used)
        count = sizeof text - used;
    memcpy(text + used, bytes, count);
    used += count;
}

static void put_text(const char *string)
{
    put(string, strlen(string));
}

/* "heapglass:   block      ": names of one length. */
static void put_name(const char *name)
{
    static const char blanks[] = "            ";
    put_text("\n  ");
    put_text(name);
    put(blanks, sizeof blanks - 1 - strlen(name));
}

static void put_number(size_t number, unsigned base)
{
    char digits[24];
    unsigned n = 0;
    do {
        digits[sizeof digits - ++n] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    put(digits + sizeof digits - n, n);
}

static void put_block(const struct corruption *c)
{
    put_name("block");
    put_text("0x");
    put_number((uintptr_t)c->block, 16);
    if (c->requested == 0)
        return;
    put_text(c->requested == 1 ? ", 1 byte" : ", ");
    if (c->requested != 1) {
        put_number(c->requested, 10);
        put_text(" bytes");
    }
    put_text(" asked for, ");
    put_number(c->usable, 10);
    put_text(" taken");
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
    put_text("offset ");
    put_number((size_t)(c->bytes - (const unsigned char *)c->block) + first, 10);
    if (c->count == 0 || first == c->count)
        return;
    put_text(":");
    for (size_t i = first; i <= last && i < first + BYTES_MAX; i++) {
        put_text(c->bytes[i] < 16 ? " 0" : " ");
        put_number(c->bytes[i], 16);
    }
    if (last >= first + BYTES_MAX)
        put_text(" ...");
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
        put_text("where is not known: no accounts are kept of it");
    }
    while (n != 0 && depth < DEPTH_MAX) {
        put_name(depth == 0 ? "allocated" : "");
        put(owner, n);
        depth++;
        n = heap_tell_tag(*c->tag, depth, owner, sizeof owner);
    }
    if (n != 0) {
        put_name("");
        put_text("...");
    }
}

void corruption_report(const struct corruption *c)
{
    if (atomic_flag_test_and_set(&busy))
        abort();
    put_text("heapglass: the heap is corrupt: ");
    put_text(c->what);
    put_block(c);
    if (c->bytes != NULL)
        put_bytes(c);
    if (c->when != NULL) {
        put_name("noticed");
        put_text(c->when);
    }
    put_owner(c);
    if (used == sizeof text)
        used--;
    put_text("\n");
    if (write(STDERR_FILENO, text, used) < 0) {
        /* Nobody is left to tell. */
    }
    abort();
}
