/* SPDX-License-Identifier: ISC */
/* Owns the filter that the broker itself runs under: which calls it needs, for which promises, and how that becomes a
 * program. Runs in the broker, when it confines itself (confine.c), and when it has less to do. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __aarch64__
#define ARCH_NATIVE AUDIT_ARCH_AARCH64
#else
#define ARCH_NATIVE AUDIT_ARCH_X86_64
#endif
/* Younger than libseccomp or its kernel headers; the same on both. */
#undef __SNR_fchmodat2
#define __SNR_fchmodat2 452
#undef __SNR_mseal
#define __SNR_mseal 462

/* What the broker does itself, what starting a target needs, and what the loader of a worker's image calls before the
 * worker's own filter is there. Not in it, and never added below: mounting, bpf, perf_event_open, keys, io_uring,
 * modules, kexec, reboot, swap, quotas, userfaultfd, open_by_handle_at, unshare (but see below), clocks, System V objects. */
#define CALL(name) __SNR_##name /* negative where this architecture has none */
static const int broker_calls[] = {CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64), CALL(pwrite64),
	CALL(preadv), CALL(pwritev), CALL(lseek), CALL(close), CALL(close_range), CALL(dup), CALL(dup2), CALL(dup3),
	CALL(fcntl), CALL(ioctl), CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6), CALL(epoll_create1),
	CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait), CALL(eventfd2), CALL(timerfd_create),
	CALL(timerfd_settime), CALL(signalfd4), CALL(pipe2), CALL(pipe), CALL(memfd_create), CALL(ftruncate),
	CALL(fsync), CALL(open), CALL(openat), CALL(openat2), CALL(creat), CALL(stat), CALL(lstat), CALL(fstat),
	CALL(newfstatat), CALL(statx), CALL(access), CALL(faccessat), CALL(faccessat2), CALL(readlink),
	CALL(readlinkat), CALL(statfs), CALL(fstatfs), CALL(getdents64), CALL(getcwd), CALL(chdir), CALL(fchdir),
	CALL(umask), CALL(fchownat), CALL(socketpair), CALL(sendmsg), CALL(recvmsg), CALL(sendto), CALL(recvfrom),
	CALL(getsockopt), CALL(setsockopt), CALL(getsockname), CALL(getpeername), CALL(shutdown), CALL(mmap),
	CALL(mprotect), CALL(munmap), CALL(mremap), CALL(madvise), CALL(brk), CALL(mseal), CALL(membarrier),
	CALL(msync), CALL(clone), CALL(fork), CALL(vfork), CALL(execve), CALL(execveat), CALL(exit), CALL(exit_group),
	CALL(wait4), CALL(waitid), CALL(kill), CALL(tgkill), CALL(tkill), CALL(pidfd_open), CALL(pidfd_getfd),
	CALL(pidfd_send_signal), CALL(process_vm_readv), CALL(process_vm_writev), CALL(kcmp), CALL(ptrace), CALL(setns),
	CALL(setsid), CALL(setpgid), CALL(getsid), CALL(getpgid), CALL(getpgrp), CALL(prctl), CALL(arch_prctl),
	CALL(seccomp), CALL(capget), CALL(capset), CALL(landlock_create_ruleset), CALL(landlock_add_rule),
	CALL(landlock_restrict_self), CALL(getrlimit), CALL(setrlimit), CALL(prlimit64), CALL(getrusage), CALL(times),
	CALL(sysinfo), CALL(uname), CALL(getrandom), CALL(getpid), CALL(gettid), CALL(getppid), CALL(getuid),
	CALL(geteuid), CALL(getgid), CALL(getegid), CALL(getresuid), CALL(getresgid), CALL(getgroups),
	CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigsuspend), CALL(rt_sigtimedwait),
	CALL(rt_sigpending), CALL(rt_sigqueueinfo), CALL(rt_tgsigqueueinfo), CALL(sigaltstack), CALL(restart_syscall),
	CALL(pause), CALL(alarm), CALL(setitimer), CALL(timer_create), CALL(timer_settime), CALL(timer_delete),
	CALL(futex), CALL(set_robust_list), CALL(get_robust_list), CALL(set_tid_address), CALL(rseq), CALL(sched_yield),
	CALL(sched_getaffinity), CALL(sched_setaffinity), CALL(sched_getparam), CALL(sched_getscheduler),
	CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep), CALL(nanosleep), CALL(gettimeofday), CALL(time),
	CALL(getcpu)};
