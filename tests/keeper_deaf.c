/* SPDX-License-Identifier: ISC */
/*
 * A broker that does not listen for a while, as on a machine that swaps: what its host told it, or could not tell it as its
 * socket was full, is done when it goes on. Runs in live_keeper.
 */
#include "tests/keeper.h"

#include "tests/processes.h"
#include "tests/tap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILL 2000 /* messages, which is more than a socket holds */

/* A broker is nobody's child, unless somebody takes it in: then it can be found. Children there were before are not it. */
static pid_t before;

static void born_begin(void)
{
	processes_root = getpid();
	processes_look();
	before = process_child(getpid(), 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static pid_t born(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	processes_look();
	return process_child(getpid(), before);
}

/* Stands still: it is waited for until it does. */
static bool stopped(pid_t pid)
{
	char path[64], state = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	kill(pid, SIGSTOP);
	for (int64_t until = clock_now() + NET_MS; state != 'T' && clock_now() < until; poll(NULL, 0, 1)) {
		FILE *f = fopen(path, "re");
		if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		if (f)
			fclose(f);
	}
	return state == 'T';
}

static void fill(struct airlock_target *t)
{
	for (int i = 0; i < FILL; i++)
		airlock_trim(t);
}

static void stop(void)
{
	born_begin();
	struct airlock_policy *p = policy_made("pledge stdio\n");
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	struct airlock_target *t = start(p, "echo", NULL);
	const pid_t b = born();
	says(t, "spin");
	if (check(b > 0 && stopped(b), "a broker stands still", "%d", b)) {
		fill(t);
		check(airlock_kill(t) == -EAGAIN, "and cannot be told anything more", "%s", airlock_message());
		const pid_t later = fork();
		if (later == 0) {
			poll(NULL, 0, 300);
			kill(b, SIGCONT);
			_exit(0);
		}
		int r = airlock_stop(t, 50, &s);
		check(r == 0 && s.end == AIRLOCK_KILLED, "what is to stop is killed when it listens again",
			"%d, end %d: %s", r, s.end, airlock_message());
		waitpid(later, NULL, 0);
	}
	airlock_free(t);
	airlock_policy_free(p);
	waitpid(b, NULL, 0);
}

static void hangs(void)
{
	born_begin();
	struct airlock_policy *p = policy_made("pledge stdio\n");
	struct airlock_keeper_options k = AIRLOCK_KEEPER_OPTIONS_INIT;
	struct seen s;
	k.backoff_ms = 1;
	k.ping_ms = 20;
	k.ping_timeout_ms = 100;
	struct airlock_keeper *keeper = keep(p, "echo", NULL, &k, &s);
	const pid_t b = born();
	keep_until(keeper, &s.starts, 1);
	struct airlock_target *t = airlock_keeper_target(keeper);
	says(t, "hang");
	if (check(b > 0 && t && stopped(b), "a keeper's broker stands still", "%d", b)) {
		fill(t);
		for (int64_t until = clock_now() + 400; clock_now() < until;)
			airlock_keeper_dispatch(keeper, 50);
		const bool lives = s.ends == 0;
		kill(b, SIGCONT);
		bool ended = keep_until(keeper, &s.ends, 1);
		check(lives && ended && s.end == AIRLOCK_KILLED,
			"what does not answer its keeper is killed when it listens again", "%d ends, end %d", s.ends,
			s.end);
	}
	airlock_keeper_free(keeper);
	airlock_policy_free(p);
	waitpid(b, NULL, 0);
}

static bool busy_until(struct airlock_target *t, bool busy)
{
	int64_t until = clock_now() + NET_MS;
	while ((airlock_ping(t, 100) == -EBUSY) != busy && clock_now() < until)
		;
	return clock_now() < until;
}

/* The answer that nobody waits for any more is heard nevertheless. */
static void late(void)
{
	born_begin();
	struct airlock_policy *p = policy_made("pledge stdio\n");
	struct airlock_target *t = start(p, NULL, NULL);
	const pid_t b = born();
	if (!check(t && b > 0 && stopped(b), "a broker stands still for long", "%d", b))
		return;
	int r = airlock_suspend(t);
	check(r == -ETIMEDOUT, "then nothing is known", "%d %s", r, airlock_message());
	kill(b, SIGCONT);
	check(busy_until(t, true), "until it goes on: its target is suspended", "%s", airlock_message());
	r = airlock_resume(t);
	check(r == 0 && airlock_ping(t, NET_MS) == 0, "and goes on", "%d %s", r, airlock_message());
	stopped(b);
	r = airlock_suspend(t);
	check(r == -ETIMEDOUT, "again nothing is known", "%d %s", r, airlock_message());
	kill(b, SIGCONT);
	/* It has two orders now, and answers the first one first. */
	r = airlock_resume(t);
	check(r == 0 && airlock_ping(t, NET_MS) == 0, "what was asked last is what holds", "%d %s", r,
		airlock_message());
	airlock_free(t);
	airlock_policy_free(p);
	waitpid(b, NULL, 0);
}

static size_t zombies(void)
{
	size_t n = 0;
	processes_look();
	for (size_t i = 0; i < process_count; i++)
		n += !process_at(i);
	return n;
}

/* Whatever dies beside the targets leaves nothing either. */
static void starter_killed(void)
{
	born_begin();
	struct airlock_policy *p = policy_made("pledge stdio\n");
	struct airlock_target *first = start(p, NULL, NULL), *second = start(p, NULL, NULL), *third;
	const pid_t b = born(), starter = process_titled("airlock starter");
	check(first && second && starter > 0, "further targets have a starter", "%s", processes_text());
	if (starter > 0)
		kill(starter, SIGKILL);
	third = start(p, NULL, NULL);
	check(third && airlock_ping(third, NET_MS) == 0, "when that is killed the broker starts them", "%s",
		airlock_message());
	int64_t until = clock_now() + NET_MS;
	while (zombies() && clock_now() < until)
		poll(NULL, 0, 10);
	check(!zombies(), "and waits for it", "%s", processes_text());
	airlock_free(first);
	airlock_free(second);
	airlock_free(third);
	airlock_policy_free(p);
	waitpid(b, NULL, 0);
}

pid_t deaf_begin(void)
{
	fflush(stdout);
	const pid_t pid = fork();
	if (pid)
		return pid;
	late();
	starter_killed();
	_exit(tap_failed > 0);
}

unsigned deaf(pid_t begun)
{
	int status;
	stop();
	hangs();
	bool waited = waitpid(begun, &status, 0) == begun;
	check(waited && status == 0, "late answers", "%d", waited ? status : -1);
	return tap_failed;
}
