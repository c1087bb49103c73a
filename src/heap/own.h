/* SPDX-License-Identifier: MIT */
/* own.h - what the files of this room share among themselves. */
#ifndef HG_HEAP_OWN_H
#define HG_HEAP_OWN_H

#include "base/base.h"
#include "base/lock.h"
#include "base/pages.h"
#include "heap/heap.h"

#define NO_INDEX UINT32_MAX

/* Without an instruction for it, which x86-64 has only since 2008, the compiler
   would call a function. */
static inline unsigned bit_count(uint64_t bits)
{
    bits -= bits >> 1 & 0x5555555555555555u;
    bits = (bits & 0x3333333333333333u) + (bits >> 2 & 0x3333333333333333u);
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
    return (unsigned)(bits * 0x0101010101010101u >> 56);
}

/* Beyond it differences of pointers overflow: malloc may not return such a block.
 */
#define REQUEST_MAX ((size_t)PTRDIFF_MAX - ((size_t)1 << 30))

/* --- class.c: size classes ------------------------------------------------- */

struct size_class {
    uint32_t bytes;      /* of a block */
    uint32_t reciprocal; /* see struct pool */
    uint32_t tag_bytes;  /* of a pool's tags, and requested sizes behind them */
    uint32_t pages;      /* bit i: a block begins in page i of a pool */
    uint16_t capacity;   /* blocks in a pool */
    uint8_t slots;       /* of a pool */
    uint8_t lead;        /* bytes before its first block; less than a block */
};

/* Set before threads start.  The last, zeros, is that of large blocks, so that a
   pool's may be read before its state. */
extern struct size_class heap_classes[CLASSES + 1];

void classes_init(void);

static inline unsigned class_of(size_t bytes) /* 1..MEDIUM_MAX */
{
    if (bytes <= SMALL_MAX)
        return (unsigned)heap_small_class(bytes);
    unsigned doubling = 63u - (unsigned)__builtin_clzl(bytes - 1);
    unsigned eighth = (unsigned)((bytes - 1) >> (doubling - 3)) & 7u;
    return SMALL_CLASSES + (doubling - 9u) * 8u + eighth;
}

/* The first block of the class that begins in this page of a pool, or later. */
static inline uint32_t page_first_block(const struct size_class *c, unsigned page)
{
    size_t at = page == 0 ? 0 : page * PAGE_BYTES - c->lead;
    uint32_t block = (uint32_t)((at + c->bytes - 1) / c->bytes);
    return block < c->capacity ? block : c->capacity;
}

/* --- space.c: address space ------------------------------------------------ */

/*
 * A table that grows in place, at a fixed address below the window.  It is mapped
 * page by page as its records come into use, and never shrinks.
 */
struct table {
    uintptr_t start;
    size_t mapped; /* bytes; guarded by the lock of what is in it */
};

/* Maps [0, bytes) of the table; false when there is no memory for it. */
bool table_reach(struct table *table, size_t bytes);

/* Whether so much more may be held by the limit of all; `trim`: after giving back
   what is free, if need be, for which no lock may be held. */
bool limit_allows(size_t bytes, bool trim);

extern struct table table_pools;  /* struct pool, a slot; guarded by arenas_lock */
extern struct table table_arenas; /* struct arena; guarded by arenas_lock */
extern struct table table_heaps;  /* struct thread_heap; guarded by heaps_lock */
extern struct table table_live;   /* enum block_life; guarded by arenas_lock */

/* Finds the window when first called.  False: the system has no room for it. */
bool heap_start(void);

extern bool heap_tags_kept; /* set before the first block */

/* Bytes that we have from the system and that count: relaxed, a sum of changes
   each of which is made under the lock that guards what changed. */
extern _Atomic size_t heap_held;
void held_add(size_t bytes);
void held_sub(size_t bytes);

uint32_t now_ms(void); /* since some moment; to some milliseconds; wraps around */
#ifdef HG_FAULTS
void now_pass(uint32_t ms); /* from now on time passes by such calls alone */
#endif

static inline uint32_t pool_slot(const struct pool *pool)
{
    return (uint32_t)(pool - (struct pool *)table_pools.start);
}

