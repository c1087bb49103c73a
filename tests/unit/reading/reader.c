/* SPDX-License-Identifier: MIT */
/* reader.c - the reader takes what is sound, and names what is wrong with the rest.
 */
#include "reading_test.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* One of everything. */
static void make_small(struct ledger_maker *maker)
{
    maker_begin(maker);
    uint32_t outer = maker_node(
        maker, MAIN_THREAD, maker_code(maker, "/home/shop/app.py", "main", 10), 12);
    uint32_t inner = maker_node(
        maker, outer, maker_code(maker, "/home/shop/app.py", "load", 3), 4);
    maker_allocated(maker, inner, 100);
    maker_allocated(maker, outer, 50);
    maker_freed(maker, outer, 50);
    maker_sample(maker, (struct ledger_sample){.time_ns = 10, .rss_bytes = 4096});
    maker_sample(maker, (struct ledger_sample){.time_ns = 20, .rss_bytes = 8192});
    maker_away(maker, (struct ledger_away){.node = inner,
                                           .allocated_bytes = 8,
                                           .allocated_blocks = 1});
    maker_inherited(maker, inner, 30, 3);
}

/* What the reader says of this image. */
static struct ledger_fault fault_of(const unsigned char *image, size_t bytes)
{
    struct ledger_copy *copy = NULL;
    struct ledger_fault fault = {HG_OK, ""};
    maker_write_image(image, bytes, "image.hg");
    if (ledger_copy_read("image.hg", ALL_PARTS, &copy, &fault) == HG_OK)
        ledger_copy_free(copy);
    return fault;
}

static struct ledger_fault fault_of_maker(struct ledger_maker *maker)
{
    size_t bytes;
    unsigned char *image = maker_image(maker, &bytes);
    struct ledger_fault fault = fault_of(image, bytes);
    free(image);
    maker_drop(maker);
    return fault;
}

#define ck_assert_says(fault, expected_status, words)                              \
    do {                                                                           \
        struct ledger_fault said = (fault);                                        \
        ck_assert_int_eq(said.status, expected_status);                            \
        ck_assert_msg(strstr(said.what, words) != NULL, "it says: %s", said.what); \
    } while (0)

START_TEST(a_sound_ledger_is_copied_whole)
{
    struct ledger_maker maker;
    make_small(&maker);

    struct ledger_copy *copy = copy_of(&maker);

    ck_assert_uint_eq(copy->node_count, 6);
    ck_assert_uint_eq(copy->nodes[5].line, 4);
    ck_assert_uint_eq(copy->nodes[5].counters.allocated_bytes, 130);
    ck_assert_uint_eq(copy->code_count, 3);
    ck_assert_uint_eq(copy->thread_count, 1);
    ck_assert_uint_eq(copy->away_count, 1);
    ck_assert_uint_eq(copy->inherited[5].blocks, 3);
    ck_assert_uint_eq(copy->sample_count, 2);
    ck_assert_uint_eq(copy->samples[1].rss_bytes, 8192);
    struct slice name = ledger_copy_text(copy, copy->codes[2].function);
    ck_assert(slice_equal(name, slice_of("load")));
    ck_assert(!copy->busy);
    ledger_copy_free(copy);
    maker_drop(&maker);
}
END_TEST

START_TEST(only_the_parts_asked_for_are_loaded)
{
    struct ledger_maker maker;
    struct ledger_copy *copy = NULL;
    struct ledger_fault fault;
    make_small(&maker);
    maker_write(&maker, "a.hg");

    ck_assert_int_eq(ledger_copy_read("a.hg", 0, &copy, &fault), HG_OK);
    ck_assert_int_eq(copy->header.pid, 4711);
    ck_assert_uint_eq(ledger_copy_text(copy, copy->header.folder).bytes, 0);
    ledger_copy_free(copy);

    ck_assert_int_eq(ledger_copy_read("a.hg", LEDGER_PART_TIMELINE, &copy, &fault),
                     HG_OK);
    ck_assert_uint_eq(copy->sample_count, 2);
    ck_assert_uint_eq(copy->node_count, 0);
    struct slice folder = ledger_copy_text(copy, copy->header.folder);
    ck_assert(slice_equal(folder, slice_of("/home/shop")));
    ledger_copy_free(copy);
    maker_drop(&maker);
}
END_TEST

