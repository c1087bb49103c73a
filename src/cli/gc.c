/* SPDX-License-Identifier: MIT */
/* gc.c - `heapglass gc`: what the interpreter's collector did. */
#include "analyze/order.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/subject.h"
#include "report/collections.h"
#include "report/page.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: heapglass gc [FILE|PID] [options]\n"
    "\n"
    "Show what Python's own garbage collector did: how often each generation ran, "
    "for\n"
    "how long the program stood still, which collections found nothing, and which "
    "lines\n"
    "and types made the cyclic garbage.  Child processes are summed.\n"
    "\n"
    "  --top N        lines and types to show; \"all\" for all (default: 10)\n"
    "  --json         all, for programs: see docs/json.md\n"
    "  --no-children  this process alone\n"
    "  --help         this text\n";

struct options {
    const char *name;
    bool json;
    bool children;
    uint64_t top;
};

enum { OPT_TOP = 256, OPT_JSON, OPT_ALONE };

static const struct option longs[] = {
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
        say(argv[0], "one ledger at a time; see \"heapglass gc --help\"");
        return MISUSED;
    }
    options->name = argv[optind]; /* NULL at the end */
    return -1;
}

static bool show(const struct options *options, const struct gathering *family,
                 const struct table *table)
{
    struct collector collector;
    struct collections what = {.family = family,
                               .collector = &collector,
                               .table = table,
                               .top = options->top};
    struct table_row *rows = table_rows(table, &what.count);
    if (rows == NULL || collector_work_out(family, &collector) != HG_OK) {
        free(rows);
        say(family->processes[0].path, "needs more memory than there is");
        return false;
    }
    order_by_moment(table, rows, what.count, options->json ? SIZE_MAX : what.top,
                    MOMENT_TOTAL);
    what.rows = rows;
    if (options->json)
        collections_json(stdout, &what);
    else
        collections_text(stdout, &what, page_wants_colour(stdout));
    free(rows);
    collector_drop(&collector);
    return finish_output();
}

int command_gc(int argc, char **argv)
{
    struct options options = {.children = true, .top = 10};
    struct gathering family;
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;

    struct gather_options how = {
        .children = options.children,
        .parts =
            LEDGER_PART_ACCOUNTS | LEDGER_PART_TIMELINE | LEDGER_PART_COLLECTOR,
        .table = table_new(BY_LINE),
        .garbage = true,
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
