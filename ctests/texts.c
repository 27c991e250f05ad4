/* Names, texts and tables: everything that needs no handle. */
#include <errno.h>
#include <pcap.h>
#include <pcap/namedb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern struct {
	const char *s;
	u_short p;
} eproto_db[];
extern char pcap_version[];

static const char *
or_dash(const char *text)
{
	return text ? text : "-";
}

static void
ether(const char *what, u_char *a)
{
	printf("%s", what);
	for (int i = 0; a != NULL && i < 6; i++)
		printf(" %02x", a[i]);
	printf("\n");
	free(a);
}

static void
ports(const char *name)
{
	int port1 = -7, port2 = -7, proto = -7, found;

	found = pcap_nametoport(name, &port1, &proto);
	printf("port %s: %d %d %d", name, found, port1, proto);
	found = pcap_nametoportrange(name, &port1, &port2, &proto);
	printf(" range %d %d %d %d\n", found, port1, port2, proto);
}

static void
ethers(void)
{
	static const char text[] = "# comment\n1:2:3:4:5:6 first\n\n00:11:22:aa:bb:cc\tsecond # x\n"
				   "junk\nff:ff:ff:ff:ff:ff last\n";
	FILE *f = fmemopen((void *)(size_t)text, sizeof text - 1, "r");
	struct pcap_etherent *e;

	while ((e = pcap_next_etherent(f)) != NULL)
		printf("%02x %02x %s\n", e->addr[0], e->addr[5], e->name);
	fclose(f);
}

int
main(void)
{
	static const char *const names[] = {"en10mb", "EN10MB", "DLT_EN10MB", "", "nonsense", "linux_sll2"};
	static const char *const services[] = {"80", "http", "domain", "tftp", "65535", "80-90",
					       "nonsense", "90-80", "http-https"};
	bpf_u_int32 **hosts;
	struct addrinfo *info;

	for (int i = -20; i < 6; i++)
		printf("status %d %s\n", i, pcap_statustostr(i));
	for (int i = -1; i < 140; i++)
		printf("errno %d %s\n", i, pcap_strerror(i));
	/* Those from 290 on have got names since 1.10.3 (tests/savefile/linktypes.rs). */
	for (int i = -2; i < 290; i++) {
		printf("dlt %d %s", i, or_dash(pcap_datalink_val_to_name(i)));
		printf(" [%s]", or_dash(pcap_datalink_val_to_description(i)));
		printf(" [%s]\n", pcap_datalink_val_to_description_or_dlt(i));
	}
	for (int i = -1; i < 8; i++) {
		printf("tstamp %d %s", i, or_dash(pcap_tstamp_type_val_to_name(i)));
		printf(" [%s]\n", or_dash(pcap_tstamp_type_val_to_description(i)));
	}
	printf("%d %d %d\n", pcap_tstamp_type_name_to_val("HOST"), pcap_tstamp_type_name_to_val("adapter"),
	       pcap_tstamp_type_name_to_val("x"));
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		printf("dlt %s %d\n", names[i], pcap_datalink_name_to_val(names[i]));
	for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
		ports(services[i]);
	for (int i = 0; eproto_db[i].s != NULL; i++)
		printf("%s %x %x\n", eproto_db[i].s, eproto_db[i].p, pcap_nametoeproto(eproto_db[i].s));
	printf("%d %d %d\n", pcap_nametoeproto("nonsense"), pcap_nametollc("stp"), pcap_nametollc("nonsense"));
	printf("%d %d %d\n", pcap_nametoproto("tcp"), pcap_nametoproto("ipv6-icmp"), pcap_nametoproto("nonsense"));
	printf("%x %x\n", pcap_nametonetaddr("loopback"), pcap_nametonetaddr("nonsense"));
	ether("aton", pcap_ether_aton("1:2:3:4:5:6"));
	ether("aton", pcap_ether_aton("00-11-22-33-44-55"));
	ether("hostton", pcap_ether_hostton("nonsense"));
	ethers();
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	hosts = pcap_nametoaddr("127.0.0.1");
	printf("%x %s\n", hosts ? *hosts[0] : 0, hosts && hosts[1] ? "more" : "end");
	printf("%s\n", pcap_nametoaddr("nonsense.invalid") ? "found" : "none");
	info = pcap_nametoaddrinfo("127.0.0.1");
	printf("%d\n", info ? info->ai_family : -1);
	freeaddrinfo(info);
	/* Parsed so by programs' build scripts. */
	printf("%d %d\n", strncmp(pcap_lib_version(), "libpcap version 1.10.", 21),
	       strncmp(pcap_version, "1.10.", 5));
	return 0;
}
