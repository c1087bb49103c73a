/* SPDX-License-Identifier: MIT */
/* types.h - every structure of the heap and what always holds of it. */
#ifndef HG_HEAP_TYPES_H
#define HG_HEAP_TYPES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The heap has three kinds of things, in CPython's words:
 *
 *   arena   1 MiB of address space, aligned, cut into 64 slots of 16 KiB
 *   pool    one slot or a run of slots, holding blocks of one size class
 *   block   what a caller gets
 *
 * Arenas lie in one window of address space that nobody but us maps; it is
 * mapped as the heap grows and never ahead of need, for a program may lower
 * RLIMIT_AS whenever it likes.  "Is it ours" is a subtraction and a comparison.
 * Nothing about a pool is written into the pool: its descriptor stands in an
 * array below the window, descriptor i for slot i, so that pages hold users'
 * bytes only and can go back to the system one by one.
 *
 *     | descriptors, 64 bytes a slot | window: slot 0, slot 1, ...           |
 *     ^ heap_space.base - DESCRIPTOR_WINDOW                                  |
 *                                    ^ heap_space.base                       |
 *
 * Requests beyond LARGE_MAX have a mapping of their own, outside the window,
 * found by a hash table of addresses (huge.c).
 */

#ifdef HG_CLASSIC_GEOMETRY
#define SLOT_SHIFT 12
#define BLOCK_ALIGN 8
#define BLOCK_SHIFT 3
#define SMALL_MAX 512u
#else
#define SLOT_SHIFT 14
#define BLOCK_ALIGN 16
#define BLOCK_SHIFT 4
#define SMALL_MAX 512u
#endif
#define SLOT_BYTES ((size_t)1 << SLOT_SHIFT)
#define ARENA_SLOTS 64u
#define ARENA_BYTES (SLOT_BYTES * ARENA_SLOTS)
/* ThreadSanitizer allows mappings near the others only. */
#if defined(__SANITIZE_THREAD__)
#define WINDOW_SHIFT 37
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WINDOW_SHIFT 37
#endif
#endif
#ifndef WINDOW_SHIFT
#define WINDOW_SHIFT 40
#endif
#define WINDOW_BYTES ((size_t)1 << WINDOW_SHIFT)
#define DESCRIPTOR_BYTES 64u
#define DESCRIPTOR_WINDOW ((WINDOW_BYTES >> SLOT_SHIFT) * DESCRIPTOR_BYTES)
#define SMALL_CLASSES (SMALL_MAX / BLOCK_ALIGN)

/*
 * Size classes.  Small ones are steps of BLOCK_ALIGN and live in pools of one slot;
 * medium ones are eight to a doubling, in pools of a few slots; aligned ones have
 * the multiples of ALIGNED_STEP among the small sizes whose pools have a lead, for
 * who asks for more than BLOCK_ALIGN.  A large block is a run of slots of its own.
 */
#define MEDIUM_MAX SLOT_BYTES
#define MEDIUM_CLASSES ((SLOT_SHIFT - 9u) * 8u)
#define ALIGNED_STEP 64u
#define ALIGNED_MAX 256u
#define ALIGNED_CLASSES (ALIGNED_MAX / ALIGNED_STEP)
#define ALIGNED_FIRST (SMALL_CLASSES + MEDIUM_CLASSES)
#define CLASSES (ALIGNED_FIRST + ALIGNED_CLASSES)
#define CLASS_LARGE CLASSES
#define LARGE_MAX (ARENA_BYTES / 2)

_Static_assert(BLOCK_ALIGN == 1 << BLOCK_SHIFT, "BLOCK_SHIFT");

struct heap;

enum pool_state {
    POOL_FREE, /* a free slot, or one inside a run: `fast`, `tags` and `remote` are
                  NULL, slot_of_run is valid, the rest means nothing */
    POOL_USED, /* linked in its heap's ring for the class */
    POOL_FULL, /* every block is handed out or on `remote`; in no ring */
    POOL_LARGE /* one block; has no owner */
};

