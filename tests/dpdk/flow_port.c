/*
 * Preloaded: gives every port rules of rte_flow, which no virtual device here has. They are matched
 * in software, on what the port's driver receives, before the receiver sees it.
 *
 * OXPCAP_FLOW says what the port takes: "bits" anything, "ports" and "addresses" these and no other
 * fields, "ethernet" Ethernet and VLAN headers, "nodrop" anything but to drop, "nothing".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_mbuf.h>

#define RULES 256
#define ITEMS 6
#define ROOM 40

struct rte_flow {
	int used, drops;
	uint16_t port;
	unsigned int items;
	enum rte_flow_item_type type[ITEMS];
	uint8_t value[ITEMS][ROOM], mask[ITEMS][ROOM];
};

static struct rte_flow rules[RULES];
static const struct rte_eth_rxtx_callback *callbacks[RTE_MAX_ETHPORTS][8];

/* For the test. */
unsigned int flow_port_live, flow_port_created, flow_port_dropped, flow_port_spread;

static size_t header_length(enum rte_flow_item_type type)
{
	switch (type) {
	case RTE_FLOW_ITEM_TYPE_ETH: return 14;
	case RTE_FLOW_ITEM_TYPE_VLAN: return 4;
	case RTE_FLOW_ITEM_TYPE_IPV4: return 20;
	case RTE_FLOW_ITEM_TYPE_IPV6: return 40;
	case RTE_FLOW_ITEM_TYPE_TCP: return 20;
	case RTE_FLOW_ITEM_TYPE_UDP: return 8;
	case RTE_FLOW_ITEM_TYPE_SCTP: return 12;
	default: return 0;
	}
}

/* --- matching --- */

static int transport_number(enum rte_flow_item_type type)
{
	return type == RTE_FLOW_ITEM_TYPE_TCP ? 6 : type == RTE_FLOW_ITEM_TYPE_UDP ? 17 : 132;
}

/* A tag is of the common type unless the item before says of which (any_tag).
   Where the header after `at` begins, or -1 if the header at `at` is of another kind. */
static int parse(enum rte_flow_item_type type, const uint8_t *p, int len, int at, int any_tag,
    int *ether_type, int *protocol)
{
	if (at + (int)header_length(type) > len)
		return -1;
	switch (type) {
	case RTE_FLOW_ITEM_TYPE_ETH:
		*ether_type = p[12] << 8 | p[13];
		return 14;
	case RTE_FLOW_ITEM_TYPE_VLAN:
		if (*ether_type != 0x8100 && !any_tag)
			return -1;
		*ether_type = p[at + 2] << 8 | p[at + 3];
		return at + 4;
	case RTE_FLOW_ITEM_TYPE_IPV4:
		if (*ether_type != 0x0800 || p[at] >> 4 != 4 || (p[at] & 15) < 5)
			return -1;
		/* No transport header is looked for in fragments. */
		*protocol = (p[at + 6] & 0x3f) == 0 && p[at + 7] == 0 ? p[at + 9] : -1;
		return at + 4 * (p[at] & 15);
	case RTE_FLOW_ITEM_TYPE_IPV6:
		if (*ether_type != 0x86dd || p[at] >> 4 != 6)
			return -1;
		*protocol = p[at + 6];
		return at + 40;
	default:
		return *protocol == transport_number(type) ? at + (int)header_length(type) : -1;
	}
}

static int matches(const struct rte_flow *rule, const uint8_t *p, int len)
{
	int at = 0, ether_type = 0, protocol = -1;

	for (unsigned int i = 0; i < rule->items; i++) {
		size_t type_at = i > 0 ? header_length(rule->type[i - 1]) - 2 : 0;
		int next = parse(rule->type[i], p, len, at, i > 0 && rule->mask[i - 1][type_at] != 0,
		    &ether_type, &protocol);

		if (next < 0)
			return 0;
		for (size_t b = 0; b < header_length(rule->type[i]); b++)
			if ((p[at + b] & rule->mask[i][b]) != rule->value[i][b])
				return 0;
		at = next;
	}
	return 1;
}

/* The first rule that passes, else one that drops. */
static int passes(uint16_t port, const uint8_t *p, int len)
{
	int dropped = 0;

	for (unsigned int i = 0; i < RULES; i++) {
		if (!rules[i].used || rules[i].port != port || !matches(&rules[i], p, len))
			continue;
		if (!rules[i].drops)
			return 1;
		dropped = 1;
	}
	return !dropped;
}

static uint16_t receive(uint16_t port, uint16_t queue, struct rte_mbuf *packets[], uint16_t count,
    uint16_t max, void *user)
{
	uint16_t kept = 0;

	(void)queue;
	(void)max;
	(void)user;
	for (uint16_t i = 0; i < count; i++) {
		uint8_t copy[256];
		uint32_t len = RTE_MIN(packets[i]->pkt_len, sizeof(copy));

		if (passes(port, rte_pktmbuf_read(packets[i], 0, len, copy), (int)len)) {
			packets[kept++] = packets[i];
		} else {
			rte_pktmbuf_free(packets[i]);
			flow_port_dropped++;
		}
	}
	return kept;
}

