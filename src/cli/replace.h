/* SPDX-License-Identifier: MIT */
/* replace.h - what may be written over, and how. */
#ifndef HG_CLI_REPLACE_H
#define HG_CLI_REPLACE_H

#include <stdbool.h>
#include <stdio.h>

/*
 * May a new ledger take the place of what lies at `path`?  Only if there is
 * nothing, or a ledger whose process has ended.  False after having said why not.
 */
bool replace_may_go(const char *path);

/* Is this a ledger that nobody needs any more?  Says nothing. */
bool replace_is_free(const char *path);

/* replace_may_go() for a file of another kind, which may go unless it is a ledger.
 */
bool replace_is_no_ledger(const char *path);

/*
 * Write `path` in one step: replace_open() makes a file beside it, readable by
 * its owner alone, and replace_commit() gives it the name once all is written.  A
 * pipe, a device or a link is written to as it is; `draft` is then NULL.
 * Both say what is wrong.  replace_abandon() removes it instead and says that it
 * could not be written, for this errno.
 */
struct replacement {
    const char *path; /* lent */
    char *draft;
    int fd;
};
bool replace_open(struct replacement *replacement, const char *path);
bool replace_commit(struct replacement *replacement);
void replace_abandon(struct replacement *replacement, int error);

/* All of it, for what `print` prints and replace_is_no_ledger() allows. */
bool replace_by(const char *path, void (*print)(FILE *out, const void *what),
                const void *what);

#endif
