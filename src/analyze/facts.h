/* SPDX-License-Identifier: MIT */
/* facts.h - what is known of a program beside its accounts. */
#ifndef HG_ANALYZE_FACTS_H
#define HG_ANALYZE_FACTS_H

#include "analyze/gather.h"

/* argv on one line, with spaces between; the caller free()s it; NULL: no memory. */
char *facts_command(const struct ledger_copy *copy);

/*
 * The same for narrow columns: without the folder of the program and, if that is
 * a Python, without it: "/usr/bin/python3 -B /srv/app.py x" -> "app.py x".
 */
char *facts_short_command(const struct ledger_copy *copy);

/* Of a program that is not traced: what it must be run without to be. */
struct slice facts_without(const struct ledger_copy *copy);

/* How long it ran or has been running, as far as the ledger and the clock tell. */
uint64_t facts_duration_ns(const struct process *process);

/* Resident bytes: now if it runs, else when it was seen last; 0: not known. */
uint64_t facts_rss_bytes(const struct process *process);

/* "running", "killed", ...: of a word or two, as in JSON. */
const char *facts_fate_name(enum fate fate);

/* What all of them could not record. */
struct ledger_lost facts_lost(const struct gathering *family);

#endif
