/* SPDX-License-Identifier: MIT */
/* options.c - see options.h */
#include "cli/options.h"

#include "analyze/table.h"
#include "cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 1000000000u
#define FIRST_OPTION 256 /* what getopt_long() returns for the first of a table */

static bool read_by(const char *command, const char *text, enum table_by last,
                    enum table_by *by)
{
    char known[128] = "";
    for (enum table_by i = 0; i <= last; i++) {
        if (strcmp(text, table_by_name(i)) == 0) {
            *by = i;
            return true;
        }
        size_t bytes = strlen(known);
        snprintf(known + bytes, sizeof known - bytes, "%s%s",
                 i == 0      ? ""
                 : i == last ? " or "
                             : ", ",
                 table_by_name(i));
    }
    say(command, "--by wants %s, not \"%s\"", known, text);
    return false;
}

static bool read_count(const char *command, const char *option, const char *text,
                       uint64_t *count)
{
    char *end;
    if (strcmp(text, "all") == 0) {
        *count = UINT64_MAX;
        return true;
    }
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    bool is_number = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    if (!is_number || value > COUNT_MAX) {
        say(command, "--%s wants a number or \"all\", not \"%s\"", option, text);
        return false;
    }
    *count = value;
    return true;
}

/* False: `text` is no value for it, and a line said so. */
static bool take(const char *command, const struct option_known *option,
                 const char *text)
{
    switch (option->kind) {
    case OPTION_ON:
    case OPTION_OFF:
        *(bool *)option->into = option->kind == OPTION_ON;
        return true;
    case OPTION_PICK:
        *(int *)option->into = option->value;
        return true;
    case OPTION_TEXT:
        *(const char **)option->into = text;
        return true;
    case OPTION_COUNT:
        return read_count(command, option->name, text, option->into);
    case OPTION_BY:
        return read_by(command, text, (enum table_by)option->value, option->into);
    }
    return false;
}

static bool takes_value(enum option_kind kind)
{
    return kind == OPTION_TEXT || kind == OPTION_COUNT || kind == OPTION_BY;
}

int options_read(int argc, char **argv, const struct option_known *known,
                 const char *help)
{
    struct option longs[OPTIONS_MAX + 1] = {{"help", no_argument, NULL, 'h'}};
    char letters[2 * OPTIONS_MAX + 3] = ":h";
    char *end = letters + strlen(letters);
    for (int i = 0; known[i].name != NULL; i++) {
        bool value = takes_value(known[i].kind);
        longs[i + 1] =
            (struct option){known[i].name, value ? required_argument : no_argument,
                            NULL, FIRST_OPTION + i};
        if (known[i].letter == '\0')
            continue;
        *end++ = known[i].letter;
        if (value)
            *end++ = ':';
    }
    int found;
    while ((found = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        if (found == 'h')
            return show_help(help);
        if (found == '?' || found == ':') {
            say_bad_option(argv, found);
            return MISUSED;
        }
        const struct option_known *option = known;
        if (found >= FIRST_OPTION)
            option += found - FIRST_OPTION;
        else
            while (option->letter != found)
                option++;
        if (!take(argv[0], option, optarg))
            return MISUSED;
    }
    return -1;
}

int options_read_one(int argc, char **argv, const struct option_known *known,
                     const char *help, const char *unit, const char **operand)
{
    int status = options_read(argc, argv, known, help);
    if (status >= 0)
        return status;
    if (argc - optind > 1) {
        say(argv[0], "one %s at a time; see \"heapglass %s --help\"", unit,
            argv[0]);
        return MISUSED;
    }
    *operand = argv[optind]; /* NULL at the end */
    return -1;
}
