/* SPDX-License-Identifier: MIT */
/* watchable.h - would the library be loaded into this program? */
#ifndef HG_CLI_WATCHABLE_H
#define HG_CLI_WATCHABLE_H

#include <stdbool.h>

/*
 * Look at an executable file, and at the interpreter of a script: LD_PRELOAD
 * does nothing in a statically linked program, one of another machine, one of
 * another C library or one with more rights than its user.  And a Python that is
 * no CPython with a GIL can be watched as any program is, if at all (`native`).
 * False after having said so; a file that cannot be read is let through, for exec
 * has the last word.
 */
bool watchable_check(const char *path, bool native);

#endif
