/* SPDX-License-Identifier: MIT */
/* pages.c - the only place that calls mmap and its relatives for the heap. */
#include "base/pages.h"
#include "base/base.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#ifdef HG_FAULTS
#include <stdatomic.h>

static _Atomic long fail_in = -1; /* mappings until the next failure; < 0: never */
static _Atomic unsigned fail_every;
static _Atomic unsigned failed;

void pages_fail(unsigned after, unsigned every)
{
    failed = 0;
    fail_every = every;
    fail_in = (long)after;
}

unsigned pages_fail_never(void)
{
    fail_in = -1;
    return failed;
}

static bool fault(void)
{
    if (fail_in < 0)
        return false;
    if (atomic_fetch_sub(&fail_in, 1) > 0)
        return false;
    fail_in = fail_every == 0 ? -1 : (long)fail_every - 1;
    failed++;
    errno = ENOMEM;
    return true;
}
#else
static inline bool fault(void)
{
    return false;
}
#endif

void *pages_map(size_t bytes)
{
    if (fault())
        return NULL;
    /* Not MAP_NORESERVE: the system would grant what it can never back, and the
       program be killed where it expects to be refused. */
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return start == MAP_FAILED ? NULL : start;
}

static enum pages_result map_at(uintptr_t address, size_t bytes, int protection)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    if (protection == PROT_NONE)
        flags |= MAP_NORESERVE;
    void *start = mmap((void *)address, bytes, protection, flags, -1, 0);
    if (start == MAP_FAILED)
        return errno == EEXIST ? PAGES_TAKEN : PAGES_NONE;
    if ((uintptr_t)start != address) {
        /* A kernel before 4.17 takes the address as a wish. */
        munmap(start, bytes);
        return PAGES_TAKEN;
    }
    return PAGES_OK;
}

enum pages_result pages_map_at(uintptr_t address, size_t bytes)
{
    return fault() ? PAGES_NONE : map_at(address, bytes, PROT_READ | PROT_WRITE);
}

bool pages_vacant(uintptr_t address, size_t bytes)
{
    int saved = errno;
    enum pages_result result = map_at(address, bytes, PROT_NONE);
    if (result == PAGES_OK)
        munmap((void *)address, bytes);
    errno = saved;
    return result != PAGES_TAKEN;
}

void pages_unmap(void *start, size_t bytes)
{
    int saved = errno;
    munmap(start, bytes);
    errno = saved;
}

bool pages_discard(void *start, size_t bytes)
{
    int saved = errno;
    bool done = madvise(start, bytes, MADV_DONTNEED) == 0;
    errno = saved;
    return done;
}

void *pages_remap(void *start, size_t old_bytes, size_t bytes, bool may_move)
{
    if (bytes > old_bytes && fault())
        return NULL;
    void *moved = mremap(start, old_bytes, bytes, may_move ? MREMAP_MAYMOVE : 0);
    return moved == MAP_FAILED ? NULL : moved;
}

bool pages_limited(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}
