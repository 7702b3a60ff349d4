/* SPDX-License-Identifier: ISC */
/*
 * Calls that never will be answered, and what of them a host may still hear: callbacks of targets that were told to die,
 * cancels that come while others are collected, tickets of a target that ended, calls of targets that serve none or stand
 * still.
 */
#include "tests/calls.h"

#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NET_MS 20000
#define UNUSED (void)in, (void)len, (void)out, (void)cap

/* ---- in targets ---- */

static volatile int on = 1;

static ssize_t answer(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	return 0;
}
AIRLOCK_FUNCTION(answer)

static ssize_t call_and_hang(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	usleep(50000); /* the host sleeps by then */
	airlock_call_host("cancel", "", 0, NULL, 0);
	while (on)
		;
	return 0;
}
AIRLOCK_FUNCTION(call_and_hang)

static ssize_t call_for_ever(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	while (on)
		airlock_call_host("count", "", 0, NULL, 0);
	return 0;
}
AIRLOCK_FUNCTION(call_for_ever)

static ssize_t hang(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	while (on)
		;
	return 0;
}
AIRLOCK_FUNCTION(hang)

static ssize_t leave(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	_exit(3);
}
AIRLOCK_FUNCTION(leave)

static int rest(struct airlock_target *host, int argc, char **argv)
{
	(void)argc, (void)argv;
	while (airlock_dispatch(host, -1) != 2)
		;
	return 0;
}
AIRLOCK_ENTRY(rest)

/* ---- in the host ---- */

static struct airlock_target *current;
static unsigned counted;

static ssize_t cancel(void *arg, const void *in, size_t len, void *out, size_t cap)
{
	(void)arg, UNUSED;
	airlock_cancel(current);
	return 0;
}

static ssize_t count(void *arg, const void *in, size_t len, void *out, size_t cap)
{
	(void)arg, UNUSED;
	counted++;
	return 0;
}

static struct airlock_target *start(const struct airlock_policy *p, const char *entry)
{
	static const struct airlock_callback callbacks[] = {{"cancel", cancel, NULL}, {"count", count, NULL}};
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	struct airlock_target *t;
	o.shared = 4096;
	o.callbacks = callbacks;
	o.callback_count = 2;
	if (airlock_start(&t, p, entry, NULL, &o) < 0) {
		printf("not ok start\n# %s\n", airlock_message());
		exit(1);
	}
	return current = t;
}

static bool readable(int fd, int ms)
{
	return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, ms) == 1;
}

/* What airlock_dispatch() says when it does so in less than half of what it may take; else 0. */
static int dispatch_soon(struct airlock_target *t)
{
	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	int r = airlock_dispatch(t, NET_MS);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (to.tv_sec - from.tv_sec) * 1000 < NET_MS / 2 ? r : 0;
}

/* The cancel comes when airlock_dispatch() has looked for cancels, and before it goes to sleep. */
static void cancelled_meanwhile(const struct airlock_policy *p)
{
	struct airlock_target *t = start(p, NULL);
	int ticket = airlock_call_begin(t, "call_and_hang", NULL, 0, 0, NULL);
	int r = dispatch_soon(t);
	ssize_t n = airlock_call_end(t, ticket, NULL, 0, 0);
	check(r == 3 && n == -ECANCELED, "a cancel that comes while callbacks are served is not lost", "%d, %zd: %s", r,
		n, airlock_message());
	airlock_free(t);
}

static void *cancel_soon(void *target)
{
	usleep(20000);
	airlock_cancel(target);
	return NULL;
}

