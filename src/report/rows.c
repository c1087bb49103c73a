/* SPDX-License-Identifier: MIT */
/* rows.c - see rows.h */
#include "report/rows.h"

#include "report/names.h"

#include <stdlib.h>

/* Of a stack deeper than this, people get the innermost frames. */
#define STACK_FRAMES 64

static struct slice text_or_empty(const struct table *table, uint32_t string)
{
    return string == STRINGS_NONE ? (struct slice){"", 0}
                                  : table_text(table, string);
}

static struct slice folder_of(const struct table *table, uint32_t file)
{
    return text_or_empty(table, table_folder_of(table, file));
}

/* ":17", or nothing. */
static unsigned format_line(char into[16], uint32_t line)
{
    into[0] = '\0';
    if (line != PLACE_NO_LINE && line != 0)
        snprintf(into, 16, ":%u", line);
    return (unsigned)strlen(into);
}

/*
 * How much of `columns` the path gets: what the function leaves, but no less than
 * half of it.
 */
static unsigned share_for_path(unsigned columns, unsigned path, unsigned function)
{
    if (path + function <= columns)
        return path;
    unsigned rest = function < columns ? columns - function : 0;
    return rest > columns / 2 ? rest : columns / 2;
}

static void put_place(const struct rows *rows, struct place place,
                      struct slice function, unsigned columns)
{
    const struct page *page = rows->page;
    struct slice file = table_text(rows->table, place.file);
    struct slice path = names_within(file, folder_of(rows->table, place.file));
    char line[16];
    unsigned line_columns = format_line(line, place.line);
    unsigned function_columns = function.bytes > 0 ? page_columns(function) + 1 : 0;

    unsigned used =
        names_put_path(page, path,
                       share_for_path(columns - line_columns, page_columns(path),
                                      function_columns));
    fputs(line, page->out);
    used += line_columns;
    if (function.bytes > 0 && used + 2 < columns) {
        fputc(' ', page->out);
        page_text(page, function, columns - used - 1);
    }
}

void rows_put_place(const struct rows *rows, struct place place, unsigned columns)
{
    struct slice function = text_or_empty(rows->table, place.function);
    char *name = names_of_function(function);
    if (name != NULL)
        function = slice_of(name);
    if (place.file == STRINGS_NONE)
        page_text(rows->page, function, columns);
    else
        put_place(rows, place, function, columns);
    fputc('\n', rows->page->out);
    free(name);
}

/* What a newcomer cannot know of places that have no source, or nothing. */
static struct slice meaning_of(const struct rows *rows, struct place place)
{
    static const struct {
        const char *function;
        const char *meaning;
    } known[] = {
        {"(no Python frame)", "the interpreter, or threads in C"},
        {"_compile_bytecode", "the code of imported modules"},
        {"_call_with_frames_removed", "what imported modules in C got"},
    };
    struct slice function = text_or_empty(rows->table, place.function);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (slice_equal(function, slice_of(known[i].function)))
            return slice_of(known[i].meaning);
    return (struct slice){"", 0};
}

void rows_put_source(const struct rows *rows, struct place place, unsigned from)
{
    struct slice text = {"", 0};
    if (place.file != STRINGS_NONE && place.line != PLACE_NO_LINE)
        text = source_line(rows->sources, table_text(rows->table, place.file),
                           folder_of(rows->table, place.file), place.line);
    if (text.bytes == 0)
        text = meaning_of(rows, place);
    if (text.bytes == 0)
        return;
    page_pad(rows->page, from);
    page_style(rows->page, STYLE_DIM);
    page_text(rows->page, text, PAGE_COLUMNS - from);
    page_style(rows->page, STYLE_PLAIN);
    fputc('\n', rows->page->out);
}

/* A frame of the import system; tracebacks of Python leave them out, too. */
static bool is_of_import(const struct rows *rows, struct place place)
{
    return slice_begins(text_or_empty(rows->table, place.file),
                        slice_of("<frozen importlib."));
}

void rows_put_stack(const struct rows *rows, uint32_t number, unsigned from)
{
    struct place frames[STACK_FRAMES];
    size_t depth = table_stack(rows->table, number, frames, STACK_FRAMES);
    size_t shown = depth < STACK_FRAMES ? depth : STACK_FRAMES;
    if (depth > shown) {
        page_pad(rows->page, from);
        fprintf(rows->page->out, "(%zu outer frames)\n", depth - shown);
    }
    for (size_t i = 0; i < shown; i++) {
        if (is_of_import(rows, frames[i]) && i + 1 < shown)
            continue;
        page_pad(rows->page, from);
        rows_put_place(rows, frames[i], PAGE_COLUMNS - from);
        rows_put_source(rows, frames[i], from + 2);
    }
    fputc('\n', rows->page->out);
}

static void put_thread(const struct rows *rows, uint32_t number)
{
    struct table_thread thread = table_thread(rows->table, number);
    FILE *out = rows->page->out;
    if (thread.not_recorded) {
        fprintf(out, "(not recorded) of process %d\n", (int)thread.pid);
        return;
    }
    if (thread.slot == LEDGER_MAIN_THREAD) {
        fprintf(out, "main thread of process %d\n", (int)thread.pid);
        return;
    }
    if (thread.slot == LEDGER_OUTSIDE) {
        fprintf(out, "threads outside Python, process %d\n", (int)thread.pid);
        return;
    }
    fprintf(out, "thread %u of process %d", thread.tid, (int)thread.pid);
    if (thread.threads > 1)
        fprintf(out, " and %u before it", thread.threads - 1);
    fprintf(out, "%s\n", thread.alive ? "" : ", ended");
}

static void put_domain(const struct rows *rows, uint32_t number)
{
    static const struct {
        const char *name;
        const char *meaning;
    } domains[] = {
        {"obj", "objects, and tables of dicts"},
        {"mem", "what lists and buffers hold"},
        {"raw", "what needs no lock: C code"},
        {"malloc", "what C code takes from malloc"},
        {"mmap", "what the program maps itself"},
    };
    const char *name = table_domain(rows->table, number);
    const char *meaning = "";
    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
        if (strcmp(name, domains[i].name) == 0)
            meaning = domains[i].meaning;
    fprintf(rows->page->out, "%-8s", name);
    page_style(rows->page, STYLE_DIM);
    fprintf(rows->page->out, "%s\n", meaning);
    page_style(rows->page, STYLE_PLAIN);
}

void rows_put_where(const struct rows *rows, const struct table_row *row,
                    unsigned from)
{
    switch (table_is_by(rows->table)) {
    case BY_THREAD:
        put_thread(rows, row->number);
        return;
    case BY_DOMAIN:
        put_domain(rows, row->number);
        return;
    case BY_STACK:
        rows_put_place(rows, row->place, PAGE_COLUMNS - from);
        if (row->place.file != STRINGS_NONE)
            rows_put_stack(rows, row->number, 4);
        return;
    default:
        rows_put_place(rows, row->place, PAGE_COLUMNS - from);
        if (table_is_by(rows->table) != BY_FILE)
            rows_put_source(rows, row->place, from);
        return;
    }
}
