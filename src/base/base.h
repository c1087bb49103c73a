/* SPDX-License-Identifier: MIT */
/* base.h - assertions, attributes and status codes that every room uses. */
#ifndef HG_BASE_BASE_H
#define HG_BASE_BASE_H

#include "heapglass/status.h"

#include <stddef.h>
#include <stdint.h>

#define HG_LIKELY(x) __builtin_expect(!!(x), 1)
#define HG_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HG_COLD __attribute__((noinline, cold))
#define HG_NOINLINE __attribute__((noinline))
/* For variables of hot paths: reached without a detour by the global offset table.
 */
#define HG_HIDDEN __attribute__((visibility("hidden")))
#define HG_ALWAYS_INLINE static inline __attribute__((always_inline))

/* Reads what another thread may be changing, and can do with anything it finds. */
#define HG_RACY __attribute__((no_sanitize("thread")))

/* Let the compiler take a value as it is, and not split it into what it was made
 * of. */
#define HG_OPAQUE(value) __asm__("" : "+r"(value))

/*
 * Print "heapglass: MESSAGE: ADDRESS" to standard error with write(2), and abort.
 * For corruption that must not spread; may run inside malloc.
 */
_Noreturn void base_panic(const char *message, const void *address) HG_COLD;

#define HG_VERIFY(truth, message, address)                                         \
    do {                                                                           \
        if (HG_UNLIKELY(!(truth)))                                                 \
            base_panic(message, address);                                          \
    } while (0)

#if HG_CHECK >= 1
#define HG_ASSERT(truth) HG_VERIFY(truth, "assertion failed: " #truth, NULL)
#else
#define HG_ASSERT(truth) ((void)0)
#endif

#endif
