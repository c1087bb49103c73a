/* SPDX-License-Identifier: MIT */
/*
 * reader.c - fuzzes everything that reads a ledger, up to the last report.
 *
 * An input is a ledger whose header page lacks its unused end: that saves the
 * fuzzer from changing thousands of bytes that mean nothing.  What the reader lets
 * through must keep the promises of reader.h, which sanitizers watch while every
 * table and every report is made of it, and these:
 *
 *   - the rows of a table sum to the accounts of all nodes;
 *   - a snapshot is a sound ledger with the same accounts.
 *
 * The corpus is written by tests/unit/reading/seeds.c.
 */
#include "analyze/accounts.h"
#include "analyze/collector.h"
#include "analyze/gather.h"
#include "analyze/growth.h"
#include "analyze/order.h"
#include "ledger/snapshot.h"
#include "report/collections.h"
#include "report/diff.h"
#include "report/listing.h"
#include "report/plot.h"
#include "report/report.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static FILE *nowhere;

static void require(bool truth)
{
    if (!truth)
        abort();
}

static bool write_input(int fd, const uint8_t *data, size_t bytes)
{
    const size_t header = sizeof(struct ledger_header);
    size_t first = bytes < header ? bytes : header;
    if (pwrite(fd, data, first, 0) != (ssize_t)first)
        return false;
    size_t rest = bytes - first;
    return rest == 0 ||
           pwrite(fd, data + first, rest, LEDGER_HEADER_BYTES) == (ssize_t)rest;
}

static struct ledger_copy *read_copy(int fd)
{
    struct ledger_copy *copy = NULL;
    struct ledger_fault fault;
    hg_status status = ledger_copy_read_fd(
        fd, LEDGER_PART_ACCOUNTS | LEDGER_PART_TIMELINE | LEDGER_PART_COLLECTOR,
        &copy, &fault);
    require((status == HG_OK) == (copy != NULL));
    return copy;
}

static bool same_measure(const struct measure *a, const struct measure *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void check_snapshot(const struct ledger_copy *copy,
                           const struct accounts *accounts)
{
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    require(fd >= 0);
    require(ledger_snapshot_write(copy, 1, fd) == HG_OK);
    struct ledger_copy *snapshot = read_copy(fd);
    struct accounts again;
    require(snapshot != NULL);
    require(accounts_work_out(snapshot, &again) == HG_OK);
    require(same_measure(&accounts->sum, &again.sum));
    accounts_drop(&again);
    ledger_copy_free(snapshot);
    close(fd);
}

static void check_rows(const struct table *table, const struct table_row *rows,
                       size_t count, const struct accounts *accounts)
{
    struct measure sum = {0};
    for (size_t i = 0; i < count; i++)
        measure_add(&sum, rows[i].side[SIDE_A]);
    require(same_measure(&sum, table_sum(table, SIDE_A)));
    if (table_is_by(table) !=
        BY_DOMAIN) /* OBJ is what is left, but never negative */
        require(same_measure(&sum, &accounts->sum));
}

static void draw(const struct gathering *family, const struct table *table)
{
    struct report report = {.family = family, .table = table, .top = 20};
    struct table_row *rows = table_rows(table, &report.count);
    require(rows != NULL);
    report.moment = report_default_moment(family);
    order_by_moment(table, rows, report.count, 3, report.moment);
    report.rows = rows;
    report_text(nowhere, &report, true);
    report_json(nowhere, &report);
    free(rows);

    struct diff diff = {.sides = {family, family}, .table = table, .top = 20};
    rows = growth_rows(table, SIZE_MAX, &diff.count);
    require(rows != NULL);
    diff.rows = rows;
    diff_text(nowhere, &diff, false);
    diff_json(nowhere, &diff);
    free(rows);
}

/* What the collector did: the rows sum to what all nodes say, and to no more. */
static void check_collector(const struct gathering *family)
{
    const struct ledger_copy *copy = family->processes[0].copy;
    struct collector collector;
    struct accounts freed;
    require(collector_accounts(copy, &freed) == HG_OK);
    require(collector_work_out(family, &collector) == HG_OK);
    struct table *table = table_new(BY_LINE);
    require(table != NULL);
    require(table_add(table, SIDE_A, copy, &freed) == HG_OK);
    struct collections what = {
        .family = family, .collector = &collector, .table = table, .top = 3};
    struct table_row *rows = table_rows(table, &what.count);
    require(rows != NULL);
    check_rows(table, rows, what.count, &freed);
    what.rows = rows;
    collections_text(nowhere, &what, true);
    collections_json(nowhere, &what);
    free(rows);
    table_free(table);
    collector_drop(&collector);
    accounts_drop(&freed);
}

static void check_tables(const struct gathering *family,
                         const struct accounts *accounts)
{
    const struct ledger_copy *copy = family->processes[0].copy;
    for (enum table_by by = 0; by < TABLE_BYS; by++) {
        size_t count;
        struct table *table = table_new(by);
        require(table != NULL);
        require(table_add(table, SIDE_A, copy, accounts) == HG_OK);
        struct table_row *rows = table_rows(table, &count);
        require(rows != NULL);
        check_rows(table, rows, count, accounts);
        free(rows);
        draw(family, table);
        table_free(table);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct accounts accounts;
    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "we");
    int fd = memfd_create("ledger", MFD_CLOEXEC);
    require(nowhere != NULL && fd >= 0);
    require(write_input(fd, data, bytes));
    struct ledger_copy *copy = read_copy(fd);
    close(fd);
    if (copy == NULL)
        return 0;

    require(accounts_work_out(copy, &accounts) == HG_OK);
    struct process process = {
        .path = (char *)"fuzz.hg",
        .copy = copy,
        .fate = ledger_fate(&copy->header),
        .sum = accounts.sum,
        .inherited = accounts.inherited,
    };
    const struct gathering family = {.processes = &process, .count = 1};
    check_snapshot(copy, &accounts);
    check_tables(&family, &accounts);
    check_collector(&family);
    const struct listing listing = {.families = (struct gathering *)&family,
                                    .count = 1};
    listing_text(nowhere, &listing, true);
    listing_json(nowhere, &listing);
    plot_svg(nowhere, &family, 1);
    accounts_drop(&accounts);
    ledger_copy_free(copy);
    return 0;
}
