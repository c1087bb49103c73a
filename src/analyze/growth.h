/* SPDX-License-Identifier: MIT */
/* growth.h - what changed between the two sides of a table. */
#ifndef HG_ANALYZE_GROWTH_H
#define HG_ANALYZE_GROWTH_H

#include "analyze/table.h"

enum change { CHANGE_NEW, CHANGE_GONE, CHANGE_GROWN, CHANGE_SHRUNK, CHANGE_SAME };

/* "new", "gone", "grown", "shrunk" or "same": as JSON has them. */
const char *growth_name(enum change change);

/* Of a row from live on side A to live on side B; blocks decide if the bytes do
 * not. */
enum change growth_of(const struct table_row *row);

/* Live bytes, or blocks, of B less those of A. */
int64_t growth_bytes(const struct measure *a, const struct measure *b);
int64_t growth_blocks(const struct measure *a, const struct measure *b);

/*
 * All rows that are live on either side, as table_rows() gives them: the `top`
 * largest changes first, equal ones in the order of their names, then the rest.
 */
struct table_row *growth_rows(const struct table *table, size_t top, size_t *count);

#endif
