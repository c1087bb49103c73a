/* SPDX-License-Identifier: MIT */
/*
 * strings.c - texts stored once.  Open addressing: slots[] holds id + 1, or 0,
 * and is never more than half full.  The bytes lie one by one on the heap: they
 * are few, a name or two for every code object of a program.
 */
#include "analyze/strings.h"

#include "base/hash.h"

#include <stdlib.h>

struct strings {
    struct slice *texts;
    uint32_t count;
    uint32_t room; /* of texts[], a power of two; slots[] has twice as many */
    uint32_t *slots;
};

struct strings *strings_new(void)
{
    return calloc(1, sizeof(struct strings));
}

void strings_free(struct strings *strings)
{
    if (strings == NULL)
        return;
    for (uint32_t id = 0; id < strings->count; id++)
        free((void *)strings->texts[id].at);
    free(strings->texts);
    free(strings->slots);
    free(strings);
}

/* The slot that holds `text`, or the empty one where it belongs. */
static uint32_t *find_slot(uint32_t *slots, uint32_t slot_count,
                           const struct strings *strings, struct slice text)
{
    uint32_t mask = slot_count - 1;
    for (uint32_t at = (uint32_t)hash_bytes(text.at, text.bytes) & mask;;
         at = (at + 1) & mask)
        if (slots[at] == 0 || slice_equal(strings->texts[slots[at] - 1], text))
            return &slots[at];
}

static hg_status grow(struct strings *strings)
{
    if (strings->room >= UINT32_MAX / 8)
        return HG_EFULL;
    uint32_t room = strings->room == 0 ? 64 : strings->room * 2;
    uint32_t *slots = calloc((size_t)room * 2, sizeof *slots);
    struct slice *texts = realloc(strings->texts, room * sizeof *texts);
    if (texts != NULL)
        strings->texts = texts;
    if (texts == NULL || slots == NULL) {
        free(slots);
        return HG_ENOMEM;
    }
    for (uint32_t id = 0; id < strings->count; id++)
        *find_slot(slots, room * 2, strings, texts[id]) = id + 1;
    free(strings->slots);
    strings->slots = slots;
    strings->room = room;
    return HG_OK;
}

hg_status strings_put(struct strings *strings, struct slice text, uint32_t *id)
{
    if (strings->count == strings->room) {
        hg_status status = grow(strings);
        if (status != HG_OK)
            return status;
    }
    uint32_t *slot = find_slot(strings->slots, strings->room * 2, strings, text);
    if (*slot == 0) {
        char *bytes = malloc(text.bytes + 1);
        if (bytes == NULL)
            return HG_ENOMEM;
        if (text.bytes > 0)
            memcpy(bytes, text.at, text.bytes);
        bytes[text.bytes] = '\0';
        strings->texts[strings->count++] = (struct slice){bytes, text.bytes};
        *slot = strings->count;
    }
    *id = *slot - 1;
    return HG_OK;
}

struct slice strings_get(const struct strings *strings, uint32_t id)
{
    return strings->texts[id];
}
