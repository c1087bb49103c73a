/* SPDX-License-Identifier: MIT */
/* svg.h - text in a picture. */
#ifndef HG_REPORT_SVG_H
#define HG_REPORT_SVG_H

#include "base/slice.h"

#include <stdio.h>

/*
 * Write text from outside as XML: at most `columns` characters, then an ellipsis.
 * What XML cannot hold becomes a question mark.
 */
void svg_escape(FILE *out, struct slice text, unsigned columns);

/* A whole text element of our own: class, place, and text that needs no escape. */
void svg_text(FILE *out, const char *class, double x, double y, const char *format,
              ...) __attribute__((format(printf, 5, 6)));

#endif
