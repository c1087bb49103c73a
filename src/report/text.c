/* SPDX-License-Identifier: MIT */
/* text.c - the report for people: 80 columns. */
#include "report/facts.h"
#include "report/human.h"
#include "report/report.h"
#include "report/rows.h"

/* Columns: a bar, a share, a size, a number of blocks, and where. */
enum {
    BAR = 6,
    SHARE = 7,
    SIZE = 11,
    BLOCKS = 10,
    WHERE = BAR + SHARE + SIZE + BLOCKS + 2,
};

const char *report_moment_name(enum moment moment)
{
    static const char *const names[] = {
        [MOMENT_LIVE] = "live", [MOMENT_PEAK] = "peak", [MOMENT_TOTAL] = "total"};
    return names[moment];
}

enum moment report_default_moment(const struct gathering *family)
{
    return fate_is_open(family->processes[0].fate) ? MOMENT_LIVE : MOMENT_PEAK;
}

static const char *live_when(const struct process *process)
{
    if (process->copy->header.state == LEDGER_SNAPSHOT &&
        fate_is_open(process->fate))
        return "live: when the snapshot was taken";
    switch (process->fate) {
    case FATE_RUNNING:
        return "live: now";
    case FATE_KILLED:
    case FATE_POWER_LOST:
        return "live: when it was killed";
    case FATE_EXITED_EARLY:
    case FATE_REPLACED:
        return "live: at its end";
    default:
        return process->copy->header.python.bytes == 0
                   ? "live: what it had not freed when it ended"
                   : "live: when its interpreter began to finalize";
    }
}

static void put_peak_moment(const struct page *page, const struct gathering *family)
{
    uint64_t when = family->processes[0].copy->header.peak_time_ns;
    char time[HUMAN_BYTES];
    if (family->count > 1)
        facts_line(page, "moment",
                   "peak: of each process its own, which were not of one moment");
    else if (when != 0)
        facts_line(page, "moment", "peak: seen %s after the start",
                   human_duration(time, when));
    else
        facts_line(page, "moment", "peak");
}

static void put_moment(const struct page *page, const struct report *report)
{
    const struct process *first = &report->family->processes[0];
    if (report->moment == MOMENT_LIVE)
        facts_line(page, "moment", "%s", live_when(first));
    else if (report->moment == MOMENT_PEAK)
        put_peak_moment(page, report->family);
    else
        facts_line(page, "moment",
                   "total: all that was ever allocated, live or not");
    if (first->copy->busy)
        facts_line(
            page, "",
            "It was allocating while this was read: parts may be of slightly "
            "different moments.");
}

static void put_summary(const struct page *page, const struct report *report)
{
    const struct measure *sum = table_sum(report->table, SIDE_A);
    fputc('\n', page->out);
    for (int i = 0; i < MOMENTS; i++) {
        static const enum moment order[] = {MOMENT_PEAK, MOMENT_LIVE, MOMENT_TOTAL};
        char size[HUMAN_BYTES];
        char blocks[HUMAN_BYTES];
        const struct amount *amount = &sum->at[order[i]];
        bool chosen = order[i] == report->moment;
        if (chosen)
            page_style(page, STYLE_BOLD);
        fprintf(page->out, "%-8s %11s in %s blocks\n", report_moment_name(order[i]),
                human_size(size, amount->bytes),
                human_count(blocks, amount->blocks));
        if (chosen)
            page_style(page, STYLE_PLAIN);
    }
}

/* What the system saw, beside what was asked for: pages that several processes
 * share would count more than once, so of one process only. */
static void put_resident(const struct page *page, const struct gathering *family)
{
    uint64_t bytes = family->processes[0].copy->header.rss_max_bytes;
    char size[HUMAN_BYTES];
    if (family->count == 1 && bytes > 0)
        fprintf(page->out,
                "%-8s %11s at most, with code and what C libraries hold\n",
                "resident", human_size(size, bytes));
}

