/* SPDX-License-Identifier: MIT */
/*
 * work.c - what programs in C do to malloc, one kind at a time: see
 * bench/native.py.
 *
 *     work KIND ROUNDS
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *volatile sink;

/* The same on every machine; not rand(), which takes a lock. */
static uint32_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void *take(size_t bytes)
{
    char *block = malloc(bytes);
    if (block == NULL)
        exit(1);
    block[0] = block[bytes - 1] = 1;
    return block;
}

/* Small objects come and go: a thousand out, a thousand back. */
static void churn(int rounds)
{
    static void *block[1000];
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < 1000; i++)
            block[i] = take(48);
        for (int i = 0; i < 1000; i++)
            free(block[i]);
    }
}

/* A server's tables: random slots are replaced, sizes mixed; as larson does. */
struct server {
    uint64_t seed;
    int rounds;
};

static void *serve(void *arg)
{
    struct server *server = arg;
    enum { SLOTS = 5000 };
    void **slot = calloc(SLOTS, sizeof *slot);
    for (int i = 0; i < server->rounds * 1000; i++) {
        uint32_t n = random_next(&server->seed);
        free(slot[n % SLOTS]);
        slot[n % SLOTS] = take(10 + n / SLOTS % 490);
    }
    for (int i = 0; i < SLOTS; i++)
        free(slot[i]);
    free(slot);
    return NULL;
}

static void larson(int rounds)
{
    pthread_t thread[2];
    struct server server[2] = {{1, rounds}, {2, rounds}};
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, serve, &server[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
}

static void mixed(int rounds)
{
    struct server server = {3, rounds};
    serve(&server);
}

/* One thread allocates, another frees. */
enum { BATCH = 500 };
static void *batch[2][BATCH];
static pthread_barrier_t both;

static void *consume(void *arg)
{
    for (int r = 0; r < *(int *)arg; r++) {
        pthread_barrier_wait(&both);
        for (int i = 0; i < BATCH; i++)
            free(batch[r % 2][i]);
    }
    return NULL;
}

static void handover(int rounds)
{
    pthread_t thread;
    pthread_barrier_init(&both, NULL, 2);
    pthread_create(&thread, NULL, consume, &rounds);
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < BATCH; i++)
            batch[r % 2][i] = take(16 + (size_t)i % 200);
        pthread_barrier_wait(&both);
    }
    pthread_join(thread, NULL);
}

/* Buffers that grow as they are read into. */
static void growth(int rounds)
{
    for (int r = 0; r < rounds; r++) {
        char *buffer = NULL;
        for (size_t bytes = 16; bytes < 300000; bytes += bytes / 2) {
            buffer = realloc(buffer, bytes);
            buffer[bytes - 1] = 1;
        }
        free(buffer);
    }
}

/* Images and arrays: a few large blocks live at a time. */
static void large(int rounds)
{
    void *block[16] = {0};
    uint64_t seed = 5;
    for (int i = 0; i < rounds * 10; i++) {
        uint32_t n = random_next(&seed);
        free(block[n % 16]);
        block[n % 16] = take(20000 + n / 16 % 2000000);
    }
    for (int i = 0; i < 16; i++)
        free(block[i]);
}

/* Threads that are born, work a little and die. */
static void births(int rounds)
{
    for (int r = 0; r < rounds; r++) {
        struct server server = {(uint64_t)r, 1};
        pthread_t thread;
        pthread_create(&thread, NULL, serve, &server);
        pthread_join(thread, NULL);
    }
}

/* Two phases of different sizes; of the first, every run of 64 neighbours but one
   in twenty dies before the second.  Prints what is resident after each. */
static long resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
        exit(1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void phases(int rounds)
{
    int count = rounds * 1000;
    void **block = malloc((size_t)count * sizeof *block);
    uint64_t seed = 7;
    for (int i = 0; i < count; i++)
        block[i] = take(16 + random_next(&seed) % 240);
    long full = resident_kib();
    for (int i = 0; i < count; i++)
        if (i / 64 % 20 != 0) {
            free(block[i]);
            block[i] = NULL;
        }
    sleep(1); /* those who wait before they give back */
    sink = take(3000);
    free(sink);
    printf("resident %ld %ld\n", full, resident_kib());
    for (int i = 0; i < count / 4; i++)
        if (block[i] == NULL)
            block[i] = take(300 + random_next(&seed) % 300);
    for (int i = 0; i < count; i++)
        free(block[i]);
    free(block);
}

/* Not from the outside: that of a process counts what it was before it became us.
 */
static void print_peak(void)
{
    char line[200];
    long peak = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && peak == 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmHWM: %ld", &peak) == 1)
            printf("peak %ld\n", peak);
    if (peak == 0)
        exit(1);
    fclose(file);
}

static const struct {
    const char *name;
    void (*run)(int rounds);
} kinds[] = {{"churn", churn},       {"mixed", mixed},   {"larson", larson},
             {"handover", handover}, {"growth", growth}, {"large", large},
             {"births", births},     {"phases", phases}};

int main(int count, char **arguments)
{
    for (size_t i = 0; count == 3 && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(arguments[1], kinds[i].name) == 0) {
            kinds[i].run(atoi(arguments[2]));
            print_peak();
            return 0;
        }
    fprintf(stderr, "usage: work KIND ROUNDS\n");
    return 2;
}
