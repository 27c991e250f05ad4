/* The tag of IEEE 802.1Q, behind the two addresses of an Ethernet frame; big-endian. */
#ifndef lib_pcap_vlan_h
#define lib_pcap_vlan_h

#include <pcap/pcap-inttypes.h>

struct vlan_tag {
	uint16_t vlan_tpid; /* Ethernet type of the tag */
	uint16_t vlan_tci;  /* priority, drop eligibility, VLAN */
};

#define VLAN_TAG_LEN 4

#endif
