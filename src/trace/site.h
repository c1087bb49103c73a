/* SPDX-License-Identifier: MIT */
/* site.h - who asked for a block, in words, for the last ones of a program. */
#ifndef HG_TRACE_SITE_H
#define HG_TRACE_SITE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Where a block with this tag was asked for: "app.py:12 in parse", or of a program
 * in C "/usr/bin/tool+0x12ab"; at `depth` 1 the caller, and so on.  Returns bytes;
 * 0: there is no more, or nothing is known.  Takes no lock and no memory; names may
 * be cut off at `room`.
 */
size_t site_tell(uint32_t tag, unsigned depth, char *out, size_t room);

#endif
