/* SPDX-License-Identifier: MIT */
/* panic.c - the last words of a program whose heap is corrupt; runs inside malloc.
 */
#include "base/base.h"
#include "base/text.h"

#include <stdlib.h>
#include <unistd.h>

void base_panic(const char *message, const void *address)
{
    char line[512];
    struct text text = {line, 0, sizeof line - 1};
    text_put_string(&text, "heapglass: ");
    text_put_string(&text, message);
    if (address != NULL) {
        text_put_string(&text, ": 0x");
        text_put_number(&text, (uintptr_t)address, 16);
    }
    line[text.used++] = '\n';
    if (write(STDERR_FILENO, line, text.used) < 0) {
        /* Nobody is left to tell. */
    }
    abort();
}
