/* SPDX-License-Identifier: MIT */
/* heap_hardened.c - what a hardened heap finds, what it says, and what it leaves as
 * it was. */
#include "heap_test.h"

#include "heapglass/heap.h"

#include "heap/own.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Bytes that are asked for in most tests: with slack behind them. */
#define ODD ((size_t)21)
#define ROUNDS 8 /* of churn(), until a block has been handed out again */

static void churn(size_t bytes)
{
    static void *kept[1024];
    for (size_t i = 0; i < 1024; i++)
        kept[i] = take(bytes);
    for (size_t i = 0; i < 1024; i++)
        give(kept[i]);
}

/* Runs `misuse` in a process of its own; what it says before it aborts goes to
   `said`. */
static void watch(void (*misuse)(void), char said[4096])
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        heap_keep_tags();
        heap_harden(0);
        misuse();
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    ssize_t got;
    while (n < 4095 && (got = read(ends[0], said + n, 4095 - n)) > 0)
        n += (size_t)got;
    said[n] = 0;
    close(ends[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
                  "status %d, and it said: %s", status, said);
}

static void finds(void (*misuse)(void), const char *what, const char *where)
{
    char said[4096];
    char line[256];
    snprintf(line, sizeof line, "heapglass: the heap is corrupt: %s\n", what);
    watch(misuse, said);
    ck_assert_msg(strncmp(said, line, strlen(line)) == 0, "it said: %s", said);
    ck_assert_msg(strstr(said, where) != NULL, "it said: %s", said);
}

/* --- behind a block ------------------------------------------------------------
 */

static void overrun_by_one(void)
{
    char *block = take(ODD);
    block[ODD] = 0;
    give(block);
}

static void overrun_at_the_end_of_the_slack(void)
{
    char *block = take(ODD);
    block[heap_classes[class_of(ODD)].bytes - 1] = 'x';
    give(block);
}

static void overrun_of_a_medium_block(void)
{
    char *block = take(1000);
    block[1000] = 'x';
    give(block);
}

static void overrun_of_a_large_block(void)
{
    char *block = take(3 * SLOT_BYTES + 1);
    block[3 * SLOT_BYTES + 1] = 'x';
    give(block);
}

static void overrun_of_a_huge_block(void)
{
    char *block = take(3 * MIB + 1);
    block[3 * MIB + 1] = 'x';
    give(block);
}

static void overrun_before_a_resize(void)
{
    struct place place;
    char *block = take(ODD);
    block[ODD + 1] = 'x';
    heap_resize_in_place(block, ODD + 1, &place);
}

static void overrun_after_a_resize(void)
{
    struct place place;
    char *block = take(ODD + 2);
    ck_assert(heap_resize_in_place(block, ODD, &place));
    block[ODD] = 'x';
    give(block);
}

static void overrun_of_a_resized_large_block(void)
{
    struct place place;
    char *block = take(3 * SLOT_BYTES);
    ck_assert(heap_resize_in_place(block, 3 * SLOT_BYTES - 3, &place));
    block[3 * SLOT_BYTES - 3] = 'x';
    give(block);
}

static void *overrun(void *block)
{
    ((char *)block)[ODD] = 'x';
    give(block);
    return NULL;
}

static void overrun_by_another_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, overrun, take(ODD));
    pthread_join(thread, NULL);
}

static void overrun_of_a_live_block(void)
{
    char *block = take(ODD);
    block[ODD] = 'x';
    heap_check();
}

START_TEST(overruns_of_the_slack)
{
    static const char what[] = "bytes behind a block were written to";
    finds(overrun_by_one, what, "written     offset 21: 00\n");
    finds(overrun_at_the_end_of_the_slack, what, ": 78\n");
    finds(overrun_by_one, what, ", 21 bytes asked for, ");
    finds(overrun_of_a_medium_block, what, "offset 1000: 78\n");
    finds(overrun_of_a_large_block, what, ": 78\n");
    finds(overrun_of_a_huge_block, what, "offset 3145729: 78\n");
    finds(overrun_before_a_resize, what, "when it was resized");
    finds(overrun_after_a_resize, what, "when it was freed");
    finds(overrun_of_a_resized_large_block, what, ": 78\n");
    finds(overrun_by_another_thread, what, "when it was freed");
    finds(overrun_of_a_live_block, what, "when the heap was checked");
}
END_TEST

