/* Packets of a port: receiving, sending. */
#define _GNU_SOURCE
#include "port.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_ether.h>
#include <rte_lcore.h>

#define SEND_TRIES 64

/* --- receiving --- */

/* Buffers that are in the state of free ones need no look at each. */
void ox_port_release(struct ox_port *p)
{
	if (p->held_pool != NULL)
		rte_mempool_put_bulk(p->held_pool, (void *const *)p->burst, p->held);
	else
		rte_pktmbuf_free_bulk(p->burst, p->held);
	p->held = 0;
	p->held_pool = NULL;
}

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
		ox_port_release(p);
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
