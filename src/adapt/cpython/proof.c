/* SPDX-License-Identifier: MIT */
/*
 * proof.c - is the layout that we believe in the one that this interpreter has?
 *
 * A vendor may patch a structure, a debug build may lay it out otherwise.  First
 * comes a glance, by reads that return EFAULT instead of faulting; it decides
 * whether frames are looked at at all.  The proof comes when the interpreter can
 * run code: known lines, seen from the inside.
 */
#include "adapt/cpython/proof.h"

#include "adapt/cpython/codes.h"
#include "adapt/cpython/frames.h"
#include "adapt/cpython/python.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* ------------------------------------------------------------------------ glance
 */

static bool peek(const void *address, void *out, size_t bytes)
{
    struct iovec to = {out, bytes};
    struct iovec from = {(void *)(uintptr_t)address, bytes};

    return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)bytes;
}

static bool peek_word(const void *base, size_t offset, void **out)
{
    return base != NULL && peek((const char *)base + offset, out, sizeof *out);
}

/* _Py_DebugOffsets, at the beginning of _PyRuntime since 3.13: groups of 64-bit
   words after a cookie and a version. */
static bool published_offsets_agree(const struct py_layout *l)
{
    if (l->published_state == 0)
        return true; /* nothing is published */
    const struct {
        int word;
        uint16_t value;
    } wanted[] = {
        {l->published_state, l->state_interp},
        {l->published_state + 1, l->state_frame},
        {l->published_frame, l->frame_previous},
        {l->published_frame + 1, l->frame_code},
        {l->published_frame + 2, l->frame_ip},
        {l->published_frame + 4, l->frame_owner},
        {l->published_code, l->code_file},
        {l->published_code + 2, l->code_name},
        {l->published_code + 3, l->code_lines},
        {l->published_code + 4, l->code_first_line},
        {l->published_code + 8, l->code_bytecode},
    };
    uint64_t words[64];

    if (python.runtime == NULL || !peek(python.runtime, words, sizeof words) ||
        memcmp(words, "xdebugpy", 8) != 0 || words[2] != 0 /* free-threaded */)
        return false;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (words[wanted[i].word] != wanted[i].value)
            return false;
    return true;
}

static bool frame_looks_right(const struct py_layout *l, const void *frame)
{
    const void *code_type = dlsym(RTLD_DEFAULT, "PyCode_Type");
    const void *text_type = dlsym(RTLD_DEFAULT, "PyUnicode_Type");
    const void *bytes_type = dlsym(RTLD_DEFAULT, "PyBytes_Type");
    void *code, *type, *text, *units, *ip;
    uint8_t owner;

    if (!peek((const char *)frame + l->frame_owner, &owner, 1) ||
        (owner > 2 && !(l->owner_shim != 0 && owner >= l->owner_shim)))
        return false;
    if (l->owner_shim != 0 && owner >= l->owner_shim)
        return true;
    if (!peek_word(frame, l->frame_code, &code))
        return false;
    if (l->tags_references)
        code = (void *)((uintptr_t)code & ~(uintptr_t)3);
    if (!peek_word(code, 8, &type) || type != code_type)
        return false;
    if (!peek_word(code, l->code_file, &text) || !peek_word(text, 8, &type) ||
        type != text_type || !peek_word(code, l->code_name, &text) ||
        !peek_word(text, 8, &type) || type != text_type ||
        !peek_word(code, l->code_lines, &text) || !peek_word(text, 8, &type) ||
        type != bytes_type)
        return false;
    if (!peek_word(code, 16, &units) || !peek_word(frame, l->frame_ip, &ip))
        return false;
    uintptr_t begin = (uintptr_t)code + l->code_bytecode;
    return (uintptr_t)ip + 2 >= begin && (uintptr_t)ip < begin + (size_t)units * 2;
}

enum glance proof_glance(const struct py_layout *l, void *state)
{
    static void *looked_at; /* a state that could be read, and had no frame */
    void *interp, *frame;

    if (state == looked_at && current_frame(l, state) == NULL)
        return GLANCE_LATER;
    if (!published_offsets_agree(l))
        return GLANCE_WRONG;
    if (!peek_word(state, l->state_interp, &interp) ||
        interp != python.main_interp())
        return GLANCE_WRONG;
    if (!peek_word(state, l->state_frame, &frame))
        return GLANCE_WRONG;
    if (l->has_cframe && !peek_word(frame, l->cframe_frame, &frame))
        return GLANCE_WRONG;
    if (frame == NULL) {
        looked_at = state;
        return GLANCE_LATER;
    }
    for (int i = 0; frame != NULL && i < 64; i++)
        if (!frame_looks_right(l, frame) ||
            !peek_word(frame, l->frame_previous, &frame))
            return GLANCE_WRONG;
    return GLANCE_OK;
}

/* ------------------------------------------------------------------------- proof
 */

static const char program[] = "def inner(probe):\n"
                              "    probe()\n"
                              "def middle(probe):\n"
                              "    inner(probe)\n"
                              "    inner(probe)\n"
                              "def stream(probe):\n"
                              "    middle(probe)\n"
                              "    yield\n"
                              "for _ in stream(probe): pass\n";

static const char file_name[] = "<heapglass>";

