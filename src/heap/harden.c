/* SPDX-License-Identifier: MIT */
/*
 * harden.c - heaps that find misuse, at a cost that production can bear.
 *
 *     free --guard is looked at--> poison --> quarantine --> list of the pool
 *      ^                                                           |
 *      +------guard is written <--- poison is looked at <----------+
 *
 * A guard is bytes that fill the slack behind what was asked for, and a word beside
 * the pool that knows the size and whether the block is live.  Poison fills a free
 * block; a quarantine keeps the latest ones from being handed out, so that who
 * still writes to them is found.  Links of free blocks are coded (own.h).
 *
 * Chosen before the first block, once for all heaps.  The fast paths of others find
 * no pool to take from and none to free to, and arrive here: a heap that is not
 * hardened does not pay an instruction for that on them.
 *
 * A block is poisoned by whoever frees it, and quarantined by the owner of its
 * pool.  Until it leaves the quarantine the pool counts it as used.  A heap without
 * a thread has nothing in quarantine.
 */
#include "heap/own.h"

#include <string.h>
#include <sys/auxv.h>

#ifdef __has_include
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define HAVE_SINGLE_THREADED
#endif
#endif

#define POISON_BYTE 0xDDu /* no address of user space begins so */
#define GUARD_BYTE 0xFDu
#define POISON UINT64_C(0xDDDDDDDDDDDDDDDD)
#define GUARDS UINT64_C(0xFDFDFDFDFDFDFDFD)
/* So many bytes of a free block are poisoned, and so many of slack are guarded. */
#define POISON_MAX ((size_t)128)
#define SLACK_MAX ((size_t)64)

static const char on_free[] = "when it was freed";
static const char on_resize[] = "when it was resized";
static const char on_reuse[] = "when it was to be handed out again";
static const char on_leave[] = "when its page was to be given back";
static const char on_check[] = "when the heap was checked";

bool heap_hardened;
uintptr_t heap_link_key;
size_t (*heap_tell_tag)(uint32_t tag, unsigned depth, char *out, size_t room);

static uint32_t check_every;             /* set before the first block */
static _Atomic uint32_t slow_paths_left; /* relaxed: about so many */

static uintptr_t secret(void)
{
    /* The system's gift to each program, of which the C library makes its own. */
    const unsigned char *bytes = (const unsigned char *)getauxval(AT_RANDOM);
    uintptr_t key = (uintptr_t)&bytes * UINT64_C(0x9E3779B97F4A7C15);
    uintptr_t more = 0;
    if (bytes != NULL)
        memcpy(&more, bytes + 8, sizeof more);
    key ^= more * UINT64_C(0xBF58476D1CE4E5B9);
    return key != 0 ? key : 1;
}

void heap_harden(uint32_t every)
{
    heap_link_key = secret();
    check_every = every;
    atomic_store_explicit(&slow_paths_left, every, memory_order_relaxed);
    heap_hardened = true;
    heap_frees_checked = false; /* this checks them, too */
}

struct hard *hard_new(void)
{
    _Static_assert(sizeof(struct hard) <= MEDIUM_MAX, "a block of the system heap");
    struct hard *hard = tags_new(sizeof *hard);
    return hard != NULL ? memset(hard, 0, sizeof *hard) : NULL;
}

/* --- what is wrong with a block ------------------------------------------- */

static struct corruption found(const struct pool *pool, uint32_t index,
                               const char *what, const char *when)
{
    const struct size_class *c = &heap_classes[pool->class];
    unsigned word =
        atomic_load_explicit(&pool_guards(pool)[index], memory_order_relaxed);
    return (struct corruption){
        .what = what,
        .when = when,
        .block = pool_block(pool, index),
        .requested = word & ~GUARD_FREED,
        .usable = c->bytes,
        .tag = word != 0 && pool->tags != NULL ? &pool->tags[index] : NULL,
    };
}

