/* SPDX-License-Identifier: MIT */
/* order.h - which row comes first. */
#ifndef HG_ANALYZE_ORDER_H
#define HG_ANALYZE_ORDER_H

#include "analyze/table.h"

/*
 * Bring the first `top` rows to the front, in order; the rest follows in none.
 * `compare` is qsort_r()'s.  Little is done for rows beyond `top`, so a report of
 * a million rows that shows twenty is fast.
 */
void order_first(struct table_row *rows, size_t count, size_t top,
                 int (*compare)(const void *, const void *, void *), void *arg);

/*
 * The same for rows of side A: the biggest at this moment first.  Rows of one
 * size come in the order of their names, so that equal ledgers give equal reports.
 */
void order_by_moment(const struct table *table, struct table_row *rows,
                     size_t count, size_t top, enum moment moment);

/* The order of names alone, for rows that are equal in all else. */
int order_by_names(const struct table *table, const struct table_row *a,
                   const struct table_row *b);

#endif
