/* SPDX-License-Identifier: MIT */
/* trim.c - `heapglass trim`: a running program gives back what is free. */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/subject.h"
#include "report/human.h"

#include <getopt.h>
#include <stdio.h>

static const char help[] =
    "usage: heapglass trim PID|FILE\n"
    "\n"
    "Let a running program give the free memory of its heap back to the system at\n"
    "once: whole pools, single pages inside pools, and mappings that it keeps for\n"
    "the next.  Other threads' pools follow when these need memory.  A program\n"
    "that sleeps does so when it wakes.\n"
    "\n"
    "  --help  this text\n";

static bool trim(const char *name)
{
    const struct gather_options how = {.parts = LEDGER_PART_TIMELINE};
    struct gathering one;
    struct ledger_answer answer;
    bool done = false;

    if (!subject_gather_accounts(name, &how, &one))
        return false;
    const struct process *process = &one.processes[0];
    if (ask_program(name, process, LEDGER_TRIM, &answer)) {
        char given[HUMAN_BYTES], before[HUMAN_BYTES], after[HUMAN_BYTES];
        printf("%s given back; resident %s, was %s\n",
               human_size(given, answer.given_bytes),
               human_size(after, answer.rss_after_bytes),
               human_size(before, answer.rss_before_bytes));
        done = finish_output();
    }
    gathering_drop(&one);
    return done;
}

int command_trim(int argc, char **argv)
{
    const struct option_known none[] = {{0}};
    int status = options_read(argc, argv, none, help);
    if (status >= 0)
        return status;
    if (argc - optind != 1) {
        say(argv[0], "name one running program; \"heapglass list\" shows them");
        return MISUSED;
    }
    return trim(argv[optind]) ? DONE : COULD_NOT;
}
