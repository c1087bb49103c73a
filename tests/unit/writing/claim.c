/* SPDX-License-Identifier: MIT */
/* claim.c - every process has a ledger of its own, and no file is lost to it. */
#include "trace/claim.h"

#include "base/process.h"
#include "writing_test.h"

#include <dirent.h>
#include <sys/file.h>

static struct session_config config;
static char path[PATH_MAX];

static void begin(void)
{
    path_here("a.hg", config.path);
    config.started = getpid();
}

/* The ledger of process `pid` at `file`. */
static void write_ledger(const char *file, enum ledger_state state, pid_t pid)
{
    struct ledger ledger;
    make_ledger(&ledger, file);
    ledger.header->pid = pid;
    ledger.header->process_start = process_start_ticks(pid);
    ledger_set_state(ledger.header, state);
    ledger_trim(&ledger);
    ledger_close(&ledger);
}

/* As a session does it; returns false when there is no ledger to be had. */
static bool start_ledger(void)
{
    struct ledger ledger;
    int fd = claim_ledger(&config, path);
    if (fd < 0)
        return false;
    ck_assert_int_eq(ledger_init(&ledger, fd, path, 0), HG_OK);
    ledger.header->pid = getpid();
    ledger.header->process_start = process_start_ticks(getpid());
    ledger_set_state(ledger.header, LEDGER_RUNNING);
    close(fd);
    ledger_close(&ledger);
    return true;
}

static struct ledger_header header_of(const char *file)
{
    struct ledger_copy *copy = NULL;
    struct ledger_fault fault;
    if (ledger_copy_read(file, 0, &copy, &fault) != HG_OK)
        ck_abort_msg("%s %s", file, fault.what);
    struct ledger_header header = copy->header;
    ledger_copy_free(copy);
    return header;
}

static void ck_assert_ledger(const char *file, pid_t pid, enum ledger_state state)
{
    struct ledger_header header = header_of(file);
    ck_assert_int_eq(header.pid, pid);
    ck_assert_uint_eq(header.state, state);
}

static const char *numbered(const char *format, pid_t pid)
{
    static char name[64];
    snprintf(name, sizeof name, format, (int)pid);
    return name;
}

static int files_here(void)
{
    int count = 0;
    DIR *folder = opendir(".");
    for (struct dirent *e; (e = readdir(folder)) != NULL;)
        count += e->d_name[0] != '.';
    closedir(folder);
    return count;
}

START_TEST(a_ledger_that_waits_is_claimed)
{
    begin();
    write_ledger("a.hg", LEDGER_WAITING, 1);

    ck_assert(start_ledger());

    ck_assert_str_eq(path, config.path);
    ck_assert_ledger("a.hg", getpid(), LEDGER_RUNNING);
    ck_assert_int_eq(files_here(), 1);
}
END_TEST

START_TEST(a_child_may_claim_what_waits)
{
    begin();
    config.started = 1; /* a wrapper */
    write_ledger("a.hg", LEDGER_WAITING, 1);

    ck_assert(start_ledger());

    ck_assert_str_eq(path, config.path);
    ck_assert_int_eq(files_here(), 1);
}
END_TEST

START_TEST(nothing_at_the_path_is_claimed_as_well)
{
    begin();

    ck_assert(start_ledger());

    ck_assert_ledger("a.hg", getpid(), LEDGER_RUNNING);
}
END_TEST

START_TEST(a_claimed_file_is_for_its_owner_alone_and_locked)
{
    struct stat file;
    begin();
    int fd = claim_ledger(&config, path);
    int other = open("a.hg", O_RDWR | O_CLOEXEC);

    ck_assert_int_eq(fstat(fd, &file), 0);
    ck_assert_uint_eq(file.st_mode & 0777, 0600);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_ne(flock(other, LOCK_EX | LOCK_NB), 0);
    close(fd);
    ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), 0);
    close(other);
}
END_TEST

START_TEST(a_new_ledger_can_be_read_whatever_the_umask)
{
    struct stat file;
    begin();
    umask(0777);
    int fd = claim_childs_ledger(&config, path);
    umask(022);

    ck_assert_int_eq(fstat(fd, &file), 0);
    ck_assert_uint_eq(file.st_mode & 0777, 0600);
    close(fd);
}
END_TEST

