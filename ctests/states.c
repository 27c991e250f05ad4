/*
 * Every operation on a handle in every state that needs no network: prints the status, the handle's
 * error text and what else the call gives back. Each call runs in a child of its own, so that one
 * that kills the process is one line of the output and not the end of it.
 */
#include <errno.h>
#include <limits.h>
#include <pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *savefile;
static char errbuf[PCAP_ERRBUF_SIZE];

enum state { DEAD, DEAD_NANO, INACTIVE, OFFLINE, OFFLINE_NG, NULL_HANDLE, STATES };
static const char *const state_names[] = {"dead", "dead-nano", "inactive", "offline", "offline-ng", "null"};

static pcap_t *
make(enum state s)
{
	char path[512];

	switch (s) {
	case DEAD:
		return pcap_open_dead(DLT_EN10MB, 1000);
	case DEAD_NANO:
		return pcap_open_dead_with_tstamp_precision(DLT_RAW, 0, PCAP_TSTAMP_PRECISION_NANO);
	case INACTIVE:
		return pcap_create("lo", errbuf);
	case OFFLINE:
		snprintf(path, sizeof path, "%s/ssh.pcap", savefile);
		return pcap_open_offline(path, errbuf);
	case OFFLINE_NG:
		snprintf(path, sizeof path, "%s/isis-seg-fault-1.pcapng", savefile);
		return pcap_open_offline(path, errbuf);
	default:
		return NULL;
	}
}

static void
count(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	(void)h;
	(void)bytes;
	++*(int *)user;
}

static void
say(const char *what, pcap_t *p, long rc)
{
	printf("%s = %ld [%s] errbuf [%s]\n", what, rc, p ? pcap_geterr(p) : "-", errbuf);
}

static void
list(const char *what, pcap_t *p, int n, int *v, void (*release)(int *))
{
	say(what, p, n);
	for (int i = 0; i < n; i++)
		printf("  %d\n", v[i]);
	if (n > 0)
		release(v);
}

