/* SPDX-License-Identifier: ISC */
/*
 * This file owns the carrier: it receives a family's notifications and answers them. It runs in the broker, one thread
 * for each family, blocked in NOTIF_RECV (a poll before it costs as much as three system calls).
 *
 * Order for each request: the caller's state, the arguments, each copied once; then the question whether the caller
 * still lives, which says that both were its own and not those of a process that got its id; only then the decision.
 * CONTINUE is answered by handlers that decide on registers alone.
 *
 * While a program is being loaded, up to its entry point, PERM_LOADER rules and op_prot_exec grant its process more.
 * Whoever ends that calls family_settle(), which waits for the request in progress.
 */
#include "broker/broker.h"
#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64) /* 6.6 */
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif
#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif
#define LANE_STACK (512 * 1024)

/* What one lane works in: nothing is allocated for a request. */
struct lane {
	struct family *family;
	struct seccomp_notif *notif;
	size_t notif_size;
	pthread_mutex_t serving; /* held from receipt to the decision */
	struct request request;
	char path[2][PATH_MAX];
};

static void send_value(int listener, uint64_t id, int64_t value, int error, uint32_t flags)
{
	struct seccomp_notif_resp answer = {.id = id, .val = value, .error = -error, .flags = flags};
	/* ENOENT: the caller died or left for a signal; that is no error. */
	while (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) && errno == EINTR)
		;
}

/* The target runs as soon as descriptor and answer are there, and our own copy of the descriptor is closed only when this
 * thread runs again. Where it matters who else holds the file (the other end of a pipe, a lock, a program that is to be
 * executed), the descriptor goes first, then our copy, then the answer: a wake-up more. Since 5.19 no signal comes
 * between; before, one may leave the target with a descriptor that it does not know of. */
static void send_sole(int listener, uint64_t id, struct answer *a)
{
	struct seccomp_notif_addfd add = {
		.id = id, .srcfd = (uint32_t)a->fd, .newfd_flags = a->cloexec ? O_CLOEXEC : 0};
	int number = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add), e = errno;
	close(a->fd);
	a->fd = -1;
	if (number >= 0)
		send_value(listener, id, number, 0, 0);
	else if (e != ENOENT)
		send_value(listener, id, 0, e == EINTR ? EIO : e, 0);
}

