/* SPDX-License-Identifier: ISC */
/* The limits about sockets that the broker keeps: how many connections a second, how many bytes in all. */
#ifndef AIRLOCK_LIMITS_H
#define AIRLOCK_LIMITS_H

#include "broker/socket.h"

/* What one target may use and has used. In memory that a nested broker, which is a fork, shares: what its targets use is
 * used by those around them, too. */
struct ration {
	uint64_t connects, traffic; /* LIMIT_NONE when not limited */
	_Atomic uint64_t due; /* nanoseconds: when the next connection would be on time */
	_Atomic uint64_t bytes;
};

#define RECENT 64
struct budget {
	struct ration *rations[1 + OUTER_MAX]; /* its own, and those of the targets around it */
	size_t count;
	bool bytes; /* any of them is limited */
	char why[40]; /* "limit connects 100" */
	/* Where datagrams went last: to go on sending there is not to begin anything. Under family.lock. */
	struct recent {
		uint8_t ip[16];
		uint16_t port, used;
	} recent[RECENT];
	unsigned next;
};

/* A broker's. */
#define HASH 256
struct limits {
	int events, query, timer; /* -1: bytes are not limited */
	pthread_mutex_t lock; /* what follows */
	struct watched *watched[HASH];
	size_t count;
	bool awake;
	struct ration *outer[OUTER_MAX];
	size_t outer_count;
};

/* Before the broker is confined, and again in a nested one. outer: the budget of the target around it, or NULL. 0, or
 * -EOPNOTSUPP: this kernel does not count. */
int limits_start(struct broker *b, const struct budget *outer);
void limits_forget(struct broker *b); /* in the fork that becomes a nested broker: the outer one's */
/* Of a family, before its lane runs and after it ended. */
int budget_start(struct family *f);
void budget_stop(struct family *f);

/* Somebody begins to use an address that he may use. 0, or -EAGAIN and why in r. */
int limits_begin(struct request *r, const struct endpoint *s, const struct name *to);
/* That was done: s is connected or about to be (to), listens (NULL), or has sent so many bytes. */
void limits_done(struct request *r, const struct endpoint *s, const struct name *to, ssize_t bytes);

/* The first thread. Descriptors that it is to wait for, and what it does when they are readable: false when there is
 * nothing to watch any more. */
int limits_descriptors(const struct broker *b, int fds[2]);
bool limits_look(struct broker *b);
void limits_wake(struct broker *b); /* a nested broker begins: look now and then whatever is watched here */
void limits_rest(struct broker *b); /* unless there is something to watch after all */
extern const char limit_processes[]; /* why, of a request */
bool limits_over(const struct family *f); /* its bytes, or those of a target around it, are used up */

/* ---- what limits.c and traffic.c share ---- */
#define SECOND UINT64_C(1000000000)
uint64_t limits_now(void); /* nanoseconds */
void limits_charge(const struct family *f, uint64_t bytes);
int traffic_start(struct limits *l);
void traffic_watch(struct family *f, const struct endpoint *s, const struct name *to); /* as limits_done() */
void traffic_count(struct limits *l, int fd); /* it may be another connection in a moment */
void traffic_forget(const struct family *f);
#endif
