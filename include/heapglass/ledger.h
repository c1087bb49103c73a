/* SPDX-License-Identifier: MIT */
/*
 * ledger.h - who holds memory in a program that runs under "heapglass run", or did.
 *
 *     hg_ledger *ledger;
 *     hg_rows *rows;
 *     hg_row row;
 *     hg_ledger_error why;
 *
 *     if (hg_ledger_open_pid(4711, 0, &ledger, &why) != HG_OK)
 *         errx(1, "%s", why.text);
 *     if (hg_ledger_rows(ledger, HG_BY_LINE, HG_LIVE, 10, &rows, &why) != HG_OK)
 *         errx(1, "%s", why.text);
 *     for (size_t i = 0; hg_rows_get(rows, i, &row) == HG_OK; i++)
 *         printf("%10" PRIu64 " %s\n", row.now.live.bytes, row.place.function);
 *     hg_rows_free(rows);
 *     hg_ledger_close(ledger);
 *
 * What is opened is a copy of the accounts as they were at that moment: the program
 * does not notice, may go on or end, and the copy never changes.  To see what comes
 * next, open it again.  A ledger is taken for what a stranger wrote: every number
 * in it is checked before it is used.
 *
 * Sizes are in bytes, as they were asked for; times in nanoseconds.  Texts end with
 * a zero byte, are bytes as the program had them (UTF-8, as a rule), and are on
 * loan until what they were asked of is closed or freed.  Answers are 0 or 1.
 *
 * What can fail returns HG_OK or a negative status, leaves its last result as it
 * was, and, if `why` is not NULL, puts one line into it that names the thing and
 * the remedy:
 *
 *     HG_EIO       there is no such ledger, or it cannot be read
 *     HG_ECORRUPT  it is not what it says it is
 *     HG_EVERSION  it was written by another version
 *     HG_ENOTSUP   nobody was asked to keep the accounts that are wanted
 *     HG_EINVAL    an argument is none of those below
 *     HG_ENOMEM
 *
 * Threads: ledgers and rows may be read by several threads at once, and are closed
 * or freed by one when the others have done.  Nothing here may be called by a
 * signal handler.  Link with -lheapglass-ledger, which has no allocator in it.
 */
#ifndef HEAPGLASS_LEDGER_H
#define HEAPGLASS_LEDGER_H

#include "heapglass/status.h"

#include <stddef.h>
#include <stdint.h>

#ifndef HG_API
#define HG_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    char text[1024];
} hg_ledger_error;

/* --- a ledger ----------------------------------------------------------------- */

typedef struct hg_ledger hg_ledger;

enum {
    HG_ALONE = 1, /* this process alone, without its children */
};

/*
 * Open a ledger or a snapshot, which "heapglass run -o" or "heapglass snapshot -o"
 * wrote; or that of the latest process of this id, running or not, wherever it
 * lies. Child processes come with it and are summed, unless `flags` has HG_ALONE.
 * The caller owns *out. The cost grows with the number of distinct stacks, 10 ms
 * for a hundred thousand.
 */
HG_API hg_status hg_ledger_open(const char *path, unsigned flags, hg_ledger **out,
                                hg_ledger_error *why);
HG_API hg_status hg_ledger_open_pid(int32_t pid, unsigned flags, hg_ledger **out,
                                    hg_ledger_error *why);
HG_API void hg_ledger_close(hg_ledger *ledger); /* NULL is allowed */

/* --- the program -------------------------------------------------------------- */

/* What was started, and how it was watched.  A text that is not known is NULL. */
typedef struct {
    const char *folder;      /* the working folder at the start */
    const char *interpreter; /* its file */
    const char *python;      /* sys.version */
    const char *mode;        /* "stacks", "lines" or "untraced" */
    int recycled; /* objects that CPython recycles are charged to their last line */
    const char *recycled_how;
    const char *stacks_how;
    const char *displaced; /* what took our place as the allocator */
    size_t processes;      /* 1 and more; the one that was started comes first */
    size_t unread;         /* children whose ledgers are not sound: not counted */

    /* What could not be recorded, summed over all processes. */
    uint64_t lost_blocks;   /* charged to "(not recorded)" */
    uint64_t lost_frames;   /* stacks that were cut at the bottom */
    uint64_t lost_updates;  /* that may have been lost in a race */
    uint64_t lost_children; /* without a ledger */
    uint64_t lost_samples;
} hg_program;

HG_API void hg_ledger_program(const hg_ledger *ledger, hg_program *out);

typedef struct {
    int32_t pid;
    int32_t parent_pid;
    const char *command; /* on one line */
    const char *path;    /* of its ledger */
    const char *state;   /* "running", "ended", "killed" ...: see hg_ledger(3) */
    int open;            /* it lives: what is counted may still change */
    int snapshot;        /* `state` is that of the moment when it was taken */
    int exit_status;     /* -1: not known, or none yet */
    int busy; /* it allocated while it was read: parts are of different moments */
    uint64_t start_time_ns; /* since 1970 */
    uint64_t duration_ns;   /* how long it ran or has been running */
    uint64_t live_bytes;    /* with what it inherited by fork() */
    uint64_t peak_bytes;
    uint64_t peak_time_ns; /* since the start; 0: not yet seen */
    uint64_t rss_bytes; /* resident when it was opened, or seen last; 0: unknown */
    uint64_t rss_max_bytes;
    uint64_t held_max_bytes;  /* the most that the allocator had from the system */
    uint64_t inherited_bytes; /* at the fork; not in the rows */
    uint64_t inherited_blocks;
} hg_process;

