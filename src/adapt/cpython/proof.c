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

#include "adapt/cpython/asked.h"
#include "adapt/cpython/codes.h"
#include "adapt/cpython/frames.h"
#include "adapt/cpython/python.h"
#include "base/process.h"

#include <dlfcn.h>
#include <string.h>

/* ------------------------------------------------------------------------ glance
 */

static bool peek_word(const void *base, size_t offset, void **out)
{
    return base != NULL &&
           process_peek((const char *)base + offset, out, sizeof *out);
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

    if (python.runtime == NULL ||
        !process_peek(python.runtime, words, sizeof words) ||
        memcmp(words, "xdebugpy", 8) != 0 || words[2] != 0 /* free-threaded */)
        return false;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (words[wanted[i].word] != wanted[i].value)
            return false;
    return true;
}

static bool is_of_type(const void *object, const void *wanted)
{
    void *type;

    return peek_word(object, 8, &type) && type == wanted;
}

/* Where a frame says that it is: an instruction of its code, or just before. */
static bool instruction_looks_right(const struct py_layout *l, const void *frame,
                                    const void *code)
{
    void *bytes, *size, *ip;
    int lasti;

    if (!l->frame_objects) {
        if (!peek_word(code, 16, &size) || !peek_word(frame, l->frame_ip, &ip))
            return false;
        return (uintptr_t)ip + 2 - codes_begin(l, code) < (size_t)size * 2 + 2;
    }
    if (!peek_word(code, l->code_bytecode, &bytes) ||
        !is_of_type(bytes, python.bytes_type) || !peek_word(bytes, 16, &size) ||
        !process_peek((const char *)frame + l->frame_lasti, &lasti, sizeof lasti))
        return false;
    return lasti >= -1 && lasti < (intptr_t)size >> l->lasti_shift;
}

/* One owner of the frame's, or what it is where it is an object. */
static bool kind_looks_right(const struct py_layout *l, const void *frame,
                             bool *shim)
{
    uint8_t owner;

    *shim = false;
    if (l->frame_objects)
        return is_of_type(frame, python.frame_type);
    if (!process_peek((const char *)frame + l->frame_owner, &owner, 1))
        return false;
    *shim = l->owner_shim != 0 && owner >= l->owner_shim;
    return *shim || owner <= 2;
}

static bool frame_looks_right(const struct py_layout *l, const void *frame,
                              bool *shim)
{
    void *code, *text;

    if (!kind_looks_right(l, frame, shim))
        return false;
    if (*shim)
        return true;
    if (!peek_word(frame, l->frame_code, &code))
        return false;
    if (l->tags_references)
        code = (void *)((uintptr_t)code & ~(uintptr_t)3);
    return is_of_type(code, python.code_type) &&
           peek_word(code, l->code_file, &text) &&
           is_of_type(text, python.text_type) &&
           peek_word(code, l->code_name, &text) &&
           is_of_type(text, python.text_type) &&
           (l->frame_objects || (peek_word(code, l->code_lines, &text) &&
                                 is_of_type(text, python.bytes_type))) &&
           instruction_looks_right(l, frame, code);
}

/* A state that could be read and had no frame, and the place where it had none. */
static struct {
    void *state, *holder;
} looked_at;

static bool still_without_frame(const struct py_layout *l, void *state)
{
    return state == looked_at.state &&
           (!l->has_cframe || word_at(state, l->state_frame) == looked_at.holder) &&
           current_frame(l, state) == NULL;
}

enum glance proof_glance(const struct py_layout *l, void *state)
{
    void *interp, *frame, *holder;
    int frames = 0;

    if (still_without_frame(l, state))
        return GLANCE_LATER;
    if (!published_offsets_agree(l))
        return GLANCE_WRONG;
    if (current_state(l) != state || !peek_word(state, l->state_interp, &interp) ||
        interp != python.main_interp())
        return GLANCE_WRONG;
    if (!peek_word(state, l->state_frame, &holder))
        return GLANCE_WRONG;
    frame = holder;
    if (l->has_cframe && !peek_word(holder, l->cframe_frame, &frame))
        return GLANCE_WRONG;
    if (frame == NULL) {
        looked_at.state = state;
        looked_at.holder = holder;
        return GLANCE_LATER;
    }
    for (int i = 0; frame != NULL && i < 64; i++) {
        bool shim;
        if (!frame_looks_right(l, frame, &shim) ||
            !peek_word(frame, l->frame_previous, &frame))
            return GLANCE_WRONG;
        frames += !shim;
    }
    /* A single frame does not tell where its caller is named. */
    return frames > 1 ? GLANCE_OK : GLANCE_LATER;
}

/* ------------------------------------------------------------------------- proof
 */

static const char program[] = "def outer():\n"
                              "    def inner(probe):\n"
                              "        probe()\n"
                              "    return inner\n"
                              "inner = outer()\n"
                              "def middle(probe):\n"
                              "    inner(probe)\n"
                              "    inner(probe)\n"
                              "def stream(probe):\n"
                              "    middle(probe)\n"
                              "    yield\n"
                              "for _ in stream(probe): pass\n";

