/* SPDX-License-Identifier: MIT */
/*
 * recycle_keys.c - the tables of keys of dicts, up to 3.12.
 *
 * Their list pushes below 80 and pops above 0, so no count is off.  We hold it at 0
 * and free what was pushed when a dict has died, which is where most tables die.
 * But a dict that outgrows its first table pushes that one, too, and the next small
 * dict pops it before any other has died:
 *
 *     dictresize:  PyObject_Malloc(larger table), move, push(old table)
 *
 * The allocator hears of the larger table, before the push.  So when somebody asks
 * for exactly the size of one, the list is made to look full (recycle_table): the
 * old table is then not pushed but given to PyObject_Free, whereupon the list is
 * empty again. The size may have been asked for by somebody else, and a dict be
 * born before the next call of malloc or free.  That one finds a full list, and
 * must be able to pop: what is in it then are 80 tables that we keep for this.  It
 * happens rarely, and costs one block that is charged to the wrong line.
 *
 * What PyDict_Clear pushes stays until the next dict dies, and may be used again.
 */
#include "adapt/cpython/recycle.h"

#include "adapt/cpython/recycle_lists.h"
#include "base/base.h"

#include <stdio.h>
#include <string.h>

size_t recycle_table_bytes = SIZE_MAX;

enum {
    LIST_BLOCKS = 80,
    SMALLEST =
        3, /* the smallest table has 2^3 slots, and only those are recycled */
    SMALL_ENTRIES = 5,
    HEAD_BYTES = 32,
    ENTRY_BYTES = 16, /* of tables that have only strings for keys; 24 of others */
    SMALL_BYTES = HEAD_BYTES + (1 << SMALLEST) + SMALL_ENTRIES * ENTRY_BYTES,
    LARGER_BYTES = HEAD_BYTES + 16 + 10 * ENTRY_BYTES,
};

static int no_keys;
int *keys_count = &no_keys;

/* Guarded by the GIL of the main interpreter. */
static void *spare[LIST_BLOCKS];
static int spare_count;

/* ---- The list made to look full, for a moment ---- */

/* From 2^4 slots to 2^12; a dict that outgrows its first table has 2^4 but when it
   was merged with another. */
static bool is_table_size(size_t bytes)
{
    for (unsigned log2 = SMALLEST + 1; log2 <= 12; log2++) {
        size_t slots = (size_t)1 << log2;
        size_t index_bytes = log2 < 8 ? slots : 2 * slots;
        size_t entries = 2 * slots / 3;
        size_t less = HEAD_BYTES + index_bytes;
        if (bytes == less + 16 * entries || bytes == less + 24 * entries)
            return true;
        if (bytes < less + 16 * entries)
            return false;
    }
    return false;
}

/* The list is empty again.  Tables that were popped are replaced. */
static void look_empty(void)
{
    int left = *keys_count;
    *keys_count = 0;
    recycle_table_bytes = LARGER_BYTES; /* before we ask for memory */
    for (int i = left < 0 ? 0 : left; i < LIST_BLOCKS; i++)
        if ((spare[i] = ip.object_malloc(SMALL_BYTES)) == NULL)
            recycle_table_bytes = SIZE_MAX;
}

void recycle_table(size_t bytes)
{
    if (ip.own_locks && !in_main())
        return;
    if (recycle_table_bytes == 0)
        look_empty();
    if (recycle_table_bytes == SIZE_MAX || !is_table_size(bytes))
        return;
    keys_take_back();
    memcpy(lists[LIST_KEYS].head, spare, sizeof spare);
    *keys_count = LIST_BLOCKS;
    recycle_table_bytes = 0;
}

__attribute__((noinline)) void keys_take_back(void)
{
    if (ip.own_locks && !in_main())
        return;
    if (recycle_table_bytes == 0)
        look_empty();
    while (*keys_count > 0) {
        --*keys_count;
        list_free_block(&lists[LIST_KEYS], lists[LIST_KEYS].head[*keys_count],
                        true);
    }
}

/* ---- On and off ---- */

/* Fill a dict: its fifth entry must be the last, at the end of SMALL_BYTES. */
static bool prove_size(void)
{
    struct object *dict = ip.dict_new(), *keys[SMALL_ENTRIES] = {NULL};
    bool follows = dict != NULL;
    for (int i = 0; follows && i < SMALL_ENTRIES; i++) {
        char name[] = "heapglass ?";
        name[sizeof name - 2] = (char)('0' + i);
        keys[i] = ip.text_new(name);
        follows = keys[i] != NULL && ip.dict_set(dict, keys[i], ip.none) == 0;
    }
    if (follows) {
        char *table = ((void **)dict)[DICT_KEYS];
        intptr_t usable = ((intptr_t *)table)[2], used = ((intptr_t *)table)[3];
        follows = usable == 0 && used == SMALL_ENTRIES && table[8] == SMALLEST;
        for (int i = 0; follows && i < SMALL_ENTRIES; i++)
            follows = *(struct object **)(table + HEAD_BYTES + (1 << SMALLEST) +
                                          ENTRY_BYTES * i) == keys[i];
    } else {
        ip.error_clear();
    }
    for (int i = 0; i < SMALL_ENTRIES; i++)
        if (keys[i] != NULL)
            ip.drop(keys[i]);
    if (dict != NULL)
        ip.drop(dict);
    return follows;
}

void keys_off(void)
{
    struct free_list *list = &lists[LIST_KEYS];
    if (list->head == NULL || lists[LIST_DICT].how != OFF_DISGUISE)
        return;
    bool sized = prove_size();
    list_empty(list);
    list->how = OFF_TAKE_BACK;
    keys_count = list->count;
    if (!sized)
        return;
    for (spare_count = 0; spare_count < LIST_BLOCKS; spare_count++)
        if ((spare[spare_count] = ip.object_malloc(SMALL_BYTES)) == NULL)
            return;
    recycle_table_bytes = LARGER_BYTES;
}

void keys_on(void)
{
    if (recycle_table_bytes == 0)
        look_empty();
    recycle_table_bytes = SIZE_MAX;
    keys_count = &no_keys;
    while (spare_count > 0) {
        --spare_count;
        if (spare[spare_count] != NULL)
            ip.object_free(spare[spare_count]);
    }
}
