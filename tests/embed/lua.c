/* SPDX-License-Identifier: MIT */
/*
 * lua.c - Lua on heaps of ours, by lua_newstate(): one state a heap.
 *
 * Lua tells the size of each block that it gives back: that must be what the heap
 * has written down.  A state with a limit runs out of memory and says so, and goes
 * on.
 */
#include "embed.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

struct state {
    hg_heap *heap;
    size_t live, wrong;
};

static void *resize(void *arg, void *block, size_t old_bytes, size_t bytes)
{
    struct state *state = arg;
    if (block != NULL && old_bytes != 0) {
        state->wrong += hg_requested_size(block) != old_bytes;
        state->live -= old_bytes;
    }
    if (bytes == 0) {
        hg_heap_free(state->heap, block);
        return NULL;
    }
    void *moved = hg_heap_realloc(state->heap, block, bytes);
    if (moved != NULL)
        state->live += bytes;
    else if (block != NULL)
        state->live += old_bytes;
    return moved;
}

static const char program[] =
    "local t = {}\n"
    "for i = 1, 20000 do t[i] = {n = i, s = ('x'):rep(i % 300)} end\n"
    "for i = 1, 20000, 3 do t[i] = nil end\n"
    "collectgarbage()\n"
    "local sum = 0\n"
    "for i = 1, 20000 do if t[i] then sum = sum + t[i].n + #t[i].s end end\n"
    "return sum, string.rep('big', 300000)\n";

#define SUM 135326800

static const char greedy[] = "local t = {}\n"
                             "for i = 1, 1e9 do t[i] = {i} end\n";

static int run(lua_State *lua, const char *text)
{
    int status = luaL_loadstring(lua, text);
    return status != LUA_OK ? status : lua_pcall(lua, 0, LUA_MULTRET, 0);
}

static void add_requested(void *block, size_t usable, size_t requested,
                          uint32_t tag, void *arg)
{
    (void)block, (void)usable, (void)tag;
    *(size_t *)arg += requested;
}

int main(void)
{
    struct state state = {.heap = hg_heap_open(HG_TAGS)};
    lua_State *lua = lua_newstate(resize, &state);
    must(lua != NULL, "a state");
    luaL_openlibs(lua);
    must(run(lua, program) == LUA_OK, "the program runs");
    must(lua_tointeger(lua, -2) == SUM, "its result is right");
    must(luaL_len(lua, -1) == 900000, "a large block");
    must(state.wrong == 0, "requested sizes are what Lua says");

    size_t walked = 0;
    hg_heap_walk(state.heap, add_requested, &walked);
    must(walked == state.live, "a walk finds the bytes that Lua holds");
    hg_heap_check();

    /* The same again, within what it holds and 4 MiB, and then too much. */
    hg_heap_statistics s;
    hg_get_heap_statistics(state.heap, &s);
    hg_heap_limit(state.heap, s.held + ((size_t)4 << 20));
    must(run(lua, greedy) == LUA_ERRMEM, "the limit is an error of Lua's");
    hg_get_heap_statistics(state.heap, &s);
    must(s.held_peak <= s.limit, "the limit was kept");
    lua_settop(lua, 0);
    must(lua_gc(lua, LUA_GCCOLLECT) == 0, "it goes on");
    hg_heap_limit(state.heap, SIZE_MAX);
    must(run(lua, program) == LUA_OK, "and runs the program once more");
    must(lua_tointeger(lua, -2) == SUM, "to the same end");

    lua_close(lua);
    must(state.live == 0, "lua_close() gives everything back");
    hg_heap_close(state.heap);

    /* And a state that is never closed, but its heap is. */
    struct state dropped = {.heap = hg_heap_open(HG_TAGS)};
    lua = lua_newstate(resize, &dropped);
    luaL_openlibs(lua);
    must(run(lua, program) == LUA_OK, "another one runs");
    hg_heap_close(dropped.heap);
    hg_census c;
    hg_take_census(&c);
    must(c.live == 0, "nothing is left of it");
    hg_heap_check();
    return 0;
}
