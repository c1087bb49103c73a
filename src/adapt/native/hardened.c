/* SPDX-License-Identifier: MIT */
/*
 * hardened.c - whether the heap is to find misuse.
 *
 * The linker may call malloc before the C library has an environment, and later it
 * is too late: then the system is asked, which keeps what the program began with.
 */
#include "adapt/native/hardened.h"

#include "base/base.h"
#include "heap/heap.h"
#include "trace/site.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct wanted {
    const char *name; /* with "=" */
    char value[16];
    bool found;
};

/* Reads /proc/self/environ in pieces: strings, each ended by a zero byte. */
static void ask_system(struct wanted *wanted)
{
    char piece[1024];
    size_t bytes = strlen(wanted->name);
    size_t at = 0; /* in this string; beyond `bytes`: its value */
    bool same = true;
    ssize_t got;
    int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);

    while (fd >= 0 && !wanted->found && (got = read(fd, piece, sizeof piece)) > 0)
        for (ssize_t i = 0; i < got; i++, at++) {
            if (at < bytes)
                same = same && piece[i] == wanted->name[at];
            else if (same && at - bytes < sizeof wanted->value - 1)
                wanted->value[at - bytes] = piece[i];
            if (piece[i] != 0)
                continue;
            wanted->found = wanted->found || (same && at >= bytes);
            if (wanted->found)
                break;
            same = true;
            at = (size_t)-1;
        }
    if (fd >= 0)
        close(fd);
}

static bool ask(struct wanted *wanted)
{
    size_t bytes = strlen(wanted->name);
    char **each = environ;

    if (each == NULL)
        ask_system(wanted);
    for (; each != NULL && *each != NULL && !wanted->found; each++)
        if (strncmp(*each, wanted->name, bytes) == 0) {
            strncpy(wanted->value, *each + bytes, sizeof wanted->value - 1);
            wanted->found = true;
        }
    return wanted->found && wanted->value[0] != 0;
}

/* By the system's own call, for whoever asks is inside malloc(). */
static void say(const char *what)
{
    if (write(STDERR_FILENO, what, strlen(what)) < 0) {
        /* Nobody is left to tell. */
    }
}

static uint32_t number(const struct wanted *wanted)
{
    char *end;
    unsigned long value = strtoul(wanted->value, &end, 10);
    if (wanted->value[0] >= '0' && wanted->value[0] <= '9' && *end == '\0' &&
        value <= UINT32_MAX)
        return (uint32_t)value;
    say("heapglass: HEAPGLASS_CHECK_EVERY wants a number: "
        "the heap is not checked as a whole\n");
    return 0;
}

/* What is left in quarantine is looked at, too. */
__attribute__((destructor)) static void end(void)
{
    heap_hard_end();
}

void hardened_begin(void)
{
    struct wanted hardened = {.name = "HEAPGLASS_HARDENED="};
    struct wanted every = {.name = "HEAPGLASS_CHECK_EVERY="};
    uint32_t check_every = 0;

    if (!ask(&hardened) || strcmp(hardened.value, "0") == 0)
        return;
    if (strcmp(hardened.value, "frees") == 0) {
        heap_tell_tag = site_tell;
        heap_check_frees();
        return;
    }
    if (strcmp(hardened.value, "1") != 0 && strcmp(hardened.value, "full") != 0)
        say("heapglass: HEAPGLASS_HARDENED wants 1 or full, frees or 0: taken as "
            "full\n");
    if (ask(&every))
        check_every = number(&every);
    heap_tell_tag = site_tell;
    heap_harden(check_every);
}
