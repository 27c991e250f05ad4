/*
 * Loops on DPDK ports that are broken, wait and time out, through the C API. Prints "ok", or with an
 * argument ("capture") only reads a port and closes it, a few times (under valgrind).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <pcap/pcap.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%d: %s\n", __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

static pcap_t *broken;

static pcap_t *opened(const char *name, int timeout)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_create(name, error);
	int status;

	CHECK(p != NULL);
	CHECK(pcap_set_timeout(p, timeout) == 0 && pcap_set_snaplen(p, 262144) == 0);
	status = pcap_activate(p);
	if (status < 0)
		fprintf(stderr, "%s: %s\n", name, pcap_geterr(p));
	CHECK(status >= 0);
	return p;
}

static void filter(pcap_t *p, const char *text)
{
	struct bpf_program program;

	CHECK(pcap_compile(p, &program, text, 1, PCAP_NETMASK_UNKNOWN) == 0);
	CHECK(pcap_setfilter(p, &program) == 0);
	pcap_freecode(&program);
}

static void count(unsigned char *user, const struct pcap_pkthdr *header, const unsigned char *bytes)
{
	(void)header;
	(void)bytes;
	++*(unsigned long *)user;
}

static void break_at_once(unsigned char *user, const struct pcap_pkthdr *header,
    const unsigned char *bytes)
{
	count(user, header, bytes);
	pcap_breakloop(broken);
}

static void *break_soon(void *p)
{
	usleep(30000);
	pcap_breakloop(p);
	return NULL;
}

static void on_alarm(int signal)
{
	(void)signal;
	pcap_breakloop(broken);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The alarm ends a loop that never would. */
static void by_signal(pcap_t *p)
{
	const struct itimerval soon = { .it_value = { .tv_usec = 30000 } };
	struct sigaction action = { .sa_handler = on_alarm };
	unsigned long packets = 0;

	sigaction(SIGALRM, &action, NULL);
	broken = p;
	setitimer(ITIMER_REAL, &soon, NULL);
	CHECK(pcap_loop(p, -1, count, (unsigned char *)&packets) == PCAP_ERROR_BREAK);
}

static void by_thread(pcap_t *p)
{
	unsigned long packets = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, break_soon, p);
	CHECK(pcap_loop(p, -1, count, (unsigned char *)&packets) == PCAP_ERROR_BREAK);
	pthread_join(thread, NULL);
}

/* Packets without end: all delivered, all rejected; and none at all, with and without a timeout. */
static void breaks(void)
{
	pcap_t *p = opened("dpdk:net_null0,size=64", 100);
	unsigned long packets = 0;

	by_thread(p);
	by_signal(p);
	broken = p;
	CHECK(pcap_loop(p, -1, break_at_once, (unsigned char *)&packets) == PCAP_ERROR_BREAK);
	CHECK(packets == 1);
	packets = 0;
	CHECK(pcap_loop(p, 1000, count, (unsigned char *)&packets) == 0 && packets == 1000);
	filter(p, "greater 1000");
	by_thread(p);
	by_signal(p);
	/* Rejected packets do not keep a timeout from expiring. */
	CHECK(pcap_dispatch(p, -1, count, (unsigned char *)&packets) == 0);
	pcap_close(p);
	for (int timeout = 0; timeout <= 100; timeout += 100) {
		p = opened("dpdk:net_ring0", timeout);
		by_thread(p);
		by_signal(p);
		pcap_close(p);
	}
}

static void waits(void)
{
	pcap_t *p = opened("dpdk:net_ring1", 50);
	char error[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const unsigned char *bytes;
	unsigned char frame[60] = { 1 };
	unsigned long packets = 0;
	double before = now();

	CHECK(pcap_dispatch(p, -1, count, (unsigned char *)&packets) == 0);
	CHECK(pcap_next_ex(p, &header, &bytes) == 0);
	CHECK(now() - before >= 0.1);
	CHECK(pcap_get_selectable_fd(p) == -1 && pcap_get_required_select_timeout(p) != NULL);
	CHECK(pcap_getnonblock(p, error) == 0 && pcap_setnonblock(p, 1, error) == 0);
	for (int i = 0; i < 100; i++)
		CHECK(pcap_dispatch(p, -1, count, (unsigned char *)&packets) == 0);
	CHECK(pcap_sendpacket(p, frame, sizeof(frame)) == 0);
	CHECK(pcap_next_ex(p, &header, &bytes) == 1 && header->len == 60 && bytes[0] == 1);
	CHECK(pcap_next_ex(p, &header, &bytes) == 0);
	CHECK(pcap_setnonblock(p, 0, error) == 0);
	/* No timeout: a packet ends the wait. */
	CHECK(pcap_sendpacket(p, frame, sizeof(frame)) == 0);
	CHECK(pcap_dispatch(p, -1, count, (unsigned char *)&packets) == 1 && packets == 1);
	pcap_close(p);
}

/* A queue that nobody reads takes what it can hold, and says when it is full. */
static void full(void)
{
	pcap_t *p = opened("dpdk:net_ring2", 50);
	unsigned char frame[60] = { 2 };
	unsigned long sent = 0, packets = 0;

	while (pcap_inject(p, frame, sizeof(frame)) == sizeof(frame))
		CHECK(++sent < 100000);
	CHECK(sent > 100 && strstr(pcap_geterr(p), "queue full") != NULL);
	while (pcap_dispatch(p, -1, count, (unsigned char *)&packets) > 0)
		;
	CHECK(packets == sent);
	CHECK(pcap_inject(p, frame, sizeof(frame)) == sizeof(frame));
	CHECK(pcap_inject(p, frame, 0) < 0);
	pcap_close(p);
}

/* Everything a plain capture does, on a file. */
static void capture(const char *device)
{
	for (int i = 0; i < 3; i++) {
		struct pcap_stat stats;
		unsigned long packets = 0;
		pcap_t *p = opened(device, 20);

		filter(p, i == 0 ? "tcp port 80" : i == 1 ? "udp or arp" : "");
		while (pcap_dispatch(p, -1, count, (unsigned char *)&packets) > 0)
			;
		CHECK(packets > 0 && pcap_stats(p, &stats) == 0 && stats.ps_recv == packets);
		pcap_close(p);
	}
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		capture(argv[1]);
	} else {
		breaks();
		waits();
		full();
	}
	puts("ok");
	return 0;
}
