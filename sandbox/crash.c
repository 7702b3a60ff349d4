/* SPDX-License-Identifier: ISC */
/*
 * Owns the handlers by which a worker says where it crashed. Runs in the target, at any instruction of it; they are set before
 * it reads anything.
 *
 * A handler makes one call, by which the broker takes the registers and looks where in the program that is while this thread
 * stands still. Then the signal does what it would have done without: the kernel has set its action back already
 * (SA_RESETHAND). It protects nothing and promises nothing: code that spoils it loses its own report.
 */
#include "sandbox/crash.h"

#include "broker/crash.h"
#include "policy/filter.h"
#include "sandbox/sandbox.h"

#include <elf.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of the first thread: a stack that ran over has no room for a handler. For a frame with all of a processor's registers, and
 * one more where a second carrier's handler makes a message of the call. What nobody crashes on costs no memory. */
#define STACK_BYTES (64 * 1024)
static unsigned char stack[STACK_BYTES] __attribute__((aligned(64)));
/* What the kernel told at the start, for a core file. */
static Elf64_auxv_t vector[CRASH_AUXV];

#if defined(__has_attribute) && __has_attribute(no_stack_protector)
#define INSIDE __attribute__((no_sanitize_address, no_sanitize_thread, no_stack_protector))
#else
#define INSIDE __attribute__((no_sanitize_address, no_sanitize_thread))
#endif

INSIDE static void crashed(int signal, siginfo_t *info, void *context)
{
	syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_CRASHED, info, context, __builtin_thread_pointer(), vector);
	/* Back at the instruction it happens again. What was sent, and a trap, which is behind its instruction, does not. */
	if ((info->si_code <= 0 || signal == SIGTRAP) &&
		syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), signal) < 0)
		_exit(128 + signal);
}

void crash_begin(void)
{
	/* A sanitizer's run time reads the tables that its report takes names from when it first needs them: now, while it
	 * still can. */
	char name[64];
	if (__sanitizer_symbolize_pc)
		__sanitizer_symbolize_pc((void *)(uintptr_t)crash_begin, "%f", name, sizeof(name));
	const int *signals;
	const size_t count = crash_signals(&signals);
	const stack_t own = {.ss_sp = stack, .ss_size = sizeof(stack)};
	stack_t other;
	struct sigaction now, a = {.sa_sigaction = crashed, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
	sigemptyset(&a.sa_mask);
	static const unsigned char told[] = {AT_SYSINFO_EHDR, AT_PAGESZ, AT_PHDR, AT_PHENT, AT_PHNUM, AT_BASE, AT_FLAGS,
		AT_ENTRY, AT_UID, AT_EUID, AT_GID, AT_EGID, AT_HWCAP, AT_HWCAP2, AT_CLKTCK, AT_SECURE, AT_RANDOM,
		AT_EXECFN, AT_PLATFORM};
	for (size_t i = 0; i < sizeof(told); i++) {
		vector[i].a_type = told[i];
		vector[i].a_un.a_val = getauxval(told[i]);
	}
	if (sigaltstack(NULL, &other) == 0 && (other.ss_flags & SS_DISABLE))
		sigaltstack(&own, NULL);
	/* What the program or a sanitizer's run time has set is theirs. */
	for (size_t i = 0; i < count; i++)
		if (sigaction(signals[i], NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL)
			sigaction(signals[i], &a, NULL);
}
