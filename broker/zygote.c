/* SPDX-License-Identifier: ISC */
/*
 * This file owns the forks of a zygote: a target that has finished starting, has its door closed, and has read nothing
 * hostile. It calls clone(2), which its filter makes a request of, and the broker lets that go on when a fork is
 * wanted. So the zygote waits without a descriptor, and nobody but it can make one. The fork's first call gives it an
 * identity of its own (a state, by which whatever it asks is known to be its), and its shared memory.
 *
 * It runs in the broker, on the family's lane and, what sandbox/ calls, on the first thread.
 */
#include "broker/zygote.h"

#include "broker/carrier.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Which argument of the zygote's clone() says how many forks it made: where the kernel has no use for it. */
#define MADE 2
#define LOST_MAX 16 /* somebody kills them before they begin: better told than tried for ever */

int zygote_prepare(
	struct family *f, pid_t first, void (*on_barren)(struct instance *i, int error), void (*on_ready)(void *))
{
	struct zygote *z = calloc(1, sizeof(*z));
	if (!z)
		return -ENOMEM;
	pthread_mutex_init(&z->lock, NULL);
	z->pid = first;
	z->on_barren = on_barren;
	z->on_ready = on_ready;
	f->zygote = z;
	return 0;
}

/* Under z->lock: whether the waiting clone() is to go on; *id is it. */
static bool grant(struct zygote *z, uint64_t *id)
{
	if (!z->waits || z->queued <= z->granted)
		return false;
	z->granted++;
	z->going = true;
	z->waits = false;
	*id = z->waiting;
	return true;
}

/* Under z->lock. */
static struct instance *queue_take(struct zygote *z)
{
	struct instance *i = z->queue;
	if (!i)
		return NULL;
	z->queue = i->next;
	z->queued--;
	i->next = NULL;
	return i;
}

static void go_on(struct family *f, uint64_t id)
{
	lane_answer(f, id, (struct answer){.kind = ANSWER_CONTINUE, .fd = -1});
}

struct instance *zygote_fork(struct family *f, int call, void *arg)
{
	struct zygote *z = f->zygote;
	struct instance *i = calloc(1, sizeof(*i)), **last;
	uint64_t id;
	if (!i) {
		close(call);
		return NULL;
	}
	pthread_mutex_init(&i->telling, NULL);
	i->arg = arg;
	i->call = call;
	i->pidfd = -1;
	i->users = 1; /* the caller's, until instance_end() */
	i->report_tokens = 64;
	pthread_mutex_lock(&z->lock);
	i->number = ++z->numbers;
	for (last = &z->queue; *last; last = &(*last)->next)
		;
	*last = i;
	z->queued++;
	bool now = grant(z, &id);
	pthread_mutex_unlock(&z->lock);
	if (now)
		go_on(f, id);
	return i;
}

void zygote_lost(struct family *f, pid_t inside)
{
	struct zygote *z = f->zygote;
	uint64_t id;
	if (z->beginning == inside)
		z->beginning = 0;
	bool known = !z->strays && z->granted > 0;
	if (z->strays) {
		z->strays--;
	} else if (known) {
		z->granted--;
		z->lost++;
	}
	struct instance *i = known && z->lost >= LOST_MAX ? queue_take(z) : NULL;
	bool now = grant(z, &id);
	if (i)
		z->on_barren(i, ECHILD);
	if (now)
		go_on(f, id);
}

/* Under z->lock. A fork that is under way for it becomes the next one's. */
static void queue_leave(struct zygote *z, const struct instance *i)
{
	for (struct instance **at = &z->queue; *at; at = &(*at)->next)
		if (*at == i) {
			*at = i->next;
			z->queued--;
			return;
		}
}

bool instance_kill(struct family *f, struct instance *i)
{
	struct zygote *z = f->zygote;
	pthread_mutex_lock(&z->lock);
	bool begun = i->pid > 0;
	if (begun)
		syscall(SYS_pidfd_send_signal, i->pidfd, SIGKILL, NULL, 0);
	else
		queue_leave(z, i);
	pthread_mutex_unlock(&z->lock);
	return begun;
}

bool instance_signal(struct family *f, struct instance *i, int number)
{
	struct zygote *z = f->zygote;
	pthread_mutex_lock(&z->lock);
	bool sent = i->pid > 0 && syscall(SYS_pidfd_send_signal, i->pidfd, number, NULL, 0) == 0;
	pthread_mutex_unlock(&z->lock);
	return sent;
}

void instance_hold(struct instance *i)
{
	if (i)
		i->users++;
}

void instance_release(struct instance *i)
{
	if (!i || --i->users)
		return;
	pthread_mutex_destroy(&i->telling);
	free(i->heard);
	free(i);
}

