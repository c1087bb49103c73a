/* SPDX-License-Identifier: MIT */
/* layout.h - every structure of a ledger file, each of them once. */
#ifndef HG_LEDGER_LAYOUT_H
#define HG_LEDGER_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A ledger is one file of fixed layout: a header of 4096 bytes, then sections.
 * A section is an array of records of one size; where it begins, how many
 * records fit and how many are used stands in the header, so that a reader
 * depends on no order and a snapshot may pack them tightly.
 *
 * The program that is watched maps the file and writes it; nobody else does.
 * Everybody else reads it with pread(), while the program runs, after it has
 * ended and after it was killed.  Numbers are little-endian, offsets count from
 * the beginning of the file, times are nanoseconds.
 *
 * A record is complete before the section's `used` counts it: the writer
 * stores `used` with release order, a reader loads it first.  Records of
 * CODES, STRINGS and the first 16 bytes of NODES never change afterwards.
 */

#define LEDGER_MAGIC "HGLEDGER"
#define LEDGER_VERSION 1u

/* Stands in the library that writes ledgers, so that nobody preloads another by
   mistake, or one that writes what we cannot read. */
#define LEDGER_WRITER_MARK "heapglass: this library writes ledgers of version 1"
#define LEDGER_HEADER_BYTES 4096u

/* A writer needs room for a file of this size, and makes none where it may not. */
#define LEDGER_LEAST_BYTES (372u << 10)

/* A piece of the STRINGS section; text is UTF-8, undecodable bytes as they were. */
struct ledger_text {
    uint32_t offset; /* bytes from the beginning of the section */
    uint32_t bytes;  /* 0 means that there is none */
};

enum ledger_section_id {
    LEDGER_THREADS,   /* struct ledger_thread */
    LEDGER_TIMELINE,  /* struct ledger_sample */
    LEDGER_AWAY,      /* struct ledger_away: updates not yet added to NODES */
    LEDGER_CODES,     /* struct ledger_code; [0] is not used */
    LEDGER_STRINGS,   /* bytes */
    LEDGER_INHERITED, /* struct ledger_inherited, by node; children of fork only */
    LEDGER_GENERATIONS, /* struct ledger_generation, by generation; or none */
    LEDGER_COLLECTIONS, /* struct ledger_collection: the latest of each generation
                         */
    LEDGER_GARBAGE,     /* struct ledger_garbage, by node */
    LEDGER_TYPES,       /* struct ledger_type; [0] is what had no room */
    LEDGER_NODES,       /* struct ledger_node; [0] is not used */
    LEDGER_SECTIONS
};

struct ledger_section {
    uint64_t offset;   /* bytes; multiple of 64 */
    uint64_t capacity; /* records */
    uint32_t record_bytes;
    uint32_t reserved;
    uint64_t used; /* records; atomic: release by the writer */
};

/*
 * What one owner did.  Both pairs only ever grow, so
 *
 *     live == allocated - freed          total == allocated
 *
 * and a reader that sees one of two related updates is off by one operation.
 *
 * The value at the peak needs no log.  The header holds the maximum of what is
 * live, how far below it we are now, and `epoch`, which grows whenever live leaves
 * its maximum.  The first update of an owner in an epoch copies its live value to
 * `peak_bytes` and `peak_blocks` and notes the epoch.  So at any moment the owner's
 * share of the peak is
 *
 *     header.below_peak_bytes == 0                   its live value: this is it
 *     counters.epoch == header.epoch                 peak_bytes, peak_blocks
 *     otherwise                                      its live value: unchanged
 *
 * and the shares of all owners sum to header.peak.
 */
struct ledger_counters {
    uint64_t allocated_bytes; /* as requested; a request for 0 counts as 1 */
    uint64_t allocated_blocks;
    uint64_t freed_bytes;
    uint64_t freed_blocks;
    uint64_t peak_bytes;
    uint32_t peak_blocks; /* saturates */
    uint32_t epoch;
};

/*
 * A node of the call tree: the line `line` of `code`, called from `parent`.
 * In a ledger of lines every node's parent is a thread.
 *
 * parent < own id, so one pass from the last id down adds every node into its
 * parent.  Node LEDGER_ROOT is the empty stack, its children are the threads
 * (code == 0, line == index into THREADS) and LEDGER_NOT_RECORDED.
 */
