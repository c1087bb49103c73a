/* SPDX-License-Identifier: MIT */
/* collections_text.c - collections for people: 80 columns. */
#include "report/collections.h"
#include "report/facts.h"
#include "report/human.h"
#include "report/rows.h"

#include <inttypes.h>

/* A bar, a share, a size, a number, and where: as in the report. */
enum {
    BAR = 6,
    SHARE = 7,
    SIZE = 11,
    NUMBER = 10,
    WHERE = BAR + SHARE + SIZE + NUMBER + 2,
};

/* Of generations. */
enum { NAME = 8, RAN = 11, USELESS = 9, TIME = 9, OBJECTS = 12 };

static void put_time(const struct page *page, uint64_t ns)
{
    char text[HUMAN_BYTES];
    page_right(page, human_pause(text, ns), TIME);
}

static void put_count(const struct page *page, uint64_t count, unsigned columns)
{
    char text[HUMAN_BYTES];
    page_right(page, human_short_count(text, count), columns);
}

static void put_title(const struct page *page)
{
    page_style(page, STYLE_DIM);
    fprintf(page->out, "\n%-*s%*s%*s%*s%*s%*s%*s%*s\n", NAME, "", RAN,
            "collections", USELESS, "useless", TIME, "in all", TIME, "longest",
            TIME, "median", OBJECTS, "visited", OBJECTS, "found");
    page_style(page, STYLE_PLAIN);
}

static void put_generation(const struct page *page, const char *name,
                           const struct ledger_generation *of)
{
    char text[HUMAN_BYTES];
    double useless = of->collections > 0
                         ? 100 * (double)of->useless / (double)of->collections
                         : 0;
    fprintf(page->out, "%-*s", NAME, name);
    put_count(page, of->collections, RAN);
    if (of->collections == 0) {
        fputc('\n', page->out);
        return;
    }
    snprintf(text, sizeof text, "%.0f%%", useless);
    page_right(page, text, USELESS);
    put_time(page, of->pause_ns);
    put_time(page, of->pause_max_ns);
    put_time(page, collector_median_ns(of));
    put_count(page, of->visited, OBJECTS);
    put_count(page, of->found, OBJECTS);
    fputc('\n', page->out);
}

static void put_generations(const struct page *page,
                            const struct collector *collector)
{
    static const char *const names[] = {"young", "middle", "full"};
    put_title(page);
    for (int g = 0; g < LEDGER_GENERATION_COUNT; g++)
        put_generation(page, names[g], &collector->generations[g]);
}

static void put_summary(const struct page *page, const struct collector *collector)
{
    const struct ledger_generation *sum = &collector->sum;
    char pauses[HUMAN_BYTES];
    char run[HUMAN_BYTES];
    char useless[HUMAN_BYTES];
    double share = collector->run_ns > 0
                       ? 100 * (double)sum->pause_ns / (double)collector->run_ns
                       : 0;
    facts_line(page, "paused", "%s of %s, %.1f%%; %s of it found nothing",
               human_pause(pauses, sum->pause_ns),
               human_duration(run, collector->run_ns), share,
               human_pause(useless, sum->useless_ns));
}

static void put_share(const struct page *page, uint64_t bytes, uint64_t whole)
{
    char text[HUMAN_BYTES];
    double share = whole > 0 ? (double)bytes / (double)whole : 0;
    page_bar(page, share, BAR);
    snprintf(text, sizeof text, "%.1f%%", share * 100);
    page_right(page, text, SHARE);
    page_right(page, human_size(text, bytes), SIZE);
}

static void put_head(const struct page *page, const char *number, const char *what)
{
    page_style(page, STYLE_DIM);
    fprintf(page->out, "\n%*s%*s%*s  %s\n", BAR + SHARE, "share", SIZE, "freed",
            NUMBER, number, what);
    page_style(page, STYLE_PLAIN);
}

static void put_more(const struct page *page, size_t more, const char *what)
{
    char count[HUMAN_BYTES];
    if (more > 0)
        fprintf(page->out, "\xe2\x80\xa6 and %s more %s%s\n",
                human_count(count, more), what, more == 1 ? "" : "s");
}

static void put_lines(const struct page *page, const struct collections *of)
{
    struct rows rows = {page, of->table, source_cache_new()};
    uint64_t whole = table_sum(of->table, SIDE_A)->at[MOMENT_TOTAL].bytes;
    size_t i = 0;

    put_head(page, "blocks", "line that made what was freed");
    for (; i < of->count && i < of->top; i++) {
        const struct amount *freed = &of->rows[i].side[SIDE_A]->at[MOMENT_TOTAL];
        put_share(page, freed->bytes, whole);
        put_count(page, freed->blocks, NUMBER);
        page_pad(page, 2);
        rows_put_where(&rows, &of->rows[i], WHERE);
    }
    put_more(page, of->count - i, "line");
    source_cache_free(rows.sources);
}

static void put_types(const struct page *page, const struct collections *of)
{
    const struct collector *collector = of->collector;
    uint64_t whole = table_sum(of->table, SIDE_A)->at[MOMENT_TOTAL].bytes;
    size_t i = 0;

    if (collector->type_count == 0)
        return;
    put_head(page, "objects", "type, without what it refers to");
    for (; i < collector->type_count && i < of->top; i++) {
        const struct collector_type *type = &collector->types[i];
        put_share(page, type->bytes, whole);
        put_count(page, type->objects, NUMBER);
        page_pad(page, 2);
        page_text(page, type->name.bytes > 0 ? type->name : slice_of("(others)"),
                  PAGE_COLUMNS - WHERE);
        fputc('\n', page->out);
    }
    put_more(page, collector->type_count - i, "type");
}

static void put_advice(const struct page *page, const struct collector *collector)
{
    char advice[200];
    collector_advice(collector, advice, sizeof advice);
    if (advice[0] == '\0')
        return;
    fputc('\n', page->out);
    page_style(page, STYLE_BOLD);
    page_paragraph(page, slice_of(advice), 0);
    page_style(page, STYLE_PLAIN);
}

/* What the program was asked to do, and did. */
static void put_answer(const struct page *page, const struct collections *of)
{
    const struct ledger_answer *answer = of->answer;
    char found[HUMAN_BYTES];
    char size[HUMAN_BYTES];
    char time[HUMAN_BYTES];
    char before[HUMAN_BYTES];
    char after[HUMAN_BYTES];
    page_style(page, STYLE_BOLD);
    facts_line(page, "collected", "%s objects, %s freed, in %s",
               human_count(found, answer->found),
               human_size(size, answer->freed_bytes),
               human_pause(time, answer->pause_ns));
    page_style(page, STYLE_PLAIN);
    if (of->trimmed)
        facts_line(page, "trimmed", "%s given back to the system",
                   human_size(size, answer->given_bytes));
    facts_line(page, "resident", "%s before, %s after",
               human_size(before, answer->rss_before_bytes),
               human_size(after, answer->rss_after_bytes));
}

void collections_text(FILE *out, const struct collections *of, bool colour)
{
    struct page page = {out, colour};

    facts_text(&page, of->family);
    if (!of->collector->watched) {
        facts_line(&page, "collector",
                   "not watched: \"heapglass run\" does so without --untraced, "
                   "where the interpreter's own memory is as known");
        return;
    }
    if (of->answer != NULL) {
        put_answer(&page, of);
    } else {
        put_summary(&page, of->collector);
        put_generations(&page, of->collector);
    }
    if (of->count > 0)
        put_lines(&page, of);
    put_types(&page, of);
    if (of->answer == NULL)
        put_advice(&page, of->collector);
}
