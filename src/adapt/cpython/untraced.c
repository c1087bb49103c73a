/* SPDX-License-Identifier: MIT */
/* untraced.c - CPython's allocators without accounts: those of a heap that is
 * hardened, or whose frees are checked, too.
 */
#include "adapt/cpython/untraced.h"

#include "adapt/cpython/domains.h"

#include <string.h>

static HG_NOINLINE void *plain_malloc_slow(enum py_domain domain, size_t bytes)
{
    struct owner nobody = {.node = LEDGER_NO_NODE};
    struct heap *heap = domain_heap_joined(domain);
    struct pool *pool;

    if (heap_is_small(bytes) && heap_refill(heap, heap_small_class(bytes)))
        return heap_alloc_fast(heap, heap_small_class(bytes), &pool);
    return domain_alloc(nobody, domain, bytes, false);
}

HG_ALWAYS_INLINE void *plain_malloc(enum py_domain domain, size_t bytes)
{
    struct pool *pool;

    if (HG_LIKELY(heap_is_small(bytes))) {
        void *block =
            heap_alloc_fast(domain_heap(domain), heap_small_class(bytes), &pool);
        if (HG_LIKELY(block != NULL))
            return block;
    }
    return plain_malloc_slow(domain, bytes);
}

static HG_NOINLINE void plain_free_slow(enum py_domain domain, void *block)
{
    struct heap *heap = domain_heap_joined(domain);
    size_t offset;

    if (heap_reopen(heap, block))
        heap_free_fast(heap_fast_pool(heap, block, &offset), block);
    else
        domain_free(true, domain, block);
}

HG_ALWAYS_INLINE void plain_free(enum py_domain domain, void *block)
{
    size_t offset;

    struct pool *pool = heap_fast_pool(domain_heap(domain), block, &offset);
    if (HG_LIKELY(pool != NULL))
        heap_free_fast(pool, block);
    else
        plain_free_slow(domain, block);
}

static HG_NOINLINE void *plain_resize(enum py_domain domain, void *block,
                                      size_t bytes)
{
    struct owner nobody = {.node = LEDGER_NO_NODE, .away = true};
    return domain_resize(nobody, domain, block, bytes);
}

static HG_NOINLINE void *plain_move_small(enum py_domain domain,
                                          struct pool *old_pool, void *block,
                                          size_t bytes)
{
    struct pool *pool;
    void *moved =
        heap_alloc_fast(domain_heap(domain), heap_small_class(bytes), &pool);

    if (moved == NULL)
        return plain_resize(domain, block, bytes);
    size_t old_bytes = heap_small_bytes(old_pool->class);
    memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
    heap_free_fast(old_pool, block);
    return moved;
}

HG_ALWAYS_INLINE void *plain_realloc(enum py_domain domain, void *block,
                                     size_t bytes)
{
    size_t offset;
    size_t n = domain_bytes(bytes);

    if (block == NULL)
        return plain_malloc(domain, bytes);
    struct pool *pool = heap_fast_pool(domain_heap(domain), block, &offset);
    if (pool == NULL || n > SMALL_MAX)
        return plain_resize(domain, block, n);
    if (heap_small_class(n) == pool->class)
        return block;
    return plain_move_small(domain, pool, block, n);
}

/* --- on a hardened heap, whose blocks come and go by functions ---------------- */

HG_ALWAYS_INLINE void *hardened_malloc(enum py_domain domain, size_t bytes)
{
    void *block = NULL;

    if (HG_LIKELY(heap_is_small(bytes)))
        block = heap_hard_take(domain_heap(domain), bytes);
    return HG_LIKELY(block != NULL) ? block : plain_malloc_slow(domain, bytes);
}

HG_ALWAYS_INLINE void hardened_free(enum py_domain domain, void *block)
{
    size_t offset;

    if (HG_LIKELY(heap_in_window(block, &offset)))
        heap_hard_give(domain_heap(domain), block);
    else
        plain_free_slow(domain, block);
}

HG_ALWAYS_INLINE void *hardened_realloc(enum py_domain domain, void *block,
                                        size_t bytes)
{
    return plain_realloc(domain, block, bytes);
}

/* --- where frees are checked -------------------------------------------------- */

