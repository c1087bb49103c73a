/* SPDX-License-Identifier: MIT */
/* plot.h - memory over time, as a picture (SVG) that needs nothing beside itself.
 */
#ifndef HG_REPORT_PLOT_H
#define HG_REPORT_PLOT_H

#include "analyze/gather.h"

#include <stdio.h>

/*
 * Draw the processes of all families, each in a panel, below each other on one
 * scale of time: that of each family begins when its first process did.  Read
 * with LEDGER_PART_TIMELINE.  Beyond a dozen panels the smallest are left out,
 * and the picture says so.
 */
void plot_svg(FILE *out, const struct gathering *families, size_t count);

#endif
