/* SPDX-License-Identifier: MIT */
/* collector.c - what is said of collections. */
#include "analyze/collector.h"

#include "reading_test.h"

static struct gathering family;
static struct process processes[2];

/* The families of these tests have as many processes as ledgers were added. */
static void add(struct ledger_maker *maker)
{
    struct process *process = &processes[family.count++];
    *process = (struct process){.copy = copy_of(maker)};
    family.processes = processes;
    maker_drop(maker);
}

static struct collector work_out(void)
{
    struct collector collector;
    ck_assert_int_eq(collector_work_out(&family, &collector), HG_OK);
    return collector;
}

static void drop(struct collector *collector)
{
    collector_drop(collector);
    for (size_t i = 0; i < family.count; i++)
        ledger_copy_free((struct ledger_copy *)processes[i].copy);
    family.count = 0;
}

static struct ledger_collection paused(uint64_t ns, uint64_t found)
{
    return (struct ledger_collection){.pause_ns = ns, .found = found};
}

START_TEST(pauses_fall_into_classes_of_an_eighth)
{
    ck_assert_uint_eq(ledger_pause_class(0), 0);
    ck_assert_uint_eq(ledger_pause_class(1023), 0);
    ck_assert_uint_eq(ledger_pause_class(1024), 1);
    ck_assert_uint_eq(ledger_pause_class(UINT64_MAX), LEDGER_PAUSE_CLASSES - 1);
    for (unsigned i = 1; i < LEDGER_PAUSE_CLASSES; i++) {
        uint64_t least = ledger_pause_least_ns(i);
        ck_assert_uint_eq(ledger_pause_class(least), i);
        ck_assert_uint_eq(ledger_pause_class(least - 1), i - 1);
    }
}
END_TEST

START_TEST(the_median_is_right_to_six_percent)
{
    struct ledger_maker maker;
    maker_begin(&maker);
    for (uint64_t i = 1; i <= 101; i++)
        maker_collection(&maker, 0, paused(i * 100000, 0));
    add(&maker);
    struct collector collector = work_out();
    double median = (double)collector_median_ns(&collector.generations[0]);
    ck_assert_double_ge(median, 5100000 * 0.94);
    ck_assert_double_le(median, 5100000 * 1.06);
    ck_assert_uint_eq(collector.generations[0].pause_max_ns, 10100000);
    ck_assert_uint_eq(collector_median_ns(&collector.generations[1]), 0);
    drop(&collector);
}
END_TEST

START_TEST(processes_are_summed_and_types_merged_by_name)
{
    for (int i = 0; i < 2; i++) {
        struct ledger_maker maker;
        maker_begin(&maker);
        maker_collection(&maker, 2, paused(1000 + (uint64_t)i, 3));
        maker_type(&maker, "", 0, 0);
        if (i == 1)
            maker_type(&maker, "Other", 1, 500);
        maker_type(&maker, "Node", 3, 96);
        add(&maker);
    }
    struct collector collector = work_out();
    ck_assert(collector.watched);
    ck_assert_uint_eq(collector.sum.collections, 2);
    ck_assert_uint_eq(collector.sum.pause_ns, 2001);
    ck_assert_uint_eq(collector.sum.found, 6);
    ck_assert_uint_eq(collector.run_ns, UINT64_C(24000000000));
    ck_assert_uint_eq(collector.type_count, 2);
    ck_assert(slice_equal(collector.types[0].name, slice_of("Other")));
    ck_assert_uint_eq(collector.types[1].objects, 6);
    ck_assert_uint_eq(collector.types[1].bytes, 192);
    drop(&collector);
}
END_TEST

START_TEST(without_generations_nothing_was_watched)
{
    struct ledger_maker maker;
    maker_begin(&maker);
    add(&maker);
    struct collector collector = work_out();
    ck_assert(!collector.watched);
    drop(&collector);
}
END_TEST

