/* SPDX-License-Identifier: MIT */
/* store.c - see store.h */
#include "cli/store.h"

#include "cli/command.h"
#include "ledger/family.h"
#include "ledger/fate.h"
#include "ledger/reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool store_prepare(const char *folder)
{
    struct stat st;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        say(folder,
            "cannot be made: %s; name a ledger with -o, or another folder with "
            "HEAPGLASS_DIR",
            strerror(errno));
        return false;
    }
    if (lstat(folder, &st) != 0) {
        say(folder, "cannot be looked at: %s", strerror(errno));
        return false;
    }
    if (!S_ISDIR(st.st_mode)) {
        say(folder, "is not a folder; name another one with HEAPGLASS_DIR");
        return false;
    }
    if (st.st_uid != geteuid()) {
        say(folder,
            "belongs to another user; name another folder with HEAPGLASS_DIR");
        return false;
    }
    if ((st.st_mode & 077) != 0) {
        say(folder,
            "is open to other users; \"chmod 700\" it, or name another folder "
            "with HEAPGLASS_DIR");
        return false;
    }
    return true;
}

bool store_list(const char *folder, struct find_files *files)
{
    hg_status status = find_in_folder(folder, files);
    if (status == HG_EIO && errno == ENOENT) {
        *files = (struct find_files){NULL, 0}; /* nothing was ever run */
        return true;
    }
    if (status == HG_EIO)
        say(folder,
            "cannot be read: %s; mend that, or name another folder with "
            "HEAPGLASS_DIR",
            strerror(errno));
    else if (status != HG_OK)
        say("memory", "there is none left");
    return status == HG_OK;
}

/* What is to be known of a family before it may be removed. */
struct holding {
    const char *file;
    uint64_t bytes;
    uint64_t start_ns; /* of the latest of its processes */
    bool alive;
};

static struct holding look_at(const char *file)
{
    struct holding holding = {.file = file};
    struct family family;
    if (family_find(file, &family) != HG_OK) {
        holding.alive = true; /* nothing is known: leave it */
        return holding;
    }
    for (size_t i = 0; i < family.count; i++) {
        struct ledger_copy *copy;
        struct ledger_fault fault;
        struct stat st;
        if (stat(family.paths[i], &st) == 0)
            holding.bytes += (uint64_t)st.st_blocks * 512;
        if (ledger_copy_read(family.paths[i], 0, &copy, &fault) != HG_OK)
            continue;
        if (copy->header.start_realtime_ns > holding.start_ns)
            holding.start_ns = copy->header.start_realtime_ns;
        holding.alive = holding.alive || ledger_is_alive(&copy->header);
        ledger_copy_free(copy);
    }
    family_drop(&family);
    return holding;
}

static void remove_family(const char *file)
{
    struct family family;
    if (family_find(file, &family) != HG_OK)
        return;
    for (size_t i = 0; i < family.count; i++)
        unlink(family.paths[i]);
    family_drop(&family);
}

static int oldest_first(const void *a, const void *b)
{
    uint64_t x = ((const struct holding *)a)->start_ns;
    uint64_t y = ((const struct holding *)b)->start_ns;
    return x < y ? -1 : x > y;
}

/* What all ledgers in the folder take; they need not be opened for that. */
static uint64_t bytes_in_use(const char *folder)
{
    uint64_t bytes = 0;
    const struct dirent *entry;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return 0;
    while ((entry = readdir(dir)) != NULL) {
        struct stat st;
        if (find_is_ledger(entry->d_name) &&
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t)st.st_blocks * 512;
    }
    closedir(dir);
    return bytes;
}

/* Remove families until `bytes` are within the limit. */
static void remove_oldest(const struct find_files *files, uint64_t bytes)
{
    struct holding *holdings = calloc(files->count + 1, sizeof *holdings);
    if (holdings == NULL)
        return;
    for (size_t i = 0; i < files->count; i++)
        holdings[i] = look_at(files->paths[i]);
    qsort(holdings, files->count, sizeof *holdings, oldest_first);
    for (size_t i = 0; i < files->count && bytes > STORE_MAX_BYTES; i++) {
        if (holdings[i].alive)
            continue;
        remove_family(holdings[i].file);
        bytes -= holdings[i].bytes < bytes ? holdings[i].bytes : bytes;
    }
    free(holdings);
}

void store_make_room(const char *folder)
{
    struct find_files files;
    uint64_t bytes = bytes_in_use(folder);
    if (bytes <= STORE_MAX_BYTES || find_in_folder(folder, &files) != HG_OK)
        return;
    remove_oldest(&files, bytes);
    find_files_drop(&files);
}
