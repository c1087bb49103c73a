/* SPDX-License-Identifier: MIT */
/* arenas.c - `heapglass arenas`: how full the heap is, and what keeps it. */
#include "report/arenas.h"

#include "cli/command.h"
#include "cli/options.h"
#include "cli/replace.h"
#include "cli/subject.h"
#include "ledger/fate.h"
#include "report/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: heapglass arenas [PID|FILE] [--json] [-o map.svg]\n"
    "\n"
    "Show how full the heap of a running program is, by size class and arena, and\n"
    "which lines keep pages that hold little else: how much would go back to the\n"
    "system if their blocks went.  The program is not stopped.  FILE is its\n"
    "ledger; without a name, the newest ledger is meant.\n"
    "\n"
    "  -o FILE  draw all arenas, as SVG\n"
    "  --json   for programs: see docs/json.md\n"
    "  --help   this text\n";

struct options {
    const char *name;
    const char *output;
    bool json;
};

static int parse(int argc, char **argv, struct options *options)
{
    const struct option_known known[] = {
        {"output", 'o', OPTION_TEXT, &options->output, 0},
        {"json", 0, OPTION_ON, &options->json, 0},
        {0},
    };
    return options_read_one(argc, argv, known, help, "process", &options->name);
}

struct picture {
    const struct ledger_copy *copy;
    const struct occupancy *occupancy;
};

static void draw(FILE *out, const void *what)
{
    const struct picture *picture = what;
    arenas_svg(out, picture->copy, picture->occupancy);
}

static void say_why(const char *path, hg_status status)
{
    if (status == HG_ENOMEM)
        say("memory", "there is none left");
    else if (status == HG_EVERSION || status == HG_ECORRUPT)
        say(path,
            "its program runs with another Heapglass; use that one's command");
    else if (errno == EPERM || errno == EACCES)
        say(path, "the system forbids to look into its program; ask as root, or "
                  "with kernel.yama.ptrace_scope=0");
    else
        say(path, "its program cannot be looked into: %s", strerror(errno));
}

static bool show(const struct options *options, const char *path,
                 const struct ledger_copy *copy)
{
    struct peer peer;
    struct occupancy occupancy;
    hg_status status = peer_open(&peer, copy->header.pid);
    if (status == HG_OK) {
        status = occupancy_take(&peer, copy, &occupancy);
        int error = errno;
        peer_close(&peer);
        errno = error;
    }
    if (status != HG_OK) {
        say_why(path, status);
        return false;
    }
    const struct picture picture = {copy, &occupancy};
    bool done =
        options->output == NULL || replace_by(options->output, draw, &picture);
    if (done && options->json)
        arenas_json(stdout, copy, &occupancy);
    else if (done && options->output == NULL)
        arenas_text(stdout, copy, &occupancy, page_wants_colour(stdout));
    occupancy_drop(&occupancy);
    return done && finish_output();
}

int command_arenas(int argc, char **argv)
{
    struct options options = {NULL, NULL, false};
    const struct gather_options how = {.parts = LEDGER_PART_TIMELINE};
    struct gathering one;
    struct ledger_copy *copy;
    struct ledger_fault fault;
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;
    if (!subject_gather_accounts(options.name, &how, &one))
        return COULD_NOT;
    const struct process *process = &one.processes[0];
    status = COULD_NOT;
    /* Read by ourselves: tags name nodes as they are in the file. */
    if (!fate_is_open(process->fate) ||
        process->copy->header.state == LEDGER_SNAPSHOT) {
        say(process->path,
            "has ended, and its heap with it; only a running program "
            "has arenas to be seen");
    } else if (process->copy->header.heap.anatomy == 0) {
        say(process->path, "says nothing of its heap; run the program anew");
    } else if (ledger_copy_read(process->path, LEDGER_PART_ACCOUNTS, &copy,
                                &fault) != HG_OK) {
        say(process->path, "%s", fault.what);
    } else {
        status = show(&options, process->path, copy) ? DONE : COULD_NOT;
        ledger_copy_free(copy);
    }
    gathering_drop(&one);
    return status;
}
