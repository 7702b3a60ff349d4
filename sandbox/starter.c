/* SPDX-License-Identifier: ISC */
/*
 * Owns a target's birth: the broker forks init, pid 1 of the target's pid namespace; init forks the first process, pid
 * 2, which becomes the target; init reaps whatever the target leaves behind, and tells how the first process ended.
 * Runs in the broker, or in the starter that the broker keeps (forker.c), up to its fork, then in init and, until exec,
 * in the target.
 *
 * After the fork nothing here may allocate or take a lock: the broker has threads, and one of them may hold it.
 */
#include "sandbox/starter.h"

#include "sandbox/layers.h"
#include "sandbox/nursery.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX 4096
#define ARRANGE "cannot arrange the target's descriptors: it takes a hard limit of open files of 400 (ulimit -Hn)"

/* clone(2), whose flags the broker's filter can see, unlike clone3's; and no libc, whose fork handlers take locks. */
static pid_t fork_raw(unsigned flags, int *pidfd)
{
	return (pid_t)syscall(SYS_clone, flags | CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, NULL);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 16, NULL, NULL, 0);
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value, long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	syscall(SYS_futex, word, FUTEX_WAIT, value, &t, NULL, 0);
}

/* ---- the first process, before it executes anything ---- */

static _Noreturn void first_failed(struct setup *setup, int error, const char *text)
{
	setup->outcome.error = error;
	snprintf(setup->outcome.text, sizeof(setup->outcome.text), "%s", text);
	atomic_store(&setup->state, SETUP_FAILED);
	futex_wake(&setup->state);
	_exit(125);
}

int descriptors_place(int *from, const int *to, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		/* Out of the way of every number that is to be filled. */
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FD_ABOVE);
		if (from[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < count; i++)
		if (dup3(from[i], to[i], 0) < 0)
			return -errno;
	/* Everything between and above the wanted numbers goes. */
	int next = 0;
	for (;;) {
		int lowest = -1;
		for (size_t i = 0; i < count; i++)
			if (to[i] >= next && (lowest < 0 || to[i] < lowest))
				lowest = to[i];
		unsigned last = lowest < 0 ? ~0u : (unsigned)lowest - 1;
		if (lowest != next && syscall(SYS_close_range, (unsigned)next, last, 0) < 0)
			return -errno;
		if (lowest < 0)
			return 0;
		next = lowest + 1;
	}
}

/* Splits the words memory: entry (or program name), arguments, environment. */
static size_t words_split(const char *words, size_t len, size_t count, char **out, size_t max)
{
	size_t n = 0;
	const char *at = words, *end = words + len;
	while (n < count && n < max && at < end) {
		out[n++] = (char *)(uintptr_t)at;
		at += strnlen(at, (size_t)(end - at)) + 1;
	}
	return n;
}

/* The broker set all signals to their defaults before it was executed and ignores none, so only its mask is left. */
static void signals_unblock(void)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static size_t descriptors_list(const struct starting *s, bool worker, int *from, int *to)
{
	size_t n = 0;
	for (int i = 0; i < 3; i++) {
		from[n] = s->stdio[i];
		to[n++] = i;
	}
	if (!worker && s->guest >= 0) {
		const int own[] = {s->channel, s->call, s->guest};
		for (int i = 0; i < 3; i++) {
			from[n] = own[i];
			to[n++] = FD_CHANNEL + i;
		}
	}
	if (worker) {
		const int own[] = {s->channel, s->call, s->setup_fd};
		for (int i = 0; i < 3; i++) {
			from[n] = own[i];
			to[n++] = FD_CHANNEL + i;
		}
		const int spaces[] = {
			s->nursery->net, s->nursery->ipc, s->nursery->uts, s->nursery->cgroup, s->nursery->mnt};
		for (int i = 0; i < 5; i++) {
			if (spaces[i] < 0)
				continue;
			from[n] = spaces[i];
			to[n++] = FD_NAMESPACES + i;
		}
		if (s->ruleset >= 0) {
			from[n] = s->ruleset;
			to[n++] = FD_RULESET;
		}
		if (s->life >= 0) {
			from[n] = s->life;
			to[n++] = FD_LIFE;
		}
	}
	for (size_t i = 0; i < s->start->pass_count; i++) {
		size_t at = n;
		for (size_t k = 0; k < n; k++)
			if (to[k] == s->start->pass_as[i])
				at = k; /* a passed descriptor replaces standard input, output or error */
		from[at] = s->pass[i];
		to[at] = s->start->pass_as[i];
		n += at == n;
	}
	return n;
}

