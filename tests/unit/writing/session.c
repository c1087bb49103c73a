/* SPDX-License-Identifier: MIT */
/* session.c - accounts begin, are inherited, and end as the environment asks. */
#include "trace/session.h"

#include "heap/heap.h"
#include "trace/book.h"
#include "trace/threads.h"
#include "trace/timeline.h"
#include "writing_test.h"

#include <pthread.h>

static int stopped_count;
static int forked_count;

static void stopped(void)
{
    stopped_count++;
}

static void forked(void)
{
    forked_count++;
}

static void no_environment(void)
{
    unsetenv("HEAPGLASS_LEDGER");
    unsetenv("HEAPGLASS_SESSION");
    unsetenv("HEAPGLASS_MODE");
    unsetenv("HEAPGLASS_RECYCLED");
    unsetenv("HEAPGLASS_CHILDREN");
}

static void ask_for(const char *ledger, const char *started)
{
    no_environment();
    setenv("HEAPGLASS_LEDGER", ledger, 1);
    setenv("HEAPGLASS_SESSION", started, 1);
}

/* This process is the program that was started, and wants a.hg. */
static void configure(void)
{
    char path[PATH_MAX];
    char pid[16];
    path_here("a.hg", path);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    ask_for(path, pid);
    session_adapter.stopped = stopped;
    session_adapter.forked = forked;
}

static void begin(void)
{
    configure();
    ck_assert(session_configure());
    heap_keep_tags();
    ck_assert_int_eq(session_start(), HG_OK);
}

/* A block of `bytes`, charged to `node`, as an adapter does it. */
static void *take(uint32_t node, size_t bytes)
{
    struct place place;
    void *block = heap_alloc_slow(bytes, &place);
    ck_assert_ptr_nonnull(block);
    bool exact = place.bytes != NULL || place.bytes32 != NULL;
    if (place.bytes != NULL)
        *place.bytes = bytes;
    if (place.bytes32 != NULL)
        *place.bytes32 = (uint32_t)bytes;
    *place.tag = tag_of(node, exact ? 0 : place.usable - bytes);
    book_allocated(tag_of(node, 0), LEDGER_OBJ, bytes);
    return block;
}

START_TEST(without_an_environment_nobody_asked)
{
    no_environment();
    ck_assert(!session_configure());
}
END_TEST

START_TEST(half_an_environment_is_none)
{
    no_environment();
    setenv("HEAPGLASS_LEDGER", "/tmp/a.hg", 1);
    ck_assert(!session_configure());
    no_environment();
    setenv("HEAPGLASS_SESSION", "4711", 1);
    ck_assert(!session_configure());
}
END_TEST

START_TEST(stacks_recycled_objects_and_children_are_usual)
{
    ask_for("/tmp/a.hg", "4711");

    ck_assert(session_configure());

    ck_assert_str_eq(session.config.path, "/tmp/a.hg");
    ck_assert_int_eq(session.config.started, 4711);
    ck_assert_int_eq(session.config.mode, LEDGER_MODE_STACKS);
    ck_assert(session.config.recycled);
    ck_assert(session.config.children);
}
END_TEST

START_TEST(modes_are_taken_by_name)
{
    ask_for("/tmp/a.hg", "4711");
    setenv("HEAPGLASS_MODE", "lines", 1);
    ck_assert(session_configure());
    ck_assert_int_eq(session.config.mode, LEDGER_MODE_LINES);
    setenv("HEAPGLASS_MODE", "untraced", 1);
    ck_assert(session_configure());
    ck_assert_int_eq(session.config.mode, LEDGER_MODE_UNTRACED);
    setenv("HEAPGLASS_MODE", "stacks", 1);
    ck_assert(session_configure());
    ck_assert_int_eq(session.config.mode, LEDGER_MODE_STACKS);
}
END_TEST

START_TEST(a_mode_that_nobody_knows_is_stacks)
{
    ask_for("/tmp/a.hg", "4711");
    setenv("HEAPGLASS_MODE", "LINES", 1);
    ck_assert(session_configure());
    ck_assert_int_eq(session.config.mode, LEDGER_MODE_STACKS);
    setenv("HEAPGLASS_MODE", "", 1);
    ck_assert(session_configure());
    ck_assert_int_eq(session.config.mode, LEDGER_MODE_STACKS);
}
END_TEST

START_TEST(zero_switches_off)
{
    ask_for("/tmp/a.hg", "4711");
    setenv("HEAPGLASS_RECYCLED", "0", 1);
    setenv("HEAPGLASS_CHILDREN", "0", 1);
    ck_assert(session_configure());
    ck_assert(!session.config.recycled);
    ck_assert(!session.config.children);
    setenv("HEAPGLASS_RECYCLED", "1", 1);
    setenv("HEAPGLASS_CHILDREN", "1", 1);
    ck_assert(session_configure());
    ck_assert(session.config.recycled);
    ck_assert(session.config.children);
}
END_TEST

