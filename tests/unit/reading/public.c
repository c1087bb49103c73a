/* SPDX-License-Identifier: MIT */
/* public.c - <heapglass/ledger.h>, on ledgers made by hand. */
#include "heapglass/ledger.h"

#include "reading_test.h"

/*
 *     main:12 --- load:4     100 bytes
 *            \--- load:5      20, freed
 *     no frame                 7
 */
static void write_ledger(const char *path, uint64_t more_bytes)
{
    struct ledger_maker maker;
    maker_begin(&maker);
    uint32_t app = maker_code(&maker, "/home/shop/app.py", "main", 10);
    uint32_t load = maker_code(&maker, "/home/shop/db.py", "load", 3);
    uint32_t caller = maker_node(&maker, MAIN_THREAD, app, 12);
    uint32_t freed = maker_node(&maker, caller, load, 5);
    maker_allocated(&maker, maker_node(&maker, caller, load, 4), 100);
    maker_allocated(&maker, freed, 20);
    maker_freed(&maker, freed, 20);
    maker_allocated(&maker, MAIN_THREAD, 7);
    if (more_bytes != 0)
        maker_allocated(&maker, freed, more_bytes);
    maker_sample(&maker, (struct ledger_sample){.time_ns = 5,
                                                .rss_bytes = 4096,
                                                .live_bytes = 120,
                                                .collections = {3, 2, 1}});
    maker_write(&maker, path);
    maker_drop(&maker);
}

static hg_ledger *open_ledger(const char *path)
{
    hg_ledger *ledger = NULL;
    hg_ledger_error why = {""};
    hg_status status = hg_ledger_open(path, HG_ALONE, &ledger, &why);
    ck_assert_msg(status == HG_OK, "%s", why.text);
    return ledger;
}

static hg_rows *rows_of(const hg_ledger *ledger, enum hg_by by, size_t expected)
{
    hg_rows *rows = NULL;
    ck_assert_int_eq(hg_ledger_rows(ledger, by, HG_LIVE, SIZE_MAX, &rows, NULL),
                     HG_OK);
    ck_assert_uint_eq(hg_rows_count(rows), expected);
    return rows;
}

START_TEST(the_program_and_its_process_are_told)
{
    hg_program program;
    hg_process process;
    write_ledger("a.hg", 0);
    hg_ledger *ledger = open_ledger("a.hg");

    hg_ledger_program(ledger, &program);
    ck_assert_str_eq(program.folder, "/home/shop");
    ck_assert_str_eq(program.mode, "stacks");
    ck_assert_ptr_null(program.displaced);
    ck_assert_uint_eq(program.processes, 1);

    ck_assert_int_eq(hg_ledger_process(ledger, 0, &process), HG_OK);
    ck_assert_int_eq(process.pid, 4711);
    ck_assert_str_eq(process.command, "python3 app.py");
    ck_assert_str_eq(process.path, "a.hg");
    ck_assert_str_eq(process.state, "ended");
    ck_assert_int_eq(process.open, 0);
    ck_assert_int_eq(process.exit_status, 0);
    ck_assert_uint_eq(process.duration_ns, 12000000000);
    ck_assert_uint_eq(process.live_bytes, 107);
    ck_assert_uint_eq(process.peak_bytes, 120);
    ck_assert_int_eq(hg_ledger_process(ledger, 1, &process), HG_EINVAL);
    hg_ledger_close(ledger);
}
END_TEST

START_TEST(totals_are_live_peak_and_ever)
{
    hg_measure totals;
    write_ledger("a.hg", 0);
    hg_ledger *ledger = open_ledger("a.hg");

    hg_ledger_totals(ledger, &totals);
    ck_assert_uint_eq(totals.live.bytes, 107);
    ck_assert_uint_eq(totals.live.blocks, 2);
    ck_assert_uint_eq(totals.peak.bytes, 120);
    ck_assert_uint_eq(totals.total.bytes, 127);
    ck_assert_uint_eq(totals.total.blocks, 3);
    hg_ledger_close(ledger);
}
END_TEST

START_TEST(samples_are_the_timeline)
{
    hg_sample sample;
    write_ledger("a.hg", 0);
    hg_ledger *ledger = open_ledger("a.hg");

    ck_assert_uint_eq(hg_ledger_samples(ledger, 0), 1);
    ck_assert_uint_eq(hg_ledger_samples(ledger, 1), 0);
    ck_assert_int_eq(hg_ledger_sample(ledger, 0, 0, &sample), HG_OK);
    ck_assert_uint_eq(sample.time_ns, 5);
    ck_assert_uint_eq(sample.rss_bytes, 4096);
    ck_assert_uint_eq(sample.collections[2], 1);
    ck_assert_int_eq(hg_ledger_sample(ledger, 0, 1, &sample), HG_EINVAL);
    hg_ledger_close(ledger);
}
END_TEST

