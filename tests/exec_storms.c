/* SPDX-License-Identifier: ISC */
/* Execs by threads, in storms of signals, many at once: batteries for live_exec. What a line says does not depend on who
 * was faster. */
#include "tests/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void pause_us(long us)
{
	struct timespec t = {0, us * 1000};

	nanosleep(&t, NULL);
}

/* ---- threads ---- */

static pthread_t main_thread;
static const char *subject;
static atomic_int failed;

_Noreturn static void *execs(void *arg)
{
	char *argv[] = {"thread", "of", "many", NULL};

	if (arg)
		pthread_join(main_thread, NULL);
	execve(subject, argv, environ);
	failed = -errno;
	printf("failed %s\n", strerrorname_np(-failed));
	fflush(stdout);
	_exit(0);
}

_Noreturn static void *reads(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = open("probe", O_RDONLY | O_CLOEXEC);

		close(fd);
	}
}

_Noreturn static void *forks(void *arg)
{
	(void)arg;
	for (;;) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

_Noreturn static void *nothing(void *arg)
{
	(void)arg;
	for (;;)
		pause();
}

static void start(void *(*what)(void *), void *arg, size_t stack)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	if (stack)
		pthread_attr_setstacksize(&attr, stack);
	/* Fails when another thread's exec has begun to end this one. */
	(void)pthread_create(&thread, &attr, what, arg);
}

_Noreturn static int by_thread(const void *arg)
{
	(void)arg;
	start(execs, NULL, 16384);
	for (;;)
		pause();
}

_Noreturn static int after_the_first(const void *arg)
{
	(void)arg;
	main_thread = pthread_self();
	start(execs, "join", 0);
	/* Not pthread_exit(), which loads a library. */
	for (;;)
		syscall(SYS_exit, 0);
}

_Noreturn static int among_busy(const void *arg)
{
	for (int i = 0; i < 4; i++)
		start(i == 3 ? nothing : arg ? forks : reads, NULL, 0);
	pause_us(2000);
	start(execs, NULL, 0);
	for (;;)
		pause();
}

/* One of them comes through, and the others are gone. */
_Noreturn static int all_at_once(const void *arg)
{
	(void)arg;
	for (int i = 0; i < 6; i++)
		start(execs, NULL, 0);
	execs(NULL);
}

void exec_threads(struct battery *b)
{
	static const struct {
		const char *name;
		int (*act)(const void *);
		const void *arg;
	} ways[] = {{"by a thread", by_thread, NULL}, {"by a thread, after the first ended", after_the_first, NULL},
		{"while threads open files", among_busy, NULL}, {"while threads fork", among_busy, ""},
		{"by all threads at once", all_at_once, NULL}};
	static const char *const subjects[] = {
		"./probe", "./probe_static", "./script", "./garbage", "./nested-missing"};
	char name[80];

	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		for (size_t k = 0; k < sizeof(ways) / sizeof(ways[0]); k++) {
			/* With failures the last case says how many, which depends. */
			if (k == 4 && i >= 3)
				continue;
			subject = subjects[i];
			snprintf(name, sizeof(name), "%s, %s", subject, ways[k].name);
			for (int times = 0; times < (k > 1 ? 5 : 1); times++)
				child(b, name, ways[k].act, ways[k].arg);
		}
}

/* ---- signals ---- */

static atomic_int caught_count;

static void caught(int signal)
{
	(void)signal;
	caught_count++;
}

/* A child that sends its parent signals until it is gone. */
static void storm(int signal, int second, long us)
{
	pid_t parent = getpid();

	if (fork())
		return;
	close(1);
	while (getppid() == parent && kill(parent, signal) == 0) {
		if (second) {
			pause_us(us);
			kill(parent, second);
		}
		pause_us(us);
	}
	_exit(0);
}

static void handle(int signal, int flags)
{
	struct sigaction a = {.sa_handler = caught, .sa_flags = flags};

	sigaction(signal, &a, NULL);
}

/* Signals that nobody minds after the exec. */
static int signalled(const void *arg)
{
	handle(SIGWINCH, SA_RESTART);
	storm(SIGWINCH, SIGURG, 100);
	while (!caught_count)
		pause_us(100);
	return run(arg, NULL);
}

/* Interrupted it may be, before anything has happened; and never anything else. */
static int signalled_hard(const void *arg)
{
	int e;

	handle(SIGWINCH, 0);
	storm(SIGWINCH, SIGURG, 100);
	while (!caught_count)
		pause_us(100);
	do {
		e = run(arg, NULL);
	} while (e == -EINTR);
	return e;
}

static int failing_under_signals(const void *arg)
{
	int e = 0, all = 0;

	handle(SIGWINCH, SA_RESTART);
	storm(SIGWINCH, 0, 50);
	while (!caught_count)
		pause_us(100);
	for (int i = 0; i < 300; i++) {
		e = run(arg, NULL);
		all += e == -ENOEXEC;
	}
	printf("%d of 300 failed as they should\n", all);
	fflush(stdout);
	return -ECANCELED;
}

