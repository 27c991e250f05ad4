/*
 * Packets a second from a DPDK port: by rte_eth_rx_burst alone, and by pcap_dispatch.
 *
 *	rate bare DEVICE[,ARGUMENTS] SECONDS
 *	rate spread DEVICE[,ARGUMENTS] SECONDS
 *	rate pcap DEVICE[,ARGUMENTS] SECONDS [FILTER]
 *
 * Prints one number, in millions. "bare" takes its buffers from a pool as DPDK's examples make it; "spread" is the
 * same loop with buffers as the plug-in has them without huge pages, a cache line longer than a page, which
 * do not all compete for the same places of the first-level cache. In all ways the receiving thread has a mempool cache and every
 * packet's first byte is looked at.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pcap/pcap.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#define BURST 64

static volatile uint64_t sum;

/* Processor time of this thread: other work on the machine does not count. */
static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fail(const char *what)
{
	fprintf(stderr, "rate: %s\n", what);
	exit(1);
}

static double bare(const char *device, double duration, uint16_t room)
{
	char *arguments[] = { "rate", "--no-huge", "-m", "512", "--no-shconf", "--no-pci",
	    "--no-telemetry", "--log-level=4", "--lcores", "0@(0-1)", NULL };
	char name[256];
	const char *comma = strchr(device, ',');
	struct rte_eth_conf conf = { 0 };
	struct rte_mbuf *burst[BURST];
	uint64_t packets = 0, seen = 0;
	uint16_t port;

	if (rte_eal_init(10, arguments) < 0)
		fail("rte_eal_init");
	snprintf(name, sizeof(name), "%.*s", (int)(comma ? comma - device : (long)strlen(device)),
	    device);
	if (rte_eal_hotplug_add("vdev", name, comma ? comma + 1 : "") != 0 ||
	    rte_eth_dev_get_port_by_name(name, &port) != 0)
		fail("no such device");
	struct rte_mempool *pool = rte_pktmbuf_pool_create("rate", 2688, 256, 0, room,
	    SOCKET_ID_ANY);
	if (pool == NULL || rte_eth_dev_configure(port, 1, 1, &conf) != 0 ||
	    rte_eth_rx_queue_setup(port, 0, 1024, SOCKET_ID_ANY, NULL, pool) != 0 ||
	    rte_eth_tx_queue_setup(port, 0, 512, SOCKET_ID_ANY, NULL) != 0 ||
	    rte_eth_dev_start(port) != 0)
		fail("starting the port");
	double begin = seconds(), now = begin;
	do {
		for (int i = 0; i < 1000; i++) {
			uint16_t n = rte_eth_rx_burst(port, 0, burst, BURST);

			for (uint16_t k = 0; k < n; k++)
				seen += *rte_pktmbuf_mtod(burst[k], const uint8_t *);
			rte_pktmbuf_free_bulk(burst, n);
			packets += n;
		}
		now = seconds();
	} while (now - begin < duration);
	sum = seen;
	return (double)packets / (now - begin);
}

static void look(unsigned char *user, const struct pcap_pkthdr *header, const unsigned char *bytes)
{
	(void)header;
	*(uint64_t *)user += *bytes;
}

/* What has arrived at the device, shown by a filter or not. */
static uint64_t arrived(const char *device)
{
	struct rte_eth_stats stats;
	char name[256];
	uint16_t port;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(device, ","), device);
	if (rte_eth_dev_get_port_by_name(name, &port) != 0 || rte_eth_stats_get(port, &stats) != 0)
		fail("no counters");
	return stats.ipackets;
}

static double by_pcap(const char *device, double duration, const char *filter)
{
	char error[PCAP_ERRBUF_SIZE], name[1024];
	struct bpf_program program;
	uint64_t seen = 0, before;
	int n;

	snprintf(name, sizeof(name), "dpdk:%s", device);
	pcap_t *p = pcap_create(name, error);
	if (p == NULL)
		fail(error);
	pcap_set_snaplen(p, 262144);
	pcap_set_timeout(p, 10);
	if (pcap_activate(p) < 0)
		fail(pcap_geterr(p));
	if (filter != NULL && (pcap_compile(p, &program, filter, 1, PCAP_NETMASK_UNKNOWN) != 0 ||
	    pcap_setfilter(p, &program) != 0))
		fail(pcap_geterr(p));
	double begin = seconds(), now = begin;
	before = arrived(device);
	do {
		for (int i = 0; i < 1000; i++) {
			n = pcap_dispatch(p, -1, look, (unsigned char *)&seen);
			if (n < 0)
				fail(pcap_geterr(p));
			if (n == 0)
				break;
		}
		now = seconds();
	} while (now - begin < duration);
	double rate = (double)(arrived(device) - before) / (now - begin);
	sum = seen;
	pcap_close(p);
	return rate;
}

int main(int argc, char **argv)
{
	double rate;

	if (argc < 4)
		fail("bare|spread|pcap DEVICE SECONDS [FILTER]");
	if (strcmp(argv[1], "bare") == 0)
		rate = bare(argv[2], atof(argv[3]), RTE_MBUF_DEFAULT_BUF_SIZE);
	else if (strcmp(argv[1], "spread") == 0)
		rate = bare(argv[2], atof(argv[3]), 4096 + RTE_CACHE_LINE_SIZE -
		    sizeof(struct rte_mempool_objhdr) - sizeof(struct rte_mbuf));
	else
		rate = by_pcap(argv[2], atof(argv[3]), argc > 4 ? argv[4] : NULL);
	printf("%.2f\n", rate / 1e6);
	return 0;
}
