/* SPDX-License-Identifier: MIT */
/* alloc.c - the way in: which kind of block a request or an address means. */
#include "heap/own.h"

#include <string.h>

/* Of the block with this number. */
static inline void pool_place(const struct pool *pool, uint32_t index,
                              struct place *place)
{
    place->usable = heap_classes[pool->class].bytes;
    place->bytes = NULL;
    place->bytes32 = NULL;
    place->tag = NULL;
    if (pool->tags == NULL)
        return;
    place->tag = &pool->tags[index];
    if (pool->class >= SMALL_CLASSES)
        place->bytes32 = &pool->tags[pool_capacity(pool) + index];
}

/* The pool of a block in the window. */
static inline struct pool *pool_of(size_t offset)
{
    struct pool *slot = heap_pool_at(offset);
    return slot - slot->slot_of_run;
}

/* How far into its pool a block is. */
static inline size_t within_pool(size_t offset)
{
    return (offset & (SLOT_BYTES - 1)) +
           ((size_t)heap_pool_at(offset)->slot_of_run << SLOT_SHIFT);
}

/* Where frees are checked; NULL: no block is at hand. */
static void *pooled_checked(struct thread_heap *heap, unsigned class,
                            struct place *place)
{
    struct pool *pool = heap->ring[class];
    void *block = heap_checked_alloc_fast(&heap->fast, class);
    if (HG_LIKELY(block != NULL))
        pool_place(pool, pool_block_index(pool, block), place);
    return block;
}

static void *pooled_slow(struct thread_heap *heap, unsigned class, size_t bytes,
                         struct place *place)
{
    if (HG_UNLIKELY(heap_frees_checked)) {
        void *block = pooled_checked(heap, class, place);
        if (HG_LIKELY(block != NULL))
            return block;
    }
    bool entered = heap == &heap_exhausted;
    if (entered) {
        heap = thread_enter();
        if (heap == NULL)
            return NULL;
    }
    void *block =
        heap_hardened ? hard_alloc(heap, class, bytes) : class_alloc(heap, class);
    if (HG_LIKELY(block != NULL)) {
        struct pool *pool = pool_of((uintptr_t)block - heap_base());
        pool_place(pool, pool_block_index(pool, block), place);
        if (HG_UNLIKELY(heap_frees_checked))
            live_begin(block);
    }
    if (!heap_hardened || entered || heap->stirred)
        thread_slow_end(heap);
    return block;
}

static inline void *pooled_alloc(struct thread_heap *heap, unsigned class,
                                 size_t bytes, struct place *place)
{
    struct pool *pool = heap->pool[class];
    void *block = pool->free;
    if (HG_UNLIKELY(block == NULL))
        return pooled_slow(heap, class, bytes, place);
    pool->free = *(void **)block;
    pool->used++;
    if (pool->tags == NULL)
        pool_place(pool, 0, place);
    else
        pool_place(pool, pool_block_index(pool, block), place);
    return block;
}

/* A large or huge block. */
static inline void *guarded(void *block, size_t bytes, const struct place *place)
{
    if (HG_UNLIKELY(heap_hardened) && block != NULL)
        hard_guard(block, bytes, place->usable);
    size_t offset; /* huge blocks lie outside */
    if (HG_UNLIKELY(heap_frees_checked) && heap_in_window(block, &offset))
        live_begin(block);
    return block;
}

HG_ALWAYS_INLINE void *alloc(struct thread_heap *heap, size_t bytes, bool zero,
                             struct place *place)
{
    if (bytes == 0)
        bytes = 1;
    if (HG_LIKELY(bytes <= MEDIUM_MAX)) {
        void *block = pooled_alloc(heap, class_of(bytes), bytes, place);
        if (zero && block != NULL)
            memset(block, 0, bytes);
        return block;
    }
    if (bytes > REQUEST_MAX || !heap_start())
        return NULL;
    void *block = bytes <= LARGE_MAX
                      ? large_alloc(object_of(heap), bytes, 1, zero, place)
                      : huge_alloc(object_of(heap), bytes, 1, zero, place);
    return guarded(block, bytes, place);
}

void *heap_alloc_slow(size_t bytes, struct place *place)
{
    return alloc((struct thread_heap *)heap_mine, bytes, false, place);
}

