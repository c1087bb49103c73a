/* SPDX-License-Identifier: MIT */
/*
 * codes.c - code objects: what they are called, and when they die.
 *
 * Code objects come and go (exec, namedtuple, templates), and a new one often
 * lies where an old one lay.  No callback tells of their death that all versions
 * have; but their blocks are ours, so the tag of the block says "watched" and the
 * free that ends it takes the slow path.  Code objects that the interpreter holds
 * in static memory never die.  Those that somebody else's allocator holds, put
 * before ours at run time, are strangers.
 */
#include "adapt/cpython/codes.h"

#include "adapt/cpython/domains.h"
#include "adapt/cpython/observer.h"
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

enum { BYTES_SIZE = 16, BYTES_DATA = 32 }; /* of an object of bytes */

static int int_field(const void *code, size_t offset)
{
    return *(const int *)((const char *)code + offset);
}

static bool find_known(void *code, uint32_t *id)
{
    if (known.slots == NULL)
        return false;
    size_t i = slot_of(code);
    if (known.slots[i].code != code)
        return false;
    *id = known.slots[i].id;
    return true;
}

bool codes_met_stranger;

/* Those in the interpreter's static memory are immortal, of which the count of
   references tells: no program holds so many. */
static bool is_immortal(const void *object)
{
    return *(const uint32_t *)object >= 1u << 29;
}

bool codes_is_stranger_slow(const void *code)
{
    struct place place;

    for (size_t header = 0; header <= domain_header_bytes;
         header += DOMAIN_HEADER_STEP)
        if (heap_find((const char *)code - header, &place))
            return false;
    return !is_immortal(code);
}

static uint32_t make_known(void *code, void *file_text, void *name_text,
                           int first_line)
{
    static char file[4096], name[4096];

    if (known.slots == NULL || known.count >= known.mask / 4 * 3)
        if (!grow())
            return 0;
    size_t file_bytes = encode(file_text, file, sizeof file);
    size_t name_bytes = encode(name_text, name, sizeof name);
    uint32_t id = tree_code(&session.tree, file, file_bytes, name, name_bytes,
                            first_line > 0 ? (uint32_t)first_line : 0);
    if (id == 0)
        return 0;
    if (!domain_watch(code) && !is_immortal(code)) {
        observer_attention |= !codes_met_stranger;
        codes_met_stranger = true;
        return id;
    }
    known.slots[slot_of(code)] = (struct known_code){.code = code, .id = id};
    known.count++;
    return id;
}

uint32_t codes_id(const struct py_layout *layout, void *code)
{
    uint32_t id;

    if (find_known(code, &id))
        return id;
    return make_known(code, word_at(code, layout->code_file),
                      word_at(code, layout->code_name),
                      int_field(code, layout->code_first_line));
}

bool codes_can_ask(void)
{
    return python.get_attribute != NULL && python.int_value != NULL &&
           python.release != NULL && python.clear_error != NULL &&
           python.text_length != NULL && python.text_char != NULL;
}

uint32_t codes_id_asked(void *code)
{
    uint32_t id;

    lock_take(&session_names);
    bool is_known = find_known(code, &id);
    lock_release(&session_names);
    if (is_known)
        return id;
    void *file = python.get_attribute(code, "co_filename");
    void *name = python.get_attribute(code, "co_qualname"); /* since 3.11 */
    if (name == NULL) {
        python.clear_error();
        name = python.get_attribute(code, "co_name");
    }
    void *line = python.get_attribute(code, "co_firstlineno");
    id = 0;
    if (file != NULL && name != NULL && line != NULL) {
        int first_line = (int)python.int_value(line);
        lock_take(&session_names);
        id = make_known(code, file, name, first_line);
        lock_release(&session_names);
    }
    if (id == 0)
        python.clear_error();
    python.release(file); /* NULL is as good */
    python.release(name);
    python.release(line);
    return id;
}

/*
 * Where reading a code object's table of lines has got to.  The interpreter's own
 * function begins at the beginning each time, which makes a long module's body,
 * run from top to bottom, cost the square of its length.
 */
