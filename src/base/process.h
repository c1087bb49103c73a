/* SPDX-License-Identifier: MIT */
/* process.h - what /proc tells of a process; no stdio, no malloc. */
#ifndef HG_BASE_PROCESS_H
#define HG_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Read at most `bytes` - 1 bytes of a file into `out`, ended by a zero byte.
 * Returns how many, or -1 (errno).  Leaves errno alone when it succeeds.
 */
ssize_t process_read_file(const char *path, char *out, size_t bytes);

/*
 * When a process was started, in clock ticks since boot: with the pid it names a
 * process for as long as the machine is up.  0 when there is no such process, or
 * nothing of it but what its parent has not asked for yet (a zombie).
 */
uint64_t process_start_ticks(pid_t pid);

/* Read this process's own memory where perhaps there is none, or store where
   perhaps nobody may: false instead of a fault. */
bool process_peek(const void *address, void *out, size_t bytes);
bool process_poke(void *address, const void *from, size_t bytes);

/* Has this process one thread?  False when the system does not tell. */
bool process_is_alone(void);

/* The id of this boot, 36 characters; empty when the system does not tell. */
void process_boot_id(char out[40]);

/* Resident bytes of this process; 0 when the system does not tell. */
uint64_t process_rss_bytes(void);

#endif
