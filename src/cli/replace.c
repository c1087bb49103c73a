/* SPDX-License-Identifier: MIT */
/* replace.c - see replace.h */
#include "cli/replace.h"

#include "cli/command.h"
#include "ledger/fate.h"
#include "ledger/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool replace_may_go(const char *path)
{
    struct ledger_copy *copy;
    struct ledger_fault fault;
    struct stat st;
    if (lstat(path, &st) != 0)
        return true; /* nothing there, or open() will tell */
    if (S_ISLNK(st.st_mode)) {
        say(path, "is a symbolic link; name the file itself with -o");
        return false;
    }
    hg_status status = ledger_copy_read(path, 0, &copy, &fault);
    if (status == HG_EVERSION)
        return true;
    if (status != HG_OK) {
        say(path,
            "%s, and only a sound ledger is overwritten; name another file with -o",
            status == HG_ECORRUPT ? "is there" : fault.what);
        return false;
    }
    bool alive =
        copy->header.state != LEDGER_SNAPSHOT && ledger_is_alive(&copy->header);
    int pid = copy->header.pid;
    ledger_copy_free(copy);
    if (alive)
        say(path,
            "is the ledger of process %d, which is running; name another file "
            "with -o",
            pid);
    return !alive;
}

bool replace_is_no_ledger(const char *path)
{
    char magic[8];
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return true;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    bool is_ledger = pread(fd, magic, sizeof magic, 0) == (ssize_t)sizeof magic &&
                     memcmp(magic, LEDGER_MAGIC, sizeof magic) == 0;
    close(fd);
    if (is_ledger)
        say(path, "is a ledger, which would be lost; name another file with -o");
    return !is_ledger;
}

bool replace_open(struct replacement *replacement, const char *path)
{
    struct stat st;
    *replacement = (struct replacement){.path = path, .fd = -1};
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        say(path, "is a folder; name a file with -o");
        return false;
    }
    if (asprintf(&replacement->draft, "%s.%d.tmp", path, (int)getpid()) < 0) {
        replacement->draft = NULL;
        say("memory", "there is none left");
        return false;
    }
    replacement->fd =
        open(replacement->draft, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
             0600);
    if (replacement->fd >= 0)
        return true;
    say(path, "cannot be written: %s; name another file with -o", strerror(errno));
    free(replacement->draft);
    return false;
}

bool replace_commit(struct replacement *replacement)
{
    int error = 0;
    if (close(replacement->fd) != 0 ||
        rename(replacement->draft, replacement->path) != 0)
        error = errno;
    if (error != 0) {
        unlink(replacement->draft);
        say(replacement->path, "cannot be written: %s; name another file with -o",
            strerror(error));
    }
    free(replacement->draft);
    return error == 0;
}

void replace_abandon(struct replacement *replacement)
{
    close(replacement->fd);
    unlink(replacement->draft);
    free(replacement->draft);
}
