/* SPDX-License-Identifier: MIT */
/* source.h - the text of a line of a program, if it can still be found. */
#ifndef HG_REPORT_SOURCE_H
#define HG_REPORT_SOURCE_H

#include "base/slice.h"

#include <stdint.h>

struct source_cache; /* one owner */

struct source_cache *source_cache_new(void); /* or NULL */
void source_cache_free(struct source_cache *cache);

/*
 * The line `line` (from 1) of a file, without spaces at its ends; empty if there
 * is none.  A relative name is looked up in `folder`.  The file is whatever lies
 * there now.  Names such as "<string>" are no files.  The text is on loan until
 * the cache is freed; `cache` may be NULL.
 */
struct slice source_line(struct source_cache *cache, struct slice file,
                         struct slice folder, uint32_t line);

#endif