static HG_COLD _Noreturn void bad_guard(const struct pool *pool, uint32_t index,
                                        const char *when)
{
    struct corruption c =
        found(pool, index, "bytes behind a block were written to", when);
    c.bytes = (const unsigned char *)c.block + c.requested;
    c.count =
        c.usable - c.requested < SLACK_MAX ? c.usable - c.requested : SLACK_MAX;
    c.expected = GUARD_BYTE;
    corruption_report(&c);
}

/* `from`: where the poison begins. */
static HG_COLD _Noreturn void bad_poison(const struct pool *pool, uint32_t index,
                                         size_t from, const char *when)
{
    struct corruption c = found(pool, index, "a freed block was written to", when);
    c.bytes = (const unsigned char *)c.block + from;
    c.count = (c.usable < POISON_MAX ? c.usable : POISON_MAX) - from;
    c.expected = POISON_BYTE;
    corruption_report(&c);
}

static HG_COLD _Noreturn void bad_link(const struct pool *pool, uint32_t index,
                                       const char *when)
{
    struct corruption c =
        found(pool, index, "a freed block was written to, where its link is", when);
    corruption_report(&c);
}

static HG_COLD _Noreturn void bad_free(const struct pool *pool, uint32_t index,
                                       const char *when)
{
    unsigned word =
        atomic_load_explicit(&pool_guards(pool)[index], memory_order_relaxed);
    bool resized = when == on_resize;
    struct corruption c = found(pool, index, "a block was freed twice", NULL);
    if (word == 0)
        c.what = resized ? "a block was resized that was never allocated"
                         : "a block was freed that was never allocated";
    else if (resized)
        c.what = "a freed block was resized";
    corruption_report(&c);
}

static HG_COLD _Noreturn void bad_start(const struct pool *pool, size_t within,
                                        const void *address)
{
    uint64_t product = pool_product(pool, within);
    HG_VERIFY(product >> 32 < pool_capacity(pool), "not a block", address);
    struct corruption c = found(pool, (uint32_t)(product >> 32),
                                "freed inside of a block, not at its start", NULL);
    c.bytes = address;
    corruption_report(&c);
}

/* --- poison --------------------------------------------------------------- */

typedef uint64_t chunk __attribute__((vector_size(BLOCK_ALIGN), may_alias));

static const chunk poison_chunk =
#if BLOCK_ALIGN == 16
    {POISON, POISON};
#else
    {POISON};
#endif

static const chunk guard_chunk =
#if BLOCK_ALIGN == 16
    {GUARDS, GUARDS};
#else
    {GUARDS};
#endif

static inline size_t poisoned_bytes(size_t bytes)
{
    return bytes < POISON_MAX ? bytes : POISON_MAX;
}

static inline void poison(char *block, size_t bytes)
{
    char *end = block + poisoned_bytes(bytes);
    do {
        *(chunk *)block = poison_chunk;
        block += sizeof(chunk);
        HG_OPAQUE(block); /* no call for a few bytes */
    } while (block != end);
}

/* Behind the first word, which is a link's. */
static inline bool is_poisoned_behind_link(const char *block, size_t bytes)
{
    const char *end = block + poisoned_bytes(bytes);
#if BLOCK_ALIGN == 16
    uint64_t second = *(const uint64_t *)(block + 8);
#endif
    chunk any = poison_chunk; /* bits that are set somewhere, and everywhere */
    chunk all = poison_chunk;
    for (block += sizeof(chunk); block != end; block += sizeof(chunk)) {
        any |= *(const chunk *)block;
        all &= *(const chunk *)block;
        HG_OPAQUE(block);
    }
    any ^= all; /* both had the poison's to begin with */
#if BLOCK_ALIGN == 16
    return (any[0] | any[1] | (second ^ POISON)) == 0;
#else
    return any[0] == 0;
#endif
}

static inline bool is_poisoned(const char *block, size_t bytes)
{
    return *(const uint64_t *)block == POISON &&
           is_poisoned_behind_link(block, bytes);
}

/* --- slack ---------------------------------------------------------------- */

static inline HG_RACY uint64_t load(const char *at, size_t bytes)
{
    uint64_t word = 0;
    memcpy(&word, at, bytes);
    return word;
}

/* A first and a last word that overlap are any number of bytes between one and two
   of them. */
