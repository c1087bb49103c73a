/* SPDX-License-Identifier: MIT */
/* facts.c - what is known of one process, from its ledger and from /proc. */
#include "analyze/facts.h"

#include "base/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* What remains of an argv, each argument ended by a zero byte, on one line. */
static char *join(struct slice argv)
{
    char *text = malloc(argv.bytes + 1);
    if (text == NULL)
        return NULL;
    while (argv.bytes > 0 && argv.at[argv.bytes - 1] == '\0')
        argv.bytes--;
    for (size_t i = 0; i < argv.bytes; i++)
        text[i] = argv.at[i] >= 0 && argv.at[i] < ' ' ? ' ' : argv.at[i];
    text[argv.bytes] = '\0';
    return text;
}

char *facts_command(const struct ledger_copy *copy)
{
    return join(ledger_copy_text(copy, copy->header.command));
}

static struct slice first_argument(struct slice argv)
{
    return (struct slice){argv.at, strnlen(argv.at, argv.bytes)};
}

static struct slice without_first(struct slice argv)
{
    size_t bytes = first_argument(argv).bytes;
    return slice_after(argv, bytes < argv.bytes ? bytes + 1 : bytes);
}

static struct slice without_folder(struct slice argv)
{
    struct slice first = first_argument(argv);
    for (size_t i = first.bytes; i-- > 0;)
        if (first.at[i] == '/')
            return i + 1 < first.bytes ? slice_after(argv, i + 1) : argv;
    return argv;
}

/* An option of Python's that stands alone and says little: not -m, -c, -X, -W. */
static bool is_minor_option(struct slice argument)
{
    return argument.bytes >= 2 && argument.at[0] == '-' &&
           strchr("mcXW-", argument.at[1]) == NULL;
}

char *facts_short_command(const struct ledger_copy *copy)
{
    struct slice argv =
        without_folder(ledger_copy_text(copy, copy->header.command));
    if (argv.bytes > 0 && slice_begins(argv, slice_of("python"))) {
        struct slice rest = without_first(argv);
        while (rest.bytes > 0 && is_minor_option(first_argument(rest)))
            rest = without_first(rest);
        if (rest.bytes > 0)
            argv = without_folder(rest);
    }
    return join(argv);
}

struct slice facts_without(const struct ledger_copy *copy)
{
    struct slice displaced = ledger_copy_text(copy, copy->header.displaced);
    return displaced.bytes > 0 ? displaced : slice_of("--untraced");
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t facts_duration_ns(const struct process *process)
{
    const struct ledger_copy *copy = process->copy;
    if (copy->header.end_ns != 0)
        return copy->header.end_ns;
    if (fate_is_open(process->fate)) {
        uint64_t now = now_ns();
        return now > copy->header.start_ns ? now - copy->header.start_ns : 0;
    }
    /* It was killed: its last sample is as near as anybody can come. */
    return copy->sample_count > 0 ? copy->samples[copy->sample_count - 1].time_ns
                                  : 0;
}

uint64_t facts_rss_bytes(const struct process *process)
{
    const struct ledger_copy *copy = process->copy;
    if (fate_is_open(process->fate) && copy->header.state != LEDGER_SNAPSHOT) {
        char path[64];
        char text[128];
        unsigned long long pages;
        snprintf(path, sizeof path, "/proc/%d/statm", (int)copy->header.pid);
        if (process_read_file(path, text, sizeof text) > 0 &&
            sscanf(text, "%*s %llu", &pages) == 1)
            return pages * (uint64_t)sysconf(_SC_PAGESIZE);
    }
    return copy->sample_count > 0 ? copy->samples[copy->sample_count - 1].rss_bytes
                                  : 0;
}

const char *facts_fate_name(enum fate fate)
{
    static const char *const names[] = {
        [FATE_WAITING] = "waiting",       [FATE_NOT_PYTHON] = "not python",
        [FATE_RUNNING] = "running",       [FATE_FINALIZING] = "finalizing",
        [FATE_ENDED] = "ended",           [FATE_EXITED_EARLY] = "exited early",
        [FATE_FINALIZED] = "finalized",   [FATE_KILLED] = "killed",
        [FATE_POWER_LOST] = "power lost", [FATE_REPLACED] = "replaced",
    };
    return names[fate];
}

struct ledger_lost facts_lost(const struct gathering *family)
{
    struct ledger_lost sum = {0};
    for (size_t i = 0; i < family->count; i++) {
        const struct ledger_lost *lost = &family->processes[i].copy->header.lost;
        sum.blocks_without_node += lost->blocks_without_node;
        sum.frames_too_deep += lost->frames_too_deep;
        sum.away_races += lost->away_races;
        sum.children += lost->children;
        sum.samples += lost->samples;
    }
    return sum;
}
