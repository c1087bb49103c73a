/* SPDX-License-Identifier: MIT */
/* fate.h - does the process behind a ledger live, and if not, how did it end? */
#ifndef HG_LEDGER_FATE_H
#define HG_LEDGER_FATE_H

#include "ledger/layout.h"

#include <stdbool.h>

enum fate {
    FATE_WAITING,      /* lives, but no interpreter has claimed the ledger yet */
    FATE_NOT_PYTHON,   /* ended, and none ever did */
    FATE_RUNNING,      /* or: it ran when this snapshot was taken */
    FATE_FINALIZING,   /* lives; its interpreter is on the way out */
    FATE_ENDED,        /* exit_status tells, if it is not -1 */
    FATE_EXITED_EARLY, /* by _exit(): no finalization */
    FATE_FINALIZED,    /* ended while its interpreter was on the way out */
    FATE_KILLED,       /* ended without a word: a signal, or out of memory */
    FATE_POWER_LOST,   /* the same, but the machine was started again since */
    FATE_REPLACED,     /* by another program, by exec */
};

/*
 * Asks /proc about the process: by pid, time of its start and boot, so that
 * another process that has the pid by now is not taken for it.
 */
enum fate ledger_fate(const struct ledger_header *header);

/* Does the process that has or had this ledger live? */
bool ledger_is_alive(const struct ledger_header *header);

/* Does this fate mean that accounts may still change? */
static inline bool fate_is_open(enum fate fate)
{
    return fate == FATE_WAITING || fate == FATE_RUNNING || fate == FATE_FINALIZING;
}

#endif
