/* For unit tests: packets of chosen segments through DPDK's eBPF machine; DPDK's memory. */
#include "shim.h"

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_memzone.h>

static struct rte_mempool *pool;

/* A packet in segments of at most `segment` bytes; null without buffers. */
struct rte_mbuf *ox_test_packet(const uint8_t *bytes, uint32_t len, uint32_t segment)
{
	struct rte_mbuf *head = NULL;

	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("pcapx_testing", 8191, 0, 0,
		    RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL)
		return NULL;
	do {
		uint32_t part = len < segment ? len : segment;
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		char *room = m == NULL ? NULL : rte_pktmbuf_append(m, (uint16_t)part);

		if (room == NULL)
			return NULL;
		memcpy(room, bytes, part);
		bytes += part;
		len -= part;
		if (head == NULL)
			head = m;
		else
			rte_pktmbuf_chain(head, m);
	} while (len > 0);
	return head;
}

uint32_t ox_test_segments(const struct rte_mbuf *m)
{
	return m->nb_segs;
}

struct ox_usage {
	unsigned int pools, zones;
	uint64_t heap_bytes;
};

static void count_pool(struct rte_mempool *mempool, void *usage)
{
	(void)mempool;
	((struct ox_usage *)usage)->pools++;
}

static void count_zone(const struct rte_memzone *zone, void *usage)
{
	(void)zone;
	((struct ox_usage *)usage)->zones++;
}

/* What DPDK has of this process' memory. */
void ox_test_usage(struct ox_usage *usage)
{
	struct rte_malloc_socket_stats stats;

	memset(usage, 0, sizeof(*usage));
	rte_mempool_walk(count_pool, usage);
	rte_memzone_walk(count_zone, usage);
	for (int socket = 0; socket < RTE_MAX_NUMA_NODES; socket++)
		if (rte_malloc_get_socket_stats(socket, &stats) == 0)
			usage->heap_bytes += stats.heap_allocsz_bytes;
}