/* An ordinary user's capabilities over the broker's user namespace do not survive exec unless they are ambient, and the
 * image needs them once more, to enter the nursery's namespaces; confine() then drops them all. */
static void capabilities_keep(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) < 0)
		return;
	for (int i = 0; i < 2; i++)
		data[i].inheritable = data[i].permitted;
	if (syscall(SYS_capset, &header, data) < 0)
		return;
	for (int cap = 0; cap < 64; cap++)
		if (data[cap / 32].permitted & (1u << cap % 32))
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
}

/* The host's own limit, once the descriptors are in their places, which may lie above it. */
static void files_limit(const struct setup *setup)
{
	struct rlimit files = {setup->nofile, 0};
	struct rlimit old;
	if (getrlimit(RLIMIT_NOFILE, &old) == 0 && files.rlim_cur < old.rlim_max) {
		files.rlim_max = old.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* A worker is the program's own image again: its loader runs before the door closes, in the broker's Landlock domain,
 * since no hostile byte has come yet. role_target() closes the door. */
static _Noreturn void first_worker(const struct starting *s, char **env, size_t envc)
{
	char *argv[] = {s->setup->title, NULL};
	char role[] = ROLE_VARIABLE "=target";
	env[envc++] = role;
	env[envc] = NULL;
	int from[PASS_MAX + 16], to[PASS_MAX + 16];
	size_t n = descriptors_list(s, true, from, to);
	from[n] = s->image;
	to[n++] = FD_NAMESPACES + 8;
	int r = descriptors_place(from, to, n);
	if (r < 0)
		first_failed(s->setup, r, ARRANGE);
	files_limit(s->setup);
	fcntl(FD_NAMESPACES + 8, F_SETFD, FD_CLOEXEC);
	capabilities_keep();
	syscall(SYS_execveat, FD_NAMESPACES + 8, "", argv, env, AT_EMPTY_PATH);
	first_failed(s->setup, -errno, "cannot execute the program's image again");
}

/* Another program: the door closes first, the program is loaded behind it. */
static _Noreturn void first_exec(const struct starting *s, char **argv, char **env)
{
	struct setup *setup = s->setup;
	struct confinement c = {.tolerate = setup->tolerate,
		.given = setup->given,
		.will_exec = true,
		.net = s->nursery->net,
		.ipc = s->nursery->ipc,
		.uts = s->nursery->uts,
		.cgroup = s->nursery->cgroup,
		.mnt = s->nursery->mnt,
		.ruleset = s->ruleset,
		.cwd = setup->cwd,
		.filter = setup->filter,
		.filter_len = setup->filter_len,
		.scopes = LANDLOCK_SCOPE_BOTH,
		.listener = -1};
	memcpy(c.limits, setup->limits, sizeof(c.limits));
	/* What confine() enters, with descriptors above those that stay. */
	int from[PASS_MAX + 16], to[PASS_MAX + 16];
	size_t n = descriptors_list(s, false, from, to);
	int *const kept[] = {&c.net, &c.ipc, &c.uts, &c.cgroup, &c.mnt, &c.ruleset};
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (*kept[i] < 0)
			continue;
		from[n] = *kept[i];
		*kept[i] = to[n++] = FD_NAMESPACES + (int)i;
	}
	int program = FD_NAMESPACES + 8;
	from[n] = s->program;
	to[n++] = program;
	int r = descriptors_place(from, to, n);
	if (r < 0)
		first_failed(setup, r, ARRANGE);
	files_limit(setup);
	fcntl(program, F_SETFD, FD_CLOEXEC);
	r = confine(&c);
	if (r < 0)
		first_failed(setup, r, c.error);
	setup->listener = c.listener;
	setup->outcome.layers = c.layers;
	atomic_store(&setup->state, SETUP_CONFINED);
	futex_wake(&setup->state);
	while (atomic_load(&setup->state) == SETUP_CONFINED)
		futex_wait(&setup->state, SETUP_CONFINED, 1000);
	close(c.listener);
	syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
	/* The setup memory is still ours alone: init reads the reason. */
	setup->outcome.error = -errno;
	_exit(errno == ENOENT ? 127 : 126);
}

/* The variables that the broker's own image was loaded with. */
static size_t environment_own(char **env)
{
	size_t n = 0;
	for (char **e = environ; e && *e && n < WORDS_MAX; e++)
		for (size_t k = 0; image_environment[k]; k++) {
			size_t len = strlen(image_environment[k]);
			if (strncmp(*e, image_environment[k], len) == 0 && (*e)[len] == '=')
				env[n++] = *e;
		}
	return n;
}

static _Noreturn void first_process(const struct starting *s)
{
	static char *words[WORDS_MAX + 4]; /* static: a large frame would touch pages for each target */
	const struct start *start = s->start;
	signals_unblock();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid();
	size_t total = start->argc + start->envc;
	if (total > WORDS_MAX)
		first_failed(s->setup, -E2BIG, "too many arguments and variables");
	size_t n = words_split(s->words, start->words_len, total, words, WORDS_MAX);
	if (n != total || start->argc < 1)
		first_failed(s->setup, -EPROTO, "the arguments did not arrive");
	if (start->kind == START_WORKER) {
		static char *env[WORDS_MAX + 4];
		size_t envc = start->envc;
		memcpy(env, words + start->argc, envc * sizeof(char *));
		/* Its loader runs with the broker's authority: no variable that a target chose may tell it what to load. */
		if (start->nested)
			envc = environment_own(env);
		first_worker(s, env, envc);
	}
	static char *argv[WORDS_MAX + 4], *env[WORDS_MAX + 4];
	/* Word 0 is the entry, which a program has none of. */
	memcpy(argv, words + 1, (start->argc - 1) * sizeof(char *));
	memcpy(env, words + start->argc, start->envc * sizeof(char *));
	static char role[] = ROLE_VARIABLE "=guest";
	if (start->guest) {
		argv[0] = s->setup->title;
		argv[1] = NULL;
		env[start->envc] = role;
	}
	first_exec(s, argv, env);
}

/* A worker's image is executed at once: until then it needs no memory of its own. What runs behind the closed door
 * first has its own, since init goes on meanwhile. */
__attribute__((no_sanitize_address, unused)) static int first_entry(void *arg)
{
	first_process(arg);
}

static pid_t first_fork(const struct starting *s, int *pidfd)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	static char stack[65536] __attribute__((aligned(16)));
	const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
	if (s->start->kind == START_WORKER)
		return clone(first_entry, stack + sizeof(stack), flags, (void *)(uintptr_t)s, pidfd);
#endif
	pid_t first = fork_raw(0, pidfd);
	if (first == 0)
		first_process(s);
	return first;
}

