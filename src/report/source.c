/* SPDX-License-Identifier: MIT */
/*
 * source.c - reads each source file once.  The names come from a ledger, which
 * may name anything: only regular files of a sane size are read, and opening
 * one neither waits nor takes over a terminal.
 */
#include "report/source.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_SOURCE_BYTES (16u << 20)

struct source {
    struct source *next;
    char *path;
    char *text; /* NULL: there is none */
    size_t bytes;
};

struct source_cache {
    struct source *first;
};

struct source_cache *source_cache_new(void)
{
    return calloc(1, sizeof(struct source_cache));
}

void source_cache_free(struct source_cache *cache)
{
    if (cache == NULL)
        return;
    while (cache->first != NULL) {
        struct source *source = cache->first;
        cache->first = source->next;
        free(source->path);
        free(source->text);
        free(source);
    }
    free(cache);
}

static void read_text(struct source *source, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        st.st_size > MAX_SOURCE_BYTES)
        return;
    char *text = malloc((size_t)st.st_size + 1);
    if (text == NULL)
        return;
    ssize_t got = read(fd, text, (size_t)st.st_size);
    if (got < 0) {
        free(text);
        return;
    }
    source->text = text;
    source->bytes = (size_t)got;
}

static struct source *load(struct source_cache *cache, const char *path)
{
    for (struct source *known = cache->first; known != NULL; known = known->next)
        if (strcmp(known->path, path) == 0)
            return known;
    struct source *source = calloc(1, sizeof *source);
    if (source == NULL)
        return NULL;
    source->path = strdup(path);
    if (source->path == NULL) {
        free(source);
        return NULL;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) {
        read_text(source, fd);
        close(fd);
    }
    source->next = cache->first;
    cache->first = source;
    return source;
}

static struct slice nth_line(struct slice text, uint32_t line)
{
    while (--line > 0) {
        const char *end = text.bytes > 0 ? memchr(text.at, '\n', text.bytes) : NULL;
        if (end == NULL)
            return (struct slice){"", 0};
        text = slice_after(text, (size_t)(end + 1 - text.at));
    }
    const char *end = text.bytes > 0 ? memchr(text.at, '\n', text.bytes) : NULL;
    if (end != NULL)
        text.bytes = (size_t)(end - text.at);
    return text;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static struct slice trim(struct slice text)
{
    while (text.bytes > 0 && is_space(text.at[0]))
        text = slice_after(text, 1);
    while (text.bytes > 0 && is_space(text.at[text.bytes - 1]))
        text.bytes--;
    return text;
}

struct slice source_line(struct source_cache *cache, struct slice file,
                         struct slice folder, uint32_t line)
{
    struct slice none = {"", 0};
    char *path;
    if (cache == NULL || line == 0 || file.bytes == 0 || file.at[0] == '<')
        return none;
    bool absolute = file.at[0] == '/';
    if (!absolute && folder.bytes == 0)
        return none;
    if (asprintf(&path, "%.*s%s%.*s", absolute ? 0 : (int)folder.bytes, folder.at,
                 absolute ? "" : "/", (int)file.bytes, file.at) < 0)
        return none;
    struct source *source = load(cache, path);
    free(path);
    if (source == NULL || source->text == NULL)
        return none;
    return trim(nth_line((struct slice){source->text, source->bytes}, line));
}
