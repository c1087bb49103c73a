/* SPDX-License-Identifier: MIT */
/*
 * tree.c - the call tree: every distinct stack seen so far, stored once.
 *
 * A node is a triple (parent, code, line).  Stacks that share their outer frames
 * share nodes, so one 26-bit id, that of the innermost node, names a whole stack.
 * A block's tag and every counter carry only that id.
 *
 *     main:3 --- load:7 --- parse:20        main 4, load 5, parse 6, scan 7
 *                      \--- scan:31         the stack main>load>scan is "7"
 *
 * Keying by line and not by instruction keeps the tree small: a recursive
 * function called from two places of one line is one child, not two, at every
 * depth.
 *
 * A child's id is larger than its parent's, nodes never move and ids are never
 * reused: readers rely on it (see layout.h).
 *
 * Runs inside malloc: no stdio, no malloc, no locks.
 */
#include "ledger/tree.h"

#include "base/pages.h"

#include <string.h>

enum { FIRST_SLOTS = 1 << 12 };

static uint32_t mix(uint32_t a, uint32_t b, uint32_t c)
{
    uint64_t h = (a + 0x9E3779B97F4A7C15u) * 0xC2B2AE3D27D4EB4Fu;
    h = (h ^ (h >> 29) ^ b) * 0x9E3779B97F4A7C15u;
    h = (h ^ (h >> 32) ^ c) * 0xD6E8FEB86659FD93u;
    return (uint32_t)(h >> 32);
}

static uint32_t hash_node(const struct ledger_node *node)
{
    return mix(node->parent, node->code, node->line);
}

/* FNV-1a; names are short and looked up once per code object. */
static uint32_t hash_bytes(uint32_t h, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)bytes[i]) * 16777619u;
    return h;
}

static uint32_t hash_names(const char *file, size_t file_bytes,
                           const char *function, size_t function_bytes,
                           uint32_t first_line)
{
    uint32_t h = hash_bytes(2166136261u, file, file_bytes);
    return mix(hash_bytes(h, function, function_bytes), first_line, 0);
}

static const char *text_at(const struct tree *tree, struct ledger_text text)
{
    return (const char *)ledger_at(tree->ledger, LEDGER_STRINGS) + text.offset;
}

static struct ledger_code *code_at(const struct tree *tree, uint32_t id)
{
    return (struct ledger_code *)ledger_at(tree->ledger, LEDGER_CODES) + id;
}

static uint32_t hash_code(const struct tree *tree, uint32_t id)
{
    const struct ledger_code *code = code_at(tree, id);
    return hash_names(text_at(tree, code->file), code->file.bytes,
                      text_at(tree, code->function), code->function.bytes,
                      code->first_line);
}

static void index_put(struct tree_index *index, uint32_t hash, uint32_t id)
{
    uint32_t i = hash & index->mask;
    while (index->slots[i] != 0)
        i = (i + 1) & index->mask;
    index->slots[i] = id;
}

static hg_status index_init(struct tree_index *index)
{
    index->slots = pages_map(FIRST_SLOTS * sizeof *index->slots);
    index->mask = FIRST_SLOTS - 1;
    index->count = 0;
    return index->slots != NULL ? HG_OK : HG_ENOMEM;
}

/* Room for one more id, at most three quarters full.  False when there is no
 * memory. */
static bool index_room(const struct tree *tree, struct tree_index *index)
{
    if (index->count < (index->mask + 1) / 4 * 3)
        return true;
    struct tree_index grown = {.mask = index->mask * 2 + 1, .count = index->count};
    size_t bytes = ((size_t)grown.mask + 1) * sizeof *grown.slots;

    grown.slots = pages_map(bytes);
    if (grown.slots == NULL)
        return false;
    for (uint32_t i = 0; i <= index->mask; i++) {
        uint32_t id = index->slots[i];
        if (id != 0)
            index_put(&grown,
                      index == &tree->nodes ? hash_node(&tree->ledger->nodes[id])
                                            : hash_code(tree, id),
                      id);
    }
    pages_unmap(index->slots, ((size_t)index->mask + 1) * sizeof *index->slots);
    *index = grown;
    return true;
}

hg_status tree_init(struct tree *tree, struct ledger *ledger)
{
    *tree = (struct tree){.ledger = ledger};
    if (index_init(&tree->nodes) != HG_OK || index_init(&tree->codes) != HG_OK)
        return HG_ENOMEM;
    return HG_OK;
}

