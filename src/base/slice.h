/* SPDX-License-Identifier: MIT */
/* slice.h - a run of bytes that belongs to somebody else, not ended by a zero. */
#ifndef HG_BASE_SLICE_H
#define HG_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *at; /* may be NULL if bytes is 0 */
    size_t bytes;
};

static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.at, b.at, a.bytes) == 0);
}

static inline bool slice_begins(struct slice whole, struct slice part)
{
    return whole.bytes >= part.bytes &&
           (part.bytes == 0 || memcmp(whole.at, part.at, part.bytes) == 0);
}

/* All but the first `bytes` bytes, of which there must be so many. */
static inline struct slice slice_after(struct slice whole, size_t bytes)
{
    return (struct slice){whole.at + bytes, whole.bytes - bytes};
}

#endif
