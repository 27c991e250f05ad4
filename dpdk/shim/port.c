/* Ports: finding, configuration, counters. */
#define _GNU_SOURCE
#include "port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_mbuf_dyn.h>

#define RX_DESCRIPTORS 1024
#define TX_DESCRIPTORS 512

/* --- finding and plugging --- */

int ox_port_find(const char *name, uint16_t *port)
{
	return rte_eth_dev_get_port_by_name(name, port);
}

int ox_port_exists(uint16_t port)
{
	return rte_eth_dev_is_valid_port(port);
}

int ox_port_next(uint16_t from)
{
	uint64_t port = rte_eth_find_next(from);

	return port < RTE_MAX_ETHPORTS ? (int)port : -ENOENT;
}

int ox_port_facts(uint16_t port, struct ox_port_facts *facts)
{
	struct rte_eth_dev_info info;
	struct rte_eth_link link;
	struct rte_ether_addr mac;
	int rc = rte_eth_dev_info_get(port, &info);

	memset(facts, 0, sizeof(*facts));
	if (rc != 0)
		return rc;
	snprintf(facts->driver, sizeof(facts->driver), "%s", info.driver_name);
	rc = rte_eth_dev_get_name_by_port(port, facts->name);
	if (rc != 0)
		return rc;
	if (rte_eth_macaddr_get(port, &mac) == 0)
		memcpy(facts->mac, mac.addr_bytes, sizeof(facts->mac));
	if (rte_eth_link_get_nowait(port, &link) == 0)
		facts->link_up = link.link_status;
	return 0;
}

int ox_plug(const char *bus, const char *name, const char *arguments)
{
	ox_quiet_begin();
	int rc = rte_eal_hotplug_add(bus, name, arguments);
	ox_quiet_end();
	return rc > 0 ? -rc : rc;
}

int ox_unplug(const char *bus, const char *name)
{
	ox_quiet_begin();
	int rc = rte_eal_hotplug_remove(bus, name);
	ox_quiet_end();
	return rc > 0 ? -rc : rc;
}

/* --- opening --- */

/* The kernel interface under a port: some drivers leave it promiscuous. */
static void note_interface(struct ox_port *p, const struct rte_eth_dev_info *info)
{
	struct ifreq request = { 0 };
	int fd;

	p->interface_flags = -1;
	if (info->if_index == 0 || if_indextoname(info->if_index, p->interface) == NULL)
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	memcpy(request.ifr_name, p->interface, sizeof(request.ifr_name));
	if (ioctl(fd, SIOCGIFFLAGS, &request) == 0)
		p->interface_flags = (unsigned short)request.ifr_flags;
	close(fd);
}

static void restore_interface(const struct ox_port *p)
{
	struct ifreq request = { 0 };
	int fd;

	if (p->interface_flags < 0)
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	memcpy(request.ifr_name, p->interface, sizeof(request.ifr_name));
	if (ioctl(fd, SIOCGIFFLAGS, &request) == 0 &&
	    ((request.ifr_flags ^ p->interface_flags) & IFF_PROMISC) != 0) {
		request.ifr_flags ^= IFF_PROMISC;
		ioctl(fd, SIOCSIFFLAGS, &request);
	}
	close(fd);
}

static uint16_t clamp(uint32_t wanted, const struct rte_eth_desc_lim *limit)
{
	uint32_t n = wanted;

	if (limit->nb_align > 1)
		n = n / limit->nb_align * limit->nb_align;
	if (limit->nb_max != 0 && n > limit->nb_max)
		n = limit->nb_max;
	if (n < limit->nb_min)
		n = limit->nb_min;
	return n > UINT16_MAX ? UINT16_MAX : (uint16_t)n;
}

static int configure(struct ox_port *p, const struct rte_eth_dev_info *info, uint16_t tx_queues)
{
	struct rte_eth_conf conf;

	memset(&conf, 0, sizeof(conf));
	/* Frames longer than a buffer come in several segments. */
	conf.rxmode.offloads = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	if (p->queues > 1) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads;
	}
	return rte_eth_dev_configure(p->port, p->queues, tx_queues, &conf);
}

