/* SPDX-License-Identifier: ISC */
/*
 * Races lose. The judge: while somebody swaps links, directories and files under the broker, a target tries each
 * operation on them; afterwards nothing that is hidden may have been shown or changed, nothing that may only be read
 * have been changed, what nobody swapped have failed, or what was swapped have failed always.
 *
 *   live_race [-n TRIES] [-m prove|worker|inplace|native] [-k KIND] [-o ROW]
 *
 * TRIES are those of all operations, swappers and modes together. Output is TAP.
 */
#include "sandbox/airlock.h"
#include "tests/race.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int shared_fd;
static uint64_t tries_all, escapes_all, swaps_all;

/* ---- in the target ---- */

static ssize_t race_worker(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len;
	if (cap < sizeof(int))
		return -1;
	race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED, RACE_FD, 0);
	if (race == MAP_FAILED)
		return -2;
	*(int *)out = race_target();
	return sizeof(int);
}
AIRLOCK_FUNCTION(race_worker)

/* ---- in the judge ---- */

static struct airlock_policy *policy_make(void)
{
	struct airlock_policy *p = NULL;
	char text[1200];

	snprintf(text, sizeof(text),
		"pledge stdio rpath wpath cpath dpath fattr flock proc exec unveil\nunveil %s/A rwxc\nunveil %s/R r\n",
		race->base, race->base);
	if (airlock_policy_parse(&p, text) || airlock_policy_pass(p, shared_fd, RACE_FD)) {
		printf("not ok race: policy\n# %s\n", airlock_message());
		return NULL;
	}
	return p;
}

static bool run_worker(char *why, size_t len)
{
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	struct airlock_policy *p = policy_make();
	struct airlock_target *t = NULL;
	char text[400];
	int value = -1;

	if (!p)
		return false;
	ssize_t n = airlock_start(&t, p, NULL, NULL, NULL);
	if (n)
		snprintf(why, len, "start: %s", airlock_message());
	else
		n = airlock_call(t, "race_worker", NULL, 0, &value, sizeof(value));
	if (t && n != sizeof(value)) {
		airlock_wait(t, &status, 2000);
		snprintf(why, len, "call: %zd: %s", n, airlock_explain(t, text, sizeof(text)));
	} else if (t && value) {
		snprintf(why, len, "the target could not begin: %d", value);
	}
	airlock_free(t);
	airlock_policy_free(p);
	return n == sizeof(value) && !value;
}

static bool run_in_place(char *why, size_t len)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
		struct airlock_policy *p = policy_make();

		if (!getenv("RACE_STDERR"))
			dup2(quiet, 2);
		if (!p || airlock_enter(p) < 0)
			_exit(125);
		_exit(race_target() ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		snprintf(why, len, "the process in place ended with %#x", status);
		return false;
	}
	return true;
}

/* For comparison: how often the same succeeds where it was meant, when nobody is in between. */
static bool run_native(char *why, size_t len)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(race_target() ? 1 : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		snprintf(why, len, "it ended with %#x", status);
		return false;
	}
	return true;
}

static const struct mode {
	const char *name;
	bool (*run)(char *why, size_t len);
} modes[] = {{"worker", run_worker}, {"in place", run_in_place}}, native = {"native", run_native};
#define MODES (sizeof(modes) / sizeof(*modes))
/* Of what is swapped at random, so many in a hundred must succeed: natively it is a sixth and more. */
#define LEAST 3

static unsigned long long all_tries[RACE_ROWS], all_good[RACE_ROWS]; /* in this mode, of each row */

