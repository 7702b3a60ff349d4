/* SPDX-License-Identifier: ISC */
/*
 * Owns giving up rights from inside: airlock_pledge() and airlock_unveil(), and pledge(2) and unveil(2) as OpenBSD's programs
 * call them. What a process still has is known by its broker alone, through forks and execs; this file asks and tells, by
 * the number of a call that no kernel has. Runs in the process that narrows itself: the application in place, or a target.
 */
#include "sandbox/sandbox.h"

#include "policy/filter.h"
#include "policy/promises.h"
#include "sandbox/carrier.h"
#include "sandbox/openbsd.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define PATH_COMPAT 1024 /* MAXPATHLEN of OpenBSD, with its NUL */

static int64_t query(unsigned what)
{
	return syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_QUERY, what, 0, 0);
}

/* ---- the first of either: the process gets a broker ---- */

/* Two threads may be the first at once; then one of them waits (futex(2) is allowed under every set of promises). A child that
 * is forked meanwhile has no other thread. */
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static _Atomic pid_t one_of;

static void one_at_a_time(void)
{
	pid_t now = getpid(), was = atomic_load(&one_of);
	if (was != now && atomic_compare_exchange_strong(&one_of, &was, now) && was)
		pthread_mutex_init(&one, NULL);
	pthread_mutex_lock(&one);
}

static int begin(uint64_t promises, bool pledged, const uint64_t *exec_promises, bool aborts)
{
	struct airlock_policy policy = {.log = -1};
	policy_init(&policy.p);
	policy.p.promises = promises;
	policy.p.pledged = pledged;
	policy.p.exec_given = exec_promises != NULL;
	policy.p.exec_promises = exec_promises ? *exec_promises : 0;
	policy.p.everything = true;
	policy.p.any_address = true;
	policy.p.abort = aborts;
	int r = in_place_enter(&policy, AIRLOCK_LAYERS_ALL & ~(unsigned)AIRLOCK_LAYER_SECCOMP, true);
	if (r < 0 || promises & PROMISE_BIT(stdio))
		policy_clear(&policy.p);
	return r < 0 ? r : 0;
}

/* ---- a second filter, for what never reaches the broker ---- */

static int filter_make(uint64_t promises, int64_t flags, struct sock_filter **code, size_t *len)
{
	const int64_t below = query(AIRLOCK_QUERY_BELOW);
	const struct filter_spec spec = {.promises = promises,
		.below = below > 0 ? (uint64_t)below : 0,
		.loading = promises & PROMISE_BIT(exec),
		.direct = flags & AIRLOCK_HAS_DIRECT,
		.tells = (flags & AIRLOCK_HAS_ABORT) && !carrier_used(),
		.trap = carrier_used()};
	int r = filter_compile(&spec, code, len);
	if (r == 0)
		carrier_fit(*code, *len);
	return r < 0 ? fail(r, "cannot compile the filter: %s", strerror(-r)) : 0;
}

static int filter_load(struct sock_filter *code, size_t len)
{
	const struct sock_fprog program = {(unsigned short)len, code};
	long n = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
	/* A positive number names a thread that has a filter of its own. */
	int r = n == 0 ? 0 : n < 0 ? -errno : -ESRCH;
	return r < 0 ? fail(r, "cannot load the narrower filter: %s", strerror(-r)) : 0;
}

static int narrow(int64_t flags, unsigned parts, uint64_t promises, uint64_t exec_promises)
{
	uint64_t now = (uint64_t)query(AIRLOCK_QUERY_PROMISES);
	uint64_t left = parts & NARROW_PROMISES ? promises & now : now;
	uint64_t unseen = flags & AIRLOCK_HAS_NARROWABLE ? PROMISE_BIT(stdio) : ~UINT64_C(0);
	struct sock_filter *code = NULL;
	size_t len = 0;
	/* Made before anything is given up: libseccomp needs memory. */
	flags |= parts & AIRLOCK_PLEDGE_ABORTS ? AIRLOCK_HAS_ABORT : 0;
	int r = (now & ~left & unseen) ? filter_make(left, flags, &code, &len) : 0;
	if (r == 0 && syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_PLEDGE, parts, promises, exec_promises) < 0)
		r = fail(-errno, errno == EPERM ? "the promises cannot be widened" : "the broker refused to narrow");
	if (r == 0 && code && (flags & AIRLOCK_HAS_ABORT) && !carrier_used())
		tell_begin();
	if (r == 0 && code && !(left & PROMISE_BIT(stdio)))
		serve_narrowed();
	if (r == 0 && code)
		r = filter_load(code, len);
	/* Without stdio free() may call what is a violation by now. */
	if (code && (r < 0 || left & PROMISE_BIT(stdio)))
		free(code);
	return r;
}

