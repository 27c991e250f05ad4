/* Rules by which a port itself decides what it receives. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>

/* Room for any item of rte_flow that begins with a header. */
#define ITEM_ROOM 64

struct ox_flows {
	const struct ox_port *owner;
	uint16_t port, queues;
	unsigned int generation, count, room;
	uint64_t rss_types;
	struct rte_flow **rules;	/* in the order of their creation */
};

/* By enum ox_flow_kind. */
static const struct {
	enum rte_flow_item_type type;
	size_t length;
} kinds[] = {
	[OX_FLOW_ETHERNET] = { RTE_FLOW_ITEM_TYPE_ETH, 14 },
	[OX_FLOW_VLAN] = { RTE_FLOW_ITEM_TYPE_VLAN, 4 },
	[OX_FLOW_IPV4] = { RTE_FLOW_ITEM_TYPE_IPV4, 20 },
	[OX_FLOW_IPV6] = { RTE_FLOW_ITEM_TYPE_IPV6, 40 },
	[OX_FLOW_TCP] = { RTE_FLOW_ITEM_TYPE_TCP, 20 },
	[OX_FLOW_UDP] = { RTE_FLOW_ITEM_TYPE_UDP, 8 },
	[OX_FLOW_SCTP] = { RTE_FLOW_ITEM_TYPE_SCTP, 12 },
};

int ox_flows_new(const struct ox_port *owner, struct ox_flows **flows)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(ox_port_number(owner), &info);
	struct ox_flows *f = rc == 0 ? calloc(1, sizeof(*f)) : NULL;

	if (f == NULL)
		return rc != 0 ? rc : -ENOMEM;
	f->owner = owner;
	f->port = ox_port_number(owner);
	f->queues = ox_port_queues(owner);
	f->generation = ox_fork_generation();
	f->rss_types = info.flow_type_rss_offloads;
	*flows = f;
	return 0;
}

static int add(struct ox_flows *f, const struct rte_flow_attr *attributes,
    const struct rte_flow_item *pattern, const struct rte_flow_action *actions, const char **why)
{
	struct rte_flow_error error = { 0 };
	struct rte_flow *rule;
	int rc;

	if (f->count == f->room) {
		unsigned int room = f->room + 32;
		struct rte_flow **rules = realloc(f->rules, room * sizeof(*rules));

		if (rules == NULL)
			return -ENOMEM;
		f->rules = rules;
		f->room = room;
	}
	rc = rte_flow_validate(f->port, attributes, pattern, actions, &error);
	if (rc == 0) {
		rte_errno = 0;
		rule = rte_flow_create(f->port, attributes, pattern, actions, &error);
		if (rule != NULL) {
			f->rules[f->count++] = rule;
			return 0;
		}
		rc = rte_errno > 0 ? -rte_errno : -EIO;
	}
	*why = error.message;
	return rc;
}

/* What is not dropped goes where it would go without rules. */
static int add_passing(struct ox_flows *f, const struct rte_flow_item *pattern, const char **why)
{
	const struct rte_flow_attr attributes = { .ingress = 1 };
	const struct rte_flow_action_queue first = { .index = 0 };
	uint16_t queues[RTE_MAX_QUEUES_PER_PORT];
	const struct rte_flow_action_rss all = {
		.types = f->rss_types,
		.queue_num = f->queues,
		.queue = queues,
	};
	const struct rte_flow_action actions[] = {
		f->queues > 1 ?
		    (struct rte_flow_action){ .type = RTE_FLOW_ACTION_TYPE_RSS, .conf = &all } :
		    (struct rte_flow_action){ .type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &first },
		{ .type = RTE_FLOW_ACTION_TYPE_END },
	};

	for (uint16_t q = 0; q < f->queues; q++)
		queues[q] = q;
	return add(f, &attributes, pattern, actions, why);
}

static int add_dropping(struct ox_flows *f, const char **why)
{
	/* Higher numbers are lower priorities. */
	const struct rte_flow_attr attributes = { .ingress = 1, .priority = 1 };
	const struct rte_flow_item any[] = {
		{ .type = RTE_FLOW_ITEM_TYPE_ETH },
		{ .type = RTE_FLOW_ITEM_TYPE_END },
	};
	const struct rte_flow_action actions[] = {
		{ .type = RTE_FLOW_ACTION_TYPE_DROP },
		{ .type = RTE_FLOW_ACTION_TYPE_END },
	};

	return add(f, &attributes, any, actions, why);
}

static int is_bare(const struct ox_flow_item *item)
{
	static const uint8_t zeros[OX_FLOW_HEADER];

	return memcmp(item->mask, zeros, sizeof(zeros)) == 0;
}

int ox_flows_add(struct ox_flows *f, const struct ox_flow_item *items, uint32_t count,
    const char **why)
{
	/* Headers are what the items of rte_flow begin with. */
	uint64_t value[OX_FLOW_ITEMS][ITEM_ROOM / 8] = { 0 }, mask[OX_FLOW_ITEMS][ITEM_ROOM / 8] = { 0 };
	struct rte_flow_item pattern[OX_FLOW_ITEMS + 1] = { 0 };
	int rc;

	if (count > OX_FLOW_ITEMS)
		return -E2BIG;
	for (uint32_t i = 0; i < count; i++) {
		size_t length = kinds[items[i].kind].length;

		pattern[i].type = kinds[items[i].kind].type;
		if (is_bare(&items[i]))
			continue;
		memcpy(value[i], items[i].value, length);
		memcpy(mask[i], items[i].mask, length);
		pattern[i].spec = value[i];
		pattern[i].mask = mask[i];
	}
	pattern[count].type = RTE_FLOW_ITEM_TYPE_END;
	if (f->generation != ox_fork_generation())
		return -ECHILD;
	if (ox_port_gone(f->owner))
		return -ENODEV;
	ox_quiet_begin();
	rc = count > 0 ? add_passing(f, pattern, why) : add_dropping(f, why);
	ox_quiet_end();
	return rc;
}

int ox_flows_clear(struct ox_flows *f)
{
	struct rte_flow_error error;
	int rc = 0;

	if (f->generation != ox_fork_generation())
		return -ECHILD;
	if (ox_port_gone(f->owner)) {
		f->count = 0;
		return -ENODEV;
	}
	if (f->count == 0)
		return 0;
	ox_quiet_begin();
	/* The one that drops goes first. */
	while (f->count > 0 && rc == 0) {
		rc = rte_flow_destroy(f->port, f->rules[f->count - 1], &error);
		f->count -= rc == 0;
	}
	/* The port is ours with all its rules. */
	if (rc != 0)
		rc = rte_flow_flush(f->port, &error);
	if (rc == 0)
		f->count = 0;
	ox_quiet_end();
	return rc;
}

void ox_flows_free(struct ox_flows *f)
{
	ox_flows_clear(f);
	free(f->rules);
	free(f);
}
