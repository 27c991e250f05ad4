/* Copies a savefile packet by packet, with a filter: copy IN OUT [FILTER]. */
#include <pcap.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE] = "";
	struct bpf_program program;
	struct pcap_pkthdr *header;
	const u_char *data;
	pcap_dumper_t *out;
	pcap_t *in;
	int status, packets = 0;

	if (argc < 3)
		return 2;
	in = pcap_open_offline_with_tstamp_precision(argv[1], PCAP_TSTAMP_PRECISION_NANO, errbuf);
	if (in == NULL) {
		printf("%s\n", errbuf);
		return 1;
	}
	if (argc > 3) {
		if (pcap_compile(in, &program, argv[3], 1, PCAP_NETMASK_UNKNOWN) != 0 ||
		    pcap_setfilter(in, &program) != 0) {
			printf("%s\n", pcap_geterr(in));
			pcap_close(in);
			return 1;
		}
		pcap_freecode(&program);
	}
	out = pcap_dump_open(in, argv[2]);
	if (out == NULL) {
		printf("%s\n", pcap_geterr(in));
		pcap_close(in);
		return 1;
	}
	while ((status = pcap_next_ex(in, &header, &data)) == 1) {
		pcap_dump((u_char *)out, header, data);
		packets++;
	}
	/* A dumper is a FILE, say programs that cast it. */
	fflush((FILE *)out);
	printf("%d packets, status %d, %ld = %ld = %lld bytes, %s\n", packets, status,
	       ftell((FILE *)out), pcap_dump_ftell(out), (long long)pcap_dump_ftell64(out),
	       pcap_dump_file(out) == (FILE *)out ? "a FILE" : "no FILE");
	printf("flush %d\n", pcap_dump_flush(out));
	pcap_dump_close(out);
	pcap_close(in);
	return 0;
}
