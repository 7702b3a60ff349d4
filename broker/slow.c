/* SPDX-License-Identifier: ISC */
/*
 * This file owns the requests that can block: opens of FIFOs and devices, files that are leased, mounts that stall. It
 * runs in the broker: up to 256 workers for a family, made on demand and ended when idle, and a watcher while anything
 * is pending. A worker whose caller died is interrupted by a signal, again and again, until it has noticed: one
 * signal alone could come just before the call that blocks. The same is done when a signal waits for the caller, which
 * sleeps too deep to be woken by it: the call then fails as the kernel's would have, restarted if the handler says so.
 *
 * Sockets' calls are not refused for want of a worker: they wait in a list. There the many connects of somebody who has
 * hundreds of them under way wait, too, for what the watcher sees without a thread for each (job.until). Each keeps one or
 * two of the broker's descriptors, which are all targets': so a family has only so many of them, and of a zygote's forks
 * each a part.
 */
#include "broker/carrier.h"
#include "broker/socket.h"
#include "broker/zygote.h"
#include "ipc/ipc.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORKERS SLOW_WORKERS
#define CROWDED 64
#define INSTANCE_JOBS 4 /* the part of its family's jobs that one instance may have */
#define STACK (256 * 1024)
#define IDLE_SECONDS 2
#define WATCH_NS 20000000L
#define ERESTARTSYS 512 /* the kernel's own */

enum worker_state { WORKER_NONE, WORKER_IDLE, WORKER_BUSY, WORKER_ENDED };

struct worker {
	struct slow_lane *lane;
	enum worker_state state;
	uint64_t
		instance; /* the number of its request's, whose state is let go of before the worker is idle; 0: none */
	bool has_job;
	bool looks_up; /* is to be interrupted now and then: see wait_for_writer() */
	pthread_t thread;
	pthread_cond_t work;
	struct request request;
	char path[2][PATH_MAX];
};

/* A request that has no worker. It holds its state. */
struct parked {
	struct parked *next;
	bool due; /* wants one */
	struct request request;
};

struct slow_lane {
	struct family *family;
	pthread_mutex_t lock;
	pthread_cond_t watch;
	struct worker *workers[WORKERS];
	size_t busy;
	struct parked *parked;
	bool stop;
	enum worker_state watcher;
	pthread_t watcher_thread;
};

static struct timespec after(long seconds, long ns)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += seconds;
	t.tv_nsec += ns;
	if (t.tv_nsec >= 1000000000L) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000L;
	}
	return t;
}

static void wake_mask(int how)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, WAKE_SIGNAL);
	pthread_sigmask(how, &set, NULL);
}

static uint64_t instance_of(const struct request *r)
{
	return r->state->instance ? r->state->instance->number : 0;
}

/* Under l->lock: whether the broker has descriptors for one more job of this instance. States may be a quarter of all that
 * it can have; half as many jobs have no more. */
static bool has_room(const struct slow_lane *l, uint64_t instance)
{
	const size_t most = l->family->state_max / 2;
	size_t all = 0, own = 0;
	for (size_t k = 0; k < WORKERS; k++) {
		const struct worker *w = l->workers[k];
		if (!w || w->state != WORKER_BUSY || !w->has_job)
			continue;
		all++;
		own += w->instance == instance;
	}
	for (const struct parked *p = l->parked; p; p = p->next) {
		all++;
		own += instance_of(&p->request) == instance;
	}
	return all < most && (!instance || own < most / INSTANCE_JOBS);
}

/* Under l->lock. Takes r's hold on its state, and its job. */
static bool park(struct slow_lane *l, const struct request *r, bool due)
{
	struct parked *p = l->stop ? NULL : malloc(sizeof(*p)), **last = &l->parked;
	if (!p)
		return false;
	*p = (struct parked){.due = due, .request = *r};
	while (*last)
		last = &(*last)->next;
	*last = p;
	return true;
}

