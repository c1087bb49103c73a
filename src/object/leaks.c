/* SPDX-License-Identifier: MIT */
/* leaks.c - what is left at the end: by type and site, with what keeps it. */
#include "base/hash.h"
#include "object/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPLAINED = 16 }; /* each costs a walk through the world */

struct group {
    const hg_type *type; /* NULL: free */
    const char *site;
    size_t objects, bytes;
    hg_object *first;
};

struct leaks {
    hg_world *w;
    struct group *group; /* a hash table, then sorted */
    size_t groups, room;
    bool full;
    size_t objects;
    unsigned explained; /* groups */
    hg_on_line *call;
    void *arg;
    /* A line that becomes longer. */
    char line[512];
    size_t length;
};

static bool same_site(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static struct group *group_of(struct leaks *leaks, const hg_type *type,
                              const char *site)
{
    uint64_t hash = (uintptr_t)type;
    for (const char *c = site; c != NULL && *c != 0; c++)
        hash = hash_mix(hash ^ (uint8_t)*c);
    size_t i = (size_t)hash_mix(hash) & (leaks->room - 1);
    while (leaks->group[i].type != NULL &&
           (leaks->group[i].type != type || !same_site(leaks->group[i].site, site)))
        i = (i + 1) & (leaks->room - 1);
    return &leaks->group[i];
}

static bool groups_grow(struct leaks *leaks)
{
    struct leaks grown = *leaks;
    grown.room = leaks->room == 0 ? 64 : 2 * leaks->room;
    grown.group = memory_take(grown.room * sizeof *grown.group);
    if (grown.group == NULL)
        return false;
    for (size_t i = 0; i < leaks->room; i++) {
        const struct group *old = &leaks->group[i];
        if (old->type != NULL)
            *group_of(&grown, old->type, old->site) = *old;
    }
    memory_give(leaks->group);
    leaks->group = grown.group;
    leaks->room = grown.room;
    return true;
}

/* Of what the roots reach, `exact` is 1. */
static void add_leak(hg_world *w, struct page *page, hg_object *object, void *arg)
{
    struct leaks *leaks = arg;
    uint32_t slot = slot_of(page, object);
    if (page->exact[slot] != 0)
        return;
    if (leaks->groups * 2 >= leaks->room && !groups_grow(leaks)) {
        leaks->full = true;
        return;
    }
    const char *site = hg_site(w, object);
    struct group *group = group_of(leaks, object->type, site);
    if (group->type == NULL) {
        *group =
            (struct group){.type = object->type, .site = site, .first = object};
        leaks->groups++;
    }
    group->objects++;
    group->bytes += page->slot_bytes;
    leaks->objects++;
}

static int more_bytes(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return strcmp(type_called(x->type), type_called(y->type));
}

static void say(struct leaks *leaks, const char *text)
{
    size_t room = sizeof leaks->line - leaks->length;
    int n = snprintf(leaks->line + leaks->length, room, "%s", text);
    leaks->length += (size_t)n < room ? (size_t)n : room - 1;
}

static void say_end(struct leaks *leaks)
{
    leaks->call(leaks->line, leaks->arg);
    leaks->length = 0;
}

static void say_link(const void *object, void *arg)
{
    struct leaks *leaks = arg;
    const hg_object *o = object;
    if (leaks->line[leaks->length - 1] != ' ')
        say(leaks, " -> ");
    say(leaks, type_called(o->type));
}

static void add_root(hg_world *w, struct page *page, hg_object *object, void *arg)
{
    (void)w, (void)page;
    if (object->type == &root_type)
        search_add(arg, object, ((struct search *)arg)->count);
}

static void add_held(hg_world *w, struct page *page, hg_object *object, void *arg)
{
    struct search *search = arg;
    (void)w;
    if (object->type != &root_type &&
        object->count != page->exact[slot_of(page, object)])
        search_add(search, object, search->count);
}

static bool is_held(hg_world *w, const hg_object *object)
{
    const struct page *page = page_of(w, object);
    return object->count != page->exact[slot_of(page, object)];
}

static void say_group(struct leaks *leaks, const struct group *group,
                      struct search *search)
{
    char text[64];
    snprintf(text, sizeof text, "%zu ", group->objects);
    say(leaks, text);
    say(leaks, type_called(group->type));
    snprintf(text, sizeof text, ", %zu bytes", group->bytes);
    say(leaks, text);
    if (group->site != NULL) {
        say(leaks, ", from ");
        say(leaks, group->site);
    }
    say_end(leaks);
    if (leaks->explained++ >= EXPLAINED)
        return;

    /* Counts are needed for each, and the search overwrites them. */
    exact_count(leaks->w);
    search_start(search);
    size_t end = SIZE_MAX;
    if (is_held(leaks->w, group->first)) {
        search_add(search, group->first, 0);
        end = 0;
    } else {
        each_live(leaks->w, add_held, search);
        search_clear(search);
        end = search_run(search, group->first);
    }
    if (end != SIZE_MAX) {
        say(leaks, "  referred to by no object, but not released: ");
        search_tell(search, end, say_link, leaks);
        say_end(leaks);
    }
    search_start(search);
    search_clear(search);
    search_add(search, group->first, 0);
    end = search_run(search, group->first);
    if (end != SIZE_MAX) {
        say(leaks, "  in a cycle: ");
        search_tell(search, end, say_link, leaks);
        say_end(leaks);
    }
}

hg_status hg_report_leaks(hg_world *w, hg_on_line *call, void *arg, size_t *count)
{
    struct leaks leaks = {.w = w, .call = call, .arg = arg};
    struct search search;
    dispose_some(w, UINT64_MAX, 0); /* what waits to be freed is no leak */
    hg_status status = exact_count(w);
    if (status == HG_OK)
        status = search_open(&search, w);
    if (status != HG_OK)
        return status;
    search_start(&search);
    search_clear(&search);
    each_live(w, add_root, &search);
    search_run(&search, NULL);
    each_live(w, add_leak, &leaks);
    if (leaks.full) {
        status = HG_ENOMEM;
        goto done;
    }
    size_t n = 0;
    for (size_t i = 0; i < leaks.room; i++) {
        if (leaks.group[i].type != NULL)
            leaks.group[n++] = leaks.group[i];
    }
    if (n > 0)
        qsort(leaks.group, n, sizeof *leaks.group, more_bytes);
    for (size_t i = 0; i < n; i++)
        say_group(&leaks, &leaks.group[i], &search);
    if (count != NULL)
        *count = leaks.objects;
done:
    memory_give(leaks.group);
    search_close(&search);
    return status;
}
