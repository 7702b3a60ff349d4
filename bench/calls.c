/* SPDX-License-Identifier: ISC */
/*
 * A call's way there and back, by size, beside what else there is: calling the function; two processes with a word of
 * shared memory, which sleep by futex or spin; a child at the other end of two pipes; a child forked for each call, which
 * answers over a pipe; a lent buffer; and Sandboxed API (bench/sapi), whose program is the argument, where it was built.
 * "busy": one call after the other. "idle": a millisecond of nothing before each, so that the other side sleeps, and the
 * processor too.
 */
#include "bench/calls.h"

#include <airlock.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 9
#define SIZES 5
#define BIG (16u << 20)

static const struct {
	size_t bytes;
	const char *name;
	int busy; /* calls in a round */
	int fork;
} sizes[SIZES] = {{16, "16 bytes", 800, 40}, {1024, "1 KiB", 400, 20}, {65536, "64 KiB", 100, 20},
	{1u << 20, "1 MiB", 20, 10}, {BIG, "16 MiB", 2, 2}};

static char *from, *to;

static ssize_t echo(const void *in, size_t len, void *out, size_t cap)
{
	if (len > cap)
		return -1;
	memcpy(out, in, len);
	return (ssize_t)len;
}
AIRLOCK_FUNCTION(echo)

/* Takes the bytes as they are: what is measured is the way, not the work. */
static ssize_t take(const void *in, size_t len, void *out, size_t cap)
{
	(void)out;
	(void)cap;
	return ((const char *)in)[len - 1] == 'x' ? 0 : -EINVAL;
}
AIRLOCK_FUNCTION(take)

static ssize_t take_lent(const void *in, size_t len, void *out, size_t cap)
{
	size_t size;
	int writable;
	const char *data = airlock_lent(0, &size, &writable);

	(void)in;
	(void)len;
	return data ? take(data, size, out, cap) : -EINVAL;
}
AIRLOCK_FUNCTION(take_lent)

/* Volatile, so that it is called. */
static ssize_t (*volatile echo_here)(const void *, size_t, void *, size_t) = echo;

static struct airlock_target *target;
static struct airlock_buffer *buffers[SIZES];
static struct peer futex, spinning, pipes;
static struct sapi sapi;

static void native_way(size_t len)
{
	echo_here(from, len, to, len);
}

static void airlock_way(size_t len)
{
	if (airlock_call(target, "echo", from, len, to, len) != (ssize_t)len)
		fail("airlock_call", airlock_message());
}

static void take_way(size_t len)
{
	if (airlock_call(target, "take", from, len, NULL, 0) != 0)
		fail("airlock_call", airlock_message());
}

static void lend_way(size_t len)
{
	struct airlock_lend lend = {NULL, 0};
	struct airlock_call_options options = AIRLOCK_CALL_OPTIONS_INIT;

	for (int i = 0; i < SIZES; i++)
		if (sizes[i].bytes == len)
			lend.buffer = buffers[i];
	options.lends = &lend;
	options.lend_count = 1;
	if (airlock_call_with(target, "take_lent", "x", 1, NULL, 0, &options) != 0)
		fail("lent buffer", airlock_message());
}

static void pipe_way(size_t len)
{
	pipe_peer_echo(&pipes, from, to, len);
}

static void fork_way(size_t len)
{
	fork_echo(from, to, len);
}

static void futex_way(size_t len)
{
	(void)len;
	futex_peer_ping(&futex);
}

static void spin_way(size_t len)
{
	(void)len;
	spin_peer_ping(&spinning);
}

static void repeat(struct samples *s, int count, bool idles, void (*way)(size_t), size_t len)
{
	for (int i = 0; i < count; i++) {
		if (idles)
			nanosleep(&(struct timespec){0, 1000000}, NULL);
		uint64_t t = now_ns();
		way(len);
		sample(s, (double)(now_ns() - t));
	}
}

/* Many native calls at a time: one of them is less than the clock takes. */
static void repeat_native(struct samples *s, int count, size_t len)
{
	int times_each = len > 65536 ? 1 : 64;

	for (int i = 0; i < count; i++) {
		uint64_t t = now_ns();
		for (int j = 0; j < times_each; j++)
			native_way(len);
		sample(s, (double)(now_ns() - t) / times_each);
	}
}

