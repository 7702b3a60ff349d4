/* SPDX-License-Identifier: ISC */
/* What the files of live_calls share. */
#ifndef AIRLOCK_TESTS_CALLS_H
#define AIRLOCK_TESTS_CALLS_H

#include <airlock.h>

/* A target that has the callbacks of live_calls.c. */
struct airlock_target *calls_start(const struct airlock_policy *policy);
void calls_hostile(const struct airlock_policy *policy);
void calls_ends(const struct airlock_policy *policy);
#endif
