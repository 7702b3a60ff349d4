/* SPDX-License-Identifier: ISC */
/*
 * What 1, 100 and 1,000 idle targets take: the proportional set size of all processes that they add (targets, inits,
 * broker), as the kernel counts it; processes; descriptors of the host and of the broker. Fresh images, forks in a pool,
 * and, beside them, children that the program just forks.
 */
#include "bench/common.h"

#include <airlock.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 1000

static ssize_t nothing(const void *in, size_t len, void *out, size_t cap)
{
	(void)in;
	(void)out;
	(void)len;
	(void)cap;
	return 0;
}
AIRLOCK_FUNCTION(nothing)

struct usage {
	long pss; /* KiB, without the host's */
	unsigned processes; /* without the host */
	unsigned host_files;
	unsigned most_files; /* of one of the others: the broker's */
	bool hidden; /* one could not be read */
};

static unsigned files_of(const char *pid)
{
	char path[64];
	unsigned n = 0;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

/* The proportional set size in KiB, or -1. */
static long pss_of(const char *pid)
{
	char path[64], line[256];
	long kib = -1;

	snprintf(path, sizeof(path), "/proc/%.16s/smaps_rollup", pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "Pss:", 4) == 0) {
			kib = strtol(line + 4, NULL, 10);
			break;
		}
	if (f)
		fclose(f);
	return kib;
}

/* All processes of this image but the host. */
static struct usage look(void)
{
	char self[PATH_MAX], other[PATH_MAX], path[64];
	struct usage u = {.host_files = files_of("self")};
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self));
	DIR *d = opendir("/proc");

	for (struct dirent *e; d && (e = readdir(d));) {
		snprintf(path, sizeof(path), "/proc/%.16s/exe", e->d_name);
		if (e->d_name[0] < '1' || e->d_name[0] > '9' || strtol(e->d_name, NULL, 10) == getpid() ||
			readlink(path, other, sizeof(other)) != len || memcmp(self, other, (size_t)len) != 0)
			continue;
		long kib = pss_of(e->d_name);
		unsigned files = files_of(e->d_name);
		u.hidden |= kib < 0;
		u.pss += kib > 0 ? kib : 0;
		u.processes++;
		u.most_files = files > u.most_files ? files : u.most_files;
	}
	if (d)
		closedir(d);
	return u;
}

static struct airlock_policy *policy;

static void fresh(int count, struct usage *used)
{
	static struct airlock_target *t[MOST];

	for (int i = 0; i < count; i++)
		if (airlock_start(&t[i], policy, NULL, NULL, NULL) < 0 ||
			airlock_call(t[i], "nothing", "x", 1, NULL, 0) != 0)
			fail("airlock_start", airlock_message());
	*used = look();
	for (int i = 0; i < count; i++)
		airlock_free(t[i]);
}

static void pooled(int count, struct usage *used)
{
	struct airlock_pool_options options = AIRLOCK_POOL_OPTIONS_INIT;
	struct airlock_pool_stats stats = AIRLOCK_POOL_STATS_INIT;
	struct airlock_pool *pool;

	options.min = options.max = (unsigned)count;
	if (airlock_pool_new(&pool, policy, &options) < 0)
		fail("airlock_pool_new", airlock_message());
	/* They are started behind the host's back: until all are there, or a minute has gone. */
	*used = look();
	for (int i = 0; i < 600 && airlock_pool_stats(pool, &stats) == 0; i++) {
		if (stats.idle >= options.min && used->processes >= options.min)
			break;
		nanosleep(&(struct timespec){0, 100000000}, NULL);
		*used = look();
	}
	if (stats.idle < options.min || used->processes < options.min)
		fail("pool", "it did not fill");
	airlock_pool_free(pool);
}

static void forked(int count, struct usage *used)
{
	static pid_t pid[MOST];

	for (int i = 0; i < count; i++) {
		pid[i] = fork();
		if (pid[i] < 0)
			fail("fork", strerror(errno));
		if (pid[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
	*used = look();
	for (int i = 0; i < count; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
}

/* What there is without targets: those that were ended need a moment until they are gone. */
static struct usage nothing_left(void)
{
	struct usage u = look();

	for (int i = 0; i < 1000 && u.processes; i++) {
		nanosleep(&(struct timespec){0, 10000000}, NULL);
		u = look();
	}
	return u;
}

static void measure(const char *what, const char *series, void (*start)(int, struct usage *), bool own)
{
	static const int counts[] = {1, 100, MOST};
	struct usage none, u;

	for (int i = 0; i < 3; i++) {
		int n = getenv("BENCH_QUICK") && i == 2 ? 150 : counts[i];
		char title[96], value[96], beside[128];

		if (airlock_policy_new(&policy, "stdio") < 0)
			fail("policy", airlock_message());
		none = nothing_left();
		start(n, &u);
		airlock_policy_free(policy);
		if (u.hidden) {
			fprintf(stderr, "bench: memory of %s: the kernel does not show it to this user; left out\n",
				what);
			return;
		}
		double mib = (double)(u.pss - none.pss) / 1024;
		snprintf(title, sizeof(title), "%d %s", n, what);
		snprintf(value, sizeof(value), "%.2f MiB%s", mib / n, n == 1 ? "" : " each");
		if (own)
			snprintf(beside, sizeof(beside), "%u processes; descriptors: host %u, broker %u",
				u.processes - none.processes, u.host_files - none.host_files, u.most_files);
		else
			snprintf(beside, sizeof(beside), "%u processes", u.processes - none.processes);
		report_text(title, value, beside, own && n > 1 ? "0.5 MiB" : "");
		point("memory", series, n, mib);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;

	if (airlock_init(argc, argv) < 0)
		fail("airlock_init", airlock_message());
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	measure("children of fork(), idle", "forked children", forked, false);
	measure("targets, idle", "fresh targets", fresh, true);
	measure("targets of a pool, idle", "targets of a pool", pooled, true);
	return 0;
}
