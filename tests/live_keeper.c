/* SPDX-License-Identifier: ISC */
/*
 * Live tests of targets that live long: ping, stop, trim. keeper_suspend.c has suspend and resume in each state, keeper_keep.c
 * keepers; what a target does to escape each of them is in keeper_hostile.c, and what a broker that stands still does to its
 * host in keeper_deaf.c.
 */
#include "sandbox/airlock.h"
#include "tests/keeper.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int64_t clock_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- what runs in targets ---- */

/* Echoes until its host wants it to end; "crash", "exit N", "hang", "spin" are done. */
static int echo(struct airlock_target *host, int argc, char **argv)
{
	char bytes[256];
	(void)argc;
	(void)argv;
	for (;;) {
		struct airlock_message m = AIRLOCK_MESSAGE_INIT;
		int r = airlock_dispatch(host, -1);
		if (r == 2)
			return 7;
		m.data = bytes;
		m.cap = sizeof(bytes) - 1;
		if (r != 1 || airlock_recv(host, &m) < 0)
			return 1;
		bytes[m.len] = 0;
		if (strcmp(bytes, "crash") == 0)
			abort();
		if (strncmp(bytes, "exit ", 5) == 0)
			return atoi(bytes + 5);
		while (strcmp(bytes, "hang") == 0)
			pause();
		while (strcmp(bytes, "spin") == 0)
			;
		airlock_send(host, bytes, m.len, -1);
	}
}
AIRLOCK_ENTRY(echo)

static int crashes(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	(void)argc;
	(void)argv;
	abort();
}
AIRLOCK_ENTRY(crashes)

static int exits(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	return argc > 0 ? atoi(argv[0]) : 0;
}
AIRLOCK_ENTRY(exits)

static ssize_t twice(const void *in, size_t len, void *out, size_t cap)
{
	const unsigned char *from = in;
	unsigned char *to = out;
	for (size_t i = 0; i < len && i < cap; i++)
		to[i] = (unsigned char)(from[i] * 2);
	return (ssize_t)(len < cap ? len : cap);
}
AIRLOCK_FUNCTION(twice)

/* ---- help ---- */

struct airlock_policy *policy_made(const char *text)
{
	struct airlock_policy *p = NULL;
	if (airlock_policy_parse(&p, text) < 0) {
		printf("not ok policy\n# %s\n", airlock_message());
		exit(1);
	}
	/* What a container does not give is not what is tested here. */
	airlock_policy_tolerate(p, AIRLOCK_LAYERS_ALL & ~(unsigned)airlock_layers());
	return p;
}

struct airlock_target *start(const struct airlock_policy *p, const char *entry, char *const argv[])
{
	struct airlock_target *t = NULL;
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	o.shared = 1 << 20;
	o.stdio[2] = -2;
	if (airlock_start(&t, p, entry, argv, &o) < 0)
		printf("# cannot start %s: %s\n", entry ? entry : "calls", airlock_message());
	return t;
}

bool says(struct airlock_target *t, const char *words)
{
	return airlock_send(t, words, strlen(words), -1) == 0;
}

/* Whether it sends this back. */
bool echoes(struct airlock_target *t, const char *words)
{
	char bytes[256] = "";
	struct airlock_message m = AIRLOCK_MESSAGE_INIT;
	m.data = bytes;
	m.cap = sizeof(bytes) - 1;
	return says(t, words) && airlock_dispatch(t, NET_MS) == 1 && airlock_recv(t, &m) == 0 &&
	       strcmp(bytes, words) == 0;
}

