/* SPDX-License-Identifier: ISC */
/* Owns the end of a program's loading. What the dynamic loader needs is granted until the program's entry point is
 * reached, and no system call marks that moment; so the process is traced from its exec, with a breakpoint at the address
 * that the kernel names in AT_ENTRY, which is taken out again when it is hit. Runs in the broker, on a slow worker. */
#include "broker/trace.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#if defined(__x86_64__)
#define COUNTER(r) ((r).rip)
#define BREAKPOINT UINT64_C(0xcc)
#define BREAKPOINT_MASK UINT64_C(0xff)
#define BREAKPOINT_SKIP 1 /* the counter stands behind int3 */
#elif defined(__aarch64__)
#define COUNTER(r) ((r).pc)
#define BREAKPOINT UINT64_C(0xd4200000)
#define BREAKPOINT_MASK UINT64_C(0xffffffff)
#define BREAKPOINT_SKIP 0
#endif

static int peek(pid_t pid, uint64_t address, uint64_t *word)
{
	errno = 0;
	long w = ptrace(PTRACE_PEEKTEXT, pid, (void *)(uintptr_t)address, NULL);
	*word = (uint64_t)w;
	return errno ? -errno : 0;
}

static int poke(pid_t pid, uint64_t address, uint64_t word)
{
	return ptrace(PTRACE_POKETEXT, pid, (void *)(uintptr_t)address, (void *)(uintptr_t)word) < 0 ? -errno : 0;
}

/* The kernel lays argc, argv, NULL, environment, NULL, auxiliary vector on a new program's stack. */
static int entry_point(pid_t pid, uint64_t stack, uint64_t *entry, uint64_t *base)
{
	uint64_t words[512], word = 0;
	size_t have = 0, at = 0;
	unsigned nulls = 0;
	bool count_read = false;
	*entry = *base = 0;
	for (size_t total = 0; total < 1 << 20; total++) {
		if (at == have) {
			struct iovec local = {words, sizeof(words)};
			/* Not beyond the page: the stack may end there. */
			size_t room = 4096 - (stack & 4095);
			struct iovec remote = {(void *)(uintptr_t)stack, room < sizeof(words) ? room : sizeof(words)};
			ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
			if (n < 8)
				return -EFAULT;
			have = (size_t)n / 8;
			stack += have * 8;
			at = 0;
		}
		uint64_t previous = word;
		word = words[at++];
		if (!count_read) {
			count_read = true;
		} else if (nulls < 2) {
			nulls += word == 0;
			if (nulls == 2)
				total = 0; /* pairs begin */
		} else if (total & 1) {
			continue; /* a type; its value follows */
		} else if (previous == AT_NULL) {
			return *entry ? 0 : -ENOEXEC;
		} else if (previous == AT_ENTRY) {
			*entry = word;
		} else if (previous == AT_BASE) {
			*base = word;
		}
	}
	return -E2BIG;
}

static void child_free(pid_t child, uint64_t entry, uint64_t original)
{
	int status;
	poke(child, entry, original);
	if (ptrace(PTRACE_DETACH, child, NULL, NULL) < 0)
		waitpid(child, &status, __WALL | __WNOTHREAD); /* killed: now its parent can wait for it */
}

/* What a library forks before the entry point is traced from its first moment, since it has a copy of the breakpoint and
 * nobody who would take it out for it. It is let go when it stops for that, whether its parent lives or not. */
static void children_free(struct trace *t, uint64_t entry, uint64_t original)
{
	int status = 0;
	pid_t pid = t->child;
	unsigned long number = 0;
	if (!t->ended && ptrace(PTRACE_GETEVENTMSG, t->pid, NULL, &number) < 0)
		return;
	while (pid <= 0 && (pid = waitpid(t->ended ? -1 : (pid_t)number, &status, __WALL | __WNOTHREAD)) < 0 &&
		errno == EINTR)
		;
	if (pid > 0 && (pid == t->child || WIFSTOPPED(status)))
		child_free(pid, entry, original);
	t->child = 0;
}

/* Waits for a stop at the breakpoint; other signals of the loader's are passed on. */
static int breakpoint_wait(struct trace *t, uint64_t entry, uint64_t original)
{
	for (;;) {
		int status;
		enum trace_stop stop = trace_wait(t, &status);
		int signal = WSTOPSIG(status);
		if (stop == TRACE_END) {
			children_free(t, entry, original);
			return -ESRCH;
		}
		if (stop == TRACE_SIGNAL && signal == SIGTRAP) {
			struct user_regs_struct r;
			int e = trace_registers(t, &r);
			if (e < 0)
				return e;
			if (COUNTER(r) == entry + BREAKPOINT_SKIP) {
				COUNTER(r) = entry;
				struct iovec v = {&r, sizeof(r)};
				e = poke(t->pid, entry, original);
				if (e == 0 && ptrace(PTRACE_SETREGSET, t->pid, (void *)NT_PRSTATUS, &v) < 0)
					e = -errno;
				return e;
			}
		}
		if (stop == TRACE_STOP && status >> 16 == PTRACE_EVENT_FORK)
			children_free(t, entry, original);
		trace_resume(t, stop, status, false);
	}
}

/* The breakpoint's signal cannot be blocked or ignored: to be delivered, it was made neither. As the program had it again. */
static void trap_restore(struct trace *t, bool blocked, bool ignored)
{
	const struct {
		uint64_t handler, flags, restorer, mask;
	} ignore = {.handler = (uint64_t)(uintptr_t)SIG_IGN};
	uint64_t mask;
	if (blocked && ptrace(PTRACE_GETSIGMASK, t->pid, (void *)sizeof(mask), &mask) == 0) {
		mask |= UINT64_C(1) << (SIGTRAP - 1);
		ptrace(PTRACE_SETSIGMASK, t->pid, (void *)sizeof(mask), &mask);
	}
	if (!ignored || trace_registers(t, &t->registers) < 0)
		return;
	const uint64_t at = (trace_stack(&t->registers) - TRACE_BELOW - sizeof(ignore)) & ~UINT64_C(15);
	const uint64_t args[6] = {SIGTRAP, at, 0, sizeof(mask), 0, 0};
	if (trace_write(t, at, &ignore, sizeof(ignore)) == 0)
		trace_call_here(t, SYS_rt_sigaction, args);
}

int load_watch(struct trace *t, bool ignored)
{
	uint64_t entry = 0, base = 0, original = 0;
	int e = entry_point(t->pid, trace_stack(&t->registers), &entry, &base);
	if (e < 0)
		return e;
	if (base == 0)
		return 0; /* no interpreter: it stands at the entry point */
	e = peek(t->pid, entry, &original);
	if (e == 0)
		e = poke(t->pid, entry, (original & ~BREAKPOINT_MASK) | BREAKPOINT);
	const long options = TRACE_OPTIONS | PTRACE_O_TRACEFORK;
	if (e == 0 && ptrace(PTRACE_SETOPTIONS, t->pid, NULL, (void *)options) < 0)
		e = -errno;
	if (e < 0)
		return e;
	load_begin(t->family, t->pid);
	ptrace(PTRACE_CONT, t->pid, NULL, NULL);
	e = breakpoint_wait(t, entry, original);
	load_end(t->family, t->pid);
	family_settle(t->family);
	if (e == 0)
		trap_restore(t, t->mask & UINT64_C(1) << (SIGTRAP - 1), ignored);
	return e;
}
