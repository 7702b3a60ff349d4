/* SPDX-License-Identifier: ISC */
/*
 * Calls as a program makes them: deadlines, cancelling, callbacks, calls that are not waited for, by poll(2) and by
 * edge-triggered epoll(7). What hostile targets write into the shared memory is in calls_hostile.c.
 */
#include "tests/calls.h"

#include "tests/tap.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define NET_MS 20000 /* what nothing here takes, however slow the machine */
#define UNUSED (void)in, (void)len, (void)out, (void)cap

/* ---- in targets ---- */

static ssize_t echo(const void *in, size_t len, void *out, size_t cap)
{
	if (len > cap)
		return -7;
	memcpy(out, in, len);
	return (ssize_t)len;
}
AIRLOCK_FUNCTION(echo)

static ssize_t stubborn(const void *in, size_t len, void *out, size_t cap)
{
	volatile bool on = true;
	UNUSED;
	while (on)
		;
	return 0;
}
AIRLOCK_FUNCTION(stubborn)

static ssize_t polite(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	while (!airlock_cancelled())
		;
	return 0;
}
AIRLOCK_FUNCTION(polite)

/* The sum of what the host makes of 0 to n - 1. */
static ssize_t sum(const void *in, size_t len, void *out, size_t cap)
{
	(void)len;
	int n, total = 0;
	memcpy(&n, in, sizeof(n));
	for (int i = 0; i < n; i++) {
		int twice;
		if (airlock_call_host("twice", &i, sizeof(i), &twice, sizeof(twice)) != sizeof(twice))
			return -1;
		total += twice;
	}
	memcpy(out, &total, cap);
	return (ssize_t)cap;
}
AIRLOCK_FUNCTION(sum)

static ssize_t odd_callbacks(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	static char bytes[65537];
	ssize_t r[] = {airlock_call_host("nobody", "", 0, NULL, 0), airlock_call_host("twice", bytes, 65537, NULL, 0),
		airlock_call_host("twice", "", 0, bytes, 65537),
		airlock_call_host("mirror", bytes, 65536, bytes, 65536), airlock_call_host("liar", "", 0, bytes, 8),
		airlock_call_host("refuser", "", 0, bytes, 8)};
	const ssize_t expect[] = {-ENOSYS, -EMSGSIZE, -EMSGSIZE, 65536, -EPROTO, -42};
	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++)
		if (r[i] != expect[i])
			return (ssize_t)i + 1;
	return 0;
}
AIRLOCK_FUNCTION(odd_callbacks)

static ssize_t outside;
__attribute__((constructor)) static void before_any_call(void)
{
	outside = airlock_call_host("twice", "", 0, NULL, 0);
}
static ssize_t what_outside(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	return outside;
}
AIRLOCK_FUNCTION(what_outside)

static ssize_t die(const void *in, size_t len, void *out, size_t cap)
{
	UNUSED;
	abort();
}
AIRLOCK_FUNCTION(die)

/* ---- in the host ---- */

static struct airlock_target *current;
static ssize_t used_inside[6];

static ssize_t twice(void *arg, const void *in, size_t len, void *out, size_t cap)
{
	int n;
	char b[4];
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	++*(int *)arg;
	if (len != sizeof(n) || cap < sizeof(n))
		return -1;
	used_inside[0] = airlock_call(current, "echo", "", 0, b, 4);
	used_inside[1] = airlock_call_begin(current, "echo", "", 0, 4, NULL);
	used_inside[2] = airlock_call_end(current, 1, b, 4, 0);
	used_inside[3] = airlock_dispatch(current, 0);
	used_inside[4] = airlock_wait(current, &s, 0);
	memcpy(&n, in, sizeof(n));
	n *= 2;
	memcpy(out, &n, sizeof(n));
	return sizeof(n);
}

static ssize_t mirror(void *arg, const void *in, size_t len, void *out, size_t cap)
{
	(void)arg;
	memcpy(out, in, len < cap ? len : cap);
	return (ssize_t)(len < cap ? len : cap);
}

static ssize_t liar(void *arg, const void *in, size_t len, void *out, size_t cap)
{
	(void)arg, (void)in, (void)len, (void)out;
	return (ssize_t)cap + 1;
}

static ssize_t refuser(void *arg, const void *in, size_t len, void *out, size_t cap)
{
	(void)arg, (void)in, (void)len, (void)out, (void)cap;
	return -42;
}