static const char file_name[] = "<heapglass>";

/* The stack that the probe sees the first time; the second, middle is at line 8. */
static const struct expected {
    const char *name, *qualified_name;
    uint32_t line, first_line;
    bool generator, optimized;
} expected[] = {{"inner", "outer.<locals>.inner", 3, 2, false, true},
                {"middle", "middle", 7, 6, false, true},
                {"stream", "stream", 10, 9, true, true},
                {"<module>", "<module>", 12, 1, false, false}};
enum { EXPECTED = sizeof expected / sizeof *expected };

/* Whose local variables are a dict of ours. */
static const char locals_program[] = "probe()\n";

static struct {
    const struct py_layout *layout; /* NULL: the public functions are tried */
    void *locals;
    int calls;
    bool frames_right;
    bool locals_right;
    bool marks_right;
    bool count_right;
} probed;

struct method {
    const char *name;
    void *(*call)(void *, void *);
    int flags;
    const char *doc;
};

/* What the proof calls; it may make objects and run code. */
static struct {
    void *(*compile)(const char *, const char *, int, void *, int);
    void *(*evaluate)(void *, void *, void *);
    void *(*function)(struct method *, void *, void *);
    void *(*new_dict)(void);
    void *(*new_set)(void *);
    int (*set_item)(void *, const char *, void *);
    void (*clear)(void *);
    const char *(*bytes)(void *);
    long (*bytes_size)(void *);
} call;

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

/* Instructions change as they run, and have memory between them, but their
   arguments stay those of co_code, which is a copy. */
static bool bytecode_is_there(const struct py_layout *l, void *code)
{
    const char *at = (const char *)code + l->code_bytecode;
    void *copy = python.get_attribute(code, "co_code");

    if (l->frame_objects) {
        python.release(copy);
        return copy != NULL && word_at(code, l->code_bytecode) == copy;
    }
    const char *bytes = copy != NULL ? call.bytes(copy) : NULL;
    bool right = bytes != NULL &&
                 call.bytes_size(copy) == (long)(size_t)word_at(code, 16) * 2;

    for (long i = 0; right && i < call.bytes_size(copy); i += 2)
        right = bytes[i] == 0 || bytes[i + 1] == at[i + 1];
    python.release(copy);
    return right;
}

static bool code_is(const struct py_layout *l, char *code, const struct expected *e)
{
    enum { OPTIMIZED = 0x01, GENERATOR = 0x20 };
    int flags = *(const int *)(code + l->code_flags);
    int before = *(const int *)(code + l->code_first_traceable);
    const char *name = l->frame_objects ? e->name : e->qualified_name;

    /* A generator is made before its first traceable instruction. */
    return text_is(word_at(code, l->code_name), name) &&
           text_is(word_at(code, l->code_file), file_name) &&
           *(const uint32_t *)(code + l->code_first_line) == e->first_line &&
           (flags & (OPTIMIZED | GENERATOR)) ==
               (e->optimized ? OPTIMIZED : 0) + (e->generator ? GENERATOR : 0) &&
           (l->frame_objects ||
            (e->generator ? before > 0 && before < 8 : before == 0)) &&
           bytecode_is_there(l, code);
}

static bool stack_is_expected(const struct py_layout *l, void *frame, bool second)
{
    for (int i = 0; i < EXPECTED; i++) {
        while (frame != NULL && frame_is_shim(l, frame))
            frame = frame_previous(l, frame);
        if (frame == NULL)
            return false;
        char *code = frame_code(l, frame);
        uint32_t line = expected[i].line + (second && i == 1);
        bool generator = frame_is_generator(l, frame);
        if (!code_is(l, code, &expected[i]) ||
            codes_line(l, code, frame_ip(l, frame)) != line ||
            (!generator && codes_before_start(l, code, frame_ip(l, frame))) ||
            generator != expected[i].generator)
            return false;
        frame = frame_previous(l, frame);
    }
    return true;
}

static void look_at_marks(const struct py_layout *l, void *inner, bool second)
{
    void *middle = frame_previous(l, inner);

    if (l->mark == MARK_LOCALS && !probed.locals_right)
        return;
    bool lasts = frame_marks_last(l);
    if (second) {
        /* inner was pushed anew, middle is the same activation. */
        probed.marks_right = probed.marks_right && !frame_is_marked(l, inner) &&
                             frame_is_marked(l, middle) == lasts;
    } else {
        frames_mark(l, inner);
        frames_mark(l, middle);
        probed.marks_right =
            frame_is_marked(l, inner) && frame_is_marked(l, middle) == lasts;
    }
}

static bool look_at_frames(const struct py_layout *l)
{
    void *state = python.current_state();

    if (current_state(l) != state)
        return false;
    void *frame = current_frame(l, state);
    if (probed.locals != NULL) {
        probed.locals_right = word_at(frame, l->frame_locals) == probed.locals;
        return true;
    }
    bool second = probed.calls == 1;
    if (!stack_is_expected(l, frame, second))
        return false;
    look_at_marks(l, frame, second);
    return true;
}

