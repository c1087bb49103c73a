/* SPDX-License-Identifier: MIT */
/* order.c - see order.h */
#include "analyze/order.h"

#include <stdlib.h>

static int compare_texts(const struct table *table, uint32_t a, uint32_t b)
{
    if (a == b)
        return 0;
    if (a == STRINGS_NONE || b == STRINGS_NONE)
        return a == STRINGS_NONE ? 1 : -1;
    struct slice x = table_text(table, a);
    struct slice y = table_text(table, b);
    return strcmp(x.at, y.at); /* table texts end with a zero */
}

int order_by_names(const struct table *table, const struct table_row *a,
                   const struct table_row *b)
{
    int order = compare_texts(table, a->place.file, b->place.file);
    if (order == 0 && a->place.line != b->place.line)
        order = a->place.line < b->place.line ? -1 : 1;
    if (order == 0)
        order = compare_texts(table, a->place.function, b->place.function);
    if (order == 0 && a->number != b->number)
        order = a->number < b->number ? -1 : 1;
    return order;
}

struct view {
    const struct table *table;
    enum moment moment;
};

static int compare(const void *x, const void *y, void *arg)
{
    const struct view *view = arg;
    const struct table_row *a = x;
    const struct table_row *b = y;
    const struct amount *of_a = &a->side[SIDE_A]->at[view->moment];
    const struct amount *of_b = &b->side[SIDE_A]->at[view->moment];
    if (of_a->bytes != of_b->bytes)
        return of_a->bytes > of_b->bytes ? -1 : 1;
    if (of_a->blocks != of_b->blocks)
        return of_a->blocks > of_b->blocks ? -1 : 1;
    return order_by_names(view->table, a, b);
}

void order_by_moment(const struct table *table, struct table_row *rows,
                     size_t count, size_t top, enum moment moment)
{
    struct view view = {table, moment};
    order_first(rows, count, top, compare, &view);
}

/* A heap of rows whose root is the one that would come last. */
struct heap {
    struct table_row *rows;
    size_t count;
    int (*compare)(const void *, const void *, void *);
    void *arg;
};

/* Let the row at `at` sink until both rows below it come before it. */
static void sink(const struct heap *heap, size_t at)
{
    for (;;) {
        size_t last = at;
        for (size_t below = 2 * at + 1; below <= 2 * at + 2; below++)
            if (below < heap->count &&
                heap->compare(&heap->rows[below], &heap->rows[last], heap->arg) > 0)
                last = below;
        if (last == at)
            return;
        struct table_row row = heap->rows[at];
        heap->rows[at] = heap->rows[last];
        heap->rows[last] = row;
        at = last;
    }
}

void order_first(struct table_row *rows, size_t count, size_t top,
                 int (*compare_rows)(const void *, const void *, void *), void *arg)
{
    if (top > count)
        top = count;
    if (top == 0)
        return;
    struct heap heap = {rows, top, compare_rows, arg};
    if (top < count) {
        for (size_t i = top / 2; i-- > 0;)
            sink(&heap, i);
        for (size_t i = top; i < count; i++) {
            if (compare_rows(&rows[i], &rows[0], arg) >= 0)
                continue;
            struct table_row row = rows[0];
            rows[0] = rows[i];
            rows[i] = row;
            sink(&heap, 0);
        }
    }
    qsort_r(rows, top, sizeof *rows, compare_rows, arg);
}
