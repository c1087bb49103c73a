/* SPDX-License-Identifier: MIT */
/*
 * requests.c - a server that gives every request a heap of its own, with a limit.
 *
 *     cc requests.c $(pkg-config --cflags --libs heapglass) && ./a.out
 *
 * Whatever a request allocates is gone when it ends, and one that wants too much
 * fails alone.
 */
#include <heapglass/heap.h>

#include <stdio.h>
#include <string.h>

struct row {
    struct row *next;
    char text[48];
};

static int out_of_memory(size_t bytes, void *arg)
{
    fprintf(stderr, "request %d may have no more (%zu bytes wanted)\n", *(int *)arg,
            bytes);
    return 0;
}

/* Answers with `rows` rows; how many it could make. */
static size_t serve(hg_heap *heap, size_t rows)
{
    struct row *first = NULL;
    size_t made = 0;
    for (; made < rows; made++) {
        struct row *row = hg_heap_alloc(heap, sizeof *row);
        if (row == NULL)
            break;
        snprintf(row->text, sizeof row->text, "row %zu", made);
        row->next = first;
        first = row;
    }
    return made;
}

int main(void)
{
    for (int request = 1; request <= 3; request++) {
        hg_heap *heap = hg_heap_open(0);
        if (heap == NULL)
            return 1;
        hg_heap_limit(heap, 1 << 20);
        hg_heap_on_failure(heap, out_of_memory, &request);
        size_t made = serve(heap, request == 2 ? 1000000 : 1000);

        hg_heap_statistics s;
        hg_get_heap_statistics(heap, &s);
        printf("request %d: %zu rows, %zu blocks, %zu KiB\n", request, made,
               s.blocks, s.held / 1024);
        hg_heap_close(heap);
    }
    hg_census c;
    hg_take_census(&c);
    printf("live afterwards: %zu bytes\n", c.live);
    return c.live == 0 ? 0 : 1;
}
