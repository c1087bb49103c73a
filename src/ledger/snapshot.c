/* SPDX-License-Identifier: MIT */
/* snapshot.c - the used part of each section, one after the other. */
#include "ledger/snapshot.h"

#include <errno.h>
#include <unistd.h>

struct piece {
    const void *records;
    uint64_t count;
    uint32_t record_bytes;
};

static hg_status write_all(int fd, const void *bytes, size_t count, uint64_t offset)
{
    const char *from = bytes;
    while (count > 0) {
        ssize_t written = pwrite(fd, from, count, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return HG_EIO;
        from += written;
        count -= (size_t)written;
        offset += (uint64_t)written;
    }
    return HG_OK;
}

static void name_state(struct ledger_header *header, uint64_t now_ns)
{
    if (header->state == LEDGER_SNAPSHOT)
        return; /* a snapshot of a snapshot is of the moment of the first */
    header->snapshot_of = header->state;
    header->state = LEDGER_SNAPSHOT;
    if (now_ns != 0)
        header->end_ns = now_ns;
}

hg_status ledger_snapshot_write(const struct ledger_copy *copy, uint64_t now_ns,
                                int fd)
{
    const struct piece pieces[LEDGER_SECTIONS] = {
        [LEDGER_THREADS] = {copy->threads, copy->thread_count,
                            sizeof(struct ledger_thread)},
        [LEDGER_TIMELINE] = {copy->samples, copy->sample_count,
                             sizeof(struct ledger_sample)},
        [LEDGER_AWAY] = {copy->away, copy->away_count, sizeof(struct ledger_away)},
        [LEDGER_CODES] = {copy->codes, copy->code_count,
                          sizeof(struct ledger_code)},
        [LEDGER_STRINGS] = {copy->strings.at, copy->strings.bytes, 1},
        [LEDGER_INHERITED] = {copy->inherited, copy->inherited_count,
                              sizeof(struct ledger_inherited)},
        [LEDGER_GENERATIONS] = {copy->generations, copy->generation_count,
                                sizeof(struct ledger_generation)},
        [LEDGER_COLLECTIONS] = {copy->collections, copy->collection_count,
                                sizeof(struct ledger_collection)},
        [LEDGER_GARBAGE] = {copy->garbage, copy->garbage_count,
                            sizeof(struct ledger_garbage)},
        [LEDGER_TYPES] = {copy->types, copy->type_count,
                          sizeof(struct ledger_type)},
        [LEDGER_NODES] = {copy->nodes, copy->node_count,
                          sizeof(struct ledger_node)},
    };
    union {
        struct ledger_header header;
        char bytes[LEDGER_HEADER_BYTES];
    } page;
    uint64_t offset = LEDGER_HEADER_BYTES;

    memset(&page, 0, sizeof page);
    page.header = copy->header;
    page.header.timeline_writing = 0;
    name_state(&page.header, now_ns);
    for (int i = 0; i < LEDGER_SECTIONS; i++) {
        const struct piece *piece = &pieces[i];
        size_t bytes = (size_t)piece->count * piece->record_bytes;
        page.header.section[i] = (struct ledger_section){
            .offset = offset,
            .capacity = piece->count,
            .record_bytes = piece->record_bytes,
            .used = piece->count,
        };
        if (write_all(fd, piece->records, bytes, offset) != HG_OK)
            return HG_EIO;
        offset = (offset + bytes + 63) / 64 * 64;
    }
    page.header.file_bytes = offset;
    if (write_all(fd, &page, sizeof page, 0) != HG_OK)
        return HG_EIO;
    return ftruncate(fd, (off_t)offset) == 0 ? HG_OK : HG_EIO;
}
