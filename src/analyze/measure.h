/* SPDX-License-Identifier: MIT */
/* measure.h - the six numbers of every row of every table. */
#ifndef HG_ANALYZE_MEASURE_H
#define HG_ANALYZE_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

/* A number of blocks and the bytes that were asked for in them. */
struct amount {
    uint64_t bytes;
    uint64_t blocks;
};

/* Which of the three numbers a person looks at. */
enum moment { MOMENT_LIVE, MOMENT_PEAK, MOMENT_TOTAL, MOMENTS };

struct measure {
    struct amount at[MOMENTS];
};

static inline void measure_add(struct measure *sum, const struct measure *part)
{
    for (int i = 0; i < MOMENTS; i++) {
        sum->at[i].bytes += part->at[i].bytes;
        sum->at[i].blocks += part->at[i].blocks;
    }
}

static inline bool measure_is_zero(const struct measure *measure)
{
    uint64_t any = 0;
    for (int i = 0; i < MOMENTS; i++)
        any |= measure->at[i].bytes | measure->at[i].blocks;
    return any == 0;
}

#endif
