/* SPDX-License-Identifier: ISC */
/* Owns confining the calling process: airlock_enter(), and the first of airlock_pledge() and airlock_unveil(). A broker is
 * started beside it; no namespaces, since a running process cannot be moved into one without changing what it is. Runs in
 * the application. */
#include "sandbox/sandbox.h"

#include "broker/broker.h"
#include "policy/filter.h"
#include "policy/promises.h"
#include "sandbox/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#ifndef SYS_mseal
#define SYS_mseal 462 /* Linux 6.10 */
#endif

#ifndef PROC_SUPER_MAGIC
#define PROC_SUPER_MAGIC 0x9fa0
#endif

/* ---- the address of libc's "" ---- */
/*
 * glibc 2.33 to 2.38 ask newfstatat(fd, "", AT_EMPTY_PATH) for each stdio stream. A filter cannot read "", but it can
 * compare its address; and where that page is sealed (mseal, Linux 6.10) nobody can put other bytes there. The address is
 * found by asking libc once, in a child with a filter that traps the call.
 */
static uint64_t probed;

static void probe_trapped(int signal, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	(void)signal;
	(void)info;
#if defined(__x86_64__)
	probed = (uint64_t)u->uc_mcontext.gregs[REG_RSI];
#elif defined(__aarch64__)
	probed = u->uc_mcontext.regs[1];
#endif
	_exit(0);
}

static int probe_child(void *arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_newfstatat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	struct sigaction action = {.sa_sigaction = probe_trapped, .sa_flags = SA_SIGINFO};
	struct stat st;
	sigset_t set;
	(void)arg;
	/* Memory is shared with the parent, signal handlers and filters are not (no CLONE_SIGHAND). */
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	sigaction(SIGSYS, &action, NULL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
		fstat(0, &st);
	_exit(0);
}

static uint64_t empty_string_seal(void)
{
	static const size_t size = 65536;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED)
		return 0;
	probed = 0;
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t pid = clone(probe_child, stack + size, CLONE_VM | CLONE_VFORK, NULL);
	if (pid > 0)
		while (syscall(SYS_wait4, pid, NULL, 0x80000000 /* __WCLONE */, NULL) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	munmap(stack, size);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	/* Without the seal another thread could put a path there: then the broker answers, slowly. */
	if (!probed || *(const char *)(uintptr_t)probed ||
		syscall(SYS_mseal, (void *)(uintptr_t)(probed & ~(page - 1)), page, 0) < 0)
		return 0;
	return probed;
}

/* ---- entering ---- */

/* With the promise proc its signals go where they always went. */
static unsigned signal_scopes(const struct policy *p)
{
	return p->promises & PROMISE_BIT(proc) ? LANDLOCK_SCOPE_ABSTRACT : LANDLOCK_SCOPE_BOTH;
}

/* In a chroot there may be none: root has one of his own then. Without, what needs a path of a descriptor (relative paths,
 * but from the root; attributes) is refused. */
static int procfs_open(void)
{
	int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;
	if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC)
		return fd;
	if (fd >= 0)
		close(fd);
	int context = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
	int mount = -1;
	if (context >= 0 && syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
			MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (context >= 0)
		close(context);
	fd = mount < 0 ? -1 : openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount >= 0)
		close(mount);
	return fd;
}

/* Enters the Landlock domain that the broker will run in, before it is born: a process under Landlock can look only into
 * those nested in its own domain, and what confines us later nests. *ruleset is that of what may be executed, or -1. */
