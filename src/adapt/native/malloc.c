/* SPDX-License-Identifier: MIT */
/*
 * malloc.c - malloc and its relatives, for a whole program.
 *
 * The dynamic linker finds these names here before those of the C library, and
 * begins to call them before any constructor has run, libraries' constructors
 * before ours.  So the first call decides, by the environment, whether blocks need
 * tags; who they belong to can be said once our constructor has found out what the
 * program is. If it is none of our business, malloc is the C library's from then
 * on, and what was handed out until then is recognised by its address.
 *
 * operator new and delete are not here: those of the C++ library call malloc and
 * free, and who brings his own shall have it.
 *
 * Nothing here calls stdio, and what it calls must not need malloc; a call from
 * within our own accounts gets a block that belongs to nobody.
 */
#include "adapt/cpython/reaping.h"
#include "adapt/native/accounts.h"

#include "base/pages.h"
#include "base/text.h"
#include "heap/heap.h"
#include "trace/block.h"
#include "trace/session.h"
#include "trace/site.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* The C library's own, by the names under which it always exports them. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *block);
/* NOLINTEND(bugprone-reserved-identifier) */

static void record(struct owner owner, const struct place *place, size_t bytes)
{
    block_note(place, owner.node, bytes);
    if (place->tag != NULL)
        accounts_add(*place->tag, owner.away, LEDGER_MALLOC, bytes);
}

/* -------------------------------------------------------------------------- blocks
 */

static void *refused(void)
{
    errno = ENOMEM;
    return NULL;
}

static HG_NOINLINE void *allocate(size_t align, size_t bytes, bool zero)
{
    native_begin();
    if (native_mode() == NATIVE_OFF) {
        if (align > 1)
            return __libc_memalign(align, bytes);
        return zero ? __libc_calloc(1, bytes) : __libc_malloc(bytes);
    }
    bool traced = accounts_begin();
    struct owner owner = accounts_owner(traced);
    struct place place;
    bytes += bytes == 0;
    void *block = heap_alloc_in(heap_mine, align, bytes, zero, &place);
    if (block != NULL)
        record(owner, &place, bytes);
    if (HG_UNLIKELY(reaping_now) && traced)
        reaping_note_born(block);
    accounts_end(traced);
    return block != NULL ? block : refused();
}

/* `what` is wrong with a freed block, whose tag still says who asked for it. */
static HG_COLD _Noreturn void freed_before(const char *what, const void *block,
                                           uint32_t tag)
{
    static char line[400];
    struct text text = {line, 0, sizeof line - 1};
    text_put_string(&text, what);
    size_t end = text.used;
    text_put_string(&text, "; it was allocated at ");
    if (site_tell(tag, 0, line + text.used, sizeof line - 1 - text.used) == 0)
        line[end] = 0;
    base_panic(line, block);
}

/* Whether the tag is that of a freed block, and nobody but us would notice. */
static bool was_freed(uint32_t tag)
{
    return (tag & TAG_SLACK_MASK) == TAG_FREED && !heap_hardened &&
           !heap_frees_checked;
}

/* Nothing is left of a huge block that was freed; it began where a page does. */
static HG_COLD _Noreturn void no_block(const char *call, const void *address)
{
    static char line[100];
    struct text text = {line, 0, sizeof line - 1};
    size_t offset;
    text_put_string(&text, call);
    text_put_string(&text, " of what malloc() did not return");
    if (heap_in_window(address, &offset) ||
        (address != NULL && (uintptr_t)address % PAGE_BYTES == 0))
        text_put_string(&text, ", or what was freed before");
    line[text.used] = 0;
    base_panic(line, address);
}

/* Without accounts every block is ours, and the heap finds out what kind it is. */
static HG_NOINLINE void free_plain(void *block)
{
    size_t offset;

    if (heap_frees_checked && heap_checked_free_fast(heap_mine, block))
        return;
    if (heap_in_window(block, &offset))
        heap_free_slow(block);
    else if (!heap_free_huge(block))
        no_block("free()", block);
}

/* By the way that they were allocated in: not all are ours. */
static HG_NOINLINE void free_traced(void *block)
{
    struct place place;
    size_t offset;
    bool found = heap_find(block, &place);
    if (found || heap_in_window(block, &offset)) {
        bool traced = accounts_begin();
        bool kept = false;
        if (traced && found && place.tag != NULL) {
            if (was_freed(*place.tag))
                freed_before("block freed twice", block, *place.tag);
            if (HG_UNLIKELY(reaping_now))
                reaping_note_freed(block, *place.tag, block_bytes(&place));
            accounts_strike(*place.tag, accounts_are_away(), LEDGER_MALLOC,
                            block_bytes(&place));
            kept = accounts_kept(*place.tag, block, block_bytes(&place));
            *place.tag |= TAG_FREED;
        }
        if (!kept)
            heap_free_slow(block); /* which says what is wrong with it */
        accounts_end(traced);
    } else if (native_mode() == NATIVE_OFF) {
        __libc_free(block);
    } else {
        no_block("free()", block);
    }
}

