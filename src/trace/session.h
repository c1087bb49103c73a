/* SPDX-License-Identifier: MIT */
/* session.h - one process's accounts from their beginning to their end. */
#ifndef HG_TRACE_SESSION_H
#define HG_TRACE_SESSION_H

#include "base/lock.h"
#include "ledger/tree.h"

#include <stdbool.h>
#include <sys/types.h>

/* What `heapglass run` asked for, by the environment. */
struct session_config {
    char path[PATH_MAX]; /* FILE: the ledger of the program that was started */
    pid_t started;       /* that program */
    enum ledger_mode mode;
    bool recycled;
    bool native;        /* malloc, too */
    bool every_program; /* not only interpreters */
    bool children;
};

struct session {
    struct session_config config;
    struct ledger ledger; /* of this process, while `active` */
    struct tree tree;
    pid_t pid;    /* the process that `ledger` belongs to */
    pid_t mended; /* the forked child whose locks a handler has put in order */
    bool active;  /* set before threads start; a forked child takes it over */
};

extern struct session session;

/* Guards `tree`, and what an adapter remembers of the names of its nodes.  Who only
   uses nodes that he knows does not need it. */
extern struct lock session_names;

/* What an adapter does for the session.  Set before session_start(). */
struct session_adapter {
    /* Collections of each generation so far; may be called by any thread. */
    void (*collections)(uint64_t counts[3]);
    /* Accounts are closed in this process: call the tracer no more. */
    void (*stopped)(void);
    /* Something is asked for: have it served at a safe point, with
       requests_begin().  False: not now.  Any thread; NULL: nobody serves. */
    bool (*asked)(void);
    /* Or NULL: see layout.h. */
    const struct ledger_chunks *chunks;
    /* A forked child begins: nothing that was remembered of threads is true. */
    void (*forked)(void);
    /* Call count(arg, tag, bytes) for what is held beside the heap; may be NULL. */
    void (*mappings)(void (*count)(void *arg, uint32_t tag, size_t bytes),
                     void *arg);
};
extern struct session_adapter session_adapter;

/* Read the environment.  False: nobody asked for accounts. */
bool session_configure(void);

/*
 * Claim a ledger for this process and start the accounts.  On failure nothing is
 * active, and one line on standard error says why, when this is the program that
 * the user started.
 */
hg_status session_start(void);

/*
 * To be called by the slow paths when book.nodes is NULL.  In a forked child it
 * starts the child's own ledger, counting what it inherited; true if accounts
 * are kept from now on.  The caller must hold no block that has no tag yet.
 */
bool session_awake(void);

/* In a forked child, by a handler of fork(): heap and book are in order.  Who finds
   himself in a child without it came by _Fork() or clone(). */
void session_forked(void);

/* The interpreter begins to finalize: close the accounts, keep what is live now. */
void session_finalize(void);

/* The process is about to end with `status`; `early`: by _exit(). */
void session_exit(int status, bool early);

/* This program cannot be watched; if its process was, its ledger says that it was
   replaced, and true is returned. */
bool session_replaced(void);

/* And if it is the one that the user started, tell him: it is `what`. */
void session_say_unwatched(const char *what);

/* For the header: texts that are known later than the start. */
void session_note_python(const char *version);
void session_note_stacks(const char *how);
void session_note_recycled(bool watched, const char *how);
void session_note_displaced(const char *what);

#endif
