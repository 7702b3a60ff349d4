/* SPDX-License-Identifier: ISC */
/* Hostile attempts on other processes, on privileges, and on the door itself. Runs in the target. */
#include "tests/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NO "EPERM"
/* In a pid namespace of its own there is nobody of that number; in place the filter says no. */
#define NOBODY "inplace:EPERM ESRCH"
#define UNUSED (void)h

/* CALL(name, system call...): h may be used in the arguments. */
#define CALL(name, ...)                                                                                                \
	static int name(const struct hostile *h)                                                                       \
	{                                                                                                              \
		UNUSED;                                                                                                \
		return SYS(__VA_ARGS__);                                                                               \
	}

CALL(ptrace_me, SYS_ptrace, PTRACE_TRACEME, 0, 0, 0)
CALL(ptrace_parent, SYS_ptrace, PTRACE_SEIZE, getppid(), 0, 0)
CALL(kill_parent, SYS_kill, getppid(), SIGWINCH)
CALL(kill_host, SYS_kill, h->host, SIGWINCH)
CALL(kill_stranger, SYS_kill, h->stranger, SIGWINCH)
CALL(kill_all, SYS_kill, -1, SIGWINCH)
CALL(kill_group_one, SYS_kill, -h->stranger, SIGWINCH)
CALL(tgkill_stranger, SYS_tgkill, h->stranger, h->stranger, SIGWINCH)
CALL(tkill_stranger, SYS_tkill, h->stranger, SIGWINCH)
CALL(pidfd_stranger, SYS_pidfd_open, h->stranger, 0)
CALL(pidfd_take, SYS_pidfd_getfd, 0, 0, 0)
CALL(priority_all, SYS_setpriority, PRIO_PROCESS, h->stranger, 19)
CALL(scheduler, SYS_sched_setscheduler, h->stranger, SCHED_FIFO, &(struct sched_param){1})
CALL(affinity_stranger, SYS_sched_setaffinity, h->stranger, 8, &(unsigned long){1})
CALL(compare_processes, SYS_kcmp, getpid(), h->host, 0, 0, 0)
CALL(new_group, SYS_setpgid, 0, h->stranger)
CALL(limits_stranger, SYS_prlimit64, h->stranger, RLIMIT_NOFILE, &(struct rlimit){1, 1}, NULL)
CALL(limits_read_stranger, SYS_prlimit64, h->stranger, RLIMIT_NOFILE, NULL, &(struct rlimit){0})
CALL(limit_locks, SYS_prlimit64, 0, RLIMIT_LOCKS, &(struct rlimit){7, RLIM_INFINITY}, NULL)
CALL(limit_locks_old, SYS_setrlimit, RLIMIT_LOCKS, &(struct rlimit){7, RLIM_INFINITY})
CALL(limit_locks_high_bits, SYS_prlimit64, 0x500000000, 0x500000000 | RLIMIT_LOCKS, &(struct rlimit){7, RLIM_INFINITY},
	NULL)
