/* SPDX-License-Identifier: MIT */
/* json_rows.c - see json_rows.h */
#include "report/json_rows.h"

#include <stdlib.h>

static void put_string(struct json *json, const struct table *table,
                       uint32_t string)
{
    if (string == STRINGS_NONE)
        json_null(json);
    else
        json_text(json, table_text(table, string));
}

static void put_place(struct json *json, const struct table *table,
                      struct place place)
{
    json_key(json, "file");
    put_string(json, table, place.file);
    json_key(json, "line");
    if (place.line == PLACE_NO_LINE)
        json_null(json);
    else
        json_unsigned(json, place.line);
    json_key(json, "function");
    put_string(json, table, place.function);
}

static void put_stack(struct json *json, const struct table *table, uint32_t number)
{
    size_t depth = table_stack(table, number, NULL, 0);
    struct place *frames = malloc((depth + 1) * sizeof *frames);
    json_key(json, "stack");
    json_open(json, '[');
    if (frames != NULL)
        table_stack(table, number, frames, depth);
    for (size_t i = 0; i < depth && frames != NULL; i++) {
        json_open(json, '{');
        put_place(json, table, frames[i]);
        json_close(json, '}');
    }
    json_close(json, ']');
    free(frames);
}

static void put_thread(struct json *json, const struct table *table,
                       uint32_t number)
{
    struct table_thread thread = table_thread(table, number);
    json_key(json, "thread");
    json_open(json, '{');
    json_key(json, "pid");
    json_signed(json, thread.pid);
    json_key(json, "slot");
    if (thread.not_recorded)
        json_null(json);
    else
        json_unsigned(json, thread.slot);
    json_key(json, "tid");
    json_unsigned(json, thread.tid);
    json_key(json, "threads");
    json_unsigned(json, thread.threads);
    json_key(json, "alive");
    json_bool(json, thread.alive);
    json_close(json, '}');
}

void json_rows_where(struct json *json, const struct table *table,
                     const struct table_row *row)
{
    put_place(json, table, row->place);
    if (table_is_by(table) == BY_STACK)
        put_stack(json, table, row->number);
    if (table_is_by(table) == BY_THREAD)
        put_thread(json, table, row->number);
    if (table_is_by(table) == BY_DOMAIN) {
        json_key(json, "domain");
        json_text(json, slice_of(table_domain(table, row->number)));
    }
}

void json_rows_nowhere(struct json *json, const struct table *table)
{
    enum table_by by = table_is_by(table);
    put_place(json, table,
              (struct place){STRINGS_NONE, STRINGS_NONE, PLACE_NO_LINE});
    if (by == BY_STACK || by == BY_THREAD || by == BY_DOMAIN) {
        json_key(json, table_by_name(by));
        json_null(json);
    }
}
