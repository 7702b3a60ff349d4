/* SPDX-License-Identifier: ISC */
/* What live_endings.c and its workers (endings_worker.c) agree on. */
#ifndef AIRLOCK_TESTS_ENDINGS_H
#define AIRLOCK_TESTS_ENDINGS_H

#include <stdint.h>

/* The one call of a worker: what it is to do, with a number. */
struct job {
	char what[16];
	uint64_t number;
};
#endif
