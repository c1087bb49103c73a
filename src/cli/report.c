/* SPDX-License-Identifier: MIT */
/* report.c - `heapglass report`: who held memory. */
#include "report/report.h"

#include "analyze/order.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/subject.h"
#include "report/page.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: heapglass report [FILE|PID] [options]\n"
    "\n"
    "Show who holds, or held, a program's memory.  FILE is a ledger, PID a "
    "running\n"
    "program; without either, the newest ledger is meant.  Child processes are "
    "summed.\n"
    "\n"
    "  --by WHAT      line (default), function, file, stack, thread or domain\n"
    "  --live         what is held now, or was when the interpreter began to "
    "finalize\n"
    "  --peak         what was held when the program held most\n"
    "  --total        all that was ever allocated, live or not\n"
    "                 default: --live while it runs, --peak afterwards\n"
    "  --top N        rows to show; \"all\" for all (default: 20)\n"
    "  --json         all rows, for programs: see docs/json.md\n"
    "  --no-children  this process alone\n"
    "  --help         this text\n";

struct options {
    const char *name;
    enum table_by by;
    enum moment moment;
    bool moment_chosen;
    bool json;
    bool children;
    uint64_t top;
};

enum { OPT_BY = 256, OPT_LIVE, OPT_PEAK, OPT_TOTAL, OPT_TOP, OPT_JSON, OPT_ALONE };

static const struct option longs[] = {
    {"by", required_argument, NULL, OPT_BY},
    {"live", no_argument, NULL, OPT_LIVE},
    {"peak", no_argument, NULL, OPT_PEAK},
    {"total", no_argument, NULL, OPT_TOTAL},
    {"top", required_argument, NULL, OPT_TOP},
    {"json", no_argument, NULL, OPT_JSON},
    {"no-children", no_argument, NULL, OPT_ALONE},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    int option;
    while ((option = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
        switch (option) {
        case OPT_BY:
            if (!parse_by(argv[0], optarg, BY_DOMAIN, &options->by))
                return MISUSED;
            break;
        case OPT_LIVE:
        case OPT_PEAK:
        case OPT_TOTAL:
            options->moment = option == OPT_LIVE   ? MOMENT_LIVE
                              : option == OPT_PEAK ? MOMENT_PEAK
                                                   : MOMENT_TOTAL;
            options->moment_chosen = true;
            break;
        case OPT_TOP:
            if (!parse_count(argv[0], "--top", optarg, &options->top))
                return MISUSED;
            break;
        case OPT_JSON:
            options->json = true;
            break;
        case OPT_ALONE:
            options->children = false;
            break;
        case 'h':
            return show_help(help);
        default:
            say_bad_option(argv, option);
            return MISUSED;
        }
    }
    if (argc - optind > 1) {
        say(argv[0], "one ledger at a time; see \"heapglass report --help\"");
        return MISUSED;
    }
    options->name = argv[optind]; /* NULL at the end */
    return -1;
}

static bool show(const struct options *options, const struct gathering *family,
                 const struct table *table)
{
    struct report report = {
        .family = family,
        .table = table,
        .moment = options->moment_chosen ? options->moment
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
    struct options options = {.children = true, .top = 20};
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
