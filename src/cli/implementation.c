/* SPDX-License-Identifier: MIT */
/*
 * implementation.c - see implementation.h
 *
 * The table of strings that the dynamic linker uses has the names of all symbols
 * that a program exports and of all libraries that it needs: an interpreter gives
 * itself away there, whether its library is linked into it or stands beside it.
 */
#include "cli/implementation.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* CPython's, with all that it exports, has some 100 KiB. */
#define STRINGS_MAX ((size_t)8 << 20)

#define IS_PYPY "is PyPy, whose objects lie in a heap of its own"
#define IS_FREE_THREADED                                                           \
    "is a free-threaded CPython, whose memory manager cannot be replaced"

struct strings {
    char *at; /* owned; begins with a NUL, as the format has it */
    size_t bytes;
};

static bool read_whole(int fd, void *into, size_t bytes, uint64_t offset)
{
    return pread(fd, into, bytes, (off_t)offset) == (ssize_t)bytes;
}

/* Part `i` of the program, of a header whose parts have the size we know. */
static bool read_part(int fd, const Elf64_Ehdr *header, unsigned i,
                      Elf64_Phdr *part)
{
    return read_whole(fd, part, sizeof *part, header->e_phoff + i * sizeof *part);
}

/* Where in the file the byte is that will be at `address`; 0: nowhere. */
static uint64_t offset_of(int fd, const Elf64_Ehdr *header, uint64_t address)
{
    Elf64_Phdr part;

    for (unsigned i = 0; i < header->e_phnum && read_part(fd, header, i, &part);
         i++)
        if (part.p_type == PT_LOAD && address - part.p_vaddr < part.p_filesz)
            return address - part.p_vaddr + part.p_offset;
    return 0;
}

/* The entry of that tag in the table at `part`; 0: there is none. */
static uint64_t dynamic_value(int fd, const Elf64_Phdr *part, Elf64_Sxword tag)
{
    Elf64_Dyn entry;

    for (uint64_t at = 0; at + sizeof entry <= part->p_filesz; at += sizeof entry) {
        if (!read_whole(fd, &entry, sizeof entry, part->p_offset + at) ||
            entry.d_tag == DT_NULL)
            return 0;
        if (entry.d_tag == tag)
            return entry.d_un.d_val;
    }
    return 0;
}

static struct strings strings_read(int fd, const Elf64_Ehdr *header)
{
    struct strings none = {NULL, 0};
    Elf64_Phdr part;
    unsigned i = 0;

    do {
        if (i == header->e_phnum || !read_part(fd, header, i, &part))
            return none;
        i++;
    } while (part.p_type != PT_DYNAMIC);
    size_t bytes = dynamic_value(fd, &part, DT_STRSZ);
    uint64_t offset = offset_of(fd, header, dynamic_value(fd, &part, DT_STRTAB));
    if (bytes == 0 || bytes > STRINGS_MAX || offset == 0)
        return none;
    char *at = malloc(bytes);
    if (at == NULL || !read_whole(fd, at, bytes, offset)) {
        free(at);
        return none;
    }
    return (struct strings){at, bytes};
}

/* The first string that begins so; NULL: none does. */
static const char *find_begin(struct strings strings, const char *begin)
{
    size_t bytes = strlen(begin);

    /* Never at the very beginning, where the format has a NUL. */
    for (const char *at = strings.at; at != NULL;) {
        size_t left = strings.bytes - (size_t)(at - strings.at);
        at = memmem(at, left, begin, bytes);
        if (at == NULL || (at > strings.at && at[-1] == '\0'))
            return at;
        at++;
    }
    return NULL;
}

/* libpython3.13t.so.1.0, libpython3.14td.so */
static bool needs_free_threaded(struct strings strings)
{
    const char *name = find_begin(strings, "libpython3.");

    if (name == NULL)
        return false;
    size_t left = strings.bytes - (size_t)(name - strings.at);
    size_t digits = strspn(name + strlen("libpython3."), "0123456789");
    size_t suffix = strlen("libpython3.") + digits;
    return suffix < left && name[suffix] == 't';
}

static const char *by_strings(struct strings strings)
{
    if (find_begin(strings, "libpypy") != NULL ||
        find_begin(strings, "pypy_execute_source") != NULL)
        return IS_PYPY;
    if (find_begin(strings, "_Py_MergeZeroLocalRefcount") != NULL ||
        needs_free_threaded(strings))
        return IS_FREE_THREADED;
    if (find_begin(strings, "libpython2.") != NULL ||
        (find_begin(strings, "PyString_FromString") != NULL &&
         find_begin(strings, "Py_Main") != NULL))
        return "is Python 2, which lets nobody replace its memory manager";
    return NULL;
}

/* Those that name nothing in their files. */
static const char *by_name(const char *path)
{
    static const struct {
        const char *name;
        const char *what;
    } others[] = {
        {"graalpy", "is GraalPy, whose objects lie in Java's heap"},
        {"jython", "is Jython, whose objects lie in Java's heap"},
        {"micropython", "is MicroPython, whose objects lie in a heap of its own"},
    };
    char real[PATH_MAX];

    if (realpath(path, real) == NULL)
        return NULL;
    const char *base = strrchr(real, '/') + 1;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t bytes = strlen(others[i].name);
        if (strncmp(base, others[i].name, bytes) == 0 &&
            strspn(base + bytes, "0123456789.-") == strlen(base + bytes))
            return others[i].what;
    }
    return NULL;
}

const char *implementation_unwatched(const char *path, int fd,
                                     const Elf64_Ehdr *header)
{
    struct strings strings = strings_read(fd, header);
    const char *what = NULL;

    if (strings.at != NULL) {
        strings.at[strings.bytes - 1] = '\0';
        what = by_strings(strings);
    }
    free(strings.at);
    return what != NULL ? what : by_name(path);
}
