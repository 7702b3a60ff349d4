/* SPDX-License-Identifier: ISC */
/* Owns the end of a program's loading. What the dynamic loader needs is granted until the program's entry point is
 * reached, and no system call marks that moment; so init traces the process from its exec, puts a breakpoint at the
 * address that the kernel names in AT_ENTRY, and takes it out again when it is hit. Runs in init. */
#include "sandbox/sandbox.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#if defined(__x86_64__)
typedef struct user_regs_struct registers;
#define STACK(r) ((r).rsp)
#define COUNTER(r) ((r).rip)
#define BREAKPOINT UINT64_C(0xcc)
#define BREAKPOINT_MASK UINT64_C(0xff)
#define BREAKPOINT_SKIP 1 /* the counter stands behind int3 */
#elif defined(__aarch64__)
typedef struct user_regs_struct registers;
#define STACK(r) ((r).sp)
#define COUNTER(r) ((r).pc)
#define BREAKPOINT UINT64_C(0xd4200000)
#define BREAKPOINT_MASK UINT64_C(0xffffffff)
#define BREAKPOINT_SKIP 0
#endif

static int registers_get(pid_t pid, registers *r)
{
	struct iovec v = {r, sizeof(*r)};
	return ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &v) < 0 ? -errno : 0;
}

static int registers_set(pid_t pid, registers *r)
{
	struct iovec v = {r, sizeof(*r)};
	return ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &v) < 0 ? -errno : 0;
}

static int peek(pid_t pid, uint64_t address, uint64_t *word)
{
	errno = 0;
	long w = ptrace(PTRACE_PEEKTEXT, pid, (void *)(uintptr_t)address, NULL);
	*word = (uint64_t)w;
	return errno ? -errno : 0;
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

static int breakpoint_set(pid_t pid, uint64_t entry, uint64_t *original)
{
	int r = peek(pid, entry, original);
	if (r < 0)
		return r;
	uint64_t word = (*original & ~BREAKPOINT_MASK) | BREAKPOINT;
	return ptrace(PTRACE_POKETEXT, pid, (void *)(uintptr_t)entry, (void *)(uintptr_t)word) < 0 ? -errno : 0;
}

/* Waits for a stop at the breakpoint; other signals of the loader's are passed on. */
static int breakpoint_wait(pid_t pid, uint64_t entry, uint64_t original, int *status)
{
	registers r;
	for (;;) {
		if (waitpid(pid, status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (!WIFSTOPPED(*status))
			return 0;
		int signal = WSTOPSIG(*status), event = *status >> 16;
		if (signal == SIGTRAP && event == 0) {
			int e = registers_get(pid, &r);
			if (e < 0)
				return e;
			if (COUNTER(r) == entry + BREAKPOINT_SKIP) {
				if (ptrace(PTRACE_POKETEXT, pid, (void *)(uintptr_t)entry,
					    (void *)(uintptr_t)original) < 0)
					return -errno;
				COUNTER(r) = entry;
				e = registers_set(pid, &r);
				return e < 0 ? e : 1;
			}
		}
		ptrace(PTRACE_CONT, pid, NULL, (void *)(uintptr_t)(event ? 0 : signal));
	}
}

int loader_watch(pid_t pid, int *status)
{
	uint64_t entry, base, original;
	registers r;
	for (;;) {
		if (waitpid(pid, status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (!WIFSTOPPED(*status))
			return 0;
		if (*status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXEC << 8)))
			break;
		ptrace(PTRACE_CONT, pid, NULL, (void *)(uintptr_t)(*status >> 16 ? 0 : WSTOPSIG(*status)));
	}
	int e = registers_get(pid, &r);
	if (e == 0)
		e = entry_point(pid, STACK(r), &entry, &base);
	if (e < 0)
		return e;
	if (base == 0)
		return 1; /* no interpreter: the entry point is where it stands */
	e = breakpoint_set(pid, entry, &original);
	if (e < 0)
		return e;
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	return breakpoint_wait(pid, entry, original, status);
}
