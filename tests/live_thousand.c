/* SPDX-License-Identifier: ISC */
/*
 * A thousand targets of one policy, alive at once in one host: each answers, none costs more to start than the first ones
 * did, what they take of memory is counted, and nothing of them is left. And where descriptors do not suffice, the start
 * that fails says so, and those that live go on.
 */
#include "tests/processes.h"
#include "tests/tap.h"

#include <airlock.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THOUSAND 1000
#define KIB_OF_ONE 1024 /* twice the budget, for machines that share less */
#define HOST_FDS 6

static struct airlock_target *targets[THOUSAND];

static ssize_t twice(const void *in, size_t len, void *out, size_t cap)
{
	int value;
	if (len != sizeof(value) || cap < sizeof(value))
		return -1;
	memcpy(&value, in, sizeof(value));
	value *= 2;
	memcpy(out, &value, sizeof(value));
	return sizeof(value);
}
AIRLOCK_FUNCTION(twice)

static bool answers(struct airlock_target *t, int value)
{
	int back = 0;
	return airlock_call(t, "twice", &value, sizeof(value), &back, sizeof(back)) == sizeof(back) &&
	       back == 2 * value;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long of_meminfo(const char *word)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, word, strlen(word)) == 0)
			kib = strtol(line + strlen(word), NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

static long pss_of(pid_t pid)
{
	char path[64], line[256];
	long kib = 0;
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "Pss:", 4) == 0)
			kib = strtol(line + 4, NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

static struct airlock_policy *policy(void)
{
	struct airlock_policy *p = NULL;
	check(airlock_policy_new(&p, "stdio") == 0, "a policy", "%s", airlock_message());
	return p;
}

static size_t start(struct airlock_policy *p, size_t from, size_t to)
{
	for (; from < to; from++)
		if (airlock_start(&targets[from], p, NULL, NULL, NULL) < 0 || !answers(targets[from], (int)from))
			break;
	return from;
}

static void end(size_t count)
{
	for (size_t i = 0; i < count; i++)
		airlock_free(targets[i]);
}

static void thousand(void)
{
	const long room = of_meminfo("MemAvailable:");
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (room < 2 * THOUSAND * 1024) {
		dprintf(tap_fd, "skip %sthey take 2 GiB of memory, and %ld MiB are free\n", tap_prefix, room / 1024);
		return;
	}
	if (files.rlim_cur < HOST_FDS * THOUSAND + 200) {
		dprintf(tap_fd, "skip %sthe hard limit of descriptors is %lu\n", tap_prefix,
			(unsigned long)files.rlim_cur);
		return;
	}
	struct airlock_policy *p = policy();
	double begun = now();
	size_t count = start(p, 0, 100);
	const double first = now() - begun;
	count = count == 100 ? start(p, 100, 900) : count;
	begun = now();
	count = count == 900 ? start(p, 900, THOUSAND) : count;
	const double last = now() - begun;
	check(count == THOUSAND, "a thousand targets live", "%zu: %s", count, airlock_message());
	check(last < 5 * first + 1, "the last hundred cost what the first did", "%.2f s and %.2f s", last, first);
	size_t answered = 0;
	for (size_t i = 0; i < count; i++)
		answered += answers(targets[i], (int)(i * 3));
	check(answered == count, "and all answer", "%zu of %zu", answered, count);
	processes_look();
	long kib = 0;
	for (size_t i = 0; i < process_count; i++)
		kib += pss_of(process_at(i));
	if (kib == 0)
		dprintf(tap_fd, "skip %swhat they take of memory: this user may not see that\n", tap_prefix);
	else
		check(kib / THOUSAND <= KIB_OF_ONE, "each with its share takes little memory", "%ld KiB",
			kib / THOUSAND);
	dprintf(tap_fd, "# %ld KiB for each, %zu processes\n", kib / THOUSAND, process_count);
	end(count);
	airlock_policy_free(p);
	check(processes_shrink_to(0, 0), "nothing of a thousand is left", "%s", processes_text());
}

/* The broker has fewer descriptors than the host: what it inherits is lowered before it is born. */
static void too_many(void)
{
	struct rlimit old, few = {700, 700};
	getrlimit(RLIMIT_NOFILE, &old);
	if (old.rlim_max < 700)
		few.rlim_cur = few.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	struct airlock_policy *p = policy();
	size_t count = 0;
	int refused = 0, told = 0, r = 0;
	for (int i = 0; i < 200 && count < THOUSAND && refused < 30; i++) {
		r = airlock_start(&targets[count], p, NULL, NULL, NULL);
		if (r == 0) {
			count++;
			continue;
		}
		refused++;
		told += r == -EMFILE && strstr(airlock_message(), "descriptors") != NULL;
	}
	check(refused == 30 && count > 20, "there is an end to descriptors", "%zu targets, %d refused", count, refused);
	check(told == refused, "which each start says that fails", "%d of %d; %s", told, refused, airlock_message());
	size_t answered = 0;
	for (size_t i = 0; i < count; i++)
		answered += answers(targets[i], (int)i);
	check(answered == count, "and those that live go on", "%zu of %zu", answered, count);
	if (count > 0)
		airlock_free(targets[--count]);
	r = airlock_start(&targets[count], p, NULL, NULL, NULL);
	count += r == 0;
	check(r == 0, "in the place of one that ended there is another", "%s", airlock_message());
	end(count);
	airlock_policy_free(p);
	check(processes_shrink_to(0, 0), "nothing of them is left", "%s", processes_text());
}

/* ---- the last descriptors, wanted by several at once ---- */

#define CALLERS 6
struct caller {
	struct airlock_policy *policy;
	struct airlock_target *target;
	int r;
	bool told;
};

static void *starts(void *arg)
{
	struct caller *c = arg;
	c->r = airlock_start(&c->target, c->policy, NULL, NULL, NULL);
	c->told = c->r == -EMFILE && strstr(airlock_message(), "descriptors") != NULL;
	return NULL;
}

/* In a process of its own, which ends by the signal if a start never returns. Its status. */
static int edge(rlim_t limit)
{
	struct rlimit few = {limit, limit};
	size_t count = 0, alive = 0;
	alarm(60);
	setrlimit(RLIMIT_NOFILE, &few);
	struct airlock_policy *p = policy();
	for (bool more = true; more && count + CALLERS < THOUSAND;) {
		struct caller c[CALLERS] = {0};
		pthread_t threads[CALLERS];
		for (int i = 0; i < CALLERS; i++) {
			c[i].policy = p;
			if (pthread_create(&threads[i], NULL, starts, &c[i]))
				return 2;
		}
		for (int i = 0; i < CALLERS; i++) {
			pthread_join(threads[i], NULL);
			if (c[i].r == 0)
				targets[count++] = c[i].target;
			else if (!c[i].told)
				return 3;
			more &= c[i].r == 0;
		}
	}
	for (size_t i = 0; i < count; i++)
		alive += answers(targets[i], (int)i);
	end(count);
	airlock_policy_free(p);
	return count == 0 || alive != count;
}

/* A target's start takes descriptors at several moments: which of them is the one that finds none differs by the limit. */
static void edges(void)
{
	int status, bad = 0;
	rlim_t limit = 430;
	for (; limit < 434 && !bad; limit++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(edge(limit));
		bad = waitpid(pid, &status, 0) != pid ? -1 : status;
	}
	check(!bad, "no start waits for ever for want of a descriptor", "limit %d: status %x", (int)limit - 1, bad);
	check(processes_shrink_to(0, 0), "and nothing of them is left", "%s", processes_text());
}

int main(int argc, char **argv)
{
	if (airlock_init(argc, argv) < 0)
		return 1;
	processes_begin();
	tap_prefix = "thousand: ";
	thousand();
	edges();
	too_many(); /* last: the hard limit stays */
	return tap_failed ? 1 : 0;
}