static inline void slack_fill(char *at, size_t bytes)
{
    uint64_t word = GUARDS;
    if (bytes > SLACK_MAX)
        bytes = SLACK_MAX;
    if (bytes > 16) {
        memset(at, GUARD_BYTE, bytes);
    } else if (bytes >= 8) {
        memcpy(at, &word, 8);
        memcpy(at + bytes - 8, &word, 8);
    } else if (bytes >= 4) {
        memcpy(at, &word, 4);
        memcpy(at + bytes - 4, &word, 4);
    } else {
        for (size_t i = 0; i < bytes; i++)
            at[i] = (char)GUARD_BYTE;
    }
}

static HG_RACY bool slack_is_filled_far(const char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)at[i] != GUARD_BYTE)
            return false;
    return true;
}

/* Racy: the heap is checked while others free. */
static inline HG_RACY bool slack_is_filled(const char *at, size_t bytes)
{
    if (bytes > SLACK_MAX)
        bytes = SLACK_MAX;
    if (bytes >= 8 && bytes <= 16)
        return load(at, 8) == GUARDS && load(at + bytes - 8, 8) == GUARDS;
    if (bytes >= 4 && bytes < 8)
        return (load(at, 4) & load(at + bytes - 4, 4)) == (GUARDS & UINT32_MAX) &&
               (load(at, 4) | load(at + bytes - 4, 4)) == (GUARDS & UINT32_MAX);
    return slack_is_filled_far(at, bytes);
}

void hard_guard(void *block, size_t requested, size_t usable)
{
    slack_fill((char *)block + requested, usable - requested);
}

void hard_verify(const void *block, size_t requested, size_t usable,
                 const uint32_t *tag)
{
    const char *slack = (const char *)block + requested;
    if (HG_LIKELY(slack_is_filled(slack, usable - requested)))
        return;
    struct corruption c = {
        .what = "bytes behind a block were written to",
        .when = "when it was freed, resized or checked",
        .block = block,
        .requested = requested,
        .usable = usable,
        .tag = tag,
        .bytes = (const unsigned char *)slack,
        .count = usable - requested < SLACK_MAX ? usable - requested : SLACK_MAX,
        .expected = GUARD_BYTE,
    };
    corruption_report(&c);
}

/* --- quarantine ----------------------------------------------------------- */

static inline struct pool *pool_of_block(const void *block, size_t *within)
{
    size_t offset = (uintptr_t)block - heap_base();
    struct pool *slot = heap_pool_at(offset);
    *within =
        (offset & (SLOT_BYTES - 1)) + ((size_t)slot->slot_of_run << SLOT_SHIFT);
    return slot - slot->slot_of_run;
}

/* On the list of its pool, which may be gone then. */
static inline void release(struct thread_heap *heap, struct pool *pool, void *block)
{
    link_write(block, pool->free);
    pool->free = block;
    pool->used--;
    if (HG_UNLIKELY(pool_state(pool) == POOL_FULL))
        pool_set_used(heap, pool);
    if (HG_UNLIKELY(pool->used == 0))
        pool_emptied(heap, pool);
}

/* A block in, and the oldest one, if there is one, out. */
static inline void quarantine_small(struct thread_heap *heap, void *block)
{
    struct hard *hard = heap->hard;
    void **place = &hard->small[hard->next_small];
    void *oldest = *place;
    *place = block;
    hard->next_small = (hard->next_small + 1) % QUARANTINE_SMALL;
    if (HG_LIKELY(oldest != NULL))
        release(heap, heap_pool_at((uintptr_t)oldest - heap_base()), oldest);
}

static void quarantine_medium(struct thread_heap *heap, void *block)
{
    struct hard *hard = heap->hard;
    size_t within;
    void **place = &hard->medium[hard->next_medium];
    void *oldest = *place;
    *place = block;
    hard->next_medium = (hard->next_medium + 1) % QUARANTINE_MEDIUM;
    if (oldest != NULL)
        release(heap, pool_of_block(oldest, &within), oldest);
}

