/* SPDX-License-Identifier: ISC */
/* What the files of live_nested share. */
#ifndef AIRLOCK_TESTS_NESTED_H
#define AIRLOCK_TESTS_NESTED_H

#include "sandbox/airlock.h"
#include "tests/processes.h"
#include "tests/tap.h"

#define WAITS 60000

struct airlock_policy *policy_with(
	const char *promises, const char *rules); /* "r:/etc rx:/usr"; ends the test if it fails */
/* Runs an entry of this program as a target under p until it ends; -1 when it did not exit by itself. */
int entry_run(struct airlock_policy *p, const char *entry, const char *argument);
void wider(void);
void given_up(void);
void processes(void);
void deaths(void);
void hostile(void);
extern const char *directory; /* scratch, with a file "file" */
#endif
