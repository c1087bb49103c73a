/* SPDX-License-Identifier: MIT */
/* gather.h - the ledgers of one run, read one after the other. */
#ifndef HG_ANALYZE_GATHER_H
#define HG_ANALYZE_GATHER_H

#include "analyze/measure.h"
#include "analyze/table.h"
#include "ledger/fate.h"
#include "ledger/reader.h"

/* One process, or one of the programs that it was before an exec. */
struct process {
    char *path;               /* of its ledger */
    struct ledger_copy *copy; /* without accounts, unless they were to be kept */
    enum fate fate;
    struct measure sum;      /* of its accounts; zero if they were not asked for */
    struct amount inherited; /* from its parent, held and not in `sum` */
};

/* A file of the family that is no sound ledger. */
struct unread {
    char *path;
    struct ledger_fault fault;
};

struct gathering {
    struct process
        *processes; /* [0] is the program that was started, if it is known */
    size_t count;   /* at least 1 */
    struct unread *unread;
    size_t unread_count;
};

struct gather_options {
    bool children;       /* the whole family of the file, not the file alone */
    unsigned parts;      /* an or of enum ledger_part */
    struct table *table; /* to add the accounts to, or NULL */
    enum table_side side;
    bool garbage; /* the table gets what the collectors freed instead */
    const struct ledger_copy *since; /* of that, what came after this; or NULL */
    bool keep_accounts;              /* in the copies too: for a snapshot */
};

/*
 * Read the ledger `path` and, if asked for, its family, as far as it belongs to
 * the same run.  A FILE that no interpreter ever claimed does not count if there
 * are others.
 *
 * On success the caller owns what is in *out and gives it back with
 * gathering_drop().  Else *fault tells: HG_EIO if there is no such file, HG_ENOMEM,
 * and whatever ledger_copy_read() returns for FILE itself. Other members that
 * cannot be read are listed in out->unread instead.
 */
hg_status gather(const char *path, const struct gather_options *options,
                 struct gathering *out, struct ledger_fault *fault);

void gathering_drop(struct gathering *gathering);

#endif
