/* SPDX-License-Identifier: ISC */
/*
 * Owns keepers: a target that is started again when it ends, later each time, and killed when it does not answer. Runs in
 * the host, in airlock_keeper_dispatch() and nowhere else: no thread, no signal. What is due wakes the event loop by a
 * timerfd, which lies in one epoll with what the target has to say.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define NEVER INT64_MAX
#define KILL_AGAIN_MS 10

struct airlock_keeper {
	const struct airlock_policy *policy;
	const char *entry;
	char *const *argv;
	struct airlock_options options;
	struct airlock_keeper_options keep;
	struct airlock_target *target; /* or NULL */
	bool announced; /* on_start() was called for it */
	bool given_up;
	int epoll, timer;
	int backoff_ms; /* before the next start */
	int row; /* restarts since it was last healthy */
	int64_t started, start_at; /* of this one; of the next */
	int64_t ping_at, ping_until; /* the next, or until when this one is waited for */
	uint32_t ping;
};

static int watch(struct airlock_keeper *k, int fd)
{
	struct epoll_event e = {.events = EPOLLIN};
	if (fd < 0)
		return fd;
	return epoll_ctl(k->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? fail(-errno, "cannot watch: %s", strerror(errno)) : 0;
}

/* Takes it. One that could not be watched would end unseen: it is not to be. */
static int run(struct airlock_keeper *k, struct airlock_target *t)
{
	int64_t now = ipc_now_ms();
	int r = watch(k, airlock_fd(t));
	if (r < 0) {
		airlock_free(t);
		return r;
	}
	k->target = t;
	k->announced = false;
	k->started = now;
	k->ping_at = k->keep.ping_ms > 0 ? now + k->keep.ping_ms : NEVER;
	/* What hangs while it starts answers no more than what hangs later. */
	k->ping_until = k->keep.ping_ms > 0 && t->starting ? now + k->keep.ping_timeout_ms : NEVER;
	return 0;
}

/* When there is something to be done without anybody having said anything. */
static int64_t due(const struct airlock_keeper *k)
{
	if (k->given_up)
		return NEVER;
	if (!k->target)
		return k->start_at;
	if (k->target->ended || (!k->announced && !k->target->starting && !k->target->failed))
		return 0;
	if (k->target->suspended)
		return NEVER;
	return k->ping_until < k->ping_at ? k->ping_until : k->ping_at;
}

static void timer_set(struct airlock_keeper *k)
{
	int64_t at = due(k);
	struct itimerspec when = {{0, 0}, {0, 0}};
	if (at != NEVER)
		when.it_value = (struct timespec){at / 1000, at % 1000 * 1000000 + 1}; /* all zero would mean never */
	timerfd_settime(k->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* A start failed, or the target ended. Returns what airlock_keeper_dispatch() does. */
static int next(struct airlock_keeper *k, struct airlock_target *t, const struct airlock_status *s)
{
	if (t && ipc_now_ms() - k->started >= k->keep.healthy_ms) {
		k->row = 0;
		k->backoff_ms = k->keep.backoff_ms;
	}
	bool done = t && s->end == AIRLOCK_EXITED && s->code == 0 && !k->keep.restart_on_exit;
	k->given_up = done || (k->keep.restarts >= 0 && k->row >= k->keep.restarts);
	int wait = k->given_up ? -1 : k->backoff_ms;
	k->row++;
	k->start_at = ipc_now_ms() + k->backoff_ms;
	k->backoff_ms = k->backoff_ms > k->keep.backoff_max_ms / 2 ? k->keep.backoff_max_ms : k->backoff_ms * 2;
	k->target = NULL;
	if (k->keep.on_end && t)
		k->keep.on_end(k->keep.arg, t, s, wait);
	airlock_free(t);
	return k->given_up ? 2 : 0;
}

static int ended(struct airlock_keeper *k)
{
	struct airlock_status s = {.size = sizeof(s), .limit = -1};
	airlock_wait(k->target, &s, 0);
	/* It may be some time until it is closed. */
	epoll_ctl(k->epoll, EPOLL_CTL_DEL, airlock_fd(k->target), NULL);
	return next(k, k->target, &s);
}

/* What the host itself suspended is not asked. */
static void health(struct airlock_keeper *k)
{
	struct airlock_target *t = k->target;
	int64_t now = ipc_now_ms();
	if (t->suspended) {
		k->ping_until = NEVER;
		k->ping_at = now + k->keep.ping_ms;
		return;
	}
	if (k->ping_until != NEVER && (t->starting ? false : k->ping == 0 || ipc_call_granted(t->call, k->ping))) {
		k->ping_until = NEVER;
		k->ping_at = now + k->keep.ping_ms;
	} else if (k->ping_until <= now) {
		k->ping_until = NEVER;
		k->ping_at = NEVER;
		fail(0, "%s did not answer for %d ms", t->name, k->keep.ping_timeout_ms);
		if (airlock_kill(t) < 0) /* its broker had no room for being told */
			k->ping_until = now + KILL_AGAIN_MS;
	} else if (k->ping_until == NEVER && k->ping_at <= now) {
		k->ping = wish_send(t, IPC_WISH_ANSWER);
		k->ping_at = NEVER;
		k->ping_until = now + k->keep.ping_timeout_ms;
	}
}

/* -1: nothing happened. */
static int step(struct airlock_keeper *k)
{
	if (k->given_up)
		return 2;
	if (!k->target) {
		if (k->start_at > ipc_now_ms())
			return -1;
		struct airlock_target *t;
		k->ping = 0;
		int r = worker_begin(&t, k->policy, k->entry, k->argv, &k->options);
		if (r == 0)
			r = run(k, t);
		if (r < 0)
			return next(k, NULL, NULL);
	}
	int r = airlock_dispatch(k->target, 0);
	/* It may have ended by now: that comes next. */
	if (!k->announced && !k->target->starting && !k->target->failed) {
		k->announced = true;
		if (k->keep.on_start)
			k->keep.on_start(k->keep.arg, k->target);
		return r > 0 && r != 2 ? r : 0;
	}
	if (r == 2)
		return ended(k);
	if (k->keep.ping_ms > 0)
		health(k);
	return r != 0 ? r : -1;
}

PUBLIC int airlock_keeper_dispatch(struct airlock_keeper *keeper, int timeout_ms)
{
	int64_t deadline = deadline_in(timeout_ms);
	uint64_t ticks;
	for (;;) {
		(void)!read(keeper->timer, &ticks, sizeof(ticks));
		int r = step(keeper);
		timer_set(keeper);
		if (r >= 0 || r < -1)
			return r;
		int left = deadline_left(deadline);
		if (left == 0)
			return 0;
		struct pollfd p = {.fd = keeper->epoll, .events = POLLIN};
		if (poll(&p, 1, left) < 0 && errno != EINTR)
			return fail(-errno, "cannot wait: %s", strerror(errno));
	}
}

static int options_read(struct airlock_keeper_options *o, const struct airlock_keeper_options *given)
{
	*o = (struct airlock_keeper_options)AIRLOCK_KEEPER_OPTIONS_INIT;
	int r = given ? options_copy(o, sizeof(*o), given, "AIRLOCK_KEEPER_OPTIONS_INIT") : 0;
	if (r < 0)
		return r;
	int *const defaults[] = {&o->backoff_ms, &o->backoff_max_ms, &o->healthy_ms, &o->ping_timeout_ms, &o->stop_ms};
	static const int values[] = {100, 30000, 10000, 5000, 2000};
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (*defaults[i] < 0)
			return fail(-EINVAL, "a keeper's times are not negative");
		if (*defaults[i] == 0)
			*defaults[i] = values[i];
	}
	if (o->backoff_max_ms < o->backoff_ms)
		o->backoff_max_ms = o->backoff_ms;
	return 0;
}

PUBLIC int airlock_keeper_new(struct airlock_keeper **out, const struct airlock_policy *policy, const char *entry,
	char *const argv[], const struct airlock_options *options, const struct airlock_keeper_options *keep)
{
	struct airlock_keeper *k = calloc(1, sizeof(*k));
	struct airlock_target *t = NULL;
	if (!k)
		return fail(-ENOMEM, "no memory for a keeper");
	k->policy = policy;
	k->entry = entry;
	k->argv = argv;
	k->epoll = epoll_create1(EPOLL_CLOEXEC);
	k->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int r = k->epoll < 0 || k->timer < 0 ? fail(-errno, "no descriptors for a keeper: %s", strerror(errno))
					     : options_read(&k->keep, keep);
	k->backoff_ms = k->keep.backoff_ms;
	if (r == 0)
		r = start_options(&k->options, options);
	/* The first start tells what is wrong with the policy or the entry: it is waited for. */
	if (r == 0)
		r = airlock_start(&t, policy, entry, argv, &k->options);
	if (r == 0)
		r = run(k, t);
	if (r == 0)
		r = watch(k, k->timer);
	if (r < 0) {
		airlock_keeper_free(k);
		return r;
	}
	timer_set(k);
	*out = k;
	return 0;
}

PUBLIC struct airlock_target *airlock_keeper_target(const struct airlock_keeper *keeper)
{
	return keeper->target;
}

PUBLIC int airlock_keeper_fd(const struct airlock_keeper *keeper)
{
	return keeper->epoll;
}

PUBLIC void airlock_keeper_free(struct airlock_keeper *keeper)
{
	struct airlock_status s = {.size = sizeof(s), .limit = -1};
	if (!keeper)
		return;
	if (keeper->target && !keeper->target->ended && stop_ask(keeper->target) == 0)
		airlock_wait(keeper->target, &s, keeper->keep.stop_ms);
	airlock_free(keeper->target);
	if (keeper->epoll >= 0)
		close(keeper->epoll);
	if (keeper->timer >= 0)
		close(keeper->timer);
	free(keeper);
}