static int backs;
static const struct airlock_callback callbacks[] = {
	{"twice", twice, &backs}, {"mirror", mirror, NULL}, {"liar", liar, NULL}, {"refuser", refuser, NULL}};

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct airlock_target *calls_start(const struct airlock_policy *policy)
{
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	struct airlock_target *t;
	o.shared = 1 << 20;
	o.callbacks = callbacks;
	o.callback_count = sizeof(callbacks) / sizeof(callbacks[0]);
	if (airlock_start(&t, policy, NULL, NULL, &o) < 0) {
		printf("not ok start\n# %s\n", airlock_message());
		exit(1);
	}
	return current = t;
}

static void sizes(struct airlock_target *t)
{
	static char in[1 << 20], out[1 << 20];
	bool fine = true;
	for (size_t len = 0; len <= sizeof(in); len = len < 300 ? len + 1 : len * 2) {
		memset(in, (int)(len % 251), sizeof(in));
		memset(out, 255, sizeof(out));
		ssize_t n = airlock_call(t, "echo", in, len, out, len);
		fine &= n == (ssize_t)len && memcmp(in, out, len) == 0 && (len == sizeof(out) || out[len] == (char)255);
	}
	check(fine, "bytes of any length arrive", "they do not: %s", airlock_message());
	check(airlock_call(t, "echo", in, sizeof(in) + 1, out, 0) == -EMSGSIZE, "too many are refused", "%s",
		airlock_message());
	check(airlock_call(t, "nothing", "", 0, NULL, 0) == -ENOSYS, "an unknown name is", "%s", airlock_message());
	check(airlock_call(t, "echo", "abc", 3, NULL, 0) == -7, "a number of the function's own arrives",
		"it does not");
}

static void *cancel_soon(void *target)
{
	usleep(20000);
	airlock_cancel(target);
	return NULL;
}

static ssize_t call_cancelled(struct airlock_target *t, const char *function, int grace_ms)
{
	struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
	pthread_t thread;
	o.grace_ms = grace_ms;
	pthread_create(&thread, NULL, cancel_soon, t);
	ssize_t r = airlock_call_with(t, function, NULL, 0, NULL, 0, &o);
	pthread_join(thread, NULL);
	return r;
}

static void ends(struct airlock_target *t, const char *name, enum airlock_end end)
{
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	char why[400];
	int r = airlock_wait(t, &s, NET_MS);
	check(r == 0 && s.end == end, name, "%d, end %d: %s", r, s.end, airlock_explain(t, why, sizeof(why)));
	check(airlock_call(t, "echo", "", 0, NULL, 0) == -EPIPE, "and calls fail from then on", "they do not");
	airlock_free(t);
}

static void deadlines(const struct airlock_policy *p)
{
	struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
	struct airlock_target *t = calls_start(p);
	char b[4];
	o.timeout_ms = 20;
	o.grace_ms = NET_MS;
	check(airlock_call_with(t, "polite", NULL, 0, NULL, 0, &o) == -ETIMEDOUT, "a call that is late fails",
		"it does not");
	check(airlock_call(t, "echo", "abc", 3, b, 4) == 3, "its target lives, as it ended within its grace", "%s",
		airlock_message());
	check(call_cancelled(t, "polite", NET_MS) == -ECANCELED, "a call that is cancelled fails", "%s",
		airlock_message());
	check(airlock_call(t, "echo", "abc", 3, b, 4) == 3, "its target lives as well", "%s", airlock_message());
	airlock_cancel(t);
	check(airlock_call(t, "echo", "abc", 3, b, 4) == 3, "what is cancelled before it began is not", "%s",
		airlock_message());
	o.timeout_ms = NET_MS;
	check(airlock_call_with(t, "echo", "abc", 3, b, 4, &o) == 3, "a deadline that is kept changes nothing", "%s",
		airlock_message());
	o.timeout_ms = 20;
	o.grace_ms = 20;
	uint64_t from = now_ms();
	check(airlock_call_with(t, "stubborn", NULL, 0, NULL, 0, &o) == -ETIMEDOUT, "a stubborn one is late", "%s",
		airlock_message());
	check(now_ms() - from >= 40, "it had its grace", "after %d ms", (int)(now_ms() - from));
	ends(t, "its target timed out", AIRLOCK_TIMED_OUT);
	t = calls_start(p);
	check(call_cancelled(t, "stubborn", 0) == -ECANCELED, "a stubborn one is cancelled", "%s", airlock_message());
	ends(t, "its target was killed", AIRLOCK_KILLED);
	t = calls_start(p);
	o.timeout_ms = 0;
	o.grace_ms = 0;
	check(airlock_call_with(t, "stubborn", NULL, 0, NULL, 0, &o) == -ETIMEDOUT, "no time at all is too little",
		"%s", airlock_message());
	airlock_free(t);
	t = calls_start(p);
	o.size = 1;
	check(airlock_call_with(t, "echo", "", 0, NULL, 0, &o) == -EINVAL, "options of no known size are refused",
		"they are not");
	airlock_free(t);
}

