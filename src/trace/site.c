/* SPDX-License-Identifier: MIT */
/*
 * site.c - who asked for a block, in words.
 *
 * Reads the ledger that this process writes, as any reader does: nodes, codes and
 * texts never move and never change.
 */
#include "trace/site.h"

#include "trace/book.h"
#include "trace/session.h"

#include <string.h>

struct text {
    char *out;
    size_t used, room;
};

static void put(struct text *to, const char *bytes, size_t count)
{
    if (count > to->room - to->used)
        count = to->room - to->used;
    memcpy(to->out + to->used, bytes, count);
    to->used += count;
}

static void put_number(struct text *to, uint32_t number, unsigned base)
{
    char digits[16];
    unsigned n = 0;
    do {
        digits[sizeof digits - ++n] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    put(to, digits + sizeof digits - n, n);
}

static void put_text(struct text *to, struct ledger_text text)
{
    put(to, (const char *)ledger_at(&session.ledger, LEDGER_STRINGS) + text.offset,
        text.bytes);
}

static void put_frame(struct text *to, const struct ledger_node *node)
{
    const struct ledger_code *code =
        (const struct ledger_code *)ledger_at(&session.ledger, LEDGER_CODES) +
        node->code;
    bool offset = code->first_line == LEDGER_LINES_ARE_OFFSETS;

    put_text(to, code->file);
    if (offset || node->line != 0) {
        put(to, offset ? "+0x" : ":", offset ? 3 : 1);
        put_number(to, node->line, offset ? 16 : 10);
    }
    if (code->function.bytes != 0) {
        put(to, " in ", 4);
        put_text(to, code->function);
    }
}

/* NOLINTNEXTLINE(readability-non-const-parameter): put() writes there */
size_t site_tell(uint32_t tag, unsigned depth, char *out, size_t room)
{
    struct text text = {.out = out, .room = room};
    const struct ledger_node *nodes = session.ledger.nodes;
    uint32_t node = tag_node(tag);

    if (nodes == NULL || session.ledger.header == NULL)
        return 0;
    for (; depth > 0 && node > LEDGER_ROOT; depth--)
        node = nodes[node].parent;
    /* Nodes of threads have no code. */
    if (node <= LEDGER_ROOT || nodes[node].code == 0)
        return 0;
    put_frame(&text, &nodes[node]);
    return text.used;
}
