/* SPDX-License-Identifier: MIT */
/* diff_text.c - what grew, for people: 80 columns. */
#include "analyze/growth.h"
#include "report/diff.h"
#include "report/facts.h"
#include "report/human.h"
#include "report/rows.h"

#include <stdlib.h>

/* Columns: a word, the growth, what is live afterwards, blocks more, and where. */
enum {
    WORD = 4,
    GROWTH = 12,
    AFTER = 11,
    BLOCKS = 11,
    WHERE = WORD + GROWTH + AFTER + BLOCKS + 2,
};

static uint64_t distance(int64_t growth)
{
    return growth < 0 ? 0 - (uint64_t)growth : (uint64_t)growth;
}

static const char *sign_of(int64_t growth)
{
    return growth < 0 ? "-" : growth > 0 ? "+" : "";
}

static const char *signed_size(char into[HUMAN_BYTES], int64_t growth)
{
    char size[HUMAN_BYTES];
    snprintf(into, HUMAN_BYTES, "%s%.20s", sign_of(growth),
             human_size(size, distance(growth)));
    return into;
}

static const char *signed_count(char into[HUMAN_BYTES], int64_t growth)
{
    char count[HUMAN_BYTES];
    snprintf(into, HUMAN_BYTES, "%s%.28s", sign_of(growth),
             human_short_count(count, distance(growth)));
    return into;
}

/* "before   python3 app.py (4711), a snapshot, taken after 2.00 s" */
static void put_side(const struct page *page, const char *label,
                     const struct gathering *family)
{
    const struct process *first = &family->processes[0];
    char fate[128];
    char *command = facts_command(first->copy);
    facts_fate(fate, sizeof fate, first);
    facts_line(page, label, "%.40s (%d), %s", command != NULL ? command : "",
               (int)first->copy->header.pid, fate);
    if (family->count > 1)
        facts_line(page, "", "and %zu others of its family, summed",
                   family->count - 1);
    if (first->copy->busy)
        facts_line(page, "",
                   "It was allocating while this was read: parts may be of "
                   "slightly different moments.");
    free(command);
}

static void put_sum(const struct page *page, const struct table *table)
{
    const struct measure *a = table_sum(table, SIDE_A);
    const struct measure *b = table_sum(table, SIDE_B);
    char before[HUMAN_BYTES];
    char after[HUMAN_BYTES];
    char growth[HUMAN_BYTES];
    char blocks[HUMAN_BYTES];
    facts_line(page, "live", "%s before, %s after: %s in %s blocks",
               human_size(before, a->at[MOMENT_LIVE].bytes),
               human_size(after, b->at[MOMENT_LIVE].bytes),
               signed_size(growth, growth_bytes(a, b)),
               signed_count(blocks, growth_blocks(a, b)));
}

static void put_title(const struct page *page, const struct table *table)
{
    page_style(page, STYLE_DIM);
    fprintf(page->out, "\n%*s%*s%*s  %s\n", WORD + GROWTH, "growth", AFTER, "after",
            BLOCKS, "blocks", table_by_name(table_is_by(table)));
    page_style(page, STYLE_PLAIN);
}

static void put_row(const struct rows *rows, const struct table_row *row)
{
    const struct page *page = rows->page;
    const struct measure *a = row->side[SIDE_A];
    const struct measure *b = row->side[SIDE_B];
    enum change change = growth_of(row);
    bool worth_a_word = change == CHANGE_NEW || change == CHANGE_GONE;
    bool more = change == CHANGE_NEW || change == CHANGE_GROWN;
    char text[HUMAN_BYTES];

    fprintf(page->out, "%-*s", WORD, worth_a_word ? growth_name(change) : "");
    page_style(page, more ? STYLE_MORE : STYLE_LESS);
    page_right(page, signed_size(text, growth_bytes(a, b)), GROWTH);
    page_style(page, STYLE_PLAIN);
    page_right(page, human_size(text, b->at[MOMENT_LIVE].bytes), AFTER);
    page_right(page, signed_count(text, growth_blocks(a, b)), BLOCKS);
    page_pad(page, 2);
    rows_put_where(rows, row, WHERE);
}

/* What did not fit, and what did not change. */
static void put_rest(const struct page *page, const struct diff *diff, size_t from)
{
    int64_t growth = 0;
    size_t changed = 0;
    size_t same = 0;
    char size[HUMAN_BYTES];
    char count[HUMAN_BYTES];
    for (size_t i = from; i < diff->count; i++) {
        const struct table_row *row = &diff->rows[i];
        growth += growth_bytes(row->side[SIDE_A], row->side[SIDE_B]);
        *(growth_of(row) == CHANGE_SAME ? &same : &changed) += 1;
    }
    const char *what = table_by_name(table_is_by(diff->table));
    if (changed > 0)
        fprintf(page->out, "\xe2\x80\xa6 and %s more %s%s, %s in all\n",
                human_count(count, changed), what, changed == 1 ? "" : "s",
                signed_size(size, growth));
    if (same > 0)
        fprintf(page->out, "%s %s%s did not change\n", human_count(count, same),
                what, same == 1 ? "" : "s");
}

void diff_text(FILE *out, const struct diff *diff, bool colour)
{
    struct page page = {out, colour};
    struct rows rows = {&page, diff->table, source_cache_new()};
    size_t shown = 0;

    put_side(&page, "before", diff->sides[SIDE_A]);
    put_side(&page, "after", diff->sides[SIDE_B]);
    put_sum(&page, diff->table);
    if (diff->count > 0 && diff->top > 0 &&
        growth_of(&diff->rows[0]) != CHANGE_SAME)
        put_title(&page, diff->table);
    while (shown < diff->count && shown < diff->top &&
           growth_of(&diff->rows[shown]) != CHANGE_SAME)
        put_row(&rows, &diff->rows[shown++]);
    put_rest(&page, diff, shown);
    source_cache_free(rows.sources);
}
