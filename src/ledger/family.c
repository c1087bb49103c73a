/* SPDX-License-Identifier: MIT */
/* family.c - names of files alone; nothing is opened here. */
#include "ledger/family.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ".<digits>" at the beginning of `text`: how many bytes, or 0. */
static size_t number_bytes(const char *text)
{
    if (text[0] != '.')
        return 0;
    size_t digits = strspn(text + 1, "0123456789");
    return digits == 0 ? 0 : digits + 1;
}

bool family_has_name(const char *stem, const char *name)
{
    size_t bytes = strlen(stem);
    if (strncmp(name, stem, bytes) != 0)
        return false;
    const char *rest = name + bytes;
    for (int numbers = 0; numbers < 2 && *rest != '\0'; numbers++) {
        size_t number = number_bytes(rest);
        if (number == 0)
            return false;
        rest += number;
    }
    return *rest == '\0';
}

size_t family_stem_bytes(const char *name)
{
    size_t bytes = strlen(name);
    for (int numbers = 0; numbers < 2; numbers++) {
        size_t at = bytes;
        while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9')
            at--;
        if (at == bytes || at < 2 || name[at - 1] != '.')
            break;
        bytes = at - 1;
    }
    return bytes;
}

/* Digits count as a number, so that child 9 comes before child 10. */
static int by_number(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

static hg_status add(struct family *family, const char *folder, size_t folder_bytes,
                     const char *name)
{
    char **paths = realloc(family->paths, (family->count + 1) * sizeof *paths);
    if (paths == NULL)
        return HG_ENOMEM;
    family->paths = paths;
    if (asprintf(&paths[family->count], "%.*s%s", (int)folder_bytes, folder, name) <
        0)
        return HG_ENOMEM;
    family->count++;
    return HG_OK;
}

hg_status family_find(const char *file, struct family *family)
{
    struct family found = {NULL, 0};
    const char *slash = strrchr(file, '/');
    const char *stem = slash != NULL ? slash + 1 : file;
    size_t folder_bytes = (size_t)(stem - file); /* with its slash */
    char *folder = folder_bytes > 0 ? strndup(file, folder_bytes) : strdup(".");
    if (folder == NULL)
        return HG_ENOMEM;
    DIR *dir = opendir(folder);
    free(folder);
    if (dir == NULL && errno == ENOENT) {
        *family = found;
        return HG_OK;
    }
    if (dir == NULL)
        return HG_EIO;

    hg_status status = HG_OK;
    const struct dirent *entry;
    while (status == HG_OK && (entry = readdir(dir)) != NULL)
        if (family_has_name(stem, entry->d_name))
            status = add(&found, file, folder_bytes, entry->d_name);
    closedir(dir);
    if (status != HG_OK) {
        family_drop(&found);
        return status;
    }
    if (found.count > 1)
        qsort(found.paths, found.count, sizeof *found.paths, by_number);
    *family = found;
    return HG_OK;
}

void family_drop(struct family *family)
{
    for (size_t i = 0; i < family->count; i++)
        free(family->paths[i]);
    free(family->paths);
    *family = (struct family){NULL, 0};
}
