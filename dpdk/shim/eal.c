/* The environment abstraction layer: start, output, threads, forks. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

/* --- the log: the last LOG_SIZE bytes of what DPDK says --- */

#define LOG_SIZE 16384

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_ring[LOG_SIZE];
static uint64_t log_end; /* bytes ever written */

static void log_append(const char *text, size_t size)
{
	pthread_mutex_lock(&log_lock);
	for (size_t i = 0; i < size; i++)
		log_ring[log_end++ % LOG_SIZE] = text[i];
	pthread_mutex_unlock(&log_lock);
}

uint64_t ox_log_mark(void)
{
	pthread_mutex_lock(&log_lock);
	uint64_t mark = log_end;
	pthread_mutex_unlock(&log_lock);
	return mark;
}

void ox_log_since(uint64_t mark, char *text, size_t size)
{
	pthread_mutex_lock(&log_lock);
	uint64_t room = size - 1 < LOG_SIZE ? size - 1 : LOG_SIZE;
	uint64_t from = log_end - mark > room ? log_end - room : mark;
	size_t n = 0;

	while (from != log_end)
		text[n++] = log_ring[from++ % LOG_SIZE];
	text[n] = '\0';
	pthread_mutex_unlock(&log_lock);
}

static ssize_t write_log(void *cookie, const char *text, size_t size)
{
	(void)cookie;
	log_append(text, size);
	return (ssize_t)size;
}

/*
 * --- output of DPDK that does not go through its log ---
 *
 * A refused start prints its usage on stdout and its reason on stderr, libbpf prints on stderr.
 * While such calls run, the C library's stdout and stderr variables point to streams that send
 * what the calling thread prints to the log, and what any other thread prints to where it
 * belongs.
 */

static __thread int quiet;
static pthread_mutex_t quiet_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int quiet_depth;
static FILE *real_stream[2], *quiet_stream[2];

static ssize_t write_quiet(void *cookie, const char *text, size_t size)
{
	if (quiet)
		log_append(text, size);
	else
		fwrite(text, 1, size, real_stream[cookie != NULL]);
	return (ssize_t)size;
}

/* Made once and kept: another thread may have picked the pointer up. */
static void make_quiet_streams(void)
{
	const cookie_io_functions_t io = { .write = write_quiet };

	for (size_t i = 0; i < 2; i++) {
		quiet_stream[i] = fopencookie((void *)i, "w", io);
		if (quiet_stream[i] != NULL)
			setvbuf(quiet_stream[i], NULL, _IONBF, 0);
	}
}

void ox_quiet_begin(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_quiet_streams);
	pthread_mutex_lock(&quiet_lock);
	if (quiet_depth++ == 0 && quiet_stream[0] != NULL && quiet_stream[1] != NULL) {
		real_stream[0] = stdout;
		real_stream[1] = stderr;
		stdout = quiet_stream[0];
		stderr = quiet_stream[1];
	}
	pthread_mutex_unlock(&quiet_lock);
	quiet++;
}

void ox_quiet_end(void)
{
	quiet--;
	pthread_mutex_lock(&quiet_lock);
	if (--quiet_depth == 0) {
		/* Unless the program has put streams of its own there meanwhile. */
		if (stdout == quiet_stream[0] && stdout != NULL)
			stdout = real_stream[0];
		if (stderr == quiet_stream[1] && stderr != NULL)
			stderr = real_stream[1];
	}
	pthread_mutex_unlock(&quiet_lock);
}

/* --- start --- */

static int started_here;

int ox_eal_running(void)
{
	return rte_lcore_count() > 0;
}

int ox_eal_init(int argc, char **argv)
{
	const cookie_io_functions_t io = { .write = write_log };
	FILE *log = fopencookie(NULL, "w", io);

	if (log == NULL)
		return -ENOMEM;
	setvbuf(log, NULL, _IOLBF, 512);
	if (rte_openlog_stream(log) < 0) {
		fclose(log);
		return -ENOMEM;
	}
	ox_watch_forks();
	ox_quiet_begin();
	int parsed = rte_eal_init(argc, argv);
	int error = rte_errno;
	ox_quiet_end();
	fflush(log);
	if (parsed < 0)
		return error > 0 ? -error : -EIO;
	started_here = 1;
	return 0;
}

const char *ox_strerror(int error)
{
	return rte_strerror(error);
}

/* --- threads --- */

static pthread_key_t thread_key;

static void leave_thread(void *registered)
{
	(void)registered;
	rte_thread_unregister();
}

static void make_thread_key(void)
{
	pthread_key_create(&thread_key, leave_thread);
}

void ox_thread_enter(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static __thread int tried;

	/* In the program's own EAL registering would end its multi-process support. */
	if (tried || !started_here || rte_lcore_id() != LCORE_ID_ANY || rte_eal_process_type() == RTE_PROC_SECONDARY)
		return;
	tried = 1;
	pthread_once(&once, make_thread_key);
	if (rte_thread_register() == 0)
		pthread_setspecific(thread_key, &tried);
}

/* --- forks --- */

static atomic_uint generation;

static void in_child(void)
{
	atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void register_fork_handler(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

void ox_watch_forks(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_fork_handler);
}

unsigned int ox_fork_generation(void)
{
	return atomic_load_explicit(&generation, memory_order_relaxed);
}