/* Under l->lock. One fork of a zygote leaves workers to the others. */
static bool has_its_share(const struct slow_lane *l, uint64_t instance)
{
	size_t busy = 0;
	for (size_t k = 0; instance && k < WORKERS; k++)
		busy += l->workers[k] && l->workers[k]->state == WORKER_BUSY && l->workers[k]->instance == instance;
	return busy >= INSTANCE_SLOW;
}

/* Under l->lock: the first that is due gets this worker. */
static bool unpark(struct slow_lane *l, struct worker *w)
{
	struct parked **at = &l->parked, *p;
	w->instance = 0;
	w->has_job = false;
	while ((p = *at) != NULL && (!p->due || has_its_share(l, instance_of(&p->request))))
		at = &p->next;
	if (!p)
		return false;
	*at = p->next;
	w->request = p->request;
	w->instance = instance_of(&p->request);
	w->has_job = true;
	w->looks_up = false;
	free(p);
	return true;
}

static bool is_due(const struct parked *p)
{
	struct pollfd fd = {p->request.job->s.fd, POLLOUT, 0};
	return p->due || ipc_now_ms() >= p->request.job->until || poll(&fd, 1, 0) != 0 || !request_alive(&p->request) ||
	       request_signalled(&p->request);
}

bool slow_crowded(struct family *f)
{
	pthread_mutex_lock(&f->slow->lock);
	bool crowded = f->slow->busy >= CROWDED;
	pthread_mutex_unlock(&f->slow->lock);
	return crowded;
}

/* Under no lock. The answer is given with the signal blocked: an interrupted ADDFD with SEND makes the call return 0. */
static void run(struct worker *w)
{
	struct request *r = &w->request;
	struct slow_lane *l = w->lane;
	r->slow = true;
	if (r->violated) {
		abort_process(r);
		state_release(r->family, r->state);
		return;
	}
	wake_mask(SIG_UNBLOCK);
	int taken = identity_take(r);
	struct answer a = taken < 0 ? answer_error(EPERM) : r->op->handle(r);
	wake_mask(SIG_BLOCK);
	/* What was narrowed while this waited counts: no descriptor may arrive after that. */
	struct state *now = state_of(r->family, r->tid);
	bool same = now && now->narrowed == r->state->narrowed;
	state_release(r->family, now);
	if (!same && a.kind == ANSWER_FD) {
		close(a.fd);
		a = answer_error(EACCES);
	}
	if (a.kind == ANSWER_SLOW) {
		pthread_mutex_lock(&l->lock);
		bool parked = r->job && r->job->until && (w->has_job || has_room(l, w->instance)) && park(l, r, false);
		pthread_mutex_unlock(&l->lock);
		if (parked)
			return;
		if (r->job)
			r->job->drop(r->job);
		a = answer_error(EAGAIN);
	}
	/* Only a caller on whom a signal waits is interrupted, so none will ever see this number: on the way out the kernel
	 * runs the handler and makes EINTR of it, or repeats the call. The second carrier's handler does that itself: another
	 * thread may have taken the signal meanwhile, since its own has all blocked. */
	if (a.kind == ANSWER_ERROR && a.error == EINTR && !r->interrupted &&
		(!r->family->carrier->goes_on || request_signalled(r)))
		a.error = ERESTARTSYS;
	lane_finish(r, a);
	state_release(r->family, r->state);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct slow_lane *l = w->lane;
	thread_own_fs();
	pthread_mutex_lock(&l->lock);
	for (;;) {
		struct timespec until = after(IDLE_SECONDS, 0);
		int late = 0;
		while (w->state == WORKER_IDLE && !l->stop && !late)
			late = pthread_cond_timedwait(&w->work, &l->lock, &until);
		if (w->state != WORKER_BUSY)
			break;
		pthread_mutex_unlock(&l->lock);
		run(w);
		pthread_mutex_lock(&l->lock);
		if (unpark(l, w))
			continue;
		w->state = WORKER_IDLE;
		if (--l->busy == 0)
			pthread_cond_signal(&l->watch);
	}
	w->state = WORKER_ENDED;
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

int slow_start(struct family *f)
{
	struct slow_lane *l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->family = f;
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->watch, &attr);
	pthread_condattr_destroy(&attr);
	f->slow = l;
	return 0;
}

