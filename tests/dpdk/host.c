/*
 * A program that runs DPDK itself: ports 0 and 2 started, port 1 left alone. Opens them through libpcap,
 * the second one again and again, and checks what it gets. Prints "ok".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%d: %s\n", __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

static void start_port(uint16_t port, uint16_t queues)
{
	struct rte_eth_conf conf;
	static struct rte_mempool *pool;

	if (pool == NULL)
		pool = rte_pktmbuf_pool_create("own", 4095, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
		    SOCKET_ID_ANY);
	memset(&conf, 0, sizeof(conf));
	CHECK(pool != NULL);
	CHECK(rte_eth_dev_configure(port, queues, 1, &conf) == 0);
	for (uint16_t q = 0; q < queues; q++)
		CHECK(rte_eth_rx_queue_setup(port, q, 256, SOCKET_ID_ANY, NULL, pool) == 0);
	CHECK(rte_eth_tx_queue_setup(port, 0, 256, SOCKET_ID_ANY, NULL) == 0);
	CHECK(rte_eth_dev_start(port) == 0);
}

static pcap_t *activated(const char *name, int *status)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_create(name, error);

	CHECK(p != NULL);
	CHECK(pcap_set_timeout(p, 100) == 0 && pcap_set_snaplen(p, 262144) == 0);
	*status = pcap_activate(p);
	return p;
}

static void read_one(pcap_t *p, unsigned int len)
{
	struct pcap_pkthdr *header;
	const unsigned char *bytes;

	CHECK(pcap_next_ex(p, &header, &bytes) == 1);
	CHECK(header->len == len && header->caplen == len);
}

static void count(unsigned char *user, const struct pcap_pkthdr *header, const unsigned char *bytes)
{
	(void)header;
	(void)bytes;
	if (user != NULL)
		++*(unsigned int *)user;
}

/* A running port of two queues, a file each: 225 packets in the first, 2 in the second. */
static void one_queue(uint16_t port)
{
	char name[16];
	unsigned int packets = 0;
	int status;

	snprintf(name, sizeof(name), "dpdk:%u@1", port);
	pcap_t *p = activated(name, &status);
	CHECK(status == PCAP_WARNING && strstr(pcap_geterr(p), "taken from queue 1") != NULL);
	while (pcap_dispatch(p, -1, count, (unsigned char *)&packets) > 0)
		;
	CHECK(packets == 2);
	pcap_close(p);
	/* The other one's were left to the program. */
	struct rte_mbuf *burst[32];
	uint16_t n;
	for (packets = 0; (n = rte_eth_rx_burst(port, 0, burst, 32)) > 0; packets += n)
		rte_pktmbuf_free_bulk(burst, n);
	CHECK(packets == 225);
}

int main(int argc, char **argv)
{
	unsigned char frame[60] = { 0 };
	int status;

	CHECK(rte_eal_init(argc, argv) > 0);
	start_port(0, 1);
	start_port(2, 2);
	one_queue(2);

	/* Running: joined, left as it is, not for sending. */
	pcap_t *p = activated("dpdk:0", &status);
	CHECK(status == PCAP_WARNING && strstr(pcap_geterr(p), "run by this program") != NULL);
	read_one(p, 64);
	CHECK(pcap_sendpacket(p, frame, sizeof(frame)) != 0);
	pcap_close(p);
	struct rte_mbuf *m;
	CHECK(rte_eth_rx_burst(0, 0, &m, 1) == 1);
	rte_pktmbuf_free(m);

	/* Not running: ours while it is open, there again afterwards. */
	for (int i = 0; i < 20; i++) {
		p = activated("dpdk:net_null1", &status);
		CHECK(status >= 0);
		read_one(p, 70);
		CHECK(pcap_sendpacket(p, frame, sizeof(frame)) == 0);
		pcap_close(p);
	}

	/* Plugged in beside the program's own. */
	p = activated("dpdk:net_null7,size=80", &status);
	CHECK(status >= 0);
	read_one(p, 80);
	pcap_close(p);
	uint16_t port;
	CHECK(rte_eth_dev_get_port_by_name("net_null7", &port) != 0);

	/* Taken away while it is open. */
	p = activated("dpdk:net_null1", &status);
	read_one(p, 70);
	CHECK(rte_eal_hotplug_remove("vdev", "net_null1") == 0);
	while ((status = pcap_dispatch(p, -1, count, NULL)) > 0)
		;
	CHECK(status == PCAP_ERROR && strstr(pcap_geterr(p), "is gone") != NULL);
	CHECK(pcap_sendpacket(p, frame, sizeof(frame)) != 0);
	/* Another device gets its number: it is not taken for the one that is gone, nor stopped. */
	CHECK(rte_eal_hotplug_add("vdev", "net_null1", "size=70") == 0);
	CHECK(rte_eth_dev_get_port_by_name("net_null1", &port) == 0 && port == 1);
	start_port(1, 1);
	CHECK(pcap_dispatch(p, -1, count, NULL) == PCAP_ERROR);
	struct pcap_stat stats;
	CHECK(pcap_stats(p, &stats) == PCAP_ERROR);
	pcap_close(p);
	CHECK(rte_eth_rx_burst(1, 0, &m, 1) == 1);
	rte_pktmbuf_free(m);
	CHECK(rte_eth_dev_stop(1) == 0);

	/* Listed when asked for by scheme only. */
	char error[PCAP_ERRBUF_SIZE];
	pcap_if_t *devices;
	CHECK(pcap_findalldevs_ex("dpdk://", NULL, &devices, error) == 0);
	CHECK(strcmp(devices->name, "dpdk:0") == 0 && strcmp(devices->next->name, "dpdk:1") == 0);
	CHECK(strstr(devices->description, "net_null0") != NULL);
	CHECK(strcmp(devices->next->next->name, "dpdk:2") == 0 && devices->next->next->next == NULL);
	pcap_freealldevs(devices);

	/* A queue that the program does not have or does not run, and a tap, which needs its own process. */
	p = activated("dpdk:0@3", &status);
	CHECK(status < 0);
	pcap_close(p);
	p = activated("dpdk:1@0", &status);
	CHECK(status < 0 && strstr(pcap_geterr(p), "that the program does not run") != NULL);
	pcap_close(p);
	p = activated("dpdk-pdump:nosuch/0", &status);
	CHECK(status < 0);
	pcap_close(p);
	puts("ok");
	return 0;
}
