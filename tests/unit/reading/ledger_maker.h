/* SPDX-License-Identifier: MIT */
/* ledger_maker.h - ledgers made by hand, for the tests of everything that reads
 * them. */
#ifndef HG_TESTS_LEDGER_MAKER_H
#define HG_TESTS_LEDGER_MAKER_H

#include "ledger/layout.h"

#include <stddef.h>

/*
 * A ledger in memory that is filled record by record; header, nodes and the rest
 * may be changed by hand.  It follows the rules of layout.h for counters, epochs
 * and the peak, as written there and not as the tracer does it.  Runs out of
 * memory with an abort().
 */
struct ledger_maker {
    struct ledger_header header;
    struct ledger_thread *threads;
    struct ledger_sample *samples;
    struct ledger_away *away;
    struct ledger_code *codes;
    char *strings;
    struct ledger_inherited *inherited;
    struct ledger_generation *generations;
    struct ledger_collection *collections;
    struct ledger_garbage *garbage;
    struct ledger_type *types;
    struct ledger_node *nodes;
    uint32_t count[LEDGER_SECTIONS];
    uint32_t room[LEDGER_SECTIONS];
};

/* The node of the thread that every ledger here begins with. */
enum { MAIN_THREAD = LEDGER_FIRST_THREAD };

/*
 * Begin the ledger of "python3 app.py", process 4711 of session 4711, in the
 * folder /home/shop: ended well after 12 s, traced by stacks, with one thread
 * and nothing allocated.
 */
void maker_begin(struct ledger_maker *maker);
void maker_drop(struct ledger_maker *maker);

struct ledger_text maker_text(struct ledger_maker *maker, const char *text);
struct ledger_text maker_bytes(struct ledger_maker *maker, const char *text,
                               size_t bytes);
uint32_t maker_code(struct ledger_maker *maker, const char *file,
                    const char *function, uint32_t first_line);

/* Another thread; returns its node. */
uint32_t maker_thread(struct ledger_maker *maker, uint32_t tid);

/* A line of a code, called from another node; and both in one call. */
uint32_t maker_node(struct ledger_maker *maker, uint32_t parent, uint32_t code,
                    uint32_t line);
uint32_t maker_line(struct ledger_maker *maker, const char *file,
                    const char *function, uint32_t line);

/* One block of so many bytes, in the domain OBJ. */
void maker_allocated(struct ledger_maker *maker, uint32_t node, uint64_t bytes);
void maker_freed(struct ledger_maker *maker, uint32_t node, uint64_t bytes);

/* The same in any domain. */
void maker_allocated_in(struct ledger_maker *maker, enum ledger_domain domain,
                        uint32_t node, uint64_t bytes);

void maker_away(struct ledger_maker *maker, struct ledger_away away);
void maker_inherited(struct ledger_maker *maker, uint32_t node, uint64_t bytes,
                     uint64_t blocks);
void maker_sample(struct ledger_maker *maker, struct ledger_sample sample);

/*
 * A collection of this generation, after the others of it; of `what`, the number is
 * filled in.  And what of a node's blocks was freed, and objects by type.
 */
void maker_collection(struct ledger_maker *maker, unsigned generation,
                      struct ledger_collection what);
void maker_garbage(struct ledger_maker *maker, uint32_t node, uint64_t bytes,
                   uint64_t blocks);
void maker_type(struct ledger_maker *maker, const char *name, uint64_t objects,
                uint64_t bytes);

/* The bytes of the file; the caller free()s them. */
unsigned char *maker_image(struct ledger_maker *maker, size_t *bytes);

/* Write the file, or abort(). */
void maker_write(struct ledger_maker *maker, const char *path);
void maker_write_image(const unsigned char *image, size_t bytes, const char *path);

#endif
