/* Threads, each with a handle of its own: reading with a filter, compiling, failing. */
#include <pcap.h>
#include <pthread.h>
#include <stdio.h>

enum { THREADS = 8, ROUNDS = 40 };

static const char *path;

static void *
work(void *arg)
{
	long *sum = arg;

	for (int i = 0; i < ROUNDS; i++) {
		char errbuf[PCAP_ERRBUF_SIZE], filter[64];
		struct bpf_program program;
		struct pcap_pkthdr *header;
		const u_char *data;
		pcap_t *p = pcap_open_offline(path, errbuf);

		if (p == NULL)
			return NULL;
		snprintf(filter, sizeof filter, "port %d or greater %d", 20 + i % 5, 60 + i);
		if (pcap_compile(p, &program, filter, 1, 0) == 0 && pcap_setfilter(p, &program) == 0)
			pcap_freecode(&program);
		while (pcap_next_ex(p, &header, &data) == 1)
			*sum += header->len + data[header->caplen - 1];
		if (pcap_compile(p, &program, "port port", 1, 0) == 0 || pcap_geterr(p)[0] == '\0')
			*sum = -1;
		pcap_close(p);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	long sums[THREADS] = {0};

	path = argc > 1 ? argv[1] : "data/ssh.pcap";
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, &sums[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++)
		printf("%ld\n", sums[i]);
	return 0;
}
