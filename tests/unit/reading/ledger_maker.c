/* SPDX-License-Identifier: MIT */
/* ledger_maker.c - see ledger_maker.h */
#include "ledger_maker.h"

#include "base/grow.h"
#include "base/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

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

static void **section_of(struct ledger_maker *maker, enum ledger_section_id id)
{
    void **const sections[LEDGER_SECTIONS] = {
        [LEDGER_THREADS] = (void **)&maker->threads,
        [LEDGER_TIMELINE] = (void **)&maker->samples,
        [LEDGER_AWAY] = (void **)&maker->away,
        [LEDGER_CODES] = (void **)&maker->codes,
        [LEDGER_STRINGS] = (void **)&maker->strings,
        [LEDGER_INHERITED] = (void **)&maker->inherited,
        [LEDGER_GENERATIONS] = (void **)&maker->generations,
        [LEDGER_COLLECTIONS] = (void **)&maker->collections,
        [LEDGER_GARBAGE] = (void **)&maker->garbage,
        [LEDGER_TYPES] = (void **)&maker->types,
        [LEDGER_NODES] = (void **)&maker->nodes,
    };
    return sections[id];
}

/* The next free record of a section, zeroed and counted; its index is the result.
 */
static uint32_t add(struct ledger_maker *maker, enum ledger_section_id id)
{
    void **section = section_of(maker, id);
    uint32_t index = maker->count[id]++;
    *section = grow_to(*section, &maker->room[id], index, record_bytes[id]);
    if (*section == NULL)
        abort();
    return index;
}

struct ledger_text maker_bytes(struct ledger_maker *maker, const char *text,
                               size_t bytes)
{
    struct ledger_text place = {maker->count[LEDGER_STRINGS], (uint32_t)bytes};
    for (size_t i = 0; i < bytes; i++) {
        uint32_t at = add(maker, LEDGER_STRINGS);
        maker->strings[at] = text[i];
    }
    return place;
}

struct ledger_text maker_text(struct ledger_maker *maker, const char *text)
{
    return maker_bytes(maker, text, strlen(text));
}

void maker_begin(struct ledger_maker *maker)
{
    static const char command[] = "python3\0app.py";
    memset(maker, 0, sizeof *maker);
    struct ledger_header *header = &maker->header;
    memcpy(header->magic, LEDGER_MAGIC, sizeof header->magic);
    header->version = LEDGER_VERSION;
    header->header_bytes = LEDGER_HEADER_BYTES;
    header->state = LEDGER_EXITED;
    header->pid = 4711;
    header->parent_pid = 4700;
    header->session_pid = 4711;
    header->process_start = 1; /* no process has started so early and lives */
    header->start_ns = 1000000000;
    header->start_realtime_ns = 1700000000000000000;
    header->end_ns = 12000000000;
    process_boot_id(header->boot_id);
    header->mode = LEDGER_MODE_STACKS;
    header->recycled = 1;
    header->command = maker_bytes(maker, command, sizeof command);
    header->folder = maker_text(maker, "/home/shop");
    header->recycled_how = maker_text(maker, "free lists off");
    header->python = maker_text(maker, "3.13.0");

    add(maker, LEDGER_CODES);
    add(maker, LEDGER_NODES);
    add(maker, LEDGER_NODES);
    maker_node(maker, LEDGER_ROOT, 0, 0);
    maker_thread(maker, 4711);
}

void maker_drop(struct ledger_maker *maker)
{
    for (int id = 0; id < LEDGER_SECTIONS; id++)
        free(*section_of(maker, id));
}

uint32_t maker_code(struct ledger_maker *maker, const char *file,
                    const char *function, uint32_t first_line)
{
    struct ledger_code code = {
        .file = maker_text(maker, file),
        .function = maker_text(maker, function),
        .first_line = first_line,
    };
    uint32_t index = add(maker, LEDGER_CODES);
    maker->codes[index] = code;
    return index;
}

uint32_t maker_node(struct ledger_maker *maker, uint32_t parent, uint32_t code,
                    uint32_t line)
{
    uint32_t id = add(maker, LEDGER_NODES);
    maker->nodes[id].parent = parent;
    maker->nodes[id].code = code;
    maker->nodes[id].line = line;
    return id;
}

uint32_t maker_thread(struct ledger_maker *maker, uint32_t tid)
{
    uint32_t slot = add(maker, LEDGER_THREADS);
    uint32_t node = maker_node(maker, LEDGER_ROOT, 0, slot);
    maker->threads[slot] =
        (struct ledger_thread){.node = node, .tid = tid, .threads = 1, .alive = 1};
    return node;
}

uint32_t maker_line(struct ledger_maker *maker, const char *file,
                    const char *function, uint32_t line)
{
    return maker_node(maker, MAIN_THREAD, maker_code(maker, file, function, 1),
                      line);
}

/* "The first update of an owner in an epoch copies its live value" (layout.h). */
static void touch(struct ledger_counters *counters, uint32_t epoch)
{
    if (counters->epoch == epoch)
        return;
    counters->epoch = epoch;
    counters->peak_bytes = counters->allocated_bytes - counters->freed_bytes;
    counters->peak_blocks =
        (uint32_t)(counters->allocated_blocks - counters->freed_blocks);
}

