/* SPDX-License-Identifier: MIT */
/*
 * table.c - from the nodes of any number of ledgers to rows with names.
 *
 * A row is a key of three words: a place (file, function, line), of which some
 * words mean nothing when the table is by function or file; or, by stack, a
 * frame in the call tree of all ledgers merged: (row of the caller + 1, number of
 * its place, 0).  keys.c numbers the keys, and what else is known of a row stands
 * under its number.
 *
 * A node's parent has a smaller id than the node, so one pass in the order of
 * ids finds the caller's row, or the thread, already known.
 */
#include "analyze/table.h"

#include "analyze/accounts.h"
#include "base/grow.h"

#include <stdlib.h>

/* The first word of a stack's key if nobody called, the second if it has no frame.
 */
#define NO_CALLER 0u
#define NO_FRAME UINT32_MAX

/* In place of a thread's slot: the nodes under no thread. */
#define NO_SLOT UINT32_MAX

struct measures {
    struct measure *at; /* by row */
    uint32_t room;
};

struct table {
    enum table_by by;
    struct strings *strings;
    struct keys rows;
    struct keys places; /* by stack: the frames */
    struct measures sides[TABLE_SIDES];
    struct measure sums[TABLE_SIDES];
    uint32_t *folders; /* by string, + 1; 0: not known */
    uint32_t folder_room;
    struct table_thread *threads; /* by row, when the table is by thread */
    uint32_t thread_room;
    uint32_t ledgers; /* how many were added */
    uint32_t no_frame;
    uint32_t not_recorded;
};

/* What is remembered while one ledger is added. */
struct adding {
    struct table *table;
    const struct ledger_copy *copy;
    struct place *codes; /* by code: file, function, first line */
    uint32_t *seen; /* by node: its row when by stack, its slot when by thread */
};

static const char *const by_names[TABLE_BYS] = {"line",  "function", "file",
                                                "stack", "thread",   "domain"};
static const char *const domain_names[LEDGER_DOMAINS] = {"obj", "mem", "raw",
                                                         "malloc", "mmap"};

const char *table_by_name(enum table_by by)
{
    return by_names[by];
}

struct table *table_new(enum table_by by)
{
    struct table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    table->by = by;
    table->strings = strings_new();
    if (table->strings == NULL)
        goto fail;
    if (strings_put(table->strings, slice_of("(no Python frame)"),
                    &table->no_frame) < 0)
        goto fail;
    if (strings_put(table->strings, slice_of("(not recorded)"),
                    &table->not_recorded) < 0)
        goto fail;
    return table;
fail:
    table_free(table);
    return NULL;
}

void table_free(struct table *table)
{
    if (table == NULL)
        return;
    strings_free(table->strings);
    keys_drop(&table->rows);
    keys_drop(&table->places);
    for (int side = 0; side < TABLE_SIDES; side++)
        free(table->sides[side].at);
    free(table->folders);
    free(table->threads);
    free(table);
}

static hg_status charge(struct table *table, enum table_side side, uint32_t row,
                        const struct measure *measure)
{
    struct measures *measures = &table->sides[side];
    void *at = grow_to(measures->at, &measures->room, row, sizeof *measure);
    if (at == NULL)
        return HG_ENOMEM;
    measures->at = at;
    measure_add(&measures->at[row], measure);
    measure_add(&table->sums[side], measure);
    return HG_OK;
}

/* A relative file name means the folder of the program that used it first. */
static hg_status note_folder(struct table *table, uint32_t file, uint32_t folder)
{
    uint32_t *at = grow_to(table->folders, &table->folder_room, file, sizeof *at);
    if (at == NULL)
        return HG_ENOMEM;
    table->folders = at;
    if (at[file] == 0)
        at[file] = folder + 1;
    return HG_OK;
}

static hg_status name_codes(struct adding *adding)
{
    struct table *table = adding->table;
    const struct ledger_copy *copy = adding->copy;
    uint32_t folder;
    hg_status status = strings_put(
        table->strings, ledger_copy_text(copy, copy->header.folder), &folder);
    for (uint32_t i = 1; i < copy->code_count && status == HG_OK; i++) {
        const struct ledger_code *code = &copy->codes[i];
        struct place *place = &adding->codes[i];
        place->line = code->first_line;
        status = strings_put(table->strings, ledger_copy_text(copy, code->file),
                             &place->file);
        if (status != HG_OK)
            break;
        status = strings_put(table->strings, ledger_copy_text(copy, code->function),
                             &place->function);
        if (status == HG_OK)
            status = note_folder(table, place->file, folder);
    }
    return status;
}

