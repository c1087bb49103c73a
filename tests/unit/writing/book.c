/* SPDX-License-Identifier: MIT */
/* book.c - at every moment the shares of the peak are what a model remembers. */
#include "trace/book.h"

#include "analyze/accounts.h"
#include "trace/session.h"
#include "writing_test.h"

#include <pthread.h>

enum { NODES = 10, BLOCKS = 400, OWNERS = NODES + LEDGER_DOMAINS };

/* What everybody holds, and held when it was most: the latest such moment.  Owners
   are the nodes, then the domains. */
static struct model {
    struct amount live[OWNERS];
    struct amount at_peak[OWNERS];
    uint64_t live_bytes;
    uint64_t peak_bytes;
} model;

static struct block {
    uint32_t owner;
    enum ledger_domain domain;
    size_t bytes;
} block[BLOCKS];
static unsigned block_count;

static uint32_t node_of[NODES];
static unsigned seed;

static unsigned random_below(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

static void begin(unsigned first_seed)
{
    seed = first_seed;
    make_ledger(&session.ledger, "a.hg");
    ck_assert_int_eq(tree_init(&session.tree, &session.ledger), HG_OK);
    book.header = session.ledger.header;
    book.nodes = session.ledger.nodes;
    for (uint32_t i = 0; i < NODES; i++)
        node_of[i] = tree_child(&session.tree, LEDGER_NOT_RECORDED, 0, i);
}

static void model_allocated(uint32_t owner, enum ledger_domain domain, size_t bytes,
                            size_t blocks)
{
    const uint32_t both[2] = {owner, NODES + domain};
    for (int i = 0; i < 2; i++) {
        model.live[both[i]].bytes += bytes;
        model.live[both[i]].blocks += blocks;
    }
    model.live_bytes += bytes;
    if (model.live_bytes >= model.peak_bytes) {
        model.peak_bytes = model.live_bytes;
        memcpy(model.at_peak, model.live, sizeof model.live);
    }
}

static void model_freed(uint32_t owner, enum ledger_domain domain, size_t bytes,
                        size_t blocks)
{
    const uint32_t both[2] = {owner, NODES + domain};
    for (int i = 0; i < 2; i++) {
        model.live[both[i]].bytes -= bytes;
        model.live[both[i]].blocks -= blocks;
    }
    model.live_bytes -= bytes;
}

/* As layout.h tells a reader to do it. */
static struct amount share_of(const struct ledger_counters *c)
{
    const struct ledger_header *header = session.ledger.header;
    if (header->below_peak_bytes != 0 && c->epoch == header->epoch)
        return (struct amount){c->peak_bytes, c->peak_blocks};
    return (struct amount){c->allocated_bytes - c->freed_bytes,
                           c->allocated_blocks - c->freed_blocks};
}

static void compare_owner(uint32_t owner, const struct ledger_counters *c)
{
    struct amount share = share_of(c);
    const struct amount *peak = &model.at_peak[owner];
    const struct amount *live = &model.live[owner];

    if (c->allocated_bytes - c->freed_bytes != live->bytes ||
        c->allocated_blocks - c->freed_blocks != live->blocks)
        ck_abort_msg("owner %u holds something else", owner);
    if (share.bytes != peak->bytes || share.blocks != peak->blocks)
        ck_abort_msg("the share of owner %u is %lu in %lu, not %lu in %lu", owner,
                     share.bytes, share.blocks, peak->bytes, peak->blocks);
}

static void compare(void)
{
    const struct ledger_header *header = session.ledger.header;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < NODES; i++) {
        compare_owner(i, &book.nodes[node_of[i]].counters);
        sum += share_of(&book.nodes[node_of[i]].counters).bytes;
    }
    for (uint32_t d = LEDGER_MEM; d < LEDGER_DOMAINS; d++)
        compare_owner(NODES + d, &header->domain[d]);
    if (sum != header->peak_bytes)
        ck_abort_msg("shares sum to %lu", sum);
    if (header->peak_bytes != model.peak_bytes ||
        ledger_live_bytes(header) != model.live_bytes ||
        header->below_peak_bytes != (int64_t)(model.peak_bytes - model.live_bytes))
        ck_abort_msg("totals are wrong");
}

