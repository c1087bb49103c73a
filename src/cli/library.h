/* SPDX-License-Identifier: MIT */
/* library.h - the library that is put under a program. */
#ifndef HG_CLI_LIBRARY_H
#define HG_CLI_LIBRARY_H

#include <limits.h>
#include <stdbool.h>

/*
 * Find libheapglass-preload.so by $HEAPGLASS_PRELOAD, beside this executable, or
 * where both are installed.  The path is one that LD_PRELOAD can hold: if need
 * be, that of a link in the user's folder.  False after having said what is wrong.
 */
bool library_find(char path[PATH_MAX]);

/* Add it to LD_PRELOAD, after what is there.  False after having said so. */
bool library_preload(const char *path);

#endif