/* Threads start with every signal blocked. */
static int start_thread(pthread_t *thread, void *(*main)(void *), void *arg)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(thread, &attr, main, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

/* An idle worker, or a slot to make one in. Under l->lock. */
static struct worker *worker_get(struct slow_lane *l)
{
	struct worker **empty = NULL;
	for (size_t i = 0; i < WORKERS; i++) {
		struct worker *w = l->workers[i];
		if (w && w->state == WORKER_IDLE)
			return w;
		if (!empty && (!w || w->state == WORKER_ENDED))
			empty = &l->workers[i];
	}
	if (!empty)
		return NULL;
	struct worker *w = *empty;
	if (w) {
		pthread_join(w->thread, NULL);
		w->state = WORKER_NONE;
	} else {
		w = calloc(1, sizeof(*w));
		if (!w)
			return NULL;
		w->lane = l;
		pthread_condattr_t attr;
		pthread_condattr_init(&attr);
		pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
		pthread_cond_init(&w->work, &attr);
		pthread_condattr_destroy(&attr);
		*empty = w;
	}
	return w;
}

/* Under l->lock. Whoever has no thread gets one, or is gone. */
static int begin(struct worker *w, enum worker_state state)
{
	struct slow_lane *l = w->lane;
	bool fresh = w->state == WORKER_NONE;
	w->state = state;
	int err = fresh ? start_thread(&w->thread, worker_main, w) : 0;
	if (!err)
		return 0;
	for (size_t i = 0; i < WORKERS; i++)
		if (l->workers[i] == w)
			l->workers[i] = NULL;
	pthread_cond_destroy(&w->work);
	free(w);
	return err;
}

static int employ(struct worker *w)
{
	int err = begin(w, WORKER_BUSY);
	if (err)
		return err;
	w->lane->busy++;
	pthread_cond_signal(&w->work);
	return 0;
}

void slow_prepare(struct family *f)
{
	pthread_mutex_lock(&f->slow->lock);
	struct worker *w = worker_get(f->slow);
	if (w && w->state == WORKER_NONE)
		begin(w, WORKER_IDLE);
	pthread_mutex_unlock(&f->slow->lock);
}

/* Workers for those in the list that need one now, as far as there are any. */
static void give_out(struct slow_lane *l)
{
	size_t due = 0;
	for (struct parked *p = l->parked; p && !l->stop; p = p->next)
		due += p->due = is_due(p);
	for (; due > 0 && !l->stop; due--) {
		struct worker *w = worker_get(l);
		if (!w || !unpark(l, w))
			return;
		struct request r = w->request;
		if (employ(w)) {
			park(l, &r, true);
			return;
		}
	}
}

static void *watcher_main(void *arg)
{
	struct slow_lane *l = arg;
	pthread_mutex_lock(&l->lock);
	while (l->busy || l->parked) {
		struct timespec until = after(0, WATCH_NS);
		pthread_cond_timedwait(&l->watch, &l->lock, &until);
		give_out(l);
		for (size_t i = 0; i < WORKERS; i++) {
			struct worker *w = l->workers[i];
			if (w && w->state == WORKER_BUSY &&
				(w->looks_up || l->stop || !request_alive(&w->request) ||
					request_signalled(&w->request)))
				pthread_kill(w->thread, WAKE_SIGNAL);
		}
	}
	l->watcher = WORKER_ENDED;
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* The caller keeps its own hold on the state. */
static void hold(const struct request *r)
{
	pthread_mutex_lock(&r->family->lock);
	r->state->users++;
	pthread_mutex_unlock(&r->family->lock);
}

static void fill(struct worker *w, const struct request *r)
{
	w->request = *r;
	w->instance = instance_of(r);
	w->has_job = r->job != NULL;
	w->looks_up = r->held > 0;
	for (int i = 0; i < 2; i++) {
		if (r->path[i])
			w->request.path[i] = strcpy(w->path[i], r->path[i]);
	}
	hold(r);
}

int slow_submit(struct request *r)
{
	struct slow_lane *l = r->family->slow;
	int err = -EAGAIN;
	pthread_mutex_lock(&l->lock);
	const bool room = !r->job || has_room(l, instance_of(r));
	struct worker *w = l->stop || !room || has_its_share(l, instance_of(r)) ? NULL : worker_get(l);
	if (w) {
		fill(w, r);
		err = employ(w) ? -EAGAIN : 0;
		if (err)
			state_release(r->family, r->state);
	}
	if (err && r->job && room && park(l, r, true)) {
		hold(r);
		err = 0;
	}
	const enum worker_state watcher = l->watcher;
	if (!err)
		l->watcher = WORKER_BUSY;
	pthread_mutex_unlock(&l->lock);
	/* Meanwhile the worker works. Nobody but the lane submits, so there is no other who would start one. */
	if (!err && watcher == WORKER_ENDED)
		pthread_join(l->watcher_thread, NULL);
	if (!err && watcher != WORKER_BUSY && start_thread(&l->watcher_thread, watcher_main, l)) {
		pthread_mutex_lock(&l->lock);
		l->watcher = WORKER_NONE;
		pthread_mutex_unlock(&l->lock);
	}
	if (err && r->held > 0) {
		close(r->held - 1);
		r->held = 0;
	}
	if (err && r->job) {
		r->job->drop(r->job);
		r->job = NULL;
	}
	return err;
}

void slow_interrupt(struct family *f, pid_t tid)
{
	struct slow_lane *l = f->slow;
	pthread_mutex_lock(&l->lock);
	for (size_t k = 0; k < WORKERS; k++) {
		const struct worker *w = l->workers[k];
		if (w && w->state == WORKER_BUSY && w->request.tid == tid && !w->request.violated)
			lane_answer(f, w->request.id, answer_error(EINTR));
	}
	for (const struct parked *p = l->parked; p; p = p->next)
		if (p->request.tid == tid)
			lane_answer(f, p->request.id, answer_error(EINTR));
	pthread_mutex_unlock(&l->lock);
}

void slow_stop(struct family *f)
{
	struct slow_lane *l = f->slow;
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	for (size_t i = 0; i < WORKERS; i++) {
		if (l->workers[i])
			pthread_cond_signal(&l->workers[i]->work);
	}
	pthread_cond_signal(&l->watch);
	/* Their callers get no answer: who still lives is told by the listener's end that there is nobody. */
	for (struct parked *p; (p = l->parked) != NULL; free(p)) {
		l->parked = p->next;
		p->request.job->drop(p->request.job);
		state_release(f, p->request.state);
	}
	/* The watcher may have failed to start: then this thread does its work. */
	while (l->busy) {
		struct timespec pause = {0, WATCH_NS};
		for (size_t i = 0; i < WORKERS; i++) {
			if (l->workers[i] && l->workers[i]->state == WORKER_BUSY)
				pthread_kill(l->workers[i]->thread, WAKE_SIGNAL);
		}
		pthread_mutex_unlock(&l->lock);
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&l->lock);
	}
	bool watched = l->watcher != WORKER_NONE;
	pthread_mutex_unlock(&l->lock);
	/* It looks at the workers once more on its way out. */
	if (watched)
		pthread_join(l->watcher_thread, NULL);
	for (size_t i = 0; i < WORKERS; i++) {
		struct worker *w = l->workers[i];
		if (!w)
			continue;
		pthread_join(w->thread, NULL); /* every worker here has a thread, perhaps an ended one */
		pthread_cond_destroy(&w->work);
		free(w);
	}
	pthread_cond_destroy(&l->watch);
	pthread_mutex_destroy(&l->lock);
	free(l);
	f->slow = NULL;
}
