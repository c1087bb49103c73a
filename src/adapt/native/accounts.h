/* SPDX-License-Identifier: MIT */
/* accounts.h - how functions of the C library's names write down what they do. */
#ifndef HG_ADAPT_NATIVE_ACCOUNTS_H
#define HG_ADAPT_NATIVE_ACCOUNTS_H

#include "adapt/native/native.h"

#include <stdatomic.h>

/* Set before threads start, but by the first call, and by the end of the accounts:
   relaxed, for every mode understands the blocks of every other. */
extern _Atomic int native_mode_now HG_HIDDEN;

static inline enum native_mode native_mode(void)
{
    return (enum native_mode)atomic_load_explicit(&native_mode_now,
                                                  memory_order_relaxed);
}

/* Whether what this thread does until accounts_end() is to be written down: not
   what our accounts themselves cause. */
bool accounts_begin(void);
void accounts_end(bool begun);

/* Who asks; nobody where nothing was begun.  No lock of ours may be held. */
struct owner accounts_owner(bool begun);
/* The same for who only frees: whether he does not write the nodes. */
bool accounts_are_away(void);

/* Memory with this tag, in this domain, came or goes. */
void accounts_add(uint32_t tag, bool away, enum ledger_domain domain, size_t bytes);
void accounts_strike(uint32_t tag, bool away, enum ledger_domain domain,
                     size_t bytes);

/* Whether the tracer keeps a block that was struck out. */
bool accounts_kept(uint32_t tag, void *block, size_t bytes);

#endif
