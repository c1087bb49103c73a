/* SPDX-License-Identifier: MIT */
/*
 * asked.c - the stack as CPython's public functions tell it, where frames cannot be
 * read: an interpreter that is built otherwise than known, or a version without a
 * row in the table.
 *
 * The functions are those that a profiler may call.  Up to 3.11 one of the frame
 * objects that they make can start a collection, which would run the program's
 * finalizers inside malloc: so the collector is off meanwhile.
 */
#include "adapt/cpython/asked.h"

#include "adapt/cpython/codes.h"
#include "adapt/cpython/python.h"
#include "base/pages.h"
#include "ledger/tree.h"
#include "trace/session.h"

#include <dlfcn.h>
#include <string.h>

static struct {
    void *(*frame)(void); /* borrowed */
    void *(*back)(void *);
    void *(*code)(void *);
    int (*line)(void *);
    void (*fetch_error)(void **, void **, void **);
    void (*restore_error)(void *, void *, void *);
} ask;

static __thread bool busy __attribute__((tls_model("initial-exec")));

/* The lines of a walk, innermost first; guarded by the interpreter's lock. */
static struct line {
    uint32_t code;
    uint32_t line;
} * lines;
static size_t lines_capacity;

bool asked_find(void)
{
    static const struct {
        const char *name;
        void *to;
    } names[] = {
        {"PyEval_GetFrame", &ask.frame},   {"PyFrame_GetBack", &ask.back},
        {"PyFrame_GetCode", &ask.code},    {"PyFrame_GetLineNumber", &ask.line},
        {"PyErr_Fetch", &ask.fetch_error}, {"PyErr_Restore", &ask.restore_error},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *at = dlsym(RTLD_DEFAULT, names[i].name);
        if (at == NULL)
            return false;
        memcpy(names[i].to, &at, sizeof at);
    }
    return python.keep != NULL && python.current_state != NULL &&
           python.interp_of != NULL && python.main_interp != NULL &&
           codes_can_ask();
}

bool asked_busy(void)
{
    return busy;
}

bool asked_walk(bool (*visit)(void *code, int line, void *arg), void *arg)
{
    void *type, *value, *traceback;
    bool all = true;

    busy = true;
    bool collects = python.gc_disable != NULL && python.gc_disable() != 0;
    ask.fetch_error(&type, &value, &traceback);
    void *frame = ask.frame();
    if (frame != NULL)
        python.keep(frame);
    while (frame != NULL) {
        void *code = ask.code(frame);
        bool more = code != NULL && visit(code, ask.line(frame), arg);
        if (code != NULL)
            python.release(code);
        void *back = more ? ask.back(frame) : NULL;
        python.release(frame);
        all = more;
        frame = back;
    }
    ask.restore_error(type, value, traceback); /* and forget those of ours */
    if (collects)
        python.gc_enable();
    busy = false;
    return all;
}

static bool more_lines(void)
{
    size_t capacity = lines_capacity != 0 ? lines_capacity * 2 : 512;
    struct line *more = pages_map(capacity * sizeof *more);

    if (more == NULL)
        return false;
    if (lines != NULL) {
        memcpy(more, lines, lines_capacity * sizeof *more);
        pages_unmap(lines, lines_capacity * sizeof *more);
    }
    lines = more;
    lines_capacity = capacity;
    return true;
}

static bool note_line(void *code, int line, void *arg)
{
    size_t *count = arg;

    if (*count == lines_capacity && !more_lines())
        return false;
    lines[*count].code = codes_id_asked(code);
    lines[*count].line = line > 0 ? (uint32_t)line : 0;
    return lines[(*count)++].code != 0 && session.config.mode == LEDGER_MODE_STACKS;
}

uint32_t asked_node(uint32_t base)
{
    size_t count = 0;

    /* Others may run at the same time. */
    if (python.interp_of(python.current_state()) != python.main_interp())
        return base;
    bool all = asked_walk(note_line, &count);
    bool lines_only = session.config.mode == LEDGER_MODE_LINES;
    if (!all && !(lines_only && count == 1 && lines[0].code != 0)) {
        session.ledger.header->lost.frames_too_deep++;
        return LEDGER_NOT_RECORDED;
    }
    lock_take(&session_names);
    while (count > 0) {
        count--;
        base =
            tree_child(&session.tree, base, lines[count].code, lines[count].line);
    }
    lock_release(&session_names);
    return base;
}
