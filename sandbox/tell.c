/* SPDX-License-Identifier: ISC */
/*
 * Owns the SIGSYS handler of a process that gave up stdio and is to be ended by its violations, as pledge(2) has it. Runs in
 * that process, at any instruction of it.
 *
 * Calls of stdio go to the kernel unseen, so what refuses them later is a second filter, which can tell nobody. It raises
 * SIGSYS instead, and this handler says to the broker which call it was. It protects nothing: a process without it, or with
 * SIGSYS blocked by a way around it, is ended by SIGSYS at that call instead of SIGABRT. So that a benign one has it when
 * it is needed, no handler of the process blocks SIGSYS, and what blocks signals later comes here as well, and leaves it.
 */
#include "sandbox/sandbox.h"

#include "policy/filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define SYSTEM_CALL 1 /* si_code SYS_SECCOMP */
#define BIT(signal) (UINT64_C(1) << ((signal)-1))
#if defined(__x86_64__)
#define RESULT(u) ((u)->uc_mcontext.gregs[REG_RAX])
static const int registers[6] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
#define ARGUMENT(u, i) ((u)->uc_mcontext.gregs[registers[i]])
#elif defined(__aarch64__)
#define RESULT(u) ((u)->uc_mcontext.regs[0])
#define ARGUMENT(u, i) ((u)->uc_mcontext.regs[i])
#endif

/* What the program had as its handler. */
static struct sigaction before;

/* rt_sigprocmask(), for the thread that the handler returns to. A call with how of -1 changes nothing, and says EFAULT for a
 * set that cannot be read; one without a set writes the old one, or says that it cannot be written. */
static long mask_change(const uint64_t args[6], sigset_t *mask)
{
	uint64_t set, old;
	memcpy(&old, mask, sizeof(old));
	if (args[3] != sizeof(set))
		return -EINVAL;
	if (syscall(SYS_rt_sigprocmask, -1, args[1], NULL, sizeof(set)) < 0 && errno == EFAULT)
		return -EFAULT;
	memcpy(&set, (const void *)(uintptr_t)args[1], sizeof(set));
	if ((int)args[0] != SIG_BLOCK && (int)args[0] != SIG_SETMASK)
		return -EINVAL;
	set = ((int)args[0] == SIG_BLOCK ? old | set : set) & ~(BIT(SIGSYS) | BIT(SIGKILL) | BIT(SIGSTOP));
	if (args[2] && syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, args[2], sizeof(old)) < 0)
		return -EFAULT;
	if (args[2])
		memcpy((void *)(uintptr_t)args[2], &old, sizeof(old));
	memcpy(mask, &set, sizeof(set));
	return 0;
}

static void told(int signal, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	const int saved = errno;
	uint64_t call[7] = {(uint64_t)(unsigned)info->si_syscall};
	if (info->si_code != SYSTEM_CALL) {
		/* Somebody sent it. Its own end by it is one that no call is left for. */
		if ((before.sa_flags & SA_SIGINFO) && before.sa_sigaction)
			before.sa_sigaction(signal, info, context);
		else if (before.sa_handler == SIG_DFL)
			_exit(128 + SIGSYS);
		else if (before.sa_handler != SIG_IGN)
			before.sa_handler(signal);
		return;
	}
	for (int i = 0; i < 6; i++)
		call[1 + i] = (uint64_t)ARGUMENT(u, i);
	long r;
	if (info->si_syscall == SYS_rt_sigprocmask) {
		r = mask_change(call + 1, &u->uc_sigmask);
	} else {
		r = syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_VIOLATION, call, context, 0);
		r = r < 0 ? -errno : r;
	}
	RESULT(u) = r;
	errno = saved;
}

/* Handlers that block SIGSYS would hide a violation of their own. */
static void handlers_open(void)
{
	for (int s = 1; s < 65; s++) {
		struct sigaction a;
		if (s == SIGKILL || s == SIGSTOP || sigaction(s, NULL, &a) < 0 || !sigismember(&a.sa_mask, SIGSYS) ||
			(a.sa_handler == SIG_DFL && !(a.sa_flags & SA_SIGINFO)))
			continue;
		sigdelset(&a.sa_mask, SIGSYS);
		sigaction(s, &a, NULL);
	}
}

void tell_begin(void)
{
	struct sigaction now, own = {.sa_sigaction = told, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	sigset_t set;
	/* While it runs no other handler does, and what it calls is always allowed. */
	sigfillset(&own.sa_mask);
	if (sigaction(SIGSYS, NULL, &now) == 0 && now.sa_sigaction != told) {
		before = now;
		handlers_open();
		sigaction(SIGSYS, &own, NULL);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}