static int broker_domain(const struct policy *p, int proc, int *ruleset)
{
	struct broker b = {
		.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), .proc = proc, .log = -1, .in_place = true};
	struct landlock_extra extra = {.count = 0};
	int r = policy_copy(&b.policy, p);
	bool executes = policy_executes(p);
	if (r == 0 && executes)
		loader_rules(&b.policy);
	if (r == 0)
		r = broker_anchors_open(&b, false);
	if (r == 0 && executes) {
		extra_interpreters(&extra);
		r = *ruleset = broker_target_ruleset(&b, signal_scopes(p), extra.rules, extra.count);
		extra_libraries(&extra);
	}
	if (r >= 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		extra_image(&extra, image_fd());
		int tty = lines_taken(STDERR_FILENO) ? -1 : open("/dev/tty", O_PATH | O_CLOEXEC);
		if (tty >= 0)
			extra_descriptor(&extra, tty, PERM_W);
		if (tty >= 0)
			close(tty);
		r = broker_landlock(&b, extra.rules, extra.count);
		extra_close(&extra);
		broker_anchors_close(&b);
	}
	policy_clear(&b.policy);
	if (b.root >= 0)
		close(b.root);
	return r;
}

/* The controlling terminal, which the broker cannot find later: it has a session of its own. 0: none. */
static int terminal_open(void)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int high = fd < 0 ? 0 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0)
		close(fd);
	return high < 0 ? 0 : high;
}

#define FILTER_ROOM 8192 /* instructions */

/* *fd is its descriptor, or a negative errno. */
static struct setup *setup_memory(int *fd, size_t *len)
{
	*len = sizeof(struct setup) + FILTER_ROOM * sizeof(struct sock_filter);
	*fd = ipc_memfd("airlock-setup", NULL, *len, false);
	void *memory = NULL;
	int r = *fd < 0 ? *fd : ipc_map(*fd, *len, true, &memory);
	if (r < 0) {
		if (*fd >= 0)
			close(*fd);
		*fd = fail(r, "no shared memory: %s", strerror(-r));
	}
	return memory;
}

/* What root's capabilities are for that a promise names; the rest is given up. */
static uint64_t capabilities_of(uint64_t promises)
{
	static const struct {
		uint64_t promise, capabilities;
	} map[] = {
		{PROMISE_BIT(id),
			UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETGID | UINT64_C(1) << CAP_SYS_RESOURCE},
		{PROMISE_BIT(proc), UINT64_C(1) << CAP_KILL | UINT64_C(1) << CAP_SYS_NICE},
		{PROMISE_BIT(settime), UINT64_C(1) << CAP_SYS_TIME},
		{PROMISE_BIT(wroute), UINT64_C(1) << CAP_NET_ADMIN},
	};
	uint64_t keep = 0;
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (promises & map[i].promise)
			keep |= map[i].capabilities;
	return keep;
}

/* From here on nothing can be taken back: a failure leaves the process confined, with nobody to ask. */
static int confine_self(struct setup *s, const struct policy *p, unsigned tolerate, int ruleset)
{
	struct confinement c = {.tolerate = tolerate,
		.in_place = true,
		.core = p->abort,
		.capabilities = capabilities_of(p->promises),
		.scopes = signal_scopes(p),
		.net = -1,
		.ipc = -1,
		.uts = -1,
		.cgroup = -1,
		.mnt = -1,
		.ruleset = ruleset,
		.filter = s->filter,
		.filter_len = s->filter_len,
		.listener = -1};
	memcpy(c.limits, p->limits, sizeof(c.limits));
	int r = confine(&c);
	if (r < 0) {
		atomic_store(&s->state, SETUP_FAILED);
		syscall(SYS_futex, &s->state, FUTEX_WAKE, 16, NULL, NULL, 0);
		return fail(r, "%s", c.error);
	}
	s->listener = c.listener;
	atomic_store(&s->state, SETUP_CONFINED);
	syscall(SYS_futex, &s->state, FUTEX_WAKE, 16, NULL, NULL, 0);
	for (int i = 0; i < 500 && atomic_load(&s->state) == SETUP_CONFINED; i++) {
		struct timespec slice = {0, 10000000};
		syscall(SYS_futex, &s->state, FUTEX_WAIT, SETUP_CONFINED, &slice, NULL, 0);
	}
	close(c.listener);
	if (atomic_load(&s->state) != SETUP_SERVED)
		return fail(-ECHILD, "the broker does not answer; is this process readable for it (yama, dumpable)?");
	return (int)c.layers;
}

#define FILE_SIZE_NEEDED (1 << 20) /* memory that is passed counts as files */