/*
 * fast == the owner     iff the pool is used, of one slot and of a small class:
 *                       then, and only then, its owner may free a block by
 *                       pushing it on `free`.
 * fast == NULL          otherwise: heap_free_slow() finds out.
 *
 * In a hardened heap it is no heap's address, but where the guards of the pool's
 * blocks are: so nobody finds himself there; see harden.c.  Where frees are checked
 * it is the owner's address and one; see live.c.
 *
 * `used` counts the blocks that callers hold and those on `remote`; a block
 * freed by another thread stays counted until the owner takes it off `remote`.
 *
 * A page is absent if blocks begin in it, but were never carved, or were given back
 * with the page: they are not on `free`, and there is nothing in the page.
 *
 * used + |free| + |blocks that begin in absent pages| == capacity of the class
 *
 * What a thread may read of a pool that it does not own, because it holds a block
 * of it: class, slots, slot_of_run, reciprocal, tags (constant as long as
 * a block is held) and what is atomic.
 */
struct pool {
    union {
        void *free;   /* owner thread only: blocks given back, last first */
        size_t bytes; /* of a large block: as requested; the caller's */
    };
    _Atomic(struct heap *) fast; /* see above; relaxed: only its own writes can make
                                    a thread find itself here */
    union {
        struct {
            uint16_t used; /* owner thread only */
            uint16_t
                seen; /* owner thread only: `used` when last looked at; cool.c */
        };
        uint32_t tag; /* of a large block; the caller's */
    };
    uint32_t reciprocal;    /* index = offset * reciprocal >> 32 */
    uint32_t *tags;         /* one a block, or NULL; see struct place */
    _Atomic(void *) remote; /* atomic: blocks freed by other threads; remote.c */
    uint32_t next, prev;    /* owner thread only: slots in the ring of the class */
    uint32_t mail_next;     /* whoever made `remote` non-empty; remote.c */
    _Atomic uint32_t heap_id; /* of the owner; relaxed: see mail_drain() */
    uint32_t absent;          /* owner thread only: bit i: page i is */
    uint8_t class;            /* size class */
    _Atomic uint8_t state;    /* enum pool_state; relaxed: the owner's, for others
                                 it tells only whether the slot is in use at all */
    uint8_t slots;       /* length of the run, in its first slot's descriptor */
    uint8_t slot_of_run; /* 0 in the first slot, else the distance to it */
};

_Static_assert(sizeof(struct pool) == DESCRIPTOR_BYTES, "descriptors are an array");

/*
 * Where the window is: set once, before `bytes` is first not 0, so whoever sees
 * that sees these too; they are no atomics, for then each would cost an
 * instruction. `bytes` only grows.
 */
struct heap_space {
    uintptr_t base;
    struct pool *pools; /* descriptors, at base - DESCRIPTOR_WINDOW */
    _Atomic size_t
        bytes; /* of the window in use; descriptors below it are all mapped
                  and visible: release by arenas_grow(), acquire by readers */
    /* Where frees are checked; else NULL, and 0 for ever.  See live.c. */
    _Atomic uint8_t *live;     /* enum block_life for each BLOCK_ALIGN bytes */
    _Atomic size_t live_count; /* entries; as `bytes` */
};

enum block_life {
    LIFE_NONE, /* no block of a caller's ever began there */
    LIFE_LIVE,
    LIFE_FREED
};

/*
 * What belongs to a block, out of line.  `tag` is the caller's, undefined in a new
 * block: whoever keeps tags writes one for each.  The requested size is the
 * caller's too, and has a word of its own where classes are coarser than 32 bytes:
 * exactly one of `bytes` and `bytes32` is then not NULL.  For the others both are
 * NULL, and whoever wants exact sizes keeps the difference to `usable`, at most 30,
 * in five bits of the tag.  All three are NULL when the heap keeps no tags.
 */
struct place {
    uint32_t *tag;
    size_t *bytes;     /* huge and large blocks */
    uint32_t *bytes32; /* medium classes */
    size_t usable;
};

#endif
