/* SPDX-License-Identifier: MIT */
/* facts.h - what a report says of the programs themselves, in words and in JSON. */
#ifndef HG_REPORT_FACTS_H
#define HG_REPORT_FACTS_H

#include "analyze/gather.h"
#include "report/json.h"
#include "report/page.h"

/*
 * The lines at the head of every text: what displaced us, program, process, how
 * it ended, watched, lost.
 */
void facts_text(const struct page *page, const struct gathering *family);

/* One labelled line; `format` makes text of our own, which is cut at 80 columns. */
void facts_line(const struct page *page, const char *label, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The keys "program", "watched", "lost", "processes" and "unread". */
void facts_json(struct json *json, const struct gathering *family);

/* The objects that stand in "processes". */
void facts_json_process(struct json *json, const struct process *process);

/* The objects that stand in "unread", between '[' and ']'. */
void facts_json_unread(struct json *json, const struct unread *unread,
                       size_t count);

/* Of a program that is not traced: what it must be run without to be. */
struct slice facts_without(const struct ledger_copy *copy);

/* "ended with exit status 0", "killed", ...: for lines and for narrow columns. */
void facts_fate(char *into, size_t room, const struct process *process);
const char *facts_fate_name(enum fate fate); /* of a word or two, as in JSON */

/* What all of them could not record. */
struct ledger_lost facts_lost(const struct gathering *family);

/* argv on one line, with spaces between; the caller free()s it; NULL: no memory. */
char *facts_command(const struct ledger_copy *copy);

/*
 * The same for narrow columns: without the folder of the program and, if that is
 * a Python, without it: "/usr/bin/python3 -B /srv/app.py x" -> "app.py x".
 */
char *facts_short_command(const struct ledger_copy *copy);

/* How long it ran or has been running, as far as the ledger and the clock tell. */
uint64_t facts_duration_ns(const struct process *process);

/* Resident bytes: now if it runs, else when it was seen last; 0: not known. */
uint64_t facts_rss_bytes(const struct process *process);

#endif
