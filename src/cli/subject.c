/* SPDX-License-Identifier: MIT */
/* subject.c - see subject.h */
#include "cli/subject.h"

#include "cli/command.h"
#include "cli/elsewhere.h"
#include "cli/store.h"
#include "ledger/family.h"
#include "report/facts.h"

#include <stdio.h>
#include <stdlib.h>

/* The best candidate so far, among ledgers that are looked at one by one. */
struct search {
    int32_t pid; /* 0: any */
    char *path;
    uint64_t start_ns;
};

static void consider(struct search *search, const char *path,
                     const char *stands_for)
{
    struct ledger_copy *copy;
    struct ledger_fault fault;
    if (ledger_copy_read(path, 0, &copy, &fault) != HG_OK)
        return;
    const struct ledger_header *header = &copy->header;
    bool fits = search->pid == 0 || header->pid == search->pid;
    if (fits &&
        (search->path == NULL || header->start_realtime_ns > search->start_ns)) {
        free(search->path);
        search->path = strdup(stands_for);
        search->start_ns = header->start_realtime_ns;
    }
    ledger_copy_free(copy);
}

/* Look at all members of a family; without a pid any of them stands for FILE. */
static void consider_family(struct search *search, const char *file)
{
    struct family family;
    if (family_find(file, &family) != HG_OK)
        return;
    bool has_file = family.count > 0 && strcmp(family.paths[0], file) == 0;
    for (size_t i = 0; i < family.count; i++) {
        if (search->pid == 0 && has_file && i > 0)
            break; /* FILE began it, whenever its children did */
        consider(search, family.paths[i],
                 search->pid == 0 ? file : family.paths[i]);
    }
    family_drop(&family);
}

/* False after having said that the user's folder cannot be read. */
static bool consider_folder(struct search *search, const char *folder)
{
    struct store_files files;
    if (!store_list(folder, &files))
        return false;
    for (size_t i = 0; i < files.count; i++)
        consider_family(search, files.paths[i]);
    store_files_drop(&files);
    return true;
}

/* The user's folder, or NULL after having said that there is no memory. */
static char *find_folder(void)
{
    char *folder = store_folder();
    if (folder == NULL)
        say("memory", "there is none left");
    return folder;
}

static char *find_newest(void)
{
    struct search search = {0};
    char *folder = find_folder();
    if (folder == NULL)
        return NULL;
    if (consider_folder(&search, folder) && search.path == NULL)
        say(folder,
            "there is no ledger yet; make one with \"heapglass run PROGRAM\", "
            "or name one");
    free(folder);
    return search.path;
}

static char *find_pid(const char *name)
{
    struct search search = {.pid = (int32_t)strtol(name, NULL, 10)};
    char *file = elsewhere_of(search.pid); /* wherever that is */
    if (file != NULL)
        consider_family(&search, file);
    free(file);
    if (search.path != NULL)
        return search.path;
    char *folder = find_folder();
    bool could = folder != NULL && consider_folder(&search, folder);
    free(folder);
    if (could && search.path == NULL)
        say(name,
            "no process of this id keeps a ledger; \"heapglass list\" shows those "
            "that do");
    return search.path;
}

static bool is_pid(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && digits < 10 && name[digits] == '\0' && name[0] != '0';
}

char *subject_find(const char *name)
{
    if (name == NULL)
        return find_newest();
    if (is_pid(name))
        return find_pid(name);
    return strdup(name);
}

static const char *remedy_for(const struct ledger_fault *fault)
{
    if (strchr(fault->what, ';') != NULL)
        return ""; /* it has one */
    switch (fault->status) {
    case HG_EIO:
        return "; \"heapglass list\" shows the ledgers there are";
    case HG_ECORRUPT:
        return "; name a ledger that \"heapglass run\" wrote";
    default:
        return "";
    }
}

bool subject_gather(const char *name, const struct gather_options *options,
                    struct gathering *out)
{
    struct ledger_fault fault;
    char *path = subject_find(name);
    if (path == NULL)
        return false;
    hg_status status = gather(path, options, out, &fault);
    if (status != HG_OK)
        say(path, "%s%s", fault.what, remedy_for(&fault));
    free(path);
    return status == HG_OK;
}

static void say_no_accounts(const struct process *process)
{
    char *command = facts_command(process->copy);
    const char *name = command != NULL ? command : "the program";
    if (process->fate == FATE_WAITING)
        say(process->path,
            "\"%s\" (%d) has not become a Python program yet; ask again "
            "later",
            name, (int)process->copy->header.pid);
    else
        say(process->path,
            "nothing was recorded, for \"%s\" was not a Python program that "
            "Heapglass can watch; run CPython 3.9 or later with it",
            name);
    free(command);
}

bool subject_gather_accounts(const char *name, const struct gather_options *options,
                             struct gathering *out)
{
    struct gathering gathering;
    if (!subject_gather(name, options, &gathering))
        return false;
    enum fate fate = gathering.processes[0].fate;
    if (fate == FATE_WAITING || fate == FATE_NOT_PYTHON) {
        say_no_accounts(&gathering.processes[0]);
        gathering_drop(&gathering);
        return false;
    }
    *out = gathering;
    return true;
}
