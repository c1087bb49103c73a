/* SPDX-License-Identifier: MIT */
/* tree.c - every stack is stored once, and nodes and names stay what they were. */
#include "writing_test.h"

static struct ledger ledger;
static struct tree tree;

static void begin(void)
{
    make_ledger(&ledger, "a.hg");
    ck_assert_int_eq(tree_init(&tree, &ledger), HG_OK);
}

static void begin_small(void)
{
    make_small_ledger(&ledger, "a.hg", 0);
    ck_assert_int_eq(tree_init(&tree, &ledger), HG_OK);
}

static uint32_t code_of(const char *file, const char *function, uint32_t first_line)
{
    return tree_code(&tree, file, strlen(file), function, strlen(function),
                     first_line);
}

static const struct ledger_code *code_at(const struct ledger *of, uint32_t id)
{
    return (const struct ledger_code *)ledger_at(of, LEDGER_CODES) + id;
}

static void ck_assert_text(const struct ledger *of, struct ledger_text text,
                           const char *bytes, size_t count)
{
    ck_assert_uint_eq(text.bytes, count);
    ck_assert_mem_eq((const char *)ledger_at(of, LEDGER_STRINGS) + text.offset,
                     bytes, count);
}

START_TEST(the_same_triple_is_the_same_node)
{
    begin();

    uint32_t thread = tree_child(&tree, LEDGER_ROOT, 0, 0);
    uint32_t outer = tree_child(&tree, thread, 1, 12);
    uint32_t inner = tree_child(&tree, outer, 2, 4);

    ck_assert_uint_eq(thread, LEDGER_FIRST_THREAD);
    ck_assert_uint_eq(tree_child(&tree, LEDGER_ROOT, 0, 0), thread);
    ck_assert_uint_eq(tree_child(&tree, thread, 1, 12), outer);
    ck_assert_uint_eq(tree_child(&tree, outer, 2, 4), inner);
    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_NODES), 6);
}
END_TEST

START_TEST(another_parent_code_or_line_is_another_node)
{
    begin();
    uint32_t thread = tree_child(&tree, LEDGER_ROOT, 0, 0);

    uint32_t node = tree_child(&tree, thread, 1, 2);

    ck_assert_uint_ne(tree_child(&tree, node, 1, 2), node);
    ck_assert_uint_ne(tree_child(&tree, thread, 2, 2), node);
    ck_assert_uint_ne(tree_child(&tree, thread, 1, 1), node);
    ck_assert_uint_ne(tree_child(&tree, thread, 2, 1), node);
    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_NODES), 9);
}
END_TEST

START_TEST(two_hundred_thousand_nodes_are_found_again)
{
    enum { COUNT = 200000 };
    static uint32_t parent[COUNT];
    static uint32_t line[COUNT];
    unsigned seed = 1;
    begin();
    uint32_t first = tree_child(&tree, LEDGER_ROOT, 0, 0);

    for (uint32_t i = 0; i < COUNT; i++) {
        parent[i] = first + (uint32_t)rand_r(&seed) % (i + 1);
        line[i] = i; /* no triple twice */
        uint32_t id = tree_child(&tree, parent[i], 7, line[i]);
        ck_assert_uint_eq(id, first + 1 + i);
    }

    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t id = first + 1 + i;
        const struct ledger_node *node = &ledger.nodes[id];
        if (tree_child(&tree, parent[i], 7, line[i]) != id ||
            node->parent != parent[i] || node->parent >= id || node->code != 7 ||
            node->line != line[i])
            ck_abort_msg("node %u is not what it was", id);
    }
    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_NODES), first + 1 + COUNT);
}
END_TEST

START_TEST(a_full_tree_charges_what_is_not_recorded)
{
    begin_small();
    uint32_t thread = tree_child(&tree, LEDGER_ROOT, 0, 0);
    for (uint32_t id = thread + 1; id < SMALL_NODES; id++)
        ck_assert_uint_eq(tree_child(&tree, thread, 1, id), id);

    ck_assert_uint_eq(tree_child(&tree, thread, 1, 5000), LEDGER_NOT_RECORDED);

    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_NODES), SMALL_NODES);
    ck_assert_uint_eq(tree_child(&tree, thread, 1, 5000), LEDGER_NOT_RECORDED);
    ck_assert_uint_eq(tree_child(&tree, thread, 1, 1023), 1023);
}
END_TEST

START_TEST(a_full_table_of_codes_gives_none)
{
    char name[16];
    begin_small();
    for (uint32_t id = 1; id < SMALL_CODES; id++) {
        snprintf(name, sizeof name, "f%u", id);
        ck_assert_uint_eq(code_of("a.py", name, 1), id);
    }

    ck_assert_uint_eq(code_of("a.py", "one more", 1), 0);

    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_CODES), SMALL_CODES);
    ck_assert_uint_eq(code_of("a.py", "f127", 1), 127);
}
END_TEST