/* --- after a free ----------------------------------------------------------------
 */

static void write_after_free(void)
{
    char *block = take(100);
    give(block);
    block[40] = 'x';
    block[41] = 'y';
    for (int i = 0; i < ROUNDS; i++)
        churn(100);
}

static void write_to_a_block_in_quarantine(void)
{
    char *block = take(100);
    give(block);
    block[0] = 'x';
    heap_check();
}

static void link_overwritten(void)
{
    char *block = take(100);
    give(block);
    hard_flush(heap_of_thread());
    block[0] ^= 1;
    take(100);
}

/* What an attacker would write who does not know the key. */
static void link_to_elsewhere(void)
{
    static char elsewhere[256];
    char *block = take(100);
    give(block);
    hard_flush(heap_of_thread());
    *(void **)block = elsewhere;
    take(100);
}

static void write_to_a_free_block(void)
{
    char *block = take(100);
    give(block);
    hard_flush(heap_of_thread());
    block[8] = 'x';
    take(100);
}

static void write_before_a_trim(void)
{
    char *block = take(100);
    take(48);
    give(block);
    block[99] = 'x';
    heap_trim();
}

static void *free_it(void *block)
{
    give(block);
    return NULL;
}

static void write_after_free_by_another_thread(void)
{
    char *block = take(100);
    pthread_t thread;
    pthread_create(&thread, NULL, free_it, block);
    pthread_join(thread, NULL);
    block[50] = 'x';
    for (int i = 0; i < ROUNDS; i++)
        churn(100);
}

START_TEST(writes_after_free)
{
    static const char what[] = "a freed block was written to";
    finds(write_after_free, what, "written     offset 40: 78 79\n");
    finds(write_after_free, what, ", 100 bytes asked for, ");
    finds(write_to_a_block_in_quarantine, what, "when the heap was checked");
    finds(write_to_a_free_block, what, "when it was to be handed out again");
    finds(write_before_a_trim, what, "when its page was to be given back");
    finds(write_after_free_by_another_thread, what, "offset 50: 78\n");
}
END_TEST

START_TEST(overwritten_links)
{
    static const char what[] = "a freed block was written to, where its link is";
    finds(link_overwritten, what, "when it was to be handed out again");
    finds(link_to_elsewhere, what, "when it was to be handed out again");
}
END_TEST

/* --- wrong frees
 * --------------------------------------------------------------------- */

static void freed_twice_in_quarantine(void)
{
    void *block = take(ODD);
    void *other = take(ODD);
    give(block);
    give(other);
    give(block);
}

static void freed_twice_on_the_list(void)
{
    void *block = take(ODD);
    void *other = take(ODD);
    take(ODD);
    give(block);
    give(other);
    hard_flush(heap_of_thread());
    give(block);
}

static void freed_twice_by_two_threads(void)
{
    void *block = take(ODD);
    pthread_t thread;
    pthread_create(&thread, NULL, free_it, block);
    pthread_join(thread, NULL);
    give(block);
}

static void never_allocated(void)
{
    char *block = take(64);
    give(block + 128);
}

static void middle_freed(void)
{
    char *block = take(100);
    give(block + 16);
}

static void freed_block_resized(void)
{
    struct place place;
    void *block = take(100);
    give(block);
    heap_resize_in_place(block, 101, &place);
}

static void freed_block_moved(void)
{
    struct place place;
    void *block = take(100);
    give(block);
    heap_resize_in_place(block, 300, &place);
}

static void never_allocated_resized(void)
{
    struct place place;
    char *block = take(64);
    heap_resize_in_place(block + 128, 300, &place);
}

static void large_freed_twice(void)
{
    void *block = take(100000);
    give(block);
    give(block);
}

static void middle_of_large_freed(void)
{
    char *block = take(100000);
    give(block + 65536);
}