int open_descriptors(void)
{
	int n = 0;
	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* ---- ping and stop ---- */

static void ping(const struct airlock_policy *p)
{
	struct airlock_target *t = start(p, "echo", NULL);
	int r = airlock_ping(t, NET_MS);
	check(r == 0, "an entry answers in airlock_dispatch()", "%d %s", r, airlock_message());
	check(echoes(t, "hello"), "a ping is no message", "%s", airlock_message());
	says(t, "hello");
	r = airlock_ping(t, NET_MS);
	check(r == 0, "a message that waits does not hold the answer back", "%d", r);
	airlock_dispatch(t, NET_MS);
	says(t, "hang");
	r = airlock_ping(t, 200);
	check(r == -ETIMEDOUT, "one that hangs does not answer", "%d", r);
	airlock_kill(t);
	r = airlock_ping(t, NET_MS);
	check(r == -EPIPE, "one that ended does not answer", "%d", r);
	airlock_free(t);

	t = start(p, NULL, NULL);
	r = airlock_ping(t, NET_MS);
	check(r == 0, "one that serves calls answers", "%d %s", r, airlock_message());
	for (int i = 0; i < 1000 && r == 0; i++) {
		unsigned char in = (unsigned char)i, out = 0;
		r = airlock_ping(t, NET_MS);
		if (airlock_call(t, "twice", &in, 1, &out, 1) != 1 || out != (unsigned char)(in * 2))
			r = -1;
	}
	check(r == 0, "between a thousand calls", "%d %s", r, airlock_message());
	airlock_free(t);
}

static void stop(const struct airlock_policy *p)
{
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	struct airlock_target *t = start(p, "echo", NULL);
	int r = airlock_stop(t, NET_MS, &s);
	check(r == 0 && s.end == AIRLOCK_EXITED && s.code == 7, "an entry is told to stop", "%d, end %d code %d", r,
		s.end, s.code);
	r = airlock_stop(t, NET_MS, &s);
	check(r == 0 && s.code == 7, "stopping twice says the same", "%d", r);
	airlock_free(t);

	t = start(p, "echo", NULL);
	says(t, "one");
	says(t, "two");
	r = airlock_stop(t, NET_MS, &s);
	check(r == 0 && s.code == 7, "what was sent before is read before", "%d code %d", r, s.code);
	check(airlock_dispatch(t, 0) == 1, "and its answers can be read after", "%s", airlock_message());
	airlock_free(t);

	t = start(p, "echo", NULL);
	says(t, "spin");
	int64_t from = clock_now();
	r = airlock_stop(t, 200, &s);
	check(r == 0 && s.end == AIRLOCK_KILLED && clock_now() - from >= 200,
		"one that does not listen is killed after the grace", "%d, end %d", r, s.end);
	airlock_free(t);

	t = start(p, NULL, NULL);
	r = airlock_stop(t, NET_MS, &s);
	check(r == 0 && s.end == AIRLOCK_EXITED && s.code == 0, "calls: the loop ends", "%d, end %d", r, s.end);
	check(airlock_call(t, "twice", "", 1, &r, 1) == -EPIPE, "and no call is served any more", "%s",
		airlock_message());
	airlock_free(t);
}

static void stop_program(void)
{
	static const char *const catches[] = {
		"/bin/sh", "-c", "trap 'exit 5' TERM; echo x; while :; do sleep 0.01; done", NULL};
	static const char *const ignores[] = {
		"/bin/sh", "-c", "trap '' TERM; echo x; while :; do sleep 0.01; done", NULL};
	struct airlock_policy *p = policy_made("pledge stdio rpath proc exec\nunveil / rx\n");
	for (int i = 0; i < 2; i++) {
		struct airlock_status s = AIRLOCK_STATUS_INIT;
		struct airlock_options o = AIRLOCK_OPTIONS_INIT;
		struct airlock_target *t = NULL;
		int out[2];
		char byte;
		if (pipe2(out, O_CLOEXEC) < 0)
			return;
		o.stdio[1] = out[1];
		o.stdio[2] = -2;
		int r = airlock_exec(&t, p, (char *const *)(uintptr_t)(i ? ignores : catches), &o);
		close(out[1]);
		if (!check(r == 0 && read(out[0], &byte, 1) == 1, "a shell runs", "%s", airlock_message()))
			return;
		check(airlock_ping(t, 100) == -EOPNOTSUPP, "a program is not asked", "%s", airlock_message());
		r = airlock_stop(t, i ? 300 : NET_MS, &s);
		if (i)
			check(r == 0 && s.end == AIRLOCK_KILLED, "a program that ignores SIGTERM is killed",
				"%d end %d", r, s.end);
		else
			check(r == 0 && s.end == AIRLOCK_EXITED && s.code == 5, "a program gets SIGTERM",
				"%d end %d code %d", r, s.end, s.code);
		airlock_free(t);
		close(out[0]);
	}
	airlock_policy_free(p);
}

/* ---- trim ---- */

static long shared_kib(int pages)
{
	(void)pages;
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	char line[256];
	long kib = -1;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pss_Shmem: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static void trim(const struct airlock_policy *p)
{
	const size_t len = 1 << 20;
	char *in = malloc(len), *out = malloc(len);
	struct airlock_target *t = start(p, NULL, NULL);
	memset(in, 1, len);
	ssize_t n = airlock_call(t, "twice", in, len, out, len);
	long before = shared_kib(0);
	int r = airlock_trim(t);
	long after = shared_kib(0);
	printf("# shared memory %ld KiB, trimmed %ld KiB\n", before, after);
	check(n == (ssize_t)len && r == 0 && (before < 0 || after < before - 500), "the memory of calls is given back",
		"%d %s: %ld KiB to %ld KiB", r, airlock_message(), before, after);
	n = airlock_call(t, "twice", in, len, out, len);
	check(n == (ssize_t)len && out[len - 1] == 2, "and calls go on", "%zd %s", n, airlock_message());
	airlock_trim(t);
	check(airlock_ping(t, NET_MS) == 0, "which it answers", "%s", airlock_message());
	airlock_free(t);
	t = start(p, "echo", NULL);
	check(airlock_trim(t) == 0 && echoes(t, "hello"), "an entry goes on, too", "%s", airlock_message());
	airlock_free(t);
	free(in);
	free(out);
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	pid_t begun = deaf_begin();
	int before = open_descriptors();
	struct airlock_policy *p = policy_made("pledge stdio\n");
	ping(p);
	stop(p);
	stop_program();
	trim(p);
	unsigned failed = suspended(p) + kept(p) + hostile(p) + deaf(begun);
	airlock_policy_free(p);
	check(open_descriptors() == before, "no descriptor is left", "%d before, %d after", before, open_descriptors());
	return tap_failed + failed > 0;
}
