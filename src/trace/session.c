/* SPDX-License-Identifier: MIT */
/*
 * session.c - one process's accounts from their beginning to their end.
 *
 * Which file.  `heapglass run` makes FILE, in state LEDGER_WAITING, and passes its
 * name on.  FILE belongs to the program that was started; if that turns out to be
 * a wrapper and no interpreter, to the first interpreter under it.  Everybody
 * else's is FILE.PID.  When a process with a ledger replaces itself by exec, the
 * old ledger becomes FILE.PID.N.
 */
#include "trace/session.h"

#include "base/process.h"
#include "heap/anatomy.h"
#include "heap/heap.h"
#include "trace/book.h"
#include "trace/claim.h"
#include "trace/shares.h"
#include "trace/threads.h"
#include "trace/timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct session session;
struct session_adapter session_adapter;
struct lock session_names = {.rank = LOCK_NAMES};

static char scratch[16384]; /* used at the start of a session only, by one thread */

static void say(const char *what, const char *remedy)
{
    char line[PATH_MAX + 256];
    size_t n = 0;
    const char *parts[] = {
        "heapglass: ", session.config.path, ": ", what, "; ", remedy, "\n"};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t m = strlen(parts[i]);
        if (m > sizeof line - n)
            m = sizeof line - n;
        memcpy(line + n, parts[i], m);
        n += m;
    }
    if (write(STDERR_FILENO, line, n) < 0) {
        /* Standard error is closed: there is nobody to tell. */
    }
}

