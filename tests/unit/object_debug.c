/* SPDX-License-Identifier: MIT */
/* object_debug.c - what is told to those who look for mistakes. */
#include "object_test.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    hg_object head;
    Node *kept, *forgotten;
} Liar;

static const hg_type Liar_type = {
    .name = "Liar", .size = sizeof(Liar), .refs = HG_REFS(Liar, kept)};

static hg_world *debug_world(void)
{
    hg_world *w = quiet_world();
    ck_assert_int_eq(hg_debug(w, HG_DEBUG_SITES | HG_DEBUG_DEAD), HG_OK);
    return w;
}

/* What a child writes to its standard error before it aborts. */
static char *last_words(void (*misuse)(hg_world *))
{
    static char words[1024];
    int pipe_of[2];
    ck_assert_int_eq(pipe(pipe_of), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipe_of[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        misuse(debug_world());
        _exit(0);
    }
    close(pipe_of[1]);
    size_t n = 0;
    ssize_t got;
    while ((got = read(pipe_of[0], words + n, sizeof words - 1 - n)) > 0)
        n += (size_t)got;
    words[n] = 0;
    close(pipe_of[0]);
    int status;
    waitpid(pid, &status, 0);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGABRT);
    return words;
}

static Node *made_elsewhere(hg_world *w)
{
    return hg_new_at(w, &Node_type, "script.lox:12");
}

START_TEST(an_object_knows_where_it_was_made)
{
    hg_world *w = quiet_world();
    Node *before = hg_new(w, &Node_type);
    ck_assert_ptr_null(hg_site(w, before));
    hg_debug(w, HG_DEBUG_SITES);
    Node *here = hg_new(w, &Node_type);
    Node *there = made_elsewhere(w);
    char text[64];
    ck_assert_ptr_nonnull(strstr(hg_site(w, here), "object_debug.c:"));
    ck_assert_str_eq(hg_site(w, there), "script.lox:12");
    ck_assert_str_eq(hg_describe(w, there, text, sizeof text),
                     "Node from script.lox:12");
    ck_assert_str_eq(hg_describe(w, before, text, sizeof text), "Node");
    ck_assert_str_eq(hg_describe(w, before, text, 3), "No");
    hg_release(w, before);
    hg_release(w, here);
    hg_release(w, there);
    hg_world_free(w);
}
END_TEST

static void release_twice(hg_world *w)
{
    Node *node = made_elsewhere(w);
    hg_release(w, node);
    hg_release(w, node);
}

static void retain_the_dead(hg_world *w)
{
    Node *node = made_elsewhere(w);
    hg_release(w, node);
    hg_retain(node);
}

static void write_to_the_dead(hg_world *w)
{
    Node *node = made_elsewhere(w);
    hg_release(w, node);
    node->right = node;
    for (int i = 0; i < 5000; i++)
        hg_release(w, hg_new(w, &Node_type));
}

static void write_to_a_dead_head(hg_world *w)
{
    Node *node = made_elsewhere(w);
    hg_release(w, node);
    node->head.count = 1;
    hg_check(w);
}

/* One that has died and waits: with another, as the last of the list, and alone. */
static void keep_the_waiting(hg_world *w, hg_weak *weak, void *arg)
{
    (void)weak;
    ck_assert_ptr_null(hg_weak_new(w, arg, NULL, NULL));
    hg_retain(arg);
}

static void retain_what_waits(hg_world *w)
{
    Node *both = hg_new(w, &Node_type), *target = hg_new(w, &Node_type);
    both->left = target;
    both->right = hg_new_at(w, &Node_type, "script.lox:13");
    hg_weak_new(w, target, keep_the_waiting, both->right);
    hg_release(w, both);
}

static void release_what_waits(hg_world *w)
{
    Node *node[40];
    w->disposing = true; /* as in a callback: the dead wait */
    for (int i = 0; i < 40; i++)
        node[i] = hg_new_at(w, &Node_type, "script.lox:14");
    for (int i = 0; i < 40; i++)
        hg_release(w, node[i]);
    hg_release(w, node[20]);
}

/* Two references, of which one was retained. */
static void refer_too_often(hg_world *w)
{
    Node *node = made_elsewhere(w), *a = hg_new(w, &Node_type);
    a->left = a->right = node;
    hg_release(w, a);
}

