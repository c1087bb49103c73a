/* SPDX-License-Identifier: MIT */
/* heap_accounts.c - tags, walks and the census. */
#include "heap/own.h"
#include "heap_test.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(tags_belong_to_their_blocks)
{
    enum { COUNT = 5000 };
    static void *block[COUNT];
    heap_keep_tags();
    for (uint32_t i = 0; i < COUNT; i++) {
        struct place place;
        block[i] = heap_alloc_slow(1 + i * i % 30000, &place);
        *place.tag = i;
    }
    for (uint32_t i = 0; i < COUNT; i++)
        ck_assert_uint_eq(*place_of(block[i]).tag, i);
    heap_check();
    for (uint32_t i = 0; i < COUNT; i++)
        give(block[i]);
    heap_check();
}
END_TEST

START_TEST(small_pools_tags_are_found_by_the_inline_index)
{
    heap_keep_tags();
    for (size_t bytes = 1; bytes <= SMALL_MAX; bytes += 7) {
        for (int i = 0; i < 40; i++) {
            struct place place;
            char *block = heap_alloc_slow(bytes, &place);
            struct pool *pool = pool_of_block(block);
            ck_assert_ptr_eq(&pool->tags[heap_block_index(pool, block)], place.tag);
        }
    }
}
END_TEST

START_TEST(coarse_classes_have_a_word_for_the_requested_size)
{
    heap_keep_tags();
    for (size_t bytes = 1; bytes < 2 * MIB; bytes += bytes / 16 + 1) {
        for (size_t align = 1; align <= 64 * KIB; align *= 4) {
            struct place p;
            void *block = heap_alloc_aligned(align, bytes, &p);
            ck_assert_ptr_nonnull(p.tag);
            ck_assert(p.bytes == NULL || p.bytes32 == NULL);
            if (p.bytes == NULL && p.bytes32 == NULL)
                ck_assert_uint_le(p.usable - bytes, 31);
            give(block);
        }
    }
}
END_TEST

START_TEST(without_tags_there_are_none)
{
    static const size_t sizes[] = {1, 512, 513, 10000, 100000, 1000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct place place = place_of(take(sizes[i]));
        ck_assert_ptr_null(place.tag);
        ck_assert_ptr_null(place.bytes);
        ck_assert_ptr_null(place.bytes32);
    }
}
END_TEST

struct sum {
    uint64_t tags, requested, usable, blocks;
};

static void add(void *arg, void *block, size_t usable, uint32_t *tag,
                size_t requested)
{
    struct sum *sum = arg;
    ck_assert(tag != NULL && block != NULL);
    sum->tags += *tag;
    sum->requested += requested;
    sum->usable += usable;
    sum->blocks++;
}

START_TEST(walk_visits_live_blocks_and_no_others)
{
    enum { COUNT = 6000 };
    static void *block[COUNT];
    heap_keep_tags();
    struct sum expected = {0, 0, 0, 0};
    for (uint32_t i = 0; i < COUNT; i++) {
        struct place p;
        size_t bytes = 1 + i * (size_t)i % 3000 + (i % 100 == 0 ? 600000 : 0);
        block[i] = heap_alloc_slow(bytes, &p);
        *p.tag = i;
        if (p.bytes != NULL)
            *p.bytes = bytes;
        if (p.bytes32 != NULL)
            *p.bytes32 = (uint32_t)bytes;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        struct place p = place_of(block[i]);
        if (i % 3 != 0) {
            give(block[i]);
            continue;
        }
        expected.blocks++;
        expected.tags += i;
        expected.usable += p.usable;
        if (p.bytes != NULL)
            expected.requested += *p.bytes;
        if (p.bytes32 != NULL)
            expected.requested += *p.bytes32;
    }
    struct sum sum = {0, 0, 0, 0};
    heap_walk(add, &sum);
    ck_assert_uint_eq(sum.blocks, expected.blocks);
    ck_assert_uint_eq(sum.tags, expected.tags);
    ck_assert_uint_eq(sum.usable, expected.usable);
    ck_assert_uint_eq(sum.requested, expected.requested);
    ck_assert_uint_eq(census().live, expected.usable);
}
END_TEST

START_TEST(parts_of_the_census_are_the_whole)
{
    enum { COUNT = 2000 };
    static void *block[COUNT];
    ck_assert_uint_eq(census().mapped, 0);
    for (size_t i = 0; i < COUNT; i++) {
        block[i] = take(1 + i * i % 70000);
        if (i % 5 == 4)
            give(block[i - 3]);
        struct heap_census c = census();
        ck_assert_uint_eq(c.mapped, heap_census_sum(&c));
        ck_assert_uint_eq(c.mapped, heap_held_bytes());
    }
}
END_TEST

