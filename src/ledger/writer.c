/* SPDX-License-Identifier: MIT */
/*
 * writer.c - a ledger file that is sized once, mapped, and committed in steps.
 *
 * A store into a shared mapping faults with SIGBUS when the file system has no
 * room for the page, and ftruncate() beyond RLIMIT_FSIZE raises SIGXFSZ: either
 * would kill the program that is watched.  So the file gets its final size at
 * the beginning, within the limits, without blocks; and before anything is
 * stored beyond what is committed, MADV_POPULATE_WRITE makes the pages, or says
 * EFAULT where a store would have raised SIGBUS.  Kernels before 5.14 do not
 * know it; there the whole file is smaller and allocated at once.
 *
 * Runs inside malloc: no stdio, no malloc, no locks.
 */
#include "ledger/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
    PAGE = 4096,
    STEP = 64 << 10, /* commit twice as much until here: 1024 nodes a system call */
    MAX_THREADS = 1024,
    MAX_SAMPLES = 2048,
    MAX_AWAY = 1024,
    MAX_TYPES = 1024,
};

static const uint32_t record_bytes[LEDGER_SECTIONS] = {
    [LEDGER_THREADS] = sizeof(struct ledger_thread),
    [LEDGER_TIMELINE] = sizeof(struct ledger_sample),
    [LEDGER_AWAY] = sizeof(struct ledger_away),
    [LEDGER_CODES] = sizeof(struct ledger_code),
    [LEDGER_STRINGS] = 1,
    [LEDGER_INHERITED] = sizeof(struct ledger_inherited),
    [LEDGER_GENERATIONS] = sizeof(struct ledger_generation),
    [LEDGER_COLLECTIONS] = sizeof(struct ledger_collection),
    [LEDGER_GARBAGE] = sizeof(struct ledger_garbage),
    [LEDGER_TYPES] = sizeof(struct ledger_type),
    [LEDGER_NODES] = sizeof(struct ledger_node),
};

static uint64_t round_up(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) / to * to;
}

/* Lay the sections out one after the other, for 1 << node_bits nodes; returns the
   size of the file.  NODES comes last, for its unused end to be cut off when all is
   over. */
static uint64_t plan(struct ledger_section *sections, unsigned node_bits,
                     size_t inherited)
{
    const uint64_t capacity[LEDGER_SECTIONS] = {
        [LEDGER_THREADS] = MAX_THREADS,
        [LEDGER_TIMELINE] = MAX_SAMPLES,
        [LEDGER_AWAY] = MAX_AWAY,
        [LEDGER_CODES] = (uint64_t)1 << (node_bits - 3),
        [LEDGER_STRINGS] = (uint64_t)16 << node_bits,
        [LEDGER_INHERITED] = inherited,
        [LEDGER_GENERATIONS] = LEDGER_GENERATION_COUNT,
        [LEDGER_COLLECTIONS] =
            (uint64_t)LEDGER_GENERATION_COUNT * LEDGER_LATEST_COLLECTIONS,
        [LEDGER_GARBAGE] = (uint64_t)1 << node_bits,
        [LEDGER_TYPES] = MAX_TYPES,
        [LEDGER_NODES] = (uint64_t)1 << node_bits,
    };
    uint64_t offset = LEDGER_HEADER_BYTES;

    for (int i = 0; i < LEDGER_SECTIONS; i++) {
        sections[i] = (struct ledger_section){
            .offset = offset,
            .capacity = capacity[i],
            .record_bytes = record_bytes[i],
        };
        offset += round_up(capacity[i] * record_bytes[i], PAGE);
    }
    return offset;
}

/* The largest size that leaves the program room to live, and is no risk to ask for.
 */
