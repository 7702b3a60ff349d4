/* SPDX-License-Identifier: ISC */
/* What the broker, its resolver and the resolver's helpers have in common. */
#ifndef AIRLOCK_RESOLVER_H
#define AIRLOCK_RESOLVER_H

#include "broker/broker.h"

#define RESOLVER_NAME 253
#define RESOLVER_ADDRESSES 32
#define RESOLVER_TTL_UNKNOWN UINT32_MAX
struct resolver_answer {
	int32_t error; /* of getaddrinfo(), or 0 */
	uint32_t count, ttl;
	uint8_t ips[RESOLVER_ADDRESSES][16]; /* v6, or v4-mapped */
};
/* Its server's socket, or a negative errno. */
int resolver_start(const struct broker *b, const char *title);
/* A socket that a struct resolver_answer will come by, or its end; or a negative errno (-EAGAIN: too much is asked). */
int resolver_ask(int server, const char *name);
/* What looking up a name reads; a broker in place has it in its own Landlock domain, which is around the resolver's. */
#define RESOLVER_PATHS 22
const char *resolver_path(size_t i);

/* ---- lookup.c ---- */
#define RESOLVER_FD 3 /* the server's socket, and a helper's for its answer */
/* What is left of the system calls, of the server's or of a helper's. 0 or a negative errno. */
int resolver_calls(bool server);
void resolver_measure(const struct broker *b); /* before that, how much memory a helper begins with */
/* In a fork of `server`: looks the name up, answers on reply, and ends. */
_Noreturn void resolver_help(const char *name, int reply, pid_t server);
#endif
