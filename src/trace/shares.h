/* SPDX-License-Identifier: MIT */
/* shares.h - the accounts when several threads write them at a time. */
#ifndef HG_TRACE_SHARES_H
#define HG_TRACE_SHARES_H

#include "ledger/layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Once a process has several interpreters, each with a lock of its own, no lock
 * puts their updates in order.  From then on
 *
 *   - a node's counters are added to by atomic instructions: a thread's nodes are
 *     its own, so nobody waits for anybody, unless one frees another's blocks;
 *   - what all have in common, the totals and the peak, is kept by each thread in a
 *     share, and added up every SHARE_BYTES that a thread's live memory moved.
 *
 * So live and total are exact whenever all threads have published, which they have
 * when the accounts are closed; and the peak is by at most SHARE_BYTES for each
 * thread that allocated.
 */
enum { SHARE_BYTES = 64 << 10 };

struct share_flow {
    uint64_t allocated_bytes, allocated_blocks, freed_bytes, freed_blocks;
};

struct share {
    struct share *next; /* constant once it is listed; shares are never unlisted */
    struct share_flow now[LEDGER_DOMAINS];       /* its thread's; others read it */
    struct share_flow published[LEDGER_DOMAINS]; /* guarded by book_lock() */
    int64_t pending;                             /* its thread's */
};

/* Set by shares_begin(), before there is a second writer. */
extern bool shares_on __attribute__((visibility("hidden")));

/* From now on all goes by shares.  Whoever writes alone may still be at it, for the
   operation under way. */
void shares_begin(void);

/* A new share, zeroed, that a thread will write. */
void shares_add(struct share *share);

/* A block with this tag comes or goes.  NULL: the calling thread has no share, and
   takes its turn under a lock.  Nothing once the accounts are closed. */
void shares_allocated(struct share *share, uint32_t tag, enum ledger_domain domain,
                      size_t bytes);
void shares_freed(struct share *share, uint32_t tag, enum ledger_domain domain,
                  size_t bytes);

/* Add up what all threads have not published yet. */
void shares_publish(void);

/* A forked child begins accounts of its own, of what it found. */
void shares_restart(void);

#endif
