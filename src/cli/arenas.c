/* SPDX-License-Identifier: MIT */
/* arenas.c - `heapglass arenas`: how full the heap is, and what keeps it. */
#include "report/arenas.h"

#include "analyze/heap_find.h"
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
    "ledger; without a name, the newest ledger is meant.  PID needs none: then\n"
    "lines are not known.\n"
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

static bool put(const struct options *options, const struct ledger_copy *copy,
                const struct occupancy *occupancy)
{
    const struct picture picture = {copy, occupancy};
    if (options->output != NULL && !replace_by(options->output, draw, &picture))
        return false;
    if (options->json)
        arenas_json(stdout, copy, occupancy);
    else if (options->output == NULL)
        arenas_text(stdout, copy, occupancy, page_wants_colour(stdout));
    return finish_output();
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
    bool done = put(options, copy, &occupancy);
    occupancy_drop(&occupancy);
    return done;
}

/* A heap that was found: only the largest one of a process is shown. */
struct found {
    const struct peer *peer;
    struct ledger_copy copy; /* says no more than which program it is */
    struct occupancy occupancy;
    hg_status status; /* HG_OK with no arenas: there is no heap */
    int error;
};

static void take_found(void *arg, uint64_t at)
{
    struct found *found = arg;
    struct occupancy occupancy;
    found->copy.header.heap.anatomy = at;
    hg_status status = occupancy_take(found->peer, &found->copy, &occupancy);
    if (status == HG_OK && occupancy.resident > found->occupancy.resident) {
        occupancy_drop(&found->occupancy);
        found->occupancy = occupancy;
        return;
    }
    if (status == HG_OK)
        occupancy_drop(&occupancy);
    else if (status != HG_ECORRUPT)
        found->status = status;
}

static void find(struct found *found)
{
    struct regions regions;
    found->status = regions_read(found->peer, &regions);
    found->error = errno;
    if (found->status != HG_OK)
        return;
    found->error = heap_find_all(found->peer, &regions, take_found, found);
    if (found->error != 0)
        found->status = HG_EIO;
    regions_drop(&regions);
}

/* Of a process that keeps no ledger, but may have a heap of ours. */
static bool show_without_ledger(const struct options *options, pid_t pid)
{
    struct found found = {.status = HG_OK};
    struct peer peer;
    char command[4096];
    if (peer_open(&peer, pid) != HG_OK) {
        if (errno == ENOENT || errno == ESRCH)
            say(options->name, "there is no such process; \"heapglass list\" shows "
                               "those that keep a ledger");
        else
            say(options->name,
                "may not be looked at: %s; ask as its user, or as root",
                strerror(errno));
        return false;
    }
    peer_command(&peer, command, sizeof command);
    found.peer = &peer;
    found.copy.header.pid = pid;
    found.copy.header.command.bytes = (uint32_t)strlen(command);
    found.copy.strings = slice_of(command);
    find(&found);
    peer_close(&peer);
    bool done = found.occupancy.arena_count > 0;
    if (done) {
        done = put(options, &found.copy, &found.occupancy);
    } else if (found.status != HG_OK) {
        errno = found.error;
        say_why(options->name, found.status);
    } else {
        say(options->name, "keeps no ledger, and has no heap of Heapglass; "
                           "\"heapglass list\" shows those that keep one");
    }
    occupancy_drop(&found.occupancy);
    return done;
}

/* Whether it was the id of a process without a ledger, and so the end of it. */
static bool is_without_ledger(const struct options *options, int *status)
{
    pid_t pid = options->name != NULL ? subject_pid(options->name) : 0;
    if (pid == 0)
        return false;
    char *ledger = subject_ledger_of(pid);
    if (ledger == NULL)
        *status = show_without_ledger(options, pid) ? DONE : COULD_NOT;
    bool none = ledger == NULL;
    free(ledger);
    return none;
}

int command_arenas(int argc, char **argv)
{
    struct options options = {NULL, NULL, false};
    const struct gather_options how = {.parts = LEDGER_PART_TIMELINE};
    struct gathering one;
    struct ledger_copy *copy;
    struct ledger_fault fault;
    int status = parse(argc, argv, &options);
    if (status >= 0 || is_without_ledger(&options, &status))
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
