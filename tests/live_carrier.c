/* SPDX-License-Identifier: ISC */
/*
 * The second carrier, whose tests are those of the first: carrier.sh runs them under somebody else's listener. Here is what
 * only it has: what programs do to signals and descriptors that would break it, and what a hostile target does to its
 * socket, its handler and its broker. Each attempt hurts nobody but who makes it: a second process of the family opens a
 * file before and after.
 *
 *   under_listener live_carrier
 */
#include "broker/carrier.h"
#include "sandbox/airlock.h"
#include "tests/carrier_tries.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

int opens(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* ---- what programs do ---- */

static void all_blocked(void)
{
	sigset_t all, old, now;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	int r = opens(SHOWN);
	sigprocmask(SIG_SETMASK, &old, &now);
	check(r == 0, "an open with all signals blocked", "%d", r);
	check(sigismember(&now, SIGUSR1) == 1 && sigismember(&old, SIGUSR1) == 0, "and the mask is what was set",
		"%d %d", sigismember(&now, SIGUSR1), sigismember(&old, SIGUSR1));
	long e = syscall(SYS_rt_sigprocmask, SIG_SETMASK, 8, NULL, 8) < 0 ? errno : 0;
	check(e == EFAULT, "a mask at a bad address", "%ld", e);
	e = syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, 8, 8) < 0 ? errno : 0;
	check(e == EFAULT, "an old mask at a bad address", "%ld", e);
	sigprocmask(SIG_SETMASK, &old, NULL);
	e = syscall(SYS_rt_sigprocmask, 77, &all, NULL, 8) < 0 ? errno : 0;
	check(e == EINVAL, "a mask set in no way there is", "%ld", e);
	e = syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, 4) < 0 ? errno : 0;
	check(e == EINVAL, "a mask of another size", "%ld", e);
}

static volatile int seen, seen_value;
static void opening(int signal)
{
	(void)signal;
	seen_value = opens(SHOWN);
	seen++;
}

static void in_handlers(void)
{
	struct sigaction a = {.sa_handler = opening}, old;
	sigfillset(&a.sa_mask);
	sigaction(SIGUSR1, &a, NULL);
	seen = 0;
	raise(SIGUSR1);
	check(seen == 1 && seen_value == 0, "an open in a handler that blocks all", "%d %d", seen, seen_value);
	sigaction(SIGUSR1, NULL, &old);
	check(old.sa_handler == opening, "the handler is read back", "%p", (void *)old.sa_handler);
	/* Waits whose mask lets just this one through. */
	sigset_t mask;
	sigfillset(&mask);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	sigdelset(&mask, SIGUSR1);
	raise(SIGUSR1);
	seen = 0;
	int r = sigsuspend(&mask);
	check(r < 0 && errno == EINTR && seen == 1 && seen_value == 0, "sigsuspend, and an open in its handler",
		"%d %d %d", r, seen, seen_value);
	struct timespec zero = {5, 0};
	struct pollfd none = {-1, 0, 0};
	seen = 0;
	raise(SIGUSR1);
	r = ppoll(&none, 1, &zero, &mask);
	check(r < 0 && errno == EINTR && seen == 1 && seen_value == 0, "ppoll, and an open in its handler", "%d %d %d",
		r, seen, seen_value);
	seen = 0;
	raise(SIGUSR1);
	r = pselect(0, NULL, NULL, NULL, &zero, &mask);
	check(r < 0 && errno == EINTR && seen == 1 && seen_value == 0, "pselect, and an open in its handler",
		"%d %d %d", r, seen, seen_value);
	int e = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;
	seen = 0;
	raise(SIGUSR1);
	r = epoll_pwait(e, &event, 1, 5000, &mask);
	check(r < 0 && errno == EINTR && seen == 1 && seen_value == 0, "epoll_pwait, and an open in its handler",
		"%d %d %d", r, seen, seen_value);
	close(e);
	sigemptyset(&mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	r = syscall(SYS_rt_sigaction, SIGUSR1, 8, NULL, 8) < 0 ? errno : 0;
	check(r == EFAULT, "an action at a bad address", "%d", r);
}

static volatile int by_hand;
static void on_sigsys(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	by_hand = info->si_code <= 0;
}

static void own_sigsys(void)
{
	struct sigaction a = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO}, old, again;
	sigaction(SIGSYS, &a, &old);
	sigaction(SIGSYS, NULL, &again);
	check(old.sa_handler == SIG_DFL && again.sa_sigaction == on_sigsys, "a program's own SIGSYS handler", "%p %p",
		(void *)old.sa_handler, (void *)again.sa_handler);
	check(opens(SHOWN) == 0, "does not take the requests", "%d", opens(SHOWN));
	raise(SIGSYS);
	check(by_hand == 1, "and gets what is sent by hand", "%d", by_hand);
	signal(SIGSYS, SIG_IGN);
	raise(SIGSYS);
	check(opens(SHOWN) == 0, "SIGSYS ignored", "%d", opens(SHOWN));
	signal(SIGSYS, SIG_DFL);
	pid_t child = fork();
	if (child == 0) {
		raise(SIGSYS);
		_exit(0);
	}
	int status;
	waitpid(child, &status, 0);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "SIGSYS by hand, by default, ends the process", "%x",
		status);
}

