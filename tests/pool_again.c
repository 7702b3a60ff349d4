/* SPDX-License-Identifier: ISC */
/*
 * When a pool's job is tried with another target, and how long one may take: a job cannot bring about that it runs again, a
 * target that answers no more gets no further job, and a deadline is kept by whoever has to wait for a target, too.
 */
#include "tests/pool.h"

#include "ipc/ipc.h"
#include "tests/tap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FD_MAY 22 /* a pipe: one byte for each preparation */
#define UNUSED (void)in, (void)len, (void)out, (void)cap

/* ---- in targets ---- */

/* The memory of calls, found by where the bytes of a target's first call are. */
static struct ipc_call *memory(const void *in)
{
	return (struct ipc_call *)(uintptr_t)((const char *)in - offsetof(struct ipc_call, entry) -
					      offsetof(struct ipc_entry, in));
}

/* Calls the host, then takes back all that says that it took a call, and dies. in: how. */
static ssize_t deny(const void *in, size_t len, void *out, size_t cap)
{
	(void)len, (void)out, (void)cap;
	struct ipc_call *c = memory(in);
	const char how = *(const char *)in;
	airlock_call_host("ran", "", 0, NULL, 0);
	memset(&c->entry[0].result, 0, sizeof(c->entry[0].result));
	c->target_cpu = c->target_waits = c->target_bell = 0;
	c->dead = how == 'd';
	if (how == 'k')
		kill(getpid(), SIGKILL);
	if (how == 'e')
		_exit(0);
	abort();
}
AIRLOCK_FUNCTION(deny)

/* Nobody will answer any more, says the target, and lives on. */
static ssize_t play_dead(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	memory(in)->dead = 1;
	while (pause() < 0)
		;
	return 0;
}
AIRLOCK_FUNCTION(play_dead)

static int times;
static ssize_t times_called(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	return times++;
}
AIRLOCK_FUNCTION(times_called)

static ssize_t prepare_when_told(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	char byte;
	while (read(FD_MAY, &byte, 1) < 0 && errno == EINTR)
		;
	return 0;
}
AIRLOCK_FUNCTION(prepare_when_told)

/* ---- in the host ---- */

static atomic_uint ran;
static ssize_t on_ran(void *arg, const void *in, size_t len, void *out, size_t cap)
{
	(void)arg, UNUSED;
	ran++;
	return 0;
}
static const struct airlock_callback callbacks[] = {{"ran", on_ran, NULL}};

static struct airlock_pool *pool_with(const struct airlock_policy *p, const struct airlock_pool_options *o)
{
	struct airlock_pool *pool;
	if (airlock_pool_new(&pool, p, o) == 0)
		return pool;
	check(false, "a pool", "%s", airlock_message());
	exit(1);
}

static void once(const struct airlock_policy *p, bool fresh)
{
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	o.fresh = fresh;
	o.target.callbacks = callbacks;
	o.target.callback_count = 1;
	struct airlock_pool *pool = pool_with(p, &o);
	for (const char *how = "aked"; *how; how++) {
		char in[2] = {*how}, name[64];
		ran = 0;
		struct answer a = ask(pool, "deny", in);
		snprintf(name, sizeof(name), "%s: a job that denies that it ran runs once, way %c",
			fresh ? "fresh" : "forks", *how);
		check(ran == 1 && a.result == -EPIPE, name, "%u times, %zd end %d", ran, a.result, a.status.end);
	}
	airlock_pool_free(pool);
}

static void dead_word(const struct airlock_policy *p)
{
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	o.min = o.max = 1;
	o.reuse = 100;
	struct airlock_pool *pool = pool_with(p, &o);
	ssize_t n = airlock_pool_call(pool, "play_dead", "x", 1, NULL, 0, &s);
	check(n == -EPIPE && s.end == AIRLOCK_RUNNING, "a target that plays dead answers no call", "%zd end %d", n,
		s.end);
	n = airlock_pool_call(pool, "times_called", NULL, 0, NULL, 0, &s);
	check(n == 0, "and gets no other one", "%zd: %s", n, n < 0 ? airlock_message() : "");
	s.size = 0;
	n = airlock_pool_call(pool, "times_called", NULL, 0, NULL, 0, &s);
	check(n == -EINVAL && s.size == 0, "a status of no size is refused", "%zd", n);
	airlock_pool_free(pool);
}

struct caller {
	struct airlock_pool *pool;
	int timeout_ms;
	pthread_t thread;
	struct airlock_status status;
	ssize_t result;
};

static void *one_call(void *arg)
{
	struct caller *c = arg;
	struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
	o.timeout_ms = c->timeout_ms;
	c->result = airlock_pool_call_with(c->pool, "times_called", NULL, 0, NULL, 0, &o, &c->status);
	return NULL;
}

/* The next zygote hangs while it prepares: who has a deadline is told, whether it started that zygote or waits for one that
 * another started; and when it is ready after all, it serves. */
static void hangs_while_it_prepares(void)
{
	struct airlock_policy *p = NULL;
	struct airlock_pool_options o = AIRLOCK_POOL_OPTIONS_INIT;
	struct caller c[4];
	int may[2];
	o.prepare = "prepare_when_told";
	if (pipe(may) < 0 || write(may[1], "x", 1) != 1 || airlock_policy_parse(&p, "pledge stdio") < 0 ||
		airlock_policy_pass(p, may[0], FD_MAY) < 0) {
		check(false, "a pipe", "%s", airlock_message());
		return;
	}
	struct airlock_pool *pool = pool_with(p, &o);
	airlock_pool_trim(pool);
	for (int i = 0; i < 4; i++) {
		c[i] = (struct caller){.pool = pool, .timeout_ms = i < 3 ? 200 : -1, .status = AIRLOCK_STATUS_INIT};
		pthread_create(&c[i].thread, NULL, one_call, &c[i]);
	}
	unsigned late = 0;
	for (int i = 0; i < 3; i++) {
		pthread_join(c[i].thread, NULL);
		late += c[i].result == -ETIMEDOUT && c[i].status.end == AIRLOCK_TIMED_OUT;
	}
	check(late == 3, "a zygote that hangs keeps nobody beyond the deadline", "%u of 3, %zd end %d", late,
		c[0].result, c[0].status.end);
	/* One zygote was started, for all of them: there is a byte for one. */
	bool told = write(may[1], "x", 1) == 1;
	pthread_join(c[3].thread, NULL);
	check(told && c[3].result == 0, "and serves those who wait when it is ready", "%zd end %d", c[3].result,
		c[3].status.end);
	struct answer a = ask(pool, "times_called", NULL);
	check(a.result == 0, "and others", "%zd: %s", a.result, a.result < 0 ? airlock_message() : "");
	airlock_pool_trim(pool);
	c[0] = (struct caller){.pool = pool, .timeout_ms = 50, .status = AIRLOCK_STATUS_INIT};
	one_call(&c[0]);
	check(c[0].result == -ETIMEDOUT, "a pool with a zygote that hangs", "%zd", c[0].result);
	airlock_pool_free(pool);
	check(true, "is freed", "it is not");
	airlock_policy_free(p);
	close(may[0]);
	close(may[1]);
}

void pool_again(void)
{
	struct airlock_policy *p = NULL;
	tap_prefix = "again: ";
	if (airlock_policy_parse(&p, "pledge stdio") < 0) {
		check(false, "a policy", "%s", airlock_message());
		return;
	}
	once(p, false);
	once(p, true);
	dead_word(p);
	hangs_while_it_prepares();
	airlock_policy_free(p);
}
