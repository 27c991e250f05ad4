/*
 * What the system's library does not export, or does differently on purpose (docs/COMPAT.md): compared with
 * ours.expected.
 */
#include <pcap.h>
#include <pcap/oxpcap.h>
#include <stdio.h>
#include <string.h>

static char errbuf[PCAP_ERRBUF_SIZE];
static pcap_t *p;
static int seen;

static void
close_it(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	(void)h, (void)bytes;
	if (++seen == *(int *)user)
		pcap_close(p);
}

static void
count(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	(void)h, (void)bytes;
	++*(int *)user;
}

static void
sources(const char *folder)
{
	char source[PCAP_BUF_SIZE], host[PCAP_BUF_SIZE], port[PCAP_BUF_SIZE], name[PCAP_BUF_SIZE];
	static const char *const texts[] = {"file:///tmp/x", "rpcap://eth0", "rpcap://h:2002/eth0", "eth0",
					    "rpcap://[::1]:80/e", "rpcap://", "rpcap://[::1"};
	pcap_if_t *list = NULL;
	int type = -1, packets = 0;

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		int status = pcap_parsesrcstr(texts[i], &type, host, port, name, errbuf);

		printf("%s: %d", texts[i], status);
		if (status == 0)
			printf(" type %d host [%s] port [%s] name [%s]", type, host, port, name);
		printf("\n");
	}
	printf("%d ", pcap_createsrcstr(source, PCAP_SRC_IFREMOTE, "::1", "80", "e", errbuf));
	printf("%s\n", source);
	printf("%d ", pcap_createsrcstr(source, PCAP_SRC_FILE, NULL, NULL, NULL, errbuf));
	printf("%s\n", errbuf);
	snprintf(source, sizeof source, "file://%s/ssh.pcap", folder);
	p = pcap_open(source, 0, 0, 0, NULL, errbuf);
	printf("%d ", pcap_loop(p, -1, count, (u_char *)&packets));
	printf("%d\n", packets);
	printf("%d\n", pcap_setsampling(p)->method);
	pcap_close(p);
	p = pcap_open("rpcap://host.invalid/eth0", 0, 0, 0, NULL, errbuf);
	printf("%d %s\n", p != NULL, errbuf);
	snprintf(source, sizeof source, "file://%s/", folder);
	printf("%d\n", pcap_findalldevs_ex(source, NULL, &list, errbuf));
	for (pcap_if_t *d = list; d != NULL; d = d->next)
		printf("%s\n", strrchr(d->name, '/'));
	pcap_freealldevs(list);
	printf("%d ", pcap_findalldevs_ex("file:///nonexistent", NULL, &list, errbuf));
	printf("%s\n", errbuf);
	printf("%d\n", pcap_findalldevs_ex("rpcap://", NULL, &list, errbuf));
	printf("%d\n", list != NULL && strncmp(list->name, "rpcap://", 8) == 0);
	pcap_freealldevs(list);
}

static void
closing(const char *folder)
{
	char path[PCAP_BUF_SIZE];

	snprintf(path, sizeof path, "%s/ssh.pcap", folder);
	for (int at = 1; at < 60; at += 19) {
		p = pcap_open_offline(path, errbuf);
		seen = 0;
		printf("close at %d: %d", at, pcap_loop(p, 1, close_it, (u_char *)&at));
		printf(" %d", seen);
		if (seen != at)
			pcap_close(p);
		p = pcap_open_offline(path, errbuf);
		seen = 0;
		printf(" %d", pcap_loop(p, -1, close_it, (u_char *)&at));
		printf(" %d\n", seen);
		if (seen != at)
			pcap_close(p);
	}
}

static void
prepared(void)
{
	enum { N = 70 };
	static const u_char tcp[60] = {[12] = 8, [14] = 0x45, [23] = 6}, udp[60] = {[12] = 8, [14] = 0x45, [23] = 17};
	struct bpf_insn endless[] = {{0x05, 0, 0, 0xffffffff}, {6, 0, 0, 1}}, unended[] = {{0, 0, 0, 1}};
	struct bpf_program program, hostile = {2, endless}, bad = {1, unended};
	struct pcapx_ebpf_insn *ebpf = NULL;
	const u_char *packets[N];
	uint32_t lens[N];
	uint64_t mask[2] = {~0ull, ~0ull};
	pcapx_filter_t *f;

	p = pcap_open_dead(DLT_EN10MB, 65535);
	printf("compile %d\n", pcap_compile(p, &program, "tcp", 1, PCAP_NETMASK_UNKNOWN));
	f = pcapx_filter_create(&program);
	for (int i = 0; i < N; i++) {
		packets[i] = i % 3 == 0 ? tcp : udp;
		lens[i] = i == 3 ? 20 : sizeof tcp;
	}
	printf("run %u %u", pcapx_filter_run(f, tcp, 60, 60), pcapx_filter_run(f, udp, 60, 60));
	printf(" short %u null %u\n", pcapx_filter_run(f, tcp, 13, 60), pcapx_filter_run(NULL, tcp, 60, 60));
	printf("burst %u", pcapx_filter_run_burst(f, packets, lens, N, mask));
	printf(" %016llx %016llx\n", (unsigned long long)mask[0], (unsigned long long)mask[1]);
	printf("burst of none %u, null %u", pcapx_filter_run_burst(f, packets, lens, 0, mask),
	       pcapx_filter_run_burst(NULL, packets, lens, N, mask));
	printf(" %llx\n", (unsigned long long)mask[0]);
	pcapx_filter_free(f);
	f = pcapx_filter_create(&hostile);
	printf("endless %u", pcapx_filter_run(f, tcp, 60, 60));
	pcapx_filter_free(f);
	pcapx_filter_free(NULL);
	printf(" bad %d null %d\n", pcapx_filter_create(&bad) != NULL, pcapx_filter_create(NULL) != NULL);
	int count = pcapx_ebpf_from_bpf(&program, PCAPX_EBPF_DPDK, &ebpf, errbuf);
	printf("ebpf %d %zu last %02x\n", count > 5, sizeof *ebpf, ebpf[count - 1].code);
	pcapx_ebpf_free(ebpf);
	printf("%d ", pcapx_ebpf_from_bpf(&hostile, PCAPX_EBPF_KERNEL, &ebpf, errbuf));
	printf("%d %s\n", ebpf == NULL, errbuf);
	printf("%d ", pcapx_ebpf_from_bpf(&program, 7, &ebpf, errbuf));
	printf("%s\n", errbuf);
	printf("mode %d %s\n", pcapx_filter_mode(p), pcapx_filter_mode_text(p));
	printf("mode of null %d %s\n", pcapx_filter_mode(NULL), pcapx_filter_mode_text(NULL));
	printf("set ebpf %d ", pcapx_set_ebpf_filter(p, 0));
	printf("%s\n", pcap_geterr(p));
	pcap_freecode(&program);
	pcap_close(p);
}

int
main(int argc, char **argv)
{
	const char *folder = argc > 1 ? argv[1] : "data";

	printf("%s\n", pcap_lib_version());
	sources(folder);
	closing(folder);
	prepared();
	p = pcap_open_dead(DLT_EN10MB, 100);
	printf("fileno of a dead handle %d, inject ", pcap_fileno(p));
	printf("%d ", pcap_inject(p, "x", (size_t)1 << 31));
	printf("%s\n", pcap_geterr(p));
	pcap_close(p);
	p = pcap_create("lo", errbuf);
	printf("send before activation %d\n", pcap_sendpacket(p, (const u_char *)"x", 1));
	pcap_close(p);
	return 0;
}
