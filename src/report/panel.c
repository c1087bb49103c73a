/* SPDX-License-Identifier: MIT */
/* panel.c - see panel.h */
#include "report/panel.h"

#include "report/facts.h"
#include "report/svg.h"

#include <stdlib.h>

/* A curve: the value of each sample, and what it reached since the sample before.
 */
struct curve {
    const char *class;
    bool filled;
    uint64_t (*value)(const struct ledger_sample *sample);
    uint64_t (*maximum)(const struct ledger_sample *sample);
};

static uint64_t held(const struct ledger_sample *sample)
{
    return sample->held_bytes;
}

static uint64_t live(const struct ledger_sample *sample)
{
    return sample->live_bytes;
}

static uint64_t live_max(const struct ledger_sample *sample)
{
    return sample->live_max_bytes;
}

static uint64_t rss(const struct ledger_sample *sample)
{
    return sample->rss_bytes;
}

static uint64_t rss_max(const struct ledger_sample *sample)
{
    return sample->rss_max_bytes;
}

static const struct curve held_curve = {"held", true, held, held};
static const struct curve live_curve = {"live", true, live, live_max};
static const struct curve rss_curve = {"rss", false, rss, rss_max};

bool panel_is_traced(const struct panel *panel)
{
    return ledger_is_traced(&panel->process->copy->header);
}

uint64_t panel_end_ns(const struct panel *panel)
{
    const struct ledger_copy *copy = panel->process->copy;
    uint64_t end = facts_duration_ns(panel->process);
    uint64_t last =
        copy->sample_count > 0 ? copy->samples[copy->sample_count - 1].time_ns : 0;
    return panel->offset_ns + (end > last ? end : last);
}

uint64_t panel_max_bytes(const struct panel *panel)
{
    const struct ledger_copy *copy = panel->process->copy;
    uint64_t most = panel_is_traced(panel) ? copy->header.peak_bytes : 0;
    for (uint32_t i = 0; i < copy->sample_count; i++) {
        const struct ledger_sample *sample = &copy->samples[i];
        if (sample->rss_bytes > most)
            most = sample->rss_bytes;
        if (sample->rss_max_bytes > most)
            most = sample->rss_max_bytes;
        if (sample->held_bytes > most)
            most = sample->held_bytes;
    }
    return most;
}

static double at_time(const struct panel *panel, uint64_t ns)
{
    double share = (double)(ns + panel->offset_ns) / (double)panel->time.top;
    return panel->x + panel->width * (share < 1 ? share : 1);
}

static double at_size(const struct panel *panel, uint64_t bytes)
{
    double share = (double)bytes / (double)panel->size.top;
    return panel->y + panel->height * (1 - (share < 1 ? share : 1));
}

static void put_grid(FILE *out, const struct panel *panel)
{
    char label[HUMAN_BYTES];
    for (uint64_t at = 0;; at += panel->size.step) {
        double y = at_size(panel, at);
        fprintf(out, "<path class=\"grid\" d=\"M%.1f,%.1fh%.1f\"/>\n", panel->x, y,
                panel->width);
        svg_text(out, "y", panel->x - 6, y + 4, "%s",
                 axis_label(label, &panel->size, at));
        if (panel->size.top - at < panel->size.step)
            break;
    }
}

static void put_point(FILE *out, const struct panel *panel, uint64_t ns,
                      uint64_t bytes)
{
    fprintf(out, "L%.1f,%.1f", at_time(panel, ns), at_size(panel, bytes));
}

/* A process that still runs is where its last sample saw it: nothing moved since.
 */
static uint64_t last_moment(const struct panel *panel)
{
    return panel_end_ns(panel) - panel->offset_ns;
}

static void put_curve(FILE *out, const struct panel *panel,
                      const struct curve *curve)
{
    const struct ledger_copy *copy = panel->process->copy;
    const struct ledger_sample *samples = copy->samples;
    uint32_t count = copy->sample_count;
    if (count == 0)
        return;

    double x = at_time(panel, samples[0].time_ns);
    double y = at_size(panel, curve->value(&samples[0]));
    if (curve->filled)
        fprintf(out, "<path class=\"%s\" d=\"M%.1f,%.1fV%.1f", curve->class, x,
                panel->y + panel->height, y);
    else
        fprintf(out, "<path class=\"%s\" d=\"M%.1f,%.1f", curve->class, x, y);
    for (uint32_t i = 1; i < count; i++) {
        uint64_t value = curve->value(&samples[i]);
        uint64_t maximum = curve->maximum(&samples[i]);
        /* Between two samples it was higher: when, nobody knows. */
        if (maximum > value)
            put_point(out, panel,
                      samples[i - 1].time_ns +
                          (samples[i].time_ns - samples[i - 1].time_ns) / 2,
                      maximum);
        put_point(out, panel, samples[i].time_ns, value);
    }
    fprintf(out, "H%.1f", at_time(panel, last_moment(panel)));
    if (curve->filled)
        fprintf(out, "V%.1fZ", panel->y + panel->height);
    fputs("\"/>\n", out);
}

