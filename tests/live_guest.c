/* SPDX-License-Identifier: ISC */
/* The library is a good guest in its host: what it must not leave, take, change or say. Runs in a host. */
#include "sandbox/airlock.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FD_MOST 1024
#define PASSED 20

/* ---- in the target ---- */

/* A byte for each descriptor number: open or not; then the environment. */
static ssize_t inventory(const void *in, size_t len, void *out, size_t cap)
{
	char *bytes = out;
	size_t n = FD_MOST;

	(void)in, (void)len;
	for (int fd = 0; fd < FD_MOST; fd++)
		bytes[fd] = (char)('0' + (fcntl(fd, F_GETFD) >= 0));
	for (char **e = environ; e && *e && n + strlen(*e) + 2 < cap; e++)
		n += (size_t)snprintf(bytes + n, cap - n, "%s\n", *e);
	return (ssize_t)n;
}
AIRLOCK_FUNCTION(inventory)

static ssize_t passed(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len;
	return read(PASSED, out, cap);
}
AIRLOCK_FUNCTION(passed)

static ssize_t twice(const void *in, size_t len, void *out, size_t cap)
{
	if (cap < len)
		return -1;
	for (size_t i = 0; i < len; i++)
		((unsigned char *)out)[i] = (unsigned char)(((const unsigned char *)in)[i] * 2);
	return (ssize_t)len;
}
AIRLOCK_FUNCTION(twice)

/* Writes where the host could see it, if its own output were not what it is told it is. */
static int sum(struct airlock_target *host, int argc, char **argv)
{
	int n = 0;

	(void)host;
	for (int i = 0; i < argc; i++)
		n += atoi(argv[i]);
	return n;
}
AIRLOCK_ENTRY(sum)

/* ---- in the host ---- */

static int signals_seen;

static void on_child(int sig)
{
	(void)sig;
	signals_seen++;
}

static int entries(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static bool nothing_to_wait_for(void)
{
	errno = 0;
	return waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD;
}

struct dispositions {
	struct sigaction actions[65];
	sigset_t mask;
};

static void dispositions_of(struct dispositions *d)
{
	memset(d, 0, sizeof(*d));
	for (int sig = 1; sig <= 64; sig++)
		sigaction(sig, NULL, &d->actions[sig]);
	sigprocmask(SIG_SETMASK, NULL, &d->mask);
}

static bool works(const struct airlock_policy *policy)
{
	struct airlock_target *t = NULL;
	char in[16] = "abcdefghijklmno", out[16] = "";
	bool yes = !airlock_start(&t, policy, NULL, NULL, NULL) && airlock_call(t, "twice", in, 16, out, 16) == 16 &&
		   (unsigned char)out[0] == 2 * 'a';

	airlock_free(t);
	return yes;
}

static int leaky_descriptor(const bool before[FD_MOST])
{
	for (int fd = 0; fd < FD_MOST; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags >= 0 && !before[fd] && !(flags & FD_CLOEXEC))
			return fd;
	}
	return -1;
}

