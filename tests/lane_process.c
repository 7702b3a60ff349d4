/* SPDX-License-Identifier: ISC */
/* What the targets of live_lane.c do as processes: fork, signal, be refused, narrow themselves. Runs in the target. */
#include "tests/lane.h"

#include "broker/broker.h"
#include "policy/filter.h"
#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

void body_forks(void)
{
	/* All at once, each opening; and a few thousand in turn. */
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 40; i++) {
			pid_t pid = fork();
			EXPECT(pid >= 0, errno);
			if (!pid) {
				expect_open(in("open/file"), O_RDONLY, 0);
				expect_open(in("secret/file"), O_RDONLY, -ENOENT);
				_exit(0);
			}
		}
		int status;
		while (wait(&status) > 0)
			EXPECT(status == 0, status);
	}
}

void body_limit(void)
{
	pid_t pids[64];
	int n = 0;
	while (n < 64 && (pids[n] = fork()) >= 0) {
		if (!pids[n]) {
			struct timespec long_time = {20, 0};
			nanosleep(&long_time, NULL);
			_exit(0);
		}
		n++;
	}
	EXPECT(errno == EAGAIN && n == 7, n); /* eight with this one */
	for (int i = 0; i < n; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	pid_t pid = fork();
	EXPECT(pid >= 0, errno);
	if (!pid)
		_exit(0);
	EXPECT(waitpid(pid, NULL, 0) == pid, errno);
}

void body_orphan(void)
{
	EXPECT(chdir(in("open/sub")) == 0, errno);
	for (int i = 0; i < 20; i++) {
		shared->done = 0;
		pid_t pid = fork();
		EXPECT(pid >= 0, errno);
		if (!pid) {
			umask(027);
			if (fork() == 0) {
				/* Its parent is gone before its first request. */
				while (shared->other == 0)
					sched_yield();
				int fd = sys_open("here", O_RDONLY);
				shared->done = fd < 0 ? -fd : (int)umask(0) == 027 ? 1000 : 1001;
				_exit(0);
			}
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		shared->other = 1;
		while (!shared->done)
			sched_yield();
		EXPECT(shared->done == 1000, shared->done);
		shared->other = 0;
		EXPECT(umask(022) == 022, 0); /* the child's is its own */
	}
}

void body_states(void)
{
	/* More states than the table holds at once. */
	for (int i = 0; i < 2000; i++) {
		mode_t was = umask((mode_t)i & 0777);
		EXPECT(i == 0 || was == ((mode_t)(i - 1) & 0777), was);
	}
}

static void handled(int signal)
{
	(void)signal;
	shared->done++;
}

void body_signals(void)
{
	struct sigaction action = {.sa_handler = handled};
	sigaction(SIGUSR1, &action, NULL);
	EXPECT(kill(getpid(), SIGUSR1) == 0 && raise(SIGUSR1) == 0, errno);
	EXPECT(syscall(SYS_tkill, gettid(), SIGUSR1) == 0, errno);
	EXPECT(shared->done == 3, shared->done);
	EXPECT(kill(getppid(), 0) < 0 && errno == EPERM, errno);
	EXPECT(kill(0, 0) < 0 && errno == EPERM, errno);
	EXPECT(kill(-1, 0) < 0 && errno == EPERM, errno);
	EXPECT(syscall(SYS_tkill, getppid(), 0) < 0 && errno == EPERM, errno);
	EXPECT(syscall(SYS_tgkill, getppid(), getppid(), 0) < 0 && errno == EPERM, errno);
}

void body_signals_proc(void)
{
	EXPECT(kill(getppid(), 0) < 0 && errno == EPERM, errno);
	EXPECT(kill(-1, 0) < 0 && errno == EPERM, errno);
	EXPECT(kill(0, 0) < 0 && errno == EPERM, errno); /* the test's own group */
	EXPECT(kill(999999999, 0) < 0 && errno == ESRCH, errno);
	pid_t pid = fork();
	EXPECT(pid >= 0, errno);
	if (!pid) {
		pause();
		_exit(0);
	}
	int status = 0;
	EXPECT(kill(pid, SIGTERM) == 0 && waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGTERM, status);
}

void body_refused(void)
{
	EXPECT(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM, errno);
	EXPECT(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM, errno);
	EXPECT(syscall(SYS_fchmodat, AT_FDCWD, in("open/file"), 0777) < 0 && errno == EPERM, errno);
	EXPECT(syscall(SYS_fork) < 0 && errno == EPERM, errno);
	EXPECT(syscall(SYS_execve, "/bin/true", NULL, NULL) < 0 && errno == EPERM, errno);
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED, 0);
	EXPECT(syscall(SYS_mount, "a", "b", "c", 0, NULL) < 0 && errno == EPERM, errno);
}

void body_fatal(void)
{
	syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	EXPECT(0, errno);
}

static int pledge_to(uint64_t promises)
{
	return syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_PLEDGE, NARROW_PROMISES, promises, 0) < 0 ? -errno : 0;
}

