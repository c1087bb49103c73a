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
 *
 * A resized block belongs to the line that resized it, and counts as freed there
 * and allocated here, in this order, wherever it then lies: as with tracemalloc.
 */
#include "adapt/cpython/hooks.h"

#include "adapt/cpython/apart.h"
#include "adapt/cpython/asked.h"
#include "adapt/cpython/frames.h"
#include "adapt/cpython/observer.h"
#include "adapt/cpython/proof.h"
#include "adapt/cpython/python.h"
#include "adapt/cpython/recycle.h"
#include "adapt/native/native.h"
#include "heap/heap.h"
#include "trace/block.h"
#include "trace/session.h"
#include "trace/threads.h"

#include <stdint.h>
#include <string.h>

static struct py_allocator before[PY_DOMAINS]; /* whose place we took */
static struct py_allocator installed[PY_DOMAINS];

static const enum ledger_domain ledger_domains[PY_DOMAINS] = {
    [PY_RAW] = LEDGER_RAW, [PY_MEM] = LEDGER_MEM, [PY_OBJ] = LEDGER_OBJ};

/* Size 0 counts as 1, as CPython has it. */
HG_ALWAYS_INLINE size_t at_least_one(size_t bytes)
{
    return bytes + (bytes == 0);
}

static bool multiply(size_t count, size_t bytes, size_t *product)
{
    return !__builtin_mul_overflow(count, bytes, product) &&
           *product <= PTRDIFF_MAX;
}

/*
 * Blocks of MEM and OBJ come from the heap that the holders of the interpreter's
 * lock share, those of RAW from the thread's own.
 */
HG_ALWAYS_INLINE struct heap *heap_of(enum py_domain domain)
{
    return domain == PY_RAW ? heap_mine : heap_ours;
}

/* The same for the slow functions of the heap. */
static inline struct heap *heap_joined(enum ledger_domain domain)
{
    if (HG_UNLIKELY(apart_unsettled))
        apart_settle();
    return domain == LEDGER_RAW ? heap_mine : heap_ours_joined();
}

/*
 * Before an interpreter begins that may have a lock of its own, and so not take
 * turns with the others, the block of its state is allocated: in 3.12 by whoever
 * holds the lock of another, later by a thread that has just let go of it.
 */
static void look_for_interpreter(size_t bytes)
{
    enum { STATE_BYTES_MIN = 64 << 10, FIRST_MINOR = 12 };

    if (bytes >= STATE_BYTES_MIN &&
        (python.layout == NULL || python.layout->minor >= FIRST_MINOR) &&
        python.current_state != NULL &&
        (python.current_state() != NULL || python.is_initialized()))
        apart_begin();
}

/* ------------------------------------------------------------- blocks of any kind
 */

/* Write down a block of any kind that was just handed out. */
static void record(struct owner owner, enum ledger_domain domain,
                   const struct place *place, size_t bytes)
{
    block_note(place, owner.node, bytes);
    if (place->tag == NULL || owner.node == LEDGER_NO_NODE)
        return;
    if (shares_on) {
        shares_allocated(apart_share(), *place->tag, domain, bytes);
    } else if (owner.away) {
        book_away(owner.node, LEDGER_RAW, false, bytes);
    } else {
        book_watch_epochs();
        book_allocated(*place->tag, domain, bytes);
    }
}

static HG_COLD bool watched_died(void *block, const struct place *place,
                                 size_t bytes)
{
    *place->tag = tag_of(LEDGER_NO_NODE, 0);
    return frames_block_died(block, bytes);
}

/* Strike out a block of any kind that is about to be freed, or resized.  True: the
   adapter keeps it for now. */
static bool strike(bool away, enum ledger_domain domain, void *block,
                   const struct place *place, size_t bytes)
{
    uint32_t node;

    if (place->tag == NULL || book.nodes == NULL)
        return false;
    node = tag_node(*place->tag);
    if (node == LEDGER_NO_NODE)
        return false;
    if (shares_on) {
        shares_freed(apart_share(), *place->tag, domain, bytes);
        return (*place->tag & TAG_WATCHED) && watched_died(block, place, bytes);
    }
    if (away) {
        if (*place->tag & TAG_WATCHED)
            frames_block_died_away();
        book_away(node, LEDGER_RAW, true, bytes);
        return false;
    }
    book_freed(*place->tag, domain, bytes);
    return (*place->tag & TAG_WATCHED) && watched_died(block, place, bytes);
}

