/* SPDX-License-Identifier: MIT */
/* trim.c - `heapglass trim`: a running program gives back what is free. */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/subject.h"
#include "report/human.h"

#include <getopt.h>
#include <stdio.h>

static const char help[] =
    "usage: heapglass trim PID|FILE\n"
    "\n"
    "Let a running program give the free memory of its heap back to the system at "
    "once:\n"
    "whole pools, single pages inside pools, and mappings that it keeps for the "
    "next.\n"
    "Other threads' pools follow when these need memory.  A program that sleeps "
    "does so\n"
    "when it wakes.\n"
    "\n"
    "  --help  this text\n";

static const struct option longs[] = {
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool trim(const char *name)
{
    const struct gather_options how = {.parts = LEDGER_PART_TIMELINE};
    struct gathering one;
    struct ledger_answer answer;
    bool done = false;

    if (!subject_gather_accounts(name, &how, &one))
        return false;
    const struct process *process = &one.processes[0];
    const struct ledger_header *header = &process->copy->header;
    if (process->fate != FATE_RUNNING || header->state != LEDGER_RUNNING) {
        say(name, "does not run; \"heapglass list\" shows those that do");
    } else if (!ledger_is_traced(header)) {
        say(name, "is not watched, so it hears nothing; run it without --untraced");
    } else if (ask_program(process, LEDGER_TRIM, &answer)) {
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
    int option;
    while ((option = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
        if (option == 'h')
            return show_help(help);
        say_bad_option(argv, option);
        return MISUSED;
    }
    if (argc - optind != 1) {
        say(argv[0], "name one running program; \"heapglass list\" shows them");
        return MISUSED;
    }
    return trim(argv[optind]) ? DONE : COULD_NOT;
}