/* The same by the reader and what analyzes, which may also be OBJ. */
static void compare_with_reader(void)
{
    struct accounts accounts;
    struct ledger_copy *copy = read_ledger("a.hg");
    ck_assert_int_eq(accounts_work_out(copy, &accounts), HG_OK);
    ck_assert_uint_eq(accounts.sum.at[MOMENT_PEAK].bytes, model.peak_bytes);
    ck_assert_uint_eq(accounts.sum.at[MOMENT_LIVE].bytes, model.live_bytes);
    for (uint32_t i = 0; i < OWNERS; i++) {
        const struct measure *m =
            i < NODES ? &accounts.nodes[node_of[i]] : &accounts.domain[i - NODES];
        ck_assert_uint_eq(m->at[MOMENT_PEAK].bytes, model.at_peak[i].bytes);
        ck_assert_uint_eq(m->at[MOMENT_PEAK].blocks, model.at_peak[i].blocks);
        ck_assert_uint_eq(m->at[MOMENT_LIVE].bytes, model.live[i].bytes);
        ck_assert_uint_eq(m->at[MOMENT_LIVE].blocks, model.live[i].blocks);
    }
    accounts_drop(&accounts);
    ledger_copy_free(copy);
}

static void allocate(struct block new)
{
    block[block_count++] = new;
    book_allocated(tag_of(node_of[new.owner], 0), new.domain, new.bytes);
    model_allocated(new.owner, new.domain, new.bytes, 1);
}

static struct block take_any(void)
{
    unsigned at = random_below(block_count);
    struct block old = block[at];
    block[at] = block[--block_count];
    return old;
}

static void free_any(void)
{
    struct block old = take_any();
    book_freed(tag_of(node_of[old.owner], 0), old.domain, old.bytes);
    model_freed(old.owner, old.domain, old.bytes, 1);
}

/* Grow for a while, then shrink for a while, with many small peaks on the way. */
static void step(unsigned i, size_t most_bytes)
{
    bool growing = i / 300 % 2 == 0;
    bool more = random_below(10) < (growing ? 6u : 4u);
    if (block_count == 0 || (more && block_count < BLOCKS))
        allocate((struct block){random_below(NODES), random_below(LEDGER_DOMAINS),
                                1 + random_below((unsigned)most_bytes)});
    else
        free_any();
    compare();
}

START_TEST(shares_of_the_peak_are_right_at_every_step)
{
    begin(1);
    for (unsigned i = 0; i < 30000; i++) {
        step(i, 3000);
        if (i % 500 == 0)
            compare_with_reader();
    }
}
END_TEST

/* Blocks of one size come back to the very same maximum again and again. */
START_TEST(shares_are_those_of_the_latest_of_equal_peaks)
{
    begin(2);
    for (unsigned i = 0; i < 30000; i++) {
        step(i, 1);
        if (i % 500 == 0)
            compare_with_reader();
    }
    ck_assert_uint_gt(session.ledger.header->epoch, 100);
}
END_TEST

START_TEST(shares_outlive_epochs_that_go_round)
{
    begin(3);
    for (unsigned i = 0; i < 20000; i++) {
        step(i, 100);
        if (i % 7 == 0) {
            book_restart_epochs();
            ck_assert_uint_eq(session.ledger.header->epoch, 1);
            compare();
        }
    }
    compare_with_reader();
}
END_TEST

START_TEST(epochs_are_restarted_before_they_go_round)
{
    begin(4);
    session.ledger.header->epoch = (1u << 31) - 1;
    allocate((struct block){0, LEDGER_MEM, 100});
    allocate((struct block){1, LEDGER_RAW, 10});
    book_watch_epochs();
    ck_assert_uint_eq(session.ledger.header->epoch, (1u << 31) - 1);
    free_any();
    ck_assert_uint_eq(session.ledger.header->epoch, 1u << 31);

    book_watch_epochs();

    ck_assert_uint_eq(session.ledger.header->epoch, 1);
    compare();
    for (unsigned i = 0; i < 1000; i++)
        step(i, 100);
}
END_TEST

START_TEST(a_node_that_is_new_has_no_share_of_an_old_peak)
{
    begin(5);
    allocate((struct block){0, LEDGER_OBJ, 100});
    free_any();
    uint32_t node = tree_child(&session.tree, LEDGER_NOT_RECORDED, 0, 100);
    book_allocated(tag_of(node, 0), LEDGER_OBJ, 40);

    ck_assert_uint_eq(share_of(&book.nodes[node].counters).bytes, 0);
    ck_assert_uint_eq(share_of(&book.nodes[node_of[0]].counters).bytes, 100);
    ck_assert_uint_eq(session.ledger.header->peak_bytes, 100);
}
END_TEST

