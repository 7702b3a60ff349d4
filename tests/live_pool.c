/* SPDX-License-Identifier: ISC */
/*
 * Pools as their users see them: a target for each job, complete endings, many callers, and what becomes of it all when
 * parts of it are killed. The hostile attempts of forks are in hostile_pool.c. This program is the subreaper of all it
 * starts, so that the processes below it are the whole truth.
 */
#include "tests/pool.h"

#include "tests/processes.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- in targets ---- */

#define UNUSED (void)in, (void)len, (void)out, (void)cap

static int calls, prepared;

static ssize_t prepare(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	prepared++;
	return 0;
}
AIRLOCK_FUNCTION(prepare)

static ssize_t prepare_badly(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	socket(AF_INET, SOCK_STREAM, 0);
	raise(SIGSEGV);
	return 0;
}
AIRLOCK_FUNCTION(prepare_badly)

/* How often this process was called before, how often it was prepared. */
static ssize_t count(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len;
	return snprintf(out, cap, "%d %d", calls++, prepared);
}
AIRLOCK_FUNCTION(count)

static ssize_t where(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len;
	return snprintf(out, cap, "%p %p", (void *)(uintptr_t)count, __builtin_frame_address(0));
}
AIRLOCK_FUNCTION(where)

static ssize_t leave(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	_exit(7);
}
AIRLOCK_FUNCTION(leave)

static ssize_t crash(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	static volatile int *volatile nowhere = (int *)8;
	*nowhere = 1;
	return 0;
}
AIRLOCK_FUNCTION(crash)

static ssize_t violate(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? -errno : 0;
}
AIRLOCK_FUNCTION(violate)

/* Milliseconds as text. */
static ssize_t nap(const void *in, size_t len, void *out, size_t cap)
{
	char text[16] = "";
	memcpy(text, in, len < 15 ? len : 15);
	const long ms = strtol(text, NULL, 10);
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&t, NULL);
	return snprintf(out, cap, "slept");
}
AIRLOCK_FUNCTION(nap)

/* On a clock that is everybody's. */
static ssize_t now(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return snprintf(out, cap, "%lld", (long long)t.tv_sec * 1000000000 + t.tv_nsec);
}
AIRLOCK_FUNCTION(now)

static ssize_t burn(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	static volatile int on = 1;
	while (on)
		;
	return 0;
}
AIRLOCK_FUNCTION(burn)

/* ---- in the host ---- */

pid_t pool_process(const char *word)
{
	processes_look();
	return process_titled(word);
}

struct answer ask(struct airlock_pool *pool, const char *function, const char *in)
{
	struct answer a = {.status = AIRLOCK_STATUS_INIT};
	a.result = airlock_pool_call(pool, function, in, in ? strlen(in) : 0, a.text, sizeof(a.text) - 1, &a.status);
	return a;
}

void expect(struct airlock_pool *pool, const char *function, const char *in, const char *text, const char *name)
{
	struct answer a = ask(pool, function, in);
	check(a.result >= 0 && !strcmp(a.text, text), name, "%zd \"%s\", not \"%s\": %s", a.result, a.text, text,
		a.result < 0 ? airlock_message() : "");
}

static struct airlock_policy *policy_of(const char *text)
{
	struct airlock_policy *p = NULL;
	if (airlock_policy_parse(&p, text) < 0)
		check(false, "policy", "%s", airlock_message());
	return p;
}

static struct airlock_pool *pool_of(const struct airlock_policy *p, const struct airlock_pool_options *o)
{
	struct airlock_pool *pool = NULL;
	if (airlock_pool_new(&pool, p, o) < 0) {
		check(false, "a pool", "%s", airlock_message());
		exit(1);
	}
	return pool;
}

