/* SPDX-License-Identifier: MIT */
/*
 * growth.c - the ten lines that grew the most between two moments of a program.
 *
 *     heapglass run server.py &
 *     cc growth.c $(pkg-config --cflags --libs heapglass-ledger) -o growth
 *     ./growth $! 60
 *
 * Opening a ledger copies it, so two that were opened a minute apart are two
 * moments of one program; it is not held up meanwhile, and need not know of us.
 */
#include <heapglass/ledger.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 10 };

static void print_rows(const hg_rows *rows)
{
    hg_row row;
    size_t printed = 0;
    printf("%12s %10s  %s\n", "bytes", "blocks", "line");
    /* Rows come with the largest change first, be it growth or not. */
    for (size_t i = 0; hg_rows_get(rows, i, &row) == HG_OK; i++) {
        if (hg_row_growth(&row) <= 0)
            continue;
        printf("%+12" PRId64 " %+10" PRId64 "  ", hg_row_growth(&row),
               hg_row_growth_blocks(&row));
        if (row.place.file != NULL)
            printf("%s:%" PRId64 " ", row.place.file, row.place.line);
        printf("%s\n", row.place.function);
        printed++;
    }
    if (printed == 0)
        printf("%12s\n", "none grew");
}

static void print_summary(const hg_ledger *before, const hg_ledger *now)
{
    hg_process process;
    hg_measure then, today;
    hg_ledger_totals(before, &then);
    hg_ledger_totals(now, &today);
    /* Index 0, the process that was asked for, is always there. */
    if (hg_ledger_process(now, 0, &process) == HG_OK)
        printf("%s (%d, %s): %" PRIu64 " bytes live, %" PRIu64 " before\n",
               process.command, (int)process.pid, process.state, today.live.bytes,
               then.live.bytes);
}

/* Look twice; HG_OK, or why it could not be done. */
static hg_status watch(int32_t pid, unsigned seconds, hg_ledger_error *why)
{
    hg_ledger *before = NULL;
    hg_ledger *now = NULL;
    hg_rows *rows = NULL;
    hg_status status = hg_ledger_open_pid(pid, 0, &before, why);
    if (status == HG_OK) {
        sleep(seconds);
        status = hg_ledger_open_pid(pid, 0, &now, why);
    }
    if (status == HG_OK)
        status = hg_ledger_growth(before, now, HG_BY_LINE, ROWS, &rows, why);
    if (status == HG_OK) {
        print_summary(before, now);
        print_rows(rows);
    }
    hg_rows_free(rows); /* these three take NULL */
    hg_ledger_close(now);
    hg_ledger_close(before);
    return status;
}

int main(int argc, char **argv)
{
    hg_ledger_error why;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: growth PID [SECONDS]\n");
        return 2;
    }
    unsigned seconds = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 10;
    if (watch((int32_t)strtol(argv[1], NULL, 10), seconds, &why) != HG_OK) {
        fprintf(stderr, "growth: %s\n", why.text);
        return 1;
    }
    return 0;
}
