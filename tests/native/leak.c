/* SPDX-License-Identifier: MIT */
/* leak.c - leaves memory behind in known places; test_native programs count it. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *volatile keep[1200];

static inline __attribute__((always_inline)) char *inlined(size_t bytes)
{
    char *block = malloc(bytes); /* line 13 */
    memset(block, 1, bytes);
    return block;
}

static __attribute__((noinline)) char *leaf(size_t bytes)
{
    return inlined(bytes);
}

static __attribute__((noinline)) void *thread(void *arg)
{
    for (int i = 0; i < 100; i++) {
        keep[1000 + i] = realloc(leaf(50), 70);
        free(leaf(5000));
    }
    return arg;
}

int main(void)
{
    for (int i = 0; i < 1000; i++)
        keep[i] = leaf(1000);
    pthread_t other;
    pthread_create(&other, NULL, thread, NULL);
    pthread_join(other, NULL);
    pid_t child = fork();
    if (child == 0) {
        keep[1100] = leaf(123456);
        exit(0);
    }
    waitpid(child, NULL, 0);
    return 0;
}
