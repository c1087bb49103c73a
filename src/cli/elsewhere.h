/* SPDX-License-Identifier: MIT */
/* elsewhere.h - ledgers of running programs that do not lie in the user's folder.
 */
#ifndef HG_CLI_ELSEWHERE_H
#define HG_CLI_ELSEWHERE_H

#include "cli/store.h"

#include <sys/types.h>

/*
 * The FILE that a running process was started with, by its environment.  NULL if
 * it has none or may not be asked; the caller free()s it.
 */
char *elsewhere_of(pid_t pid);

/* Add the FILEs of all running processes to those of the folder, each once. */
hg_status elsewhere_add(struct store_files *files);

#endif
