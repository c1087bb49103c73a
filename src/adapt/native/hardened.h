/* SPDX-License-Identifier: MIT */
/* hardened.h - whether the heap is to find misuse: asked for by the environment. */
#ifndef HG_ADAPT_NATIVE_HARDENED_H
#define HG_ADAPT_NATIVE_HARDENED_H

/* Before the first block.  HEAPGLASS_HARDENED: anything but "" and "0"; and
   HEAPGLASS_CHECK_EVERY: how often the whole heap is looked at. */
void hardened_begin(void);

#endif
