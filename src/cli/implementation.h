/* SPDX-License-Identifier: MIT */
/* implementation.h - is this program a Python that is not watched, and which? */
#ifndef HG_CLI_IMPLEMENTATION_H
#define HG_CLI_IMPLEMENTATION_H

#include <elf.h>

/*
 * What the program is, such as "is PyPy, which ...", by the symbols and libraries
 * that its file names, or by its own name; NULL: no such Python, as far as can be
 * seen.
 */
const char *implementation_unwatched(const char *path, int fd,
                                     const Elf64_Ehdr *header);

#endif