struct ledger_node {
    uint32_t parent;
    uint32_t code; /* index into CODES */
    uint32_t line; /* 0: the interpreter names no line for this instruction */
    uint32_t reserved;
    struct ledger_counters counters; /* of blocks asked for by exactly this stack */
};

enum {
    LEDGER_NO_NODE = 0,
    LEDGER_ROOT = 1,
    LEDGER_NOT_RECORDED = 2,
    LEDGER_FIRST_THREAD = 3
};
#define LEDGER_NODE_BITS 26
#define LEDGER_MAX_NODES (1u << LEDGER_NODE_BITS)

/* As first_line: a file that was mapped; `function` is empty, and the lines of
   nodes are offsets of instructions in it, or addresses where it has no name. */
#define LEDGER_LINES_ARE_OFFSETS UINT32_MAX

struct ledger_code {
    struct ledger_text file;
    struct ledger_text function; /* qualified where the interpreter knows it so */
    uint32_t first_line;
    uint32_t reserved;
};

/*
 * Threads take the lowest slot that is free, so a slot can have had several
 * threads in turn; they are one owner.
 */
enum {
    LEDGER_MAIN_THREAD = 0,
    LEDGER_OUTSIDE = 1, /* all that never held the interpreter's lock, together */
};

struct ledger_thread {
    uint32_t node;    /* the thread's own node: what it did under no Python frame */
    uint32_t tid;     /* of the latest thread in this slot */
    uint32_t threads; /* how many threads had the slot, one after the other */
    uint32_t alive;   /* 1 while the latest of them lives */
    uint64_t reserved;
};

/* One moment.  Maxima are over the time since the sample before. */
struct ledger_sample {
    uint64_t time_ns; /* since header.start_ns */
    uint64_t rss_bytes;
    uint64_t live_bytes;
    uint64_t live_max_bytes;
    uint64_t rss_max_bytes;
    uint64_t held_bytes;     /* by our heap from the system, live or not */
    uint32_t collections[3]; /* per generation, since the sample before */
    uint32_t reserved;
};

/*
 * Updates of threads that did not hold the interpreter's lock.  They belong to
 * `node`; readers add them, the writer of the nodes takes them over in time.
 * An entry whose node is 0 is free.
 */
struct ledger_away {
    uint32_t node;
    uint32_t domain; /* enum ledger_domain */
    uint64_t allocated_bytes;
    uint64_t allocated_blocks;
    uint64_t freed_bytes;
    uint64_t freed_blocks;
};

/* Of what a forked child holds, the part that its parent had allocated. */
struct ledger_inherited {
    uint64_t bytes;
    uint64_t blocks;
};

/*
 * The interpreter's own collector of cyclic garbage.  GENERATIONS has a record for
 * each generation when the collector is watched, and none when it is not.
 *
 * Pauses are counted in classes, eight for each power of two nanoseconds: class 0
 * is below 1024 ns, class 1 + 8 * n + k from (8 + k) << (7 + n) ns, the last one is
 * what is longer than all others.
 */
enum {
    LEDGER_PAUSE_CLASSES = 258,
    LEDGER_GENERATION_COUNT = 3,
    LEDGER_LATEST_COLLECTIONS = 256 /* of each generation */
};

struct ledger_generation {
    uint64_t collections;
    uint64_t useless; /* of them: found nothing */
    uint64_t pause_ns;
    uint64_t pause_max_ns;
    uint64_t useless_ns;
    uint64_t visited; /* objects, as far as the interpreter counts them */
    uint64_t found;   /* objects that nobody could reach any more */
    uint64_t uncollectable;
    uint64_t freed_bytes; /* of blocks that were there when the collection began */
    uint64_t freed_blocks;
    uint32_t pauses[LEDGER_PAUSE_CLASSES];
};

/* The `number`th of its generation, from 1, stands at index generation *
   LEDGER_LATEST_COLLECTIONS + (number - 1) % LEDGER_LATEST_COLLECTIONS; the number
   is 0 where there is none, or while it is written. */
struct ledger_collection {
    uint64_t number;
    uint64_t time_ns; /* of its beginning, since header.start_ns */
    uint64_t pause_ns;
    uint64_t visited;
    uint64_t found;
    uint64_t uncollectable;
    uint64_t freed_bytes;
    uint64_t freed_blocks;
};

