/* SPDX-License-Identifier: MIT */
/* options.c - see options.h */
#include "cli/options.h"

#include "cli/command.h"

#include <stdio.h>
#include <string.h>

bool parse_by(const char *command, const char *text, enum table_by last,
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
