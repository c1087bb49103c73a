/* SPDX-License-Identifier: MIT */
/* writer.h - a ledger as the program that is watched sees it: a mapping that never
 * faults. */
#ifndef HG_LEDGER_WRITER_H
#define HG_LEDGER_WRITER_H

#include "base/base.h"
#include "ledger/layout.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct ledger {
    char *base;   /* the mapping, or NULL */
    size_t bytes; /* of it */
    struct ledger_header *header;
    struct ledger_node *nodes;
    size_t committed[LEDGER_SECTIONS]; /* bytes of the section that cannot fault */
    bool populates;                    /* the kernel knows MADV_POPULATE_WRITE */
    dev_t device;
    ino_t inode;
    char path[PATH_MAX];
};

/*
 * Make the file behind `fd`, which is open for reading and writing, an empty
 * ledger in state LEDGER_WAITING and map it; the caller closes `fd`, for the
 * program may close all descriptors that it does not know.  Room is left for
 * `inherited` records in LEDGER_INHERITED.
 *
 * The file is sized once, to a cap that respects RLIMIT_FSIZE and RLIMIT_AS,
 * sparse; ledger_reserve() commits pieces of it before anything is stored there.
 * Returns HG_EFULL when the file system has no room, HG_EIO (errno) otherwise;
 * *ledger is then unmapped.  May run inside malloc; not thread-safe.
 */
hg_status ledger_init(struct ledger *ledger, int fd, const char *path,
                      size_t inherited);

/*
 * Make sure that the first `records` records of a section can be stored without
 * a fault.  False when the section or the file system is full: the caller drops
 * what it had and counts it.  May run inside malloc.
 */
bool ledger_reserve(struct ledger *ledger, enum ledger_section_id section,
                    size_t records);

static inline void *ledger_at(const struct ledger *ledger,
                              enum ledger_section_id section)
{
    return ledger->base + ledger->header->section[section].offset;
}

static inline uint64_t ledger_used(const struct ledger *ledger,
                                   enum ledger_section_id section)
{
    /* Relaxed: without the writer's lock it is a hint. */
    return __atomic_load_n(&ledger->header->section[section].used,
                           __ATOMIC_RELAXED);
}

/* Publish records that are complete.  Pairs with the readers' load of `used`. */
static inline void ledger_publish(struct ledger *ledger,
                                  enum ledger_section_id section, uint64_t used)
{
    __atomic_store_n(&ledger->header->section[section].used, used,
                     __ATOMIC_RELEASE);
}

static inline void ledger_set_state(struct ledger_header *header,
                                    enum ledger_state state)
{
    __atomic_store_n(&header->state, (uint32_t)state, __ATOMIC_RELEASE);
}

/* Append text to LEDGER_STRINGS; an empty text where it does not fit. */
struct ledger_text ledger_put_text(struct ledger *ledger, const char *text,
                                   size_t bytes);

/*
 * Give the unused end of the file back, once no more nodes will be made.  Finds
 * the file by its path and does nothing if another one lies there by now.
 */
void ledger_trim(struct ledger *ledger);

/* The same for a file that is open, with its header. */
void ledger_trim_file(int fd, const struct ledger_header *header);

/* Unmap; the file stays.  Accepts a ledger that was never mapped. */
void ledger_close(struct ledger *ledger);

#endif