static inline struct pool *pool_at_slot(uint32_t slot)
{
    return (struct pool *)table_pools.start + slot;
}

static inline char *slot_start(uint32_t slot)
{
    return (char *)(heap_base() + ((size_t)slot << SLOT_SHIFT));
}

/* --- arena.c: slots -------------------------------------------------------- */

/*
 * A slot is taken (part of a pool), free, or on its way back to the system.  A
 * free slot is dirty or clean; a clean one reads as zeros and costs no memory, so
 * it is not counted as held.
 *
 *     dirty is a part of free;  free and leaving have nothing in common
 *
 * Only a mapped arena has free slots.  A hole, where somebody else's mapping is,
 * stays one for ever.  An arena all of whose slots are free may be unmapped, to be
 * mapped again before address space is taken that never was ours.
 */
enum arena_kind { ARENA_MAPPED, ARENA_HOLE, ARENA_UNMAPPED };

struct arena {
    uint64_t
        free; /* guarded by arenas_lock, as is everything here; bit i: slot i */
    uint64_t dirty;
    uint64_t leaving;    /* being discarded without the lock */
    uint32_t next, prev; /* list of arenas with as many free slots; next alone: of
                            unmapped ones */
    uint32_t dirty_next,
        dirty_prev; /* list of arenas with dirty slots, oldest first */
    uint64_t given; /* slots whose pages went back to the system since last taken */
    uint32_t given_ms;  /* when the last of them did */
    uint8_t free_count; /* of `free`: which list it is in; 0: in none */
    uint8_t kind;       /* enum arena_kind */
    uint8_t reserved[10];
};

_Static_assert(sizeof(struct arena) == 64, "arenas are a table");

extern struct lock arenas_lock;
extern uint32_t arenas_count; /* guarded by arenas_lock */

static inline struct arena *arena_at(uint32_t index)
{
    return (struct arena *)table_arenas.start + index;
}

/* The first of `count` neighbouring slots whose number is a multiple of `align`
   (powers of two up to ARENA_SLOTS), or NO_INDEX.  *clean: all of them were. */
uint32_t slots_take(unsigned count, unsigned align, bool *clean);
/* Take these very slots if they are free, and in one arena with the slot before. */
bool slots_take_at(uint32_t first, unsigned count);
void slots_return(uint32_t first, unsigned count);

/* Give dirty free slots back to the system until at most `keep` bytes of them are
   left; the oldest first.  Bytes given back.  No lock may be held. */
size_t arenas_discard(size_t keep);
/* The same, as much as is good; after every slow path. */
void arenas_tidy(void);
/* Unmap arenas without a pool until at most `keep` of them are left.  Bytes of
   address space given back.  No lock may be held. */
size_t arenas_unmap(unsigned keep);
/* In the child of fork(): all of this anew, from what the descriptors say. */
void arenas_mend(bool bare);
void arenas_check(void);

/* --- tags.c: the system heap ----------------------------------------------- */

struct thread_heap;

extern struct lock tags_lock;
void *tags_new(size_t bytes); /* NULL: no memory */
void tags_free(void *tags);

/* --- harden.c: heaps that find misuse ---------------------------------------- */

/* How many blocks a heap keeps from being handed out again for a while: of small
   classes, and of others. */
#define QUARANTINE_SMALL ((uint32_t)(MEDIUM_MAX / 32))
#define QUARANTINE_MEDIUM 16u
#define QUARANTINE_BYTES                                                           \
    (QUARANTINE_SMALL * SMALL_MAX + QUARANTINE_MEDIUM * MEDIUM_MAX)

/*
 * What a hardened heap has besides.  Its rings are here, and in the heap itself all
 * pools are exhausted for ever: so the fast paths find nothing in it.
 */
struct hard {
    struct pool *ring[CLASSES];       /* owner, as all of this */
    uint32_t next_small, next_medium; /* of the quarantine: the oldest one */
    void *small[QUARANTINE_SMALL];    /* NULL: none; in a circle */
    void *medium[QUARANTINE_MEDIUM];
};

