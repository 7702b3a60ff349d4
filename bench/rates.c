/* SPDX-License-Identifier: ISC */
/*
 * Jobs a second, each in a process that has seen no other: forks of this program, posix_spawn() of it, fresh targets, and
 * pools (a fork of a zygote for each job), from one, two and four threads; and a pool whose targets serve many.
 */
#include "bench/common.h"

#include <airlock.h>
#include <limits.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 7
#define THREADS 4

static ssize_t nothing(const void *in, size_t len, void *out, size_t cap)
{
	(void)in;
	(void)out;
	(void)len;
	(void)cap;
	return 0;
}
AIRLOCK_FUNCTION(nothing)

static char self[PATH_MAX];
static struct airlock_policy *policy;
static struct airlock_pool *pools[2];

static void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0 || status)
		fail("waitpid", "a child failed");
}

static void fork_job(void)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork", strerror(errno));
	if (pid == 0)
		_exit(0);
	wait_for(pid);
}

static void spawn_job(void)
{
	char *argv[] = {self, (char *)"--exit", NULL};
	pid_t pid;

	if (posix_spawn(&pid, self, NULL, NULL, argv, environ) != 0)
		fail("posix_spawn", strerror(errno));
	wait_for(pid);
}

static void target_job(void)
{
	struct airlock_target *t;

	if (airlock_start(&t, policy, NULL, NULL, NULL) < 0 || airlock_call(t, "nothing", "x", 1, NULL, 0) != 0)
		fail("airlock_start", airlock_message());
	airlock_free(t);
}

static void pool_job(void)
{
	if (airlock_pool_call(pools[0], "nothing", "x", 1, NULL, 0, NULL) != 0)
		fail("airlock_pool_call", airlock_message());
}

static void reuse_job(void)
{
	if (airlock_pool_call(pools[1], "nothing", "x", 1, NULL, 0, NULL) != 0)
		fail("airlock_pool_call", airlock_message());
}

enum { FORK, SPAWN, TARGET, POOL, REUSE, WAYS };
static const struct {
	const char *name;
	void (*job)(void);
	int count; /* in a round, all threads together */
} ways[WAYS] = {
	{"fork, exit, wait", fork_job, 120},
	{"posix_spawn of the same image, wait", spawn_job, 60},
	{"fresh target: start, call, end", target_job, 40},
	{"pool, a fork for each job", pool_job, 120},
	{"pool, targets that serve 1,000 jobs", reuse_job, 2000},
};
static const int threads[] = {1, 2, 4};
static struct samples took[WAYS][3];

static atomic_int left;

static void *work(void *job)
{
	while (atomic_fetch_sub(&left, 1) > 0)
		(*(void (**)(void))job)();
	return NULL;
}

/* The nanoseconds of one job, all of them side by side. */
static double measure(int way, int count, int thread_count)
{
	pthread_t others[THREADS];
	void (*job)(void) = ways[way].job;
	uint64_t from = now_ns();

	atomic_store(&left, count);
	for (int i = 1; i < thread_count; i++)
		if (pthread_create(&others[i], NULL, work, &job) != 0)
			fail("pthread_create", "no thread");
	work(&job);
	for (int i = 1; i < thread_count; i++)
		pthread_join(others[i], NULL);
	return (double)(now_ns() - from) / count;
}

static void lines(int way, int t)
{
	char title[128], rate[64], beside[64] = "";
	const char *budget = "";
	double ns = median(&took[way][t]), base = median(&took[FORK][t]);

	snprintf(title, sizeof(title), "%s%s", ways[way].name,
		t == 0   ? ""
		: t == 1 ? ", two threads"
			 : ", four threads");
	snprintf(rate, sizeof(rate), "%.0f /s", 1e9 / ns);
	if (way != FORK)
		snprintf(beside, sizeof(beside), "%.2f x the time of fork", ns / base);
	if (way == POOL && t == 0)
		budget = "3 x";
	if (way == TARGET && t == 1)
		budget = ">= 1000 /s";
	report_text(title, rate, beside, budget);
}

int main(int argc, char **argv)
{
	struct airlock_pool_options options = AIRLOCK_POOL_OPTIONS_INIT;
	struct airlock_target *keep;

	if (argc == 2 && strcmp(argv[1], "--exit") == 0)
		return 0;
	if (airlock_init(argc, argv) < 0 || airlock_policy_new(&policy, "stdio") < 0 ||
		airlock_start(&keep, policy, NULL, NULL, NULL) < 0 || airlock_pool_new(&pools[0], policy, &options) < 0)
		fail("start", airlock_message());
	options.reuse = 1000;
	if (airlock_pool_new(&pools[1], policy, &options) < 0)
		fail("pool", airlock_message());
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		fail("readlink", strerror(errno));
	for (int round = -1; round < times(ROUNDS, 1); round++)
		for (int t = 0; t < 3; t++)
			for (int way = 0; way < WAYS; way++) {
				double ns = measure(way, times(ways[way].count, 4), threads[t]);
				if (round >= 0)
					sample(&took[way][t], ns);
			}
	for (int way = 0; way < WAYS; way++)
		for (int t = 0; t < 3; t++)
			lines(way, t);
	/* A target that serves many calls is not a start. */
	for (int way = 0; way < REUSE; way++)
		point("starts: a call in a process of its own", ways[way].name, way, 1e9 / median(&took[way][0]));
	airlock_pool_free(pools[0]);
	airlock_pool_free(pools[1]);
	airlock_free(keep);
	airlock_policy_free(policy);
	return 0;
}
