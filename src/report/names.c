/* SPDX-License-Identifier: MIT */
/* names.c - see names.h */
#include "report/names.h"

#include <stdlib.h>

#define GAP "\xe2\x80\xa6" /* an ellipsis: one column */

struct slice names_within(struct slice path, struct slice folder)
{
    bool inside = folder.bytes > 0 && slice_begins(path, folder) &&
                  path.bytes > folder.bytes + 1 && path.at[folder.bytes] == '/';
    return inside ? slice_after(path, folder.bytes + 1) : path;
}

/* "/usr" of "/usr/lib/x.py", "src" of "src/x.py": the first folder, or nothing. */
static struct slice first_folder(struct slice path)
{
    for (size_t i = 1; i < path.bytes; i++)
        if (path.at[i] == '/')
            return (struct slice){path.at, i};
    return (struct slice){path.at, 0};
}

/* The longest "/folder/name" at the end of `path` that fits; at least "/name" or
 * all. */
static struct slice last_folders(struct slice path, unsigned columns)
{
    struct slice tail = path;
    for (size_t i = path.bytes; i-- > 0;) {
        if (path.at[i] != '/')
            continue;
        struct slice candidate = slice_after(path, i);
        if (tail.bytes != path.bytes && page_columns(candidate) > columns)
            break;
        tail = candidate;
    }
    return tail;
}

unsigned names_put_path(const struct page *page, struct slice path,
                        unsigned columns)
{
    if (page_columns(path) <= columns)
        return page_text(page, path, columns);
    struct slice head = first_folder(path);
    unsigned for_tail = columns > 1 ? columns - 1 : 0;
    struct slice tail = last_folders(path, for_tail);
    unsigned head_columns = page_columns(head);

    if (head_columns + 1 < columns) {
        struct slice shorter = last_folders(path, columns - 1 - head_columns);
        bool fits = page_columns(shorter) + head_columns + 1 <= columns &&
                    shorter.bytes + head.bytes < path.bytes;
        if (fits && (shorter.bytes == tail.bytes || head_columns <= columns / 4)) {
            unsigned used = page_text(page, head, head_columns);
            fputs(GAP, page->out);
            return used + 1 + page_text(page, shorter, columns - used - 1);
        }
    }
    if (page_columns(tail) > for_tail)
        return page_text(page, tail.at[0] == '/' ? slice_after(tail, 1) : tail,
                         columns);
    fputs(GAP, page->out);
    return 1 + page_text(page, tail, for_tail);
}
