/* SPDX-License-Identifier: ISC */
/*
 * Owns the life of a zygote and the first steps of its forks. Runs in the target, behind the closed door.
 *
 * libc's fork() would make the forks the zygote's children, which it could not wait for while it waits to be told to
 * fork; so it is clone(2) with CLONE_PARENT, and init, their parent then, tells the broker of their ends. What fork() does
 * besides is done here: libc keeps the thread's id (abort(3) and robust mutexes look at it) at a place that differs
 * between libcs, found by comparing a process with its child. Handlers of pthread_atfork(3) do not run.
 */
#include "sandbox/zygote.h"

#include "broker/zygote.h"
#include "policy/filter.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define DESCRIPTOR_BYTES 1024 /* of libc's description of a thread, which has the id among the first */

static size_t thread_read(void *bytes)
{
	struct iovec here = {bytes, DESCRIPTOR_BYTES}, there = {(void *)(uintptr_t)pthread_self(), DESCRIPTOR_BYTES};
	/* It may be shorter, and nothing behind it. */
	ssize_t n = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
	return n > 0 ? (size_t)n : 0;
}

/* In the child of `parent`, whose description was `before`. */
static int id_offset(const unsigned char *before, size_t len, pid_t parent)
{
	unsigned char now[DESCRIPTOR_BYTES];
	size_t n = thread_read(now);
	int found = -1;
	for (size_t at = 0; at + sizeof(pid_t) <= len && at + sizeof(pid_t) <= n; at += sizeof(pid_t)) {
		pid_t was, is;
		memcpy(&was, before + at, sizeof(was));
		memcpy(&is, now + at, sizeof(is));
		if (was != parent || is != getpid())
			continue;
		if (found >= 0)
			return -1;
		found = (int)at;
	}
	return found;
}

int zygote_learn(struct zygote_libc *l)
{
	unsigned char before[DESCRIPTOR_BYTES];
	size_t len = thread_read(before);
	pid_t parent = getpid();
	_Atomic int *found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (found == MAP_FAILED)
		return -ENOMEM;
	*found = -1;
	pid_t child = fork();
	if (child == 0) {
		*found = id_offset(before, len, parent);
		_exit(0);
	}
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	int at = *found;
	munmap((void *)(uintptr_t)found, sizeof(*found));
	if (child < 0 || at < 0)
		return child < 0 ? -errno : -EOPNOTSUPP;
	l->id = (pid_t *)((unsigned char *)(uintptr_t)pthread_self() + at);
	if (syscall(SYS_get_robust_list, 0, &l->robust, &l->robust_len) < 0)
		l->robust = NULL;
	return 0;
}

/* made: so many it made so far, for the broker to see; the kernel writes nothing there without CLONE_PARENT_SETTID. */
static long clone_sibling(unsigned long made, pid_t *id)
{
	const unsigned long flags = CLONE_PARENT | CLONE_CHILD_SETTID | SIGCHLD;
#if defined(__x86_64__)
	return syscall(SYS_clone, flags, 0, made, id, 0);
#else
	return syscall(SYS_clone, flags, 0, made, 0, id);
#endif
}

int zygote_forks(const struct zygote_libc *l)
{
	for (unsigned long made = 0;;) {
		/* Not answered before a fork is wanted. */
		long pid = clone_sibling(made, l->id);
		if (pid == 0)
			break;
		made += pid > 0;
		/* EINTR is nobody's fault: its init's signals, or a tracer's. */
		if (pid < 0 && errno != EINTR)
			syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_BARREN, errno);
	}
	if (l->robust)
		syscall(SYS_set_robust_list, l->robust, l->robust_len);
	return (int)syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_BEGIN, getpid());
}
