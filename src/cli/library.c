/* SPDX-License-Identifier: MIT */
/* library.c - see library.h */
#include "cli/library.h"

#include "cli/command.h"
#include "cli/store.h"
#include "ledger/layout.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "libheapglass-preload.so"
#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#else
#define MULTIARCH "."
#endif

/* Where the library is, from the folder of the executable. */
static const char *const places[] = {
    "/" NAME,
    "/../lib/heapglass/" NAME,
    "/../lib/" MULTIARCH "/heapglass/" NAME,
    "/../lib64/heapglass/" NAME,
};

static bool find_beside_us(char path[PATH_MAX])
{
    char folder[PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (bytes <= 0) {
        say("/proc/self/exe",
            "cannot be read: %s; name the library with "
            "HEAPGLASS_PRELOAD",
            strerror(errno));
        return false;
    }
    folder[bytes] = '\0';
    *strrchr(folder, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char candidate[PATH_MAX + 64];
        snprintf(candidate, sizeof candidate, "%s%s", folder, places[i]);
        if (access(candidate, R_OK) == 0 && realpath(candidate, path) != NULL)
            return true;
    }
    say(NAME,
        "is neither in %s nor in ../lib/heapglass; build or install heapglass, or "
        "name it with HEAPGLASS_PRELOAD",
        folder);
    return false;
}

static bool find_named(const char *name, char path[PATH_MAX])
{
    if (access(name, R_OK) == 0 && realpath(name, path) != NULL)
        return true;
    say(name,
        "cannot be read: %s; let HEAPGLASS_PRELOAD name " NAME ", or unset it",
        strerror(errno));
    return false;
}

/* ld.so splits LD_PRELOAD at spaces and colons and replaces what begins with $. */
static bool can_be_preloaded(const char *path)
{
    return strpbrk(path, " \t\n:;$") == NULL;
}

/* Let `link` point to `target`, whatever it was; others may do the same now. */
static bool make_link(const char *target, const char *link)
{
    char there[PATH_MAX];
    char fresh[PATH_MAX + 32];
    ssize_t bytes = readlink(link, there, sizeof there - 1);
    if (bytes > 0) {
        there[bytes] = '\0';
        if (strcmp(there, target) == 0)
            return true;
    }
    snprintf(fresh, sizeof fresh, "%s.%d", link, (int)getpid());
    if (symlink(target, fresh) != 0)
        return false;
    if (rename(fresh, link) == 0)
        return true;
    unlink(fresh);
    return false;
}

static bool go_by_link(char path[PATH_MAX])
{
    char link[PATH_MAX];
    struct stat st;
    char *folder = find_folder();
    if (folder == NULL || stat(path, &st) != 0 || !store_prepare(folder)) {
        free(folder);
        return false;
    }
    int length = snprintf(link, sizeof link, "%s/lib-%llu.so", folder,
                          (unsigned long long)st.st_ino);
    free(folder);
    if (length >= (int)sizeof link || link[0] != '/' || !can_be_preloaded(link) ||
        !make_link(path, link)) {
        say(path,
            "has a space, a colon or a dollar in its path, which LD_PRELOAD cannot "
            "hold, and %s cannot be a link to it; install heapglass elsewhere",
            link);
        return false;
    }
    memcpy(path, link, sizeof link);
    return true;
}

/* Whether all that the loader would map is in the file: a file that was cut, by an
   installation on a full disk, kills the program that loads it. */
static bool is_whole(const unsigned char *file, size_t bytes)
{
    Elf64_Ehdr header;
    if (bytes < sizeof header)
        return false;
    memcpy(&header, file, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_DYN ||
        header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff > bytes ||
        header.e_phnum * sizeof(Elf64_Phdr) > bytes - header.e_phoff)
        return false;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr part;
        memcpy(&part, file + header.e_phoff + i * sizeof part, sizeof part);
        if (part.p_offset > bytes || part.p_filesz > bytes - part.p_offset)
            return false;
    }
    return true;
}

/* ld.so only grumbles about a library that it cannot load, and the program runs as
   if it were watched; so look at it first. */
static bool is_ours(const char *path)
{
    static const char mark[] = LEDGER_WRITER_MARK;
    struct stat st;
    bool ours = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
        st.st_size < 64 << 20) {
        size_t bytes = (size_t)st.st_size;
        unsigned char *file = malloc(bytes);
        ours = file != NULL && pread(fd, file, bytes, 0) == (ssize_t)bytes &&
               is_whole(file, bytes) &&
               memmem(file, bytes, mark, sizeof mark) != NULL;
        free(file);
    }
    if (fd >= 0)
        close(fd);
    if (!ours)
        say(path, "is not this version's " NAME ", or not all of it; build or "
                  "install heapglass again, or name the library with "
                  "HEAPGLASS_PRELOAD");
    return ours;
}

bool library_find(char path[PATH_MAX])
{
    const char *name = getenv("HEAPGLASS_PRELOAD");
    bool named = name != NULL && name[0] != '\0';
    if (!(named ? find_named(name, path) : find_beside_us(path)) || !is_ours(path))
        return false;
    return can_be_preloaded(path) || go_by_link(path);
}

/* Is `path` one of the names in LD_PRELOAD? */
static bool is_listed(const char *list, const char *path)
{
    size_t bytes = strlen(path);
    while (*list != '\0') {
        size_t name = strcspn(list, " :");
        if (name == bytes && memcmp(list, path, bytes) == 0)
            return true;
        list += name;
        list += strspn(list, " :");
    }
    return false;
}

bool library_preload(const char *path)
{
    const char *before = getenv("LD_PRELOAD");
    char *value;
    if (before != NULL && is_listed(before, path))
        return true;
    bool alone = before == NULL || before[0] == '\0';
    int bytes =
        asprintf(&value, "%s%s%s", alone ? "" : before, alone ? "" : ":", path);
    if (bytes < 0 || setenv("LD_PRELOAD", value, 1) != 0) {
        say("LD_PRELOAD", "cannot be set: %s", strerror(errno));
        return false;
    }
    free(value);
    return true;
}
