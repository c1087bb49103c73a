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

/* The longest "/folders/name" at the end of `path` that fits; at least its "/name".
 */
static struct slice last_folders(struct slice path, unsigned columns)
{
    struct slice tail = {path.at + path.bytes, 0};
    for (size_t i = path.bytes; i-- > 0;) {
        if (path.at[i] != '/')
            continue;
        struct slice longer = slice_after(path, i);
        if (tail.bytes > 0 && page_columns(longer) > columns)
            break;
        tail = longer;
    }
    return tail.bytes > 0 ? tail : path;
}

unsigned names_put_path(const struct page *page, struct slice path,
                        unsigned columns)
{
    unsigned room = columns > 0 ? columns - 1 : 0; /* the gap takes one */
    if (page_columns(path) <= columns)
        return page_text(page, path, columns);

    struct slice tail = last_folders(path, room);
    if (page_columns(tail) > room) {
        /* Not even the file's own name fits. */
        struct slice name = tail.at[0] == '/' ? slice_after(tail, 1) : tail;
        return page_text(page, name, columns);
    }
    fputs(GAP, page->out);
    return 1 + page_text(page, tail, room);
}

char *names_of_function(struct slice function)
{
    static const char locals[] = ".<locals>";
    size_t skip = sizeof locals - 1;
    char *name = malloc(function.bytes + 1);
    size_t bytes = 0;
    if (name == NULL)
        return NULL;
    for (size_t i = 0; i < function.bytes;) {
        if (function.bytes - i > skip && memcmp(function.at + i, locals, skip) == 0)
            i += skip;
        else
            name[bytes++] = function.at[i++];
    }
    name[bytes] = '\0';
    return name;
}