/* A small block where frees are checked; NULL: there is none at hand. */
static void *checked_malloc(size_t bytes)
{
    size_t class = heap_small_class(bytes);
    void *block = heap_checked_alloc_fast(heap_mine, class);

    if (block == NULL && heap_checked_refill(heap_mine, class))
        block = heap_checked_alloc_fast(heap_mine, class);
    return block;
}

static HG_NOINLINE void *allocate_again(size_t bytes)
{
    struct pool *pool;
    size_t class = heap_small_class(bytes);
    void *block = NULL;

    if (heap_hardened)
        block = heap_hard_take(heap_mine, bytes);
    else if (heap_frees_checked)
        block = checked_malloc(bytes);
    else if (heap_refill(heap_mine, class))
        block = heap_alloc_fast(heap_mine, class, &pool);
    return block != NULL ? block : allocate(1, bytes, false);
}

EXPORT void *malloc(size_t bytes)
{
    if (HG_LIKELY(native_mode() == NATIVE_PLAIN && heap_is_small(bytes))) {
        struct pool *pool;
        void *block = heap_alloc_fast(heap_mine, heap_small_class(bytes), &pool);
        return HG_LIKELY(block != NULL) ? block : allocate_again(bytes);
    }
    return allocate(1, bytes, false);
}

EXPORT void free(void *block)
{
    size_t offset;
    struct pool *pool = heap_fast_pool(heap_mine, block, &offset);

    if (HG_LIKELY(pool != NULL && native_mode() == NATIVE_PLAIN)) {
        HG_VERIFY(block != pool->free, "block freed twice", block);
        heap_free_fast(pool, block);
    } else if (block == NULL) {
        return;
    } else if (native_mode() == NATIVE_PLAIN) {
        free_plain(block);
    } else {
        free_traced(block);
    }
}

EXPORT void *calloc(size_t count, size_t bytes)
{
    size_t product;

    if (__builtin_mul_overflow(count, bytes, &product))
        return refused();
    if (HG_LIKELY(native_mode() == NATIVE_PLAIN && heap_is_small(product))) {
        struct pool *pool;
        void *block = heap_alloc_fast(heap_mine, heap_small_class(product), &pool);
        if (HG_LIKELY(block != NULL))
            return memset(block, 0, product);
    }
    return allocate(1, product, true);
}

/* Whoever asked malloc_usable_size() may use all of that. */
static void copy_usable(void *moved, const void *block, const struct place *old,
                        size_t bytes)
{
    memcpy(moved, block, old->usable < bytes ? old->usable : bytes);
}

/* From our heap to the C library's, which serves malloc now. */
static void *emigrate(void *block, const struct place *old, size_t bytes)
{
    void *moved = __libc_malloc(bytes);
    if (moved == NULL)
        return NULL;
    copy_usable(moved, block, old, bytes);
    heap_free_slow(block);
    return moved;
}

static void *resize(void *block, size_t bytes)
{
    struct place old;
    struct place new;

    if (!heap_find(block, &old)) {
        size_t offset;
        if (native_mode() != NATIVE_OFF || heap_in_window(block, &offset))
            no_block("realloc()", block);
        return __libc_realloc(block, bytes);
    }
    if (native_mode() == NATIVE_OFF)
        return emigrate(block, &old, bytes);
    /* Once accounts are closed, blocks come without: what a tag says is old. */
    bool told = old.tag != NULL && native_mode() != NATIVE_PLAIN;
    size_t old_bytes = told ? block_bytes(&old) : old.usable;
    uint32_t old_tag = old.tag != NULL ? *old.tag : 0;
    bool traced = accounts_begin();
    if (traced && old.tag != NULL && was_freed(old_tag))
        freed_before("a freed block was resized", block, old_tag);
    struct owner owner = accounts_owner(traced);
    void *moved = block;
    if (!heap_resize_in_place(block, bytes, &new)) {
        moved = heap_remap_huge(block, bytes, &new);
        if (moved == NULL) {
            moved = heap_alloc_slow(bytes, &new);
            if (moved != NULL) {
                copy_usable(moved, block, &old, bytes);
                if (told)
                    *old.tag |= TAG_FREED;
                heap_free_slow(block);
            }
        }
    }
    if (moved != NULL) {
        /* Freed where it was, and asked for where it is now. */
        if (traced && old.tag != NULL)
            accounts_strike(old_tag, owner.away, LEDGER_MALLOC, old_bytes);
        record(owner, &new, bytes);
        if (HG_UNLIKELY(reaping_now) && traced)
            reaping_note_moved(block, moved);
    }
    accounts_end(traced);
    return moved != NULL ? moved : refused();
}

