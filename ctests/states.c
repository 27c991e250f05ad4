/*
 * Every operation on a handle in every state that needs no network: prints the status, the handle's
 * error text and what else the call gives back. Each call runs in a child of its own, so that one
 * that kills the process is one line of the output and not the end of it.
 *
 *     states FOLDER            what both libraries do alike
 *     states FOLDER survive    also what kills a process on libpcap, and what docs/COMPAT.md says
 *                              differs: fails if a child is killed
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

/* libpcap puts after some texts what errno was before: not shown. */
static void
say_without_errno(pcap_t *p, long rc)
{
	const char *text = p ? pcap_geterr(p) : "-";

	printf("%ld [%.*s]\n", rc, (int)strcspn(text, ":"), text);
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

#define OPS(X) \
	X(snapshot, BOTH, say("", p, pcap_snapshot(p))) \
	X(datalink, BOTH, say("", p, pcap_datalink(p))) \
	X(datalink_ext, BOTH, say("", p, pcap_datalink_ext(p))) \
	X(is_swapped, BOTH, say("", p, pcap_is_swapped(p))) \
	X(major, BOTH, say("", p, pcap_major_version(p))) \
	X(minor, BOTH, say("", p, pcap_minor_version(p))) \
	X(bufsize, BOTH, say("", p, pcap_bufsize(p))) \
	X(fileno, OURS, say("", p, pcap_fileno(p) >= 0)) \
	X(selectable, OURS, say("", p, pcap_get_selectable_fd(p) >= 0)) \
	X(select_timeout, BOTH, say("", p, pcap_get_required_select_timeout(p) != NULL)) \
	X(file, BOTH, say("", p, pcap_file(p) != NULL)) \
	X(precision, BOTH, say("", p, pcap_get_tstamp_precision(p))) \
	X(getnonblock, BOTH, say("", p, pcap_getnonblock(p, errbuf))) \
	X(setnonblock, BOTH, say("", p, pcap_setnonblock(p, 1, errbuf))) \
	X(setnonblock0, BOTH, say("", p, pcap_setnonblock(p, 0, errbuf))) \
	X(set_snaplen, BOTH, say("", p, pcap_set_snaplen(p, 100))) \
	X(set_promisc, BOTH, say("", p, pcap_set_promisc(p, 1))) \
	X(set_rfmon, BOTH, say("", p, pcap_set_rfmon(p, 1))) \
	X(can_set_rfmon, BOTH, say("", p, pcap_can_set_rfmon(p))) \
	X(set_timeout, BOTH, say("", p, pcap_set_timeout(p, -1))) \
	X(set_immediate, BOTH, say("", p, pcap_set_immediate_mode(p, 1))) \
	X(set_buffer_size, BOTH, say("", p, pcap_set_buffer_size(p, 0))) \
	X(set_buffer_size_neg, BOTH, say("", p, pcap_set_buffer_size(p, -5))) \
	X(set_precision, BOTH, say("", p, pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO))) \
	X(set_precision_bad, BOTH, say("", p, pcap_set_tstamp_precision(p, 7))) \
	X(set_precision_neg, BOTH, say("", p, pcap_set_tstamp_precision(p, -7))) \
	X(set_tstamp_type, BOTH, say("", p, pcap_set_tstamp_type(p, PCAP_TSTAMP_HOST))) \
	X(set_tstamp_type_bad, BOTH, say("", p, pcap_set_tstamp_type(p, 99))) \
	X(set_tstamp_type_neg, BOTH, say("", p, pcap_set_tstamp_type(p, -1))) \
	X(set_tstamp_type_adapter, BOTH, say("", p, pcap_set_tstamp_type(p, PCAP_TSTAMP_ADAPTER))) \
	X(set_protocol, BOTH, say("", p, pcap_set_protocol_linux(p, 0x800))) \
	X(setdirection, BOTH, say("", p, pcap_setdirection(p, PCAP_D_IN))) \
	X(setdirection_bad, BOTH, say("", p, pcap_setdirection(p, 42))) \
	X(setdirection_inout, BOTH, say("", p, pcap_setdirection(p, PCAP_D_INOUT))) \
	X(list_tstamp, BOTH, v = NULL; n = pcap_list_tstamp_types(p, &v); \
	  list("", p, n, v, pcap_free_tstamp_types)) \
	X(list_dlt, BOTH, v = NULL; n = pcap_list_datalinks(p, &v); list("", p, n, v, pcap_free_datalinks)) \
	X(set_datalink_same, BOTH, say("", p, pcap_set_datalink(p, pcap_datalink(p)))) \
	X(set_datalink_other, BOTH, say("", p, pcap_set_datalink(p, DLT_IEEE802_11))) \
	X(set_datalink_unknown, BOTH, say("", p, pcap_set_datalink(p, 9999))) \
	X(set_datalink_neg, BOTH, say("", p, pcap_set_datalink(p, -1))) \
	X(stats, BOTH, memset(&st, 0, sizeof st); say("", p, pcap_stats(p, &st))) \
	X(inject, BOTH, say("", p, pcap_inject(p, "abcdefghijklmn", 14))) \
	X(inject_nothing, BOTH, say_without_errno(p, pcap_inject(p, "x", 0))) \
	X(send_nothing, BOTH, say_without_errno(p, pcap_sendpacket(p, (const u_char *)"x", 0))) \
	X(send_negative, BOTH, say_without_errno(p, pcap_sendpacket(p, (const u_char *)"x", -1))) \
	X(inject_huge, OURS, say("", p, pcap_inject(p, "abcdefghijklmn", (size_t)INT_MAX + 1))) \
	X(sendpacket, OURS, say("", p, pcap_sendpacket(p, (const u_char *)"abcdefghijklmn", 14))) \
	X(breakloop, BOTH, pcap_breakloop(p); say("", p, 0)) \
	X(break_dispatch, BOTH, pcap_breakloop(p); n = 0; \
	  say("", p, pcap_dispatch(p, -1, count, (u_char *)&n)); printf("  %d\n", n); \
	  say("", p, pcap_dispatch(p, -1, count, (u_char *)&n)); printf("  %d\n", n)) \
	X(loop, BOTH, n = 0; say("", p, pcap_loop(p, -1, count, (u_char *)&n)); printf("  %d\n", n); \
	  say("", p, pcap_loop(p, -1, count, (u_char *)&n)); printf("  %d\n", n)) \
	X(loop2, BOTH, n = 0; say("", p, pcap_loop(p, 2, count, (u_char *)&n)); printf("  %d\n", n)) \
	X(loop0, BOTH, n = 0; say("", p, pcap_loop(p, 0, count, (u_char *)&n)); printf("  %d\n", n)) \
	X(dispatch, BOTH, n = 0; say("", p, pcap_dispatch(p, -1, count, (u_char *)&n)); printf("  %d\n", n); \
	  say("", p, pcap_dispatch(p, -1, count, (u_char *)&n)); printf("  %d\n", n)) \
	X(dispatch3, BOTH, n = 0; say("", p, pcap_dispatch(p, 3, count, (u_char *)&n)); printf("  %d\n", n)) \
	X(next, BOTH, say("", p, pcap_next(p, &hdr) != NULL)) \
	X(next_ex, BOTH, say("", p, pcap_next_ex(p, &hp, &bytes))) \
	X(next_ex_end, BOTH, while ((n = pcap_next_ex(p, &hp, &bytes)) == 1); \
	  say("", p, n); say("", p, pcap_next_ex(p, &hp, &bytes))) \
	X(setfilter, BOTH, n = pcap_compile_nopcap(100, DLT_EN10MB, &prog, "ip", 1, 0); \
	  say("", p, n); say("", p, pcap_setfilter(p, &prog)); pcap_freecode(&prog)) \
	X(setfilter_garbage, BOTH, memset(&prog, 0, sizeof prog); say("", p, pcap_setfilter(p, &prog))) \
	X(setfilter_noinsns, OURS, prog.bf_len = 3; prog.bf_insns = NULL; say("", p, pcap_setfilter(p, &prog))) \
	X(setfilter_bad, BOTH, say("", p, pcap_setfilter(p, &bad))) \
	X(setfilter_null, OURS, say("", p, pcap_setfilter(p, NULL))) \
	X(compile, BOTH, say("", p, pcap_compile(p, &prog, "tcp", 1, 0)); printf("  %u\n", prog.bf_len)) \
	X(compile_null, BOTH, say("", p, pcap_compile(p, &prog, NULL, 1, 0)); printf("  %u\n", prog.bf_len)) \
	X(compile_empty, BOTH, say("", p, pcap_compile(p, &prog, "", 77, 0)); printf("  %u\n", prog.bf_len)) \
	X(compile_bad, BOTH, say("", p, pcap_compile(p, &prog, "((", 1, 0))) \
	X(compile_bad2, BOTH, say("", p, pcap_compile(p, &prog, "port 99999", 1, 0))) \
	X(activate, BOTH, say("", p, pcap_activate(p) > 0)) \
	X(geterr, BOTH, say("", p, 0)) \
	X(perror, BOTH, fflush(stdout); dup2(1, 2); pcap_perror(p, "prefix")) \
	X(dump_open_bad, BOTH, say("", p, pcap_dump_open(p, "/nonexistent/x") != NULL)) \
	X(dump_open_null, BOTH, say("", p, pcap_dump_open(p, NULL) != NULL)) \
	X(dump_append_bad, OURS, say("", p, pcap_dump_open_append(p, "/nonexistent/x") != NULL)) \
	X(dump_append_null, BOTH, say("", p, pcap_dump_open_append(p, NULL) != NULL)) \
	X(close, BOTH, pcap_close(p); printf("closed\n"))

enum who { BOTH, OURS };
#define NAME(n, who, body) #n,
static const char *const op_names[] = {OPS(NAME)};
#define WHO(n, who, body) who,
static const enum who op_who[] = {OPS(WHO)};

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
#define CASE(name, who, body)                                                                           \
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
	int survive = argc > 2 && strcmp(argv[2], "survive") == 0;
	int killed = 0;

	savefile = argc > 1 ? argv[1] : "data";
	setrlimit(RLIMIT_CORE, &none);
	for (int s = 0; s < STATES; s++) {
		for (int op = 0; op < ops; op++) {
			int status;
			pid_t pid;

			if (!survive && (s == NULL_HANDLE || op_who[op] == OURS))
				continue;

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
			if (WIFSIGNALED(status)) {
				printf("killed\n");
				killed++;
			}
			fflush(stdout);
		}
	}
	return survive && killed > 0;
}
