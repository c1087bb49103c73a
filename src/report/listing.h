/* SPDX-License-Identifier: MIT */
/* listing.h - the programs that have a ledger. */
#ifndef HG_REPORT_LISTING_H
#define HG_REPORT_LISTING_H

#include "analyze/gather.h"

#include <stdio.h>

struct listing {
    struct gathering *families; /* in the order in which they are shown, each read
                                   with LEDGER_PART_TIMELINE */
    size_t count;
    struct unread *unread; /* FILEs that begin no family, for they cannot be read */
    size_t unread_count;
};

/* For people, without what could not be read; and with it. */
void listing_text(FILE *out, const struct listing *listing, bool colour);
void listing_json(FILE *out, const struct listing *listing);

#endif