static bool attribute_is(void *object, const char *attribute, const char *wanted)
{
    void *text = python.get_attribute(object, attribute);
    bool right = text != NULL && text_is(text, wanted);

    if (text != NULL)
        python.release(text);
    else
        python.clear_error();
    return right;
}

static bool is_expected_line(void *code, int line, void *arg)
{
    int *i = arg;
    bool second = probed.calls == 1;

    if (*i == EXPECTED || !attribute_is(code, "co_name", expected[*i].name) ||
        !attribute_is(code, "co_filename", file_name) ||
        line != (int)expected[*i].line + (second && *i == 1))
        return false;
    (*i)++;
    return true;
}

static void *look(void *self, void *arg)
{
    int asked = 0;

    (void)self;
    (void)arg;
    bool right;
    if (probed.layout != NULL) {
        right = look_at_frames(probed.layout);
    } else {
        asked_walk(is_expected_line, &asked);
        right = asked == EXPECTED;
    }
    if (probed.locals == NULL) {
        probed.frames_right = right && (probed.calls == 0 || probed.frames_right);
        probed.calls++;
    }
    python.keep(python.none);
    return python.none;
}

int *proof_young_guess(const struct py_layout *l)
{
    void *interp = word_at(python.current_state(), l->state_interp);

    return interp != NULL ? (int *)((char *)interp + l->interp_gc_young) : NULL;
}

bool proof_found_collector(void)
{
    return probed.count_right;
}

static bool find_calls(void)
{
    *(void **)&call.compile = dlsym(RTLD_DEFAULT, "Py_CompileStringExFlags");
    *(void **)&call.evaluate = dlsym(RTLD_DEFAULT, "PyEval_EvalCode");
    *(void **)&call.function = dlsym(RTLD_DEFAULT, "PyCFunction_NewEx");
    *(void **)&call.new_dict = dlsym(RTLD_DEFAULT, "PyDict_New");
    *(void **)&call.new_set = dlsym(RTLD_DEFAULT, "PySet_New");
    *(void **)&call.set_item = dlsym(RTLD_DEFAULT, "PyDict_SetItemString");
    *(void **)&call.clear = dlsym(RTLD_DEFAULT, "PyDict_Clear");
    *(void **)&call.bytes = dlsym(RTLD_DEFAULT, "PyBytes_AsString");
    *(void **)&call.bytes_size = dlsym(RTLD_DEFAULT, "PyBytes_Size");
    return call.compile && call.evaluate && call.function && call.new_dict &&
           call.new_set && call.set_item && call.clear && call.bytes &&
           call.bytes_size && python.release && python.clear_error && python.keep;
}

/* Run a program that calls `probe`; the dict of its names, to be kept or released,
   is its globals, or if these are given its locals. */
static bool run(const char *text, void *probe, void *globals, void *names)
{
    enum { FILE_INPUT = 257 };
    void *code = call.compile(text, file_name, FILE_INPUT, NULL, 0);
    void *result = NULL;

    if (code != NULL && call.set_item(names, "probe", probe) == 0)
        result = call.evaluate(code, globals, names);
    bool ran = result != NULL;
    if (!ran)
        python.clear_error();
    python.release(result);
    python.release(code);
    /* Functions refer to it and it to them: leave the collector no cycle. */
    call.clear(names);
    call.clear(globals);
    return ran;
}

/* Whether it counts the collector's objects as they come and go.  Sets are in no
   free list. */
static bool counts_young(const int *young)
{
    if (young == NULL)
        return false;
    int before = *young;
    void *set = call.new_set(NULL);
    bool right = set != NULL && *young == before + 1;
    python.release(set);
    return right && *young == before;
}

enum proof proof_run(const struct py_layout *l)
{
    enum { NO_ARGUMENTS = 0x0004 };
    static struct method method = {"probe", look, NO_ARGUMENTS, NULL};
    bool ran = false;

    if (!find_calls())
        return PROOF_NONE;
    memset(&probed, 0, sizeof probed);
    probed.layout = l;
    void *globals = call.new_dict();
    void *locals = call.new_dict();
    void *probe = call.function(&method, NULL, NULL);
    probed.count_right = l != NULL && counts_young(proof_young_guess(l));
    if (globals != NULL && locals != NULL && probe != NULL) {
        probed.locals = locals;
        ran = l == NULL || run(locals_program, probe, globals, locals);
        probed.locals = NULL;
        ran = ran && run(program, probe, globals, globals);
    }
    python.clear_error();
    python.release(probe);
    python.release(globals);
    python.release(locals);
    codes_forget_lines();
    if (!ran || probed.calls != 2)
        return PROOF_NONE;
    if (!probed.frames_right)
        return PROOF_WRONG;
    return probed.marks_right ? PROOF_OK : PROOF_MARKS;
}
