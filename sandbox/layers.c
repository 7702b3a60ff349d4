/* SPDX-License-Identifier: ISC */
/*
 * The layers, in the order in which a process puts them between itself and the machine, and confine(), which walks the
 * table. Runs in the process that confines itself; only what needs no memory of its own, for it may run between fork and
 * exec, in a program with threads. The probes run in a helper of the host that shares its memory.
 */
#include "sandbox/layers.h"

#include "sandbox/carrier.h"
#include "sandbox/nursery.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* 5.19 */
#endif

/* Whether other threads share our signals and memory: the check of unshare(CLONE_THREAD), which does nothing else. */
bool single_threaded(void)
{
	struct stat st;

	if (unshare(CLONE_THREAD) == 0)
		return true;
	if (errno == EINVAL)
		return false;
	/* A container's filter may refuse unshare. */
	return stat("/proc/self/task", &st) == 0 && st.st_nlink == 3;
}

/* ---- session and namespaces ---- */

static int apply_session(struct confinement *c)
{
	if (setsid() >= 0 || getsid(0) == getpid() || (c->given & AIRLOCK_LAYER_SESSION))
		return 0;
	return -errno;
}

static int probe_session(void)
{
	return setsid() < 0 ? -errno : 0;
}

/* These two cannot be entered from inside; the starter says what it made. */
static int apply_user(struct confinement *c)
{
	return c->given & AIRLOCK_LAYER_USER ? 0 : -EBADF;
}

static int apply_pid(struct confinement *c)
{
	return c->given & AIRLOCK_LAYER_PID ? 0 : -EBADF;
}

static int enter(int fd, int kind)
{
	return setns(fd, kind) < 0 ? -errno : 0;
}

static int apply_network(struct confinement *c)
{
	return enter(c->net, CLONE_NEWNET);
}

static int apply_ipc(struct confinement *c)
{
	return enter(c->ipc, CLONE_NEWIPC);
}

static int apply_uts(struct confinement *c)
{
	return enter(c->uts, CLONE_NEWUTS);
}

static int apply_cgroup(struct confinement *c)
{
	return enter(c->cgroup, CLONE_NEWCGROUP);
}

static int apply_mount(struct confinement *c)
{
	return enter(c->mnt, CLONE_NEWNS);
}

/* Entering the mount namespace made its root ours. That it is the nursery's is checked, not believed: a directory outside
 * of it would be a way out (CVE-2024-21626). */
static int apply_root(struct confinement *c)
{
	struct statfs fs;
	char cwd[64];

	if (!(c->layers & AIRLOCK_LAYER_MOUNT))
		return -EBADF;
	if (chdir("/") < 0 || statfs("/", &fs) < 0)
		return -errno;
	if (fs.f_type != TMPFS_MAGIC || !(fs.f_flags & 1 /* ST_RDONLY */))
		return -ENOTDIR;
	if (syscall(SYS_getcwd, cwd, sizeof(cwd)) < 0)
		return -errno;
	if (strcmp(cwd, "/") != 0)
		return -ENOTDIR;
	return c->cwd && *c->cwd && chdir(c->cwd) < 0 ? -errno : 0;
}

static int probe_unshare(int kind)
{
	return unshare(kind) < 0 ? -errno : 0;
}

static int probe_user(void)
{
	/* The helper was born in one, or probe.c has the error already. */
	return 0;
}

static int probe_pid(void)
{
	return probe_unshare(CLONE_NEWPID);
}

static int probe_network(void)
{
	return probe_unshare(CLONE_NEWNET);
}

static int probe_ipc(void)
{
	return probe_unshare(CLONE_NEWIPC);
}

static int probe_uts(void)
{
	return probe_unshare(CLONE_NEWUTS);
}

static int probe_cgroup(void)
{
	return probe_unshare(CLONE_NEWCGROUP);
}

/* What the next probe may do depends on this one: without a mount namespace of our own nothing is mounted. */
static bool mount_probed;

static int probe_mount(void)
{
	int r = probe_unshare(CLONE_NEWNS);

	mount_probed = r == 0;
	return r;
}

static int probe_root(void)
{
	return mount_probed ? nursery_root_probe() : -EBADF;
}