CALL(set_user, SYS_setuid, 0)
CALL(set_group, SYS_setgid, 0)
CALL(set_groups, SYS_setgroups, 0, NULL)
CALL(set_users, SYS_setresuid, 1, 1, 1)
CALL(set_file_user, SYS_setfsuid, 1)
CALL(unshare_user, SYS_unshare, CLONE_NEWUSER)
CALL(unshare_mount, SYS_unshare, CLONE_NEWNS)
CALL(unshare_net, SYS_unshare, CLONE_NEWNET)
CALL(unshare_high_bits, SYS_unshare, 0x100000000 | CLONE_NEWUSER)
CALL(set_namespace, SYS_setns, 0, 0)
CALL(clone_user, SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)
CALL(clone_high_bits, SYS_clone, 0x100000000 | CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)
CALL(clone_three, SYS_clone3, (uint64_t[11]){CLONE_NEWUSER, 0, 0, 0, SIGCHLD}, 88)
CALL(fork_plain, SYS_fork)
CALL(fork_virtual, SYS_clone, SIGCHLD, 0, 0, 0, 0)
CALL(clone_ptrace, SYS_clone, CLONE_PTRACE | SIGCHLD, 0, 0, 0, 0)
CALL(dumpable_on, SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)
CALL(dumpable_high_bits, SYS_prctl, 0x100000000 | PR_SET_DUMPABLE, 1, 0, 0, 0)
CALL(death_signal_off, SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0)
CALL(memory_map, SYS_prctl, PR_SET_MM, 1, 0, 0, 0)
CALL(ptracer_any, SYS_prctl, 0x59616d61, -1L, 0, 0, 0)
CALL(ambient_raise, SYS_prctl, PR_CAP_AMBIENT, 2, 0, 0, 0)
CALL(keep_capabilities, SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0)
CALL(secure_bits, SYS_prctl, PR_SET_SECUREBITS, 0, 0, 0, 0)
CALL(subreaper, SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
CALL(user_dispatch, SYS_prctl, 59, 1, 0, 0, 0)
CALL(bounding_drop, SYS_prctl, PR_CAPBSET_DROP, 0, 0, 0, 0)
CALL(tsc_trap, SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0)
CALL(capabilities, SYS_capset, (uint32_t[2]){0x20080522, 0}, (uint32_t[6]){~0U, ~0U, ~0U, ~0U, ~0U, ~0U})
CALL(owner_broker, SYS_fcntl, 0, F_SETOWN, h->host)
CALL(owner_high_bits, SYS_fcntl, 0, 0x100000000 | F_SETOWN, h->host)
CALL(owner_signal, SYS_fcntl, 0, F_SETSIG, SIGKILL)
CALL(owner_ioctl, SYS_ioctl, 0, 0x8901, &(int){h->host})
CALL(lease, SYS_fcntl, 0, F_SETLEASE, F_WRLCK)
CALL(notify_directory, SYS_fcntl, 0, F_NOTIFY, 1)
CALL(seccomp_strict_off, SYS_prctl, PR_SET_SECCOMP, 0, 0, 0, 0)

static int vm_read(const struct hostile *h)
{
	char buf[8];
	struct iovec l = {buf, 8}, r = {buf, 8};

	return SYS(SYS_process_vm_readv, h->host, &l, 1, &r, 1, 0);
}

static int vm_write(const struct hostile *h)
{
	char buf[8] = {0};
	struct iovec l = {buf, 8}, r = {buf, 8};

	return SYS(SYS_process_vm_writev, h->stranger, &l, 1, &r, 1, 0);
}

static int queue_stranger(const struct hostile *h)
{
	siginfo_t info = {.si_signo = SIGWINCH, .si_code = SI_QUEUE};

	return SYS(SYS_rt_sigqueueinfo, h->stranger, SIGWINCH, &info);
}

/* Its own group only: the judge and the broker live on. */
static int kill_group(const struct hostile *h)
{
	UNUSED;
	return SYS(SYS_kill, 0, SIGTERM);
}

/* The signal that a descriptor sends when it becomes readable, aimed at the host. */
static int owner_async(const struct hostile *h)
{
	int fds[2];

	if (syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, fds) ||
		syscall(SYS_fcntl, fds[0], F_SETOWN, h->stranger) || syscall(SYS_fcntl, fds[0], F_SETSIG, SIGWINCH) ||
		syscall(SYS_fcntl, fds[0], F_SETFL, O_ASYNC))
		return -errno;
	/* Set up: the judge sees whether the stranger got the signal. */
	return write(fds[1], "x", 1) == 1 ? HELD : -errno;
}

static int clone_parent(const struct hostile *h)
{
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);

	UNUSED;
	if (!pid)
		_exit(0);
	return pid < 0 ? -errno : 0;
}

