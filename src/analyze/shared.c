/* SPDX-License-Identifier: MIT */
/* shared.c - see shared.h */
#include "analyze/shared.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "/dev/shm"

struct found {
    struct map_left *at;
    ino_t *inodes; /* of those in FOLDER */
    size_t count;
    size_t room;
};

static bool found_add(struct found *found, const char *name, uint64_t bytes,
                      int32_t pid, ino_t inode)
{
    if (found->count == found->room) {
        size_t room = found->room * 2 + 16;
        struct map_left *at = realloc(found->at, room * sizeof *at);
        if (at != NULL)
            found->at = at;
        ino_t *inodes = realloc(found->inodes, room * sizeof *inodes);
        if (inodes != NULL)
            found->inodes = inodes;
        if (at == NULL || inodes == NULL)
            return false;
        found->room = room;
    }
    char *copy = strdup(name);
    if (copy == NULL)
        return false;
    found->at[found->count] = (struct map_left){copy, bytes, pid};
    found->inodes[found->count++] = inode;
    return true;
}

static void forget(struct found *found, ino_t inode)
{
    for (size_t i = 0; i < found->count; i++) {
        if (inode == 0 || found->inodes[i] != inode)
            continue;
        free(found->at[i].name);
        found->count--;
        found->at[i] = found->at[found->count];
        found->inodes[i] = found->inodes[found->count];
        return;
    }
}

/* Accounts are not memory that a program forgot. */
static bool is_accounts(const char *path)
{
    char magic[8] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool is = read(fd, magic, sizeof magic) == sizeof magic &&
              memcmp(magic, LEDGER_MAGIC, sizeof magic) == 0;
    close(fd);
    return is;
}

/* Plain files of this user's; what lies in folders is somebody's store. */
static bool find_files(struct found *found)
{
    DIR *folder = opendir(FOLDER);
    const struct dirent *entry;
    bool room = true;
    while (folder != NULL && room && (entry = readdir(folder)) != NULL) {
        char path[300];
        struct stat st;
        snprintf(path, sizeof path, FOLDER "/%s", entry->d_name);
        if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == getuid() &&
            !is_accounts(path))
            room =
                found_add(found, path, (uint64_t)st.st_blocks * 512, 0, st.st_ino);
    }
    if (folder != NULL)
        closedir(folder);
    return room;
}

static void forget_mapped(struct found *found, int pid)
{
    char path[64];
    char *line = NULL;
    size_t room = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    while (maps != NULL && getline(&line, &room, maps) > 0) {
        uintmax_t inode;
        if (strstr(line, " " FOLDER "/") != NULL &&
            sscanf(line, "%*s %*s %*s %*s %ju", &inode) == 1)
            forget(found, (ino_t)inode);
    }
    free(line);
    if (maps != NULL)
        fclose(maps);
}

static void forget_open(struct found *found, int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char target[64];
        struct stat st;
        ssize_t n = readlinkat(dirfd(folder), entry->d_name, target, sizeof target);
        if (n > (ssize_t)sizeof FOLDER && memcmp(target, FOLDER "/", 9) == 0 &&
            fstatat(dirfd(folder), entry->d_name, &st, 0) == 0)
            forget(found, st.st_ino);
    }
    if (folder != NULL)
        closedir(folder);
}

static void forget_used(struct found *found)
{
    DIR *folder = opendir("/proc");
    const struct dirent *entry;
    while (found->count > 0 && folder != NULL &&
           (entry = readdir(folder)) != NULL) {
        int pid = (int)strtol(entry->d_name, NULL, 10);
        if (pid <= 0)
            continue;
        forget_mapped(found, pid);
        forget_open(found, pid);
    }
    if (folder != NULL)
        closedir(folder);
}

static bool has_ended(int32_t pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static bool find_segments(struct found *found)
{
    char *line = NULL;
    size_t room = 0;
    bool done = true;
    FILE *table = fopen("/proc/sysvipc/shm", "re");
    while (done && table != NULL && getline(&line, &room, table) > 0) {
        int id, pid;
        uint64_t bytes, attached, rss;
        unsigned uid;
        /* key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime
           rss swap */
        if (sscanf(line,
                   "%*d %d %*o %" SCNu64 " %d %*d %" SCNu64
                   " %u %*u %*u %*u %*u %*u %*u %" SCNu64,
                   &id, &bytes, &pid, &attached, &uid, &rss) != 6)
            continue;
        char name[64];
        snprintf(name, sizeof name, "System V segment %d", id);
        if (attached == 0 && uid == getuid() && has_ended(pid))
            done = found_add(found, name, rss, pid, 0);
    }
    free(line);
    if (table != NULL)
        fclose(table);
    return done;
}

hg_status shared_left(struct map_left **left, size_t *count)
{
    struct found found = {.at = NULL};
    bool room = find_files(&found);
    if (room) {
        forget_used(&found);
        room = find_segments(&found);
    }
    free(found.inodes);
    *left = found.at;
    *count = found.count;
    return room ? HG_OK : HG_ENOMEM;
}