void lane_answer(struct family *f, uint64_t id, struct answer a)
{
	if (a.kind == ANSWER_FD && a.sole) {
		send_sole(f->listener, id, &a);
		return;
	}
	switch (a.kind) {
	case ANSWER_VALUE:
		send_value(f->listener, id, a.value, 0, 0);
		break;
	case ANSWER_CONTINUE:
		send_value(f->listener, id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
		break;
	case ANSWER_FD: {
		struct seccomp_notif_addfd add = {.id = id,
			.flags = SECCOMP_ADDFD_FLAG_SEND,
			.srcfd = (uint32_t)a.fd,
			.newfd_flags = a.cloexec ? O_CLOEXEC : 0};
		/* With SEND, descriptor and answer arrive together or not at all (5.14). EMFILE is the target's. */
		if (ioctl(f->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 && errno != ENOENT)
			send_value(f->listener, id, 0, errno == EINTR ? EIO : errno, 0);
		break;
	}
	case ANSWER_NONE:
		break;
	case ANSWER_ERROR:
	case ANSWER_SLOW: /* has been submitted before */
		send_value(f->listener, id, 0, a.error ? a.error : EPERM, 0);
		break;
	}
	if (a.fd >= 0)
		close(a.fd);
}

void lane_finish(struct request *r, struct answer a)
{
	/* Not every error is a refusal: only what the policy said no to. */
	bool refused = a.kind == ANSWER_ERROR && (r->missing_promise != PROMISE_COUNT || r->missing_perms || r->why);
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
	if (r->op)
		return r->op->handle(r);
	return op_refused(r);
}

static void request_fill(struct request *r, const struct seccomp_notif *n)
{
	r->op = operation_find(n->data.nr);
	r->id = n->id;
	r->tid = (pid_t)n->pid;
	r->nr = n->data.nr;
	r->place = n->data.instruction_pointer;
	for (int i = 0; i < 6; i++)
		r->args[i] = n->data.args[i];
	r->path[0] = r->path[1] = NULL;
	r->slow = r->held_still = false;
	r->held = 0;
	r->missing_promise = PROMISE_COUNT;
	r->missing_perms = 0;
	r->why = NULL;
	r->canonical[0] = 0;
}

static void serve(struct lane *lane)
{
	struct family *f = lane->family;
	struct request *r = &lane->request;
	atomic_fetch_add_explicit(&f->requests, 1, memory_order_relaxed);
	request_fill(r, lane->notif);
	r->state = lane->notif->data.arch == NATIVE_ARCH ? state_of(f, r->tid) : NULL;
	if (!r->state) {
		/* Dead, or not one of ours: the answer reaches nobody, or must be no. */
		lane_answer(f, r->id, answer_error(EPERM));
		return;
	}
	int err = request_read(r, lane->path[0], lane->path[1]);
	struct answer a = {.kind = ANSWER_NONE, .fd = -1};
	if (request_alive(r))
		a = err ? answer_error(-err) : decide(r);
	if (a.kind == ANSWER_SLOW) {
		err = slow_submit(r);
		a = err ? answer_error(-err) : (struct answer){.kind = ANSWER_NONE, .fd = -1};
	}
	lane_finish(r, a);
	state_release(f, r->state);
}

static bool hung_up(const struct family *f)
{
	struct pollfd p = {f->listener, 0, 0};
	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLNVAL | POLLERR));
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
	bool ended = false;
	while (!atomic_load(&f->stopping) && !ended) {
		memset(lane->notif, 0, lane->notif_size);
		if (ioctl(f->listener, SECCOMP_IOCTL_NOTIF_RECV, lane->notif) == 0) {
			pthread_mutex_lock(&lane->serving);
			serve(lane);
			pthread_mutex_unlock(&lane->serving);
		} else if (errno == ENOENT) {
			/* The request is gone, or (since 6.11) every task. */
			ended = hung_up(f);
		} else if (errno != EINTR) {
			ended = true;
		}
	}
	/* Waiting for family_stop() costs nothing here, and what it interrupts is over. */
	if (ended && f->on_end)
		f->on_end(f->arg);
	return NULL;
}

static void nothing(int signal)
{
	(void)signal;
}

static struct lane *lane_new(struct family *f)
{
	struct seccomp_notif_sizes sizes;
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes))
		return NULL;
	struct lane *lane = calloc(1, sizeof(*lane));
	if (!lane)
		return NULL;
	lane->notif_size = sizes.seccomp_notif > sizeof(*lane->notif) ? sizes.seccomp_notif : sizeof(*lane->notif);
	lane->notif = calloc(1, lane->notif_size);
	if (!lane->notif) {
		free(lane);
		return NULL;
	}
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
	free(lane->notif);
	free(lane);
}

static int lane_start(struct family *f)
{
	struct sigaction wake = {.sa_handler = nothing}; /* no SA_RESTART: it is there to interrupt */
	sigset_t all, old;
	pthread_attr_t attr;
	uint64_t flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;
	if (sigaction(WAKE_SIGNAL, &wake, NULL))
		return -errno;
	/* Kernels before 6.6 have none; waking is then slower. */
	ioctl(f->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
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
	pthread_mutex_init(&f->lock, NULL);
	int err = state_start(f, first, cwd, umask);
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
		/* Repeated: the signal may come just before the call that blocks. */
		struct timespec until;
		do {
			pthread_kill(f->lane, WAKE_SIGNAL);
			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_nsec += 2000000;
			if (until.tv_nsec >= 1000000000L) {
				until.tv_sec++;
				until.tv_nsec -= 1000000000L;
			}
		} while (pthread_timedjoin_np(f->lane, NULL, &until));
		atomic_store(&f->started, false);
	}
	slow_stop(f);
	state_stop(f);
	lane_free(f->lane_data);
	f->lane_data = NULL;
	int *const fds[] = {&f->listener, &f->pidfd, &f->pidns};
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	pthread_mutex_destroy(&f->lock);
}
