/*
 * Counts bytes by IP protocol, in the manner of the kernel's sockex programs, in two ways:
 *
 *   protocol_counters -f DEVICE SECONDS    a filter for each protocol, run on every packet
 *   protocol_counters -e DEVICE SECONDS    an eBPF program that counts inside the kernel and lets
 *                                          no packet through
 *
 * Prints a line "protocol bytes" for each protocol that was seen.
 *
 *   cc protocol_counters.c $(pkg-config --cflags --libs libpcap)
 */
#include <errno.h>
/* The kernel's and pcap's struct bpf_insn differ. */
#define bpf_insn linux_bpf_insn
#include <linux/bpf.h>
#undef bpf_insn
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <pcap/oxpcap.h>
#include <pcap/pcap.h>

#define PROTOCOLS 256
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	const char *name;
	const char *filter;
	int number;
} wanted[] = {
	{ "icmp", "ip proto 1", 1 },
	{ "tcp", "ip proto 6", 6 },
	{ "udp", "ip proto 17", 17 },
	{ "sctp", "ip proto 132", 132 },
};

static uint64_t bytes_of[COUNT(wanted)];

static void die(const char *what, const char *why)
{
	fprintf(stderr, "protocol_counters: %s: %s\n", what, why);
	exit(1);
}

static pcap_t *capture;

static void stop(int signal)
{
	(void)signal;
	pcap_breakloop(capture);
}

/* One prepared filter for each protocol. */

static pcapx_filter_t *filters[COUNT(wanted)];

static void count_packet(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	(void)user;
	for (size_t i = 0; i < COUNT(wanted); i++)
		if (pcapx_filter_run(filters[i], bytes, h->caplen, h->len))
			bytes_of[i] += h->len;
}

static void count_with_filters(pcap_t *p, double seconds)
{
	for (size_t i = 0; i < COUNT(wanted); i++) {
		struct bpf_program program;
		if (pcap_compile(p, &program, wanted[i].filter, 1, PCAP_NETMASK_UNKNOWN) != 0)
			die(wanted[i].filter, pcap_geterr(p));
		filters[i] = pcapx_filter_create(&program);
		pcap_freecode(&program);
		if (filters[i] == NULL)
			die(wanted[i].filter, "not a valid program");
	}
	puts("ready");
	capture = p;
	signal(SIGALRM, stop);
	struct itimerval after = { { 0, 0 }, { (time_t)seconds, (long)(seconds * 1e6) % 1000000 } };
	setitimer(ITIMER_REAL, &after, NULL);
	if (pcap_loop(p, -1, count_packet, NULL) == PCAP_ERROR)
		die("pcap_loop", pcap_geterr(p));
	for (size_t i = 0; i < COUNT(wanted); i++)
		pcapx_filter_free(filters[i]);
}

/* An eBPF program of our own. */

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof *attr);
}

static int make_map(void)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = sizeof(uint64_t);
	attr.max_entries = PROTOCOLS;
	return bpf(BPF_MAP_CREATE, &attr);
}

#define INSN(code, dst, src, off, imm) { (code), (dst) | (src) << 4, (off), (imm) }

/*
 * protocol = IPv4 ? packet[23] : stop;
 * *lookup(map, protocol) += skb->len;
 * accept nothing
 */
static int load_counter(int map)
{
	const struct pcapx_ebpf_insn program[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
		INSN(BPF_LD | BPF_ABS | BPF_H, 0, 0, 0, 12),
		INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 10, 0x0800),
		INSN(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, 23),
		INSN(BPF_STX | BPF_MEM | BPF_W, 10, 0, -4, 0),
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_W, 1, 6, 0, 0), /* skb->len */
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attr.insns = (uintptr_t)program;
	attr.insn_cnt = COUNT(program);
	attr.license = (uintptr_t)"Dual BSD/GPL";
	return bpf(BPF_PROG_LOAD, &attr);
}

static void count_in_kernel(pcap_t *p, double seconds)
{
	int map = make_map();
	int program = map < 0 ? -1 : load_counter(map);
	if (program < 0)
		die("loading the eBPF program", strerror(errno));
	if (pcapx_set_ebpf_filter(p, program) != 0)
		die("pcapx_set_ebpf_filter", pcap_geterr(p));
	close(program);
	puts("ready");
	fflush(stdout);
	struct timespec wait = { (time_t)seconds, (long)(seconds * 1e9) % 1000000000 };
	nanosleep(&wait, NULL);
	for (size_t i = 0; i < COUNT(wanted); i++) {
		uint32_t key = wanted[i].number;
		union bpf_attr attr;
		memset(&attr, 0, sizeof attr);
		attr.map_fd = map;
		attr.key = (uintptr_t)&key;
		attr.value = (uintptr_t)&bytes_of[i];
		if (bpf(BPF_MAP_LOOKUP_ELEM, &attr) != 0)
			die("reading the map", strerror(errno));
	}
	close(map);
}

int main(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	if (argc != 4 || (strcmp(argv[1], "-f") != 0 && strcmp(argv[1], "-e") != 0)) {
		fprintf(stderr, "usage: protocol_counters -f|-e DEVICE SECONDS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	pcap_t *p = pcap_open_live(argv[2], 96, 0, 10, errbuf);
	if (p == NULL)
		die(argv[2], errbuf);
	if (pcap_datalink(p) != DLT_EN10MB)
		die(argv[2], "not Ethernet");
	if (argv[1][1] == 'f')
		count_with_filters(p, atof(argv[3]));
	else
		count_in_kernel(p, atof(argv[3]));
	fprintf(stderr, "filter: %s\n", pcapx_filter_mode_text(p));
	pcap_close(p);
	for (size_t i = 0; i < COUNT(wanted); i++)
		if (bytes_of[i] != 0)
			printf("%s %llu\n", wanted[i].name, (unsigned long long)bytes_of[i]);
	return 0;
}