static int stopped(const void *arg)
{
	int status = 0, stops = 0;
	pid_t pid = fork();

	if (!pid) {
		for (int i = 0; i < 20; i++) {
			pid_t one = fork();

			if (!one)
				_exit(-run(arg, (char *[]){"x", "exit", "7", NULL}));
			if (waitpid(one, &status, 0) != one || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
				_exit(1);
		}
		_exit(0);
	}
	/* Its children are in its group. */
	for (int i = 0; i < 200; i++) {
		kill(pid, SIGSTOP);
		if (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status))
			stops++;
		else
			break;
		kill(pid, SIGCONT);
		pause_us(300);
	}
	if (stops == 200)
		waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 && stops ? -ECANCELED : -EPROTO;
}

/* Stopped and continued in the exec itself. */
static int stopped_itself(const void *arg)
{
	int bad = 0;

	for (int i = 0; i < 60; i++) {
		int status = 0;
		pid_t pid = fork();

		if (!pid)
			_exit(-run(arg, (char *[]){"x", "exit", "7", NULL}));
		pause_us(i * 20);
		kill(pid, SIGSTOP);
		pid_t got = waitpid(pid, &status, WUNTRACED);
		if (got == pid && WIFSTOPPED(status)) {
			if (waitpid(pid, &status, WUNTRACED | WNOHANG) != 0)
				bad++; /* it runs on, or says so twice */
			kill(pid, SIGCONT);
			got = waitpid(pid, &status, 0);
		}
		if (got != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
			bad++;
	}
	printf("%d of 60 went wrong\n", bad);
	fflush(stdout);
	return -ECANCELED;
}

static int killed(const void *arg)
{
	int bad = 0;

	for (int i = 0; i < 150; i++) {
		int status = 0;
		pid_t pid = fork();

		if (!pid)
			_exit(-run(arg, (char *[]){"x", "pause", NULL}));
		pause_us(i * 10);
		kill(pid, SIGKILL);
		if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
			bad++;
	}
	printf("%d of 150 went wrong, %s is left\n", bad,
		waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD ? "none" : "one");
	fflush(stdout);
	return -ECANCELED;
}

static int terminated(const void *arg)
{
	int bad = 0;

	/* Caught before the exec, deadly after it: it ends in one of two ways. */
	handle(SIGTERM, SA_RESTART);
	for (int i = 0; i < 150; i++) {
		int status = 0;
		pid_t pid = fork();

		if (!pid)
			_exit(-run(arg, (char *[]){"x", "exit", "7", NULL}));
		pause_us(i * 10);
		kill(pid, SIGTERM);
		if (waitpid(pid, &status, 0) != pid || !((WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) ||
							       (WIFEXITED(status) && WEXITSTATUS(status) == 7)))
			bad++;
	}
	printf("%d of 150 went wrong\n", bad);
	fflush(stdout);
	return -ECANCELED;
}

/* ---- many ---- */

static int at_once(const void *arg)
{
	int good = 0, status, count = 200;

	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(-run(arg, (char *[]){"x", "exit", "7", NULL}));
	}
	for (int i = 0; i < count; i++)
		good += wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 7;
	printf("%d good ones\n", good);
	fflush(stdout);
	return -ECANCELED;
}

static int one_by_one(const void *arg)
{
	char *argv[] = {"x", "exit", "7", NULL};
	int good = 0, status = 0;
	const void *before = sbrk(0);

	for (int i = 0; i < 1000; i++) {
		pid_t pid;

		if (posix_spawn(&pid, arg, NULL, NULL, argv, little_environment()))
			break;
		good += waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7;
	}
	printf("%d good ones, the heap %s\n", good, sbrk(0) == before ? "is as before" : "grew");
	fflush(stdout);
	return -ECANCELED;
}

void exec_storms(struct battery *b)
{
	static const struct {
		const char *name;
		int (*act)(const void *);
	} acts[] = {{"signals with SA_RESTART", signalled}, {"signals without", signalled_hard},
		{"starter stopped", stopped}, {"stopped", stopped_itself}, {"killed", killed},
		{"terminated", terminated}, {"200 at once", at_once}, {"1000 one by one", one_by_one}};
	static const char *const subjects[] = {"./probe", "./script-exit", "./probe_static"};
	char name[80];

	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		for (size_t k = 0; k < sizeof(acts) / sizeof(acts[0]); k++) {
			/* As it gives its arguments on, a script can only say that. */
			const char *path = i == 1 && k < 2 ? "./script" : subjects[i];

			snprintf(name, sizeof(name), "%s, %s", path, acts[k].name);
			child(b, name, acts[k].act, path);
		}
	child(b, "failing under signals, ./garbage", failing_under_signals, "./garbage");
}
