/* SPDX-License-Identifier: MIT */
/* facts.c - how a process ended, in words. */
#include "report/facts.h"

#include "report/human.h"

#include <stdio.h>

static void fate_of_ended(char *into, size_t room,
                          const struct ledger_header *header, const char *after)
{
    if (header->exit_status < 0)
        snprintf(into, room, "ended after %s", after);
    else
        snprintf(into, room, "ended with exit status %d after %s",
                 (int)header->exit_status, after);
}

void facts_fate(char *into, size_t room, const struct process *process)
{
    const struct ledger_header *header = &process->copy->header;
    char buffer[HUMAN_BYTES];
    const char *time = human_duration(buffer, facts_duration_ns(process));

    switch (process->fate) {
    case FATE_WAITING:
        snprintf(into, room, "has not become a Python program yet");
        return;
    case FATE_NOT_PYTHON:
        snprintf(into, room, "ended; was never a Python program");
        return;
    case FATE_RUNNING:
        if (header->state == LEDGER_SNAPSHOT)
            snprintf(into, room, "a snapshot, taken after %s", time);
        else
            snprintf(into, room, "running for %s", time);
        return;
    case FATE_FINALIZING:
        snprintf(into, room, "finalizing its interpreter, after %s", time);
        return;
    case FATE_ENDED:
        fate_of_ended(into, room, header, time);
        return;
    case FATE_EXITED_EARLY:
        snprintf(into, room, "left by os._exit(%d) after %s",
                 (int)header->exit_status, time);
        return;
    case FATE_FINALIZED:
        snprintf(into, room, "ended while its interpreter was finalizing, after %s",
                 time);
        return;
    case FATE_KILLED:
        snprintf(into, room, "killed after about %s", time);
        return;
    case FATE_POWER_LOST:
        snprintf(into, room, "cut off by a restart of the machine, after about %s",
                 time);
        return;
    case FATE_REPLACED:
        snprintf(into, room, "replaced by another program (exec) after %s", time);
        return;
    }
}
