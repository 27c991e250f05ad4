/*
 * Captures on the loopback interface that outlive what the process had when it started them: after chroot(2) and
 * giving up root, in a child after fork(2), and in a sandbox where every system call but those for packets is the end.
 */
#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pcap.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DATAGRAMS = 3000, PORT = 48998 };

static char errbuf[PCAP_ERRBUF_SIZE];
static int sender;

/* Opened before the sandbox. */
static void
open_sender(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sender = socket(AF_INET, SOCK_DGRAM, 0);
	connect(sender, (struct sockaddr *)&to, sizeof to);
}

/* Nobody listens: every other write is told so. */
static void
traffic(int count)
{
	for (int i = 0; i < count; i++)
		while (write(sender, "twelve bytes", 12) < 0 && errno == ECONNREFUSED)
			;
}

static pcap_t *
start(const char *filter)
{
	pcap_t *p = pcap_create("lo", errbuf);
	struct bpf_program program;

	pcap_set_snaplen(p, 256);
	pcap_set_timeout(p, 100);
	pcap_set_buffer_size(p, 16 << 20);
	if (pcap_activate(p) != 0 || pcap_compile(p, &program, filter, 1, 0) != 0 || pcap_setfilter(p, &program) != 0) {
		printf("%s\n", pcap_geterr(p));
		exit(2);
	}
	pcap_freecode(&program);
	return p;
}

static void
count(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	(void)bytes;
	*(int *)user += h->len == 54;
}

/* Makes traffic and reads it back; what was lost is no fault. */
static int
capture(pcap_t *p, int wanted)
{
	int seen = 0, status = 0;

	traffic(wanted);
	for (int i = 0; i < 200 && seen < wanted && status >= 0; i++)
		status = pcap_dispatch(p, -1, count, (u_char *)&seen);
	return status < 0 ? status : seen >= wanted;
}

static void
finish(const char *what, pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	printf("%s: %s %d\n", what, WIFSIGNALED(status) ? "signal" : "status",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* As `tcpdump -Z` and --chroot do. */
static int
unprivileged(pcap_t *p)
{
	struct pcap_stat stats;
	struct bpf_program program;
	int ok = chroot("/proc/self/fdinfo") == 0 && chdir("/") == 0 && setgroups(0, NULL) == 0 && setgid(65534) == 0 &&
	    setuid(65534) == 0;

	ok = ok && capture(p, DATAGRAMS) == 1 && pcap_stats(p, &stats) == 0;
	ok = ok && pcap_compile(p, &program, "udp dst port 48998 and greater 20", 1, 0) == 0 &&
	    pcap_setfilter(p, &program) == 0 && capture(p, 100) == 1;
	ok = ok && pcap_setnonblock(p, 1, errbuf) == 0 && pcap_setdirection(p, PCAP_D_IN) == 0;
	printf("new capture %d\n", pcap_activate(pcap_create("lo", errbuf)));
	pcap_close(p);
	return !ok;
}

#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Memory may be had and given back, but nothing opened, mapped from files, or made executable. */
static int
confine(void)
{
	struct sock_filter insns[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    ALLOW(read), ALLOW(write), ALLOW(poll), ALLOW(ppoll), ALLOW(recvfrom), ALLOW(recvmsg), ALLOW(brk),
	    ALLOW(munmap), ALLOW(close), ALLOW(exit_group), ALLOW(clock_gettime), ALLOW(gettimeofday), ALLOW(rt_sigreturn),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {sizeof insns / sizeof insns[0], insns};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) | prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int
confined(pcap_t *p)
{
	if (confine() != 0)
		return 3;
	return capture(p, DATAGRAMS) != 1;
}

/* The child uses the handle that its parent made, and closes it; the parent goes on with its own. */
static void
inherited(void)
{
	pcap_t *p = start("udp dst port 48998"), *own = start("udp dst port 48998");
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		int ok = capture(p, 500) == 1;

		pcap_close(p);
		pcap_close(own);
		exit(!ok);
	}
	finish("child with its parent's capture", pid);
	pcap_close(p);
	/* What the child made is here, too. */
	printf("parent %d\n", capture(own, 1000) == 1);
	pcap_close(own);
}

int
main(void)
{
	static const struct {
		const char *what;
		int (*run)(pcap_t *);
		const char *filter;
	} cases[] = {
	    {"unprivileged", unprivileged, "udp dst port 48998"},
	    {"confined", confined, "udp dst port 48998"},
	    /* In userland: the kernel takes no loops. */
	    {"confined, a loop", confined, "ip protochain 17 and udp dst port 48998"},
	};
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	setvbuf(stdout, NULL, _IONBF, 0);
	/* libpcap warns there of filters that the kernel does not take. */
	if (freopen("/dev/null", "w", stderr) == NULL)
		return 1;
	open_sender();
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(cases[i].run(start(cases[i].filter)));
		finish(cases[i].what, pid);
	}
	inherited();
	return 0;
}
