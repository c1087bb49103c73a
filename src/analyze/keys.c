/* SPDX-License-Identifier: MIT */
/* keys.c - open addressing: slots[] holds number + 1, or 0, at most half of them
 * used. */
#include "analyze/keys.h"

#include "base/hash.h"

#include <stdbool.h>
#include <stdlib.h>

void keys_drop(struct keys *keys)
{
    free(keys->at);
    free(keys->slots);
    *keys = (struct keys){0};
}

static uint64_t hash_key(struct key key)
{
    return hash_mix(((uint64_t)key.word[0] << 32 | key.word[1]) ^
                    hash_mix(key.word[2] + 1));
}

static bool same(struct key a, struct key b)
{
    return a.word[0] == b.word[0] && a.word[1] == b.word[1] &&
           a.word[2] == b.word[2];
}

static uint32_t *find_slot(uint32_t *slots, uint32_t slot_count,
                           const struct key *at, struct key key)
{
    uint32_t mask = slot_count - 1;
    for (uint32_t i = (uint32_t)hash_key(key) & mask;; i = (i + 1) & mask)
        if (slots[i] == 0 || same(at[slots[i] - 1], key))
            return &slots[i];
}

static hg_status grow(struct keys *keys)
{
    if (keys->room >= UINT32_MAX / 8)
        return HG_EFULL;
    uint32_t room = keys->room == 0 ? 256 : keys->room * 2;
    uint32_t *slots = calloc((size_t)room * 2, sizeof *slots);
    struct key *at = realloc(keys->at, room * sizeof *at);
    if (at != NULL)
        keys->at = at;
    if (at == NULL || slots == NULL) {
        free(slots);
        return HG_ENOMEM;
    }
    for (uint32_t i = 0; i < keys->count; i++)
        *find_slot(slots, room * 2, at, at[i]) = i + 1;
    free(keys->slots);
    keys->slots = slots;
    keys->room = room;
    return HG_OK;
}

hg_status keys_put(struct keys *keys, struct key key, uint32_t *number)
{
    if (keys->count == keys->room) {
        hg_status status = grow(keys);
        if (status != HG_OK)
            return status;
    }
    uint32_t *slot = find_slot(keys->slots, keys->room * 2, keys->at, key);
    if (*slot == 0) {
        keys->at[keys->count++] = key;
        *slot = keys->count;
    }
    *number = *slot - 1;
    return HG_OK;
}
