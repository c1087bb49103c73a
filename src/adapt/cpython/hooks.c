/* SPDX-License-Identifier: MIT */
/*
 * hooks.c - the allocator that CPython calls.
 *
 * One body, compiled for each layout of frames, mode and domain with these as
 * constants.  The way of a small block:
 *
 *     malloc   which node am I (frames.h), take a block (heap.h), write its tag,
 *              add to the node (book.h)
 *     free     find the pool, read the tag, subtract, give the block back
 */
#include "adapt/cpython/hooks.h"

#include "adapt/cpython/apart.h"
#include "adapt/cpython/asked.h"
#include "adapt/cpython/domains.h"
#include "adapt/cpython/frames.h"
#include "adapt/cpython/observer.h"
#include "adapt/cpython/proof.h"
#include "adapt/cpython/python.h"
#include "adapt/cpython/recycle.h"
#include "adapt/cpython/untraced.h"
#include "adapt/native/native.h"
#include "heap/heap.h"
#include "trace/block.h"
#include "trace/session.h"
#include "trace/threads.h"

#include <stdint.h>
#include <string.h>

static struct py_allocator installed[PY_DOMAINS];

/* ------------------------------------------------------------------------- traced
 */

/*
 * The fast paths are leaves: whatever is not usual they leave, by a tail call, to a
 * function that begins anew.  So they need no stack frame and save no register.
 */

static struct owner traced_owner(enum py_domain domain)
{
    if (domain == PY_RAW &&
        !frames_lock_is_mine(python.layout, current_state(python.layout))) {
        uint32_t node =
            book.nodes != NULL ? threads_node_unlocked() : LEDGER_NO_NODE;
        return (struct owner){.node = node, .away = true};
    }
    if (shares_on)
        return (struct owner){.node = apart_node()};
    if (domain == PY_RAW && book_has_away())
        book_take_over();
    return (struct owner){.node = frames_node()};
}

/* Whether a request is small, and no table of a dict that we want to know of. */
HG_ALWAYS_INLINE bool is_quiet(enum py_domain domain, size_t bytes)
{
    return domain == PY_OBJ ? bytes - 1 < recycle_quiet_bytes
                            : heap_is_small(bytes);
}

/* Take a small block and write it down; NULL: not on the fast path. */
HG_ALWAYS_INLINE void *take_small(struct heap *heap, enum py_domain domain,
                                  uint32_t node, size_t bytes)
{
    struct pool *pool;
    void *block = heap_alloc_fast(heap, heap_small_class(bytes), &pool);

    if (HG_UNLIKELY(block == NULL))
        return NULL;
    uint32_t tag = tag_of(node, heap_small_slack(bytes));
    pool->tags[heap_block_index(pool, block)] = tag;
    book_allocated(tag, domain_ledger(domain), bytes);
    return block;
}

/*
 * While interpreters run at the same time, nobody finds a frame in the book, and
 * nobody a block in the heap of all: so all blocks come and go by these two.
 */
static void *apart_malloc(enum py_domain domain, size_t bytes)
{
    struct owner owner = traced_owner(domain);
    size_t class = heap_small_class(bytes);
    struct pool *pool;

    if (bytes > SMALL_MAX || owner.node == LEDGER_NO_NODE)
        return domain_alloc(owner, domain, bytes, false);
    void *block = heap_alloc_fast(heap_mine, class, &pool);
    if (block == NULL && heap_refill(heap_mine, class))
        block = heap_alloc_fast(heap_mine, class, &pool);
    if (block == NULL)
        return domain_alloc(owner, domain, bytes, false);
    uint32_t tag = tag_of(owner.node, heap_small_slack(bytes));
    pool->tags[heap_block_index(pool, block)] = tag;
    shares_allocated(apart_share(), tag, domain_ledger(domain), bytes);
    return block;
}

static void apart_free(enum py_domain domain, void *block)
{
    size_t offset;
    struct pool *pool = heap_fast_pool(heap_mine, block, &offset);

    if (pool != NULL && book.nodes != NULL) {
        uint32_t tag = pool->tags[heap_block_index(pool, block)];
        if (tag_node(tag) != LEDGER_NO_NODE && !(tag & TAG_WATCHED)) {
            size_t bytes = heap_small_bytes(pool->class) - (tag & TAG_SLACK_MASK);
            shares_freed(apart_share(), tag, domain_ledger(domain), bytes);
            heap_free_fast(pool, block);
            return;
        }
    }
    domain_free(false, domain, block);
}