static HG_NOINLINE void *allocate_slow(struct owner owner,
                                       enum ledger_domain domain, size_t bytes,
                                       bool zero)
{
    struct place place;

    if (zero && domain == LEDGER_RAW)
        look_for_interpreter(bytes);
    void *block = heap_alloc_in(heap_joined(domain), 1, bytes, zero, &place);
    if (block != NULL)
        record(owner, domain, &place, bytes);
    return block;
}

static HG_NOINLINE void free_slow(bool away, enum py_domain domain, void *block)
{
    struct place place;

    if (block == NULL)
        return;
    if (book.nodes == NULL && !away)
        session_awake();
    if (domain == PY_RAW && !away && book_has_away())
        book_take_over();
    if (!heap_find(block, &place)) {
        if (domain != PY_OBJ || !observer_foreign_block(block))
            before[domain].free(before[domain].context, block);
        return;
    }
    size_t bytes = place.tag != NULL ? block_bytes(&place) : 0;
    if (!strike(away, ledger_domains[domain], block, &place, bytes))
        heap_free_in(heap_joined(ledger_domains[domain]), block);
}

/* A block of the allocator before us: resize it there, then move it here. */
static HG_COLD void *adopt(enum py_domain domain, void *block, size_t bytes,
                           struct owner owner)
{
    void *resized = before[domain].realloc(before[domain].context, block, bytes);

    if (resized == NULL)
        return NULL;
    void *ours = allocate_slow(owner, ledger_domains[domain], bytes, false);
    if (ours == NULL)
        return resized;
    memcpy(ours, resized, bytes);
    before[domain].free(before[domain].context, resized);
    return ours;
}

static HG_NOINLINE void *resize(struct owner owner, enum py_domain py_domain,
                                void *block, size_t bytes)
{
    enum ledger_domain domain = ledger_domains[py_domain];
    struct place old;
    struct place place;

    if (bytes > PTRDIFF_MAX)
        return NULL;
    if (!heap_find(block, &old))
        return adopt(py_domain, block, bytes, owner);
    /* Tags are true only while accounts are kept. */
    bool told = old.tag != NULL && book.nodes != NULL;
    size_t old_bytes = told ? block_bytes(&old) : old.usable;
    uint32_t old_tag = told ? *old.tag : 0;
    void *moved = block;
    if (!heap_resize_in_place(block, bytes, &place)) {
        moved = heap_remap_huge(block, bytes, &place);
        if (moved == NULL) {
            struct heap *heap = heap_joined(domain);
            moved = heap_alloc_in(heap, 1, bytes, false, &place);
            if (moved == NULL)
                return NULL;
            memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
            if (!strike(owner.away, domain, block, &old, old_bytes))
                heap_free_in(heap, block);
            record(owner, domain, &place, bytes);
            return moved;
        }
    }
    if (place.tag != NULL) {
        struct place then = {.tag = &old_tag};
        strike(owner.away, domain, block, &then, old_bytes);
        record(owner, domain, &place, bytes);
    }
    return moved;
}

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
    book_allocated(tag, ledger_domains[domain], bytes);
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
        return allocate_slow(owner, ledger_domains[domain], bytes, false);
    void *block = heap_alloc_fast(heap_mine, class, &pool);
    if (block == NULL && heap_refill(heap_mine, class))
        block = heap_alloc_fast(heap_mine, class, &pool);
    if (block == NULL)
        return allocate_slow(owner, ledger_domains[domain], bytes, false);
    uint32_t tag = tag_of(owner.node, heap_small_slack(bytes));
    pool->tags[heap_block_index(pool, block)] = tag;
    shares_allocated(apart_share(), tag, ledger_domains[domain], bytes);
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
            shares_freed(apart_share(), tag, ledger_domains[domain], bytes);
            heap_free_fast(pool, block);
            return;
        }
    }
    free_slow(false, domain, block);
}

/* The same when the class's pool has no block left. */
static HG_NOINLINE void *take_small_slow(enum py_domain domain, uint32_t node,
                                         size_t bytes)
{
    if (HG_UNLIKELY(shares_on)) {
        frames_force_slow(); /* the last who found himself in the book */
        return apart_malloc(domain, bytes);
    }
    struct heap *heap = heap_joined(ledger_domains[domain]);

    if (HG_LIKELY(heap_refill(heap, heap_small_class(bytes)))) {
        book_watch_epochs();
        return take_small(heap, domain, node, bytes);
    }
    return allocate_slow((struct owner){.node = node}, ledger_domains[domain],
                         bytes, false);
}

typedef void *malloc_moved(size_t bytes);