static void wire_kept(void)
{
	check(close(WIRE) < 0 && errno == EBADF, "close of the socket's number", "%d", errno);
	check(dup2(0, WIRE) < 0 && errno == EBADF, "dup2 onto it", "%d", errno);
	check(dup2(WIRE, WIRE) < 0 && errno == EBADF, "dup2 of it onto itself", "%d", errno);
	check(dup3(0, WIRE, O_CLOEXEC) < 0 && errno == EBADF, "dup3 onto it", "%d", errno);
	check(dup(WIRE) < 0 && errno == EBADF, "dup of it", "%d", errno);
	check(fcntl(WIRE, F_DUPFD, 0) < 0 && errno == EBADF, "F_DUPFD of it", "%d", errno);
	check(fcntl(WIRE, F_SETFL, O_NONBLOCK) < 0 && errno == EBADF, "F_SETFL of it", "%d", errno);
	check(shutdown(WIRE, SHUT_RDWR) < 0 && errno == EBADF, "shutdown of it", "%d", errno);
	int ends[2];
	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	check(shutdown(ends[0], SHUT_WR) == 0 && read(ends[1], ends, 1) == 0, "shutdown of another", "%d", errno);
	check(shutdown(0, SHUT_WR) < 0 && errno == ENOTSOCK && shutdown(99, 0) < 0 && errno == EBADF,
		"shutdown of what is no socket", "%d", errno);
	close(ends[0]);
	close(ends[1]);
	struct stat st;
	check(fstatat(WIRE, "", &st, AT_EMPTY_PATH) < 0 && errno == EBADF, "what the broker says of it", "%d", errno);
	int low = dup(0), high = fcntl(0, F_DUPFD, 900);
	check(close_range(3, ~0u, 0) == 0 && fcntl(low, F_GETFD) < 0 && fcntl(high, F_GETFD) < 0,
		"close_range across it closes all else", "%d", errno);
	check(close_range(WIRE, WIRE, 0) == 0 && close_range(0, ~0u, 1u << 20) < 0 && errno == EINVAL,
		"close_range of it alone; with flags that there are not", "%d", errno);
	closefrom(3);
	check(opens(SHOWN) == 0, "closefrom(3)", "%d", opens(SHOWN));
	int fd = open(SHOWN, O_RDONLY);
	check(fd == 3 && fcntl(fd, F_GETFD) == 0, "the lowest number that is free, without close-on-exec", "%d", fd);
	close(fd);
	fd = open(SHOWN, O_RDONLY | O_CLOEXEC);
	check(fd == 3 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "and with", "%d", fd);
	close(fd);
	struct rlimit old, few = {8, 0};
	getrlimit(RLIMIT_NOFILE, &old);
	few.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	while (dup(0) >= 0)
		;
	int r = opens(SHOWN), s = stat(SHOWN, &st) < 0 ? -errno : 0;
	closefrom(3);
	setrlimit(RLIMIT_NOFILE, &old);
	check(r == -EMFILE && s == 0, "no number left: EMFILE for what makes one, and no error for what does not",
		"%d %d", r, s);
}

