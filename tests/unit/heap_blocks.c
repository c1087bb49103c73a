/* SPDX-License-Identifier: MIT */
/* heap_blocks.c - blocks of all sizes, one thread. */
#include "heap_test.h"

#include <stdint.h>
#include <sys/mman.h>

#define SMALL 64

START_TEST(every_request_gets_at_least_what_it_asked_for)
{
    for (size_t bytes = 0; bytes < 3 * SLOT_BYTES; bytes++) {
        struct place place;
        char *block = heap_alloc_slow(bytes, &place);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_ge(place.usable, bytes);
        ck_assert_uint_eq((uintptr_t)block % (bytes < 16 ? BLOCK_ALIGN : 8), 0);
        ck_assert_uint_eq(place_of(block).usable, place.usable);
        memset(block, 0xAA, place.usable);
        give(block);
    }
    heap_check();
}
END_TEST

START_TEST(slack_is_less_than_an_eighth_in_medium_classes)
{
    for (size_t bytes = SMALL_MAX + 1; bytes <= MEDIUM_MAX; bytes++) {
        struct place place;
        void *block = heap_alloc_slow(bytes, &place);
        ck_assert_uint_lt(place.usable - bytes, bytes / 8 + 1);
        give(block);
    }
}
END_TEST

START_TEST(blocks_do_not_overlap)
{
    enum { COUNT = 3000 };
    static unsigned char *block[COUNT];
    static size_t bytes[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        bytes[i] = 1 + (i * i * 37) % 40000;
        block[i] = take(bytes[i]);
        memset(block[i], (int)i, bytes[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        size_t same = 0;
        while (same < bytes[i] && block[i][same] == (i & 255))
            same++;
        ck_assert_uint_eq(same, bytes[i]);
    }
    ck_assert_uint_eq(live_blocks(), COUNT);
    heap_check();
}
END_TEST

START_TEST(freed_block_is_reused_first)
{
    void *a = take(SMALL);
    void *b = take(SMALL);
    give(a);
    ck_assert_ptr_eq(take(SMALL), a);
    give(b);
    ck_assert_ptr_eq(take(SMALL), b);
}
END_TEST

/* A pool is used, then full, then used, then empty, as its blocks go and come back.
 */
START_TEST(pool_goes_full_and_comes_back_empty)
{
    enum { COUNT = SLOT_BYTES / SMALL - 1 }; /* its lead costs a pool one */
    void *block[COUNT];

    for (int i = 0; i < COUNT; i++)
        block[i] = take(SMALL);
    struct pool *pool = pool_of_block(block[0]);
    void *next = take(SMALL); /* notices that the pool is full, and takes another */
    ck_assert_ptr_ne(pool_of_block(next), pool);
    ck_assert_int_eq(pool->state, POOL_FULL);

    /* A full pool that gets a block back is used again before another page is. */
    give(block[7]);
    ck_assert_int_eq(pool->state, POOL_USED);
    for (size_t i = 1; i < PAGE_BYTES / SMALL && i < COUNT; i++)
        take(SMALL);
    ck_assert_ptr_eq(take(SMALL), block[7]);

    give(next); /* so that there is another one to keep */
    for (int i = 0; i < COUNT; i++)
        give(block[i]);
    ck_assert_int_eq(pool->state, POOL_FREE);
    heap_check();
}
END_TEST

START_TEST(last_pool_of_a_class_is_kept)
{
    void *block = take(SMALL);
    struct pool *pool = pool_of_block(block);
    give(block);
    ck_assert_int_eq(pool->state, POOL_USED);
    ck_assert_ptr_eq(take(SMALL), block);
}
END_TEST

START_TEST(untouched_pages_of_a_pool_stay_untouched)
{
    char *block = take(SMALL);
    char *page = block - (uintptr_t)block % PAGE_BYTES + PAGE_BYTES;
    unsigned char resident = 0;
    if (SLOT_BYTES > PAGE_BYTES) {
        ck_assert_int_eq(mincore(page, PAGE_BYTES, &resident), 0);
        ck_assert_int_eq(resident & 1, 0);
    }
}
END_TEST

START_TEST(calloc_clears_what_others_left)
{
    static const size_t sizes[] = {1,        64,        512,       1000,
                                   16 * KIB, 100 * KIB, LARGE_MAX, 3 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct place place;
        unsigned char *block = take(sizes[i]);
        memset(block, 0xFF, sizes[i]);
        give(block);
        block = heap_calloc_slow(sizes[i], &place);
        ck_assert_uint_eq(block[0], 0);
        ck_assert_int_eq(memcmp(block, block + 1, sizes[i] - 1), 0);
    }
}
END_TEST

START_TEST(alignment_is_kept)
{
    for (size_t align = 1; align <= 4 * MIB; align *= 2) {
        for (size_t bytes = 1; bytes < 2 * MIB; bytes = bytes * 3 + 1) {
            struct place place;
            char *a = heap_alloc_aligned(align, bytes, &place);
            char *b = heap_alloc_aligned(align, bytes, &place);
            ck_assert_uint_eq((uintptr_t)a % align, 0);
            ck_assert_uint_eq((uintptr_t)b % align, 0);
            ck_assert_uint_ge(place.usable, bytes);
            memset(a, 1, bytes);
            memset(b, 2, bytes);
            give(a);
            give(b);
        }
    }
    heap_check();
}
END_TEST

/* The links of a list at its beginning are in the cache line of the block before.
 */
START_TEST(small_blocks_begin_behind_a_cache_line)
{
    for (size_t bytes = 64; bytes <= 256; bytes += 64)
        ck_assert_uint_eq((uintptr_t)take(bytes) % 64, 48);
    ck_assert_uint_eq((uintptr_t)take(48) % SLOT_BYTES % 48, 0);
}
END_TEST

START_TEST(absurd_requests_get_nothing)
{
    struct place place;
    ck_assert_ptr_null(heap_alloc_slow(SIZE_MAX, &place));
    ck_assert_ptr_null(heap_alloc_slow(SIZE_MAX - 4095, &place));
    ck_assert_ptr_null(heap_alloc_slow(PTRDIFF_MAX, &place));
    ck_assert_ptr_null(heap_calloc_slow((size_t)PTRDIFF_MAX - 4096, &place));
    ck_assert_ptr_null(heap_alloc_aligned((size_t)1 << 63, 1, &place));
    ck_assert_ptr_null(heap_alloc_aligned(64, SIZE_MAX - 10, &place));
    void *block = take(2 * MIB);
    ck_assert_ptr_null(heap_remap_huge(block, SIZE_MAX, &place));
    ck_assert(!heap_resize_in_place(block, SIZE_MAX, &place));
    ck_assert(!heap_resize_in_place(block, PTRDIFF_MAX, &place));
    give(block);
    heap_check();
}
END_TEST

START_TEST(resize_stays_within_the_class)
{
    struct place place;
    char *block = take(SMALL);
    ck_assert(heap_resize_in_place(block, SMALL - 3, &place));
    ck_assert(!heap_resize_in_place(block, SMALL + 1, &place));
    ck_assert(!heap_resize_in_place(block, 1, &place));
    char *medium = take(1000);
    ck_assert(heap_resize_in_place(medium, 1024, &place));
    ck_assert_uint_eq(place.usable, 1024);
    ck_assert(!heap_resize_in_place(medium, 1025, &place));
}
END_TEST

START_TEST(large_block_grows_and_shrinks_where_it_is)
{
    struct place place;
    char *block = take(2 * SLOT_BYTES);
    ck_assert(heap_resize_in_place(block, 5 * SLOT_BYTES, &place));
    ck_assert_uint_eq(place.usable, 5 * SLOT_BYTES);
    memset(block, 1, 5 * SLOT_BYTES);
    heap_check();
    ck_assert(heap_resize_in_place(block, 2 * SLOT_BYTES, &place));
    char *behind = take(3 * SLOT_BYTES); /* in the slots that were given back */
    ck_assert_ptr_eq(behind, block + 2 * SLOT_BYTES);
    ck_assert(!heap_resize_in_place(block, 3 * SLOT_BYTES, &place));
    give(behind);
    give(block);
    heap_check();
    ck_assert_uint_eq(census().live, 0);
}
END_TEST

START_TEST(huge_block_is_moved_with_its_contents)
{
    heap_keep_tags();
    struct place place;
    char *block = heap_alloc_slow(2 * MIB, &place);
    *place.tag = 77;
    *place.bytes = 2 * MIB;
    memset(block, 5, 2 * MIB);
    /* Somebody's mapping behind it, so that it has to move. */
    mmap(block + 2 * MIB, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
         0);
    char *moved = heap_remap_huge(block, 64 * MIB, &place);
    ck_assert_ptr_nonnull(moved);
    ck_assert_uint_eq(place.usable, 64 * MIB);
    ck_assert_uint_eq(*place.tag, 77);
    ck_assert_uint_eq(*place_of(moved).bytes, 2 * MIB);
    ck_assert_int_eq(moved[0], 5);
    ck_assert_int_eq(memcmp(moved, moved + 1, 2 * MIB - 1), 0);
    heap_check();
    give(moved);
    heap_check();
}
END_TEST

START_TEST(huge_mapping_is_reused)
{
    char *block = take(2 * MIB);
    give(block);
    ck_assert_uint_eq(census().free_pools, 2 * MIB);
    ck_assert_ptr_eq(take(2 * MIB), block);
}
END_TEST

START_TEST(reused_mapping_has_room_to_grow_or_is_made_to_fit)
{
    char *large = take(6 * MIB);
    give(large);
    char *block = take(4 * MIB);
    ck_assert_ptr_eq(block, large);
    struct place place;
    ck_assert(heap_resize_in_place(block, 5 * MIB, &place));
    ck_assert_uint_eq(place.usable, 6 * MIB);
    ck_assert(heap_resize_in_place(block, 4 * MIB, &place));
    ck_assert_uint_eq(place.usable, 4 * MIB);
    heap_check();
    give(block);
    /* More than half as much again would be wasted. */
    ck_assert_ptr_ne(take(2 * MIB), block);
    /* But one that is a little too small is made larger. */
    char *larger = take(5 * MIB);
    ck_assert_uint_eq(census().free_pools, 0);
    memset(larger, 1, 5 * MIB);
    heap_check();
}
END_TEST

START_TEST(thousands_of_huge_blocks_are_found)
{
    enum { COUNT = 3000 };
    static char *block[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        block[i] = take(LARGE_MAX + 1 + i % 7 * PAGE_BYTES);
    for (size_t i = 0; i < COUNT; i += 2)
        give(block[i]);
    heap_check();
    for (size_t i = 1; i < COUNT; i += 2) {
        ck_assert_uint_gt(place_of(block[i]).usable, LARGE_MAX);
        give(block[i]);
    }
    heap_check();
    ck_assert_uint_eq(census().live, 0);
}
END_TEST

START_TEST(what_is_not_a_block_is_not_found)
{
    struct place place;
    int here = 0;
    char *small = take(SMALL);
    char *medium = take(3000);
    char *large = take(3 * SLOT_BYTES);
    char *huge = take(3 * MIB);
    ck_assert(heap_owns(small) && heap_owns(medium) && heap_owns(large) &&
              heap_owns(huge));
    ck_assert(!heap_find(NULL, &place));
    ck_assert(!heap_find(&here, &place));
    ck_assert(!heap_find(small + 8, &place) || BLOCK_ALIGN == SMALL);
    ck_assert(!heap_find(medium + 16, &place));
    ck_assert(!heap_find(large + SLOT_BYTES, &place));
    ck_assert(!heap_find(large + 16, &place));
    ck_assert(!heap_find(huge + PAGE_BYTES, &place));
    ck_assert(!heap_find((char *)heap_base() - 1, &place));
    ck_assert(!heap_find((char *)heap_base() + heap_space.bytes, &place));
}
END_TEST

static unsigned hook_calls;

static void hook(void)
{
    hook_calls++;
    /* No lock is held: this would wait for itself. */
    heap_check();
}

START_TEST(slow_path_hook_may_ask_anything)
{
    heap_on_slow_path = hook;
    give(take(SMALL));
    ck_assert_uint_eq(hook_calls, 1);
    give(take(10 * SLOT_BYTES));
    ck_assert_uint_eq(hook_calls, 3);
    give(take(5 * MIB));
    ck_assert_uint_eq(hook_calls, 5);
    give(take(SMALL)); /* the fast path */
    ck_assert_uint_eq(hook_calls, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap_blocks");
    TCase *t = add_case(suite, "blocks");
    tcase_add_test(t, every_request_gets_at_least_what_it_asked_for);
    tcase_add_test(t, slack_is_less_than_an_eighth_in_medium_classes);
    tcase_add_test(t, blocks_do_not_overlap);
    tcase_add_test(t, freed_block_is_reused_first);
    tcase_add_test(t, pool_goes_full_and_comes_back_empty);
    tcase_add_test(t, last_pool_of_a_class_is_kept);
    tcase_add_test(t, untouched_pages_of_a_pool_stay_untouched);
    tcase_add_test(t, calloc_clears_what_others_left);
    tcase_add_test(t, alignment_is_kept);
    tcase_add_test(t, small_blocks_begin_behind_a_cache_line);
    tcase_add_test(t, absurd_requests_get_nothing);
    tcase_add_test(t, resize_stays_within_the_class);
    tcase_add_test(t, large_block_grows_and_shrinks_where_it_is);
    tcase_add_test(t, huge_block_is_moved_with_its_contents);
    tcase_add_test(t, huge_mapping_is_reused);
    tcase_add_test(t, reused_mapping_has_room_to_grow_or_is_made_to_fit);
    tcase_add_test(t, thousands_of_huge_blocks_are_found);
    tcase_add_test(t, what_is_not_a_block_is_not_found);
    tcase_add_test(t, slow_path_hook_may_ask_anything);
    return run_suite(suite);
}
