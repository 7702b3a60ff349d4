/* SPDX-License-Identifier: ISC */
/*
 * Owns the means to make a target's thread do what it asked for in another form: it is traced, for the time of one exec,
 * by the slow worker that serves the request. Runs in the broker.
 *
 * The kernel executes what a path in the target's memory says, which may be changed after it was judged. So the thread
 * does not get its own call back: it is stopped, and calls execveat() on a descriptor that the broker has opened.
 */
#include "broker/trace.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define CALL_BYTES 2 /* syscall */
#define CALL_WORD UINT64_C(0x050f)
#define CALL_MASK UINT64_C(0xffff)
#define COUNTER(r) ((r).rip)
#define RESULT(r) ((r).rax)
#define STACK(r) ((r).rsp)
#elif defined(__aarch64__)
#define CALL_BYTES 4 /* svc #0 */
#define CALL_WORD UINT64_C(0xd4000001)
#define CALL_MASK UINT64_C(0xffffffff)
#define COUNTER(r) ((r).pc)
#define RESULT(r) ((r).regs[0])
#define STACK(r) ((r).sp)
#endif

static void call_set(struct user_regs_struct *r, long nr, const uint64_t args[6])
{
#if defined(__x86_64__)
	r->rax = (uint64_t)nr;
	r->orig_rax = UINT64_MAX; /* nothing is to be restarted */
	r->rdi = args[0];
	r->rsi = args[1];
	r->rdx = args[2];
	r->r10 = args[3];
	r->r8 = args[4];
	r->r9 = args[5];
#elif defined(__aarch64__)
	r->regs[8] = (uint64_t)nr;
	for (int i = 0; i < 6; i++)
		r->regs[i] = args[i];
#endif
}

int trace_registers(const struct trace *t, struct user_regs_struct *r)
{
	struct iovec v = {r, sizeof(*r)};
	return ptrace(PTRACE_GETREGSET, t->pid, (void *)NT_PRSTATUS, &v) < 0 ? -errno : 0;
}

static int registers_set(const struct trace *t, struct user_regs_struct *r)
{
	struct iovec v = {r, sizeof(*r)};
	return ptrace(PTRACE_SETREGSET, t->pid, (void *)NT_PRSTATUS, &v) < 0 ? -errno : 0;
}

uint64_t trace_stack(const struct user_regs_struct *r)
{
	return STACK(*r);
}

/* The slow lane wakes a worker whose request has been answered. That may end a wait, and nothing else here. */
static void wakes(int how)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, WAKE_SIGNAL);
	pthread_sigmask(how, &set, NULL);
}

int trace_seize(struct trace *t, struct family *f, pid_t tid)
{
	*t = (struct trace){.family = f, .pid = tid};
	wakes(SIG_BLOCK);
	return ptrace(PTRACE_SEIZE, tid, NULL, (void *)(long)TRACE_OPTIONS) < 0 ? -errno : 0;
}

/* What this very thread traces has something to say: its number, 0 when that is nothing any more. */
static pid_t wait_any(struct trace *t, int *status)
{
	for (;;) {
		wakes(SIG_UNBLOCK);
		pid_t pid = waitpid(-1, status, __WALL | __WNOTHREAD);
		int error = errno;
		wakes(SIG_BLOCK);
		if (pid > 0)
			return pid;
		if (error != EINTR)
			return 0; /* the first thread, when another one's exec takes its place */
		if (atomic_load(&t->family->stopping))
			kill(t->pid, SIGKILL);
	}
}

enum trace_stop trace_wait(struct trace *t, int *status)
{
	pid_t pid = t->ended ? 0 : wait_any(t, status);
	/* An exec by another thread than the first gives it the first one's number. Anybody else is a child that it has just
	 * forked (load.c), whose first stop may be told before the fork. */
	while (pid && pid != t->pid && !(WIFSTOPPED(*status) && *status >> 16 == PTRACE_EVENT_EXEC)) {
		t->child = WIFSTOPPED(*status) ? pid : 0;
		pid = wait_any(t, status);
	}
	if (!pid || !WIFSTOPPED(*status)) {
		t->ended = true;
		return TRACE_END;
	}
	t->pid = pid;
	int signal = WSTOPSIG(*status), event = *status >> 16;
	if (event == PTRACE_EVENT_EXEC)
		return TRACE_EXEC;
	if (event)
		return TRACE_STOP;
	return signal == (SIGTRAP | 0x80) ? TRACE_CALL : TRACE_SIGNAL;
}

void trace_interrupt(const struct trace *t)
{
	ptrace(PTRACE_INTERRUPT, t->pid, NULL, NULL);
}

void trace_resume(const struct trace *t, enum trace_stop stop, int status, bool to_call)
{
	int signal = WSTOPSIG(status);
	/* Stopped by job control it stays so, until somebody continues it. */
	if (stop == TRACE_STOP && signal != SIGTRAP)
		ptrace(PTRACE_LISTEN, t->pid, NULL, NULL);
	else
		ptrace(to_call ? PTRACE_SYSCALL : PTRACE_CONT, t->pid, NULL,
			(void *)(uintptr_t)(stop == TRACE_SIGNAL ? signal : 0));
}