void *heap_calloc_slow(size_t bytes, struct place *place)
{
    return alloc((struct thread_heap *)heap_mine, bytes, true, place);
}

static void *alloc_aligned(struct thread_heap *heap, size_t align, size_t bytes,
                           struct place *place)
{
    if (align > REQUEST_MAX / 2 || bytes > REQUEST_MAX / 2 || !heap_start())
        return NULL;
    if (bytes == 0)
        bytes = 1;
    size_t rounded = (bytes + align - 1) & ~(align - 1);
    size_t stepped = (rounded + ALIGNED_STEP - 1) & ~(size_t)(ALIGNED_STEP - 1);
    if (stepped <= ALIGNED_MAX)
        return pooled_alloc(heap,
                            ALIGNED_FIRST + (unsigned)(stepped / ALIGNED_STEP) - 1,
                            bytes, place);
    /* A small block whose slack does not fit beside the tag; see struct place. */
    if (heap->keeps_tags && rounded <= SMALL_MAX && rounded - bytes > 30)
        rounded = (SMALL_MAX + align) & ~(align - 1);
    /* Pools begin at a multiple of SLOT_BYTES, these have no lead, and there is a
       class for every multiple of a power of two that is not below an eighth of the
       size's doubling; so blocks of the class of a multiple of `align` are
       multiples of it. */
    if (rounded <= MEDIUM_MAX)
        return pooled_alloc(heap, class_of(rounded), bytes, place);
    void *block = bytes <= LARGE_MAX && align <= ARENA_BYTES
                      ? large_alloc(object_of(heap), bytes, align, false, place)
                      : huge_alloc(object_of(heap), bytes, align, false, place);
    return guarded(block, bytes, place);
}

void *heap_alloc_in(struct heap *in, size_t align, size_t bytes, bool zero,
                    struct place *place)
{
    struct thread_heap *heap = (struct thread_heap *)in;
    if (align <= BLOCK_ALIGN)
        return alloc(heap, bytes, zero, place);
    void *block = alloc_aligned(heap, align, bytes, place);
    return block != NULL && zero ? memset(block, 0, bytes) : block;
}

void *heap_alloc_aligned(size_t align, size_t bytes, struct place *place)
{
    return heap_alloc_in(heap_mine, align, bytes, false, place);
}

/* A large block, or none: then it is said what is wrong with it. */
static __attribute__((noinline)) void free_large(struct pool *pool, size_t offset,
                                                 void *block)
{
    enum pool_state state = pool_state(pool);
    if (state == POOL_FREE)
        bad_free_of_slot(pool, block);
    if (state == POOL_LARGE) {
        large_free(pool, block);
        return;
    }
    uint64_t product = pool_product(pool, within_pool(offset));
    if (pool_owner(pool) != SYSTEM_HEAP) {
        HG_VERIFY((uint32_t)product < pool->reciprocal, "not the start of a block",
                  block);
        HG_VERIFY(product >> 32 < pool_capacity(pool), "not a block", block);
    }
    HG_VERIFY(false, "block freed twice, or never allocated", block);
}

bool heap_free_huge(void *block)
{
    if (HG_UNLIKELY(heap_hardened))
        huge_verify(block);
    if (!huge_free(block))
        return false;
    slow_end();
    return true;
}

/* A pool that was full has got a block back. */
static HG_NOINLINE void reopen(struct thread_heap *heap, struct pool *pool)
{
    pool_set_used(heap, pool);
    if (HG_UNLIKELY(heap->opened >= OPENED_MIN))
        pools_cool(heap);
    if (HG_UNLIKELY(pool->used == 0))
        heap_pool_emptied(pool);
}

/* Calls come last, so that the common ways need no room on the stack. */
HG_ALWAYS_INLINE void give_back(struct thread_heap *heap, struct pool *pool,
                                size_t offset, void *block)
{
    size_t within = within_pool(offset);
    uint64_t product = pool_product(pool, within);
    enum pool_state state = pool_state(pool);
    uint32_t owner = pool_owner(pool);
    bool begins = (state == POOL_USED || state == POOL_FULL) &&
                  (uint32_t)product < pool->reciprocal &&
                  product >> 32 < pool_capacity(pool) && owner != SYSTEM_HEAP;
    if (HG_LIKELY(begins && owner != heap->id)) {
        remote_free(pool, block);
        return;
    }
    if (HG_UNLIKELY(!begins || pool_absent_at(pool, within) ||
                    block == pool->free)) {
        free_large(pool, offset, block);
        return;
    }
    *(void **)block = pool->free;
    pool->free = block;
    pool->used--;
    if (state == POOL_FULL)
        reopen(heap, pool);
    else if (HG_UNLIKELY(pool->used == 0))
        heap_pool_emptied(pool);
}