START_TEST(rows_come_with_the_biggest_first_and_outlive_the_ledger)
{
    hg_row row;
    write_ledger("a.hg", 0);
    hg_ledger *ledger = open_ledger("a.hg");
    hg_rows *rows = rows_of(ledger, HG_BY_LINE, 3);
    hg_ledger_close(ledger);

    ck_assert_int_eq(hg_rows_get(rows, 0, &row), HG_OK);
    ck_assert_str_eq(row.place.file, "/home/shop/db.py");
    ck_assert_str_eq(row.place.function, "load");
    ck_assert_int_eq(row.place.line, 4);
    ck_assert_uint_eq(row.now.live.bytes, 100);
    ck_assert_uint_eq(row.before.live.bytes, 0);
    ck_assert_int_eq(hg_rows_get(rows, 1, &row), HG_OK);
    ck_assert_ptr_null(row.place.file);
    ck_assert_str_eq(row.place.function, "(no Python frame)");
    ck_assert_int_eq(row.place.line, -1);
    ck_assert_int_eq(hg_rows_get(rows, 3, &row), HG_EINVAL);
    hg_rows_free(rows);
}
END_TEST

START_TEST(the_order_is_the_one_that_was_asked_for)
{
    hg_row row;
    hg_rows *rows = NULL;
    write_ledger("a.hg", 95); /* load:5 holds 95 and got 115 */
    hg_ledger *ledger = open_ledger("a.hg");

    ck_assert_int_eq(hg_ledger_rows(ledger, HG_BY_LINE, HG_TOTAL, 1, &rows, NULL),
                     HG_OK);
    ck_assert_uint_eq(hg_rows_count(rows), 1);
    ck_assert_int_eq(hg_rows_get(rows, 0, &row), HG_OK);
    ck_assert_int_eq(row.place.line, 5);
    ck_assert_uint_eq(row.now.total.bytes, 115);
    hg_rows_free(rows);
    hg_ledger_close(ledger);
}
END_TEST

START_TEST(a_stack_has_its_innermost_frames_last)
{
    hg_place frames[2];
    write_ledger("a.hg", 0);
    hg_ledger *ledger = open_ledger("a.hg");
    hg_rows *rows = rows_of(ledger, HG_BY_STACK, 3);

    ck_assert_uint_eq(hg_rows_stack(rows, 0, NULL, 0), 2);
    ck_assert_uint_eq(hg_rows_stack(rows, 0, frames, 2), 2);
    ck_assert_str_eq(frames[0].function, "main");
    ck_assert_int_eq(frames[0].line, 12);
    ck_assert_str_eq(frames[1].function, "load");
    ck_assert_uint_eq(hg_rows_stack(rows, 0, frames, 1), 2);
    ck_assert_str_eq(frames[0].function, "load");
    ck_assert_uint_eq(hg_rows_stack(rows, 3, frames, 2), 0);
    hg_rows_free(rows);
    hg_ledger_close(ledger);
}
END_TEST

START_TEST(threads_and_domains_are_named)
{
    hg_row row;
    write_ledger("a.hg", 0);
    hg_ledger *ledger = open_ledger("a.hg");

    hg_rows *rows = rows_of(ledger, HG_BY_THREAD, 1);
    ck_assert_int_eq(hg_rows_get(rows, 0, &row), HG_OK);
    ck_assert_int_eq(row.thread_pid, 4711);
    ck_assert_int_eq(row.thread_slot, 0);
    ck_assert_uint_eq(row.threads, 1);
    ck_assert_ptr_null(row.domain);
    hg_rows_free(rows);

    rows = rows_of(ledger, HG_BY_DOMAIN, 1);
    ck_assert_int_eq(hg_rows_get(rows, 0, &row), HG_OK);
    ck_assert_str_eq(row.domain, "obj");
    hg_rows_free(rows);
    hg_ledger_close(ledger);
}
END_TEST

START_TEST(growth_is_between_two_moments)
{
    hg_row row;
    hg_rows *rows = NULL;
    write_ledger("a.hg", 0);
    write_ledger("b.hg", 1000);
    hg_ledger *before = open_ledger("a.hg");
    hg_ledger *now = open_ledger("b.hg");

    ck_assert_int_eq(hg_ledger_growth(before, now, HG_BY_LINE, 1, &rows, NULL),
                     HG_OK);
    ck_assert_uint_eq(hg_rows_count(rows), 1);
    ck_assert_int_eq(hg_rows_get(rows, 0, &row), HG_OK);
    ck_assert_int_eq(row.place.line, 5);
    ck_assert_uint_eq(row.before.live.bytes, 0);
    ck_assert_uint_eq(row.now.live.bytes, 1000);
    ck_assert_int_eq(hg_row_growth(&row), 1000);
    ck_assert_int_eq(hg_row_growth_blocks(&row), 1);
    hg_rows_free(rows);

    ck_assert_int_eq(hg_ledger_growth(now, before, HG_BY_FILE, 1, &rows, NULL),
                     HG_OK);
    ck_assert_int_eq(hg_rows_get(rows, 0, &row), HG_OK);
    ck_assert_int_eq(hg_row_growth(&row), -1000);
    hg_rows_free(rows);
    hg_ledger_close(before);
    hg_ledger_close(now);
}
END_TEST

