/* SPDX-License-Identifier: ISC */
/*
 * The broker's own door: what the process that reads hostile bytes may do if those bytes take it over. Runs in the
 * broker, once, before it has threads, targets or requests. Its Landlock domain and its filter are inherited by every
 * target (and by the init of each), so both must let through what any target of this policy may do by itself.
 */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
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

/* ---- capabilities ---- */

#define CAP(c) (UINT64_C(1) << CAP_##c)

int broker_capabilities(uint64_t keep)
{
	cap_t caps = cap_get_proc();
	cap_value_t drop[64];
	int count = 0, r = 0;

	if (!caps)
		return -ENOMEM;
	cap_flag_value_t can_bound = CAP_CLEAR;
	cap_get_flag(caps, CAP_SETPCAP, CAP_EFFECTIVE, &can_bound);
	for (cap_value_t c = 0; c < cap_max_bits(); c++) {
		if (c < 64 && keep & UINT64_C(1) << c)
			continue;
		drop[count++] = c;
		/* Without CAP_SETPCAP the bounding set stays; no_new_privs makes it idle. */
		if (can_bound == CAP_SET && cap_get_bound(c) == 1 && cap_drop_bound(c) < 0)
			r = -errno;
	}
	if (cap_set_flag(caps, CAP_EFFECTIVE, count, drop, CAP_CLEAR) < 0 ||
		cap_set_flag(caps, CAP_PERMITTED, count, drop, CAP_CLEAR) < 0 ||
		cap_set_flag(caps, CAP_INHERITABLE, count, drop, CAP_CLEAR) < 0 || cap_set_proc(caps) < 0)
		r = -errno;
	cap_free(caps);
	return r;
}

/* What is left after the nursery is made. SYS_ADMIN makes pid namespaces; it, SYS_CHROOT and SETPCAP are what a worker
 * enters the nursery with and locks its securebits; SYS_PTRACE reads targets that are not dumpable; SYS_RESOURCE
 * sets their limits. The file capabilities are there only when the host had them, and let the broker open what the
 * host could. */
static uint64_t capabilities_needed(const struct broker *b)
{
	uint64_t keep = CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(CHOWN) | CAP(FSETID) |
			CAP(SYS_PTRACE) | CAP(SYS_RESOURCE);

	if (!b->in_place)
		return keep | CAP(SYS_ADMIN) | CAP(SYS_CHROOT) | CAP(SETPCAP);
	for (size_t i = 0; i < b->policy.address_count; i++)
		if (b->policy.addresses[i].bind)
			keep |= CAP(NET_BIND_SERVICE);
	if (b->policy.any_address && b->policy.promises & PROMISE_BIT(inet))
		keep |= CAP(NET_BIND_SERVICE);
	return keep;
}

/* ---- Landlock ---- */

struct rules {
	struct landlock_rule *list;
	size_t count;
	int *fds; /* to close */
	size_t fd_count;
};

static void rule_add(struct rules *rules, int fd, bool directory, unsigned perms)
{
	if (fd >= 0 && perms)
		rules->list[rules->count++] = (struct landlock_rule){fd, directory, perms};
}

