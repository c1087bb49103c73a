/* SPDX-License-Identifier: MIT */
/* snapshot.c - `heapglass snapshot`: keeps the accounts of this moment. */
#include "ledger/snapshot.h"

#include "cli/command.h"
#include "cli/options.h"
#include "cli/replace.h"
#include "cli/subject.h"
#include "report/facts.h"

#include <errno.h>
#include <stdio.h>

static const char help[] =
    "usage: heapglass snapshot [FILE|PID] -o FILE\n"
    "\n"
    "Keep the accounts that a program has at this moment, packed into a file of\n"
    "their own, for \"heapglass diff\" and all other commands.  Of one process;\n"
    "without a name, of the newest ledger.  The program does not notice.\n"
    "\n"
    "  -o FILE  where it goes; only a ledger is overwritten\n"
    "  --help   this text\n";

struct options {
    const char *name;
    const char *output;
};

static int parse(int argc, char **argv, struct options *options)
{
    const struct option_known known[] = {
        {"output", 'o', OPTION_TEXT, &options->output, 0},
        {0},
    };
    int status =
        options_read_one(argc, argv, known, help, "ledger", &options->name);
    if (status < 0 && options->output == NULL) {
        say(argv[0], "say where it goes, with -o FILE");
        return MISUSED;
    }
    return status;
}

static bool write_snapshot(const struct process *process, const char *path)
{
    struct replacement replacement;
    bool lives = fate_is_open(process->fate);
    if (!replace_may_go(path) || !replace_open(&replacement, path))
        return false;
    if (ledger_snapshot_write(process->copy, lives ? facts_duration_ns(process) : 0,
                              replacement.fd) == HG_OK)
        return replace_commit(&replacement);
    replace_abandon(&replacement, errno);
    return false;
}

int command_snapshot(int argc, char **argv)
{
    struct options options = {NULL, NULL};
    struct gathering one;
    const struct gather_options how = {
        .parts =
            LEDGER_PART_ACCOUNTS | LEDGER_PART_TIMELINE | LEDGER_PART_COLLECTOR,
        .keep_accounts = true,
    };
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;
    if (!subject_gather_accounts(options.name, &how, &one))
        return COULD_NOT;
    status = write_snapshot(&one.processes[0], options.output) ? DONE : COULD_NOT;
    gathering_drop(&one);
    return status;
}