static struct airlock_pool_stats stats_of(struct airlock_pool *pool)
{
	struct airlock_pool_stats s = AIRLOCK_POOL_STATS_INIT;
	airlock_pool_stats(pool, &s);
	return s;
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void jobs(bool fresh)
{
	struct airlock_policy *p = policy_of("pledge stdio");
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	tap_prefix = fresh ? "fresh: " : "forks: ";
	o.fresh = fresh;
	o.prepare = "prepare";
	struct airlock_pool *pool = pool_of(p, &o);
	check(stats_of(pool).forks == !fresh, "the stats say what targets are", "%d", stats_of(pool).forks);
	for (int i = 0; i < 5; i++)
		expect(pool, "count", NULL, "0 1", "a job sees no other, and its target was prepared once");
	struct answer a = ask(pool, "leave", NULL);
	check(a.result == -EPIPE && a.status.end == AIRLOCK_EXITED && a.status.code == 7, "exit", "%zd end %d code %d",
		a.result, a.status.end, a.status.code);
	a = ask(pool, "crash", NULL);
	check(a.result == -EPIPE && a.status.end == AIRLOCK_CRASHED && a.status.signal == SIGSEGV &&
			a.status.peak_bytes > 0 && a.status.layers,
		"crash", "%zd end %d signal %d", a.result, a.status.end, a.status.signal);
	check(strstr(airlock_message(), "crash") != NULL, "the message says so", "%s", airlock_message());
	a = ask(pool, "violate", NULL);
	check(a.result == -EPERM && a.status.end == AIRLOCK_RUNNING, "a refusal is the function's to handle",
		"%zd end %d", a.result, a.status.end);
	check(strstr(a.status.violation, "promise inet") != NULL, "and is in the status", "%s", a.status.violation);
	a = ask(pool, "nothing_of_this_name", NULL);
	check(a.result == -ENOSYS, "an unknown function", "%zd", a.result);
	expect(pool, "count", NULL, "0 1", "none of them cost another job");
	struct airlock_pool_stats s = stats_of(pool);
	check(s.crashed == 1 && s.calls == 10 && s.busy == 0 && s.waiting == 0, "the stats count",
		"crashed %llu calls %llu busy %u", (unsigned long long)s.crashed, (unsigned long long)s.calls, s.busy);
	/* Layout: of forks one, of fresh images each its own. */
	struct answer b = ask(pool, "where", NULL);
	unsigned same = 0;
	for (int i = 0; i < 3; i++) {
		a = ask(pool, "where", NULL);
		same += !strcmp(a.text, b.text);
	}
	check(fresh ? same == 0 : same == 3, fresh ? "each has addresses of its own" : "forks share one layout",
		"%u of 3 as the first: %s", same, b.text);
	airlock_pool_free(pool);
	airlock_policy_free(p);
	p = policy_of("pledge stdio\non-violation kill");
	pool = pool_of(p, &o);
	a = ask(pool, "violate", NULL);
	check(a.result == -EPIPE && a.status.end == AIRLOCK_VIOLATED && strstr(a.status.violation, "promise inet") &&
			a.status.requests > 0 && a.status.refused > 0,
		"a violation that kills", "%zd end %d \"%s\" requests %llu refused %llu", a.result, a.status.end,
		a.status.violation, (unsigned long long)a.status.requests, (unsigned long long)a.status.refused);
	expect(pool, "count", NULL, "0 1", "costs that job alone");
	airlock_pool_free(pool);
	airlock_policy_free(p);
	tap_prefix = "";
}

static void reuse(void)
{
	struct airlock_policy *p = policy_of("pledge stdio");
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	o.reuse = 3;
	o.min = o.max = 1;
	struct airlock_pool *pool = pool_of(p, &o);
	static const char *const texts[] = {"0 0", "1 0", "2 0", "0 0", "1 0"};
	for (int i = 0; i < 5; i++)
		expect(pool, "count", NULL, texts[i], "reuse 3");
	const int ended = airlock_pool_trim(pool);
	check(ended == 2 && !stats_of(pool).alive, "trim ends what is idle, and the zygote", "%d", ended);
	processes_look();
	check(!process_titled(": airlock target") && !process_titled(": airlock zygote"), "nothing of it is left", "%s",
		processes_text());
	expect(pool, "count", NULL, "0 0", "the next call starts anew");
	airlock_pool_free(pool);
	airlock_policy_free(p);
}

/* ---- many callers ---- */

struct crowd {
	struct airlock_pool *pool;
	atomic_int wrong, answers;
	atomic_uint most;
};
struct caller {
	struct crowd *crowd;
	long long served;
	pthread_t thread;
};

static void *many_jobs(void *arg)
{
	struct caller *c = arg;
	for (int i = 0; i < 25; i++) {
		struct answer a = ask(c->crowd->pool, i % 5 == 3 ? "leave" : "count", NULL);
		c->crowd->wrong += i % 5 == 3 ? a.result != -EPIPE || a.status.code != 7 : strcmp(a.text, "0 0") != 0;
		c->crowd->answers++;
		const unsigned alive = stats_of(c->crowd->pool).alive;
		if (alive > c->crowd->most)
			c->crowd->most = alive;
	}
	return NULL;
}

static void *napper(void *arg)
{
	struct crowd *c = arg;
	ask(c->pool, "nap", "700");
	return NULL;
}

static void *one_in_line(void *arg)
{
	struct caller *c = arg;
	c->served = atoll(ask(c->crowd->pool, "now", NULL).text);
	return NULL;
}

static void crowds(bool fresh)
{
	struct airlock_policy *p = policy_of("pledge stdio");
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	struct caller callers[8];
	o.fresh = fresh;
	o.max = 3;
	tap_prefix = fresh ? "fresh: " : "forks: ";
	struct crowd crowd = {.pool = pool_of(p, &o)};
	for (int i = 0; i < 8; i++) {
		callers[i] = (struct caller){.crowd = &crowd};
		pthread_create(&callers[i].thread, NULL, many_jobs, &callers[i]);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(callers[i].thread, NULL);
	check(crowd.wrong == 0 && crowd.answers == 200, "8 threads, 200 jobs, each answered once and rightly",
		"%d wrong of %d", crowd.wrong, crowd.answers);
	check(crowd.most <= 3, "never more than max alive", "%u", crowd.most);
	airlock_pool_free(crowd.pool);
	/* In order: one target, and each stands in line before the next one comes. */
	o.min = o.max = 1;
	crowd.pool = pool_of(p, &o);
	pthread_t holds;
	pthread_create(&holds, NULL, napper, &crowd);
	while (!stats_of(crowd.pool).busy)
		nanosleep(&(struct timespec){0, 100000}, NULL);
	for (unsigned i = 0; i < 8; i++) {
		callers[i] = (struct caller){.crowd = &crowd};
		pthread_create(&callers[i].thread, NULL, one_in_line, &callers[i]);
		while (stats_of(crowd.pool).waiting <= i && stats_of(crowd.pool).calls == 0)
			nanosleep(&(struct timespec){0, 100000}, NULL);
	}
	pthread_join(holds, NULL);
	unsigned late = 0;
	for (int i = 0; i < 8; i++) {
		pthread_join(callers[i].thread, NULL);
		late += i && callers[i].served <= callers[i - 1].served;
	}
	check(late == 0, "callers are served in the order in which they came", "%u were not", late);
	airlock_pool_free(crowd.pool);
	airlock_policy_free(p);
	tap_prefix = "";
}

/* ---- parts of it die ---- */

static void *sleeper(void *arg)
{
	struct crowd *c = arg;
	struct answer a = ask(c->pool, "nap", "60000");
	c->wrong += a.result != -EPIPE || (a.status.end != AIRLOCK_LOST && a.status.end != AIRLOCK_KILLED);
	c->answers++;
	return NULL;
}

static void killed(const char *word, bool fresh)
{
	struct airlock_policy *p = policy_of("pledge stdio");
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	o.fresh = fresh;
	struct crowd crowd = {.pool = pool_of(p, &o)};
	char name[128];
	pthread_t thread;
	pthread_create(&thread, NULL, sleeper, &crowd);
	while (!stats_of(crowd.pool).busy)
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	/* It may still be on its way to its target. */
	nanosleep(&(struct timespec){0, 50000000}, NULL);
	pid_t pid = pool_process(word);
	if (!check(pid > 0, word, "there is none:%s", processes_text()))
		exit(1);
	/* Of fresh targets each has an init. */
	for (pid_t next = pid; next > 0; next = pool_process(word)) {
		kill(next, SIGKILL);
		while (pool_process(word) == next)
			nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
	pthread_join(thread, NULL);
	snprintf(name, sizeof(name), "%s%s is killed: the call in flight ends, once", word, fresh ? " (fresh)" : "");
	check(crowd.answers == 1 && crowd.wrong == 0, name, "wrong %d", crowd.wrong);
	for (int i = 0; i < 3; i++)
		expect(crowd.pool, "count", NULL, "0 0", "and the pool goes on by itself");
	airlock_pool_free(crowd.pool);
	airlock_policy_free(p);
}

/* Idle targets are killed one by one while jobs come in: no job is lost by that, as none of them was with a target. */
static void idle_killed(void)
{
	struct airlock_policy *p = policy_of("pledge stdio");
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	o.min = 2;
	struct airlock_pool *pool = pool_of(p, &o);
	unsigned wrong = 0;
	for (int i = 0; i < 20; i++) {
		pid_t pid = pool_process(": airlock target");
		if (pid > 0) {
			kill(pid, SIGKILL);
			/* Until its init has seen that. */
			while (kill(pid, 0) == 0)
				nanosleep(&(struct timespec){0, 100000}, NULL);
		}
		wrong += strcmp(ask(pool, "count", NULL).text, "0 0") != 0;
	}
	check(wrong == 0, "idle targets are killed, and no job is lost", "%u of 20 were", wrong);
	airlock_pool_free(pool);
	airlock_policy_free(p);
}

static void zygote_stopped(void)
{
	struct airlock_policy *p = policy_of("pledge stdio");
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	struct airlock_pool *pool = pool_of(p, &o);
	expect(pool, "count", NULL, "0 0", "a zygote is about to be stopped");
	pid_t zygote = pool_process(": airlock zygote");
	unsigned wrong = 0;
	for (int i = 0; i < 30; i++) {
		kill(zygote, i % 2 ? SIGCONT : SIGSTOP);
		kill(zygote, SIGCONT);
		wrong += strcmp(ask(pool, "count", NULL).text, "0 0") != 0;
	}
	check(wrong == 0, "a zygote that is stopped and goes on loses no fork", "%u of 30 jobs", wrong);
	check(pool_process(": airlock zygote") == zygote, "and is the same", "it is another");
	airlock_pool_free(pool);
	airlock_policy_free(p);
}

/* ---- time ---- */

static struct answer ask_within(struct airlock_pool *pool, int ms, int grace, const char *function, const char *in)
{
	struct answer a = {.status = AIRLOCK_STATUS_INIT};
	struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
	o.timeout_ms = ms;
	o.grace_ms = grace;
	a.result = airlock_pool_call_with(
		pool, function, in, in ? strlen(in) : 0, a.text, sizeof(a.text) - 1, &o, &a.status);
	return a;
}

static void times(bool fresh)
{
	struct airlock_policy *p = policy_of("pledge stdio\nlimit wall 400ms");
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	tap_prefix = fresh ? "fresh: " : "forks: ";
	o.fresh = fresh;
	struct airlock_pool *pool = pool_of(p, &o);
	processes_look();
	const pid_t idle = process_titled(fresh ? ": airlock init" : ": airlock zygote");
	nanosleep(&(struct timespec){1, 0}, NULL);
	check(kill(idle, 0) == 0, "the policy's limit of wall time is not that of what waits", "it has ended");
	struct answer a = ask(pool, "burn", NULL);
	check(a.result == -ETIMEDOUT && a.status.end == AIRLOCK_TIMED_OUT && a.status.limit == AIRLOCK_LIMIT_WALL &&
			a.status.limit_value == 400,
		"but each call's", "%zd end %d limit %d %llu", a.result, a.status.end, a.status.limit,
		(unsigned long long)a.status.limit_value);
	expect(pool, "count", NULL, "0 0", "and costs that call alone");
	check(stats_of(pool).timed_out == 1 && stats_of(pool).lost == 0, "the stats say so", "%llu",
		(unsigned long long)stats_of(pool).timed_out);
	airlock_pool_free(pool);
	airlock_policy_free(p);
	p = policy_of("pledge stdio");
	o.wall_ms = 300;
	pool = pool_of(p, &o);
	a = ask(pool, "burn", NULL);
	check(a.result == -ETIMEDOUT && a.status.end == AIRLOCK_TIMED_OUT && a.status.limit_value == 300,
		"the pool's limit", "%zd end %d", a.result, a.status.end);
	a = ask_within(pool, 100, 0, "burn", NULL);
	check(a.result == -ETIMEDOUT && a.status.end == AIRLOCK_TIMED_OUT && a.status.limit < 0,
		"the call's own deadline", "%zd end %d limit %d", a.result, a.status.end, a.status.limit);
	expect(pool, "count", NULL, "0 0", "costs that call alone");
	airlock_pool_free(pool);
	/* In line: the deadline is also that of waiting. */
	o.wall_ms = -1;
	o.min = o.max = 1;
	struct crowd crowd = {.pool = pool_of(p, &o)};
	pthread_t holds;
	pthread_create(&holds, NULL, napper, &crowd);
	while (!stats_of(crowd.pool).busy)
		nanosleep(&(struct timespec){0, 100000}, NULL);
	a = ask_within(crowd.pool, 50, 0, "count", NULL);
	check(a.result == -ETIMEDOUT && a.status.end == AIRLOCK_TIMED_OUT && !stats_of(crowd.pool).waiting,
		"waiting in line ends at the deadline", "%zd end %d", a.result, a.status.end);
	pthread_join(holds, NULL);
	expect(crowd.pool, "count", NULL, "0 0", "and leaves the line as it was");
	airlock_pool_free(crowd.pool);
	/* Beyond min, what nobody calls ends by itself. */
	o = (struct airlock_pool_options)AIRLOCK_POOL_OPTIONS_INIT;
	o.fresh = fresh;
	o.reuse = 1000;
	o.min = 1;
	o.max = 4;
	o.idle_ms = 300;
	crowd.pool = pool_of(p, &o);
	struct caller callers[4];
	for (int i = 0; i < 4; i++) {
		callers[i] = (struct caller){.crowd = &crowd};
		pthread_create(&callers[i].thread, NULL, napper, &crowd);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(callers[i].thread, NULL);
	size_t left = 0;
	for (int i = 0; i < 1000; i++) {
		processes_look();
		if ((left = processes_titled(": airlock target")) <= 1)
			break;
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	}
	check(left == 1, "what is idle beyond min ends by itself", "%zu targets", left);
	expect(crowd.pool, "where", NULL, ask(crowd.pool, "where", NULL).text, "and what is left serves");
	airlock_pool_free(crowd.pool);
	airlock_policy_free(p);
	tap_prefix = "";
}

/* ---- what cannot be ---- */

static void refused(void)
{
	static const struct {
		const char *policy, *why;
	} cases[] = {{"pledge stdio proc", "proc"}, {"pledge stdio exec", "exec"},
		{"pledge stdio\nlimit processes 9", "limit"}, {"pledge", "stdio"}};
#ifdef __SANITIZE_ADDRESS__
	const size_t n = sizeof(cases) / sizeof(*cases) - 1; /* its runtime does not do without stdio */
#else
	const size_t n = sizeof(cases) / sizeof(*cases);
#endif
	for (size_t i = 0; i < n; i++) {
		struct airlock_policy *p = policy_of(cases[i].policy);
		struct airlock_pool *pool = NULL;
		const int r = airlock_pool_new(&pool, p, NULL);
		check(r == 0 && !stats_of(pool).forks && strstr(airlock_message(), cases[i].why),
			"where forks would be less apart targets are fresh, and it says why", "%d: %s", r,
			airlock_message());
		expect(pool, "count", NULL, "0 0", "and they serve");
		airlock_pool_free(pool);
		airlock_policy_free(p);
	}
	struct airlock_policy *p = policy_of("pledge stdio");
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	struct airlock_pool *pool = NULL;
	o.prepare = "prepare_badly";
	int r = airlock_pool_new(&pool, p, &o);
	check(r == -ECHILD && !pool && strstr(airlock_message(), "promise inet"),
		"a zygote that cannot be prepared is an error that says what it was refused", "%d: %s", r,
		airlock_message());
	o.prepare = "nobody_wrote_it";
	r = airlock_pool_new(&pool, p, &o);
	check(r == -ENOENT && !pool, "prepare is no function of the program", "%d", r);
	o = (struct airlock_pool_options)AIRLOCK_POOL_OPTIONS_INIT;
	o.min = 3;
	o.max = 2;
	check(airlock_pool_new(&pool, p, &o) == -EINVAL, "max below min", "taken");
	airlock_pool_free(NULL);
	airlock_policy_free(p);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/airlock-pool-XXXXXX";
	if (airlock_init(argc, argv) < 0)
		return 1;
	processes_begin();
	if (!mkdtemp(dir) || chmod(dir, 0777) < 0)
		return 1;
	const unsigned before = descriptors();
	jobs(false);
	jobs(true);
	reuse();
	crowds(false);
	crowds(true);
	times(false);
	times(true);
	killed(": airlock zygote", false);
	killed(": airlock init", false);
	killed(": airlock broker", false);
	killed(": airlock init", true);
	killed(": airlock broker", true);
	idle_killed();
	zygote_stopped();
	refused();
	hostile_forks(dir);
	pool_again();
	const unsigned after = descriptors();
	check(after == before, "no descriptor is left open", "%u before, %u after", before, after);
	check(processes_shrink_to(0, 0), "no process is left", "%s", processes_text());
	rmdir(dir);
	return tap_failed != 0;
}
