/* SPDX-License-Identifier: MIT */
/* list.c - `heapglass list`: the programs that have a ledger. */
#include "cli/command.h"
#include "cli/options.h"
#include "cli/store.h"
#include "report/listing.h"
#include "report/page.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: heapglass list [--json]\n"
    "\n"
    "Show the programs that keep a ledger, running or ended, the newest first.\n"
    "Those whose ledger has a name of its own (run -o FILE) are shown while they\n"
    "run.\n"
    "\n"
    "  live   bytes that it holds, or held when its interpreter began to finalize\n"
    "  peak   the most it ever held\n"
    "  RSS    resident memory, now or when it was seen last\n"
    "\n"
    "  --json  for programs: see docs/json.md\n"
    "  --help  this text\n";

static int newest_first(const void *a, const void *b)
{
    const struct gathering *x = a;
    const struct gathering *y = b;
    uint64_t of_x = x->processes[0].copy->header.start_realtime_ns;
    uint64_t of_y = y->processes[0].copy->header.start_realtime_ns;
    return of_x > of_y ? -1 : of_x < of_y;
}

/* Read all families: those that can be read, and what of the others is there. */
static bool gather_all(const struct find_files *files, struct listing *listing)
{
    const struct gather_options how = {.children = true,
                                       .parts = LEDGER_PART_TIMELINE};
    for (size_t i = 0; i < files->count; i++) {
        struct unread unread = {.path = files->paths[i]};
        struct gathering *family = &listing->families[listing->count];
        if (gather(unread.path, &how, family, &unread.fault) == HG_OK)
            listing->count++;
        else if (unread.fault.status == HG_ENOMEM)
            return false;
        else if (access(unread.path, F_OK) == 0 || errno != ENOENT)
            listing->unread[listing->unread_count++] = unread;
    }
    if (listing->count > 1)
        qsort(listing->families, listing->count, sizeof *listing->families,
              newest_first);
    return true;
}

static bool find_files(struct find_files *files)
{
    char *folder = find_folder();
    bool found = folder != NULL && store_list(folder, files);
    if (folder == NULL)
        say("memory", "there is none left");
    free(folder);
    if (found && find_add_running(files) != HG_OK) {
        say("memory", "there is none left");
        find_files_drop(files);
        return false;
    }
    return found;
}

static void say_unread(const struct unread *unread, size_t count)
{
    for (size_t i = 0; i < count; i++)
        say(unread[i].path,
            "%.*s, so it is not listed; remove it if nobody needs it",
            (int)strcspn(unread[i].fault.what, ";"), unread[i].fault.what);
}

static bool show(const struct listing *listing, bool json)
{
    if (json) {
        listing_json(stdout, listing);
        return finish_output();
    }
    listing_text(stdout, listing, page_wants_colour(stdout));
    if (!finish_output())
        return false;
    for (size_t i = 0; i < listing->count; i++)
        say_unread(listing->families[i].unread, listing->families[i].unread_count);
    say_unread(listing->unread, listing->unread_count);
    return true;
}

static bool list(bool json)
{
    struct find_files files;
    if (!find_files(&files))
        return false;
    struct listing listing = {
        .families = calloc(files.count + 1, sizeof *listing.families),
        .unread = calloc(files.count + 1, sizeof *listing.unread),
    };
    bool shown = false;
    if (listing.families == NULL || listing.unread == NULL ||
        !gather_all(&files, &listing))
        say("memory", "there is none left");
    else
        shown = show(&listing, json);
    for (size_t i = 0; i < listing.count; i++)
        gathering_drop(&listing.families[i]);
    free(listing.families);
    free(listing.unread);
    find_files_drop(&files);
    return shown;
}

int command_list(int argc, char **argv)
{
    bool json = false;
    const struct option_known known[] = {
        {"json", 0, OPTION_ON, &json, 0},
        {0},
    };
    int status = options_read(argc, argv, known, help);
    if (status >= 0)
        return status;
    if (argv[optind] != NULL) {
        say(argv[0], "takes no ledger; see \"heapglass list --help\"");
        return MISUSED;
    }
    return list(json) ? DONE : COULD_NOT;
}
