/* SPDX-License-Identifier: MIT */
/*
 * codes.c - code objects: what they are called, and when they die.
 *
 * Code objects come and go (exec, namedtuple, templates), and a new one often
 * lies where an old one lay.  No callback tells of their death that all versions
 * have; but their blocks are ours, so the tag of the block says "watched" and the
 * free that ends it takes the slow path.  Code objects that the interpreter holds
 * in static memory never die.
 */
#include "adapt/cpython/codes.h"

#include "adapt/cpython/python.h"
#include "base/base.h"
#include "base/pages.h"
#include "heap/heap.h"
#include "trace/book.h"
#include "trace/session.h"

#include <string.h>

struct known_code {
    void *code; /* NULL: free */
    uint32_t id;
    uint32_t bytecode_bytes;
};

/* By open addressing on the address; deletion moves the followers up. */
static struct {
    struct known_code *slots;
    size_t mask;
    size_t count;
} known;

static size_t home(const void *code)
{
    return (size_t)(((uintptr_t)code >> 4) * 0x9E3779B97F4A7C15u >> 24) &
           known.mask;
}

static size_t slot_of(const void *code)
{
    size_t i = home(code);
    while (known.slots[i].code != NULL && known.slots[i].code != code)
        i = (i + 1) & known.mask;
    return i;
}

static bool grow(void)
{
    struct known_code *old = known.slots;
    size_t old_slots = old != NULL ? known.mask + 1 : 0;
    size_t slots = old != NULL ? old_slots * 2 : 1024;
    struct known_code *fresh = pages_map(slots * sizeof *fresh);

    if (fresh == NULL)
        return false;
    known.slots = fresh;
    known.mask = slots - 1;
    for (size_t i = 0; i < old_slots; i++)
        if (old[i].code != NULL)
            known.slots[slot_of(old[i].code)] = old[i];
    if (old != NULL)
        pages_unmap(old, old_slots * sizeof *old);
    return true;
}

static void forget(size_t hole)
{
    known.count--;
    for (size_t i = (hole + 1) & known.mask; known.slots[i].code != NULL;
         i = (i + 1) & known.mask) {
        size_t h = home(known.slots[i].code);
        /* An entry whose home lies cyclically in (hole, i] is found without the
         * hole. */
        if (((i - h) & known.mask) < ((i - hole) & known.mask))
            continue;
        known.slots[hole] = known.slots[i];
        hole = i;
    }
    known.slots[hole].code = NULL;
}

/*
 * A Python text as UTF-8.  Lone surrogates U+DC80 to U+DCFF stand for bytes that
 * could not be decoded (PEP 383) and become these bytes again.  Too long a text is
 * cut.  Reads by the stable API; it allocates nothing.
 */
static size_t encode(void *text, char *out, size_t room)
{
    long length = python.text_length(text);
    size_t n = 0;

    for (long i = 0; i < length && n + 4 <= room; i++) {
        unsigned c = python.text_char(text, i);
        if (c < 0x80) {
            out[n++] = (char)c;
        } else if (c >= 0xDC80 && c <= 0xDCFF) {
            out[n++] = (char)(c - 0xDC00);
        } else if (c < 0x800) {
            out[n++] = (char)(0xC0 | c >> 6);
            out[n++] = (char)(0x80 | (c & 63));
        } else if (c < 0x10000) {
            out[n++] = (char)(0xE0 | c >> 12);
            out[n++] = (char)(0x80 | (c >> 6 & 63));
            out[n++] = (char)(0x80 | (c & 63));
        } else {
            out[n++] = (char)(0xF0 | c >> 18);
            out[n++] = (char)(0x80 | (c >> 12 & 63));
            out[n++] = (char)(0x80 | (c >> 6 & 63));
            out[n++] = (char)(0x80 | (c & 63));
        }
    }
    return n;
}

static void *field(const void *code, size_t offset)
{
    return *(void *const *)((const char *)code + offset);
}

static int int_field(const void *code, size_t offset)
{
    return *(const int *)((const char *)code + offset);
}

uint32_t codes_id(const struct py_layout *layout, void *code)
{
    static char file[4096], name[4096];

    if (known.slots != NULL) {
        size_t i = slot_of(code);
        if (known.slots[i].code == code)
            return known.slots[i].id;
    }
    if (known.slots == NULL || known.count >= known.mask / 4 * 3)
        if (!grow())
            return 0;
    size_t file_bytes = encode(field(code, layout->code_file), file, sizeof file);
    size_t name_bytes = encode(field(code, layout->code_name), name, sizeof name);
    int first_line = int_field(code, layout->code_first_line);
    uint32_t id = tree_code(&session.tree, file, file_bytes, name, name_bytes,
                            first_line > 0 ? (uint32_t)first_line : 0);
    if (id == 0)
        return 0;
    struct place place;
    if (heap_find(code, &place) && place.tag != NULL)
        *place.tag |= TAG_WATCHED;
    /* ob_size of a code object counts its code units. */
    size_t units = (size_t)field(code, 16);
    known.slots[slot_of(code)] = (struct known_code){
        .code = code, .id = id, .bytecode_bytes = (uint32_t)units * 2};
    known.count++;
    return id;
}

uint32_t codes_line(const struct py_layout *layout, void *code, uintptr_t ip)
{
    int offset = (int)(ip - ((uintptr_t)code + layout->code_bytecode));
    int line = python.code_line(code, offset);
    return line > 0 ? (uint32_t)line : 0;
}

bool codes_before_start(const struct py_layout *layout, void *code, uintptr_t ip)
{
    int units = int_field(code, layout->code_first_traceable);
    intptr_t at =
        (intptr_t)ip - (intptr_t)((uintptr_t)code + layout->code_bytecode);
    return at < (intptr_t)units * 2;
}

bool codes_died(const struct py_layout *layout, void *block, uintptr_t *begin,
                uintptr_t *end)
{
    if (known.slots == NULL)
        return false;
    size_t i = slot_of(block);
    if (known.slots[i].code != block)
        return false;
    /* 3.11's instruction pointer is one unit before the code in a new frame. */
    *begin = (uintptr_t)block + layout->code_bytecode - 2;
    *end = *begin + known.slots[i].bytecode_bytes + 4;
    forget(i);
    return true;
}
