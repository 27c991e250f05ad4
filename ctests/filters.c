/* Compiles the filters on standard input, one a line, for each link-layer type named as an argument;
 * prints each program's verdict on a few packets, and the listing where -d is the first argument. */
#include <pcap.h>
#include <stdio.h>
#include <string.h>

static void
one(pcap_t *p, const char *text, int listing)
{
	static const u_char packet[64] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 50, 0,
					  1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x22, 0xb8,
					  0, 53};
	struct pcap_pkthdr header = {{0, 0}, sizeof packet, sizeof packet};
	struct bpf_program program = {0, NULL};

	for (int optimize = 0; optimize < 2; optimize++) {
		if (pcap_compile(p, &program, text, optimize, 0xffffff00) != 0) {
			printf("%s: %s\n", text, pcap_geterr(p));
			continue;
		}
		printf("%s: valid %d, verdicts %d %u\n", text,
		       bpf_validate(program.bf_insns, (int)program.bf_len),
		       pcap_offline_filter(&program, &header, packet),
		       bpf_filter(program.bf_insns, packet, sizeof packet, 20));
		if (listing && optimize) {
			for (int option = 1; option < 4; option++)
				bpf_dump(&program, option);
			puts(bpf_image(&program.bf_insns[0], 7));
		}
		pcap_freecode(&program);
		pcap_freecode(&program);
	}
}

int
main(int argc, char **argv)
{
	int listing = argc > 1 && strcmp(argv[1], "-d") == 0;
	char line[1000];

	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		for (int i = 1 + listing; i < argc; i++) {
			pcap_t *p = pcap_open_dead(pcap_datalink_name_to_val(argv[i]), 96);

			one(p, line, listing);
			pcap_close(p);
		}
	}
	return 0;
}