static int set_up_queues(struct ox_port *p, const struct rte_eth_dev_info *info,
    uint32_t descriptors, uint16_t tx_queues, const char **step)
{
	int socket = rte_eth_dev_socket_id(p->port);
	uint16_t rx = clamp(descriptors != 0 ? descriptors : RX_DESCRIPTORS, &info->rx_desc_lim);
	uint16_t tx = clamp(TX_DESCRIPTORS, &info->tx_desc_lim);
	int rc;

	*step = "making the buffer pool";
	p->pool = ox_pool_make(p->port, (uint32_t)rx * p->queues + (uint32_t)tx * tx_queues + 2 * OX_BURST +
	    4 * POOL_CACHE);
	if (p->pool == NULL)
		return -rte_errno;
	*step = "setting up a receive queue";
	for (uint16_t q = 0; q < p->queues; q++) {
		rc = rte_eth_rx_queue_setup(p->port, q, rx, (unsigned int)socket, NULL, p->pool);
		if (rc != 0)
			return rc;
	}
	*step = "setting up a transmit queue";
	for (uint16_t q = 0; q < tx_queues; q++) {
		rc = rte_eth_tx_queue_setup(p->port, q, tx, (unsigned int)socket, NULL);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* Joins a port that the program itself runs: nothing of it is changed. */
static int join(struct ox_port *p, const struct rte_eth_dev_info *info, int only)
{
	if (only >= info->nb_rx_queues)
		return -EINVAL;
	p->joined = 1;
	p->queues = only < 0 ? info->nb_rx_queues : 1;
	p->only_queue = only < 0 ? 0 : (uint16_t)only;
	return p->queues == 0 ? -ENODEV : 0;
}

static void find_stamps(struct ox_port *p, const struct rte_eth_dev_info *info)
{
	int flag;

	p->stamp_offset = -1;
	if (strcmp(info->driver_name, "net_pcap") != 0)
		return;
	p->stamp_offset = rte_mbuf_dynfield_lookup(RTE_MBUF_DYNFIELD_TIMESTAMP_NAME, NULL);
	flag = rte_mbuf_dynflag_lookup(RTE_MBUF_DYNFLAG_RX_TIMESTAMP_NAME, NULL);
	p->stamp_flag = p->stamp_offset >= 0 && flag >= 0 ? UINT64_C(1) << flag : 0;
}

static int start(struct ox_port *p, const struct ox_port_config *config,
    const struct rte_eth_dev_info *info, const char **step)
{
	uint16_t tx_queues;
	int rc;

	*step = "configuring the port";
	p->queues = RTE_MIN(RTE_MAX(config->rx_queues, 1), RTE_MAX(info->max_rx_queues, 1));
	/* One is used, but some drivers (net_tap) want as many of both. */
	tx_queues = RTE_MIN(p->queues, info->max_tx_queues);
	rc = configure(p, info, tx_queues);
	if (rc == -EBUSY) {
		*step = "joining the running port";
		return join(p, info, config->first_queue);
	}
	if (rc != 0)
		return rc;
	if (config->first_queue >= 0) {
		*step = "choosing a queue of a port that the program does not run";
		return -EINVAL;
	}
	rc = set_up_queues(p, info, config->descriptors, tx_queues, step);
	if (rc != 0)
		return rc;
	*step = "starting the port";
	return rte_eth_dev_start(p->port);
}

static int on_destroy(uint16_t port, enum rte_eth_event_type event, void *p, void *result)
{
	(void)port;
	(void)event;
	(void)result;
	atomic_store(&((struct ox_port *)p)->gone, 1);
	return 0;
}

int ox_port_open(const struct ox_port_config *config, struct ox_port **port, const char **step)
{
	struct rte_eth_dev_info info;
	struct ox_port *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return -ENOMEM;
	p->port = config->port;
	p->generation = ox_fork_generation();
	p->nanoseconds = config->nanoseconds;
	*step = "asking the port for its properties";
	rc = rte_eth_dev_info_get(p->port, &info);
	if (rc != 0) {
		free(p);
		return rc;
	}
	note_interface(p, &info);
	ox_quiet_begin();
	p->promisc_before = rte_eth_promiscuous_get(p->port);
	rc = start(p, config, &info, step);
	if (rc == 0 && config->promisc && p->promisc_before != 1)
		p->promisc_result = rte_eth_promiscuous_enable(p->port);
	ox_quiet_end();
	if (rc != 0) {
		ox_pool_free(p->pool);
		free(p);
		return rc;
	}
	rte_eth_dev_callback_register(p->port, RTE_ETH_EVENT_DESTROY, on_destroy, p);
	find_stamps(p, &info);
	p->special_flags = p->stamp_flag | RTE_MBUF_F_RX_VLAN_STRIPPED;
	rte_eth_stats_get(p->port, &p->base);
	*port = p;
	return 0;
}

int ox_port_joined(const struct ox_port *p)
{
	return p->joined;
}

int ox_port_promisc_result(const struct ox_port *p)
{
	return p->promisc_result;
}

uint16_t ox_port_number(const struct ox_port *p)
{
	return p->port;
}

uint16_t ox_port_queues(const struct ox_port *p)
{
	return p->queues;
}

int ox_port_gone(const struct ox_port *p)
{
	return atomic_load_explicit(&p->gone, memory_order_relaxed);
}

/* --- closing --- */

void ox_port_stop(struct ox_port *p)
{
	/* The devices are the parent's: a child leaves them alone. */
	if (p->generation != ox_fork_generation())
		return;
	ox_port_release(p);
	if (ox_port_gone(p)) {
		restore_interface(p);
		return;
	}
	ox_quiet_begin();
	rte_eth_dev_callback_unregister(p->port, RTE_ETH_EVENT_DESTROY, on_destroy, p);
	if (p->promisc_before == 0 && rte_eth_promiscuous_get(p->port) == 1)
		rte_eth_promiscuous_disable(p->port);
	if (!p->joined) {
		rte_eth_dev_stop(p->port);
		restore_interface(p);
	}
	ox_quiet_end();
}

void ox_port_free(struct ox_port *p)
{
	if (p->generation == ox_fork_generation()) {
		ox_port_release(p);
		ox_pool_free(p->pool);
	}
	ox_filter_free(p->filter);
	for (size_t i = 0; i < RTE_DIM(p->slow); i++)
		free(p->slow[i].bytes);
	free(p);
}

void ox_port_set_filter(struct ox_port *p, struct ox_filter *filter)
{
	ox_filter_free(p->filter);
	p->filter = filter;
}

/* --- counters --- */

int ox_port_stats(struct ox_port *p, struct pcapx_plugin_stats *stats)
{
	struct rte_eth_stats now;
	int rc;

	if (p->generation != ox_fork_generation())
		return -ECHILD;
	if (ox_port_gone(p))
		return -ENODEV;
	rc = rte_eth_stats_get(p->port, &now);
	if (rc != 0)
		return rc;
	stats->dropped = now.imissed - p->base.imissed + now.rx_nombuf - p->base.rx_nombuf;
	stats->if_dropped = now.ierrors - p->base.ierrors;
	stats->accepted = UINT64_MAX;
	return 0;
}
