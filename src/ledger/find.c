/* SPDX-License-Identifier: MIT */
/* find.c - see find.h */
#include "ledger/find.h"

#include "ledger/family.h"
#include "ledger/reader.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".hg"

static char *format_path(const char *format, const char *folder)
{
    char *path;
    return asprintf(&path, format, folder, (unsigned)getuid()) < 0 ? NULL : path;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* The program that is run may go elsewhere, and so may those it starts. */
static char *make_absolute(const char *folder)
{
    char here[PATH_MAX];
    char *path;
    if (folder[0] == '/' || getcwd(here, sizeof here) == NULL)
        return strdup(folder);
    return asprintf(&path, "%s/%s", here, folder) < 0 ? NULL : path;
}

char *find_folder(void)
{
    const char *folder = variable("HEAPGLASS_DIR");
    if (folder != NULL)
        return make_absolute(folder);
    if (access("/dev/shm", W_OK | X_OK) == 0)
        return format_path("%s/heapglass-%u", "/dev/shm");
    if ((folder = variable("XDG_RUNTIME_DIR")) != NULL)
        return format_path("%s/heapglass", folder);
    folder = variable("TMPDIR");
    return format_path("%s/heapglass-%u", folder != NULL ? folder : "/tmp");
}

bool find_is_ledger(const char *name)
{
    size_t bytes = family_stem_bytes(name);
    size_t suffix = strlen(SUFFIX);
    return bytes > suffix && memcmp(name + bytes - suffix, SUFFIX, suffix) == 0;
}

hg_status find_files_add(struct find_files *files, const char *path)
{
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->paths[i], path) == 0)
            return HG_OK;
    char **paths = realloc(files->paths, (files->count + 1) * sizeof *paths);
    if (paths == NULL)
        return HG_ENOMEM;
    files->paths = paths;
    paths[files->count] = strdup(path);
    if (paths[files->count] == NULL)
        return HG_ENOMEM;
    files->count++;
    return HG_OK;
}

static hg_status add_name(struct find_files *files, const char *folder,
                          const char *name)
{
    char *path;
    if (!find_is_ledger(name))
        return HG_OK;
    if (asprintf(&path, "%s/%.*s", folder, (int)family_stem_bytes(name), name) < 0)
        return HG_ENOMEM;
    hg_status status = find_files_add(files, path);
    free(path);
    return status;
}

void find_files_drop(struct find_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->paths[i]);
    free(files->paths);
    *files = (struct find_files){NULL, 0};
}

hg_status find_in_folder(const char *folder, struct find_files *files)
{
    struct find_files found = {NULL, 0};
    hg_status status = HG_OK;
    const struct dirent *entry;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return HG_EIO;
    while (status == HG_OK && (entry = readdir(dir)) != NULL)
        status = add_name(&found, folder, entry->d_name);
    closedir(dir);
    if (status != HG_OK) {
        find_files_drop(&found);
        return status;
    }
    *files = found;
    return HG_OK;
}

char *find_of_process(int32_t pid)
{
    static const char key[] = "HEAPGLASS_LEDGER=";
    char path[64];
    char *line = NULL;
    char *file = NULL;
    size_t room = 0;
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    FILE *environment = fopen(path, "re");
    if (environment == NULL)
        return NULL;
    while (file == NULL && getdelim(&line, &room, '\0', environment) > 0)
        if (strncmp(line, key, sizeof key - 1) == 0)
            file = strdup(line + sizeof key - 1);
    free(line);
    fclose(environment);
    return file;
}

hg_status find_add_running(struct find_files *files)
{
    hg_status status = HG_OK;
    const struct dirent *entry;
    DIR *dir = opendir("/proc");
    if (dir == NULL)
        return HG_OK; /* then nobody can be asked */
    while (status == HG_OK && (entry = readdir(dir)) != NULL) {
        int32_t pid = (int32_t)strtol(entry->d_name, NULL, 10);
        char *file = pid > 0 ? find_of_process(pid) : NULL;
        if (file != NULL)
            status = find_files_add(files, file);
        free(file);
    }
    closedir(dir);
    return status;
}

/* The best candidate so far, among ledgers that are looked at one by one. */
struct search {
    int32_t pid; /* 0: any */
    char *path;
    uint64_t start_ns;
};

static void consider(struct search *search, const char *path,
                     const char *stands_for)
{
    struct ledger_copy *copy;
    struct ledger_fault fault;
    if (ledger_copy_read(path, 0, &copy, &fault) != HG_OK)
        return;
    const struct ledger_header *header = &copy->header;
    bool fits = search->pid == 0 || header->pid == search->pid;
    if (fits &&
        (search->path == NULL || header->start_realtime_ns > search->start_ns)) {
        free(search->path);
        search->path = strdup(stands_for);
        search->start_ns = header->start_realtime_ns;
    }
    ledger_copy_free(copy);
}

/* Look at all members of a family; without a pid any of them stands for FILE. */
static void consider_family(struct search *search, const char *file)
{
    struct family family;
    if (family_find(file, &family) != HG_OK)
        return;
    bool has_file = family.count > 0 && strcmp(family.paths[0], file) == 0;
    for (size_t i = 0; i < family.count; i++) {
        if (search->pid == 0 && has_file && i > 0)
            break; /* FILE began it, whenever its children did */
        consider(search, family.paths[i],
                 search->pid == 0 ? file : family.paths[i]);
    }
    family_drop(&family);
}

static hg_status consider_folder(struct search *search)
{
    struct find_files files = {NULL, 0};
    char *folder = find_folder();
    hg_status status = folder == NULL ? HG_ENOMEM : find_in_folder(folder, &files);
    free(folder);
    if (status == HG_EIO && errno == ENOENT)
        return HG_OK; /* nothing was ever run */
    for (size_t i = 0; i < files.count; i++)
        consider_family(search, files.paths[i]);
    find_files_drop(&files);
    return status;
}

hg_status find_ledger(int32_t pid, char **path)
{
    struct search search = {.pid = pid};
    char *file = pid != 0 ? find_of_process(pid) : NULL; /* wherever that is */
    if (file != NULL)
        consider_family(&search, file);
    free(file);
    hg_status status = search.path == NULL ? consider_folder(&search) : HG_OK;
    if (status == HG_OK)
        *path = search.path;
    else
        free(search.path);
    return status;
}
