/* Tapping a port of another process: copies come through a ring that the primary fills. */
#define _GNU_SOURCE
/* rte_pdump_enable_bpf and rte_pdump_stats. */
#define ALLOW_EXPERIMENTAL_API
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_bpf.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_memzone.h>
#include <rte_pdump.h>
#include <rte_ring.h>

#define RING_SIZE 4096
#define BUFFERS 8191
/* Idle calls between two looks whether the primary lives: about a second's worth. */
#define LOOK_EVERY 4000

/* Time for a core of the program that was copying when copying was ended. */
#define GRACE_US 20000

/*
 * A port's tap, in memory of the program. It stays when the tap is closed, with its ring and its
 * buffers: a core of the program may still be putting a copy there (ending the copying does not
 * wait for it), and to take them away under its hands would bring the program down. The next tap
 * on the port uses them again.
 */
struct shared_tap {
	pid_t owner;		/* of the tap that is open or was killed; 0: closed */
	struct rte_ring *ring;
	struct rte_mempool *pool;
};

struct ox_pdump {
	struct shared_tap *shared;
	struct rte_mbuf *burst[OX_BURST];
	unsigned int held, idle, generation;
	uint16_t port;
	int enabled, nanoseconds;
	int reading;			/* somebody asked for packets */
	struct rte_ring *ring;
	struct rte_mempool *pool;
	struct rte_bpf_prm *filter;	/* in memory the primary sees */
	uint8_t *slow[OX_BURST];	/* copies of packets in several segments */
	uint64_t lost;			/* under earlier filters */
};

/*
 * Pools carry an index into a table of drivers that each process fills in the order it loads
 * them. A pool whose driver is not, in this process, the kind its data is: the tables differ.
 */
static void check_pool(struct rte_mempool *pool, void *mismatch)
{
	char name[RTE_RING_NAMESIZE];
	const struct rte_ring *ring;

	snprintf(name, sizeof(name), RTE_MEMPOOL_MZ_FORMAT, pool->name);
	ring = rte_ring_lookup(name);
	if (ring == NULL || ring != pool->pool_data)
		return;
	if (pool->ops_index < 0 || (uint32_t)pool->ops_index >= rte_mempool_ops_table.num_ops ||
	    strncmp(rte_mempool_get_ops(pool->ops_index)->name, "ring_", 5) != 0)
		*(int *)mismatch = 1;
}

int ox_pools_mismatch(void)
{
	int mismatch = 0;

	rte_mempool_walk(check_pool, &mismatch);
	return mismatch;
}

static int config = -1;

void ox_watch_primary(int fd)
{
	config = fd;
}

