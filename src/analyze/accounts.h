/* SPDX-License-Identifier: MIT */
/* accounts.h - what each node, and each domain, holds, held and ever got. */
#ifndef HG_ANALYZE_ACCOUNTS_H
#define HG_ANALYZE_ACCOUNTS_H

#include "analyze/measure.h"
#include "ledger/reader.h"

struct accounts {
    struct measure *nodes; /* by id: blocks asked for by exactly this stack */
    struct measure sum;    /* of all nodes */
    struct measure domain[LEDGER_DOMAINS];
    struct amount
        inherited; /* from the parent and held; not in the numbers above */
};

/*
 * Work out the accounts of a copy that was read with LEDGER_PART_ACCOUNTS.
 *
 * Updates under way (AWAY) are included.  What a forked child inherited is not:
 * its live value is what it holds beyond that, by node, and at least 0.  Its peak
 * is of the moment when it held most, inheritance included; so a child that gives
 * its inheritance back and then gets blocks of its own has more live than at its
 * peak.
 *
 * Nodes and domains both sum to `sum`.
 *
 * Returns HG_ENOMEM, or HG_OK; then accounts_drop() releases what is in *accounts.
 */
hg_status accounts_work_out(const struct ledger_copy *copy,
                            struct accounts *accounts);

void accounts_drop(struct accounts *accounts);

#endif