static const int lifted[] = {RLIMIT_NOFILE, RLIMIT_FSIZE};
#define LIFTED (sizeof(lifted) / sizeof(lifted[0]))

static void limits_restore(const struct rlimit old[LIFTED])
{
	for (size_t i = 0; i < LIFTED; i++)
		setrlimit((__rlimit_resource_t)lifted[i], &old[i]);
}

/* A daemon may have allowed itself little before it gives up the rest. */
static int limits_lift(struct rlimit old[LIFTED])
{
	for (size_t i = 0; i < LIFTED; i++) {
		if (getrlimit((__rlimit_resource_t)lifted[i], &old[i]) < 0)
			old[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
		const struct rlimit most = {old[i].rlim_max, old[i].rlim_max};
		setrlimit((__rlimit_resource_t)lifted[i], &most);
	}
	/* Else a signal would say so. */
	if (old[1].rlim_max >= FILE_SIZE_NEEDED)
		return 0;
	limits_restore(old);
	return fail(-EFBIG, "RLIMIT_FSIZE leaves no room for the memory that a broker is told by");
}

int in_place_enter(const struct airlock_policy *policy, unsigned tolerate, bool narrowable)
{
	size_t len = 0;
	struct rlimit limits[LIFTED];
	struct broker_handle *h = NULL;
	if (syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_QUERY, AIRLOCK_QUERY_FLAGS) >= 0)
		return fail(-EPERM, "this process is confined already; airlock_pledge() narrows");
	bool domain = single_threaded() && landlock_abi() > 0;
	if (!domain && !(tolerate & AIRLOCK_LAYER_LANDLOCK))
		return fail(-EOPNOTSUPP,
			"the layer landlock cannot be applied to a process with threads by this kernel; "
			"enter before threads start, or tolerate it");
	int ruleset = -1;
	struct broker_birth birth = {.policy = policy, .in_place = true, .narrowable = narrowable, .program = -1};
	int r = limits_lift(limits);
	if (r < 0)
		return r;
	image_remember(0, NULL);
	struct setup *s = setup_memory(&birth.setup, &len);
	if (!s) {
		limits_restore(limits);
		return birth.setup;
	}
	birth.empty_string = empty_string_seal();
	birth.proc = procfs_open();
	/* Before the Landlock domain. */
	if (policy->p.promises & PROMISE_BIT(tty))
		birth.terminal = terminal_open();
	s->umask = umask_now();
	s->pid = getpid();
	r = domain ? broker_domain(&policy->p, birth.proc, &ruleset) : 0;
	if (r < 0)
		fail(r, "cannot enter the broker's Landlock domain: %s", strerror(-r));
	if (r == 0)
		r = broker_spawn(&h, &birth);
	/* Who has dropped his uid is not dumpable, and nobody may look into him: his broker must. */
	if (r == 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	/* Under yama's ptrace_scope 1 only ancestors may look into a process, and our broker is none. */
	if (r == 0)
		prctl(PR_SET_PTRACER, h->pid, 0, 0, 0);
	limits_restore(limits);
	if (r == 0)
		r = confine_self(s, &policy->p, tolerate, ruleset);
	else if (ruleset >= 0)
		close(ruleset);
	if (r > 0) {
		fail(0, "%s", h->note);
		image_forget();
	}
	if (birth.proc >= 0)
		close(birth.proc);
	if (birth.terminal > 0)
		close(birth.terminal);
	close(birth.setup);
	/* Who has promised nothing may not even give memory back. */
	if (r > 0 && h && !(policy->p.promises & PROMISE_BIT(stdio))) {
		close(h->control);
		return r;
	}
	broker_handle_free(h);
	munmap(s, len);
	return r;
}

PUBLIC int airlock_enter(const struct airlock_policy *policy)
{
	if (policy->ask)
		return fail(-EINVAL,
			"a process that confines itself leaves nobody to be asked: airlock_policy_ask() is for "
			"targets");
	return in_place_enter(policy, policy->p.tolerate, false);
}
