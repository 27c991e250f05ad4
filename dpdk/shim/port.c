/* Ports: configuration, receiving, sending, counters. */
#define _GNU_SOURCE
#include "shim.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_branch_prediction.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_mempool.h>

#define RX_DESCRIPTORS 1024
#define TX_DESCRIPTORS 512
#define CACHE 256
#define SEND_TRIES 64

struct slow_buffer {
	uint8_t *bytes;
	uint32_t size;
};

struct ox_port {
	struct rte_mbuf *burst[OX_BURST];
	uint16_t held;		/* of `burst`, lent to libpcap */
	struct rte_mempool *held_pool; /* of all these, if they can go back as they are; or NULL */
	uint16_t port;
	uint16_t queues, next_queue, only_queue;
	int joined, promisc_before, promisc_result, nanoseconds;
	unsigned int generation;
	atomic_int gone;	/* the device was taken away; its number may be another's now */
	struct rte_mempool *pool;
	struct ox_filter *filter;
	/* A driver that stamps in microseconds of the epoch (net_pcap): where, and by what flag. */
	int stamp_offset;
	uint64_t stamp_flag;
	uint64_t special_flags;	/* of buffers that `describe_more` looks at */
	struct slow_buffer slow[OX_BURST]; /* for packets of several segments */
	struct rte_eth_stats base;
	int interface_flags;	/* of a kernel interface under the port, before; -1: none */
	char interface[IF_NAMESIZE];
};

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

/*
 * --- pools ---
 *
 * A pool is freed when its port is closed, unless buffers are still out (in another port's
 * transmit queue, say); such pools wait and are tried again.
 */

static pthread_mutex_t waiting_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rte_mempool *waiting[256];
static unsigned int waiting_count;

/*
 * Bytes of a buffer. Without huge pages DPDK lets no buffer cross a page if it fits in one, so the
 * customary ones would begin at the same place of one page each, and their first lines compete for
 * a handful of places in the first-level cache. A buffer that is a cache line longer than a page
 * takes as much memory, and each begins a line further.
 */
static uint16_t buffer_size(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t overhead = sizeof(struct rte_mempool_objhdr) + sizeof(struct rte_mbuf);
	size_t customary = RTE_MBUF_DEFAULT_BUF_SIZE;
	size_t longer = RTE_ALIGN(page + 1, RTE_CACHE_LINE_SIZE) - overhead;

	if (rte_eal_has_hugepages() || longer < customary || longer > UINT16_MAX)
		return (uint16_t)customary;
	return (uint16_t)longer;
}

static struct rte_mempool *make_pool(const struct ox_port *p, uint32_t buffers)
{
	static atomic_uint serial;
	char name[RTE_MEMPOOL_NAMESIZE];
	int socket = rte_eth_dev_socket_id(p->port);

	snprintf(name, sizeof(name), "pcapx_%u_%u", (unsigned int)getpid(),
	    atomic_fetch_add(&serial, 1));
	return rte_pktmbuf_pool_create(name, buffers, CACHE, 0, buffer_size(),
	    socket < 0 ? SOCKET_ID_ANY : socket);
}

static void free_pool(struct rte_mempool *pool)
{
	struct rte_mempool *done[RTE_DIM(waiting) + 1];
	unsigned int count = 0, kept = 0;

	pthread_mutex_lock(&waiting_lock);
	for (unsigned int i = 0; i < waiting_count; i++) {
		if (rte_mempool_full(waiting[i]))
			done[count++] = waiting[i];
		else
			waiting[kept++] = waiting[i];
	}
	waiting_count = kept;
	if (pool != NULL && rte_mempool_full(pool))
		done[count++] = pool;
	else if (pool != NULL && waiting_count < RTE_DIM(waiting))
		waiting[waiting_count++] = pool;
	pthread_mutex_unlock(&waiting_lock);
	while (count > 0)
		rte_mempool_free(done[--count]);
}

unsigned int ox_pools_waiting(void)
{
	pthread_mutex_lock(&waiting_lock);
	unsigned int count = waiting_count;
	pthread_mutex_unlock(&waiting_lock);
	return count;
}

