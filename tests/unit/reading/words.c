/* SPDX-License-Identifier: MIT */
/* words.c - numbers, names and bytes as people and JSON get them. */
#include "base/utf8.h"
#include "reading_test.h"
#include "report/axis.h"
#include "report/human.h"
#include "report/json.h"
#include "report/names.h"
#include "report/page.h"
#include "report/source.h"
#include "report/svg.h"

/* The statement writes exactly `expected` to `out`, which is also that of `page`.
 */
#define ck_assert_writes(expected, statement)                                      \
    do {                                                                           \
        char written[4096] = "";                                                   \
        FILE *out = fmemopen(written, sizeof written, "w");                        \
        const struct page page = {out, false};                                     \
        (void)page;                                                                \
        statement;                                                                 \
        fclose(out);                                                               \
        ck_assert_str_eq(written, expected);                                       \
    } while (0)

START_TEST(sizes_have_one_decimal_and_the_unit_they_need)
{
    char text[HUMAN_BYTES];
    ck_assert_str_eq(human_size(text, 0), "0 B");
    ck_assert_str_eq(human_size(text, 1023), "1023 B");
    ck_assert_str_eq(human_size(text, 1024), "1.0 KiB");
    ck_assert_str_eq(human_size(text, 50541363), "48.2 MiB");
    ck_assert_str_eq(human_size(text, 1024 * 1024 - 1), "1.0 MiB");
    ck_assert_str_eq(human_size(text, UINT64_MAX), "16.0 EiB");
}
END_TEST

START_TEST(counts_are_grouped_and_stay_short)
{
    char text[HUMAN_BYTES];
    ck_assert_str_eq(human_count(text, 7), "7");
    ck_assert_str_eq(human_count(text, 1234567), "1,234,567");
    ck_assert_str_eq(human_count(text, UINT64_MAX), "18,446,744,073,709,551,615");
    ck_assert_str_eq(human_short_count(text, 9999999), "9,999,999");
    ck_assert_str_eq(human_short_count(text, 12345678), "12.3 M");
    ck_assert_str_eq(human_short_count(text, 12345678900), "12.3 G");
}
END_TEST

START_TEST(durations_have_two_units_at_most)
{
    const uint64_t s = 1000000000;
    char text[HUMAN_BYTES];
    ck_assert_str_eq(human_duration(text, s / 4), "0.25 s");
    ck_assert_str_eq(human_duration(text, 12 * s), "12.0 s");
    ck_assert_str_eq(human_duration(text, 200 * s), "3 min 20 s");
    ck_assert_str_eq(human_duration(text, 7500 * s), "2 h 5 min");
    ck_assert_str_eq(human_duration(text, 76 * 3600 * s), "3 d 4 h");
    ck_assert_str_eq(human_age(text, 7500 * s), "2 h");
}
END_TEST

START_TEST(bytes_that_are_no_utf8_are_told_one_by_one)
{
    uint32_t character;
    ck_assert_uint_eq(utf8_next(slice_of("\xe4\xb8\xad"), &character), 3);
    ck_assert_uint_eq(character, 0x4e2d);
    ck_assert_uint_eq(utf8_columns(character), 2);
    /* Cut short, overlong, a surrogate, beyond the last: each a byte alone. */
    static const char *const bad[] = {
        "\xe4\xb8", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_uint_eq(utf8_next(slice_of(bad[i]), &character), 1);
        ck_assert_uint_eq(character, 0xdc00u + (unsigned char)bad[i][0]);
    }
}
END_TEST

static void put_json_text(FILE *out, const char *text)
{
    struct json json;
    json_begin(&json, out);
    json_key(&json, "k");
    json_text(&json, slice_of(text));
    json_end(&json);
}

START_TEST(json_gives_python_its_own_strings)
{
    ck_assert_writes("{\n  \"k\": \"a\\\"\\\\\\n\\u0001\\u007f\"\n}\n",
                     put_json_text(out, "a\"\\\n\x01\x7f"));
    ck_assert_writes("{\n  \"k\": \"\\udcff\xe4\xb8\xad\\udce4\"\n}\n",
                     put_json_text(out, "\xff\xe4\xb8\xad\xe4"));
}
END_TEST