START_TEST(misuse_of_the_dead_names_type_and_site)
{
    ck_assert_ptr_nonnull(
        strstr(last_words(release_twice),
               "a Node from script.lox:12 released more often than retained"));
    ck_assert_ptr_nonnull(
        strstr(last_words(retain_the_dead),
               "a Node from script.lox:12 retained, and is dead"));
    ck_assert_ptr_nonnull(
        strstr(last_words(write_to_the_dead),
               "a Node from script.lox:12 was written to, and is dead"));
    ck_assert_ptr_nonnull(strstr(last_words(write_to_a_dead_head),
                                 "the head of a dead object was written to"));
    ck_assert_ptr_nonnull(
        strstr(last_words(refer_too_often),
               "a Node from script.lox:12 referred to more often than retained"));
    ck_assert_ptr_nonnull(
        strstr(last_words(retain_what_waits),
               "a Node from a site unknown retained, and is dead"));
    ck_assert_ptr_nonnull(
        strstr(last_words(release_what_waits),
               "a Node from script.lox:14 released more often than retained"));
}
END_TEST

START_TEST(the_dead_rest_and_then_their_memory_is_used_again)
{
    hg_world *w = debug_world();
    Node *first = hg_new(w, &Node_type);
    hg_release(w, first);
    ck_assert_uint_eq(objects(w), 0);
    ck_assert_uint_eq(((unsigned char *)&first->right)[0], 0xDB);
    int again = 0;
    for (int i = 0; i < 20000; i++) {
        Node *node = hg_new(w, &Node_type);
        ck_assert(i > 4000 || node != first);
        ck_assert_ptr_null(node->left);
        again += node == first;
        hg_release(w, node);
    }
    ck_assert_int_ge(again, 1);
    hg_check(w);
    hg_world_free(w);
}
END_TEST

static void keep_line(const char *line, void *arg)
{
    strcat(arg, line);
    strcat(arg, "\n");
}

START_TEST(leaks_are_told_by_type_and_site_with_what_keeps_them)
{
    hg_world *w = debug_world();
    hg_root *root = hg_root_new(w, "globals");
    hg_move(w, &root->target, made_elsewhere(w));
    Node *a = hg_new_at(w, &Node_type, "a.c:1");
    hg_move(w, &a->left, hg_new_at(w, &Liar_type, "b.c:2"));
    Liar *liar = (Liar *)a->left;
    hg_set(w, &liar->kept, a);
    static char text[4096];
    size_t count = 0;
    ck_assert_int_eq(hg_report_leaks(w, keep_line, text, &count), HG_OK);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(text,
                     "1 Node, 48 bytes, from a.c:1\n"
                     "  referred to by no object, but not released: Node\n"
                     "  in a cycle: Node -> Liar -> Node\n"
                     "1 Liar, 32 bytes, from b.c:2\n"
                     "  referred to by no object, but not released: Node -> Liar\n"
                     "  in a cycle: Liar -> Node -> Liar\n");
    hg_release(w, a);
    collect(w, HG_FULL);
    text[0] = 0;
    ck_assert_int_eq(hg_report_leaks(w, keep_line, text, &count), HG_OK);
    ck_assert_uint_eq(count, 0);
    ck_assert_str_eq(text, "");
    hg_release(w, root);
    ck_assert_uint_eq(objects(w), 0);
    hg_world_free(w);
}
END_TEST

START_TEST(what_waits_to_be_freed_is_no_leak)
{
    hg_world *w = quiet_world();
    hg_policy policy = {.release_us = 1};
    hg_set_policy(w, &policy);
    Node *first = NULL;
    for (int i = 0; i < 100000; i++) {
        Node *node = hg_new(w, &Node_type);
        hg_move(w, &node->left, first);
        first = node;
    }
    hg_release(w, first);
    ck_assert_uint_gt(objects(w), 0);
    static char text[4096];
    size_t count = 1;
    ck_assert_int_eq(hg_report_leaks(w, keep_line, text, &count), HG_OK);
    ck_assert_uint_eq(count, 0);
    ck_assert_str_eq(text, "");
    hg_world_free(w);
}
END_TEST

