/* SPDX-License-Identifier: MIT */
/* heap_anatomy.c - a heap read from outside is the heap as it knows itself. */
#include "heap/anatomy.h"

#include "heap_test.h"

#include <errno.h>

struct seen {
    size_t blocks, bytes, headers, freed, untouched;
    uint64_t tags; /* a sum */
};

static bool read_own(void *arg, uint64_t at, void *into, size_t bytes)
{
    (void)arg;
    memcpy(into, (const void *)(uintptr_t)at, bytes);
    return true;
}

static bool read_nothing(void *arg, uint64_t at, void *into, size_t bytes)
{
    (void)arg, (void)at, (void)into, (void)bytes;
    errno = EPERM;
    return false;
}

static void see_pool(void *arg, const struct anatomy_pool *pool)
{
    struct seen *seen = arg;
    if (pool->headers)
        return;
    for (uint32_t i = 0; i < pool->capacity; i++) {
        seen->freed += pool->kind[i] == BLOCK_FREED ? pool->block_bytes : 0;
        seen->untouched += pool->kind[i] == BLOCK_UNTOUCHED ? pool->block_bytes : 0;
        if (pool->kind[i] != BLOCK_LIVE)
            continue;
        seen->blocks++;
        seen->bytes += pool->block_bytes;
        seen->tags += pool->tags != NULL ? pool->tags[i] : 0;
    }
}

static void see_huge(void *arg, const struct anatomy_huge *huge)
{
    struct seen *seen = arg;
    if (huge->kept)
        return;
    seen->blocks++;
    seen->bytes += huge->bytes;
    seen->tags += huge->tag;
}

static void see_block(void *arg, void *block, size_t usable, uint32_t *tag,
                      size_t requested)
{
    struct seen *seen = arg;
    (void)block, (void)requested;
    seen->blocks++;
    seen->bytes += usable;
    seen->tags += *tag;
}

static struct seen from_outside(void)
{
    struct seen seen = {0};
    const struct anatomy_visitor visitor = {
        .arg = &seen, .pool = see_pool, .huge = see_huge};
    struct anatomy_account account;
    ck_assert_int_eq(
        anatomy_walk(read_own, NULL, (uintptr_t)&heap_anatomy, &visitor, &account),
        HG_OK);
    ck_assert_uint_eq(account.unread, 0);
    return seen;
}

static struct seen from_inside(void)
{
    struct seen seen = {0};
    heap_walk(see_block, &seen);
    return seen;
}

static void the_same(void)
{
    struct seen out = from_outside();
    struct seen in = from_inside();
    struct heap_census c = census();
    ck_assert_uint_eq(out.blocks, in.blocks);
    ck_assert_uint_eq(out.bytes, in.bytes);
    ck_assert_uint_eq(out.tags, in.tags);
    ck_assert_uint_eq(out.freed, c.free_blocks);
    ck_assert_uint_eq(out.untouched, c.untouched);
}

START_TEST(every_live_block_is_seen_with_its_tag)
{
    enum { COUNT = 20000 };
    static void *block[COUNT];
    heap_keep_tags();
    for (uint32_t i = 0; i < COUNT; i++) {
        struct place place;
        size_t bytes = i % 1000 == 0 ? 300 * KIB + i * 64 : 1 + i * 37 % 3000;
        block[i] = heap_alloc_slow(bytes, &place);
        *place.tag = i;
    }
    the_same();
    for (uint32_t i = 0; i < COUNT; i++)
        if (i % 3 != 0)
            give(block[i]);
    the_same();
    heap_trim();
    the_same();
}
END_TEST

START_TEST(what_may_not_be_read_is_said)
{
    const struct anatomy_visitor visitor = {.arg = NULL};
    struct anatomy_account account;
    errno = 0;
    ck_assert_int_eq(anatomy_walk(read_nothing, NULL, (uintptr_t)&heap_anatomy,
                                  &visitor, &account),
                     HG_EIO);
    ck_assert_int_eq(errno, EPERM);
    struct heap_anatomy other = heap_anatomy;
    other.classes++;
    ck_assert_int_eq(
        anatomy_walk(read_own, NULL, (uintptr_t)&other, &visitor, &account),
        HG_EVERSION);
    other.magic[0] = 'X';
    ck_assert_int_eq(
        anatomy_walk(read_own, NULL, (uintptr_t)&other, &visitor, &account),
        HG_ECORRUPT);
}
END_TEST

START_TEST(a_list_that_makes_no_sense_is_unread)
{
    void *block[8];
    for (int i = 0; i < 8; i++)
        block[i] = take(48);
    give(block[2]);
    give(block[3]);
    void *good = *(void **)block[3];
    *(void **)block[3] = (char *)block[5] + 1;
    struct anatomy_account account;
    const struct anatomy_visitor visitor = {.arg = NULL};
    ck_assert_int_eq(
        anatomy_walk(read_own, NULL, (uintptr_t)&heap_anatomy, &visitor, &account),
        HG_OK);
    ck_assert_uint_eq(account.unread, 1);
    *(void **)block[3] = good;
    heap_check();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap_anatomy");
    TCase *t = add_case(suite, "anatomy");
    tcase_add_test(t, every_live_block_is_seen_with_its_tag);
    tcase_add_test(t, what_may_not_be_read_is_said);
    tcase_add_test(t, a_list_that_makes_no_sense_is_unread);
    return run_suite(suite);
}
