/*
 * A small DPDK receiver with a tcpdump expression on its command line.
 *
 *	cc -O2 -o dpdk_filter dpdk_filter.c \
 *	    $(pkg-config --cflags libdpdk libpcap) $(pkg-config --libs libdpdk libpcap)
 *
 *	./dpdk_filter --no-huge -m 256 --no-pci --vdev=net_pcap0,rx_pcap=file.pcap -- \
 *	    -w burst -n 1000 'tcp port 80'
 *
 * It receives from port 0 until -n packets have arrived (or none for a second), and says how many
 * the filter accepted. -w says how the filter runs:
 *
 *	burst	pcapx_filter_run_burst: native code of libpcap's, over the packets of a burst
 *	ebpf	pcapx_ebpf_from_bpf and rte_bpf_load: DPDK's own eBPF machine, over mbufs
 *	convert	pcap_compile and rte_bpf_convert: as DPDK's documentation has it. WRONG for many
 *		filters, see there
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>
#include <pcap/oxpcap.h>

/* rte_bpf_convert is experimental. */
#define ALLOW_EXPERIMENTAL_API
#include <rte_bpf.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#define BURST 64
#define BUFFERS 8191

/* One of the three ways; the others' fields are null. */
struct filter {
	pcapx_filter_t *prepared;
	struct rte_bpf *bpf;
};

static void fail(const char *what, const char *why)
{
	rte_exit(EXIT_FAILURE, "dpdk_filter: %s: %s\n", what, why);
}

static void start_port(uint16_t port)
{
	struct rte_eth_conf conf;
	struct rte_mempool *pool;

	memset(&conf, 0, sizeof(conf));
	pool = rte_pktmbuf_pool_create("buffers", BUFFERS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
	    SOCKET_ID_ANY);
	if (pool == NULL)
		fail("buffers", rte_strerror(rte_errno));
	if (rte_eth_dev_configure(port, 1, 1, &conf) != 0 ||
	    rte_eth_rx_queue_setup(port, 0, 1024, SOCKET_ID_ANY, NULL, pool) != 0 ||
	    rte_eth_tx_queue_setup(port, 0, 512, SOCKET_ID_ANY, NULL) != 0 ||
	    rte_eth_dev_start(port) != 0)
		fail("port 0", "cannot be started");
}

static void compile(const char *expression, struct bpf_program *program)
{
	/* No device is needed to compile: the frames are Ethernet. */
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, 262144);

	if (pcap_compile(dead, program, expression, 1, PCAP_NETMASK_UNKNOWN) != 0)
		fail(expression, pcap_geterr(dead));
	pcap_close(dead);
}

static struct rte_bpf *load(const struct rte_bpf_prm *prm)
{
	struct rte_bpf *bpf = rte_bpf_load(prm);

	if (bpf == NULL)
		fail("rte_bpf_load", rte_strerror(rte_errno));
	return bpf;
}

/* libpcap's conversion: right for every filter, one exit, no instruction that DPDK gets wrong. */
static struct rte_bpf *load_ebpf(const struct bpf_program *program)
{
	struct pcapx_ebpf_insn *insns;
	char error[PCAP_ERRBUF_SIZE];
	int count = pcapx_ebpf_from_bpf(program, PCAPX_EBPF_DPDK, &insns, error);

	if (count < 0)
		fail("pcapx_ebpf_from_bpf", error);
	struct rte_bpf_prm prm = {
		.ins = (const struct ebpf_insn *)insns,
		.nb_ins = (uint32_t)count,
		.prog_arg = {
			.type = RTE_BPF_ARG_PTR_MBUF,
			.size = sizeof(struct rte_mbuf),
			.buf_size = RTE_MBUF_DEFAULT_BUF_SIZE,
		},
	};
	struct rte_bpf *bpf = load(&prm);

	pcapx_ebpf_free(insns);
	return bpf;
}

/*
 * The way of DPDK's documentation. Do not use it: up to DPDK 22.11 at least, the conversion reads
 * the accumulator for the index register in byte and half-word loads relative to it, so that
 * filters which look behind a header of variable length ("tcp[13] = 2",
 * "tcp[tcpflags] & tcp-syn != 0", "icmp[icmptype] = icmp-echo") accept nothing; and DPDK's x86
 * JIT encodes some of the instructions it makes (tests of bits against small constants) wrongly,
 * which gives wrong verdicts or crashes.
 */
