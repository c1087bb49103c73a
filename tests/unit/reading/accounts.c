/* SPDX-License-Identifier: MIT */
/* accounts.c - live, total and the share of the peak, from counters that only grow.
 */
#include "analyze/accounts.h"

#include "reading_test.h"

struct fixture {
    struct ledger_maker maker;
    uint32_t a;
    uint32_t b;
    struct ledger_copy *copy;
    struct accounts accounts;
};

static void begin(struct fixture *fixture)
{
    maker_begin(&fixture->maker);
    fixture->a = maker_line(&fixture->maker, "a.py", "a", 1);
    fixture->b = maker_line(&fixture->maker, "b.py", "b", 1);
}

static void work_out(struct fixture *fixture)
{
    fixture->copy = copy_of(&fixture->maker);
    ck_assert_int_eq(accounts_work_out(fixture->copy, &fixture->accounts), HG_OK);
}

static void end(struct fixture *fixture)
{
    accounts_drop(&fixture->accounts);
    ledger_copy_free(fixture->copy);
    maker_drop(&fixture->maker);
}

#define ck_assert_amount(value, expected_bytes, expected_blocks)                   \
    do {                                                                           \
        struct amount seen = (value);                                              \
        ck_assert_uint_eq(seen.bytes, expected_bytes);                             \
        ck_assert_uint_eq(seen.blocks, expected_blocks);                           \
    } while (0)

START_TEST(live_is_what_was_not_freed)
{
    struct fixture f;
    begin(&f);
    maker_allocated(&f.maker, f.a, 100);
    maker_allocated(&f.maker, f.a, 20);
    maker_freed(&f.maker, f.a, 100);
    work_out(&f);

    ck_assert_amount(f.accounts.nodes[f.a].at[MOMENT_LIVE], 20, 1);
    ck_assert_amount(f.accounts.nodes[f.a].at[MOMENT_TOTAL], 120, 2);
    ck_assert_amount(f.accounts.nodes[f.a].at[MOMENT_PEAK], 120, 2);
    end(&f);
}
END_TEST

/* a holds 100 at the peak of 150 and later 500 in turn, but never so much at once.
 */
START_TEST(shares_of_the_peak_sum_to_the_peak)
{
    struct fixture f;
    begin(&f);
    maker_allocated(&f.maker, f.a, 100);
    maker_allocated(&f.maker, f.b, 50); /* the peak */
    maker_freed(&f.maker, f.b, 50);
    maker_freed(&f.maker, f.a, 100);
    maker_allocated(&f.maker, f.b, 120);
    maker_freed(&f.maker, f.b, 120);
    work_out(&f);

    ck_assert_amount(f.accounts.nodes[f.a].at[MOMENT_PEAK], 100, 1);
    ck_assert_amount(f.accounts.nodes[f.b].at[MOMENT_PEAK], 50, 1);
    ck_assert_amount(f.accounts.sum.at[MOMENT_PEAK], 150, 2);
    ck_assert_uint_eq(f.copy->header.peak_bytes, 150);
    end(&f);
}
END_TEST

START_TEST(an_owner_untouched_since_the_peak_holds_what_it_held)
{
    struct fixture f;
    begin(&f);
    maker_allocated(&f.maker, f.a, 100);
    maker_freed(&f.maker, f.a, 100); /* an epoch ends: a remembers 100 */
    maker_allocated(&f.maker, f.b, 300);
    maker_freed(&f.maker, f.b, 300); /* the peak; a was not touched since */
    work_out(&f);

    ck_assert_amount(f.accounts.nodes[f.a].at[MOMENT_PEAK], 0, 0);
    ck_assert_amount(f.accounts.nodes[f.b].at[MOMENT_PEAK], 300, 1);
    end(&f);
}
END_TEST

START_TEST(at_the_peak_itself_the_share_is_the_live_value)
{
    struct fixture f;
    begin(&f);
    maker_allocated(&f.maker, f.a, 100);
    maker_freed(&f.maker, f.a, 100);
    maker_allocated(&f.maker, f.a, 400);
    maker_allocated(&f.maker, f.b, 1);
    work_out(&f);

    ck_assert_amount(f.accounts.nodes[f.a].at[MOMENT_PEAK], 400, 1);
    ck_assert_amount(f.accounts.sum.at[MOMENT_PEAK], 401, 2);
    end(&f);
}
END_TEST

START_TEST(updates_under_way_are_counted)
{
    struct fixture f;
    begin(&f);
    maker_allocated(&f.maker, f.a, 100);
    maker_allocated(&f.maker, f.b, 900);
    maker_freed(&f.maker, f.b, 900);
    maker_away(&f.maker, (struct ledger_away){.domain = LEDGER_RAW,
                                              .node = f.a,
                                              .allocated_bytes = 30,
                                              .allocated_blocks = 3,
                                              .freed_bytes = 10,
                                              .freed_blocks = 1});
    maker_away(&f.maker, (struct ledger_away){.node = LEDGER_NO_NODE,
                                              .allocated_bytes = 77,
                                              .allocated_blocks = 7});
    work_out(&f);

    ck_assert_amount(f.accounts.nodes[f.a].at[MOMENT_LIVE], 120, 3);
    ck_assert_amount(f.accounts.nodes[f.a].at[MOMENT_TOTAL], 130, 4);
    /* The peak was before: they have no part in it. */
    ck_assert_amount(f.accounts.sum.at[MOMENT_PEAK], 1000, 2);
    ck_assert_amount(f.accounts.domain[LEDGER_RAW].at[MOMENT_LIVE], 20, 2);
    end(&f);
}
END_TEST

