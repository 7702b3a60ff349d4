/* SPDX-License-Identifier: ISC */
/*
 * Live tests of buffers: memory that goes along with calls, as honest targets use it and as hostile ones hold on to it. A
 * hostile target asks its broker by itself (buffers_target.c); the host's half of a lend is then done here as a call does it.
 */
#include "sandbox/sandbox.h"
#include "tests/buffers.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BIG (16u << 20)
#define SMALL (64u << 10)

static struct airlock_policy *policy;

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct airlock_target *start(void)
{
	struct airlock_target *t = NULL;
	const struct airlock_options options = {
		.size = sizeof(options), .stdio = {-2, -2, -1}, .shared = 1 << 16, .core = -1};
	int r = airlock_start(&t, policy, NULL, NULL, &options);
	if (r < 0)
		check(false, "a target starts", "%s", airlock_message());
	return t;
}

static struct airlock_buffer *buffer(size_t len, unsigned char fill)
{
	struct airlock_buffer *b = NULL;
	if (airlock_buffer_new(&b, len) < 0)
		check(false, "a buffer is made", "%s", airlock_message());
	memset(airlock_buffer_data(b), fill, airlock_buffer_size(b));
	return b;
}

/* What a call does for a function that the library prepares. */
static ssize_t call(struct airlock_target *t, const char *function, struct airlock_buffer *b, int writable,
	const void *in, size_t len, void *out, size_t cap)
{
	const struct airlock_lend lend = {b, writable};
	struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
	o.lends = &lend;
	o.lend_count = b != NULL;
	return airlock_call_with(t, function, in, len, out, cap, &o);
}

/* The same for one that asks by itself. The lend ends with the call. */
static ssize_t call_hostile(struct airlock_target *t, const char *function, struct airlock_buffer *b, int writable,
	unsigned what, void *out, size_t cap)
{
	const struct airlock_lend lend = {b, writable};
	struct grab g = {.what = what};
	int n = buffers_lend(t, &lend, b != NULL, g.lends);
	if (n < 0)
		return n;
	g.count = (uint32_t)n;
	ssize_t r = airlock_call(t, function, &g, sizeof(g), out, cap);
	buffers_returned(t, g.lends, g.count, true);
	return r;
}

static uint64_t sum_of(const struct airlock_buffer *b)
{
	const uint64_t *words = airlock_buffer_data(b);
	uint64_t sum = 0;
	for (size_t i = 0; i < airlock_buffer_size(b) / sizeof(*words); i++)
		sum += words[i];
	return sum;
}

static bool all(const struct airlock_buffer *b, unsigned char c)
{
	const unsigned char *bytes = airlock_buffer_data(b);
	const size_t n = airlock_buffer_size(b);
	return bytes[0] == c && memcmp(bytes, bytes + 1, n - 1) == 0;
}