static uint64_t size_limit(void)
{
    uint64_t limit = UINT64_MAX;
    struct rlimit r;

    if (getrlimit(RLIMIT_FSIZE, &r) == 0 && r.rlim_cur != RLIM_INFINITY)
        limit = r.rlim_cur;
    if (getrlimit(RLIMIT_AS, &r) == 0 && r.rlim_cur != RLIM_INFINITY &&
        r.rlim_cur / 16 < limit)
        limit = r.rlim_cur / 16;
    return limit;
}

/* Commit bytes [from, to) of the mapping.  False when there is no room. */
static bool commit(struct ledger *ledger, uint64_t from, uint64_t to)
{
    uint64_t first = from / PAGE * PAGE;
    uint64_t end = round_up(to, PAGE);

    if (!ledger->populates)
        return true; /* all of it was allocated at the beginning */
    int saved = errno;
    int failed = madvise(ledger->base + first, end - first, MADV_POPULATE_WRITE);
    errno = saved;
    return failed == 0;
}

bool ledger_reserve(struct ledger *ledger, enum ledger_section_id section,
                    size_t records)
{
    const struct ledger_section *s = &ledger->header->section[section];
    size_t need = records * s->record_bytes;
    size_t have = ledger->committed[section];
    size_t all = (size_t)s->capacity * s->record_bytes;

    if (records > s->capacity)
        return false;
    if (need <= have)
        return true;
    size_t step = have < STEP ? have : have / 8 > STEP ? have / 8 : STEP;
    size_t want = (size_t)round_up(have + step > need ? have + step : need, PAGE);
    if (want > all)
        want = all;
    if (!commit(ledger, s->offset + have, s->offset + want)) {
        want = need;
        if (!commit(ledger, s->offset + have, s->offset + want))
            return false;
    }
    ledger->committed[section] = want;
    ledger->header->mapped_bytes += want - have;
    return true;
}

/* Map `fd` at the largest size that is to be had, from 2^20 nodes down to 2^10. */
static hg_status map_file(struct ledger *ledger, int fd, size_t inherited,
                          struct ledger_section *sections)
{
    uint64_t limit = size_limit();
    hg_status status = HG_EFULL;

    for (unsigned bits = ledger->populates ? 20 : 16; bits >= 10; bits--) {
        uint64_t bytes = plan(sections, bits, inherited);
        if (bytes > limit)
            continue;
        if (ftruncate(fd, (off_t)bytes) != 0) {
            status = HG_EIO;
            continue;
        }
        if (!ledger->populates && posix_fallocate(fd, 0, (off_t)bytes) != 0)
            continue;
        void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (base == MAP_FAILED) {
            status = HG_EIO;
            continue;
        }
        ledger->base = base;
        ledger->bytes = bytes;
        return HG_OK;
    }
    return status;
}

/* Whether madvise() knows MADV_POPULATE_WRITE, tried on memory of our own. */
static bool kernel_populates(void)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return true;
    bool known = madvise(page, PAGE, MADV_POPULATE_WRITE) == 0;
    munmap(page, PAGE);
    return known;
}

/* The header of a ledger that waits names texts, which are about to be cut off. */
static bool forget_texts(int fd)
{
    struct ledger_header header;

    if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
        return true; /* there is none */
    header.command = header.folder = (struct ledger_text){0, 0};
    memset(header.section, 0, sizeof header.section);
    return pwrite(fd, &header, sizeof header, 0) == (ssize_t)sizeof header;
}

