/* SPDX-License-Identifier: ISC */
/*
 * Live tests of targets that live long: keepers (restarts, back-off, health, giving up, many in one loop), ping, stop,
 * suspend and resume in each state, trim. What a target does to escape each of them is in keeper_hostile.c.
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

struct counters *counters;

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

/* Counts in memory that its host sees, in `count` processes that count each for itself. */
static void count(_Atomic uint64_t *at)
{
	for (;;)
		(*at)++;
}

static int counts(struct airlock_target *host, int argc, char **argv)
{
	int n = argc > 0 ? atoi(argv[0]) : 1;
	struct airlock_message m = AIRLOCK_MESSAGE_INIT;
	char byte;
	m.data = &byte;
	m.cap = 1;
	while (airlock_dispatch(host, -1) != 1)
		;
	if (airlock_recv(host, &m) < 0 || m.fd < 0)
		return 1;
	struct counters *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	if (c == MAP_FAILED)
		return 2;
	for (int i = 1; i < n; i++)
		if (fork() == 0)
			count(&c->of[i]);
	count(&c->of[0]);
	return 0;
}
AIRLOCK_ENTRY(counts)

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

static int open_descriptors(void)
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

/* ---- suspend and resume ---- */

void settle(void)
{
	poll(NULL, 0, 30);
}

/* How far n counters come within some time. */
uint64_t progress(int n, int ms)
{
	uint64_t sum = 0;
	for (int i = 0; i < n; i++)
		sum -= counters->of[i];
	poll(NULL, 0, ms);
	for (int i = 0; i < n; i++)
		sum += counters->of[i];
	return sum;
}

struct airlock_target *counting(const struct airlock_policy *p, const char *entry, int n)
{
	char text[16];
	char *argv[] = {text, NULL};
	int fd = memfd_create("counters", MFD_CLOEXEC);
	if (counters)
		munmap(counters, sizeof(*counters));
	if (fd < 0 || ftruncate(fd, sizeof(*counters)) < 0)
		return NULL;
	counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	snprintf(text, sizeof(text), "%d", n);
	struct airlock_target *t = start(p, entry, argv);
	if (t && airlock_send(t, "", 1, fd) < 0)
		printf("# %s\n", airlock_message());
	close(fd);
	for (int i = 0; t && i < n; i++)
		for (int64_t until = clock_now() + NET_MS; !counters->of[i] && clock_now() < until;)
			poll(NULL, 0, 2);
	return t;
}

static void suspend(void)
{
	struct airlock_policy *p = policy_made("pledge stdio recvfd proc\n");
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	for (int n = 1; n <= 5; n += 4) {
		struct airlock_target *t = counting(p, "counts", n);
		int r = airlock_suspend(t);
		settle();
		uint64_t went = progress(n, 150);
		check(r == 0 && went == 0, n == 1 ? "one process stands still" : "five processes stand still",
			"%d %s, %llu", r, airlock_message(), (unsigned long long)went);
		check(airlock_suspend(t) == 0 && progress(n, 50) == 0, "to suspend twice is no matter", "%s",
			airlock_message());
		check(airlock_wait(t, &s, 0) == -ETIMEDOUT && s.end == AIRLOCK_RUNNING, "it still runs, for its host",
			"%d", s.end);
		check(airlock_dispatch(t, 20) == 0, "and has nothing to say", "%s", airlock_message());
		r = airlock_resume(t);
		check(r == 0 && progress(n, 150) > 0, "and goes on", "%d %s", r, airlock_message());
		for (int i = 0; i < 20; i++) {
			airlock_suspend(t);
			airlock_resume(t);
		}
		check(progress(n, 100) > 0, "after many times", "%s", airlock_message());
		airlock_suspend(t);
		int64_t from = clock_now();
		r = airlock_kill(t);
		int w = airlock_wait(t, &s, NET_MS);
		check(r == 0 && w == 0 && s.end == AIRLOCK_KILLED, "one that is suspended can be killed", "%d %d", r,
			w);
		airlock_free(t);
		t = counting(p, "counts", n);
		airlock_suspend(t);
		airlock_free(t);
		check(clock_now() - from < NET_MS, "and freed", "%lld ms", (long long)(clock_now() - from));
	}
	airlock_policy_free(p);
	p = policy_made("pledge stdio\nlimit wall 2s\n");
	struct airlock_target *t = start(p, "echo", NULL);
	airlock_suspend(t);
	int w = airlock_wait(t, &s, NET_MS);
	check(w == 0 && s.end == AIRLOCK_TIMED_OUT, "the wall limit goes on", "%d end %d", w, s.end);
	check(airlock_suspend(t) == -EPIPE && airlock_resume(t) == -EPIPE, "one that ended is not suspended", "%s",
		airlock_message());
	airlock_free(t);
	airlock_policy_free(p);
}