static void cancelled_without_descriptors(const struct airlock_policy *p)
{
	struct airlock_target *t = start(p, NULL);
	struct rlimit old, few;
	pthread_t thread;
	int spare[8], count = 0, ticket = airlock_call_begin(t, "hang", NULL, 0, 0, NULL);
	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit){3, old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	while (count < 8 && (spare[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		count++;
	int fd = airlock_fd(t);
	pthread_create(&thread, NULL, cancel_soon, t);
	int r = dispatch_soon(t);
	pthread_join(thread, NULL);
	setrlimit(RLIMIT_NOFILE, &old);
	while (count > 0)
		close(spare[--count]);
	ssize_t n = airlock_call_end(t, ticket, NULL, 0, 0);
	check(fd == -EMFILE && r == 3 && n == -ECANCELED, "without a descriptor a cancel is seen as well",
		"%d, %d, %zd", fd, r, n);
	airlock_free(t);
}

/* By a deadline, of a call that is waited for or not, and by its host: whatever it still asks then. */
static void told_to_die(const struct airlock_policy *p)
{
	struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
	o.timeout_ms = 100;
	for (int i = 0; i < 3; i++) {
		struct airlock_target *t = start(p, NULL);
		ssize_t n = 0;
		int ticket = 0;
		if (i == 0)
			n = airlock_call_with(t, "call_for_ever", NULL, 0, NULL, 0, &o);
		else
			ticket = airlock_call_begin(t, "call_for_ever", NULL, 0, 0, i == 1 ? &o : NULL);
		if (ticket && !readable(airlock_fd(t), NET_MS))
			check(false, "a callback waits", "it does not");
		if (i == 1)
			usleep(150000);
		if (i == 2)
			airlock_kill(t);
		counted = 0;
		int r = airlock_dispatch(t, NET_MS);
		if (ticket)
			n = airlock_call_end(t, ticket, NULL, 0, -1);
		for (int k = 0; k < 10 && airlock_dispatch(t, NET_MS) != 2; k++)
			;
		static const char *const names[] = {"too slow", "too slow in airlock_dispatch()", "killed"};
		check(counted == 0 && n == (i == 2 ? -EPIPE : -ETIMEDOUT), names[i],
			"%u callbacks, %zd, dispatch first %d", counted, n, r);
		airlock_free(t);
	}
}

/* By the descriptor alone: it says so until the last one is collected, then that the target ended, and then nothing. */
static void tickets_of_the_dead(const struct airlock_policy *p)
{
	struct airlock_target *t = start(p, NULL);
	int ticket[4], collected = 0, r = 0, wrong = 0;
	ticket[0] = airlock_call_begin(t, "answer", NULL, 0, 0, NULL);
	for (int i = 1; i < 4; i++)
		ticket[i] = airlock_call_begin(t, "leave", NULL, 0, 0, NULL);
	for (int i = 0; i < 100 && r != 2 && readable(airlock_fd(t), NET_MS); i++) {
		r = airlock_dispatch(t, 0);
		ssize_t n = r == 3 ? airlock_call_end(t, ticket[collected], NULL, 0, 0) : -EINPROGRESS;
		if (n == -EINPROGRESS)
			continue;
		wrong += n != (collected ? -EPIPE : 0);
		collected++;
	}
	check(collected == 4 && wrong == 0 && r == 2, "all calls of a target that ended are told, then its end",
		"%d collected, %d wrong, %d: %s", collected, wrong, r, airlock_message());
	check(!readable(airlock_fd(t), 0) && airlock_dispatch(t, 0) == 2, "and the descriptor falls silent",
		"it is readable");
	airlock_free(t);
	/* Whoever learns of the end otherwise is told all the same. */
	t = start(p, NULL);
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	int fd = airlock_fd(t);
	airlock_kill(t);
	airlock_wait(t, &s, NET_MS);
	check(readable(fd, 0) && airlock_dispatch(t, 0) == 2 && !readable(fd, 0),
		"an end that airlock_wait() saw first is told", "it is not");
	airlock_free(t);
}

static void not_served(const struct airlock_policy *p)
{
	struct airlock_target *t = start(p, "rest");
	ssize_t n = airlock_call(t, "answer", NULL, 0, NULL, 0);
	int r = airlock_call_begin(t, "answer", NULL, 0, 0, NULL);
	check(n == -EINVAL && r == -EINVAL, "a target that serves no calls is not waited for", "%zd, %d", n, r);
	airlock_free(t);
	t = start(p, NULL);
	r = airlock_suspend(t);
	const char *unable = r == -EOPNOTSUPP ? airlock_message() : NULL;
#ifdef __SANITIZE_THREAD__
	if (r < 0)
		unable = "the thread sanitizer keeps init's signals from it";
#endif
	if (unable) {
		printf("skip %sa suspended target: %s\n", tap_prefix, unable);
	} else {
		n = airlock_call(t, "answer", NULL, 0, NULL, 0);
		int ticket = airlock_call_begin(t, "answer", NULL, 0, 0, NULL);
		check(r == 0 && n == -EBUSY && ticket == -EBUSY, "nor one that is suspended", "%d, %zd, %d", r, n,
			ticket);
		airlock_resume(t);
		n = airlock_call(t, "answer", NULL, 0, NULL, 0);
		check(n == 0, "until it goes on", "%zd: %s", n, airlock_message());
	}
	airlock_free(t);
}

void calls_ends(const struct airlock_policy *p)
{
	tap_prefix = "ends: ";
	cancelled_meanwhile(p);
	cancelled_without_descriptors(p);
	told_to_die(p);
	tickets_of_the_dead(p);
	not_served(p);
}
