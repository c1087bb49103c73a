/* SPDX-License-Identifier: MIT */
/* arenas.c - see arenas.h */
#include "report/arenas.h"

#include "report/facts.h"
#include "report/human.h"
#include "report/json.h"
#include "report/names.h"
#include "report/page.h"
#include "report/svg.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 11, CLASSES_SHOWN = 8, ARENAS_SHOWN = 12, PINS_SHOWN = 10 };

/* --- text -------------------------------------------------------------------- */

static void heading(const struct page *page, const char *text)
{
    fputc('\n', page->out);
    page_style(page, STYLE_DIM);
    fprintf(page->out, "%s\n", text);
    page_style(page, STYLE_PLAIN);
}

static int emptiest_class(const void *a, const void *b)
{
    const struct occupancy_class *x = *(const struct occupancy_class *const *)a;
    const struct occupancy_class *y = *(const struct occupancy_class *const *)b;
    uint64_t of_x = x->resident - x->live;
    uint64_t of_y = y->resident - y->live;
    return of_x > of_y ? -1 : of_x < of_y;
}

static void put_classes(const struct page *page, const struct occupancy *occupancy)
{
    const struct occupancy_class *used[OCCUPANCY_CLASSES];
    size_t count = 0;
    for (size_t i = 0; i < OCCUPANCY_CLASSES; i++)
        if (occupancy->classes[i].pools != 0)
            used[count++] = &occupancy->classes[i];
    qsort(used, count, sizeof *used, emptiest_class);
    heading(
        page,
        "      block     pools      live blocks    resident      unused   full");
    for (size_t i = 0; i < count && i < CLASSES_SHOWN; i++) {
        const struct occupancy_class *c = used[i];
        char text[HUMAN_BYTES];
        page_right(page,
                   c->block_bytes == 0 ? "large" : human_size(text, c->block_bytes),
                   SIZE);
        page_right(page, human_count(text, c->pools), 10);
        page_right(page, human_count(text, c->live_blocks), 17);
        page_right(page, human_size(text, c->resident), 12);
        page_right(page, human_size(text, c->resident - c->live), 12);
        fprintf(page->out, "%5.0f %%\n",
                c->resident > 0 ? (double)c->live * 100 / (double)c->resident
                                : 100);
    }
}

static int emptiest_arena(const void *a, const void *b)
{
    const struct occupancy_arena *x = *(const struct occupancy_arena *const *)a;
    const struct occupancy_arena *y = *(const struct occupancy_arena *const *)b;
    uint64_t of_x = x->resident > x->live ? x->resident - x->live : 0;
    uint64_t of_y = y->resident > y->live ? y->resident - y->live : 0;
    return of_x > of_y ? -1 : of_x < of_y;
}

static const char *slot_sign(const struct occupancy_arena *arena, unsigned slot)
{
    static const char *const shades[] = {"\xe2\x96\x91", "\xe2\x96\x92",
                                         "\xe2\x96\x93", "\xe2\x96\x88"};
    uint8_t full = arena->full[slot];
    if (!arena->in_memory[slot])
        return " ";
    if (full == SLOT_FREE)
        return "_";
    return shades[full >= 75 ? 3 : full / 25];
}

