/* SPDX-License-Identifier: MIT */
/* claim.h - which file is this process's ledger. */
#ifndef HG_TRACE_CLAIM_H
#define HG_TRACE_CLAIM_H

#include "trace/session.h"

/*
 * Open the file that becomes this process's ledger, emptied by whoever maps it;
 * its name goes to `path`.  The caller makes it a ledger that is RUNNING and then
 * closes the descriptor, which holds a lock that keeps others off.  Older ledgers
 * that lie there are renamed, never overwritten.  -1 (errno) when there is none to
 * be had: EEXIST if something that is no ledger lies there.
 */
int claim_ledger(const struct session_config *config, char path[PATH_MAX]);

/* The same for a forked child: FILE.PID. */
int claim_childs_ledger(const struct session_config *config, char path[PATH_MAX]);

/* This process has become a program without accounts: say so in the ledger, if it
   had one before its exec: true. */
bool claim_mark_replaced(const struct session_config *config);

#endif
