/* SPDX-License-Identifier: MIT */
/* gc.c - `heapglass gc`: what the interpreter's collector did. */
#include "analyze/order.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/subject.h"
#include "report/collections.h"
#include "report/page.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: heapglass gc [FILE|PID] [options]\n"
    "       heapglass gc PID --collect [--trim] [options]\n"
    "\n"
    "Show what Python's own garbage collector did: how often each generation ran,\n"
    "for how long the program stood still, which collections found nothing, and\n"
    "which lines and types made the cyclic garbage.  Child processes are summed.\n"
    "\n"
    "  --collect      have the running program make a full collection, and show\n"
    "                 what it freed; the program notices nothing else\n"
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

static int parse(int argc, char **argv, struct options *options)
{
    const struct option_known known[] = {
        {"top", 0, OPTION_COUNT, &options->top, 0},
        {"json", 0, OPTION_ON, &options->json, 0},
        {"collect", 0, OPTION_ON, &options->collect, 0},
        {"trim", 0, OPTION_ON, &options->trim, 0},
        {"no-children", 0, OPTION_OFF, &options->children, 0},
        {0},
    };
    int status =
        options_read_one(argc, argv, known, help, "ledger", &options->name);
    if (status >= 0)
        return status;
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
    if (ask_program(options->name, process,
                    LEDGER_COLLECT | (options->trim ? LEDGER_TRIM : 0), &answer)) {
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
