/* SPDX-License-Identifier: MIT */
/* family.h - the files of one run: FILE, FILE.PID of its children, FILE.PID.N of
 * old execs. */
#ifndef HG_LEDGER_FAMILY_H
#define HG_LEDGER_FAMILY_H

#include "base/base.h"

#include <stdbool.h>
#include <stddef.h>

/* The paths of a family that exist: FILE first, then in the order of their numbers.
 */
struct family {
    char **paths;
    size_t count;
};

/*
 * Is `name` `stem` or one of its family, ".<digits>" or ".<digits>.<digits>"
 * appended?  Both without a folder.
 */
bool family_has_name(const char *stem, const char *name);

/* The length of the FILE that `name` belongs to: "a.hg.12.1" -> 4. */
size_t family_stem_bytes(const char *name);

/*
 * Find the files of the family of `file`.  An empty family is no error: *family
 * then has count 0.  HG_ENOMEM, or HG_EIO (errno) if the folder cannot be read.
 * The caller owns what is in *family and gives it back with family_drop().
 */
hg_status family_find(const char *file, struct family *family);

void family_drop(struct family *family);

#endif
