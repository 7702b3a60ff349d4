/* SPDX-License-Identifier: ISC */
/* Owns the broker's user namespace: which ids exist in it, and how a single-threaded process gets into it without changing
 * anything when it cannot. Runs in the broker before it confines itself, and in a helper that shares its memory and ends
 * before nursery_user() returns. */
#include "sandbox/nursery.h"

#include "sandbox/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAP(c) (UINT64_C(1) << CAP_##c)
#define CAPS_BROKER (CAP(SYS_ADMIN) | CAP(SYS_CHROOT) | CAP(SYS_PTRACE) | CAP(SYS_RESOURCE) | CAP(SETPCAP))
#define CAPS_FILES (CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(CHOWN) | CAP(FSETID))

#define STACK 32768 /* of the helper; from the heap, for sanitizers watch what a frame leaves on our own stack */

int nursery_failed(char *error, size_t len, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, len, format, args);
	va_end(args);
	return r;
}

int nursery_missing(unsigned bit, int r, char *error, size_t len)
{
	char why[200];

	return nursery_failed(error, len, r, "the layer %s is missing: %s", airlock_layer_name(bit),
		layer_why(bit, r, why, sizeof(why)));
}

/* ---- the user namespace ---- */

static uint64_t capabilities_effective(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

/* "inside outside count" lines of one's own map become "inside inside count": every id stays what it is. */
static int map_identity(const char *path, char *out, size_t len)
{
	char text[4096];
	size_t used = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int r = n < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	if (r < 0)
		return r;
	text[n] = 0;
	for (char *p = text;;) {
		unsigned long inside = strtoul(p, &p, 10);
		strtoul(p, &p, 10); /* outside */
		unsigned long count = strtoul(p, &p, 10);
		if (count == 0)
			break; /* the end: no line has an empty range */
		int w = snprintf(out + used, len - used, "%lu %lu %lu\n", inside, inside, count);
		if (w < 0 || (size_t)w >= len - used)
			return -E2BIG;
		used += (size_t)w;
	}
	return used > 0 ? 0 : -EINVAL;
}

static int write_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int r = n < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return r;
}

struct maps {
	bool all;
	char uids[4096], gids[4096];
};

static int maps_make(struct maps *m, uint64_t had)
{
	m->all = (had & CAP(SETUID)) && (had & CAP(SETGID));
	if (!m->all) {
		snprintf(m->uids, sizeof(m->uids), "%u %u 1\n", geteuid(), geteuid());
		snprintf(m->gids, sizeof(m->gids), "%u %u 1\n", getegid(), getegid());
		return 0;
	}
	int r = map_identity("/proc/self/uid_map", m->uids, sizeof(m->uids));
	return r < 0 ? r : map_identity("/proc/self/gid_map", m->gids, sizeof(m->gids));
}

static int maps_write(const struct maps *m, pid_t pid)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : 0;

	/* An ordinary user may map his group only after giving up setgroups(): leaving a group can be a gain. */
	if (r == 0 && !m->all)
		r = write_file(dir, "setgroups", "deny");
	if (r == 0)
		r = write_file(dir, "uid_map", m->uids);
	if (r == 0)
		r = write_file(dir, "gid_map", m->gids);
	if (dir >= 0)
		close(dir);
	return r;
}

/* Holds the new namespaces until the one that made it has entered them or died. */
static int holder(void *arg)
{
	int *pipe_fds = arg;
	char c;

	syscall(SYS_close, pipe_fds[1]);
	while (syscall(SYS_read, pipe_fds[0], &c, 1) > 0)
		;
	syscall(SYS_exit, 0);
	return 0;
}

/* The one who writes a map must be in the parent namespace, so a helper is born in the new one and we join it, all at
 * once: when anything is refused, nothing has changed. */
static int user_enter(const struct maps *m, char *error, size_t len)
{
	char *stack = malloc(STACK);
	int pipe_fds[2], pidfd = -1, r = 0;

	if (!stack || pipe2(pipe_fds, O_CLOEXEC) < 0) {
		free(stack);
		return nursery_failed(error, len, -errno, "no pipe: %s", strerror(errno));
	}
	/* The files in /proc of a process that is not dumpable belong to root. */
	int dumpable = prctl(PR_GET_DUMPABLE);
	if (dumpable != 1)
		prctl(PR_SET_DUMPABLE, 1);
	/* The helper shares our memory: no handler of ours may run in it. */
	sigset_t all, old;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	int pid = clone(holder, stack + STACK, CLONE_VM | CLONE_NEWUSER | CLONE_NEWNS | CLONE_PIDFD, pipe_fds, &pidfd);
	if (pid >= 0 && (r = maps_write(m, pid)) < 0)
		nursery_failed(error, len, r, "cannot map ids into the user namespace: %s%s", strerror(-r),
			m->all ? " (mapping id 0 takes CAP_SETFCAP)" : "");
	else if (pid < 0 || setns(pidfd, CLONE_NEWUSER | CLONE_NEWNS) < 0)
		r = nursery_missing(AIRLOCK_LAYER_USER, -errno, error, len);
	if (pidfd >= 0)
		close(pidfd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	if (pid > 0)
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	sigprocmask(SIG_SETMASK, &old, NULL);
	free(stack);
	if (dumpable != 1)
		prctl(PR_SET_DUMPABLE, dumpable == 0 ? 0 : 1);
	return r;
}

/* <sys/mount.h> and <linux/mount.h> of this libc and these headers exclude each other. */
int nursery_private(void)
{
	const unsigned long rec_private = 0x4000 | 1 << 18; /* MS_REC | MS_PRIVATE */

	return syscall(SYS_mount, NULL, "/", NULL, rec_private, NULL) < 0 ? -errno : 0;
}

int nursery_user(bool *mapped_all, char *error, size_t len)
{
	struct maps maps;
	uint64_t had = capabilities_effective();
	int r = maps_make(&maps, had);

	if (r < 0)
		return nursery_failed(error, len, r, "cannot read the id maps in /proc/self: %s", strerror(-r));
	r = user_enter(&maps, error, len);
	if (r < 0)
		return r;
	r = nursery_private();
	if (r == 0)
		r = broker_capabilities(CAPS_BROKER | (had & CAPS_FILES));
	if (r < 0)
		return nursery_failed(error, len, -EIO, "the new user namespace cannot be used: %s", strerror(-r));
	*mapped_all = maps.all;
	return 0;
}
