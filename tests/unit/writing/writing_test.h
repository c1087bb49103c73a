/* SPDX-License-Identifier: MIT */
/* writing_test.h - what the tests of the writing side have in common. */
#ifndef HG_TESTS_WRITING_TEST_H
#define HG_TESTS_WRITING_TEST_H

#include "base/base.h"
#include "ledger/reader.h"
#include "ledger/tree.h"
#include "ledger/writer.h"

#include "../sanitized.h"
#include "../suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)
#define ALL_PARTS (LEDGER_PART_ACCOUNTS | LEDGER_PART_TIMELINE)

/* Of the smallest ledger that the writer makes: see make_small_ledger(). */
enum { SMALL_NODES = 1024, SMALL_CODES = 128, SMALL_STRINGS = 16 * 1024 };

/* `name` in the working folder, as an absolute path. */
static inline void path_here(const char *name, char path[PATH_MAX])
{
    ck_assert_ptr_nonnull(getcwd(path, PATH_MAX));
    ck_assert_uint_lt(strlen(path) + 1 + strlen(name), PATH_MAX);
    strcat(strcat(path, "/"), name);
}

static inline hg_status try_ledger(struct ledger *ledger, const char *path,
                                   size_t inherited)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    hg_status status = ledger_init(ledger, fd, path, inherited);
    close(fd);
    return status;
}

static inline void make_ledger(struct ledger *ledger, const char *path)
{
    ck_assert_int_eq(try_ledger(ledger, path, 0), HG_OK);
}

/* Soft limits only, so that they can be lifted again. */
static inline void limit(int resource, rlim_t bytes)
{
    struct rlimit r;
    ck_assert_int_eq(getrlimit(resource, &r), 0);
    r.rlim_cur = bytes < r.rlim_max ? bytes : r.rlim_max;
    ck_assert_int_eq(setrlimit(resource, &r), 0);
}

static inline void make_small_ledger(struct ledger *ledger, const char *path,
                                     size_t inherited)
{
    limit(RLIMIT_FSIZE, 420 * KIB);
    hg_status status = try_ledger(ledger, path, inherited);
    limit(RLIMIT_FSIZE, RLIM_INFINITY);
    ck_assert_int_eq(status, HG_OK);
    ck_assert_uint_eq(ledger->header->section[LEDGER_NODES].capacity, SMALL_NODES);
    ck_assert_uint_eq(ledger->header->section[LEDGER_CODES].capacity, SMALL_CODES);
    ck_assert_uint_eq(ledger->header->section[LEDGER_STRINGS].capacity,
                      SMALL_STRINGS);
}

static inline struct ledger_copy *read_ledger(const char *path)
{
    struct ledger_copy *copy = NULL;
    struct ledger_fault fault = {0, ""};
    hg_status status = ledger_copy_read(path, ALL_PARTS, &copy, &fault);
    ck_assert_msg(status == HG_OK, "%s %s", path, fault.what);
    return copy;
}

static inline off_t size_of(const char *path)
{
    struct stat file;
    ck_assert_int_eq(stat(path, &file), 0);
    return file.st_size;
}

static inline void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* The file has exactly this text in it. */
static inline void ck_assert_file(const char *path, const char *text)
{
    char found[256] = "";
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    found[fread(found, 1, sizeof found - 1, file)] = 0;
    fclose(file);
    ck_assert_str_eq(found, text);
}

static inline void ends_well(pid_t child)
{
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

#endif
