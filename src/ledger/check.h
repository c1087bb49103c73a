/* SPDX-License-Identifier: MIT */
/* check.h - is this a sound ledger?  For the reader, which trusts no file. */
#ifndef HG_LEDGER_CHECK_H
#define HG_LEDGER_CHECK_H

#include "ledger/reader.h"

/*
 * Is this the header of a ledger of our version, and does a file of
 * `file_bytes` bytes hold everything that it counts?  Bytes beyond the end of
 * the file are zero.  Afterwards every section's `used` fits into 32 bits (that
 * of STRINGS too) and used * record_bytes into the file.
 */
hg_status ledger_check_header(const struct ledger_header *header,
                              uint64_t file_bytes, struct ledger_fault *fault);

/* Does every record of the copy name only what the copy has? */
hg_status ledger_check_records(const struct ledger_copy *copy,
                               struct ledger_fault *fault);

/* Fill *fault with HG_ECORRUPT and these words, and return HG_ECORRUPT. */
hg_status ledger_fail(struct ledger_fault *fault, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
