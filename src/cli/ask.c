/* SPDX-License-Identifier: MIT */
/* ask.c - see ask.h, and layout.h for the order of things. */
#include "cli/ask.h"

#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 5000, STEP_MS = 5 };

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static bool read_request(int fd, struct ledger_request *request)
{
    return pread(fd, request, sizeof *request,
                 offsetof(struct ledger_header, request)) ==
           (ssize_t)sizeof *request;
}

static bool store(int fd, size_t field, uint32_t value)
{
    return pwrite(fd, &value, sizeof value,
                  (off_t)(offsetof(struct ledger_header, request) + field)) ==
           (ssize_t)sizeof value;
}

/* The file of this process still, open for both; -1 after having said why not. */
static int open_ledger(const struct process *process)
{
    const struct ledger_header *wanted = &process->copy->header;
    struct ledger_header header;

    int fd = open(process->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        say(process->path, "cannot be written: %s; ask as the program's user",
            strerror(errno));
        return -1;
    }
    if (pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header &&
        memcmp(header.magic, LEDGER_MAGIC, sizeof header.magic) == 0 &&
        header.version == LEDGER_VERSION && header.pid == wanted->pid &&
        header.process_start == wanted->process_start)
        return fd;
    say(process->path, "has become another file; ask again");
    close(fd);
    return -1;
}

/* Others that ask are waited for. */
static bool lock_ledger(const struct process *process, int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = offsetof(struct ledger_header, request),
        .l_len = sizeof(struct ledger_request),
    };
    for (int waited = 0; waited < WAIT_MS; waited += STEP_MS) {
        if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
            return true;
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            break;
        pause_ms(STEP_MS);
    }
    if (errno == EAGAIN || errno == EACCES)
        say(process->path, "is being asked by somebody else; ask again later");
    else
        say(process->path, "cannot be locked: %s", strerror(errno));
    return false;
}

/* A request that nobody has answered yet goes with ours. */
static bool ring(int fd, const struct ledger_request *before, uint32_t what)
{
    bool waits = before->answered != before->asked;
    uint32_t number = before->asked + !waits;
    return store(fd, offsetof(struct ledger_request, what),
                 waits ? before->what | what : what) &&
           store(fd, offsetof(struct ledger_request, asked), number) &&
           store(fd, offsetof(struct ledger_request, bell), 1);
}

static void say_asleep(const struct process *process, bool heard)
{
    char who[16];
    snprintf(who, sizeof who, "%d", (int)process->copy->header.pid);
    bool python = process->copy->header.python.bytes != 0;
    if (!ledger_is_alive(&process->copy->header))
        say(who, "has ended meanwhile; \"heapglass gc %s\" shows what it did",
            process->path);
    else if (!python)
        say(who,
            "has not answered within %d s: it sleeps, or needs no memory; it will "
            "as "
            "soon as it does",
            WAIT_MS / 1000);
    else
        say(who,
            heard
                ? "has not answered within %d s: its main thread is in C code; it "
                  "will once that returns to Python, or wake it"
                : "has not answered within %d s: it sleeps; it will as soon as it "
                  "runs Python again, so give it something to do",
            WAIT_MS / 1000);
}

static bool wait_for_answer(const struct process *process, int fd, uint32_t number,
                            struct ledger_answer *answer)
{
    struct ledger_request now = {0};

    for (int waited = 0; waited < WAIT_MS; waited += STEP_MS) {
        if (!read_request(fd, &now))
            break;
        if (now.answered == number) {
            *answer = now.answer;
            return true;
        }
        if (!ledger_is_alive(&process->copy->header))
            break;
        pause_ms(STEP_MS);
    }
    say_asleep(process, now.heard == number && now.bell == 0);
    return false;
}

static bool can_hear(const char *name, const struct process *process)
{
    const struct ledger_header *header = &process->copy->header;
    if (process->fate != FATE_RUNNING || header->state != LEDGER_RUNNING)
        say(name, "does not run; \"heapglass list\" shows those that do");
    else if (!ledger_is_traced(header))
        say(name, "is not watched, so it hears nothing; run it without --untraced");
    else
        return true;
    return false;
}

bool ask_program(const char *name, const struct process *process, uint32_t what,
                 struct ledger_answer *answer)
{
    struct ledger_request before;
    bool done = false;

    if (!can_hear(name, process))
        return false;
    int fd = open_ledger(process);
    if (fd < 0)
        return false;
    if (lock_ledger(process, fd)) {
        if (!read_request(fd, &before) || !ring(fd, &before, what))
            say(process->path, "cannot be written: %s", strerror(errno));
        else
            done = wait_for_answer(process, fd,
                                   before.asked + (before.answered == before.asked),
                                   answer);
    }
    close(fd); /* and unlocks */
    return done;
}