#define OPS(X)                                                                                     \
	X(snapshot, say("", p, pcap_snapshot(p)))                                                  \
	X(datalink, say("", p, pcap_datalink(p)))                                                  \
	X(datalink_ext, say("", p, pcap_datalink_ext(p)))                                          \
	X(is_swapped, say("", p, pcap_is_swapped(p)))                                              \
	X(major, say("", p, pcap_major_version(p)))                                                \
	X(minor, say("", p, pcap_minor_version(p)))                                                \
	X(bufsize, say("", p, pcap_bufsize(p)))                                                    \
	X(fileno, say("", p, pcap_fileno(p) >= 0))                                                 \
	X(selectable, say("", p, pcap_get_selectable_fd(p) >= 0))                                  \
	X(select_timeout, say("", p, pcap_get_required_select_timeout(p) != NULL))                 \
	X(file, say("", p, pcap_file(p) != NULL))                                                  \
	X(precision, say("", p, pcap_get_tstamp_precision(p)))                                     \
	X(getnonblock, say("", p, pcap_getnonblock(p, errbuf)))                                    \
	X(setnonblock, say("", p, pcap_setnonblock(p, 1, errbuf)))                                 \
	X(setnonblock0, say("", p, pcap_setnonblock(p, 0, errbuf)))                                \
	X(set_snaplen, say("", p, pcap_set_snaplen(p, 100)))                                       \
	X(set_promisc, say("", p, pcap_set_promisc(p, 1)))                                         \
	X(set_rfmon, say("", p, pcap_set_rfmon(p, 1)))                                             \
	X(can_set_rfmon, say("", p, pcap_can_set_rfmon(p)))                                        \
	X(set_timeout, say("", p, pcap_set_timeout(p, -1)))                                        \
	X(set_immediate, say("", p, pcap_set_immediate_mode(p, 1)))                                \
	X(set_buffer_size, say("", p, pcap_set_buffer_size(p, 0)))                                 \
	X(set_buffer_size_neg, say("", p, pcap_set_buffer_size(p, -5)))                            \
	X(set_precision, say("", p, pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO)))     \
	X(set_precision_bad, say("", p, pcap_set_tstamp_precision(p, 7)))                          \
	X(set_precision_neg, say("", p, pcap_set_tstamp_precision(p, -7)))                         \
	X(set_tstamp_type, say("", p, pcap_set_tstamp_type(p, PCAP_TSTAMP_HOST)))                  \
	X(set_tstamp_type_bad, say("", p, pcap_set_tstamp_type(p, 99)))                            \
	X(set_tstamp_type_neg, say("", p, pcap_set_tstamp_type(p, -1)))                            \
	X(set_tstamp_type_adapter, say("", p, pcap_set_tstamp_type(p, PCAP_TSTAMP_ADAPTER)))       \
	X(set_protocol, say("", p, pcap_set_protocol_linux(p, 0x800)))                             \
	X(setdirection, say("", p, pcap_setdirection(p, PCAP_D_IN)))                               \
	X(setdirection_bad, say("", p, pcap_setdirection(p, 42)))                                  \
	X(setdirection_inout, say("", p, pcap_setdirection(p, PCAP_D_INOUT)))                      \
	X(list_tstamp, v = NULL; n = pcap_list_tstamp_types(p, &v);                                \
	  list("", p, n, v, pcap_free_tstamp_types))                                               \
	X(list_dlt, v = NULL; n = pcap_list_datalinks(p, &v); list("", p, n, v, pcap_free_datalinks)) \
	X(set_datalink_same, say("", p, pcap_set_datalink(p, pcap_datalink(p))))                   \
	X(set_datalink_other, say("", p, pcap_set_datalink(p, DLT_IEEE802_11)))                    \
	X(set_datalink_unknown, say("", p, pcap_set_datalink(p, 9999)))                            \
	X(set_datalink_neg, say("", p, pcap_set_datalink(p, -1)))                                  \
	X(stats, memset(&st, 0, sizeof st); say("", p, pcap_stats(p, &st)))                        \
	X(inject, say("", p, pcap_inject(p, "abcdefghijklmn", 14)))                                \
	X(inject_huge, say("", p, pcap_inject(p, "abcdefghijklmn", (size_t)INT_MAX + 1)))          \
	X(sendpacket, say("", p, pcap_sendpacket(p, (const u_char *)"abcdefghijklmn", 14)))        \
	X(breakloop, pcap_breakloop(p); say("", p, 0))                                             \
	X(break_dispatch, pcap_breakloop(p); n = 0;                                                \
	  say("", p, pcap_dispatch(p, -1, count, (u_char *)&n)); printf("  %d\n", n);              \
	  say("", p, pcap_dispatch(p, -1, count, (u_char *)&n)); printf("  %d\n", n))              \
	X(loop, n = 0; say("", p, pcap_loop(p, -1, count, (u_char *)&n)); printf("  %d\n", n);     \
	  say("", p, pcap_loop(p, -1, count, (u_char *)&n)); printf("  %d\n", n))                  \
	X(loop2, n = 0; say("", p, pcap_loop(p, 2, count, (u_char *)&n)); printf("  %d\n", n))     \
	X(loop0, n = 0; say("", p, pcap_loop(p, 0, count, (u_char *)&n)); printf("  %d\n", n))     \
	X(dispatch, n = 0; say("", p, pcap_dispatch(p, -1, count, (u_char *)&n)); printf("  %d\n", n); \
	  say("", p, pcap_dispatch(p, -1, count, (u_char *)&n)); printf("  %d\n", n))              \
	X(dispatch3, n = 0; say("", p, pcap_dispatch(p, 3, count, (u_char *)&n)); printf("  %d\n", n)) \
	X(next, say("", p, pcap_next(p, &hdr) != NULL))                                            \
	X(next_ex, say("", p, pcap_next_ex(p, &hp, &bytes)))                                       \
	X(next_ex_end, while ((n = pcap_next_ex(p, &hp, &bytes)) == 1);                            \
	  say("", p, n); say("", p, pcap_next_ex(p, &hp, &bytes)))                                 \
	X(setfilter, n = pcap_compile_nopcap(100, DLT_EN10MB, &prog, "ip", 1, 0);                  \
	  say("", p, n); say("", p, pcap_setfilter(p, &prog)); pcap_freecode(&prog))               \
	X(setfilter_garbage, memset(&prog, 0, sizeof prog); say("", p, pcap_setfilter(p, &prog)))  \
	X(setfilter_noinsns, prog.bf_len = 3; prog.bf_insns = NULL; say("", p, pcap_setfilter(p, &prog))) \
	X(setfilter_bad, say("", p, pcap_setfilter(p, &bad)))                                      \
	X(setfilter_null, say("", p, pcap_setfilter(p, NULL)))                                     \
	X(compile, say("", p, pcap_compile(p, &prog, "tcp", 1, 0)); printf("  %u\n", prog.bf_len)) \
	X(compile_null, say("", p, pcap_compile(p, &prog, NULL, 1, 0)); printf("  %u\n", prog.bf_len)) \
	X(compile_empty, say("", p, pcap_compile(p, &prog, "", 77, 0)); printf("  %u\n", prog.bf_len)) \
	X(compile_bad, say("", p, pcap_compile(p, &prog, "((", 1, 0)))                             \
	X(compile_bad2, say("", p, pcap_compile(p, &prog, "port 99999", 1, 0)))                    \
	X(activate, say("", p, pcap_activate(p) > 0))                                              \
	X(geterr, say("", p, 0))                                                                   \
	X(perror, fflush(stdout); dup2(1, 2); pcap_perror(p, "prefix"))                            \
	X(dump_open_bad, say("", p, pcap_dump_open(p, "/nonexistent/x") != NULL))                  \
	X(dump_open_null, say("", p, pcap_dump_open(p, NULL) != NULL))                             \
	X(dump_append_bad, say("", p, pcap_dump_open_append(p, "/nonexistent/x") != NULL))         \
	X(dump_append_null, say("", p, pcap_dump_open_append(p, NULL) != NULL))                    \
	X(close, pcap_close(p); printf("closed\n"))

