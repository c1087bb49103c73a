/* SPDX-License-Identifier: MIT */
/*
 * frames.c - the rare answers to "which node of the call tree am I?"; see frames.h.
 *
 * Runs inside malloc, under the interpreter's lock: no stdio, no malloc, no call
 * into the interpreter that could allocate or run code.
 */
#include "adapt/cpython/frames.h"

#include "adapt/cpython/apart.h"
#include "adapt/cpython/codes.h"
#include "adapt/cpython/domains.h"
#include "adapt/cpython/observer.h"
#include "base/pages.h"
#include "heap/heap.h"
#include "trace/requests.h"
#include "trace/session.h"
#include "trace/threads.h"

#include <string.h>

struct node_cache_entry node_cache[NODE_CACHE_SETS][2];
__thread void *frames_my_state __attribute__((tls_model("initial-exec")));

enum { LINE_CACHE_BITS = 12, LINE_CACHE_ENTRIES = 1 << LINE_CACHE_BITS };
enum { FIRST_ENTRIES = 4096 / sizeof(struct frame_entry), BUCKETS = 256 };

/* The stacks of all thread states, by address; and those without one, for reuse. */
static struct frame_stack *buckets[BUCKETS];
static struct frame_stack *unused;

/* The frames of a walk that are above the joint, innermost first. */
struct walked {
    void **frames;
    uint32_t capacity;
};
static struct walked walked;

/* ----------------------------------------------------------------- naming a node
 */

static void remember_node(uint32_t parent, uintptr_t ip, uint32_t node)
{
    struct node_cache_entry *set = node_cache_set(parent, ip);

    if (set[0].ip != ip || set[0].parent != parent)
        set[1] = set[0];
    set[0] = (struct node_cache_entry){.ip = ip, .parent = parent, .node = node};
}

/* A frame that makes its cells, or the generator that it will be, counts as its
   caller; a generator's own frame never does, even at the same instruction. */
static bool is_before_start(const struct py_layout *l, const void *frame,
                            uintptr_t ip)
{
    return !frame_is_generator(l, frame) &&
           codes_before_start(l, frame_code(l, frame), ip);
}

void *frames_started(const struct py_layout *l, void *frame)
{
    while (frame != NULL) {
        if (!frame_is_shim(l, frame) &&
            !is_before_start(l, frame, frame_ip(l, frame)))
            break;
        frame = frame_previous(l, frame);
    }
    return frame;
}

/* What decoding an instruction's line gave; the same line is asked for again under
   other callers.  Forgotten as the cache of nodes is. */
static struct {
    uintptr_t ip;
    uint32_t code;
    uint32_t line;
} line_cache[LINE_CACHE_ENTRIES];

/* With session_names. */
static uint32_t name_node_locked(const struct py_layout *l, uint32_t parent,
                                 void *frame, uintptr_t ip)
{
    void *code = frame_code(l, frame);

    if (is_before_start(l, frame, ip))
        return parent;
    size_t slot = (uint32_t)(ip >> 1) * 0x9E3779B1u >> (32 - LINE_CACHE_BITS);
    if (line_cache[slot].ip != ip) {
        uint32_t id = codes_id(l, code);
        if (id == 0)
            return LEDGER_NOT_RECORDED;
        line_cache[slot].code = id;
        line_cache[slot].line = codes_line(l, code, ip);
        line_cache[slot].ip = codes_is_stranger(code) ? 0 : ip;
    }
    return tree_child(&session.tree, parent, line_cache[slot].code,
                      line_cache[slot].line);
}

uint32_t frames_name(const struct py_layout *l, uint32_t parent, void *frame,
                     uintptr_t ip)
{
    lock_take(&session_names);
    uint32_t node = name_node_locked(l, parent, frame, ip);
    lock_release(&session_names);
    return node;
}

/* What a remembered instruction depends on may be gone before anybody tells. */
static bool is_strangers(const struct py_layout *l, const void *frame)
{
    return codes_is_stranger(frame_code(l, frame));
}

static HG_NOINLINE uint32_t node_missed(const struct py_layout *l, uint32_t parent,
                                        void *frame, uintptr_t ip)
{
    const struct node_cache_entry *set = node_cache_set(parent, ip);
    uint32_t node;

    if (set[1].ip == ip && set[1].parent == parent)
        node = set[1].node;
    else if (codes_before_start(l, frame_code(l, frame), ip))
        /* Not for the cache: here the instruction alone does not tell. */
        return frames_name(l, parent, frame, ip);
    else
        node = frames_name(l, parent, frame, ip);
    if (!is_strangers(l, frame))
        remember_node(parent, ip, node);
    return node;
}

