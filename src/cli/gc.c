/* SPDX-License-Identifier: MIT */
/* gc.c - `heapglass gc`: what the interpreter's collector did. */
#include "analyze/order.h"
#include "cli/ask.h"
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
    "       heapglass gc PID --collect [--trim] [options]\n"
    "\n"
    "Show what Python's own garbage collector did: how often each generation ran, "
    "for\n"
    "how long the program stood still, which collections found nothing, and which "
    "lines\n"
    "and types made the cyclic garbage.  Child processes are summed.\n"
    "\n"
    "  --collect      have the running program make a full collection, and show "
    "what "
    "it\n"
    "                 freed; the program notices nothing else\n"
    "  --trim         and then give back to the system what is free\n"
    "  --top N        lines and types to show; \"all\" for all (default: 10)\n"
    "  --json         all, for programs: see docs/json.md\n"
    "  --no-children  this process alone\n"
    "  --help         this text\n";

struct options {
    const char *name;
    bool json;
    bool children;
    bool collect;
    bool trim;
    uint64_t top;
};

enum { OPT_TOP = 256, OPT_JSON, OPT_ALONE, OPT_COLLECT, OPT_TRIM };

static const struct option longs[] = {
    {"top", required_argument, NULL, OPT_TOP},
    {"json", no_argument, NULL, OPT_JSON},
    {"collect", no_argument, NULL, OPT_COLLECT},
    {"trim", no_argument, NULL, OPT_TRIM},
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
        case OPT_COLLECT:
            options->collect = true;
            break;
        case OPT_TRIM:
            options->trim = true;
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
    if (options->trim && !options->collect) {
        say(argv[0], "--trim goes with --collect; see \"heapglass gc --help\"");
        return MISUSED;
    }
    if (options->collect && options->name == NULL) {
        say(argv[0], "--collect needs a PID; \"heapglass list\" shows the programs "
                     "that run");
        return MISUSED;
    }
    return -1;
}

static bool show(const struct options *options, const struct gathering *family,
                 const struct table *table, const struct ledger_answer *answer)
{
    struct collector collector;
    struct collections what = {.family = family,
                               .collector = &collector,
                               .table = table,
                               .top = options->top,
                               .answer = answer,
                               .trimmed = options->trim};
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

/* Report, of one process, what came of a collection that it was asked for. */
static bool collect(const struct options *options, struct gather_options *how)
{
    struct gathering before;
    struct gathering after;
    struct ledger_answer answer;
    bool done = false;

    const struct gather_options first = {.parts = LEDGER_PART_COLLECTOR};
    if (!subject_gather_accounts(options->name, &first, &before))
        return false;
    const struct process *process = &before.processes[0];
    const struct ledger_header *header = &process->copy->header;
    if (process->fate != FATE_RUNNING || header->state != LEDGER_RUNNING)
        say(options->name, "does not run; \"heapglass list\" shows those that do");
    else if (!ledger_is_traced(header))
        say(options->name,
            "is not watched, so it hears nothing; run it without --untraced");
    else if (ask_program(process,
                         LEDGER_COLLECT | (options->trim ? LEDGER_TRIM : 0),
                         &answer)) {
        how->children = false;
        how->since = process->copy;
        if (subject_gather_accounts(process->path, how, &after)) {
            done = show(options, &after, how->table, &answer);
            gathering_drop(&after);
        }
    }
    gathering_drop(&before);
    return done;
}

static bool report(const struct options *options, const struct gather_options *how)
{
    struct gathering family;
    if (!subject_gather_accounts(options->name, how, &family))
        return false;
    bool done = show(options, &family, how->table, NULL);
    gathering_drop(&family);
    return done;
}

int command_gc(int argc, char **argv)
{
    struct options options = {.children = true, .top = 10};
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
    bool done = options.collect ? collect(&options, &how) : report(&options, &how);
    table_free(how.table);
    return done ? DONE : COULD_NOT;
}
