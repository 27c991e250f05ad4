/* Odd uses of savefiles: the standard streams, pipes, positions, full disks, files beyond 4 GiB. */
#include <errno.h>
#include <fcntl.h>
#include <pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char err[PCAP_ERRBUF_SIZE];
/* Not the standard output, which 1.10.3 closes. */
static FILE *out;

static void
put(pcap_dumper_t *d, unsigned length)
{
	static u_char data[4096];
	struct pcap_pkthdr h = {.ts = {1, 2}, .caplen = length, .len = length};

	memset(data, (int)length, sizeof data);
	pcap_dump((u_char *)d, &h, data);
}

/* Reads to the end. */
static void
drain(const char *what, pcap_t *p)
{
	struct pcap_pkthdr *h;
	const u_char *data;
	unsigned long sum = 0;
	int n = 0, status;

	if (p == NULL) {
		fprintf(out, "%s: %s\n", what, err);
		return;
	}
	while ((status = pcap_next_ex(p, &h, &data)) == 1) {
		n++;
		sum += h->caplen + data[0];
	}
	fprintf(out, "%s: %d packets, %lu, %d %s, dlt %d snap %d swapped %d\n", what, n, sum, status, pcap_geterr(p), pcap_datalink(p),
	       pcap_snapshot(p), pcap_is_swapped(p));
}

static void
write_file(const char *path, int packets)
{
	pcap_t *p = pcap_open_dead(DLT_EN10MB, 65535);
	pcap_dumper_t *d = pcap_dump_open(p, path);

	for (int i = 0; i < packets; i++)
		put(d, 60 + (unsigned)i % 1000);
	pcap_dump_close(d);
	pcap_close(p);
}

static void
standard_streams(const char *path)
{
	pcap_t *p = pcap_open_dead(DLT_EN10MB, 65535), *q;
	pcap_dumper_t *d;
	int in = dup(0), fd;

	fflush(stdout);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	dup2(fd, 1);
	close(fd);
	d = pcap_dump_open(p, "-");
	put(d, 100);
	fprintf(out, "stdout: %d ftell %ld\n", pcap_dump_file(d) == stdout, pcap_dump_ftell(d));
	pcap_dump_close(d);
	fd = open(path, O_RDONLY);
	dup2(fd, 0);
	close(fd);
	q = pcap_open_offline("-", err);
	fprintf(out, "stdin %d fileno %d selectable %d\n", pcap_file(q) == stdin, pcap_fileno(q), pcap_get_selectable_fd(q));
	drain("stdin", q);
	pcap_close(q);
	fprintf(out, "stdin open: %d eof %d\n", fcntl(0, F_GETFD) >= 0, feof(stdin) != 0);
	rewind(stdin);
	drain("stdin again", q = pcap_open_offline("-", err));
	if (q)
		pcap_close(q);
	dup2(in, 0);
	close(in);
	pcap_close(p);
}

static void
pipes(const char *path)
{
	char command[4096];
	FILE *f;
	pcap_t *p;

	snprintf(command, sizeof command, "cat '%s'", path);
	f = popen(command, "r");
	p = pcap_fopen_offline(f, err);
	fprintf(out, "pipe: file %d\n", pcap_file(p) == f);
	drain("pipe", p);
	/* Closes the stream; popen's child is left to init. */
	pcap_close(p);
	snprintf(command, sizeof command, "head -c 30 '%s'", path);
	drain("short pipe", p = pcap_fopen_offline(popen(command, "r"), err));
	pcap_close(p);
	f = popen("true", "r");
	drain("empty pipe", p = pcap_fopen_offline(f, err));
	fprintf(out, "left open: %d\n", fcntl(fileno(f), F_GETFD) >= 0);
	pclose(f);
	f = popen("head -c 24 /dev/zero", "r");
	drain("zeros", p = pcap_fopen_offline(f, err));
	pclose(f);
}

