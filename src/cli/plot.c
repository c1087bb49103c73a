/* SPDX-License-Identifier: MIT */
/* plot.c - `heapglass plot`: memory over time, as a picture. */
#include "report/plot.h"

#include "cli/command.h"
#include "cli/replace.h"
#include "cli/subject.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: heapglass plot [FILE|PID...] [-o out.svg]\n"
    "\n"
    "Draw memory over time: what is resident, what the allocator holds, what is "
    "live,\n"
    "the peak, and collections of the garbage collector.  FILE is a ledger, PID a\n"
    "running program; without either, the newest ledger is meant.  Several are "
    "drawn\n"
    "below each other, and so are child processes.  The picture is SVG, for a "
    "browser.\n"
    "\n"
    "  -o FILE        where it goes (default: standard output)\n"
    "  --no-children  these processes alone\n"
    "  --help         this text\n";

struct options {
    char **names; /* ended by NULL */
    size_t count; /* at least 1: the newest one then, names[0] == NULL */
    const char *output;
    bool children;
};

enum { OPT_ALONE = 256 };

static const struct option longs[] = {
    {"output", required_argument, NULL, 'o'},
    {"no-children", no_argument, NULL, OPT_ALONE},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    int option;
    while ((option = getopt_long(argc, argv, ":o:h", longs, NULL)) != -1) {
        switch (option) {
        case 'o':
            options->output = optarg;
            break;
        case OPT_ALONE:
            options->children = false;
            break;
        case 'h':
            return show_help(help);
        default:
            say_bad_option(argv, option);
            return MISUSED;
        }
    }
    if (options->output == NULL && isatty(STDOUT_FILENO)) {
        say(argv[0],
            "a picture is nothing for a terminal; name a file with -o out.svg");
        return MISUSED;
    }
    options->names = &argv[optind];
    options->count = argc > optind ? (size_t)(argc - optind) : 1;
    return -1;
}

static bool write_file(const char *path, const struct gathering *families,
                       size_t count)
{
    struct replacement replacement;
    if (!replace_is_no_ledger(path) || !replace_open(&replacement, path))
        return false;
    FILE *out = fdopen(dup(replacement.fd), "w");
    if (out != NULL) {
        plot_svg(out, families, count);
        bool written = fflush(out) == 0 && !ferror(out);
        if (fclose(out) == 0 && written)
            return replace_commit(&replacement);
    }
    replace_abandon(&replacement, errno);
    return false;
}

static bool show(const char *path, const struct gathering *families, size_t count)
{
    if (path != NULL)
        return write_file(path, families, count);
    plot_svg(stdout, families, count);
    return finish_output();
}

int command_plot(int argc, char **argv)
{
    struct options options = {.children = true};
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;

    const struct gather_options how = {
        .children = options.children,
        .parts = LEDGER_PART_TIMELINE,
    };
    /* NOLINTNEXTLINE(clang-analyzer-optin.portability.*): it is not 0 */
    struct gathering *families = calloc(options.count, sizeof *families);
    size_t count = 0;
    if (families == NULL) {
        say("memory", "there is none left");
        return COULD_NOT;
    }
    while (count < options.count &&
           subject_gather_accounts(options.names[count], &how, &families[count]))
        count++;
    status = COULD_NOT;
    if (count == options.count && show(options.output, families, count))
        status = DONE;
    while (count > 0)
        gathering_drop(&families[--count]);
    free(families);
    return status;
}
