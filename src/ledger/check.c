/* SPDX-License-Identifier: MIT */
/* check.c - every bound of a ledger, each of them checked once. */
#include "ledger/check.h"

#include <stdarg.h>
#include <stdio.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "records are used as read");

static const struct {
    const char *name;
    uint32_t record_bytes;
    uint32_t max_used;
} expected[LEDGER_SECTIONS] = {
    [LEDGER_THREADS] = {"threads", sizeof(struct ledger_thread), 1u << 24},
    [LEDGER_TIMELINE] = {"timeline", sizeof(struct ledger_sample), 1u << 24},
    [LEDGER_AWAY] = {"pending updates", sizeof(struct ledger_away), 1u << 24},
    [LEDGER_CODES] = {"code objects", sizeof(struct ledger_code), 1u << 28},
    [LEDGER_STRINGS] = {"strings", 1, UINT32_MAX},
    [LEDGER_INHERITED] = {"inherited", sizeof(struct ledger_inherited),
                          LEDGER_MAX_NODES},
    [LEDGER_GENERATIONS] = {"generations", sizeof(struct ledger_generation),
                            LEDGER_GENERATION_COUNT},
    [LEDGER_COLLECTIONS] = {"collections", sizeof(struct ledger_collection),
                            LEDGER_GENERATION_COUNT *LEDGER_LATEST_COLLECTIONS},
    [LEDGER_GARBAGE] = {"garbage", sizeof(struct ledger_garbage), LEDGER_MAX_NODES},
    [LEDGER_TYPES] = {"types", sizeof(struct ledger_type), 1u << 12},
    [LEDGER_NODES] = {"call tree", sizeof(struct ledger_node), LEDGER_MAX_NODES},
};

hg_status ledger_fail(struct ledger_fault *fault, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault->what, sizeof fault->what, format, arguments);
    va_end(arguments);
    return fault->status = HG_ECORRUPT;
}

static hg_status check_section(const struct ledger_section *section, int id,
                               uint64_t file_bytes, struct ledger_fault *fault)
{
    const char *name = expected[id].name;
    if (section->used == 0)
        return HG_OK;
    if (section->record_bytes != expected[id].record_bytes)
        return ledger_fail(fault, "is damaged: %s: a record has %u bytes, not %u",
                           name, section->record_bytes, expected[id].record_bytes);
    if (section->used > section->capacity || section->used > expected[id].max_used)
        return ledger_fail(fault, "is damaged: %s: more records than fit", name);
    if (section->offset % 64 != 0 || section->offset < LEDGER_HEADER_BYTES)
        return ledger_fail(fault, "is damaged: %s: lies at an impossible place",
                           name);
    if (section->offset > file_bytes ||
        section->used > (file_bytes - section->offset) / section->record_bytes)
        return ledger_fail(
            fault, "is cut short: the %s should go on beyond its end", name);
    return HG_OK;
}

hg_status ledger_check_header(const struct ledger_header *header,
                              uint64_t file_bytes, struct ledger_fault *fault)
{
    if (memcmp(header->magic, LEDGER_MAGIC, sizeof header->magic) != 0)
        return ledger_fail(fault, "is not a ledger");
    if (file_bytes < offsetof(struct ledger_header, header_bytes))
        return ledger_fail(fault, "is cut short: its header is not complete");
    if (header->version != LEDGER_VERSION) {
        snprintf(
            fault->what, sizeof fault->what,
            "is a ledger of version %u, this heapglass reads version %u; use the "
            "heapglass that wrote it",
            header->version, LEDGER_VERSION);
        return fault->status = HG_EVERSION;
    }
    if (file_bytes < LEDGER_HEADER_BYTES)
        return ledger_fail(fault, "is cut short: its header is not complete");
    if (header->header_bytes != LEDGER_HEADER_BYTES)
        return ledger_fail(fault, "is damaged: its header has %u bytes, not %u",
                           header->header_bytes, LEDGER_HEADER_BYTES);
    if (header->state < LEDGER_WAITING || header->state > LEDGER_SNAPSHOT)
        return ledger_fail(fault, "is damaged: there is no state %u",
                           header->state);
    if (header->mode > LEDGER_MODE_STACKS)
        return ledger_fail(fault, "is damaged: there is no mode %u", header->mode);
    for (int id = 0; id < LEDGER_SECTIONS; id++) {
        hg_status status =
            check_section(&header->section[id], id, file_bytes, fault);
        if (status != HG_OK)
            return status;
    }
    return HG_OK;
}

static bool text_fits(const struct ledger_copy *copy, struct ledger_text text)
{
    return (uint64_t)text.offset + text.bytes <= copy->strings.bytes;
}

static hg_status check_header_texts(const struct ledger_copy *copy,
                                    struct ledger_fault *fault)
{
    const struct ledger_header *header = &copy->header;
    const struct ledger_text texts[] = {
        header->command,      header->folder,    header->program,    header->python,
        header->recycled_how, header->displaced, header->stacks_how,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!text_fits(copy, texts[i]))
            return ledger_fail(fault,
                               "is damaged: its header names text that it lacks");
    return HG_OK;
}

static hg_status check_node(const struct ledger_copy *copy, uint32_t id,
                            struct ledger_fault *fault)
{
    const struct ledger_node *node = &copy->nodes[id];
    if (node->parent >= id ||
        (node->parent == LEDGER_NO_NODE) != (id == LEDGER_ROOT))
        return ledger_fail(fault, "is damaged: node %u cannot have the parent %u",
                           id, node->parent);
    if (id < LEDGER_FIRST_THREAD && node->code != 0)
        return ledger_fail(fault, "is damaged: node %u cannot have a code", id);
    if (node->code != 0 && node->code >= copy->code_count)
        return ledger_fail(fault, "is damaged: node %u names a code that it lacks",
                           id);
    bool is_thread = node->parent == LEDGER_ROOT && node->code == 0;
    if (is_thread && id != LEDGER_NOT_RECORDED && node->line >= copy->thread_count)
        return ledger_fail(fault,
                           "is damaged: node %u names a thread that it lacks", id);
    return HG_OK;
}

hg_status ledger_check_records(const struct ledger_copy *copy,
                               struct ledger_fault *fault)
{
    hg_status status = check_header_texts(copy, fault);
    if (status != HG_OK)
        return status;
    for (uint32_t i = 1; i < copy->code_count; i++)
        if (!text_fits(copy, copy->codes[i].file) ||
            !text_fits(copy, copy->codes[i].function))
            return ledger_fail(fault,
                               "is damaged: code %u names text that it lacks", i);
    for (uint32_t i = 0; i < copy->type_count; i++)
        if (!text_fits(copy, copy->types[i].name))
            return ledger_fail(fault,
                               "is damaged: type %u names text that it lacks", i);
    for (uint32_t id = 1; id < copy->node_count; id++)
        if ((status = check_node(copy, id, fault)) != HG_OK)
            return status;
    for (uint32_t i = 0; i < copy->away_count; i++)
        if (copy->away[i].node != 0 && (copy->away[i].node >= copy->node_count ||
                                        copy->away[i].domain >= LEDGER_DOMAINS))
            return ledger_fail(
                fault, "is damaged: pending updates of a node or domain it lacks");
    return HG_OK;
}