static int install(unsigned flags, uint32_t action)
{
	struct sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, action}};
	struct sock_fprog program = {1, code};

	return SYS(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static int listener(const struct hostile *h)
{
	UNUSED;
	return install(SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_RET_ALLOW);
}

static int listener_high_bits(const struct hostile *h)
{
	struct sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
	struct sock_fprog program = {1, code};

	UNUSED;
	return SYS(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0x100000000 | SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

/* A filter of one's own that allows everything takes nothing away from the first. */
static int filter_allowing(const struct hostile *h)
{
	int error = install(0, SECCOMP_RET_ALLOW);

	return error ? error : opened(syscall(SYS_openat, AT_FDCWD, h->secret, O_RDONLY));
}

/* Whoever holds a listener answers its notifications: none of the target's descriptors may be one. */
static int answer_own(const struct hostile *h)
{
	int error = 0;

	UNUSED;
	for (int fd = 0; fd < 256; fd++) {
		struct seccomp_notif_resp answer = {.id = 1, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
		uint64_t id = 1;

		/* A listener would say ENOENT for an id that it does not know. */
		if (!ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) || errno == ENOENT)
			return 0;
		if (!ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer) || errno == ENOENT)
			return 0;
		if (fd == 0)
			error = errno;
	}
	return -error;
}

static int listener_take(const struct hostile *h)
{
	long pidfd = syscall(SYS_pidfd_open, getpid(), 0);

	UNUSED;
	if (pidfd < 0)
		return -errno;
	for (int fd = 3; fd < 64; fd++) {
		long got = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
		uint64_t id = 1;

		if (got >= 0 && (!ioctl((int)got, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) || errno == ENOENT))
			return 0;
	}
	return -errno;
}

#ifdef __x86_64__
static int foreign_i386(const struct hostile *h)
{
	long result;

	UNUSED;
	/* getpid there; a pointer might not fit 32 bits. */
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L), "b"(0L) : "memory", "r8", "r9", "r10", "r11");
	return result > 0 ? 0 : (int)result;
}
CALL(foreign_x32, 0x40000000 | SYS_getpid)
CALL(foreign_x32_open, 0x40000000 | SYS_open, h->secret, O_RDONLY)
#endif

