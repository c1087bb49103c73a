/* SPDX-License-Identifier: MIT */
/*
 * claim.c - which file is this process's ledger; see session.c for the rules.
 *
 * Two children of a shell may both find FILE unclaimed: they settle it under
 * flock(), which is held for microseconds and by nobody else.
 */
#include "trace/claim.h"

#include "base/process.h"
#include "base/text.h"
#include "ledger/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The fields of a header that tell whose it is. */
struct owner {
    bool empty;  /* nothing there yet */
    bool ledger; /* of our version */
    bool mine;   /* this very process's, before an exec */
    uint32_t state;
    pid_t pid;
};

/* Append ".NUMBER" to a path; no stdio, for a child may be inside malloc. */
static void append_number(char path[PATH_MAX], unsigned number)
{
    size_t n = strlen(path);
    struct text text = {path + n, 0, PATH_MAX - n - 1};

    text_put_string(&text, ".");
    text_put_number(&text, number, 10);
    path[n + text.used] = 0;
}

static struct owner look(int fd)
{
    struct ledger_header header;
    struct owner owner = {0};
    struct stat file;

    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
        return owner;
    owner.empty = file.st_size == 0;
    if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header ||
        memcmp(header.magic, LEDGER_MAGIC, sizeof header.magic) != 0)
        return owner;
    owner.ledger = true;
    owner.state = header.state;
    owner.pid = header.pid;
    owner.mine = header.version == LEDGER_VERSION && header.pid == getpid() &&
                 header.process_start == process_start_ticks(getpid());
    return owner;
}

/*
 * Give a file a name that nothing else has: EEXIST if something has it, be it a
 * link that leads nowhere.  Where the file system cannot do that in one step, the
 * file has both names for a moment.
 */
static int rename_to_free(const char *path, const char *to)
{
    if (renameat2(AT_FDCWD, path, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    return link(path, to) == 0 ? unlink(path) : -1;
}

/* Move what lies at `path` out of the way, to PATH.PID or the first free
 * PATH.PID.N. */
static int set_aside(const char *path, const char *stem, pid_t pid, bool numbered)
{
    char aside[PATH_MAX];

    for (unsigned n = numbered ? 1 : 0; n < 10000; n++) {
        strcpy(aside, stem);
        append_number(aside, (unsigned)pid);
        if (n > 0)
            append_number(aside, n);
        if (rename_to_free(path, aside) == 0)
            return 0;
        if (errno != EEXIST)
            return -1;
    }
    errno = EEXIST;
    return -1;
}

/* The program that wrote this ledger is no more: nobody writes it any longer. */
static void mark_replaced(int fd)
{
    struct ledger_header header;
    struct timespec now;

    if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    header.state = LEDGER_REPLACED;
    header.end_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec -
                    header.start_ns;
    ssize_t n = pwrite(fd, &header.end_ns, sizeof header.end_ns,
                       offsetof(struct ledger_header, end_ns));
    n += pwrite(fd, &header.state, sizeof header.state,
                offsetof(struct ledger_header, state));
    (void)n; /* a reader then calls it killed: not wrong, only less exact */
    ledger_trim_file(fd, &header);
}

/* Lock FILE for a moment; a stuck holder must not stop the program. */
static bool lock_file(int fd)
{
    for (int attempt = 0; attempt < 100; attempt++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return false;
}

static bool lies_at(int fd, const char *path)
{
    struct stat ours;
    struct stat there;

    return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/*
 * The file at `path`, made if there is none, and locked.  Whoever waits for the
 * lock may find that the file was set aside meanwhile, and another one made.
 */
static int open_locked(const char *path, bool *locked)
{
    for (int attempt = 0;; attempt++) {
        int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            return -1;
        *locked = lock_file(fd);
        if (attempt == 3 || lies_at(fd, path))
            return fd;
        close(fd);
    }
}

/* A new, empty file at `path`; what lies there is set aside. */
static int open_new(const char *path, const char *stem)
{
    bool locked;

    for (int attempt = 0; attempt < 3; attempt++) {
        int fd = open_locked(path, &locked);
        if (fd < 0)
            return -1;
        struct owner owner = look(fd);
        if (owner.empty) {
            /* It is to be read, whatever the program's umask is. */
            fchmod(fd, 0600);
            return fd;
        }
        if (owner.mine)
            mark_replaced(fd);
        int aside = owner.ledger
                        ? set_aside(path, stem, owner.pid, owner.pid == getpid())
                        : -1;
        close(fd);
        if (!owner.ledger)
            errno = EEXIST;
        if (aside != 0)
            return -1;
    }
    return -1;
}

int claim_childs_ledger(const struct session_config *config, char path[PATH_MAX])
{
    strcpy(path, config->path);
    append_number(path, (unsigned)getpid());
    return open_new(path, config->path);
}

int claim_ledger(const struct session_config *config, char path[PATH_MAX])
{
    bool started = getpid() == config->started;
    bool locked;

    strcpy(path, config->path);
    int fd = open_locked(path, &locked);
    if (fd < 0)
        return -1;
    struct owner owner = look(fd);
    if (locked &&
        (owner.empty || (owner.ledger && owner.state == LEDGER_WAITING))) {
        return fd; /* closing it ends the lock */
    }
    if (!owner.ledger && !owner.empty) {
        close(fd);
        errno = EEXIST;
        return -1;
    }
    if (owner.mine)
        mark_replaced(fd);
    int aside = 0;
    if (owner.mine || started)
        aside = set_aside(path, config->path, owner.pid, owner.mine);
    close(fd);
    if (aside != 0)
        return -1;
    if (owner.mine || started)
        return open_new(path, config->path);
    return claim_childs_ledger(config, path);
}

bool claim_mark_replaced(const struct session_config *config)
{
    char path[PATH_MAX];
    bool had = false;

    for (int i = 0; i < 2; i++) {
        strcpy(path, config->path);
        if (i == 1)
            append_number(path, (unsigned)getpid());
        int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            continue;
        struct owner owner = look(fd);
        if (owner.mine && owner.state != LEDGER_WAITING) {
            mark_replaced(fd);
            had = true;
        }
        close(fd);
    }
    return had;
}
