/* The device list with all addresses, each device's network, and a look-up of one that is not there. */
#include <pcap.h>
#include <stdio.h>

static void
address(const char *what, const struct sockaddr *sa)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (sa == NULL)
		return;
	if (sa->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, text, sizeof text);
	if (sa->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)sa)->sin6_addr, text, sizeof text);
	printf(" %s family %d %s", what, sa->sa_family, text);
}

int
main(void)
{
	char errbuf[PCAP_ERRBUF_SIZE] = "";
	bpf_u_int32 net, mask;
	pcap_if_t *list;
	int status;

	if (pcap_findalldevs(&list, errbuf) != 0) {
		printf("%s\n", errbuf);
		return 1;
	}
	for (pcap_if_t *d = list; d != NULL; d = d->next) {
		/* What the system's library was built with, and this one does without. */
		if (d->addresses == NULL && (d->flags & PCAP_IF_UP) == 0 && d->description != NULL)
			continue;
		printf("%s [%s] %x\n", d->name, d->description ? d->description : "-", d->flags);
		for (pcap_addr_t *a = d->addresses; a != NULL; a = a->next) {
			address("addr", a->addr);
			address("mask", a->netmask);
			address("broad", a->broadaddr);
			address("dst", a->dstaddr);
			printf("\n");
		}
		errbuf[0] = '\0';
		status = pcap_lookupnet(d->name, &net, &mask, errbuf);
		if (status == 0)
			printf(" net %08x %08x\n", net, mask);
		else
			printf(" net %d [%s]\n", status, errbuf);
	}
	pcap_freealldevs(list);
	pcap_freealldevs(NULL);
	errbuf[0] = '\0';
	status = pcap_lookupnet("no-such-device0", &net, &mask, errbuf);
	printf("%d [%s]\n", status, errbuf);
	status = pcap_lookupnet("any", &net, &mask, errbuf);
	printf("%d %08x %08x\n", status, net, mask);
	errbuf[0] = '\0';
	{
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
		const char *first = pcap_lookupdev(errbuf);

		printf("%s [%s]\n", first ? first : "-", errbuf);
		printf("%d ", pcap_init(PCAP_CHAR_ENC_LOCAL, errbuf));
		printf("%d ", pcap_init(PCAP_CHAR_ENC_LOCAL, errbuf));
		errbuf[0] = '\0';
		status = pcap_init(PCAP_CHAR_ENC_UTF_8, errbuf);
		printf("%d [%s] ", status, errbuf);
		status = pcap_init(77, errbuf);
		printf("%d [%s]\n", status, errbuf);
		first = pcap_lookupdev(errbuf);
		printf("%s [%s]\n", first ? first : "-", errbuf);
	}
	return 0;
}