unsigned int ox_port_buffers_in_use(const struct ox_port *p)
{
	return p->pool == NULL ? 0 : rte_mempool_in_use_count(p->pool);
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
	p->pool = make_pool(p, (uint32_t)rx * p->queues + (uint32_t)tx * tx_queues + 2 * OX_BURST +
	    4 * CACHE);
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
		free_pool(p->pool);
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

/* Buffers that are in the state of free ones need no look at each. */
static void release(struct ox_port *p)
{
	if (p->held_pool != NULL)
		rte_mempool_put_bulk(p->held_pool, (void *const *)p->burst, p->held);
	else
		rte_pktmbuf_free_bulk(p->burst, p->held);
	p->held = 0;
	p->held_pool = NULL;
}

void ox_port_stop(struct ox_port *p)
{
	/* The devices are the parent's: a child leaves them alone. */
	if (p->generation != ox_fork_generation())
		return;
	release(p);
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
		release(p);
		free_pool(p->pool);
	}
	ox_filter_free(p->filter);
	for (size_t i = 0; i < RTE_DIM(p->slow); i++)
		free(p->slow[i].bytes);
	free(p);
}

/* --- receiving --- */

/* Several segments: their bytes in one piece, in a buffer of the packet's place in the burst. */
static const uint8_t *linearise(struct slow_buffer *slow, const struct rte_mbuf *m, uint32_t len)
{
	if (slow->size < len) {
		uint8_t *bytes = realloc(slow->bytes, len);

		if (bytes == NULL)
			return NULL;
		slow->bytes = bytes;
		slow->size = len;
	}
	return rte_pktmbuf_read(m, 0, len, slow->bytes);
}

void ox_port_set_filter(struct ox_port *p, struct ox_filter *filter)
{
	ox_filter_free(p->filter);
	p->filter = filter;
}

