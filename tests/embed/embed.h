/* SPDX-License-Identifier: MIT */
/* embed.h - what the programs have in common that embed the library. */
#ifndef HG_TESTS_EMBED_H
#define HG_TESTS_EMBED_H

#include <heapglass/heap.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* End with status 1 unless it is so. */
static inline void must(int truth, const char *what)
{
    if (truth)
        return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

#endif
