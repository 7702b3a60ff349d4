/* SPDX-License-Identifier: ISC */
/* This file owns the time that deadlines are reckoned by. It runs in host, broker and target. */
#include "ipc/ipc.h"

#include <time.h>

int64_t clock_ms(clockid_t clock)
{
	struct timespec t = {0};
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t monotonic_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}
