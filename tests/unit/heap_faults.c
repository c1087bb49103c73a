/* SPDX-License-Identifier: MIT */
/* heap_faults.c - the system has no memory, or something is in the way. */
#include "heap_test.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

enum { BLOCKS = 200, MAPPINGS = 40 };

/* Allocates some of everything; blocks that could not be had stay NULL. */
static void exercise(void **block)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t bytes = 1 + i * i * 7 % 5000;
        struct place place;
        if (i % 20 == 0)
            bytes = 5 * SLOT_BYTES;
        if (i % 25 == 0)
            bytes = LARGE_MAX + 1 + i;
        block[i] = i % 2 == 0 ? heap_calloc_slow(bytes, &place) : take(bytes);
        if (block[i] != NULL) {
            memset(block[i], 1, bytes);
            if (place_of(block[i]).tag != NULL)
                *place_of(block[i]).tag = 1;
        }
        if (i % 50 == 0 && block[i] != NULL) {
            void *moved = heap_remap_huge(block[i], LARGE_MAX * 3 / 2, &place);
            if (moved != NULL)
                block[i] = moved;
        }
    }
}

static void release(void **block)
{
    for (size_t i = 0; i < BLOCKS; i++)
        if (block[i] != NULL)
            give(block[i]);
}

/* In turn the first, second, third ... mapping fails, in a process of its own. */
START_TEST(the_heap_survives_any_mapping_that_fails)
{
    static void *block[BLOCKS];
    if (_i % 2 == 1)
        heap_keep_tags();
    pages_fail((unsigned)_i / 2, 0);
    exercise(block);
    heap_check();
    unsigned failed = pages_fail_never();
    if (_i / 2 == MAPPINGS)
        ck_assert_uint_eq(failed, 0); /* each has had its turn */
    release(block);
    heap_check();
    exercise(block);
    for (size_t i = 0; i < BLOCKS; i++)
        ck_assert_ptr_nonnull(block[i]);
    release(block);
    heap_check();
    ck_assert_uint_eq(live_blocks(), 0);
}
END_TEST

START_TEST(the_heap_survives_when_every_so_many_fail)
{
    static void *block[BLOCKS];
    pages_fail((unsigned)_i, (unsigned)_i);
    for (int round = 0; round < 4; round++) {
        exercise(block);
        heap_check();
        release(block);
        heap_check();
    }
    pages_fail_never();
    ck_assert_uint_eq(live_blocks(), 0);
}
END_TEST

START_TEST(without_any_memory_there_are_no_blocks)
{
    struct place place;
    pages_fail(0, 1);
    ck_assert_ptr_null(take(1));
    ck_assert_ptr_null(take(1000));
    ck_assert_ptr_null(take(100 * KIB));
    ck_assert_ptr_null(take(2 * MIB));
    ck_assert_ptr_null(heap_calloc_slow(64, &place));
    ck_assert_ptr_null(heap_alloc_aligned(4096, 4096, &place));
    heap_check();
    ck_assert_uint_gt(pages_fail_never(), 0);
    ck_assert_ptr_nonnull(take(1));
}
END_TEST

#ifndef HG_SANITIZED
START_TEST(a_limit_set_later_is_used_up_and_survived)
{
    take(64);
    struct rlimit limit = {600 * MIB, 600 * MIB};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    size_t bytes = 0;
    while (take(60000) != NULL)
        bytes += 60000;
    ck_assert_uint_gt(bytes, 400 * MIB);
    heap_check();
    ck_assert_ptr_null(take(60000));
    /* What is mapped already can still be used. */
    ck_assert_ptr_nonnull(take(64));
}
END_TEST
#endif