struct line_cursor {
    void *code; /* NULL: free */
    const uint8_t *next, *end;
    int from, to; /* bytes of code that the entry before `next` is for */
    int line;     /* its line; -1: none */
    int computed; /* what the next entry's line is relative to */
};

enum { CURSOR_BITS = 6, CURSORS = 1 << CURSOR_BITS };
static struct line_cursor cursors[CURSORS];

static struct line_cursor *cursor_of(const void *code)
{
    return &cursors[(uint32_t)((uintptr_t)code >> 4) * 0x9E3779B1u >>
                    (32 - CURSOR_BITS)];
}

static void cursor_rewind(const struct py_layout *layout, struct line_cursor *c,
                          void *code)
{
    const char *table = word_at(code, layout->code_lines);
    size_t bytes = (size_t)word_at(table, BYTES_SIZE);

    c->code = code;
    c->next = (const uint8_t *)table + BYTES_DATA;
    c->end = c->next + bytes;
    c->from = c->to = 0;
    c->line = -1;
    c->computed = int_field(code, layout->code_first_line);
}

/* The signed number of a line's entry: six bits a byte, the least first. */
static int read_difference(const uint8_t *at)
{
    unsigned value = *at & 63;

    for (int shift = 6; (*at & 64) != 0; shift += 6)
        value |= (*++at & 63u) << shift;
    return (value & 1) != 0 ? -(int)(value >> 1) : (int)(value >> 1);
}

/* An entry is a byte with the highest bit set and some without: see
   Objects/locations.md in CPython's sources. */
static void cursor_step(struct line_cursor *c)
{
    enum { ONE_LINE = 10, NO_COLUMNS = 13, LONG = 14, NO_LINE = 15 };
    uint8_t first = *c->next;
    int kind = first >> 3 & 15;

    if (kind == LONG || kind == NO_COLUMNS)
        c->computed += read_difference(c->next + 1);
    else if (kind >= ONE_LINE && kind < NO_COLUMNS)
        c->computed += kind - ONE_LINE;
    c->line = kind == NO_LINE ? -1 : c->computed;
    c->from = c->to;
    c->to += ((first & 7) + 1) * 2;
    do
        c->next++;
    while (c->next < c->end && (*c->next & 0x80) == 0);
}

uint32_t codes_line(const struct py_layout *layout, void *code, uintptr_t ip)
{
    int offset = (int)(ip - codes_begin(layout, code));
    struct line_cursor *c = cursor_of(code);

    if (layout->frame_objects) { /* their tables are other ones */
        int its_line = python.code_line(code, offset);
        return its_line > 0 ? (uint32_t)its_line : 0;
    }
    if (c->code != code || offset < c->from)
        cursor_rewind(layout, c, code);
    while (c->to <= offset && c->next < c->end)
        cursor_step(c);
    int line = offset < 0       ? int_field(code, layout->code_first_line)
               : offset < c->to ? c->line
                                : -1;
#if HG_CHECK >= 2
    HG_VERIFY(line == python.code_line(code, offset), "a line differs", code);
#endif
    if (codes_is_stranger(code))
        c->code = NULL;
    return line > 0 ? (uint32_t)line : 0;
}

void codes_forget_lines(void)
{
    memset(cursors, 0, sizeof cursors);
}

bool codes_before_start(const struct py_layout *layout, void *code, uintptr_t ip)
{
    if (layout->frame_objects) /* they become the current frame as they start */
        return false;
    int units = int_field(code, layout->code_first_traceable);
    intptr_t at = (intptr_t)(ip - codes_begin(layout, code));
    return at < (intptr_t)units * 2;
}

bool codes_died(void *code)
{
    if (known.slots == NULL)
        return false;
    size_t i = slot_of(code);
    if (known.slots[i].code != code)
        return false;
    forget(i);
    if (cursor_of(code)->code == code)
        cursor_of(code)->code = NULL;
    return true;
}