void instance_end(struct family *f, struct instance *i)
{
	struct zygote *z = f->zygote;
	pthread_mutex_lock(&i->telling);
	i->arg = NULL;
	pthread_mutex_unlock(&i->telling);
	pthread_mutex_lock(&z->lock);
	queue_leave(z, i);
	const int fds[] = {i->pidfd, i->call};
	i->pidfd = i->call = -1;
	pthread_mutex_unlock(&z->lock);
	for (int k = 0; k < 2; k++)
		if (fds[k] >= 0)
			close(fds[k]);
	state_instance_gone(f, i);
	pthread_mutex_lock(&f->lock);
	instance_release(i);
	pthread_mutex_unlock(&f->lock);
}

/* ---- what the zygote and its forks ask ---- */

bool zygote_waits(struct request *r, struct answer *a)
{
	struct zygote *z = r->family->zygote;
	if (!z || r->nr != SYS_clone || r->tid != z->pid || r->state->instance)
		return false;
	/* What it calls is ours, and calls nothing else: a fork whose parent is init, which so learns of its end. */
	if ((r->args[0] & ~(uint64_t)CSIGNAL) != (CLONE_PARENT | CLONE_CHILD_SETTID))
		return false;
	uint64_t id;
	if (!z->ready) {
		z->ready = true;
		z->on_ready(r->family->arg);
	}
	pthread_mutex_lock(&z->lock);
	/* It has made no fork since it was let go on: a signal came between, and the kernel starts the call anew. */
	if (z->going && z->made == r->args[MADE] && z->granted)
		z->granted--;
	z->going = false;
	z->made = r->args[MADE];
	z->waits = true;
	z->waiting = r->id;
	bool now = grant(z, &id);
	pthread_mutex_unlock(&z->lock);
	*a = (struct answer){.kind = now ? ANSWER_CONTINUE : ANSWER_NONE, .fd = -1};
	return true;
}

struct answer op_begin(struct request *r)
{
	struct zygote *z = r->family->zygote;
	if (!z || r->state->instance || r->tid == z->pid)
		return answer_error(EPERM);
	const pid_t inside = (pid_t)r->args[1];
	pthread_mutex_lock(&z->lock);
	z->beginning = inside;
	pthread_mutex_unlock(&z->lock);
	/* If it lives now, we are told of its end from here on, and zygote_lost() of what that meets. */
	int pidfd = (int)syscall(SYS_pidfd_open, r->tid, 0), call = -1;
	const bool alive = pidfd >= 0 && request_alive(r);
	pthread_mutex_lock(&z->lock);
	if (!alive || z->beginning != inside) {
		z->beginning = 0;
		pthread_mutex_unlock(&z->lock);
		if (pidfd >= 0)
			close(pidfd);
		return answer_error(EPERM);
	}
	z->beginning = 0;
	struct instance *i = z->granted ? queue_take(z) : NULL;
	if (z->granted)
		z->granted--;
	if (i) {
		z->lost = 0;
		i->pid = r->tid;
		atomic_store(&i->pid_inside, inside);
		i->pidfd = pidfd;
		call = i->call;
		i->call = -1;
		pthread_mutex_lock(&r->family->lock);
		i->users++;
		pthread_mutex_unlock(&r->family->lock);
	} else {
		z->strays++;
	}
	pthread_mutex_unlock(&z->lock);
	if (!i) {
		close(pidfd);
		return answer_error(ECANCELED);
	}
	int e = state_instance(r, i);
	pthread_mutex_lock(&r->family->lock);
	instance_release(i);
	pthread_mutex_unlock(&r->family->lock);
	if (e == 0)
		return answer_fd(call, true);
	close(call);
	return answer_error(-e);
}

struct answer op_barren(struct request *r)
{
	struct zygote *z = r->family->zygote;
	if (!z || r->state->instance || r->tid != z->pid)
		return answer_error(EPERM);
	pthread_mutex_lock(&z->lock);
	z->going = false;
	struct instance *i = z->granted ? queue_take(z) : NULL;
	if (z->granted)
		z->granted--;
	/* Its owner may let go of it as soon as it is in nobody's queue. */
	pthread_mutex_lock(&r->family->lock);
	instance_hold(i);
	pthread_mutex_unlock(&r->family->lock);
	pthread_mutex_unlock(&z->lock);
	if (i)
		z->on_barren(i, (int)r->args[1]);
	pthread_mutex_lock(&r->family->lock);
	instance_release(i);
	pthread_mutex_unlock(&r->family->lock);
	return answer_value(0);
}

void zygote_stop(struct family *f)
{
	if (!f->zygote)
		return;
	pthread_mutex_destroy(&f->zygote->lock);
	free(f->zygote);
	f->zygote = NULL;
}
