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

const char *human_duration(char into[HUMAN_BYTES], uint64_t ns)
{
    uint64_t s = ns / SECOND_NS;
    unsigned long long minutes = s / 60;
    if (s < 10)
        snprintf(into, HUMAN_BYTES, "%.2f s", (double)ns / SECOND_NS);
    else if (s < 60)
        snprintf(into, HUMAN_BYTES, "%.1f s", (double)ns / SECOND_NS);
    else if (minutes < 60)
        snprintf(into, HUMAN_BYTES, "%llu min %u s", minutes, (unsigned)(s % 60));
    else if (minutes < 24 * 60)
        snprintf(into, HUMAN_BYTES, "%llu h %u min", minutes / 60,
                 (unsigned)(minutes % 60));
    else
        snprintf(into, HUMAN_BYTES, "%llu d %u h", minutes / (24 * 60),
                 (unsigned)(minutes / 60 % 24));
    return into;
}

const char *human_age(char into[HUMAN_BYTES], uint64_t ns)
{
    unsigned long long s = ns / SECOND_NS;
    if (s < 60)
        snprintf(into, HUMAN_BYTES, "%llu s", s);
    else if (s < 60 * 60)
        snprintf(into, HUMAN_BYTES, "%llu min", s / 60);
    else if (s < 24 * 60 * 60)
        snprintf(into, HUMAN_BYTES, "%llu h", s / (60 * 60));
    else
        snprintf(into, HUMAN_BYTES, "%llu d", s / (24 * 60 * 60));
    return into;
}