/* HG_EINVAL: there are not so many.  `index` counts from 0. */
HG_API hg_status hg_ledger_process(const hg_ledger *ledger, size_t index,
                                   hg_process *out);

typedef struct {
    uint64_t time_ns; /* since the start of the process */
    uint64_t rss_bytes;
    uint64_t live_bytes;
    uint64_t held_bytes;     /* by the allocator from the system, live or not */
    uint64_t live_max_bytes; /* since the sample before */
    uint64_t rss_max_bytes;
    uint32_t collections[3]; /* by generation, since the sample before */
} hg_sample;

/* The timeline of a process, the oldest first.  HG_EINVAL: there are not so many.
 */
HG_API size_t hg_ledger_samples(const hg_ledger *ledger, size_t process);
HG_API hg_status hg_ledger_sample(const hg_ledger *ledger, size_t process,
                                  size_t index, hg_sample *out);

/* --- who holds memory --------------------------------------------------------- */

typedef struct {
    uint64_t bytes;
    uint64_t blocks;
} hg_amount;

typedef struct {
    hg_amount live;  /* held now; by one that ended, when it began to finalize */
    hg_amount peak;  /* held when the program held most */
    hg_amount total; /* ever allocated */
} hg_measure;

/* The sums of all rows.  All 0 if accounts were not kept. */
HG_API void hg_ledger_totals(const hg_ledger *ledger, hg_measure *out);

enum hg_by {
    HG_BY_LINE,
    HG_BY_FUNCTION,
    HG_BY_FILE,
    HG_BY_STACK,
    HG_BY_THREAD,
    HG_BY_DOMAIN,
};

enum hg_order { HG_LIVE, HG_PEAK, HG_TOTAL };

/* One place in a program.  Without a file `function` is "(no Python frame)" or
   "(not recorded)"; both are NULL by thread and by domain. */
typedef struct {
    const char *file;
    const char *function;
    int64_t line; /* -1: none; 0: the interpreter named none */
} hg_place;

typedef struct {
    hg_place place; /* by stack: the innermost frame */
    hg_measure now;
    hg_measure before; /* of hg_ledger_growth(); else all 0 */

    const char *domain; /* by domain: "obj", "mem", "raw" ...; else NULL */

    /* By thread; else 0. */
    int32_t thread_pid;
    int32_t thread_slot; /* 0 is the first of its process; -1: not recorded */
    uint32_t thread_id;  /* of the latest one that had the slot; 0: unknown */
    uint32_t threads;    /* how many had it, one after the other */
    int thread_alive;
} hg_row;

typedef struct hg_rows hg_rows;

/*
 * The `top` biggest rows, the biggest first; SIZE_MAX: all.  Rows of one size come
 * in the order of their names.  The caller owns *out, which outlives the ledger.
 * HG_ENOTSUP: the program is not traced, or has not become Python yet.
 */
HG_API hg_status hg_ledger_rows(const hg_ledger *ledger, enum hg_by by,
                                enum hg_order order, size_t top, hg_rows **out,
                                hg_ledger_error *why);

/*
 * The same for what is live in `now` or `before`, two moments of one program or two
 * programs: the largest change first, be it growth or not.  `by` as above, but by
 * thread and by domain is HG_EINVAL.
 */
HG_API hg_status hg_ledger_growth(const hg_ledger *before, const hg_ledger *now,
                                  enum hg_by by, size_t top, hg_rows **out,
                                  hg_ledger_error *why);

HG_API size_t hg_rows_count(const hg_rows *rows);
HG_API void hg_rows_free(hg_rows *rows); /* NULL is allowed */

/* HG_EINVAL: there are not so many.  Texts are on loan until hg_rows_free(). */
HG_API hg_status hg_rows_get(const hg_rows *rows, size_t index, hg_row *out);

/*
 * Rows by stack: the frames of a row, the outermost first, at most `room` of the
 * innermost ones; how many there are in all is returned.  0: a row without frames,
 * or not by stack.  `into` may be NULL if `room` is 0.
 */
HG_API size_t hg_rows_stack(const hg_rows *rows, size_t index, hg_place *into,
                            size_t room);

/* Live bytes, or blocks, of `now` less those of `before`. */
static inline int64_t hg_row_growth(const hg_row *row)
{
    return (int64_t)(row->now.live.bytes - row->before.live.bytes);
}

static inline int64_t hg_row_growth_blocks(const hg_row *row)
{
    return (int64_t)(row->now.live.blocks - row->before.live.blocks);
}

#ifdef __cplusplus
}
#endif

#endif