/* Of what a node allocated, the part that the collector freed. */
struct ledger_garbage {
    uint64_t bytes;
    uint64_t blocks;
};

/* Objects that the collector freed, by the name of their type. */
struct ledger_type {
    struct ledger_text name;
    uint64_t objects;
    uint64_t bytes;
};

enum ledger_state {
    LEDGER_WAITING = 1,   /* claimed by no process yet: see `heapglass run` */
    LEDGER_RUNNING = 2,   /* or killed: look whether the process lives */
    LEDGER_FINALIZED = 3, /* accounts are closed: the interpreter finalizes */
    LEDGER_EXITED = 4,    /* exit_status tells */
    LEDGER_REPLACED = 5,  /* by another program, by exec */
    LEDGER_SNAPSHOT = 6   /* a copy; snapshot_of tells the state when taken */
};

enum ledger_mode {
    LEDGER_MODE_UNTRACED = 0,
    LEDGER_MODE_LINES = 1,
    LEDGER_MODE_STACKS = 2
};

enum ledger_domain {
    LEDGER_OBJ,
    LEDGER_MEM,
    LEDGER_RAW,
    LEDGER_MALLOC,
    LEDGER_MMAP,
    LEDGER_DOMAINS
};

/* What could not be recorded, counted where it happened. */
struct ledger_lost {
    uint64_t blocks_without_node; /* allocations charged to LEDGER_NOT_RECORDED */
    uint64_t frames_too_deep; /* allocations whose stack was cut at the bottom */
    uint64_t away_races;      /* updates made without the lock, perhaps lost */
    uint64_t children;        /* forked children that could not make a ledger */
    uint64_t samples;         /* moments whose RSS could not be read */
};

/*
 * What others ask of a running program: the one thing in a ledger that its program
 * does not write alone.  Who asks holds an exclusive lock on this part of the file
 * (F_OFD_SETLK).  He stores `what`, adds 1 to `asked`, and then stores 1 in `bell`.
 * The program takes it back to 0 where it looks now and then, notes in `heard` what
 * was asked by then, and serves at the next safe point, when it stores the answer,
 * and then in `answered` the number that was asked.
 */
enum ledger_request_what {
    LEDGER_COLLECT = 1, /* a full collection of the interpreter's collector */
    LEDGER_TRIM = 2,    /* what is free in the heap goes back to the system */
};

struct ledger_answer {
    uint64_t found; /* COLLECT: objects */
    uint64_t freed_bytes;
    uint64_t freed_blocks;
    uint64_t pause_ns;
    uint64_t given_bytes; /* TRIM */
    uint64_t rss_before_bytes;
    uint64_t rss_after_bytes;
};

struct ledger_request {
    uint32_t bell;     /* atomic */
    uint32_t what;     /* an or of enum ledger_request_what */
    uint32_t asked;    /* atomic: release, after `what` */
    uint32_t heard;    /* atomic */
    uint32_t answered; /* atomic: release, after `answer` */
    uint32_t reserved;
    struct ledger_answer answer;
};

/*
 * Where the heap is in the memory of the process, for readers that may look there.
 * Written before the state becomes RUNNING; 0: there is none.
 */
struct ledger_heap {
    uint64_t anatomy;  /* heap/anatomy.h */
    uint64_t from, to; /* no one else's memory lies there */
    uint64_t chunks;   /* struct ledger_chunks, or 0 */
};

/* In the memory of the process, not in the ledger: where the interpreter keeps its
   frames outside the heap, as far as there is room. */
#define LEDGER_CHUNKS 1024u
struct ledger_chunks {
    struct {
        uint64_t start; /* 0: none; atomic, relaxed */
        uint64_t bytes;
    } at[LEDGER_CHUNKS];
};

struct ledger_header {
    char magic[8];
    uint32_t version;
    uint32_t header_bytes;
    uint64_t file_bytes; /* as planned; the file may have been trimmed */

