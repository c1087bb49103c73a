/* SPDX-License-Identifier: MIT */
/* reading_test.h - what the tests of the readers have in common. */
#ifndef HG_TESTS_READING_TEST_H
#define HG_TESTS_READING_TEST_H

#include "analyze/gather.h"
#include "base/base.h"
#include "base/slice.h"
#include "ledger/reader.h"
#include "ledger_maker.h"

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALL_PARTS                                                                  \
    (LEDGER_PART_ACCOUNTS | LEDGER_PART_TIMELINE | LEDGER_PART_COLLECTOR)

/* A folder of the test's own, which is the working folder; gone with run_suite().
 */
static inline void enter_folder(void)
{
    char folder[] = "/tmp/heapglass-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static inline void leave_folder(void)
{
    char folder[PATH_MAX];
    char command[PATH_MAX + 16];
    ck_assert_ptr_nonnull(getcwd(folder, sizeof folder));
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

/* The copy of what the maker has made, by way of a file. */
static inline struct ledger_copy *copy_of(struct ledger_maker *maker)
{
    struct ledger_copy *copy = NULL;
    struct ledger_fault fault = {0, ""};
    maker_write(maker, "copy_of.hg");
    hg_status status = ledger_copy_read("copy_of.hg", ALL_PARTS, &copy, &fault);
    ck_assert_msg(status == HG_OK, "%s", fault.what);
    unlink("copy_of.hg");
    return copy;
}

/* Run a suite whose tests each have a folder of their own; to be main()'s result.
 */
static inline int run_suite(const char *name, const TTest *const *tests,
                            size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, enter_folder, leave_folder);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
#define RUN_SUITE(name, tests) run_suite(name, tests, sizeof tests / sizeof *tests)

#endif
