/* SPDX-License-Identifier: ISC */
/* What live_buffers.c asks the targets' functions in buffers_target.c for. */
#ifndef AIRLOCK_TESTS_BUFFERS_H
#define AIRLOCK_TESTS_BUFFERS_H

#include "ipc/ipc.h"

#include <stdint.h>

/* The argument of what attaches by itself, as a hostile target would: nothing of the library's is in between. */
struct grab {
	struct ipc_lend lends[IPC_LENDS_MAX];
	uint32_t count;
	uint32_t what;
};
enum {
	GRAB_FD = 1, /* keeps the descriptor */
	GRAB_MAP = 2, /* keeps it mapped */
	GRAB_SEAL = 4, /* F_SEAL_SEAL */
	GRAB_FUTURE = 8, /* F_SEAL_FUTURE_WRITE */
	GRAB_WRITER = 16, /* a thread goes on writing through the descriptor */
	GRAB_MAPPER = 32, /* a thread maps, writes and unmaps */
	GRAB_LET_GO = 64, /* of all of the above */
};
/* A hostile function's answer: how many of its attempts it made, and which (a bit each) it succeeded with. */
struct attempts {
	uint64_t made, succeeded;
	char last[64];
};
#endif
