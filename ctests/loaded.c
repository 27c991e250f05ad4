/*
 * The library loaded by dlopen, as extension modules of other languages pull it in: filters in threads from before and
 * after that, threads that end while it is unloaded, loading it again and again. Not linked with libpcap.
 *
 *   loaded LIBRARY now|lazy|global [ADDRESS]    ADDRESS: of oxpcap_filter_offset, to tell whether it was found
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pcap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRAMS = 5, PACKETS = 16, RUNS = 40000, THREADS = 4, LOADS = 12 };

static const char *filters[PROGRAMS] = {
	"tcp", "udp port 53", "ip6", "host 10.0.0.1", "tcp port 80 and greater 60",
};

static struct {
	void *library;
	pcap_t *(*open_dead)(int, int);
	void (*close)(pcap_t *);
	int (*compile)(pcap_t *, struct bpf_program *, const char *, int, bpf_u_int32);
	void (*freecode)(struct bpf_program *);
	int (*offline_filter)(const struct bpf_program *, const struct pcap_pkthdr *, const u_char *);
	u_int (*filter)(const struct bpf_insn *, const u_char *, u_int, u_int);
	const char *(*statustostr)(int);
} api;

static void *
find(const char *name)
{
	void *found = dlsym(api.library, name);

	if (found == NULL) {
		printf("no %s\n", name);
		exit(1);
	}
	return found;
}

static void
load(const char *path, int flags)
{
	api.library = dlopen(path, flags);
	if (api.library == NULL) {
		printf("%s\n", dlerror());
		exit(1);
	}
	*(void **)&api.open_dead = find("pcap_open_dead");
	*(void **)&api.close = find("pcap_close");
	*(void **)&api.compile = find("pcap_compile");
	*(void **)&api.freecode = find("pcap_freecode");
	*(void **)&api.offline_filter = find("pcap_offline_filter");
	*(void **)&api.filter = find("bpf_filter");
	*(void **)&api.statustostr = find("pcap_statustostr");
}

static void
fill(u_char *packet, int n)
{
	memset(packet, 0, 64);
	memcpy(packet + 12, n % 4 == 3 ? "\x86\xdd\x60\0\0\0\0\x14\x06" : "\x08\0\x45\0\0\x32\0\0\0", 9);
	packet[23] = n % 2 ? 6 : 17;
	memcpy(packet + 26, n % 3 ? "\x0a\0\0\x01" : "\x0a\0\0\x02", 4);
	packet[37] = n % 5 ? 80 : 53;
}

/* How often all programs accept; -1 if a verdict is not that of bpf_filter. */
static long
run_filters(void)
{
	struct bpf_program programs[PROGRAMS];
	u_char packets[PACKETS][64];
	u_int want[PROGRAMS][PACKETS];
	long accepted = 0;
	pcap_t *p = api.open_dead(DLT_EN10MB, 65535);

	for (int n = 0; n < PACKETS; n++)
		fill(packets[n], n);
	for (int i = 0; i < PROGRAMS; i++) {
		if (api.compile(p, &programs[i], filters[i], 1, 0) != 0)
			return -1;
		for (int n = 0; n < PACKETS; n++)
			want[i][n] = api.filter(programs[i].bf_insns, packets[n], 64, 64 - n % 2 * 20);
	}
	for (int run = 0; run < RUNS; run++)
		for (int i = 0; i < PROGRAMS; i++) {
			int n = run % PACKETS;
			struct pcap_pkthdr header = { .caplen = 64 - n % 2 * 20, .len = 64 };
			u_int got = api.offline_filter(&programs[i], &header, packets[n]);

			if (got != want[i][n])
				return -1;
			accepted += got != 0;
		}
	for (int i = 0; i < PROGRAMS; i++)
		api.freecode(&programs[i]);
	api.close(p);
	return accepted;
}

static pthread_barrier_t loaded, done, closed;

/* A thread from before the library, which outlives its being closed. */
static void *
old_thread(void *arg)
{
	pthread_barrier_wait(&loaded);
	*(long *)arg = run_filters();
	pthread_barrier_wait(&done);
	pthread_barrier_wait(&closed);
	return NULL;
}

static void *
new_thread(void *arg)
{
	*(long *)arg = run_filters();
	if (strcmp(api.statustostr(4711), "Unknown error: 4711") != 0)
		*(long *)arg = -1;
	pthread_exit(NULL);
}

static long
run_in_thread(void)
{
	pthread_t thread;
	long accepted = 0;

	pthread_create(&thread, NULL, new_thread, &accepted);
	pthread_join(thread, NULL);
	return accepted;
}

/* How many mappings have this in their line. */
static int
mappings(const char *what)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int count = 0;

	while (fgets(line, sizeof line, maps) != NULL)
		count += strstr(line, what) != NULL;
	fclose(maps);
	return count;
}

static const char generated_code[] = "r-xp 00000000 00:00 0 \n";

static const char *
place(const char *address)
{
	struct link_map *map;
	long offset;

	dlinfo(api.library, RTLD_DI_LINKMAP, &map);
	offset = *(long *)(map->l_addr + strtoul(address, NULL, 16));
	return offset < 0 ? "near" : offset > 0 ? "far" : "not looked for";
}

int
main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	long accepted[THREADS];
	int flags;

	if (argc < 3)
		return 2;
	flags = strcmp(argv[2], "now") == 0 ? RTLD_NOW : strcmp(argv[2], "lazy") == 0 ? RTLD_LAZY : RTLD_LAZY | RTLD_GLOBAL;
	pthread_barrier_init(&loaded, NULL, THREADS + 1);
	pthread_barrier_init(&done, NULL, THREADS + 1);
	pthread_barrier_init(&closed, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, old_thread, &accepted[i]);

	load(argv[1], flags);
	pthread_barrier_wait(&loaded);
	printf("new thread: %ld\n", run_in_thread());
	pthread_barrier_wait(&done);
	for (int i = 0; i < THREADS; i++)
		printf("old thread: %ld\n", accepted[i]);
	if (argc > 3)
		printf("table: %s\n", place(argv[3]));
	dlclose(api.library);
	pthread_barrier_wait(&closed);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	/* The C library keeps it loaded for as long as such threads run, and then until the next dlclose. */
	printf("code left behind: %d\n", mappings(generated_code));

	/* Sooner or later there is no room for its thread-local memory at a fixed place. */
	for (int i = 0; i < LOADS; i++) {
		load(argv[1], flags);
		printf("again: %ld\n", run_in_thread());
		dlclose(api.library);
	}
	printf("code left behind: %d, library: %d\n", mappings(generated_code), mappings("libpcap"));

	load(argv[1], flags);
	printf("main thread: %ld\n", run_filters());
	dlclose(api.library);
	return 0;
}
