/* SPDX-License-Identifier: ISC */
/* Targets that are forks of one that waits, the zygote: instances of one family. */
#ifndef AIRLOCK_ZYGOTE_H
#define AIRLOCK_ZYGOTE_H

#include "broker/broker.h"

/* (AIRLOCK_OP_BEGIN, its process id as it knows it): a fork says that it is there, and gets the descriptor of the
 * shared memory that it serves calls on. */
#define AIRLOCK_OP_BEGIN 8
/* (AIRLOCK_OP_BARREN, errno): the zygote's clone() failed. */
#define AIRLOCK_OP_BARREN 9

#define INSTANCE_SLOW 32 /* of the family's slow workers, those that one instance may keep */

/* Belongs to its family, which frees it once it has ended and no state names it. */
struct instance {
	struct instance *next; /* of those that wait for their fork */
	void *arg; /* the owner's; NULL once it has ended. Under telling */
	pthread_mutex_t telling;
	uint64_t number; /* of its family; never used twice */
	int call; /* what its begin is answered with, until then; else -1 */
	int pidfd; /* since its begin; else -1 */
	pid_t pid; /* as the broker sees it; 0 before its begin. Under the zygote's lock */
	_Atomic pid_t pid_inside; /* as it sees itself */
	unsigned users; /* states. Under family.lock */
	_Atomic uint64_t requests, refused;
	unsigned report_tokens; /* under family.lock */
	struct heard *heard; /* see heard.c; under family.lock */
	bool crashed; /* lane only: it has said so */
};

struct zygote {
	pthread_mutex_t lock;
	pid_t pid;
	struct instance *queue; /* in order, each waits for a fork */
	unsigned queued, granted; /* forks that may be under way: the first `granted` of the queue */
	unsigned lost; /* forks in a row that ended before they began */
	unsigned strays; /* forks that nobody wanted any more, and that are yet to end */
	bool waits; /* the zygote does, in a clone() that is not answered yet */
	bool going; /* the last one was let go on */
	uint64_t made; /* as its clone() said last */
	pid_t beginning; /* the lane looks at its begin: as it sees itself; 0: nobody, or it ended meanwhile */
	uint64_t waiting;
	uint64_t numbers;
	/* Of the first in the queue, which is taken from it: there will be no fork. On the lane or the first thread. */
	void (*on_barren)(struct instance *i, int error);
	/* It has prepared, and waits for the first time; arg is the family's. On the lane. */
	void (*on_ready)(void *arg);
	bool ready; /* on the lane */
};

/* Before family_start(). 0 or -ENOMEM. first: the zygote, as the broker sees it. */
int zygote_prepare(
	struct family *f, pid_t first, void (*on_barren)(struct instance *i, int error), void (*on_ready)(void *));
/* Takes call. NULL: no memory. The fork is made when the zygote comes to it. */
struct instance *zygote_fork(struct family *f, int call, void *arg);
/* Under zygote.lock: a child of the zygote's init ended that no instance is. */
void zygote_lost(struct family *f, pid_t inside);
/* SIGKILL. False when it has no process, and now never will: there is no end to wait for. */
bool instance_kill(struct family *f, struct instance *i);
/* Whether it has a process that could be sent this. */
bool instance_signal(struct family *f, struct instance *i, int number);
/* Its process is gone, or will never be; nobody is told of it any more. */
void instance_end(struct family *f, struct instance *i);
/* Of states that name one. Under family.lock. */
void instance_hold(struct instance *i);
void instance_release(struct instance *i);

/* Lane: whether r is the zygote's wait for the next fork; *a then says what becomes of it. */
bool zygote_waits(struct request *r, struct answer *a);
struct answer op_begin(struct request *r);
struct answer op_barren(struct request *r);
void zygote_stop(struct family *f);
#endif