static void quarantine(struct thread_heap *heap, const struct pool *pool,
                       void *block)
{
    if (pool->class < SMALL_CLASSES)
        quarantine_small(heap, block);
    else
        quarantine_medium(heap, block);
}

static void release_all(struct thread_heap *heap, void **blocks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        void *block = blocks[i];
        size_t within;
        blocks[i] = NULL;
        if (block != NULL)
            release(heap, pool_of_block(block, &within), block);
    }
}

void hard_flush(struct thread_heap *heap)
{
    if (heap->hard == NULL)
        return;
    release_all(heap, heap->hard->small, QUARANTINE_SMALL);
    release_all(heap, heap->hard->medium, QUARANTINE_MEDIUM);
}

void hard_forget(struct thread_heap *heap)
{
    if (heap->hard == NULL)
        return;
    memset(heap->hard->small, 0, sizeof heap->hard->small);
    memset(heap->hard->medium, 0, sizeof heap->hard->medium);
}

/* Racy: for a census, while the owner is at work. */
static HG_RACY size_t bytes_of(void *const *blocks, uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        const void *block = blocks[i];
        size_t within;
        if (block == NULL)
            continue;
        unsigned class = pool_of_block(block, &within)->class;
        bytes += class < CLASSES ? heap_classes[class].bytes : 0;
    }
    return bytes;
}

size_t hard_bytes(const struct thread_heap *heap)
{
    if (heap->hard == NULL)
        return 0;
    return bytes_of(heap->hard->small, QUARANTINE_SMALL) +
           bytes_of(heap->hard->medium, QUARANTINE_MEDIUM);
}

/* --- blocks --------------------------------------------------------------- */

static inline unsigned guard_of(const struct pool *pool, uint32_t index)
{
    return atomic_load_explicit(&pool_guards(pool)[index], memory_order_relaxed);
}

static inline void guard_set(const struct pool *pool, uint32_t index, size_t word)
{
    atomic_store_explicit(&pool_guards(pool)[index], (uint16_t)word,
                          memory_order_relaxed);
}

/* Before the block is poisoned, for a child of fork() has what is done by then. */
static inline void guard_set_freed(const struct pool *pool, uint32_t index,
                                   unsigned word)
{
    guard_set(pool, index, word | GUARD_FREED);
    atomic_thread_fence(memory_order_release);
}

static inline bool is_used_word(unsigned word)
{
    return word - 1 < GUARD_FREED - 1;
}

/* Whether a link may lead there: to a block of the pool that is free. */
static inline bool is_free_block(const struct pool *pool, const void *block)
{
    return pool_has_block(pool, block) &&
           !is_used_word(guard_of(pool, pool_block_index(pool, block)));
}

/* Of a block on the pool's list. */
static inline void verify_free(const struct pool *pool, const void *block,
                               const char *when)
{
    uint32_t index = pool_block_index(pool, block);
    const void *next = link_read(block);
    if (HG_UNLIKELY(next != NULL && !is_free_block(pool, next)))
        bad_link(pool, index, when);
    if (guard_of(pool, index) != 0 && HG_UNLIKELY(!is_poisoned_behind_link(
                                          block, heap_classes[pool->class].bytes)))
        bad_poison(pool, index, sizeof(void *), when);
}

/*
 * Whether a link of a block may lead there.  It is coded, so who overwrote it did
 * not choose where: a small block's pool is one slot, and to be in it is enough.
 * Whether a free block begins there is seen when that is taken.
 */
static inline bool may_be_next(const struct pool *pool, const void *block,
                               const void *next)
{
    if (HG_LIKELY(((uintptr_t)next ^ (uintptr_t)block) < SLOT_BYTES))
        return true;
    return next == NULL ||
           (pool->class >= SMALL_CLASSES && is_free_block(pool, next));
}

/* The first block of the pool's list, which is free until take_end(). */
static inline char *take_first(struct pool *pool, uint32_t index, size_t usable)
{
    char *block = pool->free;
    void *next = link_read(block);
    unsigned word = guard_of(pool, index);
    if (HG_UNLIKELY(is_used_word(word)) ||
        HG_UNLIKELY(!may_be_next(pool, block, next)))
        bad_link(pool, index, on_reuse);
    if (HG_LIKELY(word != 0) &&
        HG_UNLIKELY(!is_poisoned_behind_link(block, usable)))
        bad_poison(pool, index, sizeof(void *), on_reuse);
    pool->free = next;
    pool->used++;
    return block;
}

