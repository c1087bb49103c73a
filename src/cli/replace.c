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

/* Does its process live?  A ledger may wait for us: "heapglass run heapglass run".
 */
static bool is_in_use(const struct ledger_header *header)
{
    if (header->state == LEDGER_SNAPSHOT)
        return false;
    if (header->state == LEDGER_WAITING && header->pid == getpid())
        return false;
    return ledger_is_alive(header);
}

bool replace_is_free(const char *path)
{
    struct ledger_copy *copy;
    struct ledger_fault fault;
    hg_status status = ledger_copy_read(path, 0, &copy, &fault);
    if (status != HG_OK)
        return status == HG_EVERSION;
    bool is_free = !is_in_use(&copy->header);
    ledger_copy_free(copy);
    return is_free;
}

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
        /* The reader's own remedy, behind a semicolon, is for other occasions. */
        say(path,
            "%.*s, and only a sound ledger is overwritten; name another file with "
            "-o",
            (int)strcspn(fault.what, ";"), fault.what);
        return false;
    }
    bool in_use = is_in_use(&copy->header);
    if (in_use)
        say(path,
            "is the ledger of process %d, which is running; name another file "
            "with -o",
            (int)copy->header.pid);
    ledger_copy_free(copy);
    return !in_use;
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

static void say_unwritten(const char *path, int error)
{
    bool full = error == ENOSPC || error == EDQUOT;
    say(path, "cannot be written: %s; %s", strerror(error),
        full ? "make room there, or name a file elsewhere with -o"
             : "name another file with -o");
}

bool replace_open(struct replacement *replacement, const char *path)
{
    struct stat st;
    *replacement = (struct replacement){.path = path, .fd = -1};
    bool exists = stat(path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode)) {
        say(path, "is a folder; name a file with -o");
        return false;
    }
    /* What is not a file of its own, a pipe, a device, a link, stays what it is. */
    if ((exists && !S_ISREG(st.st_mode)) ||
        (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))) {
        replacement->fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        if (replacement->fd < 0)
            say_unwritten(path, errno);
        return replacement->fd >= 0;
    }
    if (asprintf(&replacement->draft, "%s.%d.tmp", path, (int)getpid()) < 0) {
        say("memory", "there is none left");
        return false;
    }
    replacement->fd =
        open(replacement->draft, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
             0600);
    if (replacement->fd >= 0) {
        fchmod(replacement->fd,
               0600); /* a ledger is opened again, whatever the umask */
        return true;
    }
    say_unwritten(path, errno);
    free(replacement->draft);
    return false;
}

bool replace_commit(struct replacement *replacement)
{
    if (replacement->draft != NULL &&
        rename(replacement->draft, replacement->path) != 0) {
        replace_abandon(replacement, errno);
        return false;
    }
    close(replacement->fd);
    free(replacement->draft);
    return true;
}

void replace_abandon(struct replacement *replacement, int error)
{
    if (replacement->draft != NULL)
        unlink(replacement->draft);
    close(replacement->fd);
    free(replacement->draft);
    say_unwritten(replacement->path, error);
}

bool replace_by(const char *path, void (*print)(FILE *out, const void *what),
                const void *what)
{
    struct replacement replacement;
    if (!replace_is_no_ledger(path) || !replace_open(&replacement, path))
        return false;
    FILE *out = fdopen(dup(replacement.fd), "w");
    if (out != NULL) {
        print(out, what);
        bool written = fflush(out) == 0 && !ferror(out);
        if (fclose(out) == 0 && written)
            return replace_commit(&replacement);
    }
    replace_abandon(&replacement, errno);
    return false;
}
