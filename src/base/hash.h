/* SPDX-License-Identifier: MIT */
/* hash.h - hashes for tables in memory; the values differ between versions of ours.
 */
#ifndef HG_BASE_HASH_H
#define HG_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Every bit of x decides about every bit of the result (splitmix64's finalizer). */
static inline uint64_t hash_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* FNV-1a, mixed; `bytes` may be NULL if `count` is 0. */
static inline uint64_t hash_bytes(const char *bytes, size_t count)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return hash_mix(hash);
}

#endif
