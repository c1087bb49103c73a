/* SPDX-License-Identifier: MIT */
/* growth.c - see growth.h */
#include "analyze/growth.h"

#include "analyze/order.h"

#include <stdlib.h>

static const struct amount *live(const struct measure *measure)
{
    return &measure->at[MOMENT_LIVE];
}

/* A difference of two sizes fits: a size beyond 2^63 is nobody's. */
static int64_t difference(uint64_t a, uint64_t b)
{
    return (int64_t)(b - a);
}

int64_t growth_bytes(const struct measure *a, const struct measure *b)
{
    return difference(live(a)->bytes, live(b)->bytes);
}

int64_t growth_blocks(const struct measure *a, const struct measure *b)
{
    return difference(live(a)->blocks, live(b)->blocks);
}

const char *growth_name(enum change change)
{
    static const char *const names[] = {
        [CHANGE_NEW] = "new",     [CHANGE_GONE] = "gone",
        [CHANGE_GROWN] = "grown", [CHANGE_SHRUNK] = "shrunk",
        [CHANGE_SAME] = "same",
    };
    return names[change];
}

static bool is_zero(const struct amount *amount)
{
    return amount->bytes == 0 && amount->blocks == 0;
}

enum change growth_of(const struct table_row *row)
{
    const struct measure *a = row->side[SIDE_A];
    const struct measure *b = row->side[SIDE_B];
    int64_t growth = growth_bytes(a, b);
    if (growth == 0)
        growth = growth_blocks(a, b);
    if (growth == 0)
        return CHANGE_SAME;
    if (is_zero(live(a)))
        return CHANGE_NEW;
    if (is_zero(live(b)))
        return CHANGE_GONE;
    return growth > 0 ? CHANGE_GROWN : CHANGE_SHRUNK;
}

/* The distance between both sides, without the overflow that abs() would have. */
static uint64_t distance(int64_t growth)
{
    return growth < 0 ? 0 - (uint64_t)growth : (uint64_t)growth;
}

static int compare(const void *x, const void *y, void *table)
{
    const struct table_row *a = x;
    const struct table_row *b = y;
    uint64_t of_a = distance(growth_bytes(a->side[SIDE_A], a->side[SIDE_B]));
    uint64_t of_b = distance(growth_bytes(b->side[SIDE_A], b->side[SIDE_B]));
    if (of_a != of_b)
        return of_a > of_b ? -1 : 1;
    of_a = distance(growth_blocks(a->side[SIDE_A], a->side[SIDE_B]));
    of_b = distance(growth_blocks(b->side[SIDE_A], b->side[SIDE_B]));
    if (of_a != of_b)
        return of_a > of_b ? -1 : 1;
    return order_by_names(table, a, b);
}

struct table_row *growth_rows(const struct table *table, size_t top, size_t *count)
{
    size_t all;
    size_t kept = 0;
    struct table_row *rows = table_rows(table, &all);
    if (rows == NULL)
        return NULL;
    for (size_t i = 0; i < all; i++)
        if (!is_zero(live(rows[i].side[SIDE_A])) ||
            !is_zero(live(rows[i].side[SIDE_B])))
            rows[kept++] = rows[i];
    order_first(rows, kept, top, compare, (void *)table);
    *count = kept;
    return rows;
}
