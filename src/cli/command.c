/* SPDX-License-Identifier: MIT */
/* command.c - see command.h */
#include "cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void say(const char *thing, const char *format, ...)
{
    char *what = NULL;
    char *line = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&what, format, arguments) < 0)
        what = NULL;
    va_end(arguments);
    if (thing[0] == '\0')
        thing = "\"\"";
    if (what != NULL && asprintf(&line, "heapglass: %s: %s", thing, what) >= 0) {
        /* One line, whatever the name of a file holds. */
        for (char *at = line; *at != '\0'; at++)
            if ((unsigned char)*at < ' ' || *at == 0x7f)
                *at = '?';
        /* Where files are limited, a line too many is no reason to be killed. */
        void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
        fprintf(stderr, "%s\n", line);
        signal(SIGXFSZ, before);
        free(line);
    }
    free(what);
}

void say_bad_option(char **argv, int returned)
{
    const char *command = argv[0];
    const char *last = argv[optind - 1];
    bool is_long = strncmp(last, "--", 2) == 0;
    if (returned == ':')
        say(command, "%s needs a value; see \"heapglass %s --help\"", last,
            command);
    else if (is_long)
        say(command, "there is no option %s; see \"heapglass %s --help\"", last,
            command);
    else
        say(command, "there is no option -%c; see \"heapglass %s --help\"", optopt,
            command);
}

bool finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    say("standard output", "cannot be written: %s", strerror(errno));
    return false;
}

int show_help(const char *text)
{
    fputs(text, stdout);
    return finish_output() ? DONE : COULD_NOT;
}
