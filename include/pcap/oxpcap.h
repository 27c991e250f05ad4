/*
 * What oxpcap has beyond libpcap. Programs that run on both look the functions up with dlsym,
 * or declare them weak.
 */
#ifndef lib_pcap_oxpcap_h
#define lib_pcap_oxpcap_h

#include <pcap/pcap.h>

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Filters for programs with their own source of packets.
 *
 * A filter is prepared once, as native code where the machine allows it, and then run on any
 * number of packets; several threads may run one filter at the same time.
 */
typedef struct pcapx_filter pcapx_filter_t;

/*
 * Prepares a program. The program may be freed afterwards.
 * Returns NULL when it is NULL or not valid (bpf_validate).
 */
PCAP_API pcapx_filter_t *pcapx_filter_create(const struct bpf_program *);

/*
 * How much of a packet the filter accepts, 0 if it rejects it: as pcap_offline_filter.
 * caplen is the bytes that are there, len those the packet had on the wire.
 */
PCAP_API uint32_t pcapx_filter_run(const pcapx_filter_t *, const u_char *pkt,
				   uint32_t caplen, uint32_t len);

/*
 * Runs a filter on n complete packets. Bit i % 64 of mask[i / 64] becomes 1 where packet i is
 * accepted; all other bits of the (n + 63) / 64 words become 0. Returns how many were accepted.
 */
PCAP_API unsigned int pcapx_filter_run_burst(const pcapx_filter_t *, const u_char *const *pkts,
					     const uint32_t *lens, unsigned int n, uint64_t *mask);

PCAP_API void pcapx_filter_free(pcapx_filter_t *);

/*
 * Where the filter of a handle runs.
 */
#define PCAPX_FILTER_NONE		0	/* no filter */
#define PCAPX_FILTER_KERNEL_CLASSIC	1	/* in the kernel, a classic program */
#define PCAPX_FILTER_KERNEL_EBPF	2	/* in the kernel, as eBPF */
#define PCAPX_FILTER_USERLAND		3	/* in this process; the kernel accepts everything */
#define PCAPX_FILTER_DPDK		4	/* in a DPDK source, by rte_bpf */

/* PCAPX_FILTER_*, or PCAP_ERROR_NOT_ACTIVATED. */
PCAP_API int pcapx_filter_mode(pcap_t *);

/* A sentence for people that also says why. Valid until the thread asks for another text. */
PCAP_API const char *pcapx_filter_mode_text(pcap_t *);

/*
 * Replaces the filter of a live handle by a socket filter that the program has loaded with bpf(2)
 * (BPF_PROG_TYPE_SOCKET_FILTER). The descriptor stays the program's, which may close it.
 * Returns 0, or a PCAP_ERROR status; the handle has no filter then.
 */
PCAP_API int pcapx_set_ebpf_filter(pcap_t *, int prog_fd);

/*
 * An eBPF instruction: struct bpf_insn of linux/bpf.h, struct ebpf_insn of DPDK, without their
 * bit fields.
 */
struct pcapx_ebpf_insn {
	uint8_t code;
	uint8_t regs;		/* destination in the low four bits, source in the high four */
	int16_t off;
	int32_t imm;
};

#define PCAPX_EBPF_KERNEL	0	/* for BPF_PROG_TYPE_SOCKET_FILTER */
#define PCAPX_EBPF_DPDK		1	/* for rte_bpf_load, with RTE_BPF_ARG_PTR_MBUF */

/*
 * A program as eBPF. Sets *insns to an array for pcapx_ebpf_free and returns its length; on
 * failure returns PCAP_ERROR, with the reason in errbuf (PCAP_ERRBUF_SIZE bytes, or NULL).
 */
PCAP_API int pcapx_ebpf_from_bpf(const struct bpf_program *, int target,
				 struct pcapx_ebpf_insn **insns, char *errbuf);
PCAP_API void pcapx_ebpf_free(struct pcapx_ebpf_insn *insns);

#ifdef __cplusplus
}
#endif

#endif
