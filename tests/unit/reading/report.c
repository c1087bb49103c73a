/* SPDX-License-Identifier: MIT */
/* report.c - whole reports of small ledgers, as people and programs see them. */
#include "report/report.h"

#include "analyze/growth.h"
#include "analyze/order.h"
#include "base/utf8.h"
#include "reading_test.h"
#include "report/diff.h"
#include "report/listing.h"
#include "report/page.h"
#include "report/plot.h"

static struct gathering gather_into(const char *path, struct table *table,
                                    enum table_side side)
{
    const struct gather_options options = {
        .children = true, .parts = ALL_PARTS, .table = table, .side = side};
    struct gathering family;
    struct ledger_fault fault = {0, ""};
    hg_status status = gather(path, &options, &family, &fault);
    ck_assert_msg(status == HG_OK, "%s", fault.what);
    return family;
}

/* The report of a ledger file; the caller free()s it. */
static char *report_of(const char *path, enum table_by by, enum moment moment,
                       bool json)
{
    char *text = NULL;
    size_t bytes;
    struct table *table = table_new(by);
    struct gathering family = gather_into(path, table, SIDE_A);
    struct report report = {
        .family = &family, .table = table, .moment = moment, .top = 2};
    struct table_row *rows = table_rows(table, &report.count);
    order_by_moment(table, rows, report.count, json ? SIZE_MAX : report.top,
                    moment);
    report.rows = rows;
    FILE *out = open_memstream(&text, &bytes);
    if (json)
        report_json(out, &report);
    else
        report_text(out, &report, false);
    fclose(out);
    free(rows);
    gathering_drop(&family);
    table_free(table);
    return text;
}

static char *diff_of(const char *before, const char *after)
{
    char *text = NULL;
    size_t bytes;
    struct table *table = table_new(BY_LINE);
    struct gathering a = gather_into(before, table, SIDE_A);
    struct gathering b = gather_into(after, table, SIDE_B);
    struct diff diff = {.sides = {&a, &b}, .table = table, .top = 20};
    struct table_row *rows = growth_rows(table, diff.top, &diff.count);
    diff.rows = rows;
    FILE *out = open_memstream(&text, &bytes);
    diff_text(out, &diff, false);
    fclose(out);
    free(rows);
    gathering_drop(&a);
    gathering_drop(&b);
    table_free(table);
    return text;
}

static void make_shop(struct ledger_maker *maker)
{
    maker_begin(maker);
    maker->header.peak_time_ns = 8100000000;
    uint32_t outer = maker_line(maker, "/home/shop/app.py", "<module>", 40);
    uint32_t load = maker_code(maker, "/home/shop/db.py", "load.<locals>.row", 3);
    for (int i = 0; i < 1500; i++)
        maker_allocated(maker, maker_node(maker, outer, load, 4), 1000);
    maker_allocated(maker, outer, 500000);
    maker_allocated(maker, MAIN_THREAD, 100);
    maker_freed(maker, outer, 500000);
}

static void write_shop(const char *path)
{
    struct ledger_maker maker;
    make_shop(&maker);
    maker_write(&maker, path);
    maker_drop(&maker);
}

START_TEST(a_report_for_people)
{
    write_shop("shop.hg");
    char *text = report_of("shop.hg", BY_LINE, MOMENT_PEAK, false);
    ck_assert_str_eq(text,
                     "program   python3 app.py\n"
                     "process   4711\n"
                     "state     ended with exit status 0 after 12.0 s\n"
                     "watched   whole stacks\n"
                     "          recycled objects too: free lists off\n"
                     "moment    peak: seen 8.10 s after the start\n"
                     "\n"
                     "peak         1.9 MiB in 1,502 blocks\n"
                     "live         1.4 MiB in 1,501 blocks\n"
                     "total        1.9 MiB in 1,502 blocks\n"
                     "\n"
                     "        share       peak    blocks  line\n"
                     "████▌   75.0%    1.4 MiB     1,500  db.py:4 load.row\n"
                     "█▌      25.0%  488.3 KiB         1  app.py:40 <module>\n"
                     "… and 1 more line, 100 B\n");
    free(text);
}
END_TEST

START_TEST(resident_memory_stands_beside_what_was_asked_for)
{
    struct ledger_maker maker;
    make_shop(&maker);
    maker.header.rss_max_bytes = 64 << 20;
    maker_write(&maker, "shop.hg");
    maker_drop(&maker);

    char *text = report_of("shop.hg", BY_LINE, MOMENT_PEAK, false);
    ck_assert_ptr_nonnull(strstr(text, "total        1.9 MiB in 1,502 blocks\n"
                                       "resident    64.0 MiB at most, "));
    free(text);
}
END_TEST