/* The guard is there: who checks the heap, or is a child of fork(), looks for it
   when the word says so. */
static inline void take_end(const struct pool *pool, uint32_t index, size_t bytes)
{
    atomic_thread_fence(memory_order_release);
    guard_set(pool, index, bytes);
}

void *heap_hard_take(struct heap *heap, size_t bytes)
{
    size_t class = heap_small_class(bytes);
    size_t usable = heap_small_bytes(class);
    struct pool *pool = ((struct thread_heap *)heap)->ring[class];
    if (HG_UNLIKELY(pool->free == NULL))
        return NULL;
    uint32_t index = heap_block_index(pool, pool->free);
    char *block = take_first(pool, index, usable);
    /* More than the slack, for nothing is in the block yet. */
    *(chunk *)(block + usable - sizeof(chunk)) = guard_chunk;
    take_end(pool, index, bytes);
    return block;
}

void *hard_alloc(struct thread_heap *heap, unsigned class, size_t bytes)
{
    while (HG_UNLIKELY(heap->ring[class]->free == NULL)) {
        if (!class_refill(heap, class))
            return NULL;
        if (check_every != 0)
            heap->stirred = true; /* so that the end of this slow path counts it */
    }
    struct pool *pool = heap->ring[class];
    size_t usable = heap_classes[class].bytes;
    uint32_t index = pool_block_index(pool, pool->free);
    char *block = take_first(pool, index, usable);
    slack_fill(block + bytes, usable - bytes);
    take_end(pool, index, bytes);
    return block;
}

static HG_COLD void free_other(struct pool *pool, void *block)
{
    enum pool_state state = pool_state(pool);
    if (state != POOL_LARGE)
        bad_free_of_slot(pool, block);
    if (block != pool_start(pool))
        bad_free_in_large(pool, block);
    const uint32_t *tag = object_keeps_tags(pool_owner(pool)) ? &pool->tag : NULL;
    hard_verify(block, pool->bytes, pool->slots * SLOT_BYTES, tag);
    large_free(pool, block);
}

/* Pools may have come and gone. */
static void give_end(struct thread_heap *heap)
{
    if (heap->stirred)
        thread_slow_end(heap);
    else if (heap->opened >= OPENED_MIN)
        pools_cool(heap);
}

/* The heap does not own the pool. */
static HG_NOINLINE void free_remote(struct pool *pool, uint32_t index, char *block)
{
    unsigned word = guard_of(pool, index);
    /* Exchanged, so that of two threads that free it one is stopped. */
    unsigned before = atomic_exchange_explicit(&pool_guards(pool)[index],
                                               (uint16_t)(word | GUARD_FREED),
                                               memory_order_relaxed);
    if (!is_used_word(before))
        bad_free(pool, index, on_free);
    /* Who checks the heap and finds the poison, looks at the guard again. */
    atomic_thread_fence(memory_order_release);
    poison(block, heap_classes[pool->class].bytes);
    remote_free(pool, block);
}

/* Of whatever kind. */
static HG_NOINLINE void give_other(struct thread_heap *heap, char *block)
{
    size_t within;
    struct pool *pool = pool_of_block(block, &within);
    enum pool_state state = pool_state(pool);
    if (state != POOL_USED && state != POOL_FULL) {
        free_other(pool, block);
        return;
    }
    HG_VERIFY(pool_owner(pool) != SYSTEM_HEAP,
              "block freed twice, or never allocated", block);
    uint64_t product = pool_product(pool, within);
    const struct size_class *c = &heap_classes[pool->class];
    uint32_t index = (uint32_t)(product >> 32);
    if ((uint32_t)product >= pool->reciprocal || product >> 32 >= c->capacity)
        bad_start(pool, within, block);
    unsigned word = guard_of(pool, index);
    if (!is_used_word(word))
        bad_free(pool, index, on_free);
    if (!slack_is_filled(block + word, c->bytes - word))
        bad_guard(pool, index, on_free);
    if (pool_owner(pool) != heap->id) {
        free_remote(pool, index, block);
        return;
    }
    guard_set_freed(pool, index, word);
    poison(block, c->bytes);
    quarantine(heap, pool, block);
    give_end(heap);
}