uint32_t tree_child(struct tree *tree, uint32_t parent, uint32_t code,
                    uint32_t line)
{
    struct ledger *ledger = tree->ledger;
    struct tree_index *index = &tree->nodes;
    uint32_t hash = mix(parent, code, line);

    for (uint32_t i = hash & index->mask; index->slots[i] != 0;
         i = (i + 1) & index->mask) {
        const struct ledger_node *node = &ledger->nodes[index->slots[i]];
        if (node->parent == parent && node->code == code && node->line == line)
            return index->slots[i];
    }
    uint64_t id = ledger_used(ledger, LEDGER_NODES);
    if (!index_room(tree, index) || !ledger_reserve(ledger, LEDGER_NODES, id + 1))
        return LEDGER_NOT_RECORDED;
    struct ledger_node *node = &ledger->nodes[id];
    node->parent = parent;
    node->code = code;
    node->line = line;
    index_put(index, hash, (uint32_t)id);
    index->count++;
    ledger_publish(ledger, LEDGER_NODES, id + 1);
    return (uint32_t)id;
}

uint32_t tree_code(struct tree *tree, const char *file, size_t file_bytes,
                   const char *function, size_t function_bytes, uint32_t first_line)
{
    struct ledger *ledger = tree->ledger;
    struct tree_index *index = &tree->codes;
    uint32_t hash =
        hash_names(file, file_bytes, function, function_bytes, first_line);

    for (uint32_t i = hash & index->mask; index->slots[i] != 0;
         i = (i + 1) & index->mask) {
        const struct ledger_code *code = code_at(tree, index->slots[i]);
        if (code->first_line == first_line && code->file.bytes == file_bytes &&
            code->function.bytes == function_bytes &&
            memcmp(text_at(tree, code->file), file, file_bytes) == 0 &&
            memcmp(text_at(tree, code->function), function, function_bytes) == 0)
            return index->slots[i];
    }
    uint64_t id = ledger_used(ledger, LEDGER_CODES);
    if (!index_room(tree, index) || !ledger_reserve(ledger, LEDGER_CODES, id + 1))
        return 0;
    struct ledger_code code = {.first_line = first_line};
    /* The code before this one is often of the same file: one copy of its name will
     * do. */
    const struct ledger_code *last = code_at(tree, (uint32_t)id - 1);
    bool same_file = last->file.bytes == file_bytes &&
                     memcmp(text_at(tree, last->file), file, file_bytes) == 0;
    /* Both texts or none: a function that does not fit is asked for again. */
    if (!ledger_reserve(ledger, LEDGER_STRINGS,
                        ledger_used(ledger, LEDGER_STRINGS) +
                            (same_file ? 0 : file_bytes) + function_bytes))
        return 0;
    code.file = same_file ? last->file : ledger_put_text(ledger, file, file_bytes);
    code.function = ledger_put_text(ledger, function, function_bytes);
    if (code.file.bytes != file_bytes || code.function.bytes != function_bytes)
        return 0;
    *code_at(tree, (uint32_t)id) = code;
    index_put(index, hash, (uint32_t)id);
    index->count++;
    ledger_publish(ledger, LEDGER_CODES, id + 1);
    return (uint32_t)id;
}

hg_status tree_copy(struct tree *tree, struct ledger *to)
{
    const struct ledger *from = tree->ledger;
    /* What our indexes hold is what we knew; the parent may have added more since.
     */
    uint64_t nodes = LEDGER_FIRST_THREAD + (uint64_t)tree->nodes.count;
    uint64_t codes = 1 + (uint64_t)tree->codes.count;
    /* Texts are complete as far as they are published, and the header names some.
     */
    uint64_t strings = ledger_used(from, LEDGER_STRINGS);

    if (!ledger_reserve(to, LEDGER_NODES, nodes) ||
        !ledger_reserve(to, LEDGER_CODES, codes) ||
        !ledger_reserve(to, LEDGER_STRINGS, strings))
        return HG_EFULL;
    for (uint64_t id = 1; id < nodes; id++) {
        to->nodes[id].parent = from->nodes[id].parent;
        to->nodes[id].code = from->nodes[id].code;
        to->nodes[id].line = from->nodes[id].line;
    }
    memcpy(ledger_at(to, LEDGER_CODES), ledger_at(from, LEDGER_CODES),
           codes * sizeof(struct ledger_code));
    memcpy(ledger_at(to, LEDGER_STRINGS), ledger_at(from, LEDGER_STRINGS), strings);
    ledger_publish(to, LEDGER_STRINGS, strings);
    ledger_publish(to, LEDGER_CODES, codes);
    ledger_publish(to, LEDGER_NODES, nodes);
    tree->ledger = to;
    return HG_OK;
}
