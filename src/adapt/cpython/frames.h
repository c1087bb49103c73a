/* SPDX-License-Identifier: MIT */
/* frames.h - which node of the call tree am I?  The question of every allocation.
 */
#ifndef HG_ADAPT_CPYTHON_FRAMES_H
#define HG_ADAPT_CPYTHON_FRAMES_H

#include "adapt/cpython/codes.h"
#include "adapt/cpython/layout.h"
#include "adapt/cpython/python.h"
#include "base/base.h"
#include "trace/book.h"
#include "trace/session.h"

/*
 * A thread's stack is remembered as it was when it last allocated: for each frame
 * its address, its instruction and the node that stands for it and its callers.
 *
 *     frames     main -> load -> parse -> scan          (the interpreter's)
 *     remembered main:3  load:7  parse:20               (parse allocated last)
 *                4       5       6                      (nodes)
 *
 * The next allocation need only look where today's chain joins the remembered one
 * and name what is above.  That the frames below the joint have not moved is proved
 * by a mark in the joint's frame (see layout.h), or else by comparing their
 * instructions, one by one.  Stopping at the first frame that merely looks the
 * same would be wrong: in a recursion its callers can have changed.
 *
 * The innermost frame is also kept in the book, so that the usual case, the same
 * function allocates again, touches nothing else.
 */
struct frame_entry {
    void *frame;
    uintptr_t ip;
    uint32_t node;
    uint32_t reserved;
};

struct frame_stack {
    void *state; /* whose; the block of a state that dies is watched */
    uint64_t state_id;
    struct frame_stack *next;    /* in its bucket */
    struct frame_entry *entries; /* outermost first */
    uint32_t depth;
    uint32_t capacity;
    uint32_t base_node; /* the thread's */
};

/*
 * A cache from (parent's node, instruction) to node, two ways a set.  What misses
 * decodes the line and asks the tree.  When a code object dies, its instructions
 * are taken out: others may come to lie at the same addresses.
 */
enum { NODE_CACHE_BITS = 12, NODE_CACHE_SETS = 1 << NODE_CACHE_BITS };

struct node_cache_entry {
    uintptr_t ip; /* 0: free */
    uint32_t parent;
    uint32_t node;
};

extern struct node_cache_entry node_cache[NODE_CACHE_SETS][2] HG_HIDDEN;

HG_ALWAYS_INLINE struct node_cache_entry *node_cache_set(uint32_t parent,
                                                         uintptr_t ip)
{
    uint32_t h = ((uint32_t)ip ^ parent << 16) * 0x9E3779B1u;
    return node_cache[h >> (32 - NODE_CACHE_BITS)];
}

/* ------------------------------------------------------------- the frame's fields
 */

HG_ALWAYS_INLINE void *frame_previous(const struct py_layout *l, const void *frame)
{
    return word_at(frame, l->frame_previous);
}

HG_ALWAYS_INLINE void *frame_code(const struct py_layout *l, const void *frame)
{
    uintptr_t code = (uintptr_t)word_at(frame, l->frame_code);
    return (void *)(l->tags_references ? code & ~(uintptr_t)3 : code);
}

HG_ALWAYS_INLINE uintptr_t frame_ip(const struct py_layout *l, const void *frame)
{
    if (!l->frame_objects)
        return (uintptr_t)word_at(frame, l->frame_ip);
    int lasti = *(const int *)((const char *)frame + l->frame_lasti);
    return codes_begin(l, frame_code(l, frame)) +
           ((uintptr_t)(intptr_t)lasti << l->lasti_shift);
}

HG_ALWAYS_INLINE uint8_t frame_owner(const struct py_layout *l, const void *frame)
{
    return *((const uint8_t *)frame + l->frame_owner);
}

HG_ALWAYS_INLINE bool frame_is_generator(const struct py_layout *l,
                                         const void *frame)
{
    if (l->frame_objects)
        return word_at(frame, l->frame_generator) != NULL;
    return frame_owner(l, frame) == l->owner_generator;
}

HG_ALWAYS_INLINE bool frame_is_shim(const struct py_layout *l, const void *frame)
{
    return l->owner_shim != 0 && frame_owner(l, frame) >= l->owner_shim;
}

HG_ALWAYS_INLINE bool frame_is_marked(const struct py_layout *l, const void *frame)
{
    switch (l->mark) {
    case MARK_TRACE_LINES:
        return *((const uint8_t *)frame + l->frame_trace_lines) ==
               MARKED_TRACE_LINES;
    case MARK_OWNER:
        return frame_owner(l, frame) == MARKED_OWNER;
    case MARK_RETURN:
        return ((uintptr_t)word_at(frame, l->frame_stacktop) & MARKED_RUNS_MASK) ==
               MARKED_RUNS;
    case MARK_LOCALS:
        return word_at(frame, l->frame_locals) == python.none &&
               frame_owner(l, frame) == 0;
    default:
        return false;
    }
}

/* Whether a frame keeps its mark when it calls a Python function. */
HG_ALWAYS_INLINE bool frame_marks_last(const struct py_layout *l)
{
    return l->mark != MARK_RETURN;
}

/* The lock holder's thread state. */
HG_ALWAYS_INLINE void *current_state(const struct py_layout *l)
{
    if (l->state_in_runtime)
        return *(void *volatile *)python.state;
    return python.current_state();
}

HG_ALWAYS_INLINE void *current_frame(const struct py_layout *l, const void *state)
{
    void *at = word_at(state, l->state_frame);
    return l->has_cframe ? word_at(at, l->cframe_frame) : at;
}

/* -------------------------------------------------------------- which node am I?
 */