START_TEST(a_waiting_ledger_has_nothing_in_it)
{
    struct ledger_maker maker;
    unsigned char page[LEDGER_HEADER_BYTES] = {0};
    maker_begin(&maker);
    maker.header.state = LEDGER_WAITING;
    maker.header.command = maker.header.folder = (struct ledger_text){0, 0};
    maker.header.recycled_how = maker.header.python = (struct ledger_text){0, 0};
    memcpy(page, &maker.header, sizeof maker.header);

    ck_assert_int_eq(fault_of(page, sizeof page).status, HG_OK);
    maker_drop(&maker);
}
END_TEST

START_TEST(nodes_may_be_cut_off_behind_the_last_used_one)
{
    struct ledger_maker maker;
    size_t bytes;
    make_small(&maker);
    unsigned char *image = maker_image(&maker, &bytes);
    struct ledger_header *header = (struct ledger_header *)(void *)image;
    header->section[LEDGER_NODES].capacity = 1u << 20;

    ck_assert_int_eq(fault_of(image, bytes).status, HG_OK);
    free(image);
    maker_drop(&maker);
}
END_TEST

START_TEST(every_shorter_file_is_refused)
{
    struct ledger_maker maker;
    size_t bytes;
    make_small(&maker);
    unsigned char *image = maker_image(&maker, &bytes);
    size_t needed =
        maker.header.section[LEDGER_NODES].offset + 6 * sizeof(struct ledger_node);

    for (size_t cut = 0; cut < needed; cut += cut < 64 ? 1 : 61) {
        struct ledger_fault fault = fault_of(image, cut);
        ck_assert_msg(fault.status == HG_ECORRUPT, "cut at %zu: %s", cut,
                      fault.what);
    }
    ck_assert_says(fault_of(image, 4095), HG_ECORRUPT,
                   "its header is not complete");
    ck_assert_says(fault_of(image, needed - 1), HG_ECORRUPT,
                   "call tree should go on");
    ck_assert_says(fault_of(image, 0), HG_ECORRUPT, "is not a ledger");
    free(image);
    maker_drop(&maker);
}
END_TEST

/* No flipped bit may crash the reader; sanitizers watch what it reads. */
START_TEST(every_flipped_bit_is_refused_or_harmless)
{
    struct ledger_maker maker;
    size_t bytes;
    make_small(&maker);
    unsigned char *image = maker_image(&maker, &bytes);
    maker_write_image(image, bytes, "flip.hg");
    int fd = open("flip.hg", O_RDWR | O_CLOEXEC);

    for (size_t i = 0; i < bytes * 8; i++) {
        struct ledger_copy *copy = NULL;
        struct ledger_fault fault;
        if (i / 8 == sizeof(struct ledger_header))
            i = LEDGER_HEADER_BYTES * 8; /* between them nothing is read */
        unsigned char flipped = image[i / 8] ^ (unsigned char)(1u << i % 8);
        ck_assert_int_eq(pwrite(fd, &flipped, 1, (off_t)(i / 8)), 1);
        if (ledger_copy_read_fd(fd, ALL_PARTS, &copy, &fault) == HG_OK)
            ledger_copy_free(copy);
        else
            ck_assert_ptr_null(copy);
        ck_assert_int_eq(pwrite(fd, &image[i / 8], 1, (off_t)(i / 8)), 1);
    }
    close(fd);
    free(image);
    maker_drop(&maker);
}
END_TEST

START_TEST(another_version_is_named)
{
    struct ledger_maker maker;
    make_small(&maker);
    maker.header.version = 7;
    ck_assert_says(fault_of_maker(&maker), HG_EVERSION, "version 7");
}
END_TEST

START_TEST(a_foreign_file_is_no_ledger)
{
    static const unsigned char text[] = "import heapglass\n";
    ck_assert_says(fault_of(text, sizeof text), HG_ECORRUPT, "is not a ledger");
}
END_TEST

