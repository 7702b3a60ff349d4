/* SPDX-License-Identifier: ISC */
/* Calls about the process itself and others, memory, terminals: see openbsd_do.h. They run in children of the test. */
#include "tests/openbsd_do.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

DO(nothing)
{
}
DO(writes)
{
	GIVES(write(opened.file, "x", 1), 1);
}
DO(descriptor_calls)
{
	int p[2], fd = dup(opened.file);
	char buf[8];
	struct stat st;
	struct iovec v = {buf, 1};
	HOLDS(fd >= 0);
	GIVES(pwrite(opened.file, "abc", 3, 0), 3);
	GIVES(pread(opened.file, buf, 3, 0), 3);
	GIVES(lseek(opened.file, 0, SEEK_SET), 0);
	GIVES(readv(opened.file, &v, 1), 1);
	GIVES(writev(opened.file, &v, 1), 1);
	GIVES(fstat(opened.file, &st), 0);
	GIVES(fsync(opened.file), 0);
	GIVES(ftruncate(opened.file, 2), 0);
	GIVES(dup2(opened.file, fd), fd);
	GIVES(dup3(opened.file, fd, O_CLOEXEC), fd);
	GIVES(fcntl(fd, F_GETFD), FD_CLOEXEC);
	GIVES(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	GIVES(close(fd), 0);
	GIVES(pipe(p), 0);
	GIVES(pipe2(p, O_CLOEXEC), 0);
	struct pollfd pfd = {p[0], POLLIN, 0};
	fd_set set;
	FD_ZERO(&set);
	struct timeval now = {0, 0};
	GIVES(poll(&pfd, 1, 0), 0);
	GIVES(select(0, &set, NULL, NULL, &now), 0);
	HOLDS(epoll_create1(0) >= 0);
	GIVES(ioctl(p[0], FIONREAD, &(int){0}), 0);
	GIVES(ioctl(p[0], FIONBIO, &(int){1}), 0);
	GIVES(isatty(p[0]), 0);
	GIVES(fchdir(opened.dir), 0);
}
DO(process_calls)
{
	struct rlimit limit;
	struct rusage usage;
	struct timespec t;
	struct itimerval timer = {0};
	struct sigaction action = {.sa_handler = SIG_IGN};
	gid_t groups[128];
	sigset_t set;
	char bytes[16];
	/* Where a container starts the suite, its leaders are outside and have no number: 0. */
	HOLDS(getpid() > 0 && getppid() > 0 && getpgid(0) == getpgrp() && getsid(0) >= 0);
	HOLDS(getuid() == geteuid() && getgid() == getegid());
	HOLDS(getgroups(128, groups) >= 0);
	GIVES(getrlimit(RLIMIT_NOFILE, &limit), 0);
	GIVES(getrusage(RUSAGE_SELF, &usage), 0);
	GIVES(syscall(SYS_clock_gettime, CLOCK_REALTIME, &t), 0);
	GIVES(clock_getres(CLOCK_MONOTONIC, &t), 0);
	GIVES(nanosleep(&(struct timespec){0, 1000}, NULL), 0);
	GIVES(setitimer(ITIMER_REAL, &timer, NULL), 0);
	GIVES(getitimer(ITIMER_REAL, &timer), 0);
	GIVES(alarm(0), 0);
	GIVES(sigaction(SIGUSR1, &action, NULL), 0);
	GIVES(sigpending(&set), 0);
	GIVES(getrandom(bytes, sizeof(bytes), 0), sizeof(bytes));
	GIVES(getentropy(bytes, sizeof(bytes)), 0);
	GIVES(umask(022), 022);
	FAILS(waitpid(-1, NULL, WNOHANG), ECHILD);
	sched_yield();
	srand((unsigned)time(NULL));
}
DO(memory_calls)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	HOLDS(p != MAP_FAILED);
	GIVES(mprotect(p, 4096, PROT_READ), 0);
	GIVES(madvise(p, 4096, MADV_NORMAL), 0);
	GIVES(msync(p, 4096, MS_ASYNC), 0);
	GIVES(munmap(p, 8192), 0);
	char *big = malloc(10000000);
	HOLDS(big);
	free(big);
}
DO(kill_self)
{
	GIVES(kill(getpid(), 0), 0);
	GIVES(raise(0), 0);
}
DO(kill_group)
{
	GIVES(kill(0, 0), 0);
}
DO(kill_parent)
{
	GIVES(kill(getppid(), 0), 0);
}
DO(kill_child)
{
	pid_t pid = case_fork();
	if (pid == 0)
		for (;;)
			pause();
	GIVES(kill(pid, SIGTERM), 0);
	GIVES(child_ends(pid), BY_SIGNAL(SIGTERM));
}
DO(forks)
{
	pid_t pid = case_fork();
	if (pid == 0)
		_exit(3);
	GIVES(child_ends(pid), 3);
}
DO(vforks)
{
	pid_t pid = vfork();
	if (pid == 0)
		_exit(4);
	GIVES(child_ends(pid), 4);
}
DO(new_session)
{
	HOLDS(setsid() >= 0);
}
DO(executes)
{
	execl("/bin/true", "true", (char *)NULL);
	_exit(errno);
}
DO(priority)
{
	GIVES(getpriority(PRIO_PROCESS, 0), 0);
}
DO(limit_set)
{
	struct rlimit limit;
	GIVES(getrlimit(RLIMIT_CPU, &limit), 0);
	GIVES(setrlimit(RLIMIT_CPU, &limit), 0);
}
DO(terminal_asked)
{
	struct winsize w;
	GIVES(isatty(opened.terminal), 1);
	GIVES(ioctl(opened.terminal, TIOCGWINSZ, &w), 0);
}
DO(terminal_set)
{
	struct termios t;
	GIVES(tcgetattr(opened.terminal, &t), 0);
	GIVES(tcsetattr(opened.terminal, TCSANOW, &t), 0);
}
DO(terminal_group)
{
	GIVES(tcgetpgrp(opened.terminal), getpid());
	GIVES(tcsetpgrp(opened.terminal, getpid()), 0);
}
DO(terminal_own)
{
	int fd = open("/dev/tty", O_RDWR);
	HOLDS(fd >= 0 && isatty(fd));
}
DO(terminal_types)
{
	GIVES(ioctl(opened.terminal, TIOCSTI, "x"), 0);
}
DO(new_terminal)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);
	HOLDS(fd >= 0 && ptsname(fd) && unlockpt(fd) == 0);
}
DO(maps_code)
{
	HOLDS(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}
DO(makes_code)
{
	GIVES(mprotect(opened.memory, 4096, PROT_READ | PROT_EXEC), 0);
}
DO(same_user)
{
	GIVES(setuid(getuid()), 0);
	GIVES(setgid(getgid()), 0);
	GIVES(setresuid(-1, getuid(), -1), 0);
}
DO(asks_clock)
{
	struct timex t = {.modes = 0};
	HOLDS(adjtimex(&t) >= 0);
}
/* Its own family's. Others, which OpenBSD shows, are not there. */
DO(sees_processes)
{
	char name[32], buf[64];
	snprintf(name, sizeof(name), "/proc/%d/stat", getpid());
	int fd = open(name, O_RDONLY);
	HOLDS(fd >= 0 && read(fd, buf, sizeof(buf)) > 0);
	snprintf(name, sizeof(name), "/proc/%d/stat", getppid());
	FAILS(open(name, O_RDONLY), ENOENT);
}
DO(sees_memory)
{
	OPENS("/proc/meminfo", O_RDONLY);
}
DO(roots)
{
	GIVES(chroot(world), 0);
}
DO(mounts)
{
	GIVES(mount("none", world, "tmpfs", 0, NULL), 0);
}
DO(shares_memory)
{
	HOLDS(syscall(SYS_shmget, 0, 4096, 0600) >= 0);
}
DO(names_host)
{
	GIVES(sethostname("x", 1), 0);
}

DO(thread_of_parent)
{
	GIVES(syscall(SYS_tkill, getppid(), 0), 0);
}

DO(moves_parent)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	GIVES(sched_setaffinity(getppid(), sizeof(set), &set), 0);
}
