/* SPDX-License-Identifier: ISC */
/* The ways to live on of live_abort.c. Each pledges, violates, and returns what is the process' status if it lives. */
#ifndef AIRLOCK_TESTS_ABORT_H
#define AIRLOCK_TESTS_ABORT_H

#include <stdbool.h>
#include <stddef.h>

struct abort_case {
	const char *name;
	int (*run)(void);
	bool lives; /* and ends with 0 */
	const char *says; /* on standard error, in so many lines; NULL: not looked at */
	size_t lines;
};
#define OR_KILLED 0x100 /* added to lines: it may come to SIGKILL, which a line more then says */
extern const struct abort_case abort_cases[];

int abort_open(void);
int abort_plain(void);
int abort_with_threads(void);
int abort_refused_first(void);
int abort_role(void);
int abort_core(void);
#endif