static void put_arenas(const struct page *page, const struct occupancy *occupancy)
{
    size_t count = occupancy->arena_count;
    const struct occupancy_arena **order = calloc(count + 1, sizeof *order);
    if (order == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        order[i] = &occupancy->arenas[i];
    qsort(order, count, sizeof *order, emptiest_arena);
    heading(page,
            " resident full slots of the emptiest arenas: _ free, \xe2\x96\x91 "
            "to \xe2\x96\x88 by what is live");
    for (size_t i = 0; i < count && i < ARENAS_SHOWN; i++) {
        char text[HUMAN_BYTES];
        const struct occupancy_arena *a = order[i];
        fprintf(page->out, "%9s %3.0f%% ", human_size(text, a->resident),
                (double)a->live * 100 / (double)a->resident);
        for (unsigned s = 0; s < OCCUPANCY_SLOTS; s++)
            fputs(slot_sign(a, s), page->out);
        fputc('\n', page->out);
    }
    if (count > ARENAS_SHOWN)
        fprintf(page->out, "%14s and %zu more\n", "", count - ARENAS_SHOWN);
    free(order);
}

/* "app.py:17 build", in at most `columns` columns. */
static void put_place(const struct page *page, const struct ledger_copy *copy,
                      const struct occupancy_pin *pin, unsigned columns)
{
    if (pin->code == 0 || pin->code >= copy->code_count) {
        fputs("(no Python frame)", page->out);
        return;
    }
    const struct ledger_code *code = &copy->codes[pin->code];
    struct slice file = names_within(ledger_copy_text(copy, code->file),
                                     ledger_copy_text(copy, copy->header.folder));
    struct slice function = ledger_copy_text(copy, code->function);
    bool offset = code->first_line == LEDGER_LINES_ARE_OFFSETS;
    char rest[80];
    snprintf(rest, sizeof rest, offset ? "+0x%x" : ":%u %.*s", pin->line,
             function.bytes < 60 ? (int)function.bytes : 60, function.at);
    unsigned rest_columns = page_columns(slice_of(rest));
    unsigned room =
        rest_columns < columns / 2 ? columns - rest_columns : columns / 2;
    unsigned used = names_put_path(page, file, room);
    page_text(page, slice_of(rest), columns - used);
}

static void put_pins(const struct page *page, const struct ledger_copy *copy,
                     const struct occupancy *occupancy)
{
    if (copy->node_count == 0 || copy->header.mode == LEDGER_MODE_UNTRACED) {
        heading(page,
                "whose blocks keep the pages is not known: no accounts are kept");
        return;
    }
    heading(page, "  goes back   with live    in blocks  if these blocks went");
    for (size_t i = 0; i < occupancy->pin_count && i < PINS_SHOWN; i++) {
        const struct occupancy_pin *pin = &occupancy->pins[i];
        char text[HUMAN_BYTES];
        page_right(page, human_size(text, pin->pages * PEER_PAGE), SIZE);
        page_right(page, human_size(text, pin->live), 12);
        page_right(page, human_count(text, pin->blocks), 13);
        fputs("  ", page->out);
        put_place(page, copy, pin, PAGE_COLUMNS - SIZE - 27);
        fputc('\n', page->out);
    }
    char shared[HUMAN_BYTES], live[HUMAN_BYTES];
    page_right(page, human_size(shared, occupancy->shared_pages * PEER_PAGE), SIZE);
    page_right(page, human_size(live, occupancy->shared_live), 12);
    fputs("               pages with blocks of several lines\n", page->out);
}

void arenas_text(FILE *out, const struct ledger_copy *copy,
                 const struct occupancy *occupancy, bool colour)
{
    const struct page page = {out, colour};
    char resident[HUMAN_BYTES], live[HUMAN_BYTES], free_bytes[HUMAN_BYTES];
    char *command = facts_command(copy);
    facts_line(&page, "program", "%s", command != NULL ? command : "");
    facts_line(&page, "process", "%d", (int)copy->header.pid);
    facts_line(&page, "arenas",
               "%zu, with %s resident, of which %s are in use and %s "
               "in pages that nobody needs",
               occupancy->arena_count, human_size(resident, occupancy->resident),
               human_size(live, occupancy->live),
               human_size(free_bytes, occupancy->free_bytes));
    if (occupancy->unread != 0)
        facts_line(&page, "unread",
                   "%u of %u pools changed whenever they were "
                   "looked at",
                   occupancy->unread, occupancy->pools + occupancy->unread);
    put_classes(&page, occupancy);
    put_arenas(&page, occupancy);
    put_pins(&page, copy, occupancy);
    free(command);
}

/* --- JSON -------------------------------------------------------------------- */

static void number(struct json *json, const char *key, uint64_t value)
{
    json_key(json, key);
    json_unsigned(json, value);
}

static void json_classes(struct json *json, const struct occupancy *occupancy)
{
    json_key(json, "classes");
    json_open(json, '[');
    for (size_t i = 0; i < OCCUPANCY_CLASSES; i++) {
        const struct occupancy_class *c = &occupancy->classes[i];
        if (c->pools == 0)
            continue;
        json_open(json, '{');
        json_key(json, "block_bytes");
        if (c->block_bytes != 0)
            json_unsigned(json, c->block_bytes);
        else
            json_null(json);
        number(json, "pools", c->pools);
        number(json, "blocks", c->blocks);
        number(json, "live_blocks", c->live_blocks);
        number(json, "resident_bytes", c->resident);
        number(json, "live_bytes", c->live);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_arenas(struct json *json, const struct occupancy *occupancy)
{
    json_key(json, "arenas");
    json_open(json, '[');
    for (size_t i = 0; i < occupancy->arena_count; i++) {
        const struct occupancy_arena *a = &occupancy->arenas[i];
        json_open(json, '{');
        number(json, "address", a->start);
        number(json, "resident_bytes", a->resident);
        number(json, "live_bytes", a->live);
        json_key(json, "slots");
        json_open(json, '[');
        for (unsigned s = 0; s < OCCUPANCY_SLOTS; s++) {
            if (a->full[s] == SLOT_FREE)
                json_null(json);
            else
                json_unsigned(json, a->full[s]);
        }
        json_close(json, ']');
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_pins(struct json *json, const struct ledger_copy *copy,
                      const struct occupancy *occupancy)
{
    json_key(json, "pins");
    json_open(json, '[');
    for (size_t i = 0; i < occupancy->pin_count; i++) {
        const struct occupancy_pin *pin = &occupancy->pins[i];
        bool known = pin->code != 0 && pin->code < copy->code_count;
        const struct ledger_code *code = known ? &copy->codes[pin->code] : NULL;
        struct slice none = {"", 0};
        json_open(json, '{');
        json_key(json, "file");
        json_text_or_null(json, known ? ledger_copy_text(copy, code->file) : none);
        json_key(json, "function");
        json_text_or_null(json,
                          known ? ledger_copy_text(copy, code->function) : none);
        number(json, "line", pin->line);
        number(json, "blocks", pin->blocks);
        number(json, "live_bytes", pin->live);
        number(json, "goes_back_bytes", pin->pages * PEER_PAGE);
        json_close(json, '}');
    }
    json_close(json, ']');
}

void arenas_json(FILE *out, const struct ledger_copy *copy,
                 const struct occupancy *occupancy)
{
    struct json json;
    json_begin(&json, out);
    json_key(&json, "pid");
    json_signed(&json, copy->header.pid);
    number(&json, "resident_bytes", occupancy->resident);
    number(&json, "live_bytes", occupancy->live);
    number(&json, "unneeded_bytes", occupancy->free_bytes);
    number(&json, "shared_pages_bytes", occupancy->shared_pages * PEER_PAGE);
    number(&json, "unread_pools", occupancy->unread);
    json_classes(&json, occupancy);
    json_arenas(&json, occupancy);
    json_pins(&json, copy, occupancy);
    json_end(&json);
}

/* --- picture ----------------------------------------------------------------- */

static void svg_slot(FILE *out, const struct occupancy_arena *arena, unsigned slot,
                     size_t row)
{
    const char *fill = "#eee";
    double opacity = 1;
    if (!arena->in_memory[slot])
        return;
    if (arena->full[slot] != SLOT_FREE) {
        fill = "#2b6cb0";
        opacity = 0.15 + 0.85 * arena->full[slot] / 100;
    }
    fprintf(out,
            "<rect x=\"%u\" y=\"%zu\" width=\"11\" height=\"11\" fill=\"%s\" "
            "fill-opacity=\"%.2f\"/>\n",
            90 + slot * 12, 40 + row * 12, fill, opacity);
}

void arenas_svg(FILE *out, const struct ledger_copy *copy,
                const struct occupancy *occupancy)
{
    char *command = facts_short_command(copy);
    fprintf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"880\" height=\"%zu\" "
        "font-family=\"sans-serif\" font-size=\"9\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
        "<text x=\"10\" y=\"18\" font-size=\"13\">Arenas of ",
        60 + occupancy->arena_count * 12);
    svg_escape(out, slice_of(command != NULL ? command : ""), 60);
    fputs(
        "</text>\n<text x=\"10\" y=\"32\">a row an arena, a square a pool's slot: "
        "the darker, the fuller; grey is free, white not in memory</text>\n",
        out);
    for (size_t i = 0; i < occupancy->arena_count; i++) {
        char size[HUMAN_BYTES];
        svg_text(out, "size", 10, (double)(49 + i * 12), "%s",
                 human_size(size, occupancy->arenas[i].resident));
        for (unsigned s = 0; s < OCCUPANCY_SLOTS; s++)
            svg_slot(out, &occupancy->arenas[i], s, i);
    }
    fputs("</svg>\n", out);
    free(command);
}
