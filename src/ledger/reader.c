/* SPDX-License-Identifier: MIT */
/*
 * reader.c - copies a ledger out of a file that may be hostile, or in use.
 *
 * Hostile: every offset and count is checked against the size of the file
 * before anything is allocated or read, and every number by which one record
 * names another before the copy is handed out.  pread() alone touches the file.
 *
 * In use: the writer publishes a string before the code that names it, and a
 * code before the node that names it.  So nodes are counted and read first,
 * then codes, then strings, each with a count that was fetched afterwards.
 * Counters change all the time; a copy is good when neither the peak nor its
 * epoch nor the updates under way (AWAY) changed while it was made.
 */
#include "ledger/reader.h"

#include "ledger/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A program that allocates without a pause moves its peak during each of them. */
#define ATTEMPTS 5

struct reading {
    int fd;
    unsigned parts;
    struct ledger_copy *copy;
    struct ledger_fault *fault;
};

static hg_status fail_io(struct ledger_fault *fault)
{
    int error = errno;
    snprintf(fault->what, sizeof fault->what, "cannot be read: %s",
             strerror(error));
    fault->status = HG_EIO;
    errno = error;
    return HG_EIO;
}

static hg_status fail_memory(struct ledger_fault *fault)
{
    snprintf(fault->what, sizeof fault->what,
             "needs more memory than there is to be read");
    return fault->status = HG_ENOMEM;
}

/* Read exactly `bytes` bytes, which the size of the file had promised. */
static hg_status read_all(struct reading *reading, void *into, size_t bytes,
                          uint64_t offset)
{
    char *to = into;
    while (bytes > 0) {
        ssize_t got = pread(reading->fd, to, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_io(reading->fault);
        if (got == 0)
            return ledger_fail(reading->fault, "is cut short while it is read");
        to += got;
        bytes -= (size_t)got;
        offset += (uint64_t)got;
    }
    return HG_OK;
}

static hg_status read_header(struct reading *reading, struct ledger_header *header)
{
    struct stat st;
    if (fstat(reading->fd, &st) != 0)
        return fail_io(reading->fault);

    size_t bytes = sizeof *header;
    if ((uint64_t)st.st_size < bytes)
        bytes = (size_t)st.st_size;
    memset(header, 0, sizeof *header);
    hg_status status = read_all(reading, header, bytes, 0);
    if (status != HG_OK)
        return status;
    reading->copy->file_bytes = (uint64_t)st.st_size;
    return ledger_check_header(header, (uint64_t)st.st_size, reading->fault);
}

/* *records becomes a fresh array of all used records, or NULL if there are none. */
static hg_status read_section(struct reading *reading,
                              const struct ledger_header *header,
                              enum ledger_section_id id, void **records)
{
    const struct ledger_section *section = &header->section[id];
    size_t bytes = (size_t)section->used * section->record_bytes;
    if (bytes == 0) {
        *records = NULL;
        return HG_OK;
    }
    void *memory = malloc(bytes);
    if (memory == NULL)
        return fail_memory(reading->fault);
    hg_status status = read_all(reading, memory, bytes, section->offset);
    if (status != HG_OK) {
        free(memory);
        return status;
    }
    *records = memory;
    return HG_OK;
}

static uint32_t used_of(const struct ledger_header *header,
                        enum ledger_section_id id)
{
    return (uint32_t)header->section[id].used; /* ledger_check_header() bounds it */
}

static void drop_counters(struct ledger_copy *copy)
{
    free((void *)copy->nodes);
    free((void *)copy->inherited);
    free((void *)copy->away);
    copy->nodes = NULL;
    copy->inherited = NULL;
    copy->away = NULL;
    copy->node_count = copy->inherited_count = copy->away_count = 0;
}

static bool same_away(const struct ledger_copy *copy, const struct ledger_away *now)
{
    size_t bytes = copy->away_count * sizeof *now;
    return bytes == 0 || memcmp(copy->away, now, bytes) == 0;
}

/*
 * Read the counters once; *header becomes the header that belongs to them.
 * AWAY comes first, so that the nodes it names are among those counted next.
 */
static hg_status read_accounts_once(struct reading *reading,
                                    struct ledger_header *header, bool *stable)
{
    struct ledger_copy *copy = reading->copy;
    struct ledger_header after;
    void *records;
    drop_counters(copy);

    hg_status status = read_header(reading, header);
    if (status != HG_OK)
        return status;
    if ((status = read_section(reading, header, LEDGER_AWAY, &records)) != HG_OK)
        return status;
    copy->away = records;
    copy->away_count = used_of(header, LEDGER_AWAY);

    if ((status = read_header(reading, header)) != HG_OK)
        return status;
    if ((status = read_section(reading, header, LEDGER_NODES, &records)) != HG_OK)
        return status;
    copy->nodes = records;
    copy->node_count = used_of(header, LEDGER_NODES);
    if (header->forked) {
        status = read_section(reading, header, LEDGER_INHERITED, &records);
        if (status != HG_OK)
            return status;
        copy->inherited = records;
        copy->inherited_count = used_of(header, LEDGER_INHERITED);
    }

    if ((status = read_header(reading, &after)) != HG_OK)
        return status;
    *stable = after.epoch == header->epoch &&
              after.peak_bytes == header->peak_bytes &&
              after.state == header->state &&
              used_of(&after, LEDGER_AWAY) == copy->away_count;
    if (!*stable)
        return HG_OK;
    if ((status = read_section(reading, &after, LEDGER_AWAY, &records)) != HG_OK)
        return status;
    *stable = same_away(copy, records);
    free(records);
    return HG_OK;
}

static hg_status read_accounts(struct reading *reading,
                               struct ledger_header *header)
{
    struct ledger_copy *copy = reading->copy;
    bool stable = false;
    for (int attempt = 0; attempt < ATTEMPTS && !stable; attempt++) {
        hg_status status = read_accounts_once(reading, header, &stable);
        if (status != HG_OK)
            return status;
    }
    copy->busy = !stable;

    struct ledger_header after;
    void *records;
    hg_status status = read_header(reading, &after);
    if (status != HG_OK)
        return status;
    if ((status = read_section(reading, &after, LEDGER_CODES, &records)) != HG_OK)
        return status;
    copy->codes = records;
    copy->code_count = used_of(&after, LEDGER_CODES);
    if ((status = read_section(reading, &after, LEDGER_THREADS, &records)) != HG_OK)
        return status;
    copy->threads = records;
    copy->thread_count = used_of(&after, LEDGER_THREADS);
    return HG_OK;
}

/* Samples that a killed program left half merged are out of order: leave them out.
 */
static uint32_t keep_ordered(struct ledger_sample *samples, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || samples[i].time_ns > samples[kept - 1].time_ns)
            /* NOLINTNEXTLINE(clang-analyzer-core.*): NULL comes with count 0 */
            samples[kept++] = samples[i];
    return kept;
}