static void put_json_nest(FILE *out)
{
    struct json json;
    json_begin(&json, out);
    json_key(&json, "empty");
    json_open(&json, '[');
    json_close(&json, ']');
    json_key(&json, "rows");
    json_open(&json, '[');
    for (unsigned i = 0; i < 2; i++) {
        json_open(&json, '{');
        json_key(&json, "n");
        json_unsigned(&json, i);
        json_key(&json, "none");
        json_null(&json);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_end(&json);
}

START_TEST(a_row_of_json_is_a_line)
{
    ck_assert_writes("{\n"
                     "  \"empty\": [],\n"
                     "  \"rows\": [\n"
                     "    {\"n\": 0, \"none\": null},\n"
                     "    {\"n\": 1, \"none\": null}\n"
                     "  ]\n"
                     "}\n",
                     put_json_nest(out));
}
END_TEST

START_TEST(text_is_cut_by_columns_and_cannot_act)
{
    ck_assert_writes("hello", page_text(&page, slice_of("hello"), 5));
    ck_assert_writes("hell\xe2\x80\xa6", page_text(&page, slice_of("hello!"), 5));
    /* Two columns each: the second one does not fit beside the ellipsis. */
    ck_assert_writes("\xe4\xb8\xad\xe2\x80\xa6",
                     page_text(&page, slice_of("\xe4\xb8\xad\xe4\xb8\xad"), 3));
    ck_assert_writes("a?[31m??", page_text(&page, slice_of("a\033[31m\xff\n"), 20));
    ck_assert_writes("?", page_text(&page, slice_of("\xe2\x80\xae"), 20));
}
END_TEST

START_TEST(paragraphs_break_between_words)
{
    /* 8 columns are left. */
    static const char indented[] =
        "one two\n"
        "                                                    "
        "                    three\n";
    ck_assert_writes(indented,
                     page_paragraph(&page, slice_of("one two three"), 72));
}
END_TEST

START_TEST(long_paths_lose_folders_at_the_beginning)
{
    struct slice path = slice_of("/usr/lib/python3.11/json/decoder.py");
    static const struct {
        unsigned columns;
        const char *expected;
    } cuts[] = {
        {35, "/usr/lib/python3.11/json/decoder.py"},
        {34, "\xe2\x80\xa6/lib/python3.11/json/decoder.py"},
        {30, "\xe2\x80\xa6/python3.11/json/decoder.py"},
        {20, "\xe2\x80\xa6/json/decoder.py"},
        {12, "\xe2\x80\xa6/decoder.py"},
        {8, "decoder\xe2\x80\xa6"},
    };
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
        ck_assert_writes(cuts[i].expected,
                         names_put_path(&page, path, cuts[i].columns));
}
END_TEST

START_TEST(names_lose_what_everybody_knows)
{
    struct slice folder = slice_of("/home/me");
    char *name = names_of_function(slice_of("f.<locals>.<lambda>"));
    ck_assert_str_eq(name, "f.<lambda>");
    free(name);
    ck_assert(slice_equal(names_within(slice_of("/home/me/a/b.py"), folder),
                          slice_of("a/b.py")));
    ck_assert(slice_equal(names_within(slice_of("/home/mean/b.py"), folder),
                          slice_of("/home/mean/b.py")));
}
END_TEST

static struct slice line_of(struct source_cache *cache, const char *file,
                            uint32_t line)
{
    static char folder[PATH_MAX];
    ck_assert_ptr_nonnull(getcwd(folder, sizeof folder));
    return source_line(cache, slice_of(file), slice_of(folder), line);
}

START_TEST(source_lines_are_found_in_the_folder_of_the_program)
{
    static const char text[] = "first\n\tindented \r\nlast";
    struct source_cache *cache = source_cache_new();
    maker_write_image((const unsigned char *)text, sizeof text - 1, "a.py");

    ck_assert(slice_equal(line_of(cache, "a.py", 1), slice_of("first")));
    ck_assert(slice_equal(line_of(cache, "a.py", 2), slice_of("indented")));
    ck_assert(slice_equal(line_of(cache, "a.py", 3), slice_of("last")));
    ck_assert_uint_eq(line_of(cache, "a.py", 4).bytes, 0);
    ck_assert_uint_eq(line_of(cache, "a.py", 0).bytes, 0);
    ck_assert_uint_eq(line_of(cache, "none.py", 1).bytes, 0);
    ck_assert_uint_eq(line_of(cache, "<string>", 1).bytes, 0);
    ck_assert_uint_eq(line_of(cache, "/dev/zero", 1).bytes, 0);
    source_cache_free(cache);
}
END_TEST

START_TEST(marks_of_an_axis_are_round)
{
    const uint64_t mib = 1 << 20;
    const uint64_t s = 1000000000;
    char text[HUMAN_BYTES];
    struct axis axis = axis_of_bytes(28 * mib, 6);
    ck_assert_uint_eq(axis.step, 5 * mib);
    ck_assert_uint_eq(axis.top, 30 * mib);
    ck_assert_str_eq(axis_label(text, &axis, 25 * mib), "25 MiB");

    axis = axis_of_bytes(0, 6);
    ck_assert_uint_ge(axis.top, 1);

    axis = axis_of_time(3 * s, 10);
    ck_assert_uint_eq(axis.step, s / 2);
    ck_assert_str_eq(axis_label(text, &axis, s / 2), "0.5 s");
    axis = axis_of_time(600 * s, 10);
    ck_assert_str_eq(axis_label(text, &axis, axis.step), "1 min");
    axis = axis_of_time(UINT64_MAX, 10);
    ck_assert_uint_le(axis.top / axis.step, 20);
}
END_TEST

START_TEST(xml_holds_what_came_from_outside)
{
    ck_assert_writes("a&lt;b&gt; &amp; &quot;c&quot;??",
                     svg_escape(out, slice_of("a<b> & \"c\"\x1b\xff"), 99));
    ck_assert_writes("ab\xe2\x80\xa6", svg_escape(out, slice_of("abcdef"), 3));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        sizes_have_one_decimal_and_the_unit_they_need,
        counts_are_grouped_and_stay_short,
        durations_have_two_units_at_most,
        bytes_that_are_no_utf8_are_told_one_by_one,
        json_gives_python_its_own_strings,
        a_row_of_json_is_a_line,
        text_is_cut_by_columns_and_cannot_act,
        paragraphs_break_between_words,
        long_paths_lose_folders_at_the_beginning,
        names_lose_what_everybody_knows,
        source_lines_are_found_in_the_folder_of_the_program,
        marks_of_an_axis_are_round,
        xml_holds_what_came_from_outside,
    };
    return RUN_SUITE("words", tests);
}
