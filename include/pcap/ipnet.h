/* Values in the header of DLT_IPNET, Solaris's. */

#define IPH_AF_INET 2
#define IPH_AF_INET6 26

#define IPNET_OUTBOUND 1
#define IPNET_INBOUND 2
