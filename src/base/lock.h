/* SPDX-License-Identifier: MIT */
/* lock.h - locks that may be taken inside malloc; they have ranks. */
#ifndef HG_BASE_LOCK_H
#define HG_BASE_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A thread may take a lock only if every lock it holds has a lower rank; builds
   with -Dcheck=fast verify it. */
enum lock_rank {
    LOCK_ACCOUNTS, /* what is allocated and freed, where nobody else's lock orders
                      it */
    LOCK_MAPPINGS, /* what a program has mapped itself */
    LOCK_NAMES,   /* the call tree that is being written, and what its nodes name */
    LOCK_CACHES,  /* the list of caches for objects of one kind */
    LOCK_HEAPS,   /* the list of abandoned heaps, and what is in them */
    LOCK_TAGS,    /* the system heap, where tags live */
    LOCK_OBJECTS, /* the large blocks of heap objects */
    LOCK_ARENAS,  /* which slots are free */
    LOCK_HUGE,    /* the table of huge blocks */
};

/* Zero-initialised but for the rank: unlocked. */
struct lock {
    _Atomic uint32_t word; /* 0 free, 1 held, 2 held and somebody may be waiting */
    enum lock_rank rank;
};

/* This thread holds all locks, for it is in fork(): what it takes or releases until
   it says otherwise, in handlers of others, it has already. */
extern __thread bool lock_holds_all
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

void lock_take(struct lock *lock);
bool lock_try(
    struct lock *lock); /* for its failure to matter to nobody: any rank */
void lock_release(struct lock *lock);

/* Unlock whoever held it: a forked child is alone, and its holder is gone. */
void lock_reset(struct lock *lock);

#endif
