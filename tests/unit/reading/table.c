/* SPDX-License-Identifier: MIT */
/* table.c - rows by line and the rest, of one ledger and of several. */
#include "analyze/table.h"

#include "analyze/accounts.h"
#include "analyze/growth.h"
#include "analyze/order.h"
#include "reading_test.h"

/*
 *     thread 0:  main:12 --- load:4     100 bytes
 *                       \--- load:5      20
 *                main:13 --- load:4       3
 *     no frame                            7
 */
static void make_program(struct ledger_maker *maker)
{
    maker_begin(maker);
    uint32_t app = maker_code(maker, "/home/shop/app.py", "main", 10);
    uint32_t load = maker_code(maker, "/home/shop/db.py", "load", 3);
    uint32_t first = maker_node(maker, MAIN_THREAD, app, 12);
    uint32_t second = maker_node(maker, MAIN_THREAD, app, 13);
    maker_allocated(maker, maker_node(maker, first, load, 4), 100);
    maker_allocated(maker, maker_node(maker, first, load, 5), 20);
    maker_allocated(maker, maker_node(maker, second, load, 4), 3);
    maker_allocated(maker, MAIN_THREAD, 7);
}

static void add(struct table *table, enum table_side side,
                struct ledger_maker *maker)
{
    struct accounts accounts;
    struct ledger_copy *copy = copy_of(maker);
    ck_assert_int_eq(accounts_work_out(copy, &accounts), HG_OK);
    ck_assert_int_eq(table_add(table, side, copy, &accounts), HG_OK);
    accounts_drop(&accounts);
    ledger_copy_free(copy);
    maker_drop(maker);
}

/* The rows of a table of one ledger, the biggest first. */
static struct table_row *rows_of(struct table *table, size_t expected)
{
    size_t count;
    struct table_row *rows = table_rows(table, &count);
    ck_assert_ptr_nonnull(rows);
    ck_assert_uint_eq(count, expected);
    order_by_moment(table, rows, count, SIZE_MAX, MOMENT_LIVE);
    return rows;
}

static uint64_t live(const struct table_row *row)
{
    return row->side[SIDE_A]->at[MOMENT_LIVE].bytes;
}

#define ck_assert_text(table, string, expected)                                    \
    ck_assert_str_eq(table_text(table, string).at, expected)

START_TEST(by_line_stacks_that_end_on_one_line_are_one_row)
{
    struct ledger_maker maker;
    struct table *table = table_new(BY_LINE);
    make_program(&maker);
    add(table, SIDE_A, &maker);

    struct table_row *rows = rows_of(table, 3);
    ck_assert_uint_eq(live(&rows[0]), 103);
    ck_assert_text(table, rows[0].place.file, "/home/shop/db.py");
    ck_assert_text(table, rows[0].place.function, "load");
    ck_assert_uint_eq(rows[0].place.line, 4);
    ck_assert_uint_eq(live(&rows[1]), 20);
    ck_assert_uint_eq(table_sum(table, SIDE_A)->at[MOMENT_LIVE].bytes, 130);
    free(rows);
    table_free(table);
}
END_TEST

START_TEST(what_has_no_frame_has_a_row_without_a_file)
{
    struct ledger_maker maker;
    struct table *table = table_new(BY_LINE);
    make_program(&maker);
    add(table, SIDE_A, &maker);

    struct table_row *rows = rows_of(table, 3);
    ck_assert_uint_eq(live(&rows[2]), 7);
    ck_assert_uint_eq(rows[2].place.file, STRINGS_NONE);
    ck_assert_uint_eq(rows[2].place.line, PLACE_NO_LINE);
    ck_assert_text(table, rows[2].place.function, "(no Python frame)");
    free(rows);
    table_free(table);
}
END_TEST

START_TEST(what_was_not_recorded_has_a_row_of_its_own)
{
    struct ledger_maker maker;
    struct table *table = table_new(BY_FILE);
    maker_begin(&maker);
    maker_allocated(&maker, LEDGER_NOT_RECORDED, 9);
    maker_allocated(&maker, MAIN_THREAD, 8);
    add(table, SIDE_A, &maker);

    struct table_row *rows = rows_of(table, 2);
    ck_assert_text(table, rows[0].place.function, "(not recorded)");
    ck_assert_text(table, rows[1].place.function, "(no Python frame)");
    free(rows);
    table_free(table);
}
END_TEST

START_TEST(by_function_the_line_is_its_first)
{
    struct ledger_maker maker;
    struct table *table = table_new(BY_FUNCTION);
    make_program(&maker);
    add(table, SIDE_A, &maker);

    struct table_row *rows = rows_of(table, 2);
    ck_assert_uint_eq(live(&rows[0]), 123);
    ck_assert_uint_eq(rows[0].place.line, 3);
    free(rows);
    table_free(table);
}
END_TEST

