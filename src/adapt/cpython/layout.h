/* SPDX-License-Identifier: MIT */
/* layout.h - where CPython keeps its frames: one table, a row per minor version. */
#ifndef HG_ADAPT_CPYTHON_LAYOUT_H
#define HG_ADAPT_CPYTHON_LAYOUT_H

#include "base/base.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A mark that we leave in a frame and that every push of a frame wipes out: while
 * it is there, this is the activation that we saw before, so all its callers stand
 * where they stood.  Frames of generators are never marked, for others can resume
 * them.
 */
enum frame_mark {
    /* 3.9 and 3.10: `f_trace_lines` is 0 or 1, and whoever reads it asks whether it
       is 0. */
    MARK_TRACE_LINES,
    /* 3.11: `owner` is 0 for frames of the thread's stack, and release builds only
       ever compare it with 1 and 2; debug builds assert that it is 0. */
    MARK_OWNER,
    /* 3.12: `return_offset` says how far to go on when a Python function that was
       called has returned.  Each such call sets it anew, so in a frame that runs,
       or has called C code, it means nothing: `stacktop` is -1 there.  While such a
       call lasts, the frame has no mark, and is compared. */
    MARK_RETURN,
    /* From 3.13 on `f_locals` of optimized code is unused (PEP 667), and None is
       immortal. */
    MARK_LOCALS,
};

enum { MARKED_OWNER = 0x40, MARKED_TRACE_LINES = 3 };

/* 3.12's `stacktop`, `return_offset` and `owner` in one word; a byte is nothing. */
#define RUNS_MASK 0x00FF0000FFFFFFFFu
#define RUNS 0x00000000FFFFFFFFu /* in the stack of the thread */
#define MARKED_RUNS_MASK 0x00FFFFFFFFFFFFFFu
#define MARKED_RUNS 0x0000FFFFFFFFFFFFu

/* Offsets in bytes.  The hot paths are compiled once per row, with the row as a
   constant, so a field costs what it costs CPython itself. */
struct py_layout {
    uint8_t minor;
    uint8_t mark; /* enum frame_mark */
    uint8_t owner_generator;
    uint8_t owner_shim;    /* owners from here on are no Python frames; 0: there are
                              none */
    bool state_in_runtime; /* the lock's holder is a word of _PyRuntime, not
                              thread-local */
    bool frame_objects;    /* up to 3.10: a frame is an object; its instruction is a
                              number, and code_bytecode names an object, too */
    uint8_t lasti_shift;   /* of that number, to have bytes */
    bool has_cframe;       /* tstate -> cframe -> current_frame */
    bool tags_references;  /* frame -> code has two bits that are no address */
    bool gc_stats_in_rings; /* and interp_gc_stats points to them */
    uint16_t runtime_state;
    uint16_t state_frame; /* of cframe or current_frame in the thread state */
    uint16_t cframe_frame;
    uint16_t state_interp;
    uint16_t frame_previous, frame_code, frame_ip, frame_owner, frame_locals,
        frame_stacktop;
    uint16_t frame_lasti, frame_generator, frame_trace_lines; /* frame_objects */
    uint16_t code_file, code_name, code_lines, code_first_line,
        code_first_traceable, code_flags, code_bytecode;
    uint16_t
        interp_gc_stats; /* of the first generation's, three of 24 bytes each */
    uint16_t interp_gc_young; /* how many objects the first generation is thought to
                                 have */
    /* Words of _Py_DebugOffsets, at the beginning of _PyRuntime, that publish the
       offset of a state's interpreter, of a frame's caller and of a code object's
       file; the others lie beside them.  0: nothing is published. */
    uint8_t published_state, published_frame, published_code;
};

/* clang-format off */
#define LAYOUT_309 {                                                                    \
    .minor = 9, .mark = MARK_TRACE_LINES, .state_in_runtime = true,                     \
    .runtime_state = 568, .frame_objects = true, .state_frame = 24,                     \
    .state_interp = 16, .frame_previous = 24, .frame_code = 32, .frame_lasti = 104,     \
    .frame_generator = 96, .frame_trace_lines = 88, .code_file = 104,                   \
    .code_name = 112, .code_first_line = 40, .code_flags = 36, .code_bytecode = 48,     \
    .interp_gc_stats = 744, .interp_gc_young = 660 }

