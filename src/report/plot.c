/* SPDX-License-Identifier: MIT */
/*
 * plot.c - lays the picture out: a title, a legend, panels, and one axis of time.
 *
 *     title                                        legend
 *     +--------------------------------------------------+
 *     | panel.c: the first process                       |
 *     +--------------------------------------------------+
 *     | | ||   |   collections                           |
 *     +--------------------------------------------------+
 *     | the second, ...                                  |
 *     0         10 s        20 s
 */
#include "report/plot.h"

#include "report/facts.h"
#include "report/panel.h"
#include "report/svg.h"

#include <stdlib.h>

#define MAX_PANELS 12

enum {
    WIDTH = 960,
    LEFT = 76,
    RIGHT = 24,
    TITLE_HEIGHT = 76,
    AXIS_HEIGHT = 40,
    ALONE_HEIGHT = 330,
    PANEL_HEIGHT = 170,
    PANEL_GAP = 26, /* the name of the process stands in it */
};

static const char style[] =
    "<style>\n"
    "text { font: 12px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: "
    "#333; }\n"
    ".title { font-size: 15px; font-weight: 600; fill: #111; }\n"
    ".quiet { fill: #666; }\n"
    ".panel { font-weight: 600; }\n"
    ".y { text-anchor: end; fill: #666; }\n"
    ".x { text-anchor: middle; fill: #666; }\n"
    ".end { text-anchor: end; }\n"
    ".peak { font-weight: 600; fill: #b3261e; paint-order: stroke; stroke: #fff;\n"
    "        stroke-width: 3px; }\n"
    ".left { text-anchor: end; }\n"
    ".frame { fill: none; stroke: #bbb; }\n"
    ".grid { stroke: #e6e6e6; }\n"
    ".held { fill: #dfe7f1; stroke: #a9bcd3; }\n"
    ".live { fill: #4f86c6; fill-opacity: 0.75; stroke: #2f66a8; }\n"
    ".rss { fill: none; stroke: #e08a1e; stroke-width: 1.6; }\n"
    ".dot { fill: #b3261e; stroke: #fff; }\n"
    ".gone { stroke: #b3261e; stroke-dasharray: 4 3; }\n"
    ".gc0, .gc1, .gc2 { stroke-width: 1; }\n"
    ".gc0 { stroke: #c9d3c0; } .gc1 { stroke: #8fae76; } .gc2 { stroke: #3f7d2c; "
    "}\n"
    "</style>\n";

/* The processes that get a panel, in order. */
struct choice {
    struct panel panels[MAX_PANELS];
    size_t count;
    size_t left_out;
};

/* How much a process mattered, when not all of them can be shown. */
static uint64_t weight(const struct process *process)
{
    return process->copy->header.rss_max_bytes;
}

/* Do at least `room` - 1 others of the family matter more, besides its first? */
static bool is_crowded_out(const struct gathering *family, size_t index,
                           size_t room)
{
    size_t before = 1;
    if (index == 0)
        return room == 0;
    for (size_t i = 1; i < family->count; i++) {
        uint64_t other = weight(&family->processes[i]);
        uint64_t own = weight(&family->processes[index]);
        before += other > own || (other == own && i < index);
    }
    return before >= room;
}

/* When the first process of the family began: not [0], if that is what exec made of
 * it. */
static uint64_t first_start(const struct gathering *family)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < family->count; i++) {
        uint64_t start = family->processes[i].copy->header.start_realtime_ns;
        if (start < first)
            first = start;
    }
    return first;
}

static int earliest_first(const void *a, const void *b)
{
    uint64_t x = ((const struct panel *)a)->offset_ns;
    uint64_t y = ((const struct panel *)b)->offset_ns;
    return x < y ? -1 : x > y;
}

static void choose(const struct gathering *family, size_t room,
                   struct choice *choice)
{
    uint64_t began = first_start(family);
    struct panel *panels = &choice->panels[choice->count];
    size_t count = 0;
    for (size_t i = 0; i < family->count; i++) {
        const struct process *process = &family->processes[i];
        if (is_crowded_out(family, i, room) ||
            choice->count + count == MAX_PANELS) {
            choice->left_out++;
            continue;
        }
        panels[count++] = (struct panel){
            .process = process,
            .offset_ns = process->copy->header.start_realtime_ns - began,
        };
    }
    if (count > 1)
        qsort(panels, count, sizeof *panels, earliest_first);
    choice->count += count;
}