START_TEST(live_is_right_for_a_program_killed_at_its_peak)
{
    const struct ledger_header settled = {.peak_bytes = 100,
                                          .below_peak_bytes = 30};
    const struct ledger_header passing = {.peak_bytes = 100,
                                          .below_peak_bytes = -5};
    const struct ledger_header fresh = {.peak_bytes = 0};

    ck_assert_uint_eq(ledger_live_bytes(&settled), 70);
    ck_assert_uint_eq(ledger_live_bytes(&passing), 105);
    ck_assert_uint_eq(ledger_live_bytes(&fresh), 0);
}
END_TEST

START_TEST(blocks_at_the_peak_saturate)
{
    begin(6);
    struct ledger_counters *c = &book.nodes[node_of[0]].counters;
    c->allocated_blocks = 5000000000u;

    counters_freed(c, 2, 1);

    ck_assert_uint_eq(c->peak_blocks, 4294967295u);
}
END_TEST

START_TEST(a_tag_holds_node_and_slack)
{
    uint32_t tag = tag_of(LEDGER_MAX_NODES - 1, 15);

    ck_assert_uint_eq(tag_node(tag), 67108863);
    ck_assert_uint_eq(tag & TAG_SLACK_MASK, 15);
    ck_assert_uint_eq(tag & TAG_WATCHED, 0);
    ck_assert_uint_eq(tag_node(tag | TAG_WATCHED), 67108863);
}
END_TEST

START_TEST(no_key_is_zero)
{
    ck_assert_uint_eq(book_key(NULL), 1);
}
END_TEST

START_TEST(what_was_done_away_is_taken_over)
{
    begin(7);
    book_away(node_of[2], LEDGER_RAW, false, 100);
    book_away(node_of[2], LEDGER_RAW, false, 20);
    book_away(node_of[2], LEDGER_RAW, true, 20);
    book_away(node_of[3], LEDGER_RAW, false, 5);
    ck_assert_uint_eq(ledger_used(&session.ledger, LEDGER_AWAY), 2);
    ck_assert_uint_eq(ledger_live_bytes(session.ledger.header), 0);

    book_take_over();

    const struct ledger_counters *c = &book.nodes[node_of[2]].counters;
    const struct ledger_counters *raw = &session.ledger.header->domain[LEDGER_RAW];
    ck_assert_uint_eq(ledger_used(&session.ledger, LEDGER_AWAY), 0);
    ck_assert_uint_eq(c->allocated_bytes, 120);
    ck_assert_uint_eq(c->allocated_blocks, 2);
    ck_assert_uint_eq(c->freed_bytes, 20);
    ck_assert_uint_eq(c->freed_blocks, 1);
    ck_assert_uint_eq(raw->allocated_bytes, 125);
    ck_assert_uint_eq(raw->freed_blocks, 1);
    ck_assert_uint_eq(ledger_live_bytes(session.ledger.header), 105);
    ck_assert_uint_eq(session.ledger.header->peak_bytes, 120);
}
END_TEST

/* Updates under way, and the model of them: what each node did since, in the order
   in which the nodes first did anything. */
static struct away {
    uint32_t owner;
    struct amount allocated;
    struct amount freed;
} away[NODES];
static unsigned away_count;

static void do_away(uint32_t owner, bool freed, size_t bytes)
{
    unsigned i = 0;
    while (i < away_count && away[i].owner != owner)
        i++;
    if (i == away_count)
        away[away_count++] = (struct away){.owner = owner};
    struct amount *of = freed ? &away[i].freed : &away[i].allocated;
    of->bytes += bytes;
    of->blocks++;
    book_away(node_of[owner], LEDGER_RAW, freed, bytes);
}

static void step_away(void)
{
    if (block_count == 0 || (random_below(2) && block_count < BLOCKS)) {
        struct block new = {random_below(NODES), LEDGER_RAW, 1 + random_below(500)};
        block[block_count++] = new;
        do_away(new.owner, false, new.bytes);
    } else {
        struct block old = take_any();
        if (old.domain == LEDGER_RAW) {
            do_away(old.owner, true, old.bytes);
        } else {
            block[block_count++] = old;
        }
    }
}

static void take_over(void)
{
    book_take_over();
    for (unsigned i = 0; i < away_count; i++) {
        const struct away *a = &away[i];
        model_allocated(a->owner, LEDGER_RAW, a->allocated.bytes,
                        a->allocated.blocks);
        model_freed(a->owner, LEDGER_RAW, a->freed.bytes, a->freed.blocks);
    }
    away_count = 0;
}

START_TEST(away_and_taken_over_is_as_if_done_at_once)
{
    begin(8);
    for (unsigned i = 0; i < 2000; i++) {
        unsigned count = random_below(12);
        for (unsigned k = 0; k < count; k++)
            step_away();
        take_over();
        compare();
        step(i, 500);
        if (i % 100 == 0)
            compare_with_reader();
    }
}
END_TEST

