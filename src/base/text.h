/* SPDX-License-Identifier: MIT */
/*
 * text.h - text put together in a buffer, where stdio may not be used: inside
 * malloc, in a signal handler, in the child of a fork.  What does not fit is left
 * out.  No zero byte ends it: put one.
 */
#ifndef HG_BASE_TEXT_H
#define HG_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    char *out;
    size_t used, room;
};

static inline void text_put(struct text *to, const char *bytes, size_t count)
{
    if (count > to->room - to->used)
        count = to->room - to->used;
    memcpy(to->out + to->used, bytes, count);
    to->used += count;
}

static inline void text_put_string(struct text *to, const char *string)
{
    text_put(to, string, strlen(string));
}

/* `base`: 2 to 16. */
static inline void text_put_number(struct text *to, uint64_t number, unsigned base)
{
    char digits[64];
    size_t n = sizeof digits;
    do {
        digits[--n] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    text_put(to, digits + n, sizeof digits - n);
}

#endif
