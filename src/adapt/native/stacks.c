/* SPDX-License-Identifier: MIT */
/*
 * stacks.c - who asks for memory in a program without an interpreter: its call
 * stack.
 *
 * A frame is a return address: the file that is mapped there, as a code without a
 * function, and the offset in it, as a line.  Readers make names of them
 * (analyze/symbols.c).  The stack is unwound by the compiler's own unwinder, which
 * allocates nothing; it is loaded here, so that a program that needs none of this
 * has no library more than before.
 *
 * There is no interpreter's lock: ours, taken for each block that comes or goes,
 * makes whoever holds it the writer of the accounts.
 */
#include "adapt/native/stacks.h"

#include "adapt/native/native.h"
#include "base/lock.h"
#include "trace/session.h"
#include "trace/threads.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

enum { DEPTH = 128, CACHE_BITS = 14 };

static struct lock accounts = {.rank = LOCK_ACCOUNTS};
static __thread bool holding __attribute__((tls_model("initial-exec")));

/* (parent, address) to node; guarded by `accounts`. */
static struct {
    uintptr_t ip; /* 0: free */
    uint32_t parent, node;
} cache[1 << CACHE_BITS];

/* All set before threads start. */
static _Unwind_Reason_Code (*backtrace_by)(_Unwind_Trace_Fn, void *);
static uintptr_t (*get_ip)(struct _Unwind_Context *);
static int (*find_object)(void *, struct dl_find_object *);
static uintptr_t own_begin, own_end;
static char program[PATH_MAX];

bool stacks_prepare(void)
{
    struct dl_find_object own;
    void *library = dlopen("libgcc_s.so.1", RTLD_NOW);

    if (library == NULL)
        return false;
    *(void **)&backtrace_by = dlsym(library, "_Unwind_Backtrace");
    *(void **)&get_ip = dlsym(library, "_Unwind_GetIP");
    *(void **)&find_object = dlsym(RTLD_DEFAULT, "_dl_find_object");
    if (backtrace_by == NULL || get_ip == NULL || find_object == NULL ||
        find_object((void *)cache, &own) != 0)
        return false;
    own_begin = (uintptr_t)own.dlfo_map_start;
    own_end = (uintptr_t)own.dlfo_map_end;
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    return n > 0;
}

/* ------------------------------------------------------------------- which node am
 * I?
 */

struct walk {
    uintptr_t ip[DEPTH]; /* innermost first */
    unsigned count;
};

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *arg)
{
    struct walk *walk = arg;
    uintptr_t ip = get_ip(context);

    if (ip == 0)
        return _URC_END_OF_STACK;
    /* Our own functions are the innermost ones. */
    if (walk->count == 0 && ip - own_begin < own_end - own_begin)
        return _URC_NO_REASON;
    if (walk->count == DEPTH)
        return _URC_END_OF_STACK;
    walk->ip[walk->count++] = ip;
    return _URC_NO_REASON;
}

static uint32_t name_node(uint32_t parent, uintptr_t ip)
{
    struct dl_find_object object;
    const char *file = "";
    uintptr_t base = 0;

    if (find_object((void *)ip, &object) == 0) {
        file = object.dlfo_link_map->l_name;
        base = object.dlfo_link_map->l_addr;
        if (*file == 0)
            file = program;
    }
    if (ip - base > UINT32_MAX) /* code that was made at run time */
        base = ip;
    lock_take(&session_names);
    uint32_t code = tree_code(&session.tree, file, strlen(file), "", 0,
                              LEDGER_LINES_ARE_OFFSETS);
    uint32_t node =
        code == 0 ? LEDGER_NOT_RECORDED
                  : tree_child(&session.tree, parent, code, (uint32_t)(ip - base));
    lock_release(&session_names);
    return node;
}

/* The address of the call, which lies before that of the return. */
static uint32_t child(uint32_t parent, uintptr_t ip)
{
    size_t slot =
        (((uint32_t)ip ^ parent << 16) * 0x9E3779B1u) >> (32 - CACHE_BITS);

    if (cache[slot].ip != ip || cache[slot].parent != parent) {
        cache[slot].node = name_node(parent, ip);
        cache[slot].ip = ip;
        cache[slot].parent = parent;
    }
    return cache[slot].node;
}

static void enter(void)
{
    if (holding)
        return;
    lock_take(&accounts);
    holding = true;
}

static struct owner owner(void)
{
    struct walk walk = {.count = 0};

    backtrace_by(add_frame, &walk);
    enter();
    if (book.nodes == NULL && !session_awake())
        return (struct owner){.node = LEDGER_NO_NODE};
    uint32_t node = threads_node();
    unsigned n = walk.count;
    if (session.config.mode == LEDGER_MODE_LINES && n > 1)
        n = 1;
    while (n-- > 0)
        node = child(node, walk.ip[n] - 1);
    return (struct owner){.node = node};
}

static bool is_away(void)
{
    enter();
    return false;
}

static void leave(void)
{
    if (!holding)
        return;
    holding = false;
    lock_release(&accounts);
}

/* --------------------------------------------------------------------------- its
 * life
 */

void stacks_trace(void)
{
    static const struct native_tracer tracer = {
        .owner = owner, .is_away = is_away, .leave = leave};

    session_note_stacks("return addresses, unwound by the compiler's library");
    native_trace(&tracer);
}

void stacks_before_fork(void)
{
    lock_take(&accounts);
}

void stacks_after_fork_parent(void)
{
    lock_release(&accounts);
}

void stacks_after_fork_child(void)
{
    lock_reset(&accounts);
}

void stacks_forked(void)
{
    /* Where nobody could wait for it: the child of _Fork() or clone(). */
    if (!holding)
        lock_reset(&accounts);
}

void stacks_finish(void)
{
    enter();
    session_finalize();
    leave();
}

/* What is mapped there next has other names. */
__attribute__((visibility("default"))) int dlclose(void *library)
{
    static int (*real)(void *);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "dlclose");
    int result = real(library);
    if (backtrace_by != NULL) {
        lock_take(&accounts);
        memset(cache, 0, sizeof cache);
        lock_release(&accounts);
    }
    return result;
}
