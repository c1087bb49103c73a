/* SPDX-License-Identifier: MIT */
/* misuse.c - uses memory as it must not be used, as its argument says. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static void *volatile hidden;

static void end(int signal)
{
    (void)signal;
    exit(0);
}

/* Until the alarm: blocks of all sizes, one after the other. */
static void work(void)
{
    const struct itimerval soon = {.it_value = {.tv_usec = 3000}};
    unsigned number = 1;
    signal(SIGALRM, end);
    setitimer(ITIMER_REAL, &soon, NULL);
    for (;;) {
        number = number * 1664525u + 1013904223u;
        free(hidden);
        hidden = malloc((number >> 16) % (number % 64 == 0 ? 100000 : 2000));
    }
}

int main(int count, char **arguments)
{
    const char *word = count > 1 ? arguments[1] : "";
    char local[64];
    char *block = malloc(100);
    hidden = malloc(100);
    if (strcmp(word, "twice") == 0) {
        hidden = malloc(200000);
        free(hidden);
    } else if (strcmp(word, "small") == 0) {
        hidden = malloc(100);
        free(hidden);
    } else if (strcmp(word, "later") == 0) {
        hidden = malloc(100);
        free(hidden);
        free(block);
        block = NULL;
    } else if (strcmp(word, "resized") == 0) {
        hidden = malloc(100);
        free(hidden);
        hidden = realloc(hidden, 300);
    } else if (strcmp(word, "moved") == 0) {
        void *moved;
        hidden = malloc(100);
        moved = realloc(hidden, 30000);
        free(moved);
    } else if (strcmp(word, "nothing") == 0) {
        hidden = NULL;
    } else if (strcmp(word, "handler") == 0) {
        work();
    } else if (strcmp(word, "after") == 0) {
        hidden = malloc(100);
        free(hidden);
        ((char *)hidden)[50] = 'A';
        hidden = NULL;
    } else if (strcmp(word, "behind") == 0) {
        hidden = malloc(100);
        ((char *)hidden)[100] = 'A';
        hidden = NULL;
    } else if (strcmp(word, "large") == 0) {
        hidden = malloc(70000);
        free(hidden);
    } else if (strcmp(word, "never") == 0) {
        hidden = (char *)malloc(24) + 32; /* where the next one would begin */
    } else if (strcmp(word, "huge") == 0) {
        hidden = malloc(50000000);
        free(hidden);
    } else if (strcmp(word, "foreign") == 0) {
        hidden = (void *)&hidden;
    } else if (strcmp(word, "inside") == 0) {
        hidden = (char *)malloc(3000) + 16;
    } else if (strcmp(word, "stack") == 0) {
        hidden = local;
    }
    free(hidden);
    free(block);
    return 0;
}
