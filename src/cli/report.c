/* SPDX-License-Identifier: MIT */
/* report.c - `heapglass report`: who held memory. */
#include "report/report.h"

#include "analyze/order.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/subject.h"
#include "report/page.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: heapglass report [FILE|PID] [options]\n"
    "\n"
    "Show who holds, or held, a program's memory.  FILE is a ledger, PID a\n"
    "running program; without either, the newest ledger is meant.  Child\n"
    "processes are summed.\n"
    "\n"
    "  --by WHAT      line (default), function, file, stack, thread or domain\n"
    "  --live         what is held now, or was when the interpreter began to\n"
    "                 finalize\n"
    "  --peak         what was held when the program held most\n"
    "  --total        all that was ever allocated, live or not\n"
    "                 (default: --live while it runs, --peak afterwards)\n"
    "  --top N        rows to show; \"all\" for all (default: 20)\n"
    "  --json         all rows, for programs: see docs/json.md\n"
    "  --no-children  this process alone\n"
    "  --help         this text\n";

struct options {
    const char *name;
    enum table_by by;
    int moment; /* enum moment; MOMENTS: none was chosen */
    bool json;
    bool children;
    uint64_t top;
};

static int parse(int argc, char **argv, struct options *options)
{
    const struct option_known known[] = {
        {"by", 0, OPTION_BY, &options->by, BY_DOMAIN},
        {"live", 0, OPTION_PICK, &options->moment, MOMENT_LIVE},
        {"peak", 0, OPTION_PICK, &options->moment, MOMENT_PEAK},
        {"total", 0, OPTION_PICK, &options->moment, MOMENT_TOTAL},
        {"top", 0, OPTION_COUNT, &options->top, 0},
        {"json", 0, OPTION_ON, &options->json, 0},
        {"no-children", 0, OPTION_OFF, &options->children, 0},
        {0},
    };
    return options_read_one(argc, argv, known, help, "ledger", &options->name);
}

static bool show(const struct options *options, const struct gathering *family,
                 const struct table *table)
{
    struct report report = {
        .family = family,
        .table = table,
        .moment = options->moment != MOMENTS ? (enum moment)options->moment
                                             : report_default_moment(family),
        .top = options->top,
    };
    struct table_row *rows = table_rows(table, &report.count);
    if (rows == NULL) {
        say(family->processes[0].path, "needs more memory than there is");
        return false;
    }
    order_by_moment(table, rows, report.count,
                    options->json ? SIZE_MAX : report.top, report.moment);
    report.rows = rows;
    if (options->json)
        report_json(stdout, &report);
    else
        report_text(stdout, &report, page_wants_colour(stdout));
    free(rows);
    return finish_output();
}

int command_report(int argc, char **argv)
{
    struct options options = {.moment = MOMENTS, .children = true, .top = 20};
    struct gathering family;
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;

    struct gather_options how = {
        .children = options.children,
        .parts = LEDGER_PART_ACCOUNTS | LEDGER_PART_TIMELINE,
        .table = table_new(options.by),
    };
    if (how.table == NULL) {
        say("memory", "there is none left");
        return COULD_NOT;
    }
    status = COULD_NOT;
    if (subject_gather_accounts(options.name, &how, &family)) {
        if (show(&options, &family, how.table))
            status = DONE;
        gathering_drop(&family);
    }
    table_free(how.table);
    return status;
}