START_TEST(wrong_frees)
{
    finds(freed_twice_in_quarantine, "a block was freed twice", ", 21 bytes asked");
    finds(freed_twice_on_the_list, "a block was freed twice", ", 21 bytes asked");
    finds(freed_twice_by_two_threads, "a block was freed twice", ", 21 bytes");
    finds(never_allocated, "a block was freed that was never allocated", "block");
    finds(middle_freed, "freed inside of a block, not at its start", "offset 16\n");
    finds(freed_block_resized, "a freed block was resized", ", 100 bytes asked");
    finds(freed_block_moved, "a freed block was resized", ", 100 bytes asked");
    finds(never_allocated_resized, "a block was resized that was never allocated",
          "block");
    finds(large_freed_twice, "a block was freed twice", ", 100000 bytes asked");
    finds(middle_of_large_freed, "freed inside of a block, not at its start",
          "offset 65536\n");
}
END_TEST

/* --- by the public header
 * -------------------------------------------------------------- */

static void tagged_block_freed_twice(void)
{
    heap_hardened = false; /* as it was in the beginning */
    ck_assert_int_eq(hg_harden(0), HG_OK);
    void *block = hg_alloc(40);
    ck_assert_int_eq(hg_set_tag(block, 1207), HG_OK);
    hg_free(block);
    hg_free(block);
}

START_TEST(report_names_the_tag)
{
    finds(tagged_block_freed_twice, "a block was freed twice",
          "allocated   by who gave it the tag 1207\n");
}
END_TEST

START_TEST(too_late_to_harden)
{
    void *block = hg_alloc(16);
    ck_assert_int_eq(hg_harden(0), HG_EBUSY);
    hg_free(block);
}
END_TEST

START_TEST(sizes_are_those_asked_for)
{
    ck_assert_int_eq(hg_harden(0), HG_OK);
    void *small = hg_alloc(ODD);
    void *medium = hg_alloc(1000);
    void *large = hg_alloc(3 * SLOT_BYTES + 1);
    void *huge = hg_alloc(3 * MIB + 1);
    ck_assert_uint_eq(hg_usable_size(small), ODD);
    ck_assert_uint_eq(hg_usable_size(medium), 1000);
    ck_assert_uint_eq(hg_usable_size(large), 3 * SLOT_BYTES + 1);
    ck_assert_uint_eq(hg_requested_size(huge), 3 * MIB + 1);
    large = hg_realloc(large, 3 * SLOT_BYTES + 9);
    huge = hg_realloc(huge, 5 * MIB + 7);
    ck_assert_uint_eq(hg_usable_size(large), 3 * SLOT_BYTES + 9);
    ck_assert_uint_eq(hg_usable_size(huge), 5 * MIB + 7);
    hg_heap_check();
    hg_free(small);
    hg_free(medium);
    hg_free(large);
    hg_free(huge);
    hg_heap_check();
}
END_TEST

/* --- what is right stays right ---------------------------------------------- */

static uint32_t state = 1; /* of random_next() */

enum { SHADOWS = 2000, STEPS = 40000 };

struct shadow {
    unsigned char *block;
    size_t bytes;
    unsigned char fill;
};

static bool is_whole(const struct shadow *s)
{
    for (size_t i = 0; i < s->bytes; i += 1 + s->bytes / 64)
        if (s->block[i] != s->fill)
            return false;
    return s->block[s->bytes - 1] == s->fill;
}

static void step(struct shadow *s)
{
    if (s->block != NULL) {
        if (!is_whole(s))
            ck_abort_msg("a block was changed");
        if (random_next(&state) % 4 != 0) {
            hg_free(s->block);
            s->block = NULL;
            return;
        }
    }
    size_t bytes = random_bytes(&state);
    unsigned char *block = hg_realloc(s->block, bytes);
    if (block == NULL)
        ck_abort_msg("no memory");
    s->fill = (unsigned char)random_next(&state);
    s->block = block;
    s->bytes = bytes;
    memset(block, s->fill, bytes);
}

START_TEST(random_steps)
{
    static struct shadow shadows[SHADOWS];
    ck_assert_int_eq(hg_harden(200), HG_OK);
    for (int i = 0; i < STEPS; i++) {
        step(&shadows[random_next(&state) % SHADOWS]);
        if (i % 4000 == 0) {
            hg_heap_check();
            hg_trim();
        }
    }
    size_t live = 0;
    for (int i = 0; i < SHADOWS; i++)
        live += shadows[i].block != NULL;
    ck_assert_uint_eq(live_blocks(), live);
    for (int i = 0; i < SHADOWS; i++)
        hg_free(shadows[i].block);
    hg_trim();
    hg_heap_check();
    ck_assert_uint_eq(live_blocks(), 0);
    ck_assert_uint_eq(census().live, 0);
}
END_TEST

