/* Pools of buffers. */
#define _GNU_SOURCE
#include "port.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_eal.h>

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

struct rte_mempool *ox_pool_make(uint16_t port, uint32_t buffers)
{
	static atomic_uint serial;
	char name[RTE_MEMPOOL_NAMESIZE];
	int socket = rte_eth_dev_socket_id(port);

	snprintf(name, sizeof(name), "pcapx_%u_%u", (unsigned int)getpid(),
	    atomic_fetch_add(&serial, 1));
	return rte_pktmbuf_pool_create(name, buffers, POOL_CACHE, 0, buffer_size(),
	    socket < 0 ? SOCKET_ID_ANY : socket);
}

void ox_pool_free(struct rte_mempool *pool)
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
