/* Headers before the payload of DLT_BLUETOOTH_HCI_H4_WITH_PHDR and DLT_BLUETOOTH_LINUX_MONITOR. */
#ifndef lib_pcap_bluetooth_h
#define lib_pcap_bluetooth_h

#include <pcap/pcap-inttypes.h>

/* Big-endian. */
typedef struct _pcap_bluetooth_h4_header {
	uint32_t direction; /* bit 0: 0 sent by the host, 1 received */
} pcap_bluetooth_h4_header;

/* Big-endian. */
typedef struct _pcap_bluetooth_linux_monitor_header {
	uint16_t adapter_id;
	uint16_t opcode;
} pcap_bluetooth_linux_monitor_header;

#endif
