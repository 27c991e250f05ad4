/*
 * What callbacks may do to the handle that calls them: change its filter, break, read on, leave by
 * longjmp, send, close it.
 *
 *	callbacks file PATH		a savefile
 *	callbacks live DEVICE		"lo" or "any", with traffic of its own
 *	callbacks dpdk PATH		the file behind a port of DPDK
 *	... ours			what libpcap does not do: it does not survive a close, and gives a
 *					live packet again when its callback reads on or jumps out
 *
 * Prints each packet as its length and last byte, and what calls return. Packets wait before they are read, so
 * many of them are at hand when a callback does something about the next.
 */
#include <pcap.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DATAGRAMS = 40, PORT = 48997 };

static const char *kind, *where, *narrower;
static char errbuf[PCAP_ERRBUF_SIZE];
static pcap_t *p;
static int seen;
static jmp_buf out;

/* Forty datagrams to two ports in turn; the last byte counts them. */
static void
traffic(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char bytes[64] = "";

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < DATAGRAMS; i++) {
		to.sin_port = htons(PORT + i % 2);
		bytes[12 + i % 5] = (char)i;
		sendto(fd, bytes, 13 + i % 5, 0, (struct sockaddr *)&to, sizeof to);
	}
	close(fd);
}

static void
set_filter(const char *text)
{
	struct bpf_program program;

	if (pcap_compile(p, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0 || pcap_setfilter(p, &program) != 0) {
		printf("%s: %s\n", text, pcap_geterr(p));
		exit(1);
	}
	pcap_freecode(&program);
}

static void
start(const char *what)
{
	char name[1024];

	if (p != NULL)
		pcap_close(p);
	seen = 0;
	printf("\n%s: ", what);
	if (strcmp(kind, "file") == 0) {
		p = pcap_open_offline(where, errbuf);
	} else {
		snprintf(name, sizeof name, strcmp(kind, "dpdk") == 0 ? "dpdk:net_pcap0,rx_pcap=%s" : "%s", where);
		p = pcap_create(name, errbuf);
		pcap_set_timeout(p, 50);
		if (pcap_activate(p) < 0) {
			printf("%s\n", pcap_geterr(p));
			exit(1);
		}
	}
	if (strcmp(kind, "live") != 0)
		return;
	/* Only lo's packets come twice on "any", of lo itself once. */
	set_filter(strcmp(where, "any") == 0 ? "inbound and (udp dst port 48997 or udp dst port 48998)" :
	    "udp dst port 48997 or udp dst port 48998");
	traffic();
	usleep(200 * 1000);
}

static void
show(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	(void)user;
	seen++;
	printf("%u.%02x ", h->len, bytes[h->caplen - 1]);
}

static void
narrow(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	show(user, h, bytes);
	if (seen == 3)
		set_filter(narrower);
}

static void
break_at_four(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	show(user, h, bytes);
	if (seen == 4)
		pcap_breakloop(p);
}

static void
read_on(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct pcap_pkthdr *next, before = *h;
	const u_char *data;

	show(user, h, bytes);
	if (seen > 8)
		return;
	printf("( ");
	printf("%d ", pcap_next_ex(p, &next, &data));
	show(user, next, data);
	printf("%d ", pcap_loop(p, 2, show, user));
	printf("same %d ) ", memcmp(&before, h, sizeof before) == 0);
}

static void
jump(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	show(user, h, bytes);
	if (seen % 3 == 0)
		longjmp(out, 1);
}

static void
send_one(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	static const char frame[60] = "\0\0\0\0\0\0\0\0\0\0\0\0\x88\xb5";
	struct pcap_stat stats;
	int sent = pcap_inject(p, frame, sizeof frame);

	show(user, h, bytes);
	/* Cooked sockets cannot send; a port may. */
	if (strcmp(kind, "live") == 0)
		printf("%s ", sent == (int)sizeof frame ? "sent" : "not sent");
	pcap_stats(p, &stats);
	pcap_setnonblock(p, 0, errbuf);
}

static void
close_at_two(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	show(user, h, bytes);
	if (seen == 2) {
		pcap_close(p);
		p = NULL;
	}
}

static void
close_in_another(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	show(user, h, bytes);
	printf("( %d ) ", pcap_loop(p, 5, close_at_two, user));
}

static void
closing(void)
{
	start("close");
	printf("%d", pcap_loop(p, -1, close_at_two, NULL));
	start("close in a dispatch");
	printf("%d", pcap_dispatch(p, 2, close_at_two, NULL));
	start("close in a loop in a loop");
	printf("%d\n", pcap_loop(p, -1, close_in_another, NULL));
}

/* Reading on in a callback, and jumping out of it. */
static void
again(void)
{
	volatile int jumps = 0;

	start("reading on");
	printf("%d", pcap_loop(p, 6, read_on, NULL));
	start("longjmp");
	while (setjmp(out) != 0 && jumps++ < 5)
		;
	if (jumps < 5)
		pcap_loop(p, 20, jump, NULL);
	printf("%d", pcap_loop(p, 4, show, NULL));
}

int
main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	kind = argv[1];
	where = argv[2];
	narrower = "tcp dst port 22";
	if (strcmp(kind, "live") == 0)
		narrower = strcmp(where, "any") == 0 ? "inbound and udp dst port 48998" : "udp dst port 48998";
	if (argc > 3) {
		again();
		closing();
		return 0;
	}
	start("filter");
	printf("%d", pcap_loop(p, 14, narrow, NULL));
	start("break");
	printf("%d then ", pcap_loop(p, -1, break_at_four, NULL));
	printf("%d", pcap_loop(p, 5, show, NULL));
	start("break, then a filter");
	printf("%d then ", pcap_loop(p, -1, break_at_four, NULL));
	set_filter(narrower);
	printf("%d", pcap_loop(p, 5, show, NULL));
	if (strcmp(kind, "live") != 0)
		again();
	start("sending");
	printf("%d", pcap_loop(p, 3, send_one, NULL));
	start("a limit, then a filter");
	printf("%d ", pcap_loop(p, 5, show, NULL));
	set_filter(narrower);
	printf("%d\n", pcap_loop(p, 5, show, NULL));
	pcap_close(p);
	return 0;
}
