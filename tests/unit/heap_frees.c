/* SPDX-License-Identifier: MIT */
/* heap_frees.c - what a heap stops whose frees are checked, and what it leaves as
 * it was. */
#include "heap_test.h"

#include "heapglass/heap.h"

#include "heap/own.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* As an adapter does it that knows of the level; take() and give() are those of one
   that does not. */
static void *take_checked(size_t bytes)
{
    size_t class = heap_small_class(bytes);
    void *block = heap_checked_alloc_fast(heap_mine, class);
    return block != NULL ? block : take(bytes);
}

static void give_checked(void *block)
{
    if (!heap_checked_free_fast(heap_mine, block))
        give(block);
}

/* Runs `misuse` in a process of its own, where it has to abort with these words. */
static void stops(void (*misuse)(void), const char *words)
{
    int ends[2];
    char said[4096];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        ck_assert_int_eq(hg_keep_tags(), HG_OK);
        ck_assert_int_eq(hg_check_frees(), HG_OK);
        misuse();
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    ssize_t got;
    while (n < sizeof said - 1 &&
           (got = read(ends[0], said + n, sizeof said - 1 - n)) > 0)
        n += (size_t)got;
    said[n] = 0;
    close(ends[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
                  "status %d, and it said: %s", status, said);
    ck_assert_msg(strstr(said, words) != NULL, "it said: %s", said);
}

/* --- freed twice -----------------------------------------------------------------
 */

static void small_freed_twice(void)
{
    void *block = take_checked(40);
    give_checked(block);
    give_checked(block);
}

/* A list of two would be a ring. */
static void small_freed_twice_with_another_between(void)
{
    take_checked(40);
    void *block = take_checked(40);
    void *other = take_checked(40);
    give_checked(block);
    give_checked(other);
    give_checked(block);
}

static void small_of_a_full_pool_freed_twice(void)
{
    static void *blocks[SLOT_BYTES / 512 + 1];
    for (size_t i = 0; i <= SLOT_BYTES / 512; i++)
        blocks[i] = take_checked(512);
    give_checked(blocks[3]);
    give_checked(blocks[4]);
    give_checked(blocks[3]);
}

static void small_of_a_pool_that_is_gone(void)
{
    static void *blocks[SLOT_BYTES / 512 + 1];
    for (size_t i = 0; i <= SLOT_BYTES / 512; i++)
        blocks[i] = take_checked(512);
    for (size_t i = 0; i < SLOT_BYTES / 512; i++)
        give_checked(blocks[i]);
    give_checked(blocks[3]);
}

static void small_freed_twice_after_a_trim(void)
{
    static void *blocks[4000];
    for (size_t i = 0; i < 4000; i++)
        blocks[i] = take_checked(512);
    for (size_t i = 0; i < 4000; i++)
        give_checked(blocks[i]);
    heap_trim();
    give_checked(blocks[1000]);
}

static void medium_freed_twice(void)
{
    take(1000);
    void *block = take(1000);
    void *other = take(1000);
    give(block);
    give(other);
    give(block);
}

static void large_freed_twice(void)
{
    void *block = take(3 * SLOT_BYTES);
    give(block);
    give(block);
}

static void huge_freed_twice(void)
{
    void *block = take(3 * MIB);
    give(block);
    give(block);
}

static void *free_it(void *block)
{
    give_checked(block);
    return NULL;
}

static void freed_by_two_threads(void)
{
    void *block = take_checked(40);
    pthread_t thread;
    pthread_create(&thread, NULL, free_it, block);
    pthread_join(thread, NULL);
    give_checked(block);
}

static void *free_a_b_a(void *blocks)
{
    void **block = blocks;
    give_checked(block[0]);
    give_checked(block[1]);
    give_checked(block[0]);
    return NULL;
}

static void freed_twice_by_another_thread(void)
{
    void *block[2] = {take_checked(512), take_checked(512)};
    pthread_t thread;
    pthread_create(&thread, NULL, free_a_b_a, block);
    pthread_join(thread, NULL);
}

static void freed_twice_after_its_heap_was_closed(void)
{
    hg_heap *heap = hg_heap_open(0);
    void *block = hg_heap_alloc(heap, 40);
    hg_heap_close(heap);
    hg_free(block);
}

static void large_freed_after_its_heap_was_closed(void)
{
    hg_heap *heap = hg_heap_open(0);
    void *block = hg_heap_alloc(heap, 3 * SLOT_BYTES);
    hg_heap_close(heap);
    hg_free(block);
}

START_TEST(blocks_freed_twice)
{
    stops(small_freed_twice, "a block was freed twice");
    stops(small_freed_twice_with_another_between, "a block was freed twice");
    stops(small_of_a_full_pool_freed_twice, "a block was freed twice");
    stops(small_of_a_pool_that_is_gone, "freed twice, or never allocated");
    stops(small_freed_twice_after_a_trim, "freed twice, or never allocated");
    stops(medium_freed_twice, "a block was freed twice");
    stops(large_freed_twice, "freed twice");
    stops(huge_freed_twice, "not a block of this heap");
    stops(freed_by_two_threads, "a block was freed twice");
    stops(freed_twice_by_another_thread, "a block was freed twice");
    stops(freed_twice_after_its_heap_was_closed, "freed twice");
    stops(large_freed_after_its_heap_was_closed, "freed twice");
}
END_TEST

/* --- never a block ---------------------------------------------------------------
 */

static void middle_of_a_small_block(void)
{
    char *block = take_checked(100);
    give_checked(block + 16);
}

static void odd_address(void)
{
    char *block = take_checked(100);
    give_checked(block + 1);
}

static void middle_of_a_medium_block(void)
{
    char *block = take(MEDIUM_MAX / 3);
    give(block + 1024);
}

static void middle_of_a_large_block(void)
{
    char *block = take(4 * SLOT_BYTES);
    give(block + SLOT_BYTES);
}

static void neighbour_never_handed_out(void)
{
    char *block = take_checked(64);
    give_checked(block + 128);
}

static void block_that_lies_in_another(void)
{
    /* Memory of the program's own making, as an attacker makes it. */
    static _Alignas(64) char false_block[256];
    take_checked(16);
    give_checked(false_block + 64);
}

static void tags_of_a_pool(void)
{
    give_checked(pool_of_block(take_checked(16))->tags);
}

static void beyond_the_window(void)
{
    take_checked(16);
    give_checked((char *)heap_base() + (512 * MIB));
}

static void before_the_window(void)
{
    take_checked(16);
    give_checked((char *)heap_base() - 16);
}

static void no_pool_there(void)
{
    char *block = take(4 * SLOT_BYTES);
    give(block + 8 * SLOT_BYTES);
}

static void freed_block_resized(void)
{
    struct place place;
    void *block = take_checked(100);
    give_checked(block);
    heap_resize_in_place(block, 101, &place);
}

static void freed_block_resized_to_another_class(void)
{
    void *block = hg_alloc(100);
    hg_free(block);
    hg_realloc(block, 300);
}

START_TEST(addresses_that_are_no_block)
{
    static const char inside[] = "freed inside of a block, not at its start";
    static const char never[] = "freed twice, or never allocated";
    stops(middle_of_a_small_block, inside);
    stops(odd_address, inside);
    stops(middle_of_a_medium_block, inside);
    stops(middle_of_a_large_block, inside);
    stops(neighbour_never_handed_out, never);
    stops(block_that_lies_in_another, "not a block of this heap");
    stops(tags_of_a_pool, never);
    stops(beyond_the_window, "not a block of this heap");
    stops(before_the_window, "not a block of this heap");
    stops(no_pool_there, never);
    stops(freed_block_resized, "a freed block was resized");
    stops(freed_block_resized_to_another_class, "a freed block was resized");
}
END_TEST

static void tagged_block_freed_twice(void)
{
    void *block = hg_alloc(40);
    hg_set_tag(block, 1207);
    hg_free(block);
    hg_free(block);
}

START_TEST(report_names_the_tag)
{
    stops(tagged_block_freed_twice, "allocated   by who gave it the tag 1207\n");
}
END_TEST

/* --- what is right stays right ---------------------------------------------- */

START_TEST(only_before_the_first_block_and_not_on_a_hardened_heap)
{
    ck_assert_int_eq(hg_harden(0), HG_OK);
    ck_assert_int_eq(hg_check_frees(), HG_EBUSY);
    hg_free(hg_alloc(16));
    ck_assert_int_eq(hg_check_frees(), HG_EBUSY);
}
END_TEST

static uint32_t state = 1; /* of random_next() */

enum { BLOCKS = 2000, STEPS = 40000 };

START_TEST(random_steps)
{
    static unsigned char *blocks[BLOCKS];
    ck_assert_int_eq(hg_check_frees(), HG_OK);
    for (int i = 0; i < STEPS; i++) {
        unsigned char **block = &blocks[random_next(&state) % BLOCKS];
        if (*block != NULL && random_next(&state) % 4 != 0) {
            give_checked(*block);
            *block = NULL;
        } else {
            size_t bytes = random_bytes(&state);
            *block = *block != NULL || bytes > SMALL_MAX ? hg_realloc(*block, bytes)
                                                         : take_checked(bytes);
            (*block)[0] = (*block)[bytes - 1] = 1;
        }
        if (i % 4000 == 0) {
            hg_heap_check();
            hg_trim();
        }
    }
    size_t live = 0;
    for (int i = 0; i < BLOCKS; i++)
        live += blocks[i] != NULL;
    ck_assert_uint_eq(live_blocks(), live);
    for (int i = 0; i < BLOCKS; i++)
        hg_free(blocks[i]);
    hg_trim();
    hg_heap_check();
    ck_assert_uint_eq(census().live, 0);
}
END_TEST

START_TEST(aligned_blocks_of_all_kinds)
{
    ck_assert_int_eq(hg_check_frees(), HG_OK);
    for (size_t align = 8; align <= 4 * MIB; align *= 2) {
        void *block = hg_aligned(align, 3 * align / 2);
        void *small = hg_aligned(align, 24);
        ck_assert_uint_eq((uintptr_t)block % align, 0);
        hg_free(small);
        hg_free(block);
    }
    hg_heap_check();
    ck_assert_uint_eq(census().live, 0);
}
END_TEST

START_TEST(heap_that_is_an_object)
{
    ck_assert_int_eq(hg_check_frees(), HG_OK);
    for (int round = 0; round < 3; round++) {
        hg_heap *heap = hg_heap_open(0);
        hg_cache *cache = hg_cache_new(heap, 48, 100);
        for (int i = 0; i < 5000; i++) {
            void *block = hg_heap_alloc(heap, 1 + (size_t)i % 700);
            if (i % 3 == 0)
                hg_heap_free(heap, block);
            hg_cache_give(cache, hg_cache_take(cache));
        }
        hg_heap_alloc(heap, 5 * SLOT_BYTES);
        hg_heap_check();
        hg_heap_close(heap);
        hg_heap_check();
    }
    ck_assert_uint_eq(census().live, 0);
}
END_TEST

START_TEST(table_is_counted_and_goes_with_what_it_told_of)
{
    ck_assert_int_eq(hg_check_frees(), HG_OK);
    static void *blocks[100000];
    for (int i = 0; i < 100000; i++)
        blocks[i] = take_checked(500);
    struct heap_census c = census();
    ck_assert_uint_eq(heap_census_sum(&c), c.mapped);
    ck_assert_uint_ge(c.headers, 100000 * 512 / 16);
    for (int i = 0; i < 100000; i++)
        give_checked(blocks[i]);
    heap_trim();
    /* The first arena stays in use by tables of the heap's own. */
    for (size_t i = ARENA_BYTES >> BLOCK_SHIFT; i < heap_space.live_count; i++)
        ck_assert_uint_eq(heap_space.live[i], LIFE_NONE);
}
END_TEST

static void *work(void *arg)
{
    void **shared = arg;
    uint32_t random = (uint32_t)(uintptr_t)&random;
    for (int i = 0; i < 10000; i++) {
        uint32_t number = random_next(&random) & 255;
        size_t bytes = 1 + random_next(&random) % 900;
        char *block = bytes <= SMALL_MAX ? take_checked(bytes) : hg_alloc(bytes);
        block[0] = 1;
        char *old = atomic_exchange((_Atomic(void *) *)&shared[number], block);
        if (old != NULL)
            give_checked(old);
    }
    return NULL;
}

START_TEST(threads_that_free_each_others_blocks)
{
    static void *shared[256];
    ck_assert_int_eq(hg_check_frees(), HG_OK);
    for (int round = 0; round < 3; round++) {
        pthread_t thread[4];
        for (int i = 0; i < 4; i++)
            pthread_create(&thread[i], NULL, work, shared);
        for (int i = 0; i < 4; i++)
            pthread_join(thread[i], NULL);
        hg_heap_check();
    }
    for (int i = 0; i < 256; i++)
        hg_free(shared[i]);
    hg_trim();
    hg_heap_check();
    ck_assert_uint_eq(live_blocks(), 0);
}
END_TEST

#ifndef HG_SANITIZED
START_TEST(child_goes_on)
{
    static void *shared[256];
    ck_assert_int_eq(hg_check_frees(), HG_OK);
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, work, shared);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            hg_heap_check();
            work(shared);
            hg_heap_check();
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        ck_assert_int_eq(status, 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    hg_heap_check();
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("heap_frees");
    TCase *t = add_case(suite, "stops");
    tcase_add_test(t, blocks_freed_twice);
    tcase_add_test(t, addresses_that_are_no_block);
    tcase_add_test(t, report_names_the_tag);
    t = add_case(suite, "goes on");
    tcase_add_test(t, only_before_the_first_block_and_not_on_a_hardened_heap);
    tcase_add_test(t, random_steps);
    tcase_add_test(t, aligned_blocks_of_all_kinds);
    tcase_add_test(t, heap_that_is_an_object);
    tcase_add_test(t, table_is_counted_and_goes_with_what_it_told_of);
    tcase_add_test(t, threads_that_free_each_others_blocks);
#ifndef HG_SANITIZED
    tcase_add_test(t, child_goes_on);
#endif
    return run_suite(suite);
}