#define NAME(n, body) #n,
static const char *const op_names[] = {OPS(NAME)};

static void
run(int op, pcap_t *p)
{
	struct pcap_stat st;
	struct pcap_pkthdr hdr, *hp;
	const u_char *bytes;
	struct bpf_program prog = {0, NULL};
	struct bpf_insn bad_insns[1] = {{0xffff, 0, 0, 0}};
	struct bpf_program bad = {1, bad_insns};
	int n, *v, at = 0;

	(void)st, (void)hdr, (void)hp, (void)bytes, (void)prog, (void)bad, (void)n, (void)v;
#define CASE(name, body)                                                                           \
	if (op == at++) {                                                                          \
		body;                                                                              \
		return;                                                                            \
	}
	OPS(CASE)
}

int
main(int argc, char **argv)
{
	struct rlimit none = {0, 0};
	int ops = sizeof op_names / sizeof op_names[0];

	savefile = argc > 1 ? argv[1] : "data";
	setrlimit(RLIMIT_CORE, &none);
	for (int s = 0; s < STATES; s++) {
		for (int op = 0; op < ops; op++) {
			int status;
			pid_t pid;

			printf("%s %s: ", state_names[s], op_names[op]);
			fflush(stdout);
			pid = fork();
			if (pid == 0) {
				pcap_t *p = make(s);

				if (p == NULL && s != NULL_HANDLE) {
					printf("no handle: %s\n", errbuf);
					exit(0);
				}
				run(op, p);
				fflush(stdout);
				_exit(0);
			}
			waitpid(pid, &status, 0);
			if (WIFSIGNALED(status))
				printf("killed\n");
			fflush(stdout);
		}
	}
	return 0;
}
