/* SPDX-License-Identifier: MIT */
/* main.c - the command: run a file, or read lines and show what they give. */
#include "wick.h"

#include <heapglass/heap.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: wick [options] [FILE]\n"
    "\n"
    "Run FILE, or read lines from standard input, run each and show what it\n"
    "gives; what one leaves open the next ones end, or an empty one.\n"
    "The language: man examples/wick/wick.1\n"
    "\n"
    "  --debug       objects know the line that made them; the dead are poisoned;\n"
    "                what is left at the end is told\n"
    "  --statistics  tell what the collector did, on standard error\n"
    "  --stress      collect after every 10 objects\n"
    "  --help        this\n";

static void complain(const char *line, void *arg)
{
    (void)arg;
    fprintf(stderr, "wick: left: %s\n", line);
}

static int run_file(Machine *vm, const char *path)
{
    /* An import from nowhere: the path is taken as it is. */
    Module *nowhere = module_new(vm, "");
    String *name = string_new(vm, path, strlen(path));
    Module *module = module_import(vm, nowhere, name);
    hg_release(vm->world, name);
    hg_release(vm->world, nowhere);
    fflush(stdout);
    if (module != NULL)
        return 0;
    fprintf(stderr, "wick: %s", vm->error);
    return 1;
}

/* What was typed and not yet run. */
struct input {
    char *line, *text;
    size_t line_room, length;
    bool prompt, ended;
};

/* One line more.  False: there is none. */
static bool read_line(struct input *in)
{
    if (in->prompt) {
        fputs(in->length == 0 ? "> " : ". ", stdout);
        fflush(stdout);
    }
    ssize_t got = getline(&in->line, &in->line_room, stdin);
    if (got < 0) {
        in->ended = true;
        return false;
    }
    in->text = resize(in->text, in->length + (size_t)got + 1);
    memcpy(in->text + in->length, in->line, (size_t)got + 1);
    in->length += (size_t)got;
    return true;
}

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t\r\n")] == 0;
}

/* False: it failed, and the reason is told. */
static bool run_text(Machine *vm, Module *module, struct input *in)
{
    Value result;
    bool done = vm_run(vm, module, in->text, &result);
    if (!done && vm->unfinished && !in->ended && !is_blank(in->line))
        return true; /* it goes on */
    in->length = 0;
    if (!done) {
        fflush(stdout);
        fprintf(stderr, "wick: %s", vm->error);
        return false;
    }
    if (result != NIL) {
        String *text = string_of(vm, result);
        puts(text->text);
        hg_release(vm->world, text);
    }
    drop(vm->world, result);
    return true;
}

static int read_lines(Machine *vm)
{
    struct input in = {.prompt = isatty(STDIN_FILENO) != 0};
    int status = 0;
    Module *module = module_new(vm, "input");
    vm->interactive = true;
    if (in.prompt)
        puts("Wick: an empty line ends what was left open, Ctrl-D the session.");
    while (read_line(&in) || in.length > 0) {
        if (!run_text(vm, module, &in))
            status = 1;
    }
    if (in.prompt)
        putchar('\n');
    free(in.line);
    hg_free(in.text);
    hg_release(vm->world, module);
    return in.prompt ? 0 : status;
}

static void tell_statistics(const Machine *vm)
{
    hg_statistics s;
    hg_get_statistics(vm->world, &s);
    fprintf(
        stderr,
        "wick: %zu objects, %zu bytes; collections %lu young, %lu middle, %lu "
        "full, which freed %lu, %lu, %lu; %.1f ms in all, the longest pause %.2f "
        "ms\n",
        s.objects, s.bytes, (unsigned long)s.collections[0],
        (unsigned long)s.collections[1], (unsigned long)s.collections[2],
        (unsigned long)s.freed[0], (unsigned long)s.freed[1],
        (unsigned long)s.freed[2], (double)s.collector_ns / 1e6,
        (double)s.longest_ns / 1e6);
}

/* What the program left is dropped, cycles are collected: then nothing should be
   there. */
static int check_end(Machine *vm)
{
    size_t left;
    hg_release(vm->world, vm->root);
    vm->root = NULL;
    if (hg_collect(vm->world, HG_FULL, NULL) != HG_OK ||
        hg_report_leaks(vm->world, complain, NULL, &left) != HG_OK) {
        fputs("wick: no memory to look for what is left\n", stderr);
        return 1;
    }
    return left == 0 ? 0 : 3;
}

int main(int argc, char **argv)
{
    bool debug = false, statistics = false, stress = false;
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        bool *option = strcmp(argv[i], "--debug") == 0        ? &debug
                       : strcmp(argv[i], "--statistics") == 0 ? &statistics
                       : strcmp(argv[i], "--stress") == 0     ? &stress
                                                              : NULL;
        if (option == NULL) {
            fprintf(stderr, "wick: no option is called %s\n%s", argv[i], usage);
            return 2;
        }
        *option = true;
    }
    if (argc - i > 1) {
        fputs(usage, stderr);
        return 2;
    }
    Machine *vm = vm_new();
    vm->debugs = debug;
    if (debug && hg_debug(vm->world, HG_DEBUG_SITES | HG_DEBUG_DEAD) != HG_OK)
        abort();
    if (stress) {
        hg_policy policy = {
            .automatic = 1, .young = 10, .middle = 2, .growth = 0.01, .step_us = 1};
        hg_set_policy(vm->world, &policy);
    }
    int status = i < argc ? run_file(vm, argv[i]) : read_lines(vm);
    if (statistics)
        tell_statistics(vm);
    if (debug) {
        int end = check_end(vm);
        status = status == 0 ? end : status;
    }
    vm_free(vm);
    return status;
}
