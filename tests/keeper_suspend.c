/* SPDX-License-Identifier: ISC */
/* Targets that stand still and go on, in each state. Runs in live_keeper. */
#include "tests/keeper.h"

#include "tests/tap.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct counters *counters;

/* ---- what runs in targets ---- */

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

/* ---- in their host ---- */

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
	o.timeout_ms = NET_MS;
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

unsigned suspended(const struct airlock_policy *p)
{
	suspend();
	suspended_stop(p);
	return tap_failed;
}
