/* SPDX-License-Identifier: MIT */
/*
 * seeds.c - writes the corpus of tests/fuzz/reader.c into the folder it is given:
 *
 *     build/tests/unit/reading/seeds tests/fuzz/corpus/reader
 *
 * To be run again when layout.h changes.  See there for the form of an input.
 */
#include "ledger_maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void begin(struct ledger_maker *maker)
{
    maker_begin(maker);
    strcpy(maker->header.boot_id, "00000000-0000-0000-0000-000000000000");
}

static void write_seed(struct ledger_maker *maker, const char *name)
{
    size_t bytes;
    const size_t header = sizeof(struct ledger_header);
    unsigned char *image = maker_image(maker, &bytes);
    memmove(image + header, image + LEDGER_HEADER_BYTES,
            bytes - LEDGER_HEADER_BYTES);
    maker_write_image(image, bytes - LEDGER_HEADER_BYTES + header, name);
    free(image);
    maker_drop(maker);
}

/* A name with bytes that are no UTF-8, control characters, and folders. */
static const char odd_name[] = "/home/shop/\xff\x1b[31m/\xe4\xb8\xad/app.py";

static void make_tree(struct ledger_maker *maker)
{
    uint32_t outer =
        maker_node(maker, MAIN_THREAD, maker_code(maker, odd_name, "f", 1), 2);
    uint32_t code = maker_code(maker, "app.py", "f.<locals>.g", 3);
    uint32_t inner = maker_node(maker, outer, code, 0);
    uint32_t worker = maker_thread(maker, 4712);
    uint32_t deep = maker_node(maker, worker, code, 4);
    maker_allocated(maker, inner, 300);
    maker_allocated_in(maker, LEDGER_MEM, outer, 70);
    maker_allocated_in(maker, LEDGER_RAW, worker, 8);
    maker_allocated(maker, deep, 5);
    maker_freed(maker, inner, 300);
    maker_allocated(maker, LEDGER_NOT_RECORDED, 1);
}

static void write_ended(void)
{
    struct ledger_maker maker;
    begin(&maker);
    make_tree(&maker);
    write_seed(&maker, "ended");
}

static void write_running_child(void)
{
    struct ledger_maker maker;
    begin(&maker);
    make_tree(&maker);
    maker.header.state = LEDGER_RUNNING;
    maker.header.end_ns = 0;
    maker_inherited(&maker, MAIN_THREAD, 50, 2);
    maker_away(&maker, (struct ledger_away){.domain = LEDGER_RAW,
                                            .node = MAIN_THREAD,
                                            .allocated_bytes = 9,
                                            .allocated_blocks = 1});
    maker.header.lost.blocks_without_node = 1;
    write_seed(&maker, "running-child");
}

static void write_timeline(void)
{
    struct ledger_maker maker;
    begin(&maker);
    for (uint64_t i = 1; i < 6; i++)
        maker_sample(&maker, (struct ledger_sample){
                                 .time_ns = i * 1000000,
                                 .rss_bytes = i << 20,
                                 .rss_max_bytes = i << 21,
                                 .live_bytes = i << 19,
                                 .live_max_bytes = i << 20,
                                 .held_bytes = i << 20,
                                 .collections = {3, 1, (uint32_t)i & 1},
                             });
    maker.header.peak_bytes = 5 << 20;
    maker.header.peak_time_ns = 5000000;
    maker.header.displaced = maker_text(&maker, "PYTHONMALLOC=debug");
    write_seed(&maker, "timeline");
}

static void write_untraced(void)
{
    struct ledger_maker maker;
    begin(&maker);
    maker.header.mode = LEDGER_MODE_UNTRACED;
    maker.count[LEDGER_NODES] = 0;
    maker_sample(&maker, (struct ledger_sample){.time_ns = 1, .rss_bytes = 4096});
    write_seed(&maker, "untraced");
}

static void write_collector(void)
{
    struct ledger_maker maker;
    begin(&maker);
    uint32_t line = maker_line(&maker, "a.py", "f", 1);
    maker_allocated(&maker, line, 100);
    maker_collection(&maker, 0, (struct ledger_collection){.pause_ns = 1500});
    maker_collection(&maker, 2,
                     (struct ledger_collection){.time_ns = 9000000,
                                                .pause_ns = 70000000,
                                                .visited = 500,
                                                .found = 2,
                                                .freed_bytes = 100,
                                                .freed_blocks = 1});
    maker_garbage(&maker, line, 100, 1);
    maker_type(&maker, "", 0, 0);
    maker_type(&maker, "Node", 2, 64);
    write_seed(&maker, "collector");
}

static void write_waiting(void)
{
    struct ledger_maker maker;
    begin(&maker);
    struct ledger_text none = {0, 0};
    memset(maker.count, 0, sizeof maker.count);
    maker.header.state = LEDGER_WAITING;
    maker.header.command = maker.header.folder = maker.header.recycled_how = none;
    write_seed(&maker, "waiting");
}

int main(int argc, char **argv)
{
    if (argc != 2 || chdir(argv[1]) != 0) {
        fprintf(stderr, "usage: seeds FOLDER\n");
        return 2;
    }
    write_ended();
    write_running_child();
    write_timeline();
    write_untraced();
    write_collector();
    write_waiting();
    return 0;
}
