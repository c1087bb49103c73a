/* SPDX-License-Identifier: MIT */
/* store.h - the folder of this user's ledgers. */
#ifndef HG_CLI_STORE_H
#define HG_CLI_STORE_H

#include "ledger/find.h"

#include <stdbool.h>
#include <stddef.h>

/* All ledgers in the folder together; the oldest that have ended go first. */
#define STORE_MAX_BYTES ((uint64_t)256 << 20)

/*
 * Make the folder, or make sure that it is this user's alone.  False after
 * having said what is wrong.
 */
bool store_prepare(const char *folder);

/*
 * List the user's folder; one that does not exist is empty.  False after having
 * said what is wrong.
 */
bool store_list(const char *folder, struct find_files *files);

/* Remove families that have ended, the oldest first, until all are within the
 * limit. */
void store_make_room(const char *folder);

#endif
