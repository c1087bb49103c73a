/* SPDX-License-Identifier: MIT */
/* facts_text.c - the head of a report for people. */
#include "report/facts.h"

#include "report/human.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#define LABEL_COLUMNS 10u

static void label(const struct page *page, const char *name)
{
    page_style(page, STYLE_DIM);
    fprintf(page->out, "%-*s", (int)LABEL_COLUMNS, name);
    page_style(page, STYLE_PLAIN);
}

static void line(const struct page *page, const char *name, struct slice text)
{
    label(page, name);
    page_paragraph(page, text, LABEL_COLUMNS);
}

void facts_line(const struct page *page, const char *name, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int bytes = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (bytes < 0)
        return;
    line(page, name, (struct slice){text, (size_t)bytes});
    free(text);
}

/* The command is cut, not broken: a long one says little more. */
static void put_command(const struct page *page, const struct ledger_copy *copy)
{
    char *command = facts_command(copy);
    label(page, "program");
    page_style(page, STYLE_BOLD);
    if (command != NULL && command[0] != '\0')
        page_text(page, slice_of(command), PAGE_COLUMNS - LABEL_COLUMNS);
    else
        fputs("(unknown)", page->out);
    page_style(page, STYLE_PLAIN);
    fputc('\n', page->out);
    free(command);
}

/* "4711 and 2 others of its family: 4712, 4713" */
static void put_pids(const struct page *page, const struct gathering *family)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out == NULL)
        return;
    size_t children = 0;
    size_t images = 0;
    for (size_t i = 1; i < family->count; i++)
        *(family->processes[i].fate == FATE_REPLACED ? &images : &children) += 1;

    fprintf(out, "%d", (int)family->processes[0].copy->header.pid);
    if (children > 0)
        fprintf(out, " and %zu %s:", children,
                children == 1 ? "child" : "children");
    size_t shown = 0;
    for (size_t i = 1; i < family->count && shown < 8; i++)
        if (family->processes[i].fate != FATE_REPLACED)
            fprintf(out, "%s %d", shown++ > 0 ? "," : "",
                    (int)family->processes[i].copy->header.pid);
    if (shown < children)
        fputs(", ...", out);
    if (images > 0)
        fprintf(out, "%s %zu earlier program%s replaced by exec",
                children > 0 ? ";" : ",", images, images == 1 ? "" : "s");
    if (fclose(out) == 0)
        line(page, "process", (struct slice){text, bytes});
    free(text);
}

/* The first line of all, for everything below means less then. */
static void put_displaced(const struct page *page, const struct gathering *family)
{
    for (size_t i = 0; i < family->count; i++) {
        const struct ledger_copy *copy = family->processes[i].copy;
        struct slice displaced = ledger_copy_text(copy, copy->header.displaced);
        char *text;
        char of[32] = "";
        if (displaced.bytes == 0)
            continue;
        if (family->count > 1)
            snprintf(of, sizeof of, " in process %d", (int)copy->header.pid);
        int bytes = asprintf(&text, "not watched: %.*s took our place%s",
                             (int)displaced.bytes, displaced.at, of);
        if (bytes < 0)
            continue;
        page_style(page, STYLE_MORE);
        page_paragraph(page, (struct slice){text, (size_t)bytes}, 0);
        page_style(page, STYLE_PLAIN);
        free(text);
    }
}

static void put_watched(const struct page *page, const struct ledger_copy *copy)
{
    const struct ledger_header *header = &copy->header;
    struct slice how = ledger_copy_text(copy, header->recycled_how);
    struct slice stacks = ledger_copy_text(copy, header->stacks_how);
    if (header->displaced.bytes > 0) {
        facts_line(page, "watched", "memory over time; not who holds it");
        return;
    }
    if (header->mode == LEDGER_MODE_UNTRACED) {
        facts_line(page, "watched",
                   "memory over time; not who holds it (--untraced)");
        return;
    }
    const char *what = header->mode == LEDGER_MODE_LINES ? "lines" : "whole stacks";
    facts_line(page, "watched", "%s%s%.*s", what, stacks.bytes > 0 ? ": " : "",
               (int)stacks.bytes, stacks.at);
    if (header->python.bytes == 0)
        return; /* nothing is recycled there */
    what = header->recycled ? "recycled objects too" : "not recycled objects";
    facts_line(page, "", "%s%s%.*s", what, how.bytes > 0 ? ": " : "",
               (int)how.bytes, how.at);
}

static void add_loss(FILE *out, uint64_t count, const char *what)
{
    char number[HUMAN_BYTES];
    if (count == 0)
        return;
    fprintf(out, "%s%s %s", ftell(out) > 0 ? "; " : "", human_count(number, count),
            what);
}

static void put_lost(const struct page *page, const struct gathering *family)
{
    struct ledger_lost lost = facts_lost(family);
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out == NULL)
        return;
    add_loss(
        out, lost.blocks_without_node,
        "allocations without a line, for the ledger was full: see (not recorded)");
    add_loss(out, lost.frames_too_deep,
             "allocations whose stack was cut at the bottom");
    add_loss(out, lost.away_races, "updates by threads without the lock, perhaps");
    add_loss(out, lost.children, "of its children could not make a ledger");
    add_loss(out, lost.samples, "moments of the timeline");
    if (fclose(out) == 0 && bytes > 0)
        line(page, "lost", (struct slice){text, bytes});
    free(text);
    for (size_t i = 0; i < family->unread_count; i++)
        facts_line(page, "lost", "%s %s", family->unread[i].path,
                   family->unread[i].fault.what);
}

static void put_inherited(const struct page *page, const struct gathering *family)
{
    struct amount sum = {0, 0};
    size_t heirs = 0;
    for (size_t i = 0; i < family->count; i++) {
        sum.bytes += family->processes[i].inherited.bytes;
        sum.blocks += family->processes[i].inherited.blocks;
        heirs += family->processes[i].inherited.blocks > 0;
    }
    if (heirs == 0)
        return;
    char size[HUMAN_BYTES];
    facts_line(
        page, "inherited",
        "%s by %zu forked %s; not counted below: only what they got beyond it is",
        human_size(size, sum.bytes), heirs, heirs == 1 ? "child" : "children");
}

void facts_text(const struct page *page, const struct gathering *family)
{
    const struct process *first = &family->processes[0];
    char fate[128];
    put_displaced(page, family);
    put_command(page, first->copy);
    put_pids(page, family);
    facts_fate(fate, sizeof fate, first);
    facts_line(page, "state", "%s", fate);
    put_watched(page, first->copy);
    put_inherited(page, family);
    put_lost(page, family);
}