START_TEST(a_name_that_does_not_fit_leaves_nothing_behind)
{
    static char name[SMALL_STRINGS + 1];
    begin_small();
    memset(name, 'x', sizeof name);
    uint32_t first = code_of("a.py", "f", 1);
    uint64_t strings = ledger_used(&ledger, LEDGER_STRINGS);

    ck_assert_uint_eq(tree_code(&tree, "b.py", 4, name, sizeof name, 1), 0);
    ck_assert_uint_eq(tree_code(&tree, name, sizeof name, "g", 1, 1), 0);

    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_STRINGS), strings);
    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_CODES), 2);
    ck_assert_uint_eq(code_of("a.py", "f", 1), first);
    ck_assert_uint_eq(code_of("b.py", "g", 1), 2);
}
END_TEST

START_TEST(codes_with_equal_names_are_one)
{
    begin();

    uint32_t code = code_of("/work/app.py", "main", 10);

    ck_assert_uint_eq(code, 1);
    ck_assert_uint_eq(code_of("/work/app.py", "main", 10), 1);
    ck_assert_uint_eq(code_of("/work/app.py", "main", 11), 2);
    ck_assert_uint_eq(code_of("/work/app.py", "load", 10), 3);
    ck_assert_uint_eq(code_of("/home/shop.py", "main", 10), 4);
    ck_assert_uint_eq(code_of("/work/app.pym", "ain", 10), 5);
    ck_assert_uint_eq(code_of("/work/app.py", "main", 10), 1);
    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_CODES), 6);
}
END_TEST

START_TEST(texts_may_have_any_bytes)
{
    static const char file[] = "\0a\xff\n";
    static const char function[] = "\xc3(\0\0";
    begin();

    uint32_t code = tree_code(&tree, file, 4, function, 4, 0xffffffffu);
    uint32_t other = tree_code(&tree, file, 4, function, 3, 0xffffffffu);

    ck_assert_text(&ledger, code_at(&ledger, code)->file, file, 4);
    ck_assert_text(&ledger, code_at(&ledger, code)->function, function, 4);
    ck_assert_uint_eq(code_at(&ledger, code)->first_line, 0xffffffffu);
    ck_assert_uint_ne(other, code);
    ck_assert_uint_eq(tree_code(&tree, file, 4, function, 4, 0xffffffffu), code);
}
END_TEST

START_TEST(names_may_be_empty)
{
    begin();

    uint32_t code = code_of("", "", 0);

    ck_assert_uint_eq(code, 1);
    ck_assert_uint_eq(code_of("", "", 0), 1);
    ck_assert_uint_eq(code_of("", "f", 0), 2);
    ck_assert_uint_eq(code_of("a.py", "", 0), 3);
    ck_assert_uint_eq(code_at(&ledger, 3)->function.bytes, 0);
}
END_TEST

START_TEST(many_codes_are_found_again)
{
    enum { COUNT = 20000 };
    char file[32];
    char function[32];
    begin();

    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < COUNT; i++) {
            snprintf(file, sizeof file, "/lib/module%u.py", i / 50);
            snprintf(function, sizeof function, "f%u", i);
            if (code_of(file, function, i) != i + 1)
                ck_abort_msg("code %u is not what it was", i + 1);
        }

    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_CODES), COUNT + 1);
    ck_assert_text(&ledger, code_at(&ledger, 20000)->file, "/lib/module399.py", 17);
    ck_assert_text(&ledger, code_at(&ledger, 20000)->function, "f19999", 6);
}
END_TEST

/* thread 3 -- main:12 4 -- load:4 5, with counters. */
static void make_three_nodes(void)
{
    uint32_t main_code = code_of("/work/app.py", "main", 10);
    uint32_t load_code = code_of("/work/app.py", "load", 3);
    uint32_t thread = tree_child(&tree, LEDGER_ROOT, 0, 0);
    uint32_t outer = tree_child(&tree, thread, main_code, 12);
    uint32_t inner = tree_child(&tree, outer, load_code, 4);
    ck_assert_uint_eq(inner, 5);
    for (uint32_t id = LEDGER_ROOT; id <= inner; id++)
        ledger.nodes[id].counters = (struct ledger_counters){
            .allocated_bytes = 100,
            .allocated_blocks = 3,
            .freed_bytes = 50,
            .freed_blocks = 1,
            .peak_bytes = 90,
            .peak_blocks = 2,
            .epoch = 1,
        };
}

