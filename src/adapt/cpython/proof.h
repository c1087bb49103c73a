/* SPDX-License-Identifier: MIT */
/* proof.h - is the layout that we believe in the one that this interpreter has? */
#ifndef HG_ADAPT_CPYTHON_PROOF_H
#define HG_ADAPT_CPYTHON_PROOF_H

#include "adapt/cpython/layout.h"

#include <stdbool.h>

/*
 * Before the first frame is trusted: whether the offsets agree with those that the
 * interpreter publishes, if it does, and whether the thread state and the frames
 * under it look as they should.  Reads so that a wrong address cannot fault.
 * GLANCE_LATER: there is no frame yet.  May run inside malloc.  The lock is held,
 * `state` is the holder's.
 */
enum glance { GLANCE_LATER, GLANCE_OK, GLANCE_WRONG };
enum glance proof_glance(const struct py_layout *layout, void *state);

/* What proof_run() found. */
enum proof {
    PROOF_OK,
    PROOF_MARKS, /* frames are right, but marks do not behave: compare all frames */
    PROOF_WRONG, /* do not read frames */
    PROOF_NONE,  /* could not be made: no memory, or a function is not exported */
};

/*
 * Run a few known lines, look at the stack from inside, and compare names, lines
 * and the behaviour of marks with what is known.  Runs Python code: a pending call
 * only.  Without a layout, the public functions are asked (asked.h), and nothing is
 * said of marks: PROOF_MARKS if they tell the truth.
 */
enum proof proof_run(const struct py_layout *layout);

/*
 * Where the layout says that the collector of the interpreter that runs counts the
 * objects that make it start; NULL: that interpreter has no state.
 */
int *proof_young_guess(const struct py_layout *layout);

/* Whether proof_run() has seen that the count is there, and so the collector. */
bool proof_found_collector(void);

#endif