enum { NATIVE, FUTEX, SPIN, PIPES, FORK, SAPI, AIRLOCK, LENT, TAKE, SAPI_TAKE, WAYS };
static struct samples busy[SIZES][WAYS], idle[WAYS];

static void measure_busy(void)
{
	for (int round = -1; round < times(ROUNDS, 1); round++)
		for (int i = 0; i < SIZES; i++) {
			size_t len = sizes[i].bytes;
			int n = times(sizes[i].busy, 1), forks = times(sizes[i].fork, 1);
			struct samples warm[WAYS] = {0}, *s = round < 0 ? warm : busy[i];

			repeat_native(&s[NATIVE], n, len);
			repeat(&s[AIRLOCK], n, false, airlock_way, len);
			repeat(&s[LENT], n < 40 ? times(40, 1) : n, false, lend_way, len);
			repeat(&s[PIPES], n, false, pipe_way, len);
			repeat(&s[FORK], forks, false, fork_way, len);
			if (i == 0) {
				repeat(&s[FUTEX], n, false, futex_way, len);
				/* Made anew each round: a spinning process left alone would take a processor from the others. */
				spin_peer_start(&spinning);
				spin_way(len);
				repeat(&s[SPIN], n, false, spin_way, len);
				peer_end(&spinning);
			}
			if (len == BIG)
				repeat(&s[TAKE], n, false, take_way, len);
			if (sapi.pid) {
				sapi_ask(&sapi, &s[SAPI], "echo", len, n, false);
				if (len == BIG)
					sapi_ask(&sapi, &s[SAPI_TAKE], "take", len, n, false);
			}
			for (int way = 0; way < WAYS; way++)
				free(warm[way].ns);
		}
}

/* Rounds of their own: an idle caller and its target are gathered on one processor, and a busy pair would start there. */
static void measure_idle(void)
{
	for (int round = 0; round < times(ROUNDS, 1); round++) {
		int n = times(40, 1);

		repeat(&idle[FUTEX], n, true, futex_way, 16);
		repeat(&idle[AIRLOCK], n, true, airlock_way, 16);
		repeat(&idle[PIPES], n, true, pipe_way, 16);
		if (sapi.pid)
			sapi_ask(&sapi, &idle[SAPI], "echo", 16, n, true);
	}
}

static void small_lines(void)
{
	double bare = median(&busy[0][FUTEX]), bare_idle = median(&idle[FUTEX]), called = median(&busy[0][AIRLOCK]);

	report("shared memory ping-pong, futex, busy", bare, "", 0, "");
	report("shared memory ping-pong, futex, idle", bare_idle, "", 0, "");
	report("shared memory ping-pong, spinning", median(&busy[0][SPIN]), "futex", bare, "");
	report("airlock_call, 16 bytes each way, busy", called, "futex", bare, "2 us");
	report("airlock_call, 16 bytes each way, idle", median(&idle[AIRLOCK]), "futex, idle", bare_idle, "1.5 x");
	report("pipes to a child, 16 bytes each way, busy", median(&busy[0][PIPES]), "airlock_call", called, "");
	report("pipes to a child, 16 bytes each way, idle", median(&idle[PIPES]), "airlock_call, idle",
		median(&idle[AIRLOCK]), "");
	report("fork and pipe for each call, 16 bytes each way", median(&busy[0][FORK]), "airlock_call", called, "");
	if (sapi.pid) {
		report("Sandboxed API, 16 bytes each way, busy", median(&busy[0][SAPI]), "airlock_call", called, "");
		report("Sandboxed API, 16 bytes each way, idle", median(&idle[SAPI]), "airlock_call, idle",
			median(&idle[AIRLOCK]), "");
	}
}

static void middle_lines(void)
{
	char name[96];

	for (int i = 1; i < SIZES - 1; i++) {
		double called = median(&busy[i][AIRLOCK]);

		snprintf(name, sizeof(name), "airlock_call, %s each way", sizes[i].name);
		report(name, called, "pipes", median(&busy[i][PIPES]), "");
		if (!sapi.pid)
			continue;
		snprintf(name, sizeof(name), "Sandboxed API, %s each way", sizes[i].name);
		report(name, median(&busy[i][SAPI]), "airlock_call", called, "");
	}
}

