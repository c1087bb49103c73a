/* SPDX-License-Identifier: MIT */
/* book.h - charging blocks to nodes: the fast path of the accounts. */
#ifndef HG_TRACE_BOOK_H
#define HG_TRACE_BOOK_H

#include "base/base.h"
#include "ledger/layout.h"

#include <stdbool.h>

/*
 * The tag of a block, 32 bits beside its pool:
 *
 *     node (26) | watched (1) | slack (5)
 *
 * `slack` is the size of the block's class less the size asked for, where the
 * class is fine enough; `watched` marks a block whose death matters to the
 * adapter (a code object, a thread's state).
 */
enum { TAG_SLACK_BITS = 5, TAG_NODE_SHIFT = 6 };
#define TAG_SLACK_MASK ((1u << TAG_SLACK_BITS) - 1)
#define TAG_WATCHED (1u << TAG_SLACK_BITS)
/* No slack is as large: in its place, of a block of malloc's that was freed. */
#define TAG_FREED TAG_SLACK_MASK

static inline uint32_t tag_of(uint32_t node, size_t slack)
{
    return node << TAG_NODE_SHIFT | (uint32_t)slack;
}

static inline uint32_t tag_node(uint32_t tag)
{
    return tag >> TAG_NODE_SHIFT;
}

/* How far its node is from the first one: a tag without its low bits. */
static inline size_t tag_offset(uint32_t tag)
{
    _Static_assert(sizeof(struct ledger_node) == 1 << TAG_NODE_SHIFT, "tags");
    return tag & ~(uint32_t)((1 << TAG_NODE_SHIFT) - 1);
}

/*
 * The book: what the fast path needs to know.  One writer at a time, the holder
 * of the interpreter's lock.
 *
 * It stands in pages of its own that the kernel wipes in a forked child
 * (MADV_WIPEONFORK): atfork handlers miss _Fork() and clone(), this does not.  So
 *
 *     nodes == NULL     iff this process keeps no accounts: it has not begun, or
 *                       it is a child that has not noticed yet, or they are closed
 *
 * and the same goes for the adapter's keys: a child's first allocation
 * and its first free take the slow path, which starts the child's own ledger or
 * none.
 */
struct book {
    struct ledger_node *nodes;
    struct ledger_header *header;

    /* The adapter's: the innermost frame seen last, its instruction, their node. */
    uintptr_t top_key; /* book_key() of the frame; 0 leads to the slow path */
    uintptr_t top_ip;
    uint32_t top_node;
    uint32_t top_parent;       /* the node of its caller */
    uintptr_t state_key;       /* book_key() of the thread state seen last */
    struct frame_stack *stack; /* what is remembered of that thread */
    uint32_t base_node;        /* the node of that thread */
} __attribute__((aligned(4096)));

extern struct book book HG_HIDDEN;

/* Never 0, so that a key that was wiped equals nobody's, not even that of NULL. */
static inline uintptr_t book_key(const void *address)
{
    return (uintptr_t)address + 1;
}

/* Let no counter's old epoch equal a new one, before the epoch goes round. */
void book_restart_epochs(void) HG_COLD;

/*
 * To be called under the lock on the slow path of every pool that is taken.  Each
 * epoch needs a new maximum, and no 2^31 of them fit in the pools between two
 * calls.
 */
static inline void book_watch_epochs(void)
{
    if (HG_UNLIKELY(book.header->epoch >= 1u << 31))
        book_restart_epochs();
}

HG_ALWAYS_INLINE void counters_touch(struct ledger_counters *counters,
                                     uint32_t epoch)
{
    if (HG_UNLIKELY(counters->epoch != epoch)) {
        uint64_t blocks = counters->allocated_blocks - counters->freed_blocks;
        counters->peak_bytes = counters->allocated_bytes - counters->freed_bytes;
        counters->peak_blocks = blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)blocks;
        counters->epoch = epoch;
        /* Keep nothing in registers across this branch: the usual way has none to
         * spare. */
        __asm__ volatile("" ::: "memory");
    }
}