static void manners(void)
{
	static struct dispositions before, after;
	struct airlock_policy *policy = NULL;
	struct airlock_target *t = NULL;
	bool open_before[FD_MOST];
	char out[16] = "", text[256] = "";
	int threads = entries("/proc/self/task"), output, leak;
	struct sigaction old, action = {.sa_handler = on_child};
	int fds[2];

	tap_prefix = "guest: ";
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return;
	tap_fd = fcntl(1, F_DUPFD_CLOEXEC, 600);
	output = fcntl(2, F_DUPFD_CLOEXEC, 600);
	dup2(fds[1], 1);
	dup2(fds[1], 2);
	sigaction(SIGCHLD, &action, &old);
	dispositions_of(&before);
	for (int fd = 0; fd < FD_MOST; fd++)
		open_before[fd] = fcntl(fd, F_GETFD) >= 0;
	check(!airlock_policy_new(&policy, "stdio"), "a policy", "%s", airlock_message());
	check(!airlock_start(&t, policy, NULL, NULL, NULL), "a target", "%s", airlock_message());
	check(nothing_to_wait_for(), "wait meets nothing while it runs", "it met something");
	check(airlock_call(t, "twice", "abcd", 4, out, 16) == 4, "a call", "%s", airlock_message());
	leak = leaky_descriptor(open_before);
	check(leak < 0, "descriptors are close-on-exec", "%d is not", leak);
	check(entries("/proc/self/task") == threads, "no thread of its own", "%d, were %d", entries("/proc/self/task"),
		threads);
	airlock_free(t);
	check(nothing_to_wait_for(), "wait meets nothing when it has ended", "it met something");
	airlock_policy_free(policy);
	nanosleep(&(struct timespec){0, 50000000}, NULL);
	check(nothing_to_wait_for(), "wait meets nothing when all is gone", "it met something");
	check(!signals_seen, "no SIGCHLD", "%d", signals_seen);
	dispositions_of(&after);
	leak = 0;
	for (int sig = 1; sig <= 64; sig++)
		leak += before.actions[sig].sa_handler != after.actions[sig].sa_handler ||
			before.actions[sig].sa_flags != after.actions[sig].sa_flags ||
			sigismember(&before.mask, sig) != sigismember(&after.mask, sig);
	check(!leak, "signal dispositions unchanged", "%d changed", leak);
	for (int fd = leak = 0; fd < FD_MOST; fd++)
		leak += !open_before[fd] && fcntl(fd, F_GETFD) >= 0;
	check(!leak, "no descriptor is left", "%d are", leak);
#ifndef __SANITIZE_ADDRESS__ /* which warns of a stack that is not the thread's own */
	check(read(fds[0], text, sizeof(text) - 1) <= 0, "says nothing", "it said: %s", text);
#endif
	sigaction(SIGCHLD, &old, NULL);
	dup2(tap_fd, 1);
	dup2(output, 2);
	close(tap_fd);
	close(output);
	close(fds[0]);
	close(fds[1]);
	tap_fd = 1;
}

static void belongings(void)
{
	static char out[65536];
	struct airlock_policy *policy = NULL;
	struct airlock_target *t = NULL;
	char numbers[256] = "";
	size_t n = 0;
	int fds[2], secret = open("/etc/passwd", O_RDONLY);
	ssize_t got = -1;

	tap_prefix = "guest: a target starts with ";
	/* What a careless host leaves open across exec. */
	dup2(secret, 100);
	dup2(secret, 700);
	setenv("HOSTILE_SECRET", "1", 1);
	setenv("PASSED_ON", "yes", 1);
	unsetenv("LD_PRELOAD");
	if (pipe2(fds, O_CLOEXEC) || write(fds[1], "hello", 5) != 5)
		return;
	check(!airlock_policy_new(&policy, "stdio") && !airlock_policy_pass(policy, fds[0], PASSED) &&
			!airlock_policy_env(policy, "GIVEN=here") && !airlock_policy_env(policy, "PASSED_ON") &&
			!airlock_start(&t, policy, NULL, NULL, NULL),
		"a policy", "%s", airlock_message());
	if (t)
		got = airlock_call(t, "inventory", NULL, 0, out, sizeof(out) - 1);
	for (int fd = 0; fd < FD_MOST && got >= FD_MOST; fd++)
		if (out[fd] == '1' && fd > 2 && (fd > 9 || fd < 3) && fd != PASSED && n < sizeof(numbers) - 8)
			n += (size_t)snprintf(numbers + n, sizeof(numbers) - n, " %d", fd);
	check(got >= FD_MOST && !n, "no descriptor of the host's", "call %zd; open:%s", got, numbers);
	check(got >= FD_MOST && out[0] == '1' && out[1] == '1' && out[2] == '1' && out[PASSED] == '1',
		"its standard three and the one that was passed", "it lacks one");
	check(got >= FD_MOST && !strstr(out + FD_MOST, "HOSTILE_SECRET"), "no variable of the host's", "it has: %s",
		out + FD_MOST);
	check(got >= FD_MOST && strstr(out + FD_MOST, "GIVEN=here\n") && strstr(out + FD_MOST, "PASSED_ON=yes\n"),
		"the variables that were given", "it has: %s", out + FD_MOST);
	check(got >= FD_MOST && !strstr(out + FD_MOST, "AIRLOCK_"), "none of airlock's own variables", "it has: %s",
		out + FD_MOST);
	check(t && airlock_call(t, "passed", NULL, 0, out, 16) == 5 && !memcmp(out, "hello", 5),
		"a passed descriptor that works", "%.16s", out);
	airlock_free(t);
	airlock_policy_free(policy);
	close(secret);
	close(100);
	close(700);
	close(fds[0]);
	close(fds[1]);
}