static HG_NOINLINE void *traced_malloc_slow(enum py_domain domain, size_t bytes)
{
    size_t n = at_least_one(bytes);

    if (domain == PY_OBJ && n - 1 >= recycle_quiet_bytes &&
        (recycle_quiet_bytes == 0 || recycle_may_be_table(n)))
        recycle_asked(n);
    if (shares_on)
        return apart_malloc(domain, n);
    struct owner owner = traced_owner(domain);

    if (n <= SMALL_MAX && owner.node != LEDGER_NO_NODE && !owner.away) {
        void *block = take_small(heap_of(domain), domain, owner.node, n);
        return block != NULL ? block : take_small_slow(domain, owner.node, n);
    }
    return allocate_slow(owner, ledger_domains[domain], n, false);
}

/* A small block, when another function allocates than the last time. */
HG_ALWAYS_INLINE void *traced_malloc_moved(const struct py_layout *l,
                                           enum py_domain domain, size_t bytes)
{
    if (HG_UNLIKELY(shares_on))
        return apart_malloc(domain, at_least_one(bytes));
    uint32_t node = frames_ask(l);
    if (HG_UNLIKELY(node == LEDGER_NO_NODE))
        return traced_malloc_slow(domain, bytes);
    void *block = take_small(heap_of(domain), domain, node, bytes);
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
    void *block = take_small(heap_of(domain), domain, node, bytes);
    if (HG_UNLIKELY(block == NULL))
        return take_small_slow(domain, node, bytes);
    return block;
}

static HG_NOINLINE void *traced_calloc_large(enum py_domain domain, size_t bytes)
{
    return allocate_slow(traced_owner(domain), ledger_domains[domain], bytes, true);
}

HG_ALWAYS_INLINE void *traced_calloc(const struct py_layout *l,
                                     enum ledger_mode mode, enum py_domain domain,
                                     malloc_moved *moved, size_t count,
                                     size_t bytes)
{
    size_t product;

    if (!multiply(count, bytes, &product))
        return NULL;
    if (product > SMALL_MAX)
        return traced_calloc_large(domain, product);
    void *block = traced_malloc(l, mode, domain, moved, product);
    return block != NULL ? memset(block, 0, at_least_one(product)) : NULL;
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
    book_freed(tag, ledger_domains[domain], bytes);
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
    struct heap *heap = heap_joined(ledger_domains[domain]);
    size_t offset;

    if (book.nodes != NULL && domain != PY_RAW && heap_reopen(heap, block) &&
        give_small(domain, heap_fast_pool(heap, block, &offset), block))
        return;
    free_slow(away, domain, block);
}

HG_ALWAYS_INLINE void traced_free(const struct py_layout *l, enum py_domain domain,
                                  void *block)
{
    size_t offset;

    /* NULL is in no pool. */
    struct pool *pool = heap_fast_pool(heap_of(domain), block, &offset);
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
    return resize(traced_owner(domain), domain, block, bytes);
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
        return resize(owner, domain, block, bytes);
    void *moved = heap_alloc_fast(heap_of(domain), heap_small_class(bytes), &pool);
    if (moved == NULL)
        return resize(owner, domain, block, bytes);
    size_t old_bytes = heap_small_bytes(old_pool->class) - (tag & TAG_SLACK_MASK);
    memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
    uint32_t new_tag = tag_of(owner.node, heap_small_slack(bytes));
    pool->tags[heap_block_index(pool, moved)] = new_tag;
    book_freed(tag, ledger_domains[domain], old_bytes);
    heap_free_fast(old_pool, block);
    book_allocated(new_tag, ledger_domains[domain], bytes);
    return moved;
}

HG_ALWAYS_INLINE void *traced_realloc(const struct py_layout *l,
                                      enum ledger_mode mode, enum py_domain domain,
                                      malloc_moved *moved, void *block,
                                      size_t bytes)
{
    size_t offset;
    size_t n = at_least_one(bytes);

    if (block == NULL)
        return traced_malloc(l, mode, domain, moved, bytes);
    struct pool *pool = heap_fast_pool(heap_of(domain), block, &offset);
    if (domain == PY_RAW || pool == NULL || n > SMALL_MAX)
        return traced_resize(domain, block, n);
    if (heap_small_class(n) != pool->class)
        return traced_move_small(domain, pool, block, n);
    /* The block stays; it belongs to whoever resized it now. */
    uint32_t node = frames_fast(l, mode);
    uint32_t *tag = &pool->tags[heap_block_index(pool, block)];
    if (HG_UNLIKELY(node == LEDGER_NO_NODE || (*tag & TAG_WATCHED)))
        return traced_resize(domain, block, n);
    book_freed(*tag, ledger_domains[domain],
               heap_small_bytes(pool->class) - (*tag & TAG_SLACK_MASK));
    *tag = tag_of(node, heap_small_slack(n));
    book_allocated(*tag, ledger_domains[domain], n);
    return block;
}

