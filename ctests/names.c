/* Names to numbers: hosts, networks, ports, protocols, Ethernet addresses, /etc/ethers, and filters without a handle. */
#include <arpa/inet.h>
#include <pcap.h>
#include <pcap/namedb.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void
hosts(const char *name)
{
	bpf_u_int32 **list = pcap_nametoaddr(name);
	struct addrinfo *info = pcap_nametoaddrinfo(name), *next;
	char text[INET6_ADDRSTRLEN];

	printf("host %s:", name);
	for (; list != NULL && *list != NULL; list++)
		printf(" %x", **list);
	printf(" |");
	for (next = info; next != NULL; next = next->ai_next) {
		const void *addr = next->ai_family == AF_INET
		    ? (const void *)&((struct sockaddr_in *)next->ai_addr)->sin_addr
		    : (const void *)&((struct sockaddr_in6 *)next->ai_addr)->sin6_addr;

		printf(" %s %d", inet_ntop(next->ai_family, addr, text, sizeof text), next->ai_socktype);
	}
	if (info != NULL)
		freeaddrinfo(info);
	printf(" | net %x\n", pcap_nametonetaddr(name));
}

static void
services(const char *name)
{
	int port = -7, port1 = -7, port2 = -7, proto = -7, found;

	found = pcap_nametoport(name, &port, &proto);
	printf("port %s: %d", name, found);
	if (found)
		printf(" %d %d", port, proto);
	port1 = port2 = proto = -7;
	found = pcap_nametoportrange(name, &port1, &port2, &proto);
	printf(" range %d", found);
	if (found)
		printf(" %d-%d %d", port1, port2, proto);
	printf("\n");
}

static void
protocols(const char *name)
{
	printf("proto %s: %d %d %d\n", name, pcap_nametoproto(name), pcap_nametoeproto(name), pcap_nametollc(name));
}

static void
show(const char *what, const char *text, u_char *addr)
{
	printf("%s %s:", what, text);
	for (int i = 0; addr != NULL && i < 6; i++)
		printf(" %02x", addr[i]);
	printf("%s\n", addr == NULL ? " none" : "");
	free(addr);
}

/* What pcap_next_etherent makes of a file, and where it leaves it. */
static void
ethers(const char *text)
{
	FILE *f = tmpfile();
	struct pcap_etherent *e;

	fputs(text, f);
	rewind(f);
	printf("ethers:");
	while ((e = pcap_next_etherent(f)) != NULL) {
		for (int i = 0; i < 6; i++)
			printf("%s%02x", i == 0 ? " " : ":", e->addr[i]);
		printf(" '%s'", e->name);
	}
	printf(" at %ld\n", ftell(f));
	fclose(f);
}

static void
nopcap(int snaplen, int dlt, const char *text, int optimize, bpf_u_int32 mask)
{
	struct bpf_program program = {0, NULL};
	int status = pcap_compile_nopcap(snaplen, dlt, &program, text, optimize, mask);

	printf("nopcap %d %d '%s' %d %x: %d %u\n", snaplen, dlt, text ? text : "NULL", optimize, mask, status,
	       program.bf_len);
	for (u_int i = 0; i < program.bf_len; i++)
		printf("%s\n", bpf_image(&program.bf_insns[i], (int)i));
	pcap_freecode(&program);
}

static void
look_up(void)
{
	static const char *const names[] = {
	    "localhost", "127.0.0.1", "127.1", "::1", "0", "loopback", "default", "nonsense.invalid", "", ".", "1.2.3.4.5",
	    "256.1.1.1", "fe80::1", "fe80::1%lo", "LOCALHOST", "link-local", " localhost",
	};
	static const char *const ports[] = {
	    "80", "http", "HTTP", "domain", "tftp", "ftp-data", "0", "65535", "00080", "0x50", "+80", " 80", "80 ", "8 0",
	    "80-90", "90-80", "80-80", "http-https", "tftp-http", "domain-tftp", "80-http", "http-80", "nonsense", "nonsense-80",
	    "80-nonsense", "echo", "kerberos", "sip", "ssh",
	};
	static const char *const protos[] = {
	    "tcp", "TCP", "udp", "icmp", "ipv6-icmp", "ip", "ip6", "ipv6", "arp", "rarp", "sctp", "esp", "ah", "pup", "xns",
	    "sprite", "mopdl", "moprc", "decnet", "lat", "sca", "loopback", "vlan", "aarp", "atalk", "iso", "stp", "ipx",
	    "netbeui", "IP", "nonsense", "", "6", "clnp", "esis", "isis", "pppoed", "vexp",
	};

	for (size_t i = 0; i < COUNT(names); i++)
		hosts(names[i]);
	for (size_t i = 0; i < COUNT(ports); i++)
		services(ports[i]);
	for (size_t i = 0; i < COUNT(protos); i++)
		protocols(protos[i]);
}

static void
ethernet(void)
{
	static const char *const addresses[] = {
	    "1:2:3:4:5:6", "01:02:03:04:05:06", "AA:bb:Cc:dD:ee:FF", "1-2-3-4-5-6", "1.2.3.4.5.6", "0001.0203.0405",
	    "000102030405", "0:0:0:0:0:0", "1:2-3.4:5:6",
	};
	static const char *const files[] = {
	    "", "\n\n", "# nothing\n", "1:2:3:4:5:6 a\n", "1:2:3:4:5:6\ta # comment\n", "  1:2:3:4:5:6 a\n",
	    "1:2:3:4:5:6 a\n1:2:3:4:5:7 b\n", "1-2-3-4-5-6 a\n", "1.2.3.4.5.6 a\n", "01:02:03:0a:0B:ff many names\n",
	    "1:2:3:4:5:6 a\r\n", "#1:2:3:4:5:6 a\n1:2:3:4:5:7 b\n", "zz a\n1:2:3:4:5:7 b\n", "1:2:3:4:5:6 a\n\n\n1:2:3:4:5:7 b\n",
	    "1:2:3:4:5:6 a-name.with_signs%and:more\n", "0123456789abcdef\n1:2:3:4:5:7 b\n", "101:2:3:4:5:6 a\n",
	};

	for (size_t i = 0; i < COUNT(addresses); i++)
		show("aton", addresses[i], pcap_ether_aton(addresses[i]));
	show("hostton", "nonsense", pcap_ether_hostton("nonsense"));
	show("hostton", "", pcap_ether_hostton(""));
	for (size_t i = 0; i < COUNT(files); i++)
		ethers(files[i]);
}

int
main(void)
{
	look_up();
	ethernet();
	nopcap(100, DLT_EN10MB, "ip", 1, 0);
	nopcap(0, DLT_EN10MB, "ip", 1, 0);
	nopcap(-1, DLT_RAW, "tcp port 80", 0, PCAP_NETMASK_UNKNOWN);
	nopcap(65535, DLT_EN10MB, "ip broadcast", 1, 0xff);
	nopcap(65535, DLT_EN10MB, "ip broadcast", 1, PCAP_NETMASK_UNKNOWN);
	nopcap(65535, DLT_EN10MB, "", 1, 0);
	nopcap(65535, DLT_EN10MB, NULL, 1, 0);
	nopcap(65535, DLT_EN10MB, "nonsense or", 1, 0);
	return 0;
}
