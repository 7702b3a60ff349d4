/* SPDX-License-Identifier: ISC */
/* Hostile attempts to use up the machine, each bounded so that it does no harm where nothing stops it. In the target. */
#include "tests/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int memory_bomb(const struct hostile *h)
{
	(void)h;
	for (int i = 0; i < 24; i++) {
		char *p = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return -errno;
		memset(p, 1, 16 << 20);
	}
	return 0;
}

static int descriptor_bomb(const struct hostile *h)
{
	(void)h;
	for (int i = 0; i < 5000; i++)
		if (syscall(SYS_dup, 0) < 0)
			return -errno;
	return 0;
}

/* Every descriptor comes from the broker: it must not run out of its own. */
static int opened_bomb(const struct hostile *h)
{
	for (int i = 0; i < 5000; i++)
		if (syscall(SYS_openat, AT_FDCWD, join(h, "open/ok"), O_RDONLY) < 0)
			return -errno;
	return 0;
}

static int file_bomb(const struct hostile *h)
{
	static char block[65536];

	(void)h;
	signal(SIGXFSZ, SIG_IGN);
	for (int i = 0; i < 64; i++)
		if (pwrite(0, block, sizeof(block), (off_t)i * 65536) < 0)
			return -errno;
	return 0;
}

/* A bomb whose children end with the target; at most 100 of them, and only for a second. */
static int fork_bomb(const struct hostile *h)
{
	(void)h;
	for (int i = 0; i < 100; i++) {
		long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

		if (pid < 0)
			return -errno;
		if (!pid) {
			nanosleep(&(struct timespec){1, 0}, NULL);
			_exit(0);
		}
	}
	return 0;
}

static int spin(const struct hostile *h)
{
	struct timespec start, now;

	(void)h;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (now.tv_sec < start.tv_sec + 40);
	return 0;
}

static int sleep_long(const struct hostile *h)
{
	(void)h;
	nanosleep(&(struct timespec){8, 0}, NULL);
	return 0;
}

static int stop_self(const struct hostile *h)
{
	(void)h;
	syscall(SYS_kill, getpid(), SIGSTOP);
	return 0;
}

/* Ends at once and leaves a grandchild in a session of its own, which holds standard output: the judge reads to the
 * end of that and so sees when the last one is gone. */
static int daemonise(const struct hostile *h)
{
	long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	(void)h;
	if (pid)
		return pid < 0 ? -errno : HELD;
	syscall(SYS_setsid);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	if (!syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0))
		nanosleep(&(struct timespec){40, 0}, NULL);
	_exit(0);
}

static int crash_read(const struct hostile *h)
{
	int *volatile nowhere = (int *)8;

	(void)h;
	return *nowhere;
}

static int crash_abort(const struct hostile *h)
{
	(void)h;
	return SYS(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGABRT);
}

/* Requests in a storm, all of them refused. */
static int request_storm(const struct hostile *h)
{
	int error = 0;

	for (int i = 0; i < 3000; i++)
		if (syscall(SYS_openat, AT_FDCWD, h->secret, O_RDONLY) >= 0)
			return 0;
		else
			error = errno;
	return -error;
}

const struct attempt attempts_limits[] = {
	{"memory_bomb", memory_bomb, "ENOMEM", 0, "memory=256M", 0},
	{"descriptor_bomb", descriptor_bomb, "EMFILE", 0, "files=64", 0},
	{"opened_bomb", opened_bomb, "stdio:EPERM|ENOENT EMFILE", 0, "files=64", 0},
	{"file_bomb", file_bomb, "EFBIG", 0, "file-size=1M", 1},
	{"fork_bomb", fork_bomb, "EAGAIN", "proc", "processes=8", 1},
	{"spin", spin, "TIMEOUT", 0, "cpu=1s", 0},
	{"spin_wall", spin, "inplace:ANY TIMEOUT", 0, "wall=700ms", 0},
	{"sleep_wall", sleep_long, "inplace:ANY TIMEOUT", 0, "wall=300ms", 0},
	{"stop_wall", stop_self, "inplace:ANY TIMEOUT", 0, "wall=300ms", 0},
	{"daemonise", daemonise, "inplace:ANY HELD", "proc", 0, 0},
	{"crash_read", crash_read, "SIGSEGV", 0, 0, 0},
	{"crash_abort", crash_abort, "SIGABRT", 0, 0, 0},
	{"request_storm", request_storm, "EPERM|ENOENT", 0, 0, 1},
	{0},
};
