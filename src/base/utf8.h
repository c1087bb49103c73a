/* SPDX-License-Identifier: MIT */
/* utf8.h - text that may hold anything, one character after the other. */
#ifndef HG_BASE_UTF8_H
#define HG_BASE_UTF8_H

#include "base/slice.h"

#include <stdint.h>

/*
 * Decode the first character of `text`, which is not empty; returns its bytes.
 * Strict, as Python is.  A byte that begins no character is UTF8_BYTE + itself,
 * which is how Python's surrogateescape names it.
 */
size_t utf8_next(struct slice text, uint32_t *character);
#define UTF8_BYTE 0xdc00u

static inline bool utf8_is_byte(uint32_t character)
{
    return character >= UTF8_BYTE + 0x80 && character <= UTF8_BYTE + 0xff;
}

/* Columns that a terminal gives to a character: 0, 1 or 2. */
unsigned utf8_columns(uint32_t character);

#endif