static int descriptors(pid_t pid)
{
	char path[64];
	int n = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *d = opendir(path);
	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- honest targets ---- */

static void sizes(void)
{
	struct airlock_buffer *b = NULL;
	check(airlock_buffer_new(&b, 0) == -EINVAL && !b, "no buffer of nothing", "it was made");
	check(airlock_buffer_new(&b, SIZE_MAX - 4) == -EINVAL && !b, "no buffer of everything", "it was made");
	b = buffer(1, 0);
	check(airlock_buffer_size(b) == (size_t)sysconf(_SC_PAGESIZE), "a buffer has whole pages", "it has %zu bytes",
		airlock_buffer_size(b));
	airlock_buffer_free(b);
	airlock_buffer_free(NULL);
}

static void reads_and_writes(void)
{
	struct airlock_target *t = start();
	struct airlock_buffer *b = buffer(SMALL, 0x11);
	uint64_t sum = 0;
	ssize_t r = call(t, "lent_sum", b, 0, NULL, 0, &sum, sizeof(sum));
	check(r == sizeof(sum) && sum == sum_of(b), "a target reads what it is lent", "%zd %s", r, airlock_message());
	r = call(t, "lent_fill", b, 0, "\x22", 1, NULL, 0);
	check(r == -1 && all(b, 0x11), "and knows that it may not write", "%zd", r);
	r = call(t, "lent_fill", b, 1, "\x22", 1, NULL, 0);
	check(r == 0 && all(b, 0x22), "a target writes what it is lent", "%zd %s", r, airlock_message());
	memset(airlock_buffer_data(b), 0x33, SMALL);
	r = call(t, "lent_sum", b, 0, NULL, 0, &sum, sizeof(sum));
	check(r == sizeof(sum) && sum == sum_of(b), "what the host writes is seen", "%zd", r);
	r = call(t, "lent_fill", NULL, 0, "\x22", 1, NULL, 0);
	check(r == -1, "without a lend there is none", "%zd", r);
	r = call(t, "no_such_function", b, 1, NULL, 0, NULL, 0);
	check(r == -ENOSYS, "a function that is not there", "%zd", r);
	r = airlock_buffer_revoke(b);
	check(r == 0 && all(b, 0x33), "an honest target has let go", "%zd %s", r, airlock_message());
	check(airlock_buffer_revoke(b) == 0, "a buffer is revoked once", "%s", airlock_message());
	check(call(t, "lent_fill", b, 1, "\x44", 1, NULL, 0) == -EPERM && all(b, 0x33),
		"and never lent for writing again", "it was");
	r = call(t, "lent_sum", b, 0, NULL, 0, &sum, sizeof(sum));
	check(r == sizeof(sum) && sum == sum_of(b), "but for reading", "%zd %s", r, airlock_message());
	pid_t child = fork();
	if (child == 0) {
		*(volatile char *)airlock_buffer_data(b) = 1;
		_exit(0);
	}
	int status = 0;
	waitpid(child, &status, 0);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "nor can the host change it any more", "status %x",
		status);
	airlock_buffer_free(b);
	airlock_free(t);
}

/* More of them than a target keeps, lent in all orders; then one to many targets. */
static void many(void)
{
	enum { MANY = 100, TARGETS = 8 };
	struct airlock_buffer *b[MANY];
	struct airlock_target *t = start();
	bool good = true;
	uint64_t sum = 0;
	for (int i = 0; i < MANY; i++)
		b[i] = buffer(4096, (unsigned char)i);
	int before = descriptors(getpid()), broker = descriptors(t->broker->pid);
	for (unsigned i = 0; i < 2000 && good; i++) {
		struct airlock_buffer *one = b[i * 7919u % MANY];
		if (i % 3 == 0) {
			unsigned char c = (unsigned char)i;
			good = call(t, "lent_fill", one, 1, &c, 1, NULL, 0) == 0 && all(one, c);
		} else {
			good = call(t, "lent_sum", one, 0, NULL, 0, &sum, sizeof(sum)) == sizeof(sum) &&
			       sum == sum_of(one);
		}
	}
	check(good, "a hundred buffers in 2,000 calls", "%s", airlock_message());
	struct airlock_lend lends[AIRLOCK_LENDS_MAX];
	struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
	uint64_t want = 0;
	for (int i = 0; i < AIRLOCK_LENDS_MAX; i++) {
		lends[i] = (struct airlock_lend){b[i], i % 2};
		want += sum_of(b[i]);
	}
	o.lends = lends;
	o.lend_count = AIRLOCK_LENDS_MAX;
	ssize_t r = airlock_call_with(t, "lent_sum", NULL, 0, &sum, sizeof(sum), &o);
	check(r == sizeof(sum) && sum == want, "eight buffers in one call", "%zd %s", r, airlock_message());
	o.lend_count = AIRLOCK_LENDS_MAX + 1;
	r = airlock_call_with(t, "lent_sum", NULL, 0, &sum, sizeof(sum), &o);
	check(r == -EINVAL, "and no more", "%zd", r);
	check(descriptors(getpid()) == before, "no descriptor is left in the host", "%d, then %d", before,
		descriptors(getpid()));
	/* It closes its own copy once it has answered, and has a few for itself by now. */
	int now = descriptors(t->broker->pid);
	if (broker < 0)
		printf("skip no descriptor is left in the broker: it is not ours to look at\n");
	else
		check(now < broker + 10, "no descriptor is left in the broker", "%d, then %d", broker, now);
	int tickets[20];
	for (int i = 0; i < 20; i++) {
		lends[0] = (struct airlock_lend){b[i % 4], i % 2};
		o.lend_count = 1;
		unsigned char c = (unsigned char)i;
		tickets[i] = airlock_call_begin(t, i % 2 ? "lent_fill" : "lent_first", &c, 1, 0, &o);
		good = good && tickets[i] > 0;
	}
	for (int i = 0; i < 20; i++) {
		r = airlock_call_end(t, tickets[i], NULL, 0, -1);
		good = good && (i % 2 ? r == 0 : r <= 0 && r > -256);
	}
	check(good && all(b[3], 19) && all(b[1], 17), "lends of calls that are under way together", "%zd %s", r,
		airlock_message());
	for (int i = 0; i < MANY; i++)
		airlock_buffer_free(b[i]);
	check(airlock_call(t, "hello", NULL, 0, NULL, 0) == -7, "buffers are freed that a target keeps", "%s",
		airlock_message());
	b[0] = buffer(SMALL, 0x55);
	for (int i = 0; i < TARGETS; i++) {
		struct airlock_target *one = start();
		good = good && call(one, "lent_sum", b[0], 0, NULL, 0, &sum, sizeof(sum)) == sizeof(sum) &&
		       sum == sum_of(b[0]);
		airlock_free(one);
	}
	check(good, "one buffer for many targets", "%s", airlock_message());
	airlock_buffer_free(b[0]);
	airlock_free(t);
}

