/* SPDX-License-Identifier: MIT */
/*
 * preload.c - what `heapglass run` puts under a program.
 *
 * Every process under it loads this library, shells and compilers too: in a
 * program that is no Python it looks at two files and is gone, and malloc is the C
 * library's.  Without `heapglass run`, by LD_PRELOAD alone, it is malloc and no
 * more.
 */
#include "adapt/cpython/chunks.h"
#include "adapt/cpython/displaced.h"
#include "adapt/cpython/frames.h"
#include "adapt/cpython/hooks.h"
#include "adapt/cpython/observer.h"
#include "adapt/cpython/python.h"
#include "adapt/cpython/reaping.h"
#include "adapt/native/mappings.h"
#include "adapt/native/native.h"
#include "adapt/native/stacks.h"
#include "base/process.h"
#include "heap/heap.h"
#include "trace/book.h"
#include "trace/requests.h"
#include "trace/session.h"
#include "trace/site.h"
#include "trace/timeline.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((used)) static const char mark[] = LEDGER_WRITER_MARK;

/* Take our library out of a list separated by colons or spaces, in place. */
static void remove_from_list(char *list)
{
    char *out = list;
    const char *in = list;

    while (*in != 0) {
        size_t n = strcspn(in, ": ");
        const char *name = memrchr(in, '/', n);
        name = name != NULL ? name + 1 : in;
        const char *ours = "libheapglass-preload";
        bool is_ours = strncmp(name, ours, strlen(ours)) == 0 ||
                       memmem(in, n, "/heapglass-", 11) != NULL;
        if (!is_ours && n > 0) {
            if (out != list)
                *out++ = ':';
            memmove(out, in, n);
            out += n;
        }
        in += n;
        in += *in != 0;
    }
    *out = 0;
}

/* Programs that this one starts shall know nothing of us. */
static void hide_from_children(void)
{
    static const char *const names[] = {
        "HEAPGLASS_LEDGER",   "HEAPGLASS_SESSION",    "HEAPGLASS_MODE",
        "HEAPGLASS_RECYCLED", "HEAPGLASS_NATIVE",     "HEAPGLASS_CHILDREN",
        "HEAPGLASS_HARDENED", "HEAPGLASS_CHECK_EVERY"};
    char *preload = getenv("LD_PRELOAD");

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    if (preload == NULL)
        return;
    remove_from_list(preload);
    if (*preload == 0)
        unsetenv("LD_PRELOAD");
}

static void before_fork(void)
{
    stacks_before_fork();
    mappings_before_fork();
    lock_take(&session_names);
    book_before_fork();
    heap_before_fork();
}

static void after_fork_parent(void)
{
    heap_after_fork_parent();
    book_after_fork();
    lock_release(&session_names);
    mappings_after_fork_parent();
    stacks_after_fork_parent();
}

static void after_fork_child(void)
{
    session_forked();
    mappings_after_fork_child();
    stacks_after_fork_child();
}

static void forked(void)
{
    mappings_forked();
    reaping_forked();
    frames_forked();
}

static void forked_native(void)
{
    mappings_forked();
    stacks_forked();
}

static void stopped(void)
{
    frames_force_slow();
    observer_stopped();
    hooks_untrace();
    native_untrace();
}

static void exited(int status, void *arg)
{
    (void)arg;
    session_exit(status, false);
}

static void exited_native(int status, void *arg)
{
    stacks_finish();
    exited(status, arg);
}

/* On a slow path of the heap, where nothing is under way.  The bell has rung for
   one thread alone. */
static bool asked_native(void)
{
    struct ledger_answer answer = {.rss_before_bytes = process_rss_bytes()};
    if ((requests_begin() & LEDGER_TRIM) == 0)
        return true;
    answer.given_bytes = heap_trim();
    answer.rss_after_bytes = process_rss_bytes();
    requests_answer(&answer);
    return true;
}

/* No Python that can be watched: only if that was asked for, as any program is. */
static void start_native(const char *unwatched)
{
    session_adapter.stopped = native_untrace;
    session_adapter.asked = asked_native;
    session_adapter.forked = forked_native;
    session_adapter.mappings = mappings_walk;
    if (!session.config.every_program || !stacks_prepare()) {
        if (!session_replaced() && unwatched != NULL)
            session_say_unwatched(unwatched);
        native_leave();
        return;
    }
    if (session_start() != HG_OK) {
        native_leave();
        return;
    }
    heap_on_slow_path = timeline_tick;
    on_exit(exited_native, NULL);
    stacks_trace();
    if (!session.config.children)
        hide_from_children();
}

__attribute__((constructor)) static void start(int count, char **arguments)
{
    native_begin();
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
    if (!session_configure())
        return;
    const char *unwatched;
    if (!python_find(&unwatched)) {
        start_native(unwatched);
        return;
    }
    session_adapter.collections = observer_collections;
    session_adapter.stopped = stopped;
    session_adapter.asked = observer_asked;
    session_adapter.forked = forked;
    session_adapter.mappings = mappings_walk;
    session_adapter.chunks = &chunks;
    if (session.config.mode != LEDGER_MODE_UNTRACED) {
        heap_keep_tags();
        heap_tell_tag = site_tell;
    }
    if (session_start() != HG_OK) {
        native_leave();
        return;
    }
    session_note_python(python.get_version());
    heap_on_slow_path = timeline_tick;
    on_exit(exited, NULL);
    bool displaced = displaced_expect(count, arguments);
    hooks_install();
    chunks_install();
    if (!displaced)
        hooks_trace_native();
    if (!session.config.children)
        hide_from_children();
}

/* os._exit() and its like end a process without a handler: note the status. */
#define EXPORT __attribute__((visibility("default")))

EXPORT _Noreturn void _exit(int status)
{
    session_exit(status, true);
    for (;;)
        syscall(SYS_exit_group, status);
}

EXPORT _Noreturn void _Exit(int status)
{
    _exit(status);
}
