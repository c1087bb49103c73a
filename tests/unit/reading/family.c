/* SPDX-License-Identifier: MIT */
/* family.c - which files belong to a run, whether its process lives, and snapshots.
 */
#include "ledger/family.h"

#include "analyze/accounts.h"
#include "base/process.h"
#include "ledger/fate.h"
#include "ledger/snapshot.h"
#include "reading_test.h"

#include <fcntl.h>
#include <sys/wait.h>

static void write_member(const char *path, int32_t pid, int32_t session,
                         uint64_t start)
{
    struct ledger_maker maker;
    maker_begin(&maker);
    maker.header.pid = pid;
    maker.header.session_pid = session;
    maker.header.start_realtime_ns = start;
    maker_allocated(&maker, MAIN_THREAD, (uint64_t)pid);
    maker_write(&maker, path);
    maker_drop(&maker);
}

static struct gathering gather_file(const char *path)
{
    const struct gather_options options = {.children = true,
                                           .parts = LEDGER_PART_ACCOUNTS};
    struct gathering family = {0};
    struct ledger_fault fault = {0, ""};
    hg_status status = gather(path, &options, &family, &fault);
    ck_assert_msg(status == HG_OK, "%s", fault.what);
    return family;
}

static int pid_of(const struct gathering *family, size_t index)
{
    return family->processes[index].copy->header.pid;
}

START_TEST(members_are_told_by_their_numbers)
{
    ck_assert(family_has_name("a.hg", "a.hg"));
    ck_assert(family_has_name("a.hg", "a.hg.12"));
    ck_assert(family_has_name("a.hg", "a.hg.12.3"));
    ck_assert(!family_has_name("a.hg", "a.hg.12.3.4"));
    ck_assert(!family_has_name("a.hg", "a.hg."));
    ck_assert(!family_has_name("a.hg", "a.hg.12x"));
    ck_assert(!family_has_name("a.hg", "a.hgx"));
    ck_assert(!family_has_name("a.hg", "b.hg"));
    ck_assert(!family_has_name("a.hg", "a.hg.12.tmp"));

    ck_assert_uint_eq(family_stem_bytes("a.hg"), 4);
    ck_assert_uint_eq(family_stem_bytes("a.hg.12"), 4);
    ck_assert_uint_eq(family_stem_bytes("a.hg.12.3"), 4);
    ck_assert_uint_eq(family_stem_bytes("12"), 2);
}
END_TEST

START_TEST(a_family_is_read_with_its_first_member_in_front)
{
    write_member("a.hg", 50, 50, 1000);
    write_member("a.hg.60", 60, 50, 3000);
    write_member("a.hg.55", 55, 50, 2000);
    write_member("b.hg.61", 61, 50, 4000);

    struct gathering family = gather_file("a.hg");

    ck_assert_uint_eq(family.count, 3);
    ck_assert_int_eq(pid_of(&family, 0), 50);
    ck_assert_int_eq(pid_of(&family, 1), 55);
    ck_assert_int_eq(pid_of(&family, 2), 60);
    ck_assert_uint_eq(family.processes[2].sum.at[MOMENT_LIVE].bytes, 60);
    gathering_drop(&family);
}
END_TEST

START_TEST(children_of_an_earlier_run_do_not_belong_to_it)
{
    write_member("a.hg", 50, 50, 9000);
    write_member("a.hg.44", 44, 40, 1000);

    struct gathering family = gather_file("a.hg");

    ck_assert_uint_eq(family.count, 1);
    gathering_drop(&family);
}
END_TEST

START_TEST(children_stand_for_a_file_that_is_missing)
{
    write_member("a.hg.44", 44, 40, 1000);
    write_member("a.hg.56", 56, 50, 6000);
    write_member("a.hg.55", 55, 50, 5000);

    struct gathering family = gather_file("a.hg");

    ck_assert_uint_eq(family.count, 2);
    ck_assert_int_eq(pid_of(&family, 0), 55);
    gathering_drop(&family);
}
END_TEST