HG_ALWAYS_INLINE uint32_t node_of(const struct py_layout *l, uint32_t parent,
                                  void *frame, uintptr_t ip)
{
    const struct node_cache_entry *set = node_cache_set(parent, ip);

    if (HG_LIKELY(set[0].ip == ip && set[0].parent == parent))
        return set[0].node;
    return node_missed(l, parent, frame, ip);
}

/* By line, an unstarted frame's node is its caller's, which the instruction alone
   does not tell: such nodes are never remembered. */
static uint32_t line_node(const struct py_layout *l, void *frame)
{
    void *started = frames_started(l, frame);

    if (started == NULL)
        return book.base_node;
    uintptr_t ip = frame_ip(l, started);
    uint32_t node = node_of(l, book.base_node, started, ip);
    bool itself = started == frame && !is_strangers(l, frame);
    book.top_ip = itself ? ip : 0;
    book.top_node = node;
    return node;
}

/* ------------------------------------------------------------- remembered stacks
 */

static struct frame_stack **bucket_of(const void *state)
{
    return &buckets[((uintptr_t)state >> 4) * 0x9E3779B97F4A7C15u >> 56];
}

static struct frame_stack *find_stack(const void *state)
{
    struct frame_stack *stack = *bucket_of(state);
    while (stack != NULL && stack->state != state)
        stack = stack->next;
    return stack;
}

static struct frame_stack *new_stack(void *state)
{
    struct frame_stack *stack = unused;

    if (stack != NULL) {
        unused = stack->next;
    } else {
        /* A page of them at a time. */
        stack = pages_map(PAGE_BYTES);
        if (stack == NULL)
            return NULL;
        for (size_t i = 1; i < PAGE_BYTES / sizeof *stack; i++) {
            stack[i].next = unused;
            unused = &stack[i];
        }
    }
    if (stack->entries == NULL) {
        stack->entries = pages_map(PAGE_BYTES);
        if (stack->entries == NULL) {
            stack->next = unused;
            unused = stack;
            return NULL;
        }
        stack->capacity = FIRST_ENTRIES;
    }
    stack->state = state;
    stack->depth = 0;
    stack->next = *bucket_of(state);
    *bucket_of(state) = stack;
    /* The main thread's state is static; the others are blocks of ours. */
    domain_watch(state);
    return stack;
}

static void drop_stack(const void *state)
{
    struct frame_stack **at = bucket_of(state);

    while (*at != NULL && (*at)->state != state)
        at = &(*at)->next;
    struct frame_stack *stack = *at;
    if (stack == NULL)
        return;
    *at = stack->next;
    if (stack->capacity > FIRST_ENTRIES) {
        /* Nobody knows how deep the next owner's stack will be. */
        pages_unmap(stack->entries, stack->capacity * sizeof *stack->entries);
        stack->entries = NULL;
        stack->capacity = 0;
    }
    stack->next = unused;
    unused = stack;
    if (book.stack == stack) {
        book.stack = NULL;
        frames_force_slow();
    }
}

void frames_forget(void)
{
    for (int i = 0; i < BUCKETS; i++)
        for (struct frame_stack *s = buckets[i]; s != NULL; s = s->next)
            s->depth = 0;
    frames_force_slow();
    apart_forget();
}

void frames_force_slow(void)
{
    book.top_key = 0;
    book.state_key = 0;
}

/* The lock has passed to another thread, or this one has another state. */
static bool switch_state(void *state)
{
    struct frame_stack *stack = find_stack(state);
    uint64_t id = python.state_id(state);
    uint32_t base = threads_node();

    frames_my_state = state;
    book_take_over();
    if (stack == NULL)
        stack = new_stack(state);
    if (stack == NULL)
        return false;
    if (stack->state_id != id || stack->base_node != base) {
        stack->state_id = id;
        stack->base_node = base;
        stack->depth = 0;
    }
    book.stack = stack;
    book.state_key = book_key(state);
    book.base_node = base;
    book.top_key = 0;
    book.top_ip = 0;
    return true;
}

