/* SPDX-License-Identifier: ISC */
/* The judge's side of the hostile tests: the world around the target, and what must have come out. Never in a target. */
#ifndef AIRLOCK_TESTS_HOSTILE_JUDGE_H
#define AIRLOCK_TESTS_HOSTILE_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What an attempt must not touch. */
struct world {
	char base[256];
	char arguments[512]; /* for attempt_setup() */
	char scratch[300]; /* the target's standard input, which it may write */
	pid_t stranger;
	int stranger_pipe; /* a byte for each signal that reached it */
	int tcp, udp, path, abstract, datagram; /* listeners that nobody may reach */
};
int world_make(struct world *w);
/* The tree as at the start. */
void world_reset(struct world *w);
/* Names, modes, times and contents of the tree in one number. */
uint64_t world_snapshot(const struct world *w);
/* NULL, or what was reached since the last question. */
const char *world_reached(const struct world *w);
void world_end(struct world *w);

struct situation {
	const char *mode; /* "inplace", "worker", "run" */
	bool rpath;
	bool root;
};
enum outcome_kind { OUTCOME_NONE, OUTCOME_RESULT, OUTCOME_SIGNAL, OUTCOME_VIOLATED, OUTCOME_TIMED_OUT, OUTCOME_EXIT };
struct outcome {
	enum outcome_kind kind;
	int value;
};
/* The clause of expect that applies, copied to buf. */
const char *expect_clause(const char *expect, const struct situation *s, char *buf, size_t len);
bool expect_met(const char *clause, struct outcome o);
const char *outcome_text(struct outcome o, char *buf, size_t len);
#endif
