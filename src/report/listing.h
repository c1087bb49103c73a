/* SPDX-License-Identifier: MIT */
/* listing.h - the programs that have a ledger. */
#ifndef HG_REPORT_LISTING_H
#define HG_REPORT_LISTING_H

#include "analyze/gather.h"

#include <stdio.h>

/* Families in the order in which they are shown; each read with
 * LEDGER_PART_TIMELINE. */
void listing_text(FILE *out, const struct gathering *families, size_t count,
                  bool colour);
void listing_json(FILE *out, const struct gathering *families, size_t count);

#endif
