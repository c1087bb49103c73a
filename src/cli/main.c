/* SPDX-License-Identifier: MIT */
/* main.c - `heapglass COMMAND`: finds the command. */
#include "cli/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: heapglass COMMAND [options]\n"
    "\n"
    "Run a program and see who holds its memory, while it runs and after.\n"
    "\n"
    "  run       run a program, with exact accounts    heapglass run app.py\n"
    "  report    who held memory: at the peak, now     heapglass report\n"
    "  gc        what Python's collector did           heapglass gc\n"
    "  plot      memory over time                      heapglass plot -o m.svg\n"
    "  snapshot  keep the accounts of this moment      heapglass snapshot -o a.hg\n"
    "  diff      what grew between two moments         heapglass diff a.hg b.hg\n"
    "  map       where a process's memory is           heapglass map 4711\n"
    "  arenas    how full its heap is, and what keeps  heapglass arenas 4711\n"
    "  trim      give free memory back at once         heapglass trim 4711\n"
    "  list      the programs that keep a ledger       heapglass list\n"
    "\n"
    "FILE is a ledger, PID a running program; without either, the newest ledger\n"
    "is meant.  Sizes are in bytes; 1 MiB is 1048576.  Reports go to standard\n"
    "output, the rest to standard error.  Exit status: 0 done, 1 could not, 2\n"
    "misused; \"heapglass run\" exits as the program did.  \"heapglass COMMAND\n"
    "--help\" explains a command, \"man heapglass\" the rest.\n";

static const struct {
    const char *name;
    int (*command)(int argc, char **argv);
} commands[] = {
    {"run", command_run},
    {"report", command_report},
    {"gc", command_gc},
    {"plot", command_plot},
    {"snapshot", command_snapshot},
    {"diff", command_diff},
    {"list", command_list},
    {"map", command_map},
    {"arenas", command_arenas},
    {"trim", command_trim},
};

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name == NULL) {
        fputs(help, stderr);
        return MISUSED;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
        strcmp(name, "help") == 0)
        return show_help(help);
    if (strcmp(name, "--version") == 0)
        return show_help("heapglass " HG_VERSION "\n");
    opterr = 0; /* messages are ours: one line, with the remedy */
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].command(argc - 1, argv + 1);
    say(name, "there is no such command; see \"heapglass --help\"");
    return MISUSED;
}
