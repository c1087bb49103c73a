/* SPDX-License-Identifier: MIT */
/* axis.c - see axis.h */
#include "report/axis.h"

#include <stdio.h>

/* The least of 1, 2 or 5 times a power of ten that is not less than `wanted`. */
static double round_step(double wanted)
{
    static const double steps[] = {1, 2, 5};
    double power = 1e-3;
    for (;;) {
        for (int i = 0; i < 3; i++)
            if (steps[i] * power >= wanted)
                return steps[i] * power;
        power *= 10;
    }
}

struct axis axis_of_bytes(uint64_t bytes, unsigned marks)
{
    static const char *const names[] = {"B",   "KiB", "MiB", "GiB",
                                        "TiB", "PiB", "EiB"};
    unsigned power = 0;
    /* 1.5 GiB rather than 1500 MiB, but 100 MiB rather than 0.1 GiB. */
    while (power + 1 < sizeof names / sizeof *names &&
           bytes >> (10 * (power + 1)) > 0)
        power++;
    struct axis axis = {.unit = (uint64_t)1 << (10 * power), .name = names[power]};
    double step = round_step((double)bytes / (double)axis.unit / marks);
    axis.step = (uint64_t)(step * (double)axis.unit);
    if (axis.step == 0)
        axis.step = 1;
    axis.top = (bytes / axis.step + (bytes % axis.step != 0)) * axis.step;
    if (axis.top == 0)
        axis.top = axis.step;
    return axis;
}

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define MIN (60 * S)
#define HOUR (60 * MIN)
#define DAY (24 * HOUR)

struct axis axis_of_time(uint64_t ns, unsigned marks)
{
    static const uint64_t steps[] = {
        MS,       2 * MS,   5 * MS,   10 * MS,  20 * MS,   50 * MS,  100 * MS,
        200 * MS, 500 * MS, S,        2 * S,    5 * S,     10 * S,   20 * S,
        30 * S,   MIN,      2 * MIN,  5 * MIN,  10 * MIN,  20 * MIN, 30 * MIN,
        HOUR,     2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY,      2 * DAY,
        5 * DAY,  10 * DAY, 20 * DAY, 50 * DAY,
    };
    size_t i = 0;
    while (i + 1 < sizeof steps / sizeof *steps && steps[i] * marks < ns)
        i++;
    struct axis axis = {
        .top = ns > 0 ? ns : 1, .step = steps[i], .unit = S, .name = "s"};
    while (axis.top / axis.step > 2 * (uint64_t)marks)
        axis.step *= 2; /* a clock that went wrong */
    if (ns >= 2 * DAY)
        axis = (struct axis){axis.top, axis.step, DAY, "d"};
    else if (ns >= 2 * HOUR)
        axis = (struct axis){axis.top, axis.step, HOUR, "h"};
    else if (ns >= 2 * MIN)
        axis = (struct axis){axis.top, axis.step, MIN, "min"};
    return axis;
}

const char *axis_label(char into[HUMAN_BYTES], const struct axis *axis,
                       uint64_t value)
{
    if (value == 0)
        snprintf(into, HUMAN_BYTES, "0");
    else
        snprintf(into, HUMAN_BYTES, "%.10g %s", (double)value / (double)axis->unit,
                 axis->name);
    return into;
}
