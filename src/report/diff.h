/* SPDX-License-Identifier: MIT */
/* diff.h - what grew between two moments, for people and for programs. */
#ifndef HG_REPORT_DIFF_H
#define HG_REPORT_DIFF_H

#include "analyze/gather.h"
#include "analyze/table.h"

#include <stdio.h>

/* Everything is lent to the functions below. */
struct diff {
    const struct gathering *sides[TABLE_SIDES];
    const struct table *table;
    const struct table_row *rows; /* as growth_rows() gives them */
    size_t count;
    size_t top; /* rows shown to people; programs get all of them */
};

/* As report_text() and report_json(). */
void diff_text(FILE *out, const struct diff *diff, bool colour);
void diff_json(FILE *out, const struct diff *diff);

#endif
