/* SPDX-License-Identifier: MIT */
/* diff.c - `heapglass diff`: what grew between two moments. */
#include "report/diff.h"

#include "analyze/growth.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/subject.h"
#include "report/facts.h"
#include "report/page.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: heapglass diff A B [options]\n"
    "\n"
    "Show what is live in B and was not in A, and the other way round.  A and B\n"
    "are ledgers, snapshots or the ids of running programs.  Of a program that\n"
    "has ended, live is what was held when its interpreter began to finalize.\n"
    "\n"
    "  --by WHAT      line (default), function, file or stack\n"
    "  --top N        rows to show; \"all\" for all (default: 20)\n"
    "  --json         all rows, for programs: see docs/json.md\n"
    "  --no-children  these processes alone\n"
    "  --help         this text\n";

struct options {
    const char *names[TABLE_SIDES];
    enum table_by by;
    bool json;
    bool children;
    uint64_t top;
};

static int parse(int argc, char **argv, struct options *options)
{
    const struct option_known known[] = {
        {"by", 0, OPTION_BY, &options->by, BY_STACK},
        {"top", 0, OPTION_COUNT, &options->top, 0},
        {"json", 0, OPTION_ON, &options->json, 0},
        {"no-children", 0, OPTION_OFF, &options->children, 0},
        {0},
    };
    int status = options_read(argc, argv, known, help);
    if (status >= 0)
        return status;
    if (argc - optind != TABLE_SIDES) {
        say(argv[0], "name two moments, A and B; see \"heapglass diff --help\"");
        return MISUSED;
    }
    for (int side = 0; side < TABLE_SIDES; side++)
        options->names[side] = argv[optind + side];
    return -1;
}

static bool gather_side(const struct options *options, enum table_side side,
                        struct table *table, struct gathering *out)
{
    const struct gather_options how = {
        .children = options->children,
        .parts = LEDGER_PART_ACCOUNTS | LEDGER_PART_TIMELINE,
        .table = table,
        .side = side,
    };
    if (!subject_gather_accounts(options->names[side], &how, out))
        return false;
    const struct ledger_copy *first = out->processes[0].copy;
    if (ledger_is_traced(&first->header))
        return true;
    struct slice without = facts_without(first);
    say(out->processes[0].path,
        "was run with %.*s, so nobody knows who held what; run it without",
        (int)without.bytes, without.at);
    gathering_drop(out);
    return false;
}

static bool show(const struct options *options, const struct table *table,
                 const struct gathering *a, const struct gathering *b)
{
    struct diff diff = {.sides = {a, b}, .table = table, .top = options->top};
    struct table_row *rows =
        growth_rows(table, options->json ? SIZE_MAX : diff.top, &diff.count);
    if (rows == NULL) {
        say("memory", "there is none left");
        return false;
    }
    diff.rows = rows;
    if (options->json)
        diff_json(stdout, &diff);
    else
        diff_text(stdout, &diff, page_wants_colour(stdout));
    free(rows);
    return finish_output();
}

int command_diff(int argc, char **argv)
{
    struct options options = {.children = true, .top = 20};
    struct gathering a;
    struct gathering b;
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;
    struct table *table = table_new(options.by);
    if (table == NULL) {
        say("memory", "there is none left");
        return COULD_NOT;
    }
    status = COULD_NOT;
    if (gather_side(&options, SIDE_A, table, &a)) {
        if (gather_side(&options, SIDE_B, table, &b)) {
            if (show(&options, table, &a, &b))
                status = DONE;
            gathering_drop(&b);
        }
        gathering_drop(&a);
    }
    table_free(table);
    return status;
}
