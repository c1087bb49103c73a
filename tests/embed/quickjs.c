/* SPDX-License-Identifier: MIT */
/*
 * quickjs.c - QuickJS on heaps of ours, by JS_NewRuntime2(): one runtime a heap.
 *
 * QuickJS adds up what it holds by what the heap says of its blocks: that must be
 * what a walk finds.  Counts and the collector of cycles stay its own; what they
 * free comes back to the heap.  A heap with a limit is a runtime that runs out of
 * memory, says so and goes on.
 *
 * Its objects can own objects of a world, and these its values.  A cycle through
 * both is for QuickJS to find, and it does where ours are owned by one of its own
 * only.
 */
#include "embed.h"

#include <heapglass/object.h>
#include <pthread.h>
#include <quickjs/quickjs.h>

/* ---- its memory ---- */

static void *took(JSMallocState *state, void *block)
{
    if (block != NULL) {
        state->malloc_count++;
        state->malloc_size += hg_usable_size(block);
    }
    return block;
}

static void *take(JSMallocState *state, size_t bytes)
{
    return took(state, hg_heap_alloc(state->opaque, bytes));
}

static void give(JSMallocState *state, void *block)
{
    if (block == NULL)
        return;
    state->malloc_count--;
    state->malloc_size -= hg_usable_size(block);
    hg_heap_free(state->opaque, block);
}

static void *resize(JSMallocState *state, void *block, size_t bytes)
{
    if (block == NULL)
        return bytes == 0 ? NULL : take(state, bytes);
    if (bytes == 0) {
        give(state, block);
        return NULL;
    }
    size_t before = hg_usable_size(block);
    void *moved = hg_heap_realloc(state->opaque, block, bytes);
    if (moved != NULL)
        state->malloc_size += hg_usable_size(moved) - before;
    return moved;
}

static const JSMallocFunctions functions = {take, give, resize, hg_usable_size};

struct sum {
    size_t blocks, bytes;
};

static void add_block(void *block, size_t usable, size_t requested, uint32_t tag,
                      void *arg)
{
    struct sum *sum = arg;
    (void)block, (void)requested, (void)tag;
    sum->blocks++;
    sum->bytes += usable;
}

static struct sum held_by(hg_heap *heap)
{
    struct sum sum = {0};
    hg_heap_walk(heap, add_block, &sum);
    return sum;
}

/* ---- what it runs ---- */

static const char program[] =
    "(function () {\n"
    "    const t = [];\n"
    "    for (let i = 0; i < 20000; i++) t[i] = {n: i, s: 'x'.repeat(i % 300)};\n"
    "    for (let i = 0; i < 20000; i += 3) t[i] = null;\n"
    "    let sum = 0;\n"
    "    for (const e of t) if (e) sum += e.n + e.s.length;\n"
    "    return sum;\n"
    "})()";

#define SUM 135319934

static const char cycles[] =
    "for (let i = 0; i < 10000; i++) { const a = {}; a.b = {a}; }";

static const char greedy[] = "{ const t = []; for (;;) t.push([t.length]); }";

static JSValue evaluate(JSContext *js, const char *text)
{
    return JS_Eval(js, text, strlen(text), "test.js", JS_EVAL_TYPE_GLOBAL);
}

static void must_run(JSContext *js, const char *text, int wanted)
{
    JSValue value = evaluate(js, text);
    int32_t number = -1;
    must(!JS_IsException(value) && JS_ToInt32(js, &number, value) == 0,
         "the program runs");
    must(number == wanted, "its result is right");
    JS_FreeValue(js, value);
}

static void keeps_its_accounts(hg_heap *heap, JSRuntime *runtime, JSContext *js)
{
    must_run(js, program, SUM);
    JSMemoryUsage use;
    JS_ComputeMemoryUsage(runtime, &use);
    struct sum held = held_by(heap);
    must((size_t)use.malloc_count == held.blocks, "a walk finds its blocks");
    must((size_t)use.malloc_size == held.bytes, "and their bytes");
    hg_heap_check();
}

static void frees_its_cycles(hg_heap *heap, JSRuntime *runtime, JSContext *js)
{
    JS_SetGCThreshold(runtime, SIZE_MAX);
    JS_RunGC(runtime);
    size_t before = held_by(heap).blocks;
    JS_FreeValue(js, evaluate(js, cycles));
    must(held_by(heap).blocks > before + 20000, "cycles stay");
    JS_RunGC(runtime);
    must(held_by(heap).blocks < before + 100, "until its collector comes");
}