EXPORT void *realloc(void *block, size_t bytes)
{
    if (block == NULL)
        return malloc(bytes);
    if (bytes == 0) { /* as the GNU C library has it */
        free(block);
        return NULL;
    }
    return resize(block, bytes);
}

EXPORT void *reallocarray(void *block, size_t count, size_t bytes)
{
    size_t product;

    if (__builtin_mul_overflow(count, bytes, &product))
        return refused();
    return realloc(block, product);
}

/* A power of two that is no less; 0: there is none. */
static size_t power_of_two(size_t align)
{
    if (align <= 1)
        return 1;
    if (align > (size_t)1 << 62)
        return 0;
    return (size_t)1 << (64 - __builtin_clzl(align - 1));
}

EXPORT void *memalign(size_t align, size_t bytes)
{
    size_t power = power_of_two(align);
    if (power == 0) {
        errno = EINVAL;
        return NULL;
    }
    return allocate(power, bytes, false);
}

EXPORT void *aligned_alloc(size_t align, size_t bytes)
{
    return memalign(align, bytes);
}

EXPORT int posix_memalign(void **out, size_t align, size_t bytes)
{
    if (align % sizeof(void *) != 0 || align == 0 || (align & (align - 1)) != 0)
        return EINVAL;
    int saved = errno;
    void *block = allocate(align, bytes, false);
    errno = saved;
    if (block == NULL)
        return ENOMEM;
    *out = block;
    return 0;
}

EXPORT void *valloc(size_t bytes)
{
    return allocate((size_t)sysconf(_SC_PAGESIZE), bytes, false);
}

EXPORT void *pvalloc(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t whole;

    if (__builtin_add_overflow(bytes, page - 1, &whole))
        return refused();
    return allocate(page, whole & ~(page - 1), false);
}

/* --------------------------------------------------------------------------- facts
 */

/* The C library's function of this name. */
static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

EXPORT size_t malloc_usable_size(void *block)
{
    struct place place;
    size_t (*libc_size)(void *);

    if (block == NULL)
        return 0;
    if (heap_find(block, &place))
        return heap_hardened ? heap_requested_bytes(block) : place.usable;
    if (native_mode() != NATIVE_OFF)
        no_block("malloc_usable_size()", block);
    *(void **)&libc_size = next("malloc_usable_size");
    return libc_size != NULL ? libc_size(block) : 0;
}

EXPORT int malloc_trim(size_t keep)
{
    int (*libc_trim)(size_t);

    if (native_mode() != NATIVE_OFF)
        return heap_trim() != 0;
    *(void **)&libc_trim = next("malloc_trim");
    return libc_trim != NULL ? libc_trim(keep) : 0;
}

/* In the C library's words: arenas, blocks with a mapping of their own, and of the
   former what is in use and what is free. */
EXPORT struct mallinfo2 mallinfo2(void)
{
    struct mallinfo2 (*libc_info)(void);
    struct mallinfo2 info = {0};
    struct heap_census c;

    if (native_mode() == NATIVE_OFF) {
        *(void **)&libc_info = next("mallinfo2");
        return libc_info != NULL ? libc_info() : info;
    }
    heap_census(&c);
    info.arena = c.mapped - c.huge_bytes;
    info.hblks = c.huge;
    info.hblkhd = c.huge_bytes;
    info.uordblks = c.live - c.huge_bytes + c.headers + c.tails;
    info.fordblks = c.free_blocks + c.untouched + c.free_pools;
    info.keepcost = c.free_pools;
    return info;
}

static int narrow(size_t wide)
{
    return (int)wide; /* as wrong as the C library's above 2 GiB: see its manual */
}

EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 wide = mallinfo2();
    return (struct mallinfo){
        .arena = narrow(wide.arena),
        .hblks = narrow(wide.hblks),
        .hblkhd = narrow(wide.hblkhd),
        .uordblks = narrow(wide.uordblks),
        .fordblks = narrow(wide.fordblks),
        .keepcost = narrow(wide.keepcost),
    };
}