/*
 * A guard goes with each block of a hardened heap's pools: the size that was asked
 * for, and GUARD_FREED once the block was freed; 0: carved, and never handed out.
 * Relaxed: it is the block's owner's, and walkers look again before they complain.
 */
typedef _Atomic uint16_t guard;
#define GUARD_FREED 0x8000u

_Static_assert(MEDIUM_MAX < GUARD_FREED, "guard");

extern uintptr_t heap_link_key; /* 0: not hardened; set before the first block */

/*
 * The next one in a list of free blocks.  In a hardened heap links are coded, so
 * that who overwrites one cannot say where it leads; bytes are turned round, for
 * the first bytes of a block, which an overrun of its neighbour hits first, are the
 * highest of the address.  `key` is heap_link_key.
 */
static inline HG_RACY void *link_read_by(uintptr_t key, const void *block)
{
    uintptr_t word = *(const uintptr_t *)block;
    if (HG_UNLIKELY(key != 0))
        word = __builtin_bswap64(word) ^ key ^ (uintptr_t)block;
    return (void *)word;
}

static inline HG_RACY void *link_read(const void *block)
{
    return link_read_by(heap_link_key, block);
}

static inline void link_write_by(uintptr_t key, void *block, const void *next)
{
    uintptr_t word = (uintptr_t)next;
    if (HG_UNLIKELY(key != 0))
        word = __builtin_bswap64(word ^ key ^ (uintptr_t)block);
    *(uintptr_t *)block = word;
}

static inline void link_write(void *block, const void *next)
{
    link_write_by(heap_link_key, block, next);
}

static inline guard *pool_guards(const struct pool *pool) /* of a hardened heap */
{
    return (guard *)atomic_load_explicit(&pool->fast, memory_order_relaxed);
}

/* A block of this class for a request of so many bytes; NULL: no memory. */
void *hard_alloc(struct thread_heap *heap, unsigned class, size_t bytes);
/* The owner of `heap` takes note of a block of its pool that others have freed. */
void hard_collect(struct thread_heap *heap, struct pool *pool, void *block);
/* The block of this number has to be live; 0: it moves, else it gets another size
   in place. */
void hard_resize(const struct pool *pool, uint32_t index, size_t bytes);
size_t hard_requested(const struct pool *pool, uint32_t index);

/* Large and huge blocks: what is behind the bytes that were asked for. */
void hard_guard(void *block, size_t requested, size_t usable);
void hard_verify(const void *block, size_t requested, size_t usable,
                 const uint32_t *tag);

struct hard *hard_new(void); /* NULL: no memory */
/* All blocks in quarantine may be handed out again. */
void hard_flush(struct thread_heap *heap);
void hard_forget(struct thread_heap *heap); /* they are gone with their pools */
size_t hard_bytes(const struct thread_heap *heap); /* in quarantine */
/* The pool or a page of it is about to go: look at its free blocks a last time. */
void hard_verify_list(const struct pool *pool);
/* These pages go: what is poisoned there will be zeros. */
void hard_pages_go(const struct pool *pool, uint32_t pages);
/* In the child of a fork: what is free, from the guards alone. */
void hard_mend(struct pool *pool);
/* By the owner: all that he may look at; with arenas_lock. */
void hard_check_pool(const struct pool *pool);
void hard_check_quarantine(const struct thread_heap *heap);
void hard_slow_end(struct thread_heap *heap);

static inline bool is_guarded(const struct pool *pool)
{
    return heap_hardened && pool->class != CLASS_LARGE &&
           atomic_load_explicit(&pool->heap_id, memory_order_relaxed) != 0;
}

/* --- live.c: which blocks are live ------------------------------------------- */

static inline size_t live_at(const void *block)
{
    return ((uintptr_t)block - heap_base()) >> BLOCK_SHIFT;
}

static inline bool is_live(const void *block)
{
    return atomic_load_explicit(&heap_space.live[live_at(block)],
                                memory_order_relaxed) == LIFE_LIVE;
}

/* All of these only where frees are checked.  There shall be entries for so many
   arenas; with arenas_lock.  False: no memory. */
bool live_reach(uint32_t arenas);
/* A block is handed out. */
static inline void live_begin(const void *block)
{
    atomic_store_explicit(&heap_space.live[live_at(block)], LIFE_LIVE,
                          memory_order_relaxed);
}

