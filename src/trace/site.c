/* SPDX-License-Identifier: MIT */
/*
 * site.c - who asked for a block, in words.
 *
 * Reads the ledger that this process writes, as any reader does: nodes, codes and
 * texts never move and never change.
 */
#include "trace/site.h"

#include "base/text.h"
#include "trace/book.h"
#include "trace/session.h"

static void put_text(struct text *to, struct ledger_text text)
{
    text_put(to,
             (const char *)ledger_at(&session.ledger, LEDGER_STRINGS) + text.offset,
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
        text_put_string(to, offset ? "+0x" : ":");
        text_put_number(to, node->line, offset ? 16 : 10);
    }
    if (code->function.bytes != 0) {
        text_put_string(to, " in ");
        put_text(to, code->function);
    }
}

/* NOLINTNEXTLINE(readability-non-const-parameter): text_put() writes there */
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