/* ----------------------------------------------------------------------- untraced
 */

static HG_NOINLINE void *plain_malloc_slow(enum py_domain domain, size_t bytes)
{
    struct owner nobody = {.node = LEDGER_NO_NODE};
    struct heap *heap = heap_joined(ledger_domains[domain]);
    struct pool *pool;

    if (heap_is_small(bytes) && heap_refill(heap, heap_small_class(bytes)))
        return heap_alloc_fast(heap, heap_small_class(bytes), &pool);
    return allocate_slow(nobody, ledger_domains[domain], bytes, false);
}

HG_ALWAYS_INLINE void *untraced_malloc(enum py_domain domain, size_t bytes)
{
    struct pool *pool;

    if (HG_LIKELY(heap_is_small(bytes))) {
        void *block =
            heap_alloc_fast(heap_of(domain), heap_small_class(bytes), &pool);
        if (HG_LIKELY(block != NULL))
            return block;
    }
    return plain_malloc_slow(domain, bytes);
}

static void look_at_frames(void *state);

HG_ALWAYS_INLINE void *untraced_calloc(enum py_domain domain, size_t count,
                                       size_t bytes)
{
    size_t product;

    if (!multiply(count, bytes, &product))
        return NULL;
    if (product <= SMALL_MAX) {
        void *block = untraced_malloc(domain, product);
        return block != NULL ? memset(block, 0, at_least_one(product)) : NULL;
    }
    return allocate_slow((struct owner){.node = LEDGER_NO_NODE},
                         ledger_domains[domain], product, true);
}

static HG_NOINLINE void plain_free_slow(enum py_domain domain, void *block)
{
    struct heap *heap = heap_joined(ledger_domains[domain]);
    size_t offset;

    if (heap_reopen(heap, block))
        heap_free_fast(heap_fast_pool(heap, block, &offset), block);
    else
        free_slow(true, domain, block);
}

HG_ALWAYS_INLINE void untraced_free(enum py_domain domain, void *block)
{
    size_t offset;

    struct pool *pool = heap_fast_pool(heap_of(domain), block, &offset);
    if (HG_LIKELY(pool != NULL))
        heap_free_fast(pool, block);
    else
        plain_free_slow(domain, block);
}

static HG_NOINLINE void *plain_resize(enum py_domain domain, void *block,
                                      size_t bytes)
{
    struct owner nobody = {.node = LEDGER_NO_NODE, .away = true};
    return resize(nobody, domain, block, bytes);
}

static HG_NOINLINE void *plain_move_small(enum py_domain domain,
                                          struct pool *old_pool, void *block,
                                          size_t bytes)
{
    struct pool *pool;
    void *moved = heap_alloc_fast(heap_of(domain), heap_small_class(bytes), &pool);

    if (moved == NULL)
        return plain_resize(domain, block, bytes);
    size_t old_bytes = heap_small_bytes(old_pool->class);
    memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
    heap_free_fast(old_pool, block);
    return moved;
}

HG_ALWAYS_INLINE void *untraced_realloc(enum py_domain domain, void *block,
                                        size_t bytes)
{
    size_t offset;
    size_t n = at_least_one(bytes);

    if (block == NULL)
        return untraced_malloc(domain, bytes);
    struct pool *pool = heap_fast_pool(heap_of(domain), block, &offset);
    if (pool == NULL || n > SMALL_MAX)
        return plain_resize(domain, block, n);
    if (heap_small_class(n) == pool->class)
        return block;
    return plain_move_small(domain, pool, block, n);
}

#define UNTRACED(domain)                                                           \
    static void *plain_malloc_##domain(void *context, size_t bytes)                \
    {                                                                              \
        (void)context;                                                             \
        return untraced_malloc(domain, bytes);                                     \
    }                                                                              \
    static void *plain_calloc_##domain(void *context, size_t count, size_t bytes)  \
    {                                                                              \
        (void)context;                                                             \
        return untraced_calloc(domain, count, bytes);                              \
    }                                                                              \
    static void plain_free_##domain(void *context, void *block)                    \
    {                                                                              \
        (void)context;                                                             \
        untraced_free(domain, block);                                              \
    }                                                                              \
    static void *plain_realloc_##domain(void *context, void *block, size_t bytes)  \
    {                                                                              \
        (void)context;                                                             \
        return untraced_realloc(domain, block, bytes);                             \
    }
UNTRACED(PY_RAW)
UNTRACED(PY_MEM)
UNTRACED(PY_OBJ)