static void called_back(struct airlock_target *t)
{
	int n = 200, total = 0;
	backs = 0;
	check(airlock_call(t, "sum", &n, sizeof(n), &total, sizeof(total)) == sizeof(total) && total == n * (n - 1) &&
			backs == n,
		"a function calls its host back", "total %d, %d times: %s", total, backs, airlock_message());
	bool busy = true;
	for (int i = 0; i < 5; i++)
		busy &= used_inside[i] == -EBUSY;
	check(busy, "meanwhile the target is busy", "%zd %zd %zd %zd %zd", used_inside[0], used_inside[1],
		used_inside[2], used_inside[3], used_inside[4]);
	ssize_t r = airlock_call(t, "odd_callbacks", NULL, 0, NULL, 0);
	check(r == 0, "callbacks that cannot be fail as they should", "number %zd", r);
	check(airlock_call(t, "what_outside", NULL, 0, NULL, 0) == -EPROTO, "outside of a call there are none", "%s",
		airlock_message());
}

/* All 32 at once, one of them with callbacks, collected as they come. edge: the descriptor is looked at only when its epoll
 * says that there is news. */
static void many(struct airlock_target *t, bool edge, bool backwards)
{
	const char *name = edge        ? "32 calls under way, edge-triggered"
			   : backwards ? "32 calls under way, collected backwards"
				       : "32 calls under way, poll";
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};
	int ticket[32], begun = 0, done = 0, outer = edge ? epoll_create1(EPOLL_CLOEXEC) : -1, wakes = 0;
	bool fine = true;
	if (edge)
		epoll_ctl(outer, EPOLL_CTL_ADD, airlock_fd(t), &e);
	for (int i = 0; i < 32; i++) {
		char in[400] = "";
		memcpy(in, &i, sizeof(i));
		ticket[i] = airlock_call_begin(t, i == 3 ? "sum" : "echo", in, i % 2 ? sizeof(i) : sizeof(in),
			i % 2 ? sizeof(i) : sizeof(in), NULL);
		begun += ticket[i] > 0;
	}
	int none = airlock_call_begin(t, "echo", "", 0, 0, NULL);
	check(begun == 32 && none == -EAGAIN, name, "%d began, and then %d: %s", begun, none, airlock_message());
	while (done < 32) {
		struct pollfd p = {.fd = airlock_fd(t), .events = POLLIN};
		if ((edge ? epoll_wait(outer, &e, 1, NET_MS) : poll(&p, 1, NET_MS)) != 1)
			break;
		wakes++;
		while (airlock_dispatch(t, 0) == 3) {
			for (int k = 0; k < 32; k++) {
				int i = backwards ? 31 - k : k, value[100] = {-1};
				ssize_t n = ticket[i] ? airlock_call_end(t, ticket[i], value, sizeof(value), 0)
						      : -EINPROGRESS;
				if (n == -EINPROGRESS)
					continue;
				fine &= n == (i % 2 ? 4 : 400) && value[0] == (i == 3 ? 6 : i);
				ticket[i] = 0;
				done++;
				break; /* one at a time: what is left has to be told again */
			}
			if (!edge)
				break;
		}
	}
	check(done == 32 && fine, "all are answered", "%d of 32, %s, %d wakes", done, fine ? "rightly" : "not rightly",
		wakes);
	check(airlock_dispatch(t, 0) == 0, "then there is nothing to do", "there is");
	check(poll(&(struct pollfd){.fd = airlock_fd(t), .events = POLLIN}, 1, 0) == 0, "and nothing says so",
		"the descriptor is readable");
	if (edge)
		close(outer);
}

/* Each woken by poll alone: a wake that is lost is a test that hangs. */
static void wakes(struct airlock_target *t)
{
	int lost = 0, wrong = 0;
	for (int i = 0; i < 2000 && !lost; i++) {
		int value = -1, ticket = airlock_call_begin(t, "echo", &i, sizeof(i), sizeof(i), NULL);
		struct pollfd p = {.fd = airlock_fd(t), .events = POLLIN};
		for (int r = 0; r != 3 && !lost;) {
			lost = poll(&p, 1, NET_MS) != 1;
			r = airlock_dispatch(t, 0);
		}
		wrong += airlock_call_end(t, ticket, &value, sizeof(value), 0) != sizeof(value) || value != i;
	}
	check(!lost && !wrong, "2,000 calls, each waited for by poll", "%d lost, %d wrong: %s", lost, wrong,
		airlock_message());
}

