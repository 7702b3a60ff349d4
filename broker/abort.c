/* SPDX-License-Identifier: ISC */
/*
 * Owns the end of a process that did what it has not promised, as pledge(2) has it: one line that says what, then SIGABRT,
 * which it cannot catch, block or ignore. Runs in the broker, on a slow worker.
 *
 * The call that was the violation is never answered in a way that lets the program go on. Its thread is seized with ptrace
 * and held where the call returns; its other threads are held wherever they are, since one of them could set a handler
 * again; then it is made to take its handler back, and gets the signal, which ends the process as if the kernel had sent
 * it: with a core if it may leave one. Where it cannot be seized (somebody else traces it) it gets the signal without that,
 * if nothing is in the way of it; and SIGKILL, where something is, or should it live on.
 */
#include "broker/abort.h"
#include "broker/carrier.h"
#include "broker/trace.h"
#include "policy/filter.h"
#include "policy/promises.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ABORT_BIT (UINT64_C(1) << (SIGABRT - 1))
#define PASSES 64 /* over the list of threads, while there are new ones */
#define TRIES 8
#define GRACE_MS 200 /* for a process that was sent SIGABRT and nothing is in the way of it */

static const struct answer unanswered = {.kind = ANSWER_NONE, .fd = -1};

/* ---- what /proc says of a thread ---- */

struct status {
	pid_t process;
	unsigned threads;
	uint64_t blocked, ignored, caught;
	bool traced, stopped, dumping;
};

static uint64_t number(const char *text, const char *key, int base)
{
	const char *line = strstr(text, key);
	return line ? strtoull(line + strlen(key), NULL, base) : 0;
}

/* Without /proc (in a chroot) all is taken to be as bad as it may be. The kernel tells the process of a thread since 6.13. */
static bool status_guess(pid_t tid, struct status *s)
{
	struct {
		uint64_t mask, cgroup;
		uint32_t pid, tgid, ids[10], code;
	} info = {.mask = 1};
	int pidfd = (int)syscall(SYS_pidfd_open, tid, O_EXCL); /* PIDFD_THREAD */
	if (pidfd < 0 || ioctl(pidfd, _IOWR(0xff, 11, info), &info) < 0) /* PIDFD_GET_INFO */
		info.tgid = 0;
	if (pidfd >= 0)
		close(pidfd);
	*s = (struct status){
		.process = info.tgid ? (pid_t)info.tgid : tid, .threads = 1, .blocked = ABORT_BIT, .caught = ABORT_BIT};
	return true;
}

static bool status_read(const struct broker *b, pid_t tid, struct status *s)
{
	if (b->proc < 0)
		return status_guess(tid, s);
	char name[32], text[4096];
	snprintf(name, sizeof(name), "%d/status", (int)tid);
	int fd = openat(b->proc, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	/* A name cannot forge a line: the kernel escapes its newlines. */
	const char *state = strstr(text, "\nState:\t");
	*s = (struct status){.process = (pid_t)number(text, "\nTgid:", 10),
		.threads = (unsigned)number(text, "\nThreads:", 10),
		.blocked = number(text, "\nSigBlk:", 16),
		.ignored = number(text, "\nSigIgn:", 16),
		.caught = number(text, "\nSigCgt:", 16),
		.traced = number(text, "\nTracerPid:", 10) != 0,
		.stopped = state && (state[8] == 't' || state[8] == 'T'),
		.dumping = number(text, "\nCoreDumping:", 10) != 0};
	return s->process > 0;
}

/* ---- one end for each process ---- */

static bool end_begin(struct family *f, pid_t process)
{
	size_t free_slot = SLOW_WORKERS;
	bool first = true;
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < SLOW_WORKERS; i++) {
		first = first && f->aborting[i] != process;
		if (!f->aborting[i])
			free_slot = i;
	}
	if (first && free_slot < SLOW_WORKERS)
		f->aborting[free_slot] = process;
	pthread_mutex_unlock(&f->lock);
	return first;
}

static void end_done(struct family *f, pid_t process)
{
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < SLOW_WORKERS; i++)
		if (f->aborting[i] == process)
			f->aborting[i] = 0;
	pthread_mutex_unlock(&f->lock);
}

/* ---- by ptrace ---- */

/* Seizes all threads of the process and has them stop. They need not have stopped when this returns: none of them comes
 * back from the kernel any more, and those in the program have been interrupted. */
static void others_stop(const struct trace *t, const struct broker *b, pid_t process)
{
	char name[32];
	snprintf(name, sizeof(name), "%d/task", (int)process);
	for (int pass = 0, fresh = 1; pass < PASSES && fresh; pass++) {
		int fd = openat(b->proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *dir = fd < 0 ? NULL : fdopendir(fd);
		if (fd >= 0 && !dir)
			close(fd);
		fresh = 0;
		for (struct dirent *e; dir && (e = readdir(dir));) {
			pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);
			/* EPERM: it is ours already, or another worker's, which holds it for an exec. */
			if (tid <= 0 || tid == t->pid ||
				ptrace(PTRACE_SEIZE, tid, NULL, (void *)(long)TRACE_OPTIONS) < 0)
				continue;
			ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
			fresh = 1;
		}
		if (dir)
			closedir(dir);
	}
}

