/* SPDX-License-Identifier: ISC */
/* Hostile attempts to open what is not unveiled. Runs in the target. */
#include "tests/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HIDDEN "stdio:EPERM|ENOENT ENOENT"

static int open_private(const struct hostile *h)
{
	return opened(syscall(SYS_open, h->secret, O_RDONLY));
}

static int openat_private(const struct hostile *h)
{
	return opened(syscall(SYS_openat, AT_FDCWD, h->secret, O_RDONLY));
}

static int openat2_private(const struct hostile *h)
{
	struct open_how how = {.flags = O_RDONLY};

	return opened(syscall(SYS_openat2, AT_FDCWD, h->secret, &how, sizeof(how)));
}

static int open_path_only(const struct hostile *h)
{
	return opened(syscall(SYS_openat, AT_FDCWD, h->secret, O_PATH));
}

static int open_write(const struct hostile *h)
{
	return opened(syscall(SYS_openat, AT_FDCWD, h->secret, O_WRONLY));
}

static int open_append(const struct hostile *h)
{
	return opened(syscall(SYS_openat, AT_FDCWD, h->secret, O_WRONLY | O_APPEND));
}

/* On 64 bits the kernel sees an int: the upper half must not make another directory of AT_FDCWD. */
static int openat_high_bits(const struct hostile *h)
{
	return opened(syscall(SYS_openat, 0x1234567800000000UL | (uint32_t)AT_FDCWD, h->secret, O_RDONLY));
}

static int open_directory_hidden(const struct hostile *h)
{
	return opened(syscall(SYS_openat, AT_FDCWD, join(h, "secret"), O_RDONLY | O_DIRECTORY));
}

static int open_root(const struct hostile *h)
{
	char buf[4096];
	long fd = syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);

	(void)h;
	if (fd < 0)
		return -errno;
	return syscall(SYS_getdents64, fd, buf, sizeof(buf)) < 0 ? -errno : 0;
}

static int list_hidden(const struct hostile *h)
{
	char buf[4096];
	long fd = syscall(SYS_open, join(h, "secret"), O_RDONLY);

	if (fd < 0)
		return -errno;
	return syscall(SYS_getdents64, fd, buf, sizeof(buf)) < 0 ? -errno : 0;
}

static int with_prefix(const char *prefix, const char *path, int flags)
{
	char buf[2048];

	snprintf(buf, sizeof(buf), "%s%s", prefix, path);
	return opened(syscall(SYS_openat, AT_FDCWD, buf, flags));
}

static int proc_self_root(const struct hostile *h)
{
	return with_prefix("/proc/self/root", h->secret, O_RDONLY);
}

static int proc_one_root(const struct hostile *h)
{
	return with_prefix("/proc/1/root", h->secret, O_RDONLY);
}

static int proc_self_cwd(const struct hostile *h)
{
	return with_prefix("/proc/self/cwd/../../../../../../..", h->secret, O_RDONLY);
}

static int proc_host(const struct hostile *h, const char *what, int flags)
{
	char buf[64];

	snprintf(buf, sizeof(buf), "/proc/%d/%s", h->host, what);
	return opened(syscall(SYS_openat, AT_FDCWD, buf, flags));
}

static int proc_host_environ(const struct hostile *h)
{
	return proc_host(h, "environ", O_RDONLY);
}

static int proc_host_mem(const struct hostile *h)
{
	return proc_host(h, "mem", O_RDWR);
}

static int proc_self_environ(const struct hostile *h)
{
	(void)h;
	return with_prefix("", "/proc/self/environ", O_RDONLY);
}

static int proc_thread_self_maps(const struct hostile *h)
{
	unsigned long from, to, here = (unsigned long)(uintptr_t)&with_prefix;
	char line[512];
	int own = 0;
	FILE *f = fopen("/proc/thread-self/maps", "r");

	(void)h;
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		own |= sscanf(line, "%lx-%lx", &from, &to) == 2 && from <= here && here < to;
	fclose(f);
	return own ? HELD : 0; /* its own map it may read: it is not the broker's */
}

static int proc_self_mem(const struct hostile *h)
{
	(void)h;
	return with_prefix("", "/proc/self/mem", O_RDWR);
}

static int proc_core_pattern(const struct hostile *h)
{
	(void)h;
	return with_prefix("", "/proc/sys/kernel/core_pattern", O_WRONLY);
}

static int dev_mem(const struct hostile *h)
{
	(void)h;
	return with_prefix("", "/dev/mem", O_RDWR);
}

static int dev_tty(const struct hostile *h)
{
	(void)h;
	return with_prefix("", "/dev/tty", O_RDWR);
}

/* HELD when path gives what its own descriptor is, and no more than that may do; never the broker's. */
static int same_as_own(const char *path, int flags, int own)
{
	struct stat mine, given;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags);

	if (fd < 0)
		return -errno;
	if (syscall(SYS_fstat, own, &mine) || syscall(SYS_fstat, fd, &given))
		return 0;
	return mine.st_dev == given.st_dev && mine.st_ino == given.st_ino ? HELD : 0;
}

