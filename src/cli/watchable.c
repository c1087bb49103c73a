/* SPDX-License-Identifier: MIT */
/* watchable.c - see watchable.h */
#include "cli/watchable.h"

#include "cli/command.h"
#include "cli/implementation.h"
#include "cli/program.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#else
#error "which ELF machine is this?"
#endif

#define UNWATCHED "; run it without heapglass"

/* The kernel follows so many interpreters of interpreters. */
#define MAX_INTERPRETERS 5

/* Would the program get rights that its user does not have (AT_SECURE)? */
static bool gains_rights(const char *path, const struct stat *st)
{
    struct statvfs fs;
    if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID) != 0)
        return false;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return false;
    if ((st->st_mode & S_ISUID) != 0 && st->st_uid != getuid())
        return true;
    /* Without the right to execute, the bit marks a file with mandatory locks. */
    if ((st->st_mode & S_ISGID) != 0 && (st->st_mode & S_IXGRP) != 0 &&
        st->st_gid != getgid())
        return true;
    return getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

/* The program that loads this one; empty if it is statically linked. */
static bool read_loader(int fd, const Elf64_Ehdr *header, char loader[PATH_MAX])
{
    loader[0] = '\0';
    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr part;
        off_t at = (off_t)(header->e_phoff + (uint64_t)i * sizeof part);
        if (pread(fd, &part, sizeof part, at) != (ssize_t)sizeof part)
            return false;
        if (part.p_type != PT_INTERP)
            continue;
        size_t bytes =
            part.p_filesz < PATH_MAX ? (size_t)part.p_filesz : PATH_MAX - 1;
        if (pread(fd, loader, bytes, (off_t)part.p_offset) != (ssize_t)bytes)
            return false;
        loader[bytes] = '\0';
        return true;
    }
    return true;
}

static bool check_elf(const char *path, int fd, bool native)
{
    Elf64_Ehdr header;
    char loader[PATH_MAX];
    if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
        return true;
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != OUR_MACHINE) {
        say(path,
            "is a program for another kind of machine than heapglass" UNWATCHED);
        return false;
    }
    if (header.e_phentsize != sizeof(Elf64_Phdr) ||
        !read_loader(fd, &header, loader))
        return true;
    if (loader[0] == '\0') {
        say(path,
            "is statically linked, so nothing can be loaded into it" UNWATCHED);
        return false;
    }
    if (strstr(loader, "ld-musl") != NULL) {
        say(path,
            "uses musl, and heapglass was built for the GNU C library" UNWATCHED);
        return false;
    }
    const char *what = native ? NULL : implementation_unwatched(path, fd, &header);
    if (what != NULL) {
        say(path, "%s" UNWATCHED ", or with --native for what it takes from malloc",
            what);
        return false;
    }
    return true;
}

/*
 * The first word of `line` that is no option and no assignment: the program
 * that "/usr/bin/env -S VAR=value X" looks for.
 */
static char *program_of_env(char *line)
{
    char *rest = NULL;
    for (char *word = strtok_r(line, " \t", &rest); word != NULL;
         word = strtok_r(NULL, " \t", &rest))
        if (word[0] != '-' && strchr(word, '=') == NULL)
            return word;
    return NULL;
}

/* From "#! /usr/bin/env X" to the path of X; false: there is nothing to check. */
static bool find_interpreter(char *line, char path[PATH_MAX])
{
    line[strcspn(line, "\n")] = '\0';
    char *arguments = NULL;
    char *interpreter = strtok_r(line + 2, " \t", &arguments);
    if (interpreter == NULL)
        return false;
    const char *slash = strrchr(interpreter, '/');
    if (strcmp(slash != NULL ? slash + 1 : interpreter, "env") == 0) {
        char *name = arguments != NULL ? program_of_env(arguments) : NULL;
        return name != NULL && program_search(name, path) == 0;
    }
    return snprintf(path, PATH_MAX, "%s", interpreter) < PATH_MAX;
}

static bool check(const char *path, bool native, char next[PATH_MAX])
{
    char begin[256] = "";
    struct stat st;
    bool fine = true;

    next[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return true;
    if (pread(fd, begin, sizeof begin - 1, 0) < 4 || fstat(fd, &st) != 0) {
        close(fd);
        return true;
    }
    if (memcmp(begin, "#!", 2) == 0) {
        if (!find_interpreter(begin, next))
            next[0] = '\0';
    } else if (gains_rights(path, &st)) {
        say(path,
            "runs with other rights than yours (setuid, setgid or capabilities), "
            "so nothing can be loaded into it" UNWATCHED);
        fine = false;
    } else if (memcmp(begin, ELFMAG, SELFMAG) == 0) {
        fine = check_elf(path, fd, native);
    }
    close(fd);
    return fine;
}

bool watchable_check(const char *path, bool native)
{
    char names[2][PATH_MAX];
    snprintf(names[0], sizeof names[0], "%s", path);
    for (int i = 0; i < MAX_INTERPRETERS; i++) {
        if (!check(names[i % 2], native, names[(i + 1) % 2]))
            return false;
        if (names[(i + 1) % 2][0] == '\0')
            return true;
    }
    return true;
}
