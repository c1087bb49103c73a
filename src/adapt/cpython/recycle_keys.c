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
 * for exactly the size of one, the list is made to look full (recycle_asked): the
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
#include "heap/types.h"

#include <stdio.h>
#include <string.h>

size_t recycle_quiet_bytes = SMALL_MAX;

/* Of a spare table: where it has its count of references once it is in use. */
#define MARK ((uintptr_t)0x6870616567)

enum {
    LIST_BLOCKS = 80,
    TOP = LIST_BLOCKS - 1,
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
static bool
    stale; /* what is in the list's array is not `spare`, from some index on */

/* ---- The list made to look full, for a moment ---- */

/* From 2^4 slots to 2^12; a dict that outgrows its first table has 2^4, unless it
   was merged with another. */
static bool is_table_size(size_t bytes)
{
    for (unsigned log2 = SMALLEST + 1; log2 <= 12; log2++) {
        size_t slots = (size_t)1 << log2;
        size_t least = HEAD_BYTES + (log2 < 8 ? slots : 2 * slots);
        size_t entries = 2 * slots / 3;
        if (bytes == least + 16 * entries || bytes == least + 24 * entries)
            return true;
        if (bytes < least + 16 * entries)
            return false;
    }
    return false;
}

/*
 * The list is empty again.  If one was popped, the first was the top one, and it
 * has lost its mark; some may have been pushed since.  What the list has now is
 * ours, then, and what it lacks is replaced.
 */
static void look_empty(void)
{
    void **blocks = lists[LIST_KEYS].head;
    int left = *keys_count;

    *keys_count = 0;
    recycle_quiet_bytes = LARGER_BYTES - 1; /* before we ask for memory */
    if (HG_LIKELY(left == LIST_BLOCKS && blocks[TOP] == spare[TOP] &&
                  *(uintptr_t *)spare[TOP] == MARK))
        return;
    memcpy(spare, blocks, (size_t)left * sizeof *spare);
    for (int i = left; i < LIST_BLOCKS; i++) {
        spare[i] = ip.object_malloc(SMALL_BYTES);
        if (spare[i] == NULL)
            recycle_quiet_bytes = SMALL_MAX;
    }
    stale = true;
}

void recycle_asked(size_t bytes)
{
    if (recycle_quiet_bytes == SMALL_MAX || (ip.own_locks && !in_main()))
        return;
    if (recycle_quiet_bytes == 0)
        look_empty();
    if (!is_table_size(bytes) || recycle_quiet_bytes == SMALL_MAX)
        return;
    if (*keys_count > 0)
        keys_take_back();
    void **blocks = lists[LIST_KEYS].head;
    if (HG_UNLIKELY(stale || blocks[0] != spare[0])) {
        memcpy(blocks, spare, sizeof spare);
        stale = false;
    }
    *(uintptr_t *)spare[TOP] = MARK;
    *keys_count = LIST_BLOCKS;
    recycle_quiet_bytes = 0;
}

HG_NOINLINE void keys_take_back(void)
{
    if (ip.own_locks && !in_main())
        return;
    if (recycle_quiet_bytes == 0) {
        look_empty();
        return;
    }
    /* Pushes overwrite our spare tables from the first on.  Where one of ours
       follows on what is in the list, that is all; else more had been pushed, and
       popped. */
    void **blocks = lists[LIST_KEYS].head;
    int count = *keys_count;
    if (count < LIST_BLOCKS && blocks[count] != spare[count])
        stale = true;
    while (count > 0) {
        void *block = blocks[--count];
        blocks[count] = spare[count];
        *keys_count = count;
        ip.object_free(block);
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
                                          (size_t)ENTRY_BYTES * i) == keys[i];
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
    memcpy(list->head, spare, sizeof spare);
    stale = false;
    recycle_quiet_bytes = LARGER_BYTES - 1;
}

void keys_on(void)
{
    if (recycle_quiet_bytes == 0)
        look_empty();
    recycle_quiet_bytes = SMALL_MAX;
    keys_count = &no_keys;
    while (spare_count > 0) {
        void *table = spare[--spare_count];
        spare[spare_count] = NULL;
        if (table != NULL)
            ip.object_free(table);
    }
}
