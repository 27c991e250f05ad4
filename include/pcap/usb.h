/* Headers of DLT_USB_LINUX and DLT_USB_LINUX_MMAPPED, in the capturing machine's byte order. */
#ifndef lib_pcap_usb_h
#define lib_pcap_usb_h

#include <pcap/pcap-inttypes.h>

#define URB_TRANSFER_IN 0x80 /* or'd to the endpoint number: towards the host */

/* transfer_type */
#define URB_ISOCHRONOUS 0x0
#define URB_INTERRUPT 0x1
#define URB_CONTROL 0x2
#define URB_BULK 0x3

/* event_type */
#define URB_SUBMIT 'S'
#define URB_COMPLETE 'C'
#define URB_ERROR 'E'

/* Setup packet of a control transfer. */
typedef struct _usb_setup {
	uint8_t bmRequestType;
	uint8_t bRequest;
	uint16_t wValue;
	uint16_t wIndex;
	uint16_t wLength;
} pcap_usb_setup;

/* Result of an isochronous transfer. */
typedef struct _iso_rec {
	int32_t error_count;
	int32_t numdesc;
} iso_rec;

/* DLT_USB_LINUX */
typedef struct _usb_header {
	uint64_t id;
	uint8_t event_type;
	uint8_t transfer_type;
	uint8_t endpoint_number;
	uint8_t device_address;
	uint16_t bus_id;
	char setup_flag; /* 0: setup is there */
	char data_flag;	 /* 0: data follows */
	int64_t ts_sec;
	int32_t ts_usec;
	int32_t status;
	uint32_t urb_len;  /* bytes of the transfer */
	uint32_t data_len; /* bytes that follow */
	pcap_usb_setup setup;
} pcap_usb_header;

/* DLT_USB_LINUX_MMAPPED */
typedef struct _usb_header_mmapped {
	uint64_t id;
	uint8_t event_type;
	uint8_t transfer_type;
	uint8_t endpoint_number;
	uint8_t device_address;
	uint16_t bus_id;
	char setup_flag; /* 0: setup is there */
	char data_flag;	 /* 0: data follows */
	int64_t ts_sec;
	int32_t ts_usec;
	int32_t status;
	uint32_t urb_len;  /* bytes of the transfer */
	uint32_t data_len; /* bytes that follow */
	union {
		pcap_usb_setup setup; /* control transfers */
		iso_rec iso;	      /* isochronous transfers */
	} s;
	int32_t interval;
	int32_t start_frame;
	uint32_t xfer_flags;
	uint32_t ndesc; /* isochronous descriptors that follow */
} pcap_usb_header_mmapped;

/* One descriptor of an isochronous transfer. */
typedef struct _usb_isodesc {
	int32_t status;
	uint32_t offset;
	uint32_t len;
	uint8_t pad[4];
} usb_isodesc;

#endif