START_TEST(a_file_that_nobody_claimed_gives_way_to_children)
{
    struct ledger_maker maker;
    maker_begin(&maker);
    maker.header.state = LEDGER_WAITING;
    maker_write(&maker, "a.hg");
    maker_drop(&maker);

    struct gathering alone = gather_file("a.hg");
    ck_assert_uint_eq(alone.count, 1);
    ck_assert_int_eq(alone.processes[0].fate, FATE_NOT_PYTHON);
    gathering_drop(&alone);

    write_member("a.hg.5000", 5000, 4711, 1);
    struct gathering family = gather_file("a.hg");
    ck_assert_uint_eq(family.count, 1);
    ck_assert_int_eq(pid_of(&family, 0), 5000);
    gathering_drop(&family);
}
END_TEST

START_TEST(a_member_that_is_no_ledger_is_named_and_left_out)
{
    write_member("a.hg", 50, 50, 1000);
    maker_write_image((const unsigned char *)"nonsense", 8, "a.hg.51");

    struct gathering family = gather_file("a.hg");

    ck_assert_uint_eq(family.count, 1);
    ck_assert_uint_eq(family.unread_count, 1);
    ck_assert_str_eq(family.unread[0].path, "a.hg.51");
    ck_assert_str_eq(family.unread[0].fault.what, "is not a ledger");
    gathering_drop(&family);
}
END_TEST

START_TEST(a_first_member_that_is_no_ledger_is_an_error)
{
    const struct gather_options options = {.children = true};
    struct gathering family;
    struct ledger_fault fault;
    maker_write_image((const unsigned char *)"nonsense", 8, "a.hg");
    write_member("a.hg.51", 51, 50, 1000);

    ck_assert_int_eq(gather("a.hg", &options, &family, &fault), HG_ECORRUPT);
    ck_assert_int_eq(gather("b.hg", &options, &family, &fault), HG_EIO);
    ck_assert_ptr_nonnull(strstr(fault.what, "No such file"));
}
END_TEST

/* The header of a ledger of this very process. */
static struct ledger_header header_of_ours(enum ledger_state state)
{
    struct ledger_header header = {
        .state = state, .pid = getpid(), .exit_status = -1};
    header.process_start = process_start_ticks(getpid());
    process_boot_id(header.boot_id);
    return header;
}

START_TEST(a_process_lives_if_pid_start_and_boot_agree)
{
    struct ledger_header header = header_of_ours(LEDGER_RUNNING);
    ck_assert(ledger_is_alive(&header));
    ck_assert_int_eq(ledger_fate(&header), FATE_RUNNING);

    /* Another process has the pid by now. */
    header.process_start++;
    ck_assert_int_eq(ledger_fate(&header), FATE_KILLED);

    header = header_of_ours(LEDGER_RUNNING);
    header.boot_id[0] ^= 1;
    ck_assert_int_eq(ledger_fate(&header), FATE_POWER_LOST);
}
END_TEST

START_TEST(states_tell_how_a_program_ended)
{
    struct ledger_header header = header_of_ours(LEDGER_FINALIZED);
    ck_assert_int_eq(ledger_fate(&header), FATE_FINALIZING);
    header.process_start++;
    ck_assert_int_eq(ledger_fate(&header), FATE_FINALIZED);
    header.state = LEDGER_EXITED;
    ck_assert_int_eq(ledger_fate(&header), FATE_ENDED);
    header.exited_early = 1;
    ck_assert_int_eq(ledger_fate(&header), FATE_EXITED_EARLY);
    header.state = LEDGER_REPLACED;
    ck_assert_int_eq(ledger_fate(&header), FATE_REPLACED);
    header.state = LEDGER_WAITING;
    ck_assert_int_eq(ledger_fate(&header), FATE_NOT_PYTHON);
    header = header_of_ours(LEDGER_WAITING);
    ck_assert_int_eq(ledger_fate(&header), FATE_WAITING);
}
END_TEST

