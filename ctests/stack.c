/*
 * Long programs in a thread with little stack, by every function that runs them: `./stack SAVEFILE`.
 * However long a program is and whatever it consists of, running it takes a few kilobytes.
 */
#include <limits.h>
#include <pcap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { STACK = 48 << 10, LENGTHS = 3, MIXES = 9, PACKET = 64 };

static const int lengths[LENGTHS] = { 500, 4096, 60000 };
static const char *path;
static struct bpf_insn insns[60000];
static unsigned int state;

static unsigned int
below(unsigned int n)
{
	state = state * 1103515245 + 12345;
	return (state >> 16) % n;
}

/* One of a mix: 0 is of everything, the others of one kind each. */
static struct bpf_insn
insn(int mix)
{
	static const struct bpf_insn kinds[MIXES - 1] = {
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_STMT(BPF_LDX | BPF_MSH | BPF_B, 14),
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, 3),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 6, 0, 0),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 5, 0, 0),
	};
	struct bpf_insn one = kinds[mix == 0 ? below(MIXES - 1) : (unsigned int)mix - 1];

	one.k += below(4);
	if (BPF_CLASS(one.code) == BPF_JMP) {
		one.jt = below(2);
		one.jf = below(2);
	}
	return one;
}

static void
fill(int length, int mix)
{
	state = length + mix;
	for (int i = 0; i < length; i++)
		insns[i] = insn(mix);
	/* Jumps skip one instruction at most. */
	insns[length - 2] = (struct bpf_insn)BPF_STMT(BPF_ALU | BPF_OR | BPF_K, 1);
	insns[length - 1] = (struct bpf_insn)BPF_STMT(BPF_RET | BPF_A, 0);
}

static unsigned int
read_file(struct bpf_program *program)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const u_char *data;
	unsigned int sum = 0;
	pcap_t *p = pcap_open_offline(path, errbuf);

	if (p == NULL || pcap_setfilter(p, program) != 0)
		return UINT_MAX;
	while (pcap_next_ex(p, &header, &data) == 1)
		sum = 31 * sum + header->caplen;
	pcap_close(p);
	return sum;
}

static void
run(int length, int mix)
{
	struct bpf_program program = { .bf_len = length, .bf_insns = insns };
	struct pcap_pkthdr header = { .caplen = PACKET, .len = PACKET };
	u_char packet[PACKET];
	unsigned int sum = 0;

	fill(length, mix);
	for (int i = 0; i < PACKET; i++)
		packet[i] = i * 3;
	/* The short ones often enough for native code. */
	for (int i = length == lengths[0] ? 25000 : 100; i > 0; i--) {
		packet[13] = i;
		if (i < 40)
			sum = 31 * sum + bpf_filter(insns, packet, PACKET, PACKET);
		sum = 31 * sum + pcap_offline_filter(&program, &header, packet);
	}
	printf("%d instructions, mix %d: %u, file %u\n", length, mix, sum, read_file(&program));
}

static void *
work(void *arg)
{
	(void)arg;
	for (int l = 0; l < LENGTHS; l++)
		for (int mix = 0; mix < MIXES; mix++)
			run(lengths[l], mix);
	return NULL;
}

int
main(int argc, char **argv)
{
	pthread_attr_t attributes;
	pthread_t thread;

	if (argc != 2)
		return 2;
	path = argv[1];
	if (pthread_attr_init(&attributes) != 0 || pthread_attr_setstacksize(&attributes, STACK) != 0
	    || pthread_create(&thread, &attributes, work, NULL) != 0)
		return 2;
	return pthread_join(thread, NULL);
}
