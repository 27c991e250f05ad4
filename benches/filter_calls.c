/*
 * Times calls of pcap_offline_filter and bpf_filter of the library that it is run with: see filter_calls.sh.
 *
 *   filter_calls compile                 prints the programs of the everyday filters
 *   filter_calls time PROGRAMS           nanoseconds a packet, for each program and mix of packets
 *   filter_calls few PROGRAMS            nanoseconds a packet of a new program that runs 1 to 100,000 times
 *
 * Compiled with -DLOADED it has no library of its own and loads the one named LIBRARY in the environment.
 */
#include <dlfcn.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef LOADED
static int (*offline_filter)(const struct bpf_program *, const struct pcap_pkthdr *, const u_char *);
static u_int (*raw_filter)(const struct bpf_insn *, const u_char *, u_int, u_int);
#define pcap_offline_filter offline_filter
#define bpf_filter raw_filter
#endif

enum { FILTERS = 7, ROUNDS = 15, CALLS = 100000, MAX_PACKETS = 1000 };

static char filters[FILTERS][128];

struct packet {
    struct pcap_pkthdr header;
    u_char bytes[1520];
};
static struct packet packets[MAX_PACKETS];

struct mix {
    const char *name;
    int packets;
    void (*fill)(struct packet *, int);
};

static void put16(u_char *at, unsigned value)
{
    at[0] = value >> 8;
    at[1] = value & 0xff;
}

/* Packet n of a mix of protocols, hosts and ports, as in bpf.rs. */
static void fill(struct packet *packet, int n, int len)
{
    static const u_char protocols[] = { 6, 6, 17, 6, 1 };
    static const u_char hosts[][4] = { { 1, 2, 3, 4 }, { 10, 0, 0, 1 }, { 192, 168, 1, 7 }, { 8, 8, 8, 8 } };
    static const u_short ports[] = { 80, 443, 8888, 22, 53, 5060 };
    static const u_char flags[] = { 2, 0x10, 0x18 };
    u_char *p = packet->bytes;

    memset(packet, 0, sizeof *packet);
    packet->header.caplen = packet->header.len = len;
    memset(p, 2, 12);
    if (n % 11 == 0) {
        memcpy(p + 12, "\x86\xdd\x60\0\0\0\0\x14", 8);
        p[20] = protocols[n % 5];
        p[21] = 64;
    } else if (n % 11 == 1) {
        memcpy(p + 12, "\x08\x06\0\x01\x08\0\x06\x04\0\x01", 10);
    } else {
        memcpy(p + 12, "\x08\0\x45\0", 4);
        put16(p + 16, len - 14);
        memcpy(p + 18, "\0\0\x40\0\x40", 5);
        p[23] = protocols[n % 5];
        memcpy(p + 26, "\xac\x10\0\x09", 4);
        memcpy(p + 30, hosts[n % 4], 4);
        put16(p + 34, 40000);
        put16(p + 36, ports[n % 6]);
        memcpy(p + 38, "\0\0\0\x01\0\0\0\x02\x50", 9);
        p[47] = flags[n % 3];
    }
}

static void fill_one(struct packet *packet, int n)
{
    (void)n;
    fill(packet, 8, 64);
}

static void fill_small(struct packet *packet, int n)
{
    fill(packet, n, 64);
}

static void fill_mixed(struct packet *packet, int n)
{
    static const int lens[] = { 64, 64, 128, 576, 1500, 60 };
    fill(packet, n * 7 + n / 3, lens[n % 6]);
}

static const struct mix mixes[] = {
    { "one", 1, fill_one },
    { "64-byte", 100, fill_small },
    { "mixed", 1000, fill_mixed },
};
enum { MIXES = sizeof mixes / sizeof mixes[0] };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, count, sizeof *values, ascending);
    return values[count / 2];
}

static unsigned accepted;

static void run_offline(const struct bpf_program *program, int count, int calls)
{
    for (int left = calls; left > 0; left -= count)
        for (int n = 0; n < count && n < left; n++)
            accepted += pcap_offline_filter(program, &packets[n].header, packets[n].bytes) != 0;
}

static void run_raw(const struct bpf_program *program, int count, int calls)
{
    for (int left = calls; left > 0; left -= count)
        for (int n = 0; n < count && n < left; n++) {
            const struct pcap_pkthdr *h = &packets[n].header;
            accepted += bpf_filter(program->bf_insns, packets[n].bytes, h->len, h->caplen) != 0;
        }
}

typedef void run(const struct bpf_program *, int, int);

static double time_calls(run *run, const struct bpf_program *program, int count)
{
    double samples[ROUNDS];
    run(program, count, CALLS / 10);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now();
        run(program, count, CALLS);
        samples[round] = (now() - start) / CALLS;
    }
    return median(samples, ROUNDS);
}

#ifdef LOADED
static void print_programs(void)
{
    exit(2);
}