/* What the rows counted, against what they may. */
static void judge_rows(const struct mode *m, enum race_kind kind)
{
	unsigned long long tries = 0, good = 0;
	char name[160];

	for (size_t i = 0; i < race_row_count; i++) {
		const struct race_count *c = &race->counts[i];
		/* A's own replacement concerns nobody, since A is held. */
		bool calm = kind == RACE_ROOT && !race_rows[i].relative;

		tries_all += c->attempts;
		tries += c->tries;
		good += c->good;
		all_tries[i] += c->tries;
		all_good[i] += c->good;
		escapes_all += c->escapes;
		snprintf(name, sizeof(name), "race: %s: %s: %s", m->name, race_names[kind], race_rows[i].name);
		if (m != &native &&
			(c->escapes || c->strange || c->calm_good < c->calm_tries || (calm && c->good < c->tries)))
			check(false, name,
				"%llu of %llu succeeded, calm %llu of %llu, %llu escapes, %llu strange, last: %s",
				(unsigned long long)c->good, (unsigned long long)c->tries,
				(unsigned long long)c->calm_good, (unsigned long long)c->calm_tries,
				(unsigned long long)c->escapes, (unsigned long long)c->strange,
				c->errno_seen ? strerrorname_np(c->errno_seen) : "-");
	}
	printf("# race: %s: %s: %llu tries, of them %llu honest successes\n", m->name, race_names[kind], tries, good);
	snprintf(name, sizeof(name), "race: %s: %s: not locked out", m->name, race_names[kind]);
	if (m != &native && tries >= 100)
		check(good * 100 >= tries * LEAST, name, "%llu of %llu succeeded", good, tries);
}

