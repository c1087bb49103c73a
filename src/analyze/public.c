/* SPDX-License-Identifier: MIT */
/*
 * public.c - <heapglass/ledger.h>: what is known here, in shapes that last.
 *
 * An open ledger keeps the copies of all its processes, with their accounts, and
 * texts that end with a zero byte; rows keep their table.  Both are complete when
 * they are handed out and never change, so that threads may share them.
 */
#include "heapglass/ledger.h"

#include "analyze/accounts.h"
#include "analyze/facts.h"
#include "analyze/gather.h"
#include "analyze/growth.h"
#include "analyze/order.h"
#include "analyze/symbols.h"
#include "ledger/find.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct hg_ledger {
    struct gathering family;
    char **commands; /* by process */
    char *folder;
    char *interpreter;
    char *python;
    char *recycled_how;
    char *stacks_how;
    char *displaced;
    uint64_t *rss_bytes; /* by process, when it was opened; and how long it ran */
    uint64_t *duration_ns;
};

struct hg_rows {
    struct table *table;
    struct table_row *rows;
    size_t count;
    bool growth;
};

static hg_status fail(hg_ledger_error *why, hg_status status, const char *format,
                      ...) __attribute__((format(printf, 3, 4)));

static hg_status fail(hg_ledger_error *why, hg_status status, const char *format,
                      ...)
{
    va_list args;
    va_start(args, format);
    if (why != NULL)
        vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return status;
}

static hg_status fail_memory(hg_ledger_error *why)
{
    return fail(why, HG_ENOMEM, "there is no memory left");
}

/* -------------------- opening */

/* A text of its own, or NULL if it is empty.  False: no memory. */
static bool keep_text(const struct ledger_copy *copy, struct ledger_text text,
                      char **kept)
{
    struct slice slice = ledger_copy_text(copy, text);
    if (slice.bytes == 0)
        return true;
    *kept = strndup(slice.at, slice.bytes);
    return *kept != NULL;
}

static bool keep_program(hg_ledger *ledger)
{
    const struct ledger_copy *first = ledger->family.processes[0].copy;
    const struct ledger_header *header = &first->header;
    return keep_text(first, header->folder, &ledger->folder) &&
           keep_text(first, header->program, &ledger->interpreter) &&
           keep_text(first, header->python, &ledger->python) &&
           keep_text(first, header->recycled_how, &ledger->recycled_how) &&
           keep_text(first, header->stacks_how, &ledger->stacks_how) &&
           keep_text(first, header->displaced, &ledger->displaced);
}

/* What takes work, or changes with the clock. */
static bool keep_processes(hg_ledger *ledger)
{
    size_t count = ledger->family.count;
    ledger->commands = calloc(count, sizeof *ledger->commands);
    ledger->rss_bytes = calloc(count, sizeof *ledger->rss_bytes);
    ledger->duration_ns = calloc(count, sizeof *ledger->duration_ns);
    if (ledger->commands == NULL || ledger->rss_bytes == NULL ||
        ledger->duration_ns == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct process *process = &ledger->family.processes[i];
        ledger->commands[i] = facts_command(process->copy);
        if (ledger->commands[i] == NULL)
            return false;
        ledger->rss_bytes[i] = facts_rss_bytes(process);
        ledger->duration_ns[i] = facts_duration_ns(process);
        if (ledger_is_traced(&process->copy->header) &&
            symbols_put(process->copy) != HG_OK)
            return false;
    }
    return true;
}

hg_status hg_ledger_open(const char *path, unsigned flags, hg_ledger **out,
                         hg_ledger_error *why)
{
    const struct gather_options options = {
        .children = (flags & HG_ALONE) == 0,
        .parts = LEDGER_PART_ACCOUNTS | LEDGER_PART_TIMELINE,
        .keep_accounts = true,
    };
    struct ledger_fault fault;
    if ((flags & ~(unsigned)HG_ALONE) != 0)
        return fail(why, HG_EINVAL, "%s: no such flags: %#x", path, flags);
    hg_ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL)
        return fail_memory(why);
    hg_status status = gather(path, &options, &ledger->family, &fault);
    if (status != HG_OK) {
        free(ledger);
        return fail(why, status, "%s: %s", path, fault.what);
    }
    if (!keep_program(ledger) || !keep_processes(ledger)) {
        hg_ledger_close(ledger);
        return fail_memory(why);
    }
    *out = ledger;
    return HG_OK;
}