static void forks(void)
{
	struct airlock_pool *pool = NULL;
	struct airlock_pool_stats stats = AIRLOCK_POOL_STATS_INIT;
	struct airlock_buffer *b = buffer(SMALL, 0x66);
	uint64_t sum = 0;
	bool good = airlock_pool_new(&pool, policy, NULL) == 0;
	for (int i = 0; good && i < 20; i++) {
		const struct airlock_lend lend = {b, i % 2};
		struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
		unsigned char c = (unsigned char)i;
		o.lends = &lend;
		o.lend_count = 1;
		if (i % 2)
			good = airlock_pool_call_with(pool, "lent_fill", &c, 1, NULL, 0, &o, NULL) == 0 && all(b, c);
		else
			good = airlock_pool_call_with(pool, "lent_sum", NULL, 0, &sum, sizeof(sum), &o, NULL) ==
				       sizeof(sum) &&
			       sum == sum_of(b);
	}
	check(good && airlock_pool_stats(pool, &stats) == 0, "the targets of a pool", "%s", airlock_message());
	check(airlock_buffer_revoke(b) == 0, "have let go", "%s", airlock_message());
	airlock_pool_free(pool);
	airlock_buffer_free(b);
}

/* ---- freed while it is lent ---- */

static struct airlock_buffer *watched;
static void *watch_it(void *arg)
{
	static ssize_t r;
	r = call(arg, "lent_watch", watched, 0, NULL, 0, NULL, 0);
	return &r;
}

static void freed_while_lent(void)
{
	struct airlock_target *t = start();
	pthread_t thread;
	void *r;
	watched = buffer(SMALL, 0x77);
	pthread_create(&thread, NULL, watch_it, t);
	usleep(20000); /* either order is good: the lend has been sent, or the call fails */
	memset(airlock_buffer_data(watched), 0x78, SMALL);
	pthread_join(thread, &r);
	check(*(ssize_t *)r == -0x78, "a target sees a change while it runs", "%zd", *(ssize_t *)r);
	memset(airlock_buffer_data(watched), 0x77, SMALL);
	pthread_create(&thread, NULL, watch_it, t);
	usleep(20000);
	airlock_buffer_free(watched);
	pthread_join(thread, &r);
	check(*(ssize_t *)r == 0, "a buffer that is freed while it is lent is empty", "%zd", *(ssize_t *)r);
	check(airlock_call(t, "hello", NULL, 0, NULL, 0) == -7, "and the target goes on", "%s", airlock_message());
	airlock_free(t);
}

/* ---- hostile targets ---- */