static void suspended_stop(const struct airlock_policy *p)
{
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	struct airlock_target *t = start(p, "echo", NULL);
	airlock_suspend(t);
	check(airlock_ping(t, 100) == -EBUSY, "one that is suspended is not asked", "%s", airlock_message());
	says(t, "later");
	check(airlock_dispatch(t, 100) == 0, "what is sent to it waits", "%s", airlock_message());
	airlock_resume(t);
	check(airlock_dispatch(t, NET_MS) == 1, "until it goes on", "%s", airlock_message());
	airlock_suspend(t);
	int r = airlock_stop(t, NET_MS, &s);
	check(r == 0 && s.end == AIRLOCK_EXITED && s.code == 7, "one that is suspended can be stopped", "%d end %d", r,
		s.end);
	airlock_free(t);

	struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
	unsigned char in = 4, out = 0;
	t = start(p, NULL, NULL);
	airlock_suspend(t);
	ssize_t n = airlock_call(t, "twice", &in, 1, &out, 1);
	check(n == -EBUSY, "a call that nobody could end is not begun", "%zd", n);
	int ticket = airlock_call_begin(t, "twice", &in, 1, 1, &o);
	n = airlock_call_end(t, ticket, &out, 1, 100);
	check(n == -EINPROGRESS, "one that is under way waits", "%zd %s", n, airlock_message());
	airlock_resume(t);
	n = airlock_call_end(t, ticket, &out, 1, NET_MS);
	check(n == 1 && out == 8, "until it goes on", "%zd %s", n, airlock_message());
	airlock_suspend(t);
	o.timeout_ms = 100;
	n = airlock_call_with(t, "twice", &in, 1, &out, 1, &o);
	check(n == -ETIMEDOUT, "a deadline goes on", "%zd %s", n, airlock_message());
	airlock_free(t);
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

/* ---- keepers ---- */

struct seen {
	int starts, ends, last_restart;
	int delays[64];
	enum airlock_end end;
	int64_t ended[64], started[64];
};

static void on_start(void *arg, struct airlock_target *t)
{
	struct seen *s = arg;
	(void)t;
	if (s->starts < 64)
		s->started[s->starts] = clock_now();
	s->starts++;
}

static void on_end(void *arg, struct airlock_target *t, const struct airlock_status *status, int restart_ms)
{
	struct seen *s = arg;
	(void)t;
	s->end = status->end;
	s->last_restart = restart_ms;
	if (s->ends < 64) {
		s->delays[s->ends] = restart_ms;
		s->ended[s->ends] = clock_now();
	}
	s->ends++;
}

static struct airlock_keeper *keep(const struct airlock_policy *p, const char *entry, char *const argv[],
	struct airlock_keeper_options *k, struct seen *s)
{
	struct airlock_keeper *keeper = NULL;
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	o.stdio[2] = -2;
	memset(s, 0, sizeof(*s));
	k->on_start = on_start;
	k->on_end = on_end;
	k->arg = s;
	if (airlock_keeper_new(&keeper, p, entry, argv, &o, k) < 0)
		printf("# cannot keep: %s\n", airlock_message());
	return keeper;
}

static bool keep_until(struct airlock_keeper *k, const int *counter, int wanted)
{
	int64_t until = clock_now() + NET_MS;
	while (*counter < wanted && clock_now() < until)
		if (airlock_keeper_dispatch(k, 200) == 2)
			break;
	return *counter >= wanted;
}

static void backoff(const struct airlock_policy *p)
{
	struct airlock_keeper_options k = AIRLOCK_KEEPER_OPTIONS_INIT;
	struct seen s;
	k.backoff_ms = 20;
	k.backoff_max_ms = 100;
	k.restarts = 5;
	struct airlock_keeper *keeper = keep(p, "crashes", NULL, &k, &s);
	int64_t until = clock_now() + NET_MS;
	int r = 0;
	while (r != 2 && clock_now() < until)
		r = airlock_keeper_dispatch(keeper, 1000);
	check(r == 2 && s.starts == 6 && s.ends == 6, "what crashes is started again, and given up in the end",
		"%d, %d starts, %d ends", r, s.starts, s.ends);
	static const int wanted[] = {20, 40, 80, 100, 100, -1};
	bool right = true, waited = true;
	for (int i = 0; i < 6; i++) {
		right &= s.delays[i] == wanted[i];
		waited &= i == 5 || s.started[i + 1] - s.ended[i] >= wanted[i] - 1;
	}
	check(right, "later each time, up to the longest", "%d %d %d %d %d %d", s.delays[0], s.delays[1], s.delays[2],
		s.delays[3], s.delays[4], s.delays[5]);
	check(waited, "and not earlier", "%s", "a start came too early");
	check(s.end == AIRLOCK_CRASHED && !airlock_keeper_target(keeper) && airlock_keeper_dispatch(keeper, 0) == 2,
		"given up is given up", "%d", s.end);
	airlock_keeper_free(keeper);

	/* One that lived long enough starts anew. */
	k.healthy_ms = 1;
	k.restarts = 2;
	keeper = keep(p, "echo", NULL, &k, &s);
	bool went = true;
	for (int i = 0; i < 6 && went; i++) {
		went = keep_until(keeper, &s.starts, i + 1);
		poll(NULL, 0, 5);
		says(airlock_keeper_target(keeper), "crash");
		went = went && keep_until(keeper, &s.ends, i + 1);
	}
	check(went && s.delays[5] == 20, "one that was healthy starts the back-off anew", "%d ends, %d ms", s.ends,
		s.delays[5]);
	airlock_keeper_free(keeper);
}

static void exits_kept(const struct airlock_policy *p)
{
	struct airlock_keeper_options k = AIRLOCK_KEEPER_OPTIONS_INIT;
	struct seen s;
	char zero[] = "0", three[] = "3";
	char *argv[] = {zero, NULL};
	k.backoff_ms = 1;
	struct airlock_keeper *keeper = keep(p, "exits", argv, &k, &s);
	keep_until(keeper, &s.ends, 1);
	check(s.ends == 1 && s.last_restart == -1 && airlock_keeper_dispatch(keeper, 0) == 2,
		"what ends with 0 has ended", "%d ends, %d", s.ends, s.last_restart);
	airlock_keeper_free(keeper);
	k.restart_on_exit = 1;
	keeper = keep(p, "exits", argv, &k, &s);
	check(keep_until(keeper, &s.ends, 3), "unless that is to be started again", "%d ends", s.ends);
	airlock_keeper_free(keeper);
	k.restart_on_exit = 0;
	argv[0] = three;
	keeper = keep(p, "exits", argv, &k, &s);
	check(keep_until(keeper, &s.ends, 3), "or ended with another status", "%d ends", s.ends);
	airlock_keeper_free(keeper);
	struct airlock_keeper *none = NULL;
	check(airlock_keeper_new(&none, p, "nothing", NULL, NULL, NULL) == -ENOENT && !none,
		"a keeper of what is not there is none", "%s", airlock_message());
}

static void health(const struct airlock_policy *p)
{
	struct airlock_keeper_options k = AIRLOCK_KEEPER_OPTIONS_INIT;
	struct seen s;
	k.backoff_ms = 1;
	k.ping_ms = 20;
	k.ping_timeout_ms = 400;
	struct airlock_keeper *keeper = keep(p, "echo", NULL, &k, &s);
	keep_until(keeper, &s.starts, 1);
	int64_t until = clock_now() + 700;
	while (clock_now() < until)
		airlock_keeper_dispatch(keeper, 50);
	check(s.ends == 0, "one that answers lives on", "%d ends", s.ends);
	airlock_suspend(airlock_keeper_target(keeper));
	until = clock_now() + 900;
	while (clock_now() < until)
		airlock_keeper_dispatch(keeper, 50);
	check(s.ends == 0, "one that its host suspended is not asked", "%d ends", s.ends);
	airlock_resume(airlock_keeper_target(keeper));
	until = clock_now() + 500;
	while (clock_now() < until)
		airlock_keeper_dispatch(keeper, 50);
	check(s.ends == 0 && echoes(airlock_keeper_target(keeper), "hello"), "and lives on when it goes on", "%d ends",
		s.ends);
	says(airlock_keeper_target(keeper), "hang");
	check(keep_until(keeper, &s.ends, 1) && s.end == AIRLOCK_KILLED, "one that hangs is killed", "%d ends, end %d",
		s.ends, s.end);
	check(keep_until(keeper, &s.starts, 2) && echoes(airlock_keeper_target(keeper), "hello"),
		"and another is there", "%d", s.starts);
	airlock_keeper_free(keeper);
	/* One that serves calls. */
	keeper = keep(p, NULL, NULL, &k, &s);
	keep_until(keeper, &s.starts, 1);
	until = clock_now() + 700;
	while (clock_now() < until)
		airlock_keeper_dispatch(keeper, 50);
	unsigned char in = 4, out = 0;
	check(s.ends == 0 && airlock_call(airlock_keeper_target(keeper), "twice", &in, 1, &out, 1) == 1 && out == 8,
		"one that serves calls answers, too", "%d ends", s.ends);
	airlock_keeper_free(keeper);
}

/* Fifty keepers, one epoll: each crashes some times; all their messages arrive. */
static void many(const struct airlock_policy *p)
{
	enum { MANY = 50, ROUNDS = 2 };
	static struct airlock_keeper *keepers[MANY];
	static struct seen seen[MANY];
	int answers = 0, epoll = epoll_create1(EPOLL_CLOEXEC), before = open_descriptors();
	struct airlock_keeper_options k = AIRLOCK_KEEPER_OPTIONS_INIT;
	k.backoff_ms = 1;
	k.healthy_ms = 1;
	for (uint32_t i = 0; i < MANY; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
		keepers[i] = keep(p, "echo", NULL, &k, &seen[i]);
		if (!keepers[i] || epoll_ctl(epoll, EPOLL_CTL_ADD, airlock_keeper_fd(keepers[i]), &e) < 0)
			return;
	}
	int told[MANY] = {0}, done = 0;
	int64_t until = clock_now() + 10 * NET_MS;
	while (done < MANY && clock_now() < until) {
		struct epoll_event events[16];
		int n = epoll_wait(epoll, events, 16, 1000);
		for (int i = 0; i < n; i++) {
			uint32_t at = events[i].data.u32;
			int r = airlock_keeper_dispatch(keepers[at], 0);
			struct airlock_target *t = airlock_keeper_target(keepers[at]);
			if (r == 1) {
				char bytes[64];
				struct airlock_message m = AIRLOCK_MESSAGE_INIT;
				m.data = bytes;
				m.cap = sizeof(bytes);
				answers += airlock_recv(t, &m) == 0;
				says(t, "crash");
			}
			if (told[at] < seen[at].starts && t) {
				told[at] = seen[at].starts;
				done += told[at] == ROUNDS + 1;
				if (told[at] <= ROUNDS)
					says(t, "hello");
			}
		}
	}
	check(done == MANY && answers == MANY * ROUNDS, "fifty in one loop", "%d done, %d answers", done, answers);
	int64_t from = clock_now();
	for (int i = 0; i < MANY; i++)
		airlock_keeper_free(keepers[i]);
	check(open_descriptors() == before, "leave no descriptor", "%d before, %d after, %lld ms", before,
		open_descriptors(), (long long)(clock_now() - from));
	close(epoll);
}

static void keeper_freed(const struct airlock_policy *p)
{
	struct airlock_keeper_options k = AIRLOCK_KEEPER_OPTIONS_INIT;
	struct seen s;
	k.backoff_ms = 100000;
	k.stop_ms = 300;
	struct airlock_keeper *keeper = keep(p, "echo", NULL, &k, &s);
	airlock_keeper_free(keeper);
	keeper = keep(p, "echo", NULL, &k, &s);
	keep_until(keeper, &s.starts, 1);
	says(airlock_keeper_target(keeper), "spin");
	int64_t from = clock_now();
	airlock_keeper_free(keeper);
	check(clock_now() - from >= 300, "freed: what does not stop is killed", "%lld ms",
		(long long)(clock_now() - from));
	keeper = keep(p, "crashes", NULL, &k, &s);
	keep_until(keeper, &s.ends, 1);
	check(!airlock_keeper_target(keeper) && airlock_keeper_dispatch(keeper, 0) == 0,
		"while it waits to start again", "%d", s.ends);
	airlock_keeper_free(keeper);
	k.backoff_ms = 1;
	keeper = keep(p, "crashes", NULL, &k, &s);
	keep_until(keeper, &s.ends, 1);
	for (int i = 0; i < 100 && !airlock_keeper_target(keeper); i++)
		airlock_keeper_dispatch(keeper, 0);
	airlock_keeper_free(keeper);
	keeper = keep(p, "echo", NULL, &k, &s);
	keep_until(keeper, &s.starts, 1);
	airlock_suspend(airlock_keeper_target(keeper));
	from = clock_now();
	airlock_keeper_free(keeper);
	check(clock_now() - from < NET_MS, "while it is suspended", "%lld ms", (long long)(clock_now() - from));
	airlock_keeper_free(NULL);
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	int before = open_descriptors();
	struct airlock_policy *p = policy_made("pledge stdio\n");
	ping(p);
	stop(p);
	stop_program();
	suspend();
	suspended_stop(p);
	trim(p);
	backoff(p);
	exits_kept(p);
	health(p);
	keeper_freed(p);
	many(p);
	hostile(p);
	airlock_policy_free(p);
	check(open_descriptors() == before, "no descriptor is left", "%d before, %d after", before, open_descriptors());
	return tap_failed > 0;
}
