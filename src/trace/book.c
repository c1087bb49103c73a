/* SPDX-License-Identifier: MIT */
/* book.c - the rare paths of charging blocks; runs inside malloc, takes no other
 * lock. */
#include "trace/book.h"

#include "base/lock.h"
#include "trace/session.h"
#include "trace/shares.h"

#include <stdatomic.h>

struct book book;

static atomic_flag away_lock = ATOMIC_FLAG_INIT; /* rank: innermost */

void book_lock(void)
{
    if (HG_UNLIKELY(lock_holds_all))
        return;
    /* Held for a few instructions, and never across a call. */
    while (atomic_flag_test_and_set_explicit(&away_lock, memory_order_acquire))
        __builtin_ia32_pause();
}

void book_unlock(void)
{
    if (HG_UNLIKELY(lock_holds_all))
        return;
    atomic_flag_clear_explicit(&away_lock, memory_order_release);
}

void book_restart_epochs(void)
{
    uint64_t nodes = ledger_used(&session.ledger, LEDGER_NODES);
    uint32_t now = book.header->epoch;

    /* Who was saved in this epoch has changed since the peak: that still counts. */
    for (uint64_t i = 0; i < nodes; i++)
        book.nodes[i].counters.epoch = book.nodes[i].counters.epoch == now;
    for (int i = 0; i < LEDGER_DOMAINS; i++)
        book.header->domain[i].epoch = book.header->domain[i].epoch == now;
    book.header->epoch = 1;
}

void book_away(uint32_t node, enum ledger_domain domain, bool freed, size_t bytes)
{
    struct ledger *ledger = &session.ledger;
    struct ledger_away *table;
    uint64_t used;
    uint64_t i = 0;

    book_lock();
    table = ledger_at(ledger, LEDGER_AWAY);
    used = ledger_used(ledger, LEDGER_AWAY);
    while (i < used && table[i].node != 0 &&
           (table[i].node != node || table[i].domain != domain))
        i++;
    if (i == used) {
        if (!ledger_reserve(ledger, LEDGER_AWAY, used + 1)) {
            book_unlock();
            /* A full table and a holder of the lock that never allocates: go in
               beside it, and say that one of the two updates may be lost. */
            __atomic_fetch_add(&ledger->header->lost.away_races, 1,
                               __ATOMIC_RELAXED);
            if (freed)
                book_freed(tag_of(node, 0), domain, bytes);
            else
                book_allocated(tag_of(node, 0), domain, bytes);
            return;
        }
        table[i] = (struct ledger_away){0};
    }
    struct ledger_away *entry = &table[i];
    if (freed) {
        entry->freed_bytes += bytes;
        entry->freed_blocks++;
    } else {
        entry->allocated_bytes += bytes;
        entry->allocated_blocks++;
    }
    entry->node = node;
    entry->domain = domain;
    if (i == used)
        ledger_publish(ledger, LEDGER_AWAY, used + 1);
    book_unlock();
}

/* Atomic: with shares others may write the same node. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the built-in function writes */
static void add(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* Add one entry to the nodes as if it happened now, allocations first. */
static void settle(const struct ledger_away *entry)
{
    struct ledger_header *header = book.header;
    struct ledger_counters *of[2] = {&book.nodes[entry->node].counters,
                                     &header->domain[entry->domain]};

    for (int i = 0; i < 2; i++) {
        counters_touch(of[i], header->epoch);
        add(&of[i]->allocated_bytes, entry->allocated_bytes);
        add(&of[i]->allocated_blocks, entry->allocated_blocks);
    }
    book_more(header, entry->allocated_bytes);
    if (entry->freed_blocks == 0)
        return;
    if (header->below_peak_bytes == 0)
        header->epoch++;
    for (int i = 0; i < 2; i++) {
        counters_touch(of[i], header->epoch);
        add(&of[i]->freed_bytes, entry->freed_bytes);
        add(&of[i]->freed_blocks, entry->freed_blocks);
    }
    header->below_peak_bytes += (int64_t)entry->freed_bytes;
}

void book_take_over(void)
{
    struct ledger *ledger = &session.ledger;

    if (shares_on)
        shares_publish();
    if (ledger_used(ledger, LEDGER_AWAY) == 0)
        return;
    book_lock();
    struct ledger_away *table = ledger_at(ledger, LEDGER_AWAY);
    uint64_t used = ledger_used(ledger, LEDGER_AWAY);
    for (uint64_t i = 0; i < used; i++) {
        struct ledger_away entry = table[i];
        table[i].node = 0;
        if (entry.node != 0)
            settle(&entry);
        table[i] = (struct ledger_away){0};
    }
    ledger_publish(ledger, LEDGER_AWAY, 0);
    book_unlock();
}

void book_before_fork(void)
{
    book_lock();
}

void book_after_fork(void)
{
    atomic_flag_clear_explicit(&away_lock, memory_order_release);
}