static struct ledger_copy *snapshot_of(struct ledger_maker *maker, uint64_t now_ns)
{
    struct ledger_copy *copy = copy_of(maker);
    struct ledger_copy *snapshot = NULL;
    struct ledger_fault fault = {0, ""};
    int fd = open("snapshot.hg", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_eq(ledger_snapshot_write(copy, now_ns, fd), HG_OK);
    hg_status status = ledger_copy_read_fd(fd, ALL_PARTS, &snapshot, &fault);
    ck_assert_msg(status == HG_OK, "%s", fault.what);
    close(fd);
    ledger_copy_free(copy);
    return snapshot;
}

START_TEST(a_snapshot_has_the_accounts_of_its_ledger)
{
    struct ledger_maker maker;
    struct accounts accounts;
    maker_begin(&maker);
    uint32_t node = maker_line(&maker, "app.py", "f", 7);
    maker_allocated(&maker, node, 1000);
    maker_freed(&maker, node, 1000);
    maker_allocated(&maker, node, 30);
    maker_inherited(&maker, maker_line(&maker, "app.py", "g", 9), 5, 1);
    maker_away(&maker, (struct ledger_away){.node = node,
                                            .allocated_bytes = 2,
                                            .allocated_blocks = 1});
    maker_sample(&maker, (struct ledger_sample){.time_ns = 3, .rss_bytes = 4});

    struct ledger_copy *snapshot = snapshot_of(&maker, 0);

    ck_assert_int_eq(snapshot->header.state, LEDGER_SNAPSHOT);
    ck_assert_int_eq(ledger_fate(&snapshot->header), FATE_ENDED);
    ck_assert_uint_eq(snapshot->file_bytes, snapshot->header.file_bytes);
    ck_assert_uint_eq(snapshot->sample_count, 1);
    ck_assert_int_eq(accounts_work_out(snapshot, &accounts), HG_OK);
    ck_assert_uint_eq(accounts.sum.at[MOMENT_LIVE].bytes, 32);
    ck_assert_uint_eq(accounts.sum.at[MOMENT_PEAK].bytes, 1000);
    ck_assert_uint_eq(accounts.inherited.bytes, 5);
    accounts_drop(&accounts);
    ledger_copy_free(snapshot);
    maker_drop(&maker);
}
END_TEST

START_TEST(a_snapshot_remembers_whether_the_program_lived)
{
    struct ledger_maker maker;
    maker_begin(&maker);
    maker.header.state = LEDGER_RUNNING;
    maker.header.end_ns = 0;

    struct ledger_copy *of_living = snapshot_of(&maker, 5000);
    ck_assert_int_eq(ledger_fate(&of_living->header), FATE_RUNNING);
    ck_assert_uint_eq(of_living->header.end_ns, 5000);
    ledger_copy_free(of_living);

    struct ledger_copy *of_killed = snapshot_of(&maker, 0);
    ck_assert_int_eq(ledger_fate(&of_killed->header), FATE_KILLED);
    ledger_copy_free(of_killed);
    maker_drop(&maker);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        members_are_told_by_their_numbers,
        a_family_is_read_with_its_first_member_in_front,
        children_of_an_earlier_run_do_not_belong_to_it,
        children_stand_for_a_file_that_is_missing,
        a_file_that_nobody_claimed_gives_way_to_children,
        a_member_that_is_no_ledger_is_named_and_left_out,
        a_first_member_that_is_no_ledger_is_an_error,
        a_process_lives_if_pid_start_and_boot_agree,
        states_tell_how_a_program_ended,
        a_snapshot_has_the_accounts_of_its_ledger,
        a_snapshot_remembers_whether_the_program_lived,
    };
    return RUN_SUITE("family", tests);
}
