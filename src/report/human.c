/* SPDX-License-Identifier: MIT */
/* human.c - see human.h */
#include "report/human.h"

#include <stddef.h>
#include <stdio.h>

const char *human_size(char into[HUMAN_BYTES], uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(into, HUMAN_BYTES, "%u B", (unsigned)bytes);
        return into;
    }
    double size = (double)bytes / 1024;
    size_t unit = 0;
    /* 1023.95 would be printed as 1024.0: that is one of the next unit. */
    while (size >= 1023.95 && unit + 1 < sizeof units / sizeof *units) {
        size /= 1024;
        unit++;
    }
    snprintf(into, HUMAN_BYTES, "%.1f %s", size, units[unit]);
    return into;
}

const char *human_count(char into[HUMAN_BYTES], uint64_t count)
{
    char digits[HUMAN_BYTES];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    char *to = into;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return into;
}

const char *human_short_count(char into[HUMAN_BYTES], uint64_t count)
{
    static const char units[] = "MGTPE";
    if (count < 10000000)
        return human_count(into, count);
    double value = (double)count / 1e6;
    size_t unit = 0;
    while (value >= 9999.5 && unit + 1 < sizeof units - 1) {
        value /= 1000;
        unit++;
    }
    snprintf(into, HUMAN_BYTES, "%.1f %c", value, units[unit]);
    return into;
}

#define SECOND_NS 1000000000u
#define MINUTE UINT64_C(60) /* in seconds */
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

const char *human_duration(char into[HUMAN_BYTES], uint64_t ns)
{
    uint64_t s = ns / SECOND_NS;
    if (s < 10)
        snprintf(into, HUMAN_BYTES, "%.2f s", (double)ns / SECOND_NS);
    else if (s < MINUTE)
        snprintf(into, HUMAN_BYTES, "%.1f s", (double)ns / SECOND_NS);
    else if (s < HOUR)
        snprintf(into, HUMAN_BYTES, "%u min %u s", (unsigned)(s / MINUTE),
                 (unsigned)(s % MINUTE));
    else if (s < DAY)
        snprintf(into, HUMAN_BYTES, "%u h %u min", (unsigned)(s / HOUR),
                 (unsigned)(s % HOUR / MINUTE));
    else
        snprintf(into, HUMAN_BYTES, "%u d %u h", (unsigned)(s / DAY),
                 (unsigned)(s % DAY / HOUR));
    return into;
}

const char *human_pause(char into[HUMAN_BYTES], uint64_t ns)
{
    static const char *const units[] = {"us", "ms", "s"};
    double value = (double)ns / 1e3;
    size_t unit = 0;
    while (value >= 999.5 && unit < 2) {
        value /= 1000;
        unit++;
    }
    int digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(into, HUMAN_BYTES, "%.*f %s", digits, value, units[unit]);
    return into;
}

const char *human_age(char into[HUMAN_BYTES], uint64_t ns)
{
    uint64_t s = ns / SECOND_NS;
    if (s < MINUTE)
        snprintf(into, HUMAN_BYTES, "%u s", (unsigned)s);
    else if (s < HOUR)
        snprintf(into, HUMAN_BYTES, "%u min", (unsigned)(s / MINUTE));
    else if (s < DAY)
        snprintf(into, HUMAN_BYTES, "%u h", (unsigned)(s / HOUR));
    else
        snprintf(into, HUMAN_BYTES, "%u d", (unsigned)(s / DAY));
    return into;
}
