/*
 * Threads, each with a handle of its own: reading with a filter, compiling, failing; and what is called while a thread or
 * the process ends.
 */
#include <pcap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Texts and filters for as long as the thread runs, which is beyond the end of its C++ objects. */
static pthread_key_t last_words;
static int wrong;

static void
speak(void *arg)
{
	static struct bpf_insn insns[] = { BPF_STMT(BPF_LD | BPF_LEN, 0), BPF_STMT(BPF_RET | BPF_A, 0) };
	struct bpf_program program = { 2, insns };
	struct pcap_pkthdr header = { .caplen = 1, .len = 77 };
	char want[64];

	snprintf(want, sizeof want, "Unknown error: %ld", (long)arg);
	for (int i = 0; i < 2; i++)
		wrong |= strcmp(pcap_statustostr((long)arg), want) != 0;
	for (int i = 0; i < 30000; i++)
		wrong |= pcap_offline_filter(&program, &header, (const u_char *)"") != 77;
}

static void *
end_late(void *arg)
{
	speak(arg);
	pthread_setspecific(last_words, arg);
	return NULL;
}

static const char *kept;

static void
at_exit(void)
{
	printf("%s\n", kept);
	speak((void *)1000);
	printf("%s\n", pcap_statustostr(-1000));
}

int
main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	long sums[THREADS] = {0};

	atexit(at_exit);
	pthread_key_create(&last_words, speak);

	path = argc > 1 ? argv[1] : "data/ssh.pcap";
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, &sums[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++)
		printf("%ld\n", sums[i]);
	/* One after the other: libpcap has one buffer for all threads. */
	for (long i = 0; i < THREADS; i++) {
		pthread_create(&threads[i], NULL, end_late, (void *)(5000 + i));
		pthread_join(threads[i], NULL);
	}
	printf("%d\n", wrong);
	kept = pcap_statustostr(-999);
	return 0;
}
