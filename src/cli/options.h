/* SPDX-License-Identifier: MIT */
/* options.h - the options of a command, as a table. */
#ifndef HG_CLI_OPTIONS_H
#define HG_CLI_OPTIONS_H

#include <stdbool.h>

enum option_kind {
    OPTION_ON,    /* bool: set */
    OPTION_OFF,   /* bool: cleared */
    OPTION_PICK,  /* int: `value`; of several, the last one counts */
    OPTION_TEXT,  /* const char *: what follows; lent by argv */
    OPTION_COUNT, /* uint64_t: 0 to 10^9, or "all", which is UINT64_MAX */
    OPTION_BY,    /* enum table_by: "line" and so on, up to `value` */
};

struct option_known {
    const char *name; /* without its dashes; NULL ends the table */
    char letter;      /* or '\0' */
    enum option_kind kind;
    void *into; /* a variable of the kind's type, which holds the default */
    int value;
};

#define OPTIONS_MAX 16 /* in a table, with its end; --help needs no row */

/*
 * Read what comes before a command's operands, which begin at argv[optind] then.
 * argv[0] is the command's name.  -1: go on; else the exit status: help was shown,
 * or a line said what is wrong.
 */
int options_read(int argc, char **argv, const struct option_known *known,
                 const char *help);

/*
 * The same of a command that takes one operand or none, which is NULL then.
 * `unit` is what it is: "ledger".
 */
int options_read_one(int argc, char **argv, const struct option_known *known,
                     const char *help, const char *unit, const char **operand);

#endif