/* Where a stack begins: at the root, a thread or what stands for all the rest. */
static bool is_bottom(const struct ledger_copy *copy, uint32_t id)
{
    return copy->nodes[id].code == 0;
}

static struct place place_of(const struct adding *adding, uint32_t id)
{
    const struct ledger_node *node = &adding->copy->nodes[id];
    const struct table *table = adding->table;
    struct place place = {STRINGS_NONE, STRINGS_NONE, PLACE_NO_LINE};

    if (is_bottom(adding->copy, id)) {
        place.function =
            id == LEDGER_NOT_RECORDED ? table->not_recorded : table->no_frame;
        return place;
    }
    place.file = adding->codes[node->code].file;
    if (table->by == BY_FILE)
        return place;
    place.function = adding->codes[node->code].function;
    place.line =
        table->by == BY_FUNCTION ? adding->codes[node->code].line : node->line;
    return place;
}

static struct key key_of_place(struct place place)
{
    return (struct key){{place.file, place.function, place.line}};
}

static struct place place_of_key(struct key key)
{
    return (struct place){key.word[0], key.word[1], key.word[2]};
}

static hg_status row_by_place(struct adding *adding, uint32_t id, uint32_t *row)
{
    return keys_put(&adding->table->rows, key_of_place(place_of(adding, id)), row);
}

static hg_status row_by_stack(struct adding *adding, uint32_t id, uint32_t *row)
{
    const struct ledger_copy *copy = adding->copy;
    struct table *table = adding->table;
    struct key key = {{NO_CALLER, NO_FRAME, id == LEDGER_NOT_RECORDED}};

    if (!is_bottom(copy, id)) {
        uint32_t caller = copy->nodes[id].parent;
        hg_status status = keys_put(
            &table->places, key_of_place(place_of(adding, id)), &key.word[1]);
        if (status != HG_OK)
            return status;
        key.word[0] =
            is_bottom(copy, caller) ? NO_CALLER : adding->seen[caller] + 1;
        key.word[2] = 0;
    }
    hg_status status = keys_put(&table->rows, key, row);
    if (status == HG_OK)
        adding->seen[id] = *row;
    return status;
}

static uint32_t slot_of(const struct adding *adding, uint32_t id)
{
    const struct ledger_node *node = &adding->copy->nodes[id];
    if (id < LEDGER_FIRST_THREAD)
        return NO_SLOT;
    if (node->parent == LEDGER_ROOT)
        return node->code == 0 ? node->line : NO_SLOT;
    return adding->seen[node->parent];
}

static hg_status row_by_thread(struct adding *adding, uint32_t id, uint32_t *row)
{
    struct table *table = adding->table;
    uint32_t slot = slot_of(adding, id);
    adding->seen[id] = slot;
    struct key key = {{table->ledgers, slot, 0}};
    hg_status status = keys_put(&table->rows, key, row);
    if (status != HG_OK)
        return status;

    struct table_thread *at =
        grow_to(table->threads, &table->thread_room, *row, sizeof *at);
    if (at == NULL)
        return HG_ENOMEM;
    table->threads = at;
    at[*row] = (struct table_thread){.pid = adding->copy->header.pid, .slot = slot};
    if (slot == NO_SLOT) {
        at[*row].not_recorded = true;
    } else {
        const struct ledger_thread *thread = &adding->copy->threads[slot];
        at[*row].tid = thread->tid;
        at[*row].threads = thread->threads;
        at[*row].alive = thread->alive != 0;
    }
    return HG_OK;
}

static hg_status add_domains(struct table *table, enum table_side side,
                             const struct accounts *accounts)
{
    for (uint32_t i = 0; i < LEDGER_DOMAINS; i++) {
        uint32_t row;
        hg_status status = keys_put(&table->rows, (struct key){{i, 0, 0}}, &row);
        if (status == HG_OK)
            status = charge(table, side, row, &accounts->domain[i]);
        if (status != HG_OK)
            return status;
    }
    return HG_OK;
}