hg_status hg_ledger_open_pid(int32_t pid, unsigned flags, hg_ledger **out,
                             hg_ledger_error *why)
{
    char *path;
    if (pid <= 0)
        return fail(why, HG_EINVAL, "%d: not the id of a process", (int)pid);
    hg_status status = find_ledger(pid, &path);
    if (status == HG_ENOMEM)
        return fail_memory(why);
    if (status != HG_OK)
        return fail(why, status, "%d: the folder of ledgers cannot be read: %s",
                    (int)pid, strerror(errno));
    if (path == NULL)
        return fail(why, HG_EIO,
                    "%d: no process of this id keeps a ledger; \"heapglass list\" "
                    "shows those that do",
                    (int)pid);
    status = hg_ledger_open(path, flags, out, why);
    free(path);
    return status;
}

void hg_ledger_close(hg_ledger *ledger)
{
    if (ledger == NULL)
        return;
    for (size_t i = 0; ledger->commands != NULL && i < ledger->family.count; i++)
        free(ledger->commands[i]);
    free(ledger->commands);
    free(ledger->rss_bytes);
    free(ledger->duration_ns);
    free(ledger->folder);
    free(ledger->interpreter);
    free(ledger->python);
    free(ledger->recycled_how);
    free(ledger->stacks_how);
    free(ledger->displaced);
    gathering_drop(&ledger->family);
    free(ledger);
}

/* -------------------- facts */

void hg_ledger_program(const hg_ledger *ledger, hg_program *out)
{
    static const char *const modes[] = {[LEDGER_MODE_UNTRACED] = "untraced",
                                        [LEDGER_MODE_LINES] = "lines",
                                        [LEDGER_MODE_STACKS] = "stacks"};
    const struct ledger_header *header = &ledger->family.processes[0].copy->header;
    struct ledger_lost lost = facts_lost(&ledger->family);
    *out = (hg_program){
        .folder = ledger->folder,
        .interpreter = ledger->interpreter,
        .python = ledger->python,
        .mode = modes[header->mode],
        .recycled = header->recycled != 0,
        .recycled_how = ledger->recycled_how,
        .stacks_how = ledger->stacks_how,
        .displaced = ledger->displaced,
        .processes = ledger->family.count,
        .unread = ledger->family.unread_count,
        .lost_blocks = lost.blocks_without_node,
        .lost_frames = lost.frames_too_deep,
        .lost_updates = lost.away_races,
        .lost_children = lost.children,
        .lost_samples = lost.samples,
    };
}

hg_status hg_ledger_process(const hg_ledger *ledger, size_t index, hg_process *out)
{
    if (index >= ledger->family.count)
        return HG_EINVAL;
    const struct process *process = &ledger->family.processes[index];
    const struct ledger_header *header = &process->copy->header;
    bool has_status =
        process->fate == FATE_ENDED || process->fate == FATE_EXITED_EARLY;
    bool snapshot = header->state == LEDGER_SNAPSHOT;
    *out = (hg_process){
        .pid = header->pid,
        .parent_pid = header->parent_pid,
        .command = ledger->commands[index],
        .path = process->path,
        .state = facts_fate_name(process->fate),
        .open = fate_is_open(process->fate) && !snapshot,
        .snapshot = snapshot,
        .exit_status = has_status ? header->exit_status : -1,
        .busy = process->copy->busy,
        .start_time_ns = header->start_realtime_ns,
        .duration_ns = ledger->duration_ns[index],
        .live_bytes = ledger_live_bytes(header),
        .peak_bytes = header->peak_bytes,
        .peak_time_ns = header->peak_time_ns,
        .rss_bytes = ledger->rss_bytes[index],
        .rss_max_bytes = header->rss_max_bytes,
        .held_max_bytes = header->held_max_bytes,
        .inherited_bytes = process->inherited.bytes,
        .inherited_blocks = process->inherited.blocks,
    };
    return HG_OK;
}

size_t hg_ledger_samples(const hg_ledger *ledger, size_t process)
{
    if (process >= ledger->family.count)
        return 0;
    return ledger->family.processes[process].copy->sample_count;
}

