/* SPDX-License-Identifier: ISC */
/* What the broker of live_lane.c and its targets share. A body runs in a target, which it ends where it is disappointed. */
#ifndef AIRLOCK_TESTS_LANE_H
#define AIRLOCK_TESTS_LANE_H

#include <stdatomic.h>
#include <unistd.h>

/* Shared by broker, target and what it forks. */
extern struct shared {
	const char *file; /* where an expectation failed */
	int line;
	long got;
	atomic_int done, other;
	double us;
} * shared;

extern char top[64], text[256]; /* the scratch tree; for any use */

/* In the target: ends it where an expectation fails. */
#define EXPECT(yes, value)                                                                                             \
	do {                                                                                                           \
		if (!(yes)) {                                                                                          \
			shared->file = __FILE__;                                                                       \
			shared->line = __LINE__;                                                                       \
			shared->got = (long)(value);                                                                   \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

/* A descriptor or a negative errno. */
int sys_open(const char *path, int flags);
/* The path of tail in the scratch tree. */
const char *in(const char *tail);
void expect_open(const char *path, int flags, int want);
double seconds(void);

/* ---- lane_files.c ---- */
void body_open(void);
void body_memory(void);
void body_fifo(void);
void body_stop(void);
void body_fifo_kill(void);
void body_emfile(void);
void body_threads(void);
void body_killed(void);
void body_speed(void);

/* ---- lane_process.c ---- */
void body_forks(void);
void body_limit(void);
void body_orphan(void);
void body_states(void);
void body_signals(void);
void body_signals_proc(void);
void body_refused(void);
void body_fatal(void);
void body_narrow(void);
void body_add(void);
#endif
