/* SPDX-License-Identifier: ISC */
/* What the tests of the layers share: children that run a test and may be confined by it, and how they look at themselves. */
#ifndef AIRLOCK_TESTS_LAYERS_CHILD_H
#define AIRLOCK_TESTS_LAYERS_CHILD_H

#include "sandbox/layers.h"
#include "sandbox/nursery.h"
#include "tests/tap.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534

#define TRUE(what) check(what, #what, "line %d, errno %s", __LINE__, strerror(errno))
/* The call fails, with this errno. */
#define FAILS(call, error)                                                                                             \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		long got = (long)(call);                                                                               \
		int e = errno;                                                                                         \
		check(got == -1 && e == (error), #call ": " #error, "line %d: %ld, %s", __LINE__, got, strerror(e));   \
	} while (0)

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static inline void join(pid_t pid, const char *name)
{
	int status = -1;

	waitpid(pid, &status, __WALL);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, name, "status 0x%x", status);
}

static inline void in_child(const char *name, void (*run)(void), bool drop)
{
	pid_t pid = fork();

	if (pid == 0) {
		tap_failed = 0;
		tap_prefix = drop || getuid() ? "user: " : "root: ";
		if (drop && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
				    setresuid(NOBODY, NOBODY, NOBODY) < 0))
			_exit(99);
		run();
		_exit(tap_failed ? 1 : 0);
	}
	join(pid, name);
}

struct test {
	const char *name;
	void (*run)(void);
};

/* Each as root, if this is root, and as an ordinary user. */
static inline void tests_run(const struct test *tests, size_t count)
{
	bool root = getuid() == 0;

	for (size_t i = 0; i < count; i++) {
		if (root)
			in_child(tests[i].name, tests[i].run, false);
		else
			dprintf(tap_fd, "skip root: %s: not root\n", tests[i].name);
		in_child(tests[i].name, tests[i].run, root);
	}
}

static inline bool capabilities_none(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &header, d) < 0)
		return false;
	return !(d[0].effective | d[0].permitted | d[0].inheritable | d[1].effective | d[1].permitted |
		 d[1].inheritable);
}

static inline bool bounding_none(void)
{
	for (int cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			return false;
	return true;
}

/* Lets all pass but getppid, which gets an errno that it never has. */
static const struct sock_filter mark[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENODATA),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

/* Of a target in this nursery, under the filter above. */
static inline struct confinement confinement_in(const struct nursery *n)
{
	struct confinement c = CONFINEMENT_INIT;

	c.net = n->net;
	c.ipc = n->ipc;
	c.uts = n->uts;
	c.cgroup = n->cgroup;
	c.mnt = n->mnt;
	c.filter = mark;
	c.filter_len = sizeof(mark) / sizeof(mark[0]);
	return c;
}

static inline void *thread(void *arg)
{
	pause();
	return arg;
}
#endif
