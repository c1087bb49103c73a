/* SPDX-License-Identifier: MIT */
/*
 * apart.c - see apart.h; runs inside malloc, under the lock of some interpreter or
 * of none.
 *
 * The way of frames.c, with everything that it remembers in the thread: the joint
 * is found by a mark, what lies below a joint without one is compared.  A thread
 * may serve several interpreters by turns: then its remembered frames are not those
 * of today's chain, none of these is found among them, and all are named anew.
 */
#include "adapt/cpython/apart.h"

#include "adapt/cpython/frames.h"
#include "adapt/cpython/observer.h"
#include "base/pages.h"
#include "heap/heap.h"
#include "trace/threads.h"

#include <pthread.h>
#include <string.h>

enum { CACHE_BITS = 11, CACHE_ENTRIES = 1 << CACHE_BITS, FIRST_DEPTH = 512 };

/* What a thread remembers.  Mapped for it, and passed on to the next when it ends.
 */
struct view {
    struct share share;
    struct view *next; /* guarded by session_names; of those without a thread */
    struct frame_entry *entries; /* outermost first */
    void **above;                /* frames above the joint, innermost first */
    uint32_t depth;
    uint32_t capacity; /* of both */
    uint32_t generation;
    struct node_cache_entry cache[CACHE_ENTRIES];
};

static __thread struct view *mine __attribute__((tls_model("initial-exec")));
static __thread bool ended __attribute__((tls_model("initial-exec")));
static pthread_key_t key;
static bool key_made;
static struct view *unused; /* guarded by session_names */

/* Grows when something is to be forgotten.  Relaxed: whoever may run the code that
   is concerned has got its interpreter's lock from the one who said so. */
static _Atomic uint32_t generation = 1;

static void thread_ended(void *value)
{
    struct view *view = value;

    ended = true;
    mine = NULL;
    lock_take(&session_names);
    view->next = unused;
    unused = view;
    lock_release(&session_names);
}

void apart_begin(void)
{
    if (shares_on)
        return;
    key_made = pthread_key_create(&key, thread_ended) == 0;
    shares_begin();
    heap_ours_divide();
    apart_unsettled = true;
}

bool apart_unsettled;

void apart_settle(void)
{
    void *state = python.current_state();

    if (state == NULL || python.interp_of(state) != python.main_interp())
        return;
    apart_unsettled = false;
    frames_force_slow();
    heap_ours_leave();
    if (book.header != NULL)
        book_take_over();
}