static void put_title(const struct page *page, const struct report *report)
{
    page_style(page, STYLE_DIM);
    fprintf(page->out, "\n%*s%*s%*s  %s\n", BAR + SHARE, "share", SIZE,
            report_moment_name(report->moment), BLOCKS, "blocks",
            table_by_name(table_is_by(report->table)));
    page_style(page, STYLE_PLAIN);
}

static void put_row(const struct rows *rows, const struct report *report,
                    const struct table_row *row)
{
    const struct page *page = rows->page;
    const struct amount *amount = &row->side[SIDE_A]->at[report->moment];
    uint64_t whole = table_sum(report->table, SIDE_A)->at[report->moment].bytes;
    double share = whole > 0 ? (double)amount->bytes / (double)whole : 0;
    char text[HUMAN_BYTES];

    page_bar(page, share, BAR);
    snprintf(text, sizeof text, "%.1f%%", share * 100);
    page_right(page, text, SHARE);
    page_right(page, human_size(text, amount->bytes), SIZE);
    page_right(page, human_short_count(text, amount->blocks), BLOCKS);
    page_pad(page, 2);
    rows_put_where(rows, row, WHERE);
}

static void put_more(const struct page *page, const struct report *report,
                     size_t from)
{
    struct amount rest = {0, 0};
    size_t more = 0;
    for (size_t i = from; i < report->count; i++) {
        const struct amount *amount =
            &report->rows[i].side[SIDE_A]->at[report->moment];
        rest.bytes += amount->bytes;
        more += amount->blocks > 0;
    }
    if (more == 0)
        return;
    static const char *const of[TABLE_BYS] = {"line",  "function", "file",
                                              "stack", "thread",   "domain"};
    char size[HUMAN_BYTES];
    char count[HUMAN_BYTES];
    fprintf(page->out, "\xe2\x80\xa6 and %s more %s%s, %s\n",
            human_count(count, more), of[table_is_by(report->table)],
            more == 1 ? "" : "s", human_size(size, rest.bytes));
}

/* Nobody knows who held what: what is left is how much the system saw. */
static void put_sizes(const struct page *page, const struct gathering *family)
{
    uint64_t rss = 0;
    uint64_t rss_max = 0;
    uint64_t held_max = 0;
    char size[HUMAN_BYTES];
    for (size_t i = 0; i < family->count; i++) {
        rss += facts_rss_bytes(&family->processes[i]);
        rss_max += family->processes[i].copy->header.rss_max_bytes;
        held_max += family->processes[i].copy->header.held_max_bytes;
    }
    fprintf(page->out, "\n%-18s %11s\n", "resident, last", human_size(size, rss));
    fprintf(page->out, "%-18s %11s\n", "resident, at most",
            human_size(size, rss_max));
    const struct ledger_copy *first = family->processes[0].copy;
    struct slice without = facts_without(first);
    if (first->header.displaced.bytes == 0)
        fprintf(page->out, "%-18s %11s\n", "held by the heap",
                human_size(size, held_max));
    fprintf(page->out,
            "\nNobody knows who holds it: run it without %.*s for that.\n"
            "\"heapglass plot\" shows memory over time.\n",
            (int)without.bytes, without.at);
}

void report_text(FILE *out, const struct report *report, bool colour)
{
    struct page page = {out, colour};
    struct rows rows = {&page, report->table, NULL};

    facts_text(&page, report->family);
    if (!ledger_is_traced(&report->family->processes[0].copy->header)) {
        put_sizes(&page, report->family);
        return;
    }
    put_moment(&page, report);
    put_summary(&page, report);
    put_resident(&page, report->family);
    put_title(&page, report);
    rows.sources = source_cache_new();
    size_t shown = 0;
    while (shown < report->count && shown < report->top &&
           report->rows[shown].side[SIDE_A]->at[report->moment].blocks > 0)
        put_row(&rows, report, &report->rows[shown++]);
    put_more(&page, report, shown);
    source_cache_free(rows.sources);
}
