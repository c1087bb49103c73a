/* SPDX-License-Identifier: MIT */
/* rows.h - the parts of a row that every text shares: where, and the source there.
 */
#ifndef HG_REPORT_ROWS_H
#define HG_REPORT_ROWS_H

#include "analyze/table.h"
#include "report/page.h"
#include "report/source.h"

/* What it takes to print places; `sources` may be NULL: then no source is shown. */
struct rows {
    const struct page *page;
    const struct table *table;
    struct source_cache *sources;
};

/* "app.py:17 build", in at most `columns` columns, and the end of the line. */
void rows_put_place(const struct rows *rows, struct place place, unsigned columns);

/* The source text of a place, or what a place without one means, on a line of its
 * own from column `from`; or nothing. */
void rows_put_source(const struct rows *rows, struct place place, unsigned from);

/* The frames of a row by stack, outermost first, each on a line from column `from`,
 * and an empty line.  Those by which the import system calls others are left out.
 */
void rows_put_stack(const struct rows *rows, uint32_t number, unsigned from);

/* Where a row of any table is, from column `from`, with the source where it has
 * one. */
void rows_put_where(const struct rows *rows, const struct table_row *row,
                    unsigned from);

#endif
