// The headers in C++, and an exception thrown through pcap_loop().
#include <pcap.h>
#include <pcap/bluetooth.h>
#include <pcap/can_socketcan.h>
#include <pcap/ipnet.h>
#include <pcap/namedb.h>
#include <pcap/nflog.h>
#include <pcap/sll.h>
#include <pcap/usb.h>
#include <pcap/vlan.h>
#include <cstdio>
#include <stdexcept>

static void
throws(u_char *user, const struct pcap_pkthdr *, const u_char *)
{
	if (++*reinterpret_cast<int *>(user) == 5)
		throw std::runtime_error("thrown");
}

int
main(int argc, char **argv)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_open_offline(argc > 1 ? argv[1] : "data/ssh.pcap", errbuf);
	int seen = 0;

	if (p == nullptr)
		return 1;
	try {
		pcap_loop(p, -1, throws, reinterpret_cast<u_char *>(&seen));
	} catch (const std::exception &e) {
		std::printf("%s after %d\n", e.what(), seen);
	}
	// The handle goes on.
	std::printf("%d\n", pcap_loop(p, 3, throws, reinterpret_cast<u_char *>(&seen)));
	pcap_close(p);
	std::printf("%d\n", PCAP_D_OUT);
	return 0;
}