START_TEST(the_moment_decides_what_is_shown)
{
    write_shop("shop.hg");
    char *text = report_of("shop.hg", BY_FILE, MOMENT_LIVE, false);
    ck_assert_ptr_nonnull(
        strstr(text, "live: when its interpreter began to finalize"));
    ck_assert_ptr_nonnull(strstr(text, "      live    blocks  file\n"));
    /* app.py holds nothing now. */
    ck_assert_ptr_null(strstr(text, "app.py\n██"));
    ck_assert_ptr_nonnull(strstr(text, "100 B         1  (no Python frame)\n"));
    free(text);
}
END_TEST

START_TEST(a_stack_is_shown_from_the_outside_in)
{
    write_shop("shop.hg");
    char *text = report_of("shop.hg", BY_STACK, MOMENT_LIVE, false);
    ck_assert_ptr_nonnull(strstr(text, "  db.py:4 load.row\n"
                                       "    app.py:40 <module>\n"
                                       "    db.py:4 load.row\n"));
    free(text);
}
END_TEST

START_TEST(the_import_system_is_left_out_of_stacks_but_for_what_it_got_itself)
{
    struct ledger_maker maker;
    maker_begin(&maker);
    const char *file = "<frozen importlib._bootstrap>";
    uint32_t load = maker_code(&maker, file, "_find_and_load", 1170);
    uint32_t get = maker_code(&maker, file, "_compile_bytecode", 727);
    uint32_t outer = maker_line(&maker, "/home/shop/app.py", "<module>", 40);
    uint32_t first = maker_node(&maker, outer, load, 1178);
    maker_allocated(&maker, maker_node(&maker, first, get, 729), 100);
    maker_write(&maker, "import.hg");
    maker_drop(&maker);

    char *text = report_of("import.hg", BY_STACK, MOMENT_LIVE, false);
    ck_assert_ptr_nonnull(strstr(text, ":729 _compile_bytecode\n"
                                       "    app.py:40 <module>\n"
                                       "    <frozen importlib._bootstrap>:729 "
                                       "_compile_bytecode\n"
                                       "      the code of imported modules\n"
                                       "\n"));
    free(text);
}
END_TEST

START_TEST(threads_and_domains_have_names)
{
    struct ledger_maker maker;
    maker_begin(&maker);
    uint32_t outside = maker_thread(&maker, 0);
    maker_allocated(&maker, maker_thread(&maker, 4713), 1);
    maker_allocated(&maker, outside, 10);
    maker_write(&maker, "threads.hg");
    maker_drop(&maker);

    char *text = report_of("threads.hg", BY_THREAD, MOMENT_LIVE, false);
    ck_assert_ptr_nonnull(strstr(text, "threads outside Python, process 4711\n"));
    ck_assert_ptr_nonnull(strstr(text, "thread 4713 of process 4711"));
    free(text);
    write_shop("shop.hg");
    text = report_of("shop.hg", BY_THREAD, MOMENT_LIVE, false);
    ck_assert_ptr_nonnull(strstr(text, "main thread of process 4711\n"));
    free(text);
    text = report_of("threads.hg", BY_DOMAIN, MOMENT_LIVE, false);
    ck_assert_ptr_nonnull(strstr(text, "obj     objects"));
    free(text);
}
END_TEST

START_TEST(what_took_our_place_comes_first)
{
    struct ledger_maker maker;
    make_shop(&maker);
    maker.header.displaced = maker_text(&maker, "PYTHONMALLOC=debug");
    maker.header.rss_max_bytes = 64 << 20;
    maker_write(&maker, "shop.hg");
    maker_drop(&maker);

    char *text = report_of("shop.hg", BY_LINE, MOMENT_PEAK, false);
    static const char first[] = "not watched: PYTHONMALLOC=debug took our place\n";
    ck_assert_int_eq(strncmp(text, first, sizeof first - 1), 0);
    ck_assert_ptr_nonnull(strstr(text, "resident, at most     64.0 MiB\n"));
    free(text);
}
END_TEST