static hg_status add_nodes(struct adding *adding, enum table_side side,
                           const struct accounts *accounts)
{
    struct table *table = adding->table;
    hg_status (*row_of)(struct adding *, uint32_t, uint32_t *) =
        table->by == BY_STACK    ? row_by_stack
        : table->by == BY_THREAD ? row_by_thread
                                 : row_by_place;
    for (uint32_t id = 1; id < adding->copy->node_count; id++) {
        const struct measure *measure = &accounts->nodes[id];
        bool in_between = adding->seen != NULL; /* its children ask for its row */
        if (!in_between && measure_is_zero(measure))
            continue;
        uint32_t row;
        hg_status status = row_of(adding, id, &row);
        if (status == HG_OK && !measure_is_zero(measure))
            status = charge(table, side, row, measure);
        if (status != HG_OK)
            return status;
    }
    return HG_OK;
}

hg_status table_add(struct table *table, enum table_side side,
                    const struct ledger_copy *copy, const struct accounts *accounts)
{
    if (table->by == BY_DOMAIN)
        return add_domains(table, side, accounts);

    struct adding adding = {.table = table, .copy = copy};
    hg_status status = HG_ENOMEM;
    bool needs_seen = table->by == BY_STACK || table->by == BY_THREAD;
    adding.codes = calloc((size_t)copy->code_count + 1, sizeof *adding.codes);
    if (adding.codes == NULL)
        goto done;
    if (needs_seen) {
        adding.seen = calloc((size_t)copy->node_count + 1, sizeof *adding.seen);
        if (adding.seen == NULL)
            goto done;
    }
    status = name_codes(&adding);
    if (status == HG_OK)
        status = add_nodes(&adding, side, accounts);
    table->ledgers++;
done:
    free(adding.codes);
    free(adding.seen);
    return status;
}

static struct place place_of_row(const struct table *table, uint32_t row)
{
    struct key key = table->rows.at[row];
    struct place nowhere = {STRINGS_NONE, STRINGS_NONE, PLACE_NO_LINE};

    if (table->by == BY_THREAD || table->by == BY_DOMAIN)
        return nowhere;
    if (table->by != BY_STACK)
        return place_of_key(key);
    if (key.word[1] != NO_FRAME)
        return place_of_key(table->places.at[key.word[1]]);
    nowhere.function = key.word[2] != 0 ? table->not_recorded : table->no_frame;
    return nowhere;
}

static const struct measure *measure_at(const struct measures *measures,
                                        uint32_t row)
{
    static const struct measure zero;
    return row < measures->room ? &measures->at[row] : &zero;
}

struct table_row *table_rows(const struct table *table, size_t *count)
{
    struct table_row *rows = calloc((size_t)table->rows.count + 1, sizeof *rows);
    if (rows == NULL)
        return NULL;
    size_t kept = 0;
    for (uint32_t i = 0; i < table->rows.count; i++) {
        struct table_row row = {.number = i};
        bool zero = true;
        for (int side = 0; side < TABLE_SIDES; side++) {
            row.side[side] = measure_at(&table->sides[side], i);
            zero = zero && measure_is_zero(row.side[side]);
        }
        if (zero)
            continue;
        row.place = place_of_row(table, i);
        rows[kept++] = row;
    }
    *count = kept;
    return rows;
}

const struct measure *table_sum(const struct table *table, enum table_side side)
{
    return &table->sums[side];
}

enum table_by table_is_by(const struct table *table)
{
    return table->by;
}

struct slice table_text(const struct table *table, uint32_t string)
{
    return strings_get(table->strings, string);
}

uint32_t table_folder_of(const struct table *table, uint32_t file)
{
    if (file >= table->folder_room || table->folders[file] == 0)
        return STRINGS_NONE;
    return table->folders[file] - 1;
}

struct place table_frame(const struct table *table, uint32_t *number)
{
    struct place place = place_of_row(table, *number);
    *number = table->rows.at[*number].word[0] - 1;
    return place;
}

size_t table_stack(const struct table *table, uint32_t number, struct place *into,
                   size_t room)
{
    size_t depth = 0;
    for (uint32_t row = number + 1; row != NO_CALLER;
         row = table->rows.at[row - 1].word[0])
        depth += table->rows.at[row - 1].word[1] != NO_FRAME;

    size_t wanted = depth < room ? depth : room;
    uint32_t row = number;
    for (size_t i = wanted; i > 0; i--)
        into[i - 1] = table_frame(table, &row);
    return depth;
}

struct table_thread table_thread(const struct table *table, uint32_t number)
{
    return table->threads[number];
}

const char *table_domain(const struct table *table, uint32_t number)
{
    return domain_names[table->rows.at[number].word[0]];
}
