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
    char *folder = find_folder();
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
    if (name[0] == '\0') {
        say(name, "is no name for a ledger; name a file with -o");
        return false;
    }
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
static void remove_old_children(const char *path)
{
    struct family family;
    if (family_find(path, &family) != HG_OK)
        return;
    for (size_t i = 0; i < family.count; i++)
        if (strcmp(family.paths[i], path) != 0 && replace_is_free(family.paths[i]))
            unlink(family.paths[i]);
    family_drop(&family);
}

/* What a program is called, for as long as it has not become Python. */
struct names {
    char bytes[64 * 1024]; /* a longer command is cut */
    uint32_t used;
};

static struct ledger_text add_name(struct names *names, const char *text)
{
    size_t room = sizeof names->bytes - names->used;
    size_t bytes = strnlen(text, room - 1);
    struct ledger_text at = {names->used, (uint32_t)bytes};
    memcpy(names->bytes + names->used, text, bytes);
    names->bytes[names->used + bytes] = '\0';
    names->used += (uint32_t)bytes;
    return at;
}

static void fill_names(struct ledger_header *header, struct names *names,
                       char *const *command)
{
    char folder[PATH_MAX];
    if (getcwd(folder, sizeof folder) != NULL)
        header->folder = add_name(names, folder);
    header->command = (struct ledger_text){names->used, 0};
    for (size_t i = 0; command[i] != NULL && names->used + 1 < sizeof names->bytes;
         i++) {
        add_name(names, command[i]);
        names->used++; /* with the zero that ends each */
    }
    header->command.bytes = names->used - header->command.offset;
    header->section[LEDGER_STRINGS] = (struct ledger_section){
        .offset = LEDGER_HEADER_BYTES,
        .capacity = names->used,
        .record_bytes = 1,
        .used = names->used,
    };
    header->file_bytes = LEDGER_HEADER_BYTES + names->used;
}

/* 0 or an errno */
static int write_all(int fd, const void *bytes, size_t count, off_t offset)
{
    ssize_t written = pwrite(fd, bytes, count, offset);
    return written == (ssize_t)count ? 0 : written < 0 ? errno : ENOSPC;
}

/*
 * The space is taken for good: a tmpfs that is full is told now, and not when
 * the program stores into the file.  The header comes last, when all it names is
 * there.  Returns 0 or an errno.
 */
static int write_ledger(int fd, char *const *command)
{
    static struct names names;
    union {
        struct ledger_header header;
        char bytes[LEDGER_HEADER_BYTES];
    } page;
    memset(&page, 0, sizeof page);
    fill_header(&page.header);
    fill_names(&page.header, &names, command);
    int error = posix_fallocate(fd, 0, (off_t)page.header.file_bytes);
    if (error == 0)
        error = write_all(fd, names.bytes, names.used, LEDGER_HEADER_BYTES);
    if (error == 0)
        error = write_all(fd, &page, sizeof page, 0);
    return error;
}

_Static_assert(LEDGER_HEADER_BYTES + sizeof(struct names) <= LEDGER_LEAST_BYTES,
               "where a ledger fits, what waits for it fits");

uint64_t placeholder_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

bool placeholder_make(const char *name, char *const *command, char path[PATH_MAX])
{
    struct replacement replacement;
    bool found = name != NULL ? make_absolute(name, path) : name_in_store(path);
    if (!found || !replace_may_go(path) || !replace_open(&replacement, path))
        return false;
    int error = write_ledger(replacement.fd, command);
    if (error != 0) {
        replace_abandon(&replacement, error);
        return false;
    }
    remove_old_children(path);
    return replace_commit(&replacement);
}
