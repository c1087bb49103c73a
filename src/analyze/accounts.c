/* SPDX-License-Identifier: MIT */
/*
 * accounts.c - from counters that only grow to what a person asks for.
 *
 * Everything here is a difference of two counters that a running program may
 * have changed in between, or that a hostile file made up: a difference that
 * would be negative is 0.
 */
#include "analyze/accounts.h"

#include <stdlib.h>

/* What was allocated and what of it was freed; held is the difference. */
struct flow {
    struct amount allocated;
    struct amount freed;
};

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static struct amount less_amount(struct amount a, struct amount b)
{
    return (struct amount){less(a.bytes, b.bytes), less(a.blocks, b.blocks)};
}

static struct flow flow_of(const struct ledger_counters *counters)
{
    return (struct flow){{counters->allocated_bytes, counters->allocated_blocks},
                         {counters->freed_bytes, counters->freed_blocks}};
}

static void add_flow(struct flow *sum, const struct flow *part)
{
    sum->allocated.bytes += part->allocated.bytes;
    sum->allocated.blocks += part->allocated.blocks;
    sum->freed.bytes += part->freed.bytes;
    sum->freed.blocks += part->freed.blocks;
}

/*
 * An owner's share of the peak (layout.h, struct ledger_counters).  An epoch
 * later than the header's began while the file was being read.
 */
static struct amount peak_share(const struct ledger_header *header,
                                const struct ledger_counters *counters)
{
    if (header->below_peak_bytes > 0 && counters->epoch >= header->epoch)
        return (struct amount){counters->peak_bytes, counters->peak_blocks};
    struct flow own = flow_of(counters);
    return less_amount(own.allocated, own.freed);
}

/* Updates under way, by domain and summed. */
struct under_way {
    struct flow domain[LEDGER_DOMAINS];
    struct flow sum;
};

/* Add the updates under way to flows[node], and return what they sum to. */
static struct under_way add_away(const struct ledger_copy *copy, struct flow *flows)
{
    struct under_way all = {0};
    for (uint32_t i = 0; i < copy->away_count; i++) {
        const struct ledger_away *away = &copy->away[i];
        if (away->node == LEDGER_NO_NODE)
            continue;
        struct flow part = {{away->allocated_bytes, away->allocated_blocks},
                            {away->freed_bytes, away->freed_blocks}};
        add_flow(&flows[away->node], &part);
        add_flow(&all.domain[away->domain], &part);
        add_flow(&all.sum, &part);
    }
    return all;
}

/* The header does not know of the updates under way: they can make a new peak. */
static bool is_new_peak(const struct ledger_header *header, const struct flow *away)
{
    uint64_t live =
        less(ledger_live_bytes(header) + away->allocated.bytes, away->freed.bytes);
    return live >= header->peak_bytes;
}

static void work_out_domains(const struct ledger_header *header,
                             const struct under_way *away, bool now_is_peak,
                             struct accounts *accounts)
{
    for (int i = 0; i < LEDGER_DOMAINS; i++) {
        if (i == LEDGER_OBJ)
            continue;
        struct flow flow = flow_of(&header->domain[i]);
        add_flow(&flow, &away->domain[i]);
        struct amount live = less_amount(flow.allocated, flow.freed);
        struct measure *domain = &accounts->domain[i];
        domain->at[MOMENT_LIVE] = live;
        domain->at[MOMENT_PEAK] =
            now_is_peak ? live : peak_share(header, &header->domain[i]);
        domain->at[MOMENT_TOTAL] = flow.allocated;
    }
}

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/*
 * OBJ is what the others leave of the sum, and none has more of it than the
 * others leave: then the domains sum to it, whatever was under way.  In a forked
 * child they can claim more, for a node that gave back more of its inheritance
 * than it got counts as nothing, and what it got may have been of any domain.
 */
static void share_out_domains(struct accounts *accounts)
{
    struct measure rest = accounts->sum;
    for (int i = 0; i < LEDGER_DOMAINS; i++) {
        if (i == LEDGER_OBJ)
            continue;
        for (int m = 0; m < MOMENTS; m++) {
            struct amount *amount = &accounts->domain[i].at[m];
            amount->bytes = lower(amount->bytes, rest.at[m].bytes);
            amount->blocks = lower(amount->blocks, rest.at[m].blocks);
            rest.at[m] = less_amount(rest.at[m], *amount);
        }
    }
    accounts->domain[LEDGER_OBJ] = rest;
}

/*
 * Fill *accounts, with whatever was inherited still in it.
 */
static hg_status work_out_nodes(const struct ledger_copy *copy,
                                struct accounts *accounts)
{
    const struct ledger_header *header = &copy->header;
    struct flow *flows = calloc(copy->node_count, sizeof *flows);
    accounts->nodes = calloc(copy->node_count, sizeof *accounts->nodes);
    if (copy->node_count > 0 && (flows == NULL || accounts->nodes == NULL)) {
        free(flows);
        free(accounts->nodes);
        return HG_ENOMEM;
    }

    for (uint32_t id = 1; id < copy->node_count; id++)
        flows[id] = flow_of(&copy->nodes[id].counters);
    struct under_way away = add_away(copy, flows);
    bool now_is_peak = is_new_peak(header, &away.sum);

    for (uint32_t id = 1; id < copy->node_count; id++) {
        struct measure *node = &accounts->nodes[id];
        struct amount live = less_amount(flows[id].allocated, flows[id].freed);
        node->at[MOMENT_LIVE] = live;
        node->at[MOMENT_PEAK] =
            now_is_peak ? live : peak_share(header, &copy->nodes[id].counters);
        node->at[MOMENT_TOTAL] = flows[id].allocated;
        measure_add(&accounts->sum, node);
    }
    work_out_domains(header, &away, now_is_peak, accounts);
    free(flows);
    return HG_OK;
}

static void take_off(struct measure *measure, struct amount inherited)
{
    for (int m = 0; m < MOMENTS; m++)
        measure->at[m] = less_amount(measure->at[m], inherited);
}

/* Leave in the numbers only what the child itself asked for. */
static void take_off_inherited(const struct ledger_copy *copy,
                               struct accounts *accounts)
{
    uint32_t count = copy->inherited_count;
    if (count > copy->node_count)
        count = copy->node_count;
    accounts->sum = (struct measure){0};
    for (uint32_t id = 1; id < copy->node_count; id++) {
        struct measure *node = &accounts->nodes[id];
        if (id < count) {
            struct amount part = {copy->inherited[id].bytes,
                                  copy->inherited[id].blocks};
            take_off(node, part);
            accounts->inherited.bytes += part.bytes;
            accounts->inherited.blocks += part.blocks;
        }
        measure_add(&accounts->sum, node);
    }
    for (int d = 0; d < LEDGER_DOMAINS; d++) {
        struct amount part = {copy->header.domain_inherited[d].bytes,
                              copy->header.domain_inherited[d].blocks};
        take_off(&accounts->domain[d], part);
    }
}

hg_status accounts_work_out(const struct ledger_copy *copy,
                            struct accounts *accounts)
{
    *accounts = (struct accounts){0};
    hg_status status = work_out_nodes(copy, accounts);
    if (status != HG_OK)
        return status;
    if (copy->inherited_count > 0)
        take_off_inherited(copy, accounts);
    share_out_domains(accounts);
    return HG_OK;
}

void accounts_drop(struct accounts *accounts)
{
    free(accounts->nodes);
    *accounts = (struct accounts){0};
}