void apart_forget(void)
{
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static struct view *new_view(void)
{
    struct view *view = pages_map((sizeof *view + PAGE_BYTES - 1) & -PAGE_BYTES);

    if (view != NULL)
        shares_add(&view->share);
    return view;
}

/* A thread whose destructors have run may still free blocks: no destructor would
   give another view back. */
static HG_NOINLINE struct view *take_view(void)
{
    if (ended || !key_made)
        return NULL;
    lock_take(&session_names);
    struct view *view = unused;
    if (view != NULL)
        unused = view->next;
    lock_release(&session_names);
    if (view == NULL)
        view = new_view();
    if (view == NULL)
        return NULL;
    view->generation = 0;
    mine = view; /* first: the next call may allocate */
    pthread_setspecific(key, view);
    return view;
}

static inline struct view *my_view(void)
{
    return HG_LIKELY(mine != NULL) ? mine : take_view();
}

struct share *apart_share(void)
{
    struct view *view = my_view();
    return view != NULL ? &view->share : NULL;
}

/* ----------------------------------------------------------------- naming a node
 */

static uint32_t node_of(const struct py_layout *l, struct view *view,
                        uint32_t parent, void *frame, uintptr_t ip)
{
    uint32_t h = ((uint32_t)ip ^ parent << 16) * 0x9E3779B1u;
    struct node_cache_entry *entry = &view->cache[h >> (32 - CACHE_BITS)];

    if (HG_LIKELY(entry->ip == ip && entry->parent == parent))
        return entry->node;
    uint32_t node = frames_name(l, parent, frame, ip);
    /* Not if the instruction alone does not tell, or another may come to lie there.
     */
    void *code = frame_code(l, frame);
    if (!codes_before_start(l, code, ip) && !codes_is_stranger(code))
        *entry =
            (struct node_cache_entry){.ip = ip, .parent = parent, .node = node};
    return node;
}

static void *skip_shims(const struct py_layout *l, void *frame)
{
    while (frame != NULL && frame_is_shim(l, frame))
        frame = frame_previous(l, frame);
    return frame;
}

/* ------------------------------------------------------------ joining the stacks
 */

static bool more_room(struct view *view)
{
    uint32_t capacity = view->capacity != 0 ? view->capacity * 2 : FIRST_DEPTH;
    struct frame_entry *entries = pages_map(capacity * sizeof *entries);
    void **above = pages_map(capacity * sizeof *above);

    if (entries == NULL || above == NULL) {
        if (entries != NULL)
            pages_unmap(entries, capacity * sizeof *entries);
        if (above != NULL)
            pages_unmap(above, capacity * sizeof *above);
        return false;
    }
    if (view->capacity != 0) {
        memcpy(entries, view->entries, view->capacity * sizeof *entries);
        memcpy(above, view->above, view->capacity * sizeof *above);
        pages_unmap(view->entries, view->capacity * sizeof *entries);
        pages_unmap(view->above, view->capacity * sizeof *above);
    }
    view->entries = entries;
    view->above = above;
    view->capacity = capacity;
    return true;
}

/* Where a frame is among the last that are remembered, counted from 1; 0: nowhere.
 */
static uint32_t find_near_top(const struct view *view, const void *frame)
{
    enum { NEAR = 8 };

    for (uint32_t j = view->depth; j > 0 && j + NEAR > view->depth; j--)
        if (view->entries[j - 1].frame == frame)
            return j;
    return 0;
}

static uint32_t parent_of(const struct view *view, uint32_t index, uint32_t base)
{
    return index > 0 ? view->entries[index - 1].node : base;
}

static void put_entry(const struct py_layout *l, struct view *view, uint32_t index,
                      void *frame, uint32_t base)
{
    uintptr_t ip = frame_ip(l, frame);

    view->entries[index] = (struct frame_entry){
        .frame = frame,
        .ip = ip,
        .node = node_of(l, view, parent_of(view, index, base), frame, ip)};
    frames_mark(l, frame);
}

/* How many of the remembered frames are at most below the joint; *above is how many
   of today's lie above it.  False: there is no room for so many. */
static bool find_joint(const struct py_layout *l, struct view *view, void *frame,
                       uint32_t *kept, uint32_t *above)
{
    *kept = 0;
    *above = 0;
    for (; frame != NULL; frame = skip_shims(l, frame_previous(l, frame))) {
        if (frame_is_marked(l, frame)) {
            *kept = find_near_top(view, frame);
            if (*kept != 0)
                return true;
        }
        if (*above == view->capacity && !more_room(view))
            return false;
        view->above[(*above)++] = frame;
    }
    return true;
}

/* The frames from the first of a stranger on: see codes.h. */
static void forget_strangers(const struct py_layout *l, struct view *view)
{
    for (uint32_t i = 0; i < view->depth; i++)
        if (codes_is_stranger(frame_code(l, view->entries[i].frame)))
            view->depth = i;
}

static uint32_t stack_node(const struct py_layout *l, struct view *view,
                           void *frame, uint32_t base)
{
    uint32_t kept, above;

    if (!find_joint(l, view, frame, &kept, &above))
        return LEDGER_NOT_RECORDED;
    if (kept > 0 &&
        view->entries[kept - 1].ip != frame_ip(l, view->entries[kept - 1].frame)) {
        /* It has moved on: whatever it had called has returned. */
        put_entry(l, view, kept - 1, view->entries[kept - 1].frame, base);
        view->depth = kept;
    }
    while (above > 0 && kept < view->depth &&
           view->entries[kept].frame == view->above[above - 1] &&
           view->entries[kept].ip == frame_ip(l, view->above[above - 1])) {
        frames_mark(l, view->above[above - 1]);
        kept++;
        above--;
    }
    while (kept + above > view->capacity)
        if (!more_room(view)) {
            view->depth = 0;
            return LEDGER_NOT_RECORDED;
        }
    for (; above > 0; above--, kept++)
        put_entry(l, view, kept, view->above[above - 1], base);
    view->depth = kept;
    uint32_t node = view->entries[kept - 1].node;
    if (HG_UNLIKELY(codes_met_stranger))
        forget_strangers(l, view);
    return node;
}

static uint32_t line_node(const struct py_layout *l, struct view *view, void *frame,
                          uint32_t base)
{
    void *started = frames_started(l, frame);

    if (started == NULL)
        return base;
    return node_of(l, view, base, started, frame_ip(l, started));
}

/* What the main interpreter's threads have to look after. */
static void attend(const struct py_layout *l, const void *state, const void *frame)
{
    if (word_at(state, l->state_interp) != python.main_interp())
        return;
    if (observer_attention)
        observer_attend();
    if (frame == NULL)
        observer_no_frame();
}

#if HG_CHECK >= 2
/* As frames_check() does it, with room of the thread's own. */
static void check(const struct py_layout *l, struct view *view, void *frame,
                  uint32_t base, uint32_t node)
{
    enum { DEEP = 5000, FRAMES_A_CHECK = 100 };
    static __thread uint32_t skip;
    bool lines = session.config.mode == LEDGER_MODE_LINES;
    uint32_t want = base;
    uint32_t n = 0;

    if (node == LEDGER_NO_NODE || node == LEDGER_NOT_RECORDED)
        return;
    if (skip > 0) {
        skip--;
        return;
    }
    void *f = lines ? frames_started(l, frame) : frame;
    for (; f != NULL; f = lines ? NULL : skip_shims(l, frame_previous(l, f))) {
        if (n == view->capacity && !more_room(view))
            return;
        view->above[n++] = f;
    }
    if (n > DEEP)
        skip = n / FRAMES_A_CHECK;
    for (; n > 0; n--)
        want = frames_name(l, want, view->above[n - 1],
                           frame_ip(l, view->above[n - 1]));
    HG_VERIFY(want == node || want == LEDGER_NOT_RECORDED,
              "a node differs from a walk of all frames", frame);
}
#endif

static void begin_anew(struct view *view, uint32_t now)
{
    memset(view->cache, 0, sizeof view->cache);
    view->depth = 0;
    view->generation = now;
}

uint32_t apart_node(void)
{
    const struct py_layout *l = python.layout;

    if (book.nodes == NULL && !session_awake())
        return LEDGER_NO_NODE;
    void *state = current_state(l);
    struct view *view = my_view();
    if (state == NULL || view == NULL || observer_is_proving())
        return threads_node_unlocked();
    void *frame = skip_shims(l, current_frame(l, state));
    if (HG_UNLIKELY(observer_attention || frame == NULL)) {
        attend(l, state, frame);
        if (book.nodes == NULL) /* the interpreter finalizes */
            return LEDGER_NO_NODE;
    }
    uint32_t base = threads_node();
    if (frame == NULL)
        return base;
    uint32_t now = atomic_load_explicit(&generation, memory_order_relaxed);
    if (HG_UNLIKELY(view->generation != now))
        begin_anew(view, now);
    uint32_t node = session.config.mode == LEDGER_MODE_LINES
                        ? line_node(l, view, frame, base)
                        : stack_node(l, view, frame, base);
#if HG_CHECK >= 2
    check(l, view, frame, base, node);
#endif
    return node;
}
