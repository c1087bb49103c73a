/* SPDX-License-Identifier: MIT */
/* diff_json.c - what grew, for programs: docs/json.md tells what each key means. */
#include "analyze/growth.h"
#include "report/diff.h"
#include "report/facts.h"
#include "report/json_rows.h"

static void put_numbers(struct json *json, const struct measure *a,
                        const struct measure *b)
{
    const struct amount *before = &a->at[MOMENT_LIVE];
    const struct amount *after = &b->at[MOMENT_LIVE];
    json_key(json, "before_bytes");
    json_unsigned(json, before->bytes);
    json_key(json, "after_bytes");
    json_unsigned(json, after->bytes);
    json_key(json, "growth_bytes");
    json_signed(json, growth_bytes(a, b));
    json_key(json, "before_blocks");
    json_unsigned(json, before->blocks);
    json_key(json, "after_blocks");
    json_unsigned(json, after->blocks);
    json_key(json, "growth_blocks");
    json_signed(json, growth_blocks(a, b));
}

static void put_totals(struct json *json, const struct diff *diff)
{
    json_key(json, "totals");
    json_open(json, '{');
    json_rows_nowhere(json, diff->table);
    put_numbers(json, table_sum(diff->table, SIDE_A),
                table_sum(diff->table, SIDE_B));
    json_key(json, "status");
    json_null(json);
    json_close(json, '}');
}

void diff_json(FILE *out, const struct diff *diff)
{
    static const char *const sides[TABLE_SIDES] = {"before", "after"};
    struct json json;
    json_begin(&json, out);
    for (int side = 0; side < TABLE_SIDES; side++) {
        json_key(&json, sides[side]);
        json_open(&json, '{');
        facts_json(&json, diff->sides[side]);
        json_close(&json, '}');
    }
    json_key(&json, "by");
    json_text(&json, slice_of(table_by_name(table_is_by(diff->table))));
    put_totals(&json, diff);
    json_key(&json, "rows");
    json_open(&json, '[');
    for (size_t i = 0; i < diff->count; i++) {
        const struct table_row *row = &diff->rows[i];
        json_open(&json, '{');
        json_rows_where(&json, diff->table, row);
        put_numbers(&json, row->side[SIDE_A], row->side[SIDE_B]);
        json_key(&json, "status");
        json_text(&json, slice_of(growth_name(growth_of(row))));
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_end(&json);
}
