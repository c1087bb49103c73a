/* SPDX-License-Identifier: MIT */
/* program.h - which file will be executed for what a person typed? */
#ifndef HG_CLI_PROGRAM_H
#define HG_CLI_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

struct program {
    char **argv;         /* for exec; owned, though its strings are not */
    char path[PATH_MAX]; /* the file that execvp(argv[0], argv) will find */
};

/*
 * Find what PROGRAM [ARG...] means: app.py, a folder with __main__.py, a .pyz,
 * -m module and -c code are for the python3 of the PATH; all else is found as
 * execvp() does.  Returns 0, or the exit status after having said what is wrong.
 */
int program_find(char **arguments, struct program *program);

void program_drop(struct program *program);

/*
 * Look for `name` as execvp() does: a file if it has a slash, else in the PATH.
 * Returns 0, or the errno that execvp() would give, such as EACCES if something is
 * there that cannot be executed.
 */
int program_search(const char *name, char path[PATH_MAX]);

#endif
