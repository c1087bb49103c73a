/* SPDX-License-Identifier: MIT */
/* arenas.h - how full a heap is, for people, for programs and as a picture. */
#ifndef HG_REPORT_ARENAS_H
#define HG_REPORT_ARENAS_H

#include "analyze/occupancy.h"

#include <stdio.h>

/* Both are lent; `copy` tells the names of lines. */
void arenas_text(FILE *out, const struct ledger_copy *copy,
                 const struct occupancy *occupancy, bool colour);
void arenas_json(FILE *out, const struct ledger_copy *copy,
                 const struct occupancy *occupancy);
void arenas_svg(FILE *out, const struct ledger_copy *copy,
                const struct occupancy *occupancy);

#endif
