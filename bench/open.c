/* SPDX-License-Identifier: ISC */
/*
 * What calls cost inside a target: open+close brokered under the most specific of 100 rules,
 * natively, in a direct tree, and in the browsers' scheme (bench/browser.c); stat; fopen with a first read; and a call that the filter
 * allows. The same loop runs everywhere, and gives the median of its own rounds.
 */
#include "bench/browser.h"
#include "bench/common.h"

#include <airlock.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROUNDS 15
#define RULES 100

enum what { OPEN, STAT, FOPEN, GETPPID };
struct job {
	enum what what;
	int count;
	char path[PATH_MAX];
};

static int once(const struct job *j)
{
	struct stat st;
	FILE *f;
	int fd;

	switch (j->what) {
	case OPEN:
		fd = open(j->path, O_RDONLY | O_CLOEXEC);
		return fd < 0 ? -1 : close(fd);
	case STAT:
		return stat(j->path, &st);
	case FOPEN:
		f = fopen(j->path, "re");
		return !f || getc(f) == EOF || fclose(f) ? -1 : 0;
	case GETPPID:
		/* Ten, so that the clock weighs little. */
		for (int i = 0; i < 10; i++)
			syscall(SYS_getppid);
		return 0;
	}
	return -1;
}

/* Nanoseconds of the median, as a double, into out; or a negative errno. */
static ssize_t run(const void *in, size_t len, void *out, size_t cap)
{
	static struct samples s;
	struct job j;

	if (len != sizeof(j) || cap < sizeof(double))
		return -EINVAL;
	memcpy(&j, in, sizeof(j));
	s.count = 0;
	for (int i = 0; i < j.count; i++) {
		uint64_t from = now_ns();
		if (once(&j) < 0)
			return -errno;
		sample(&s, (double)(now_ns() - from));
	}
	double ns = median(&s);
	memcpy(out, &ns, sizeof(ns));
	return sizeof(ns);
}
AIRLOCK_FUNCTION(run)

static ssize_t run_native(const void *job)
{
	double ns = 0;
	ssize_t r = run(job, sizeof(struct job), &ns, sizeof(ns));

	return r < 0 ? r : (ssize_t)ns;
}

static char base[] = "/tmp/airlock-bench-XXXXXX";
static char rules[RULES][PATH_MAX];
static char path[PATH_MAX];

static void make_dir(const char *p)
{
	if (mkdir(p, 0755) < 0 && errno != EEXIST)
		fail(p, strerror(errno));
}

/* 99 directories, and a rule deep in one of them. */
static void make_tree(void)
{
	if (!mkdtemp(base))
		fail("mkdtemp", strerror(errno));
	for (int i = 0; i < RULES - 1; i++) {
		snprintf(rules[i], PATH_MAX, "%s/d%02d", base, i);
		make_dir(rules[i]);
	}
	snprintf(path, sizeof(path), "%s/d50/a", base);
	make_dir(path);
	snprintf(rules[RULES - 1], PATH_MAX, "%s/d50/a/b", base);
	make_dir(rules[RULES - 1]);
	snprintf(path, sizeof(path), "%s/d50/a/b/file", base);
	FILE *f = fopen(path, "we");
	if (!f || fputs("bench\n", f) < 0 || fclose(f))
		fail(path, strerror(errno));
}

static void remove_tree(void)
{
	char p[PATH_MAX];

	unlink(path);
	rmdir(rules[RULES - 1]);
	snprintf(p, sizeof(p), "%s/d50/a", base);
	rmdir(p);
	for (int i = 0; i < RULES - 1; i++)
		rmdir(rules[i]);
	rmdir(base);
}

static struct airlock_target *start(struct airlock_policy **policy, bool direct)
{
	struct airlock_target *t;

	if (airlock_policy_new(policy, "stdio rpath") < 0)
		fail("policy", airlock_message());
	for (int i = 0; i < (direct ? 1 : RULES); i++)
		if (airlock_policy_unveil(*policy, direct ? base : rules[i], direct ? "rd" : "r") < 0)
			fail("unveil", airlock_message());
	if (airlock_start(&t, *policy, NULL, NULL, NULL) < 0) {
		fprintf(stderr, "bench: %s\n", airlock_message());
		return NULL;
	}
	if (*airlock_message())
		fprintf(stderr, "bench: %s\n", airlock_message());
	return t;
}

static void measure(struct samples *s, struct airlock_target *t, const struct job *j)
{
	double ns = 0;
	ssize_t r = t ? airlock_call(t, "run", j, sizeof(*j), &ns, sizeof(ns)) : run(j, sizeof(*j), &ns, sizeof(ns));

	if (r < 0)
		fail("in the target", strerror((int)-r));
	sample(s, ns);
}

static struct job job(enum what what, int count)
{
	struct job j = {what, count, ""};

	memcpy(j.path, path, sizeof(path));
	return j;
}

int main(int argc, char **argv)
{
	struct samples native = {0}, brokered = {0}, browser = {0}, stat_native = {0}, stat_brokered = {0},
		       fopen_native = {0}, fopen_brokered = {0}, call = {0}, call_filtered = {0}, direct = {0},
		       stat_direct = {0};
	struct airlock_policy *policy, *direct_policy;

	if (airlock_init(argc, argv) < 0)
		fail("start", airlock_message());
	make_tree();
	atexit(remove_tree);
	struct job opens = job(OPEN, 300), stats = job(STAT, 300), fopens = job(FOPEN, 150), calls = job(GETPPID, 2000);
	struct browser *b = browser_start(rules, RULES, run_native, sizeof(struct job));
	struct airlock_target *t = start(&policy, false), *d = start(&direct_policy, true);
	if (!t || !d)
		return 1;
	for (int round = 0; round < times(ROUNDS, 1); round++) {
		measure(&native, NULL, &opens);
		measure(&brokered, t, &opens);
		measure(&direct, d, &opens);
		sample(&browser, (double)browser_run(b, &opens));
		measure(&stat_native, NULL, &stats);
		measure(&stat_brokered, t, &stats);
		measure(&stat_direct, d, &stats);
		measure(&fopen_native, NULL, &fopens);
		measure(&fopen_brokered, t, &fopens);
		measure(&call, NULL, &calls);
		measure(&call_filtered, t, &calls);
	}
	double n = median(&native), s = median(&stat_native), f = median(&fopen_native), c = median(&call) / 10;
	report("open+close, native", n, "", 0, "");
	report("open+close, the browsers' scheme, 100 rules", median(&browser), "native", n, "");
	report("open+close, brokered, 100 rules", median(&brokered), "native", n, "6 x");
	report("the same", median(&brokered), "the browsers'", median(&browser), "0.7 x");
	report("open+close, direct", median(&direct), "native", n, "1.2 x");
	report("stat, native", s, "", 0, "");
	report("stat, brokered", median(&stat_brokered), "native", s, "");
	report("stat, direct", median(&stat_direct), "native", s, "");
	report("fopen+getc+fclose, native", f, "", 0, "");
	report("fopen+getc+fclose, brokered", median(&fopen_brokered), "native", f, "");
	report("getppid, native", c, "", 0, "");
	report("getppid, allowed by the filter", median(&call_filtered) / 10, "native", c, "1.1 x");
	browser_stop(b);
	airlock_free(t);
	airlock_free(d);
	airlock_policy_free(policy);
	airlock_policy_free(direct_policy);
	return 0;
}
