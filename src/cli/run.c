/* SPDX-License-Identifier: MIT */
/*
 * run.c - `heapglass run`: prepares everything and becomes the program.
 *
 * Whatever can be found wrong is found before the ledger is made and before the
 * program begins; what changes for the program is its environment, no more.
 */
#include "cli/command.h"
#include "cli/library.h"
#include "cli/placeholder.h"
#include "cli/program.h"
#include "cli/watchable.h"
#include "ledger/layout.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: heapglass run [options] [--] PROGRAM [ARG...]\n"
    "\n"
    "Run a program and keep exact accounts of its memory.  PROGRAM is app.py, -m\n"
    "module or -c code (for the python3 of the PATH), or any program: a Python by\n"
    "name or path, a script.  Its pid, streams, signals and exit status are its\n"
    "own.\n"
    "\n"
    "  -o FILE        where the ledger goes; without it, a folder of yours: see\n"
    "                 \"heapglass list\".  The ledgers of children are FILE.PID\n"
    "  --lines        account by line, not by whole stack: faster\n"
    "  --untraced     memory over time alone: fastest\n"
    "  --no-recycled  leave out objects that Python recycles itself: faster, less\n"
    "                 exact\n"
    "  --no-native    leave malloc alone: what extension modules take from it has\n"
    "                 no owner then\n"
    "  --native       watch programs that are no Python, too, by their call\n"
    "                 stacks\n"
    "  --no-children  this process alone\n"
    "  --hardened[=frees]\n"
    "                 find misuse of memory, at some cost: writing behind a block "
    "or\n"
    "                 to a freed one, freeing twice; say who allocated it, and "
    "abort.\n"
    "                 With \"=frees\": only wrong frees, at hardly any cost\n"
    "  --check-every N\n"
    "                 with --hardened: check the whole heap each N times that it "
    "has\n"
    "                 to look for room\n"
    "  --help         this text\n"
    "\n"
    "Exit status: the program's own; 127 if it was not found, 126 if it could not\n"
    "be executed, 125 if heapglass could not start it.\n";

struct options {
    const char *ledger;
    const char *mode;
    bool recycled;
    const char *native;
    bool children;
    const char *hardened;    /* HEAPGLASS_HARDENED; NULL: not */
    const char *check_every; /* NULL: never */
    char **program;
};

enum {
    OPT_LINES = 256,
    OPT_UNTRACED,
    OPT_NO_RECYCLED,
    OPT_NO_NATIVE,
    OPT_NATIVE,
    OPT_ALONE,
    OPT_HARDENED,
    OPT_CHECK_EVERY
};

