/* SPDX-License-Identifier: ISC */
/* What the targets of live_lane.c do to files: what arrives, what blocks, what comes at once. Runs in the target. */
#include "tests/lane.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

int sys_open(const char *path, int flags)
{
	long fd = syscall(SYS_openat, AT_FDCWD, path, flags, 0644);
	return fd < 0 ? -errno : (int)fd;
}

const char *in(const char *tail)
{
	static _Thread_local char buf[4][PATH_MAX];
	static _Thread_local unsigned n;
	char *out = buf[n++ % 4];
	snprintf(out, PATH_MAX, "%s/%s", top, tail);
	return out;
}

void expect_open(const char *path, int flags, int want)
{
	int fd = sys_open(path, flags);
	EXPECT(want < 0 ? fd == want : fd >= 0, fd);
	if (fd >= 0)
		close(fd);
}

double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void body_open(void)
{
	char c = 0;
	int fd = sys_open(in("open/file"), O_RDONLY | O_CLOEXEC);
	EXPECT(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, fd);
	EXPECT(read(fd, &c, 1) == 1 && c == 'x', c);
	close(fd);
	fd = sys_open(in("open/file"), O_RDONLY | O_NONBLOCK);
	EXPECT(fd >= 0 && fcntl(fd, F_GETFD) == 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK), fd);
	close(fd);
	close(0);
	fd = sys_open(in("open/file"), O_RDONLY);
	EXPECT(fd == 0, fd);
	expect_open(in("secret/file"), O_RDONLY, -ENOENT);
	expect_open(in("secret/file"), O_RDONLY, -ENOENT);
	expect_open(in("secret/other"), O_RDONLY, -ENOENT);
	expect_open(in("open/none"), O_RDONLY, -ENOENT);
	expect_open(in("secret/\n\x01\xff\"x"), O_RDONLY, -ENOENT);
}

void body_memory(void)
{
	char *map = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(map != MAP_FAILED, errno);
	munmap(map + 8192, 4096);
	const char *path = in("open/file");
	size_t len = strlen(path) + 1;
	char *end = map + 8192 - len;
	memcpy(end, path, len);
	expect_open(end, O_RDONLY, 0); /* the NUL is the last byte before an unmapped page */
	expect_open(strcpy(map + 4096 - 7, path), O_RDONLY, 0); /* crosses into the second page */
	memset(map, 'a', 8192);
	expect_open(end, O_RDONLY, -EFAULT); /* runs into it */
	expect_open(map, O_RDONLY, -ENAMETOOLONG);
	map[4096] = 0;
	expect_open(map, O_RDONLY, -ENAMETOOLONG);
	map[4095] = 0;
	EXPECT(sys_open(map, O_RDONLY) == -ENAMETOOLONG || errno == ENOENT, errno); /* one component too long */
	expect_open(NULL, O_RDONLY, -EFAULT);
	expect_open((const char *)1, O_RDONLY, -EFAULT);
	expect_open((const char *)(~0UL - 4095), O_RDONLY, -EFAULT);
	mprotect(map, 4096, PROT_NONE);
	expect_open(map, O_RDONLY, -EFAULT);
	/* The upper half of an int argument does not count. */
	long fd = syscall(SYS_openat, 0x12345678ffffff9cL, path, 0x100000000L | O_RDONLY, 0);
	EXPECT(fd >= 0, errno);
	/* Results are not written where the target may not write. */
	EXPECT(chdir(in("open")) == 0, errno);
	EXPECT(syscall(SYS_getcwd, map, 4096) < 0 && errno == EFAULT, errno);
	EXPECT(syscall(SYS_getcwd, map + 4096, 4096) > 0, errno);
}

static void *fifo_reader(void *arg)
{
	(void)arg;
	int fd = sys_open(in("open/fifo"), O_RDONLY);
	shared->done = fd >= 0 ? 1 : -fd;
	return NULL;
}

void body_fifo(void)
{
	pthread_t thread;
	EXPECT(pthread_create(&thread, NULL, fifo_reader, NULL) == 0, errno);
	for (int i = 0; i < 500; i++)
		expect_open(in("open/file"), O_RDONLY, 0);
	EXPECT(!shared->done, shared->done);
	int fd = sys_open(in("open/fifo"), O_WRONLY);
	EXPECT(fd >= 0, fd);
	pthread_join(thread, NULL);
	EXPECT(shared->done == 1, shared->done);
}

/* Still waiting when its family is stopped. */
void body_stop(void)
{
	fifo_reader(NULL);
	EXPECT(shared->done == EINTR || shared->done == ENOSYS, shared->done);
	int fd = sys_open(in("open/file"), O_RDONLY);
	EXPECT(fd == -ENOSYS, fd);
}

void body_fifo_kill(void)
{
	/* Twice as many as there are workers in all: those of the dead must come back. */
	for (int round = 0; round < 3; round++) {
		pid_t pids[45];
		for (int i = 0; i < 45; i++) {
			pids[i] = fork();
			EXPECT(pids[i] >= 0, errno);
			if (!pids[i]) {
				shared->other = -sys_open(in("open/fifo"), O_RDONLY); /* EAGAIN would show */
				_exit(0);
			}
		}
		struct timespec pause = {0, 150000000};
		nanosleep(&pause, NULL);
		EXPECT(shared->other == 0, shared->other);
		for (int i = 0; i < 45; i++) {
			EXPECT(kill(pids[i], SIGKILL) == 0, errno);
			EXPECT(waitpid(pids[i], NULL, 0) == pids[i], errno);
		}
		nanosleep(&pause, NULL);
		expect_open(in("open/file"), O_RDONLY, 0);
	}
}

void body_emfile(void)
{
	int fd, count = 0;
	while ((fd = sys_open(in("open/file"), O_RDONLY)) >= 0)
		count++;
	EXPECT(fd == -EMFILE && count > 10, fd);
	close(5);
	EXPECT((fd = sys_open(in("open/file"), O_RDONLY)) == 5, fd);
}

static void *opener(void *arg)
{
	for (int i = 0; i < 1000; i++)
		expect_open(in(arg ? "open/file" : "secret/file"), O_RDONLY, arg ? 0 : -ENOENT);
	return NULL;
}

void body_threads(void)
{
	pthread_t threads[8];
	for (long i = 0; i < 8; i++)
		EXPECT(pthread_create(&threads[i], NULL, opener, (void *)(i & 1)) == 0, errno);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
}

void body_killed(void)
{
	/* Death at every moment of a request. */
	for (int i = 0; i < 200; i++) {
		pid_t pid = fork();
		EXPECT(pid >= 0, errno);
		if (!pid) {
			for (;;)
				close(sys_open(in("open/file"), O_RDONLY));
		}
		struct timespec pause = {0, 1000 * (long)(i * 7 % 300)};
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		EXPECT(waitpid(pid, NULL, 0) == pid, errno);
	}
	expect_open(in("open/file"), O_RDONLY, 0);
}

void body_speed(void)
{
	char path[PATH_MAX];
	strcpy(path, in("open/file"));
	double best = 1e9;
	for (int round = 0; round < 10; round++) {
		double start = seconds();
		for (int i = 0; i < 1000; i++)
			close(sys_open(path, O_RDONLY));
		double us = (seconds() - start) * 1e3;
		best = us < best ? us : best;
	}
	shared->us = best;
}