/* Collections of one generation, a tick for each sample that saw some. */
static void put_ticks(FILE *out, const struct panel *panel, int generation)
{
    static const unsigned heights[] = {4, 7, 12};
    const struct ledger_copy *copy = panel->process->copy;
    double y = panel->y + panel->height + 1;
    bool any = false;
    for (uint32_t i = 0; i < copy->sample_count; i++) {
        if (copy->samples[i].collections[generation] == 0)
            continue;
        if (!any)
            fprintf(out, "<path class=\"gc%d\" d=\"", generation);
        any = true;
        fprintf(out, "M%.1f,%.1fv%u", at_time(panel, copy->samples[i].time_ns), y,
                heights[generation]);
    }
    if (any)
        fputs("\"/>\n", out);
}

/* The middle of the interval in which a sample saw the peak, where the curve has
 * it. */
static uint64_t peak_moment(const struct ledger_copy *copy)
{
    uint64_t seen = copy->header.peak_time_ns;
    for (uint32_t i = 1; i < copy->sample_count; i++) {
        const struct ledger_sample *sample = &copy->samples[i];
        if (sample->time_ns >= seen && sample->live_max_bytes > sample->live_bytes)
            return copy->samples[i - 1].time_ns +
                   (sample->time_ns - copy->samples[i - 1].time_ns) / 2;
        if (sample->time_ns >= seen)
            return sample->time_ns;
    }
    return seen;
}

static void put_peak(FILE *out, const struct panel *panel)
{
    const struct ledger_header *header = &panel->process->copy->header;
    char size[HUMAN_BYTES];
    char time[HUMAN_BYTES];
    if (header->peak_bytes == 0)
        return;
    uint64_t when = peak_moment(panel->process->copy);
    double x = at_time(panel, when);
    double y = at_size(panel, header->peak_bytes);
    bool on_the_left = x > panel->x + panel->width / 2;
    fprintf(out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", x, y);
    svg_text(out, on_the_left ? "peak left" : "peak", x + (on_the_left ? -8 : 8),
             y - 6, "peak %s, %s", human_size(size, header->peak_bytes),
             human_duration(time, when + panel->offset_ns));
}

static void put_end(FILE *out, const struct panel *panel)
{
    enum fate fate = panel->process->fate;
    if (fate != FATE_KILLED && fate != FATE_POWER_LOST)
        return;
    double x = at_time(panel, last_moment(panel));
    fprintf(out, "<path class=\"gone\" d=\"M%.1f,%.1fv%.1f\"/>\n", x, panel->y,
            panel->height);
    bool on_the_left = x > panel->x + 60;
    svg_text(out, on_the_left ? "peak left" : "peak", x + (on_the_left ? -5 : 5),
             panel->y + panel->height - 8, "%s", facts_fate_name(fate));
}

static void put_name(FILE *out, const struct panel *panel)
{
    char *command = facts_command(panel->process->copy);
    fprintf(out, "<text class=\"panel\" x=\"%.1f\" y=\"%.1f\">%d  ", panel->x,
            panel->y - 5, (int)panel->process->copy->header.pid);
    svg_escape(out, slice_of(command != NULL ? command : ""), 90);
    fputs("</text>\n", out);
    free(command);
}

void panel_draw(FILE *out, const struct panel *panel)
{
    put_grid(out, panel);
    put_curve(out, panel, &held_curve);
    if (panel_is_traced(panel))
        put_curve(out, panel, &live_curve);
    put_curve(out, panel, &rss_curve);
    for (int generation = 0; generation < 3; generation++)
        put_ticks(out, panel, generation);
    fprintf(out,
            "<rect class=\"frame\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
            "height=\"%.1f\"/>\n",
            panel->x, panel->y, panel->width, panel->height);
    put_end(out, panel);
    if (panel_is_traced(panel))
        put_peak(out, panel);
    if (panel->titled)
        put_name(out, panel);
    if (panel->process->copy->sample_count == 0)
        svg_text(out, "quiet", panel->x + panel->width / 2 - 60,
                 panel->y + panel->height / 2, "no samples were taken");
}
