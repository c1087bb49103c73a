/* SPDX-License-Identifier: MIT */
/* requests.h - what others ask of this program, by its ledger. */
#ifndef HG_TRACE_REQUESTS_H
#define HG_TRACE_REQUESTS_H

#include "base/base.h"
#include "trace/book.h"

#include <stdbool.h>

void requests_take(void) HG_COLD;

/* To be called now and then: costs a load.  Any thread that may call the adapter's
   asked(), which holds no lock of ours. */
HG_ALWAYS_INLINE void requests_look(void)
{
    if (HG_UNLIKELY(book.header != NULL && book.header->request.bell != 0))
        requests_take();
}

/* At a safe point: what is asked for, an or of enum ledger_request_what; 0:
 * nothing. */
uint32_t requests_begin(void);

/* It is done. */
void requests_answer(const struct ledger_answer *answer);

#endif
