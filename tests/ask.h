/* SPDX-License-Identifier: ISC */
/* What live_ask.c and ask_target.c share: what targets do, and how they say what came of it. */
#ifndef AIRLOCK_TESTS_ASK_H
#define AIRLOCK_TESTS_ASK_H

#include "sandbox/airlock.h"

#include <stdbool.h>

/* What a target is asked to do, as arguments of the entry `asker`: WHAT, port, other port. It sends a record of words, the
 * last of which is "done"; numbers are errnos. */
#define FLOOD 100 /* threads */
#define MANY 10000 /* questions */
#define REMEMBERED 256 /* addresses allowed for a target */
#define OTHERS 200 /* requests of another thread */
#define READABLE "/etc/passwd"

/* What the function ask_connect is given; it returns a negative errno. */
struct ask_call {
	int port;
};

/* ---- in the host ---- */

#define WAITS 60000 /* milliseconds: for ever */
extern struct host {
	enum airlock_decision decision;
	unsigned asked;
	unsigned sleep_ms; /* before it answers */
	char last[200], program[400];
	int bind;
	pid_t pid;
	struct airlock_target *of;
	bool again; /* tries what it may not */
	int busy[3];
	long rss[2];
	int open[2];
} host; /* what its callback does and has seen */
extern int port, other_listener;

void begin(enum airlock_decision decision);
struct airlock_target *start(const char *what);
/* The target's next record, with or without questions answered meanwhile. */
const char *hear(struct airlock_target *t, bool dispatches);
/* The record of a target that is then freed; its first refusal. */
const char *run(const char *what, enum airlock_decision decision, char *refusal, size_t len);

void floods(void);
void several(void);
void hostile(void);
void remembered(void);
void many(void);
#endif
