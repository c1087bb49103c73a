/* SPDX-License-Identifier: MIT */
/* timeline.h - memory over time, sampled on slow paths only. */
#ifndef HG_TRACE_TIMELINE_H
#define HG_TRACE_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

/* The session has begun: take the first sample. */
void timeline_start(void);

/*
 * Take a sample if the last one is old enough.  Costs one reading of the coarse
 * clock when it is not.  Any thread, no lock held; a thread that finds another at
 * it leaves.
 */
void timeline_tick(void);

/* Take a sample now: the program ends. */
void timeline_finish(void);

#endif