static void *many(void *arg)
{
	long bad = 0;
	(void)arg;
	for (int i = 0; i < 300; i++)
		bad += opens(SHOWN) != 0 || opens(HIDDEN) != -ENOENT;
	return (void *)bad;
}

static void threads_and_forks(void)
{
	pthread_t t[8];
	long bad = 0;
	int status, failed = 0;
	for (int i = 0; i < 8; i++)
		bad += pthread_create(&t[i], NULL, many, NULL) != 0;
	for (int i = 0; i < 20; i++) {
		pid_t child = fork();
		if (child == 0)
			_exit(opens(SHOWN) || opens(HIDDEN) != -ENOENT);
		waitpid(child, &status, 0);
		failed += status != 0;
	}
	for (int i = 0; i < 8; i++) {
		void *r;
		pthread_join(t[i], &r);
		bad += (long)r;
	}
	check(bad == 0, "eight threads at once get their own answers", "%ld", bad);
	check(failed == 0, "and what is forked meanwhile", "%d", failed);
	pid_t child = vfork();
	if (child == 0)
		_exit(opens(SHOWN) ? 1 : 0);
	waitpid(child, &status, 0);
	check(status == 0 && opens(SHOWN) == 0, "a vforked child", "%x", status);
}

static void programs(void)
{
	char *argv[] = {(char *)(uintptr_t) "true", NULL}, *environment[] = {NULL};
	pid_t pid = -1;
	int e = execve("/bin/true", argv, environment) < 0 ? errno : 0;
	check(e == EACCES, "execve is refused", "%d", e);
	e = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environment);
	check(e == EACCES, "posix_spawn says the same", "%d", e);
	int status = system("true");
	check(WIFEXITED(status) && WEXITSTATUS(status) == 127, "system(3) says that there is no shell", "%x", status);
	check(opens(SHOWN) == 0, "and the program goes on", "%d", opens(SHOWN));
}

static void narrows(void)
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		int r = airlock_pledge("stdio", NULL);
		int a = opens(SHOWN), b = airlock_pledge("stdio rpath", NULL);
		_exit(r == 0 && a == -EPERM && b == -EPERM ? 0 : 1);
	}
	waitpid(child, &status, 0);
	check(status == 0, "a child narrows itself, and not back", "%x", status);
	check(opens(SHOWN) == 0, "which changes nothing for its parent", "%d", opens(SHOWN));
	child = fork();
	if (child == 0) {
		sigset_t all;
		sigfillset(&all);
		/* Nothing is promised: what is left is to end, and masks that still do not break the wire. */
		int r = airlock_pledge("", NULL);
		sigprocmask(SIG_BLOCK, &all, NULL);
		int a = opens(SHOWN);
		struct pollfd none = {-1, 0, 0};
		struct timespec zero = {0, 0};
		sigemptyset(&all);
		int b = ppoll(&none, 1, &zero, &all) < 0 ? -errno : 0;
		syscall(SYS_exit_group, r == 0 && a == -EPERM && b == -EPERM ? 0 : 1);
	}
	waitpid(child, &status, 0);
	check(status == 0, "promised nothing, it still ends as it wants", "%x", status);
}

