/* SPDX-License-Identifier: MIT */
/* subject.c - see subject.h */
#include "cli/subject.h"

#include "cli/command.h"
#include "ledger/find.h"
#include "report/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void say_unreadable_folder(int error)
{
    char *folder = find_folder();
    say(folder != NULL ? folder : "the folder of ledgers",
        "cannot be read: %s; mend that, or name another folder with HEAPGLASS_DIR",
        strerror(error));
    free(folder);
}

/* find_ledger(), or NULL after having said what is wrong: without a ledger,
 * `none`. */
static char *find(const char *name, int32_t pid, const char *none)
{
    char *path;
    hg_status status = find_ledger(pid, &path);
    if (status == HG_OK && path == NULL)
        say(name, "%s", none);
    else if (status == HG_EIO)
        say_unreadable_folder(errno);
    else if (status != HG_OK)
        say("memory", "there is none left");
    return status == HG_OK ? path : NULL;
}

static char *find_newest(void)
{
    char *folder = find_folder();
    char *path = find(folder != NULL ? folder : "the folder of ledgers", 0,
                      "there is no ledger yet; make one with \"heapglass run "
                      "PROGRAM\", or name one");
    free(folder);
    return path;
}

static char *find_pid(const char *name)
{
    return find(name, (int32_t)strtol(name, NULL, 10),
                "no process of this id keeps a ledger; \"heapglass list\" shows "
                "those that do");
}

static bool is_pid(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && digits < 10 && name[digits] == '\0' && name[0] != '0';
}

pid_t subject_pid(const char *name)
{
    return is_pid(name) ? (pid_t)strtol(name, NULL, 10) : 0;
}

char *subject_ledger_of(pid_t pid)
{
    char *path;
    return find_ledger(pid, &path) == HG_OK ? path : NULL;
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
