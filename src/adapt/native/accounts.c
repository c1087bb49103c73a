/* SPDX-License-Identifier: MIT */
#include "adapt/native/accounts.h"

#include "adapt/native/hardened.h"

#include "trace/session.h"
#include "trace/shares.h"
#include "trace/site.h"

#include <unistd.h>

_Atomic int native_mode_now;

static const struct native_tracer *tracer; /* set before the mode is TRACED */
static __thread bool inside __attribute__((tls_model("initial-exec")));

static void set_mode(enum native_mode now)
{
    atomic_store_explicit(&native_mode_now, now, memory_order_relaxed);
}

/* The program is not to be watched, or malloc is not. */
static enum native_mode mode_unwatched(void)
{
    bool wanted = heap_hardened || heap_frees_checked;
    return wanted && session.config.native ? NATIVE_PLAIN : NATIVE_OFF;
}

void native_begin(void)
{
    if (native_mode() != NATIVE_UNDECIDED)
        return;
    hardened_begin();
    /* Before the C library has an environment, tags do no harm. */
    enum native_mode first = NATIVE_EARLY;
    if (environ != NULL && !session_configure())
        first = NATIVE_PLAIN;
    else if (environ != NULL && (!session.config.native ||
                                 session.config.mode == LEDGER_MODE_UNTRACED))
        first = mode_unwatched();
    if (first == NATIVE_EARLY) {
        heap_keep_tags();
        heap_tell_tag = site_tell;
    }
    set_mode(first);
}

void native_trace(const struct native_tracer *with)
{
    if (native_mode() != NATIVE_EARLY)
        return;
    tracer = with;
    set_mode(NATIVE_TRACED);
}

void native_untrace(void)
{
    if (native_mode() == NATIVE_TRACED)
        set_mode(NATIVE_PLAIN);
}

void native_leave(void)
{
    if (native_mode() != NATIVE_UNDECIDED)
        set_mode(mode_unwatched());
}

bool accounts_begin(void)
{
    if (native_mode() != NATIVE_TRACED || inside)
        return false;
    inside = true;
    return true;
}

void accounts_end(bool begun)
{
    if (!begun)
        return;
    if (tracer->leave != NULL)
        tracer->leave();
    inside = false;
}

struct owner accounts_owner(bool begun)
{
    return begun ? tracer->owner() : (struct owner){.node = LEDGER_NO_NODE};
}

bool accounts_are_away(void)
{
    bool away = tracer->is_away();
    if (!away && book.nodes == NULL)
        session_awake();
    return away;
}

void accounts_add(uint32_t tag, bool away, enum ledger_domain domain, size_t bytes)
{
    if (book.nodes == NULL || tag_node(tag) == LEDGER_NO_NODE)
        return;
    if (shares_on) {
        shares_allocated(tracer->share(), tag, domain, bytes);
    } else if (away) {
        book_away(tag_node(tag), domain, false, bytes);
    } else {
        book_watch_epochs();
        book_allocated(tag, domain, bytes);
    }
}

bool accounts_kept(uint32_t tag, void *block, size_t bytes)
{
    return HG_UNLIKELY((tag & TAG_WATCHED) != 0) && book.nodes != NULL &&
           tracer->died(block, bytes);
}

void accounts_strike(uint32_t tag, bool away, enum ledger_domain domain,
                     size_t bytes)
{
    if (book.nodes == NULL || tag_node(tag) == LEDGER_NO_NODE)
        return;
    if (shares_on) {
        shares_freed(tracer->share(), tag, domain, bytes);
        return;
    }
    if (away) {
        book_away(tag_node(tag), domain, true, bytes);
        return;
    }
    if (book_has_away())
        book_take_over();
    book_freed(tag, domain, bytes);
}
