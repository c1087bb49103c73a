/* SPDX-License-Identifier: MIT */
/* timeline.c - a bounded table of samples loses resolution, and nothing else. */
#include "trace/timeline.h"

#include "trace/book.h"
#include "trace/session.h"
#include "writing_test.h"

#include <time.h>

static uint64_t collected[3];

static void collections(uint64_t counts[3])
{
    memcpy(counts, collected, sizeof collected);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void begin(void)
{
    make_ledger(&session.ledger, "a.hg");
    session.ledger.header->start_ns = now_ns() - 1;
    session_adapter.collections = collections;
    book.header = session.ledger.header;
    book.nodes = session.ledger.nodes;
    timeline_start();
}

static const struct ledger_sample *samples(void)
{
    return ledger_at(&session.ledger, LEDGER_TIMELINE);
}

static uint64_t sample_count(void)
{
    return ledger_used(&session.ledger, LEDGER_TIMELINE);
}

/* The clock is read as the time since the start: so the test owns it, by moving the
   start.  A machine that is slow moves it on. */
static void set_time(uint64_t ns)
{
    session.ledger.header->start_ns = now_ns() - ns;
}

/* It stands at 0. */
static void stop_time(void)
{
    session.ledger.header->start_ns = UINT64_MAX;
}

START_TEST(the_first_sample_is_taken_at_once)
{
    begin();
    ck_assert_uint_eq(sample_count(), 1);
    ck_assert_uint_gt(samples()[0].time_ns, 0);
    ck_assert_uint_gt(samples()[0].rss_bytes, 100000);
    ck_assert_uint_eq(samples()[0].rss_max_bytes, samples()[0].rss_bytes);
    ck_assert_uint_eq(session.ledger.header->rss_max_bytes, samples()[0].rss_bytes);
}
END_TEST

START_TEST(a_tick_takes_a_sample_when_the_last_one_is_old)
{
    begin();
    stop_time();
    timeline_tick();
    timeline_tick();
    ck_assert_uint_eq(sample_count(), 1);

    set_time(samples()[0].time_ns + 40000000);
    timeline_tick();
    stop_time();
    timeline_tick();

    ck_assert_uint_eq(sample_count(), 2);
    ck_assert_uint_gt(samples()[1].time_ns, samples()[0].time_ns + 10000000);
}
END_TEST

START_TEST(a_tick_before_the_session_does_nothing)
{
    timeline_tick();
    ck_assert_ptr_null(session.ledger.base);
}
END_TEST

START_TEST(the_end_is_a_sample_however_young_the_last_one)
{
    begin();
    timeline_finish();
    ck_assert_uint_eq(sample_count(), 2);
}
END_TEST

START_TEST(a_peak_between_two_samples_is_seen_by_the_second)
{
    begin();
    book_allocated(tag_of(LEDGER_NOT_RECORDED, 0), LEDGER_OBJ, 1000);
    book_freed(tag_of(LEDGER_NOT_RECORDED, 0), LEDGER_OBJ, 1000);
    book_allocated(tag_of(LEDGER_NOT_RECORDED, 0), LEDGER_OBJ, 10);
    timeline_finish();
    timeline_finish();

    ck_assert_uint_eq(samples()[1].live_bytes, 10);
    ck_assert_uint_eq(samples()[1].live_max_bytes, 1000);
    ck_assert_uint_eq(samples()[2].live_max_bytes, 10);
    ck_assert_uint_eq(session.ledger.header->peak_time_ns, samples()[1].time_ns);
}
END_TEST

START_TEST(collections_are_counted_since_the_sample_before)
{
    begin();
    collected[0] = 5;
    collected[2] = 1;
    timeline_finish();
    collected[0] = 7;
    timeline_finish();

    ck_assert_uint_eq(samples()[1].collections[0], 5);
    ck_assert_uint_eq(samples()[1].collections[1], 0);
    ck_assert_uint_eq(samples()[1].collections[2], 1);
    ck_assert_uint_eq(samples()[2].collections[0], 2);
    ck_assert_uint_eq(samples()[2].collections[2], 0);
}
END_TEST

START_TEST(a_full_table_is_merged_by_two)
{
    begin();
    uint64_t most = session.ledger.header->section[LEDGER_TIMELINE].capacity;
    struct ledger_sample *all = ledger_at(&session.ledger, LEDGER_TIMELINE);
    while (sample_count() < most)
        timeline_finish();
    for (uint64_t i = 0; i < most; i++)
        all[i] = (struct ledger_sample){
            .time_ns = i + 1,
            .rss_bytes = i,
            .live_bytes = 2 * i,
            .held_bytes = 3 * i,
            .live_max_bytes = i % 2 == 0 ? 9000 + i : i,
            .rss_max_bytes = i % 2 == 1 ? 9000 + i : i,
            .collections = {1, 10, 100},
        };

    timeline_finish();

    ck_assert_uint_eq(sample_count(), most / 2 + 1);
    ck_assert_uint_eq(all[0].time_ns, 2);
    ck_assert_uint_eq(all[0].rss_bytes, 1);
    ck_assert_uint_eq(all[0].live_bytes, 2);
    ck_assert_uint_eq(all[0].held_bytes, 3);
    ck_assert_uint_eq(all[0].live_max_bytes, 9000);
    ck_assert_uint_eq(all[0].rss_max_bytes, 9001);
    ck_assert_uint_eq(all[1023].time_ns, 2048);
    ck_assert_uint_eq(all[1023].live_max_bytes, 11046);
    ck_assert_uint_eq(all[1023].rss_max_bytes, 11047);
    for (uint64_t i = 0; i < most / 2; i++) {
        ck_assert_uint_eq(all[i].collections[0], 2);
        ck_assert_uint_eq(all[i].collections[1], 20);
        ck_assert_uint_eq(all[i].collections[2], 200);
    }
    ck_assert_uint_eq(session.ledger.header->timeline_writing, 2);
}
END_TEST

START_TEST(many_samples_keep_maxima_sums_and_order)
{
    uint64_t sums[3] = {0, 0, 0};
    uint64_t live_max = 0;
    uint64_t rss_max = 0;
    begin();
    for (unsigned i = 0; i < 9000; i++) {
        collected[0] += 3;
        collected[1] += i % 2;
        collected[2] += i % 1000 == 0;
        book_allocated(tag_of(LEDGER_NOT_RECORDED, 0), LEDGER_OBJ, 100 + i % 700);
        if (i != 4321)
            book_freed(tag_of(LEDGER_NOT_RECORDED, 0), LEDGER_OBJ, 100 + i % 700);
        timeline_finish();
    }

    struct ledger_copy *copy = read_ledger("a.hg");
    ck_assert_uint_eq(copy->sample_count, sample_count()); /* all in order */
    ck_assert_uint_ge(copy->sample_count, 1024);
    ck_assert_uint_le(copy->sample_count, 2048);
    for (uint32_t i = 0; i < copy->sample_count; i++) {
        const struct ledger_sample *sample = &copy->samples[i];
        for (int g = 0; g < 3; g++)
            sums[g] += sample->collections[g];
        if (sample->live_max_bytes > live_max)
            live_max = sample->live_max_bytes;
        if (sample->rss_max_bytes > rss_max)
            rss_max = sample->rss_max_bytes;
        ck_assert_uint_ge(sample->live_max_bytes, sample->live_bytes);
        ck_assert_uint_ge(sample->rss_max_bytes, sample->rss_bytes);
    }
    ck_assert_uint_eq(sums[0], 27000);
    ck_assert_uint_eq(sums[1], 4500);
    ck_assert_uint_eq(sums[2], 9);
    ck_assert_uint_eq(live_max, copy->header.peak_bytes);
    ck_assert_uint_eq(rss_max, copy->header.rss_max_bytes);
    ck_assert_uint_eq(copy->header.timeline_writing % 2, 0);
    ck_assert_uint_eq(copy->header.lost.samples, 0);
    ledger_copy_free(copy);
}
END_TEST

START_TEST(ticks_are_rarer_after_a_merge)
{
    begin();
    for (int i = 0; i < 2048 * 4; i++)
        timeline_finish(); /* 7 merges: the interval is 1.28 s */
    uint64_t before = sample_count();

    set_time(samples()[before - 1].time_ns + 20000000);
    timeline_tick();

    ck_assert_uint_eq(sample_count(), before);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_first_sample_is_taken_at_once,
        a_tick_takes_a_sample_when_the_last_one_is_old,
        a_tick_before_the_session_does_nothing,
        the_end_is_a_sample_however_young_the_last_one,
        a_peak_between_two_samples_is_seen_by_the_second,
        collections_are_counted_since_the_sample_before,
        a_full_table_is_merged_by_two,
        many_samples_keep_maxima_sums_and_order,
        ticks_are_rarer_after_a_merge,
    };
    return RUN_SUITE("timeline", tests);
}