int trace_hold(struct trace *t, uint64_t place)
{
	uint64_t all = ~UINT64_C(0);
	int status;
	bool blocked = false;
	for (;;) {
		enum trace_stop stop = trace_wait(t, &status);
		if (stop == TRACE_END)
			return -ESRCH;
		/* A handler would run between the calls that it is made to do, and see registers that are not its own. A
		 * signal that arrives nevertheless is put back: it is blocked by then. */
		if (!blocked && (ptrace(PTRACE_GETSIGMASK, t->pid, (void *)sizeof(t->mask), &t->mask) < 0 ||
					ptrace(PTRACE_SETSIGMASK, t->pid, (void *)sizeof(all), &all) < 0))
			return -errno;
		blocked = true;
		if (stop == TRACE_STOP && WSTOPSIG(status) == SIGTRAP)
			break;
		trace_resume(t, stop, status, false);
	}
	int e = trace_registers(t, &t->registers);
	t->call = place - CALL_BYTES;
	return e < 0 ? e : COUNTER(t->registers) == place ? 0 : -EAGAIN;
}

/* Runs it up to the next stop at a call. Of signals only those arrive that cannot be blocked. */
static enum trace_stop step(struct trace *t)
{
	int status = 0;
	enum trace_stop stop = TRACE_CALL;
	do {
		/* Killed, it is not stopped any more: trace_wait() says so. */
		trace_resume(t, stop, status, true);
		stop = trace_wait(t, &status);
	} while (stop == TRACE_STOP || stop == TRACE_SIGNAL);
	return stop;
}

int64_t trace_call(struct trace *t, long nr, const uint64_t args[6], enum trace_stop *stop)
{
	struct user_regs_struct r = t->registers;
	call_set(&r, nr, args);
	COUNTER(r) = t->call;
	int e = registers_set(t, &r);
	if (e < 0)
		return e;
	*stop = step(t); /* at its entry */
	if (*stop == TRACE_CALL)
		*stop = step(t);
	if (*stop == TRACE_EXEC)
		return 0;
	if (*stop != TRACE_CALL)
		return -ESRCH;
	e = trace_registers(t, &r);
	return e < 0 ? e : (int64_t)RESULT(r);
}

int64_t trace_call_here(struct trace *t, long nr, const uint64_t args[6])
{
	uint64_t here = COUNTER(t->registers);
	enum trace_stop stop = TRACE_END;
	errno = 0;
	long word = ptrace(PTRACE_PEEKTEXT, t->pid, (void *)(uintptr_t)here, NULL);
	uint64_t call = ((uint64_t)word & ~CALL_MASK) | CALL_WORD;
	if (errno || ptrace(PTRACE_POKETEXT, t->pid, (void *)(uintptr_t)here, (void *)(uintptr_t)call) < 0)
		return -errno;
	t->call = here;
	int64_t result = trace_call(t, nr, args, &stop);
	if (stop != TRACE_CALL)
		return -ESRCH;
	if (ptrace(PTRACE_POKETEXT, t->pid, (void *)(uintptr_t)here, (void *)word) < 0)
		return -errno;
	int e = registers_set(t, &t->registers);
	return e < 0 ? e : result;
}

void trace_unblock(const struct trace *t)
{
	ptrace(PTRACE_SETSIGMASK, t->pid, (void *)sizeof(t->mask), &t->mask);
}

/* It is about to die. Its signals are not ours to send then: an exec of another thread's ends this one, not the process. */
static void reap(struct trace *t)
{
	int status;
	while (trace_wait(t, &status) != TRACE_END)
		trace_resume(t, TRACE_CALL, 0, false);
}

void trace_end(struct trace *t, int error)
{
	if (!t->ended && error != -ESRCH)
		kill(t->pid, SIGKILL);
	reap(t);
}

void trace_detach(struct trace *t)
{
	/* Only somebody who is killed is not stopped here. */
	if (!t->ended && ptrace(PTRACE_DETACH, t->pid, NULL, NULL) < 0)
		reap(t);
}

int trace_return(struct trace *t)
{
	return step(t) == TRACE_CALL ? trace_registers(t, &t->registers) : -ESRCH;
}

void trace_release(struct trace *t, int64_t result)
{
	struct user_regs_struct r = t->registers;
	COUNTER(r) = t->call + CALL_BYTES;
	RESULT(r) = (uint64_t)result;
#if defined(__x86_64__)
	r.orig_rax = UINT64_MAX;
#endif
	int e = registers_set(t, &r);
	trace_unblock(t);
	if (e < 0)
		trace_end(t, e);
	else
		trace_detach(t);
}

int trace_write(const struct trace *t, uint64_t address, const void *bytes, size_t len)
{
	struct iovec local = {(void *)(uintptr_t)bytes, len}, remote = {(void *)(uintptr_t)address, len};
	ssize_t n = process_vm_writev(t->pid, &local, 1, &remote, 1, 0);
	/* Below a stack that many arguments have filled: as for the program itself the stack grows, but only this way. */
	if (n != (ssize_t)len && ptrace(PTRACE_POKEDATA, t->pid, (void *)(uintptr_t)address, NULL) == 0)
		n = process_vm_writev(t->pid, &local, 1, &remote, 1, 0);
	return n < 0 ? -errno : (size_t)n == len ? 0 : -EFAULT;
}

int trace_read(const struct trace *t, uint64_t address, void *bytes, size_t len)
{
	struct iovec local = {bytes, len}, remote = {(void *)(uintptr_t)address, len};
	ssize_t n = process_vm_readv(t->pid, &local, 1, &remote, 1, 0);
	return n < 0 ? -errno : (size_t)n == len ? 0 : -EFAULT;
}

int trace_restore(struct trace *t)
{
	struct user_regs_struct r = t->registers;
#if defined(__x86_64__)
	r.orig_rax = UINT64_MAX;
#endif
	return registers_set(t, &r);
}

void trace_reap(struct trace *t)
{
	pid_t pid;
	int status;
	while ((pid = wait_any(t, &status)) > 0)
		if (WIFSTOPPED(status))
			ptrace(PTRACE_CONT, pid, NULL, (void *)(uintptr_t)SIGKILL);
}
