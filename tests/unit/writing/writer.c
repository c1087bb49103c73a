/* SPDX-License-Identifier: MIT */
/* writer.c - a ledger lies within its limits, and nothing stored in it ever faults.
 */
#include "writing_test.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { OLD_KERNELS_ADVICE = 22, POPULATE_WRITE = 23 };

static struct ledger ledger;

static size_t room_of(enum ledger_section_id section)
{
    const struct ledger_section *s = &ledger.header->section[section];
    return (size_t)s->capacity * s->record_bytes;
}

/* Commit the whole section and store into each byte of it. */
static void fill(enum ledger_section_id section, int byte)
{
    ck_assert(
        ledger_reserve(&ledger, section, ledger.header->section[section].capacity));
    memset(ledger_at(&ledger, section), byte, room_of(section));
}

static void ck_assert_filled(enum ledger_section_id section, unsigned char byte)
{
    const unsigned char *at = ledger_at(&ledger, section);
    for (size_t i = 0; i < room_of(section); i++)
        if (at[i] != byte)
            ck_abort_msg("section %d has %d at %zu", section, at[i], i);
}

static void ck_assert_sound(const char *path)
{
    const struct ledger_header *header = ledger.header;
    uint64_t end = LEDGER_HEADER_BYTES;

    for (int i = 0; i < LEDGER_SECTIONS; i++) {
        const struct ledger_section *s = &header->section[i];
        ck_assert_uint_eq(s->offset % 64, 0);
        ck_assert_uint_ge(s->offset, end);
        ck_assert_uint_le(s->used, s->capacity);
        end = s->offset + s->capacity * s->record_bytes;
    }
    ck_assert_uint_le(end, header->file_bytes);
    ck_assert_uint_eq(header->file_bytes, ledger.bytes);
    ck_assert_uint_eq((uint64_t)size_of(path), header->file_bytes);
    struct ledger_copy *copy = read_ledger(path);
    ck_assert_uint_eq(copy->node_count, LEDGER_FIRST_THREAD);
    ledger_copy_free(copy);
}

START_TEST(a_new_ledger_waits_and_has_a_root)
{
    make_ledger(&ledger, "a.hg");

    struct ledger_copy *copy = read_ledger("a.hg");
    ck_assert_uint_eq(copy->header.state, LEDGER_WAITING);
    ck_assert_uint_eq(copy->header.version, 1);
    ck_assert_uint_eq(copy->header.epoch, 1);
    ck_assert_int_eq(copy->header.exit_status, -1);
    ck_assert_uint_eq(copy->node_count, 3);
    ck_assert_uint_eq(copy->nodes[LEDGER_ROOT].parent, LEDGER_NO_NODE);
    ck_assert_uint_eq(copy->nodes[LEDGER_NOT_RECORDED].parent, LEDGER_ROOT);
    ledger_copy_free(copy);
}
END_TEST

START_TEST(sections_follow_each_other_within_the_file)
{
    make_ledger(&ledger, "a.hg");
    ck_assert_sound("a.hg");
    ck_assert_uint_eq(ledger.header->section[LEDGER_NODES].capacity, 1 << 20);
    ck_assert_uint_eq(ledger.header->section[LEDGER_INHERITED].capacity, 0);
}
END_TEST

START_TEST(a_childs_ledger_has_room_for_what_it_inherits)
{
    ck_assert_int_eq(try_ledger(&ledger, "a.hg", 1001), HG_OK);
    ck_assert_sound("a.hg");
    ck_assert_uint_eq(ledger.header->section[LEDGER_INHERITED].capacity, 1001);
    /* Committed from the beginning. */
    memset(ledger_at(&ledger, LEDGER_INHERITED), 1, room_of(LEDGER_INHERITED));
}
END_TEST

START_TEST(sections_do_not_overlap)
{
    make_small_ledger(&ledger, "a.hg", 300);

    for (int i = 0; i < LEDGER_SECTIONS; i++)
        fill(i, 0x10 + i);

    for (int i = 0; i < LEDGER_SECTIONS; i++)
        ck_assert_filled(i, (unsigned char)(0x10 + i));
    ck_assert_mem_eq(ledger.header->magic, "HGLEDGER", 8);
    ck_assert_uint_le(ledger.header->mapped_bytes, ledger.bytes);
}
END_TEST

START_TEST(what_lay_there_before_reads_as_zeros)
{
    static const char zeros[1000];
    write_file("a.hg", "something else, which is longer than nothing");
    truncate("a.hg", 1000);

    make_ledger(&ledger, "a.hg");

    ck_assert_mem_eq(ledger_at(&ledger, LEDGER_THREADS), zeros, sizeof zeros);
    ck_assert_mem_eq(ledger_at(&ledger, LEDGER_CODES), zeros, 24);
}
END_TEST

