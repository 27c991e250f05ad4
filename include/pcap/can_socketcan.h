/* Header of DLT_CAN_SOCKETCAN. */
#ifndef lib_pcap_can_socketcan_h
#define lib_pcap_can_socketcan_h

#include <pcap/pcap-inttypes.h>

typedef struct {
	uint32_t can_id; /* big-endian */
	uint8_t payload_length;
	uint8_t fd_flags; /* CANFD_* */
	uint8_t reserved1;
	uint8_t reserved2;
} pcap_can_socketcan_hdr;

#define CANFD_BRS 0x01 /* bit rate switch */
#define CANFD_ESI 0x02 /* error state of the sender */
#define CANFD_FDF 0x04 /* a CAN FD frame */

#endif