void heap_hard_give(struct heap *fast, void *block)
{
    struct thread_heap *heap = (struct thread_heap *)fast;
    size_t offset = (uintptr_t)block - heap_base();
    struct pool *pool = heap_pool_at(offset);
    size_t class = pool->class;
    size_t usable = heap_small_bytes(class);
    /* No slot inside of a run has an owner that is this heap. */
    if (HG_LIKELY(
            pool_owner(pool) == heap->id && class < SMALL_CLASSES &&
            (pool_state(pool) == POOL_USED || pool_state(pool) == POOL_FULL))) {
        uint64_t product = pool_product(pool, offset & (SLOT_BYTES - 1));
        uint32_t index = (uint32_t)(product >> 32);
        if (HG_LIKELY((uint32_t)product < pool->reciprocal &&
                      product >> 32 < pool_capacity(pool))) {
            unsigned word = guard_of(pool, index);
            size_t slack = usable - word; /* huge if it is not live */
            if (HG_LIKELY(slack < usable) &&
                HG_LIKELY(slack == 0 ||
                          slack_is_filled((char *)block + word, slack))) {
                guard_set_freed(pool, index, word);
                poison(block, usable);
                quarantine_small(heap, block);
                if (HG_UNLIKELY(heap->stirred || heap->opened >= OPENED_MIN))
                    give_end(heap);
                return;
            }
        }
    }
    give_other(heap, block);
}

void hard_collect(struct thread_heap *heap, struct pool *pool, void *block)
{
    bool keep =
        atomic_load_explicit(&heap->state, memory_order_relaxed) != HEAP_ABANDONED;
    while (block != NULL) {
        /* The pool stays until its last block: they all count as used. */
        void *next = link_read(block);
        *(uint64_t *)block = POISON;
        if (keep)
            quarantine(heap, pool, block);
        else
            release(heap, pool, block);
        block = next;
    }
}

void hard_resize(const struct pool *pool, uint32_t index, size_t bytes)
{
    size_t usable = heap_classes[pool->class].bytes;
    char *block = pool_block(pool, index);
    unsigned word = guard_of(pool, index);
    if (!is_used_word(word))
        bad_free(pool, index, on_resize);
    if (!slack_is_filled(block + word, usable - word))
        bad_guard(pool, index, on_resize);
    if (bytes == 0)
        return;
    /* In this order, for who checks the heap meanwhile. */
    slack_fill(block + bytes, usable - bytes);
    atomic_thread_fence(memory_order_release);
    guard_set(pool, index, bytes);
}

size_t hard_requested(const struct pool *pool, uint32_t index)
{
    return guard_of(pool, index) & ~GUARD_FREED;
}

/* --- pools and heaps ------------------------------------------------------ */

void hard_verify_list(const struct pool *pool)
{
    for (const void *block = pool->free; block != NULL; block = link_read(block))
        verify_free(pool, block, on_leave);
}

void hard_pages_go(const struct pool *pool, uint32_t pages)
{
    size_t bytes = heap_classes[pool->class].bytes;
    for (const char *block = pool->free; block != NULL; block = link_read(block)) {
        size_t first = (size_t)(block - pool_start(pool));
        size_t last = (first + poisoned_bytes(bytes) - 1) / PAGE_BYTES;
        /* As if it had never been handed out. */
        if (last != first / PAGE_BYTES && (pages >> last & 1) != 0)
            guard_set(pool, pool_block_index(pool, block), 0);
    }
}