START_TEST(what_was_lost_is_said)
{
    struct ledger_maker maker;
    make_shop(&maker);
    maker.header.lost.blocks_without_node = 1234;
    maker.header.lost.children = 1;
    maker_write(&maker, "shop.hg");
    maker_drop(&maker);

    char *text = report_of("shop.hg", BY_LINE, MOMENT_PEAK, false);
    ck_assert_ptr_nonnull(
        strstr(text, "lost      1,234 allocations without a line"));
    ck_assert_ptr_nonnull(strstr(text, "1 of its children could not"));
    free(text);
}
END_TEST

START_TEST(children_are_summed_and_what_they_inherited_is_said)
{
    struct ledger_maker child;
    write_shop("shop.hg");
    make_shop(&child);
    child.header.pid = 4712;
    maker_inherited(&child, MAIN_THREAD, 1 << 20, 10);
    maker_write(&child, "shop.hg.4712");
    maker_drop(&child);

    char *text = report_of("shop.hg", BY_LINE, MOMENT_PEAK, false);
    ck_assert_ptr_nonnull(strstr(text, "process   4711 and 1 child: 4712\n"));
    ck_assert_ptr_nonnull(strstr(text, "inherited 1.0 MiB by 1 forked child"));
    ck_assert_ptr_nonnull(strstr(text, "which were not of one moment"));
    ck_assert_ptr_nonnull(strstr(text, "live         2.9 MiB in 3,002 blocks\n"));
    free(text);
}
END_TEST

START_TEST(an_untraced_program_has_sizes_alone)
{
    struct ledger_maker maker;
    maker_begin(&maker);
    maker.header.mode = LEDGER_MODE_UNTRACED;
    maker.header.held_max_bytes = 3 << 20;
    maker_sample(&maker,
                 (struct ledger_sample){.time_ns = 1, .rss_bytes = 2 << 20});
    maker_write(&maker, "shop.hg");
    maker_drop(&maker);

    char *text = report_of("shop.hg", BY_LINE, MOMENT_PEAK, false);
    ck_assert_ptr_nonnull(strstr(text, "resident, last         2.0 MiB\n"));
    ck_assert_ptr_nonnull(strstr(text, "held by the heap       3.0 MiB\n"));
    ck_assert_ptr_null(strstr(text, "share"));
    free(text);
}
END_TEST

/* Every line of every text, whatever the names are. */
static void check_columns(char *text)
{
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        ck_assert_msg(page_columns(slice_of(line)) <= PAGE_COLUMNS, "%s", line);
}

START_TEST(no_line_is_longer_than_80_columns)
{
    char name[600];
    struct ledger_maker maker;
    make_shop(&maker);
    for (size_t i = 0; i + 1 < sizeof name; i++)
        name[i] = "/a-long-folder/\xe4\xb8\xad\xe6\x96\x87\xff"[i % 22];
    name[sizeof name - 1] = '\0';
    maker.header.command = maker_text(&maker, name);
    maker.header.stacks_how = maker_text(&maker, name);
    uint32_t node = maker_line(&maker, name, name, UINT32_MAX);
    maker.nodes[node].counters.allocated_bytes = UINT64_MAX / 4;
    maker.nodes[node].counters.allocated_blocks = UINT64_MAX / 4;
    maker_write(&maker, "odd.hg");
    maker_drop(&maker);
    write_shop("shop.hg");

    for (enum table_by by = 0; by < TABLE_BYS; by++) {
        char *text = report_of("odd.hg", by, MOMENT_LIVE, false);
        check_columns(text);
        free(text);
    }
    char *text = diff_of("shop.hg", "odd.hg");
    check_columns(text);
    free(text);
}
END_TEST

START_TEST(json_has_every_row_and_totals_with_the_same_keys)
{
    write_shop("shop.hg");
    char *text = report_of("shop.hg", BY_LINE, MOMENT_PEAK, true);
    ck_assert_ptr_nonnull(strstr(
        text,
        "    {\"file\": \"/home/shop/db.py\", \"line\": 4, \"function\": "
        "\"load.<locals>.row\", \"live_bytes\": 1500000, \"live_blocks\": 1500, "
        "\"total_bytes\": 1500000, \"total_blocks\": 1500, \"peak_bytes\": "
        "1500000, "
        "\"peak_blocks\": 1500},\n"));
    ck_assert_ptr_nonnull(strstr(
        text, "    {\"file\": null, \"line\": null, \"function\": \"(no Python "
              "frame)\", \"live_bytes\": 100,"));
    ck_assert_ptr_nonnull(strstr(text, "  \"totals\": {\n"
                                       "    \"file\": null,\n"
                                       "    \"line\": null,\n"
                                       "    \"function\": null,\n"
                                       "    \"live_bytes\": 1500100,\n"));
    free(text);
}
END_TEST