/* A box of one kind of area, or what a line looks like. */
static void put_key(FILE *out, const char *class, const char *shape, double x,
                    const char *name)
{
    fprintf(out, "<path class=\"%s\" d=\"M%.1f,60%s\"/>\n", class, x, shape);
    svg_text(out, "quiet", x + 22, 64, "%s", name);
}

static void put_legend(FILE *out, const struct choice *choice)
{
    bool traced = false;
    for (size_t i = 0; i < choice->count; i++)
        traced = traced || panel_is_traced(&choice->panels[i]);

    static const char box[] = "m0,-5h16v10h-16z";
    put_key(out, "rss", "h16", LEFT, "resident (RSS)");
    put_key(out, "held", box, LEFT + 126, "held by the allocator");
    if (traced)
        put_key(out, "live", box, LEFT + 286, "live");
    put_key(out, "gc2", "m3,-6v12m5,0v-7m5,0v7", LEFT + (traced ? 348 : 286),
            "collections, full ones tallest");
}

static void put_title(FILE *out, const struct gathering *families, size_t count)
{
    const struct process *first = &families[0].processes[0];
    char fate[128];
    char *command = facts_command(first->copy);
    fprintf(out, "<text class=\"title\" x=\"%d\" y=\"24\">", LEFT);
    svg_escape(out, slice_of(command != NULL ? command : ""), 105);
    fputs("</text>\n", out);
    free(command);
    facts_fate(fate, sizeof fate, first);
    if (count == 1)
        svg_text(out, "quiet", LEFT, 42, "process %d, %s",
                 (int)first->copy->header.pid, fate);
    else
        svg_text(out, "quiet", LEFT, 42, "and %zu other%s, each from its own start",
                 count - 1, count == 2 ? "" : "s");
}

static void put_times(FILE *out, const struct panel *last)
{
    const struct axis *axis = &last->time;
    double y = last->y + last->height + PANEL_TICKS + 16;
    char label[HUMAN_BYTES];
    for (uint64_t at = 0; at <= axis->top; at += axis->step) {
        double x = last->x + last->width * (double)at / (double)axis->top;
        fprintf(out, "<path class=\"frame\" d=\"M%.1f,%.1fv4\"/>\n", x, y - 16);
        svg_text(out, "x", x, y, "%s", axis_label(label, axis, at));
        if (axis->top - at < axis->step)
            break;
    }
}

/* Give all panels their places and axes; returns the height of the picture. */
static double lay_out(struct choice *choice)
{
    uint64_t end_ns = 1;
    bool alone = choice->count == 1;
    double y = alone ? TITLE_HEIGHT : TITLE_HEIGHT + PANEL_GAP - 8;
    for (size_t i = 0; i < choice->count; i++)
        if (panel_end_ns(&choice->panels[i]) > end_ns)
            end_ns = panel_end_ns(&choice->panels[i]);
    for (size_t i = 0; i < choice->count; i++) {
        struct panel *panel = &choice->panels[i];
        panel->time = axis_of_time(end_ns, 10);
        panel->size = axis_of_bytes(panel_max_bytes(panel), alone ? 6 : 4);
        panel->x = LEFT;
        panel->y = y;
        panel->width = WIDTH - LEFT - RIGHT;
        panel->height = alone ? ALONE_HEIGHT : PANEL_HEIGHT;
        panel->titled = !alone;
        y += panel->height + PANEL_TICKS + PANEL_GAP;
    }
    return y + AXIS_HEIGHT - PANEL_GAP;
}

void plot_svg(FILE *out, const struct gathering *families, size_t count)
{
    struct choice choice = {.count = 0};
    for (size_t i = 0; i < count; i++) {
        size_t room = MAX_PANELS - choice.count;
        size_t others =
            count - i - 1; /* each gets a panel at least, if there is room */
        choose(&families[i], room > others ? room - others : 1, &choice);
    }
    double height = lay_out(&choice);

    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" "
            "width=\"%d\" height=\"%.0f\" role=\"img\">\n",
            WIDTH, height, WIDTH, height);
    fputs("<title>Memory over time</title>\n", out);
    fputs(style, out);
    fprintf(out, "<rect width=\"%d\" height=\"%.0f\" fill=\"#fff\"/>\n", WIDTH,
            height);
    put_title(out, families, count);
    put_legend(out, &choice);
    for (size_t i = 0; i < choice.count; i++)
        panel_draw(out, &choice.panels[i]);
    put_times(out, &choice.panels[choice.count - 1]);
    if (choice.left_out > 0)
        svg_text(out, "quiet end", WIDTH - RIGHT, 42,
                 "%zu smaller processes are left out", choice.left_out);
    fputs("</svg>\n", out);
}
