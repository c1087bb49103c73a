/* SPDX-License-Identifier: MIT */
/* stacks.h - who asks for memory in a program without an interpreter. */
#ifndef HG_ADAPT_NATIVE_STACKS_H
#define HG_ADAPT_NATIVE_STACKS_H

#include <stdbool.h>

/* Before the session: false if stacks cannot be unwound here. */
bool stacks_prepare(void);
/* After it has begun: blocks belong to call stacks from now on. */
void stacks_trace(void);

/* Around fork(); before_fork() comes before all other locks are taken. */
void stacks_before_fork(void);
void stacks_after_fork_parent(void);
void stacks_after_fork_child(void);
/* A child's accounts begin. */
void stacks_forked(void);
/* The program ends: close the accounts. */
void stacks_finish(void);

#endif