static HG_NOINLINE void *checked_malloc_slow(enum py_domain domain, size_t bytes)
{
    struct owner nobody = {.node = LEDGER_NO_NODE};
    struct heap *heap = domain_heap_joined(domain);
    size_t class = heap_small_class(bytes);

    if (heap_is_small(bytes) && heap_checked_refill(heap, class))
        return heap_checked_alloc_fast(heap, class);
    return domain_alloc(nobody, domain, bytes, false);
}

HG_ALWAYS_INLINE void *checked_malloc(enum py_domain domain, size_t bytes)
{
    if (HG_LIKELY(heap_is_small(bytes))) {
        void *block =
            heap_checked_alloc_fast(domain_heap(domain), heap_small_class(bytes));
        if (HG_LIKELY(block != NULL))
            return block;
    }
    return checked_malloc_slow(domain, bytes);
}

static HG_NOINLINE void checked_free_slow(enum py_domain domain, void *block)
{
    size_t offset;

    if (heap_in_window(block, &offset))
        heap_free_in(domain_heap_joined(domain), block);
    else
        domain_free(true, domain, block);
}

HG_ALWAYS_INLINE void checked_free(enum py_domain domain, void *block)
{
    if (HG_UNLIKELY(!heap_checked_free_fast(domain_heap(domain), block)))
        checked_free_slow(domain, block);
}

static HG_NOINLINE void *checked_move_small(enum py_domain domain, void *block,
                                            size_t old_bytes, size_t bytes)
{
    void *moved = checked_malloc(domain, bytes);

    if (moved == NULL)
        return NULL;
    memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
    checked_free(domain, block);
    return moved;
}

HG_ALWAYS_INLINE void *checked_realloc(enum py_domain domain, void *block,
                                       size_t bytes)
{
    size_t at;
    size_t n = domain_bytes(bytes);

    if (block == NULL)
        return checked_malloc(domain, bytes);
    struct pool *pool = heap_checked_pool(domain_heap(domain), block, &at);
    if (pool == NULL || n > SMALL_MAX)
        return plain_resize(domain, block, n);
    if (heap_small_class(n) == pool->class)
        return block;
    return checked_move_small(domain, block, heap_small_bytes(pool->class), n);
}

/* --- a set of functions for each --------------------------------------------- */

/* Zeroed ones that are not small. */
static HG_NOINLINE void *calloc_other(enum py_domain domain, size_t bytes)
{
    return domain_alloc((struct owner){.node = LEDGER_NO_NODE}, domain, bytes,
                        true);
}

#define FUNCTIONS(kind, domain)                                                    \
    static void *kind##_malloc_##domain(void *context, size_t bytes)               \
    {                                                                              \
        (void)context;                                                             \
        return kind##_malloc(domain, bytes);                                       \
    }                                                                              \
    static void *kind##_calloc_##domain(void *context, size_t count, size_t bytes) \
    {                                                                              \
        size_t product;                                                            \
        (void)context;                                                             \
        if (!domain_product(count, bytes, &product))                               \
            return NULL;                                                           \
        if (!heap_is_small(product))                                               \
            return calloc_other(domain, product);                                  \
        void *block = kind##_malloc(domain, product);                              \
        return block != NULL ? memset(block, 0, product) : NULL;                   \
    }                                                                              \
    static void *kind##_realloc_##domain(void *context, void *block, size_t bytes) \
    {                                                                              \
        (void)context;                                                             \
        return kind##_realloc(domain, block, bytes);                               \
    }                                                                              \
    static void kind##_free_##domain(void *context, void *block)                   \
    {                                                                              \
        (void)context;                                                             \
        kind##_free(domain, block);                                                \
    }

#define ENTRY(kind, domain)                                                        \
    [domain] = {NULL, kind##_malloc_##domain, kind##_calloc_##domain,              \
                kind##_realloc_##domain, kind##_free_##domain}

#define SET(kind)                                                                  \
    FUNCTIONS(kind, PY_RAW)                                                        \
    FUNCTIONS(kind, PY_MEM)                                                        \
    FUNCTIONS(kind, PY_OBJ)                                                        \
    static const struct py_allocator kind[PY_DOMAINS] = {                          \
        ENTRY(kind, PY_RAW), ENTRY(kind, PY_MEM), ENTRY(kind, PY_OBJ)};

SET(plain)
SET(hardened)
SET(checked)

const struct py_allocator *untraced_hooks(void)
{
    if (heap_frees_checked)
        return checked;
    return heap_hardened ? hardened : plain;
}
