/* SPDX-License-Identifier: MIT */
/* names.h - file names as people like to read them. */
#ifndef HG_REPORT_NAMES_H
#define HG_REPORT_NAMES_H

#include "base/slice.h"
#include "report/page.h"

/* `path` without the folder, if it lies in it: "/home/me/app/x.py" -> "x.py". */
struct slice names_within(struct slice path, struct slice folder);

/*
 * Print a path in at most `columns` columns.  A longer one loses folders from its
 * middle: "/usr/lib/python3.11/json/decoder.py" -> "/usr/.../json/decoder.py", or,
 * if that is too long as well, from its beginning.  Returns the columns used.
 */
unsigned names_put_path(const struct page *page, struct slice path,
                        unsigned columns);

/*
 * A qualified name without what every reader knows: "f.<locals>.g" -> "f.g".  The
 * caller free()s it; NULL: no memory.
 */
char *names_of_function(struct slice function);

#endif
