/* SPDX-License-Identifier: MIT */
/* public.c - include/heapglass/heap.h, on top of this room. */
#include "heap/public.h"

#include "base/text.h"
#include "heap/own.h"

#include <pthread.h>
#include <string.h>

/* The tag of a block: the user's, and in five bits what struct place says. */
#define SLACK_BITS 5u
#define SLACK_MASK ((1u << SLACK_BITS) - 1)

static hg_on_failure
    *on_failure; /* of the default heap; set before threads start */
static void *on_failure_arg;

static struct heap *inner(hg_heap *heap)
{
    return heap == NULL ? heap_mine : (struct heap *)heap;
}

static void before_fork(void)
{
    caches_lock_take();
    heap_before_fork();
}

static void after_fork_parent(void)
{
    heap_after_fork_parent();
    caches_lock_release();
}

static void after_fork_child(void)
{
    heap_after_fork_child();
    caches_lock_release();
}

/* Handlers run in reverse order before a fork: ours, which no later one can need to
   allocate after, last. */
__attribute__((constructor)) static void expect_forks(void)
{
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* --- blocks ------------------------------------------------------------------ */

/* Write down what was asked for, and keep the user's part of the tag. */
static void note(const struct place *place, size_t bytes, uint32_t tag)
{
    if (place->tag == NULL)
        return;
    size_t slack = 0;
    if (place->bytes != NULL)
        *place->bytes = bytes;
    else if (place->bytes32 != NULL)
        *place->bytes32 = (uint32_t)bytes;
    else
        slack = place->usable - bytes;
    *place->tag = tag << SLACK_BITS | (uint32_t)slack;
}

static size_t requested(const struct place *place)
{
    if (place->bytes != NULL)
        return *place->bytes;
    if (place->bytes32 != NULL)
        return *place->bytes32;
    return place->tag == NULL ? place->usable
                              : place->usable - (*place->tag & SLACK_MASK);
}

static bool shall_try_again(hg_heap *heap, size_t bytes)
{
    struct thread_heap *object = (struct thread_heap *)heap;
    hg_on_failure *call = object == NULL ? on_failure : object->on_failure;
    void *arg = object == NULL ? on_failure_arg : object->on_failure_arg;
    return call != NULL && call(bytes, arg) != 0;
}

static HG_NOINLINE void *allocate(hg_heap *heap, size_t align, size_t bytes,
                                  bool zero, uint32_t tag)
{
    struct place place;
    void *block;
    bytes += bytes == 0;
    do
        block = heap_alloc_in(inner(heap), align, bytes, zero, &place);
    while (HG_UNLIKELY(block == NULL) && shall_try_again(heap, bytes));
    if (block != NULL)
        note(&place, bytes, tag);
    return block;
}

HG_ALWAYS_INLINE void *allocate_fast(hg_heap *heap, size_t bytes)
{
    if (HG_LIKELY(heap_is_small(bytes))) {
        struct pool *pool;
        void *block = heap_alloc_fast(inner(heap), heap_small_class(bytes), &pool);
        if (HG_LIKELY(block != NULL)) {
            if (HG_UNLIKELY(pool->tags != NULL))
                pool->tags[heap_block_index(pool, block)] =
                    (uint32_t)heap_small_slack(bytes);
            return block;
        }
    }
    return allocate(heap, 1, bytes, false, 0);
}

HG_ALWAYS_INLINE void free_fast(hg_heap *heap, void *block)
{
    struct heap *from = inner(heap);
    size_t offset;
    struct pool *pool = heap_fast_pool(from, block, &offset);
    if (HG_LIKELY(pool != NULL)) {
        HG_VERIFY(block != pool->free, "block freed twice", block);
        heap_free_fast(pool, block);
    } else if (block != NULL) {
        heap_free_in(from, block);
    }
}

void *hg_heap_alloc(hg_heap *heap, size_t bytes)
{
    return allocate_fast(heap, bytes);
}

void *hg_alloc(size_t bytes)
{
    return allocate_fast(NULL, bytes);
}

void hg_heap_free(hg_heap *heap, void *block)
{
    free_fast(heap, block);
}

void hg_free(void *block)
{
    free_fast(NULL, block);
}

void *hg_heap_calloc(hg_heap *heap, size_t count, size_t bytes)
{
    size_t product;
    if (__builtin_mul_overflow(count, bytes, &product))
        return NULL;
    return allocate(heap, 1, product, true, 0);
}

void *hg_calloc(size_t count, size_t bytes)
{
    return hg_heap_calloc(NULL, count, bytes);
}

void *hg_heap_aligned(hg_heap *heap, size_t align, size_t bytes)
{
    if (align == 0 || (align & (align - 1)) != 0)
        return NULL;
    return allocate(heap, align, bytes, false, 0);
}

void *hg_aligned(size_t align, size_t bytes)
{
    return hg_heap_aligned(NULL, align, bytes);
}

void *hg_heap_realloc(hg_heap *heap, void *block, size_t bytes)
{
    if (block == NULL)
        return allocate_fast(heap, bytes);
    struct place old;
    struct place new;
    bytes += bytes == 0;
    HG_VERIFY(heap_find(block, &old), "not a block of this heap", block);
    uint32_t tag = old.tag == NULL ? 0 : *old.tag >> SLACK_BITS;
    if (heap_resize_in_place(block, bytes, &new)) {
        note(&new, bytes, tag);
        return block;
    }
    void *moved = heap_remap_huge(block, bytes, &new);
    if (moved != NULL) {
        note(&new, bytes, tag);
        return moved;
    }
    moved = allocate(heap, 1, bytes, false, tag);
    if (moved == NULL)
        return NULL;
    /* Whoever asked for the usable size may use it. */
    memcpy(moved, block, old.usable < bytes ? old.usable : bytes);
    free_fast(heap, block);
    return moved;
}

void *hg_realloc(void *block, size_t bytes)
{
    return hg_heap_realloc(NULL, block, bytes);
}

/* --- what is known of them -----------------------------------------------------
 */

static struct place place_of(const void *block)
{
    struct place place;
    HG_VERIFY(heap_find(block, &place), "not a block of this heap", block);
    return place;
}

size_t hg_usable_size(const void *block)
{
    if (block == NULL)
        return 0;
    struct place place = place_of(block);
    return heap_hardened ? heap_requested_bytes(block) : place.usable;
}

size_t hg_requested_size(const void *block)
{
    if (block == NULL)
        return 0;
    struct place place = place_of(block);
    return heap_hardened ? heap_requested_bytes(block) : requested(&place);
}

int hg_owns(const void *address)
{
    return heap_owns(address);
}

hg_status hg_set_tag(void *block, uint32_t tag)
{
    struct place place;
    if (tag > HG_TAG_MAX || !heap_find(block, &place))
        return HG_EINVAL;
    if (place.tag == NULL)
        return HG_ENOTSUP;
    *place.tag = tag << SLACK_BITS | (*place.tag & SLACK_MASK);
    return HG_OK;
}

hg_status hg_get_tag(const void *block, uint32_t *out)
{
    struct place place;
    if (!heap_find(block, &place))
        return HG_EINVAL;
    if (place.tag == NULL)
        return HG_ENOTSUP;
    *out = *place.tag >> SLACK_BITS;
    return HG_OK;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): text_put() writes there */
static size_t tell_tag(uint32_t word, unsigned depth, char *out, size_t room)
{
    struct text text = {out, 0, room};
    uint32_t tag = word >> SLACK_BITS;
    if (tag == 0 || depth > 0)
        return 0;
    text_put_string(&text, "by who gave it the tag ");
    text_put_number(&text, tag, 10);
    return text.used;
}

hg_status hg_harden(uint32_t check_every)
{
    if (heap_held_bytes() != 0)
        return HG_EBUSY;
    heap_tell_tag = tell_tag;
    heap_harden(check_every);
    return HG_OK;
}

hg_status hg_check_frees(void)
{
    if (heap_held_bytes() != 0 || heap_hardened)
        return HG_EBUSY;
    heap_tell_tag = tell_tag;
    heap_check_frees();
    return HG_OK;
}

hg_status hg_keep_tags(void)
{
    if (heap_tags_kept)
        return HG_OK;
    if (heap_held_bytes() != 0)
        return HG_EBUSY;
    heap_keep_tags();
    return HG_OK;
}

struct walk {
    hg_on_block *call;
    void *arg;
};

/* NOLINTNEXTLINE(readability-non-const-parameter): the walk lends it for writing */
static void walk_block(void *arg, void *block, size_t usable, uint32_t *tag,
                       size_t bytes)
{
    struct walk *walk = arg;
    uint32_t word = tag == NULL ? 0 : *tag;
    if (bytes == 0)
        bytes = usable - (word & SLACK_MASK);
    walk->call(block, usable, bytes, word >> SLACK_BITS, walk->arg);
}

void hg_heap_walk(hg_heap *heap, hg_on_block *call, void *arg)
{
    struct walk walk = {call, arg};
    if (heap_start())
        heap_walk_object((struct heap *)heap, walk_block, &walk);
}

/* --- heaps ---------------------------------------------------------------------
 */

hg_heap *hg_heap_open(unsigned flags)
{
    if ((flags & ~(unsigned)HG_TAGS) != 0)
        return NULL;
    return (hg_heap *)heap_object_open((flags & HG_TAGS) != 0);
}

void hg_heap_close(hg_heap *heap)
{
    if (heap == NULL)
        return;
    caches_forget(heap);
    heap_object_close((struct heap *)heap);
}

void hg_heap_limit(hg_heap *heap, size_t bytes)
{
    if (heap == NULL)
        heap_limit(bytes);
    else
        heap_object_limit((struct heap *)heap, bytes);
}

void hg_heap_on_failure(hg_heap *heap, hg_on_failure *call, void *arg)
{
    struct thread_heap *object = (struct thread_heap *)heap;
    if (object == NULL) {
        on_failure = call;
        on_failure_arg = arg;
    } else {
        object->on_failure = call;
        object->on_failure_arg = arg;
    }
}

void hg_take_census(hg_census *out)
{
    struct heap_census c;
    caches_lock_take();
    size_t parked = caches_parked_bytes();
    heap_census(&c);
    caches_lock_release();
    /* Another thread may have emptied a cache in between. */
    if (parked > c.live)
        parked = c.live;
    *out = (hg_census){
        .mapped = c.mapped,
        .live = c.live - parked,
        .parked = parked,
        .free_blocks = c.free_blocks,
        .untouched = c.untouched,
        .free_pools = c.free_pools,
        .tails = c.tails,
        .headers = c.headers,
        .arenas = c.arenas,
        .pools_used = c.pools_used,
        .pools_full = c.pools_full,
        .large = c.large,
        .huge = c.huge,
    };
}

/* NOLINTNEXTLINE(readability-non-const-parameter): as above */
static void add_block(void *arg, void *block, size_t usable, uint32_t *tag,
                      size_t bytes)
{
    hg_heap_statistics *out = arg;
    (void)block, (void)tag, (void)bytes;
    out->live += usable;
    out->blocks++;
}

void hg_get_heap_statistics(hg_heap *heap, hg_heap_statistics *out)
{
    const struct thread_heap *object = (struct thread_heap *)heap;
    *out = (hg_heap_statistics){0};
    if (object == NULL) {
        out->held = out->held_peak = heap_held_bytes();
        out->limit = heap_get_limit();
    } else {
        out->held = atomic_load_explicit(&object->held, memory_order_relaxed);
        out->held_peak = object->held_peak;
        out->limit = object->limit;
    }
    if (heap_start())
        heap_walk_object((struct heap *)heap, add_block, out);
}

size_t hg_trim(void)
{
    return heap_trim();
}

void hg_heap_check(void)
{
    heap_check();
}