/* The same when the class's pool has no block left. */
static HG_NOINLINE void *take_small_slow(enum py_domain domain, uint32_t node,
                                         size_t bytes)
{
    if (HG_UNLIKELY(shares_on)) {
        frames_force_slow(); /* the last who found himself in the book */
        return apart_malloc(domain, bytes);
    }
    struct heap *heap = domain_heap_joined(domain);

    if (HG_LIKELY(heap_refill(heap, heap_small_class(bytes)))) {
        book_watch_epochs();
        return take_small(heap, domain, node, bytes);
    }
    return domain_alloc((struct owner){.node = node}, domain, bytes, false);
}

typedef void *malloc_moved(size_t bytes);

static HG_NOINLINE void *traced_malloc_slow(enum py_domain domain, size_t bytes)
{
    size_t n = domain_bytes(bytes);

    if (domain == PY_OBJ && n - 1 >= recycle_quiet_bytes &&
        (recycle_quiet_bytes == 0 || recycle_may_be_table(n)))
        recycle_asked(n);
    if (shares_on)
        return apart_malloc(domain, n);
    struct owner owner = traced_owner(domain);

    if (n <= SMALL_MAX && owner.node != LEDGER_NO_NODE && !owner.away) {
        void *block = take_small(domain_heap(domain), domain, owner.node, n);
        return block != NULL ? block : take_small_slow(domain, owner.node, n);
    }
    return domain_alloc(owner, domain, n, false);
}

/* A small block, when another function allocates than the last time. */
HG_ALWAYS_INLINE void *traced_malloc_moved(const struct py_layout *l,
                                           enum py_domain domain, size_t bytes)
{
    if (HG_UNLIKELY(shares_on))
        return apart_malloc(domain, domain_bytes(bytes));
    uint32_t node = frames_ask(l);
    if (HG_UNLIKELY(node == LEDGER_NO_NODE))
        return traced_malloc_slow(domain, bytes);
    void *block = take_small(domain_heap(domain), domain, node, bytes);
    return HG_LIKELY(block != NULL) ? block : take_small_slow(domain, node, bytes);
}

HG_ALWAYS_INLINE void *traced_malloc(const struct py_layout *l,
                                     enum ledger_mode mode, enum py_domain domain,
                                     malloc_moved *moved, size_t bytes)
{
    if (HG_UNLIKELY(!is_quiet(domain, bytes)) ||
        (domain == PY_RAW && !frames_lock_is_mine_fast(l, current_state(l))))
        return traced_malloc_slow(domain, bytes);
    uint32_t node = frames_fast(l, mode);
    if (HG_UNLIKELY(node == LEDGER_NO_NODE))
        return moved(bytes);
    void *block = take_small(domain_heap(domain), domain, node, bytes);
    if (HG_UNLIKELY(block == NULL))
        return take_small_slow(domain, node, bytes);
    return block;
}

static HG_NOINLINE void *traced_calloc_large(enum py_domain domain, size_t bytes)
{
    return domain_alloc(traced_owner(domain), domain, bytes, true);
}

HG_ALWAYS_INLINE void *traced_calloc(const struct py_layout *l,
                                     enum ledger_mode mode, enum py_domain domain,
                                     malloc_moved *moved, size_t count,
                                     size_t bytes)
{
    size_t product;

    if (!domain_product(count, bytes, &product))
        return NULL;
    if (product > SMALL_MAX)
        return traced_calloc_large(domain, product);
    void *block = traced_malloc(l, mode, domain, moved, product);
    return block != NULL ? memset(block, 0, domain_bytes(product)) : NULL;
}

/* Strike out and free a block of a pool that heap_fast_pool() gave; false: it is
   watched, and nothing was done. */
HG_ALWAYS_INLINE bool give_small(enum py_domain domain, struct pool *pool,
                                 void *block)
{
    uint32_t tag = pool->tags[heap_block_index(pool, block)];

    if (HG_UNLIKELY(tag & TAG_WATCHED))
        return false;
    size_t bytes = heap_small_bytes(pool->class) - (tag & TAG_SLACK_MASK);
    HG_OPAQUE(bytes);
    book_freed(tag, domain_ledger(domain), bytes);
    heap_free_fast(pool, block);
    return true;
}