static void load(void)
{
    void *library = dlopen(getenv("LIBRARY"), RTLD_NOW);
    if (library == NULL)
        exit(3);
    *(void **)&offline_filter = dlsym(library, "pcap_offline_filter");
    *(void **)&raw_filter = dlsym(library, "bpf_filter");
}
#else
static void load(void)
{
}

static void print_programs(void)
{
    pcap_t *p = pcap_open_dead(DLT_EN10MB, 262144);
    for (int i = 0; i < FILTERS; i++) {
        struct bpf_program program;
        if (pcap_compile(p, &program, filters[i], 1, PCAP_NETMASK_UNKNOWN) != 0) {
            fprintf(stderr, "%s\n", pcap_geterr(p));
            exit(1);
        }
        printf("%u\n", program.bf_len);
        for (unsigned n = 0; n < program.bf_len; n++) {
            const struct bpf_insn *insn = &program.bf_insns[n];
            printf("%u %u %u %u\n", insn->code, insn->jt, insn->jf, insn->k);
        }
        pcap_freecode(&program);
    }
    pcap_close(p);
}
#endif

static struct bpf_program read_program(FILE *file)
{
    struct bpf_program program;
    if (fscanf(file, "%u", &program.bf_len) != 1)
        exit(1);
    program.bf_insns = calloc(program.bf_len, sizeof *program.bf_insns);
    for (unsigned n = 0; n < program.bf_len; n++) {
        unsigned code, jt, jf, k;
        if (fscanf(file, "%u %u %u %u", &code, &jt, &jf, &k) != 4)
            exit(1);
        program.bf_insns[n] = (struct bpf_insn){ code, jt, jf, k };
    }
    return program;
}

/* The mean time of a run of `calls` calls of a program that the library has not seen yet. */
static double time_new(const struct bpf_program *program, int count, int calls)
{
    enum { PROGRAMS = 64 };
    static struct bpf_program copies[PROGRAMS];
    double start, total;
    int repeat = calls > 2000 ? 4 : PROGRAMS;
    for (int i = 0; i < repeat; i++) {
        size_t size = program->bf_len * sizeof *program->bf_insns;
        copies[i] = *program;
        copies[i].bf_insns = malloc(size);
        memcpy(copies[i].bf_insns, program->bf_insns, size);
    }
    start = now();
    for (int i = 0; i < repeat; i++)
        run_offline(&copies[i], count, calls);
    total = now() - start;
    for (int i = 0; i < repeat; i++)
        free(copies[i].bf_insns);
    return total / repeat;
}

static void time_all(FILE *file)
{
    for (int i = 0; i < FILTERS; i++) {
        struct bpf_program program = read_program(file);
        for (int m = 0; m < MIXES; m++) {
            for (int n = 0; n < mixes[m].packets; n++)
                mixes[m].fill(&packets[n], n);
            printf("| pcap_offline_filter | %s | `%s` |\t%.2f\n", mixes[m].name, filters[i],
                time_calls(run_offline, &program, mixes[m].packets));
            printf("| bpf_filter | %s | `%s` |\t%.2f\n", mixes[m].name, filters[i],
                time_calls(run_raw, &program, mixes[m].packets));
        }
        free(program.bf_insns);
    }
}

static void time_few(FILE *file)
{
    for (int n = 0; n < MAX_PACKETS; n++)
        fill_mixed(&packets[n], n);
    for (int i = 0; i < FILTERS; i++) {
        struct bpf_program program = read_program(file);
        time_new(&program, 100, 10);
        for (int calls = 1; calls <= 100000; calls *= 10) {
            double samples[ROUNDS];
            for (int round = 0; round < ROUNDS; round++)
                samples[round] = time_new(&program, MAX_PACKETS, calls);
            printf("| pcap_offline_filter | %d runs | `%s` |\t%.2f\n", calls, filters[i],
                median(samples, ROUNDS) / calls);
        }
        free(program.bf_insns);
    }
}

/* Reads everyday.txt, which the Rust benchmarks share. */
static void read_filters(void)
{
    FILE *file = fopen("everyday.txt", "r");
    for (int i = 0; i < FILTERS; i++) {
        if (file == NULL || fgets(filters[i], sizeof filters[i], file) == NULL)
            exit(2);
        filters[i][strcspn(filters[i], "\n")] = '\0';
    }
    fclose(file);
}

int main(int argc, char **argv)
{
    load();
    read_filters();
    FILE *file = argc == 3 ? fopen(argv[2], "r") : NULL;
    if (argc == 2 && strcmp(argv[1], "compile") == 0)
        print_programs();
    else if (file != NULL && strcmp(argv[1], "time") == 0)
        time_all(file);
    else if (file != NULL && strcmp(argv[1], "few") == 0)
        time_few(file);
    else
        return 2;
    if (file != NULL)
        fclose(file);
    return accepted == 0 && file != NULL;
}
