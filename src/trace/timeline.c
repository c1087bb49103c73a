/* SPDX-License-Identifier: MIT */
/*
 * timeline.c - memory over time in a bounded table of growing resolution.
 *
 * There is no thread and no timer: whoever takes a slow path of the heap looks at
 * the clock.  A program that does nothing costs nothing, and has nothing to show.
 * When the table is full each two samples become one and the interval doubles, so
 * a run of a second and a run of a week both fill half of it or more.
 */
#include "trace/timeline.h"

#include "base/process.h"
#include "heap/heap.h"
#include "trace/book.h"
#include "trace/requests.h"
#include "trace/session.h"

#include <stdatomic.h>
#include <time.h>

enum { FIRST_INTERVAL_NS = 10000000 };

static struct {
    atomic_flag busy;
    uint64_t
        next_ns; /* since start; guarded by nothing: a stale value costs a look */
    uint64_t interval_ns; /* guarded by busy, as all that follows */
    uint64_t seen_peak;
    uint64_t seen_collections[3];
} timeline = {.busy = ATOMIC_FLAG_INIT};

static uint64_t since_start(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    uint64_t start = session.ledger.header->start_ns;
    return ns > start ? ns - start : 0; /* the coarse clock may lag behind */
}

static uint64_t max_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Make one sample of each two.  Readers see `timeline_writing` odd and look again.
 */
static void merge_pairs(struct ledger_sample *samples, uint64_t used)
{
    struct ledger_header *header = session.ledger.header;

    __atomic_store_n(&header->timeline_writing, header->timeline_writing + 1,
                     __ATOMIC_SEQ_CST);
    for (uint64_t i = 0; i < used / 2; i++) {
        const struct ledger_sample *a = &samples[2 * i];
        struct ledger_sample merged = samples[2 * i + 1];
        merged.live_max_bytes = max_of(a->live_max_bytes, merged.live_max_bytes);
        merged.rss_max_bytes = max_of(a->rss_max_bytes, merged.rss_max_bytes);
        for (int g = 0; g < 3; g++)
            merged.collections[g] += a->collections[g];
        samples[i] = merged;
    }
    ledger_publish(&session.ledger, LEDGER_TIMELINE, used / 2);
    __atomic_store_n(&header->timeline_writing, header->timeline_writing + 1,
                     __ATOMIC_SEQ_CST);
    timeline.interval_ns *= 2;
}

static void count_collections(struct ledger_sample *sample)
{
    uint64_t counts[3] = {0, 0, 0};

    if (session_adapter.collections == NULL)
        return;
    session_adapter.collections(counts);
    for (int g = 0; g < 3; g++) {
        if (counts[g] > timeline.seen_collections[g])
            sample->collections[g] =
                (uint32_t)(counts[g] - timeline.seen_collections[g]);
        timeline.seen_collections[g] = counts[g];
    }
}

/* `busy` is held. */
static void take_sample(uint64_t now_ns)
{
    struct ledger *ledger = &session.ledger;
    struct ledger_header *header = ledger->header;
    struct ledger_sample *samples = ledger_at(ledger, LEDGER_TIMELINE);
    uint64_t used = ledger_used(ledger, LEDGER_TIMELINE);

    if (used == header->section[LEDGER_TIMELINE].capacity ||
        !ledger_reserve(ledger, LEDGER_TIMELINE, used + 1)) {
        if (used < 2)
            return;
        merge_pairs(samples, used);
        used /= 2;
    }
    struct ledger_sample sample = {
        .time_ns = now_ns,
        .rss_bytes = process_rss_bytes(),
        .live_bytes = ledger_live_bytes(header),
        .live_max_bytes = ledger_live_bytes(header),
        .held_bytes = heap_held_bytes(),
    };
    if (sample.rss_bytes == 0)
        header->lost.samples++;
    sample.rss_max_bytes = sample.rss_bytes;
    uint64_t peak = header->peak_bytes;
    if (peak > timeline.seen_peak) {
        timeline.seen_peak = peak;
        sample.live_max_bytes = peak;
        header->peak_time_ns = now_ns;
    }
    count_collections(&sample);
    header->rss_max_bytes = max_of(header->rss_max_bytes, sample.rss_bytes);
    header->held_max_bytes = max_of(header->held_max_bytes, sample.held_bytes);
    samples[used] = sample;
    ledger_publish(ledger, LEDGER_TIMELINE, used + 1);
    timeline.next_ns = now_ns + timeline.interval_ns;
}

void timeline_start(void)
{
    timeline.interval_ns = FIRST_INTERVAL_NS;
    timeline.seen_peak = 0;
    take_sample(since_start(CLOCK_MONOTONIC));
    atomic_flag_clear_explicit(&timeline.busy, memory_order_release);
}

void timeline_tick(void)
{
    /* A traced child is awakened by the adapter, which knows that no block is
       without its tag just now. */
    if (book.header == NULL &&
        (session.config.mode != LEDGER_MODE_UNTRACED || !session.active))
        return;
    if (book.header == NULL)
        session_awake();
    if (book.header == NULL)
        return;
    requests_look();
    uint64_t now_ns = since_start(CLOCK_MONOTONIC_COARSE);
    if (now_ns < timeline.next_ns)
        return;
    if (atomic_flag_test_and_set_explicit(&timeline.busy, memory_order_acquire))
        return;
    take_sample(now_ns);
    atomic_flag_clear_explicit(&timeline.busy, memory_order_release);
}

void timeline_finish(void)
{
    /* Whoever is at it was interrupted by the end; its sample is as good as ours.
     */
    if (atomic_flag_test_and_set_explicit(&timeline.busy, memory_order_acquire))
        return;
    take_sample(since_start(CLOCK_MONOTONIC));
    atomic_flag_clear_explicit(&timeline.busy, memory_order_release);
}