START_TEST(a_reader_adds_what_is_under_way)
{
    struct accounts accounts;
    begin(9);
    allocate((struct block){0, LEDGER_RAW, 1000});
    free_any();
    book_away(node_of[1], LEDGER_RAW, false, 300);
    book_away(node_of[1], LEDGER_RAW, true, 100);

    struct ledger_copy *copy = read_ledger("a.hg");
    ck_assert_int_eq(accounts_work_out(copy, &accounts), HG_OK);

    const struct measure *node = &accounts.nodes[node_of[1]];
    ck_assert_uint_eq(node->at[MOMENT_LIVE].bytes, 200);
    ck_assert_uint_eq(node->at[MOMENT_TOTAL].bytes, 300);
    ck_assert_uint_eq(node->at[MOMENT_PEAK].bytes, 0);
    ck_assert_uint_eq(accounts.nodes[node_of[0]].at[MOMENT_PEAK].bytes, 1000);
    ck_assert_uint_eq(accounts.sum.at[MOMENT_PEAK].bytes, 1000);
    accounts_drop(&accounts);
    ledger_copy_free(copy);
}
END_TEST

START_TEST(a_full_table_loses_nothing_and_says_so)
{
    begin(10);
    uint32_t first = NODES + LEDGER_FIRST_THREAD;
    uint64_t room = session.ledger.header->section[LEDGER_AWAY].capacity;
    for (uint32_t i = 0; i < room + 2; i++)
        ck_assert_uint_eq(tree_child(&session.tree, LEDGER_NOT_RECORDED, 1, i),
                          first + i);
    for (uint32_t i = 0; i < room; i++)
        book_away(first + i, LEDGER_RAW, false, 10);
    ck_assert_uint_eq(session.ledger.header->lost.away_races, 0);

    book_away(first + (uint32_t)room, LEDGER_RAW, false, 10);
    book_away(first + (uint32_t)room, LEDGER_RAW, true, 10);
    book_away(first, LEDGER_RAW, false, 10); /* has its entry */

    ck_assert_uint_eq(session.ledger.header->lost.away_races, 2);
    ck_assert_uint_eq(book.nodes[first + room].counters.freed_bytes, 10);
    book_take_over();
    ck_assert_uint_eq(ledger_live_bytes(session.ledger.header), (room + 1) * 10);
    ck_assert_uint_eq(book.nodes[first].counters.allocated_blocks, 2);
}
END_TEST

enum { THREADS = 2, ROUNDS = 20000 };

static void *work_away(void *arg)
{
    uint32_t node = *(uint32_t *)arg;
    for (int i = 0; i < ROUNDS; i++) {
        book_away(node, LEDGER_RAW, false, 10);
        book_away(node_of[0], LEDGER_RAW, false, 3);
        book_away(node, LEDGER_RAW, true, 9);
    }
    return NULL;
}

START_TEST(threads_away_lose_nothing_to_who_takes_over)
{
    pthread_t thread[THREADS];
    begin(11);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, work_away, &node_of[1 + i]);
    for (int i = 0; i < ROUNDS; i++)
        book_take_over();
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    book_take_over();

    const struct ledger_counters *shared = &book.nodes[node_of[0]].counters;
    ck_assert_uint_eq(shared->allocated_bytes, 2 * ROUNDS * 3);
    ck_assert_uint_eq(book.nodes[node_of[1]].counters.freed_bytes, ROUNDS * 9);
    ck_assert_uint_eq(book.nodes[node_of[2]].counters.allocated_blocks, ROUNDS);
    ck_assert_uint_eq(ledger_live_bytes(session.ledger.header), 2 * ROUNDS * 4);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        shares_of_the_peak_are_right_at_every_step,
        shares_are_those_of_the_latest_of_equal_peaks,
        shares_outlive_epochs_that_go_round,
        epochs_are_restarted_before_they_go_round,
        a_node_that_is_new_has_no_share_of_an_old_peak,
        live_is_right_for_a_program_killed_at_its_peak,
        blocks_at_the_peak_saturate,
        a_tag_holds_node_and_slack,
        no_key_is_zero,
        what_was_done_away_is_taken_over,
        away_and_taken_over_is_as_if_done_at_once,
        a_reader_adds_what_is_under_way,
        a_full_table_loses_nothing_and_says_so,
        threads_away_lose_nothing_to_who_takes_over,
    };
    return RUN_SUITE("book", tests);
}