/* ---- limits ---- */

/* Only ever lowers. */
static int limit(int resource, rlim_t soft, rlim_t hard)
{
	struct rlimit old, new;

	if (getrlimit((__rlimit_resource_t)resource, &old) < 0)
		return -errno;
	new.rlim_max = hard < old.rlim_max ? hard : old.rlim_max;
	new.rlim_cur = soft < new.rlim_max ? soft : new.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &new) < 0 ? -errno : 0;
}

/* Not RLIMIT_NPROC: the kernel counts all processes of the user namespace against it, the broker's threads and every
 * other target included, so the number would not be the target's. The broker counts. RLIMIT_LOCKS is the broker's tag. */
static int apply_limits(struct confinement *c)
{
	static const struct {
		enum policy_limit limit;
		int resource;
	} map[] = {
		{LIMIT_MEMORY, RLIMIT_AS},
		{LIMIT_FILES, RLIMIT_NOFILE},
		{LIMIT_FILE_SIZE, RLIMIT_FSIZE},
	};
	/* A core file would be the kernel writing, where no policy is asked, what the target knows. */
	int r = c->core ? 0 : limit(RLIMIT_CORE, 0, 0);

	for (size_t i = 0; r == 0 && i < sizeof(map) / sizeof(map[0]); i++)
		if (c->limits[map[i].limit] != LIMIT_NONE)
			r = limit(map[i].resource, c->limits[map[i].limit], c->limits[map[i].limit]);
	if (r == 0 && c->limits[LIMIT_CPU] != LIMIT_NONE) {
		/* SIGXCPU, and a second later SIGKILL for those who ignore it. */
		rlim_t seconds = c->limits[LIMIT_CPU] / 1000 + (c->limits[LIMIT_CPU] % 1000 != 0);
		r = limit(RLIMIT_CPU, seconds, seconds + 1);
	}
	/* Each step of these is a quarter more or less for the kernel. Whether it may be more is the kernel's to say. */
	if (r == 0 && c->limits[LIMIT_WEIGHT] != LIMIT_NONE) {
		const uint64_t weight = c->limits[LIMIT_WEIGHT] * 1000;
		uint64_t at = 100000;
		int nice = 0;
		for (; at / 10 * 9 > weight && nice < 19; nice++)
			at = at / 5 * 4;
		for (; at / 9 * 10 < weight && nice > -20; nice--)
			at = at / 4 * 5;
		setpriority(PRIO_PROCESS, 0, nice);
	}
	return r;
}

static int probe_limits(void)
{
	return limit(RLIMIT_CORE, 0, 0);
}

/* ---- privileges ---- */

static int capabilities_read(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};

	return syscall(SYS_capget, &header, data) < 0 ? -errno : 0;
}

static bool capabilities_any(const struct __user_cap_data_struct data[2], uint64_t but)
{
	uint32_t low = (uint32_t)but, high = (uint32_t)(but >> 32);

	return ((data[0].permitted | data[0].effective) & ~low) | ((data[1].permitted | data[1].effective) & ~high) |
	       data[0].inheritable | data[1].inheritable;
}

/* Before the sets are empty: what keeps them so. Both need CAP_SETPCAP; who does not have it had little, and
 * no_new_privs keeps him from more. Who keeps the means to become somebody else must lose them when he does. */
static int capabilities_lock(uint64_t keep)
{
	int fixup = keep ? 0 : SECBIT_NO_SETUID_FIXUP;

	if (prctl(PR_SET_SECUREBITS, SECURE_ALL_LOCKS | SECBIT_NOROOT | fixup | SECBIT_NO_CAP_AMBIENT_RAISE, 0, 0, 0) <
		0)
		return -errno;
	for (int cap = 0; cap < 64; cap++)
		if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return errno == EINVAL ? 0 : -errno; /* past the kernel's last */
	return 0;
}

