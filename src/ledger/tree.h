/* SPDX-License-Identifier: MIT */
/* tree.h - the call tree of a ledger that is being written, and what its nodes
 * name. */
#ifndef HG_LEDGER_TREE_H
#define HG_LEDGER_TREE_H

#include "ledger/writer.h"

/*
 * Indexes over NODES, CODES and nothing else, in private memory: the ledger
 * itself is append-only and holds no hash tables.  One writer at a time.
 */
struct tree_index {
    uint32_t *slots; /* ids by open addressing, 0 = free; a power of two of them */
    uint32_t mask;
    uint32_t count;
};

struct tree {
    struct ledger *ledger;
    struct tree_index nodes; /* by (parent, code, line) */
    struct tree_index codes; /* by (file, function, first line) */
};

/* An empty tree over a ledger without nodes of its own.  HG_ENOMEM: *tree is
 * unusable. */
hg_status tree_init(struct tree *tree, struct ledger *ledger);

/*
 * The child of `parent` at `line` of `code`, made if it is new.  Returns
 * LEDGER_NOT_RECORDED, and nothing is made, when a table is full.
 */
uint32_t tree_child(struct tree *tree, uint32_t parent, uint32_t code,
                    uint32_t line);

/*
 * The code of that name, made if it is new; two code objects of the same file,
 * name and first line are one.  0 when a table is full.  The texts are copied.
 */
uint32_t tree_code(struct tree *tree, const char *file, size_t file_bytes,
                   const char *function, size_t function_bytes,
                   uint32_t first_line);

/*
 * After a fork: the child's own ledger takes over tree, codes and texts of the
 * parent's, whose mapping it still has, up to what this process knew when it
 * forked.  Counters start at zero, ids stay.  HG_EFULL: *to is unusable.
 */
hg_status tree_copy(struct tree *tree, struct ledger *to);

#endif
