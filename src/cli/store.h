/* SPDX-License-Identifier: MIT */
/* store.h - the folder of this user's ledgers. */
#ifndef HG_CLI_STORE_H
#define HG_CLI_STORE_H

#include "base/base.h"

#include <stdbool.h>
#include <stddef.h>

/* All ledgers in the folder together; the oldest that have ended go first. */
#define STORE_MAX_BYTES ((uint64_t)256 << 20)

/*
 * Where ledgers lie that were given no name: $HEAPGLASS_DIR, else a folder on
 * tmpfs, else under $XDG_RUNTIME_DIR, else under $TMPDIR; absolute.  NULL: no
 * memory.  The caller free()s it.  The folder may not exist.
 */
char *store_folder(void);

/*
 * Make the folder, or make sure that it is this user's alone.  False after
 * having said what is wrong.
 */
bool store_prepare(const char *folder);

/* The FILEs of all families in a folder, as paths; also of those that lost FILE. */
struct store_files {
    char **paths;
    size_t count;
};

/*
 * List the user's folder; one that does not exist is empty.  False after having
 * said what is wrong.
 */
bool store_list(const char *folder, struct store_files *files);

/* Add a path, which is copied, unless it is there already.  HG_ENOMEM. */
hg_status store_files_add(struct store_files *files, const char *path);
void store_files_drop(struct store_files *files);

/* Remove families that have ended, the oldest first, until all are within the
 * limit. */
void store_make_room(const char *folder);

#endif
