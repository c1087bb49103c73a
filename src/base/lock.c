/* SPDX-License-Identifier: MIT */
/*
 * lock.c - a futex with three states; never allocates.
 *
 * pthread_mutex_t would do, but for programs that wrap it, and in those whose
 * wrappers allocate it would end in recursion.
 */
#include "base/lock.h"
#include "base/base.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#if HG_CHECK >= 1
static __thread unsigned ranks_held __attribute__((tls_model("initial-exec")));

static void note_taken(const struct lock *lock)
{
    ranks_held |= 1u << lock->rank;
}

static void note_released(const struct lock *lock)
{
    HG_ASSERT(ranks_held & 1u << lock->rank);
    ranks_held &= ~(1u << lock->rank);
}
#else
static inline void note_taken(const struct lock *lock)
{
    (void)lock;
}

static inline void note_released(const struct lock *lock)
{
    (void)lock;
}
#endif

__thread bool lock_holds_all;

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void wait_while_held(struct lock *lock)
{
    int saved = errno;
    /* Acquire pairs with the release in lock_release(), here and below. */
    while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
        syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
    errno = saved;
}

static bool word_take(struct lock *lock)
{
    uint32_t unlocked = 0;
    return atomic_compare_exchange_strong_explicit(
        &lock->word, &unlocked, 1, memory_order_acquire, memory_order_relaxed);
}

void lock_take(struct lock *lock)
{
    if (HG_UNLIKELY(lock_holds_all))
        return;
#if HG_CHECK >= 1
    HG_ASSERT(ranks_held >> lock->rank == 0);
#endif
    if (HG_UNLIKELY(!word_take(lock))) {
        /* Sections are short: a look at arenas, no system call as a rule. */
        int tries = 100;
        while (tries > 0 &&
               atomic_load_explicit(&lock->word, memory_order_relaxed) != 0) {
            pause_briefly();
            tries--;
        }
        wait_while_held(lock);
    }
    note_taken(lock);
}

bool lock_try(struct lock *lock)
{
    if (HG_UNLIKELY(lock_holds_all))
        return true;
    bool taken = word_take(lock);
    if (taken)
        note_taken(lock);
    return taken;
}

void lock_release(struct lock *lock)
{
    if (HG_UNLIKELY(lock_holds_all))
        return;
    note_released(lock);
    if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2) {
        int saved = errno;
        syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        errno = saved;
    }
}

void lock_reset(struct lock *lock)
{
    lock_holds_all = false;
#if HG_CHECK >= 1
    ranks_held &= ~(1u << lock->rank); /* others may be held */
#endif
    atomic_store_explicit(&lock->word, 0, memory_order_relaxed);
}
