/* SPDX-License-Identifier: ISC */
/*
 * What the benchmarks share: a clock, medians, and lines "what<TAB>median<TAB>beside<TAB>budget" that bench/run.sh turns
 * into one table. A budget is at most, or at least when it begins with ">= ". Every benchmark interleaves what it
 * compares in rounds, so that the machine's moods hit all alike. What is to be drawn goes to the file that BENCH_POINTS
 * names, as lines "plot<TAB>series<TAB>x<TAB>y". With BENCH_QUICK set everything is done a few times only, to see that it
 * works.
 */
#ifndef AIRLOCK_BENCH_COMMON_H
#define AIRLOCK_BENCH_COMMON_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct samples {
	double *ns;
	size_t count, room;
};

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void sample(struct samples *s, double ns)
{
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 1024;
		s->ns = realloc(s->ns, s->room * sizeof(*s->ns));
		if (!s->ns)
			abort();
	}
	s->ns[s->count++] = ns;
}

static inline int compare_samples(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline double median(struct samples *s)
{
	if (!s->count)
		return 0;
	qsort(s->ns, s->count, sizeof(*s->ns), compare_samples);
	return s->ns[s->count / 2];
}

/* How often to do what is done n times, and at least `least` times, when there is time. */
static inline int times(int n, int least)
{
	if (!getenv("BENCH_QUICK"))
		return n;
	return n / 50 > least ? n / 50 : least;
}

static inline void point(const char *plot, const char *series, double x, double y)
{
	const char *path = getenv("BENCH_POINTS");
	FILE *f = path ? fopen(path, "ae") : NULL;

	if (!f)
		return;
	fprintf(f, "%s\t%s\t%.0f\t%.4f\n", plot, series, x, y);
	fclose(f);
}

/* A line that is not a time. */
static inline void report_text(const char *name, const char *value, const char *beside, const char *budget)
{
	printf("%s\t%s\t%s\t%s\n", name, value, beside, budget);
	fflush(stdout);
}

/* value in ns; beside: the ns it is compared with, or 0. */
static inline void report(const char *name, double ns, const char *beside_name, double beside, const char *budget)
{
	char ratio[64] = "";

	if (beside > 0)
		snprintf(ratio, sizeof(ratio), "%.2f x %s", ns / beside, beside_name);
	if (ns >= 1e6)
		printf("%s\t%.2f ms\t%s\t%s\n", name, ns / 1e6, ratio, budget);
	else
		printf("%s\t%.2f us\t%s\t%s\n", name, ns / 1e3, ratio, budget);
	fflush(stdout);
}

_Noreturn static inline void fail(const char *what, const char *why)
{
	fprintf(stderr, "bench: %s: %s\n", what, why);
	exit(1);
}
#endif
