/* SPDX-License-Identifier: MIT */
/*
 * interpose.c - a program that uses malloc in every way; to be run under the
 * preload library, by itself or traced.  Says what is not so, and exits with 1.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* So that the compiler neither knows what is freed nor drops what is not used. */
static void *volatile sink;

static void must(int truth, const char *what)
{
    if (truth)
        return;
    fprintf(stderr, "not so: %s (errno %d)\n", what, errno);
    exit(1);
}

static void fill(void *block, size_t bytes)
{
    sink = block;
    memset(block, 0x5A, bytes);
}

static void every_function(void)
{
    for (size_t bytes = 0; bytes < 300000; bytes = bytes * 5 / 4 + 1) {
        char *block = malloc(bytes);
        must(block != NULL && malloc_usable_size(block) >= bytes, "malloc");
        must((uintptr_t)block % 16 == 0, "malloc aligns to 16");
        size_t usable = malloc_usable_size(block);
        fill(block, usable);
        block = realloc(block, usable * 3 + 1);
        must(block != NULL && (usable == 0 || block[usable - 1] == 0x5A),
             "realloc keeps all that was usable");
        block = reallocarray(block, bytes / 2 + 1, 2);
        must(block != NULL && (bytes == 0 || block[bytes / 2] == 0x5A),
             "reallocarray");
        free(block);
        block = calloc(bytes, 3);
        for (size_t i = 0; i < bytes * 3; i++)
            must(block[i] == 0, "calloc gives zeros");
        fill(block, bytes * 3);
        free(block);
    }
    for (size_t align = 1; align <= (size_t)4 << 20; align *= 2)
        for (size_t bytes = 1; bytes < 200000; bytes *= 7) {
            void *block[4] = {memalign(align, bytes), aligned_alloc(align, bytes)};
            must(posix_memalign(&block[2], align < 8 ? 8 : align, bytes) == 0,
                 "posix_memalign");
            block[3] = align <= 4096 ? valloc(bytes) : pvalloc(bytes);
            for (int i = 0; i < 4; i++) {
                size_t a = i == 3 ? 4096 : align;
                must(block[i] != NULL && (uintptr_t)block[i] % a == 0, "aligned");
                fill(block[i],
                     i == 3 && align > 4096 ? (bytes + 4095) & ~4095ul : bytes);
                must(malloc_usable_size(block[i]) >= bytes, "usable");
                free(block[i]);
            }
        }
    void *block = NULL;
    must(posix_memalign(&block, 24, 8) == EINVAL, "posix_memalign refuses 24");
    must(posix_memalign(&block, 4, 8) == EINVAL, "posix_memalign refuses 4");
    errno = 0;
    must(malloc((size_t)PTRDIFF_MAX + (size_t)sink % 2) == NULL && errno == ENOMEM,
         "too much is refused");
    errno = 0;
    volatile size_t half = SIZE_MAX / 2;
    must(calloc(half, 3) == NULL && errno == ENOMEM, "calloc overflows");
    errno = 0;
    must(reallocarray(NULL, half, 3) == NULL && errno == ENOMEM,
         "reallocarray overflows");
    must(realloc(malloc(10), 0) == NULL, "realloc to 0 frees");
    errno = 77;
    free(malloc(1000000));
    free(NULL);
    must(errno == 77, "free keeps errno");
    must(malloc_usable_size(NULL) == 0, "nothing has no size");
}

static void facts(void)
{
    struct mallinfo2 before = mallinfo2();
    char *big = malloc((size_t)8 << 20);
    struct mallinfo2 after = mallinfo2();
    must(after.hblkhd - before.hblkhd == (size_t)8 << 20,
         "mallinfo2 knows huge blocks");
    must(after.hblks == before.hblks + 1, "and counts them");
    char *some[2000];
    for (int i = 0; i < 2000; i++)
        some[i] = malloc(1000);
    after = mallinfo2();
    must(after.uordblks - before.uordblks >= 2000 * 1000, "and what is in use");
    for (int i = 0; i < 2000; i++)
        free(some[i]);
    fill(big, (size_t)8 << 20);
    free(big);
    must(malloc_trim(0) == 1, "malloc_trim gives something back");
    must(malloc_trim(0) == 0, "and then has nothing more");
}

static void *work(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    void *block[64] = {0};
    for (int i = 0; i < 20000; i++) {
        unsigned n = (unsigned)rand_r(&seed);
        free(block[n % 64]);
        block[n % 64] = malloc(n / 64 % (n % 128 == 0 ? 100000 : 700));
    }
    for (int i = 0; i < 63; i++)
        free(block[i]);
    return block[63]; /* for whoever joins us */
}

static void threads_come_and_go(void)
{
    for (int round = 0; round < 20; round++) {
        pthread_t thread[8];
        for (int i = 0; i < 8; i++)
            must(pthread_create(&thread[i], NULL, work,
                                (void *)(uintptr_t)(i + round)) == 0,
                 "a thread");
        for (int i = 0; i < 8; i++) {
            void *left;
            pthread_join(thread[i], &left);
            free(left);
        }
    }
}

static volatile int stop;

static void *until_stopped(void *arg)
{
    while (!stop)
        free(work(arg));
    return NULL;
}

static void forks_amid_threads(void)
{
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, until_stopped, (void *)(uintptr_t)i);
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        if (child == 0) {
            free(work((void *)7));
            _exit(0);
        }
        int status;
        must(waitpid(child, &status, 0) == child && status == 0, "a child lives");
    }
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
}

static void *kept_by_handler;

static void allocate_in_handler(void)
{
    free(kept_by_handler);
    kept_by_handler = malloc(300);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

static void signals_at_any_moment(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 200}, {0, 200}};
    struct itimerval never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    while (alarms < 300)
        free(work((void *)3));
    setitimer(ITIMER_REAL, &never, NULL);
}

static void libraries_come_and_go(void)
{
    for (int i = 0; i < 20; i++) {
        void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
        must(library != NULL, "dlopen");
        must(dlopen("/no/such/library.so", RTLD_NOW) == NULL && dlerror() != NULL,
             "dlopen fails");
        dlclose(library);
    }
}

/* Runs before ours have been registered, if this program is loaded first. */
__attribute__((constructor)) static void early(void)
{
    pthread_atfork(allocate_in_handler, allocate_in_handler, allocate_in_handler);
    sink = malloc(100);
}

int main(int count, char **arguments)
{
    (void)arguments;
    free(sink);
    every_function();
    if (count == 1) /* those of our malloc */
        facts();
    threads_come_and_go();
    forks_amid_threads();
    signals_at_any_moment();
    libraries_come_and_go();
    puts("all is so");
    return 0;
}
