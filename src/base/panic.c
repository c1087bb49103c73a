/* SPDX-License-Identifier: MIT */
/* panic.c - the last words of a program whose heap is corrupt; runs inside malloc.
 */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void base_panic(const char *message, const void *address)
{
    char line[512] = "heapglass: ";
    size_t n = strlen(line);
    size_t m = strlen(message);
    if (m > sizeof line - n - 32)
        m = sizeof line - n - 32;
    memcpy(line + n, message, m);
    n += m;
    if (address != NULL) {
        memcpy(line + n, ": 0x", 4);
        n += 4;
        for (int shift = 60; shift >= 0; shift -= 4)
            line[n++] = "0123456789abcdef"[(uintptr_t)address >> shift & 15];
    }
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0) {
        /* Nobody is left to tell. */
    }
    abort();
}