static bool more_entries(struct frame_stack *stack, uint32_t need)
{
    if (need <= stack->capacity)
        return true;
    uint32_t capacity = stack->capacity;
    while (capacity < need)
        capacity *= 2;
    struct frame_entry *entries = pages_map(capacity * sizeof *entries);
    if (entries == NULL)
        return false;
    memcpy(entries, stack->entries, stack->depth * sizeof *entries);
    pages_unmap(stack->entries, stack->capacity * sizeof *entries);
    stack->entries = entries;
    stack->capacity = capacity;
    return true;
}

static bool more_walked(struct walked *into, uint32_t need)
{
    if (need <= into->capacity)
        return true;
    uint32_t capacity = into->capacity != 0 ? into->capacity * 2 : 512;
    void **frames = pages_map(capacity * sizeof *frames);
    if (frames == NULL)
        return false;
    if (into->frames != NULL) {
        memcpy(frames, into->frames, into->capacity * sizeof *frames);
        pages_unmap(into->frames, into->capacity * sizeof *frames);
    }
    into->frames = frames;
    into->capacity = capacity;
    return true;
}

/* ------------------------------------------------------------ joining the stacks
 */

HG_ALWAYS_INLINE void mark(const struct py_layout *l, void *frame)
{
    char *at = frame;

    if (!python.may_mark || (l->frame_objects ? frame_is_generator(l, frame)
                                              : frame_owner(l, frame) != 0))
        return;
    if (l->mark == MARK_TRACE_LINES) {
        if (at[l->frame_trace_lines] == 1)
            at[l->frame_trace_lines] = MARKED_TRACE_LINES;
    } else if (l->mark == MARK_OWNER) {
        at[l->frame_owner] = MARKED_OWNER;
    } else if (l->mark == MARK_RETURN) {
        uintptr_t word = (uintptr_t)word_at(frame, l->frame_stacktop);
        if ((word & RUNS_MASK) == RUNS)
            *(uintptr_t *)(at + l->frame_stacktop) = word | MARKED_RUNS;
    } else if (l->mark == MARK_LOCALS) {
        enum { OPTIMIZED = 1 };
        const char *code = frame_code(l, frame);
        if (word_at(frame, l->frame_locals) == NULL &&
            (*(const int *)(code + l->code_flags) & OPTIMIZED))
            *(void **)(at + l->frame_locals) = python.none;
    }
}

void frames_mark(const struct py_layout *l, void *frame)
{
    mark(l, frame);
}

HG_ALWAYS_INLINE void *caller(const struct py_layout *l, const void *frame)
{
    void *previous = frame_previous(l, frame);
    while (previous != NULL && frame_is_shim(l, previous))
        previous = frame_previous(l, previous);
    return previous;
}

/* Where a frame is remembered; -1: nowhere.  The search is bounded: a miss only
   means a longer walk. */
static int64_t find_entry(const struct frame_stack *stack, const void *frame,
                          uint32_t *budget)
{
    for (uint32_t j = stack->depth; j > 0 && *budget > 0; j--, (*budget)--)
        if (stack->entries[j - 1].frame == frame)
            return j - 1;
    return -1;
}

static uint32_t parent_node(const struct frame_stack *stack, uint32_t index)
{
    return index > 0 ? stack->entries[index - 1].node : stack->base_node;
}

/* Bring the remembered instruction of a frame up to date.  If it has moved on,
   whatever it had called has returned. */
HG_ALWAYS_INLINE void refresh(const struct py_layout *l, struct frame_stack *stack,
                              uint32_t index)
{
    struct frame_entry *entry = &stack->entries[index];
    uintptr_t ip = frame_ip(l, entry->frame);

    if (entry->ip != ip) {
        entry->node = node_of(l, parent_node(stack, index), entry->frame, ip);
        entry->ip = ip;
        stack->depth = index + 1;
    }
}

static uint32_t set_top(struct frame_stack *stack)
{
    const struct frame_entry *top = &stack->entries[stack->depth - 1];

    book.top_key = book_key(top->frame);
    book.top_ip = top->ip;
    book.top_node = top->node;
    book.top_parent = parent_node(stack, stack->depth - 1);
    return top->node;
}

HG_ALWAYS_INLINE void put_entry(const struct py_layout *l,
                                struct frame_stack *stack, uint32_t index,
                                void *frame)
{
    uintptr_t ip = frame_ip(l, frame);

    stack->entries[index] = (struct frame_entry){
        .frame = frame,
        .ip = ip,
        .node = node_of(l, parent_node(stack, index), frame, ip)};
    mark(l, frame);
}

