/* SPDX-License-Identifier: ISC */
/* What the files of live_keeper share. */
#ifndef AIRLOCK_TESTS_KEEPER_H
#define AIRLOCK_TESTS_KEEPER_H

#include "sandbox/airlock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#define NET_MS 20000 /* what takes longer on the slowest machine has failed */

/* Memory that a target counts in. */
#define COUNTERS 64
struct counters {
	_Atomic uint64_t of[COUNTERS];
};
extern struct counters *counters;

int64_t clock_now(void);
struct airlock_policy *policy_made(const char *text);
struct airlock_target *start(const struct airlock_policy *p, const char *entry, char *const argv[]);
/* Starts an entry that gets a descriptor of the counters, and waits until the first n count. */
struct airlock_target *counting(const struct airlock_policy *p, const char *entry, int n);
uint64_t progress(int n, int ms);
void settle(void);
bool says(struct airlock_target *t, const char *words);
bool echoes(struct airlock_target *t, const char *words);

int open_descriptors(void);

/* The other files: how many checks of theirs failed. */
unsigned suspended(const struct airlock_policy *p);
unsigned kept(const struct airlock_policy *p);
unsigned hostile(const struct airlock_policy *p);
/* What takes long runs beside the others: begun before the first start, and waited for at the end. */
pid_t deaf_begin(void);
unsigned deaf(pid_t begun);
/* What keeper_keep.c sees of a keeper. */
struct seen {
	int starts, ends, last_restart;
	int delays[64];
	enum airlock_end end;
	int64_t ended[64], started[64];
};
struct airlock_keeper *keep(const struct airlock_policy *p, const char *entry, char *const argv[],
	struct airlock_keeper_options *k, struct seen *s);
/* Until *counter is that much. Whether it is. */
bool keep_until(struct airlock_keeper *k, const int *counter, int wanted);
#endif
