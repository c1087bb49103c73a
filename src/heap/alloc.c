/* SPDX-License-Identifier: MIT */
/* alloc.c - the way in: which kind of block a request or an address means. */
#include "heap/own.h"

#include <string.h>

/* Beyond it differences of pointers overflow; malloc may not return such a block.
 */
#define REQUEST_MAX ((size_t)PTRDIFF_MAX - ((size_t)1 << 30))

static void pool_place(const struct pool *pool, const void *block,
                       struct place *place)
{
    place->usable = heap_classes[pool->class].bytes;
    place->bytes = NULL;
    place->bytes32 = NULL;
    place->tag = NULL;
    if (pool->tags == NULL)
        return;
    uint32_t index = pool_block_index(pool, block);
    place->tag = &pool->tags[index];
    if (pool->class >= SMALL_CLASSES)
        place->bytes32 = &pool->tags[pool->capacity + index];
}

/* The pool of a block in the window. */
static struct pool *pool_of(size_t offset)
{
    struct pool *pool = heap_pool_at(offset);
    return pool - pool->slot_of_run;
}

static void *pooled_alloc(unsigned class, struct place *place)
{
    struct thread_heap *heap = heap_of_thread();
    if (HG_UNLIKELY(heap == NULL)) {
        heap = thread_enter();
        if (heap == NULL)
            return NULL;
    }
    void *block = class_alloc(heap, class);
    if (HG_LIKELY(block != NULL))
        pool_place(pool_of((uintptr_t)block - heap_base()), block, place);
    thread_slow_end(heap);
    return block;
}

static void *alloc(size_t bytes, bool zero, struct place *place)
{
    if (bytes == 0)
        bytes = 1;
    if (HG_LIKELY(bytes <= MEDIUM_MAX)) {
        void *block = pooled_alloc(class_of(bytes), place);
        if (zero && block != NULL)
            memset(block, 0, bytes);
        return block;
    }
    if (bytes > REQUEST_MAX || !heap_start())
        return NULL;
    if (bytes <= LARGE_MAX)
        return large_alloc(bytes, 1, zero, place);
    return huge_alloc(bytes, 1, zero, place);
}

void *heap_alloc_slow(size_t bytes, struct place *place)
{
    return alloc(bytes, false, place);
}

void *heap_calloc_slow(size_t bytes, struct place *place)
{
    return alloc(bytes, true, place);
}

void *heap_alloc_aligned(size_t align, size_t bytes, struct place *place)
{
    if (align <= BLOCK_ALIGN)
        return alloc(bytes, false, place);
    if (align > REQUEST_MAX / 2 || bytes > REQUEST_MAX / 2 || !heap_start())
        return NULL;
    if (bytes == 0)
        bytes = 1;
    /* Pools begin at a multiple of SLOT_BYTES, and there is a class for every
       multiple of a power of two that is not below an eighth of the size's
       doubling; so blocks of the class of a multiple of `align` are multiples of
       it. */
    size_t rounded = (bytes + align - 1) & ~(align - 1);
    /* A small block whose slack does not fit beside the tag; see struct place. */
    if (heap_tags_kept && rounded <= SMALL_MAX && rounded - bytes > 31)
        rounded = (SMALL_MAX + align) & ~(align - 1);
    if (rounded <= MEDIUM_MAX)
        return pooled_alloc(class_of(rounded), place);
    if (bytes <= LARGE_MAX && align <= ARENA_BYTES)
        return large_alloc(bytes, align, false, place);
    return huge_alloc(bytes, align, false, place);
}

void heap_free_slow(void *block)
{
    size_t offset;
    if (!heap_in_window(block, &offset)) {
        HG_VERIFY(huge_free(block), "not a block of this heap", block);
        slow_end();
        return;
    }
    struct pool *pool = pool_of(offset);
    enum pool_state state = pool_state(pool);
    HG_VERIFY(state != POOL_FREE, "block freed twice, or never allocated", block);
    if (state == POOL_LARGE) {
        large_free(pool, block);
        return;
    }
    HG_VERIFY(pool_has_block(pool, block), "not the start of a block", block);
    struct thread_heap *heap = heap_of_thread();
    uint32_t id = pool_owner(pool);
    if (heap == NULL || id != heap->id) {
        HG_VERIFY(id != SYSTEM_HEAP, "not a block of a caller", block);
        remote_free(pool, block);
        return;
    }
    class_free(heap, pool, block);
    if (heap->stirred)
        thread_slow_end(heap);
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
    if (state == POOL_FREE || state == POOL_LARGE || !pool_has_block(pool, block))
        return false;
    pool_place(pool, block, place);
    return true;
}

bool heap_resize_in_place(void *block, size_t bytes, struct place *place)
{
    if (bytes == 0)
        bytes = 1;
    size_t offset;
    if (!heap_in_window(block, &offset))
        return huge_resize(block, bytes, place);
    struct pool *pool = pool_of(offset);
    enum pool_state state = pool_state(pool);
    HG_VERIFY(state != POOL_FREE, "not a live block", block);
    if (state == POOL_LARGE) {
        if (!large_resize(pool, block, bytes))
            return false;
        large_place(pool, place);
        return true;
    }
    if (bytes > MEDIUM_MAX || class_of(bytes) != pool->class)
        return false;
    pool_place(pool, block, place);
    return true;
}
