/*
 * A live counter on the loopback interface: makes its own traffic, counts it through a kernel filter,
 * with nonblocking mode, statistics, injection, breakloop, settings after activation, unwanted packets.
 */
#include <pcap.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DATAGRAMS = 20, PORT = 48999 };

static void
traffic(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < DATAGRAMS; i++)
		sendto(fd, "twelve bytes", 12, 0, (struct sockaddr *)&to, sizeof to);
	close(fd);
}

static void
count(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	int *counts = (int *)user;

	counts[0]++;
	/* Ethernet, IP, UDP, 12 bytes; of the loopback interface only what comes in is shown. */
	if (h->len == 14 + 20 + 8 + 12 && bytes[23] == IPPROTO_UDP)
		counts[1]++;
}

static void *
breaker(void *p)
{
	usleep(300000);
	pcap_breakloop(p);
	return NULL;
}

static void
settings(pcap_t *p, char *errbuf)
{
	printf("%d %d %d\n", pcap_set_snaplen(p, 9), pcap_set_promisc(p, 1), pcap_activate(p));
	printf("[%s]\n", pcap_geterr(p));
	printf("snaplen %d dlt %d ext %d swapped %d file %d nonblock %d\n", pcap_snapshot(p),
	       pcap_datalink(p), pcap_datalink_ext(p), pcap_is_swapped(p), pcap_file(p) != NULL,
	       pcap_getnonblock(p, errbuf));
	printf("fd %d %d timeout %d\n", pcap_fileno(p) >= 0, pcap_get_selectable_fd(p) >= 0,
	       pcap_get_required_select_timeout(p) != NULL);
	printf("rfmon %d dlt %d ", pcap_can_set_rfmon(p), pcap_set_datalink(p, DLT_IEEE802_11));
	printf("[%s]\n", pcap_geterr(p));
}

static void
failures(char *errbuf)
{
	static const char *const devices[] = {"no-such-device0", "", "lo/..", NULL};

	for (int i = 0; devices[i] != NULL; i++) {
		pcap_t *p = pcap_create(devices[i], errbuf);

		printf("%s: %s\n", devices[i], p ? "" : errbuf);
		if (p == NULL)
			continue;
		printf("%d ", pcap_activate(p));
		printf("[%s]\n", pcap_geterr(p));
		pcap_close(p);
		errbuf[0] = '\0';
		p = pcap_open_live(devices[i], 100, 0, 10, errbuf);
		printf("%d [%s]\n", p != NULL, errbuf);
	}
}

static volatile int done;

/* Traffic during a wait, and its end if that does not end it. */
static void *
unwanted_traffic(void *p)
{
	usleep(200000);
	traffic();
	for (int i = 0; i < 50 && !done; i++)
		usleep(100000);
	pcap_breakloop(p);
	return NULL;
}

/* Packets of the wrong direction end a wait that has a timeout: of the loopback interface none go out. */
static void
unwanted(int immediate)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_create("lo", errbuf);
	struct pcap_pkthdr *header;
	const u_char *bytes;
	pthread_t thread;

	pcap_set_timeout(p, 100);
	pcap_set_immediate_mode(p, immediate);
	pcap_activate(p);
	pcap_setdirection(p, PCAP_D_OUT);
	done = 0;
	pthread_create(&thread, NULL, unwanted_traffic, p);
	printf("unwanted: %d\n", pcap_next_ex(p, &header, &bytes));
	done = 1;
	pthread_join(thread, NULL);
	pcap_close(p);
}

int
main(void)
{
	char errbuf[PCAP_ERRBUF_SIZE] = "";
	struct bpf_program program;
	struct pcap_stat stats;
	int counts[2] = {0, 0};
	pthread_t thread;
	pcap_t *p = pcap_create("lo", errbuf);

	pcap_set_timeout(p, 100);
	pcap_set_snaplen(p, 200);
	pcap_set_buffer_size(p, 1 << 20);
	printf("activate %d\n", pcap_activate(p));
	settings(p, errbuf);
	if (pcap_compile(p, &program, "udp dst port 48999", 1, PCAP_NETMASK_UNKNOWN) != 0)
		printf("%s\n", pcap_geterr(p));
	printf("setfilter %d\n", pcap_setfilter(p, &program));
	pcap_freecode(&program);
	traffic();
	for (int i = 0; i < 50 && counts[1] < DATAGRAMS; i++)
		if (pcap_dispatch(p, -1, count, (u_char *)counts) < 0)
			break;
	printf("%d packets, %d of ours\n", counts[0], counts[1]);
	printf("stats %d ", pcap_stats(p, &stats));
	printf("recv %d drop %u ifdrop %u\n", stats.ps_recv >= DATAGRAMS, stats.ps_drop, stats.ps_ifdrop);
	printf("nonblock %d ", pcap_setnonblock(p, 1, errbuf));
	printf("%d ", pcap_getnonblock(p, errbuf));
	printf("dispatch %d ", pcap_dispatch(p, -1, count, (u_char *)counts));
	printf("back %d\n", pcap_setnonblock(p, 0, errbuf));
	pthread_create(&thread, NULL, breaker, p);
	printf("loop %d\n", pcap_loop(p, -1, count, (u_char *)counts));
	pthread_join(thread, NULL);
	printf("inject %d send %d\n", pcap_inject(p, "\0\0\0\0\0\0\0\0\0\0\0\0\x88\xb5hello", 19),
	       pcap_sendpacket(p, (const u_char *)"\0\0\0\0\0\0\0\0\0\0\0\0\x88\xb5hello", 19));
	pcap_close(p);
	failures(errbuf);
	unwanted(0);
	unwanted(1);
	return 0;
}
