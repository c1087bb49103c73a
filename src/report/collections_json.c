/* SPDX-License-Identifier: MIT */
/* collections_json.c - collections for programs: docs/json.md tells what is what.
 */
#include "report/collections.h"
#include "report/facts.h"
#include "report/json_rows.h"

static void put(struct json *json, const char *key, uint64_t value)
{
    json_key(json, key);
    json_unsigned(json, value);
}

static void put_sums(struct json *json, const struct ledger_generation *of)
{
    put(json, "collections", of->collections);
    put(json, "useless", of->useless);
    put(json, "pause_ns", of->pause_ns);
    put(json, "pause_max_ns", of->pause_max_ns);
    put(json, "pause_median_ns", collector_median_ns(of));
    put(json, "useless_ns", of->useless_ns);
    put(json, "visited", of->visited);
    put(json, "found", of->found);
    put(json, "uncollectable", of->uncollectable);
    put(json, "freed_bytes", of->freed_bytes);
    put(json, "freed_blocks", of->freed_blocks);
}

static void put_collector(struct json *json, const struct collector *collector)
{
    json_key(json, "collector");
    json_open(json, '{');
    json_key(json, "watched");
    json_bool(json, collector->watched);
    put(json, "run_ns", collector->run_ns);
    put_sums(json, &collector->sum);
    json_close(json, '}');
    json_key(json, "generations");
    json_open(json, '[');
    for (unsigned g = 0; g < LEDGER_GENERATION_COUNT && collector->watched; g++) {
        json_open(json, '{');
        put(json, "generation", g);
        put_sums(json, &collector->generations[g]);
        json_close(json, '}');
    }
    json_close(json, ']');
}

/* What the program was asked to do, and did. */
static void put_answer(struct json *json, const struct ledger_answer *answer)
{
    json_key(json, "collected");
    if (answer == NULL) {
        json_null(json);
        return;
    }
    json_open(json, '{');
    put(json, "found", answer->found);
    put(json, "freed_bytes", answer->freed_bytes);
    put(json, "freed_blocks", answer->freed_blocks);
    put(json, "pause_ns", answer->pause_ns);
    put(json, "given_bytes", answer->given_bytes);
    put(json, "rss_before_bytes", answer->rss_before_bytes);
    put(json, "rss_after_bytes", answer->rss_after_bytes);
    json_close(json, '}');
}

static void put_freed(struct json *json, const struct measure *measure)
{
    put(json, "freed_bytes", measure->at[MOMENT_TOTAL].bytes);
    put(json, "freed_blocks", measure->at[MOMENT_TOTAL].blocks);
}

static void put_rows(struct json *json, const struct collections *of)
{
    json_key(json, "totals");
    json_open(json, '{');
    json_rows_nowhere(json, of->table);
    put_freed(json, table_sum(of->table, SIDE_A));
    json_close(json, '}');
    json_key(json, "rows");
    json_open(json, '[');
    for (size_t i = 0; i < of->count; i++) {
        json_open(json, '{');
        json_rows_where(json, of->table, &of->rows[i]);
        put_freed(json, of->rows[i].side[SIDE_A]);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_types(struct json *json, const struct collector *collector)
{
    json_key(json, "types");
    json_open(json, '[');
    for (size_t i = 0; i < collector->type_count; i++) {
        json_open(json, '{');
        json_key(json, "type");
        json_text_or_null(json, collector->types[i].name);
        put(json, "freed_objects", collector->types[i].objects);
        put(json, "freed_bytes", collector->types[i].bytes);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_latest(struct json *json, const struct process *process)
{
    const struct ledger_copy *copy = process->copy;
    for (uint32_t i = 0; i < copy->collection_count; i++) {
        const struct ledger_collection *at = &copy->collections[i];
        if (at->number == 0)
            continue;
        json_open(json, '{');
        json_key(json, "pid");
        json_signed(json, copy->header.pid);
        put(json, "generation", i / LEDGER_LATEST_COLLECTIONS);
        put(json, "number", at->number);
        put(json, "time_ns", at->time_ns);
        put(json, "pause_ns", at->pause_ns);
        put(json, "visited", at->visited);
        put(json, "found", at->found);
        put(json, "uncollectable", at->uncollectable);
        put(json, "freed_bytes", at->freed_bytes);
        put(json, "freed_blocks", at->freed_blocks);
        json_close(json, '}');
    }
}

void collections_json(FILE *out, const struct collections *of)
{
    struct json json;
    char advice[200];

    json_begin(&json, out);
    facts_json(&json, of->family);
    put_answer(&json, of->answer);
    put_collector(&json, of->collector);
    put_rows(&json, of);
    put_types(&json, of->collector);
    json_key(&json, "latest");
    json_open(&json, '[');
    for (size_t i = 0; i < of->family->count; i++)
        put_latest(&json, &of->family->processes[i]);
    json_close(&json, ']');
    collector_advice(of->collector, advice, sizeof advice);
    json_key(&json, "advice");
    json_text_or_null(&json, slice_of(advice));
    json_end(&json);
}