START_TEST(accounts_are_what_was_freed_of_each_node)
{
    struct ledger_maker maker;
    maker_begin(&maker);
    uint32_t one = maker_line(&maker, "a.py", "f", 1);
    uint32_t two = maker_line(&maker, "a.py", "f", 2);
    maker_garbage(&maker, one, 70, 2);
    struct ledger_copy *copy = copy_of(&maker);
    struct accounts accounts;
    ck_assert_int_eq(collector_accounts(copy, &accounts), HG_OK);
    ck_assert_uint_eq(accounts.sum.at[MOMENT_TOTAL].bytes, 70);
    ck_assert_uint_eq(accounts.nodes[one].at[MOMENT_LIVE].blocks, 2);
    ck_assert(measure_is_zero(&accounts.nodes[two]));
    accounts_drop(&accounts);
    ledger_copy_free(copy);
    maker_drop(&maker);
}
END_TEST

START_TEST(what_came_since_is_the_difference)
{
    struct ledger_maker maker;
    maker_begin(&maker);
    uint32_t line = maker_line(&maker, "a.py", "f", 1);
    maker_collection(&maker, 2, paused(9000, 1));
    maker_garbage(&maker, line, 10, 1);
    maker_type(&maker, "Node", 1, 10);
    struct ledger_copy *before = copy_of(&maker);
    maker_collection(&maker, 2, paused(5000, 4));
    maker_garbage(&maker, line, 50, 5);
    maker.types[0].objects = 5;
    maker.types[0].bytes = 50;
    struct ledger_copy *after = copy_of(&maker);
    collector_since(after, before);
    ck_assert_uint_eq(after->generations[2].collections, 1);
    ck_assert_uint_eq(after->generations[2].pause_ns, 5000);
    ck_assert_uint_eq(after->generations[2].pause_max_ns, 5000);
    ck_assert_uint_eq(after->garbage[line].bytes, 40);
    ck_assert_uint_eq(after->types[0].objects, 4);
    ck_assert_uint_eq(after->collections[512].number, 0);
    ck_assert_uint_eq(after->collections[513].number, 2);
    ledger_copy_free(before);
    ledger_copy_free(after);
    maker_drop(&maker);
}
END_TEST

static void ck_assert_advice(struct ledger_maker *maker, const char *says)
{
    char text[200];
    add(maker);
    struct collector collector = work_out();
    collector_advice(&collector, text, sizeof text);
    if (says == NULL)
        ck_assert_str_eq(text, "");
    else
        ck_assert_msg(strstr(text, says) != NULL, "%s", text);
    drop(&collector);
}

START_TEST(advice_is_given_where_it_helps_and_nowhere_else)
{
    enum { MS = 1000000 };
    struct ledger_maker maker;
    maker_begin(&maker); /* 12 seconds */
    for (int i = 0; i < 20; i++)
        maker_collection(&maker, 2, paused(60 * MS, 0));
    ck_assert_advice(&maker, "100% of full collections found nothing: gc.freeze()");

    maker_begin(&maker);
    for (int i = 0; i < 20; i++)
        maker_collection(&maker, 2, paused(MS / 10, 0));
    ck_assert_advice(&maker, NULL);

    maker_begin(&maker);
    for (int i = 0; i < 20; i++)
        maker_collection(&maker, 2, paused(60 * MS, 1000));
    ck_assert_advice(&maker, "Collections take 10% of the time: break the cycles");

    maker_begin(&maker);
    for (int i = 0; i < 2000; i++)
        maker_collection(&maker, 0, paused(MS / 2, 0));
    ck_assert_advice(&maker, "Collections take 8% of the time and find nothing");

    maker_begin(&maker);
    maker_collection(&maker, 2,
                     (struct ledger_collection){.found = 3, .uncollectable = 3});
    ck_assert_advice(&maker, "3 objects could not be freed");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        pauses_fall_into_classes_of_an_eighth,
        the_median_is_right_to_six_percent,
        processes_are_summed_and_types_merged_by_name,
        without_generations_nothing_was_watched,
        accounts_are_what_was_freed_of_each_node,
        what_came_since_is_the_difference,
        advice_is_given_where_it_helps_and_nowhere_else,
    };
    return RUN_SUITE("collector", tests);
}
