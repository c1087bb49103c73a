/* SPDX-License-Identifier: MIT */
/*
 * weak.c - weak references.
 *
 * `weak` is a hash table, by address, of the targets that have some; the references
 * of one target are a list.  When a target dies its list is emptied, and those that
 * have a callback wait in `calls`; so whoever frees a handle meanwhile takes it out
 * of whatever list it is in.
 */
#include "base/hash.h"
#include "object/world.h"

#include <string.h>

static size_t home_of(const hg_world *w, const void *target)
{
    return hash_mix((uintptr_t)target) & (w->weak_room - 1);
}

/* Where the target's entry is, or would be. */
static size_t find(const hg_world *w, const void *target)
{
    size_t i = home_of(w, target);
    while (w->weak[i].target != NULL && w->weak[i].target != target)
        i = (i + 1) & (w->weak_room - 1);
    return i;
}

static void list_push(hg_weak **head, hg_weak *weak)
{
    weak->head = head;
    weak->prev = NULL;
    weak->next = *head;
    if (*head != NULL)
        (*head)->prev = weak;
    *head = weak;
}

static void list_take(hg_weak *weak)
{
    if (weak->next != NULL)
        weak->next->prev = weak->prev;
    if (weak->prev != NULL)
        weak->prev->next = weak->next;
    else
        *weak->head = weak->next;
    weak->head = NULL;
}

/* Entries move when others come and go; the first of a list knows where it begins.
 */
static void entry_moved(struct weak_entry *entry)
{
    for (hg_weak *weak = entry->first; weak != NULL; weak = weak->next)
        weak->head = &entry->first;
}

static bool table_grow(hg_world *w)
{
    if (w->weak_count * 2 < w->weak_room)
        return true;
    size_t room = w->weak_room == 0 ? 16 : 2 * w->weak_room;
    struct weak_entry *old = w->weak;
    size_t old_room = w->weak_room;
    struct weak_entry *grown = memory_take(room * sizeof *grown);
    if (grown == NULL)
        return false;
    w->weak = grown;
    w->weak_room = room;
    for (size_t i = 0; i < old_room; i++) {
        if (old[i].target != NULL) {
            struct weak_entry *entry = &grown[find(w, old[i].target)];
            *entry = old[i];
            entry_moved(entry);
        }
    }
    memory_give(old);
    return true;
}

/* Close the gap, so that every entry is still found from its home on. */
static void entry_remove(hg_world *w, size_t gap)
{
    size_t mask = w->weak_room - 1;
    for (size_t i = (gap + 1) & mask; w->weak[i].target != NULL;
         i = (i + 1) & mask) {
        if (((i - home_of(w, w->weak[i].target)) & mask) >= ((i - gap) & mask)) {
            w->weak[gap] = w->weak[i];
            entry_moved(&w->weak[gap]);
            gap = i;
        }
    }
    w->weak[gap] = (struct weak_entry){NULL, NULL};
    w->weak_count--;
}

hg_weak *hg_weak_new(hg_world *w, void *target, hg_on_dead *on_dead, void *arg)
{
    if (!(*state_of(w, target) & IS_LIVE) || !table_grow(w))
        return NULL;
    hg_weak *weak = memory_take(sizeof *weak);
    if (weak == NULL)
        return NULL;
    weak->target = target;
    weak->on_dead = on_dead;
    weak->arg = arg;
    struct weak_entry *entry = &w->weak[find(w, target)];
    if (entry->target == NULL) {
        entry->target = target;
        w->weak_count++;
        *state_of(w, target) |= HAS_WEAK;
    }
    list_push(&entry->first, weak);
    return weak;
}

void hg_weak_free(hg_world *w, hg_weak *weak)
{
    if (weak == NULL)
        return;
    if (weak->head != NULL)
        list_take(weak);
    if (weak->target != NULL) {
        size_t i = find(w, weak->target);
        if (w->weak[i].first == NULL) {
            *state_of(w, weak->target) &= (uint8_t)~HAS_WEAK;
            entry_remove(w, i);
        }
    }
    memory_give(weak);
}

void *hg_weak_get(hg_world *w, const hg_weak *weak)
{
    hg_object *target = weak->target;
    (void)w;
    if (target == NULL)
        return NULL;
    /* One that waits in the queue of the dead is not to be had. */
    if (HG_UNLIKELY(target->count > COUNT_IMMORTAL))
        return NULL;
    return hg_retain(target);
}

void weak_clear(hg_world *w, hg_object *object)
{
    size_t i = find(w, object);
    HG_ASSERT(w->weak[i].target == object);
    while (w->weak[i].first != NULL) {
        hg_weak *weak = w->weak[i].first;
        list_take(weak);
        weak->target = NULL;
        if (weak->on_dead != NULL)
            list_push(&w->calls, weak);
        else
            list_push(&w->gone, weak);
    }
    *state_of(w, object) &= (uint8_t)~HAS_WEAK;
    entry_remove(w, i);
}

void weak_call(hg_world *w)
{
    while (w->calls != NULL) {
        hg_weak *weak = w->calls;
        list_take(weak);
        list_push(&w->gone, weak);
        weak->on_dead(w, weak, weak->arg);
    }
}

static void list_free(hg_weak *weak)
{
    while (weak != NULL) {
        hg_weak *next = weak->next;
        memory_give(weak);
        weak = next;
    }
}

void weak_close(hg_world *w)
{
    for (size_t i = 0; i < w->weak_room; i++)
        list_free(w->weak[i].first);
    list_free(w->calls);
    list_free(w->gone);
    memory_give(w->weak);
}