static void attacked_reading(void)
{
	struct airlock_target *t = start();
	struct airlock_buffer *b = buffer(SMALL, 0x11);
	struct attempts a = {0};
	ssize_t r = call_hostile(t, "attack_reading", b, 0, 0, &a, sizeof(a));
	check(r == sizeof(a) && a.made >= 17 && !a.succeeded, "what is lent for reading cannot be changed",
		"%zd, %llu made, %llx: %s", r, (unsigned long long)a.made, (unsigned long long)a.succeeded, a.last);
	check(all(b, 0x11), "and is not", "it has changed");
	struct airlock_target *other = start();
	struct grab g = {.what = GRAB_FD};
	const struct airlock_lend lend = {b, 1};
	int n = buffers_lend(t, &lend, 1, g.lends);
	uint64_t base = g.lends[0].id;
	check(n == 1 && airlock_call(other, "guess", &base, sizeof(base), NULL, 0) == 0,
		"no target gets what another was lent", "it did");
	buffers_returned(t, g.lends, (unsigned)n, false);
	check(airlock_call(t, "guess", &base, sizeof(base), NULL, 0) == 0, "nor what it did not ask for in time",
		"it did");
	double from = now_us();
	bool good = true;
	for (int i = 0; i < 8; i++)
		good = good && airlock_call(t, "guess", &base, sizeof(base), NULL, 0) == 0;
	check(good && airlock_call(other, "hello", NULL, 0, NULL, 0) == -7, "a flood of wrong numbers", "%s",
		airlock_message());
	printf("# a wrong number: %.1f us\n", (now_us() - from) / 8 / 4225);
	airlock_free(other);
	airlock_buffer_free(b);
	airlock_free(t);
}

/* Holds on to it in some way: while it does it cannot be revoked, and the host is told so; and has what it had. */
static void holds(unsigned what, int want, const char *name)
{
	char text[120];
	struct airlock_target *t = start();
	struct airlock_buffer *b = buffer(SMALL, 0x11);
	ssize_t r = call_hostile(t, "grab", b, 1, what, NULL, 0);
	bool held = r == 0;
	int e = 0;
	for (int i = 0; held && i < 20; i++) {
		e = airlock_buffer_revoke(b);
		held = e == want;
	}
	snprintf(text, sizeof(text), "%s: %s", name, want ? strerror(-want) : "revoked");
	check(held, text, "%zd %d %s", r, e, airlock_message());
	if (want) {
		memset(airlock_buffer_data(b), 0x12, SMALL);
		check(all(b, 0x12), "the host's memory is as it was", "it is not");
	}
	if (want == -EBUSY && !(what & GRAB_FUTURE)) {
		r = airlock_call(t, "scribble", "\x13", 1, NULL, 0);
		check(r == 0 && all(b, 0x13), "and the target still changes it", "%zd", r);
	}
	airlock_free(t);
	e = airlock_buffer_revoke(b);
	check(want == -EPERM ? e == -EPERM : e == 0, "once it has ended", "%d %s", e, airlock_message());
	airlock_buffer_free(b);
}

/* Writes or maps all the time: when the host is told that nobody can change it, nobody does. */
static void races(unsigned what, const char *name)
{
	char text[120];
	unsigned busy = 0;
	bool good = true;
	for (int round = 0; good && round < 10; round++) {
		struct airlock_target *t = start();
		struct airlock_buffer *b = buffer(SMALL, 0x11);
		ssize_t r = call_hostile(t, "grab", b, 1, what, NULL, 0);
		int e = -EBUSY;
		for (int i = 0; r == 0 && e == -EBUSY && i < 100000; i++) {
			e = airlock_buffer_revoke(b);
			busy += e == -EBUSY;
		}
		static unsigned char copy[SMALL];
		memcpy(copy, airlock_buffer_data(b), SMALL);
		for (int i = 0; i < 20; i++) {
			usleep(500);
			good = good && memcmp(copy, airlock_buffer_data(b), SMALL) == 0;
		}
		ssize_t still = airlock_call(t, "after", NULL, 0, NULL, 0);
		good = good && r == 0 && e == 0 && still == 0 && memcmp(copy, airlock_buffer_data(b), SMALL) == 0;
		if (!good)
			snprintf(text, sizeof(text), "%zd %d, and afterwards %zd", r, e, still);
		airlock_call(t, "grab", &(struct grab){.what = GRAB_LET_GO}, sizeof(struct grab), NULL, 0);
		airlock_free(t);
		airlock_buffer_free(b);
	}
	check(good, name, "%s", text);
	printf("# busy %u times\n", busy);
}

