/* SPDX-License-Identifier: ISC */
/* What the files of live_pool share. */
#ifndef AIRLOCK_TESTS_POOL_H
#define AIRLOCK_TESTS_POOL_H

#include "sandbox/airlock.h"

#include <stdbool.h>
#include <sys/types.h>

/* The oldest living process below this one whose title contains word ("zygote", "broker", "init"), or 0. */
pid_t pool_process(const char *word);
/* A job whose answer is text or a number. */
struct answer {
	ssize_t result;
	char text[256];
	struct airlock_status status;
};
struct answer ask(struct airlock_pool *pool, const char *function, const char *in);
void expect(struct airlock_pool *pool, const char *function, const char *in, const char *text, const char *name);
void hostile_forks(const char *dir);
void pool_again(void);
#endif