HG_ALWAYS_INLINE void counters_allocated(struct ledger_counters *counters,
                                         uint32_t epoch, size_t bytes)
{
    counters_touch(counters, epoch);
    counters->allocated_bytes += bytes;
    counters->allocated_blocks++;
}

HG_ALWAYS_INLINE void counters_freed(struct ledger_counters *counters,
                                     uint32_t epoch, size_t bytes)
{
    counters_touch(counters, epoch);
    counters->freed_bytes += bytes;
    counters->freed_blocks++;
}

/* Of the node that a tag names. */
HG_ALWAYS_INLINE struct ledger_counters *book_counters(uint32_t tag)
{
    return &((struct ledger_node *)((char *)book.nodes + tag_offset(tag)))
                ->counters;
}

/* So much more is live. */
HG_ALWAYS_INLINE void book_more(struct ledger_header *header, size_t bytes)
{
    header->below_peak_bytes -= (int64_t)bytes;
    if (header->below_peak_bytes < 0) {
        header->peak_bytes -= (uint64_t)header->below_peak_bytes;
        header->below_peak_bytes = 0;
    }
}

/* A block with this tag, of a domain that has counters of its own or not: MEM and
   RAW have, OBJ has none. */
HG_ALWAYS_INLINE void book_allocated(uint32_t tag, enum ledger_domain domain,
                                     size_t bytes)
{
    struct ledger_header *header = book.header;
    uint32_t epoch = header->epoch;

    counters_allocated(book_counters(tag), epoch, bytes);
    if (domain != LEDGER_OBJ)
        counters_allocated(&header->domain[domain], epoch, bytes);
    book_more(header, bytes);
}

HG_ALWAYS_INLINE void book_freed(uint32_t tag, enum ledger_domain domain,
                                 size_t bytes)
{
    struct ledger_header *header = book.header;

    /* The total leaves its maximum: what the counters hold now is the peak. */
    if (HG_UNLIKELY(header->below_peak_bytes == 0)) {
        header->epoch++;
        __asm__ volatile("" ::: "memory"); /* as in counters_touch() */
    }
    counters_freed(book_counters(tag), header->epoch, bytes);
    if (domain != LEDGER_OBJ)
        counters_freed(&header->domain[domain], header->epoch, bytes);
    header->below_peak_bytes += (int64_t)bytes;
}

/*
 * A block that was just charged to the wrong node: as if it had always been
 * another's.  The one counter that ever falls, for as long as nobody looks.
 */
static inline void book_move(uint32_t *tag, uint32_t node, size_t bytes)
{
    uint32_t epoch = book.header->epoch;
    struct ledger_counters *from = book_counters(*tag);

    counters_touch(from, epoch);
    from->allocated_bytes -= bytes;
    from->allocated_blocks--;
    *tag = (*tag & (TAG_SLACK_MASK | TAG_WATCHED)) | tag_of(node, 0);
    counters_allocated(book_counters(*tag), epoch, bytes);
}

/*
 * The same for a thread that does not hold the interpreter's lock, by a table
 * that the holder takes over in time.  Takes a lock; never fails, counts what may
 * have been lost.
 */
void book_away(uint32_t node, enum ledger_domain domain, bool freed, size_t bytes);

/* Whether there is something to be taken over. */
static inline bool book_has_away(void)
{
    return book.header != NULL && book.header->section[LEDGER_AWAY].used != 0;
}

/*
 * Take over what other threads did without the lock; the caller holds it.  To be
 * done before a block is freed that one of them may have allocated: RAW and MALLOC.
 */
void book_take_over(void);

/* Innermost of all locks, held for a few instructions: of the table, and of what is
   common where there are several writers (shares.h). */
void book_lock(void);
void book_unlock(void);

/* About fork(): the table's lock must not be held by a thread that is gone. */
void book_before_fork(void);
void book_after_fork(void);

#endif