static hg_status read_timeline(struct reading *reading)
{
    struct ledger_copy *copy = reading->copy;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        struct ledger_header before;
        struct ledger_header after;
        void *records;
        hg_status status = read_header(reading, &before);
        if (status != HG_OK)
            return status;
        status = read_section(reading, &before, LEDGER_TIMELINE, &records);
        if (status != HG_OK)
            return status;
        free((void *)copy->samples);
        copy->samples = records;
        copy->sample_count =
            keep_ordered(records, used_of(&before, LEDGER_TIMELINE));
        if ((status = read_header(reading, &after)) != HG_OK)
            return status;
        if (before.timeline_writing % 2 == 0 &&
            before.timeline_writing == after.timeline_writing)
            break;
    }
    return HG_OK;
}

static hg_status read_collector(struct reading *reading)
{
    struct ledger_copy *copy = reading->copy;
    struct ledger_header header;
    struct {
        enum ledger_section_id id;
        void *records;
        uint32_t count;
    } parts[] = {{LEDGER_GENERATIONS, NULL, 0},
                 {LEDGER_COLLECTIONS, NULL, 0},
                 {LEDGER_GARBAGE, NULL, 0},
                 {LEDGER_TYPES, NULL, 0}};

    hg_status status = read_header(reading, &header);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == HG_OK; i++) {
        status = read_section(reading, &header, parts[i].id, &parts[i].records);
        if (status == HG_OK)
            parts[i].count = used_of(&header, parts[i].id);
    }
    copy->generations = parts[0].records;
    copy->generation_count = parts[0].count;
    copy->collections = parts[1].records;
    copy->collection_count = parts[1].count;
    copy->garbage = parts[2].records;
    copy->garbage_count = parts[2].count;
    copy->types = parts[3].records;
    copy->type_count = parts[3].count;
    return status;
}

static hg_status read_strings(struct reading *reading, struct ledger_header *header)
{
    void *records;
    hg_status status = read_header(reading, header);
    if (status != HG_OK)
        return status;
    if ((status = read_section(reading, header, LEDGER_STRINGS, &records)) != HG_OK)
        return status;
    reading->copy->strings =
        (struct slice){records, (size_t)header->section[LEDGER_STRINGS].used};
    return HG_OK;
}

