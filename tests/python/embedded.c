/* SPDX-License-Identifier: MIT */
/* embedded.c - a C program with CPython inside: what embedders do, in small. */
#include <Python.h>

#include <stdio.h>
#include <string.h>

static void fail(const char *what)
{
    fprintf(stderr, "embedded: %s\n", what);
    exit(1);
}

/* An allocator that the program chooses, not its environment. */
static void choose(int allocator)
{
    PyPreConfig config;

    PyPreConfig_InitPythonConfig(&config);
    config.allocator = allocator;
    if (PyStatus_Exception(Py_PreInitialize(&config)))
        fail("cannot choose");
}

/* The debug hooks around what is there: what is under them stays the allocator. */
static void check_blocks(void)
{
    PyPreConfig config;

    PyPreConfig_InitPythonConfig(&config);
    if (PyStatus_Exception(Py_PreInitialize(&config)))
        fail("cannot begin");
    PyMem_SetupDebugHooks();
}

static void start(int isolated)
{
    PyConfig config;

    if (isolated)
        PyConfig_InitIsolatedConfig(&config);
    else
        PyConfig_InitPythonConfig(&config);
    PyStatus status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        fail("cannot start");
}

static void run(const char *path)
{
    FILE *file = fopen(path, "r");

    if (file == NULL || PyRun_SimpleFileEx(file, path, 1) != 0)
        fail("cannot run");
}

/* A second interpreter with the first one's lock, and then the first again. */
static void run_in_another(const char *path)
{
    PyThreadState *first = PyThreadState_Get();
    PyThreadState *second = Py_NewInterpreter();

    if (second == NULL)
        fail("no interpreter");
    run(path);
    Py_EndInterpreter(second);
    PyThreadState_Swap(first);
}

#if PY_VERSION_HEX >= 0x030c0000
/* The same with a lock of its own. */
static void run_apart(const char *path)
{
    PyThreadState *first = PyThreadState_Get();
    PyThreadState *second = NULL;
    PyInterpreterConfig config = {
        .allow_threads = 1,
        .check_multi_interp_extensions = 1,
        .gil = PyInterpreterConfig_OWN_GIL,
    };

    if (PyStatus_Exception(Py_NewInterpreterFromConfig(&second, &config)))
        fail("no interpreter");
    run(path);
    Py_EndInterpreter(second);
    PyThreadState_Swap(first);
}
#endif

/* What lives on after the interpreter keeps its contents as it grows. */
static void grow_after_the_end(void)
{
    enum { BLOCKS = 5000, LARGEST = 300, GROWN = 700 };
    char whole[LARGEST];

    for (int i = 0; i < BLOCKS; i++) {
        size_t bytes = 1 + (size_t)i % LARGEST;
        memset(whole, i, bytes);
        char *block = malloc(bytes);
        if (block != NULL)
            memcpy(block, whole, bytes);
        block = block != NULL ? realloc(block, GROWN) : NULL;
        if (block == NULL || memcmp(block, whole, bytes) != 0)
            fail("a block has changed");
        block = realloc(block, bytes); /* not freed: each is another one */
    }
}

/* embedded WAY FILE: plain, isolated, another, apart, twice, malloc, debug, hooks.
 */
int main(int count, char **arguments)
{
    if (count != 3)
        fail("WAY FILE");
    const char *way = arguments[1];
    if (strcmp(way, "malloc") == 0)
        choose(PYMEM_ALLOCATOR_MALLOC);
    if (strcmp(way, "debug") == 0)
        choose(PYMEM_ALLOCATOR_DEBUG);
    if (strcmp(way, "hooks") == 0)
        check_blocks();
    start(strcmp(way, "isolated") == 0);
    if (strcmp(way, "another") == 0)
        run_in_another(arguments[2]);
#if PY_VERSION_HEX >= 0x030c0000
    if (strcmp(way, "apart") == 0)
        run_apart(arguments[2]);
#endif
    if (strcmp(way, "twice") == 0) {
        run(arguments[2]);
        if (Py_FinalizeEx() != 0)
            fail("cannot end");
        start(0);
    }
    run(arguments[2]);
    if (Py_FinalizeEx() < 0)
        return 1;
    grow_after_the_end();
    return 0;
}