/* Puts a tag that the NIC took off back in its place. */
static void restore_tag(struct rte_mbuf **m)
{
	if (((*m)->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 && rte_vlan_insert(m) == 0)
		(*m)->ol_flags &= ~RTE_MBUF_F_RX_VLAN_STRIPPED;
}

static void describe_slow(struct ox_port *p, uint16_t i, struct pcapx_plugin_packet *packet)
{
	restore_tag(&p->burst[i]);
	const struct rte_mbuf *m = p->burst[i];

	packet->len = m->pkt_len;
	packet->caplen = RTE_MIN(m->pkt_len, (uint32_t)OX_MAX_PACKET);
	packet->data = linearise(&p->slow[i], m, packet->caplen);
	if (packet->data == NULL) {
		packet->data = rte_pktmbuf_mtod(m, const uint8_t *);
		packet->caplen = m->data_len;
	}
}

static void stamp_by_driver(const struct ox_port *p, const struct rte_mbuf *m,
    struct pcapx_plugin_packet *packet)
{
	uint64_t time = *RTE_MBUF_DYNFIELD(m, p->stamp_offset, rte_mbuf_timestamp_t *);

	packet->sec = (int64_t)(time / 1000000);
	packet->frac = (int64_t)(time % 1000000) * (p->nanoseconds ? 1000 : 1);
}

/* What not every packet needs. */
static __rte_noinline void describe_more(struct ox_port *p, uint16_t i,
    struct pcapx_plugin_packet *packet)
{
	const struct rte_mbuf *m = p->burst[i];

	if ((m->ol_flags & p->stamp_flag) != 0)
		stamp_by_driver(p, m, packet);
	if (m->nb_segs > 1 || (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0)
		describe_slow(p, i, packet);
}

/* References and segments, side by side in a buffer, both 1. */
#define SINGLE UINT32_C(0x00010001)
static_assert(offsetof(struct rte_mbuf, nb_segs) == offsetof(struct rte_mbuf, refcnt) + 2, "");

/*
 * Describes a packet. Not 0 where its buffer is not one of `pool` that nobody else refers to, whole
 * in one segment, and may thus not go back to the pool as it is.
 */
static inline uint64_t describe(struct ox_port *p, uint16_t i, const struct rte_mempool *pool,
    const struct pcapx_plugin_packet *stamp, struct pcapx_plugin_packet *packet)
{
	const struct rte_mbuf *m = p->burst[i];
	uint64_t flags = m->ol_flags;
	uint64_t stripped = flags & RTE_MBUF_F_RX_VLAN_STRIPPED;
	uint32_t single;

	memcpy(&single, &m->refcnt, sizeof(single));
	packet->sec = stamp->sec;
	packet->frac = stamp->frac;
	packet->caplen = packet->len = m->data_len;
	packet->data = rte_pktmbuf_mtod(m, const uint8_t *);
	rte_prefetch0(packet->data);
	if (unlikely(single != SINGLE || (flags & p->special_flags) != 0))
		describe_more(p, i, packet);
	return (single ^ SINGLE) | stripped | (flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) |
	    ((uintptr_t)m->pool ^ (uintptr_t)pool);
}

/* Describes the first `count` packets of the burst, which libpcap holds until the next call. */
static void hold(struct ox_port *p, uint16_t count, struct pcapx_plugin_packet *packets)
{
	const struct pcapx_plugin_packet stamp = ox_stamp(p->nanoseconds);
	struct rte_mempool *pool = p->burst[0]->pool;
	uint64_t odd = 0;

	for (uint16_t i = 0; i < count; i++)
		odd |= describe(p, i, pool, &stamp, &packets[i]);
	p->held = count;
	p->held_pool = odd == 0 ? pool : NULL;
}

/* Runs the port's filter; the packets it accepts come first, the others are freed. */
static uint16_t filter_burst(struct ox_port *p, uint16_t count, uint64_t *verdicts)
{
	struct rte_mbuf *rejected[OX_BURST];
	uint16_t kept = 0, dropped = 0;

	for (uint16_t i = 0; i < count; i++)
		restore_tag(&p->burst[i]);
	ox_filter_run(p->filter, p->burst, verdicts, count);
	for (uint16_t i = 0; i < count; i++) {
		/* Classic verdicts have 32 bits. */
		if ((uint32_t)verdicts[i] == 0) {
			rejected[dropped++] = p->burst[i];
			continue;
		}
		verdicts[kept] = (uint32_t)verdicts[i];
		p->burst[kept++] = p->burst[i];
	}
	rte_pktmbuf_free_bulk(rejected, dropped);
	return kept;
}

static int filter_and_describe(struct ox_port *p, uint16_t count,
    struct pcapx_plugin_packet *packets)
{
	uint64_t verdicts[OX_BURST];

	uint16_t kept = filter_burst(p, count, verdicts);
	if (kept == 0)
		return PCAPX_PLUGIN_REJECTED;
	hold(p, kept, packets);
	for (uint16_t i = 0; i < kept; i++)
		packets[i].caplen = RTE_MIN(packets[i].caplen, (uint32_t)verdicts[i]);
	return kept;
}

int ox_port_receive(struct ox_port *p, struct pcapx_plugin_packet *packets)
{
	if (unlikely(p->generation != ox_fork_generation()))
		return -ECHILD;
	if (unlikely(rte_lcore_id() == LCORE_ID_ANY))
		ox_thread_enter();
	if (p->held > 0)
		release(p);
	if (unlikely(ox_port_gone(p)))
		return -ENODEV;
	uint16_t received = 0;

	for (uint16_t i = 0; i < p->queues && received == 0; i++) {
		uint16_t queue = p->next_queue;

		p->next_queue = queue + 1 < p->queues ? queue + 1 : 0;
		received = rte_eth_rx_burst(p->port, p->only_queue + queue, p->burst, OX_BURST);
	}
	if (received == 0)
		return 0;
	if (p->filter != NULL)
		return filter_and_describe(p, received, packets);
	hold(p, received, packets);
	return received;
}

/* --- sending --- */

static struct rte_mbuf *copy_frame(struct rte_mempool *pool, const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool), *tail = head;

	while (head != NULL && len > 0) {
		uint16_t room = rte_pktmbuf_tailroom(tail);
		uint16_t part = len < room ? (uint16_t)len : room;

		memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len), frame, part);
		tail->data_len += part;
		head->pkt_len += part;
		frame += part;
		len -= part;
		if (len == 0)
			break;
		struct rte_mbuf *next = rte_pktmbuf_alloc(pool);

		if (next == NULL) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		next->data_off = 0;
		tail->next = next;
		tail = next;
		head->nb_segs++;
	}
	return head;
}

int ox_port_inject(struct ox_port *p, const uint8_t *frame, uint32_t len)
{
	struct rte_mbuf *m;

	if (p->generation != ox_fork_generation())
		return -ECHILD;
	if (p->joined)
		return -EPERM;
	if (ox_port_gone(p))
		return -ENODEV;
	if (rte_lcore_id() == LCORE_ID_ANY)
		ox_thread_enter();
	m = copy_frame(p->pool, frame, len);
	if (m == NULL)
		return -ENOBUFS;
	for (int i = 0; i < SEND_TRIES; i++) {
		if (rte_eth_tx_burst(p->port, 0, &m, 1) == 1)
			return 0;
		rte_pause();
	}
	rte_pktmbuf_free(m);
	return -EAGAIN;
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