/* A block of its own mapping, or of a heap that looks at what is freed. */
static HG_NOINLINE void free_rare(struct thread_heap *heap, void *block)
{
    size_t offset;
    if (!heap_in_window(block, &offset)) {
        HG_VERIFY(heap_free_huge(block), "not a block of this heap", block);
    } else if (heap_hardened) {
        heap_hard_give(&heap->fast, block);
    } else {
        struct pool *pool = pool_of(offset);
        live_end(block, pool_owner(pool) == heap->id);
        give_back(heap, pool, offset, block);
    }
}

HG_ALWAYS_INLINE void free_by(struct thread_heap *heap, void *block)
{
    size_t offset;
    if (HG_LIKELY(heap_in_window(block, &offset) && !heap_hardened &&
                  !heap_frees_checked))
        give_back(heap, pool_of(offset), offset, block);
    else
        free_rare(heap, block);
}

void heap_free_slow(void *block)
{
    free_by((struct thread_heap *)heap_mine, block);
}

void heap_free_in(struct heap *heap, void *block)
{
    free_by((struct thread_heap *)heap, block);
}

bool heap_find(const void *block, struct place *place)
{
    size_t offset;
    if (!heap_in_window(block, &offset))
        return huge_find(block, place);
    struct pool *pool = pool_of(offset);
    enum pool_state state = pool_state(pool);
    if (state == POOL_LARGE && block == pool_start(pool)) {
        large_place(pool, place);
        return true;
    }
    uint64_t product = pool_product(pool, within_pool(offset));
    if (state == POOL_FREE || state == POOL_LARGE ||
        (uint32_t)product >= pool->reciprocal ||
        product >> 32 >= pool_capacity(pool) || pool_owner(pool) == SYSTEM_HEAP)
        return false;
    pool_place(pool, (uint32_t)(product >> 32), place);
    return true;
}

static bool resize_large(struct pool *pool, void *block, size_t bytes,
                         struct place *place)
{
    const uint32_t *tag = object_keeps_tags(pool_owner(pool)) ? &pool->tag : NULL;
    if (heap_hardened)
        hard_verify(block, pool->bytes, pool->slots * SLOT_BYTES, tag);
    if (!large_resize(pool, block, bytes))
        return false;
    large_place(pool, place);
    if (heap_hardened) {
        pool->bytes = bytes;
        hard_guard(block, bytes, place->usable);
    }
    return true;
}

bool heap_resize_in_place(void *block, size_t bytes, struct place *place)
{
    if (bytes == 0)
        bytes = 1;
    size_t offset;
    if (!heap_in_window(block, &offset))
        return huge_resize(block, bytes, place);
    if (HG_UNLIKELY(heap_frees_checked))
        live_verify(block);
    struct pool *pool = pool_of(offset);
    enum pool_state state = pool_state(pool);
    HG_VERIFY(state != POOL_FREE, "not a live block", block);
    if (state == POOL_LARGE)
        return resize_large(pool, block, bytes, place);
    uint64_t product = pool_product(pool, within_pool(offset));
    bool fits = bytes <= MEDIUM_MAX && class_of(bytes) == pool->class;
    if (HG_UNLIKELY(heap_hardened))
        hard_resize(pool, (uint32_t)(product >> 32), fits ? bytes : 0);
    if (!fits)
        return false;
    pool_place(pool, (uint32_t)(product >> 32), place);
    return true;
}

size_t heap_requested_bytes(const void *block)
{
    size_t offset;
    struct place place = {.usable = 0};
    if (!heap_hardened) {
        heap_find(block, &place);
        return place.usable;
    }
    if (!heap_in_window(block, &offset))
        return huge_requested(block);
    const struct pool *pool = pool_of(offset);
    if (pool_state(pool) == POOL_LARGE)
        return pool->bytes;
    uint64_t product = pool_product(pool, within_pool(offset));
    return hard_requested(pool, (uint32_t)(product >> 32));
}
