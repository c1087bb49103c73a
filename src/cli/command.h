/* SPDX-License-Identifier: MIT */
/* command.h - the commands, and what they share: exit statuses, messages, options.
 */
#ifndef HG_CLI_COMMAND_H
#define HG_CLI_COMMAND_H

#include <stdbool.h>

enum exit_status {
    DONE = 0,
    COULD_NOT = 1,
    MISUSED = 2,
    /* Of `heapglass run`, as env(1) has them; all others are the program's own. */
    RUN_FAILED = 125,
    RUN_CANNOT_EXECUTE = 126,
    RUN_NOT_FOUND = 127,
};

/* Each takes the arguments from its own name on and returns an exit status. */
int command_run(int argc, char **argv);
int command_report(int argc, char **argv);
int command_plot(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_diff(int argc, char **argv);
int command_gc(int argc, char **argv);
int command_list(int argc, char **argv);
int command_arenas(int argc, char **argv);
int command_map(int argc, char **argv);
int command_trim(int argc, char **argv);

/* Print "heapglass: THING: what; remedy" and the end of the line to standard error.
 */
void say(const char *thing, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Say why getopt_long() returned '?' or ':' (`optstring` begins with ':' or "+:",
 * and opterr is 0), and where help is.
 */
void say_bad_option(char **argv, int returned);

/* Print help to standard output: DONE, or COULD_NOT if it cannot be written. */
int show_help(const char *text);

/* Flush standard output; says what is wrong if it could not be written. */
bool finish_output(void);

#endif