static void mapping_outlives(void)
{
	struct airlock_target *t = start();
	struct airlock_buffer *b = buffer(SMALL, 0x11);
	ssize_t r = call(t, "lent_keep", b, 1, NULL, 0, NULL, 0);
	check(r == 0 && airlock_buffer_revoke(b) == -EBUSY, "a copy of the mapping, behind the library's back: busy",
		"%zd", r);
	check(airlock_call(t, "scribble", "\x21", 1, NULL, 0) == 0 && all(b, 0x21), "it is one", "%s",
		airlock_message());
	airlock_kill(t);
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	airlock_wait(t, &s, 5000);
	check(airlock_buffer_revoke(b) == 0 && all(b, 0x21), "a target that was killed has let go", "%s",
		airlock_message());
	check(call(t, "lent_sum", b, 0, NULL, 0, NULL, 0) == -EPIPE, "and gets no more", "it did");
	airlock_free(t);
	airlock_buffer_free(b);
}

/* ---- where there are none ---- */

static ssize_t lend_on(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	struct airlock_policy *p;
	struct airlock_target *t;
	struct airlock_buffer *b;
	if (airlock_policy_new(&p, "stdio") < 0 || airlock_start(&t, p, NULL, NULL, NULL) < 0 ||
		airlock_buffer_new(&b, SMALL) < 0)
		return -1000;
	ssize_t r = call(t, "lent_first", b, 0, NULL, 0, NULL, 0);
	airlock_free(t);
	airlock_buffer_free(b);
	return r;
}
AIRLOCK_FUNCTION(lend_on)

static void nested(void)
{
#ifdef __SANITIZE_THREAD__
	printf("skip a target lends nothing to its own: the thread sanitizer knows no brokers that are forks\n");
	return;
#endif
	struct airlock_target *t = start();
	ssize_t r = airlock_call(t, "lend_on", NULL, 0, NULL, 0);
	check(r == -EOPNOTSUPP, "a target lends nothing to its own", "%zd", r);
	airlock_free(t);
}

/* ---- how fast ---- */

static void speed(void)
{
	enum { TIMES = 50 };
	struct airlock_target *t = start();
	struct airlock_buffer *b = buffer(BIG, 0x11);
	char *from = malloc(BIG), *to = malloc(BIG);
	double copy = 1e9, read = 1e9, write = 1e9, first;
	memset(from, 1, BIG);
	memset(to, 1, BIG);
	double begin = now_us();
	call(t, "lent_first", b, 0, NULL, 0, NULL, 0);
	first = now_us() - begin;
	for (int i = 0; i < TIMES; i++) {
		begin = now_us();
		memcpy(to, from, BIG);
		__asm__ volatile("" ::"r"(to) : "memory");
		double took = now_us() - begin;
		copy = took < copy ? took : copy;
		call(t, "lent_first", b, 0, NULL, 0, NULL, 0); /* it may have to be woken */
		begin = now_us();
		ssize_t r = call(t, "lent_first", b, 0, NULL, 0, NULL, 0);
		took = now_us() - begin;
		read = r == -0x11 && took < read ? took : read;
		begin = now_us();
		r = call(t, "lent_first", b, 1, NULL, 0, NULL, 0);
		took = now_us() - begin;
		write = r == -0x11 && took < write ? took : write;
	}
	printf("# 16 MiB: memcpy %.0f us; lent %.0f us at first, then %.1f us for reading, %.1f us for writing\n", copy,
		first, read, write);
	check(read < copy / 4 && write < copy / 3, "16 MiB without a copy", "%.0f and %.0f us, memcpy %.0f us", read,
		write, copy);
	free(from);
	free(to);
	airlock_buffer_free(b);
	airlock_free(t);
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (airlock_policy_new(&policy, "stdio") < 0)
		return 1;
	sizes();
	reads_and_writes();
	many();
	forks();
	freed_while_lent();
	attacked_reading();
	mapping_outlives();
	holds(GRAB_MAP, -EBUSY, "a target keeps it mapped");
	holds(GRAB_MAP | GRAB_FD, -EBUSY, "a target keeps it mapped, and the descriptor");
	holds(GRAB_FD, 0, "a target keeps the descriptor alone");
	holds(GRAB_SEAL, -EPERM, "a target seals it against seals");
	holds(GRAB_MAP | GRAB_FUTURE, -EBUSY, "a target seals it against all but its own mapping");
	holds(GRAB_FUTURE, 0, "a target seals it against writing");
	races(GRAB_WRITER | GRAB_FD, "a thread writes by the descriptor");
	races(GRAB_MAPPER | GRAB_FD, "a thread maps and unmaps");
	nested();
	speed();
	airlock_policy_free(policy);
	return tap_failed != 0;
}
