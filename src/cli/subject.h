/* SPDX-License-Identifier: MIT */
/* subject.h - from what a person typed to the file of a ledger. */
#ifndef HG_CLI_SUBJECT_H
#define HG_CLI_SUBJECT_H

#include "analyze/gather.h"

#include <sys/types.h>

/*
 * The path of the ledger that `name` means: digits are the id of a process, all
 * else is a file, NULL is the newest ledger of the user's folder.  NULL after
 * having said what is wrong; else the caller free()s it.
 */
char *subject_find(const char *name);

/* The process that `name` means; 0: it means none. */
pid_t subject_pid(const char *name);

/* The ledger of a process; NULL: it has none.  The caller free()s it. */
char *subject_ledger_of(pid_t pid);

/* subject_find() and gather(); false after having said what is wrong. */
bool subject_gather(const char *name, const struct gather_options *options,
                    struct gathering *out);

/* The same, for accounts: a program that has none is an error too. */
bool subject_gather_accounts(const char *name, const struct gather_options *options,
                             struct gathering *out);

#endif