static HG_NOINLINE void traced_free_slow(enum py_domain domain, void *block)
{
    const struct py_layout *l = python.layout;
    if (shares_on) {
        apart_free(domain, block);
        return;
    }
    bool away = domain == PY_RAW && !frames_lock_is_mine(l, current_state(l));
    struct heap *heap = domain_heap_joined(domain);
    size_t offset;

    if (book.nodes != NULL && domain != PY_RAW && heap_reopen(heap, block) &&
        give_small(domain, heap_fast_pool(heap, block, &offset), block))
        return;
    domain_free(away, domain, block);
}

HG_ALWAYS_INLINE void traced_free(const struct py_layout *l, enum py_domain domain,
                                  void *block)
{
    size_t offset;

    /* NULL is in no pool. */
    struct pool *pool = heap_fast_pool(domain_heap(domain), block, &offset);
    if (HG_UNLIKELY(pool == NULL || book.nodes == NULL) ||
        (domain == PY_RAW && (shares_on || book_has_away() ||
                              !frames_lock_is_mine_fast(l, current_state(l))))) {
        traced_free_slow(domain, block);
        return;
    }
    if (HG_UNLIKELY(!give_small(domain, pool, block)))
        traced_free_slow(domain, block);
}

static HG_NOINLINE void *traced_resize(enum py_domain domain, void *block,
                                       size_t bytes)
{
    return domain_resize(traced_owner(domain), domain, block, bytes);
}

/* From one small class to another, as growing lists do all the time. */
static HG_NOINLINE void *traced_move_small(enum py_domain domain,
                                           struct pool *old_pool, void *block,
                                           size_t bytes)
{
    struct owner owner = traced_owner(domain);
    uint32_t tag = old_pool->tags[heap_block_index(old_pool, block)];
    struct pool *pool;

    if (owner.node == LEDGER_NO_NODE || (tag & TAG_WATCHED))
        return domain_resize(owner, domain, block, bytes);
    void *moved =
        heap_alloc_fast(domain_heap(domain), heap_small_class(bytes), &pool);
    if (moved == NULL)
        return domain_resize(owner, domain, block, bytes);
    size_t old_bytes = heap_small_bytes(old_pool->class) - (tag & TAG_SLACK_MASK);
    memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
    uint32_t new_tag = tag_of(owner.node, heap_small_slack(bytes));
    pool->tags[heap_block_index(pool, moved)] = new_tag;
    book_freed(tag, domain_ledger(domain), old_bytes);
    heap_free_fast(old_pool, block);
    book_allocated(new_tag, domain_ledger(domain), bytes);
    return moved;
}

HG_ALWAYS_INLINE void *traced_realloc(const struct py_layout *l,
                                      enum ledger_mode mode, enum py_domain domain,
                                      malloc_moved *moved, void *block,
                                      size_t bytes)
{
    size_t offset;
    size_t n = domain_bytes(bytes);

    if (block == NULL)
        return traced_malloc(l, mode, domain, moved, bytes);
    struct pool *pool = heap_fast_pool(domain_heap(domain), block, &offset);
    if (domain == PY_RAW || pool == NULL || n > SMALL_MAX)
        return traced_resize(domain, block, n);
    if (heap_small_class(n) != pool->class)
        return traced_move_small(domain, pool, block, n);
    /* The block stays; it belongs to whoever resized it now. */
    uint32_t node = frames_fast(l, mode);
    uint32_t *tag = &pool->tags[heap_block_index(pool, block)];
    if (HG_UNLIKELY(node == LEDGER_NO_NODE || (*tag & TAG_WATCHED)))
        return traced_resize(domain, block, n);
    book_freed(*tag, domain_ledger(domain),
               heap_small_bytes(pool->class) - (*tag & TAG_SLACK_MASK));
    *tag = tag_of(node, heap_small_slack(n));
    book_allocated(*tag, domain_ledger(domain), n);
    return block;
}

static void look_at_frames(void *state);

/* ------------------------------------------------- a set of functions for each
 * case */