/* ---- init ---- */

static void init_tell(int socket, enum message_type type, const void *data, size_t len, const int *fds, size_t count)
{
	struct ipc_message m = {.type = type, .len = len, .data = data, .fd_count = count};
	if (count)
		memcpy(m.fds, fds, count * sizeof(int));
	ipc_send(socket, &m, true);
}

/* The broker wants all of us to stand still, or to go on; init itself does neither. The kernel does not let a fork
 * escape a signal that goes to all. That it comes from outside of the pid namespace (no number) is what nobody inside
 * can pretend: rt_sigqueueinfo(2) takes no SI_USER. */
#define STOPS 32
static int stop_socket;
static void on_stop(int number, siginfo_t *info, void *context)
{
	int error = errno;
	(void)context;
	if (info->si_code == SI_USER && info->si_pid == 0) {
		/* While it is not stopped itself, one on another processor can have the rest go on: not many times. */
		for (int i = 0; i < (number == SIGNAL_STOP ? STOPS : 1); i++)
			kill(-1, number == SIGNAL_STOP ? SIGSTOP : SIGCONT);
		ipc_send(stop_socket, &(struct ipc_message){.type = MESSAGE_SUSPENDED}, false);
	}
	errno = error;
}

static void stops_block(void)
{
	sigset_t stops;
	sigemptyset(&stops);
	sigaddset(&stops, SIGNAL_STOP);
	sigaddset(&stops, SIGNAL_GO_ON);
	sigprocmask(SIG_BLOCK, &stops, NULL);
}

