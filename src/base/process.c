/* SPDX-License-Identifier: MIT */
/* process.c - what /proc tells of a process; may run inside malloc. */
#include "base/process.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t process_read_file(const char *path, char *out, size_t bytes)
{
    int saved = errno;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t n = 0;
    while (n < bytes - 1) {
        ssize_t got = read(fd, out + n, bytes - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    out[n] = 0;
    errno = saved;
    return (ssize_t)n;
}

static uint64_t parse_number(const char *text)
{
    uint64_t value = 0;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + (uint64_t)(*text++ - '0');
    return value;
}

/* Field `number` of /proc/PID/stat, counted from 1, or NULL; `number` > 2. */
static const char *stat_field(const char *text, int number)
{
    /* The command, field 2, may hold spaces and parentheses: count from its end. */
    const char *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < number; field++)
        at = strchr(at + 1, ' ');
    return at != NULL ? at + 1 : NULL;
}

uint64_t process_start_ticks(pid_t pid)
{
    char path[32] = "";
    char stat[1024];
    struct text text = {path, 0, sizeof path - 1};

    if (pid <= 0)
        return 0;
    text_put_string(&text, "/proc/");
    text_put_number(&text, (uint64_t)pid, 10);
    text_put_string(&text, "/stat");
    if (process_read_file(path, stat, sizeof stat) <= 0)
        return 0;
    const char *state = stat_field(stat, 3);
    const char *threads = stat_field(stat, 20);
    const char *start = stat_field(stat, 22);
    if (start == NULL)
        return 0;
    /* A first thread that has ended before the others makes no zombie of them. */
    if (*state == 'Z' && parse_number(threads) <= 1)
        return 0;
    return parse_number(start);
}

bool process_is_alone(void)
{
    struct stat tasks;
    int saved = errno;
    /* A folder's links: its name, its own ".", and ".." of each folder in it. */
    bool alone = stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 3;
    errno = saved;
    return alone;
}

void process_boot_id(char out[40])
{
    ssize_t n = process_read_file("/proc/sys/kernel/random/boot_id", out, 37);
    out[n < 36 ? 0 : 36] = 0;
}

uint64_t process_rss_bytes(void)
{
    char text[128];

    if (process_read_file("/proc/self/statm", text, sizeof text) <= 0)
        return 0;
    const char *second = strchr(text, ' ');
    return second != NULL
               ? parse_number(second + 1) * (uint64_t)sysconf(_SC_PAGESIZE)
               : 0;
}

bool process_peek(const void *address, void *out, size_t bytes)
{
    struct iovec to = {out, bytes};
    struct iovec from = {(void *)(uintptr_t)address, bytes};

    int saved = errno;
    ssize_t got = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
    errno = saved;
    return got == (ssize_t)bytes;
}

bool process_poke(void *address, const void *from, size_t bytes)
{
    struct iovec source = {(void *)(uintptr_t)from, bytes};
    struct iovec to = {address, bytes};

    int saved = errno;
    ssize_t put = process_vm_writev(getpid(), &source, 1, &to, 1, 0);
    errno = saved;
    return put == (ssize_t)bytes;
}