START_TEST(a_copy_is_an_equal_tree_with_counters_of_zero)
{
    static const struct ledger_counters zero;
    struct ledger to;
    begin();
    make_three_nodes();
    make_ledger(&to, "b.hg");

    ck_assert_int_eq(tree_copy(&tree, &to), HG_OK);

    ck_assert_ptr_eq(tree.ledger, &to);
    ck_assert_uint_eq(ledger_used(&to, LEDGER_NODES), 6);
    ck_assert_uint_eq(ledger_used(&to, LEDGER_CODES), 3);
    for (uint32_t id = LEDGER_ROOT; id <= 5; id++) {
        ck_assert_uint_eq(to.nodes[id].parent, ledger.nodes[id].parent);
        ck_assert_uint_eq(to.nodes[id].code, ledger.nodes[id].code);
        ck_assert_uint_eq(to.nodes[id].line, ledger.nodes[id].line);
        ck_assert_mem_eq(&to.nodes[id].counters, &zero, sizeof zero);
    }
    ck_assert_text(&to, code_at(&to, 1)->function, "main", 4);
    ck_assert_text(&to, code_at(&to, 2)->function, "load", 4);
    ck_assert_text(&to, code_at(&to, 2)->file, "/work/app.py", 12);
}
END_TEST

START_TEST(a_copy_goes_on_where_the_tree_was)
{
    struct ledger to;
    begin();
    make_three_nodes();
    make_ledger(&to, "b.hg");
    ck_assert_int_eq(tree_copy(&tree, &to), HG_OK);

    ck_assert_uint_eq(code_of("/work/app.py", "load", 3), 2);
    ck_assert_uint_eq(tree_child(&tree, 4, 2, 4), 5);
    ck_assert_uint_eq(code_of("/work/app.py", "save", 7), 3);
    ck_assert_uint_eq(tree_child(&tree, 4, 3, 9), 6);

    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_NODES), 6);
    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_CODES), 3);
    ck_assert_text(&to, code_at(&to, 3)->function, "save", 4);
    ck_assert_text(&to, code_at(&to, 1)->function, "main", 4);
}
END_TEST

/* In a child of fork, when the parent has gone on in its own ledger. */
static void copy_what_was_known(void)
{
    struct ledger to;
    make_ledger(&to, "child.hg");
    ck_assert_uint_eq(ledger_used(&ledger, LEDGER_NODES), 10006);
    ck_assert_int_eq(tree_copy(&tree, &to), HG_OK);
    ck_assert_uint_eq(ledger_used(&to, LEDGER_NODES), 6);
    ck_assert_uint_eq(ledger_used(&to, LEDGER_CODES), 3);
    ck_assert_uint_eq(tree_child(&tree, 5, 1, 77), 6);
    ck_assert_uint_eq(code_of("/work/own.py", "own", 1), 3);
    ck_assert_text(&to, code_at(&to, 3)->file, "/work/own.py", 12);
    ck_assert_text(&to, code_at(&to, 2)->function, "load", 4);
}

START_TEST(a_child_copies_what_was_known_at_the_fork)
{
    int ready[2];
    char byte;
    begin();
    make_three_nodes();
    ck_assert_int_eq(pipe(ready), 0);

    pid_t child = fork();
    if (child == 0) {
        close(ready[1]);
        ck_assert_int_eq(read(ready[0], &byte, 1), 0);
        copy_what_was_known();
        _exit(0);
    }
    for (uint32_t i = 0; i < 10000; i++)
        ck_assert_uint_eq(tree_child(&tree, 5, 1, i), 6 + i);
    ck_assert_uint_eq(code_of("/work/later.py", "later", 1), 3);
    close(ready[0]);
    close(ready[1]);

    ends_well(child);
}
END_TEST

START_TEST(a_copy_that_does_not_fit_is_refused)
{
    struct ledger to;
    begin();
    uint32_t thread = tree_child(&tree, LEDGER_ROOT, 0, 0);
    for (uint32_t line = 0; line < 2000; line++)
        tree_child(&tree, thread, 1, line);
    make_small_ledger(&to, "b.hg", 0);

    ck_assert_int_eq(tree_copy(&tree, &to), HG_EFULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_same_triple_is_the_same_node,
        another_parent_code_or_line_is_another_node,
        two_hundred_thousand_nodes_are_found_again,
        a_full_tree_charges_what_is_not_recorded,
        a_full_table_of_codes_gives_none,
        a_name_that_does_not_fit_leaves_nothing_behind,
        codes_with_equal_names_are_one,
        texts_may_have_any_bytes,
        names_may_be_empty,
        many_codes_are_found_again,
        a_copy_is_an_equal_tree_with_counters_of_zero,
        a_copy_goes_on_where_the_tree_was,
        a_child_copies_what_was_known_at_the_fork,
        a_copy_that_does_not_fit_is_refused,
    };
    return RUN_SUITE("tree", tests);
}
