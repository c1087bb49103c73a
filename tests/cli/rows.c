/* SPDX-License-Identifier: MIT */
/* rows.c - what <heapglass/ledger.h> tells of one ledger or two, for
 * test_public.py. */
#include "heapglass/ledger.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(hg_status status, const hg_ledger_error *why)
{
    if (status == HG_OK)
        return;
    fprintf(stderr, "%d: %s\n", status, why->text);
    exit(EXIT_FAILURE);
}

static hg_ledger *open_ledger(const char *name)
{
    hg_ledger *ledger = NULL;
    hg_ledger_error why;
    bool is_pid = name[strspn(name, "0123456789")] == '\0';
    check(is_pid ? hg_ledger_open_pid((int32_t)atoi(name), 0, &ledger, &why)
                 : hg_ledger_open(name, 0, &ledger, &why),
          &why);
    return ledger;
}

static void print_amount(hg_amount amount)
{
    printf("\t%" PRIu64 "\t%" PRIu64, amount.bytes, amount.blocks);
}

static void print_measure(const char *title, const hg_measure *measure)
{
    fputs(title, stdout);
    print_amount(measure->live);
    print_amount(measure->peak);
    print_amount(measure->total);
}

static void print_place(const hg_place *place)
{
    printf("%s\t%" PRId64 "\t%s", place->file != NULL ? place->file : "",
           place->line, place->function != NULL ? place->function : "");
}

static void print_rows(const hg_rows *rows, bool growth)
{
    hg_place frames[200];
    hg_row row;
    for (size_t i = 0; hg_rows_get(rows, i, &row) == HG_OK; i++) {
        fputs("row\t", stdout);
        print_place(&row.place);
        printf("\t%s\t%d", row.domain != NULL ? row.domain : "",
               (int)row.thread_slot);
        if (growth)
            print_measure("", &row.before);
        print_measure("", &row.now);
        putchar('\n');
        size_t depth = hg_rows_stack(rows, i, frames, 200);
        for (size_t f = 0; f < depth; f++) {
            fputs("frame\t", stdout);
            print_place(&frames[f]);
            putchar('\n');
        }
    }
}

/* rows BY LEDGER [LEDGER]: the rows of one, by what it held live; or what grew. */
int main(int argc, char **argv)
{
    hg_ledger_error why;
    hg_measure totals;
    hg_process process;
    hg_rows *rows = NULL;
    enum hg_by by = (enum hg_by)atoi(argv[1]);
    bool growth = argc > 3;
    hg_ledger *first = open_ledger(argv[2]);
    hg_ledger *second = growth ? open_ledger(argv[3]) : NULL;

    check(growth ? hg_ledger_growth(first, second, by, SIZE_MAX, &rows, &why)
                 : hg_ledger_rows(first, by, HG_LIVE, SIZE_MAX, &rows, &why),
          &why);
    hg_ledger_totals(growth ? second : first, &totals);
    print_measure("totals", &totals);
    putchar('\n');
    for (size_t i = 0; hg_ledger_process(first, i, &process) == HG_OK; i++)
        printf("process\t%d\t%s\t%s\t%d\t%" PRIu64 "\t%" PRIu64 "\t%zu\n",
               (int)process.pid, process.state, process.command,
               process.exit_status, process.live_bytes, process.peak_bytes,
               hg_ledger_samples(first, i));
    print_rows(rows, growth);
    hg_rows_free(rows);
    hg_ledger_close(first);
    hg_ledger_close(second);
    return EXIT_SUCCESS;
}
