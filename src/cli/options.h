/* SPDX-License-Identifier: MIT */
/* options.h - values of options that several commands have. */
#ifndef HG_CLI_OPTIONS_H
#define HG_CLI_OPTIONS_H

#include "analyze/table.h"

/*
 * "line", "function" and so on up to `last`: false and a line if `text` is none
 * of them.
 */
bool parse_by(const char *command, const char *text, enum table_by last,
              enum table_by *by);

#endif