START_TEST(more_than_fits_is_refused)
{
    make_small_ledger(&ledger, "a.hg", 0);

    ck_assert(ledger_reserve(&ledger, LEDGER_NODES, 1024));
    uint64_t mapped = ledger.header->mapped_bytes;
    ck_assert(!ledger_reserve(&ledger, LEDGER_NODES, 1025));
    ck_assert(!ledger_reserve(&ledger, LEDGER_INHERITED, 1));
    ck_assert(!ledger_reserve(&ledger, LEDGER_STRINGS, SIZE_MAX));
    ck_assert(!ledger_reserve(&ledger, LEDGER_NODES, (size_t)1 << 58));

    ck_assert(ledger_reserve(&ledger, LEDGER_NODES, 1024));
    ck_assert_uint_eq(ledger.header->mapped_bytes, mapped);
}
END_TEST

START_TEST(texts_are_kept_until_there_is_no_room)
{
    static char text[SMALL_STRINGS];
    make_small_ledger(&ledger, "a.hg", 0);
    memset(text, 'x', sizeof text);

    struct ledger_text first = ledger_put_text(&ledger, "python3\0-c", 11);
    struct ledger_text none = ledger_put_text(&ledger, text, SMALL_STRINGS - 10);
    struct ledger_text second = ledger_put_text(&ledger, text, SMALL_STRINGS - 11);
    struct ledger_text full = ledger_put_text(&ledger, "y", 1);

    ck_assert_uint_eq(first.bytes, 11);
    ck_assert_uint_eq(none.bytes, 0);
    ck_assert_uint_eq(second.offset, 11);
    ck_assert_uint_eq(second.bytes, SMALL_STRINGS - 11);
    ck_assert_uint_eq(full.bytes, 0);
    ck_assert_mem_eq(ledger_at(&ledger, LEDGER_STRINGS), "python3\0-c", 11);
}
END_TEST

START_TEST(no_text_takes_no_room)
{
    make_ledger(&ledger, "a.hg");
    ck_assert_uint_eq(ledger_put_text(&ledger, "", 0).bytes, 0);
    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_STRINGS), 0);
    ck_assert_uint_eq(ledger_put_text(&ledger, "x", (size_t)1 << 32).bytes, 0);
}
END_TEST

/* SIGXFSZ would end the test. */
START_TEST(files_are_no_larger_than_their_limit)
{
    static const rlim_t limits[] = {380 * KIB, 500 * KIB, 1 * MIB,
                                    5 * MIB,   50 * MIB,  500 * MIB};

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        limit(RLIMIT_FSIZE, limits[i]);
        hg_status status = try_ledger(&ledger, "a.hg", 0);
        ck_assert(status == HG_OK);
        ck_assert_uint_le(ledger.bytes, limits[i]);
        ck_assert(ledger_reserve(&ledger, LEDGER_NODES, 1000));
        memset(ledger.nodes + 3, 1, 997 * sizeof *ledger.nodes);
        limit(RLIMIT_FSIZE, RLIM_INFINITY);
        ck_assert_sound("a.hg");
        ledger_close(&ledger);
    }
}
END_TEST

/* Without a claim in between, for Check writes a file, too. */
static hg_status init_within(rlim_t bytes, int fd)
{
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    const struct rlimit some = {bytes, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &some) != 0)
        return HG_OK;
    hg_status status = ledger_init(&ledger, fd, "a.hg", 0);
    setrlimit(RLIMIT_FSIZE, &none);
    return status;
}