static const hg_type Nameless_type = {.size = sizeof(Node),
                                      .refs = HG_REFS(Node, left, right)};
static const hg_type Nameless_too_type = {.size = sizeof(Node)};

static void release_the_nameless_twice(hg_world *w)
{
    Node *node = hg_new_at(w, &Nameless_type, "script.lox:12");
    hg_release(w, node);
    hg_release(w, node);
}

START_TEST(a_type_needs_no_name)
{
    hg_world *w = quiet_world();
    Node *a = hg_new(w, &Nameless_type), *b = hg_new(w, &Nameless_too_type);
    hg_set(w, &a->left, a);
    char some[64];
    ck_assert_str_eq(hg_describe(w, a, some, sizeof some), "(nameless)");
    static char text[4096];
    ck_assert_int_eq(hg_report_leaks(w, keep_line, text, NULL), HG_OK);
    ck_assert_ptr_nonnull(strstr(text, "1 (nameless), 48 bytes\n"));
    ck_assert_ptr_nonnull(strstr(text, "  in a cycle: (nameless) -> (nameless)\n"));
    ck_assert_ptr_nonnull(strstr(
        last_words(release_the_nameless_twice),
        "a (nameless) from script.lox:12 released more often than retained"));
    hg_release(w, a);
    hg_release(w, b);
    hg_world_free(w);
}
END_TEST

static void keep_name(const void *object, void *arg)
{
    strcat(arg, ((const hg_object *)object)->type->name);
    strcat(arg, " ");
}

START_TEST(what_lives_is_alive_by_a_named_root)
{
    hg_world *w = quiet_world();
    hg_root *root = hg_root_new(w, "globals");
    char text[64];
    ck_assert_str_eq(hg_describe(w, root, text, sizeof text), "root globals");
    hg_move(w, &root->target, pair(w));
    static char names[256];
    hg_why_alive(w, ((Node *)root->target)->left, keep_name, names);
    ck_assert_str_eq(names, "root Node Node ");
    ck_assert_uint_eq(collect(w, HG_FULL), 0);
    hg_release(w, root);
    ck_assert_uint_eq(collect(w, HG_FULL), 2);
    hg_world_free(w);
}
END_TEST

static size_t forgotten_offset;
static const void *forgotten_by, *forgotten_target;

static void on_forgotten(const void *referrer, size_t offset, const void *target,
                         void *arg)
{
    ++*(int *)arg;
    forgotten_by = referrer;
    forgotten_offset = offset;
    forgotten_target = target;
}

START_TEST(a_field_that_a_type_forgot_is_found)
{
    hg_world *w = quiet_world();
    Liar *liar = hg_new(w, &Liar_type);
    Node *node = pair(w), *other = pair(w);
    int found = 0;
    hg_set(w, &liar->kept, node);
    hg_release(w, node);
    ck_assert_int_eq(hg_find_forgotten(w, on_forgotten, &found), HG_OK);
    ck_assert_int_eq(found, 0);
    hg_move(w, &liar->forgotten, other);
    ck_assert_int_eq(hg_find_forgotten(w, on_forgotten, &found), HG_OK);
    ck_assert_int_eq(found, 1);
    ck_assert_ptr_eq(forgotten_by, liar);
    ck_assert_uint_eq(forgotten_offset, offsetof(Liar, forgotten));
    ck_assert_ptr_eq(forgotten_target, other);
    hg_release(w, other);
    hg_release(w, liar);
    collect(w, HG_FULL);
    ck_assert_uint_eq(objects(w), 0);
    hg_world_free(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("object_debug");
    TCase *t = add_case(suite, "debug");
    tcase_add_test(t, an_object_knows_where_it_was_made);
    tcase_add_test(t, misuse_of_the_dead_names_type_and_site);
    tcase_add_test(t, the_dead_rest_and_then_their_memory_is_used_again);
    tcase_add_test(t, leaks_are_told_by_type_and_site_with_what_keeps_them);
    tcase_add_test(t, what_waits_to_be_freed_is_no_leak);
    tcase_add_test(t, a_type_needs_no_name);
    tcase_add_test(t, what_lives_is_alive_by_a_named_root);
    tcase_add_test(t, a_field_that_a_type_forgot_is_found);
    return run_suite(suite);
}
