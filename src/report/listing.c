/* SPDX-License-Identifier: MIT */
/* listing.c - one line for each process, children below the program that was
 * started. */
#include "report/listing.h"

#include "report/facts.h"
#include "report/human.h"
#include "report/page.h"

#include <stdlib.h>
#include <time.h>

enum { PID = 7, STATE = 11, AGE = 7, SIZE = 11 };
#define COMMAND_COLUMNS (PAGE_COLUMNS - PID - 2 - STATE - AGE - 3 * SIZE - 2)

/* At most STATE - 1 columns. */
static void short_state(char into[HUMAN_BYTES], const struct process *process)
{
    const struct ledger_header *header = &process->copy->header;
    if (header->state == LEDGER_SNAPSHOT)
        snprintf(into, HUMAN_BYTES, "snapshot");
    else if (process->fate == FATE_ENDED && header->exit_status >= 0)
        snprintf(into, HUMAN_BYTES, "ended %d", (int)header->exit_status);
    else if (process->fate == FATE_EXITED_EARLY)
        snprintf(into, HUMAN_BYTES, "_exit %d", (int)header->exit_status);
    else
        snprintf(into, HUMAN_BYTES, "%s", facts_fate_name(process->fate));
}

static uint64_t age_ns(const struct ledger_header *header)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return ns > header->start_realtime_ns ? ns - header->start_realtime_ns : 0;
}

/* A size, or a dash if nobody counted. */
static void put_size(const struct page *page, uint64_t bytes, bool known)
{
    char size[HUMAN_BYTES];
    page_right(page, known ? human_size(size, bytes) : "-", SIZE);
}

static void put_process(const struct page *page, const struct process *process,
                        bool is_child)
{
    const struct ledger_header *header = &process->copy->header;
    bool traced = ledger_is_traced(header);
    uint64_t rss = facts_rss_bytes(process);
    char text[HUMAN_BYTES];
    char *command = facts_short_command(process->copy);

    fprintf(page->out, "%*d  ", PID, (int)header->pid);
    short_state(text, process);
    if (process->fate == FATE_RUNNING)
        page_style(page, STYLE_BOLD);
    fprintf(page->out, "%-*s", STATE, text);
    page_style(page, STYLE_PLAIN);
    page_right(page, human_age(text, age_ns(header)), AGE);
    put_size(page, ledger_live_bytes(header), traced);
    put_size(page, header->peak_bytes, traced);
    put_size(page, rss, rss > 0);
    fputs(is_child ? "    " : "  ", page->out);
    page_text(page, slice_of(command != NULL ? command : ""),
              COMMAND_COLUMNS - (is_child ? 2 : 0));
    fputc('\n', page->out);
    free(command);
}

void listing_text(FILE *out, const struct listing *listing, bool colour)
{
    struct page page = {out, colour};
    page_style(&page, STYLE_DIM);
    fprintf(out, "%*s  %-*s%*s%*s%*s%*s  %s\n", PID, "pid", STATE, "state", AGE,
            "age", SIZE, "live", SIZE, "peak", SIZE, "RSS", "command");
    page_style(&page, STYLE_PLAIN);
    for (size_t i = 0; i < listing->count; i++)
        for (size_t k = 0; k < listing->families[i].count; k++)
            put_process(&page, &listing->families[i].processes[k], k > 0);
}

void listing_json(FILE *out, const struct listing *listing)
{
    struct json json;
    json_begin(&json, out);
    json_key(&json, "processes");
    json_open(&json, '[');
    for (size_t i = 0; i < listing->count; i++)
        for (size_t k = 0; k < listing->families[i].count; k++)
            facts_json_process(&json, &listing->families[i].processes[k]);
    json_close(&json, ']');
    json_key(&json, "unread");
    json_open(&json, '[');
    for (size_t i = 0; i < listing->count; i++)
        facts_json_unread(&json, listing->families[i].unread,
                          listing->families[i].unread_count);
    facts_json_unread(&json, listing->unread, listing->unread_count);
    json_close(&json, ']');
    json_end(&json);
}
