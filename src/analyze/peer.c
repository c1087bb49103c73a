/* SPDX-License-Identifier: MIT */
/* peer.c - see peer.h */
#include "analyze/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE_PRESENT ((uint64_t)1 << 63)
#define PAGE_OF_FILE ((uint64_t)1 << 61) /* or shared; not the process's own */
#define PAGES_AT_ONCE 512u

hg_status peer_open(struct peer *peer, pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/pagemap", (int)pid);
    peer->pid = pid;
    peer->pages = open(path, O_RDONLY | O_CLOEXEC);
    return peer->pages < 0 ? HG_EIO : HG_OK;
}

void peer_close(struct peer *peer)
{
    close(peer->pages);
}

bool peer_read(void *arg, uint64_t at, void *into, size_t bytes)
{
    const struct peer *peer = arg;
    char *to = into;
    while (bytes > 0) {
        struct iovec here = {to, bytes};
        struct iovec there = {(void *)(uintptr_t)at, bytes}; // NOLINT
        ssize_t got = process_vm_readv(peer->pid, &here, 1, &there, 1, 0);
        if (got <= 0)
            return false;
        to += got;
        at += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return true;
}

/* Whether of the bits of `mask` those of `bits` are set, page by page. */
static void pages_are(const struct peer *peer, uint64_t start, size_t pages,
                      uint64_t mask, uint64_t bits, bool *out)
{
    uint64_t entries[PAGES_AT_ONCE];
    for (size_t done = 0; done < pages;) {
        size_t n = pages - done < PAGES_AT_ONCE ? pages - done : PAGES_AT_ONCE;
        off_t at = (off_t)((start / PEER_PAGE + done) * sizeof *entries);
        ssize_t got = pread(peer->pages, entries, n * sizeof *entries, at);
        size_t known = got > 0 ? (size_t)got / sizeof *entries : 0;
        for (size_t i = 0; i < n; i++)
            out[done + i] = i < known && (entries[i] & mask) == bits;
        done += n;
    }
}

void peer_resident(const struct peer *peer, uint64_t start, size_t pages,
                   bool *resident)
{
    pages_are(peer, start, pages, PAGE_PRESENT, PAGE_PRESENT, resident);
}

void peer_written(const struct peer *peer, uint64_t start, size_t pages,
                  bool *written)
{
    pages_are(peer, start, pages, PAGE_PRESENT | PAGE_OF_FILE, PAGE_PRESENT,
              written);
}

uint64_t peer_resident_bytes(const struct peer *peer, uint64_t start, uint64_t end)
{
    bool resident[PAGES_AT_ONCE];
    uint64_t bytes = 0;
    for (uint64_t at = start; at < end; at += PAGES_AT_ONCE * PEER_PAGE) {
        uint64_t left = (end - at) / PEER_PAGE;
        size_t n = left < PAGES_AT_ONCE ? (size_t)left : PAGES_AT_ONCE;
        peer_resident(peer, at, n, resident);
        for (size_t i = 0; i < n; i++)
            bytes += resident[i] ? PEER_PAGE : 0;
    }
    return bytes;
}

void peer_line(const struct peer *peer, const char *name, char *into, size_t room)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)peer->pid, name);
    into[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(into, (int)room, file) == NULL)
        into[0] = '\0';
    into[strcspn(into, "\n")] = '\0';
    fclose(file);
}

void peer_command(const struct peer *peer, char *into, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)peer->pid);
    FILE *file = fopen(path, "re");
    size_t n = file != NULL ? fread(into, 1, room - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    while (n > 0 && into[n - 1] == '\0')
        n--;
    for (size_t i = 0; i < n; i++)
        if (into[i] == '\0')
            into[i] = ' ';
    into[n] = '\0';
}

/* --- regions ----------------------------------------------------------------- */

static bool parse_head(const char *line, struct region *region)
{
    int path = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*s %" SCNu64 " %n",
               &region->start, &region->end, region->access, &region->inode,
               &path) != 4 ||
        path == 0)
        return false;
    region->path = strdup(line + path);
    if (region->path != NULL)
        region->path[strcspn(region->path, "\n")] = '\0';
    return true;
}

static struct region *region_add(struct regions *regions, size_t *room)
{
    if (regions->count == *room) {
        size_t wanted = *room == 0 ? 256 : *room * 2;
        struct region *more = realloc(regions->at, wanted * sizeof *more);
        if (more == NULL)
            return NULL;
        regions->at = more;
        *room = wanted;
    }
    struct region *region = &regions->at[regions->count];
    *region = (struct region){.path = NULL};
    return region;
}

static hg_status read_lines(FILE *file, struct regions *out)
{
    char *line = NULL;
    size_t line_room = 0;
    size_t room = 0;
    hg_status status = HG_OK;
    while (status == HG_OK && getline(&line, &line_room, file) > 0) {
        uint64_t kib;
        if (sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1 && out->count > 0) {
            out->at[out->count - 1].rss = kib << 10;
            out->rss += kib << 10;
            continue;
        }
        if (strchr("0123456789abcdef", line[0]) == NULL)
            continue;
        struct region *region = region_add(out, &room);
        if (region == NULL ||
            (parse_head(line, region) && ++out->count > 0 && region->path == NULL))
            status = HG_ENOMEM;
    }
    free(line);
    return status;
}

hg_status regions_read(const struct peer *peer, struct regions *out)
{
    char path[64];
    *out = (struct regions){.at = NULL};
    snprintf(path, sizeof path, "/proc/%d/smaps", (int)peer->pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return HG_EIO;
    hg_status status = read_lines(file, out);
    if (status == HG_OK && ferror(file))
        status = HG_EIO;
    fclose(file);
    if (status != HG_OK)
        regions_drop(out);
    return status;
}

void regions_drop(struct regions *regions)
{
    for (size_t i = 0; i < regions->count; i++)
        free(regions->at[i].path);
    free(regions->at);
    *regions = (struct regions){.at = NULL};
}

struct region *regions_find(const struct regions *regions, uint64_t address)
{
    size_t from = 0;
    size_t to = regions->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        struct region *region = &regions->at[middle];
        if (address < region->start)
            to = middle;
        else if (address >= region->end)
            from = middle + 1;
        else
            return region;
    }
    return NULL;
}