void hard_mend(struct pool *pool)
{
    size_t bytes = heap_classes[pool->class].bytes;
    uint32_t capacity = pool_capacity(pool);
    pool->free = NULL;
    pool->used = 0;
    atomic_store_explicit(&pool->remote, NULL, memory_order_relaxed);
    for (uint32_t i = 0; i < capacity; i++) {
        char *block = pool_block(pool, i);
        if (pool_absent_at(pool, (size_t)(block - pool_start(pool))))
            continue;
        if (is_used_word(guard_of(pool, i))) {
            pool->used++;
            continue;
        }
        /* Another thread may have been about to do so. */
        poison(block, bytes);
        link_write(block, pool->free);
        pool->free = block;
    }
}

/* What is on its list, and what is live.  Others free live blocks meanwhile. */
HG_RACY void hard_check_pool(const struct pool *pool)
{
    uint64_t bits[POOL_BITMAP_WORDS] = {0};
    size_t bytes = heap_classes[pool->class].bytes;
    void *end;
    for (const void *block = pool->free; block != NULL; block = link_read(block))
        verify_free(pool, block, on_check);
    HG_VERIFY(chain_mark(pool, pool->free, bits, &end) != NO_INDEX,
              "corrupt list of free blocks", pool_start(pool));
    absent_mark(pool, bits);
    uint32_t capacity = pool_capacity(pool);
    for (uint32_t i = 0; i < capacity; i++) {
        const char *block = pool_block(pool, i);
        unsigned word = guard_of(pool, i);
        if ((bits[i / 64] >> i % 64 & 1) != 0 || !is_used_word(word) ||
            slack_is_filled(block + word, bytes - word))
            continue;
        /* Acquire pairs with free_remote(), and resizing in place. */
        atomic_thread_fence(memory_order_acquire);
        if (guard_of(pool, i) == word)
            bad_guard(pool, i, on_check);
    }
}

static void check_pool_of(void *heap, struct pool *pool)
{
    if (pool_state(pool) != POOL_LARGE &&
        pool_owner(pool) == ((const struct thread_heap *)heap)->id)
        hard_check_pool(pool);
}

static void check_blocks(void *const *blocks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t within;
        if (blocks[i] == NULL)
            continue;
        const struct pool *pool = pool_of_block(blocks[i], &within);
        uint32_t index = pool_block_index(pool, blocks[i]);
        if (!is_poisoned(blocks[i], heap_classes[pool->class].bytes))
            bad_poison(pool, index, 0, on_check);
    }
}

void hard_check_quarantine(const struct thread_heap *heap)
{
    if (heap->hard == NULL)
        return;
    check_blocks(heap->hard->small, QUARANTINE_SMALL);
    check_blocks(heap->hard->medium, QUARANTINE_MEDIUM);
}

/* What others may be freeing blocks of. */
static HG_COLD void check_own(struct thread_heap *heap)
{
    lock_take(&arenas_lock);
    pools_walk(check_pool_of, heap);
    hard_check_quarantine(heap);
    lock_release(&arenas_lock);
}

static bool is_single_threaded(void)
{
#ifdef HAVE_SINGLE_THREADED
    return __libc_single_threaded;
#else
    return false;
#endif
}

static HG_COLD void check_now(struct thread_heap *heap)
{
    if (is_single_threaded())
        heap_check();
    else
        check_own(heap);
}

void heap_hard_end(void)
{
    struct thread_heap *heap = heap_of_thread();
    /* Who ends it in a signal's handler may have interrupted us: with the lock, or
       where a large block has no guard yet. */
    if (!heap_hardened || heap == NULL || !lock_try(&arenas_lock))
        return;
    lock_release(&arenas_lock);
    check_own(heap);
    if (heap_ours != &heap->fast && heap_ours != &heap_exhausted.fast &&
        is_single_threaded())
        check_own((struct thread_heap *)heap_ours);
}

void hard_slow_end(struct thread_heap *heap)
{
    if (check_every == 0)
        return;
    uint32_t left = atomic_load_explicit(&slow_paths_left, memory_order_relaxed);
    atomic_store_explicit(&slow_paths_left, left > 1 ? left - 1 : check_every,
                          memory_order_relaxed);
    if (left <= 1)
        check_now(heap);
}