/*
 * Whether the callers of a remembered frame without a mark, which is under way,
 * stand where they stood.  Each frame that is looked at is named by one that is
 * under way. The addresses are ours, so that the loads need not wait for each
 * other.
 */
HG_ALWAYS_INLINE bool callers_stand(const struct py_layout *l,
                                    const struct frame_stack *stack, uint32_t index)
{
    const struct frame_entry *entry = &stack->entries[index];
    const void *frame = entry->frame;

    for (; entry-- != stack->entries; frame = entry->frame) {
        /* No shim lies where a frame was, so most need not be asked. */
        if (frame_previous(l, frame) != entry->frame &&
            caller(l, frame) != entry->frame)
            return false;
        if (frame_ip(l, entry->frame) != entry->ip)
            return false;
        if (frame_is_marked(l, entry->frame))
            return true;
    }
    return caller(l, frame) == NULL;
}

/* Where a frame is among the last that are remembered, counted from 1; 0: nowhere.
 */
HG_ALWAYS_INLINE uint32_t find_near_top(const struct frame_stack *stack,
                                        const void *frame)
{
    enum { NEAR = 8 };
    uint32_t depth = stack->depth;

    for (uint32_t j = depth; j > 0 && j + NEAR > depth; j--)
        if (stack->entries[j - 1].frame == frame)
            return j;
    return 0;
}

/*
 * Frames without a mark stand if all below them do and they have not moved. `above`
 * are `n` frames, innermost first; how many do not stand is returned, and *kept is
 * how many of the remembered do.
 */
HG_ALWAYS_INLINE uint32_t stand(const struct py_layout *l,
                                struct frame_stack *stack, void *const *above,
                                uint32_t n, uint32_t *kept)
{
    while (n > 0 && *kept < stack->depth) {
        void *frame = above[n - 1];
        if (stack->entries[*kept].frame != frame ||
            stack->entries[*kept].ip != frame_ip(l, frame))
            break;
        mark(l, frame);
        ++*kept;
        n--;
    }
    return n;
}

/*
 * What mostly happens between two allocations: a remembered frame near the top has
 * called functions, resumed coroutines, or been returned to.  False: something
 * else.
 */
HG_ALWAYS_INLINE bool step(const struct py_layout *l, struct frame_stack *stack,
                           void *frame)
{
    enum { ABOVE_MAX = 8 };
    void *above[ABOVE_MAX];
    uint32_t n = 0;    /* frames above the joint */
    uint32_t kept = 0; /* remembered frames that stand */

    for (; frame != NULL; frame = caller(l, frame)) {
        bool marked = frame_is_marked(l, frame);
        if (marked || !frame_marks_last(l)) {
            kept = find_near_top(stack, frame);
            if (kept != 0)
                break;
            if (frame_marks_last(l))
                return false;
        }
        if (n == ABOVE_MAX)
            return false;
        above[n++] = frame;
    }
    if (kept != 0) {
        if (!frame_marks_last(l) && !frame_is_marked(l, frame)) {
            if (!callers_stand(l, stack, kept - 1))
                return false;
            mark(l, frame);
        }
        refresh(l, stack, kept - 1);
    }
    n = stand(l, stack, above, n, &kept);
    if (!more_entries(stack, kept + n))
        return false;
    for (; n > 0; n--, kept++)
        put_entry(l, stack, kept, above[n - 1]);
    stack->depth = kept;
    return true;
}

static uint32_t rejoin(const struct py_layout *l, struct frame_stack *stack,
                       void *frame)
{
    uint32_t budget = stack->depth + 64;
    uint32_t above = 0; /* frames walked */
    uint32_t kept = 0;  /* remembered frames that stand */

    for (void *f = frame; f != NULL; f = caller(l, f)) {
        if (frame_is_marked(l, f)) {
            int64_t at = find_entry(stack, f, &budget);
            if (at >= 0) {
                kept = (uint32_t)at + 1;
                refresh(l, stack, (uint32_t)at);
                break;
            }
        }
        if (!more_walked(&walked, above + 1)) {
            session.ledger.header->lost.frames_too_deep++;
            return LEDGER_NOT_RECORDED;
        }
        walked.frames[above++] = f;
    }
    above = stand(l, stack, walked.frames, above, &kept);
    if (!more_entries(stack, kept + above)) {
        session.ledger.header->lost.frames_too_deep++;
        stack->depth = 0;
        return LEDGER_NOT_RECORDED;
    }
    for (; above > 0; above--, kept++)
        put_entry(l, stack, kept, walked.frames[above - 1]);
    stack->depth = kept;
    return set_top(stack);
}

