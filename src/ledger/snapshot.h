/* SPDX-License-Identifier: MIT */
/* snapshot.h - a ledger as it was at one moment, packed into a file of its own. */
#ifndef HG_LEDGER_SNAPSHOT_H
#define HG_LEDGER_SNAPSHOT_H

#include "ledger/reader.h"

/*
 * Write a copy that was read with all parts to `fd`, an empty file, as a ledger in
 * state LEDGER_SNAPSHOT.  `now_ns` is the time since the program's start if it
 * lives, and becomes the end of these accounts (ledger_fate() relies on that);
 * 0 if it has ended.  Returns HG_EIO (errno) if the file cannot be written.
 */
hg_status ledger_snapshot_write(const struct ledger_copy *copy, uint64_t now_ns,
                                int fd);

#endif