static void tickets(const struct airlock_policy *p)
{
	struct airlock_target *t = calls_start(p);
	struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
	static char big[600000];
	char b[8];
	int a = airlock_call_begin(t, "echo", "abc", 3, 8, NULL);
	check(airlock_call_end(t, a, b, 8, -1) == 3 && airlock_call_end(t, a, b, 8, 0) == -EINVAL,
		"a ticket is good once", "it is not");
	check(airlock_call_end(t, 0, b, 8, 0) == -EINVAL && airlock_call_end(t, -5, b, 8, 0) == -EINVAL &&
			airlock_call_end(t, a + 1, b, 8, 0) == -EINVAL,
		"others are no tickets", "they are");
	a = airlock_call_begin(t, "echo", "abcd", 4, 8, NULL);
	check(airlock_call_end(t, a, b, 2, -1) == -EMSGSIZE, "what does not fit is not written", "it is");
	a = airlock_call_begin(t, "polite", NULL, 0, 0, NULL);
	check(airlock_call_end(t, a, NULL, 0, 0) == -EINPROGRESS && airlock_call_end(t, a, NULL, 0, 10) == -EINPROGRESS,
		"what runs is under way", "it is not");
	int c = airlock_call_begin(t, "echo", big, sizeof(big), sizeof(big), NULL);
	int d = airlock_call_begin(t, "echo", big, sizeof(big), sizeof(big), NULL);
	check(c > 0 && d == -EAGAIN, "data shares the memory", "%d, %d", c, d);
	/* Everything that is under way is cancelled; without a grace the target ends. */
	airlock_cancel(t);
	int r = airlock_dispatch(t, NET_MS);
	check(r == 3, "that all is cancelled is work", "%d", r);
	ssize_t ra = airlock_call_end(t, a, NULL, 0, NET_MS), rc = airlock_call_end(t, c, big, sizeof(big), NET_MS);
	check(ra == -ECANCELED && rc == -ECANCELED, "and both say so", "%zd, %zd", ra, rc);
	ends(t, "their target was killed", AIRLOCK_KILLED);
	t = calls_start(p);
	o.timeout_ms = 30;
	a = airlock_call_begin(t, "stubborn", NULL, 0, 0, &o);
	check(airlock_dispatch(t, NET_MS) == 3, "airlock_dispatch() keeps deadlines", "it does not");
	check(airlock_call_end(t, a, NULL, 0, 0) == -ETIMEDOUT, "as the call then says", "%s", airlock_message());
	ends(t, "its target timed out, too", AIRLOCK_TIMED_OUT);
	t = calls_start(p);
	a = airlock_call_begin(t, "echo", "abc", 3, 8, NULL);
	c = airlock_call_begin(t, "die", NULL, 0, 0, NULL);
	d = airlock_call_begin(t, "echo", "abc", 3, 8, NULL);
	while ((r = airlock_dispatch(t, NET_MS)) == 3 && airlock_call_end(t, a, b, 8, 0) != 3)
		;
	check(airlock_call_end(t, c, b, 8, -1) == -EPIPE && airlock_call_end(t, d, b, 8, -1) == -EPIPE,
		"what a crash left undone fails, what was done before does not", "dispatch %d, %s", r,
		airlock_message());
	airlock_free(t);
}

int main(int argc, char **argv)
{
	struct airlock_policy *stdio, *nothing;
	if (airlock_init(argc, argv) < 0 || airlock_policy_new(&stdio, "stdio") < 0 ||
		airlock_policy_new(&nothing, "") < 0) {
		printf("not ok init\n# %s\n", airlock_message());
		return 1;
	}
	const struct {
		const char *prefix;
		struct airlock_policy *policy;
	} ways[] = {{"stdio: ", stdio}, {"no promise: ", nothing}};
#ifdef __SANITIZE_ADDRESS__
	const size_t count = 1; /* its runtime does not do without stdio */
#else
	const size_t count = 2;
#endif
	for (size_t i = 0; i < count; i++) {
		tap_prefix = ways[i].prefix;
		struct airlock_target *t = calls_start(ways[i].policy);
		sizes(t);
		called_back(t);
		many(t, false, false);
		many(t, true, false);
		many(t, false, true);
		wakes(t);
		airlock_free(t);
		deadlines(ways[i].policy);
		tickets(ways[i].policy);
	}
	tap_prefix = "hostile: ";
	calls_hostile(stdio);
	calls_ends(stdio);
	airlock_policy_free(stdio);
	airlock_policy_free(nothing);
	return tap_failed != 0;
}