    /* Who.  Written before the state becomes RUNNING. */
    uint32_t state;       /* enum ledger_state; atomic */
    uint32_t snapshot_of; /* enum ledger_state */
    int32_t pid;
    int32_t parent_pid;
    int32_t session_pid;    /* what `heapglass run` started: one per family */
    uint32_t generation;    /* 0 for FILE itself, N for the Nth exec before */
    uint64_t process_start; /* field 22 of /proc/PID/stat: ticks since boot */
    uint64_t start_ns;      /* CLOCK_MONOTONIC */
    uint64_t start_realtime_ns;
    uint64_t end_ns;            /* since start_ns; 0 while it runs */
    int32_t exit_status;        /* -1: not known */
    uint32_t exited_early;      /* 1: by _exit(), with no finalization */
    struct ledger_text command; /* argv, each argument ended by a zero byte */
    struct ledger_text folder;  /* the working folder at the start */
    struct ledger_text program; /* the interpreter's file */
    struct ledger_text python;  /* its version, as sys.version */
    char boot_id[40];

    /* What was watched. */
    uint32_t mode;     /* enum ledger_mode */
    uint32_t recycled; /* 1: objects that CPython recycles are watched */
    struct ledger_text recycled_how; /* how, or why not */
    struct ledger_text displaced;    /* what took our place as allocator; or none */
    struct ledger_text stacks_how;   /* how frames are read, or why not */
    struct ledger_lost lost;         /* relaxed; `children` alone is atomic */
    uint32_t forked;                 /* 1: INHERITED is valid */
    uint32_t timeline_writing;       /* odd while samples are being merged */

    /* Totals.  One writer, the holder of the interpreter's lock. */
    uint64_t peak_bytes;
    int64_t below_peak_bytes; /* peak - live: see ledger_live_bytes() */
    uint32_t epoch;
    uint32_t reserved0;
    uint64_t peak_time_ns;  /* when a sample first saw this peak; 0: not yet */
    uint64_t rss_max_bytes; /* of all samples */
    uint64_t held_max_bytes;
    uint64_t mapped_bytes; /* of the ledger itself: committed */

    /* MEM, RAW and so on; what is left of the total is OBJ, which is not written.
     */
    struct ledger_counters domain[LEDGER_DOMAINS];

    struct ledger_section section[LEDGER_SECTIONS];

    /* Of a forked child: what of INHERITED was in these domains; OBJ has the rest.
     */
    struct ledger_inherited domain_inherited[LEDGER_DOMAINS];

    struct ledger_request request;
    struct ledger_heap heap;
};

/* Also right for a program that was killed between passing its peak and saying so,
   when below_peak_bytes is negative. */
static inline uint64_t ledger_live_bytes(const struct ledger_header *header)
{
    return header->peak_bytes - (uint64_t)header->below_peak_bytes;
}

/* Do its counters tell who holds what?  When something took our place, they hold no
   more than the few blocks from before. */
static inline bool ledger_is_traced(const struct ledger_header *header)
{
    return header->mode != LEDGER_MODE_UNTRACED && header->displaced.bytes == 0;
}

/* The class of a pause. */
static inline unsigned ledger_pause_class(uint64_t ns)
{
    if (ns < 1024)
        return 0;
    unsigned power = 63 - (unsigned)__builtin_clzll(ns);
    unsigned class = 1 + 8 * (power - 10) + ((unsigned)(ns >> (power - 3)) & 7);
    return class < LEDGER_PAUSE_CLASSES ? class : LEDGER_PAUSE_CLASSES - 1;
}

/* Where a class begins. */
static inline uint64_t ledger_pause_least_ns(unsigned class)
{
    return class == 0 ? 0
                      : (uint64_t)(8 + (class - 1) % 8) << (7 + (class - 1) / 8);
}

_Static_assert(sizeof(struct ledger_counters) == 48, "shares a line with the node");
_Static_assert(sizeof(struct ledger_node) == 64, "one cache line");
_Static_assert(sizeof(struct ledger_sample) == 64, "one cache line");
_Static_assert(sizeof(struct ledger_thread) == 24, "no padding");
_Static_assert(sizeof(struct ledger_code) == 24, "no padding");
_Static_assert(sizeof(struct ledger_away) == 40, "no padding");
_Static_assert(sizeof(struct ledger_generation) == 80 + 4 * LEDGER_PAUSE_CLASSES,
               "no padding");
_Static_assert(sizeof(struct ledger_collection) == 64, "one cache line");
_Static_assert(sizeof(struct ledger_garbage) == 16, "no padding");
_Static_assert(sizeof(struct ledger_type) == 24, "no padding");
_Static_assert(sizeof(struct ledger_header) <= LEDGER_HEADER_BYTES, "one page");

#endif