START_TEST(by_stack_the_callers_tell_rows_apart)
{
    struct ledger_maker maker;
    struct place frames[4];
    struct table *table = table_new(BY_STACK);
    make_program(&maker);
    add(table, SIDE_A, &maker);

    struct table_row *rows = rows_of(table, 4);
    ck_assert_uint_eq(live(&rows[0]), 100);
    ck_assert_uint_eq(table_stack(table, rows[0].number, frames, 4), 2);
    ck_assert_text(table, frames[0].function, "main");
    ck_assert_uint_eq(frames[0].line, 12);
    ck_assert_uint_eq(frames[1].line, 4);

    /* With room for one frame, the innermost. */
    ck_assert_uint_eq(table_stack(table, rows[0].number, frames, 1), 2);
    ck_assert_uint_eq(frames[0].line, 4);

    /* No frame at all. */
    ck_assert_uint_eq(live(&rows[2]), 7);
    ck_assert_uint_eq(table_stack(table, rows[2].number, frames, 4), 0);
    free(rows);
    table_free(table);
}
END_TEST

START_TEST(by_thread_a_slot_is_a_row)
{
    struct ledger_maker maker;
    struct table *table = table_new(BY_THREAD);
    make_program(&maker);
    uint32_t worker = maker_thread(&maker, 4999);
    maker_allocated(&maker, maker_node(&maker, worker, 1, 12), 5000);
    maker_allocated(&maker, LEDGER_NOT_RECORDED, 1);
    add(table, SIDE_A, &maker);

    struct table_row *rows = rows_of(table, 3);
    struct table_thread thread = table_thread(table, rows[0].number);
    ck_assert_uint_eq(live(&rows[0]), 5000);
    ck_assert_uint_eq(thread.slot, 1);
    ck_assert_uint_eq(thread.tid, 4999);
    ck_assert_uint_eq(live(&rows[1]), 130);
    ck_assert(table_thread(table, rows[2].number).not_recorded);
    free(rows);
    table_free(table);
}
END_TEST

START_TEST(by_domain_only_those_in_use_are_rows)
{
    struct ledger_maker maker;
    struct table *table = table_new(BY_DOMAIN);
    make_program(&maker);
    maker_allocated_in(&maker, LEDGER_MEM, MAIN_THREAD, 1000);
    add(table, SIDE_A, &maker);

    struct table_row *rows = rows_of(table, 2);
    ck_assert_str_eq(table_domain(table, rows[0].number), "mem");
    ck_assert_str_eq(table_domain(table, rows[1].number), "obj");
    ck_assert_uint_eq(live(&rows[1]), 130);
    free(rows);
    table_free(table);
}
END_TEST

/* Two processes number their codes and nodes differently. */
START_TEST(ledgers_merge_by_names)
{
    for (enum table_by by = BY_LINE; by <= BY_STACK; by++) {
        struct ledger_maker one;
        struct ledger_maker two;
        struct table *table = table_new(by);
        make_program(&one);
        add(table, SIDE_A, &one);
        size_t before;
        free(table_rows(table, &before));

        make_program(&two);
        maker_line(&two, "/usr/lib/x.py", "x", 1);
        uint32_t outer = maker_line(&two, "/home/shop/app.py", "main", 12);
        uint32_t load = maker_code(&two, "/home/shop/db.py", "load", 3);
        maker_allocated(&two, maker_node(&two, outer, load, 4), 1000);
        add(table, SIDE_A, &two);

        size_t after;
        struct table_row *rows = table_rows(table, &after);
        ck_assert_uint_eq(table_sum(table, SIDE_A)->at[MOMENT_LIVE].bytes, 1260);
        if (by != BY_FUNCTION) /* maker_line() says another first line */
            ck_assert_uint_eq(after, before);
        free(rows);
        table_free(table);
    }
}
END_TEST

/* A chain as deep as recursion makes it takes no recursion of ours. */
START_TEST(a_deep_stack_is_no_danger)
{
    struct ledger_maker maker;
    struct place frames[2];
    struct table *table = table_new(BY_STACK);
    maker_begin(&maker);
    uint32_t code = maker_code(&maker, "deep.py", "deep", 1);
    uint32_t node = MAIN_THREAD;
    for (int i = 0; i < 300000; i++)
        node = maker_node(&maker, node, code, 2);
    maker_allocated(&maker, node, 5);
    add(table, SIDE_A, &maker);

    struct table_row *rows = rows_of(table, 1);
    ck_assert_uint_eq(table_stack(table, rows[0].number, frames, 2), 300000);
    free(rows);
    table_free(table);
}
END_TEST

START_TEST(a_relative_file_belongs_to_the_folder_of_its_program)
{
    struct ledger_maker maker;
    struct table *table = table_new(BY_LINE);
    maker_begin(&maker);
    maker_allocated(&maker, maker_line(&maker, "app.py", "f", 1), 1);
    add(table, SIDE_A, &maker);

    struct table_row *rows = rows_of(table, 1);
    ck_assert_text(table, table_folder_of(table, rows[0].place.file), "/home/shop");
    free(rows);
    table_free(table);
}
END_TEST

