/* SPDX-License-Identifier: MIT */
/* keys.h - a hash table that numbers distinct keys of three words, from 0. */
#ifndef HG_ANALYZE_KEYS_H
#define HG_ANALYZE_KEYS_H

#include "base/base.h"

struct key {
    uint32_t word[3];
};

struct keys {
    struct key *at; /* by number; owner reads, keys_put() alone writes */
    uint32_t count;
    uint32_t room;
    uint32_t *slots;
};

/* A zeroed struct keys is an empty one; keys_drop() makes it so again. */
void keys_drop(struct keys *keys);

/* The number of `key`, which is new if it was keys->count before.  Or HG_ENOMEM. */
hg_status keys_put(struct keys *keys, struct key key, uint32_t *number);

#endif
