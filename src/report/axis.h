/* SPDX-License-Identifier: MIT */
/* axis.h - where an axis has its marks, and what they say. */
#ifndef HG_REPORT_AXIS_H
#define HG_REPORT_AXIS_H

#include "report/human.h"

#include <stdint.h>

struct axis {
    uint64_t top;     /* the last value on the axis, in bytes or ns; at least 1 */
    uint64_t step;    /* from mark to mark; the first is at 0 */
    uint64_t unit;    /* what a label counts */
    const char *name; /* of the unit: "MiB", "s" */
};

/* An axis of sizes that reaches at least `bytes`, with about `marks` round marks.
 */
struct axis axis_of_bytes(uint64_t bytes, unsigned marks);

/* An axis of time that ends at `ns`. */
struct axis axis_of_time(uint64_t ns, unsigned marks);

/* "12.5 MiB": the label of a value on this axis. */
const char *axis_label(char into[HUMAN_BYTES], const struct axis *axis,
                       uint64_t value);

#endif
