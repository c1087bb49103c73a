/* SPDX-License-Identifier: MIT */
/* placeholder.h - the ledger that waits for the program to become Python. */
#ifndef HG_CLI_PLACEHOLDER_H
#define HG_CLI_PLACEHOLDER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* The largest file that this process and the program may make, in bytes: below
 * LEDGER_LEAST_BYTES there can be no ledger. */
uint64_t placeholder_limit(void);

/*
 * Make the file for a ledger of this process, which is about to become the
 * program: state LEDGER_WAITING, with the `command` (ended by NULL) and the folder
 * as its only texts.  `name` is what -o said, or NULL for
 * a new name in the user's folder.  What lies there is replaced only if it is a
 * ledger of a process that has ended; then its family goes as well.  The absolute
 * path goes to `path`.  False after having said what is wrong: nothing is changed.
 */
bool placeholder_make(const char *name, char *const *command, char path[PATH_MAX]);

#endif
