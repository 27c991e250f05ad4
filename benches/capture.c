/*
 * One side of benches/capture.rs: captures a number of packets with whatever libpcap it is run
 * on, and says what that cost.
 *
 *     capture DEVICE COUNT HOW FILTER
 *
 * HOW: "loop", "next" (pcap_next_ex) or "immediate" (pcap_loop in immediate mode).
 * Says "ready", waits for a line, reads COUNT packets that are in the buffer by then, and prints
 * nanoseconds, nanoseconds of processor time, bytes, packets received, packets dropped.
 */
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static unsigned long long bytes;

static void
count(unsigned char *user, const struct pcap_pkthdr *header, const unsigned char *data)
{
	(void)user;
	bytes += header->len + data[0];
}

static long long
now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void
die(pcap_t *p, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, p ? pcap_geterr(p) : "");
	exit(1);
}

static pcap_t *
start(const char *device, const char *how, const char *filter)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	struct bpf_program program;
	pcap_t *p = pcap_create(device, errbuf);

	if (p == NULL)
		die(NULL, errbuf);
	pcap_set_snaplen(p, 256);
	pcap_set_timeout(p, 10);
	pcap_set_buffer_size(p, 64 << 20);
	pcap_set_immediate_mode(p, strcmp(how, "immediate") == 0);
	if (pcap_activate(p) < 0)
		die(p, "activate");
	if (pcap_compile(p, &program, filter, 1, PCAP_NETMASK_UNKNOWN) < 0)
		die(p, "compile");
	if (pcap_setfilter(p, &program) < 0)
		die(p, "setfilter");
	pcap_freecode(&program);
	return p;
}

int
main(int argc, char **argv)
{
	struct pcap_pkthdr *header;
	const unsigned char *data;
	struct pcap_stat stat;
	long long wall, cpu;
	pcap_t *p;
	int n, left;

	if (argc != 5)
		return 2;
	p = start(argv[1], argv[3], argv[4]);
	n = atoi(argv[2]);
	puts("ready");
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	wall = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	if (strcmp(argv[3], "next") == 0) {
		for (left = n; left > 0;) {
			int r = pcap_next_ex(p, &header, &data);

			if (r < 0)
				die(p, "next");
			if (r > 0) {
				count(NULL, header, data);
				left--;
			}
		}
	} else if (pcap_loop(p, n, count, NULL) < 0)
		die(p, "loop");
	wall = now(CLOCK_MONOTONIC) - wall;
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	if (pcap_stats(p, &stat) < 0)
		die(p, "stats");
	printf("%lld %lld %llu %u %u\n", wall, cpu, bytes, stat.ps_recv, stat.ps_drop);
	pcap_close(p);
	return 0;
}
