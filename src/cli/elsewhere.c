/* SPDX-License-Identifier: MIT */
/* elsewhere.c - see elsewhere.h */
#include "cli/elsewhere.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *elsewhere_of(pid_t pid)
{
    static const char key[] = "HEAPGLASS_LEDGER=";
    char path[64];
    char *line = NULL;
    char *file = NULL;
    size_t room = 0;
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    FILE *environment = fopen(path, "re");
    if (environment == NULL)
        return NULL;
    while (file == NULL && getdelim(&line, &room, '\0', environment) > 0)
        if (strncmp(line, key, sizeof key - 1) == 0)
            file = strdup(line + sizeof key - 1);
    free(line);
    fclose(environment);
    return file;
}

hg_status elsewhere_add(struct store_files *files)
{
    hg_status status = HG_OK;
    const struct dirent *entry;
    DIR *dir = opendir("/proc");
    if (dir == NULL)
        return HG_OK; /* then nobody can be asked */
    while (status == HG_OK && (entry = readdir(dir)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        char *file = pid > 0 ? elsewhere_of(pid) : NULL;
        if (file != NULL)
            status = store_files_add(files, file);
        free(file);
    }
    closedir(dir);
    return status;
}
