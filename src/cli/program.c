/* SPDX-License-Identifier: MIT */
/* program.c - see program.h */
#include "cli/program.h"

#include "cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PYTHON "python3"
#define DEFAULT_PATH "/bin:/usr/bin" /* execvp()'s, if there is no PATH */

static int try_file(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return errno;
    if (!S_ISREG(st.st_mode) || eaccess(path, X_OK) != 0)
        return EACCES;
    return 0;
}

int program_search(const char *name, char path[PATH_MAX])
{
    int result = ENOENT;
    if (name[0] == '\0')
        return ENOENT;
    if (strchr(name, '/') != NULL) {
        if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX)
            return ENAMETOOLONG;
        return try_file(path);
    }
    const char *folders = getenv("PATH");
    if (folders == NULL)
        folders = DEFAULT_PATH;
    for (;;) {
        size_t bytes = strcspn(folders, ":");
        /* An empty folder is the one we are in. */
        int length = snprintf(path, PATH_MAX, "%.*s%s%s", (int)bytes, folders,
                              bytes > 0 ? "/" : "./", name);
        int error = length < PATH_MAX ? try_file(path) : ENOENT;
        if (error == EACCES)
            result = EACCES;
        else if (error != ENOENT && error != ENOTDIR)
            return error;
        if (folders[bytes] == '\0')
            return result;
        folders += bytes + 1;
    }
}

static bool ends_with(const char *text, const char *end)
{
    size_t bytes = strlen(text);
    size_t end_bytes = strlen(end);
    return bytes > end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* env(1)'s exit status for what execvp() would say. */
static int refuse(const char *name, int error)
{
    say(name, "cannot be run: %s; name a program that exists", strerror(error));
    return error == ENOENT ? RUN_NOT_FOUND : RUN_CANNOT_EXECUTE;
}

/* Is this something that python3 runs, rather than a program of its own? */
static bool is_for_python(const char *name)
{
    char main_file[PATH_MAX];
    if (strcmp(name, "-m") == 0 || strcmp(name, "-c") == 0)
        return true;
    if (strncmp(name, "-m", 2) == 0 || strncmp(name, "-c", 2) == 0)
        return true;
    if (ends_with(name, ".py") || ends_with(name, ".pyz"))
        return exists(name) || strchr(name, '/') != NULL;
    if (snprintf(main_file, sizeof main_file, "%s/__main__.py", name) >= PATH_MAX)
        return false;
    return exists(main_file);
}

static int find_python(char **arguments, struct program *program)
{
    const char *name = arguments[0];
    if (name[0] != '-' && !exists(name))
        return refuse(name, errno);
    size_t count = 0;
    while (arguments[count] != NULL)
        count++;
    program->argv = calloc(count + 2, sizeof *program->argv);
    if (program->argv == NULL) {
        say("memory", "there is none left");
        return RUN_FAILED;
    }
    program->argv[0] = (char *)PYTHON;
    memcpy(program->argv + 1, arguments, count * sizeof *arguments);
    if (program_search(PYTHON, program->path) == 0)
        return 0;
    program_drop(program);
    say(PYTHON,
        "is not in the PATH; install it, or name an interpreter: \"heapglass run "
        "/path/to/python %s\"",
        name);
    return RUN_NOT_FOUND;
}

int program_find(char **arguments, struct program *program)
{
    *program = (struct program){.argv = NULL};
    if (is_for_python(arguments[0]))
        return find_python(arguments, program);

    struct stat st;
    int error = program_search(arguments[0], program->path);
    if (error == 0) {
        size_t count = 0;
        while (arguments[count] != NULL)
            count++;
        program->argv = calloc(count + 1, sizeof *program->argv);
        if (program->argv != NULL) {
            memcpy(program->argv, arguments, count * sizeof *arguments);
            return 0;
        }
        say("memory", "there is none left");
        return RUN_FAILED;
    }
    if (error == EACCES && stat(arguments[0], &st) == 0 && S_ISDIR(st.st_mode)) {
        say(arguments[0], "is a folder without a __main__.py; name a program");
        return RUN_CANNOT_EXECUTE;
    }
    if (error == EACCES) {
        say(arguments[0],
            "cannot be executed: %s; \"chmod +x\" it, or name its "
            "interpreter first",
            strerror(error));
        return RUN_CANNOT_EXECUTE;
    }
    return refuse(arguments[0], error);
}

void program_drop(struct program *program)
{
    free(program->argv);
    program->argv = NULL;
}