/* What it needs for some promises only, and gives up with them. (The attributes' calls are not here: only some kernels let
 * them be made on a descriptor.) */
static const int making_calls[] = {
	CALL(mkdirat), CALL(unlinkat), CALL(renameat), CALL(renameat2), CALL(linkat), CALL(symlinkat), CALL(mknodat)};
static const int changing_calls[] = {
	CALL(fchmod), CALL(fchmodat), CALL(fchmodat2), CALL(fchown), CALL(fchownat), CALL(utimensat)};
static const int writing_calls[] = {CALL(truncate)};
static const int looking_calls[] = {CALL(getxattr), CALL(listxattr), CALL(inotify_add_watch)};
static const int attribute_calls[] = {CALL(setxattr), CALL(removexattr)};
static const int identity_calls[] = {CALL(setresuid), CALL(setresgid), CALL(setgroups)};
static const int network_calls[] = {CALL(socket), CALL(connect), CALL(bind), CALL(listen), CALL(accept), CALL(accept4),
	CALL(sendmmsg), CALL(recvmmsg)};
static const int log_calls[] = {CALL(connect)}; /* syslog(3) */
#undef CALL

#define CALLS(list) list, sizeof(list) / sizeof((list)[0])
static const struct {
	const int *numbers;
	size_t count;
	uint64_t promises; /* any of them */
} broker_groups[] = {
	{CALLS(making_calls), PROMISE_BIT(cpath) | PROMISE_BIT(dpath) | PROMISE_BIT(tmppath) | PROMISE_BIT(unix)},
	/* Of what is made, too. */
	{CALLS(changing_calls), PROMISE_BIT(fattr) | PROMISE_BIT(chown) | PROMISE_BIT(cpath) | PROMISE_BIT(unix)},
	{CALLS(looking_calls), PROMISE_BIT(rpath)},
	{CALLS(attribute_calls), PROMISE_BIT(fattr)},
	{CALLS(writing_calls), PROMISE_BIT(wpath) | PROMISE_BIT(tmppath)},
	{CALLS(identity_calls), PROMISE_BIT(id)},
};

#define NUMBERS 1024

static void calls_add(bool allowed[NUMBERS], const int *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (numbers[i] >= 0 && numbers[i] < NUMBERS)
			allowed[numbers[i]] = true;
}

/* What the broker does for these promises; and, since targets that it starts inherit its filter, everything that one may be
 * allowed to do natively. */
static void calls_collect(const struct broker *b, uint64_t promises, bool allowed[NUMBERS])
{
	size_t rows;
	const struct promise_row *row = promise_rows(&rows);

	for (; !b->in_place && rows > 0; rows--, row++)
		if (row->kind != ROW_KILL && row->kind != ROW_REFUSE && row->kind != ROW_ABSENT &&
			row->kind != ROW_LIBC && (row->need & ~promises) == 0 && row->number >= 0 &&
			row->number < NUMBERS)
			allowed[row->number] = true;
	calls_add(allowed, CALLS(broker_calls));
	for (size_t i = 0; i < sizeof(broker_groups) / sizeof(broker_groups[0]); i++)
		if (promises & broker_groups[i].promises)
			calls_add(allowed, broker_groups[i].numbers, broker_groups[i].count);
	if (needs_network(&b->policy, promises))
		calls_add(allowed, CALLS(network_calls));
	if (promises & PROMISE_BIT(stdio))
		calls_add(allowed, CALLS(log_calls));
	/* Its targets lower their own before their door closes. */
	if (b->policy.limits[LIMIT_WEIGHT] != LIMIT_NONE)
		allowed[SYS_setpriority] = true;
	/* A target's own for syslog(3): see local_sockets. */
	if (!b->in_place && promises & PROMISE_BIT(stdio))
		allowed[SYS_socket] = true;
}

