/* SPDX-License-Identifier: MIT */
/*
 * shares.c - see shares.h; runs inside malloc, takes no lock but book_lock().
 *
 * What a share holds only grows, and only its thread writes it; whoever publishes
 * adds the difference to what was published last.  So nobody resets anything that
 * another writes, and a share that is read while it changes is off by the operation
 * under way, which the next one to publish makes good.
 */
#include "trace/shares.h"

#include "trace/book.h"

#include <stdatomic.h>

bool shares_on;
static struct share *_Atomic shares; /* release by shares_add() */

/* Relaxed: counters that are summed, and order nothing. */
/* NOLINTBEGIN(readability-non-const-parameter): the built-in functions write */
static inline void add_mine(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline void add_ours(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}
/* NOLINTEND(readability-non-const-parameter) */

static inline uint64_t read_theirs(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void shares_begin(void)
{
    shares_on = true;
}

void shares_add(struct share *share)
{
    struct share *head = atomic_load_explicit(&shares, memory_order_relaxed);

    do
        share->next = head;
    /* Release pairs with the loads of those who walk: they see `next`. */
    while (!atomic_compare_exchange_weak_explicit(
        &shares, &head, share, memory_order_release, memory_order_relaxed));
}

/* The first change of a node in this epoch. */
static HG_NOINLINE void touch_slowly(struct ledger_counters *counters)
{
    book_lock();
    if (book.header != NULL)
        counters_touch(counters, book.header->epoch);
    book_unlock();
}

static inline void touch(struct ledger_counters *counters,
                         const struct ledger_header *header)
{
    uint32_t epoch = __atomic_load_n(&header->epoch, __ATOMIC_RELAXED);

    if (HG_UNLIKELY(__atomic_load_n(&counters->epoch, __ATOMIC_RELAXED) != epoch))
        touch_slowly(counters);
}

static struct share_flow unpublished(const struct share_flow *now,
                                     struct share_flow *published)
{
    /* Frees first: whatever they free was counted as allocated before. */
    uint64_t freed_bytes = read_theirs(&now->freed_bytes);
    uint64_t freed_blocks = read_theirs(&now->freed_blocks);
    struct share_flow latest = {
        .allocated_bytes = read_theirs(&now->allocated_bytes),
        .allocated_blocks = read_theirs(&now->allocated_blocks),
        .freed_bytes = freed_bytes,
        .freed_blocks = freed_blocks,
    };
    struct share_flow more = {
        .allocated_bytes = latest.allocated_bytes - published->allocated_bytes,
        .allocated_blocks = latest.allocated_blocks - published->allocated_blocks,
        .freed_bytes = latest.freed_bytes - published->freed_bytes,
        .freed_blocks = latest.freed_blocks - published->freed_blocks,
    };
    *published = latest;
    return more;
}

/* With book_lock(), while the accounts are open. */
static void publish(struct share *share)
{
    struct ledger_header *header = book.header;
    struct share_flow more[LEDGER_DOMAINS];
    struct share_flow all = {0, 0, 0, 0};

    for (int d = 0; d < LEDGER_DOMAINS; d++) {
        more[d] = unpublished(&share->now[d], &share->published[d]);
        all.allocated_bytes += more[d].allocated_bytes;
        all.freed_bytes += more[d].freed_bytes;
    }
    int64_t grown = (int64_t)(all.allocated_bytes - all.freed_bytes);
    if (grown < 0 && header->below_peak_bytes == 0)
        __atomic_store_n(&header->epoch, header->epoch + 1, __ATOMIC_RELAXED);
    for (int d = 0; d < LEDGER_DOMAINS; d++) {
        struct ledger_counters *counters = &header->domain[d];
        if (d == LEDGER_OBJ) /* what is left of the total; it has no counters */
            continue;
        counters_touch(counters, header->epoch);
        counters->allocated_bytes += more[d].allocated_bytes;
        counters->allocated_blocks += more[d].allocated_blocks;
        counters->freed_bytes += more[d].freed_bytes;
        counters->freed_blocks += more[d].freed_blocks;
    }
    if (grown >= 0)
        book_more(header, (size_t)grown);
    else
        header->below_peak_bytes -= grown;
    book_watch_epochs();
}

static HG_NOINLINE void publish_own(struct share *share)
{
    share->pending = 0;
    book_lock();
    if (book.header != NULL)
        publish(share);
    book_unlock();
}

static inline void moved(struct share *share, int64_t bytes)
{
    share->pending += bytes;
    if (HG_UNLIKELY(share->pending >= SHARE_BYTES ||
                    share->pending <= -SHARE_BYTES))
        publish_own(share);
}

static struct ledger_counters *counters_of(struct ledger_node *nodes, uint32_t tag)
{
    return &nodes[tag_node(tag)].counters;
}

/* For a thread that could get no share: one that lasts for this operation. */
static HG_COLD void count_in_turn(uint32_t tag, enum ledger_domain domain,
                                  bool freed, size_t bytes)
{
    struct share once = {0};
    struct share_flow *flow = &once.now[domain];

    book_lock();
    if (book.header != NULL && book.nodes != NULL) {
        struct ledger_counters *counters = counters_of(book.nodes, tag);
        counters_touch(counters, book.header->epoch);
        add_ours(freed ? &counters->freed_bytes : &counters->allocated_bytes,
                 bytes);
        add_ours(freed ? &counters->freed_blocks : &counters->allocated_blocks, 1);
        *(freed ? &flow->freed_bytes : &flow->allocated_bytes) = bytes;
        *(freed ? &flow->freed_blocks : &flow->allocated_blocks) = 1;
        publish(&once);
    }
    book_unlock();
}

void shares_allocated(struct share *share, uint32_t tag, enum ledger_domain domain,
                      size_t bytes)
{
    /* Copies: another thread may close the accounts, whose memory stays. */
    struct ledger_node *nodes = book.nodes;
    struct ledger_header *header = book.header;

    if (share == NULL) {
        count_in_turn(tag, domain, false, bytes);
        return;
    }
    if (nodes == NULL || header == NULL)
        return;
    struct ledger_counters *counters = counters_of(nodes, tag);
    touch(counters, header);
    add_ours(&counters->allocated_bytes, bytes);
    add_ours(&counters->allocated_blocks, 1);
    add_mine(&share->now[domain].allocated_bytes, bytes);
    add_mine(&share->now[domain].allocated_blocks, 1);
    moved(share, (int64_t)bytes);
}

void shares_freed(struct share *share, uint32_t tag, enum ledger_domain domain,
                  size_t bytes)
{
    struct ledger_node *nodes = book.nodes;
    struct ledger_header *header = book.header;

    if (share == NULL) {
        count_in_turn(tag, domain, true, bytes);
        return;
    }
    if (nodes == NULL || header == NULL)
        return;
    struct ledger_counters *counters = counters_of(nodes, tag);
    touch(counters, header);
    add_ours(&counters->freed_bytes, bytes);
    add_ours(&counters->freed_blocks, 1);
    add_mine(&share->now[domain].freed_bytes, bytes);
    add_mine(&share->now[domain].freed_blocks, 1);
    moved(share, -(int64_t)bytes);
}

static struct share *first_share(void)
{
    /* Acquire pairs with shares_add(). */
    return atomic_load_explicit(&shares, memory_order_acquire);
}

void shares_publish(void)
{
    book_lock();
    for (struct share *s = first_share(); s != NULL && book.header != NULL;
         s = s->next)
        publish(s);
    book_unlock();
}

void shares_restart(void)
{
    for (struct share *s = first_share(); s != NULL; s = s->next) {
        for (int d = 0; d < LEDGER_DOMAINS; d++)
            s->published[d] = s->now[d];
        s->pending = 0;
    }
}
