/* SPDX-License-Identifier: MIT */
/* facts.h - what a report says of the programs themselves, in words and in JSON. */
#ifndef HG_REPORT_FACTS_H
#define HG_REPORT_FACTS_H

#include "analyze/facts.h"
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

/* "ended with exit status 0 after 12 s", "running for 4 s", ... */
void facts_fate(char *into, size_t room, const struct process *process);

#endif