static void
positions(const char *path)
{
	FILE *f = fopen(path, "r+b");
	struct pcap_pkthdr *h;
	const u_char *data;
	int fd = fileno(f);
	pcap_t *p = pcap_fopen_offline(f, err);

	fprintf(out, "after the header: %ld\n", ftell(f));
	for (int i = 0; i < 3; i++) {
		pcap_next_ex(p, &h, &data);
		fprintf(out, "after %d: %ld\n", i + 1, ftell(pcap_file(p)));
	}
	pcap_close(p);
	fprintf(out, "open after close: %d\n", fcntl(fd, F_GETFD) >= 0);
	/* A savefile in the middle of another file. */
	f = fopen(path, "rb");
	fseek(f, 24, SEEK_SET);
	drain("not at the start", pcap_fopen_offline(f, err));
	fclose(f);
	p = pcap_open_offline(path, err);
	pcap_next_ex(p, &h, &data);
	fprintf(out, "file after one: %ld\n", ftell(pcap_file(p)));
	fseek(pcap_file(p), 24, SEEK_SET);
	drain("from the start again", p);
	pcap_close(p);
}

static void
full_disk(void)
{
	pcap_t *p = pcap_open_dead(DLT_EN10MB, 65535);
	pcap_dumper_t *d = pcap_dump_open(p, "/dev/full");
	int status;

	if (d == NULL) {
		fprintf(out, "full: %s\n", pcap_geterr(p));
	} else {
		put(d, 100);
		status = pcap_dump_flush(d);
		fprintf(out, "full: flush %d %s, error %d\n", status, strerror(errno), ferror(pcap_dump_file(d)) != 0);
		for (int i = 0; i < 1000; i++)
			put(d, 1000);
		fprintf(out, "full: flush %d, error %d\n", pcap_dump_flush(d), ferror(pcap_dump_file(d)) != 0);
		pcap_dump_close(d);
	}
	d = pcap_dump_open_append(p, "/dev/full");
	fprintf(out, "append: %s\n", d == NULL ? pcap_geterr(p) : "opened");
	if (d != NULL)
		pcap_dump_close(d);
	d = pcap_dump_open_append(p, "/dev/null");
	fprintf(out, "append: %s\n", d == NULL ? pcap_geterr(p) : "opened");
	if (d != NULL)
		pcap_dump_close(d);
	pcap_close(p);
}

static void
large(const char *path)
{
	pcap_t *p = pcap_open_dead(DLT_EN10MB, 65535);
	pcap_dumper_t *d;
	struct stat st;
	struct pcap_pkthdr *h;
	const u_char *data;

	write_file(path, 1);
	if (truncate(path, 5LL << 30) != 0)
		return;
	d = pcap_dump_open_append(p, path);
	fprintf(out, "large: %ld %lld\n", pcap_dump_ftell(d), (long long)pcap_dump_ftell64(d));
	put(d, 100);
	fprintf(out, "large: %ld %lld\n", pcap_dump_ftell(d), (long long)pcap_dump_ftell64(d));
	pcap_dump_close(d);
	stat(path, &st);
	fprintf(out, "large: %lld\n", (long long)st.st_size);
	pcap_close(p);
	p = pcap_open_offline(path, err);
	fseeko(pcap_file(p), 5LL << 30, SEEK_SET);
	fprintf(out, "large: %d", pcap_next_ex(p, &h, &data));
	fprintf(out, " %u %lld\n", h->caplen, (long long)ftello(pcap_file(p)));
	pcap_close(p);
	unlink(path);
}

/* Appending to what is there: each file with each of its bytes in the header changed. */
static void
append(const char *path)
{
	pcap_t *p = pcap_open_dead(DLT_EN10MB, 65535);
	pcap_dumper_t *d;

	for (int at = -1; at < 25; at++) {
		int fd;

		write_file(path, 2);
		fd = open(path, O_RDWR);
		if (at >= 0 && pwrite(fd, "\x21", 1, at) != 1)
			return;
		if (at == 24 && ftruncate(fd, 20) != 0)
			return;
		close(fd);
		d = pcap_dump_open_append(p, path);
		fprintf(out, "append %d: %s", at, d == NULL ? pcap_geterr(p) : "opened");
		if (d != NULL) {
			fprintf(out, " %ld", pcap_dump_ftell(d));
			put(d, 77);
			fprintf(out, " %ld", pcap_dump_ftell(d));
			pcap_dump_close(d);
		}
		fprintf(out, "\n");
	}
	pcap_close(p);
}

int
main(void)
{
	const char *path = "odd.pcap";

	out = fdopen(dup(1), "w");
	setvbuf(out, NULL, _IOLBF, 0);
	standard_streams(path);
	write_file(path, 500);
	pipes(path);
	positions(path);
	full_disk();
	append(path);
	large(path);
	unlink(path);
	return 0;
}