static void large_lines(void)
{
	struct samples *s = busy[SIZES - 1];
	double copy = median(&s[NATIVE]), taken = median(&s[TAKE]), echoed = median(&s[AIRLOCK]);

	report("memcpy, 16 MiB", copy, "", 0, "");
	report("airlock_call, 16 MiB in", taken, "memcpy", copy, "2 x");
	report("airlock_call, 16 MiB in, copied by the target, 16 MiB out", echoed, "three memcpy", 3 * copy, "2 x");
	report("airlock_call with a lent buffer of 1 KiB", median(&busy[1][LENT]), "", 0, "");
	report("airlock_call with a lent buffer of 16 MiB", median(&s[LENT]), "memcpy", copy, "");
	report("pipes to a child, 16 MiB in, 16 MiB out", median(&s[PIPES]), "airlock_call", echoed, "");
	report("fork and pipe for each call, 16 MiB out", median(&s[FORK]), "airlock_call in and out", echoed, "");
	if (sapi.pid) {
		report("Sandboxed API, 16 MiB in", median(&s[SAPI_TAKE]), "airlock_call", taken, "");
		report("Sandboxed API, 16 MiB in, copied by the sandboxee, 16 MiB out", median(&s[SAPI]),
			"airlock_call", echoed, "");
	}
}

static void points(void)
{
	static const struct {
		const char *name;
		int way;
	} series[] = {{"function call", NATIVE}, {"airlock_call", AIRLOCK}, {"lent buffer", LENT}, {"pipes", PIPES},
		{"fork and pipe", FORK}, {"Sandboxed API", SAPI}};

	for (size_t k = 0; k < sizeof(series) / sizeof(*series); k++)
		for (int i = 0; i < SIZES; i++)
			if (busy[i][series[k].way].count)
				point("calls", series[k].name, (double)sizes[i].bytes,
					median(&busy[i][series[k].way]) / 1e3);
}

/* What else Sandboxed API was asked, in moments of its own: bench/start.c and bench/endings.c have airlock's. */
static void sapi_lines(void)
{
	struct samples started = {0}, crashed = {0};

	if (!sapi.pid)
		return;
	sapi_ask(&sapi, &started, "start", 0, times(15, 1), false);
	sapi_ask(&sapi, &crashed, "crash", 0, times(15, 1), false);
	report("Sandboxed API, further sandboxee, start to the first answer", median(&started), "", 0, "");
	report("Sandboxed API, crash: call to the status", median(&crashed), "", 0, "");
	point("starts: a call in a process of its own", "Sandboxed API, further sandboxee", 2, 1e9 / median(&started));
}

int main(int argc, char **argv)
{
	struct airlock_policy *policy;

	if (airlock_init(argc, argv) < 0 || airlock_policy_new(&policy, "stdio") < 0 ||
		airlock_start(&target, policy, NULL, NULL, NULL) < 0)
		fail("start", airlock_message());
	from = malloc(BIG);
	to = malloc(BIG);
	if (!from || !to)
		fail("malloc", strerror(errno));
	memset(from, 'x', BIG);
	memset(to, 'y', BIG);
	for (int i = 0; i < SIZES; i++) {
		if (airlock_buffer_new(&buffers[i], sizes[i].bytes) < 0)
			fail("airlock_buffer_new", airlock_message());
		memset(airlock_buffer_data(buffers[i]), 'x', airlock_buffer_size(buffers[i]));
	}
	futex_peer_start(&futex);
	pipe_peer_start(&pipes);
	if (argc > 1)
		sapi_start(&sapi, argv[1]);
	measure_busy();
	measure_idle();
	small_lines();
	middle_lines();
	large_lines();
	points();
	sapi_lines();
	peer_end(&futex);
	peer_end(&pipes);
	for (int i = 0; i < SIZES; i++)
		airlock_buffer_free(buffers[i]);
	airlock_free(target);
	airlock_policy_free(policy);
	return 0;
}
