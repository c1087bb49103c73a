/* SPDX-License-Identifier: MIT */
/* python.c - the interpreter in this process, found by its exported symbols. */
#include "adapt/cpython/python.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

struct python python;

#define ROW(name) LAYOUT_##name,
static const struct py_layout rows[] = {EACH_LAYOUT(ROW)};

const struct py_layout *layout_find(int minor)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].minor == minor)
            return &rows[i];
    return NULL;
}

/* The first of the names that is exported; an object's address or a function's. */
static void *find(const char *name, const char *otherwise)
{
    void *at = dlsym(RTLD_DEFAULT, name);
    return at != NULL || otherwise == NULL ? at : dlsym(RTLD_DEFAULT, otherwise);
}

#define FIND(field, name, otherwise)                                               \
    (*(void **)&python.field = find(name, otherwise))

static const char *find_unwatched(void)
{
    if (find("pypy_execute_source", "PyPy_IsInitialized") != NULL)
        return "PyPy";
    if (find("_Py_MergeZeroLocalRefcount", NULL) != NULL)
        return "a free-threaded CPython";
    if (find("PyString_FromString", NULL) != NULL && find("Py_Main", NULL) != NULL)
        return "Python 2";
    return NULL;
}

bool python_find(const char **unwatched)
{
    *unwatched = find_unwatched();
    FIND(set_allocator, "PyMem_SetAllocator", NULL);
    if (*unwatched != NULL || python.set_allocator == NULL)
        return false;
    FIND(get_version, "Py_GetVersion", NULL);
    FIND(is_initialized, "Py_IsInitialized", NULL);
    FIND(is_finalizing, "Py_IsFinalizing", "_Py_IsFinalizing");
    FIND(add_pending_call, "Py_AddPendingCall", NULL);
    FIND(current_state, "PyThreadState_GetUnchecked",
         "_PyThreadState_UncheckedGet");
    FIND(this_threads_state, "PyGILState_GetThisThreadState", NULL);
    FIND(main_interp, "PyInterpreterState_Main", NULL);
    FIND(get_allocator, "PyMem_GetAllocator", NULL);
    FIND(get_arenas, "PyObject_GetArenaAllocator", NULL);
    FIND(set_arenas, "PyObject_SetArenaAllocator", NULL);
    FIND(code_line, "PyCode_Addr2Line", NULL);
    FIND(text_length, "PyUnicode_GetLength", NULL);
    FIND(text_char, "PyUnicode_ReadChar", NULL);
    FIND(runtime, "_PyRuntime", NULL);
    FIND(frame_type, "PyFrame_Type", NULL);
    FIND(code_type, "PyCode_Type", NULL);
    FIND(text_type, "PyUnicode_Type", NULL);
    FIND(bytes_type, "PyBytes_Type", NULL);
    FIND(none, "_Py_NoneStruct", NULL);
    python.debug_build = find("_Py_RefTotal", "_Py_NegativeRefcount") != NULL;
    FIND(keep, "Py_IncRef", NULL);
    FIND(release, "Py_DecRef", NULL);
    FIND(get_attribute, "PyObject_GetAttrString", NULL);
    FIND(int_value, "PyLong_AsLong", NULL);
    FIND(clear_error, "PyErr_Clear", NULL);
    FIND(interp_of, "PyThreadState_GetInterpreter", NULL);
    FIND(state_id, "PyThreadState_GetID", NULL);
    FIND(gc_disable, "PyGC_Disable", NULL);
    FIND(gc_enable, "PyGC_Enable", NULL);

    const char *version = python.get_version != NULL ? python.get_version() : "";
    if (strncmp(version, "3.", 2) != 0)
        return true;
    const struct py_layout *layout =
        layout_find((int)strtol(version + 2, NULL, 10));
    if (layout == NULL || python.current_state == NULL ||
        python.code_line == NULL || python.text_length == NULL ||
        python.text_char == NULL || python.this_threads_state == NULL ||
        python.main_interp == NULL || python.state_id == NULL ||
        python.is_finalizing == NULL)
        return true;
    if (layout->state_in_runtime) {
        if (python.runtime == NULL)
            return true;
        python.state = (void **)(python.runtime + layout->runtime_state);
    }
    python.layout = layout;
    return true;
}
