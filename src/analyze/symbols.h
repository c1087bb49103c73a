/* SPDX-License-Identifier: MIT */
/* symbols.h - names for the frames of programs in C. */
#ifndef HG_ANALYZE_SYMBOLS_H
#define HG_ANALYZE_SYMBOLS_H

#include "ledger/reader.h"

/*
 * Where codes are mapped files and lines are offsets in them, put functions, source
 * files and lines in their place, and a node for each function that was inlined
 * there.  What a file does not tell stays "+0x1234" in it; so does all of it if
 * this was built without libdw.  Files are read as they are now, which may not be
 * as they were.  Nodes, codes, texts, AWAY, INHERITED and THREADS of the copy are
 * changed together.  HG_ENOMEM: the copy is as it was.
 */
hg_status symbols_put(struct ledger_copy *copy);

#endif