/* It is freed: aborts unless it was live.  `owned`: by the owner of its pool. */
void live_end(const void *block, bool owned);
/* It is resized: the same. */
void live_verify(const void *block);
/* Whatever was live in these slots is not any more. */
void live_forget(uint32_t slot, unsigned slots);
/* What is told of the arena is not needed until it has pools again. */
void live_discard(uint32_t arena);
void live_check_pool(const struct pool *pool, const uint64_t *freed);

/* --- corruption.c: what is said of it ------------------------------------------
 */

struct corruption {
    const char *what;
    const char *when;
    const void *block; /* its beginning, and NULL: none is known */
    size_t requested, usable;
    const uint32_t *tag; /* or NULL */
    /* Bytes that should all be `expected`; or NULL. */
    const unsigned char *bytes;
    size_t count;
    unsigned char expected;
};

_Noreturn void corruption_report(const struct corruption *c) HG_COLD;

/* `address`, in this slot, is freed, but no pool and no large block begins there.
 */
_Noreturn void bad_free_of_slot(const struct pool *slot,
                                const void *address) HG_COLD;
/* It is freed, but inside of this large block. */
_Noreturn void bad_free_in_large(const struct pool *pool,
                                 const void *address) HG_COLD;

/* --- pool.c: pools of small and medium classes ----------------------------- */

enum heap_state {
    HEAP_UNUSED,
    HEAP_OWNED,     /* by a thread: heap_mine points to it */
    HEAP_ABANDONED, /* its thread has ended: owned by whoever holds heaps_lock */
    HEAP_SYSTEM,    /* number 0, for tags: owned by whoever holds tags_lock */
    HEAP_OBJECT,    /* opened as an object: owned by whoever its user lets use it */
    HEAP_OURS       /* owned by whose turn it is; see heap.h */
};

#define SYSTEM_HEAP 0u

/*
 * "Owner" is whoever may touch what is not atomic, in the heap and in its pools.
 *
 * ring[class] heads the ring of used pools of the class, or is &pool_exhausted.
 */
struct thread_heap {
    union {
        struct heap fast;
        struct {
            struct pool **ring; /* `pool`, or elsewhere, so that the fast paths find
                                   nothing in `pool`; constant */
            struct pool *pool[CLASSES]; /* owner */
        };
    };
    struct hard *hard; /* NULL: not hardened; constant */
    uint32_t id;       /* index in table_heaps; constant */
    bool keeps_tags;   /* constant while it has pools */
    uint32_t pools;    /* owner: number of pools */
    bool stirred;      /* owner: pools were taken or given back; see slow_end() */
    /* All by the owner; cool.c. */
    bool unsettled;      /* a batch was made: once more when it is late */
    uint32_t opened;     /* pools emptied, or full no more, since the last batch */
    uint32_t looked_ms;  /* when that was */
    uint32_t look_class; /* where the round has got to: in this ring */
    uint32_t look_slot;  /* the next pool there; NO_INDEX: at its beginning */
    uint32_t cool_second_ms; /* when the current second began */
    uint32_t cool_given;     /* pages given back in it */
    uint32_t cool_regretted; /* pages carved again in it */
    uint32_t trims;          /* heap_trims when it was empty, or trimmed */
    uint32_t list_next;    /* guarded by heaps_lock: of abandoned or closed heaps */
    _Atomic uint8_t state; /* enum heap_state; changes under heaps_lock; relaxed */

    /* Of an object, and 0 for others; see objects.c. */
    uint32_t full_first;  /* owner: slot + 1 of the first of its full pools */
    uint32_t large_first; /* guarded by objects_lock: the same of large blocks */
    _Atomic size_t held; /* bytes of pools, large and huge blocks; relaxed: a sum */
    size_t held_peak;    /* owner */
    size_t limit;        /* owner; of `held` */
    int (*on_failure)(size_t bytes, void *arg); /* owner; or NULL */
    void *on_failure_arg;                       /* owner */

    /* Slot + 1 of the first pool that has got its first remote block; 0: none.
       Pushed by all, taken whole by the owner; on a line of its own. */
    _Alignas(64) _Atomic uint32_t mail;
};