/* Whatever the system's rule is: by default nothing beyond memory and swap. */
START_TEST(what_a_plain_mapping_is_refused_is_refused)
{
    struct sysinfo info;
    ck_assert_int_eq(sysinfo(&info), 0);
    size_t memory = (info.totalram + info.totalswap) * info.mem_unit;
    struct place place;
    void *small = take(2 * MIB);
    size_t requests[] = {memory + memory / 4, 8 * memory, (size_t)1 << 46};
    for (size_t i = 0; i < 3; i++) {
        void *plain = mmap(NULL, requests[i], PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        bool refused = plain == MAP_FAILED;
        if (!refused)
            munmap(plain, requests[i]);
        ck_assert_int_eq(heap_alloc_slow(requests[i], &place) == NULL, refused);
        if (refused)
            ck_assert_ptr_null(heap_remap_huge(small, requests[i], &place));
    }
    heap_check();
}
END_TEST

#ifndef HG_SANITIZED
static void *do_nothing(void *arg)
{
    return arg;
}

/* What a program does that met a MemoryError and goes on. */
START_TEST(address_space_comes_back_when_it_is_limited)
{
    struct rlimit limit = {400000 * KIB, 400000 * KIB};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    for (int round = 0; round < 3; round++) {
        void **first = NULL;
        size_t n = 0;
        for (void **block; (block = take(1033)) != NULL; n++) {
            *block = first;
            first = block;
        }
        ck_assert_uint_gt(n, 300000);
        while (first != NULL) {
            void **next = *first;
            give(first);
            first = next;
        }
        heap_check();

        /* For others than the heap too. */
        void *foreign = mmap(NULL, 256 * MIB, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert(foreign != MAP_FAILED);
        munmap(foreign, 256 * MIB);
        void *huge = take(256 * MIB);
        ck_assert_ptr_nonnull(huge);
        give(huge);
        pthread_t thread[10];
        for (int i = 0; i < 10; i++)
            ck_assert_int_eq(pthread_create(&thread[i], NULL, do_nothing, NULL), 0);
        for (int i = 0; i < 10; i++)
            pthread_join(thread[i], NULL);
        heap_check();
    }
}
END_TEST

/* A limit that comes when the memory is free already: the heap hears of it only
   when the system refuses something. */
START_TEST(a_refused_mapping_gets_what_nobody_uses)
{
    enum { COUNT = 300 * 1024 * 1024 / 60000 };
    static void *block[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        block[i] = take(60000);
    size_t window = heap_space.bytes;
    void *huge = take(20 * MIB);
    for (size_t i = 0; i < COUNT; i++)
        give(block[i]);
    give(huge);
    struct rlimit limit = {400 * MIB, 400 * MIB};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    huge = take(340 * MIB);
    ck_assert_ptr_nonnull(huge);
    heap_check();
    give(huge);
    /* The arenas are where they were. */
    void *again = take(60000);
    ck_assert_uint_eq(heap_space.bytes, window);
    memset(again, 1, 60000);
    heap_check();
}
END_TEST
#endif

START_TEST(what_is_mapped_where_an_arena_was_makes_it_a_hole)
{
    char *block = take(LARGE_MAX);
    for (int i = 0; i < 20; i++)
        take(LARGE_MAX);
    give(block);
    give(block + LARGE_MAX);
    heap_trim();
    char *foreign = mmap(block, ARENA_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    ck_assert_ptr_eq(foreign, block);
    memset(foreign, 0x77, ARENA_BYTES);
    for (int i = 0; i < 20; i++)
        memset(take(LARGE_MAX), 1, LARGE_MAX);
    ck_assert_int_eq(foreign[0], 0x77);
    ck_assert_int_eq(memcmp(foreign, foreign + 1, ARENA_BYTES - 1), 0);
    heap_check();
}
END_TEST

START_TEST(a_mapping_in_the_way_is_stepped_over)
{
    take(64);
    char *end = (char *)heap_base() + heap_space.bytes;
    char *foreign =
        mmap(end + 2 * ARENA_BYTES, 3 * ARENA_BYTES, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    ck_assert_ptr_eq(foreign, end + 2 * ARENA_BYTES);
    memset(foreign, 0x77, 3 * ARENA_BYTES);
    for (int i = 0; i < 300; i++) {
        char *block = take(LARGE_MAX);
        ck_assert_ptr_nonnull(block);
        ck_assert(block + LARGE_MAX <= foreign ||
                  block >= foreign + 3 * ARENA_BYTES);
        block[0] = block[LARGE_MAX - 1] = 1;
    }
    ck_assert_uint_gt(heap_space.bytes, 100 * ARENA_BYTES);
    ck_assert_int_eq(foreign[0], 0x77);
    ck_assert_int_eq(memcmp(foreign, foreign + 1, 3 * ARENA_BYTES - 1), 0);
    struct place place;
    ck_assert(!heap_find(foreign + 16 * KIB, &place));
    heap_check();
}
END_TEST

START_TEST(tables_that_cannot_grow_stop_the_heap_and_nothing_else)
{
    take(64);
    char *descriptors = (char *)heap_space.pools;
    char *end = descriptors + heap_space.bytes / SLOT_BYTES * sizeof(struct pool);
    char *foreign = mmap(end, PAGE_BYTES, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    ck_assert_ptr_eq(foreign, end);
    size_t n = 0;
    while (take(LARGE_MAX) != NULL)
        n++;
    ck_assert_uint_ge(n, 1);
    ck_assert_ptr_nonnull(take(64));
    ck_assert_ptr_nonnull(take(3 * MIB));
    heap_check();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap_faults");
    TCase *t = add_case(suite, "faults");
    tcase_add_loop_test(t, the_heap_survives_any_mapping_that_fails, 0,
                        2 * MAPPINGS + 2);
    tcase_add_loop_test(t, the_heap_survives_when_every_so_many_fail, 2, 12);
    tcase_add_test(t, without_any_memory_there_are_no_blocks);
    tcase_add_test(t, what_a_plain_mapping_is_refused_is_refused);
    tcase_add_test(t, what_is_mapped_where_an_arena_was_makes_it_a_hole);
    tcase_add_test(t, a_mapping_in_the_way_is_stepped_over);
    tcase_add_test(t, tables_that_cannot_grow_stop_the_heap_and_nothing_else);
#ifndef HG_SANITIZED /* sanitizers themselves need terabytes */
    tcase_add_test(t, a_limit_set_later_is_used_up_and_survived);
    tcase_add_test(t, address_space_comes_back_when_it_is_limited);
    tcase_add_test(t, a_refused_mapping_gets_what_nobody_uses);
#endif
    return run_suite(suite);
}
