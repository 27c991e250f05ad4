/* For unit tests: packets of chosen segments through DPDK's eBPF machine. */
#include "shim.h"

#include <errno.h>

#include <rte_errno.h>
#include <rte_mbuf.h>

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
