/* SPDX-License-Identifier: MIT */
/* json_rows.h - the keys that say where a row is, in every JSON of ours. */
#ifndef HG_REPORT_JSON_ROWS_H
#define HG_REPORT_JSON_ROWS_H

#include "analyze/table.h"
#include "report/json.h"

/*
 * "file", "line" and "function" of a row, with "stack", "thread" or "domain" if
 * the table is by those.
 */
void json_rows_where(struct json *json, const struct table *table,
                     const struct table_row *row);

/* The same keys, all null: for totals. */
void json_rows_nowhere(struct json *json, const struct table *table);

#endif
