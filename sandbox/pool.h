/* SPDX-License-Identifier: ISC */
/* What the two files of a pool share: slots.c keeps the targets, pool.c makes calls on them. Both run in the host. */
#ifndef AIRLOCK_SANDBOX_POOL_H
#define AIRLOCK_SANDBOX_POOL_H

#include "sandbox/sandbox.h"

#include <sys/queue.h>

/* A zygote, and how many slots hold a fork of it: its end is theirs. */
struct source {
	struct airlock_target *zygote;
	unsigned users;
	bool ready; /* it has prepared */
	bool retired; /* no more forks: whoever is the last of them frees it */
};

/* Room for one target. A slot is in one of the pool's lists, or it is some thread's own: then nobody else looks at it. */
struct slot {
	TAILQ_ENTRY(slot) next;
	struct airlock_target *target; /* or NULL */
	struct source *source; /* with target, where that is a fork */
	bool ending; /* it was told to */
	bool lasts; /* it is one of those that are kept; else: */
	bool lingers; /* with reuse it ends by itself when it has been idle for long */
	unsigned calls; /* that it served */
	int64_t since; /* idle since then */
};
TAILQ_HEAD(slots, slot);

struct waiter {
	TAILQ_ENTRY(waiter) next;
	pthread_cond_t cond;
	struct slot *slot; /* what it was handed */
};

struct airlock_pool {
	pthread_mutex_t
		lock; /* of all that follows, for moments only: nothing is waited for under it, but on its conditions */
	const struct airlock_policy *policy;
	struct airlock_pool_options o; /* complete: no 0 stands for something else */
	bool forks;
	struct slot *slot; /* o.max of them */
	struct slots idle; /* with targets that wait for a call, the one to be used next first */
	struct slots dying; /* with targets that were told to end, the oldest first */
	struct slots empty;
	unsigned lasting; /* slots whose targets are kept */
	unsigned idle_count, ahead; /* ahead: targets that somebody is about to add to idle */
	TAILQ_HEAD(waiters, waiter) waiters; /* not empty only while all three lists are */
	struct source *source; /* where forks come from; NULL: to be made */
	bool renewing; /* somebody makes it, or waits until it is ready */
	pthread_cond_t renewed;
	uint64_t failures; /* how often that failed, and how it did last */
	int error;
	char text[200];
	struct airlock_pool_stats stats;
};

/* A slot for the caller, in the order of asking. 0; -ETIMEDOUT when there is none by the deadline (-1: none). */
int slot_take(struct airlock_pool *p, struct slot **out, int64_t deadline);
/* Under the lock: no longer the caller's. */
void slot_give(struct airlock_pool *p, struct slot *s);
/* Puts a target into the caller's slot that may be called at once. 0 or why there is none. deadline 0: waits for nothing. */
int slot_ready(struct airlock_pool *p, struct slot *s, int64_t deadline);
void slot_linger(struct airlock_pool *p, struct slot *s);
/* Its target is not wanted any more: tells it to end, does not wait. */
void slot_end(struct slot *s);
/* Waits for the target's end, and takes it out. */
void slot_clear(struct airlock_pool *p, struct slot *s);
/* Sends for as many targets as should wait for calls. */
void pool_refill(struct airlock_pool *p);
#endif