/* The stack that the probe sees the first time; the second, middle is at line 5. */
static const struct {
    const char *name;
    uint32_t line;
    bool generator;
} expected[] = {{"inner", 2, false},
                {"middle", 4, false},
                {"stream", 7, true},
                {"<module>", 9, false}};

static struct {
    const struct py_layout *layout;
    int calls;
    bool frames_right;
    bool marks_right;
    bool count_right;
} probed;

static bool text_is(void *text, const char *wanted)
{
    long length = python.text_length(text);

    if (length != (long)strlen(wanted))
        return false;
    for (long i = 0; i < length; i++)
        if (python.text_char(text, i) != (unsigned char)wanted[i])
            return false;
    return true;
}

static bool stack_is_expected(const struct py_layout *l, void *frame, bool second)
{
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        while (frame != NULL && frame_is_shim(l, frame))
            frame = frame_previous(l, frame);
        if (frame == NULL)
            return false;
        char *code = frame_code(l, frame);
        uint32_t line = expected[i].line + (second && i == 1);
        bool generator = frame_owner(l, frame) == l->owner_generator;
        if (!text_is(word_at(code, l->code_name), expected[i].name) ||
            !text_is(word_at(code, l->code_file), file_name) ||
            codes_line(l, code, frame_ip(l, frame)) != line ||
            (!generator && codes_before_start(l, code, frame_ip(l, frame))) ||
            generator != expected[i].generator)
            return false;
        frame = frame_previous(l, frame);
    }
    return true;
}

static void *look(void *self, void *arg)
{
    const struct py_layout *l = probed.layout;
    void *state = python.current_state();

    (void)arg;
    if (current_state(l) != state)
        return NULL;
    void *inner = current_frame(l, state);
    bool second = probed.calls == 1;
    bool right = stack_is_expected(l, inner, second);
    probed.frames_right = right && (!second || probed.frames_right);
    probed.calls++;
    if (!right)
        goto done;
    void *middle = frame_previous(l, inner);
    if (second) {
        /* inner was pushed anew, middle is the same activation. */
        probed.marks_right =
            !frame_is_marked(l, inner) && frame_is_marked(l, middle);
    } else {
        frames_mark(l, inner);
        frames_mark(l, middle);
    }
done:
    (void)self;
    return python.new_reference(python.none);
}

struct method {
    const char *name;
    void *(*call)(void *, void *);
    int flags;
    const char *doc;
};

int *proof_young_guess(const struct py_layout *l)
{
    void *interp = word_at(python.current_state(), l->state_interp);

    return interp != NULL ? (int *)((char *)interp + l->interp_gc_young) : NULL;
}

bool proof_found_collector(void)
{
    return probed.count_right;
}

enum proof proof_run(const struct py_layout *l)
{
    enum { NO_ARGUMENTS = 0x0004, FILE_INPUT = 257 };
    static struct method method = {"probe", look, NO_ARGUMENTS, NULL};
    void *(*compile)(const char *, const char *, int, void *, int);
    void *(*evaluate)(void *, void *, void *);
    void *(*function)(struct method *, void *, void *);
    void *(*new_dict)(void);
    int (*set_item)(void *, const char *, void *);
    void (*clear)(void *);
    void (*release)(void *);
    void (*clear_error)(void);

    *(void **)&compile = dlsym(RTLD_DEFAULT, "Py_CompileStringExFlags");
    *(void **)&evaluate = dlsym(RTLD_DEFAULT, "PyEval_EvalCode");
    *(void **)&function = dlsym(RTLD_DEFAULT, "PyCFunction_NewEx");
    *(void **)&new_dict = dlsym(RTLD_DEFAULT, "PyDict_New");
    *(void **)&set_item = dlsym(RTLD_DEFAULT, "PyDict_SetItemString");
    *(void **)&clear = dlsym(RTLD_DEFAULT, "PyDict_Clear");
    *(void **)&release = dlsym(RTLD_DEFAULT, "Py_DecRef");
    *(void **)&clear_error = dlsym(RTLD_DEFAULT, "PyErr_Clear");
    if (!compile || !evaluate || !function || !new_dict || !set_item || !clear ||
        !release || !clear_error || !python.new_reference)
        return PROOF_NONE;
    probed.layout = l;
    probed.calls = 0;
    probed.frames_right = probed.marks_right = false;
    void *code = compile(program, file_name, FILE_INPUT, NULL, 0);
    void *globals = new_dict();
    int *young = proof_young_guess(l);
    int before = young != NULL ? *young : 0;
    void *probe = function(&method, NULL, NULL); /* the collector's to count */
    probed.count_right = young != NULL && *young == before + 1;
    void *result = NULL;
    if (code != NULL && globals != NULL && probe != NULL &&
        set_item(globals, "probe", probe) == 0)
        result = evaluate(code, globals, globals);
    if (result == NULL)
        clear_error();
    /* The functions refer to it and it to them: leave the collector no cycle. */
    if (globals != NULL)
        clear(globals);
    release(result);
    release(probe);
    release(globals);
    release(code);
    codes_forget_lines();
    if (result == NULL || probed.calls != 2)
        return PROOF_NONE;
    if (!probed.frames_right)
        return PROOF_WRONG;
    return probed.marks_right ? PROOF_OK : PROOF_MARKS;
}
