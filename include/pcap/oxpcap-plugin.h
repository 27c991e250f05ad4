/*
 * The C ABI between libpcap (oxpcap) and a capture plug-in, version 2.
 *
 * A plug-in is a shared object named libpcap-SCHEME.so that exports the data symbol
 * `pcapx_plugin`. When a device named "SCHEME:rest" is opened, libpcap looks for it in the
 * directory PCAP_PLUGIN_DIR names (not in set-user-ID programs), then in its own directory, then
 * along the dynamic linker's path, and loads it; it is never unloaded. "dpdk:" and "dpdk-pdump:"
 * both belong to libpcap-dpdk.so.
 *
 * Rules
 *  - `abi` must equal PCAPX_PLUGIN_ABI. Structures grow only at their end; the `size` field that
 *    the writer of a structure sets says how much of it there is.
 *  - No function may print, exit, abort, raise signals, or unwind or longjmp through libpcap.
 *  - A source is used by one thread at a time, not always the same one. Different sources are
 *    used from different threads at once. `list` and `open` may be called from any thread.
 *  - Negative results are PCAP_ERROR_* of <pcap/pcap.h>, with a NUL-terminated text in `error`.
 */
#ifndef lib_pcap_oxpcap_plugin_h
#define lib_pcap_oxpcap_plugin_h

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PCAPX_PLUGIN_ABI 2
#define PCAPX_PLUGIN_ERROR_TEXT 512

struct pcapx_plugin_error {
	char text[PCAPX_PLUGIN_ERROR_TEXT];
};

/* What pcap_set_*() asked for. */
struct pcapx_plugin_config {
	uint32_t size;		/* sizeof this structure */
	uint32_t snaplen;	/* bytes wanted of each packet, 1 to 262144 */
	int promisc;		/* not 0: promiscuous mode */
	int tstamp_type;	/* PCAP_TSTAMP_* */
	uint32_t buffer_size;	/* bytes of buffering; 0 is the plug-in's default */
	uint32_t precision;	/* of time stamps: 0 microseconds, 1 nanoseconds */
};

/* What open() gives. */
struct pcapx_plugin_opened {
	uint32_t size;		/* sizeof this structure, set by libpcap */
	int linktype;		/* DLT_* */
	void *source;		/* handed to every other function */
	uint32_t burst;		/* most packets one receive() gives, 1 to 1024 */
	int fd;			/* readable when packets wait, or -1: libpcap polls receive() */
};

/* One packet. Its bytes stay valid until the next receive() or close() of its source. */
struct pcapx_plugin_packet {
	int64_t sec;		/* seconds since the epoch; one clock read serves a whole burst */
	int64_t frac;		/* microseconds, or nanoseconds where these were asked for */
	uint32_t caplen;	/* bytes present: up to the smaller of len and 262144 */
	uint32_t len;		/* bytes on the wire */
	const uint8_t *data;	/* caplen contiguous bytes */
};

struct pcapx_ebpf_insn;		/* struct ebpf_insn of DPDK, struct bpf_insn of <linux/bpf.h> */
struct bpf_insn;		/* <pcap/bpf.h> */

#define PCAPX_PLUGIN_FILTER_AUTO	0 /* take it if that is better than libpcap's own JIT */
#define PCAPX_PLUGIN_FILTER_INTERPRETER	1 /* take it with an interpreter, or fail */
#define PCAPX_PLUGIN_FILTER_JIT		2 /* take it with a JIT, or fail */
#define PCAPX_PLUGIN_FILTER_NONE	3 /* leave it to libpcap, drop the filter that was taken */

/* Of receive(): packets came, the plug-in's filter wanted none; libpcap polls again at once. */
#define PCAPX_PLUGIN_REJECTED	0x10000

struct pcapx_plugin_filter {
	uint32_t size;			/* sizeof this structure */
	int how;			/* PCAPX_PLUGIN_FILTER_* */
	const struct bpf_insn *cbpf;	/* the classic program */
	const struct pcapx_ebpf_insn *ebpf; /* the same as eBPF, packet context in R1, or null */
	uint32_t cbpf_len;
	uint32_t ebpf_len;
};

/* Counters since open(). */
struct pcapx_plugin_stats {
	uint32_t size;		/* sizeof this structure, set by libpcap */
	uint32_t reserved;
	uint64_t dropped;	/* lost for want of buffers, because the reader was slow */
	uint64_t if_dropped;	/* lost in the device or driver for other reasons */
	uint64_t accepted;	/* passed the plug-in's filter; UINT64_MAX: libpcap counts */
};

struct pcapx_plugin_device {
	uint32_t size;		/* sizeof this structure */
	uint32_t flags;		/* PCAP_IF_* */
	const char *name;	/* as open() takes it, scheme included */
	const char *description; /* or null */
};

typedef void (*pcapx_plugin_visit)(void *user, const struct pcapx_plugin_device *);

struct pcapx_plugin {
	uint32_t abi;		/* PCAPX_PLUGIN_ABI */
	uint32_t size;		/* sizeof this structure */
	const char *name;
	const char *version;	/* what it runs on, for people */

	/* Calls visit() for each device. 0 or PCAP_ERROR_*. May be null: none to list. */
	int (*list)(const char *scheme, pcapx_plugin_visit visit, void *user,
	    struct pcapx_plugin_error *error);
	/* Opens "SCHEME:rest". 0, PCAP_WARNING_* with a text, or PCAP_ERROR_*. */
	int (*open)(const char *device, const struct pcapx_plugin_config *config,
	    struct pcapx_plugin_opened *opened, struct pcapx_plugin_error *error);
	void (*close)(void *source);
	/* Releases the packets of the last call, then takes up to max (at least `burst`) new ones
	   without waiting. Packets written, 0 for none, PCAPX_PLUGIN_REJECTED, or PCAP_ERROR_*.
	   No allocation, no system call of its own. */
	int (*receive)(void *source, struct pcapx_plugin_packet *packets, uint32_t max,
	    struct pcapx_plugin_error *error);
	/* Sends one frame. Bytes sent or PCAP_ERROR_*. May be null: cannot send. */
	int (*inject)(void *source, const uint8_t *frame, uint32_t len,
	    struct pcapx_plugin_error *error);
	/* 0 or PCAP_ERROR_*. May be null: all zero. */
	int (*stats)(void *source, struct pcapx_plugin_stats *stats,
	    struct pcapx_plugin_error *error);
	/* Offers a filter. 1: taken, receive() gives only packets it accepted, from the next call
	   on, their caplen no more than the filter returned. 0: left to libpcap; the plug-in may
	   still keep packets away that the filter rejects. `error` may then hold a sentence for
	   pcapx_filter_mode_text() (libpcap passes it empty). Or PCAP_ERROR_*, with the filter as
	   it was. May be null: all left to libpcap. */
	int (*set_filter)(void *source, const struct pcapx_plugin_filter *filter,
	    struct pcapx_plugin_error *error);
};

/* What the plug-in defines. */
extern const struct pcapx_plugin pcapx_plugin;

#ifdef __cplusplus
}
#endif
#endif
