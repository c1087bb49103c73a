/* SPDX-License-Identifier: MIT */
/* map.c - see map.h */
#include "report/map.h"

#include "report/facts.h"
#include "report/human.h"
#include "report/json.h"
#include "report/page.h"

#include <errno.h>
#include <string.h>

enum { SIZE = 11, SHARE = 7, BAR = 12, NAMES = SIZE + SHARE + BAR + 6 };
#define ROWS_SHOWN 3u
#define LEFT_SHOWN 10u

static const char *const labels[MAP_PARTS] = {
    [MAP_LIVE] = "live blocks",
    [MAP_FREED] = "freed blocks",
    [MAP_UNTOUCHED] = "untouched blocks, ends of pools",
    [MAP_FREE] = "free pools, kept for the next",
    [MAP_HEADERS] = "headers: descriptors and tags",
    [MAP_UNREAD] = "not looked into",
    [MAP_FRAMES] = "frames of Python",
    [MAP_CODE] = "code",
    [MAP_DATA] = "static data",
    [MAP_STACK] = "stacks",
    [MAP_C_HEAP] = "heap of the C library",
    [MAP_FILES] = "mapped files",
    [MAP_SHARED] = "shared memory",
    [MAP_LEDGER] = "ledger of Heapglass",
    [MAP_UNACCOUNTED] = "unaccounted",
};

static bool is_of_heap(enum map_part part)
{
    return part <= MAP_UNREAD;
}

static void put_line(const struct page *page, const struct map_report *report,
                     const char *label, uint64_t bytes, bool inner)
{
    char size[HUMAN_BYTES];
    double share =
        report->map->rss > 0 ? (double)bytes / (double)report->map->rss : 0;
    page_right(page, human_size(size, bytes), SIZE);
    fprintf(page->out, "%*.0f %%  ", SHARE - 2, share * 100);
    page_bar(page, share, BAR);
    fprintf(page->out, "  %s", inner ? "  " : "");
    if (!inner)
        page_style(page, STYLE_BOLD);
    fputs(label, page->out);
    page_style(page, STYLE_PLAIN);
    fputc('\n', page->out);
}

static const char *base_name(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : name;
}

/* The largest pieces of a part, by name. */
static void put_names(const struct page *page, const struct map_report *report,
                      enum map_part part)
{
    const struct memory_map *map = report->map;
    unsigned shown = 0;
    size_t more = 0;
    for (size_t i = 0; i < map->count; i++) {
        const struct map_row *row = &map->rows[i];
        char size[HUMAN_BYTES];
        if (row->part != part || row->rss == 0)
            continue;
        if (shown == ROWS_SHOWN) {
            more++;
            continue;
        }
        shown++;
        page_pad(page, NAMES);
        page_style(page, STYLE_DIM);
        page_right(page, human_size(size, row->rss), SIZE - 1);
        fputs("  ", page->out);
        page_text(page, slice_of(base_name(row->name)),
                  PAGE_COLUMNS - NAMES - SIZE - 1);
        page_style(page, STYLE_PLAIN);
        fputc('\n', page->out);
    }
    if (more == 0)
        return;
    page_pad(page, NAMES + SIZE + 1);
    page_style(page, STYLE_DIM);
    fprintf(page->out, "and %zu more", more);
    page_style(page, STYLE_PLAIN);
    fputc('\n', page->out);
}

static uint64_t heap_bytes(const struct memory_map *map)
{
    uint64_t sum = 0;
    for (enum map_part part = 0; is_of_heap(part); part++)
        sum += map->part[part];
    return sum;
}

static void put_heap(const struct page *page, const struct map_report *report)
{
    const struct memory_map *map = report->map;
    uint64_t all = heap_bytes(map);
    if (all == 0)
        return;
    put_line(page, report, "heap of Heapglass", all, false);
    for (enum map_part part = 0; is_of_heap(part); part++)
        if (map->part[part] != 0)
            put_line(page, report, labels[part], map->part[part], true);
}

/* What blocks that CPython keeps in its free lists count as. */
static void put_parked(const struct page *page, const struct map_report *report)
{
    if (report->copy == NULL || report->copy->header.python.bytes == 0)
        return;
    if (report->copy->header.recycled)
        facts_line(page, "parked",
                   "nothing: CPython's free lists are switched off");
    else
        facts_line(page, "parked",
                   "not known: what rests in CPython's free lists counts as live");
}

static void put_heap_error(const struct page *page, const struct map_report *report)
{
    int error = report->map->heap_error;
    if (error == EPERM || error == EACCES)
        facts_line(
            page, "note",
            "the heap was not looked into: the system forbids it; as root, or "
            "with kernel.yama.ptrace_scope=0, it is");
    else if (error == EPROTO)
        facts_line(page, "note",
                   "the heap was not looked into: the program runs with another "
                   "Heapglass than this one");
    else if (error != 0)
        facts_line(page, "note", "the heap was not looked into: %s",
                   strerror(error));
}

