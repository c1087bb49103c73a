/* SPDX-License-Identifier: MIT */
/*
 * mappings.c - memory that programs take from the system themselves, by mmap.
 *
 * What counts is anonymous and writable when it is mapped: not files, which are no
 * memory of the program's, and not address space that is only reserved.  It counts
 * in whole pages, as long as it is mapped, touched or not.  A part that is unmapped
 * is struck out as a block that is resized is: all of it goes, the rest comes.
 *
 * The C library calls its own mmap for threads' stacks and its own arenas, which is
 * not this one; and what our library maps is passed through.
 */
#include "adapt/native/mappings.h"

#include "adapt/native/accounts.h"
#include "base/lock.h"
#include "base/pages.h"
#include "trace/session.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct mapping {
    uintptr_t begin, end;
    uint32_t tag;
};

/* Disjoint, in the order of addresses; guarded by `lock`, which is also held while
   the system is asked, so that the order is its. */
static struct {
    struct mapping *of;
    size_t count, room;
} known;
static struct lock lock = {.rank = LOCK_MAPPINGS};

enum { PAGE = 4096, FIRST_ROOM = (size_t)4 * PAGE / sizeof(struct mapping) };

/* ------------------------------------------------------------------------- the
 * table
 */

/* The first mapping that ends behind this address. */
static size_t first_behind(uintptr_t address)
{
    size_t low = 0;
    size_t high = known.count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (known.of[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Without the lock: who asks of his own memory knows whether it came first. */
static bool none_known(void)
{
    return __atomic_load_n(&known.count, __ATOMIC_RELAXED) == 0;
}

/* Room for one more. */
static bool grow(void)
{
    if (known.count < known.room)
        return true;
    size_t room = known.room == 0 ? FIRST_ROOM : known.room * 2;
    size_t bytes = room * sizeof *known.of;
    void *at =
        known.room == 0
            ? pages_map(bytes)
            : pages_remap(known.of, known.room * sizeof *known.of, bytes, true);
    if (at == NULL)
        return false;
    known.of = at;
    known.room = room;
    return true;
}

/* Without room it is as if it had not been seen: counted, and not charged. */
static void remember(uintptr_t begin, uintptr_t end, uint32_t tag, bool away)
{
    if (!grow()) {
        if (book.header != NULL)
            __atomic_fetch_add(&book.header->lost.blocks_without_node, 1,
                               __ATOMIC_RELAXED);
        return;
    }
    size_t i = first_behind(begin);
    memmove(known.of + i + 1, known.of + i, (known.count - i) * sizeof *known.of);
    known.of[i] = (struct mapping){begin, end, tag};
    known.count++;
    accounts_add(tag, away, LEDGER_MMAP, end - begin);
}

/* Nothing is mapped there any more.  Whether something was that we knew. */
static bool forget(uintptr_t begin, uintptr_t end, bool away)
{
    bool found = false;

    for (;;) {
        size_t i = first_behind(begin);
        if (i == known.count || known.of[i].begin >= end)
            return found;
        struct mapping old = known.of[i];
        memmove(known.of + i, known.of + i + 1,
                (known.count - i - 1) * sizeof *known.of);
        known.count--;
        accounts_strike(old.tag, away, LEDGER_MMAP, old.end - old.begin);
        if (old.begin < begin)
            remember(old.begin, begin, old.tag, away);
        if (old.end > end)
            remember(end, old.end, old.tag, away);
        found = true;
    }
}

void mappings_walk(void (*count)(void *arg, uint32_t tag, size_t bytes), void *arg)
{
    for (size_t i = 0; i < known.count; i++)
        count(arg, known.of[i].tag, known.of[i].end - known.of[i].begin);
}

void mappings_before_fork(void)
{
    lock_take(&lock);
}

void mappings_after_fork_parent(void)
{
    lock_release(&lock);
}

void mappings_after_fork_child(void)
{
    lock_reset(&lock);
}

void mappings_forked(void)
{
    if (atomic_load_explicit(&lock.word, memory_order_relaxed) != 0)
        known.count = 0;
    lock_reset(&lock);
}

/* -------------------------------------------------------------------- the
 * functions
 */

static void *system_map(void *address, size_t bytes, int protection, int flags,
                        int fd, off_t offset)
{
    return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
}

static uintptr_t page_end(uintptr_t address)
{
    return (address + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
}

static bool is_memory(int protection, int flags)
{
    return (flags & MAP_ANONYMOUS) != 0 && (flags & MAP_NORESERVE) == 0 &&
           (protection & PROT_WRITE) != 0;
}

/* Whether the caller is a function of this library, which the linker tells. */
static bool is_ours(const void *return_address)
{
    /* NOLINTBEGIN(bugprone-reserved-identifier) */
    extern const char __ehdr_start[] HG_HIDDEN;
    extern const char _end[] HG_HIDDEN;
    /* NOLINTEND(bugprone-reserved-identifier) */
    return (uintptr_t)return_address - (uintptr_t)__ehdr_start <
           (uintptr_t)(_end - __ehdr_start);
}

static HG_NOINLINE void *map(void *address, size_t bytes, int protection, int flags,
                             int fd, off_t offset)
{
    bool counts = is_memory(protection, flags);
    bool replaces = (flags & MAP_FIXED) != 0;

    if ((!counts && !replaces) || is_ours(__builtin_return_address(0)) ||
        !accounts_begin())
        return system_map(address, bytes, protection, flags, fd, offset);
    struct owner owner = accounts_owner(true);
    lock_take(&lock);
    void *start = system_map(address, bytes, protection, flags, fd, offset);
    int saved = errno;
    if (start != MAP_FAILED) {
        uintptr_t begin = (uintptr_t)start;
        uintptr_t end = page_end(begin + bytes);
        if (replaces)
            forget(begin, end, owner.away);
        if (counts && owner.node != LEDGER_NO_NODE)
            remember(begin, end, tag_of(owner.node, 0), owner.away);
    }
    lock_release(&lock);
    accounts_end(true);
    errno = saved;
    return start;
}

/* By these names, whichever of them the C library's header turns mmap() into. */
extern __typeof__(map) exported_mmap __asm__("mmap") EXPORT
    __attribute__((alias("map")));
extern __typeof__(map) exported_mmap64 __asm__("mmap64") EXPORT
    __attribute__((alias("map")));

EXPORT HG_NOINLINE int munmap(void *start, size_t bytes)
{
    if (none_known() || is_ours(__builtin_return_address(0)) || !accounts_begin())
        return (int)syscall(SYS_munmap, start, bytes);
    bool away = accounts_are_away();
    lock_take(&lock);
    int result = (int)syscall(SYS_munmap, start, bytes);
    int saved = errno;
    if (result == 0)
        forget((uintptr_t)start, page_end((uintptr_t)start + bytes), away);
    lock_release(&lock);
    accounts_end(true);
    errno = saved;
    return result;
}

/* A mapping that we know belongs to who resized or moved it. */
EXPORT HG_NOINLINE void *mremap(void *start, size_t old_bytes, size_t bytes,
                                int flags, ...)
{
    void *wanted = NULL;

    if ((flags & MREMAP_FIXED) != 0) {
        va_list list;
        va_start(list, flags);
        wanted = va_arg(list, void *);
        va_end(list);
    }
    if (none_known() || is_ours(__builtin_return_address(0)) || !accounts_begin())
        return (void *)syscall(SYS_mremap, start, old_bytes, bytes, flags, wanted);
    struct owner owner = accounts_owner(true);
    lock_take(&lock);
    void *moved =
        (void *)syscall(SYS_mremap, start, old_bytes, bytes, flags, wanted);
    int saved = errno;
    if (moved != MAP_FAILED) {
        uintptr_t begin = (uintptr_t)moved;
        uintptr_t end = page_end(begin + bytes);
        bool was_known = forget((uintptr_t)start,
                                page_end((uintptr_t)start + old_bytes), owner.away);
        forget(begin, end, owner.away);
        if (was_known && owner.node != LEDGER_NO_NODE)
            remember(begin, end, tag_of(owner.node, 0), owner.away);
    }
    lock_release(&lock);
    accounts_end(true);
    errno = saved;
    return moved;
}