extern struct pool pool_exhausted;

static inline struct thread_heap *heap_at(uint32_t id)
{
    return (struct thread_heap *)table_heaps.start + id;
}

static inline char *pool_start(const struct pool *pool)
{
    return slot_start(pool_slot(pool));
}

static inline size_t pool_lead(const struct pool *pool) /* large: 0 */
{
    return heap_classes[pool->class].lead;
}

static inline char *pool_block(const struct pool *pool, uint32_t index)
{
    const struct size_class *c = &heap_classes[pool->class];
    return pool_start(pool) + c->lead + (size_t)index * c->bytes;
}

/*
 * Of an offset from the beginning of a pool: the block's number is the upper half,
 * and the lower half is below the reciprocal iff a block begins there.  For with
 * offset - lead = n * size + rest and reciprocal * size = 2^32 + e, where e < size,
 * the product is n * 2^32 + n * e + rest * reciprocal; class.c asserts that the
 * sizes are small enough for n * e < reciprocal.  In the lead, no number is small
 * enough for a block's.
 */
static inline uint64_t pool_product(const struct pool *pool, size_t within)
{
    return (uint64_t)(within - pool_lead(pool)) * pool->reciprocal;
}

static inline uint32_t pool_capacity(const struct pool *pool) /* not large */
{
    return heap_classes[pool->class].capacity;
}

/* Whether the block that begins there is in an absent page. */
static inline HG_RACY bool pool_absent_at(const struct pool *pool, size_t within)
{
    return (pool->absent >> within / PAGE_BYTES & 1) != 0;
}

/* The number of a block, given any of its bytes. */
static inline uint32_t pool_block_index(const struct pool *pool, const void *block)
{
    size_t within = (size_t)((const char *)block - pool_start(pool));
    return (uint32_t)(pool_product(pool, within) >> 32);
}

/* Where the blocks of a pool are, for loops over many. */
struct blocks {
    const char *first;
    size_t bytes; /* of all */
    uint32_t reciprocal;
};

static inline struct blocks pool_blocks(const struct pool *pool) /* not large */
{
    const struct size_class *c = &heap_classes[pool->class];
    return (struct blocks){.first = pool_start(pool) + c->lead,
                           .bytes = (size_t)c->capacity * c->bytes,
                           .reciprocal = pool->reciprocal};
}

/* Whether `block` is where one of them begins; see pool_product(). */
static inline bool blocks_have(const struct blocks *of, const void *block)
{
    size_t offset = (size_t)((const char *)block - of->first);
    return offset < of->bytes &&
           (uint32_t)(offset * of->reciprocal) < of->reciprocal;
}

static inline bool pool_has_block(const struct pool *pool, const void *block)
{
    struct blocks blocks = pool_blocks(pool);
    return blocks_have(&blocks, block);
}

static inline enum pool_state pool_state(const struct pool *pool)
{
    return atomic_load_explicit(&pool->state, memory_order_relaxed);
}

static inline uint32_t pool_owner(const struct pool *pool)
{
    return atomic_load_explicit(&pool->heap_id, memory_order_relaxed);
}

/* What `fast` of a used pool of the heap is; see struct pool. */
static inline struct heap *pool_fast(struct thread_heap *heap,
                                     const struct pool *pool)
{
    if (pool->class >= SMALL_CLASSES)
        return NULL;
    return HG_UNLIKELY(heap_frees_checked) ? heap_checked_owner(&heap->fast)
                                           : &heap->fast;
}

/* But for what is an object's, and whether tags are kept. */
void heap_init_empty(struct thread_heap *heap, uint32_t id, enum heap_state state);

/* All by the owner of the heap.  NULL: no memory. */
void *class_alloc(struct thread_heap *heap, unsigned class);
/* A step towards a block at the head of the ring; false: there is no memory. */
bool class_refill(struct thread_heap *heap, unsigned class);
/* Of a pool of this heap; `block` is where one begins. */
void class_free(struct thread_heap *heap, struct pool *pool, void *block);

void pool_set_used(struct thread_heap *heap,
                   struct pool *pool); /* it is in no ring */