START_TEST(what_is_no_file_is_said_to_be_so)
{
    struct ledger_copy *copy = NULL;
    struct ledger_fault fault;

    ck_assert_int_eq(ledger_copy_read("none.hg", 0, &copy, &fault), HG_EIO);
    ck_assert_str_eq(fault.what, "cannot be read: No such file or directory");

    ck_assert_int_eq(ledger_copy_read(".", 0, &copy, &fault), HG_ECORRUPT);
    ck_assert_ptr_nonnull(strstr(fault.what, "is a directory"));

    /* A FIFO without a writer must not make the reader wait. */
    ck_assert_int_eq(mkfifo("fifo.hg", 0600), 0);
    ck_assert_int_eq(ledger_copy_read("fifo.hg", 0, &copy, &fault), HG_ECORRUPT);
    ck_assert_ptr_null(copy);
}
END_TEST

START_TEST(a_parent_with_a_larger_id_is_refused)
{
    struct ledger_maker maker;
    make_small(&maker);
    maker.nodes[4].parent = 5;
    ck_assert_says(fault_of_maker(&maker), HG_ECORRUPT, "node 4 cannot have");
}
END_TEST

START_TEST(a_second_root_is_refused)
{
    struct ledger_maker maker;
    make_small(&maker);
    maker.nodes[4].parent = LEDGER_NO_NODE;
    ck_assert_says(fault_of_maker(&maker), HG_ECORRUPT, "node 4 cannot have");
}
END_TEST

/* Found by fuzzing: such a root was its own caller, and its stack had no end. */
START_TEST(a_root_with_a_code_is_refused)
{
    struct ledger_maker maker;
    make_small(&maker);
    maker.nodes[LEDGER_NO_NODE].code = 1;
    maker.nodes[LEDGER_ROOT].code = 1;
    ck_assert_says(fault_of_maker(&maker), HG_ECORRUPT,
                   "node 1 cannot have a code");
}
END_TEST

START_TEST(records_that_name_what_is_not_there_are_refused)
{
    struct ledger_maker maker;

    make_small(&maker);
    maker.nodes[5].code = 3;
    ck_assert_says(fault_of_maker(&maker), HG_ECORRUPT,
                   "names a code that it lacks");

    make_small(&maker);
    maker.nodes[MAIN_THREAD].line = 1;
    ck_assert_says(fault_of_maker(&maker), HG_ECORRUPT,
                   "names a thread that it lacks");

    make_small(&maker);
    maker.codes[1].file.offset = UINT32_MAX;
    ck_assert_says(fault_of_maker(&maker), HG_ECORRUPT, "code 1 names text");

    make_small(&maker);
    maker.header.command.bytes = UINT32_MAX;
    ck_assert_says(fault_of_maker(&maker), HG_ECORRUPT, "its header names text");

    make_small(&maker);
    maker.away[0].node = 6;
    ck_assert_says(fault_of_maker(&maker), HG_ECORRUPT,
                   "pending updates of a node");
}
END_TEST

/* Change one section's entry in the header, which maker_image() would put right. */
static struct ledger_fault fault_of_section(enum ledger_section_id id,
                                            struct ledger_section entry)
{
    struct ledger_maker maker;
    size_t bytes;
    make_small(&maker);
    unsigned char *image = maker_image(&maker, &bytes);
    ((struct ledger_header *)(void *)image)->section[id] = entry;
    struct ledger_fault fault = fault_of(image, bytes);
    free(image);
    maker_drop(&maker);
    return fault;
}