START_TEST(a_path_that_is_not_absolute_is_refused)
{
    ask_for("a.hg", "4711");
    ck_assert(!session_configure());
    ask_for("", "4711");
    ck_assert(!session_configure());
}
END_TEST

START_TEST(a_path_leaves_room_for_what_is_added_to_it)
{
    static char path[PATH_MAX + 1];
    memset(path, '/', PATH_MAX - 31);
    ask_for(path, "4711");
    ck_assert(!session_configure());
    path[PATH_MAX - 32] = 0;
    ask_for(path, "4711");
    ck_assert(session_configure());
    ck_assert_str_eq(session.config.path, path);
}
END_TEST

START_TEST(a_process_that_is_none_is_nobody)
{
    ask_for("/tmp/a.hg", "python");
    ck_assert(session_configure());
    ck_assert_int_ne(session.config.started, getpid());
}
END_TEST

START_TEST(a_session_introduces_itself)
{
    char here[PATH_MAX];
    begin();

    struct ledger_copy *copy = read_ledger("a.hg");
    const struct ledger_header *header = &copy->header;
    ck_assert_uint_eq(header->state, LEDGER_RUNNING);
    ck_assert_int_eq(header->pid, getpid());
    ck_assert_int_eq(header->parent_pid, getppid());
    ck_assert_int_eq(header->session_pid, getpid());
    ck_assert_uint_gt(header->process_start, 0);
    ck_assert_uint_eq(header->mode, LEDGER_MODE_STACKS);
    ck_assert_uint_eq(strlen(header->boot_id), 36);
    struct slice folder = ledger_copy_text(copy, header->folder);
    ck_assert(slice_equal(folder, slice_of(getcwd(here, sizeof here))));
    ck_assert_uint_gt(ledger_copy_text(copy, header->command).bytes, 0);
    ck_assert_uint_gt(ledger_copy_text(copy, header->program).bytes, 0);
    ck_assert_uint_eq(copy->thread_count, 2);
    ck_assert_uint_eq(copy->sample_count, 1);
    ck_assert_uint_eq(threads_node(), LEDGER_FIRST_THREAD);
    ledger_copy_free(copy);
}
END_TEST

START_TEST(notes_are_kept)
{
    begin();
    session_note_python("3.11.2");
    session_note_stacks("by frames");
    session_note_recycled(true, "all lists");
    session_note_displaced("jemalloc");

    struct ledger_copy *copy = read_ledger("a.hg");
    const struct ledger_header *header = &copy->header;
    ck_assert(
        slice_equal(ledger_copy_text(copy, header->python), slice_of("3.11.2")));
    ck_assert(slice_equal(ledger_copy_text(copy, header->stacks_how),
                          slice_of("by frames")));
    ck_assert(slice_equal(ledger_copy_text(copy, header->recycled_how),
                          slice_of("all lists")));
    ck_assert(slice_equal(ledger_copy_text(copy, header->displaced),
                          slice_of("jemalloc")));
    ck_assert_uint_eq(header->recycled, 1);
    ledger_copy_free(copy);
}
END_TEST

START_TEST(a_session_finalizes_and_exits)
{
    begin();
    uint32_t node = tree_child(&session.tree, threads_node(), 0, 5);
    take(node, 100);
    book_away(node, LEDGER_RAW, false, 11);
    off_t whole = size_of("a.hg");

    session_finalize();

    ck_assert_ptr_null(book.nodes);
    ck_assert(!session_awake());
    ck_assert_int_eq(stopped_count, 1);
    struct ledger_copy *copy = read_ledger("a.hg");
    ck_assert_uint_eq(copy->header.state, LEDGER_FINALIZED);
    ck_assert_uint_eq(ledger_live_bytes(&copy->header), 111);
    ck_assert_uint_eq(copy->nodes[node].counters.allocated_bytes, 111);
    ck_assert_uint_eq(copy->away_count, 0);
    ck_assert_uint_gt(copy->header.end_ns, 0);
    ledger_copy_free(copy);
    ck_assert_int_eq(size_of("a.hg"), whole);

    session_exit(3, false);
    session_exit(4, true); /* only the first counts */

    copy = read_ledger("a.hg");
    ck_assert_uint_eq(copy->header.state, LEDGER_EXITED);
    ck_assert_int_eq(copy->header.exit_status, 3);
    ck_assert_uint_eq(copy->header.exited_early, 0);
    ck_assert_uint_eq(copy->nodes[node].counters.allocated_bytes, 111);
    ck_assert_int_lt(size_of("a.hg"), whole);
    ledger_copy_free(copy);
}
END_TEST

