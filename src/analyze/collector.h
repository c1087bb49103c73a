/* SPDX-License-Identifier: MIT */
/* collector.h - what the interpreters' own collectors did in one run. */
#ifndef HG_ANALYZE_COLLECTOR_H
#define HG_ANALYZE_COLLECTOR_H

#include "analyze/accounts.h"
#include "analyze/gather.h"
#include "base/slice.h"

struct collector_type {
    struct slice name; /* of the copy it comes from; empty: all that had no room */
    uint64_t objects;
    uint64_t bytes;
};

struct collector {
    bool watched;    /* in one process at least */
    uint64_t run_ns; /* of the processes in which it was watched, summed */
    struct ledger_generation generations[LEDGER_GENERATION_COUNT];
    struct ledger_generation sum;
    struct collector_type *types; /* most bytes first */
    size_t type_count;
};

/*
 * Of copies that were read with LEDGER_PART_COLLECTOR.  HG_OK or HG_ENOMEM; what is
 * in *out names texts of the copies, and is given back with collector_drop().
 */
hg_status collector_work_out(const struct gathering *family, struct collector *out);
void collector_drop(struct collector *collector);

/* Half of the pauses were no longer; to within 6 %. */
uint64_t collector_median_ns(const struct ledger_generation *of);

/*
 * What the collector freed, as accounts: of each node, at every moment.  Given back
 * with accounts_drop().
 */
hg_status collector_accounts(const struct ledger_copy *copy,
                             struct accounts *accounts);

/*
 * Leave in a copy only what came since another copy of the same ledger was read;
 * both with LEDGER_PART_COLLECTOR.  The longest pause is that of the latest
 * collections.
 */
void collector_since(struct ledger_copy *copy, const struct ledger_copy *before);

/* What to do about it, in one sentence, or an empty text where there is nothing
   sound to be said. */
void collector_advice(const struct collector *collector, char *into, size_t room);

#endif