#define LAYOUT_310 {                                                                    \
    .minor = 10, .mark = MARK_TRACE_LINES, .state_in_runtime = true,                    \
    .runtime_state = 568, .frame_objects = true, .lasti_shift = 1, .state_frame = 24,   \
    .state_interp = 16, .frame_previous = 24, .frame_code = 32, .frame_lasti = 96,      \
    .frame_generator = 88, .frame_trace_lines = 84, .code_file = 104,                   \
    .code_name = 112, .code_first_line = 40, .code_flags = 36, .code_bytecode = 48,     \
    .interp_gc_stats = 744, .interp_gc_young = 660 }

#define LAYOUT_311 {                                                                    \
    .minor = 11, .mark = MARK_OWNER, .owner_generator = 1, .owner_shim = 0,             \
    .state_in_runtime = true, .has_cframe = true, .runtime_state = 576,                 \
    .state_frame = 56, .cframe_frame = 8, .state_interp = 16, .frame_previous = 48,     \
    .frame_code = 32, .frame_ip = 56, .frame_owner = 69, .frame_locals = 24,            \
    .code_file = 112, .code_name = 128, .code_lines = 136, .code_first_line = 72,       \
    .code_first_traceable = 168, .code_flags = 48, .code_bytecode = 184,                \
    .interp_gc_stats = 776, .interp_gc_young = 692 }

#define LAYOUT_312 {                                                                    \
    .minor = 12, .mark = MARK_RETURN, .owner_generator = 1, .owner_shim = 3,            \
    .has_cframe = true, .state_frame = 56, .cframe_frame = 0, .state_interp = 16,       \
    .frame_previous = 8, .frame_code = 0, .frame_ip = 56, .frame_owner = 70,            \
    .frame_locals = 40, .frame_stacktop = 64, .code_file = 112, .code_name = 128,       \
    .code_lines = 136, .code_first_line = 68, .code_first_traceable = 176,              \
    .code_flags = 48, .code_bytecode = 192, .interp_gc_stats = 240,                     \
    .interp_gc_young = 156 }

#define LAYOUT_313 {                                                                    \
    .minor = 13, .mark = MARK_LOCALS, .owner_generator = 1, .owner_shim = 3,            \
    .state_frame = 72, .state_interp = 16, .frame_previous = 8, .frame_code = 0,        \
    .frame_ip = 56, .frame_owner = 70, .frame_locals = 40, .code_file = 112,            \
    .code_name = 128, .code_lines = 136, .code_first_line = 68,                         \
    .code_first_traceable = 184, .code_flags = 48, .code_bytecode = 200,                \
    .interp_gc_stats = 7528, .interp_gc_young = 7444, .published_state = 22,            \
    .published_frame = 29, .published_code = 35 }

#define LAYOUT_314 {                                                                    \
    .minor = 14, .mark = MARK_LOCALS, .owner_generator = 1, .owner_shim = 3,            \
    .tags_references = true, .state_frame = 72, .state_interp = 16,                     \
    .frame_previous = 8, .frame_code = 0, .frame_ip = 56, .frame_owner = 74,            \
    .frame_locals = 40, .code_file = 112, .code_name = 128, .code_lines = 136,          \
    .code_first_line = 68, .code_first_traceable = 192, .code_flags = 48,               \
    .code_bytecode = 208, .interp_gc_stats = 7528, .interp_gc_young = 7452,             \
    .published_state = 25, .published_frame = 32, .published_code = 40 }

#define LAYOUT_315 {                                                                    \
    .minor = 15, .mark = MARK_LOCALS, .owner_generator = 1, .owner_shim = 3,            \
    .tags_references = true, .gc_stats_in_rings = true, .state_frame = 72,              \
    .state_interp = 16, .frame_previous = 8, .frame_code = 0, .frame_ip = 56,           \
    .frame_owner = 74, .frame_locals = 40, .code_file = 112, .code_name = 128,          \
    .code_lines = 136, .code_first_line = 68, .code_first_traceable = 192,              \
    .code_flags = 48, .code_bytecode = 208, .interp_gc_stats = 7504,                    \
    .interp_gc_young = 7428, .published_state = 25, .published_frame = 40,              \
    .published_code = 48 }
/* clang-format on */

HG_ALWAYS_INLINE void *word_at(const void *base, size_t offset)
{
    return *(void *const *)((const char *)base + offset);
}

/* The hot paths are compiled for each of them: X(name). */
#define EACH_LAYOUT(X) X(309) X(310) X(311) X(312) X(313) X(314) X(315)

/* The row of a minor version, or NULL. */
const struct py_layout *layout_find(int minor);

#endif
