/* SPDX-License-Identifier: MIT */
/* block.h - what is written down beside a block: its node and the size asked for.
 */
#ifndef HG_TRACE_BLOCK_H
#define HG_TRACE_BLOCK_H

#include "heap/heap.h"
#include "trace/book.h"

/* Who asks for memory. */
struct owner {
    uint32_t node; /* LEDGER_NO_NODE: no accounts are kept */
    bool
        away; /* not the one who writes the nodes: without the interpreter's lock */
};

/* Of a block that was just handed out; nothing where no tags are kept. */
static inline void block_note(const struct place *place, uint32_t node,
                              size_t bytes)
{
    if (place->tag == NULL)
        return;
    size_t slack = place->usable - bytes;
    if (place->bytes != NULL || place->bytes32 != NULL)
        slack = 0;
    if (place->bytes != NULL)
        *place->bytes = bytes;
    if (place->bytes32 != NULL)
        *place->bytes32 = (uint32_t)bytes;
    *place->tag = tag_of(node, slack);
}

/* The size that was asked for, of a block that has a tag. */
static inline size_t block_bytes(const struct place *place)
{
    if (place->bytes != NULL)
        return *place->bytes;
    if (place->bytes32 != NULL)
        return *place->bytes32;
    return place->usable - (*place->tag & TAG_SLACK_MASK);
}

#endif
