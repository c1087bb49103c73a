/* SPDX-License-Identifier: MIT */
/* map.c - `heapglass map`: where the memory of a process is. */
#include "report/map.h"

#include "cli/command.h"
#include "cli/options.h"
#include "cli/subject.h"
#include "report/facts.h"
#include "report/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: heapglass map [PID|FILE] [--json]\n"
    "\n"
    "Show where the resident memory of a running process is, in parts that sum to\n"
    "it: the heap and what is in it, code, static data, stacks, files and so on.\n"
    "The program is not stopped.  PID may be any process of yours; FILE is a\n"
    "ledger; without either, the newest ledger is meant.  Shared memory that\n"
    "nobody uses any more is named below.\n"
    "\n"
    "  --json  for programs: see docs/json.md\n"
    "  --help  this text\n";

struct options {
    const char *name;
    bool json;
};

static int parse(int argc, char **argv, struct options *options)
{
    const struct option_known known[] = {
        {"json", 0, OPTION_ON, &options->json, 0},
        {0},
    };
    return options_read_one(argc, argv, known, help, "process", &options->name);
}

static bool print(const struct options *options, const struct map_report *report)
{
    if (options->json)
        map_json(stdout, report);
    else
        map_text(stdout, report, page_wants_colour(stdout));
    return finish_output();
}

static bool show_running(const struct options *options, pid_t pid,
                         const struct process *process)
{
    char who[32];
    char command[4096];
    struct peer peer;
    struct memory_map map;
    snprintf(who, sizeof who, "%d", (int)pid);
    hg_status status = peer_open(&peer, pid);
    if (status == HG_OK) {
        peer_command(&peer, command, sizeof command);
        status = memory_map_take(&peer, process ? &process->copy->header : NULL,
                                 process ? process->path : NULL, &map);
        int error = errno;
        peer_close(&peer);
        errno = error;
    }
    if (status == HG_ENOMEM) {
        say("memory", "there is none left");
        return false;
    }
    if (status != HG_OK) {
        if (errno == ENOENT || errno == ESRCH)
            say(who, "there is no such process; \"heapglass list\" shows those "
                     "that keep a ledger");
        else
            say(who, "may not be looked at: %s; ask as its user, or as root",
                strerror(errno));
        return false;
    }
    const struct map_report report = {
        .pid = pid,
        .command = command,
        .copy = process != NULL ? process->copy : NULL,
        .map = &map,
    };
    bool done = print(options, &report);
    memory_map_drop(&map);
    return done;
}

static bool show_ended(const struct options *options, const struct process *process)
{
    const struct ledger_copy *copy = process->copy;
    struct memory_map map = {.rss = 0};
    char *command = facts_command(copy);
    uint32_t samples = copy->sample_count;
    struct map_report report = {
        .pid = copy->header.pid,
        .command = command != NULL ? command : "(unknown)",
        .copy = copy,
        .map = &map,
        .ended = true,
        .rss = facts_rss_bytes(process),
        .held = samples > 0 ? copy->samples[samples - 1].held_bytes : 0,
        .live = ledger_live_bytes(&copy->header),
    };
    bool done = false;
    if (memory_map_left(&map) != HG_OK)
        say("memory", "there is none left");
    else
        done = print(options, &report);
    memory_map_drop(&map);
    free(command);
    return done;
}

static bool show_ledger(const struct options *options, const char *name)
{
    const struct gather_options how = {.parts = LEDGER_PART_TIMELINE};
    struct gathering one;
    if (!subject_gather(name, &how, &one))
        return false;
    const struct process *process = &one.processes[0];
    bool done;
    if (fate_is_open(process->fate) &&
        process->copy->header.state != LEDGER_SNAPSHOT)
        done = show_running(options, process->copy->header.pid, process);
    else
        done = show_ended(options, process);
    gathering_drop(&one);
    return done;
}

int command_map(int argc, char **argv)
{
    struct options options = {NULL, false};
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;
    pid_t pid = options.name != NULL ? subject_pid(options.name) : 0;
    char *ledger = pid != 0 ? subject_ledger_of(pid) : NULL;
    bool done;
    if (pid != 0 && ledger == NULL)
        done = show_running(&options, pid, NULL);
    else
        done = show_ledger(&options, ledger != NULL ? ledger : options.name);
    free(ledger);
    return done ? DONE : COULD_NOT;
}
