/* SPDX-License-Identifier: MIT */
/* map.h - where a process's memory is, for people and for programs. */
#ifndef HG_REPORT_MAP_H
#define HG_REPORT_MAP_H

#include "analyze/memory_map.h"

#include <stdio.h>

/* Everything is lent to the functions below. */
struct map_report {
    int32_t pid;
    const char *command;            /* of the process */
    const struct ledger_copy *copy; /* of its ledger, or NULL */
    const struct memory_map *map;
    bool ended;               /* then `map` has only what was left behind */
    uint64_t rss, held, live; /* of an ended one, when they were seen last */
};

void map_text(FILE *out, const struct map_report *report, bool colour);
void map_json(FILE *out, const struct map_report *report);

#endif