void maker_allocated_in(struct ledger_maker *maker, enum ledger_domain domain,
                        uint32_t node, uint64_t bytes)
{
    struct ledger_header *header = &maker->header;
    struct ledger_counters *owners[] = {&maker->nodes[node].counters,
                                        &header->domain[domain]};
    for (int i = 0; i < (domain == LEDGER_OBJ ? 1 : 2); i++) {
        touch(owners[i], header->epoch);
        owners[i]->allocated_bytes += bytes;
        owners[i]->allocated_blocks++;
    }
    header->below_peak_bytes -= (int64_t)bytes;
    if (header->below_peak_bytes < 0) {
        header->peak_bytes -= (uint64_t)header->below_peak_bytes;
        header->below_peak_bytes = 0;
    }
}

void maker_allocated(struct ledger_maker *maker, uint32_t node, uint64_t bytes)
{
    maker_allocated_in(maker, LEDGER_OBJ, node, bytes);
}

void maker_freed(struct ledger_maker *maker, uint32_t node, uint64_t bytes)
{
    struct ledger_header *header = &maker->header;
    if (header->below_peak_bytes == 0)
        header->epoch++;
    touch(&maker->nodes[node].counters, header->epoch);
    maker->nodes[node].counters.freed_bytes += bytes;
    maker->nodes[node].counters.freed_blocks++;
    header->below_peak_bytes += (int64_t)bytes;
}

void maker_away(struct ledger_maker *maker, struct ledger_away away)
{
    uint32_t index = add(maker, LEDGER_AWAY);
    maker->away[index] = away;
}

void maker_inherited(struct ledger_maker *maker, uint32_t node, uint64_t bytes,
                     uint64_t blocks)
{
    maker->header.forked = 1;
    while (maker->count[LEDGER_INHERITED] <= node)
        add(maker, LEDGER_INHERITED);
    maker->inherited[node] = (struct ledger_inherited){bytes, blocks};
    maker->nodes[node].counters.allocated_bytes += bytes;
    maker->nodes[node].counters.allocated_blocks += blocks;
    maker->header.peak_bytes += bytes;
}

void maker_sample(struct ledger_maker *maker, struct ledger_sample sample)
{
    uint32_t index = add(maker, LEDGER_TIMELINE);
    maker->samples[index] = sample;
}

void maker_collection(struct ledger_maker *maker, unsigned generation,
                      struct ledger_collection what)
{
    while (maker->count[LEDGER_GENERATIONS] < LEDGER_GENERATION_COUNT)
        add(maker, LEDGER_GENERATIONS);
    while (maker->count[LEDGER_COLLECTIONS] <
           LEDGER_GENERATION_COUNT * LEDGER_LATEST_COLLECTIONS)
        add(maker, LEDGER_COLLECTIONS);
    struct ledger_generation *of = &maker->generations[generation];
    bool useless = what.found == 0;
    what.number = ++of->collections;
    of->useless += useless;
    of->useless_ns += useless ? what.pause_ns : 0;
    of->pause_ns += what.pause_ns;
    if (what.pause_ns > of->pause_max_ns)
        of->pause_max_ns = what.pause_ns;
    of->pauses[ledger_pause_class(what.pause_ns)]++;
    of->visited += what.visited;
    of->found += what.found;
    of->uncollectable += what.uncollectable;
    of->freed_bytes += what.freed_bytes;
    of->freed_blocks += what.freed_blocks;
    maker->collections[generation * LEDGER_LATEST_COLLECTIONS +
                       (what.number - 1) % LEDGER_LATEST_COLLECTIONS] = what;
}

void maker_garbage(struct ledger_maker *maker, uint32_t node, uint64_t bytes,
                   uint64_t blocks)
{
    while (maker->count[LEDGER_GARBAGE] <= node)
        add(maker, LEDGER_GARBAGE);
    maker->garbage[node] = (struct ledger_garbage){bytes, blocks};
}

void maker_type(struct ledger_maker *maker, const char *name, uint64_t objects,
                uint64_t bytes)
{
    struct ledger_text text = maker_text(maker, name);
    uint32_t index = add(maker, LEDGER_TYPES);
    maker->types[index] = (struct ledger_type){text, objects, bytes};
}

unsigned char *maker_image(struct ledger_maker *maker, size_t *bytes)
{
    uint64_t offset = LEDGER_HEADER_BYTES;
    for (int id = 0; id < LEDGER_SECTIONS; id++) {
        maker->header.section[id] = (struct ledger_section){
            .offset = offset,
            .capacity = maker->count[id],
            .record_bytes = record_bytes[id],
            .used = maker->count[id],
        };
        offset += ((uint64_t)maker->count[id] * record_bytes[id] + 63) / 64 * 64;
    }
    maker->header.file_bytes = offset;
    unsigned char *image = calloc(1, offset);
    if (image == NULL)
        abort();
    memcpy(image, &maker->header, sizeof maker->header);
    for (int id = 0; id < LEDGER_SECTIONS; id++)
        if (maker->count[id] > 0)
            memcpy(image + maker->header.section[id].offset, *section_of(maker, id),
                   (size_t)maker->count[id] * record_bytes[id]);
    *bytes = offset;
    return image;
}

void maker_write_image(const unsigned char *image, size_t bytes, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, image, bytes) != (ssize_t)bytes || close(fd) != 0) {
        perror(path);
        abort();
    }
}

void maker_write(struct ledger_maker *maker, const char *path)
{
    size_t bytes;
    unsigned char *image = maker_image(maker, &bytes);
    maker_write_image(image, bytes, path);
    free(image);
}
