/* SPDX-License-Identifier: ISC */
/*
 * This file owns every look at a target's memory and descriptor table. It runs in the broker, on lanes and slow workers.
 *
 * What is read is read once; a failure to read is a refusal, never a reason to let the kernel read instead. Thread
 * ids may be reused after their owner died, so what was read counts only after request_alive() said so.
 */
#include "broker/carrier.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* 6.9 */
#endif
#define PAGE 4096 /* the smallest there is: never reads across more */
#define FIRST 512 /* most paths end before */
#define STATUS 4096 /* more than /proc/PID/status says */

static int read_error(int e)
{
	return e == EFAULT ? -EFAULT : -EPERM;
}

ssize_t memory_read_string(const struct request *r, uint64_t address, char *buf, size_t cap)
{
	size_t have = 0;
	while (have < cap) {
		size_t part = PAGE - (address + have) % PAGE;
		if (part > cap - have)
			part = cap - have;
		if (!have && part > FIRST)
			part = FIRST;
		struct iovec local = {buf + have, part};
		struct iovec remote = {(void *)(uintptr_t)(address + have), part};
		ssize_t got = process_vm_readv(r->tid, &local, 1, &remote, 1, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? read_error(errno) : -EFAULT;
		const char *end = memchr(buf + have, 0, (size_t)got);
		if (end)
			return end - buf;
		have += (size_t)got;
	}
	return -ENAMETOOLONG;
}

static int transfer(const struct request *r, uint64_t address, void *buf, size_t len, bool write)
{
	size_t done = 0;
	while (done < len) {
		struct iovec local = {(char *)buf + done, len - done};
		struct iovec remote = {(void *)(uintptr_t)(address + done), len - done};
		ssize_t n = write ? process_vm_writev(r->tid, &local, 1, &remote, 1, 0)
				  : process_vm_readv(r->tid, &local, 1, &remote, 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? read_error(errno) : -EFAULT;
		done += (size_t)n;
	}
	return 0;
}

int memory_read(const struct request *r, uint64_t address, void *buf, size_t len)
{
	return transfer(r, address, buf, len, false);
}

int memory_write(const struct request *r, uint64_t address, const void *buf, size_t len)
{
	/* The bytes may go to a stranger who got the thread id of a caller that died: ask as late as can be. */
	if (!request_alive(r))
		return -EPERM;
	return transfer(r, address, (void *)(uintptr_t)buf, len, true);
}

static int transfer_parts(
	const struct request *r, const struct iovec *parts, size_t count, void *buf, size_t len, bool write)
{
	struct iovec local = {buf, len};
	ssize_t n;
	if (!len)
		return 0;
	do
		n = write ? process_vm_writev(r->tid, &local, 1, parts, count, 0)
			  : process_vm_readv(r->tid, &local, 1, parts, count, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? read_error(errno) : (size_t)n < len ? -EFAULT : 0;
}

int memory_gather(const struct request *r, const struct iovec *parts, size_t count, void *buf, size_t len)
{
	return transfer_parts(r, parts, count, buf, len, false);
}

int memory_scatter(const struct request *r, const struct iovec *parts, size_t count, const void *buf, size_t len)
{
	if (!request_alive(r))
		return -EPERM;
	return transfer_parts(r, parts, count, (void *)(uintptr_t)buf, len, true);
}

/* The status file of the calling thread. */
static bool status_of(const struct request *r, char text[STATUS])
{
	char name[40];
	snprintf(name, sizeof(name), "%d/status", r->tid);
	int fd = openat(r->family->broker->proc, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, STATUS - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

/* What follows word in it; 0 when it is not there. */
static uint64_t status_number(const char *text, const char *word, int base)
{
	const char *line = strstr(text, word);
	return line ? strtoull(line + strlen(word), NULL, base) : 0;
}

/* The thread group of a thread: kernels before 6.9 have no pidfds of threads. */
static pid_t group_of(const struct request *r)
{
	char text[STATUS];
	pid_t group = status_of(r, text) ? (pid_t)status_number(text, "\nTgid:", 10) : 0;
	return group > 0 ? group : -1;
}

pid_t request_process(const struct request *r)
{
	const pid_t process = group_of(r);
	return process > 0 ? process : 0;
}

bool request_signalled(const struct request *r)
{
	char text[STATUS];
	if (!status_of(r, text))
		return false;
	uint64_t own = status_number(text, "\nSigPnd:", 16), all = status_number(text, "\nShdPnd:", 16);
	uint64_t not = r->family->carrier->blocked(r->family, r->id, status_number(text, "\nSigBlk:", 16)) |
		       status_number(text, "\nSigIgn:", 16);
	/* A signal to the whole process is its first thread's, unless that is busy: which other one's cannot be told. */
	if ((pid_t)status_number(text, "\nTgid:", 10) != r->tid)
		all = 0;
	return ((own | all) & ~not ) && request_alive(r);
}

int memory_dup_fd(const struct request *r, int fd)
{
	static atomic_bool no_threads;
	int pidfd = -1, held[CARRIER_HELD];
	r->family->carrier->held(r->family, r->id, held);
	for (int i = 0; i < CARRIER_HELD; i++)
		if (fd >= 0 && fd == held[i])
			return -EBADF;
	if (!atomic_load(&no_threads)) {
		pidfd = (int)syscall(SYS_pidfd_open, r->tid, PIDFD_THREAD);
		if (pidfd < 0 && errno == EINVAL)
			atomic_store(&no_threads, true);
	}
	if (pidfd < 0 && atomic_load(&no_threads)) {
		pid_t group = group_of(r);
		pidfd = group > 0 ? (int)syscall(SYS_pidfd_open, group, 0) : -1;
	}
	if (pidfd < 0)
		return -EBADF;
	int copy = -EBADF;
	if (request_alive(r)) {
		copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
		if (copy < 0)
			copy = errno == EMFILE || errno == ENFILE ? -ENFILE : -EBADF;
	}
	close(pidfd);
	return copy;
}

bool request_alive(const struct request *r)
{
	if (r->held_still)
		return true;
	return r->family->carrier->alive(r->family, r->id);
}