#define PLAIN(domain)                                                              \
    [domain] = {NULL, plain_malloc_##domain, plain_calloc_##domain,                \
                plain_realloc_##domain, plain_free_##domain}
static const struct py_allocator plain[PY_DOMAINS] = {PLAIN(PY_RAW), PLAIN(PY_MEM),
                                                      PLAIN(PY_OBJ)};

/* The same on a hardened heap, whose blocks come and go by functions. */
HG_ALWAYS_INLINE void *hardened_malloc(enum py_domain domain, size_t bytes)
{
    void *block = NULL;

    if (HG_LIKELY(heap_is_small(bytes)))
        block = heap_hard_take(heap_of(domain), bytes);
    return HG_LIKELY(block != NULL) ? block : plain_malloc_slow(domain, bytes);
}

HG_ALWAYS_INLINE void hardened_free(enum py_domain domain, void *block)
{
    size_t offset;

    if (HG_LIKELY(heap_in_window(block, &offset)))
        heap_hard_give(heap_of(domain), block);
    else
        plain_free_slow(domain, block);
}

HG_ALWAYS_INLINE void *hardened_calloc(enum py_domain domain, size_t count,
                                       size_t bytes)
{
    size_t product;

    if (!multiply(count, bytes, &product))
        return NULL;
    if (!heap_is_small(product))
        return untraced_calloc(domain, count, bytes);
    void *block = hardened_malloc(domain, product);
    return block != NULL ? memset(block, 0, product) : NULL;
}

#define HARDENED(domain)                                                           \
    static void *hardened_malloc_##domain(void *context, size_t bytes)             \
    {                                                                              \
        (void)context;                                                             \
        return hardened_malloc(domain, bytes);                                     \
    }                                                                              \
    static void *hardened_calloc_##domain(void *context, size_t count,             \
                                          size_t bytes)                            \
    {                                                                              \
        (void)context;                                                             \
        return hardened_calloc(domain, count, bytes);                              \
    }                                                                              \
    static void hardened_free_##domain(void *context, void *block)                 \
    {                                                                              \
        (void)context;                                                             \
        hardened_free(domain, block);                                              \
    }
HARDENED(PY_RAW)
HARDENED(PY_MEM)
HARDENED(PY_OBJ)

#define HARDENED_ENTRY(domain)                                                     \
    [domain] = {NULL, hardened_malloc_##domain, hardened_calloc_##domain,          \
                plain_realloc_##domain, hardened_free_##domain}
static const struct py_allocator hardened[PY_DOMAINS] = {
    HARDENED_ENTRY(PY_RAW), HARDENED_ENTRY(PY_MEM), HARDENED_ENTRY(PY_OBJ)};

static const struct py_allocator *untraced_set(void)
{
    return heap_hardened ? hardened : plain;
}

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
        size_t n = at_least_one(bytes);                                            \
        if (n > PTRDIFF_MAX)                                                       \
            return NULL;                                                           \
        return allocate_slow(blind_owner(domain), ledger_domains[domain], n,       \
                             false);                                               \
    }                                                                              \
    static void *blind_calloc_##domain(void *context, size_t count, size_t bytes)  \
    {                                                                              \
        size_t product;                                                            \
        if (sighted != NULL)                                                       \
            return sighted[domain].calloc(context, count, bytes);                  \
        if (!multiply(count, bytes, &product))                                     \
            return NULL;                                                           \
        return allocate_slow(blind_owner(domain), ledger_domains[domain],          \
                             at_least_one(product), true);                         \
    }                                                                              \
    static void *blind_realloc_##domain(void *context, void *block, size_t bytes)  \
    {                                                                              \
        if (sighted != NULL)                                                       \
            return sighted[domain].realloc(context, block, bytes);                 \
        if (block == NULL)                                                         \
            return blind_malloc_##domain(context, bytes);                          \
        return resize(blind_owner(domain), domain, block, at_least_one(bytes));    \
    }                                                                              \
    static void blind_free_##domain(void *context, void *block)                    \
    {                                                                              \
        (void)context;                                                             \
        free_slow((domain) == PY_RAW && blind_owner(domain).away, domain, block);  \
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
        python.get_allocator(domain, &before[domain]);
    may_look = python.layout != NULL;
    install(session.config.mode == LEDGER_MODE_UNTRACED ? untraced_set() : blind);
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

void hooks_trace_native(void)
{
    static const struct native_tracer tracer = {
        .owner = native_owner, .is_away = native_is_away, .share = apart_share};
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
        install(untraced_set());
}

bool hooks_displaced(enum py_domain domain)
{
    struct py_allocator now;

    python.get_allocator(domain, &now);
    return now.malloc != installed[domain].malloc;
}
