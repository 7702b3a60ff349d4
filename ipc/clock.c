/* SPDX-License-Identifier: ISC */
/* This file owns the time that deadlines are reckoned by. It runs in host, broker and target. */
#include "ipc/ipc.h"

#include <time.h>

int64_t ipc_clock_ms(clockid_t clock)
{
	struct timespec t = {0};
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t ipc_now_ms(void)
{
	return ipc_clock_ms(CLOCK_MONOTONIC);
}