START_TEST(a_limit_too_small_for_any_ledger_is_no_signal)
{
    int fd = open("a.hg", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    ck_assert_int_eq(init_within(0, fd), HG_EFULL);
    ck_assert_ptr_null(ledger.base);
    ck_assert_int_eq(init_within(4096, fd), HG_EFULL);
    ck_assert_ptr_null(ledger.base);
    ck_assert_int_eq(init_within(100000, fd), HG_EFULL);
    ck_assert_ptr_null(ledger.base);
    ck_assert_int_eq(init_within(LEDGER_LEAST_BYTES - 1, fd), HG_EFULL);
    ck_assert_ptr_null(ledger.base);
    ck_assert_int_eq(init_within(LEDGER_LEAST_BYTES, fd), HG_OK);
    ledger_close(&ledger);
    close(fd);
}
END_TEST

START_TEST(a_ledger_that_waits_opens_though_no_other_could_be_made)
{
    struct ledger_header waits = {
        .magic = LEDGER_MAGIC,
        .version = LEDGER_VERSION,
        .header_bytes = LEDGER_HEADER_BYTES,
        .state = LEDGER_WAITING,
        .pid = 4711,
        .exit_status = -1,
        .command = {0, 5},
        .file_bytes = LEDGER_HEADER_BYTES + 5,
    };
    waits.section[LEDGER_STRINGS] =
        (struct ledger_section){LEDGER_HEADER_BYTES, 5, 1, 0, 5};
    int fd = open("a.hg", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(pwrite(fd, &waits, sizeof waits, 0), (int)sizeof waits);
    ck_assert_int_eq(pwrite(fd, "sleep", 5, LEDGER_HEADER_BYTES), 5);
    ledger_copy_free(read_ledger("a.hg"));

    limit(RLIMIT_FSIZE, 1 * MIB);
    ck_assert_int_eq(ledger_init(&ledger, fd, "a.hg", 1 << 16), HG_EFULL);
    limit(RLIMIT_FSIZE, RLIM_INFINITY);

    struct ledger_copy *copy = read_ledger("a.hg");
    ck_assert_uint_eq(copy->header.state, LEDGER_WAITING);
    ck_assert_int_eq(copy->header.pid, 4711);
    ck_assert_uint_eq(copy->header.command.bytes, 0);
    ledger_copy_free(copy);
    close(fd);
}
END_TEST

START_TEST(inheritance_counts_towards_the_limit)
{
    limit(RLIMIT_FSIZE, 1 * MIB);
    ck_assert_int_eq(try_ledger(&ledger, "a.hg", 1 << 14), HG_OK);
    ck_assert_uint_le(ledger.bytes, 1 * MIB);
    ledger_close(&ledger);
    ck_assert_int_eq(try_ledger(&ledger, "a.hg", 1 << 16), HG_EFULL);
    ck_assert_ptr_null(ledger.base);
    limit(RLIMIT_FSIZE, RLIM_INFINITY);
}
END_TEST

/* A sanitizer's shadow is larger than any limit. */
#ifndef HG_SANITIZED
START_TEST(a_limited_address_space_is_left_to_the_program)
{
    static const rlim_t limits[] = {64 * MIB, 256 * MIB, 1024 * MIB};

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        limit(RLIMIT_AS, limits[i]);
        hg_status status = try_ledger(&ledger, "a.hg", 0);
        limit(RLIMIT_AS, RLIM_INFINITY);
        ck_assert_int_eq(status, HG_OK);
        ck_assert_uint_le(ledger.bytes, limits[i] / 16);
        ck_assert_sound("a.hg");
        ledger_close(&ledger);
    }
}
END_TEST
#endif

START_TEST(no_address_space_is_no_ledger)
{
    int fd = open("a.hg", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *taken =
        mmap(NULL, 64 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(taken, MAP_FAILED);
    limit(RLIMIT_AS, 32 * MIB); /* less than we have */
    hg_status status = ledger_init(&ledger, fd, "a.hg", 0);
    limit(RLIMIT_AS, RLIM_INFINITY);

    ck_assert_int_eq(status, HG_EIO);
    ck_assert_ptr_null(ledger.base);
    ledger_close(&ledger);
    close(fd);
}
END_TEST

/* An own file system of so many bytes, which nobody else sees; "full" in the
   working folder.  False when this may not be done here. */
static bool mount_small(const char *options)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0)
        return false;
    ck_assert_int_eq(mkdir("full", 0700), 0);
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", "full", "tmpfs", 0, options) == 0;
}

static void unmount_small(void)
{
    ck_assert_int_eq(umount2("full", MNT_DETACH), 0);
}

START_TEST(a_full_file_system_never_faults)
{
    if (!mount_small("size=1m"))
        return;
    make_ledger(&ledger, "full/a.hg");
    struct tree tree;
    ck_assert_int_eq(tree_init(&tree, &ledger), HG_OK);
    uint32_t line = 0;
    while (tree_child(&tree, LEDGER_NOT_RECORDED, 0, line) != LEDGER_NOT_RECORDED)
        line++;

    ck_assert_uint_gt(line, 5000);
    ck_assert_uint_lt(line, 16384);
    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_NODES), 3 + line);
    for (uint32_t i = 0; i < line; i++)
        if (tree_child(&tree, LEDGER_NOT_RECORDED, 0, i) != 3 + i)
            ck_abort_msg("node %u is lost", 3 + i);
    ck_assert(!ledger_reserve(&ledger, LEDGER_NODES, 3 + (size_t)line + 64));
    /* What was reserved at the beginning can be used even now. */
    ck_assert(ledger_reserve(&ledger, LEDGER_TIMELINE, 64));
    memset(ledger_at(&ledger, LEDGER_TIMELINE), 1, 64 * 64);

    struct ledger_copy *copy = read_ledger("full/a.hg");
    ck_assert_uint_eq(copy->node_count, 3 + line);
    ck_assert_uint_eq(copy->nodes[3 + line - 1].line, line - 1);
    ledger_copy_free(copy);
    unmount_small();
}
END_TEST