START_TEST(an_early_exit_is_said_to_be_one)
{
    begin();
    off_t whole = size_of("a.hg");

    session_exit(1, true);

    struct ledger_copy *copy = read_ledger("a.hg");
    ck_assert_uint_eq(copy->header.state, LEDGER_EXITED);
    ck_assert_uint_eq(copy->header.exited_early, 1);
    ck_assert_int_lt(size_of("a.hg"), whole);
    ledger_copy_free(copy);
}
END_TEST

static void *stay(void *ready)
{
    write(*(int *)ready, "", 1);
    pause();
    return NULL;
}

START_TEST(an_early_exit_trims_nothing_while_others_may_be_making_nodes)
{
    int ready[2];
    char byte;
    pthread_t other;
    begin();
    off_t whole = size_of("a.hg");
    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pthread_create(&other, NULL, stay, &ready[1]), 0);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);

    session_exit(1, true);

    ck_assert_int_eq(size_of("a.hg"), whole);
}
END_TEST

START_TEST(an_exit_without_finalization_closes_the_book)
{
    begin();
    off_t whole = size_of("a.hg");

    session_exit(5, false);

    ck_assert_ptr_null(book.header);
    ck_assert_ptr_null(book.nodes);
    ck_assert_int_eq(stopped_count, 1);
    ck_assert_int_lt(size_of("a.hg"), whole);
}
END_TEST

START_TEST(the_exit_of_a_vfork_child_leaves_no_trace)
{
    begin();
    session.pid = getpid() + 1;
    session_exit(1, true);
    ck_assert_uint_eq(session.ledger.header->state, LEDGER_RUNNING);
}
END_TEST

START_TEST(an_untraced_session_has_no_nodes_to_charge)
{
    configure();
    setenv("HEAPGLASS_MODE", "untraced", 1);
    ck_assert(session_configure());

    ck_assert_int_eq(session_start(), HG_OK);

    ck_assert_ptr_null(book.nodes);
    ck_assert(!session_awake());
    session_exit(0, false);
    struct ledger_copy *copy = read_ledger("a.hg");
    ck_assert_uint_eq(copy->header.mode, LEDGER_MODE_UNTRACED);
    ck_assert_uint_eq(copy->sample_count, 2);
    ledger_copy_free(copy);
}
END_TEST

