/* SPDX-License-Identifier: MIT */
/*
 * threads.c - threads take slots of the ledger and give them back when they end.
 *
 * A program may start threads by the thousand.  The lowest free slot is taken, so
 * workers that follow each other share a slot and the call tree under it, and the
 * number of slots is the largest number of threads that lived at one time.
 *
 *     slot LEDGER_OUTSIDE  threads that never held the interpreter's lock, together
 *     the last slot        everybody for whom there is none left
 */
#include "trace/threads.h"

#include "trace/book.h"
#include "trace/session.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NONE = -1 };

static __thread int mine __attribute__((tls_model("initial-exec"))) = NONE;
static pthread_key_t key;
static atomic_flag lock = ATOMIC_FLAG_INIT; /* guards `alive` of all slots */

static struct ledger_thread *slots(void)
{
    return ledger_at(&session.ledger, LEDGER_THREADS);
}

static void hold(void)
{
    while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire))
        __builtin_ia32_pause();
}

static void release(void)
{
    atomic_flag_clear_explicit(&lock, memory_order_release);
}

static void thread_ended(void *value)
{
    int slot = mine;

    (void)value;
    mine = NONE;
    /* A forked child's own ledger has the slots of its parent, too. */
    if (slot == NONE || book.header == NULL)
        return;
    hold();
    slots()[slot].alive = 0;
    release();
}

/* With session_names. */
static uint32_t name_slot(uint32_t slot)
{
    return tree_child(&session.tree, LEDGER_ROOT, 0, slot);
}

/* Take the lowest free slot.  With session_names. */
static int take_slot_locked(void)
{
    struct ledger *ledger = &session.ledger;
    uint64_t used = ledger_used(ledger, LEDGER_THREADS);
    struct ledger_thread *all = slots();
    uint64_t slot = 0;

    hold();
    while (slot < used && (all[slot].alive || slot == LEDGER_OUTSIDE))
        slot++;
    if (slot == used && !ledger_reserve(ledger, LEDGER_THREADS, used + 1))
        slot = used - 1;
    if (slot == used)
        all[slot] = (struct ledger_thread){0};
    all[slot].alive = 1;
    all[slot].threads++;
    all[slot].tid = (uint32_t)syscall(SYS_gettid);
    release();
    if (all[slot].node == LEDGER_NO_NODE)
        all[slot].node = name_slot((uint32_t)slot);
    if (slot == used)
        ledger_publish(ledger, LEDGER_THREADS, used + 1);
    return (int)slot;
}

static int take_slot(void)
{
    lock_take(&session_names);
    int slot = take_slot_locked();
    lock_release(&session_names);
    return slot;
}

hg_status threads_start(void)
{
    if (pthread_key_create(&key, thread_ended) != 0)
        return HG_ENOMEM;
    mine = take_slot();
    struct ledger *ledger = &session.ledger;
    if (mine != LEDGER_MAIN_THREAD ||
        !ledger_reserve(ledger, LEDGER_THREADS, LEDGER_OUTSIDE + 1))
        return HG_EFULL;
    lock_take(&session_names);
    uint32_t outside = name_slot(LEDGER_OUTSIDE);
    lock_release(&session_names);
    slots()[LEDGER_OUTSIDE] = (struct ledger_thread){.node = outside};
    ledger_publish(ledger, LEDGER_THREADS, LEDGER_OUTSIDE + 1);
    return HG_OK;
}

uint32_t threads_node(void)
{
    if (HG_UNLIKELY(mine == NONE)) {
        mine = take_slot();
        pthread_setspecific(key, &mine); /* not NULL: the destructor shall run */
    }
    return slots()[mine].node;
}

uint32_t threads_node_unlocked(void)
{
    return slots()[mine == NONE ? LEDGER_OUTSIDE : mine].node;
}

void threads_after_fork(void)
{
    uint64_t used = ledger_used(&session.ledger, LEDGER_THREADS);

    atomic_flag_clear(&lock);
    for (uint64_t i = 0; i < used; i++)
        slots()[i].alive = (int)i == mine;
    if (mine != NONE)
        slots()[mine].tid = (uint32_t)syscall(SYS_gettid);
}
