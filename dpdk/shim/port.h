/* A port that was opened, between the files that configure it and those that move packets. */
#ifndef PCAPX_DPDK_PORT_H
#define PCAPX_DPDK_PORT_H

#include "shim.h"

#include <net/if.h>
#include <stdatomic.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#define POOL_CACHE 256	/* buffers that a thread keeps of a pool */

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

/* --- pool.c --- */

/* A pool of buffers near the port's memory; NULL with rte_errno. */
struct rte_mempool *ox_pool_make(uint16_t port, uint32_t buffers);
/*
 * Frees a pool (or none), unless buffers are still out, in another port's transmit queue, say;
 * such pools wait and are tried again each time.
 */
void ox_pool_free(struct rte_mempool *pool);

/* --- transfer.c --- */

/* Gives back the packets that libpcap holds. */
void ox_port_release(struct ox_port *p);

#endif