static int apply_capabilities(struct confinement *c)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0}};
	int r = capabilities_read(data);

	if (r < 0)
		return r;
	/* Capabilities are each thread's own, and another thread's cannot be taken. */
	if (c->in_place && capabilities_any(data, c->capabilities) && !single_threaded())
		return -EUSERS;
	if (data[0].effective & 1u << CAP_SETPCAP) {
		r = capabilities_lock(c->capabilities);
		if (r < 0)
			return r;
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < 2; i++) {
		uint32_t keep = (uint32_t)(c->capabilities >> (32 * i));
		data[i].permitted &= keep;
		data[i].effective &= keep;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return -errno;
	r = capabilities_read(data);
	return r < 0 ? r : capabilities_any(data, c->capabilities) ? -EPERM : 0;
}

static int probe_capabilities(void)
{
	struct confinement c = CONFINEMENT_INIT;

	return apply_capabilities(&c);
}

static int apply_no_new_privs(struct confinement *c)
{
	(void)c;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -EPERM;
}

static int probe_no_new_privs(void)
{
	return apply_no_new_privs(NULL);
}

static int apply_dumpable(struct confinement *c)
{
	/* Before exec this memory is a copy of the broker's, which belongs to the user namespace that the broker was born
	 * in; not dumpable, init could not take the listener out of it. */
	if (prctl(PR_SET_DUMPABLE, c->will_exec, 0, 0, 0) < 0)
		return -errno;
	return c->will_exec;
}

static int probe_dumpable(void)
{
	/* Not set: it belongs to the memory, which is the host's. */
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

/* ---- Landlock and seccomp ---- */

static int apply_landlock(struct confinement *c)
{
	bool all_threads = c->in_place && !single_threaded();
	struct landlock_spec spec = {
		.net = LANDLOCK_NET_BOTH,
		.all_threads = all_threads,
		.scopes = c->scopes,
	};

	if (c->ruleset < 0)
		return landlock_enforce(&spec);
	int r = landlock_restrict_ruleset(c->ruleset, all_threads);
	close(c->ruleset);
	c->ruleset = -1;
	return r;
}

static int probe_landlock(void)
{
	return landlock_restrict(NULL, 0, true, true);
}

/* 0. */
static int filter_load_plain(const struct sock_filter *filter, size_t len, unsigned long flags)
{
	struct sock_fprog program = {(unsigned short)len, (struct sock_filter *)(uintptr_t)filter};

	if (len == 0 || len > BPF_MAXINSNS)
		return -EINVAL;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) < 0 ? -errno : 0;
}

/* The listener. */
static int filter_load(const struct sock_filter *filter, size_t len, unsigned long flags)
{
	struct sock_fprog program = {(unsigned short)len, (struct sock_filter *)(uintptr_t)filter};

	if (len == 0 || len > BPF_MAXINSNS)
		return -EINVAL;
	flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	/* A signal between a request and its answer would otherwise leave what the broker did without an owner. */
	long fd = syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
	if (fd < 0 && errno == EINVAL)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	return fd < 0 ? -errno : (int)fd;
}

