/* SPDX-License-Identifier: ISC */
/* What targets try against those who ask, stop, suspend and keep them, and how each must fail. */
#include "tests/keeper.h"
#include "tests/tap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct counters *counters_of(struct airlock_target *host)
{
	struct airlock_message m = AIRLOCK_MESSAGE_INIT;
	char byte;
	m.data = &byte;
	m.cap = 1;
	while (airlock_dispatch(host, -1) != 1)
		;
	if (airlock_recv(host, &m) < 0 || m.fd < 0)
		_exit(1);
	struct counters *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	if (c == MAP_FAILED)
		_exit(2);
	return c;
}

/* Each of them counts, and tells all others to go on, all the time. */
static int wakes(struct airlock_target *host, int argc, char **argv)
{
	struct counters *c = counters_of(host);
	int n = argc > 0 ? atoi(argv[0]) : 2, i = 0;
	while (++i < n && fork() > 0)
		;
	for (i %= n;;) {
		c->of[i]++;
		kill(-1, SIGCONT);
		kill(0, SIGCONT);
	}
	return 0;
}
AIRLOCK_ENTRY(wakes)

/* Forks for ever: each child counts once and forks the next. */
static int forks(struct airlock_target *host, int argc, char **argv)
{
	struct counters *c = counters_of(host);
	(void)argc;
	(void)argv;
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		c->of[0]++;
		if (fork() > 0)
			_exit(0);
	}
}

/* The first process stays, so that the target does. */
static int forkers(struct airlock_target *host, int argc, char **argv)
{
	if (fork() == 0)
		return forks(host, argc, argv);
	for (;;)
		pause();
}
AIRLOCK_ENTRY(forkers)

/* Sends init what only the broker may, forged as far as the kernel lets it; what comes of it is that it counts on. */
static int forges(struct airlock_target *host, int argc, char **argv)
{
	struct counters *c = counters_of(host);
	siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_USER};
	(void)argc;
	(void)argv;
	for (;;) {
		kill(1, SIGUSR1);
		kill(1, SIGUSR2);
		sigqueue(1, SIGUSR1, (union sigval){0});
		info.si_code = SI_QUEUE;
		syscall(SYS_rt_sigqueueinfo, 1, SIGUSR1, &info);
		c->of[0]++;
	}
	return 0;
}
AIRLOCK_ENTRY(forges)

/* Reads nothing, but says for ever that it is well: writes to the words of the shared memory that it finds. */
static int floods(struct airlock_target *host, int argc, char **argv)
{
	char bytes[512];
	(void)argc;
	(void)argv;
	memset(bytes, 'x', sizeof(bytes));
	for (;;)
		if (airlock_send(host, bytes, sizeof(bytes), -1) == -EAGAIN)
			airlock_dispatch(host, 0);
	return 0;
}
AIRLOCK_ENTRY(floods)

static void wake(void)
{
	struct airlock_policy *p = policy_made("pledge stdio recvfd proc\n");
	struct airlock_target *t = counting(p, "wakes", 4);
	int r = airlock_suspend(t);
	uint64_t went = 1;
	/* It is said again until it holds. */
	for (int i = 0; i < 40 && went; i++)
		went = progress(4, 100);
	check(r == 0 && went == 0, "processes that wake each other come to stand still", "%d, %llu", r,
		(unsigned long long)went);
	check(progress(4, 300) == 0, "and stay so", "%s", "they go on");
	check(airlock_resume(t) == 0 && progress(4, 200) > 0, "until they may go on", "%s", airlock_message());
	airlock_free(t);

	t = counting(p, "forkers", 1);
	r = airlock_suspend(t);
	settle();
	went = progress(1, 300);
	check(r == 0 && went == 0, "no fork escapes", "%d, %llu", r, (unsigned long long)went);
	check(airlock_resume(t) == 0 && progress(1, 300) > 0, "and forks go on", "%s", airlock_message());
	airlock_suspend(t);
	airlock_free(t);

	t = counting(p, "forges", 1);
	went = progress(1, 200);
	check(went > 0 && progress(1, 200) > 0, "init hears nobody but the broker", "%s", "it stopped");
	r = airlock_suspend(t);
	settle();
	check(r == 0 && progress(1, 200) == 0, "and the broker all the same", "%d", r);
	airlock_free(t);
	airlock_policy_free(p);
}

static void flood(const struct airlock_policy *p)
{
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	struct airlock_target *t = start(p, "floods", NULL);
	int64_t from = clock_now();
	int r = airlock_ping(t, NET_MS);
	check(r == 0 || r == -ETIMEDOUT, "one that floods its host answers or does not", "%d", r);
	check(airlock_suspend(t) == 0 && airlock_resume(t) == 0, "can be suspended", "%s", airlock_message());
	r = airlock_stop(t, 100, &s);
	check(r == 0 && clock_now() - from < 2 * NET_MS, "and stopped", "%d", r);
	airlock_free(t);
}

/* A host that dies while its target is suspended. */
static void host_dies(void)
{
	int fds[2];
	char byte;
	if (pipe(fds) < 0)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		close(fds[0]);
		struct airlock_policy *p = policy_made("pledge stdio recvfd proc\n");
		airlock_policy_pass(p, fds[1], 20);
		struct airlock_target *t = counting(p, "wakes", 3);
		airlock_suspend(t);
		(void)!write(fds[1], "", 1);
		kill(getpid(), SIGKILL);
	}
	close(fds[1]);
	bool told = read(fds[0], &byte, 1) == 1;
	waitpid(pid, NULL, 0);
	/* The pipe has no writer when the last process of the target is gone. */
	struct pollfd p = {.fd = fds[0], .events = POLLIN};
	bool gone = poll(&p, 1, NET_MS) == 1 && read(fds[0], &byte, 1) == 0;
	check(told && gone, "a host that dies takes a suspended target with it", "%d %d", told, gone);
	close(fds[0]);
}

unsigned hostile(const struct airlock_policy *p)
{
	wake();
	flood(p);
	host_dies();
	return tap_failed;
}