hg_status hg_ledger_sample(const hg_ledger *ledger, size_t process, size_t index,
                           hg_sample *out)
{
    if (index >= hg_ledger_samples(ledger, process))
        return HG_EINVAL;
    const struct ledger_sample *sample =
        &ledger->family.processes[process].copy->samples[index];
    *out = (hg_sample){
        .time_ns = sample->time_ns,
        .rss_bytes = sample->rss_bytes,
        .live_bytes = sample->live_bytes,
        .held_bytes = sample->held_bytes,
        .live_max_bytes = sample->live_max_bytes,
        .rss_max_bytes = sample->rss_max_bytes,
    };
    memcpy(out->collections, sample->collections, sizeof out->collections);
    return HG_OK;
}

/* -------------------- rows */

static hg_amount amount_of(const struct measure *measure, enum moment moment)
{
    return (hg_amount){measure->at[moment].bytes, measure->at[moment].blocks};
}

static hg_measure measure_of(const struct measure *measure)
{
    return (hg_measure){
        .live = amount_of(measure, MOMENT_LIVE),
        .peak = amount_of(measure, MOMENT_PEAK),
        .total = amount_of(measure, MOMENT_TOTAL),
    };
}

void hg_ledger_totals(const hg_ledger *ledger, hg_measure *out)
{
    struct measure sum = {0};
    for (size_t i = 0; i < ledger->family.count; i++)
        measure_add(&sum, &ledger->family.processes[i].sum);
    *out = measure_of(&sum);
}

/* HG_OK if there is somebody to tell of. */
static hg_status has_accounts(const hg_ledger *ledger, hg_ledger_error *why)
{
    const struct process *first = &ledger->family.processes[0];
    struct slice without = facts_without(first->copy);
    if (first->fate == FATE_WAITING)
        return fail(
            why, HG_ENOTSUP,
            "%s: \"%s\" has not become a Python program yet; ask again later",
            first->path, ledger->commands[0]);
    if (first->fate == FATE_NOT_PYTHON)
        return fail(why, HG_ENOTSUP,
                    "%s: nothing was recorded, for \"%s\" was not a Python program",
                    first->path, ledger->commands[0]);
    if (!ledger_is_traced(&first->copy->header))
        return fail(why, HG_ENOTSUP,
                    "%s: was run with %.*s, so nobody knows who held what; run it "
                    "without",
                    first->path, (int)without.bytes, without.at);
    return HG_OK;
}

/* Put all processes on one side of a table.  False: no memory. */
static bool add_side(struct table *table, enum table_side side,
                     const hg_ledger *ledger)
{
    hg_status status = HG_OK;
    for (size_t i = 0; i < ledger->family.count && status == HG_OK; i++) {
        const struct ledger_copy *copy = ledger->family.processes[i].copy;
        struct accounts accounts;
        if (!ledger_is_traced(&copy->header))
            continue;
        status = accounts_work_out(copy, &accounts);
        if (status != HG_OK)
            break;
        status = table_add(table, side, copy, &accounts);
        accounts_drop(&accounts);
    }
    return status == HG_OK;
}

/* Rows that have a table and nothing else yet; NULL: no memory. */
static hg_rows *rows_new(enum hg_by by)
{
    static const enum table_by bys[] = {
        [HG_BY_LINE] = BY_LINE,     [HG_BY_FUNCTION] = BY_FUNCTION,
        [HG_BY_FILE] = BY_FILE,     [HG_BY_STACK] = BY_STACK,
        [HG_BY_THREAD] = BY_THREAD, [HG_BY_DOMAIN] = BY_DOMAIN,
    };
    hg_rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL)
        return NULL;
    rows->table = table_new(bys[by]);
    if (rows->table == NULL) {
        free(rows);
        return NULL;
    }
    return rows;
}

/* Hand out what was gathered, unless memory ran out on the way. */
static hg_status rows_finish(hg_rows *rows, size_t top, hg_rows **out,
                             hg_ledger_error *why)
{
    if (rows == NULL || rows->rows == NULL) {
        hg_rows_free(rows);
        return fail_memory(why);
    }
    if (rows->count > top)
        rows->count = top;
    *out = rows;
    return HG_OK;
}