static const struct option longs[] = {
    {"output", required_argument, NULL, 'o'},
    {"lines", no_argument, NULL, OPT_LINES},
    {"untraced", no_argument, NULL, OPT_UNTRACED},
    {"no-recycled", no_argument, NULL, OPT_NO_RECYCLED},
    {"no-native", no_argument, NULL, OPT_NO_NATIVE},
    {"native", no_argument, NULL, OPT_NATIVE},
    {"no-children", no_argument, NULL, OPT_ALONE},
    {"hardened", optional_argument, NULL, OPT_HARDENED},
    {"check-every", required_argument, NULL, OPT_CHECK_EVERY},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool is_count(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits < 10 && text[digits] == 0 &&
           strtoul(text, NULL, 10) > 0;
}

/* What the environment says of it; NULL: there is no such level. */
static const char *hardening(const char *level)
{
    if (level == NULL || strcmp(level, "full") == 0)
        return "1";
    return strcmp(level, "frees") == 0 ? level : NULL;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    int option;
    /* "+": options end where the program begins; -m and -c are of the program. */
    while ((option = getopt_long(argc, argv, "+:o:hm:c:", longs, NULL)) != -1) {
        switch (option) {
        case 'o':
            options->ledger = optarg;
            break;
        case OPT_LINES:
            options->mode = "lines";
            break;
        case OPT_UNTRACED:
            options->mode = "untraced";
            break;
        case OPT_NO_RECYCLED:
            options->recycled = false;
            break;
        case OPT_NO_NATIVE:
            options->native = "0";
            break;
        case OPT_NATIVE:
            options->native = "2";
            break;
        case OPT_ALONE:
            options->children = false;
            break;
        case OPT_HARDENED:
            options->hardened = hardening(optarg);
            if (options->hardened == NULL) {
                say(argv[0], "--hardened wants frees or full, not \"%s\"", optarg);
                return RUN_FAILED;
            }
            break;
        case OPT_CHECK_EVERY:
            if (!is_count(optarg)) {
                say(argv[0],
                    "--check-every wants a number from 1 to 999999999, not \"%s\"",
                    optarg);
                return RUN_FAILED;
            }
            options->check_every = optarg;
            break;
        case 'm':
        case 'c':
            /* The option itself is one back, or two if its value stands apart. */
            options->program = &argv[optind - (optarg == argv[optind - 1] ? 2 : 1)];
            return -1;
        case 'h':
            return show_help(help);
        default:
            say_bad_option(argv, option);
            return RUN_FAILED;
        }
    }
    options->program = &argv[optind];
    if (argv[optind] == NULL) {
        say(argv[0], "which program? See \"heapglass run --help\"");
        return RUN_FAILED;
    }
    return -1;
}

static bool is_consistent(const char *command, const struct options *options)
{
    if (options->check_every == NULL ||
        (options->hardened != NULL && strcmp(options->hardened, "frees") != 0))
        return true;
    say(command, "--check-every is for a hardened heap: %s",
        options->hardened == NULL ? "add --hardened"
                                  : "say --hardened, without \"=frees\"");
    return false;
}

static bool set_environment(const struct options *options, const char *ledger,
                            const char *library)
{
    char session[16];
    /* Of one length, so that no two runs of a program differ by a byte of it. */
    snprintf(session, sizeof session, "%010d", (int)getpid());
    const struct {
        const char *name;
        const char *value;
    } variables[] = {
        {"HEAPGLASS_LEDGER", ledger},
        {"HEAPGLASS_SESSION", session},
        {"HEAPGLASS_MODE", options->mode},
        {"HEAPGLASS_RECYCLED", options->recycled ? "1" : "0"},
        {"HEAPGLASS_NATIVE", options->native},
        {"HEAPGLASS_CHILDREN", options->children ? "1" : "0"},
        {"HEAPGLASS_HARDENED", options->hardened},
        {"HEAPGLASS_CHECK_EVERY", options->check_every},
    };
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (variables[i].value != NULL &&
            setenv(variables[i].name, variables[i].value, 1) != 0) {
            say(variables[i].name, "cannot be set: %s", strerror(errno));
            return false;
        }
    return library_preload(library);
}

/* What to do when exec fails, though the file is there and may be executed. */
static const char *remedy_for(int error)
{
    switch (error) {
    case ENOENT:
        return "the interpreter that it names is missing: install it, or name "
               "another";
    case ELOOP:
        return "its first line leads from script to script: name a program there";
    case E2BIG:
        return "give it fewer or shorter arguments";
    default:
        return "see whether it can be run without heapglass";
    }
}

/* Become the program: returns the exit status after having said why it cannot. */
static int become(struct program *program)
{
    execvp(program->argv[0], program->argv);
    int error = errno;
    say(program->path, "cannot be executed: %s; %s", strerror(error),
        remedy_for(error));
    return error == ENOENT ? RUN_NOT_FOUND : RUN_CANNOT_EXECUTE;
}

/* All that watching takes, then the program. */
static int become_watched(const struct options *options, struct program *program)
{
    char library[PATH_MAX];
    char ledger[PATH_MAX];
    bool every_program = strcmp(options->native, "2") == 0;
    if (!watchable_check(program->path, every_program) || !library_find(library) ||
        !placeholder_make(options->ledger, program->argv, ledger) ||
        !set_environment(options, ledger, library))
        return RUN_FAILED;
    int status = become(program);
    unlink(ledger);
    return status;
}

int command_run(int argc, char **argv)
{
    struct options options = {
        .mode = "stacks", .recycled = true, .native = "1", .children = true};
    struct program program;

    int status = parse(argc, argv, &options);
    if (status < 0 && !is_consistent(argv[0], &options))
        return RUN_FAILED;
    if (status < 0)
        status = program_find(options.program, &program);
    else
        return status;
    if (status != 0)
        return status;
    uint64_t limit = placeholder_limit();
    if (limit >= LEDGER_LEAST_BYTES) {
        status = become_watched(&options, &program);
    } else {
        say(program.path,
            "runs unwatched, for files are limited to %llu bytes and no ledger is "
            "so small; raise \"ulimit -f\"",
            (unsigned long long)limit);
        status = become(&program);
    }
    program_drop(&program);
    return status;
}