bool session_configure(void)
{
    struct session_config *config = &session.config;
    const char *path = getenv("HEAPGLASS_LEDGER");
    const char *started = getenv("HEAPGLASS_SESSION");
    const char *mode = getenv("HEAPGLASS_MODE");
    const char *recycled = getenv("HEAPGLASS_RECYCLED");
    const char *native = getenv("HEAPGLASS_NATIVE");
    const char *children = getenv("HEAPGLASS_CHILDREN");

    if (path == NULL || started == NULL || path[0] != '/' ||
        strlen(path) > sizeof config->path - 32)
        return false;
    strcpy(config->path, path);
    config->started = (pid_t)strtol(started, NULL, 10);
    config->mode = LEDGER_MODE_STACKS;
    if (mode != NULL && strcmp(mode, "lines") == 0)
        config->mode = LEDGER_MODE_LINES;
    if (mode != NULL && strcmp(mode, "untraced") == 0)
        config->mode = LEDGER_MODE_UNTRACED;
    config->recycled = recycled == NULL || strcmp(recycled, "0") != 0;
    config->every_program = native != NULL && strcmp(native, "2") == 0;
    config->native = native == NULL || strcmp(native, "0") != 0;
    config->children = children == NULL || strcmp(children, "0") != 0;
    return true;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct ledger_text put_file(struct ledger *ledger, const char *path)
{
    ssize_t n = process_read_file(path, scratch, sizeof scratch);
    return ledger_put_text(ledger, scratch, n > 0 ? (size_t)n : 0);
}

/* Who we are, for all readers. */
static void introduce(struct ledger_header *header)
{
    header->pid = getpid();
    header->parent_pid = getppid();
    header->session_pid = session.config.started;
    header->process_start = process_start_ticks(header->pid);
    header->start_ns = clock_ns(CLOCK_MONOTONIC);
    header->start_realtime_ns = clock_ns(CLOCK_REALTIME);
    header->mode = session.config.mode;
    process_boot_id(header->boot_id);
    if (heap_range(&header->heap.from, &header->heap.to))
        header->heap.anatomy = (uintptr_t)&heap_anatomy;
    header->heap.chunks = (uintptr_t)session_adapter.chunks;
    ledger_set_state(header, LEDGER_RUNNING);
}

static void introduce_program(struct ledger *ledger)
{
    struct ledger_header *header = ledger->header;
    ssize_t n;

    header->command = put_file(ledger, "/proc/self/cmdline");
    if (getcwd(scratch, sizeof scratch) != NULL)
        header->folder = ledger_put_text(ledger, scratch, strlen(scratch));
    n = readlink("/proc/self/exe", scratch, sizeof scratch);
    header->program = ledger_put_text(ledger, scratch, n > 0 ? (size_t)n : 0);
}

/* From here on the fast paths find their way. */
static void open_book(void)
{
    session.pid = getpid();
    shares_restart();
    book.header = session.ledger.header;
    if (session.config.mode != LEDGER_MODE_UNTRACED)
        book.nodes = session.ledger.nodes;
    timeline_start();
}

hg_status session_start(void)
{
    char path[PATH_MAX];
    bool first = getpid() == session.config.started;

    if (!first && !session.config.children)
        return HG_ENOTSUP;
    if (madvise(&book, sizeof book, MADV_WIPEONFORK) != 0) {
        say("the kernel cannot wipe memory at fork",
            "Linux 4.14 or newer is needed");
        return HG_ENOTSUP;
    }
    int fd = claim_ledger(&session.config, path);
    if (fd < 0) {
        if (first)
            say(strerror(errno), "the program runs unwatched");
        return HG_EIO;
    }
    hg_status status = ledger_init(&session.ledger, fd, path, 0);
    if (status == HG_OK) {
        introduce_program(&session.ledger);
        introduce(session.ledger.header);
    }
    close(fd); /* not earlier: now all can see whose it is */
    if (status == HG_OK)
        status = tree_init(&session.tree, &session.ledger);
    if (status == HG_OK)
        status = threads_start();
    if (status != HG_OK) {
        if (first)
            say(status == HG_EFULL ? "no room for the ledger"
                                   : "cannot make the ledger",
                "name another place with -o; the program runs unwatched");
        ledger_close(&session.ledger);
        return status;
    }
    session.active = true;
    open_book();
    return HG_OK;
}

/* Count something inherited for the node of its tag. */
static void recount(struct ledger *ledger, uint32_t tag, size_t bytes)
{
    struct ledger_inherited *inherited = ledger_at(ledger, LEDGER_INHERITED);
    uint64_t known = ledger->header->section[LEDGER_INHERITED].capacity;
    uint32_t node = tag_node(tag);

    /* Another thread may have been between its block and the tag when we forked. */
    if (node >= known || node < LEDGER_ROOT)
        node = LEDGER_NOT_RECORDED;
    inherited[node].bytes += bytes;
    inherited[node].blocks++;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the walk lends it for writing */
static void recount_block(void *arg, void *block, size_t usable, uint32_t *tag,
                          size_t requested)
{
    (void)block;
    recount(arg, *tag,
            requested != 0 ? requested : usable - (*tag & TAG_SLACK_MASK));
}

static void recount_mapping(void *arg, uint32_t tag, size_t bytes)
{
    recount(arg, tag, bytes);
}

/* What the child has inherited is what its own tags say. */
static void count_inherited(struct ledger *ledger,
                            const struct ledger_header *parent)
{
    struct ledger_header *header = ledger->header;
    const struct ledger_inherited *inherited = ledger_at(ledger, LEDGER_INHERITED);
    uint64_t known = header->section[LEDGER_INHERITED].capacity;

    heap_walk(recount_block, ledger);
    if (session_adapter.mappings != NULL)
        session_adapter.mappings(recount_mapping, ledger);
    for (uint64_t id = LEDGER_ROOT; id < known; id++) {
        ledger->nodes[id].counters.allocated_bytes = inherited[id].bytes;
        ledger->nodes[id].counters.allocated_blocks = inherited[id].blocks;
        header->peak_bytes += inherited[id].bytes;
    }
    /* A tag does not say its domain; the parent's counts are those of the fork, or
       a few operations later. */
    for (int d = LEDGER_MEM; d < LEDGER_DOMAINS; d++) {
        const struct ledger_counters *of = &parent->domain[d];
        header->domain[d].allocated_bytes = of->allocated_bytes - of->freed_bytes;
        header->domain[d].allocated_blocks =
            of->allocated_blocks - of->freed_blocks;
        header->domain_inherited[d] = (struct ledger_inherited){
            header->domain[d].allocated_bytes, header->domain[d].allocated_blocks};
    }
    ledger_publish(ledger, LEDGER_INHERITED, known);
    header->forked = 1;
}

static hg_status make_childs_ledger(struct ledger *child)
{
    struct ledger *parents = &session.ledger;
    struct ledger_header *from = parents->header;
    uint64_t threads = ledger_used(parents, LEDGER_THREADS);
    uint64_t nodes = LEDGER_FIRST_THREAD + (uint64_t)session.tree.nodes.count;
    char path[PATH_MAX];

    int fd = claim_childs_ledger(&session.config, path);
    if (fd < 0)
        return HG_EIO;
    hg_status status = ledger_init(child, fd, path, nodes);
    if (status == HG_OK)
        introduce(child->header);
    close(fd);
    if (status != HG_OK)
        return status;
    if (tree_copy(&session.tree, child) != HG_OK ||
        !ledger_reserve(child, LEDGER_THREADS, threads)) {
        session.tree.ledger = parents;
        ledger_close(child);
        unlink(path);
        return HG_EFULL;
    }
    memcpy(ledger_at(child, LEDGER_THREADS), ledger_at(parents, LEDGER_THREADS),
           threads * sizeof(struct ledger_thread));
    ledger_publish(child, LEDGER_THREADS, threads);
    struct ledger_header *header = child->header;
    /* The same program still, and its texts were copied with the others. */
    header->command = from->command;
    header->folder = from->folder;
    header->program = from->program;
    header->python = from->python;
    header->recycled = from->recycled;
    header->recycled_how = from->recycled_how;
    header->stacks_how = from->stacks_how;
    header->displaced = from->displaced;
    if (header->mode != LEDGER_MODE_UNTRACED)
        count_inherited(child, from);
    return HG_OK;
}

void session_forked(void)
{
    heap_after_fork_child();
    book_after_fork();
    lock_reset(&session_names);
    session.mended = getpid();
}

static bool start_child(void)
{
    static struct ledger child;

    if (session.mended != getpid()) {
        heap_after_bare_fork();
        book_after_fork();
        lock_reset(&session_names);
    }
    session_adapter.forked();
    hg_status status =
        session.config.children ? make_childs_ledger(&child) : HG_ENOTSUP;
    if (status != HG_OK) {
        if (session.config.children)
            __atomic_fetch_add(&session.ledger.header->lost.children, 1,
                               __ATOMIC_RELAXED);
        session.active = false;
        ledger_close(&session.ledger);
        session_adapter.stopped();
        return false;
    }
    ledger_close(&session.ledger);
    session.ledger = child;
    session.tree.ledger = &session.ledger; /* `child` is for the next fork */
    threads_after_fork();
    open_book();
    return true;
}

bool session_awake(void)
{
    if (!session.active)
        return false;
    if (book.header != NULL)
        return book.nodes != NULL;
    int saved = errno;
    bool awake = session.pid != getpid() && start_child();
    errno = saved;
    return awake && book.nodes != NULL;
}

/* No fast path writes the ledger any more. */
static void close_book(enum ledger_state state)
{
    timeline_finish();
    session.ledger.header->end_ns =
        clock_ns(CLOCK_MONOTONIC) - session.ledger.header->start_ns;
    ledger_set_state(session.ledger.header, state);
}

/* No path leads to the ledger any more. */
static void leave_book(void)
{
    book.nodes = NULL;
    book.header = NULL;
    session.active = false;
    session_adapter.stopped();
}

void session_finalize(void)
{
    if (!session.active || book.header == NULL)
        return;
    book_take_over();
    close_book(LEDGER_FINALIZED);
    leave_book();
}

void session_exit(int status, bool early)
{
    struct ledger_header *header = session.ledger.header;

    /* A vfork child shares this memory and must leave no trace in it. */
    if (header == NULL || session.pid != getpid() || header->state == LEDGER_EXITED)
        return;
    header->exit_status = status;
    header->exited_early = early;
    bool closed = header->state == LEDGER_FINALIZED ||
                  session.config.mode == LEDGER_MODE_UNTRACED;
    close_book(LEDGER_EXITED);
    if (!closed && process_is_alone()) {
        /* By exit() from C, say: what comes now is none of the program's work. */
        if (!early)
            leave_book();
        closed = true;
    }
    /* Without finalization other threads may still be making nodes. */
    if (closed)
        ledger_trim(&session.ledger);
}

bool session_replaced(void)
{
    return claim_mark_replaced(&session.config);
}

void session_say_unwatched(const char *what)
{
    char text[128];

    if (getpid() != session.config.started)
        return;
    snprintf(text, sizeof text, "nothing is recorded, for the program is %s", what);
    say(text, "run CPython 3.9 or later with it, or use --native");
}

static void note(struct ledger_text *where, const char *text)
{
    if (session.active)
        *where = ledger_put_text(&session.ledger, text, strlen(text));
}

void session_note_python(const char *version)
{
    note(&session.ledger.header->python, version);
}

void session_note_stacks(const char *how)
{
    note(&session.ledger.header->stacks_how, how);
}

void session_note_recycled(bool watched, const char *how)
{
    note(&session.ledger.header->recycled_how, how);
    if (session.active)
        session.ledger.header->recycled = watched;
}

void session_note_displaced(const char *what)
{
    note(&session.ledger.header->displaced, what);
}
