/* SPDX-License-Identifier: MIT */
/* suite.h - a suite whose tests each have a folder of their own. */
#ifndef HG_TESTS_SUITE_H
#define HG_TESTS_SUITE_H

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A folder of the test's own, which is the working folder; in memory where that can
   be, for a disk makes hundreds of ledgers slow. */
static inline void enter_folder(void)
{
    char shared[] = "/dev/shm/heapglass-test-XXXXXX";
    char folder[] = "/tmp/heapglass-test-XXXXXX";
    if (mkdtemp(shared) != NULL && chdir(shared) == 0)
        return;
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

/* Run it; to be main()'s result. */
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
