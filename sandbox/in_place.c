/* SPDX-License-Identifier: ISC */
/* Owns confining the calling process: airlock_enter(), airlock_pledge(), airlock_unveil(). A broker is started beside it;
 * no namespaces, since a running process cannot be moved into one without changing what it is. Runs in the application. */
#include "sandbox/sandbox.h"

#include "broker/broker.h"
#include "policy/filter.h"
#include "policy/promises.h"
#include "sandbox/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#ifndef SYS_mseal
#define SYS_mseal 462 /* Linux 6.10 */
#endif

/* What this process has given up, as it knows it; the truth is in its broker. */
static struct {
	bool entered, locked;
	uint64_t promises, exec_promises;
	bool exec_given;
	struct policy pending; /* unveils before the lock */
	bool pending_used;
} self;

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

static bool single_threaded(void)
{
	struct stat st;
	/* One entry a thread, beside "." and "..". */
	return stat("/proc/self/task", &st) == 0 && st.st_nlink == 3;
}

/* With the promise proc its signals go where they always went. */
static unsigned signal_scopes(const struct policy *p)
{
	return p->promises & PROMISE_BIT(proc) ? LANDLOCK_SCOPE_ABSTRACT : LANDLOCK_SCOPE_BOTH;
}

/* Enters the Landlock domain that the broker will run in, before it is born: a process under Landlock can look only into
 * those nested in its own domain, and what confines us later nests. *ruleset is that of what may be executed, or -1. */
static int broker_domain(const struct policy *p, int *ruleset)
{
	struct broker b = {.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.log = -1,
		.in_place = true};
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
		r = broker_landlock(&b, extra.rules, extra.count);
		extra_close(&extra);
		broker_anchors_close(&b);
	}
	policy_clear(&b.policy);
	if (b.root >= 0)
		close(b.root);
	if (b.proc >= 0)
		close(b.proc);
	return r;
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

/* From here on nothing can be taken back: a failure leaves the process confined, with nobody to ask. */
static int confine_self(struct setup *s, const struct policy *p, unsigned tolerate, int ruleset)
{
	struct confinement c = {.tolerate = tolerate,
		.in_place = true,
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

static int enter(const struct airlock_policy *policy, unsigned tolerate)
{
	size_t len = 0;
	struct broker_handle *h = NULL;
	if (self.entered)
		return fail(-EPERM, "this process is confined already; airlock_pledge() narrows");
	bool domain = single_threaded() && landlock_abi() > 0;
	if (!domain && !(tolerate & AIRLOCK_LAYER_LANDLOCK))
		return fail(-EOPNOTSUPP,
			"the layer landlock cannot be applied to a process with threads by this kernel; "
			"enter before threads start, or tolerate it");
	int ruleset = -1;
	struct broker_birth birth = {.policy = policy, .in_place = true, .program = -1};
	image_remember(0, NULL);
	struct setup *s = setup_memory(&birth.setup, &len);
	if (!s)
		return birth.setup;
	birth.empty_string = empty_string_seal();
	s->umask = umask_now();
	int r = domain ? broker_domain(&policy->p, &ruleset) : 0;
	if (r < 0)
		fail(r, "cannot enter the broker's Landlock domain: %s", strerror(-r));
	if (r == 0)
		r = broker_spawn(&h, &birth);
	/* Under yama's ptrace_scope 1 only ancestors may look into a process, and our broker is none. */
	if (r == 0)
		prctl(PR_SET_PTRACER, h->pid, 0, 0, 0);
	if (r == 0)
		r = confine_self(s, &policy->p, tolerate, ruleset);
	else if (ruleset >= 0)
		close(ruleset);
	if (r > 0)
		fail(0, "%s", h->note);
	broker_handle_free(h);
	close(birth.setup);
	munmap(s, len);
	if (r > 0) {
		self.entered = true;
		self.promises = policy->p.promises;
		self.exec_promises = policy->p.exec_promises;
		self.exec_given = policy->p.exec_given;
		self.locked = !policy->p.everything;
	}
	return r;
}

PUBLIC int airlock_enter(const struct airlock_policy *policy)
{
	return enter(policy, policy->p.tolerate);
}

/* ---- narrowing ---- */

static int narrow_in_broker(const struct policy *asked, unsigned parts)
{
	char *text;
	int r = policy_format(asked, airlock_layer_name, &text);
	if (r < 0)
		return fail(r, "out of memory");
	r = syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_NARROW, text, strlen(text), parts) < 0 ? -errno : 0;
	free(text);
	if (r == -EOPNOTSUPP)
		return fail(r, "direct trees cannot be narrowed: the kernel would go on showing them");
	return r < 0 ? fail(r, "the broker refused to narrow: %s", strerror(-r)) : 0;
}

/* What the broker cannot narrow, calls that never reach it, a second filter does; all threads at once. */
static int narrow_filter(uint64_t promises)
{
	struct filter_spec spec = {.promises = promises,
		.base = false,
		.loading = promises & PROMISE_BIT(exec),
		.direct = syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_QUERY, 0, 0, 0) == 1};
	struct sock_filter *code;
	size_t len;
	int r = filter_compile(&spec, &code, &len);
	if (r < 0)
		return fail(r, "cannot compile the filter");
	struct sock_fprog program = {(unsigned short)len, code};
	long n = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
	r = n == 0 ? 0 : n < 0 ? -errno : -ESRCH; /* a positive number names a thread that diverged */
	free(code);
	return r < 0 ? fail(r, "cannot load the narrower filter: %s", strerror(-r)) : 0;
}