START_TEST(a_diff_marks_what_is_new_and_gone)
{
    struct ledger_maker maker;
    write_shop("a.hg");
    maker_begin(&maker);
    maker_allocated(&maker, maker_line(&maker, "/home/shop/db.py", "load", 9),
                    2000);
    maker_write(&maker, "b.hg");
    maker_drop(&maker);

    char *text = diff_of("a.hg", "b.hg");
    ck_assert_str_eq(
        text,
        "before    python3 app.py (4711), ended with exit status 0 after 12.0 s\n"
        "after     python3 app.py (4711), ended with exit status 0 after 12.0 s\n"
        "live      1.4 MiB before, 2.0 KiB after: -1.4 MiB in -1,500 blocks\n"
        "\n"
        "          growth      after     blocks  line\n"
        "gone    -1.4 MiB        0 B     -1,500  db.py:4 load.row\n"
        "new     +2.0 KiB    2.0 KiB         +1  db.py:9 load\n"
        "gone      -100 B        0 B         -1  (no Python frame)\n"
        "                                        the interpreter, or threads in "
        "C\n");
    free(text);
}
END_TEST

START_TEST(a_list_shows_children_below_their_program)
{
    char *text = NULL;
    size_t bytes;
    struct ledger_maker child;
    write_shop("shop.hg");
    make_shop(&child);
    child.header.pid = 4712;
    child.header.state = LEDGER_RUNNING;
    maker_write(&child, "shop.hg.4712");
    maker_drop(&child);
    struct gathering family = gather_into("shop.hg", NULL, SIDE_A);

    FILE *out = open_memstream(&text, &bytes);
    listing_text(out, &(struct listing){.families = &family, .count = 1}, false);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "   4711  ended 0 "));
    ck_assert_ptr_nonnull(strstr(text, "  app.py\n   4712  killed "));
    ck_assert_ptr_nonnull(strstr(text, "    app.py\n"));
    check_columns(text);
    free(text);
    gathering_drop(&family);
}
END_TEST

START_TEST(a_plot_shows_the_peak_and_the_collections)
{
    char *text = NULL;
    size_t bytes;
    struct ledger_maker maker;
    make_shop(&maker);
    for (uint64_t i = 0; i < 10; i++)
        maker_sample(&maker, (struct ledger_sample){
                                 .time_ns = (i + 1) * 1000000000,
                                 .rss_bytes = (10 + i) << 20,
                                 .rss_max_bytes = (10 + i) << 20,
                                 .live_bytes = i << 18,
                                 .live_max_bytes = i << 18,
                                 .held_bytes = (5 + i) << 20,
                                 .collections = {1, 0, i == 4},
                             });
    maker.header.command = maker_text(&maker, "python3 <app> & co");
    maker_write(&maker, "shop.hg");
    maker_drop(&maker);
    struct gathering family = gather_into("shop.hg", NULL, SIDE_A);

    FILE *out = open_memstream(&text, &bytes);
    plot_svg(out, &family, 1);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, ">python3 &lt;app&gt; &amp; co</text>"));
    ck_assert_ptr_nonnull(strstr(text, ">peak 1.9 MiB, 9.00 s</text>"));
    ck_assert_ptr_nonnull(strstr(text, "<path class=\"gc2\" d=\"M434"));
    ck_assert_ptr_nonnull(strstr(text, ">20 MiB</text>"));
    ck_assert_ptr_null(strstr(text, "nan"));
    free(text);
    gathering_drop(&family);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_report_for_people,
        resident_memory_stands_beside_what_was_asked_for,
        the_moment_decides_what_is_shown,
        a_stack_is_shown_from_the_outside_in,
        the_import_system_is_left_out_of_stacks_but_for_what_it_got_itself,
        threads_and_domains_have_names,
        what_took_our_place_comes_first,
        what_was_lost_is_said,
        children_are_summed_and_what_they_inherited_is_said,
        an_untraced_program_has_sizes_alone,
        no_line_is_longer_than_80_columns,
        json_has_every_row_and_totals_with_the_same_keys,
        a_diff_marks_what_is_new_and_gone,
        a_list_shows_children_below_their_program,
        a_plot_shows_the_peak_and_the_collections,
    };
    return RUN_SUITE("report", tests);
}