static void interrupted(void)
{
	/* Again and again, as the first one may come before there is something to interrupt. */
	struct itimerval soon = {{0, 100000}, {0, 100000}}, never = {{0, 0}, {0, 0}};
	struct sigaction a = {.sa_handler = opening};
	char path[64];
	snprintf(path, sizeof(path), "/tmp/airlock-carrier-%d/fifo", getppid());
	sigaction(SIGALRM, &a, NULL);
	seen = 0;
	setitimer(ITIMER_REAL, &soon, NULL);
	int r = open(path, O_RDONLY) < 0 ? errno : 0;
	setitimer(ITIMER_REAL, &never, NULL);
	check(r == EINTR && seen >= 1 && seen_value == 0, "an open that blocks is interrupted by a signal", "%d %d %d",
		r, seen, seen_value);
	a.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &a, NULL);
	seen = 0;
	setitimer(ITIMER_REAL, &soon, NULL);
	pid_t child = fork();
	if (child == 0) {
		usleep(500000);
		int w = open(path, O_WRONLY);
		usleep(100000);
		_exit(w < 0);
	}
	r = open(path, O_RDONLY);
	int status;
	setitimer(ITIMER_REAL, &never, NULL);
	waitpid(child, &status, 0);
	check(r >= 0 && seen >= 1 && status == 0, "and goes on, where its handler says so, until there is a writer",
		"%d %d %x errno %d", r, seen, status, errno);
	close(r);
	child = fork();
	if (child == 0) {
		open(path, O_RDONLY);
		_exit(1);
	}
	usleep(100000);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && opens(SHOWN) == 0,
		"a caller that dies while it waits", "%x", status);
}

static const struct {
	void (*run)(void);
	const char *name;
} uses[] = {{all_blocked, "masks"}, {in_handlers, "handlers"}, {own_sigsys, "sigsys"}, {wire_kept, "the socket"},
	{threads_and_forks, "threads"}, {programs, "programs"}, {narrows, "narrowing"}, {interrupted, "interrupts"}};

/* ---- what hostile code does: carrier_hostile.c ---- */

static void attempt(size_t i)
{
	int status = 0;
	pid_t child = fork();
	if (child == 0) {
		if (airlock_pledge(attempts[i].promises, NULL) < 0)
			_exit(99);
		alarm(20);
		_exit(attempts[i].run());
	}
	for (int n = 0; n < 10; n++)
		if (opens(SHOWN) != 0)
			break;
	waitpid(child, &status, 0);
	check(status == 0, attempts[i].name, "%x", status);
	int r = opens(SHOWN);
	check(r == 0, "and others are served as before", "%d after %s", r, attempts[i].name);
}

/* The same from inside a worker, with namespaces and numbers of its own. */
static ssize_t inside(const void *in, size_t len, void *out, size_t cap)
{
	pthread_t t;
	void *r;
	long result[6] = {opens(SHOWN), opens(HIDDEN), 0, 0, 0, 0};
	(void)in;
	(void)len;
	result[2] = pthread_create(&t, NULL, many, NULL) != 0 || pthread_join(t, &r) != 0 || r;
	result[3] = shut_copy();
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	int status = -1;
	kill(child, SIGTERM);
	waitpid(child, &status, 0);
	result[4] = WIFSIGNALED(status) ? WTERMSIG(status) : -1;
	result[5] = opens(SHOWN);
	memcpy(out, result, cap < sizeof(result) ? cap : sizeof(result));
	return sizeof(result);
}
AIRLOCK_FUNCTION(inside)

