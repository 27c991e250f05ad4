/* What the plug-in's Rust side calls of DPDK. Results are 0 or a negative errno, unless said. */
#ifndef PCAPX_DPDK_SHIM_H
#define PCAPX_DPDK_SHIM_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <pcap/oxpcap-plugin.h>

#define OX_BURST 64		/* packets of one receive */
#define OX_MAX_PACKET 262144	/* libpcap's largest snapshot length */
#define OX_NAME 256

/* --- eal.c --- */

/* Whether this process has an EAL already, ours or its own. */
int ox_eal_running(void);
/* Starts the EAL on the calling thread, whose affinity this changes. What it would have printed
   goes to the log. */
int ox_eal_init(int argc, char **argv);
/* Text of a positive errno, DPDK's own included. */
const char *ox_strerror(int error);

/* From here to ox_quiet_end, what this thread prints through stdio goes to the log. */
void ox_quiet_begin(void);
void ox_quiet_end(void);
/* Where the log stands now. */
uint64_t ox_log_mark(void);
/* Copies what was logged since `mark`, as much of its end as fits, NUL-terminated. */
void ox_log_since(uint64_t mark, char *text, size_t size);

/* Begins to count forks. */
void ox_watch_forks(void);
/* Counts the forks between the process that started the EAL and this one. */
unsigned int ox_fork_generation(void);
/* Gives this thread a mempool cache, where the EAL is ours. Cheap when it has one. */
void ox_thread_enter(void);

/* --- pool.c, port.c, transfer.c --- */

/* A packet without data, stamped now. */
static inline struct pcapx_plugin_packet ox_stamp(int nanoseconds)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (struct pcapx_plugin_packet){ .sec = now.tv_sec,
		.frac = nanoseconds ? now.tv_nsec : now.tv_nsec / 1000 };
}

struct ox_port;

struct ox_port_config {
	uint16_t port;
	uint16_t rx_queues;	/* wanted */
	int first_queue;	/* of a running port: only this queue; -1: all */
	int promisc;
	uint32_t descriptors;	/* wanted per receive queue; 0: default */
	int nanoseconds;	/* in time stamps, not microseconds */
};

struct ox_port_facts {
	char name[OX_NAME];
	char driver[OX_NAME];
	uint8_t mac[6];
	int link_up;
};

int ox_port_find(const char *name, uint16_t *port);
int ox_port_exists(uint16_t port);
/* The first port that exists from `from` on; -ENOENT. */
int ox_port_next(uint16_t from);
int ox_port_facts(uint16_t port, struct ox_port_facts *facts);
int ox_plug(const char *bus, const char *name, const char *arguments);
int ox_unplug(const char *bus, const char *name);

/* Configures and starts a port, or joins one that the program itself runs. On failure *step
   names what failed. */
int ox_port_open(const struct ox_port_config *config, struct ox_port **port, const char **step);
/* Whether the port was running before. */
int ox_port_joined(const struct ox_port *port);
/* -ENOTSUP where promiscuous mode was wanted and cannot be had. */
int ox_port_promisc_result(const struct ox_port *port);
/* Stops the port unless it was joined. */
void ox_port_stop(struct ox_port *port);
/* Frees the rest; the device may have been unplugged between. */
void ox_port_free(struct ox_port *port);
/* Gives the port a filter (freed with it), or none. */
struct ox_filter;
void ox_port_set_filter(struct ox_port *port, struct ox_filter *filter);
/* Packets, or a negative errno. */
int ox_port_receive(struct ox_port *port, struct pcapx_plugin_packet *packets);
int ox_port_inject(struct ox_port *port, const uint8_t *frame, uint32_t len);
int ox_port_stats(struct ox_port *port, struct pcapx_plugin_stats *stats);
/* Buffers of the port's pool that are in use; for tests. */
unsigned int ox_port_buffers_in_use(const struct ox_port *port);
/* Pools that could not be freed yet because something still holds buffers of theirs. */
unsigned int ox_pools_waiting(void);

uint16_t ox_port_number(const struct ox_port *port);
/* Receive queues that are read. */
uint16_t ox_port_queues(const struct ox_port *port);
/* Whether its device was taken away. */
int ox_port_gone(const struct ox_port *port);

/* --- flow.c --- */

#define OX_FLOW_HEADER 40	/* bytes of the longest header */
#define OX_FLOW_ITEMS 5		/* most headers of a rule */

enum ox_flow_kind {
	OX_FLOW_ETHERNET,
	OX_FLOW_VLAN,
	OX_FLOW_IPV4,
	OX_FLOW_IPV6,
	OX_FLOW_TCP,
	OX_FLOW_UDP,
	OX_FLOW_SCTP,
};

/* A header: its bytes as they are in a packet. A tag begins behind its EtherType. */
struct ox_flow_item {
	uint32_t kind;
	uint8_t value[OX_FLOW_HEADER];
	uint8_t mask[OX_FLOW_HEADER];
};

struct ox_flows;

/* For the rules of a port that we configured, which must outlive them. */
int ox_flows_new(const struct ox_port *port, struct ox_flows **flows);
/* A rule that lets pass what matches; without items, one of lower priority that drops all. On
   failure *why may be the driver's text. */
int ox_flows_add(struct ox_flows *flows, const struct ox_flow_item *items, uint32_t count,
    const char **why);
/* Takes all rules away. */
int ox_flows_clear(struct ox_flows *flows);
void ox_flows_free(struct ox_flows *flows);

/* --- bpf.c --- */

struct rte_mbuf;

/* Loads eBPF over mbufs; with `native_size` not 0 its machine code too, which must be of that
   size (-EPROTO). */
int ox_filter_load(const struct pcapx_ebpf_insn *program, uint32_t count, size_t native_size,
    struct ox_filter **filter);
void ox_filter_free(struct ox_filter *filter);
/* Verdicts for up to OX_BURST packets. */
void ox_filter_run(const struct ox_filter *filter, struct rte_mbuf *const *packets,
    uint64_t *verdicts, uint32_t count);

/* --- pdump.c --- */

struct ox_pdump;

/* Whether this process would use the wrong driver for the primary's buffer pools. */
int ox_pools_mismatch(void);
/* The primary's configuration file, by whose lock its death is seen; kept open. */
void ox_watch_primary(int fd);
/* Begins to tap a port of the primary. On failure *step names what failed. */
int ox_pdump_open(uint16_t port, int nanoseconds, struct ox_pdump **dump, const char **step);
/* A filter for the primary to run; none with `count` 0. What is queued is dropped. */
int ox_pdump_set_filter(struct ox_pdump *dump, const struct pcapx_ebpf_insn *program,
    uint32_t count);
int ox_pdump_receive(struct ox_pdump *dump, struct pcapx_plugin_packet *packets);
int ox_pdump_stats(struct ox_pdump *dump, struct pcapx_plugin_stats *stats);
void ox_pdump_close(struct ox_pdump *dump);

#endif
