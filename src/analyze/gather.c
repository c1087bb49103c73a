/* SPDX-License-Identifier: MIT */
/*
 * gather.c - a family is read in two passes: headers first, to see which files
 * belong to this run and in which order; then each ledger in turn, whose
 * accounts go to the table and are forgotten before the next one is read.
 */
#include "analyze/gather.h"

#include "analyze/accounts.h"
#include "analyze/collector.h"
#include "analyze/symbols.h"
#include "ledger/family.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static hg_status fail_memory(struct ledger_fault *fault)
{
    snprintf(fault->what, sizeof fault->what, "needs more memory than there is");
    return fault->status = HG_ENOMEM;
}

static hg_status fail_io(struct ledger_fault *fault, int error)
{
    snprintf(fault->what, sizeof fault->what, "cannot be read: %s",
             strerror(error));
    return fault->status = HG_EIO;
}

static void process_drop(struct process *process)
{
    free(process->path);
    ledger_copy_free(process->copy);
}

void gathering_drop(struct gathering *gathering)
{
    for (size_t i = 0; i < gathering->count; i++)
        process_drop(&gathering->processes[i]);
    for (size_t i = 0; i < gathering->unread_count; i++)
        free(gathering->unread[i].path);
    free(gathering->processes);
    free(gathering->unread);
    *gathering = (struct gathering){0};
}

/* Read one header, into the next place of a gathering that has room for it. */
static hg_status look_at(const char *path, struct gathering *out,
                         struct ledger_fault *fault)
{
    struct process process = {.path = strdup(path)};
    if (process.path == NULL)
        return fail_memory(fault);
    hg_status status = ledger_copy_read(path, 0, &process.copy, fault);
    if (status != HG_OK) {
        int error = errno;
        free(process.path);
        errno = error;
        return status;
    }
    process.fate = ledger_fate(&process.copy->header);
    out->processes[out->count++] = process;
    return HG_OK;
}

static hg_status set_apart(const char *path, const struct ledger_fault *why,
                           struct gathering *out, struct ledger_fault *fault)
{
    struct unread *unread = &out->unread[out->unread_count];
    *unread = (struct unread){strdup(path), *why};
    if (unread->path == NULL)
        return fail_memory(fault);
    out->unread_count++;
    return HG_OK;
}

static hg_status look_at_all(const struct family *family, const char *file,
                             struct gathering *out, struct ledger_fault *fault)
{
    out->processes = calloc(family->count + 1, sizeof *out->processes);
    out->unread = calloc(family->count + 1, sizeof *out->unread);
    if (out->processes == NULL || out->unread == NULL)
        return fail_memory(fault);
    for (size_t i = 0; i < family->count; i++) {
        struct ledger_fault why;
        hg_status status = look_at(family->paths[i], out, &why);
        if (status == HG_OK)
            continue;
        bool gone =
            status == HG_EIO && errno == ENOENT; /* since the folder was read */
        bool is_file = strcmp(family->paths[i], file) == 0;
        if (status == HG_ENOMEM || (is_file && !gone)) {
            *fault = why;
            return status;
        }
        if (!gone &&
            (status = set_apart(family->paths[i], &why, out, fault)) != HG_OK)
            return status;
    }
    return HG_OK;
}

static void leave_out(struct gathering *out, size_t index)
{
    process_drop(&out->processes[index]);
    out->count--;
    memmove(&out->processes[index], &out->processes[index + 1],
            (out->count - index) * sizeof *out->processes);
}

static int by_start(const void *a, const void *b)
{
    const struct ledger_header *x = &((const struct process *)a)->copy->header;
    const struct ledger_header *y = &((const struct process *)b)->copy->header;
    if (x->start_realtime_ns != y->start_realtime_ns)
        return x->start_realtime_ns < y->start_realtime_ns ? -1 : 1;
    return 0;
}

/* Which run is this about: that of FILE, or else the newest one. */
static int32_t find_session(const struct gathering *out, bool has_file)
{
    const struct ledger_header *of = &out->processes[0].copy->header;
    for (size_t i = 1; i < out->count && !has_file; i++) {
        const struct ledger_header *other = &out->processes[i].copy->header;
        if (other->start_realtime_ns > of->start_realtime_ns)
            of = other;
    }
    return of->session_pid;
}

static bool has_accounts(const struct process *process)
{
    return process->fate != FATE_WAITING && process->fate != FATE_NOT_PYTHON;
}