START_TEST(equal_rows_come_in_the_order_of_their_names)
{
    struct ledger_maker maker;
    struct table *table = table_new(BY_LINE);
    maker_begin(&maker);
    maker_allocated(&maker, maker_line(&maker, "b.py", "f", 1), 5);
    maker_allocated(&maker, maker_line(&maker, "a.py", "f", 9), 5);
    maker_allocated(&maker, maker_line(&maker, "a.py", "f", 2), 5);
    maker_allocated(&maker, MAIN_THREAD, 5);
    add(table, SIDE_A, &maker);

    struct table_row *rows = rows_of(table, 4);
    ck_assert_uint_eq(rows[0].place.line, 2);
    ck_assert_uint_eq(rows[1].place.line, 9);
    ck_assert_text(table, rows[2].place.file, "b.py");
    ck_assert_uint_eq(rows[3].place.file, STRINGS_NONE);
    free(rows);
    table_free(table);
}
END_TEST

START_TEST(the_first_rows_are_the_same_however_many_are_wanted)
{
    struct ledger_maker maker;
    char function[16];
    struct table *table = table_new(BY_LINE);
    maker_begin(&maker);
    for (unsigned i = 0; i < 500; i++) {
        snprintf(function, sizeof function, "f%u", i);
        maker_allocated(&maker, maker_line(&maker, "a.py", function, i),
                        i * 7919 % 97);
    }
    add(table, SIDE_A, &maker);

    struct table_row *all = rows_of(table, 500);
    for (size_t top = 0; top < 500; top += 33) {
        size_t count;
        struct table_row *rows = table_rows(table, &count);
        order_by_moment(table, rows, count, top, MOMENT_LIVE);
        for (size_t i = 0; i < top; i++)
            ck_assert_uint_eq(rows[i].number, all[i].number);
        free(rows);
    }
    free(all);
    table_free(table);
}
END_TEST

static void make_line(struct ledger_maker *maker, const char *function,
                      uint64_t bytes)
{
    maker_allocated(maker, maker_line(maker, "a.py", function, 1), bytes);
}

START_TEST(growth_tells_new_gone_grown_shrunk_and_same)
{
    struct ledger_maker before;
    struct ledger_maker after;
    struct table *table = table_new(BY_LINE);
    maker_begin(&before);
    make_line(&before, "gone", 500);
    make_line(&before, "grown", 10);
    make_line(&before, "shrunk", 100);
    make_line(&before, "same", 9999);
    add(table, SIDE_A, &before);
    maker_begin(&after);
    make_line(&after, "same", 9999);
    make_line(&after, "grown", 30);
    make_line(&after, "shrunk", 1);
    make_line(&after, "new", 1000);
    add(table, SIDE_B, &after);

    size_t count;
    struct table_row *rows = growth_rows(table, SIZE_MAX, &count);

    static const enum change expected[] = {CHANGE_NEW, CHANGE_GONE, CHANGE_SHRUNK,
                                           CHANGE_GROWN, CHANGE_SAME};
    static const int64_t growth[] = {1000, -500, -99, 20, 0};
    ck_assert_uint_eq(count, 5);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(growth_of(&rows[i]), expected[i]);
        ck_assert_str_eq(table_text(table, rows[i].place.function).at,
                         growth_name(expected[i]));
        ck_assert_int_eq(growth_bytes(rows[i].side[SIDE_A], rows[i].side[SIDE_B]),
                         growth[i]);
    }
    free(rows);
    table_free(table);
}
END_TEST

START_TEST(what_was_freed_on_both_sides_is_no_row_of_a_diff)
{
    struct ledger_maker before;
    struct ledger_maker after;
    struct table *table = table_new(BY_LINE);
    maker_begin(&before);
    uint32_t node = maker_line(&before, "a.py", "f", 1);
    maker_allocated(&before, node, 10);
    maker_freed(&before, node, 10);
    add(table, SIDE_A, &before);
    maker_begin(&after);
    add(table, SIDE_B, &after);

    size_t count;
    free(growth_rows(table, SIZE_MAX, &count));
    ck_assert_uint_eq(count, 0);
    table_free(table);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        by_line_stacks_that_end_on_one_line_are_one_row,
        what_has_no_frame_has_a_row_without_a_file,
        what_was_not_recorded_has_a_row_of_its_own,
        by_function_the_line_is_its_first,
        by_stack_the_callers_tell_rows_apart,
        by_thread_a_slot_is_a_row,
        by_domain_only_those_in_use_are_rows,
        ledgers_merge_by_names,
        a_deep_stack_is_no_danger,
        a_relative_file_belongs_to_the_folder_of_its_program,
        equal_rows_come_in_the_order_of_their_names,
        the_first_rows_are_the_same_however_many_are_wanted,
        growth_tells_new_gone_grown_shrunk_and_same,
        what_was_freed_on_both_sides_is_no_row_of_a_diff,
    };
    return RUN_SUITE("table", tests);
}