static void rule_add_path(struct rules *rules, int base, const char *path, unsigned perms)
{
	struct stat st;
	int fd = openat(base, path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return;
	rules->fds[rules->fd_count++] = fd;
	if (fstat(fd, &st) == 0)
		rule_add(rules, fd, S_ISDIR(st.st_mode), perms);
}

/* A name rule may make, replace and remove its name, which Landlock can only allow for the whole directory; and what
 * comes to bear the name is another object than the one that bears it now. So with `c` the rule is the directory's, and
 * within it only the decision of policy/ keeps the broker to the name. Without `c` it is the one object's. */
static void rule_add_name(struct rules *rules, const struct anchor *a, unsigned perms)
{
	struct stat st;

	/* What is executed is handed to the target open for reading. */
	perms |= perms & PERM_X ? PERM_R : 0u;
	if (perms & PERM_C) {
		rule_add(rules, a->fd, true, perms);
		return;
	}
	int fd = openat(a->fd, a->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	rules->fds[rules->fd_count++] = fd;
	if (fstat(fd, &st) == 0 && !S_ISLNK(st.st_mode))
		rule_add(rules, fd, S_ISDIR(st.st_mode), perms);
}

/* In place without an unveil: the whole file system, as far as the promises use it. */
static unsigned perms_of_promises(uint64_t promises)
{
	static const struct {
		uint64_t promises;
		unsigned perms;
	} map[] = {
		{PROMISE_BIT(rpath) | PROMISE_BIT(ps) | PROMISE_BIT(vminfo), PERM_R},
		{PROMISE_BIT(wpath), PERM_W},
		{PROMISE_BIT(cpath) | PROMISE_BIT(dpath) | PROMISE_BIT(unix), PERM_C},
		{PROMISE_BIT(exec), PERM_R | PERM_X},
	};
	unsigned perms = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (promises & map[i].promises)
			perms |= map[i].perms;
	return perms;
}

static bool names_abstract(const struct policy *p)
{
	if (p->any_address && p->promises & PROMISE_BIT(unix))
		return true;
	for (size_t i = 0; i < p->address_count; i++)
		if (p->addresses[i].kind == ADDRESS_UNIX && p->addresses[i].host && p->addresses[i].host[0] == '@')
			return true;
	return false;
}

#define PROMISES_NETWORK                                                                                               \
	(PROMISE_BIT(inet) | PROMISE_BIT(unix) | PROMISE_BIT(dns) | PROMISE_BIT(getpw) | PROMISE_BIT(route) |          \
		PROMISE_BIT(wroute))

static bool needs_network(const struct policy *p)
{
	uint64_t promises = p->promises | (p->exec_given ? p->exec_promises : 0);

	return p->address_count > 0 || promises & PROMISES_NETWORK;
}

int broker_landlock(struct broker *b, const struct landlock_rule *extra, size_t extra_count)
{
	const struct policy *p = &b->policy;
	struct rules rules = {
		calloc(p->unveil_count + extra_count + INTERPRETERS_MAX + LIBC_FILES + 8, sizeof(struct landlock_rule)),
		0, calloc(p->unveil_count + 8, sizeof(int)), 0};
	/* Signals: a broker in place must be able to end its program, which is not below it. */
	struct landlock_spec spec = {.net = !needs_network(p), .scopes = LANDLOCK_SCOPE_BOTH};
	int r = -ENOMEM;

	if (!rules.list || !rules.fds)
		goto out;
	if (b->in_place)
		spec.scopes &= ~LANDLOCK_SCOPE_SIGNALS;
	if (names_abstract(p))
		spec.scopes &= ~LANDLOCK_SCOPE_ABSTRACT;
	for (size_t i = 0; i < p->unveil_count; i++) {
		const struct anchor *a = &b->anchors[i];

		if (a->fd < 0)
			continue;
		if (a->name)
			rule_add_name(&rules, a, p->unveils[i].perms);
		else
			rule_add(&rules, a->fd, true,
				p->unveils[i].perms | (p->unveils[i].perms & PERM_X ? PERM_R : 0u));
	}
	if (p->everything)
		rule_add(&rules, b->root, true, perms_of_promises(p->promises));
	if (p->everything && p->promises & PROMISE_BIT(tmppath))
		rule_add_path(&rules, b->root, "tmp", PERM_R | PERM_W | PERM_C);
	if (p->promises & PROMISE_BIT(tty))
		rule_add_path(&rules, b->root, "dev/tty", PERM_R | PERM_W);
	for (size_t i = 0; i < b->interpreter_count; i++)
		rule_add(&rules, b->interpreters[i].fd, false, PERM_R | PERM_X);
	rules.count += libc_files_rules(b, rules.list + rules.count);
	for (size_t i = 0; i < extra_count; i++)
		rules.list[rules.count++] = extra[i];
	spec.rules = rules.list;
	spec.count = rules.count;
	r = landlock_enforce(&spec);
out:
	for (size_t i = 0; i < rules.fd_count; i++)
		close(rules.fds[i]);
	free(rules.fds);
	free(rules.list);
	return r;
}

static void rule_add_executable(struct rules *rules, const struct unveil *rule, const struct anchor *a)
{
	const unsigned run = PERM_R | PERM_X;

	if (!(rule->perms & PERM_X) || a->fd < 0)
		return;
	if (rule->name)
		rule_add_path(rules, a->fd, a->name, run);
	else
		rule_add(rules, a->fd, true, run);
}

int broker_target_ruleset(struct broker *b, unsigned scopes, const struct landlock_rule *extra, size_t extra_count)
{
	const struct policy *p = &b->policy;
	struct rules rules = {
		calloc(p->unveil_count + extra_count + INTERPRETERS_MAX + 1, sizeof(struct landlock_rule)), 0,
		calloc(p->unveil_count + 1, sizeof(int)), 0};
	struct landlock_spec spec = {.net = true, .scopes = scopes};
	int r = -ENOMEM;

	if (!rules.list || !rules.fds)
		goto out;
	if (policy_executes(p)) {
		for (size_t i = 0; i < p->unveil_count; i++)
			rule_add_executable(&rules, &p->unveils[i], &b->anchors[i]);
		if (p->everything)
			rule_add(&rules, b->root, true, PERM_R | PERM_X);
	}
	for (size_t i = 0; i < b->interpreter_count; i++)
		rule_add(&rules, b->interpreters[i].fd, false, PERM_R | PERM_X);
	for (size_t i = 0; i < extra_count; i++)
		rules.list[rules.count++] = extra[i];
	spec.rules = rules.list;
	spec.count = rules.count;
	r = landlock_ruleset(&spec);
out:
	for (size_t i = 0; i < rules.fd_count; i++)
		close(rules.fds[i]);
	free(rules.fds);
	free(rules.list);
	return r;
}

/* ---- seccomp ---- */

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
	CALL(umask), CALL(mkdirat), CALL(unlinkat), CALL(renameat), CALL(renameat2), CALL(linkat), CALL(symlinkat),
	CALL(mknodat), CALL(truncate), CALL(fchmod), CALL(fchmodat), CALL(fchmodat2), CALL(fchown), CALL(fchownat),
	CALL(utimensat), CALL(socketpair), CALL(sendmsg), CALL(recvmsg), CALL(sendto), CALL(recvfrom), CALL(getsockopt),
	CALL(setsockopt), CALL(getsockname), CALL(getpeername), CALL(shutdown), CALL(mmap), CALL(mprotect),
	CALL(munmap), CALL(mremap), CALL(madvise), CALL(brk), CALL(mseal), CALL(membarrier), CALL(msync), CALL(clone),
	CALL(fork), CALL(vfork), CALL(execve), CALL(execveat), CALL(exit), CALL(exit_group), CALL(wait4), CALL(waitid),
	CALL(kill), CALL(tgkill), CALL(tkill), CALL(pidfd_open), CALL(pidfd_getfd), CALL(pidfd_send_signal),
	CALL(process_vm_readv), CALL(process_vm_writev), CALL(ptrace), CALL(setns), CALL(setsid), CALL(setpgid),
	CALL(getsid), CALL(getpgid), CALL(getpgrp), CALL(prctl), CALL(arch_prctl), CALL(seccomp), CALL(capget),
	CALL(capset), CALL(landlock_create_ruleset), CALL(landlock_add_rule), CALL(landlock_restrict_self),
	CALL(getrlimit), CALL(setrlimit), CALL(prlimit64), CALL(getrusage), CALL(times), CALL(sysinfo), CALL(uname),
	CALL(getrandom), CALL(getpid), CALL(gettid), CALL(getppid), CALL(getuid), CALL(geteuid), CALL(getgid),
	CALL(getegid), CALL(getresuid), CALL(getresgid), CALL(getgroups), CALL(rt_sigaction), CALL(rt_sigprocmask),
	CALL(rt_sigreturn), CALL(rt_sigsuspend), CALL(rt_sigtimedwait), CALL(rt_sigpending), CALL(rt_sigqueueinfo),
	CALL(sigaltstack), CALL(restart_syscall), CALL(pause), CALL(alarm), CALL(setitimer), CALL(timer_create),
	CALL(timer_settime), CALL(timer_delete), CALL(futex), CALL(set_robust_list), CALL(get_robust_list),
	CALL(set_tid_address), CALL(rseq), CALL(sched_yield), CALL(sched_getaffinity), CALL(sched_setaffinity),
	CALL(sched_getparam), CALL(sched_getscheduler), CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep),
	CALL(nanosleep), CALL(gettimeofday), CALL(time), CALL(getcpu)};