START_TEST(a_second_process_has_a_file_with_its_pid)
{
    begin();
    ck_assert(start_ledger());
    pid_t parent = getpid();

    pid_t child = fork();
    if (child == 0)
        _exit(!start_ledger());
    ends_well(child);

    ck_assert_ledger("a.hg", parent, LEDGER_RUNNING);
    ck_assert_ledger(numbered("a.hg.%d", child), child, LEDGER_RUNNING);
    ck_assert_int_eq(files_here(), 2);
}
END_TEST

START_TEST(a_forked_childs_file_has_its_pid)
{
    begin();

    int fd = claim_childs_ledger(&config, path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(access(numbered("a.hg.%d", getpid()), F_OK), 0);
    ck_assert_int_eq(files_here(), 1);
    close(fd);
}
END_TEST

START_TEST(an_exec_sets_older_ledgers_aside_by_number)
{
    begin();

    ck_assert(start_ledger());
    ck_assert(start_ledger());
    ck_assert(start_ledger());

    ck_assert_str_eq(path, config.path);
    ck_assert_ledger("a.hg", getpid(), LEDGER_RUNNING);
    ck_assert_ledger(numbered("a.hg.%d.1", getpid()), getpid(), LEDGER_REPLACED);
    ck_assert_ledger(numbered("a.hg.%d.2", getpid()), getpid(), LEDGER_REPLACED);
    ck_assert_int_eq(files_here(), 3);
}
END_TEST

START_TEST(a_ledger_set_aside_replaces_nothing_not_even_a_link_to_nowhere)
{
    const char *first = numbered("a.hg.%d.1", getpid());
    char name[64];
    char target[64] = "";
    begin();
    ck_assert(start_ledger());
    strcpy(name, first);
    ck_assert_int_eq(symlink("nowhere", name), 0);

    ck_assert(start_ledger());

    ck_assert_int_eq(readlink(name, target, sizeof target - 1), 7);
    ck_assert_str_eq(target, "nowhere");
    ck_assert_ledger(numbered("a.hg.%d.2", getpid()), getpid(), LEDGER_REPLACED);
}
END_TEST

START_TEST(a_childs_exec_sets_its_ledgers_aside_by_number)
{
    begin();
    config.started = 1;
    write_ledger("a.hg", LEDGER_RUNNING, 1);

    ck_assert(start_ledger());
    ck_assert(start_ledger());
    ck_assert(start_ledger());

    ck_assert_ledger("a.hg", 1, LEDGER_RUNNING);
    ck_assert_ledger(numbered("a.hg.%d", getpid()), getpid(), LEDGER_RUNNING);
    ck_assert_ledger(numbered("a.hg.%d.1", getpid()), getpid(), LEDGER_REPLACED);
    ck_assert_ledger(numbered("a.hg.%d.2", getpid()), getpid(), LEDGER_REPLACED);
    ck_assert_int_eq(files_here(), 4);
}
END_TEST

START_TEST(a_replaced_ledger_knows_when)
{
    begin();
    ck_assert(start_ledger());
    ck_assert(start_ledger());
    const char *first = numbered("a.hg.%d.1", getpid());
    struct ledger_header header = header_of(first);
    ck_assert_uint_gt(header.end_ns, 0);
    /* And its unused end is given back. */
    ck_assert_int_eq(size_of(first),
                     (off_t)header.section[LEDGER_NODES].offset + 4096);
    ck_assert_uint_eq(header_of("a.hg").end_ns, 0);
}
END_TEST

START_TEST(an_older_process_of_the_same_pid_is_set_aside_unchanged)
{
    const char *own = numbered("a.hg.%d", getpid());
    char name[64];
    struct ledger ledger;
    begin();
    config.started = 1;
    write_ledger("a.hg", LEDGER_RUNNING, 1);
    strcpy(name, own);
    make_ledger(&ledger, name);
    ledger.header->pid = getpid();
    ledger.header->process_start = 1;
    ledger_set_state(ledger.header, LEDGER_EXITED);

    ck_assert(start_ledger());

    ck_assert_ledger(name, getpid(), LEDGER_RUNNING);
    ck_assert_ledger(numbered("a.hg.%d.1", getpid()), getpid(), LEDGER_EXITED);
}
END_TEST

START_TEST(the_program_that_was_started_takes_the_file_from_a_child)
{
    begin();
    pid_t child = fork();
    if (child == 0)
        _exit(!start_ledger());
    ends_well(child);
    ck_assert_ledger("a.hg", child, LEDGER_RUNNING);

    ck_assert(start_ledger());

    ck_assert_str_eq(path, config.path);
    ck_assert_ledger("a.hg", getpid(), LEDGER_RUNNING);
    ck_assert_ledger(numbered("a.hg.%d", child), child, LEDGER_RUNNING);
    ck_assert_int_eq(files_here(), 2);
}
END_TEST

START_TEST(what_is_no_ledger_is_never_touched)
{
    begin();
    write_file("a.hg", "a letter to a friend");

    ck_assert(!start_ledger());
    ck_assert_int_eq(errno, EEXIST);

    config.started = 1;
    ck_assert(!start_ledger());
    ck_assert_file("a.hg", "a letter to a friend");
    ck_assert_int_eq(files_here(), 1);
}
END_TEST

START_TEST(what_is_no_ledger_is_not_touched_at_a_childs_path_either)
{
    begin();
    char name[64];
    strcpy(name, numbered("a.hg.%d", getpid()));
    write_file(name, "a letter to a friend");

    ck_assert_int_eq(claim_childs_ledger(&config, path), -1);

    ck_assert_int_eq(errno, EEXIST);
    ck_assert_file(name, "a letter to a friend");
}
END_TEST

START_TEST(a_long_file_that_is_no_ledger_is_not_touched)
{
    begin();
    write_file("a.hg", "HGLEDGEX");
    ck_assert_int_eq(truncate("a.hg", 100000), 0);

    ck_assert(!start_ledger());

    ck_assert_int_eq(size_of("a.hg"), 100000);
    ck_assert_int_eq(files_here(), 1);
}
END_TEST

START_TEST(symbolic_links_are_not_followed)
{
    begin();
    write_ledger("b.hg", LEDGER_WAITING, 1);
    ck_assert_int_eq(symlink("b.hg", "a.hg"), 0);
    ck_assert(!start_ledger());
    ck_assert_ledger("b.hg", 1, LEDGER_WAITING);

    ck_assert_int_eq(unlink("a.hg"), 0);
    ck_assert_int_eq(symlink("new.hg", "a.hg"), 0);
    ck_assert(!start_ledger());
    ck_assert_int_ne(access("new.hg", F_OK), 0);
}
END_TEST

START_TEST(a_childs_path_may_be_no_symbolic_link)
{
    begin();
    ck_assert_int_eq(symlink("new.hg", numbered("a.hg.%d", getpid())), 0);

    ck_assert_int_eq(claim_childs_ledger(&config, path), -1);

    ck_assert_int_ne(access("new.hg", F_OK), 0);
}
END_TEST

START_TEST(folders_and_pipes_are_no_ledgers)
{
    begin();
    ck_assert_int_eq(mkfifo("a.hg", 0600), 0);
    ck_assert(!start_ledger());
    ck_assert_int_eq(unlink("a.hg"), 0);
    ck_assert_int_eq(mkdir("a.hg", 0700), 0);
    ck_assert(!start_ledger());
    ck_assert_int_eq(files_here(), 1);
}
END_TEST

START_TEST(a_folder_that_is_gone_is_an_error)
{
    begin();
    strcpy(config.path, "/tmp/heapglass-test-none/a.hg");
    ck_assert(!start_ledger());
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(a_program_without_accounts_says_that_it_replaced_one)
{
    begin();
    ck_assert(start_ledger());

    claim_mark_replaced(&config);

    ck_assert_ledger("a.hg", getpid(), LEDGER_REPLACED);
    ck_assert_int_eq(files_here(), 1);
}
END_TEST

START_TEST(a_program_without_accounts_leaves_others_ledgers_alone)
{
    begin();
    write_ledger("a.hg", LEDGER_RUNNING, 1);
    write_file(numbered("a.hg.%d", getpid()), "a letter to a friend");

    claim_mark_replaced(&config);

    ck_assert_ledger("a.hg", 1, LEDGER_RUNNING);
    ck_assert_file(numbered("a.hg.%d", getpid()), "a letter to a friend");
}
END_TEST

START_TEST(a_program_without_accounts_leaves_what_waits_waiting)
{
    begin();
    write_ledger("a.hg", LEDGER_WAITING, getpid());

    claim_mark_replaced(&config);

    ck_assert_ledger("a.hg", getpid(), LEDGER_WAITING);
}
END_TEST

/* Start `count` children at one moment that claim; each is done before we return.
   The first of them is the program that was started, if `first_is_started`. */
static void race(int count, bool first_is_started, pid_t *children)
{
    int gate[2];
    char byte;
    ck_assert_int_eq(pipe(gate), 0);
    for (int i = 0; i < count; i++) {
        children[i] = fork();
        if (children[i] != 0)
            continue;
        close(gate[1]);
        config.started = i == 0 && first_is_started ? getpid() : 1;
        if (read(gate[0], &byte, 1) != 0)
            _exit(1);
        _exit(!start_ledger());
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < count; i++)
        ends_well(children[i]);
}

/* One has FILE, the other FILE.PID, and either ledger says so. */
static void ck_assert_apart(const pid_t children[2])
{
    pid_t first = header_of("a.hg").pid;
    ck_assert(first == children[0] || first == children[1]);
    pid_t second = first == children[0] ? children[1] : children[0];
    ck_assert_ledger(numbered("a.hg.%d", second), second, LEDGER_RUNNING);
    ck_assert_int_ne(access(numbered("a.hg.%d", first), F_OK), 0);
    unlink(numbered("a.hg.%d", second));
    unlink("a.hg");
}

START_TEST(two_at_once_never_share_a_file)
{
    pid_t children[2];
    begin();
    for (int i = 0; i < 200; i++) {
        if (i % 2 == 0)
            write_ledger("a.hg", LEDGER_WAITING, 1);
        race(2, false, children);
        ck_assert_apart(children);
        ck_assert_int_eq(files_here(), 0);
    }
}
END_TEST

START_TEST(a_child_and_the_program_that_was_started_never_share_a_file)
{
    pid_t children[2];
    begin();
    for (int i = 0; i < 200; i++) {
        write_ledger("a.hg", LEDGER_RUNNING, 1); /* of an earlier child */
        race(2, true, children);
        ck_assert_ledger("a.hg.1", 1, LEDGER_RUNNING);
        ck_assert_int_eq(header_of("a.hg").pid, children[0]);
        unlink("a.hg.1");
        ck_assert_apart(children);
        ck_assert_int_eq(files_here(), 0);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_ledger_that_waits_is_claimed,
        a_child_may_claim_what_waits,
        nothing_at_the_path_is_claimed_as_well,
        a_claimed_file_is_for_its_owner_alone_and_locked,
        a_new_ledger_can_be_read_whatever_the_umask,
        a_second_process_has_a_file_with_its_pid,
        a_forked_childs_file_has_its_pid,
        an_exec_sets_older_ledgers_aside_by_number,
        a_ledger_set_aside_replaces_nothing_not_even_a_link_to_nowhere,
        a_childs_exec_sets_its_ledgers_aside_by_number,
        a_replaced_ledger_knows_when,
        an_older_process_of_the_same_pid_is_set_aside_unchanged,
        the_program_that_was_started_takes_the_file_from_a_child,
        what_is_no_ledger_is_never_touched,
        what_is_no_ledger_is_not_touched_at_a_childs_path_either,
        a_long_file_that_is_no_ledger_is_not_touched,
        symbolic_links_are_not_followed,
        a_childs_path_may_be_no_symbolic_link,
        folders_and_pipes_are_no_ledgers,
        a_folder_that_is_gone_is_an_error,
        a_program_without_accounts_says_that_it_replaced_one,
        a_program_without_accounts_leaves_others_ledgers_alone,
        a_program_without_accounts_leaves_what_waits_waiting,
        two_at_once_never_share_a_file,
        a_child_and_the_program_that_was_started_never_share_a_file,
    };
    return RUN_SUITE("claim", tests);
}
