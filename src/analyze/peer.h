/* SPDX-License-Identifier: MIT */
/* peer.h - another process, as /proc and its memory show it; it is never stopped.
 */
#ifndef HG_ANALYZE_PEER_H
#define HG_ANALYZE_PEER_H

#include "base/base.h"

#include <stdbool.h>
#include <sys/types.h>

#define PEER_PAGE ((uint64_t)4096)

struct peer {
    pid_t pid;
    int pages; /* /proc/PID/pagemap */
};

/* HG_EIO (errno) when there is no such process, or it may not be looked at. */
hg_status peer_open(struct peer *peer, pid_t pid);
void peer_close(struct peer *peer);

/* As anatomy_read, with a struct peer.  EPERM: the system forbids it, see
   ptrace(2). */
bool peer_read(void *peer, uint64_t at, void *into, size_t bytes);

/* Sets resident[i] to whether page i behind `start` is in memory. */
void peer_resident(const struct peer *peer, uint64_t start, size_t pages,
                   bool *resident);

/* The same for pages of a file's private mapping: whether the process has written
   there, so that the page is its own. */
void peer_written(const struct peer *peer, uint64_t start, size_t pages,
                  bool *written);

/* The bytes in memory of a range whose ends are pages'. */
uint64_t peer_resident_bytes(const struct peer *peer, uint64_t start, uint64_t end);

/* One line of a file of /proc/PID, without its end; empty when it cannot be read.
 */
void peer_line(const struct peer *peer, const char *name, char *into, size_t room);

/* "python3 app.py", as it stands now. */
void peer_command(const struct peer *peer, char *into, size_t room);

/* One mapping of the process, by /proc/PID/smaps. */
struct region {
    uint64_t start, end;
    uint64_t rss;
    uint64_t inode;
    char access[5]; /* "r-xp" */
    char *path;     /* "" when anonymous; or "[heap]" and the like */
};

struct regions {
    struct region *at; /* in the order of addresses */
    size_t count;
    uint64_t rss; /* of all */
};

hg_status regions_read(const struct peer *peer, struct regions *out);
void regions_drop(struct regions *regions);
/* The one that the address lies in, or NULL. */
struct region *regions_find(const struct regions *regions, uint64_t address);

#endif