/* Standard output is the writing end of a pipe: opening it anew for reading would be the other end. */
static int output_for_reading(const struct hostile *h)
{
	char byte;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/fd/1", O_RDONLY | O_NONBLOCK);

	(void)h;
	if (fd < 0)
		return -errno;
	return read(fd, &byte, 1) < 0 && errno == EBADF ? HELD : 0;
}

static int dev_fd(const struct hostile *h)
{
	(void)h;
	return same_as_own("/dev/fd/0", O_RDWR, 0);
}

static int dev_stdin(const struct hostile *h)
{
	(void)h;
	return same_as_own("/dev/stdin", O_RDONLY, 0);
}

static int sys_class(const struct hostile *h)
{
	(void)h;
	return with_prefix("", "/sys/kernel", O_RDONLY);
}

/* One thread rewrites the path while another opens it: a broker that reads it twice opens the second. */
static char race_path[600];
static atomic_int race_stop;
static char race_good[600], race_bad[600];

static void *race_rewrite(void *arg)
{
	(void)arg;
	while (!atomic_load(&race_stop)) {
		memcpy(race_path, race_bad, sizeof(race_path));
		__asm__ volatile("" ::: "memory"); /* both stores happen */
		memcpy(race_path, race_good, sizeof(race_path));
	}
	return NULL;
}

static int race_path_rewrite(const struct hostile *h)
{
	char buf[64];
	pthread_t thread;
	int error = 0, leaked = 0, opens = 0;

	/* Both names of one length, so that every mix of them is one of the two or nothing. */
	snprintf(race_good, sizeof(race_good), "%s/open/ok", h->base);
	snprintf(race_bad, sizeof(race_bad), "%s/hide/ok", h->base);
	memcpy(race_path, race_good, sizeof(race_path));
	if (pthread_create(&thread, NULL, race_rewrite, NULL))
		return -EAGAIN;
	for (int i = 0; i < 20000; i++) {
		int fd = (int)syscall(SYS_openat, AT_FDCWD, race_path, O_RDONLY);
		ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf));

		if (fd < 0)
			error = errno;
		else
			opens++;
		leaked += n >= 6 && !memcmp(buf, "SECRET", 6);
		close(fd);
	}
	atomic_store(&race_stop, 1);
	pthread_join(thread, NULL);
	if (leaked)
		return 0;
	return opens ? HELD : -error;
}

const struct attempt attempts_files[] = {
	{"open_private", open_private, HIDDEN, 0, 0, 1},
	{"openat_private", openat_private, HIDDEN, 0, 0, 1},
	{"openat2_private", openat2_private, HIDDEN, 0, 0, 1},
	{"open_path_only", open_path_only, HIDDEN, 0, 0, 1},
	{"open_write", open_write, "EPERM|ENOENT", 0, 0, 1},
	{"open_append", open_append, "EPERM|ENOENT", 0, 0, 1},
	{"open_write_wpath", open_write, "ENOENT", "wpath", 0, 1},
	{"openat_high_bits", openat_high_bits, HIDDEN, 0, 0, 1},
	{"open_directory_hidden", open_directory_hidden, HIDDEN, 0, 0, 1},
	{"open_root", open_root, HIDDEN, 0, 0, 1},
	{"list_hidden", list_hidden, HIDDEN, 0, 0, 1},
	{"proc_self_root", proc_self_root, HIDDEN, 0, 0, 1},
	{"proc_one_root", proc_one_root, HIDDEN, 0, 0, 0},
	{"proc_self_cwd", proc_self_cwd, HIDDEN, 0, 0, 1},
	{"proc_host_environ", proc_host_environ, HIDDEN, 0, 0, 1},
	{"proc_host_environ_ps", proc_host_environ, "ENOENT|EACCES|EPERM", "ps", 0, 1},
	{"proc_host_mem", proc_host_mem, "EPERM|ENOENT", 0, 0, 1},
	{"proc_self_environ", proc_self_environ, HIDDEN, 0, 0, 1},
	{"proc_thread_self_maps", proc_thread_self_maps, "stdio:EPERM|ENOENT ENOENT|HELD", 0, 0, 0},
	{"proc_self_mem", proc_self_mem, "EPERM|ENOENT", 0, 0, 1},
	{"proc_core_pattern", proc_core_pattern, "EPERM|ENOENT", "wpath", 0, 1},
	{"dev_mem", dev_mem, "EPERM|ENOENT", 0, 0, 0},
	{"dev_tty", dev_tty, "EPERM|ENOENT", 0, 0, 0},
	{"dev_fd", dev_fd, "EPERM|ENOENT|HELD", 0, 0, 0},
	{"dev_stdin", dev_stdin, "EPERM|ENOENT|HELD", 0, 0, 0},
	{"output_for_reading", output_for_reading, "EPERM|ENOENT|EACCES|HELD", 0, 0, 1},
	{"sys_class", sys_class, HIDDEN, 0, 0, 1},
	{"race_path_rewrite", race_path_rewrite, "stdio:EPERM|ENOENT HELD", 0, 0, 1},
	{0},
};
