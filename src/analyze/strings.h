/* SPDX-License-Identifier: MIT */
/* strings.h - texts of several ledgers, each stored once and named by a number. */
#ifndef HG_ANALYZE_STRINGS_H
#define HG_ANALYZE_STRINGS_H

#include "base/base.h"
#include "base/slice.h"

#define STRINGS_NONE                                                               \
    UINT32_MAX /* the id of no text at all: not of the empty one                   \
                */

struct strings; /* one owner, one thread */

struct strings *strings_new(void); /* or NULL */
void strings_free(struct strings *strings);

/*
 * The id of `text`, which is copied when it is new.  Ids count from 0 and never
 * change.  HG_ENOMEM leaves everything as it was.
 */
hg_status strings_put(struct strings *strings, struct slice text, uint32_t *id);

/* The text of an id; it is also ended by a zero byte.  On loan until
 * strings_free(). */
struct slice strings_get(const struct strings *strings, uint32_t id);

#endif
