/* SPDX-License-Identifier: MIT */
/* human.h - numbers as people read them. */
#ifndef HG_REPORT_HUMAN_H
#define HG_REPORT_HUMAN_H

#include <stdint.h>

/* Room for every text below, with its zero. */
#define HUMAN_BYTES 32

/* "0 B", "1023 B", "1.0 KiB", "48.2 MiB"; at most 10 characters up to 999 TiB. */
const char *human_size(char into[HUMAN_BYTES], uint64_t bytes);

/* "1,234,567" */
const char *human_count(char into[HUMAN_BYTES], uint64_t count);

/* The same up to 9,999,999, then "12.3 M": at most 9 characters. */
const char *human_short_count(char into[HUMAN_BYTES], uint64_t count);

/* "0.25 s", "12.4 s", "3 min 20 s", "2 h 5 min", "3 d 4 h" */
const char *human_duration(char into[HUMAN_BYTES], uint64_t ns);

/* Of a moment: "0.8 us", "12 us", "1.23 ms", "574 ms", "1.05 s"; at most 8
   characters below three hours. */
const char *human_pause(char into[HUMAN_BYTES], uint64_t ns);

/* The same in one unit, for narrow columns: "12 s", "3 min", "2 h", "3 d". */
const char *human_age(char into[HUMAN_BYTES], uint64_t ns);

#endif
