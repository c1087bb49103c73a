/* SPDX-License-Identifier: MIT */
/* json_report.c - the report for programs: docs/json.md tells what each key means.
 */
#include "report/facts.h"
#include "report/json_rows.h"
#include "report/report.h"

static void put_measure(struct json *json, const struct measure *measure)
{
    static const struct {
        enum moment moment;
        const char *bytes;
        const char *blocks;
    } keys[] = {
        {MOMENT_LIVE, "live_bytes", "live_blocks"},
        {MOMENT_TOTAL, "total_bytes", "total_blocks"},
        {MOMENT_PEAK, "peak_bytes", "peak_blocks"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_key(json, keys[i].bytes);
        json_unsigned(json, measure->at[keys[i].moment].bytes);
        json_key(json, keys[i].blocks);
        json_unsigned(json, measure->at[keys[i].moment].blocks);
    }
}

static void put_totals(struct json *json, const struct report *report)
{
    json_key(json, "totals");
    json_open(json, '{');
    json_rows_nowhere(json, report->table);
    put_measure(json, table_sum(report->table, SIDE_A));
    json_close(json, '}');
}

void report_json(FILE *out, const struct report *report)
{
    struct json json;
    json_begin(&json, out);
    facts_json(&json, report->family);
    json_key(&json, "moment");
    json_open(&json, '{');
    json_key(&json, "name");
    json_text(&json, slice_of(report_moment_name(report->moment)));
    json_key(&json, "one_moment");
    json_bool(&json, report->moment != MOMENT_PEAK || report->family->count == 1);
    json_close(&json, '}');
    json_key(&json, "by");
    json_text(&json, slice_of(table_by_name(table_is_by(report->table))));
    put_totals(&json, report);
    json_key(&json, "rows");
    json_open(&json, '[');
    for (size_t i = 0; i < report->count; i++) {
        json_open(&json, '{');
        json_rows_where(&json, report->table, &report->rows[i]);
        put_measure(&json, report->rows[i].side[SIDE_A]);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_end(&json);
}
