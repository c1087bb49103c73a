/* SPDX-License-Identifier: MIT */
/* facts_json.c - the same for programs: docs/json.md tells what each key means. */
#include "report/facts.h"

#include <stdlib.h>

static void put_text(struct json *json, const char *key,
                     const struct ledger_copy *copy, struct ledger_text text)
{
    json_key(json, key);
    json_text_or_null(json, ledger_copy_text(copy, text));
}

static void put_number(struct json *json, const char *key, uint64_t value)
{
    json_key(json, key);
    json_unsigned(json, value);
}

static void put_program(struct json *json, const struct ledger_copy *copy)
{
    struct slice argv = ledger_copy_text(copy, copy->header.command);
    json_key(json, "program");
    json_open(json, '{');
    json_key(json, "command");
    json_open(json, '[');
    while (argv.bytes > 0) {
        size_t bytes = strnlen(argv.at, argv.bytes);
        json_text(json, (struct slice){argv.at, bytes});
        argv = slice_after(argv, bytes < argv.bytes ? bytes + 1 : bytes);
    }
    json_close(json, ']');
    put_text(json, "folder", copy, copy->header.folder);
    put_text(json, "interpreter", copy, copy->header.program);
    put_text(json, "python", copy, copy->header.python);
    json_close(json, '}');
}

static void put_watched(struct json *json, const struct ledger_copy *copy)
{
    static const char *const modes[] = {[LEDGER_MODE_UNTRACED] = "untraced",
                                        [LEDGER_MODE_LINES] = "lines",
                                        [LEDGER_MODE_STACKS] = "stacks"};
    const struct ledger_header *header = &copy->header;
    json_key(json, "watched");
    json_open(json, '{');
    json_key(json, "mode");
    json_text(json, slice_of(modes[header->mode]));
    json_key(json, "recycled");
    json_bool(json, header->recycled != 0);
    put_text(json, "recycled_how", copy, header->recycled_how);
    put_text(json, "stacks_how", copy, header->stacks_how);
    put_text(json, "displaced", copy, header->displaced);
    json_close(json, '}');
}

static void put_lost(struct json *json, const struct gathering *family)
{
    struct ledger_lost lost = facts_lost(family);
    json_key(json, "lost");
    json_open(json, '{');
    put_number(json, "blocks_without_node", lost.blocks_without_node);
    put_number(json, "frames_too_deep", lost.frames_too_deep);
    put_number(json, "away_races", lost.away_races);
    put_number(json, "children", lost.children);
    put_number(json, "samples", lost.samples);
    json_close(json, '}');
}

void facts_json_process(struct json *json, const struct process *process)
{
    const struct ledger_header *header = &process->copy->header;
    char *command = facts_command(process->copy);
    json_open(json, '{');
    json_key(json, "pid");
    json_signed(json, header->pid);
    json_key(json, "parent_pid");
    json_signed(json, header->parent_pid);
    json_key(json, "command");
    json_text_or_null(json, slice_of(command != NULL ? command : ""));
    free(command);
    json_key(json, "ledger");
    json_text(json, slice_of(process->path));
    json_key(json, "state");
    json_text(json, slice_of(facts_fate_name(process->fate)));
    json_key(json, "exit_status");
    bool has_status =
        process->fate == FATE_ENDED || process->fate == FATE_EXITED_EARLY;
    if (has_status && header->exit_status >= 0)
        json_signed(json, header->exit_status);
    else
        json_null(json);
    json_key(json, "snapshot");
    json_bool(json, header->state == LEDGER_SNAPSHOT);
    put_number(json, "start_time_ns", header->start_realtime_ns);
    put_number(json, "duration_ns", facts_duration_ns(process));
    put_number(json, "live_bytes", ledger_live_bytes(header));
    put_number(json, "peak_bytes", header->peak_bytes);
    put_number(json, "peak_time_ns", header->peak_time_ns);
    put_number(json, "rss_bytes", facts_rss_bytes(process));
    put_number(json, "rss_max_bytes", header->rss_max_bytes);
    put_number(json, "held_max_bytes", header->held_max_bytes);
    put_number(json, "inherited_bytes", process->inherited.bytes);
    put_number(json, "inherited_blocks", process->inherited.blocks);
    json_key(json, "busy");
    json_bool(json, process->copy->busy);
    json_close(json, '}');
}

void facts_json_unread(struct json *json, const struct unread *unread, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_open(json, '{');
        json_key(json, "ledger");
        json_text(json, slice_of(unread[i].path));
        json_key(json, "why");
        json_text(json, slice_of(unread[i].fault.what));
        json_close(json, '}');
    }
}

void facts_json(struct json *json, const struct gathering *family)
{
    const struct ledger_copy *first = family->processes[0].copy;
    put_program(json, first);
    put_watched(json, first);
    put_lost(json, family);
    json_key(json, "processes");
    json_open(json, '[');
    for (size_t i = 0; i < family->count; i++)
        facts_json_process(json, &family->processes[i]);
    json_close(json, ']');
    json_key(json, "unread");
    json_open(json, '[');
    facts_json_unread(json, family->unread, family->unread_count);
    json_close(json, ']');
}