uint32_t frames_blind(void)
{
    if (book.nodes == NULL && !session_awake())
        return LEDGER_NO_NODE;
    observer_slow_path();
    observer_no_frame(); /* there may be one, but nothing else tells of the end */
    return book.nodes != NULL ? threads_node_unlocked() : LEDGER_NO_NODE;
}

/* A stack's frames from the first of a stranger on: only walks find them again. */
static void forget_strangers(const struct py_layout *l, struct frame_stack *stack)
{
    uint32_t n = 0;

    while (n < stack->depth && !is_strangers(l, stack->entries[n].frame))
        n++;
    if (n < stack->depth) {
        stack->depth = n;
        book.top_key = 0;
    }
}

HG_ALWAYS_INLINE uint32_t stack_node(const struct py_layout *l,
                                     struct frame_stack *stack, void *frame)
{
    if (book.top_key == book_key(frame) && frame_is_marked(l, frame)) {
        /* Only the instruction is new, and was not where the fast path looks. */
        refresh(l, stack, stack->depth - 1);
        return set_top(stack);
    }
    uint32_t depth = stack->depth;
    if (depth > 0 && stack->entries[depth - 1].frame == frame &&
        callers_stand(l, stack, depth - 1)) {
        mark(l, frame);
        refresh(l, stack, depth - 1);
        return set_top(stack);
    }
    if (step(l, stack, frame))
        return set_top(stack);
    return rejoin(l, stack, frame);
}

HG_ALWAYS_INLINE uint32_t slow(const struct py_layout *l, void *state, void *frame)
{
    if (HG_UNLIKELY(book.nodes == NULL) && !session_awake())
        return LEDGER_NO_NODE;
    if (HG_UNLIKELY(observer_attention)) {
        observer_attend();
        if (book.nodes == NULL) /* the interpreter finalizes */
            return LEDGER_NO_NODE;
        if (observer_is_proving())
            return threads_node_unlocked();
    }
    requests_look();
    if (HG_UNLIKELY(state == NULL))
        return threads_node_unlocked();
    struct frame_stack *stack = book.stack;
    if (book.state_key == book_key(state) && book.top_key != 0 &&
        stack->depth > 0) {
        /* The book was ahead of the stack. */
        stack->entries[stack->depth - 1].ip = book.top_ip;
        stack->entries[stack->depth - 1].node = book.top_node;
    }
    book_watch_epochs();
    if (book.state_key != book_key(state)) {
        if (!switch_state(state)) {
            session.ledger.header->lost.frames_too_deep++;
            return LEDGER_NOT_RECORDED;
        }
        stack = book.stack;
    }
    while (frame != NULL && frame_is_shim(l, frame))
        frame = frame_previous(l, frame);
    if (frame == NULL) {
        book.top_key = 0;
        observer_no_frame();
        return book.nodes != NULL ? book.base_node : LEDGER_NO_NODE;
    }
    if (session.config.mode == LEDGER_MODE_LINES)
        return line_node(l, frame);
    uint32_t node = stack_node(l, stack, frame);
    if (HG_UNLIKELY(codes_met_stranger))
        forget_strangers(l, stack);
    return node;
}

#define FRAMES_SLOW(name)                                                          \
    uint32_t frames_slow_##name(void *state, void *frame)                          \
    {                                                                              \
        static const struct py_layout row = LAYOUT_##name;                         \
        return slow(&row, state, frame);                                           \
    }
EACH_LAYOUT(FRAMES_SLOW)

/* ------------------------------------------------------------------ what is told
 */

/*
 * Blocks of code objects that died.  While they are held no other code comes to lie
 * there, so what is remembered of their instructions does no harm; and when all of
 * it is forgotten, it is for many of them at once.
 */
enum { DEAD_MAX = 256, DEAD_BYTES_MAX = 256 << 10 };
static struct {
    void *block[DEAD_MAX];
    uint32_t count;
    size_t bytes;
} dead;

static void release_dead(void)
{
    memset(node_cache, 0, sizeof node_cache);
    lock_take(&session_names);
    memset(line_cache, 0, sizeof line_cache);
    lock_release(&session_names);
    frames_forget();
    for (uint32_t i = 0; i < dead.count; i++)
        heap_free_in(heap_ours_joined(), dead.block[i]);
    dead.count = 0;
    dead.bytes = 0;
}