/* 32 bytes of the held thread's memory that can be written: below its stack, or, when that is full or nowhere, wherever
 * there are private ones. They are put back. */
struct borrowed {
	uint64_t address;
	unsigned char kept[32];
};

static bool borrow_at(const struct trace *t, uint64_t address, struct borrowed *out)
{
	out->address = address & ~UINT64_C(15);
	return trace_read(t, out->address, out->kept, sizeof(out->kept)) == 0 &&
	       trace_write(t, out->address, out->kept, sizeof(out->kept)) == 0;
}

static bool borrow(const struct trace *t, const struct broker *b, struct borrowed *out)
{
	char name[32], *line = NULL;
	size_t room = 0;
	bool found = borrow_at(t, trace_stack(&t->registers) - TRACE_BELOW - sizeof(out->kept), out);
	snprintf(name, sizeof(name), "%d/maps", (int)t->pid);
	int fd = found ? -1 : openat(b->proc, name, O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	if (fd >= 0 && !f)
		close(fd);
	while (f && !found && getline(&line, &room, f) > 0) {
		char *end;
		uint64_t from = strtoull(line, &end, 16), to = strtoull(end + (*end == '-'), &end, 16);
		found = to > from && strncmp(end, " rw-p", 5) == 0 && borrow_at(t, to - sizeof(out->kept), out);
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

static void mask_set(const struct trace *t, uint64_t mask)
{
	ptrace(PTRACE_SETSIGMASK, t->pid, (void *)sizeof(mask), &mask);
}

/* Takes its handler for SIGABRT, or that it ignores it, back. 0: it has been made a system call, whatever came of it. */
static int default_action(struct trace *t, const struct broker *b)
{
	static const unsigned char none[32];
	enum trace_stop stop = TRACE_END;
	struct borrowed place;
	struct status s;
	uint64_t args[6] = {SIGABRT, 0, 0, sizeof(uint64_t), 0, 0};
	bool in_the_way = status_read(b, t->pid, &s) && ((s.caught | s.ignored) & ABORT_BIT);
	if (in_the_way && borrow(t, b, &place) && trace_write(t, place.address, none, sizeof(none)) == 0)
		args[1] = place.address;
	trace_call(t, SYS_rt_sigaction, args, &stop);
	if (stop != TRACE_CALL)
		return -ESRCH;
	if (args[1])
		trace_write(t, place.address, place.kept, sizeof(place.kept));
	return trace_restore(t);
}

/* The held thread gets SIGABRT. 0: that was its end. It is sent where the thread leaves its system call, as by the kernel
 * itself, and taken one instruction further than the signal at most: what lives on is still held. */
static int deliver(struct trace *t, const struct broker *b)
{
	const uint64_t all = ~UINT64_C(0);
	int status = 0;
	for (int i = 0; i < TRIES; i++) {
		int e = default_action(t, b);
		if (e < 0)
			return t->ended ? 0 : e;
		mask_set(t, ~ABORT_BIT);
		ptrace(PTRACE_CONT, t->pid, NULL, (void *)(uintptr_t)SIGABRT);
		enum trace_stop stop = trace_wait(t, &status);
		while (stop == TRACE_STOP) {
			trace_resume(t, TRACE_CALL, status, false);
			stop = trace_wait(t, &status);
		}
		if (stop == TRACE_SIGNAL && WSTOPSIG(status) == SIGABRT) {
			mask_set(t, t->mask & ~ABORT_BIT);
			ptrace(PTRACE_SINGLESTEP, t->pid, NULL, (void *)(uintptr_t)SIGABRT);
			stop = trace_wait(t, &status);
		}
		if (stop == TRACE_END)
			return 0;
		if (stop == TRACE_EXEC)
			return -ESRCH;
		mask_set(t, all);
	}
	return -EBUSY;
}

static int seize(struct trace *t, const struct request *r)
{
	int e = trace_seize(t, r->family, r->tid);
	if (e < 0)
		return e;
	/* Its number may be another's by now. */
	if (!request_alive(r) && !state_ours(r->family, r->tid)) {
		ptrace(PTRACE_INTERRUPT, t->pid, NULL, NULL);
		trace_hold(t, r->stands);
		trace_unblock(t);
		trace_detach(t);
		return -ESRCH;
	}
	trace_interrupt(t);
	lane_answer(r->family, r->id, answer_error(EINTR));
	e = trace_hold(t, r->stands);
	if (e == 0 || e == -EAGAIN)
		return 0; /* held, wherever it is */
	trace_end(t, e);
	return -ESRCH;
}

/* ---- without ---- */

static void pause_ms(long ms)
{
	struct timespec t = {0, ms * 1000000};
	nanosleep(&t, NULL);
}

static bool dead(int pidfd)
{
	struct pollfd p = {pidfd, POLLIN, 0};
	return poll(&p, 1, 0) == 1;
}

/* Waits for the end of what has got the signal, as long as it stands still for who traces it, or leaves a core. */
static bool ends(struct family *f, pid_t process, int pidfd)
{
	struct status s;
	for (int ms = 0; ms < GRACE_MS && !dead(pidfd) && !atomic_load(&f->stopping);) {
		ms += status_read(f->broker, process, &s) && (s.stopped || s.dumping) ? 0 : 5;
		pause_ms(5);
	}
	return dead(pidfd);
}

/* ---- the whole of it ---- */

static void finish(struct request *r, struct trace *t, const struct status *s, int pidfd)
{
	struct family *f = r->family;
	others_stop(t, f->broker, s->process);
	int e = deliver(t, f->broker);
	if (e < 0 || !t->ended)
		report_abort_note(r, s->process, "SIGABRT did not end it: SIGKILL");
	/* The status of a process that is ending is that of its first reason. */
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	trace_reap(t);
}

/* What cannot be traced. With threads, another one could set a handler at any moment, and then this one would have come back
 * from its call. */
static void plain_end(struct request *r, const struct status *s, int pidfd)
{
	const uint64_t blocked = r->family->carrier->blocked(r->family, r->id, s->blocked);
	const bool kills = s->threads != 1 || ((blocked | s->ignored | s->caught) & ABORT_BIT);
	report_abort(r, s->process, "", kills ? " (it cannot be traced: SIGKILL)" : "");
	if (!kills) {
		syscall(SYS_tgkill, s->process, r->tid, SIGABRT);
		lane_answer(r->family, r->id, answer_error(EINTR));
		if (ends(r->family, s->process, pidfd) || atomic_load(&r->family->stopping))
			return;
		report_abort_note(r, s->process, "SIGABRT did not end it: SIGKILL");
	}
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

struct answer abort_process(struct request *r)
{
	struct family *f = r->family;
	struct status s;
	struct trace t;
	char frames[ABORT_FRAMES] = "";
	if (!status_read(f->broker, r->tid, &s) || !end_begin(f, s.process))
		return unanswered;
	int pidfd = (int)syscall(SYS_pidfd_open, s.process, 0);
	int e = pidfd < 0 ? -ESRCH : seize(&t, r);
	if (e == 0) {
		unwind(r, &t, frames, sizeof(frames));
		report_abort(r, s.process, frames, "");
		finish(r, &t, &s, pidfd);
	} else if (e != -ESRCH && request_alive(r)) {
		plain_end(r, &s, pidfd);
	}
	if (pidfd >= 0)
		close(pidfd);
	end_done(f, s.process);
	return unanswered;
}

void abort_submit(struct request *r)
{
	struct status s;
	if (r->slow) {
		abort_process(r);
		return;
	}
	r->violated = true;
	if (slow_submit(r) == 0)
		return;
	/* Every worker is busy with what blocks: here is no time for more than the end. */
	if (!status_read(r->family->broker, r->tid, &s) || !end_begin(r->family, s.process))
		return;
	report_abort(r, s.process, "", " (no worker was free: SIGKILL)");
	int pidfd = (int)syscall(SYS_pidfd_open, s.process, 0);
	if (pidfd >= 0 && request_alive(r))
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	if (pidfd >= 0)
		close(pidfd);
	end_done(r->family, s.process);
}

/* ---- what a second filter refused ---- */

/* A process that says so without need ends itself. */
struct answer op_violation(struct request *r)
{
	struct request q = *r;
	uint64_t call[7];
	char path[2][PATH_MAX];
	int e = memory_read(r, r->args[1], call, sizeof(call));
	if (e < 0 || !request_alive(r))
		return answer_error(e < 0 ? -e : EPERM);
	q.nr = (int)call[0];
	q.op = operation_find(q.nr);
	memcpy(q.args, call + 1, sizeof(q.args));
	q.frame = r->args[2];
	if (q.nr == AIRLOCK_SYSCALL)
		return answer_error(EINVAL);
	/* For the report alone. */
	if (request_read(&q, path[0], path[1]) < 0)
		q.path[0] = q.path[1] = NULL;
	q.missing_promise = promise_missing(q.nr, q.args, policy_of(r)->promises);
	if (q.missing_promise == PROMISE_COUNT && promise_for_syscall(q.nr, q.args) == PROMISE_COUNT)
		q.why = "no promise allows this";
	else if (q.missing_promise == PROMISE_COUNT)
		return answer_error(EPERM);
	e = EPERM;
	switch (violation_of(&q, EPERM)) {
	case VIOLATION_ABORT:
		abort_submit(&q);
		return unanswered;
	case VIOLATION_ENOSYS:
		e = ENOSYS;
		break;
	case VIOLATION_ERRNO:
		break;
	}
	return report_refusal(&q, e) ? unanswered : answer_error(e);
}
