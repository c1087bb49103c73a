/* SPDX-License-Identifier: MIT */
/*
 * observer.c - what is to be done now and then, under the interpreter's lock.
 *
 * Nothing of ours runs by itself: no thread, no timer, no callback that the
 * program could see.  Work is left for the next slow path, and what must not run
 * inside malloc for a pending call, which the interpreter makes between two of the
 * main thread's instructions.
 */
#include "adapt/cpython/observer.h"

#include "adapt/cpython/asked.h"
#include "adapt/cpython/codes.h"
#include "adapt/cpython/collector.h"
#include "adapt/cpython/displaced.h"
#include "adapt/cpython/frames.h"
#include "adapt/cpython/guard.h"
#include "adapt/cpython/hooks.h"
#include "adapt/cpython/proof.h"
#include "adapt/cpython/python.h"
#include "adapt/cpython/recycle.h"
#include "base/process.h"
#include "heap/heap.h"
#include "trace/book.h"
#include "trace/requests.h"
#include "trace/session.h"

#include <stdio.h>
#include <string.h>

bool observer_attention = true; /* the set-up is waiting */

static enum { STARTING, SCHEDULED, PROVING, SET_UP } stage;

/* Inside the collector: what it frees next must not be lost from a finished
   program's accounts, and the lists that it switches on must be switched off again.
 */
static void collection_began(void)
{
    if (python.is_finalizing()) {
        session_finalize();
        return;
    }
    observer_attention = true;
    frames_force_slow();
}

bool observer_is_proving(void)
{
    return stage == PROVING;
}

static char stacks_how[160];

/* Another allocator stands before ours, and serves some objects itself. */
static void say_strangers(void)
{
    char text[sizeof stacks_how + 80];
    static bool said;

    if (said || !codes_met_stranger)
        return;
    said = true;
    snprintf(text, sizeof text,
             "%s; not what an allocator of the program's own holds", stacks_how);
    session_note_stacks(text);
}

static void say_stacks(enum proof proof, bool asked)
{
    static const char *const how[] = {
        [PROOF_OK] = "frames read in place, proved at start",
        [PROOF_MARKS] =
            "frames read in place, proved at start; no marks: all are compared",
        [PROOF_WRONG] = "frames are laid out in another way than known",
        [PROOF_NONE] = "the layout of frames is not known or could not be proved",
    };
    const char *instead = "";

    if (proof != PROOF_OK && proof != PROOF_MARKS)
        instead = asked ? ": Python is asked for each stack, which is slow"
                        : ": stacks not watched";
    snprintf(stacks_how, sizeof stacks_how, "%s%s", how[proof], instead);
    session_note_stacks(stacks_how);
    say_strangers();
}

static void prove(void)
{
    enum proof proof = PROOF_NONE;
    bool asked = false;

    stage = PROVING;
    observer_attention = true;
    frames_force_slow();
    if (python.layout != NULL && hooks_sighted()) {
        python.may_mark = !python.debug_build && guard_marks(python.layout);
        proof = proof_run(python.layout);
    } else if (python.layout != NULL) {
        proof = PROOF_WRONG; /* the glance has seen it */
    }
    if (proof == PROOF_MARKS)
        python.may_mark = false;
    if (proof == PROOF_WRONG || proof == PROOF_NONE) {
        hooks_blind();
        asked = asked_find() && proof_run(NULL) == PROOF_MARKS;
        if (asked)
            hooks_ask();
    }
    say_stacks(proof, asked);
    collector_watch();
    stage = SET_UP;
    observer_attention = false;
}

/* Between two instructions of the main thread, soon after the interpreter is up.
   Our objects must not make the program's collections come at other moments. */
static int set_up(void *arg)
{
    (void)arg;
    if (displaced_look())
        return 0;
    bool collects = python.gc_disable != NULL && python.gc_disable() != 0;
    int *young = hooks_sighted() ? proof_young_guess(python.layout) : NULL;
    int count = young != NULL ? *young : 0;

    prove();
    if (session.config.recycled) {
        struct recycle_result result;
        recycle_collection_began = collection_began;
        recycle_off(&result);
        session_note_recycled(result.watched, result.how);
    } else {
        session_note_recycled(false, "--no-recycled");
    }
    if (young != NULL && proof_found_collector())
        *young = count;
    if (collects)
        python.gc_enable();
    return 0;
}

void observer_attend(void)
{
    if (stage == STARTING && python.is_initialized()) {
        stage = SCHEDULED;
        observer_attention = false;
        if (python.add_pending_call(set_up, NULL) != 0) {
            stage = STARTING; /* the queue is full: again next time */
            observer_attention = true;
        }
    }
    if (stage == SET_UP) {
        say_strangers();
        observer_attention = !recycle_resume();
        if (observer_attention)
            frames_force_slow();
    }
}

bool observer_foreign_block(const void *block)
{
    if (!recycle_freed(block))
        return false;
    observer_attention = true;
    frames_force_slow();
    return true;
}

/* Between two instructions of the main thread. */
static int serve(void *arg)
{
    struct ledger_answer answer = {0};
    uint32_t what = python.is_finalizing() ? 0 : requests_begin();

    (void)arg;
    if (what == 0)
        return 0;
    answer.rss_before_bytes = process_rss_bytes();
    if ((what & LEDGER_COLLECT) != 0)
        collector_collect(&answer);
    if ((what & LEDGER_TRIM) != 0)
        answer.given_bytes = heap_trim_ours();
    answer.rss_after_bytes = process_rss_bytes();
    requests_answer(&answer);
    return 0;
}

bool observer_asked(void)
{
    return python.is_initialized() && python.add_pending_call(serve, NULL) == 0;
}

void observer_stopped(void)
{
    if (stage == SET_UP)
        recycle_on();
}

void observer_no_frame(void)
{
    if (python.is_finalizing())
        session_finalize();
}

void observer_collections(uint64_t counts[3])
{
    /* The main interpreter, where all programs but a few have all their objects;
       where its collector was proved to be. */
    const struct py_layout *l = python.layout;
    const char *interp = proof_found_collector() ? python.main_interp() : NULL;
    if (interp == NULL)
        return;
    const char *at = interp + l->interp_gc_stats;
    if (!l->gc_stats_in_rings) {
        for (int g = 0; g < 3; g++)
            memcpy(&counts[g], at + (size_t)24 * g, sizeof counts[g]);
        return;
    }
    /* Each generation's last collections; their number so far is in the newest. */
    static const size_t ITEM_BYTES = 64, ITEM_COLLECTIONS = 16;
    static const uint8_t items[3] = {11, 3, 3};
    at = *(const char *const *)at;
    for (int g = 0; g < 3 && at != NULL; g++) {
        uint8_t newest = (uint8_t)at[items[g] * ITEM_BYTES];
        if (newest < items[g])
            memcpy(&counts[g], at + newest * ITEM_BYTES + ITEM_COLLECTIONS,
                   sizeof counts[g]);
        at += items[g] * ITEM_BYTES + 8;
    }
}