const struct attempt attempts_process[] = {
	{"ptrace_me", ptrace_me, "KILL", 0, 0, 1},
	{"ptrace_parent", ptrace_parent, "KILL", 0, 0, 0},
	{"vm_read", vm_read, "KILL", 0, 0, 0},
	{"vm_write", vm_write, "KILL", 0, 0, 0},
	{"kill_parent", kill_parent, NO, 0, 0, 1},
	{"kill_host", kill_host, NOBODY, 0, 0, 1},
	{"kill_host_proc", kill_host, "EPERM|ESRCH", "proc", 0, 1},
	{"kill_stranger", kill_stranger, NOBODY, 0, 0, 1},
	{"kill_stranger_proc", kill_stranger, "EPERM|ESRCH", "proc", 0, 1},
	{"kill_all", kill_all, NOBODY, 0, 0, 0},
	{"kill_all_proc", kill_all, "EPERM|ESRCH|HELD", "proc", 0, 0},
	{"kill_group", kill_group, "inplace:EPERM|SIGTERM SIGTERM", 0, 0, 0}, /* stdio may */
	{"kill_other_group", kill_group_one, NOBODY, 0, 0, 1},
	{"tgkill_stranger", tgkill_stranger, NOBODY, 0, 0, 1},
	{"tkill_stranger", tkill_stranger, NOBODY, 0, 0, 1},
	{"queue_stranger", queue_stranger, NOBODY, 0, 0, 1},
	{"pidfd_stranger", pidfd_stranger, NO, 0, 0, 1},
	{"pidfd_take", pidfd_take, NO, 0, 0, 0},
	{"listener_take", listener_take, NO, 0, 0, 0},
	{"listener_take_proc", listener_take, NO, "proc", 0, 0},
	{"priority_stranger", priority_all, NO, 0, 0, 1},
	{"scheduler_stranger", scheduler, NO, 0, 0, 1},
	{"affinity_stranger", affinity_stranger, NOBODY, 0, 0, 1},
	{"compare_processes", compare_processes, NO, 0, 0, 1},
	{"new_group", new_group, NO, 0, 0, 0},
	{"limits_stranger", limits_stranger, NO, 0, 0, 1},
	{"limits_stranger_proc", limits_stranger, NO, "proc", 0, 1},
	{"limits_read_stranger", limits_read_stranger, NO, 0, 0, 1},
	{"limit_locks", limit_locks, NO, 0, 0, 1},
	{"limit_locks_proc", limit_locks, NO, "proc id", 0, 1},
	{"limit_locks_old", limit_locks_old, NO, "proc id", 0, 1},
	{"limit_locks_high_bits", limit_locks_high_bits, NO, "proc id", 0, 1},
	{"set_user", set_user, NO, 0, 0, 1},
	{"set_group", set_group, NO, 0, 0, 1},
	{"set_groups", set_groups, NO, 0, 0, 1},
	{"set_users", set_users, NO, 0, 0, 1},
	{"set_users_promised", set_users, "inplace+root:ANY EPERM|EINVAL", "id", 0, 1},
	{"set_file_user", set_file_user, NO, 0, 0, 0},
	{"capabilities", capabilities, NO, 0, 0, 0},
	{"unshare_user", unshare_user, "KILL", 0, 0, 1},
	{"unshare_mount", unshare_mount, "KILL", 0, 0, 1},
	{"unshare_net", unshare_net, "KILL", 0, 0, 1},
	{"unshare_high_bits", unshare_high_bits, "KILL", 0, 0, 0},
	{"set_namespace", set_namespace, "KILL", 0, 0, 0},
	{"clone_user", clone_user, "KILL", 0, 0, 0},
	{"clone_user_proc", clone_user, "KILL", "proc", 0, 0},
	{"clone_high_bits", clone_high_bits, "KILL", 0, 0, 0},
	{"clone_three", clone_three, "ENOSYS", "proc", 0, 0},
	{"clone_ptrace", clone_ptrace, "KILL|EPERM", "proc", 0, 0},
	{"clone_parent", clone_parent, "KILL|EPERM|EINVAL", "proc", 0, 0},
	{"fork_plain", fork_plain, NO, 0, 0, 0},
	{"fork_clone", fork_virtual, NO, 0, 0, 0},
	{"dumpable_on", dumpable_on, NO, 0, 0, 1},
	{"dumpable_high_bits", dumpable_high_bits, NO, 0, 0, 0},
	{"death_signal_off", death_signal_off, NO, 0, 0, 1},
	{"memory_map", memory_map, NO, 0, 0, 0},
	{"ptracer_any", ptracer_any, NO, 0, 0, 0},
	{"ambient_raise", ambient_raise, NO, 0, 0, 0},
	{"keep_capabilities", keep_capabilities, NO, 0, 0, 1},
	{"secure_bits", secure_bits, NO, 0, 0, 1},
	{"subreaper", subreaper, NO, 0, 0, 1},
	{"user_dispatch", user_dispatch, NO, 0, 0, 0},
	{"bounding_drop", bounding_drop, NO, 0, 0, 1},
	{"tsc_trap", tsc_trap, NO, 0, 0, 0},
	{"seccomp_off", seccomp_strict_off, "EPERM", 0, 0, 0},
	{"owner_broker", owner_broker, NO, 0, 0, 1},
	{"owner_high_bits", owner_high_bits, NO, 0, 0, 0},
	{"owner_signal", owner_signal, NO, 0, 0, 1},
	{"owner_ioctl", owner_ioctl, NO, 0, 0, 0},
	{"owner_async_proc", owner_async, "HELD|EPERM|ESRCH", "proc", 0, 0},
	{"lease", lease, NO, 0, 0, 0},
	{"notify_directory", notify_directory, NO, 0, 0, 0},
	{"listener", listener, "KILL", 0, 0, 1},
	{"listener_high_bits", listener_high_bits, "KILL|EINVAL", 0, 0, 0},
	{"filter_allowing", filter_allowing, "EPERM|ENOENT", 0, 0, 1},
	{"answer_own", answer_own, NO, 0, 0, 0},
#ifdef __x86_64__
	{"foreign_i386", foreign_i386, "KILL", 0, 0, 0},
	{"foreign_x32", foreign_x32, "KILL", 0, 0, 0},
	{"foreign_x32_open", foreign_x32_open, "KILL", 0, 0, 0},
#endif
	{0},
};
