/* SPDX-License-Identifier: MIT */
/* placeholder.c - see placeholder.h */
#include "cli/placeholder.h"

#include "base/process.h"
#include "cli/command.h"
#include "cli/replace.h"
#include "cli/store.h"
#include "ledger/family.h"
#include "ledger/fate.h"
#include "ledger/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Room for ".PID.N", which children append. */
#define FAMILY_BYTES 32

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fill_header(struct ledger_header *header)
{
    memcpy(header->magic, LEDGER_MAGIC, sizeof header->magic);
    header->version = LEDGER_VERSION;
    header->header_bytes = LEDGER_HEADER_BYTES;
    header->file_bytes = LEDGER_HEADER_BYTES;
    header->state = LEDGER_WAITING;
    header->pid = getpid();
    header->parent_pid = getppid();
    header->session_pid = getpid();
    header->process_start = process_start_ticks(getpid());
    header->start_ns = clock_ns(CLOCK_MONOTONIC);
    header->start_realtime_ns = clock_ns(CLOCK_REALTIME);
    header->exit_status = -1;
    process_boot_id(header->boot_id);
}

/* "/dev/shm/heapglass-1000/20240131-093000-4711.hg" */
static bool name_in_store(char path[PATH_MAX])
{
    char when[32];
    struct tm local;
    time_t now = time(NULL);
    char *folder = store_folder();
    if (folder == NULL || !store_prepare(folder)) {
        free(folder);
        return false;
    }
    store_make_room(folder);
    localtime_r(&now, &local);
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", &local);
    int bytes =
        snprintf(path, PATH_MAX, "%s/%s-%d.hg", folder, when, (int)getpid());
    if (bytes >= PATH_MAX - FAMILY_BYTES)
        say(folder, "is too long a path for ledgers in it; name a ledger with -o");
    free(folder);
    return bytes < PATH_MAX - FAMILY_BYTES;
}

/* `name`, made absolute; its folder must exist. */
static bool make_absolute(const char *name, char path[PATH_MAX])
{
    char folder[PATH_MAX];
    char real[PATH_MAX];
    const char *slash = strrchr(name, '/');
    const char *last = slash != NULL ? slash + 1 : name;
    int bytes = slash == NULL   ? snprintf(folder, sizeof folder, ".")
                : slash == name ? snprintf(folder, sizeof folder, "/")
                                : snprintf(folder, sizeof folder, "%.*s",
                                           (int)(slash - name), name);
    if (last[0] == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
        say(name, "is a folder; name a file for the ledger");
        return false;
    }
    if (bytes >= (int)sizeof folder || realpath(folder, real) == NULL) {
        say(name, "cannot be made: %s: %s; name a file in a folder that exists",
            folder, strerror(errno));
        return false;
    }
    bytes =
        snprintf(path, PATH_MAX, "%s/%s", strcmp(real, "/") == 0 ? "" : real, last);
    if (bytes >= PATH_MAX - FAMILY_BYTES) {
        say(name, "is too long a path for a ledger; name a shorter one");
        return false;
    }
    return true;
}

/* Children of an earlier run go with its FILE; those that still run keep theirs. */
static void remove_old_family(const char *path)
{
    struct family family;
    if (family_find(path, &family) != HG_OK)
        return;
    for (size_t i = 0; i < family.count; i++) {
        struct ledger_copy *copy;
        struct ledger_fault fault;
        hg_status status = ledger_copy_read(family.paths[i], 0, &copy, &fault);
        if (status == HG_EVERSION)
            unlink(family.paths[i]);
        if (status != HG_OK)
            continue;
        if (!ledger_is_alive(&copy->header))
            unlink(family.paths[i]);
        ledger_copy_free(copy);
    }
    family_drop(&family);
}

static bool fits_file_limit(const char *path)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 ||
        limit.rlim_cur >= LEDGER_HEADER_BYTES)
        return true;
    say(path,
        "cannot be made: files are limited to %llu bytes; raise \"ulimit -f\"",
        (unsigned long long)limit.rlim_cur);
    return false;
}

/*
 * The space is taken for good: a tmpfs that is full is told now, and not when
 * the program stores into the file.
 */
static int write_header(int fd)
{
    static union {
        struct ledger_header header;
        char bytes[LEDGER_HEADER_BYTES];
    } page;
    fill_header(&page.header);
    int error = posix_fallocate(fd, 0, sizeof page);
    if (error != 0)
        return error;
    ssize_t written = pwrite(fd, &page, sizeof page, 0);
    return written == (ssize_t)sizeof page ? 0 : written < 0 ? errno : ENOSPC;
}

static const char *remedy_for(int error)
{
    return error == ENOSPC || error == EDQUOT
               ? "make room there, or name a file elsewhere with -o"
               : "name another file with -o";
}

bool placeholder_make(const char *name, char path[PATH_MAX])
{
    bool found = name != NULL ? make_absolute(name, path) : name_in_store(path);
    if (!found || !replace_may_go(path) || !fits_file_limit(path))
        return false;
    remove_old_family(path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        say(path, "cannot be made: %s; %s", strerror(errno), remedy_for(errno));
        return false;
    }
    int error = write_header(fd);
    close(fd);
    if (error != 0) {
        unlink(path);
        say(path, "cannot be written: %s; %s", strerror(error), remedy_for(error));
        return false;
    }
    return true;
}