START_TEST(updates_under_way_can_make_a_new_peak)
{
    struct fixture f;
    begin(&f);
    maker_allocated(&f.maker, f.a, 100);
    maker_freed(&f.maker, f.a, 100);
    maker_away(&f.maker, (struct ledger_away){.domain = LEDGER_RAW,
                                              .node = f.b,
                                              .allocated_bytes = 500,
                                              .allocated_blocks = 1});
    work_out(&f);

    ck_assert_amount(f.accounts.nodes[f.a].at[MOMENT_PEAK], 0, 0);
    ck_assert_amount(f.accounts.sum.at[MOMENT_PEAK], 500, 1);
    end(&f);
}
END_TEST

/* Allocated without the lock, freed with it: neither counter alone makes sense. */
START_TEST(a_block_may_be_freed_where_it_was_not_allocated)
{
    struct fixture f;
    begin(&f);
    f.maker.nodes[f.a].counters.freed_bytes = 50;
    f.maker.nodes[f.a].counters.freed_blocks = 1;
    maker_away(&f.maker, (struct ledger_away){.domain = LEDGER_RAW,
                                              .node = f.a,
                                              .allocated_bytes = 50,
                                              .allocated_blocks = 1});
    work_out(&f);

    ck_assert_amount(f.accounts.nodes[f.a].at[MOMENT_LIVE], 0, 0);
    end(&f);
}
END_TEST

START_TEST(more_freed_than_allocated_is_nothing_live)
{
    struct fixture f;
    begin(&f);
    f.maker.nodes[f.a].counters.freed_bytes = 50;
    f.maker.nodes[f.a].counters.freed_blocks = 1;
    work_out(&f);

    ck_assert_amount(f.accounts.sum.at[MOMENT_LIVE], 0, 0);
    end(&f);
}
END_TEST

START_TEST(what_a_child_inherited_is_not_its_own)
{
    struct fixture f;
    begin(&f);
    maker_inherited(&f.maker, f.a, 1000, 10);
    maker_inherited(&f.maker, f.b, 200, 2);
    maker_allocated(&f.maker, f.a, 70);
    maker_freed(&f.maker, f.b, 150); /* of the inherited ones */
    work_out(&f);

    ck_assert_amount(f.accounts.nodes[f.a].at[MOMENT_LIVE], 70, 1);
    ck_assert_amount(f.accounts.nodes[f.a].at[MOMENT_TOTAL], 70, 1);
    ck_assert_amount(f.accounts.nodes[f.b].at[MOMENT_LIVE], 0, 0);
    ck_assert_amount(f.accounts.sum.at[MOMENT_LIVE], 70, 1);
    ck_assert_amount(f.accounts.inherited, 1200, 12);
    end(&f);
}
END_TEST

START_TEST(domains_sum_to_the_whole)
{
    struct fixture f;
    begin(&f);
    maker_allocated_in(&f.maker, LEDGER_MEM, f.a, 300);
    maker_allocated_in(&f.maker, LEDGER_RAW, f.a, 20);
    maker_allocated(&f.maker, f.a, 1);
    work_out(&f);

    ck_assert_amount(f.accounts.domain[LEDGER_MEM].at[MOMENT_LIVE], 300, 1);
    ck_assert_amount(f.accounts.domain[LEDGER_RAW].at[MOMENT_LIVE], 20, 1);
    ck_assert_amount(f.accounts.domain[LEDGER_OBJ].at[MOMENT_LIVE], 1, 1);
    ck_assert_amount(f.accounts.domain[LEDGER_OBJ].at[MOMENT_PEAK], 1, 1);
    end(&f);
}
END_TEST

START_TEST(a_childs_domains_sum_to_the_whole_though_it_gave_back_objects)
{
    struct fixture f;
    begin(&f);
    maker_inherited(&f.maker, f.a, 1000, 10);
    maker_allocated_in(&f.maker, LEDGER_MEM, f.a, 300);
    maker_freed(&f.maker, f.a, 400); /* of the inherited ones */
    maker_allocated(&f.maker, f.b, 50);
    work_out(&f);

    ck_assert_amount(f.accounts.sum.at[MOMENT_LIVE], 50, 1);
    ck_assert_amount(f.accounts.domain[LEDGER_MEM].at[MOMENT_LIVE], 50, 1);
    ck_assert_amount(f.accounts.domain[LEDGER_OBJ].at[MOMENT_LIVE], 0, 0);
    ck_assert_amount(f.accounts.domain[LEDGER_MEM].at[MOMENT_TOTAL], 300, 1);
    ck_assert_amount(f.accounts.domain[LEDGER_OBJ].at[MOMENT_TOTAL], 50, 1);
    end(&f);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        live_is_what_was_not_freed,
        shares_of_the_peak_sum_to_the_peak,
        an_owner_untouched_since_the_peak_holds_what_it_held,
        at_the_peak_itself_the_share_is_the_live_value,
        updates_under_way_are_counted,
        updates_under_way_can_make_a_new_peak,
        a_block_may_be_freed_where_it_was_not_allocated,
        more_freed_than_allocated_is_nothing_live,
        what_a_child_inherited_is_not_its_own,
        domains_sum_to_the_whole,
        a_childs_domains_sum_to_the_whole_though_it_gave_back_objects,
    };
    return RUN_SUITE("accounts", tests);
}