static void stops_take(int socket)
{
	struct sigaction action = {.sa_sigaction = on_stop, .sa_flags = SA_SIGINFO | SA_RESTART};
	stop_socket = socket;
	sigfillset(&action.sa_mask);
	sigaction(SIGNAL_STOP, &action, NULL);
	sigaction(SIGNAL_GO_ON, &action, NULL);
	signals_unblock();
}

static void init_tell_end(int socket, pid_t pid, uint64_t at, const struct rusage *use, int status)
{
	struct end end = {.pid = pid,
		.code = WIFEXITED(status) ? CLD_EXITED : CLD_KILLED,
		.status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
		.user_usec = (uint64_t)use->ru_utime.tv_sec * 1000000 + (uint64_t)use->ru_utime.tv_usec,
		.system_usec = (uint64_t)use->ru_stime.tv_sec * 1000000 + (uint64_t)use->ru_stime.tv_usec,
		.peak_bytes = (uint64_t)use->ru_maxrss * 1024,
		.at = at};
	init_tell(socket, MESSAGE_END, &end, sizeof(end), NULL, 0);
}

static _Noreturn void init_end(int socket, uint64_t at, const struct rusage *use, int status)
{
	init_tell_end(socket, 0, at, use, status);
	_exit(0);
}

static _Noreturn void init_process(const struct starting *s, int go)
{
	char byte;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Between clone and prctl the broker may have died: then nobody writes. */
	if (read(go, &byte, 1) != 1)
		_exit(1);
	setproctitle("-%s: airlock init", s->name);
	int pidfd = -1;
	pid_t first = first_fork(s, &pidfd);
	if (first < 0) {
		struct outcome o = {.error = -errno, .text = "cannot fork the target"};
		init_tell(s->init, MESSAGE_FAILED, &o, sizeof(o), NULL, 0);
		_exit(1);
	}
	stops_take(s->init); /* before the broker knows that there is somebody to stop */
	init_tell(s->init, MESSAGE_FIRST, NULL, 0, &pidfd, 1);
	int keep[] = {s->init}, to[] = {3};
	/* Not between the two: what it says would be lost, and the host waits for it. */
	stops_block();
	if (descriptors_place(keep, to, 1) < 0)
		_exit(1);
	stop_socket = 3;
	signals_unblock();
	/* The broker may have died after it wrote and before prctl, whose signal then never comes. Nobody has the other end of
	 * this but the broker, now that it is not here, too. */
	struct pollfd other = {3, 0, 0};
	if (poll(&other, 1, 0) == 1)
		_exit(1);
	int status = 0;
	struct rusage use;
	memset(&use, 0, sizeof(use));
	for (;;) {
		/* Who sees that it is gone, gone from the list of processes too, has it after this. */
		siginfo_t info = {.si_pid = 0};
		const bool seen = waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | __WALL) == 0;
		const uint64_t at = ipc_now_ns();
		pid_t pid = seen ? wait4(info.si_pid, &status, __WALL, &use) : -1;
		if (pid == first && (WIFEXITED(status) || WIFSIGNALED(status))) {
			/* The program did not come to run: what its execveat() said, as nobody else could write there since. */
			if (s->start->kind == START_EXEC && s->setup->outcome.error < 0)
				init_tell(3, MESSAGE_FAILED, &s->setup->outcome, sizeof(struct outcome), NULL, 0);
			init_end(3, at, &use, status);
		}
		if (s->start->pool == POOL_ZYGOTE && pid > 0 && pid != first)
			init_tell_end(3, pid, at, &use, status);
		if (pid < 0 && errno != EINTR)
			_exit(1);
	}
}