hg_status hg_ledger_rows(const hg_ledger *ledger, enum hg_by by,
                         enum hg_order order, size_t top, hg_rows **out,
                         hg_ledger_error *why)
{
    static const enum moment moments[] = {
        [HG_LIVE] = MOMENT_LIVE,
        [HG_PEAK] = MOMENT_PEAK,
        [HG_TOTAL] = MOMENT_TOTAL,
    };
    if ((unsigned)by > HG_BY_DOMAIN || (unsigned)order > HG_TOTAL)
        return fail(why, HG_EINVAL, "%d, %d: no such rows, or no such order",
                    (int)by, (int)order);
    hg_status status = has_accounts(ledger, why);
    if (status != HG_OK)
        return status;
    hg_rows *rows = rows_new(by);
    if (rows != NULL && add_side(rows->table, SIDE_A, ledger))
        rows->rows = table_rows(rows->table, &rows->count);
    if (rows != NULL && rows->rows != NULL)
        order_by_moment(rows->table, rows->rows, rows->count, top, moments[order]);
    return rows_finish(rows, top, out, why);
}

hg_status hg_ledger_growth(const hg_ledger *before, const hg_ledger *now,
                           enum hg_by by, size_t top, hg_rows **out,
                           hg_ledger_error *why)
{
    if ((unsigned)by > HG_BY_STACK)
        return fail(why, HG_EINVAL,
                    "%d: growth is by line, function, file or stack", (int)by);
    hg_status status = has_accounts(before, why);
    if (status == HG_OK)
        status = has_accounts(now, why);
    if (status != HG_OK)
        return status;
    hg_rows *rows = rows_new(by);
    if (rows != NULL && add_side(rows->table, SIDE_A, before) &&
        add_side(rows->table, SIDE_B, now)) {
        rows->growth = true;
        rows->rows = growth_rows(rows->table, top, &rows->count);
    }
    return rows_finish(rows, top, out, why);
}

size_t hg_rows_count(const hg_rows *rows)
{
    return rows->count;
}

void hg_rows_free(hg_rows *rows)
{
    if (rows == NULL)
        return;
    free(rows->rows);
    table_free(rows->table);
    free(rows);
}

static const char *text_of(const struct table *table, uint32_t string)
{
    return string == STRINGS_NONE ? NULL : table_text(table, string).at;
}

static hg_place place_of(const struct table *table, const struct place *place)
{
    return (hg_place){
        .file = text_of(table, place->file),
        .function = text_of(table, place->function),
        .line = place->line == PLACE_NO_LINE ? -1 : (int64_t)place->line,
    };
}

static void put_thread(const struct table_thread *thread, hg_row *out)
{
    out->thread_pid = thread->pid;
    out->thread_slot = thread->not_recorded ? -1 : (int32_t)thread->slot;
    out->thread_id = thread->tid;
    out->threads = thread->threads;
    out->thread_alive = thread->alive;
}

hg_status hg_rows_get(const hg_rows *rows, size_t index, hg_row *out)
{
    if (index >= rows->count)
        return HG_EINVAL;
    const struct table_row *row = &rows->rows[index];
    *out = (hg_row){.place = place_of(rows->table, &row->place)};
    if (rows->growth)
        out->before = measure_of(row->side[SIDE_A]);
    out->now = measure_of(row->side[rows->growth ? SIDE_B : SIDE_A]);
    if (table_is_by(rows->table) == BY_THREAD) {
        struct table_thread thread = table_thread(rows->table, row->number);
        put_thread(&thread, out);
    }
    if (table_is_by(rows->table) == BY_DOMAIN)
        out->domain = table_domain(rows->table, row->number);
    return HG_OK;
}

size_t hg_rows_stack(const hg_rows *rows, size_t index, hg_place *into, size_t room)
{
    if (index >= rows->count || table_is_by(rows->table) != BY_STACK)
        return 0;
    uint32_t number = rows->rows[index].number;
    size_t depth = table_stack(rows->table, number, NULL, 0);
    for (size_t i = room < depth ? room : depth; i > 0; i--) {
        struct place place = table_frame(rows->table, &number);
        into[i - 1] = place_of(rows->table, &place);
    }
    return depth;
}