/* By a descriptor opened when it could be: programs give privileges up (tcpdump does). */
static int primary_alive(void)
{
	struct flock lock = { .l_type = F_WRLCK };

	return fcntl(config, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static void drop_queued(struct ox_pdump *d)
{
	struct rte_mbuf *queued[OX_BURST];
	unsigned int n;

	while ((n = rte_ring_dequeue_burst(d->ring, (void **)queued, OX_BURST, NULL)) > 0)
		rte_pktmbuf_free_bulk(queued, n);
}

static int enable(struct ox_pdump *d)
{
	if (rte_pdump_enable_bpf(d->port, RTE_PDUMP_ALL_QUEUES, RTE_PDUMP_FLAG_RXTX, UINT32_MAX,
	    d->ring, d->pool, d->filter) != 0)
		return rte_errno > 0 ? -rte_errno : -EIO;
	d->enabled = 1;
	return 0;
}

static int disable(struct ox_pdump *d)
{
	if (!d->enabled || !primary_alive())
		return 0;
	if (rte_pdump_disable(d->port, RTE_PDUMP_ALL_QUEUES, RTE_PDUMP_FLAG_RXTX) != 0)
		return rte_errno > 0 ? -rte_errno : -EIO;
	d->enabled = 0;
	usleep(GRACE_US);
	return 0;
}

/* Finds or makes the port's tap and takes it over. */
static int claim(struct ox_pdump *d, const char **step)
{
	char name[RTE_MEMZONE_NAMESIZE];
	const struct rte_memzone *zone;
	struct shared_tap *tap;

	snprintf(name, sizeof(name), "pcapx_tap_%u", d->port);
	*step = "sharing memory with the program";
	zone = rte_memzone_lookup(name);
	if (zone == NULL)
		zone = rte_memzone_reserve(name, sizeof(*tap), SOCKET_ID_ANY, 0);
	if (zone == NULL)
		return -rte_errno;
	tap = zone->addr;
	if (tap->owner != 0 && tap->owner != getpid() && kill(tap->owner, 0) == 0)
		return -EBUSY;
	if (tap->owner != 0)
		/* Its owner was killed, and the program copies still. */
		rte_pdump_disable(d->port, RTE_PDUMP_ALL_QUEUES, RTE_PDUMP_FLAG_RXTX);
	*step = "making the ring";
	if (tap->ring == NULL)
		tap->ring = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, 0);
	if (tap->ring == NULL)
		return -rte_errno;
	*step = "making the buffer pool";
	/* No cache: caches go by lcore number, and the program has the same numbers. */
	if (tap->pool == NULL)
		tap->pool = rte_pktmbuf_pool_create(name, BUFFERS, 0, 0,
		    RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (tap->pool == NULL)
		return -rte_errno;
	tap->owner = getpid();
	d->shared = tap;
	d->ring = tap->ring;
	d->pool = tap->pool;
	drop_queued(d);
	return 0;
}

int ox_pdump_open(uint16_t port, int nanoseconds, struct ox_pdump **dump, const char **step)
{
	struct ox_pdump *d = calloc(1, sizeof(*d));
	int rc;

	if (d == NULL)
		return -ENOMEM;
	d->port = port;
	d->nanoseconds = nanoseconds;
	d->generation = ox_fork_generation();
	ox_quiet_begin();
	rc = claim(d, step);
	if (rc == 0) {
		*step = "asking the program for copies (does it call rte_pdump_init?)";
		rc = enable(d);
		if (rc != 0)
			d->shared->owner = 0;
	}
	ox_quiet_end();
	if (rc != 0) {
		free(d);
		return rc;
	}
	*dump = d;
	return 0;
}

/* Copies that had no room since the tap was enabled: DPDK counts anew each time. */
static uint64_t dropped(const struct ox_pdump *d)
{
	struct rte_pdump_stats now;

	return rte_pdump_stats(d->port, &now) == 0 ? now.ringfull + now.nombuf : 0;
}

static struct rte_bpf_prm *share(const struct pcapx_ebpf_insn *program, uint32_t count)
{
	size_t size = count * sizeof(struct ebpf_insn);
	struct rte_bpf_prm *prm = rte_zmalloc("pcapx_filter", sizeof(*prm) + size, 0);

	if (prm == NULL)
		return NULL;
	memcpy(prm + 1, program, size);
	prm->ins = (const struct ebpf_insn *)(prm + 1);
	prm->nb_ins = count;
	prm->prog_arg.type = RTE_BPF_ARG_PTR_MBUF;
	prm->prog_arg.size = sizeof(struct rte_mbuf);
	prm->prog_arg.buf_size = RTE_MBUF_DEFAULT_BUF_SIZE;
	return prm;
}

int ox_pdump_set_filter(struct ox_pdump *d, const struct pcapx_ebpf_insn *program, uint32_t count)
{
	struct rte_bpf_prm *filter = NULL;
	int rc;

	if (d->generation != ox_fork_generation())
		return -ECHILD;
	if (count > 0 && (filter = share(program, count)) == NULL)
		return -ENOMEM;
	rc = disable(d);
	if (rc != 0) {
		rte_free(filter);
		return rc;
	}
	/* What overflowed before a program read at all was not for it. */
	if (d->reading)
		d->lost += dropped(d);
	drop_queued(d);
	rte_free(d->filter);
	d->filter = filter;
	return enable(d);
}

/* Contiguous bytes; the packet is freed with the burst. */
static void describe(struct ox_pdump *d, unsigned int i, struct pcapx_plugin_packet stamp,
    struct pcapx_plugin_packet *packet)
{
	const struct rte_mbuf *m = d->burst[i];
	uint8_t *copy;

	*packet = stamp;
	packet->len = m->pkt_len;
	packet->caplen = m->data_len;
	packet->data = rte_pktmbuf_mtod(m, const uint8_t *);
	if (m->nb_segs == 1)
		return;
	copy = realloc(d->slow[i], RTE_MIN(m->pkt_len, (uint32_t)OX_MAX_PACKET));
	if (copy == NULL)
		return;
	d->slow[i] = copy;
	packet->caplen = RTE_MIN(m->pkt_len, (uint32_t)OX_MAX_PACKET);
	packet->data = rte_pktmbuf_read(m, 0, packet->caplen, copy);
}

int ox_pdump_receive(struct ox_pdump *d, struct pcapx_plugin_packet *packets)
{
	if (d->generation != ox_fork_generation())
		return -ECHILD;
	if (!d->enabled)
		return -ENODEV;
	d->reading = 1;
	rte_pktmbuf_free_bulk(d->burst, d->held);
	d->held = rte_ring_dequeue_burst(d->ring, (void **)d->burst, OX_BURST, NULL);
	if (d->held > 0) {
		struct pcapx_plugin_packet stamp = ox_stamp(d->nanoseconds);

		for (unsigned int i = 0; i < d->held; i++)
			describe(d, i, stamp, &packets[i]);
		d->idle = 0;
	} else if (++d->idle % LOOK_EVERY == 0 && !primary_alive())
		return -ENODEV;
	return (int)d->held;
}

int ox_pdump_stats(struct ox_pdump *d, struct pcapx_plugin_stats *stats)
{
	if (d->generation != ox_fork_generation())
		return -ECHILD;
	stats->dropped = d->lost + (d->enabled ? dropped(d) : 0);
	stats->if_dropped = 0;
	stats->accepted = UINT64_MAX;
	return 0;
}

void ox_pdump_close(struct ox_pdump *d)
{
	if (d->generation == ox_fork_generation()) {
		ox_quiet_begin();
		/* Without the privilege to ask, the next tap ends what goes on here. */
		if (disable(d) == 0)
			d->shared->owner = 0;
		rte_pktmbuf_free_bulk(d->burst, d->held);
		drop_queued(d);
		ox_quiet_end();
	}
	for (unsigned int i = 0; i < OX_BURST; i++)
		free(d->slow[i]);
	free(d);
}
