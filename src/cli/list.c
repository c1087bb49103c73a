/* SPDX-License-Identifier: MIT */
/* list.c - `heapglass list`: the programs that have a ledger. */
#include "cli/command.h"
#include "cli/elsewhere.h"
#include "cli/store.h"
#include "report/listing.h"
#include "report/page.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: heapglass list [--json]\n"
    "\n"
    "Show the programs that keep a ledger, running or ended, the newest first.  "
    "Those\n"
    "whose ledger has a name of its own (run -o FILE) are shown while they run.\n"
    "\n"
    "  live   bytes that it holds, or held when its interpreter began to finalize\n"
    "  peak   the most it ever held\n"
    "  RSS    resident memory, now or when it was seen last\n"
    "\n"
    "  --json  for programs: see docs/json.md\n"
    "  --help  this text\n";

static const struct option longs[] = {
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int newest_first(const void *a, const void *b)
{
    const struct gathering *x = a;
    const struct gathering *y = b;
    uint64_t of_x = x->processes[0].copy->header.start_realtime_ns;
    uint64_t of_y = y->processes[0].copy->header.start_realtime_ns;
    return of_x > of_y ? -1 : of_x < of_y;
}

/* Read all families; what cannot be read at all is not one. */
static size_t gather_all(const struct store_files *files,
                         struct gathering *families)
{
    const struct gather_options how = {.children = true,
                                       .parts = LEDGER_PART_TIMELINE};
    size_t count = 0;
    for (size_t i = 0; i < files->count; i++) {
        struct ledger_fault fault;
        if (gather(files->paths[i], &how, &families[count], &fault) == HG_OK)
            count++;
    }
    if (count > 1)
        qsort(families, count, sizeof *families, newest_first);
    return count;
}

static bool find_files(struct store_files *files)
{
    char *folder = store_folder();
    hg_status status = folder == NULL ? HG_ENOMEM : store_list(folder, files);
    if (status == HG_EIO && errno == ENOENT) {
        *files = (struct store_files){NULL, 0}; /* nothing was ever run */
        status = HG_OK;
    }
    if (status == HG_EIO)
        say(folder, "cannot be read: %s; name another folder with HEAPGLASS_DIR",
            strerror(errno));
    free(folder);
    if (status == HG_OK && (status = elsewhere_add(files)) != HG_OK)
        store_files_drop(files);
    if (status == HG_ENOMEM)
        say("memory", "there is none left");
    return status == HG_OK;
}

static bool list(bool json)
{
    struct store_files files;
    if (!find_files(&files))
        return false;
    struct gathering *families = calloc(files.count + 1, sizeof *families);
    if (families == NULL) {
        say("memory", "there is none left");
        store_files_drop(&files);
        return false;
    }
    size_t count = gather_all(&files, families);
    if (json)
        listing_json(stdout, families, count);
    else
        listing_text(stdout, families, count, page_wants_colour(stdout));
    for (size_t i = 0; i < count; i++)
        gathering_drop(&families[i]);
    free(families);
    store_files_drop(&files);
    return finish_output();
}

int command_list(int argc, char **argv)
{
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
        switch (option) {
        case 'j':
            json = true;
            break;
        case 'h':
            return show_help(help);
        default:
            say_bad_option(argv, option);
            return MISUSED;
        }
    }
    if (argv[optind] != NULL) {
        say(argv[0], "takes no ledger; see \"heapglass list --help\"");
        return MISUSED;
    }
    return list(json) ? DONE : COULD_NOT;
}
