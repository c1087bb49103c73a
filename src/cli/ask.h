/* SPDX-License-Identifier: MIT */
/* ask.h - ask something of a running program, by its ledger. */
#ifndef HG_CLI_ASK_H
#define HG_CLI_ASK_H

#include "analyze/gather.h"

#include <stdbool.h>

/*
 * Ask a program that runs for `what`, an or of enum ledger_request_what, and wait
 * for its answer, a few seconds at most.  `name` is what the user calls it.  False
 * after having said what is wrong.
 */
bool ask_program(const char *name, const struct process *process, uint32_t what,
                 struct ledger_answer *answer);

#endif
