/* SPDX-License-Identifier: ISC */
/*
 * This file owns the way of a request from its receipt to its answer. It runs in the broker, one thread for each family,
 * blocked in the family's carrier: notifications (carrier_listener.c) or messages (carrier_socket.c).
 *
 * Order for each request: the caller's state, the arguments, each copied once; then the question whether the caller
 * still lives, which says that both were its own and not those of a process that got its id; only then the decision.
 * CONTINUE is answered by handlers that decide on registers alone.
 *
 * While a program is being loaded, up to its entry point, PERM_LOADER rules and op_prot_exec grant its process more.
 * Whoever ends that calls family_settle(), which waits for the request in progress.
 */
#include "broker/carrier.h"
#include "broker/limits.h"
#include "broker/names.h"
#include "broker/zygote.h"
#include "policy/promises.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LANE_STACK (512 * 1024)

/* What one lane works in: nothing is allocated for a request. */
struct lane {
	struct family *family;
	pthread_mutex_t serving; /* held from receipt to the decision */
	_Atomic uint32_t over; /* its thread has nothing left to do: a futex */
	struct request request;
	char path[2][PATH_MAX];
};

void lane_answer(struct family *f, uint64_t id, struct answer a)
{
	f->carrier->answer(f, id, a);
}

void lane_finish(struct request *r, struct answer a)
{
	/* Not every error is a refusal: only what the policy said no to. */
	bool refused = a.kind == ANSWER_ERROR &&
		       (r->missing_promise != PROMISE_COUNT || r->missing_perms || r->why || r->missing_address);
	enum violation v = refused ? violation_of(r, a.error) : VIOLATION_ERRNO;
	if (v == VIOLATION_ABORT) {
		abort_submit(r);
		if (a.fd >= 0)
			close(a.fd);
		return;
	}
	if (v == VIOLATION_ENOSYS)
		a.error = ENOSYS;
	/* Who is to die gets no answer: it must not do anything with it before the signal arrives. */
	if (refused && report_refusal(r, a.error)) {
		if (a.fd >= 0)
			close(a.fd);
		return;
	}
	if (r->family->broker->log >= 0 && a.kind != ANSWER_NONE)
		report_log(r, &a);
	lane_answer(r->family, r->id, a);
}

static struct answer decide(struct request *r)
{
	struct answer a;
	if (zygote_waits(r, &a))
		return a;
	if (promised_direct(r))
		return (struct answer){.kind = ANSWER_CONTINUE, .fd = -1};
	if (r->op && operation_open(r->family->broker, r->op))
		return r->op->handle(r);
	return op_refused(r);
}

/* What the carrier does not. */
static void request_fill(struct request *r)
{
	r->op = operation_find(r->nr);
	r->path[0] = r->path[1] = NULL;
	r->slow = r->held_still = r->violated = false;
	r->frame = 0;
	r->held = 0;
	r->missing_promise = PROMISE_COUNT;
	r->missing_perms = 0;
	r->why = NULL;
	r->canonical[0] = r->address[0] = 0;
	r->missing_address = MISSING_NONE;
	r->rule = NULL;
	r->unveiled = NULL;
	r->decided = NULL;
	r->job = NULL;
	r->interrupted = false;
}

static void serve(struct lane *lane)
{
	struct family *f = lane->family;
	struct request *r = &lane->request;
	atomic_fetch_add_explicit(&f->requests, 1, memory_order_relaxed);
	request_fill(r);
	r->state = state_of(f, r->tid);
	if (!r->state) {
		/* Dead, or not one of ours: the answer reaches nobody, or must be no. */
		lane_answer(f, r->id, answer_error(EPERM));
		return;
	}
	if (r->state->instance)
		atomic_fetch_add_explicit(&r->state->instance->requests, 1, memory_order_relaxed);
	int err = request_read(r, lane->path[0], lane->path[1]);
	struct answer a = {.kind = ANSWER_NONE, .fd = -1};
	if (request_alive(r))
		a = err ? answer_error(-err) : decide(r);
	if (a.kind == ANSWER_SLOW) {
		err = slow_submit(r);
		if (!err) { /* the worker answers */
			state_release(f, r->state);
			return;
		}
		a = answer_error(-err);
	}
	lane_finish(r, a);
	state_release(f, r->state);
}