static void keeps_within_a_limit(hg_heap *heap, JSRuntime *runtime, JSContext *js)
{
    hg_heap_statistics s;
    hg_get_heap_statistics(heap, &s);
    hg_heap_limit(heap, s.held_peak + ((size_t)4 << 20));
    must(JS_IsException(evaluate(js, greedy)), "the limit is an error of its own");
    /* null, where there is no memory for a better one. */
    JSValue error = JS_GetException(js);
    must(JS_IsNull(error) || JS_IsError(js, error), "which it throws");
    JS_FreeValue(js, error);
    hg_get_heap_statistics(heap, &s);
    must(s.held_peak <= s.limit, "the limit was kept");
    JS_RunGC(runtime);
    hg_heap_limit(heap, SIZE_MAX);
    must_run(js, program, SUM);
}

/* ---- its objects and ours ---- */

typedef struct {
    hg_object head;
    JSRuntime *runtime;
    JSValue value;
} Box;

/* Not when it is disposed of: what a value leads to may release other boxes. */
static void drop_value(hg_world *world, void *self)
{
    Box *box = self;
    (void)world;
    JSValue value = box->value;
    box->value = JS_UNDEFINED;
    JS_FreeValueRT(box->runtime, value);
}

static const hg_type Box_type = {
    .name = "Box", .size = sizeof(Box), .finalize = drop_value};

static JSClassID box_class;

static void release_box(JSRuntime *runtime, JSValue object)
{
    hg_release(JS_GetRuntimeOpaque(runtime), JS_GetOpaque(object, box_class));
}

static void mark_box(JSRuntime *runtime, JSValueConst object, JS_MarkFunc *mark)
{
    Box *box = JS_GetOpaque(object, box_class);
    if (box != NULL)
        JS_MarkValue(runtime, box->value, mark);
}

/* box(value): an object of QuickJS's that owns one of ours, which owns the value.
 */
static JSValue new_box(JSContext *js, JSValueConst this, int count,
                       JSValueConst *value)
{
    (void)this;
    JSValue object = JS_NewObjectClass(js, (int)box_class);
    if (JS_IsException(object) || count != 1)
        return object;
    JSRuntime *runtime = JS_GetRuntime(js);
    Box *box = hg_new(JS_GetRuntimeOpaque(runtime), &Box_type);
    must(box != NULL, "a box");
    box->runtime = runtime;
    box->value = JS_DupValue(js, value[0]);
    JS_SetOpaque(object, box);
    return object;
}

static size_t boxes(hg_world *world)
{
    hg_statistics s;
    hg_get_statistics(world, &s);
    return s.objects;
}

static void owns_ours(JSRuntime *runtime, JSContext *js)
{
    static const JSClassDef definition = {
        .class_name = "Box", .finalizer = release_box, .gc_mark = mark_box};
    hg_world *world = hg_world_new();
    JS_SetRuntimeOpaque(runtime, world);
    JS_NewClassID(&box_class);
    must(JS_NewClass(runtime, box_class, &definition) == 0, "a class");
    JSValue global = JS_GetGlobalObject(js);
    JS_SetPropertyStr(js, global, "box", JS_NewCFunction(js, new_box, "box", 1));
    JS_FreeValue(js, global);

    must_run(
        js,
        "var chain = null; for (let i = 0; i < 1000; i++) chain = box(chain); 1",
        1);
    must(boxes(world) == 1000, "a chain through both");
    must_run(js, "chain = null; 1", 1);
    must(boxes(world) == 0, "goes by its counts");
    must_run(js, "for (let i = 0; i < 1000; i++) { const o = {}; o.b = box(o); } 1",
             1);
    must(boxes(world) == 1000, "cycles through both");
    JS_RunGC(runtime);
    must(boxes(world) == 0, "go by its collector");
    hg_check(world);
    hg_world_free(world);
}

/* ---- runtimes ---- */

static void live_and_end(void)
{
    hg_heap *heap = hg_heap_open(HG_TAGS);
    JSRuntime *runtime = JS_NewRuntime2(&functions, heap);
    must(runtime != NULL, "a runtime");
    JSContext *js = JS_NewContext(runtime);
    must(js != NULL, "a context");
    keeps_its_accounts(heap, runtime, js);
    frees_its_cycles(heap, runtime, js);
    keeps_within_a_limit(heap, runtime, js);
    owns_ours(runtime, js);
    JS_FreeContext(js);
    JS_FreeRuntime(runtime);
    must(held_by(heap).blocks == 0, "JS_FreeRuntime() gives everything back");
    hg_heap_close(heap);
}

/* A runtime that nobody frees, in a thread of its own: its heap is closed. */
static void *be_dropped(void *arg)
{
    (void)arg;
    hg_heap *heap = hg_heap_open(0);
    JSRuntime *runtime = JS_NewRuntime2(&functions, heap);
    must_run(JS_NewContext(runtime), program, SUM);
    hg_heap_close(heap);
    return NULL;
}

int main(void)
{
    live_and_end();
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        must(pthread_create(&thread[i], NULL, be_dropped, NULL) == 0, "a thread");
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    hg_census c;
    hg_take_census(&c);
    must(c.live == 0, "nothing is left of them");
    hg_heap_check();
    return 0;
}
