/* SPDX-License-Identifier: MIT */
/* report.h - who held memory, for people and for programs. */
#ifndef HG_REPORT_REPORT_H
#define HG_REPORT_REPORT_H

#include "analyze/gather.h"
#include "analyze/table.h"

#include <stdio.h>

/* Everything is lent to the functions below. */
struct report {
    const struct gathering *family;
    const struct table *table;
    const struct table_row *rows; /* in the order in which they are shown */
    size_t count;
    enum moment moment;
    size_t top; /* rows shown to people; programs get all of them */
};

/*
 * Write the report: text of at most 80 columns, in colour if asked for, or JSON
 * as docs/json.md tells.  Errors of the stream are left in it: see ferror().
 */
void report_text(FILE *out, const struct report *report, bool colour);
void report_json(FILE *out, const struct report *report);

/* "live", "peak" or "total" */
const char *report_moment_name(enum moment moment);

/* The moment that a person means who did not choose one. */
enum moment report_default_moment(const struct gathering *family);

#endif
