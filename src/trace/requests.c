/* SPDX-License-Identifier: MIT */
/* requests.c - see requests.h, and layout.h for the order of things. */
#include "trace/requests.h"

#include "trace/session.h"

static uint32_t under_way; /* the number of the request that is served */

void requests_take(void)
{
    struct ledger_request *request = &book.header->request;

    if (session_adapter.asked == NULL)
        return;
    if (__atomic_exchange_n(&request->bell, 0, __ATOMIC_ACQUIRE) == 0)
        return;
    __atomic_store_n(&request->heard, request->asked, __ATOMIC_RELEASE);
    if (!session_adapter.asked())
        __atomic_store_n(&request->bell, 1, __ATOMIC_RELEASE); /* again next time */
}

uint32_t requests_begin(void)
{
    if (book.header == NULL)
        return 0;
    const struct ledger_request *request = &book.header->request;
    under_way = __atomic_load_n(&request->asked, __ATOMIC_ACQUIRE);
    return request->answered != under_way ? request->what : 0;
}

void requests_answer(const struct ledger_answer *answer)
{
    if (book.header == NULL)
        return;
    struct ledger_request *request = &book.header->request;
    request->answer = *answer;
    __atomic_store_n(&request->answered, under_way, __ATOMIC_RELEASE);
}