static void put_left(const struct page *page, const struct memory_map *map)
{
    char size[HUMAN_BYTES];
    if (map->left_count == 0)
        return;
    fputs("\nShared memory that nobody uses any more, left behind:\n", page->out);
    for (size_t i = 0; i < map->left_count; i++) {
        const struct map_left *left = &map->left[i];
        if (i == LEFT_SHOWN) {
            fprintf(page->out, "%*s  and %zu more\n", SIZE, "",
                    map->left_count - i);
            return;
        }
        page_right(page, human_size(size, left->bytes), SIZE);
        fputs("  ", page->out);
        page_text(page, slice_of(left->name), 44);
        if (left->pid != 0)
            fprintf(page->out, " of process %d, which has ended", (int)left->pid);
        fputc('\n', page->out);
    }
}

static void put_ended(const struct page *page, const struct map_report *report)
{
    char size[HUMAN_BYTES];
    facts_line(page, "note",
               "the process has ended: where its pages were is not to be had any "
               "more; this is what its ledger saw last");
    fputc('\n', page->out);
    page_right(page, human_size(size, report->rss), SIZE);
    fputs("  resident\n", page->out);
    page_right(page, human_size(size, report->held), SIZE);
    fputs("  held by the heap of Heapglass\n", page->out);
    page_right(page, human_size(size, report->live), SIZE);
    fputs("  live, as requested\n", page->out);
}

void map_text(FILE *out, const struct map_report *report, bool colour)
{
    const struct page page = {out, colour};
    const struct memory_map *map = report->map;
    char size[HUMAN_BYTES];
    facts_line(&page, "program", "%s", report->command);
    facts_line(&page, "process", "%d", (int)report->pid);
    if (report->ended) {
        put_ended(&page, report);
        put_left(&page, map);
        return;
    }
    facts_line(&page, "resident", "%s", human_size(size, map->rss));
    put_parked(&page, report);
    put_heap_error(&page, report);
    fputc('\n', out);
    put_heap(&page, report);
    for (enum map_part part = MAP_FRAMES; part < MAP_PARTS; part++) {
        if (map->part[part] == 0)
            continue;
        put_line(&page, report, labels[part], map->part[part], false);
        if (part != MAP_FRAMES)
            put_names(&page, report, part);
    }
    put_left(&page, map);
}

/* --- JSON -------------------------------------------------------------------- */

static void json_left(struct json *json, const struct memory_map *map)
{
    json_key(json, "left_behind");
    json_open(json, '[');
    for (size_t i = 0; i < map->left_count; i++) {
        json_open(json, '{');
        json_key(json, "name");
        json_text(json, slice_of(map->left[i].name));
        json_key(json, "bytes");
        json_unsigned(json, map->left[i].bytes);
        json_key(json, "pid");
        if (map->left[i].pid != 0)
            json_signed(json, map->left[i].pid);
        else
            json_null(json);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_rows_of(struct json *json, const struct memory_map *map)
{
    json_key(json, "rows");
    json_open(json, '[');
    for (size_t i = 0; i < map->count; i++) {
        json_open(json, '{');
        json_key(json, "part");
        json_text(json, slice_of(map_part_name(map->rows[i].part)));
        json_key(json, "name");
        json_text(json, slice_of(map->rows[i].name));
        json_key(json, "resident_bytes");
        json_unsigned(json, map->rows[i].rss);
        json_key(json, "mapped_bytes");
        json_unsigned(json, map->rows[i].mapped);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_running(struct json *json, const struct memory_map *map)
{
    json_key(json, "resident_bytes");
    json_unsigned(json, map->rss);
    json_key(json, "heap_opened");
    json_bool(json, map->opened);
    json_key(json, "parts");
    json_open(json, '{');
    for (enum map_part part = 0; part < MAP_PARTS; part++) {
        json_key(json, map_part_name(part));
        json_unsigned(json, map->part[part]);
    }
    json_close(json, '}');
    json_rows_of(json, map);
}

void map_json(FILE *out, const struct map_report *report)
{
    struct json json;
    json_begin(&json, out);
    json_key(&json, "pid");
    json_signed(&json, report->pid);
    json_key(&json, "command");
    json_text(&json, slice_of(report->command));
    json_key(&json, "ended");
    json_bool(&json, report->ended);
    if (report->ended) {
        json_key(&json, "last_seen");
        json_open(&json, '{');
        json_key(&json, "resident_bytes");
        json_unsigned(&json, report->rss);
        json_key(&json, "held_bytes");
        json_unsigned(&json, report->held);
        json_key(&json, "live_bytes");
        json_unsigned(&json, report->live);
        json_close(&json, '}');
    } else {
        json_running(&json, report->map);
    }
    json_left(&json, report->map);
    json_end(&json);
}