/* The newest header, but with the totals that were read together with the nodes. */
static void settle_header(struct ledger_copy *copy,
                          const struct ledger_header *newest,
                          const struct ledger_header *counted)
{
    copy->header = *newest;
    if (counted == NULL)
        return;
    copy->header.state = counted->state;
    copy->header.below_peak_bytes = counted->below_peak_bytes;
    copy->header.peak_bytes = counted->peak_bytes;
    copy->header.epoch = counted->epoch;
    memcpy(copy->header.domain, counted->domain, sizeof counted->domain);
}

static hg_status read_copy(struct reading *reading)
{
    struct ledger_copy *copy = reading->copy;
    struct ledger_header counted;
    struct ledger_header newest;
    hg_status status;
    bool with_accounts = (reading->parts & LEDGER_PART_ACCOUNTS) != 0;

    if (reading->parts == 0)
        return read_header(reading, &copy->header);
    if (with_accounts && (status = read_accounts(reading, &counted)) != HG_OK)
        return status;
    if ((reading->parts & LEDGER_PART_TIMELINE) != 0 &&
        (status = read_timeline(reading)) != HG_OK)
        return status;
    if ((reading->parts & LEDGER_PART_COLLECTOR) != 0 &&
        (status = read_collector(reading)) != HG_OK)
        return status;
    if ((status = read_strings(reading, &newest)) != HG_OK)
        return status;
    settle_header(copy, &newest, with_accounts ? &counted : NULL);
    return ledger_check_records(copy, reading->fault);
}

hg_status ledger_copy_read_fd(int fd, unsigned parts, struct ledger_copy **copy,
                              struct ledger_fault *fault)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail_io(fault);
    if (S_ISDIR(st.st_mode))
        return ledger_fail(fault, "is a directory; name a ledger in it");
    if (!S_ISREG(st.st_mode))
        return ledger_fail(fault, "is not a regular file, so not a ledger");

    struct reading reading = {fd, parts, calloc(1, sizeof **copy), fault};
    if (reading.copy == NULL)
        return fail_memory(fault);
    hg_status status = read_copy(&reading);
    if (status != HG_OK) {
        ledger_copy_free(reading.copy);
        return status;
    }
    *copy = reading.copy;
    return HG_OK;
}

/* A process that claims its ledger empties the file first, for less than 1 ms. */
static void wait_for_claim(int fd)
{
    static const char blank[sizeof LEDGER_MAGIC - 1];
    char magic[sizeof blank];
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        ssize_t got = pread(fd, magic, sizeof magic, 0);
        bool is_blank = got == 0 || (got == (ssize_t)sizeof magic &&
                                     memcmp(magic, blank, sizeof magic) == 0);
        if (!is_blank)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

hg_status ledger_copy_read(const char *path, unsigned parts,
                           struct ledger_copy **copy, struct ledger_fault *fault)
{
    /* O_NONBLOCK: opening a FIFO would wait for somebody to write to it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fail_io(fault);
    wait_for_claim(fd);
    hg_status status = ledger_copy_read_fd(fd, parts, copy, fault);
    int error = errno;
    close(fd);
    errno = error;
    return status;
}

void ledger_copy_drop_accounts(struct ledger_copy *copy)
{
    drop_counters(copy);
    free((void *)copy->codes);
    free((void *)copy->threads);
    copy->codes = NULL;
    copy->threads = NULL;
    copy->code_count = copy->thread_count = 0;
}

void ledger_copy_replace_accounts(struct ledger_copy *copy,
                                  const struct ledger_copy *from)
{
    ledger_copy_drop_accounts(copy);
    free((void *)copy->strings.at);
    copy->nodes = from->nodes;
    copy->inherited = from->inherited;
    copy->away = from->away;
    copy->codes = from->codes;
    copy->threads = from->threads;
    copy->node_count = from->node_count;
    copy->inherited_count = from->inherited_count;
    copy->away_count = from->away_count;
    copy->code_count = from->code_count;
    copy->thread_count = from->thread_count;
    copy->strings = from->strings;
}

void ledger_copy_free(struct ledger_copy *copy)
{
    if (copy == NULL)
        return;
    ledger_copy_drop_accounts(copy);
    free((void *)copy->samples);
    free((void *)copy->generations);
    free((void *)copy->collections);
    free((void *)copy->garbage);
    free((void *)copy->types);
    free((void *)copy->strings.at);
    free(copy);
}

struct slice ledger_copy_text(const struct ledger_copy *copy,
                              struct ledger_text text)
{
    if (text.bytes == 0 || copy->strings.at == NULL)
        return (struct slice){"", 0};
    return (struct slice){copy->strings.at + text.offset, text.bytes};
}
