/* SPDX-License-Identifier: MIT */
/* reader.h - a private copy of a ledger, from a file that nobody vouches for. */
#ifndef HG_LEDGER_READER_H
#define HG_LEDGER_READER_H

#include "base/base.h"
#include "base/slice.h"
#include "ledger/layout.h"

/*
 * Everything that the reader has let through keeps these promises, so that
 * nobody after it has to check again:
 *
 *   - every text that a record names is in the copy, and so are every node's
 *     parent, code and thread, and the nodes of AWAY (but not those of THREADS,
 *     which are read later than the nodes);
 *   - node[id].parent < id, and only LEDGER_ROOT has the parent LEDGER_NO_NODE;
 *   - neither LEDGER_ROOT nor LEDGER_NOT_RECORDED has a code;
 *   - samples are in order of time.
 *
 * Numbers are whatever the file says: freed may be more than allocated.
 */
struct ledger_copy {
    struct ledger_header header; /* `section` tells what was in the file */

    /* Loaded with LEDGER_PART_ACCOUNTS; [0] of nodes and codes is not used. */
    const struct ledger_node *nodes;
    const struct ledger_inherited *inherited; /* by node */
    const struct ledger_away *away;
    const struct ledger_code *codes;
    const struct ledger_thread *threads;
    uint32_t node_count; /* 0: there are none; else valid ids are 1..node_count-1 */
    uint32_t inherited_count;
    uint32_t away_count;
    uint32_t code_count;
    uint32_t thread_count;

    /* Loaded with LEDGER_PART_COLLECTOR; no generations: it was not watched. */
    const struct ledger_generation *generations;
    const struct ledger_collection *collections;
    const struct ledger_garbage *garbage; /* by node, of which there may be fewer */
    const struct ledger_type *types;
    uint32_t generation_count;
    uint32_t collection_count;
    uint32_t garbage_count;
    uint32_t type_count;

    /* Loaded with LEDGER_PART_TIMELINE. */
    const struct ledger_sample *samples;
    uint32_t sample_count;

    struct slice strings;
    uint64_t file_bytes; /* of the file as it is */

    /*
     * True if the program changed its peak during every attempt to read it:
     * live values are then of slightly different moments, and the shares of the
     * peak may sum to a little more or less than it.
     */
    bool busy;
};

enum ledger_part {
    LEDGER_PART_ACCOUNTS = 1, /* nodes and what they name */
    LEDGER_PART_TIMELINE = 2,
    LEDGER_PART_COLLECTOR = 4, /* with the accounts: "by node" */
};

/* Why there is no copy, in words for the person who named the file. */
struct ledger_fault {
    hg_status status;
    char what[200]; /* "is cut short: ...; remedy" */
};

/*
 * Copy the ledger in the file `path` into memory: the header, and the parts named
 * by `parts`, an or of enum ledger_part.  With any part come the strings; without,
 * every text of the copy is empty.  The caller owns *copy and gives it back with
 * ledger_copy_free().
 *
 * The file is read, never mapped: its owner may cut it short at any moment.
 * What a running program changes meanwhile is read again a few times.
 *
 * Returns HG_EIO (errno tells), HG_ENOMEM, HG_EVERSION, or HG_ECORRUPT for
 * everything that is no sound ledger.  Then *copy is untouched and *fault tells.
 */
hg_status ledger_copy_read(const char *path, unsigned parts,
                           struct ledger_copy **copy, struct ledger_fault *fault);

/* Same, from an open file; `fd` is lent and its position does not matter. */
hg_status ledger_copy_read_fd(int fd, unsigned parts, struct ledger_copy **copy,
                              struct ledger_fault *fault);

void ledger_copy_free(struct ledger_copy *copy); /* accepts NULL */

/* Give back what LEDGER_PART_ACCOUNTS loaded: the copy is then as without it. */
void ledger_copy_drop_accounts(struct ledger_copy *copy);

/* Let the copy have the accounts and strings of `from`, which are given to it; its
   own are freed. */
void ledger_copy_replace_accounts(struct ledger_copy *copy,
                                  const struct ledger_copy *from);

/* The bytes of a text of this copy, on loan until it is freed. */
struct slice ledger_copy_text(const struct ledger_copy *copy,
                              struct ledger_text text);

#endif