/* --- rules --- */

static int refuse(struct rte_flow_error *error, const char *why)
{
	return rte_flow_error_set(error, ENOTSUP, RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL, why);
}

/* Whether mask bytes from..to and no others of an item are used. */
static int only(const uint8_t *mask, size_t length, size_t from, size_t to)
{
	for (size_t i = 0; i < length; i++)
		if (mask[i] != 0 && (i < from || i >= to))
			return 0;
	return 1;
}

static int takes(const struct rte_flow_item *item, const char *level)
{
	const uint8_t *mask = item->mask;
	size_t length = header_length(item->type);

	if (length == 0 || (item->spec == NULL) != (mask == NULL))
		return 0;
	if (strcmp(level, "bits") == 0 || strcmp(level, "nodrop") == 0)
		return 1;
	switch (item->type) {
	case RTE_FLOW_ITEM_TYPE_ETH:
		return 1;
	case RTE_FLOW_ITEM_TYPE_VLAN:
		return mask == NULL || (mask[0] & 0xf0) == 0;
	case RTE_FLOW_ITEM_TYPE_IPV4:
		/* Fragments, protocol, addresses. */
		return strcmp(level, "ethernet") != 0 &&
		    (mask == NULL || (only(mask, 12, 6, 10) && mask[8] == 0));
	case RTE_FLOW_ITEM_TYPE_IPV6:
		return strcmp(level, "ethernet") != 0 && (mask == NULL || only(mask, 8, 6, 7));
	default:
		return strcmp(level, "ports") == 0 && (mask == NULL || only(mask, length, 0, 4));
	}
}

int rte_flow_validate(uint16_t port, const struct rte_flow_attr *attr,
    const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
    struct rte_flow_error *error)
{
	const char *level = getenv("OXPCAP_FLOW");
	unsigned int i;

	(void)port;
	if (level == NULL || strcmp(level, "nothing") == 0)
		return refuse(error, "this port has no rules");
	if (!attr->ingress || attr->egress || attr->transfer || attr->group != 0)
		return refuse(error, "not such rules");
	if (actions[0].type == RTE_FLOW_ACTION_TYPE_DROP && strcmp(level, "nodrop") == 0)
		return refuse(error, "this port cannot drop");
	for (i = 0; pattern[i].type != RTE_FLOW_ITEM_TYPE_END; i++)
		if (i == ITEMS || !takes(&pattern[i], level))
			return refuse(error, "not such an item");
	return 0;
}

static struct rte_flow *free_rule(void)
{
	for (unsigned int i = 0; i < RULES; i++)
		if (!rules[i].used)
			return &rules[i];
	return NULL;
}

struct rte_flow *rte_flow_create(uint16_t port, const struct rte_flow_attr *attr,
    const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
    struct rte_flow_error *error)
{
	struct rte_flow *rule = free_rule();
	struct rte_eth_dev_info info;

	if (rule == NULL || rte_flow_validate(port, attr, pattern, actions, error) != 0)
		return NULL;
	memset(rule, 0, sizeof(*rule));
	rule->used = 1;
	rule->port = port;
	rule->drops = actions[0].type == RTE_FLOW_ACTION_TYPE_DROP;
	flow_port_spread += actions[0].type == RTE_FLOW_ACTION_TYPE_RSS &&
	    ((const struct rte_flow_action_rss *)actions[0].conf)->queue_num > 1;
	for (; pattern[rule->items].type != RTE_FLOW_ITEM_TYPE_END; rule->items++) {
		unsigned int i = rule->items;

		rule->type[i] = pattern[i].type;
		if (pattern[i].spec == NULL)
			continue;
		memcpy(rule->value[i], pattern[i].spec, header_length(rule->type[i]));
		memcpy(rule->mask[i], pattern[i].mask, header_length(rule->type[i]));
	}
	flow_port_created++;
	if (flow_port_live++ == 0 && rte_eth_dev_info_get(port, &info) == 0)
		for (uint16_t q = 0; q < info.nb_rx_queues && q < 8; q++)
			callbacks[port][q] = rte_eth_add_rx_callback(port, q, receive, NULL);
	return rule;
}

int rte_flow_destroy(uint16_t port, struct rte_flow *rule, struct rte_flow_error *error)
{
	(void)error;
	rule->used = 0;
	if (--flow_port_live > 0)
		return 0;
	for (uint16_t q = 0; q < 8; q++)
		if (callbacks[port][q] != NULL)
			rte_eth_remove_rx_callback(port, q, callbacks[port][q]);
	memset(callbacks[port], 0, sizeof(callbacks[port]));
	return 0;
}