static struct rte_bpf *load_converted(const struct bpf_program *program)
{
	struct rte_bpf_prm *prm = rte_bpf_convert(program);

	if (prm == NULL)
		fail("rte_bpf_convert", rte_strerror(rte_errno));
	struct rte_bpf *bpf = load(prm);

	rte_free(prm);
	return bpf;
}

static struct filter make_filter(const char *way, const char *expression)
{
	struct filter filter = { NULL, NULL };
	struct bpf_program program;

	compile(expression, &program);
	if (strcmp(way, "burst") == 0)
		filter.prepared = pcapx_filter_create(&program);
	else if (strcmp(way, "ebpf") == 0)
		filter.bpf = load_ebpf(&program);
	else if (strcmp(way, "convert") == 0)
		filter.bpf = load_converted(&program);
	else
		fail(way, "not one of burst, ebpf, convert");
	pcap_freecode(&program);
	return filter;
}

/* How many of a burst the prepared filter accepts. Segmented packets are made contiguous. */
static unsigned int run_prepared(const pcapx_filter_t *filter, struct rte_mbuf **burst, uint16_t n)
{
	const u_char *bytes[BURST];
	uint32_t lens[BURST];
	uint64_t accepted[BURST / 64];

	for (uint16_t i = 0; i < n; i++) {
		if (burst[i]->nb_segs > 1)
			rte_pktmbuf_linearize(burst[i]);
		bytes[i] = rte_pktmbuf_mtod(burst[i], const u_char *);
		lens[i] = rte_pktmbuf_data_len(burst[i]);
	}
	/* Bit i of `accepted` says whether burst[i] is wanted: work with it here. */
	return pcapx_filter_run_burst(filter, bytes, lens, n, accepted);
}

static unsigned int run_bpf(const struct rte_bpf *bpf, struct rte_mbuf **burst, uint16_t n)
{
	uint64_t verdicts[BURST];
	unsigned int accepted = 0;

	rte_bpf_exec_burst(bpf, (void **)burst, verdicts, n);
	for (uint16_t i = 0; i < n; i++)
		accepted += verdicts[i] != 0;
	return accepted;
}

static void receive(uint16_t port, const struct filter *filter, uint64_t wanted)
{
	uint64_t received = 0, accepted = 0;
	uint64_t last = rte_get_timer_cycles();
	struct rte_mbuf *burst[BURST];

	while (received < wanted && rte_get_timer_cycles() - last < rte_get_timer_hz()) {
		uint16_t n = rte_eth_rx_burst(port, 0, burst, BURST);

		if (n == 0)
			continue;
		accepted += filter->prepared != NULL ? run_prepared(filter->prepared, burst, n) :
		    run_bpf(filter->bpf, burst, n);
		received += n;
		rte_pktmbuf_free_bulk(burst, n);
		last = rte_get_timer_cycles();
	}
	printf("%" PRIu64 " packets, %" PRIu64 " accepted\n", received, accepted);
}

int main(int argc, char **argv)
{
	const char *way = "burst";
	uint64_t wanted = UINT64_MAX;
	int option, used = rte_eal_init(argc, argv);

	if (used < 0)
		return EXIT_FAILURE;
	argc -= used;
	argv += used;
	optind = 1;
	while ((option = getopt(argc, argv, "w:n:")) != -1) {
		if (option == 'w')
			way = optarg;
		else if (option == 'n')
			wanted = strtoull(optarg, NULL, 0);
		else
			return EXIT_FAILURE;
	}
	if (optind + 1 != argc)
		fail("usage", "dpdk_filter EAL-ARGUMENTS -- [-w WAY] [-n PACKETS] EXPRESSION");

	struct filter filter = make_filter(way, argv[optind]);

	start_port(0);
	receive(0, &filter, wanted);
	pcapx_filter_free(filter.prepared);
	rte_bpf_destroy(filter.bpf);
	rte_eth_dev_stop(0);
	rte_eal_cleanup();
	return EXIT_SUCCESS;
}