static const int network_calls[] = {CALL(socket), CALL(connect), CALL(bind), CALL(listen), CALL(accept), CALL(accept4),
	CALL(sendmmsg), CALL(recvmmsg)};
#undef CALL

#define NUMBERS 1024

static void calls_add(bool allowed[NUMBERS], const int *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (numbers[i] >= 0 && numbers[i] < NUMBERS)
			allowed[numbers[i]] = true;
}

/* Everything that a target may be allowed to do natively, and what the broker does for it. */
static void calls_collect(const struct policy *p, bool allowed[NUMBERS])
{
	uint64_t promises = p->promises | (p->exec_given ? p->exec_promises : 0);
	size_t rows;
	const struct promise_row *row = promise_rows(&rows);

	for (; rows > 0; rows--, row++)
		if (row->kind != ROW_KILL && row->kind != ROW_REFUSE && row->kind != ROW_ABSENT &&
			row->kind != ROW_LIBC && (row->need & ~promises) == 0 && row->number >= 0 &&
			row->number < NUMBERS)
			allowed[row->number] = true;
	calls_add(allowed, broker_calls, sizeof(broker_calls) / sizeof(broker_calls[0]));
	if (needs_network(p))
		calls_add(allowed, network_calls, sizeof(network_calls) / sizeof(network_calls[0]));
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

static int filter_load(struct broker *b)
{
	struct sock_filter code[sizeof(prologue) / sizeof(prologue[0]) + 2 * CHANGES + 1];
	const size_t before = sizeof(prologue) / sizeof(prologue[0]);
	bool allowed[NUMBERS] = {false};
	unsigned changes[CHANGES];
	size_t count = 0;

	calls_collect(&b->policy, allowed);
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
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}

int broker_confine(struct broker *b, const struct landlock_rule *extra, size_t extra_count, bool landlock)
{
	int r = broker_capabilities(capabilities_needed(b));

	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0 && landlock)
		r = broker_landlock(b, extra, extra_count);
	/* Without Landlock in the kernel the targets' layer is missing, too, and their start says so, or it is tolerated. */
	if (r == -ENOSYS || r == -EOPNOTSUPP)
		r = 0;
	return r < 0 ? r : filter_load(b);
}
