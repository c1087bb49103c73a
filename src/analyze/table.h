/* SPDX-License-Identifier: MIT */
/* table.h - who held memory: the accounts of one or more ledgers, by line and so
 * on. */
#ifndef HG_ANALYZE_TABLE_H
#define HG_ANALYZE_TABLE_H

#include "analyze/keys.h"
#include "analyze/measure.h"
#include "analyze/strings.h"
#include "ledger/reader.h"

enum table_by {
    BY_LINE,
    BY_FUNCTION,
    BY_FILE,
    BY_STACK,
    BY_THREAD,
    BY_DOMAIN,
    TABLE_BYS,
};

/* "line", "function" and so on: as options and JSON have them. */
const char *table_by_name(enum table_by by);

/* Two sides, so that a diff is one table: every row has a measure on each. */
enum table_side { SIDE_A, SIDE_B, TABLE_SIDES };

/* One place in a program.  STRINGS_NONE: no Python frame, or not part of the key.
 */
struct place {
    uint32_t file;
    uint32_t function;
    uint32_t line; /* PLACE_NO_LINE: none; 0: the interpreter named none */
};
#define PLACE_NO_LINE UINT32_MAX

struct table_row {
    struct place place; /* of the innermost frame */
    uint32_t number;    /* names the row: see table_stack() and table_thread() */
    const struct measure *side[TABLE_SIDES];
};

/* Whom a row by thread is about. */
struct table_thread {
    int32_t pid;
    uint32_t slot; /* 0 is the thread that started first */
    uint32_t tid;  /* of the latest thread that had the slot; 0: none (see below) */
    uint32_t threads; /* how many had it, one after the other */
    bool alive;
    bool not_recorded; /* no thread: what the ledger had no room to tell apart */
};

struct table; /* one owner, one thread */

struct table *table_new(enum table_by by); /* or NULL */
void table_free(struct table *table);

/*
 * Add the accounts of a copy that was read with LEDGER_PART_ACCOUNTS.  Nothing of
 * the copy is kept.  What two ledgers have in common becomes one row: by its
 * names, not by its numbers.  On failure (HG_ENOMEM, HG_EFULL) the table can only
 * be freed.  Its cost grows with the number of nodes.
 */
struct accounts;
hg_status table_add(struct table *table, enum table_side side,
                    const struct ledger_copy *copy,
                    const struct accounts *accounts);

/*
 * All rows that are not zero on every side, in no order; their number goes to
 * *count.  NULL if there is no memory.  The array is the caller's, to be
 * free()d; it points into the table, which must not be added to meanwhile.
 */
struct table_row *table_rows(const struct table *table, size_t *count);

/* The sum of all rows of a side. */
const struct measure *table_sum(const struct table *table, enum table_side side);

enum table_by table_is_by(const struct table *table);
struct slice table_text(const struct table *table, uint32_t string);

/* The working folder of the program that named this file first; STRINGS_NONE:
 * unknown. */
uint32_t table_folder_of(const struct table *table, uint32_t file);

/*
 * By stack: copy the frames of a row to `into`, outermost first, at most `room`
 * of the innermost ones; returns how many there are in all.
 */
size_t table_stack(const struct table *table, uint32_t number, struct place *into,
                   size_t room);

/* The same, frame by frame: the innermost one of `*number`, which becomes its
 * caller. There are as many as table_stack() says. */
struct place table_frame(const struct table *table, uint32_t *number);

struct table_thread table_thread(const struct table *table, uint32_t number);

/* "obj", "mem", "raw", "malloc" or "mmap". */
const char *table_domain(const struct table *table, uint32_t number);

#endif
