/* SPDX-License-Identifier: MIT */
/* plot.c - `heapglass plot`: memory over time, as a picture. */
#include "report/plot.h"

#include "cli/command.h"
#include "cli/options.h"
#include "cli/replace.h"
#include "cli/subject.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "usage: heapglass plot [FILE|PID...] [-o out.svg]\n"
    "\n"
    "Draw memory over time: what is resident, what the allocator holds, what is\n"
    "live, the peak, and collections of the garbage collector.  FILE is a ledger,\n"
    "PID a running program; without either, the newest ledger is meant.  Several\n"
    "are drawn below each other, and so are child processes.  The picture is SVG,\n"
    "for a browser.\n"
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

static int parse(int argc, char **argv, struct options *options)
{
    const struct option_known known[] = {
        {"output", 'o', OPTION_TEXT, &options->output, 0},
        {"no-children", 0, OPTION_OFF, &options->children, 0},
        {0},
    };
    int status = options_read(argc, argv, known, help);
    if (status >= 0)
        return status;
    if (options->output == NULL && isatty(STDOUT_FILENO)) {
        say(argv[0],
            "a picture is nothing for a terminal; name a file with -o out.svg");
        return MISUSED;
    }
    options->names = &argv[optind];
    options->count = argc > optind ? (size_t)(argc - optind) : 1;
    return -1;
}

struct picture {
    const struct gathering *families;
    size_t count;
};

static void draw(FILE *out, const void *what)
{
    const struct picture *picture = what;
    plot_svg(out, picture->families, picture->count);
}

static bool show(const char *path, const struct picture *picture)
{
    if (path != NULL)
        return replace_by(path, draw, picture);
    draw(stdout, picture);
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
    if (count == options.count &&
        show(options.output, &(struct picture){families, count}))
        status = DONE;
    while (count > 0)
        gathering_drop(&families[--count]);
    free(families);
    return status;
}
