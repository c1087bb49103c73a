/* SPDX-License-Identifier: MIT */
/* page.h - text for people: columns that are counted, colour, nothing that hurts.
 */
#ifndef HG_REPORT_PAGE_H
#define HG_REPORT_PAGE_H

#include "base/slice.h"

#include <stdio.h>

#define PAGE_COLUMNS 80u

enum style {
    STYLE_PLAIN,
    STYLE_BOLD,
    STYLE_DIM,
    STYLE_BAR,
    STYLE_MORE,
    STYLE_LESS
};

struct page {
    FILE *out;
    bool colour;
};

/* Should what goes to this file have colour?  A terminal, and no NO_COLOR. */
bool page_wants_colour(FILE *out);

/* What follows has this style, until STYLE_PLAIN. */
void page_style(const struct page *page, enum style style);

/* Columns of `text` when page_text() prints it. */
unsigned page_columns(struct slice text);

/*
 * Print text that came from outside, in at most `columns` columns: a longer one
 * ends with an ellipsis.  Control characters and bytes that are no UTF-8 become
 * question marks.  Returns the columns used.
 */
unsigned page_text(const struct page *page, struct slice text, unsigned columns);

/*
 * Print text from column `from` to the page's end, broken between words, and end
 * the line.  The first line is taken to be at `from` already.
 */
void page_paragraph(const struct page *page, struct slice text, unsigned from);

void page_pad(const struct page *page, unsigned columns);

/* `text` at the right end of `columns` columns. */
void page_right(const struct page *page, const char *text, unsigned columns);

/* A bar of `columns` columns, of which `share` (0 to 1) is full. */
void page_bar(const struct page *page, double share, unsigned columns);

#endif