/* NULL: unchanged. Both sets have been read before either takes effect. */
static int apply(const uint64_t *promises, const uint64_t *exec_promises, bool aborts)
{
	if (!promises && !exec_promises)
		return 0;
	one_at_a_time();
	int64_t flags = query(AIRLOCK_QUERY_FLAGS);
	unsigned parts = (promises ? NARROW_PROMISES : 0u) | (exec_promises ? NARROW_EXEC : 0u) |
			 (aborts ? AIRLOCK_PLEDGE_ABORTS : 0u);
	int r = flags < 0 ? begin(promises ? *promises : PROMISES_ALL, promises != NULL, exec_promises, aborts)
			  : narrow(flags, parts, promises ? *promises : 0, exec_promises ? *exec_promises : 0);
	pthread_mutex_unlock(&one);
	return r;
}

PUBLIC int airlock_pledge(const char *promises, const char *exec_promises)
{
	uint64_t set = 0, exec_set = 0;
	const char *bad = NULL;
	int r = promises ? promises_parse(promises, &set, &bad) : 0;
	if (r == 0 && exec_promises)
		r = promises_parse(exec_promises, &exec_set, &bad);
	if (r < 0)
		return fail(r, bad ? "unknown promise '%.*s'" : "the promises are too long",
			bad ? (int)strcspn(bad, " ") : 0, bad ? bad : "");
	return apply(promises ? &set : NULL, exec_promises ? &exec_set : NULL, false);
}

/* ---- unveil ---- */

/* The paths are read by the broker: a bad pointer is its EFAULT. */
static int veil(const char *path, const char *permissions, bool compat)
{
	int r = 0;
	one_at_a_time();
	if (query(AIRLOCK_QUERY_FLAGS) < 0)
		r = begin(PROMISES_ALL, false, NULL, compat);
	pthread_mutex_unlock(&one);
	if (r == 0 && syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_UNVEIL, path, permissions, compat) < 0)
		r = fail(-errno, "unveil: %s",
			errno == EPERM        ? "it was ended by unveil(NULL, NULL)"
			: errno == EOPNOTSUPP ? "direct trees cannot be narrowed: the kernel would go on "
						"showing them"
					      : strerror(errno));
	return r;
}

PUBLIC int airlock_unveil(const char *path, const char *permissions)
{
	if (!path != !permissions)
		return fail(-EFAULT, "unveil needs a path and permissions, or neither");
	return veil(path, permissions, false);
}

/* ---- as OpenBSD's programs call them ---- */

/* Whether the 8 bytes that address lies in can be read: the kernel copies the set before it looks at `how`, which is none.
 * Allowed under every set of promises, and without a side effect. */
static bool readable(const char *address)
{
	const void *word = (const void *)((uintptr_t)address & ~(uintptr_t)7);
	return word && (syscall(SYS_rt_sigprocmask, -1, word, NULL, 8) == 0 || errno != EFAULT);
}

/* The length of a string that may lie anywhere; at most max bytes with the NUL. */
static ssize_t length(const char *text, size_t max)
{
	for (size_t i = 0; i < max; i++) {
		if ((i == 0 || ((uintptr_t)(text + i) & 7) == 0) && !readable(text + i))
			return -EFAULT;
		if (!text[i])
			return (ssize_t)i;
	}
	return -ENAMETOOLONG;
}

static int read_promises(const char *text, uint64_t *set)
{
	ssize_t n = text ? length(text, PATH_COMPAT) : 0;
	return n < 0 ? (int)n : text ? promises_parse(text, set, NULL) : 0;
}

static int as_openbsd(int r)
{
	if (r < 0)
		errno = -r;
	return r < 0 ? -1 : 0;
}

PUBLIC int pledge(const char *promises, const char *execpromises)
{
	uint64_t set = 0, exec_set = 0;
	int saved = errno, r = read_promises(promises, &set);
	if (r == 0)
		r = read_promises(execpromises, &exec_set);
	if (r == 0)
		r = apply(promises ? &set : NULL, execpromises ? &exec_set : NULL, true);
	errno = saved;
	return as_openbsd(r);
}

/* What is wrong with the strings is found before a process that has no broker yet is confined for them. */
PUBLIC int unveil(const char *path, const char *permissions)
{
	int saved = errno;
	ssize_t n = 0;
	if (path || permissions) {
		n = length(permissions, 5);
		if (n >= 0)
			n = length(path, PATH_COMPAT);
		if (n == 0)
			n = -EINVAL;
	}
	int r = n < 0 ? (int)n : veil(path, permissions, true);
	errno = saved;
	return as_openbsd(r);
}