void pool_set_full(struct thread_heap *heap, struct pool *pool); /* the same */
/* A used pool has no block left: gives it back, or keeps it as the class's last. */
void pool_emptied(struct thread_heap *heap, struct pool *pool);
void pool_move(struct thread_heap *from, struct thread_heap *to, struct pool *pool);
/* Give back every pool without a block. */
void heap_retire_empty(struct thread_heap *heap);
/* Give back every pool, whatever is in it. */
void heap_retire_all(struct thread_heap *heap);
/* Counts a chain of free blocks and verifies each; *last is the last one. */
uint32_t chain_length(const struct pool *pool, void *first, void **last);

/* --- cool.c: pages inside pools ---------------------------------------------- */

#ifdef HG_STRESS
#define OPENED_MIN 1u
#else
#define OPENED_MIN 32u /* pools opened that are worth a batch of looks */
#endif
#define SEEN_COLD 0x8000u

/* Whether its pages without a block were given back when it was last looked at. */
static inline bool pool_was_cold(const struct pool *pool)
{
    return (pool->seen & SEEN_COLD) != 0;
}

/* By the owner, when pools may have been opened: gives back pages of cold pools. */
void pools_cool(struct thread_heap *heap);
/* The same of all pools, at once.  Bytes. */
size_t pools_cool_all(struct thread_heap *heap);
/* A page is carved of a pool that was cold. */
void pool_recarved(struct thread_heap *heap, struct pool *pool);

/* --- remote.c: blocks freed by other threads, heaps without a thread -------- */

extern struct lock heaps_lock;

void remote_free(struct pool *pool, void *block);
/* Takes the mail of `from`, which the caller owns, and moves the pools that it was
   about to `to`, which the caller owns too and which may be the same. */
void mail_drain(struct thread_heap *from, struct thread_heap *to);
/* Look for pools of the class in heaps without a thread.  True: found some. */
bool heaps_adopt_pools(struct thread_heap *heap, unsigned class);
void mail_push(struct thread_heap *heap, struct pool *pool);

/* --- thread.c: a heap for each thread -------------------------------------- */

extern uint32_t heaps_count; /* guarded by heaps_lock */

/* Of a thread that has none: all its pools are exhausted, and no pool has its id.
 */
extern struct thread_heap heap_exhausted;

static inline struct thread_heap *heap_of_thread(void) /* NULL: has none yet */
{
    return heap_mine == &heap_exhausted.fast ? NULL
                                             : (struct thread_heap *)heap_mine;
}

/* The heap of this thread, made or adopted if need be.  NULL: no memory. */
struct thread_heap *thread_enter(void);
struct thread_heap *
heap_new(void); /* an empty one; with heaps_lock; NULL: no memory */
/* After a slow path, with no lock held.  May abandon the heap. */
void thread_slow_end(struct thread_heap *heap);

struct thread_heap *abandoned_pop(void); /* with heaps_lock; NULL: none */
/* With heaps_lock.  Those with warm pools first, for new threads. */
void abandoned_push(struct thread_heap *heap, bool first);
void abandoned_forget(void);             /* all of the list */
size_t heaps_trim_abandoned(void);       /* bytes of pages inside pools */
extern _Atomic uint32_t abandoned_count; /* changes under heaps_lock */

/* After every slow path that changed what we hold; with no lock held. */
void slow_end(void);

/* --- objects.c: heaps as objects -------------------------------------------- */

extern struct lock objects_lock;

static inline bool heap_is_object(const struct thread_heap *heap)
{
    return atomic_load_explicit(&heap->state, memory_order_relaxed) == HEAP_OBJECT;
}

/* The object that large and huge blocks belong to; NULL: to none. */
static inline struct thread_heap *object_of(struct thread_heap *heap)
{
    return heap_is_object(heap) ? heap : NULL;
}

static inline struct thread_heap *object_at(uint32_t id) /* SYSTEM_HEAP: NULL */
{
    return id == SYSTEM_HEAP ? NULL : heap_at(id);
}

/* Whether large and huge blocks of the object, or of none, have tags. */
static inline bool object_keeps_tags(uint32_t id)
{
    return id == SYSTEM_HEAP ? heap_tags_kept : heap_at(id)->keeps_tags;
}