struct elsewhere {
	struct airlock_policy *policy;
	bool yes;
};

static void *in_thread(void *arg)
{
	struct elsewhere *e = arg;

	e->yes = works(e->policy);
	return NULL;
}

static void circumstances(void)
{
	struct elsewhere thread_arg = {0};
	struct airlock_policy *policy = NULL;
	struct airlock_options options = AIRLOCK_OPTIONS_INIT;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	struct airlock_target *t = NULL;
	char *const argv[] = {"20", "22", NULL};
	struct timespec from, to;
	pthread_t thread;
	int keep, error;

	tap_prefix = "guest: works ";
	check(!airlock_policy_new(&policy, "stdio") && works(policy), "plainly", "%s", airlock_message());
	check(works(policy), "a second time with the same policy", "%s", airlock_message());
	signal(SIGCHLD, SIG_IGN);
	check(works(policy), "with SIGCHLD ignored", "%s", airlock_message());
	signal(SIGCHLD, SIG_DFL);
	thread_arg.policy = policy;
	pthread_create(&thread, NULL, in_thread, &thread_arg);
	pthread_join(thread, NULL);
	check(thread_arg.yes, "from a second thread", "%s", airlock_message());
	/* The thread that started the broker is gone: it must not be the parent whose death ends all. */
	airlock_policy_free(policy);
	policy = NULL;
	airlock_policy_new(&thread_arg.policy, "stdio");
	pthread_create(&thread, NULL, in_thread, &thread_arg);
	pthread_join(thread, NULL);
	nanosleep(&(struct timespec){0, 50000000}, NULL);
	check(thread_arg.yes && works(thread_arg.policy), "when the thread that started the broker has ended", "%s",
		airlock_message());
	airlock_policy_free(thread_arg.policy);

	error = airlock_policy_new(&policy, "stdio");
	options.name = "summer";
	options.stdio[0] = -2;
	if (!error)
		error = airlock_start(&t, policy, "sum", argv, &options);
	check(!error && !airlock_wait(t, &status, 5000) && status.end == AIRLOCK_EXITED && status.code == 42,
		"with an entry and arguments", "%d, end %d, code %d: %s", error, (int)status.end, status.code,
		airlock_message());
	airlock_free(t);
	t = NULL;
	check(airlock_start(&t, policy, "no such entry", NULL, NULL) < 0 ||
			(!airlock_wait(t, &status, 5000) && status.end != AIRLOCK_RUNNING),
		"out an error for an entry that is none", "it started");
	airlock_free(t);

	keep = fcntl(0, F_DUPFD_CLOEXEC, 600);
	close(0);
	check(works(policy), "with standard input closed", "%s", airlock_message());
	airlock_policy_free(policy);
	policy = NULL;
	check(!airlock_policy_new(&policy, "stdio") && works(policy), "with a broker started then", "%s",
		airlock_message());
	check(fcntl(0, F_GETFD) < 0 || (fcntl(0, F_GETFD) & FD_CLOEXEC), "and takes its place only close-on-exec",
		"descriptor 0 is inherited");
	if (keep >= 0) {
		dup2(keep, 0);
		close(keep);
	}
	airlock_policy_free(policy);

	char *big = malloc(200 << 20);

	memset(big, 1, 200 << 20);
	policy = NULL;
	clock_gettime(CLOCK_MONOTONIC, &from);
	check(!airlock_policy_new(&policy, "stdio") && works(policy), "with 200 MB of memory", "%s", airlock_message());
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("# with 200 MB: start, call and free took %.1f ms (byte %d)\n",
		(double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6, big[12345]);
	airlock_policy_free(policy);
	free(big);
	check(nothing_to_wait_for(), "and leaves nothing to wait for", "it does");
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IONBF, 0);
	signal(SIGPIPE, SIG_IGN);
	manners();
	belongings();
	circumstances();
	return tap_failed != 0;
}
