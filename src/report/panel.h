/* SPDX-License-Identifier: MIT */
/* panel.h - one process in a plot: its curves on axes of their own. */
#ifndef HG_REPORT_PANEL_H
#define HG_REPORT_PANEL_H

#include "analyze/gather.h"
#include "report/axis.h"

#include <stdio.h>

struct panel {
    const struct process *process; /* lent; read with LEDGER_PART_TIMELINE */
    uint64_t offset_ns;            /* from the left end of the axis to its start */
    struct axis time;              /* the same for all panels of a plot */
    struct axis size;
    double x, y, width, height; /* of the frame; ticks of collections go below */
    bool titled;                /* say which process it is */
};

/* Room below a panel's frame for the ticks of collections. */
#define PANEL_TICKS 14

/* Does anybody know what was live in it? */
bool panel_is_traced(const struct panel *panel);

/* The end of this process on the axis of time. */
uint64_t panel_end_ns(const struct panel *panel);

/* The most that any of its curves reaches, in bytes. */
uint64_t panel_max_bytes(const struct panel *panel);

void panel_draw(FILE *out, const struct panel *panel);

#endif