/*
 * Keep only this run's: an earlier one may have had the same FILE.  A FILE that
 * was never claimed keeps its place only if nothing else is there.
 */
static void choose(struct gathering *out, const char *file)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.*): there is at least one, with a path */
    bool has_file = strcmp(out->processes[0].path, file) == 0;
    int32_t session = find_session(out, has_file);
    for (size_t i = out->count; i-- > 0;)
        if (out->processes[i].copy->header.session_pid != session)
            leave_out(out, i);
    if (out->count > 1 && has_file && !has_accounts(&out->processes[0])) {
        leave_out(out, 0);
        has_file = false;
    }
    size_t fixed = has_file ? 1 : 0;
    if (out->count > fixed + 1)
        qsort(out->processes + fixed, out->count - fixed, sizeof *out->processes,
              by_start);
}

/* Read the accounts of a process and put them into the table. */
static hg_status count_up(struct process *process,
                          const struct gather_options *options,
                          struct ledger_fault *fault)
{
    struct ledger_copy *copy;
    struct accounts accounts;
    hg_status status =
        ledger_copy_read(process->path, options->parts, &copy, fault);
    if (status != HG_OK)
        return status;
    ledger_copy_free(process->copy);
    process->copy = copy;
    process->fate = ledger_fate(&copy->header);
    if ((options->parts & LEDGER_PART_ACCOUNTS) == 0 ||
        !ledger_is_traced(&copy->header))
        return HG_OK;

    /* A snapshot keeps what is in the file. */
    if (!options->keep_accounts && symbols_put(copy) != HG_OK)
        return fail_memory(fault);
    if (accounts_work_out(copy, &accounts) != HG_OK)
        return fail_memory(fault);
    process->sum = accounts.sum;
    process->inherited = accounts.inherited;
    if (options->garbage) {
        accounts_drop(&accounts);
        if (options->since != NULL)
            collector_since(copy, options->since);
        if (collector_accounts(copy, &accounts) != HG_OK)
            return fail_memory(fault);
    }
    if (options->table != NULL)
        status = table_add(options->table, options->side, copy, &accounts);
    accounts_drop(&accounts);
    if (!options->keep_accounts)
        ledger_copy_drop_accounts(copy);
    return status == HG_OK ? HG_OK : fail_memory(fault);
}

static hg_status count_up_all(struct gathering *out,
                              const struct gather_options *options,
                              struct ledger_fault *fault)
{
    for (size_t i = 0; i < out->count; i++) {
        struct ledger_fault why;
        hg_status status = count_up(&out->processes[i], options, &why);
        if (status == HG_OK)
            continue;
        if (i == 0 || status == HG_ENOMEM) {
            *fault = why;
            return status;
        }
        if ((status = set_apart(out->processes[i].path, &why, out, fault)) != HG_OK)
            return status;
        leave_out(out, i--);
    }
    return HG_OK;
}

static hg_status find_files(const char *path, bool children, struct family *family)
{
    if (children)
        return family_find(path, family);
    char **paths = malloc(sizeof *paths);
    char *name = strdup(path);
    if (paths == NULL || name == NULL) {
        free(paths);
        free(name);
        return HG_ENOMEM;
    }
    paths[0] = name;
    *family = (struct family){paths, 1};
    return HG_OK;
}

/* Look at all files there are, so that out->count is at least 1. */
static hg_status collect(const char *path, bool children, struct gathering *out,
                         struct ledger_fault *fault)
{
    struct family family;
    hg_status status = find_files(path, children, &family);
    if (status == HG_ENOMEM)
        return fail_memory(fault);
    if (status != HG_OK)
        return fail_io(fault, errno);
    status = look_at_all(&family, path, out, fault);
    family_drop(&family);
    if (status != HG_OK || out->count > 0)
        return status;
    if (out->unread_count == 0)
        return fail_io(fault, ENOENT);
    *fault = out->unread[0].fault;
    return fault->status;
}

hg_status gather(const char *path, const struct gather_options *options,
                 struct gathering *out, struct ledger_fault *fault)
{
    struct gathering gathered = {0};
    hg_status status = collect(path, options->children, &gathered, fault);
    if (status == HG_OK)
        choose(&gathered, path);
    if (status == HG_OK && options->parts != 0)
        status = count_up_all(&gathered, options, fault);
    if (status == HG_OK)
        *out = gathered;
    else
        gathering_drop(&gathered);
    return status;
}
