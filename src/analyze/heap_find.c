/* SPDX-License-Identifier: MIT */
/*
 * heap_find.c - see heap_find.h
 *
 * A heap_anatomy is a constant that holds addresses.  So the linker wrote it when
 * it loaded the file that has it, and the page is the process's own: there are few
 * of these, and only they are read.
 */
#include "analyze/heap_find.h"

#include "heap/anatomy.h"

#include <errno.h>
#include <string.h>

#define PAGES_AT_ONCE 256u
#define MAGIC_BYTES (sizeof((struct heap_anatomy){0}.magic))

static void search_page(const unsigned char *page, uint64_t at, heap_found *call,
                        void *arg)
{
    for (size_t i = 0; i < PEER_PAGE; i += _Alignof(struct heap_anatomy))
        if (memcmp(page + i, HEAP_ANATOMY_MAGIC, MAGIC_BYTES) == 0)
            call(arg, at + i);
}

static int search_region(const struct peer *peer, const struct region *region,
                         heap_found *call, void *arg)
{
    bool written[PAGES_AT_ONCE];
    unsigned char page[PEER_PAGE];
    for (uint64_t at = region->start; at < region->end;) {
        uint64_t left = (region->end - at) / PEER_PAGE;
        size_t n = left < PAGES_AT_ONCE ? (size_t)left : PAGES_AT_ONCE;
        peer_written(peer, at, n, written);
        for (size_t i = 0; i < n; i++, at += PEER_PAGE) {
            if (!written[i])
                continue;
            if (!peer_read((void *)peer, at, page, sizeof page))
                return errno;
            search_page(page, at, call, arg);
        }
    }
    return 0;
}

/* Of a file, and private; what is executable holds no addresses. */
static bool may_have_one(const struct region *region)
{
    return region->path[0] == '/' && region->access[0] == 'r' &&
           region->access[2] != 'x' && region->access[3] == 'p';
}

int heap_find_all(const struct peer *peer, const struct regions *regions,
                  heap_found *call, void *arg)
{
    int error = 0;
    for (size_t i = 0; i < regions->count && error == 0; i++)
        if (may_have_one(&regions->at[i]))
            error = search_region(peer, &regions->at[i], call, arg);
    return error;
}