START_TEST(quarantined_blocks_are_not_live)
{
    ck_assert_int_eq(hg_harden(0), HG_OK);
    void *block[100];
    for (int i = 0; i < 100; i++)
        block[i] = hg_alloc(64);
    ck_assert_uint_eq(census().live, 6400);
    for (int i = 0; i < 60; i++)
        hg_free(block[i]);
    ck_assert_uint_eq(live_blocks(), 40);
    ck_assert_uint_eq(census().live, 40 * 64);
    ck_assert_uint_eq(heap_census_sum(&(struct heap_census){0}), 0);
    struct heap_census c = census();
    ck_assert_uint_eq(heap_census_sum(&c), c.mapped);
}
END_TEST

START_TEST(block_is_not_handed_out_again_soon)
{
    ck_assert_int_eq(hg_harden(0), HG_OK);
    void *block = hg_alloc(64);
    hg_free(block);
    for (uint32_t i = 0; i < QUARANTINE_SMALL; i++) {
        void *other = hg_alloc(64);
        ck_assert_ptr_ne(other, block);
        hg_free(other);
    }
}
END_TEST

START_TEST(quarantine_is_bounded)
{
    ck_assert_int_eq(hg_harden(0), HG_OK);
    for (int i = 0; i < 100; i++) {
        hg_free(hg_alloc(MEDIUM_MAX));
        ck_assert_uint_le(hard_bytes(heap_of_thread()), QUARANTINE_BYTES);
    }
    for (uint32_t i = 0; i < 2 * QUARANTINE_SMALL; i++)
        hg_free(hg_alloc(16));
    ck_assert_uint_le(hard_bytes(heap_of_thread()), QUARANTINE_BYTES);
}
END_TEST

START_TEST(heap_that_is_an_object)
{
    ck_assert_int_eq(hg_harden(0), HG_OK);
    for (int round = 0; round < 3; round++) {
        hg_heap *heap = hg_heap_open(0);
        hg_cache *cache = hg_cache_new(heap, 48, 100);
        for (int i = 0; i < 5000; i++) {
            void *block = hg_heap_alloc(heap, 1 + (size_t)i % 700);
            if (i % 3 == 0)
                hg_heap_free(heap, block);
            hg_cache_give(cache, hg_cache_take(cache));
        }
        hg_heap_check();
        hg_heap_close(heap);
        hg_heap_check();
    }
    ck_assert_uint_eq(census().live, 0);
}
END_TEST

static void *work(void *arg)
{
    void **shared = arg;
    uint32_t random = (uint32_t)(uintptr_t)&random;
    for (int i = 0; i < 10000; i++) {
        uint32_t number = random_next(&random) & 255;
        char *block = hg_alloc(1 + random_next(&random) % 900);
        block[0] = 1;
        hg_free(atomic_exchange((_Atomic(void *) *)&shared[number], block));
    }
    return NULL;
}

START_TEST(threads_that_free_each_others_blocks)
{
    static void *shared[256];
    ck_assert_int_eq(hg_harden(200), HG_OK);
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
    ck_assert_int_eq(hg_harden(0), HG_OK);
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, work, shared);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            hg_heap_check();
            churn(1 + (size_t)i * 30);
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
    Suite *suite = suite_create("heap_hardened");
    TCase *t = add_case(suite, "finds");
    tcase_add_test(t, overruns_of_the_slack);
    tcase_add_test(t, writes_after_free);
    tcase_add_test(t, overwritten_links);
    tcase_add_test(t, wrong_frees);
    tcase_add_test(t, report_names_the_tag);
    t = add_case(suite, "goes on");
    tcase_add_test(t, too_late_to_harden);
    tcase_add_test(t, sizes_are_those_asked_for);
    tcase_add_test(t, random_steps);
    tcase_add_test(t, quarantined_blocks_are_not_live);
    tcase_add_test(t, block_is_not_handed_out_again_soon);
    tcase_add_test(t, quarantine_is_bounded);
    tcase_add_test(t, heap_that_is_an_object);
    tcase_add_test(t, threads_that_free_each_others_blocks);
#ifndef HG_SANITIZED
    tcase_add_test(t, child_goes_on);
#endif
    return run_suite(suite);
}
