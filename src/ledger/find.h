/* SPDX-License-Identifier: MIT */
/* find.h - where the ledgers of this user, and of running programs, lie. */
#ifndef HG_LEDGER_FIND_H
#define HG_LEDGER_FIND_H

#include "base/base.h"

#include <stdbool.h>

/*
 * Where ledgers lie that were given no name: $HEAPGLASS_DIR, else a folder on
 * tmpfs, else under $XDG_RUNTIME_DIR, else under $TMPDIR; absolute.  NULL: no
 * memory.  The caller free()s it.  The folder may not exist.
 */
char *find_folder(void);

/* Is this the name of FILE or one of its family, FILE.PID[.N], in that folder? */
bool find_is_ledger(const char *name);

/* The FILEs of families, as paths; also of those that lost FILE. */
struct find_files {
    char **paths;
    size_t count;
};

/* Add a path, which is copied, unless it is there already.  HG_ENOMEM. */
hg_status find_files_add(struct find_files *files, const char *path);
void find_files_drop(struct find_files *files);

/* Find all families in a folder.  HG_EIO (errno) if it cannot be read; HG_ENOMEM.
 */
hg_status find_in_folder(const char *folder, struct find_files *files);

/*
 * The FILE that a running process was started with, by its environment.  NULL if
 * it has none or may not be asked; the caller free()s it.
 */
char *find_of_process(int32_t pid);

/* Add the FILEs of all running processes, each once.  HG_ENOMEM. */
hg_status find_add_running(struct find_files *files);

/*
 * The ledger of a process, wherever it lies, or for 0 the FILE of the newest run in
 * the user's folder, goes to *path, which the caller free()s; NULL: there is none.
 * HG_EIO (errno) if the user's folder cannot be read; HG_ENOMEM.
 */
hg_status find_ledger(int32_t pid, char **path);

#endif
