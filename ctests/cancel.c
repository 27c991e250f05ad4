/* Threads cancelled in pcap_loop and pcap_next_ex: while they wait for packets, and in the callback. */
#include <pcap.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static volatile int cleaned;

static void
clean(void *arg)
{
	(void)arg;
	cleaned++;
}

static void
stop_here(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	(void)user, (void)header, (void)data;
	pthread_cancel(pthread_self());
	pthread_testcancel();
}

static void *
wait_in_loop(void *p)
{
	pthread_cleanup_push(clean, NULL);
	pcap_loop(p, -1, stop_here, NULL);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *
wait_in_next(void *p)
{
	struct pcap_pkthdr *header;
	const u_char *data;

	pthread_cleanup_push(clean, NULL);
	while (pcap_next_ex(p, &header, &data) >= 0)
		;
	pthread_cleanup_pop(0);
	return NULL;
}

/* Starts a reader, cancels it if it does not do that itself, and says how it ended. */
static void
run(const char *what, pcap_t *p, void *(*reader)(void *), int from_here)
{
	pthread_t thread;
	void *result = NULL;

	cleaned = 0;
	if (p == NULL || pthread_create(&thread, NULL, reader, p) != 0) {
		printf("%s: cannot start\n", what);
		return;
	}
	if (from_here) {
		usleep(200 * 1000);
		pthread_cancel(thread);
	}
	pthread_join(thread, &result);
	printf("%s: %s, cleaned %d\n", what, result == PTHREAD_CANCELED ? "cancelled" : "returned", cleaned);
	pcap_close(p);
}

/* Nothing passes its filter, so that readers wait. */
static pcap_t *
silent(int immediate)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	struct bpf_program none;
	pcap_t *p = pcap_create("lo", errbuf);

	if (p == NULL)
		return NULL;
	pcap_set_timeout(p, 50);
	pcap_set_immediate_mode(p, immediate);
	if (pcap_activate(p) != 0 || pcap_compile(p, &none, "less 1", 1, 0) != 0 || pcap_setfilter(p, &none) != 0) {
		printf("%s\n", pcap_geterr(p));
		pcap_close(p);
		return NULL;
	}
	pcap_freecode(&none);
	return p;
}

int
main(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE];

	run("loop", silent(0), wait_in_loop, 1);
	run("next", silent(0), wait_in_next, 1);
	run("immediate loop", silent(1), wait_in_loop, 1);
	run("immediate next", silent(1), wait_in_next, 1);
	run("callback", pcap_open_offline(argc > 1 ? argv[1] : "data/ssh.pcap", errbuf), wait_in_loop, 0);
	return 0;
}