static int unveil_path(const char *tail, const char *perms)
{
	snprintf(text, sizeof(text), "%s/%s", top, tail);
	return syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_UNVEIL, text, perms, 0) < 0 ? -errno : 0;
}

static int unveil_lock(void)
{
	return syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_UNVEIL, NULL, NULL, 0) < 0 ? -errno : 0;
}

static void narrow_child(void)
{
	int r;
	EXPECT((r = unveil_path("open/sub", "r")) == 0, r);
	expect_open(in("open/sub/here"), O_RDONLY, 0);
	expect_open(in("open/sub/here"), O_WRONLY, -EACCES);
	expect_open(in("open/file"), O_RDONLY, -ENOENT);
	/* More than there was is not to be had by asking for it. */
	EXPECT((r = unveil_path("open/sub", "rwxc")) == 0, r);
	expect_open(in("open/sub/here"), O_WRONLY, 0);
	expect_open(in("open/file"), O_RDONLY, -ENOENT);
	EXPECT((r = unveil_path("open/sub", "r")) == 0, r);
	EXPECT((r = unveil_lock()) == 0, r);
	EXPECT((r = unveil_path("open", "r")) == -EPERM, r);
	EXPECT((r = pledge_to(PROMISE_BIT(stdio) | PROMISE_BIT(rpath))) == 0, r);
	EXPECT((r = pledge_to(PROMISE_BIT(stdio) | PROMISE_BIT(wpath))) == -EPERM, r);
	EXPECT((r = pledge_to(PROMISE_BIT(stdio))) == 0, r);
	expect_open(in("open/sub/here"), O_RDONLY, -EPERM);
	_exit(0);
}

void body_narrow(void)
{
	int r;
	EXPECT(syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_QUERY, AIRLOCK_QUERY_FLAGS) == 0, errno);
	EXPECT(syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_QUERY, 77) < 0 && errno == EINVAL, errno);
	EXPECT(syscall(AIRLOCK_SYSCALL, 99, 0, 0, 0) < 0 && errno == EINVAL, errno);
	EXPECT(syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_PLEDGE, ~0ul, 0, 0) < 0 && errno == EINVAL, errno);
	EXPECT(syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_UNVEIL, 1, "r", 0) < 0 && errno == EFAULT, errno);
	EXPECT(syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_UNVEIL, text, 1, 0) < 0 && errno == EFAULT, errno);
	EXPECT((r = unveil_path("secret", "r")) == -ENOENT, r);
	EXPECT((r = unveil_path("open", "rz")) == -EINVAL, r);
	EXPECT((r = unveil_path("open", "rd")) == -EINVAL, r);
	expect_open(in("open/file"), O_RDONLY, 0);
	pid_t pid = fork();
	EXPECT(pid >= 0, errno);
	if (!pid)
		narrow_child();
	int status = 1;
	waitpid(pid, &status, 0);
	if (status)
		_exit(1);
	expect_open(in("open/file"), O_RDONLY, 0);
	expect_open(in("open/sub/here"), O_WRONLY, 0);
}

/* As unveil(2): where everything was visible, each unveil adds a path, until it is locked. */
void body_add(void)
{
	int r;
	expect_open(in("secret/file"), O_RDONLY, 0);
	EXPECT((r = unveil_path("open/sub", "r")) == 0, r);
	expect_open(in("open/sub/here"), O_RDONLY, 0);
	expect_open(in("open/file"), O_RDONLY, -ENOENT);
	expect_open(in("secret/file"), O_RDONLY, -ENOENT);
	EXPECT((r = unveil_path("secret/file", "r")) == 0, r);
	expect_open(in("open/sub/here"), O_RDONLY, 0);
	expect_open(in("secret/file"), O_RDONLY, 0);
	expect_open(in("secret"), O_RDONLY, -ENOENT);
	EXPECT((r = unveil_lock()) == 0, r);
	EXPECT((r = unveil_path("open/file", "r")) == -EPERM, r);
	expect_open(in("open/file"), O_RDONLY, -ENOENT);
	EXPECT((r = unveil_lock()) == 0, r);
}