START_TEST(room_that_comes_back_is_used)
{
    if (!mount_small("size=1m"))
        return;
    make_ledger(&ledger, "full/a.hg");
    int fd = open("full/other", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(posix_fallocate(fd, 0, (off_t)(1024 * KIB)), ENOSPC);
    off_t bytes = 0;
    while (posix_fallocate(fd, bytes, 4096) == 0)
        bytes += 4096;
    ck_assert(!ledger_reserve(&ledger, LEDGER_NODES, 4000));
    ck_assert_int_eq(ftruncate(fd, 0), 0);

    ck_assert(ledger_reserve(&ledger, LEDGER_NODES, 4000));

    memset(ledger.nodes + 3, 1, 3997 * sizeof *ledger.nodes);
    close(fd);
    unmount_small();
}
END_TEST

START_TEST(a_file_system_without_room_has_no_ledger)
{
    if (!mount_small("size=64k"))
        return;
    ck_assert_int_eq(try_ledger(&ledger, "full/a.hg", 1 << 14), HG_EFULL);
    ck_assert_ptr_null(ledger.base);
    unmount_small();
}
END_TEST

/* From now on madvise() does not know MADV_POPULATE_WRITE, as before Linux 5.14. */
static bool become_an_old_kernel(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, OLD_KERNELS_ADVICE, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

START_TEST(an_old_kernel_gives_all_the_room_at_once)
{
    struct stat file;
    if (!become_an_old_kernel())
        return;
    ck_assert_int_eq(madvise(NULL, 0, POPULATE_WRITE), -1);

    make_ledger(&ledger, "a.hg");

    ck_assert_sound("a.hg");
    ck_assert_uint_eq(ledger.header->section[LEDGER_NODES].capacity, 1 << 16);
    ck_assert_int_eq(stat("a.hg", &file), 0);
    ck_assert_int_ge(file.st_blocks * 512, file.st_size);
    fill(LEDGER_NODES, 7);
    ck_assert_filled(LEDGER_NODES, 7);
}
END_TEST

START_TEST(an_old_kernel_takes_what_there_is)
{
    if (!mount_small("size=1m"))
        return;
    if (become_an_old_kernel()) {
        make_ledger(&ledger, "full/a.hg");
        ck_assert_uint_le(ledger.bytes, 1 * MIB);
        for (int i = 0; i < LEDGER_SECTIONS; i++)
            fill(i, 1);
    }
    unmount_small();
}
END_TEST

START_TEST(an_old_kernel_without_room_has_no_ledger)
{
    if (!mount_small("size=128k"))
        return;
    if (become_an_old_kernel()) {
        ck_assert_int_eq(try_ledger(&ledger, "full/a.hg", 0), HG_EFULL);
        ck_assert_ptr_null(ledger.base);
    }
    unmount_small();
}
END_TEST

/* A ledger with 10 nodes beyond the root, under the absolute path of `name`. */
static void make_ten_nodes(const char *name)
{
    char path[PATH_MAX];
    struct tree tree;
    path_here(name, path);
    make_ledger(&ledger, path);
    ck_assert_int_eq(tree_init(&tree, &ledger), HG_OK);
    for (uint32_t line = 0; line < 10; line++)
        tree_child(&tree, LEDGER_NOT_RECORDED, 0, line);
}

START_TEST(a_trimmed_ledger_is_shorter_and_whole)
{
    make_ten_nodes("a.hg");
    off_t nodes = (off_t)ledger.header->section[LEDGER_NODES].offset;

    ledger_trim(&ledger);

    ck_assert_int_eq(size_of("a.hg"), nodes + 4096);
    ledger.nodes[12].counters.allocated_bytes = 5; /* still mapped */
    struct ledger_copy *copy = read_ledger("a.hg");
    ck_assert_uint_eq(copy->node_count, 13);
    ck_assert_uint_eq(copy->nodes[12].line, 9);
    ck_assert_uint_eq(copy->nodes[12].counters.allocated_bytes, 5);
    ledger_copy_free(copy);
    ledger_trim(&ledger);
    ck_assert_int_eq(size_of("a.hg"), nodes + 4096);
}
END_TEST

START_TEST(another_file_at_the_path_is_not_trimmed)
{
    make_ten_nodes("a.hg");
    off_t whole = size_of("a.hg");
    ck_assert_int_eq(rename("a.hg", "b.hg"), 0);
    write_file("a.hg", "another");
    ck_assert_int_eq(truncate("a.hg", whole), 0);

    ledger_trim(&ledger);

    ck_assert_int_eq(size_of("a.hg"), whole);
    ck_assert_int_eq(size_of("b.hg"), whole);
}
END_TEST

START_TEST(nothing_at_the_path_is_not_made_by_a_trim)
{
    make_ten_nodes("a.hg");
    ck_assert_int_eq(rename("a.hg", "b.hg"), 0);

    ledger_trim(&ledger);

    ck_assert_int_ne(access("a.hg", F_OK), 0);
}
END_TEST

START_TEST(a_trim_follows_no_symbolic_link)
{
    make_ten_nodes("a.hg");
    off_t whole = size_of("a.hg");
    ck_assert_int_eq(rename("a.hg", "b.hg"), 0);
    ck_assert_int_eq(symlink("b.hg", "a.hg"), 0);

    ledger_trim(&ledger);

    ck_assert_int_eq(size_of("b.hg"), whole);
}
END_TEST

START_TEST(a_path_may_be_as_long_as_the_system_has_them)
{
    static char path[PATH_MAX + 1];
    memset(path, '/', PATH_MAX - 1);
    memcpy(path + PATH_MAX - 5, "a.hg", 5);
    int fd = open("a.hg", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    ck_assert_int_eq(ledger_init(&ledger, fd, path, 0), HG_OK);

    ck_assert_uint_eq(strlen(ledger.path), PATH_MAX - 1);
    ck_assert_str_eq(ledger.path, path);
    ledger_trim(&ledger); /* there is no such file */
    ck_assert_sound("a.hg");
    close(fd);
}
END_TEST

START_TEST(a_longer_path_is_refused_and_its_file_left_alone)
{
    static char path[PATH_MAX + 1];
    memset(path, '/', PATH_MAX);
    write_file("a.hg", "as it was");
    int fd = open("a.hg", O_RDWR | O_CLOEXEC);

    ck_assert_int_eq(ledger_init(&ledger, fd, path, 0), HG_EINVAL);

    ck_assert_ptr_null(ledger.base);
    ck_assert_file("a.hg", "as it was");
    close(fd);
}
END_TEST

START_TEST(what_cannot_be_written_is_an_error)
{
    write_file("a.hg", "as it was");
    int fd = open("a.hg", O_RDONLY | O_CLOEXEC);

    ck_assert_int_eq(ledger_init(&ledger, fd, "a.hg", 0), HG_EIO);

    ck_assert_ptr_null(ledger.base);
    ck_assert_file("a.hg", "as it was");
    close(fd);
}
END_TEST

START_TEST(a_ledger_can_be_closed_twice)
{
    make_ledger(&ledger, "a.hg");
    ledger_close(&ledger);
    ledger_close(&ledger);
    ck_assert_ptr_null(ledger.header);
    ck_assert_int_gt(size_of("a.hg"), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_new_ledger_waits_and_has_a_root,
        sections_follow_each_other_within_the_file,
        a_childs_ledger_has_room_for_what_it_inherits,
        sections_do_not_overlap,
        what_lay_there_before_reads_as_zeros,
        more_than_fits_is_refused,
        texts_are_kept_until_there_is_no_room,
        no_text_takes_no_room,
        files_are_no_larger_than_their_limit,
        a_limit_too_small_for_any_ledger_is_no_signal,
        a_ledger_that_waits_opens_though_no_other_could_be_made,
        inheritance_counts_towards_the_limit,
#ifndef HG_SANITIZED
        a_limited_address_space_is_left_to_the_program,
#endif
        no_address_space_is_no_ledger,
        a_full_file_system_never_faults,
        room_that_comes_back_is_used,
        a_file_system_without_room_has_no_ledger,
        an_old_kernel_gives_all_the_room_at_once,
        an_old_kernel_takes_what_there_is,
        an_old_kernel_without_room_has_no_ledger,
        a_trimmed_ledger_is_shorter_and_whole,
        another_file_at_the_path_is_not_trimmed,
        nothing_at_the_path_is_not_made_by_a_trim,
        a_trim_follows_no_symbolic_link,
        a_path_may_be_as_long_as_the_system_has_them,
        a_longer_path_is_refused_and_its_file_left_alone,
        what_cannot_be_written_is_an_error,
        a_ledger_can_be_closed_twice,
    };
    return RUN_SUITE("writer", tests);
}