/* A pid namespace is made where the one who makes it is: for one that lies in another target's, somebody has to be born
 * in there first. Both helpers share our memory and descriptors and end before this returns; init is our child all the
 * same. */
#define HELPER_STACK 131072
struct nesting {
	const struct starting *s;
	const int *go;
	char *stacks;
	pid_t inner, init;
	int pidfd, error;
};

__attribute__((no_sanitize_address)) static int helper_inside(void *arg)
{
	struct nesting *n = arg;
	pid_t init = fork_raw(CLONE_NEWPID | CLONE_PARENT, &n->pidfd);
	if (init == 0) {
		close(n->go[1]);
		init_process(n->s, n->go[0]);
	}
	n->init = init;
	n->error = init < 0 ? errno : 0;
	syscall(SYS_exit, 0);
	return 0;
}

__attribute__((no_sanitize_address)) static int helper_outside(void *arg)
{
	struct nesting *n = arg;
	const int flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PARENT | SIGCHLD;
	if (setns(n->s->inside, CLONE_NEWPID) < 0 ||
		(n->inner = clone(helper_inside, n->stacks + (size_t)2 * HELPER_STACK, flags, n)) < 0)
		n->error = errno;
	syscall(SYS_exit, 0);
	return 0;
}

static void helper_await(pid_t pid)
{
	while (pid > 0 && waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

static pid_t fork_inside(const struct starting *s, const int go[2], int *pidfd)
{
	struct nesting n = {.s = s, .go = go, .inner = -1, .init = -1, .pidfd = -1};
	sigset_t all, old;
	n.stacks = mmap(NULL, (size_t)2 * HELPER_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (n.stacks == MAP_FAILED)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t outer = clone(
		helper_outside, n.stacks + HELPER_STACK, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &n);
	if (outer < 0)
		n.error = errno;
	helper_await(outer);
	helper_await(n.inner);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	munmap(n.stacks, (size_t)2 * HELPER_STACK);
	*pidfd = n.pidfd;
	return n.init < 0 ? -n.error : n.init;
}

pid_t starter_init(const struct starting *s, const int go[2], unsigned flags, int *pidfd)
{
	pid_t child = fork_raw((s->pid_namespace ? CLONE_NEWPID : 0) | flags, pidfd);
	if (child == 0) {
		if (go[1] >= 0)
			close(go[1]);
		if (s->orders > 0) /* or the broker would not see its forker end */
			close(s->orders);
		init_process(s, go[0]);
	}
	return child < 0 ? -errno : child;
}

int starter_fork(const struct starting *s, int *pidfd)
{
	int go[2], fd = -1;
	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	pid_t child = s->inside >= 0 ? fork_inside(s, go, &fd) : starter_init(s, go, 0, &fd);
	int error = child < 0 ? -child : 0;
	close(go[0]);
	if (child > 0 && s->born)
		s->born(s->arg, s->setup, child);
	if (child > 0)
		(void)!write(go[1], "", 1);
	close(go[1]);
	if (child < 0)
		return -error;
	*pidfd = fd;
	return 0;
}