static inline uint32_t object_id(const struct thread_heap *object)
{
    return object == NULL ? SYSTEM_HEAP : object->id;
}

/* Count bytes that the object is about to hold; false: its limit forbids it.
   These do nothing for NULL. */
bool object_hold(struct thread_heap *object, size_t bytes);
void object_count(struct thread_heap *object, size_t bytes); /* it holds them */
void object_let_go(struct thread_heap *object, size_t bytes);
/* A large block begins or ceases to be one of the object's; nothing for NULL. */
void object_link(struct thread_heap *object, struct pool *pool);
void object_unlink(struct thread_heap *object, struct pool *pool);
void objects_mend_closed(void); /* after a fork that did not wait for the lock */

/* --- large.c, huge.c ------------------------------------------------------- */

void *large_alloc(struct thread_heap *object, size_t bytes, size_t align, bool zero,
                  struct place *place);
void large_free(struct pool *pool, void *block);
void large_place(struct pool *pool, struct place *place);
bool large_resize(struct pool *pool, void *block, size_t bytes);

/* Laid open by anatomy.c; both guarded by huge_lock. */
struct huge_record {
    char *start;      /* NULL: not in use */
    size_t bytes;     /* of the mapping */
    size_t requested; /* the caller's */
    uint32_t tag;     /* the caller's */
    uint32_t object;  /* number of the heap object it belongs to; or SYSTEM_HEAP */
    struct huge_record *next_free;
};

#define KEPT_MAPPINGS 8u
struct huge_kept {
    char *start; /* NULL: none */
    size_t bytes;
    uint32_t since_ms;
};

/* Where huge.c has its table of records, the number of its entries, and what it
   keeps. */
extern struct huge_record **const *const huge_table_at;
extern const size_t *const huge_size_at;
extern const struct huge_kept *const huge_kept_at;

extern struct lock huge_lock;
void *huge_alloc(struct thread_heap *object, size_t bytes, size_t align, bool zero,
                 struct place *place);
void huge_free_all(const struct thread_heap *object);
void huge_mend_objects(void); /* count the huge blocks of objects again */
bool huge_free(void *block);  /* false: not ours */
bool huge_find(const void *block, struct place *place);
size_t huge_requested(const void *block); /* 0: not ours */
void huge_verify(const void *block); /* what is behind it, in a hardened heap */
bool huge_resize(void *block, size_t bytes, struct place *place);
/* With huge_lock; those of `object`, or of none. */
void huge_walk(const struct thread_heap *object, bool all, heap_visit *visit,
               void *arg);
void huge_census(struct heap_census *census); /* with huge_lock */
size_t huge_trim(void);
void huge_drop_old(void);
void huge_mend(void); /* after a fork that did not wait for the lock */
void huge_check(void);

/* --- walk.c, fork.c -------------------------------------------------------- */

/* How often a trim was asked for; relaxed.  Only its owner gives back what a heap
   has: at the end of its next slow path. */
extern _Atomic uint32_t heap_trims;
void heap_trim_late(struct thread_heap *heap);

/* All of them, in the order of their ranks. */
void locks_take(void);
void locks_release(void);
void locks_reset(void);

/* Calls `visit` for each pool and large block; with arenas_lock, or alone. */
typedef void pool_visit(void *arg, struct pool *pool);
void pools_walk(pool_visit *visit, void *arg);

/*
 * Sets the bit of each block of a chain.  Returns how many there are, or NO_INDEX
 * if a link leads to what is no block of the pool, or to a block whose bit is set
 * already. *end is the last good block, or NULL.
 */
#define POOL_BITMAP_WORDS ((SLOT_BYTES / BLOCK_ALIGN + 63) / 64)
uint32_t chain_mark(const struct pool *pool, void *first, uint64_t *bits,
                    void **end);

/* Sets the bit of each block that begins in an absent page; how many there are. */
uint32_t absent_mark(const struct pool *pool, uint64_t *bits);

/* All of a census but `mapped`; with all locks, or alone. */
void census_parts(struct heap_census *out);

#endif
