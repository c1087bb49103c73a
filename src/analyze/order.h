/* SPDX-License-Identifier: MIT */
/* order.h - which row comes first. */
#ifndef HG_ANALYZE_ORDER_H
#define HG_ANALYZE_ORDER_H

#include "analyze/table.h"

/*
 * Sort the rows of side A: the biggest at this moment first.  Rows of one size
 * come in the order of their names, so that equal ledgers give equal reports.
 */
void order_by_moment(const struct table *table, struct table_row *rows,
                     size_t count, enum moment moment);

/* For qsort_r() of rows: the order of names alone. */
int order_by_names(const struct table *table, const struct table_row *a,
                   const struct table_row *b);

#endif