START_TEST(accounts_cost_four_bytes_a_small_block)
{
    enum { COUNT = 100000 };
    heap_keep_tags();
    for (int i = 0; i < COUNT; i++)
        take(64);
    struct heap_census c = census();
    ck_assert_uint_gt(c.headers, 4 * (size_t)COUNT);
    ck_assert_uint_lt(c.headers, 6 * (size_t)COUNT);
}
END_TEST

START_TEST(tags_move_from_class_to_class)
{
    enum { BYTES = 8 * 1024 * 1024 };
    static void *block[BYTES / 32];
    heap_keep_tags();
    size_t headers = 0;
    for (size_t bytes = 32; bytes <= 512; bytes += 32) {
        size_t count = BYTES / bytes;
        for (size_t i = 0; i < count; i++)
            block[i] = take(bytes);
        if (bytes == 32)
            headers = census().headers;
        for (size_t i = 0; i < count; i++)
            give(block[i]);
    }
    /* No later class needs as many tags as the first. */
    ck_assert_uint_le(census().headers, headers + headers / 4);
    heap_check();
}
END_TEST

START_TEST(trim_gives_everything_back)
{
    enum { COUNT = 20000 };
    static void *block[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        block[i] = take(1 + i % 900 + (i % 500 == 0 ? 200000 : 0));
    for (size_t i = 0; i < COUNT; i++)
        give(block[i]);
    ck_assert_uint_gt(heap_trim(), 0);
    struct heap_census c = census();
    ck_assert_uint_eq(c.live, 0);
    ck_assert_uint_eq(c.free_pools, 0);
    ck_assert_uint_eq(c.free_blocks, 0);
    ck_assert_uint_eq(c.mapped, c.headers);
    heap_check();
    for (size_t i = 0; i < COUNT; i++)
        block[i] = take(300);
    heap_check();
}
END_TEST

/* Pages of the window that are in memory; arenas may be unmapped. */
static size_t resident_bytes(void)
{
    size_t bytes = 0;
    for (size_t at = 0; at < heap_space.bytes; at += PAGE_BYTES) {
        unsigned char page = 0;
        if (mincore((char *)heap_base() + at, PAGE_BYTES, &page) == 0)
            bytes += (page & 1) * PAGE_BYTES;
    }
    return bytes;
}

enum { RUNS = 4000, RUN = 64, MANY = RUNS * RUN };
static unsigned char *many[MANY];
static const size_t many_sizes[] = {64, 96, 136, 200};

/* Blocks of four sizes, of which one run in twenty survives. */
static void build_and_free_in_runs(void)
{
    for (size_t i = 0; i < MANY; i++) {
        size_t bytes = many_sizes[i % 4];
        many[i] = memset(take(bytes), (int)(i % 251), bytes);
    }
    for (size_t i = 0; i < MANY; i++) {
        if (i / RUN * 7 % 20 != 0) {
            give(many[i]);
            many[i] = NULL;
        }
    }
}

static void claim_that_survivors_are_whole(void)
{
    size_t spoilt = 0; /* an assertion for each of the bytes would take a minute */
    for (size_t i = 0; i < MANY; i++)
        for (size_t b = 0; many[i] != NULL && b < many_sizes[i % 4]; b++)
            spoilt += many[i][b] != i % 251;
    ck_assert_uint_eq(spoilt, 0);
}

static void free_many(void)
{
    for (size_t i = 0; i < MANY; i++)
        if (many[i] != NULL)
            give(many[i]);
}

#ifndef HG_STRESS /* looks at other times */
START_TEST(pages_without_a_live_block_go_back_when_runs_of_neighbours_die)
{
    build_and_free_in_runs();
    size_t all = MANY / 4 * (64 + 96 + 136 + 200);
    /* 12 MiB are kept anyway: free slots, and pools too young to be cold. */
    ck_assert_uint_lt(resident_bytes(), all * 20 / 100 + 12 * MIB);
    claim_that_survivors_are_whole();
    ck_assert_uint_eq(live_blocks(), RUNS / 20 * RUN);
    heap_check();
    free_many();
    heap_check();
    ck_assert_uint_eq(live_blocks(), 0);
}
END_TEST
#endif

START_TEST(blocks_of_pages_that_went_are_handed_out_again)
{
    if (_i == 1)
        heap_keep_tags();
    build_and_free_in_runs();
    heap_trim();
    heap_check();
    for (size_t i = 0; i < MANY; i++) {
        if (many[i] != NULL)
            continue;
        size_t bytes = many_sizes[i % 4];
        many[i] = memset(take(bytes), (int)(i % 251), bytes);
    }
    claim_that_survivors_are_whole();
    ck_assert_uint_eq(live_blocks(), MANY);
    heap_check();
    free_many();
    heap_check();
    ck_assert_uint_eq(live_blocks(), 0);
}
END_TEST

START_TEST(trim_gives_back_pages_inside_pools)
{
    enum { COUNT = 10000, STEP = 3 * PAGE_BYTES / 64 };
    static void *block[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        block[i] = memset(take(64), 1, 64);
    for (size_t i = 0; i < COUNT; i++)
        if (i % STEP != 0)
            give(block[i]);
    size_t trimmed = heap_trim();
#ifndef HG_STRESS /* where most of them went without being asked */
    ck_assert_uint_gt(trimmed, COUNT / 2 * 64);
#else
    (void)trimmed;
#endif
    ck_assert_uint_le(resident_bytes(), (COUNT / STEP + 1) * PAGE_BYTES);
    ck_assert_uint_eq(heap_trim(), 0);
    heap_check();
}
END_TEST

START_TEST(a_child_knows_of_pages_that_went)
{
    build_and_free_in_runs();
    heap_trim();
    for (int bare = 0; bare < 2; bare++) {
        if (!bare)
            heap_before_fork();
        pid_t child = fork();
        if (child == 0) {
            if (bare)
                heap_after_bare_fork();
            else
                heap_after_fork_child();
            heap_check();
            ck_assert_uint_eq(live_blocks(), RUNS / 20 * RUN);
            claim_that_survivors_are_whole();
            free_many();
            heap_check();
            _exit(0);
        }
        if (!bare)
            heap_after_fork_parent();
        int status = -1;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
    }
    heap_check();
}
END_TEST

START_TEST(free_slots_beyond_a_tenth_go_back_by_themselves)
{
    enum { COUNT = 1024 };
    static void *block[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        block[i] = memset(take(64 * KIB), 1, 64 * KIB);
    ck_assert_uint_ge(heap_held_bytes(), 64 * MIB);
    for (size_t i = 0; i < COUNT; i++)
        give(block[i]);
    ck_assert_uint_le(census().free_pools, 9 * MIB);
    heap_check();
}
END_TEST

#ifndef HG_STRESS /* has other limits */
START_TEST(what_is_built_and_dropped_again_and_again_is_kept_for_a_second)
{
    enum { COUNT = 1024 };
    static void *block[COUNT];
    now_pass(0);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT; i++)
            block[i] = memset(take(64 * KIB), 1, 64 * KIB);
        for (size_t i = 0; i < COUNT; i++)
            give(block[i]);
        if (round == 0)
            ck_assert_uint_le(census().free_pools, 9 * MIB);
    }
    ck_assert_uint_ge(census().free_pools, 50 * MIB);
    for (int second = 0; second < 2; second++) {
        now_pass(1100);
        give(take(64 * KIB)); /* notices, in the end, that nobody wanted it */
    }
    ck_assert_uint_le(census().free_pools, 9 * MIB);
    heap_check();
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("heap_accounts");
    TCase *t = add_case(suite, "accounts");
    tcase_add_test(t, tags_belong_to_their_blocks);
    tcase_add_test(t, small_pools_tags_are_found_by_the_inline_index);
    tcase_add_test(t, coarse_classes_have_a_word_for_the_requested_size);
    tcase_add_test(t, without_tags_there_are_none);
    tcase_add_test(t, walk_visits_live_blocks_and_no_others);
    tcase_add_test(t, parts_of_the_census_are_the_whole);
    tcase_add_test(t, accounts_cost_four_bytes_a_small_block);
    tcase_add_test(t, tags_move_from_class_to_class);
    tcase_add_test(t, trim_gives_everything_back);
    tcase_add_loop_test(t, blocks_of_pages_that_went_are_handed_out_again, 0, 2);
    tcase_add_test(t, trim_gives_back_pages_inside_pools);
    tcase_add_test(t, a_child_knows_of_pages_that_went);
    tcase_add_test(t, free_slots_beyond_a_tenth_go_back_by_themselves);
#ifndef HG_STRESS
    tcase_add_test(t,
                   pages_without_a_live_block_go_back_when_runs_of_neighbours_die);
    tcase_add_test(t,
                   what_is_built_and_dropped_again_and_again_is_kept_for_a_second);
#endif
    return run_suite(suite);
}