static void workers(void)
{
	struct airlock_policy *policy = NULL;
	struct airlock_target *t = NULL;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	long got[6] = {-1, -1, -1, -1, -1, -1};
	char *argv[] = {(char *)(uintptr_t) "true", NULL};
	int r = airlock_policy_new(&policy, "stdio rpath proc sendfd recvfd");
	r = r ? r : airlock_policy_unveil(policy, SHOWN, "r");
	r = r ? r : airlock_start(&t, policy, NULL, NULL, NULL);
	if (check(r == 0, "a worker starts", "%d: %s", r, airlock_message())) {
		ssize_t n = airlock_call(t, "inside", "", 0, got, sizeof(got));
		check(n == sizeof(got) && got[0] == 0 && got[1] == -ENOENT, "and opens what it may", "%zd %ld %ld", n,
			got[0], got[1]);
		check(got[2] == 0, "in a thread", "%ld", got[2]);
		check(got[3] == 0 && got[5] == 0, "and cannot end it with a copy of the socket", "%ld %ld", got[3],
			got[5]);
		check(got[4] == SIGTERM, "and signals its child", "%ld", got[4]);
		airlock_wait(t, &status, 0);
		check(status.layers & AIRLOCK_LAYER_SECCOMP && !(status.layers & AIRLOCK_LAYER_LISTENER),
			"its layers say so", "0x%x", status.layers);
		airlock_free(t);
	}
	t = NULL;
	r = airlock_exec(&t, policy, argv, NULL);
	check(r == -EBUSY && strstr(airlock_message(), "listener"), "a program is not started, and the reason is told",
		"%d: %s", r, airlock_message());
	airlock_policy_free(policy);
	policy = NULL;
	r = airlock_policy_new(&policy, "stdio proc");
	r = r ? r : airlock_policy_limit(policy, AIRLOCK_LIMIT_PROCESSES, 4);
	r = r ? r : airlock_start(&t, policy, NULL, NULL, NULL);
	check(r == -EOPNOTSUPP && strstr(airlock_message(), "processes"), "nor is what counts its processes", "%d: %s",
		r, airlock_message());
	airlock_policy_free(policy);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
	struct airlock_policy *policy = NULL;
	char dir[64], path[80];
	int status;
	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IONBF, 0);
	tap_prefix = "carrier: ";
	const char *why = airlock_layer_missing(AIRLOCK_LAYER_LISTENER);
	check(why && strstr(why, "listener") && !(airlock_layers() & AIRLOCK_LAYER_LISTENER) &&
			(airlock_layers() & AIRLOCK_LAYER_SECCOMP),
		"the layers say so", "%s", why ? why : "there is a listener");
	if (!why)
		return 1;
	snprintf(dir, sizeof(dir), "/tmp/airlock-carrier-%d", getpid());
	snprintf(path, sizeof(path), "%s/fifo", dir);
	if (mkdir(dir, 0755) < 0 || mkfifo(path, 0666) < 0)
		return 1;
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max < 1024 ? files.rlim_max : 1024;
	setrlimit(RLIMIT_NOFILE, &files);
	pid_t child = fork();
	if (child == 0) {
		int r = airlock_policy_new(&policy, "stdio rpath wpath proc exec unveil sendfd recvfd");
		r = r ? r : airlock_policy_unveil(policy, SHOWN, "r");
		r = r ? r : airlock_policy_unveil(policy, "/bin", "rx");
		r = r ? r : airlock_policy_unveil(policy, dir, "rw");
		int layers = r ? r : airlock_enter(policy);
		check(layers > 0 && !(layers & AIRLOCK_LAYER_LISTENER) && (layers & AIRLOCK_LAYER_SECCOMP), "entering",
			"%d: %s", layers, airlock_message());
		if (layers < 0)
			_exit(1);
		for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
			uses[i].run();
		neighbour = getpid();
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, foreign_reply_end);
		for (size_t i = 0; i < attempt_count; i++)
			attempt(i);
		double from = now();
		for (int i = 0; i < 2000; i++)
			opens(SHOWN);
		printf("# an open and close: %.1f us\n", (now() - from) / 2000);
		_exit(tap_failed != 0);
	}
	waitpid(child, &status, 0);
	check(status == 0, "the confined process", "%x", status);
	workers();
	unlink(path);
	rmdir(dir);
	return tap_failed != 0;
}