/*
 * Everything but the usual case.  Returns LEDGER_NO_NODE when this process keeps no
 * accounts.  Holder of the interpreter's lock only, no block without a tag in hand.
 */
#define FRAMES_SLOW(name)                                                          \
    uint32_t frames_slow_##name(void *state, void *frame) HG_NOINLINE;
EACH_LAYOUT(FRAMES_SLOW)
#undef FRAMES_SLOW

HG_ALWAYS_INLINE uint32_t frames_slow(const struct py_layout *l, void *state,
                                      void *frame)
{
    enum { MAJOR = 300 };

    switch (l->minor + MAJOR) {
#define FRAMES_SLOW(name)                                                          \
    case name:                                                                     \
        return frames_slow_##name(state, frame);
        EACH_LAYOUT(FRAMES_SLOW)
#undef FRAMES_SLOW
    default:
        __builtin_unreachable();
    }
}

/* The node of a thread that has let go of the interpreter's lock and asks for
   itself: its frames stand still.  They are read from the innermost to the
   outermost. */
uint32_t frames_node_away(void);

/* The child of `parent` for a frame at an instruction, by decoding its line. */
uint32_t frames_name(const struct py_layout *layout, uint32_t parent, void *frame,
                     uintptr_t ip);

/* The first frame from here outwards that is a Python function under way; or NULL.
 */
void *frames_started(const struct py_layout *layout, void *frame);

/* Where frames cannot be read: the thread's own node. */
uint32_t frames_blind(void) HG_NOINLINE;

/* Mark a frame, if it is of a kind that can be marked. */
void frames_mark(const struct py_layout *layout, void *frame);

/* Every slow path next: something has to be looked at. */
void frames_force_slow(void);

/* Compare with a walk of all frames, and abort if they differ: -Dcheck=deep. */
void frames_check(void *state, void *frame, uint32_t node);

/*
 * The usual case: the frame that allocated last allocates again.  LEDGER_NO_NODE:
 * ask frames_slow().  Calls nothing, so that the functions around it need no stack
 * frame.
 */
HG_ALWAYS_INLINE uint32_t frames_fast(const struct py_layout *l,
                                      enum ledger_mode mode)
{
    void *state = current_state(l);
    /* By line, the state is the one remembered, which is never NULL. */
    if (HG_UNLIKELY(mode == LEDGER_MODE_LINES ? book_key(state) != book.state_key
                                              : state == NULL))
        return LEDGER_NO_NODE;
    void *frame = current_frame(l, state);
    uint32_t parent;

    if (mode == LEDGER_MODE_STACKS) {
        if (HG_UNLIKELY(book_key(frame) != book.top_key) ||
            !frame_is_marked(l, frame))
            return LEDGER_NO_NODE;
        parent = book.top_parent;
    } else {
        if (HG_UNLIKELY(frame == NULL) || frame_is_shim(l, frame))
            return LEDGER_NO_NODE;
        parent = book.base_node;
    }
    uintptr_t ip = frame_ip(l, frame);
    uint32_t node = book.top_node;
    if (ip != book.top_ip) {
        const struct node_cache_entry *set = node_cache_set(parent, ip);
        if (HG_UNLIKELY(set[0].ip != ip || set[0].parent != parent))
            return LEDGER_NO_NODE;
        node = set[0].node;
        book.top_ip = ip;
        book.top_node = node;
    }
    /* What is remembered is a node: it saves the callers a test to know. */
    if (node == LEDGER_NO_NODE)
        __builtin_unreachable();
#if HG_CHECK >= 2
    frames_check(state, frame, node);
#endif
    return node;
}

/* When frames_fast() does not know. */
HG_ALWAYS_INLINE uint32_t frames_ask(const struct py_layout *l)
{
    void *state = current_state(l);
    void *frame = state != NULL ? current_frame(l, state) : NULL;
    uint32_t node = frames_slow(l, state, frame);
#if HG_CHECK >= 2
    frames_check(state, frame, node);
#endif
    return node;
}

/* The same for whoever is on a slow path already. */
static inline uint32_t frames_node(void)
{
    const struct py_layout *l = python.layout;
    uint32_t node = frames_fast(l, session.config.mode);
    return node != LEDGER_NO_NODE ? node : frames_ask(l);
}

/* ------------------------------------------------------------------ what is told
 */

/* A watched block is freed: a code object or a thread's state.  Lock held.  True:
   it will be given back to the heap later, by frames.c. */
bool frames_block_died(void *block, size_t bytes) HG_COLD;

/* The same without the lock, as the states of threads are that end: nothing is done
   but that the next allocation looks whose state it has. */
void frames_block_died_away(void);

/* A frame was made to go on elsewhere, though its callees still run: forget what
   is remembered of all stacks.  Lock held. */
void frames_forget(void);

/* A forked child: forget everything about threads. */
void frames_forked(void);

/* Whether the calling thread holds the interpreter's lock; `state` is the lock
   holder's.  3.11 shows every thread the state of whoever holds it. */
bool frames_lock_is_mine_slow(void *state) HG_COLD;
extern __thread void *frames_my_state __attribute__((tls_model("initial-exec")))
HG_HIDDEN;

/* False: ask frames_lock_is_mine(). */
HG_ALWAYS_INLINE bool frames_lock_is_mine_fast(const struct py_layout *l,
                                               void *state)
{
    return state != NULL && (!l->state_in_runtime || state == frames_my_state);
}

HG_ALWAYS_INLINE bool frames_lock_is_mine(const struct py_layout *l, void *state)
{
    return frames_lock_is_mine_fast(l, state) ||
           (l->state_in_runtime && state != NULL &&
            frames_lock_is_mine_slow(state));
}

#endif