START_TEST(impossible_sections_are_refused)
{
    const uint32_t node = sizeof(struct ledger_node);

    ck_assert_says(fault_of_section(LEDGER_NODES,
                                    (struct ledger_section){4096, 6, node, 0, 7}),
                   HG_ECORRUPT, "more records than fit");
    ck_assert_says(
        fault_of_section(LEDGER_NODES, (struct ledger_section){4096, 6, 1, 0, 6}),
        HG_ECORRUPT, "a record has 1 bytes, not 64");
    ck_assert_says(
        fault_of_section(LEDGER_NODES, (struct ledger_section){0, 6, node, 0, 6}),
        HG_ECORRUPT, "impossible place");
    ck_assert_says(fault_of_section(LEDGER_NODES,
                                    (struct ledger_section){4097, 6, node, 0, 6}),
                   HG_ECORRUPT, "impossible place");
    /* An end that wraps around to a small number. */
    ck_assert_says(
        fault_of_section(LEDGER_NODES,
                         (struct ledger_section){UINT64_MAX - 63, 6, node, 0, 6}),
        HG_ECORRUPT, "beyond its end");
    ck_assert_says(
        fault_of_section(LEDGER_STRINGS, (struct ledger_section){4096, UINT64_MAX,
                                                                 1, 0, UINT64_MAX}),
        HG_ECORRUPT, "more records than fit");
    ck_assert_says(fault_of_section(LEDGER_NODES,
                                    (struct ledger_section){4096, 1ull << 40, node,
                                                            0, (1ull << 26) + 1}),
                   HG_ECORRUPT, "more records than fit");
}
END_TEST

START_TEST(samples_out_of_order_are_left_out)
{
    struct ledger_maker maker;
    maker_begin(&maker);
    const uint64_t times[] = {10, 20, 15, 20, 30};
    for (int i = 0; i < 5; i++)
        maker_sample(&maker, (struct ledger_sample){.time_ns = times[i]});
    maker.header.timeline_writing = 1;

    struct ledger_copy *copy = copy_of(&maker);

    ck_assert_uint_eq(copy->sample_count, 3);
    ck_assert_uint_eq(copy->samples[2].time_ns, 30);
    ledger_copy_free(copy);
    maker_drop(&maker);
}
END_TEST

/* NULL, or what each read of a file changes. */
static _Atomic uint32_t *epoch_to_change;

/* Instead of the C library's. */
ssize_t pread(int fd, void *into, size_t bytes, off_t at)
{
    if (epoch_to_change != NULL)
        atomic_fetch_add(epoch_to_change, 1);
    return syscall(SYS_pread64, fd, into, bytes, at);
}

START_TEST(a_peak_that_moves_all_the_time_is_reported_as_busy)
{
    struct ledger_maker maker;
    struct ledger_copy *copy;
    struct ledger_fault fault;
    make_small(&maker);
    maker_write(&maker, "busy.hg");
    FILE *file = fopen("busy.hg", "r+");
    char *mapping = mmap(NULL, LEDGER_HEADER_BYTES, PROT_READ | PROT_WRITE,
                         MAP_SHARED, fileno(file), 0);
    ck_assert_ptr_ne(mapping, MAP_FAILED);
    epoch_to_change = (void *)(mapping + offsetof(struct ledger_header, epoch));
    ck_assert_int_eq(ledger_copy_read("busy.hg", ALL_PARTS, &copy, &fault), HG_OK);
    ck_assert(copy->busy);
    ledger_copy_free(copy);
    epoch_to_change = NULL;

    /* And when it has calmed down it is not. */
    ck_assert_int_eq(ledger_copy_read("busy.hg", ALL_PARTS, &copy, &fault), HG_OK);
    ck_assert(!copy->busy);
    ledger_copy_free(copy);
    munmap(mapping, LEDGER_HEADER_BYTES);
    fclose(file);
    maker_drop(&maker);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_sound_ledger_is_copied_whole,
        only_the_parts_asked_for_are_loaded,
        a_waiting_ledger_has_nothing_in_it,
        nodes_may_be_cut_off_behind_the_last_used_one,
        every_shorter_file_is_refused,
        every_flipped_bit_is_refused_or_harmless,
        another_version_is_named,
        a_foreign_file_is_no_ledger,
        what_is_no_file_is_said_to_be_so,
        a_parent_with_a_larger_id_is_refused,
        a_second_root_is_refused,
        a_root_with_a_code_is_refused,
        records_that_name_what_is_not_there_are_refused,
        impossible_sections_are_refused,
        samples_out_of_order_are_left_out,
        a_peak_that_moves_all_the_time_is_reported_as_busy,
    };
    return RUN_SUITE("reader", tests);
}
