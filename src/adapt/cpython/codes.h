/* SPDX-License-Identifier: MIT */
/* codes.h - code objects: what they are called, and when they die. */
#ifndef HG_ADAPT_CPYTHON_CODES_H
#define HG_ADAPT_CPYTHON_CODES_H

#include "adapt/cpython/layout.h"
#include "base/base.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The ledger's code of a code object.  At first sight its names are copied and its
 * block is marked as watched, so that codes_died() can be called when it is freed.
 * 0 when the ledger is full.  Holder of the interpreter's lock only.
 *
 * Where another allocator has been put before ours since, a code object may lie in
 * memory that is not ours.  Nobody tells when such a one dies: it is named anew
 * each time, and nothing that depends on its address may be remembered.
 */
uint32_t codes_id(const struct py_layout *layout, void *code);

/* The same by attributes of the code object, where its layout is not known: makes
   objects, and lets go of them.  Takes session_names itself. */
uint32_t codes_id_asked(void *code);

/* Whether the functions for that are there. */
bool codes_can_ask(void);

/*
 * The address of a code object's first instruction.  Where a frame only has the
 * number of its instruction, and objects may share bytecode, it is a number that no
 * other has: nothing else lies within 16 bytes of a code object, nor within 176 of
 * its beginning, so 11 MB of bytecode have room.
 */
HG_ALWAYS_INLINE uintptr_t codes_begin(const struct py_layout *l, const void *code)
{
    return l->frame_objects ? (uintptr_t)code << 16
                            : (uintptr_t)code + l->code_bytecode;
}

/* Whether a code object was met whose death nobody tells. */
extern bool codes_met_stranger HG_HIDDEN;
bool codes_is_stranger_slow(const void *code);

/* Whether this is one; of a code object that codes_id() was called for. */
static inline bool codes_is_stranger(const void *code)
{
    return HG_UNLIKELY(codes_met_stranger) && codes_is_stranger_slow(code);
}

/* The line of an instruction; 0 when it has none.  For code whose death nobody
   tells, because codes_id() was not called, codes_forget_lines() has to follow. */
uint32_t codes_line(const struct py_layout *layout, void *code, uintptr_t ip);
void codes_forget_lines(void);

/* Whether the frame has yet to reach its first traceable instruction: it makes
   cells or a generator, which its caller is charged with, as tracemalloc does. */
bool codes_before_start(const struct py_layout *layout, void *code, uintptr_t ip);

/* A watched block is freed.  If a code object that we know was at this address,
   forget it and return true. */
bool codes_died(void *code);

#endif
