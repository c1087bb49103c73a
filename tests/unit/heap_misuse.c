/* SPDX-License-Identifier: MIT */
/* heap_misuse.c - what must end with a message and SIGABRT, and not later. */
#include "heap_test.h"

#include <pthread.h>
#include <signal.h>

START_TEST(huge_block_freed_twice)
{
    void *block = take(3 * MIB);
    give(block);
    give(block);
}
END_TEST

START_TEST(large_block_freed_twice)
{
    void *block = take(3 * SLOT_BYTES);
    give(block);
    give(block);
}
END_TEST

START_TEST(medium_block_freed_twice)
{
    take(1000);
    void *block = take(1000);
    give(block);
    give(block);
}
END_TEST

START_TEST(block_of_an_empty_pool_freed)
{
    static void *block[SLOT_BYTES / 512 + 1];
    for (size_t i = 0; i <= SLOT_BYTES / 512; i++)
        block[i] = take(512);
    for (size_t i = 0; i < SLOT_BYTES / 512; i++)
        give(block[i]);
    give(block[3]);
}
END_TEST

START_TEST(middle_of_a_medium_block_freed)
{
    char *block = take(1000);
    give(block + 16);
}
END_TEST

START_TEST(middle_of_a_large_block_freed)
{
    char *block = take(4 * SLOT_BYTES);
    give(block + 16);
}
END_TEST

START_TEST(inner_slot_of_a_large_block_freed)
{
    char *block = take(4 * SLOT_BYTES);
    give(block + SLOT_BYTES);
}
END_TEST

START_TEST(block_never_allocated_freed)
{
    char *block = take(1000);
    give(block + 1024 * 8);
}
END_TEST

START_TEST(variable_freed)
{
    int here = 0;
    take(16);
    heap_free_slow(&here);
}
END_TEST

START_TEST(null_freed)
{
    heap_free_slow(NULL);
}
END_TEST

START_TEST(tags_freed)
{
    heap_keep_tags();
    struct place place;
    heap_alloc_slow(16, &place);
    give(pool_of_block(take(16))->tags);
}
END_TEST

static void *free_twice(void *block)
{
    give(block);
    give(block);
    return NULL;
}

START_TEST(block_freed_twice_by_another_thread)
{
    take(64);
    pthread_t thread;
    pthread_create(&thread, NULL, free_twice, take(64));
    pthread_join(thread, NULL);
}
END_TEST

static void *free_a_b_a(void *blocks)
{
    void **block = blocks;
    give(block[0]);
    give(block[1]);
    give(block[0]);
    return NULL;
}

START_TEST(cycle_of_remote_blocks_is_noticed_by_the_owner)
{
    void *block[2] = {take(512), take(512)};
    pthread_t thread;
    pthread_create(&thread, NULL, free_a_b_a, block);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < SLOT_BYTES / 512; i++)
        take(512);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap_misuse");
    TCase *t = add_case(suite, "misuse");
    tcase_add_test_raise_signal(t, huge_block_freed_twice, SIGABRT);
    tcase_add_test_raise_signal(t, large_block_freed_twice, SIGABRT);
    tcase_add_test_raise_signal(t, medium_block_freed_twice, SIGABRT);
    tcase_add_test_raise_signal(t, block_of_an_empty_pool_freed, SIGABRT);
    tcase_add_test_raise_signal(t, middle_of_a_medium_block_freed, SIGABRT);
    tcase_add_test_raise_signal(t, middle_of_a_large_block_freed, SIGABRT);
    tcase_add_test_raise_signal(t, inner_slot_of_a_large_block_freed, SIGABRT);
    tcase_add_test_raise_signal(t, block_never_allocated_freed, SIGABRT);
    tcase_add_test_raise_signal(t, variable_freed, SIGABRT);
    tcase_add_test_raise_signal(t, null_freed, SIGABRT);
    tcase_add_test_raise_signal(t, tags_freed, SIGABRT);
    tcase_add_test_raise_signal(t, block_freed_twice_by_another_thread, SIGABRT);
    tcase_add_test_raise_signal(t, cycle_of_remote_blocks_is_noticed_by_the_owner,
                                SIGABRT);
    return run_suite(suite);
}
