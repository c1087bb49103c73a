/* SPDX-License-Identifier: MIT */
/* status.h - what functions of the library return that can fail. */
#ifndef HEAPGLASS_STATUS_H
#define HEAPGLASS_STATUS_H

/* Results of everything that can fail and is not an allocator: 0 or one of these.
 */
enum {
    HG_OK = 0,
    HG_ENOMEM = -1,
    HG_EIO = -2,      /* errno tells */
    HG_ECORRUPT = -3, /* a file is not what it says it is */
    HG_EVERSION = -4, /* a ledger of another version */
    HG_EFULL = -5,    /* a bounded table is full */
    HG_EBUSY = -6,
    HG_EINVAL = -7,
    HG_ENOTSUP = -8,
};
typedef int hg_status;

#endif