static void judge_mode(const struct mode *m)
{
	char name[160];

	for (size_t i = 0; i < race_row_count; i++) {
		snprintf(name, sizeof(name), "race: %s: %s succeeds where it should", m->name, race_rows[i].name);
		if (all_tries[i] >= 100)
			check(all_good[i] * 100 >= all_tries[i] * LEAST, name, "%llu of %llu", all_good[i],
				all_tries[i]);
		all_tries[i] = all_good[i] = 0;
	}
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What race_state.c says. In a process of its own, whose brokers know only so many descriptors. */
static void state_one(const struct mode *m, enum race_kind kind, uint64_t times)
{
	char name[160], why[600] = "";
	double from = seconds();
	int status = 0;

	race->kind = kind;
	race->tries = (kind == RACE_CHURN ? 1200 : 400) * times;
	memset(&race->state, 0, sizeof(race->state));
	race->evidence[0] = 0;
	race_world_reset(race);
	fflush(stdout);
	pid_t pid = fork();
	if (!pid) {
		rlim_t most = kind == RACE_MANY_LOW ? 4096 : 512;
		struct rlimit few = {most, most};

		if ((kind == RACE_CHURN || kind == RACE_THREADS || kind == RACE_MANY_LOW) &&
			setrlimit(RLIMIT_NOFILE, &few))
			_exit(2);
		bool ran = m->run(why, sizeof(why));
		if (!ran)
			printf("# %s\n", why);
		fflush(stdout);
		_exit(!ran);
	}
	waitpid(pid, &status, 0);
	unsigned checks = atomic_load(&race->state.checks), wrong = atomic_load(&race->state.wrong);
	snprintf(name, sizeof(name), "race: %s: %s", m->name, race_names[kind]);
	check(!status && checks && !wrong, name, "%u of %u checks failed; the last: %s; status %#x", wrong, checks,
		race->evidence, status);
	printf("# %s: %.1f s, %u checks\n", name, seconds() - from, checks);
}

static void race_one(const struct mode *m, enum race_kind kind, uint64_t tries, int row)
{
	char name[160], why[600] = "";
	double from = seconds();
	unsigned before = tap_failed;

	race->kind = kind;
	race->confined = m != &native;
	race->in_place = m->run == run_in_place;
	race->tries = tries;
	race->only_row = row;
	atomic_store(&race->stop, false);
	atomic_store(&race->begun, false);
	atomic_store(&race->swapping, false);
	atomic_store(&race->swaps, 0);
	memset(race->counts, 0, sizeof(race->counts));
	race->evidence[0] = 0;
	race_world_reset(race);
	uint64_t sum = race_world_sum(race);
	pid_t swapper = race_swapper(race, kind);
	bool ran = m->run(why, sizeof(why));
	atomic_store(&race->stop, true);
	atomic_store(&race->begun, true);
	if (swapper > 0)
		waitpid(swapper, NULL, 0);
	snprintf(name, sizeof(name), "race: %s: %s", m->name, race_names[kind]);
	judge_rows(m, kind);
	if (m == &native) {
		race_world_end(race);
		return;
	}
	if (kind == RACE_AWAY) {
		bool same = race_world_sum_of(race, "O/b") + race_world_sum_of(race, "R/b") == race->away_sum;
		check(ran && same && race->counts[0].tries && tap_failed == before, name, "%s%s%s", why, race->evidence,
			same ? "" : ": changed");
		return;
	}
	check(race_world_sum(race) == sum, name, "a tree that is not the target's was changed");
	if (!ran || tap_failed != before)
		check(false, name, "%s%s", why, race->evidence);
	swaps_all += atomic_load(&race->swaps);
	if (swapper || kind >= RACE_INSIDE)
		check(atomic_load(&race->swaps) > tries / 100, "and somebody swapped", "only %llu times",
			(unsigned long long)atomic_load(&race->swaps));
	printf("# %s: %.1f s, %llu swaps\n", name, seconds() - from, (unsigned long long)atomic_load(&race->swaps));
	fflush(stdout);
}

/* Natively, with a link that stands still, each row must get through and be seen to: else it could not fail. */
static void prove(void)
{
	char name[160], directory[300];

	race->kind = RACE_LINKED;
	race->confined = false;
	for (size_t i = 0; i < race_row_count; i++) {
		bool proven = false;

		if (!race_row_works(i)) {
			printf("skip race: %s: not on this file system\n", race_rows[i].name);
			continue;
		}
		for (int only = 0; only < 2 && !proven; only++) {
			int status;

			if (only && !race_rows[i].both)
				continue;
			race_world_reset(race);
			uint64_t sum = race_world_sum(race);
			snprintf(directory, sizeof(directory), "%s/A/hot/D", race->base);
			pid_t pid = fork();
			if (!pid)
				_exit(chdir(race->base) || race_rows[i].attempt(directory, only) > 0 ? 9 : 0);
			proven = waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 9;
			if (race_world_sum(race) != sum) {
				proven = true;
				race_world_end(race);
			}
		}
		snprintf(name, sizeof(name), "race: natively a link leads out for %s", race_rows[i].name);
		check(proven, name, "neither seen nor changed: the row proves nothing");
	}
}

static int usage(void)
{
	fprintf(stderr, "usage: live_race [-n TRIES] [-m prove|worker|inplace|native] [-k KIND] [-o ROW]\n");
	return 2;
}

static int program_path(char *path, size_t len)
{
	ssize_t n = readlink("/proc/self/exe", path, len - 1);

	if (n < 0)
		return -1;
	path[n] = 0;
	char *slash = strrchr(path, '/');
	return snprintf(slash + 1, len - (size_t)(slash + 1 - path), "race_prog") > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	uint64_t tries = 80000;
	const char *mode = "";
	int kind = -1, row = -1, option;
	char program[512];

	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	while ((option = getopt(argc, argv, "n:m:k:o:")) != -1) {
		if (option == 'n')
			tries = strtoull(optarg, NULL, 10);
		else if (option == 'm')
			mode = optarg;
		else if (option == 'k')
			kind = atoi(optarg);
		else if (option == 'o')
			row = atoi(optarg);
		else
			return usage();
	}
	shared_fd = memfd_create("race", MFD_CLOEXEC);
	if (shared_fd < 0 || ftruncate(shared_fd, sizeof(*race)))
		return 1;
	race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0);
	if (race == MAP_FAILED || program_path(program, sizeof(program)))
		return 1;
	int e = race_world_make(race, program);
	if (e < 0) {
		printf("not ok race: cannot make its world\n# %s\n", strerror(-e));
		return 1;
	}
	if (!*mode || !strcmp(mode, "prove"))
		prove();
	unsigned first = RACE_ABSOLUTE,
		 phases = (unsigned)(kind < 0 ? RACE_KINDS - first : 1) * (unsigned)(*mode ? 1 : MODES);
	for (size_t i = 0; i <= MODES; i++) {
		const struct mode *m = i < MODES ? &modes[i] : &native;

		if (*mode ? strncmp(m->name, mode, 2) != 0 : m == &native)
			continue;
		for (unsigned k = first; k < (m == &native ? RACE_KINDS : RACE_ALL); k++)
			if ((kind < 0 || kind == (int)k) && k > RACE_AWAY)
				state_one(m, (enum race_kind)k, 1 + tries / 200000);
			else if (kind < 0 || kind == (int)k)
				race_one(m, (enum race_kind)k, tries / phases, row);
		if (m != &native)
			judge_mode(m);
	}
	printf("# %llu attempts while %llu swaps: %llu escapes\n", (unsigned long long)tries_all,
		(unsigned long long)swaps_all, (unsigned long long)escapes_all);
	race_world_end(race);
	return tap_failed != 0;
}