hg_status ledger_init(struct ledger *ledger, int fd, const char *path,
                      size_t inherited)
{
    struct ledger_section sections[LEDGER_SECTIONS];
    struct stat file;

    *ledger = (struct ledger){.populates = kernel_populates()};
    size_t path_bytes = strlen(path) + 1;
    if (path_bytes > sizeof ledger->path)
        return HG_EINVAL;
    memcpy(ledger->path, path, path_bytes);
    if (fstat(fd, &file) != 0)
        return HG_EIO;
    ledger->device = file.st_dev;
    ledger->inode = file.st_ino;
    if (size_limit() < LEDGER_HEADER_BYTES)
        return HG_EFULL;
    /* What lay there before must read as zeros, but for the header, which says
       until the last moment that the ledger waits: a reader may be there, or
       SIGKILL. */
    if (!forget_texts(fd) || ftruncate(fd, LEDGER_HEADER_BYTES) != 0)
        return HG_EIO;
    hg_status status = map_file(ledger, fd, inherited, sections);
    if (status != HG_OK)
        return status;
    if (!commit(ledger, 0, LEDGER_HEADER_BYTES))
        goto full;

    struct ledger_header *header = (struct ledger_header *)ledger->base;
    struct ledger_header fresh = {
        .magic = LEDGER_MAGIC,
        .version = LEDGER_VERSION,
        .header_bytes = LEDGER_HEADER_BYTES,
        .file_bytes = ledger->bytes,
        .state = LEDGER_WAITING,
        .exit_status = -1,
        .epoch = 1, /* no counter was ever saved in it */
        .mapped_bytes = LEDGER_HEADER_BYTES,
    };
    memcpy(fresh.section, sections, sizeof sections);
    *header = fresh;
    ledger->header = header;
    ledger->nodes = ledger_at(ledger, LEDGER_NODES);

    /* The first steps now: a ledger without room for them is not worth starting. */
    if (!ledger_reserve(ledger, LEDGER_THREADS, 1) ||
        !ledger_reserve(ledger, LEDGER_TIMELINE, 1) ||
        !ledger_reserve(ledger, LEDGER_AWAY, 1) ||
        !ledger_reserve(ledger, LEDGER_CODES, 1) ||
        !ledger_reserve(ledger, LEDGER_STRINGS, 1) ||
        !ledger_reserve(ledger, LEDGER_INHERITED, inherited) ||
        !ledger_reserve(ledger, LEDGER_NODES, LEDGER_FIRST_THREAD + 1))
        goto full;
    ledger_publish(ledger, LEDGER_CODES, 1);
    ledger->nodes[LEDGER_NOT_RECORDED].parent = LEDGER_ROOT;
    ledger_publish(ledger, LEDGER_NODES, LEDGER_FIRST_THREAD);
    return HG_OK;

full:
    ledger_close(ledger);
    return HG_EFULL;
}

struct ledger_text ledger_put_text(struct ledger *ledger, const char *text,
                                   size_t bytes)
{
    uint64_t used = ledger_used(ledger, LEDGER_STRINGS);

    if (bytes == 0 || bytes > UINT32_MAX - used ||
        !ledger_reserve(ledger, LEDGER_STRINGS, used + bytes))
        return (struct ledger_text){0, 0};
    memcpy((char *)ledger_at(ledger, LEDGER_STRINGS) + used, text, bytes);
    ledger_publish(ledger, LEDGER_STRINGS, used + bytes);
    return (struct ledger_text){(uint32_t)used, (uint32_t)bytes};
}

void ledger_trim_file(int fd, const struct ledger_header *header)
{
    const struct ledger_section *nodes = &header->section[LEDGER_NODES];
    uint64_t end =
        round_up(nodes->offset + nodes->used * nodes->record_bytes, PAGE);
    struct stat file;

    if (fstat(fd, &file) == 0 && (uint64_t)file.st_size > end) {
        /* A shorter file is a nicety: that it could not be had is no loss. */
        int failed = ftruncate(fd, (off_t)end);
        (void)failed;
    }
}

void ledger_trim(struct ledger *ledger)
{
    struct stat file;

    int fd = open(ledger->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &file) == 0 && file.st_dev == ledger->device &&
        file.st_ino == ledger->inode)
        ledger_trim_file(fd, ledger->header);
    close(fd);
}

void ledger_close(struct ledger *ledger)
{
    if (ledger->base != NULL)
        munmap(ledger->base, ledger->bytes);
    ledger->base = NULL;
    ledger->header = NULL;
    ledger->nodes = NULL;
}
