/* SPDX-License-Identifier: MIT */
/* process.c - what /proc tells of a process is read as it is meant. */
#include "base/process.h"

#include "writing_test.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

/* Field 22 of /proc/PID/stat, by another way: cut at the last parenthesis. */
static unsigned long long start_of(pid_t pid)
{
    char command[128];
    unsigned long long ticks = 0;
    snprintf(command, sizeof command,
             "sed -z 's/.*) //' /proc/%d/stat | cut -d' ' -f20", (int)pid);
    FILE *out = popen(command, "r");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(fscanf(out, "%llu", &ticks), 1);
    pclose(out);
    return ticks;
}

START_TEST(start_of_this_process_is_that_of_proc)
{
    ck_assert_uint_gt(process_start_ticks(getpid()), 0);
    ck_assert_uint_eq(process_start_ticks(getpid()), start_of(getpid()));
}
END_TEST

START_TEST(names_with_spaces_and_parentheses_do_not_matter)
{
    static const char *const names[] = {"a b c",    "a) b (c",         ") S 1 2 3",
                                        "(((((",    ")))))))))))))))", "        ",
                                        "line\nend"};
    uint64_t ticks = process_start_ticks(getpid());

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ck_assert_int_eq(prctl(PR_SET_NAME, names[i]), 0);
        ck_assert_uint_eq(process_start_ticks(getpid()), ticks);
    }
}
END_TEST

START_TEST(another_process_can_be_asked_for_too)
{
    int lives[2];
    char byte;
    ck_assert_int_eq(pipe(lives), 0);
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    pid_t child = fork();
    if (child == 0) {
        close(lives[1]);
        _exit(read(lives[0], &byte, 1) != 0);
    }

    ck_assert_uint_eq(process_start_ticks(child), start_of(child));
    ck_assert_uint_gt(process_start_ticks(child), process_start_ticks(getpid()));

    close(lives[1]);
    ends_well(child);
    ck_assert_uint_eq(process_start_ticks(child), 0);
}
END_TEST

START_TEST(who_is_nobody_has_no_start)
{
    ck_assert_uint_eq(process_start_ticks(0), 0);
    ck_assert_uint_eq(process_start_ticks(-1), 0);
    ck_assert_uint_eq(process_start_ticks(INT_MAX), 0);
}
END_TEST

START_TEST(resident_bytes_are_those_of_the_system)
{
    struct rusage usage;
    uint64_t before = process_rss_bytes();
    void *pages = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    ck_assert_ptr_ne(pages, MAP_FAILED);

    uint64_t rss = process_rss_bytes();

    ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
    ck_assert_uint_ge(rss, before + 24 * MIB);
    ck_assert_uint_le(rss, (uint64_t)usage.ru_maxrss * 1024 * 3 / 2);
    ck_assert_uint_ge(rss, (uint64_t)usage.ru_maxrss * 1024 / 4);
    munmap(pages, 32 * MIB);
}
END_TEST

START_TEST(a_boot_has_an_id_of_36_characters)
{
    char first[40];
    char second[40];

    process_boot_id(first);
    process_boot_id(second);

    ck_assert_uint_eq(strlen(first), 36);
    ck_assert_str_eq(first, second);
}
END_TEST

START_TEST(a_file_is_cut_where_the_room_ends)
{
    char text[8];
    write_file("a", "0123456789");
    errno = E2BIG;

    ck_assert_int_eq(process_read_file("a", text, sizeof text), 7);

    ck_assert_str_eq(text, "0123456");
    ck_assert_int_eq(errno, E2BIG);
}
END_TEST

START_TEST(a_file_that_is_not_there_says_why)
{
    char text[8];

    ck_assert_int_eq(process_read_file("none", text, sizeof text), -1);

    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        start_of_this_process_is_that_of_proc,
        names_with_spaces_and_parentheses_do_not_matter,
        another_process_can_be_asked_for_too,
        who_is_nobody_has_no_start,
        resident_bytes_are_those_of_the_system,
        a_boot_has_an_id_of_36_characters,
        a_file_is_cut_where_the_room_ends,
        a_file_that_is_not_there_says_why,
    };
    return RUN_SUITE("process", tests);
}
