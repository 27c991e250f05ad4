/*
 * What callbacks may do, on a savefile: break, compile and set filters, read on, open and read another
 * file, leave by longjmp, be cancelled.
 */
#include <pcap.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

static const char *path;
static char errbuf[PCAP_ERRBUF_SIZE];
static pcap_t *p;
static int seen;
static jmp_buf out;

static void
break_at(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	(void)h, (void)bytes;
	if (++seen == *(int *)user)
		pcap_breakloop(p);
}

static void
narrow(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct bpf_program program;

	(void)user, (void)h, (void)bytes;
	if (++seen == 3 && pcap_compile(p, &program, "tcp dst port 22", 1, 0) == 0) {
		printf("set %d\n", pcap_setfilter(p, &program));
		pcap_freecode(&program);
	}
}

static void
read_on(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct pcap_pkthdr *next;
	const u_char *data;

	(void)user, (void)h, (void)bytes;
	seen++;
	printf("%d ", pcap_next_ex(p, &next, &data));
}

static void
count(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	(void)h, (void)bytes;
	++*(int *)user;
}

static void
another(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	pcap_t *other = pcap_open_offline(path, errbuf);
	int packets = 0;

	(void)user, (void)h, (void)bytes;
	printf("%d ", pcap_loop(other, -1, count, (u_char *)&packets));
	printf("%d\n", packets);
	pcap_close(other);
	pcap_breakloop(p);
}

static void
jump(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	(void)user, (void)h, (void)bytes;
	if (++seen % 2 == 0)
		longjmp(out, 1);
}

static void
cancel(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	(void)user, (void)h, (void)bytes;
	if (++seen == 4) {
		pthread_cancel(pthread_self());
		pthread_testcancel();
	}
}

static void *
cancelled(void *unused)
{
	(void)unused;
	pcap_loop(p, -1, cancel, NULL);
	return NULL;
}

static void
start(const char *what)
{
	if (p != NULL)
		pcap_close(p);
	p = pcap_open_offline(path, errbuf);
	seen = 0;
	printf("\n%s: ", what);
}

int
main(int argc, char **argv)
{
	int at, packets = 0;
	pthread_t thread;
	void *result;

	path = argc > 1 ? argv[1] : "data/ssh.pcap";
	for (at = 1; at <= 60; at += 5) {
		start("break in loop");
		printf("%d %d", pcap_loop(p, -1, break_at, (u_char *)&at), seen);
		printf(" then %d", pcap_loop(p, 7, count, (u_char *)&packets));
		start("break in a loop with a limit");
		printf("%d", pcap_loop(p, 6, break_at, (u_char *)&at));
		printf(" then %d", pcap_dispatch(p, -1, count, (u_char *)&packets));
		start("break in dispatch");
		printf("%d %d", pcap_dispatch(p, 10, break_at, (u_char *)&at), seen);
		printf(" then %d", pcap_dispatch(p, 10, count, (u_char *)&packets));
		printf(" then %d", pcap_dispatch(p, 0, count, (u_char *)&packets));
	}
	start("filter from a callback");
	printf("%d %d", pcap_loop(p, -1, narrow, NULL), seen);
	start("reading in a callback");
	printf("%d %d", pcap_loop(p, -1, read_on, NULL), seen);
	start("another file in a callback");
	printf("%d", pcap_loop(p, -1, another, NULL));
	start("longjmp");
	while (setjmp(out) != 0 || seen == 0)
		if (pcap_loop(p, -1, jump, NULL) == 0)
			break;
	printf("%d", seen);
	start("cancelled");
	pthread_create(&thread, NULL, cancelled, NULL);
	pthread_join(thread, &result);
	printf("%d %d %d", result == PTHREAD_CANCELED, seen, pcap_dispatch(p, 5, count, (u_char *)&packets));
	pcap_close(p);
	printf("\n%d\n", packets);
	return 0;
}
