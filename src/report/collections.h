/* SPDX-License-Identifier: MIT */
/* collections.h - what the interpreter's collector did, for people and programs. */
#ifndef HG_REPORT_COLLECTIONS_H
#define HG_REPORT_COLLECTIONS_H

#include "analyze/collector.h"
#include "analyze/table.h"

#include <stdio.h>

/* Everything is lent to the functions below. */
struct collections {
    const struct gathering *family;
    const struct collector *collector;
    const struct table *table; /* by line, of what the collector freed */
    const struct table_row *rows;
    size_t count;
    size_t top;                         /* lines, and types, shown to people */
    const struct ledger_answer *answer; /* of a program that was asked, or NULL */
    bool trimmed;                       /* that was asked, too */
};

/* As report_text() and report_json(). */
void collections_text(FILE *out, const struct collections *collections,
                      bool colour);
void collections_json(FILE *out, const struct collections *collections);

#endif