static int listen_to(struct family *f)
{
	int domain;
	socklen_t len = sizeof(domain);
	f->carrier = getsockopt(f->listener, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ? &carrier_listener
										       : &carrier_socket;
	return f->carrier->start(f);
}

/* The lane is there before its family is confined: nobody else need be woken for that. */
static bool lane_born(struct family *f)
{
	int listener = f->on_birth(f->arg);
	if (listener < 0)
		return false;
	f->listener = listener;
	int err = listen_to(f);
	f->on_born(f->arg, err);
	return err == 0;
}

static void *lane_main(void *arg)
{
	struct lane *lane = arg;
	struct family *f = lane->family;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, WAKE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	thread_own_fs();
	if (atomic_load(&f->starting))
		slow_prepare(f);
	bool ended = false;
	const bool born = !f->on_birth || lane_born(f);
	while (born && !atomic_load(&f->stopping) && !ended) {
		enum received got = f->carrier->receive(f, &lane->request);
		if (got == RECEIVED_REQUEST) {
			pthread_mutex_lock(&lane->serving);
			serve(lane);
			/* After the answer: it costs the caller nothing. */
			if (f->narrowed_since)
				narrow_broker(f);
			pthread_mutex_unlock(&lane->serving);
		}
		ended = got == RECEIVED_END;
	}
	/* Waiting for family_stop() costs nothing here, and what it interrupts is over. */
	if (ended && f->on_end)
		f->on_end(f->arg);
	atomic_store(&lane->over, 1);
	syscall(SYS_futex, &lane->over, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	return NULL;
}

static void nothing(int signal)
{
	(void)signal;
}

static struct lane *lane_new(struct family *f)
{
	struct lane *lane = calloc(1, sizeof(*lane));
	if (!lane)
		return NULL;
	lane->family = f;
	lane->request.family = f;
	pthread_mutex_init(&lane->serving, NULL);
	return lane;
}

static void lane_free(struct lane *lane)
{
	if (!lane)
		return;
	pthread_mutex_destroy(&lane->serving);
	free(lane);
}

static int lane_start(struct family *f)
{
	struct sigaction wake = {.sa_handler = nothing}; /* no SA_RESTART: it is there to interrupt */
	sigset_t all, old;
	pthread_attr_t attr;
	if (sigaction(WAKE_SIGNAL, &wake, NULL))
		return -errno;
	int listening = f->on_birth ? 0 : listen_to(f);
	if (listening < 0)
		return listening;
	f->lane_data = lane_new(f);
	if (!f->lane_data)
		return -ENOMEM;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, LANE_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&f->lane, &attr, lane_main, f->lane_data);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	atomic_store(&f->started, !err);
	return -err;
}

int family_start(struct family *f, pid_t first, int cwd, mode_t umask)
{
	f->pidns = -1;
	f->first = first;
	pthread_mutex_init(&f->lock, NULL);
	int err = state_start(f, first, cwd, umask);
	if (!err)
		err = budget_start(f);
	if (!err)
		err = slow_start(f);
	if (!err)
		err = lane_start(f);
	if (err)
		family_stop(f);
	return err;
}

void family_settle(struct family *f)
{
	/* Those on slow workers are never a loader's. */
	pthread_mutex_lock(&f->lane_data->serving);
	pthread_mutex_unlock(&f->lane_data->serving);
}

void family_stop(struct family *f)
{
	atomic_store(&f->stopping, true);
	if (atomic_load(&f->started)) {
		/* Repeated: the signal may come just before the call that blocks. Not by pthread_timedjoin_np(3), whose clock
		 * may be set meanwhile. */
		while (!atomic_load(&f->lane_data->over)) {
			const struct timespec slice = {0, 2000000};
			pthread_kill(f->lane, WAKE_SIGNAL);
			syscall(SYS_futex, &f->lane_data->over, FUTEX_WAIT_PRIVATE, 0, &slice, NULL, 0);
		}
		pthread_join(f->lane, NULL);
		atomic_store(&f->started, false);
	}
	slow_stop(f);
	ask_stop(f);
	heard_stop(f);
	budget_stop(f);
	state_stop(f);
	zygote_stop(f);
	lane_free(f->lane_data);
	f->lane_data = NULL;
	if (f->carrier)
		f->carrier->stop(f);
	int *const fds[] = {&f->listener, &f->pidfd, &f->pidns};
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	pthread_mutex_destroy(&f->lock);
}
