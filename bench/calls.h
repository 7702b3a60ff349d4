/* SPDX-License-Identifier: ISC */
/* The peers of bench/calls.c: what two processes can be to each other without airlock. bench/peers.c. */
#ifndef AIRLOCK_BENCH_CALLS_H
#define AIRLOCK_BENCH_CALLS_H

#include "bench/common.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct page {
	_Atomic uint32_t word; /* 0: the caller's turn, 1: the other's */
	char data[16];
};

struct peer {
	pid_t pid;
	struct page *page;
	int to, from; /* pipes */
};

void futex_peer_start(struct peer *p);
void futex_peer_ping(struct peer *p);
void spin_peer_start(struct peer *p);
void spin_peer_ping(struct peer *p);
/* The child reads all, then writes all back. */
void pipe_peer_start(struct peer *p);
void pipe_peer_echo(struct peer *p, const char *in, char *out, size_t len);
void peer_end(struct peer *p);

/* A child for this call, which has in as it is and writes a copy to a pipe. */
void fork_echo(const char *in, char *out, size_t len);

/* bench/sapi's program. Its pid is 0 when it was not started, or does not work. */
struct sapi {
	pid_t pid;
	FILE *ask, *answer;
};
void sapi_start(struct sapi *s, const char *path);
void sapi_ask(struct sapi *s, struct samples *samples, const char *what, size_t len, int count, bool idle);
#endif