/* Filters are inherited, and the most restrictive answer wins: an errno here would take a target's notification, and with
 * it the report of the refusal, away. RET_TRACE ranks just below a notification and, without a tracer that asked for
 * seccomp events, fails the call with ENOSYS. So that is what the broker gets for calls that it has no business with, and
 * nobody can become that tracer: ptrace with PTRACE_O_TRACESECCOMP is refused first, as is clone into any namespace but
 * a pid namespace (clone3 is not on the list). unshare goes through for CLONE_FS and nothing else: see umask.c. */
#define NAMESPACES_DENIED (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWNET)
/* clang-format off */
static const struct sock_filter prologue[] = {
	/* -3 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
	/* -2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH_NATIVE, 1, 0),
	/* -1 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	/* 0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	/* 1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 10, 0),
	/* 2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 3),
	/* 3 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
	/* 4 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLONE_FS, 0, 10),
	/* 5 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	/* 6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 8),
	/* 7 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
	/* 8 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PTRACE_SEIZE, 1, 0),
	/* 9 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PTRACE_SETOPTIONS, 0, 5),
	/* 10 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
	/* 11 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PTRACE_O_TRACESECCOMP, 2, 3),
	/* 12 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
	/* 13 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES_DENIED, 0, 1),
	/* 14 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	/* 15 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
};
/* clang-format on */

#define CHANGES 240 /* a jump over half of them reaches 255 instructions, and each takes two */

/* From `at` on, which numbers are allowed alternates with each change. A balanced tree of comparisons, so that the kernel,
 * which tries a new filter on every number, is done in a third of the time that libseccomp's list of them takes, and so
 * that building it takes microseconds: every cold start waits for it. Returns the instructions written. */
static size_t tree(struct sock_filter *out, const unsigned *changes, size_t first, size_t last)
{
	if (first == last) {
		*out = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, first % 2 ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRACE);
		return 1;
	}
	size_t middle = first + (last - first) / 2;
	size_t below = tree(out + 1, changes, first, middle);
	*out = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, changes[middle], (unsigned char)below, 0);
	return 1 + below + tree(out + 1 + below, changes, middle + 1, last);
}

/* Where there is no network: of sockets, local ones. */
static const struct sock_filter local_sockets[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static int filter_load(struct broker *b, uint64_t promises, unsigned flags)
{
	struct sock_fprog local = {
		sizeof(local_sockets) / sizeof(local_sockets[0]), (struct sock_filter *)(uintptr_t)local_sockets};
	struct sock_filter code[sizeof(prologue) / sizeof(prologue[0]) + 2 * CHANGES + 1];
	const size_t before = sizeof(prologue) / sizeof(prologue[0]);
	bool allowed[NUMBERS] = {false};
	unsigned changes[CHANGES];
	size_t count = 0;

	if (!b->in_place && !needs_network(&b->policy, promises) &&
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &local) < 0)
		return -errno;
	calls_collect(b, promises, allowed);
	for (unsigned nr = 0; nr < NUMBERS; nr++) {
		if (allowed[nr] == (count % 2 == 1))
			continue;
		if (count == CHANGES)
			return -E2BIG;
		changes[count++] = nr;
	}
	memcpy(code, prologue, sizeof(prologue));
	size_t len = before + tree(code + before, changes, 0, count);
	struct sock_fprog program = {(unsigned short)len, code};
	long n = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	return n < 0 ? -errno : n > 0 ? -ESRCH : 0;
}

/* Landlock's domain cannot shrink as well: a thread that entered another could look into none of the targets, whose domains
 * lie in the first. */
int broker_shrink(struct broker *b, uint64_t promises)
{
	return filter_load(b, promises, SECCOMP_FILTER_FLAG_TSYNC);
}

int calls_restrict(struct broker *b, uint64_t promises)
{
	return filter_load(b, promises, 0);
}

int calls_only(const int *calls, size_t count)
{
	struct sock_filter code[64] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH_NATIVE, 0, (unsigned char)(count + 1)),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	const size_t before = 3;
	if (before + count + 2 > sizeof(code) / sizeof(code[0]))
		return -E2BIG;
	for (size_t i = 0; i < count; i++)
		code[before + i] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], (unsigned char)(count - i), 0);
	code[before + count] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	code[before + count + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	const struct sock_fprog program = {(unsigned short)(before + count + 2), code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}
