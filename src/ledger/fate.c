/* SPDX-License-Identifier: MIT */
/* fate.c - see fate.h */
#include "ledger/fate.h"

#include "base/process.h"

#include <string.h>

static bool is_this_boot(const struct ledger_header *header)
{
    char boot_id[40] = "";
    process_boot_id(boot_id);
    /* A system that does not tell has one boot, as far as we know. */
    return boot_id[0] == '\0' || header->boot_id[0] == '\0' ||
           strncmp(boot_id, header->boot_id, sizeof boot_id) == 0;
}

bool ledger_is_alive(const struct ledger_header *header)
{
    return header->pid > 0 && header->process_start != 0 &&
           process_start_ticks(header->pid) == header->process_start &&
           is_this_boot(header);
}

static enum fate fate_of_dead(const struct ledger_header *header)
{
    return is_this_boot(header) ? FATE_KILLED : FATE_POWER_LOST;
}

/* snapshot.c gives a snapshot of a living program an end, and no other one of
 * RUNNING. */
static enum fate fate_of_snapshot(const struct ledger_header *header)
{
    bool lived = header->end_ns != 0;
    switch (header->snapshot_of) {
    case LEDGER_WAITING:
        return FATE_NOT_PYTHON;
    case LEDGER_RUNNING:
        return lived ? FATE_RUNNING : FATE_KILLED;
    case LEDGER_FINALIZED:
        return FATE_FINALIZED;
    case LEDGER_REPLACED:
        return FATE_REPLACED;
    default:
        return header->exited_early ? FATE_EXITED_EARLY : FATE_ENDED;
    }
}

enum fate ledger_fate(const struct ledger_header *header)
{
    switch (header->state) {
    case LEDGER_WAITING:
        return ledger_is_alive(header) ? FATE_WAITING : FATE_NOT_PYTHON;
    case LEDGER_RUNNING:
        return ledger_is_alive(header) ? FATE_RUNNING : fate_of_dead(header);
    case LEDGER_FINALIZED:
        return ledger_is_alive(header) ? FATE_FINALIZING : FATE_FINALIZED;
    case LEDGER_REPLACED:
        return FATE_REPLACED;
    case LEDGER_SNAPSHOT:
        return fate_of_snapshot(header);
    default:
        return header->exited_early ? FATE_EXITED_EARLY : FATE_ENDED;
    }
}
