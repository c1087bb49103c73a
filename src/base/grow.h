/* SPDX-License-Identifier: MIT */
/* grow.h - arrays that grow, for readers: it uses malloc. */
#ifndef HG_BASE_GROW_H
#define HG_BASE_GROW_H

#include "base/base.h"

#include <stdlib.h>
#include <string.h>

/*
 * Make `array[index]` valid: grow an array of elements of `size` bytes, of which
 * *room exist, at least to twice as many; the new ones are zero.  Returns the
 * array, which may have moved, or NULL when there is no memory or no index left:
 * then the old one is as it was.
 */
static inline void *grow_to(void *array, uint32_t *room, uint32_t index,
                            size_t size)
{
    if (index < *room)
        return array;
    size_t wanted = 2 * (size_t)*room;
    if (wanted <= index)
        wanted = (size_t)index + 1;
    if (wanted < 16)
        wanted = 16;
    if (wanted > UINT32_MAX || wanted > SIZE_MAX / size)
        return NULL;
    char *grown = realloc(array, wanted * size);
    if (grown == NULL)
        return NULL;
    memset(grown + *room * size, 0, (wanted - *room) * size);
    *room = (uint32_t)wanted;
    return grown;
}

#endif