static int pledge_first(uint64_t promises, bool exec_given, uint64_t exec_promises)
{
	struct airlock_policy policy = {.log = -1};
	policy_init(&policy.p);
	policy.p.promises = promises;
	policy.p.exec_given = exec_given;
	policy.p.exec_promises = exec_promises;
	policy.p.everything = !self.pending_used;
	policy.p.any_address = true;
	int r = self.pending_used ? policy_copy(&policy.p, &self.pending) : 0;
	policy.p.promises = promises;
	if (r == 0)
		r = enter(&policy, AIRLOCK_LAYERS_ALL & ~(unsigned)AIRLOCK_LAYER_SECCOMP);
	policy_clear(&policy.p);
	return r < 0 ? r : 0;
}

/* Rules asked for before the lock take effect together with it. */
static int unveils_apply(void)
{
	if (!self.pending_used)
		return 0;
	int r = narrow_in_broker(&self.pending, NARROW_UNVEILS | NARROW_LOCK);
	if (r == 0) {
		policy_clear(&self.pending);
		self.pending_used = false;
		self.locked = true;
	}
	return r;
}

static int narrow_promises(const struct policy *asked, unsigned parts)
{
	int r = 0;
	if ((parts & NARROW_PROMISES) && (self.promises & PROMISE_BIT(unveil)) &&
		!(asked->promises & PROMISE_BIT(unveil)))
		r = unveils_apply();
	/* libseccomp needs what is about to go: the filter is built and loaded before the broker narrows. */
	if (r == 0 && (parts & NARROW_PROMISES))
		r = narrow_filter(asked->promises);
	return r == 0 && parts ? narrow_in_broker(asked, parts) : r;
}

PUBLIC int airlock_pledge(const char *promises, const char *exec_promises)
{
	uint64_t set = self.promises, exec_set = self.exec_promises;
	const char *bad = NULL;
	int r = promises ? promises_parse(promises, &set, &bad) : 0;
	if (r == 0 && exec_promises)
		r = promises_parse(exec_promises, &exec_set, &bad);
	if (r < 0)
		return fail(r, bad ? "unknown promise '%.*s'" : "the promises are too long",
			bad ? (int)strcspn(bad, " ") : 0, bad ? bad : "");
	if (exec_promises && self.exec_given && (exec_set & ~self.exec_promises))
		return fail(-EPERM, "the exec promises cannot be widened");
	if (promises && self.entered && (set & ~self.promises))
		return fail(-EPERM, "the promises cannot be widened");
	if (promises && !self.entered) {
		r = pledge_first(set, exec_promises || self.exec_given, exec_set);
	} else if (self.entered) {
		struct policy asked;
		policy_init(&asked);
		asked.promises = set;
		asked.exec_promises = exec_set;
		asked.exec_given = exec_promises != NULL;
		r = narrow_promises(
			&asked, (set != self.promises ? NARROW_PROMISES : 0u) | (exec_promises ? NARROW_EXEC : 0u));
	}
	if (r < 0)
		return r;
	if (promises)
		self.promises = set;
	if (exec_promises) {
		self.exec_promises = exec_set;
		self.exec_given = true;
	}
	return 0;
}

PUBLIC int airlock_unveil(const char *path, const char *permissions)
{
	if (!path && !permissions) {
		int r = self.entered && !self.locked ? unveils_apply() : 0;
		if (r == 0)
			self.locked = true;
		return r;
	}
	if (!path || !permissions)
		return fail(-EFAULT, "unveil needs a path and permissions, or neither");
	if (self.locked)
		return fail(-EPERM, "unveil is locked");
	struct airlock_policy *policy;
	int r = airlock_policy_new(&policy, "");
	if (r < 0)
		return r;
	/* Resolves the path now, by what is visible now. */
	r = airlock_policy_unveil(policy, path, permissions);
	if (r == 0 && !self.pending_used) {
		policy_init(&self.pending);
		self.pending_used = true;
	}
	if (r == 0)
		r = policy_unveil(&self.pending, policy->p.unveils[0].path, policy->p.unveils[0].perms,
			policy->p.unveils[0].name);
	airlock_policy_free(policy);
	return r;
}