#define TRACED(name, row, mode, domain)                                            \
    static HG_NOINLINE void *moved_##name##_##domain(size_t bytes)                 \
    {                                                                              \
        return traced_malloc_moved(&(row), domain, bytes);                         \
    }                                                                              \
    static void *malloc_##name##_##domain(void *context, size_t bytes)             \
    {                                                                              \
        (void)context;                                                             \
        return traced_malloc(&(row), mode, domain, moved_##name##_##domain,        \
                             bytes);                                               \
    }                                                                              \
    static void *calloc_##name##_##domain(void *context, size_t count,             \
                                          size_t bytes)                            \
    {                                                                              \
        (void)context;                                                             \
        return traced_calloc(&(row), mode, domain, moved_##name##_##domain, count, \
                             bytes);                                               \
    }                                                                              \
    static void *realloc_##name##_##domain(void *context, void *block,             \
                                           size_t bytes)                           \
    {                                                                              \
        (void)context;                                                             \
        return traced_realloc(&(row), mode, domain, moved_##name##_##domain,       \
                              block, bytes);                                       \
    }                                                                              \
    static void free_##name##_##domain(void *context, void *block)                 \
    {                                                                              \
        (void)context;                                                             \
        traced_free(&(row), domain, block);                                        \
    }

#define ENTRY(name, domain)                                                        \
    [domain] = {NULL, malloc_##name##_##domain, calloc_##name##_##domain,          \
                realloc_##name##_##domain, free_##name##_##domain}

/*
 * Before a glance has found the frames as expected, and if a proof shows that they
 * are not, blocks are charged to their thread.  The functions for that are
 * installed first; they pass on to the others once these may be used, and replace
 * themselves by them where nobody has wrapped them in the meantime.
 */
static const struct py_allocator *sighted; /* NULL: read no frames */
static bool may_look = true;
static bool may_ask; /* once we may not */
static bool served;  /* see hooks_served() */

static struct owner blind_owner(enum py_domain domain)
{
    void *state = python.current_state != NULL ? python.current_state() : NULL;

    if (domain == PY_OBJ && state != NULL)
        served = true;
    if (domain == PY_RAW && state != NULL && python.this_threads_state() != state)
        return (struct owner){.node = book.nodes != NULL ? threads_node_unlocked()
                                                         : LEDGER_NO_NODE,
                              .away = true};
    uint32_t node = frames_blind();
    if (state != NULL && node != LEDGER_NO_NODE) {
        if (may_look && served)
            look_at_frames(state);
        else if (may_ask && domain != PY_RAW && !asked_busy() &&
                 !observer_is_proving())
            node = asked_node(threads_node());
    }
    return (struct owner){.node = node};
}

#define BLIND(domain)                                                              \
    static void *blind_malloc_##domain(void *context, size_t bytes)                \
    {                                                                              \
        if (sighted != NULL)                                                       \
            return sighted[domain].malloc(context, bytes);                         \
        size_t n = domain_bytes(bytes);                                            \
        if (n > PTRDIFF_MAX)                                                       \
            return NULL;                                                           \
        return domain_alloc(blind_owner(domain), domain, n, false);                \
    }                                                                              \
    static void *blind_calloc_##domain(void *context, size_t count, size_t bytes)  \
    {                                                                              \
        size_t product;                                                            \
        if (sighted != NULL)                                                       \
            return sighted[domain].calloc(context, count, bytes);                  \
        if (!domain_product(count, bytes, &product))                               \
            return NULL;                                                           \
        return domain_alloc(blind_owner(domain), domain, domain_bytes(product),    \
                            true);                                                 \
    }                                                                              \
    static void *blind_realloc_##domain(void *context, void *block, size_t bytes)  \
    {                                                                              \
        if (sighted != NULL)                                                       \
            return sighted[domain].realloc(context, block, bytes);                 \
        if (block == NULL)                                                         \
            return blind_malloc_##domain(context, bytes);                          \
        return domain_resize(blind_owner(domain), domain, block,                   \
                             domain_bytes(bytes));                                 \
    }                                                                              \
    static void blind_free_##domain(void *context, void *block)                    \
    {                                                                              \
        (void)context;                                                             \
        domain_free((domain) == PY_RAW && blind_owner(domain).away, domain,        \
                    block);                                                        \
    }

BLIND(PY_RAW)
BLIND(PY_MEM)
BLIND(PY_OBJ)

#define BLIND_ENTRY(domain)                                                        \
    [domain] = {NULL, blind_malloc_##domain, blind_calloc_##domain,                \
                blind_realloc_##domain, blind_free_##domain}
static const struct py_allocator blind[PY_DOMAINS] = {
    BLIND_ENTRY(PY_RAW), BLIND_ENTRY(PY_MEM), BLIND_ENTRY(PY_OBJ)};

#define TRACED_SET(name, row, mode)                                                \
    TRACED(name, row, mode, PY_RAW)                                                \
    TRACED(name, row, mode, PY_MEM)                                                \
    TRACED(name, row, mode, PY_OBJ)                                                \
    static const struct py_allocator set_##name[PY_DOMAINS] = {                    \
        ENTRY(name, PY_RAW), ENTRY(name, PY_MEM), ENTRY(name, PY_OBJ)};

#define TRACED_SETS(minor)                                                         \
    static const struct py_layout row_##minor = LAYOUT_##minor;                    \
    TRACED_SET(lines_##minor, row_##minor, LEDGER_MODE_LINES)                      \
    TRACED_SET(stacks_##minor, row_##minor, LEDGER_MODE_STACKS)
EACH_LAYOUT(TRACED_SETS)

#define SETS_ENTRY(minor) {&row_##minor, set_lines_##minor, set_stacks_##minor},
static const struct {
    const struct py_layout *row;
    const struct py_allocator *lines, *stacks;
} sets[] = {EACH_LAYOUT(SETS_ENTRY)};

static const struct py_allocator *choose_set(void)
{
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (sets[i].row->minor == python.layout->minor)
            return session.config.mode == LEDGER_MODE_LINES ? sets[i].lines
                                                            : sets[i].stacks;
    return NULL;
}

static bool all_ours(void)
{
    for (int domain = 0; domain < PY_DOMAINS; domain++)
        if (hooks_displaced(domain))
            return false;
    return true;
}

static void install(const struct py_allocator *set)
{
    for (int domain = 0; domain < PY_DOMAINS; domain++) {
        installed[domain] = set[domain];
        python.set_allocator(domain, &installed[domain]);
    }
}

void hooks_install(void)
{
    for (int domain = 0; domain < PY_DOMAINS; domain++)
        python.get_allocator(domain, &domains_before[domain]);
    may_look = python.layout != NULL;
    install(session.config.mode == LEDGER_MODE_UNTRACED ? untraced_hooks() : blind);
}

static void look_at_frames(void *state)
{
    enum glance glance = proof_glance(python.layout, state);

    if (glance == GLANCE_LATER)
        return;
    may_look = false;
    if (glance == GLANCE_WRONG)
        return;
    sighted = choose_set();
    if (sighted != NULL && all_ours())
        install(sighted);
}

/* Who asks malloc: often a function in C that has let go of the lock for a while.
 */
static struct owner native_owner(void)
{
    if (sighted == NULL)
        return blind_owner(PY_RAW);
    struct owner owner = traced_owner(PY_RAW);
    if (owner.away && owner.node != LEDGER_NO_NODE)
        owner.node = frames_node_away();
    return owner;
}

static bool native_is_away(void)
{
    const struct py_layout *l = python.layout;
    return sighted != NULL ? !frames_lock_is_mine(l, current_state(l))
                           : blind_owner(PY_RAW).away;
}

/* Somebody before us has asked malloc for what CPython wanted. */
static bool native_died(void *block, size_t bytes)
{
    if (!native_is_away())
        return frames_block_died(block, bytes);
    frames_block_died_away();
    return false;
}

void hooks_trace_native(void)
{
    static const struct native_tracer tracer = {.owner = native_owner,
                                                .is_away = native_is_away,
                                                .share = apart_share,
                                                .died = native_died};
    native_trace(&tracer);
}

bool hooks_served(void)
{
    return served;
}

bool hooks_sighted(void)
{
    return sighted != NULL;
}

void hooks_blind(void)
{
    if (all_ours())
        install(blind);
    sighted = NULL;
}

void hooks_ask(void)
{
    may_look = false;
    may_ask = true;
}

void hooks_untrace(void)
{
    /* Not if somebody took our place, or wrapped us: then the wrapper calls our
       traced functions on, and they find that no accounts are kept. */
    if (all_ours())
        install(untraced_hooks());
}

bool hooks_displaced(enum py_domain domain)
{
    struct py_allocator now;

    python.get_allocator(domain, &now);
    return now.malloc != installed[domain].malloc;
}