/* Whether the broker compiled it for the second carrier, having found somebody else's listener above itself. */
static bool filter_traps(const struct sock_filter *filter, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (filter[i].code == (BPF_RET | BPF_K) && (filter[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRAP)
			return true;
	return false;
}

static int apply_seccomp(struct confinement *c)
{
	const unsigned long threads = c->in_place ? SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH : 0;
	bool traps = filter_traps(c->filter, c->filter_len);

	/* The handler would be lost. */
	if (traps && c->will_exec)
		return -EBUSY;
	if (traps) {
		int r = carrier_begin(&c->listener);
		if (r < 0)
			return r;
		carrier_fit((struct sock_filter *)(uintptr_t)c->filter, c->filter_len);
	}
	if (c->before_filter) {
		int lowest = fcntl(0, F_DUPFD_CLOEXEC, 0);
		if (lowest < 0)
			lowest = open("/", O_PATH | O_CLOEXEC);
		if (lowest >= 0)
			close(lowest);
		c->before_filter(c->arg, traps ? c->listener : lowest);
	}
	if (traps)
		return filter_load_plain(c->filter, c->filter_len, threads);
	int fd = filter_load(c->filter, c->filter_len, threads);
	if (fd < 0)
		return fd;
	c->listener = fd;
	return 0;
}

/* With somebody else's listener above, there is a filter nevertheless. What was found is remembered for the next probe: a
 * process can have one only. */
static int listener_probed;

static int probe_seccomp(void)
{
	static const struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	int fd = filter_load(allow, 1, 0);

	listener_probed = fd < 0 ? fd : 0;
	return fd == -EBUSY ? filter_load_plain(allow, 1, 0) : listener_probed;
}

/* Nothing to do: which carrier it is was settled with the filter. */
static int apply_listener(struct confinement *c)
{
	return carrier_used() || !(c->layers & AIRLOCK_LAYER_SECCOMP);
}

static int probe_listener(void)
{
	return listener_probed;
}

/* The broker's business, and found out by probe.c. */
static int apply_delegation(struct confinement *c)
{
	(void)c;
	return 1;
}

static int probe_delegation(void)
{
	return 0;
}

/* ---- the table ---- */

/* The order matters: namespaces while there are capabilities; the checks of the root before Landlock; no_new_privs before
 * seccomp, which needs it; seccomp last, since it forbids all of the above. */
const struct layer layers_table[] = {
	{AIRLOCK_LAYER_SESSION, "session", false, apply_session, probe_session},
	{AIRLOCK_LAYER_USER, "user", false, apply_user, probe_user},
	{AIRLOCK_LAYER_PID, "pid", false, apply_pid, probe_pid},
	{AIRLOCK_LAYER_NETWORK, "network", false, apply_network, probe_network},
	{AIRLOCK_LAYER_IPC, "ipc", false, apply_ipc, probe_ipc},
	{AIRLOCK_LAYER_UTS, "uts", false, apply_uts, probe_uts},
	{AIRLOCK_LAYER_CGROUP, "cgroup", false, apply_cgroup, probe_cgroup},
	{AIRLOCK_LAYER_MOUNT, "mount", false, apply_mount, probe_mount},
	{AIRLOCK_LAYER_ROOT, "root", false, apply_root, probe_root},
	{AIRLOCK_LAYER_LIMITS, "limits", true, apply_limits, probe_limits},
	{AIRLOCK_LAYER_CAPABILITIES, "capabilities", true, apply_capabilities, probe_capabilities},
	{AIRLOCK_LAYER_NO_NEW_PRIVS, "no_new_privs", true, apply_no_new_privs, probe_no_new_privs},
	{AIRLOCK_LAYER_DUMPABLE, "dumpable", false, apply_dumpable, probe_dumpable},
	{AIRLOCK_LAYER_LANDLOCK, "landlock", true, apply_landlock, probe_landlock},
	{AIRLOCK_LAYER_SECCOMP, "seccomp", true, apply_seccomp, probe_seccomp},
	{AIRLOCK_LAYER_LISTENER, "listener", true, apply_listener, probe_listener},
	{AIRLOCK_LAYER_DELEGATION, "delegation", false, apply_delegation, probe_delegation},
};
const size_t layers_count = sizeof(layers_table) / sizeof(layers_table[0]);
_Static_assert(sizeof(layers_table) / sizeof(layers_table[0]) == 17, "a row for each bit of enum airlock_layer");

static void spaces_close(struct confinement *c)
{
	int *const fds[] = {&c->net, &c->ipc, &c->uts, &c->cgroup, &c->mnt};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

int confine(struct confinement *c)
{
	c->layers = 0;
	c->listener = -1;
	c->error[0] = 0;
	for (size_t i = 0; i < layers_count; i++) {
		const struct layer *layer = &layers_table[i];
		char why[200];

		if (c->in_place && !layer->in_place)
			continue;
		/* Nothing may be closed any more once the filter is there. */
		if (layer->bit == AIRLOCK_LAYER_LANDLOCK)
			spaces_close(c);
		int r = layer->apply(c);
		if (r == 0)
			c->layers |= layer->bit;
		if (r >= 0 || (c->tolerate & layer->bit))
			continue;
		snprintf(c->error, sizeof(c->error), "the layer %s is missing: %s", layer->name,
			layer_why(layer->bit, r, why, sizeof(why)));
		spaces_close(c);
		return r;
	}
	return 0;
}
