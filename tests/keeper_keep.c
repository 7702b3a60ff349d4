/* SPDX-License-Identifier: ISC */
/* Keepers: restarts, back-off, health, giving up, many in one loop. Runs in live_keeper. */
#include "tests/keeper.h"

#include "tests/tap.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

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

struct airlock_keeper *keep(const struct airlock_policy *p, const char *entry, char *const argv[],
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

bool keep_until(struct airlock_keeper *k, const int *counter, int wanted)
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

unsigned kept(const struct airlock_policy *p)
{
	backoff(p);
	exits_kept(p);
	health(p);
	keeper_freed(p);
	many(p);
	return tap_failed;
}
