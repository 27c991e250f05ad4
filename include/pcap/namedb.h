/* Names of hosts, networks, ports and protocols, as filters look them up. */
#ifndef lib_pcap_namedb_h
#define lib_pcap_namedb_h

#ifdef __cplusplus
extern "C" {
#endif

/* A line of /etc/ethers. */
struct pcap_etherent {
	u_char addr[6];
	char name[122];
};

#ifndef PCAP_ETHERS_FILE
#define PCAP_ETHERS_FILE "/etc/ethers"
#endif

/* The next line of an open file in the format of /etc/ethers, or NULL at its end; overwritten by
 * the next call. */
PCAP_API struct pcap_etherent *pcap_next_etherent(FILE *);

/* The address of a host in /etc/ethers and of "xx:xx:xx:xx:xx:xx", from malloc(), or NULL. */
PCAP_API u_char *pcap_ether_hostton(const char *);
PCAP_API u_char *pcap_ether_aton(const char *);

/* The addresses of a host. */
PCAP_API
PCAP_DEPRECATED("this is not reentrant; use 'pcap_nametoaddrinfo' instead")
bpf_u_int32 **pcap_nametoaddr(const char *);
PCAP_API struct addrinfo *pcap_nametoaddrinfo(const char *);

/* A network's number in host byte order, 0 if it is not known. */
PCAP_API bpf_u_int32 pcap_nametonetaddr(const char *);

/* A port and its protocol, a range of ports: 1 if known, 0 if not. */
PCAP_API int pcap_nametoport(const char *, int *, int *);
PCAP_API int pcap_nametoportrange(const char *, int *, int *, int *);

/* An IP protocol, an Ethernet type, an LLC service access point: PROTO_UNDEF if not known. */
PCAP_API int pcap_nametoproto(const char *);
PCAP_API int pcap_nametoeproto(const char *);
PCAP_API int pcap_nametollc(const char *);

#define PROTO_UNDEF -1

#ifdef __cplusplus
}
#endif

#endif