/* A failure leaves the result alone and says one line about the thing. */
#define ck_assert_fails(call, expected, says)                                      \
    do {                                                                           \
        ck_assert_int_eq(call, expected);                                          \
        ck_assert_ptr_nonnull(strstr(why.text, says));                             \
        ck_assert_ptr_null(strchr(why.text, '\n'));                                \
    } while (0)

START_TEST(what_cannot_be_opened_is_named)
{
    hg_ledger *ledger = NULL;
    hg_ledger_error why;
    maker_write_image((const unsigned char *)"no ledger", 9, "text.hg");

    ck_assert_fails(hg_ledger_open("none.hg", 0, &ledger, &why), HG_EIO,
                    "none.hg: ");
    ck_assert_fails(hg_ledger_open("text.hg", 0, &ledger, &why), HG_ECORRUPT,
                    "text.hg: ");
    ck_assert_fails(hg_ledger_open("none.hg", 2, &ledger, &why), HG_EINVAL,
                    "flags");
    ck_assert_fails(hg_ledger_open_pid(0, 0, &ledger, &why), HG_EINVAL, "process");
    ck_assert_int_eq(hg_ledger_open("none.hg", 0, &ledger, NULL), HG_EIO);
    ck_assert_ptr_null(ledger);
}
END_TEST

START_TEST(a_process_is_found_in_the_folder_of_ledgers)
{
    hg_ledger *ledger = NULL;
    hg_process process;
    hg_ledger_error why;
    setenv("HEAPGLASS_DIR", ".", 1);
    write_ledger("some.hg", 0);

    ck_assert_int_eq(hg_ledger_open_pid(4711, 0, &ledger, &why), HG_OK);
    ck_assert_int_eq(hg_ledger_process(ledger, 0, &process), HG_OK);
    ck_assert_int_eq(process.pid, 4711);
    hg_ledger_close(ledger);

    ledger = NULL;
    ck_assert_fails(hg_ledger_open_pid(4712, 0, &ledger, &why), HG_EIO, "4712: ");
    ck_assert_ptr_null(ledger);
}
END_TEST

START_TEST(rows_that_nobody_kept_are_refused)
{
    struct ledger_maker maker;
    hg_rows *rows = NULL;
    hg_ledger_error why;
    hg_program program;
    maker_begin(&maker);
    maker.header.mode = LEDGER_MODE_UNTRACED;
    maker_write(&maker, "untraced.hg");
    maker_drop(&maker);
    write_ledger("a.hg", 0);
    hg_ledger *untraced = open_ledger("untraced.hg");
    hg_ledger *traced = open_ledger("a.hg");

    hg_ledger_program(untraced, &program);
    ck_assert_str_eq(program.mode, "untraced");
    ck_assert_fails(hg_ledger_rows(untraced, HG_BY_LINE, HG_LIVE, 1, &rows, &why),
                    HG_ENOTSUP, "--untraced");
    ck_assert_fails(hg_ledger_growth(traced, untraced, HG_BY_LINE, 1, &rows, &why),
                    HG_ENOTSUP, "--untraced");
    ck_assert_fails(hg_ledger_rows(traced, (enum hg_by)6, HG_LIVE, 1, &rows, &why),
                    HG_EINVAL, "6");
    ck_assert_fails(hg_ledger_growth(traced, traced, HG_BY_THREAD, 1, &rows, &why),
                    HG_EINVAL, "stack");
    ck_assert_ptr_null(rows);
    hg_ledger_close(untraced);
    hg_ledger_close(traced);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_program_and_its_process_are_told,
        totals_are_live_peak_and_ever,
        samples_are_the_timeline,
        rows_come_with_the_biggest_first_and_outlive_the_ledger,
        the_order_is_the_one_that_was_asked_for,
        a_stack_has_its_innermost_frames_last,
        threads_and_domains_are_named,
        growth_is_between_two_moments,
        what_cannot_be_opened_is_named,
        a_process_is_found_in_the_folder_of_ledgers,
        rows_that_nobody_kept_are_refused,
    };
    return RUN_SUITE("public", tests);
}