static void keep_dead(void *block, size_t bytes)
{
    dead.block[dead.count++] = block;
    dead.bytes += bytes;
    if (dead.count == DEAD_MAX || dead.bytes >= DEAD_BYTES_MAX)
        release_dead();
}

/* Interpreters with locks of their own bury in turns. */
static struct lock burying = {.rank = LOCK_ACCOUNTS};

static void keep_dead_apart(void *block, size_t bytes)
{
    lock_take(&burying);
    keep_dead(block, bytes);
    lock_release(&burying);
}

/* What was watched lay at the block's beginning, or behind a header. */

static bool code_died(char *block)
{
    bool was_code = false;

    lock_take(&session_names);
    for (size_t header = 0; !was_code && header <= domain_header_bytes;
         header += DOMAIN_HEADER_STEP)
        was_code = codes_died(block + header);
    lock_release(&session_names);
    return was_code;
}

static void state_died(char *block)
{
    for (size_t header = 0; header <= domain_header_bytes;
         header += DOMAIN_HEADER_STEP) {
        if (frames_my_state == block + header)
            frames_my_state = NULL;
        drop_stack(block + header);
    }
}

bool frames_block_died(void *block, size_t bytes)
{
    bool was_code = code_died(block);

    if (shares_on) {
        if (was_code)
            keep_dead_apart(block, bytes);
        return was_code;
    }
    if (!was_code) {
        state_died(block);
        return false;
    }
    keep_dead(block, bytes);
    return true;
}

void frames_block_died_away(void)
{
    /* Races with the lock's holder are harmless: what it stores in between it has
       just looked up, and if we overwrite that it looks it up once more. */
    __atomic_store_n(&book.top_key, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&book.state_key, 0, __ATOMIC_RELAXED);
}

void frames_forked(void)
{
    lock_reset(&burying);
    book.stack = NULL;
    frames_forget();
}

uint32_t frames_node_away(void)
{
    static struct walked chain; /* guarded by session_names */
    const struct py_layout *l = python.layout;
    uint32_t node = threads_node_unlocked();
    void *state = python.this_threads_state();
    uint32_t n = 0;

    if (state == NULL)
        return node;
    lock_take(&session_names);
    void *frame = frames_started(l, current_frame(l, state));
    if (session.config.mode == LEDGER_MODE_LINES) {
        if (frame != NULL)
            node = name_node_locked(l, node, frame, frame_ip(l, frame));
    } else {
        for (; frame != NULL; frame = caller(l, frame)) {
            if (frame_is_shim(l, frame))
                continue;
            if (!more_walked(&chain, n + 1)) {
                session.ledger.header->lost.frames_too_deep++;
                break;
            }
            chain.frames[n++] = frame;
        }
        while (n-- > 0)
            node = name_node_locked(l, node, chain.frames[n],
                                    frame_ip(l, chain.frames[n]));
    }
    lock_release(&session_names);
    return node;
}

bool frames_lock_is_mine_slow(void *state)
{
    if (python.this_threads_state() != state)
        return false;
    frames_my_state = state;
    return true;
}

#if HG_CHECK >= 2
void frames_check(void *state, void *frame, uint32_t node)
{
    const struct py_layout *l = python.layout;
    enum { DEEP = 5000, FRAMES_A_CHECK = 100 };
    static void *chain[1 << 20];
    /* So many, or a deep stack costs the square of its depth. */
    static uint32_t skip;
    uint32_t n = 0;

    if (node == LEDGER_NO_NODE || node == LEDGER_NOT_RECORDED || state == NULL ||
        observer_is_proving())
        return;
    if (skip > 0) {
        skip--;
        return;
    }
    if (session.config.mode == LEDGER_MODE_LINES) {
        chain[0] = frames_started(l, frame);
        n = chain[0] != NULL;
    } else {
        for (void *f = frame; f != NULL && n < sizeof chain / sizeof *chain;
             f = frame_previous(l, f))
            if (!frame_is_shim(l, f))
                chain[n++] = f;
    }
    if (n > DEEP)
        skip = n / FRAMES_A_CHECK;
    uint32_t want = threads_node();
    while (n > 0) {
        n--;
        want = frames_name(l, want, chain[n], frame_ip(l, chain[n]));
    }
    HG_VERIFY(want == node, "a node differs from a walk of all frames", frame);
}
#endif