/* Standard error goes to the file "said". */
static void listen(void)
{
    int fd = open("said", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
    close(fd);
}

START_TEST(the_program_that_was_started_says_why_it_is_unwatched)
{
    char said[PATH_MAX + 256];
    configure();
    ck_assert(session_configure());
    write_file("a.hg", "a letter to a friend");
    listen();

    ck_assert_int_eq(session_start(), HG_EIO);

    snprintf(said, sizeof said,
             "heapglass: %s: File exists; the program runs unwatched\n",
             session.config.path);
    ck_assert_file("said", said);
    ck_assert_file("a.hg", "a letter to a friend");
    ck_assert(!session.active);
    ck_assert_ptr_null(book.header);
}
END_TEST

START_TEST(a_child_is_unwatched_in_silence)
{
    configure();
    setenv("HEAPGLASS_SESSION", "1", 1);
    ck_assert(session_configure());
    write_file("a.hg", "a letter to a friend");
    listen();

    ck_assert_int_eq(session_start(), HG_EIO);

    ck_assert_file("said", "");
    session_exit(0, false); /* there is nothing to close */
    session_finalize();
    ck_assert_int_eq(stopped_count, 0);
}
END_TEST

START_TEST(children_that_nobody_wants_have_no_ledger)
{
    configure();
    setenv("HEAPGLASS_SESSION", "1", 1);
    setenv("HEAPGLASS_CHILDREN", "0", 1);
    ck_assert(session_configure());

    ck_assert_int_eq(session_start(), HG_ENOTSUP);

    ck_assert_int_ne(access("a.hg", F_OK), 0);
}
END_TEST

static pid_t fork_as_handlers_do(void)
{
    heap_before_fork();
    book_before_fork();
    pid_t child = fork();
    if (child == 0) {
        session_forked();
    } else {
        book_after_fork();
        heap_after_fork_parent();
    }
    return child;
}

/* In the child; its parent holds 1000 bytes in two blocks at `node`. */
static void child_takes_over(uint32_t node)
{
    char name[32];
    snprintf(name, sizeof name, "a.hg.%d", (int)getpid());
    ck_assert_ptr_null(book.nodes);
    ck_assert(session_awake());
    ck_assert_ptr_nonnull(book.nodes);
    ck_assert_int_eq(forked_count, 1);
    take(node, 30);
    session_exit(0, true);

    struct ledger_copy *copy = read_ledger(name);
    ck_assert_int_eq(copy->header.pid, getpid());
    ck_assert_uint_eq(copy->header.forked, 1);
    ck_assert_uint_eq(copy->inherited[node].bytes, 1000);
    ck_assert_uint_eq(copy->inherited[node].blocks, 2);
    ck_assert_uint_eq(copy->nodes[node].counters.allocated_bytes, 1030);
    ck_assert_uint_eq(copy->header.peak_bytes, 1030);
    ck_assert_uint_eq(ledger_live_bytes(&copy->header), 1030);
    ck_assert_uint_eq(copy->threads[0].alive, 1);
    ck_assert(slice_equal(ledger_copy_text(copy, copy->header.python),
                          slice_of("3.11.2")));
    ledger_copy_free(copy);
}

static uint32_t begin_as_parent(void)
{
    begin();
    session_note_python("3.11.2");
    uint32_t node = tree_child(&session.tree, threads_node(), 0, 5);
    take(node, 60);
    take(node, 940);
    return node;
}

static void ck_assert_parent(uint32_t node)
{
    struct ledger_copy *copy = read_ledger("a.hg");
    ck_assert_int_eq(copy->header.pid, getpid());
    ck_assert_uint_eq(copy->header.state, LEDGER_RUNNING);
    ck_assert_uint_eq(copy->nodes[node].counters.allocated_bytes, 1000);
    ck_assert_uint_eq(copy->header.peak_bytes, 1000);
    ledger_copy_free(copy);
}

START_TEST(a_forked_child_keeps_accounts_of_its_own)
{
    uint32_t node = begin_as_parent();

    pid_t child = fork_as_handlers_do();
    if (child == 0) {
        child_takes_over(node);
        _exit(0);
    }

    ends_well(child);
    ck_assert_parent(node);
}
END_TEST

START_TEST(a_child_that_no_handler_saw_does_so_too)
{
    uint32_t node = begin_as_parent();

    pid_t child = fork();
    if (child == 0) {
        child_takes_over(node);
        _exit(0);
    }

    ends_well(child);
    ck_assert_parent(node);
}
END_TEST

START_TEST(a_child_without_a_ledger_is_counted_as_lost)
{
    uint32_t node = begin_as_parent();

    pid_t child = fork_as_handlers_do();
    if (child == 0) {
        char name[32];
        snprintf(name, sizeof name, "a.hg.%d", (int)getpid());
        ck_assert_int_eq(mkdir(name, 0700), 0);
        ck_assert(!session_awake());
        ck_assert_int_eq(stopped_count, 1);
        ck_assert(!session_awake());
        session_exit(0, true);
        _exit(0);
    }

    ends_well(child);
    ck_assert_parent(node);
    ck_assert_uint_eq(session.ledger.header->lost.children, 1);
}
END_TEST

START_TEST(a_forked_child_that_nobody_wants_keeps_none)
{
    uint32_t node = begin_as_parent();
    session.config.children = false;

    pid_t child = fork_as_handlers_do();
    if (child == 0) {
        ck_assert(!session_awake());
        ck_assert_int_eq(stopped_count, 1);
        _exit(0);
    }

    ends_well(child);
    ck_assert_parent(node);
    ck_assert_uint_eq(session.ledger.header->lost.children, 0);
}
END_TEST

START_TEST(a_program_that_cannot_be_watched_says_what_it_replaced)
{
    begin();
    session_replaced();
    ck_assert_uint_eq(session.ledger.header->state, LEDGER_REPLACED);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        without_an_environment_nobody_asked,
        half_an_environment_is_none,
        stacks_recycled_objects_and_children_are_usual,
        modes_are_taken_by_name,
        a_mode_that_nobody_knows_is_stacks,
        zero_switches_off,
        a_path_that_is_not_absolute_is_refused,
        a_path_leaves_room_for_what_is_added_to_it,
        a_process_that_is_none_is_nobody,
        a_session_introduces_itself,
        notes_are_kept,
        a_session_finalizes_and_exits,
        an_early_exit_is_said_to_be_one,
        an_early_exit_trims_nothing_while_others_may_be_making_nodes,
        an_exit_without_finalization_closes_the_book,
        the_exit_of_a_vfork_child_leaves_no_trace,
        an_untraced_session_has_no_nodes_to_charge,
        the_program_that_was_started_says_why_it_is_unwatched,
        a_child_is_unwatched_in_silence,
        children_that_nobody_wants_have_no_ledger,
        a_forked_child_keeps_accounts_of_its_own,
        a_child_that_no_handler_saw_does_so_too,
        a_child_without_a_ledger_is_counted_as_lost,
        a_forked_child_that_nobody_wants_keeps_none,
        a_program_that_cannot_be_watched_says_what_it_replaced,
    };
    return RUN_SUITE("session", tests);
}
