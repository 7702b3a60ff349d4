/* SPDX-License-Identifier: ISC */
/* pledge(2) in programs with threads, and with signals at any moment. Runs in children of the test. */
#include "tests/openbsd_pledge.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define DO(name) static void name(void)

static int waiting[2];

static void *waits_in_read(void *arg)
{
	char c;
	(void)arg;
	return (void *)(read(waiting[0], &c, 1) == 1 && open("/etc/passwd", O_RDONLY) >= 0 ? 1L : 0L);
}

static void *waits_in_open(void *arg)
{
	return (void *)(open(arg, O_RDONLY) >= 0 ? 1L : 0L);
}

DO(threads_blocked)
{
	pthread_t a, b;
	void *fine;
	world_make();
	GIVES(mkfifo(in_world("fifo"), 0600), 0);
	GIVES(pipe(waiting), 0);
	GIVES(pthread_create(&a, NULL, waits_in_read, NULL), 0);
	GIVES(pthread_create(&b, NULL, waits_in_open, (void *)(uintptr_t)in_world("fifo")), 0);
	usleep(20000);
	SAYS(pledge("stdio rpath wpath", NULL), 0);
	GIVES(write(waiting[1], "x", 1), 1);
	GIVES(pthread_join(a, &fine), 0);
	GIVES((long)fine, 1);
	HOLDS(open(in_world("fifo"), O_WRONLY) >= 0);
	GIVES(pthread_join(b, &fine), 0);
	GIVES((long)fine, 1);
}

static void *opens_in_vain(void *arg)
{
	char c;
	(void)arg;
	if (read(waiting[0], &c, 1) == 1)
		open("/etc/passwd", O_RDONLY);
	return NULL;
}

DO(thread_violates)
{
	pthread_t t;
	GIVES(pipe(waiting), 0);
	GIVES(pthread_create(&t, NULL, opens_in_vain, NULL), 0);
	SAYS(pledge("stdio", NULL), 0);
	GIVES(write(waiting[1], "x", 1), 1);
	pthread_join(t, NULL);
}

static void *pledges(void *arg)
{
	return (void *)(long)pledge(arg, NULL);
}

DO(thread_pledges)
{
	pthread_t t;
	void *said;
	GIVES(pthread_create(&t, NULL, pledges, (void *)(uintptr_t) "stdio rpath"), 0);
	GIVES(pthread_join(t, &said), 0);
	GIVES((long)said, 0);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
	GIVES(pthread_create(&t, NULL, pledges, (void *)(uintptr_t) "stdio"), 0);
	GIVES(pthread_join(t, &said), 0);
	open("/etc/passwd", O_RDONLY);
}

DO(threads_later)
{
	pthread_t t;
	void *said;
	SAYS(pledge("stdio rpath", NULL), 0);
	for (int i = 0; i < 20; i++) {
		GIVES(pthread_create(&t, NULL, pledges, (void *)(uintptr_t) "stdio rpath"), 0);
		GIVES(pthread_join(t, &said), 0);
		GIVES((long)said, 0);
	}
}

static volatile sig_atomic_t ticks;

static void tick(int signal)
{
	(void)signal;
	ticks++;
}

DO(signals_meanwhile)
{
	const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
	const struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	SAYS(pledge("stdio rpath wpath", NULL), 0);
	for (int i = 0; i < 100 || ticks < 10; i++) {
		int fd = open("/etc/passwd", O_RDONLY);
		HOLDS(fd >= 0);
		close(fd);
		SAYS(pledge(i < 50 ? "stdio rpath wpath" : "stdio rpath", NULL), 0);
	}
	setitimer(ITIMER_REAL, &never, NULL);
}

DO(alarmed)
{
	alarm(1);
	SAYS(pledge("stdio", NULL), 0);
	for (;;)
		pause();
}

DO(killed)
{
	SAYS(pledge("stdio", NULL), 0);
	kill(getpid(), SIGKILL);
}

static sigjmp_buf away;

static void jumps(int signal)
{
	(void)signal;
	siglongjmp(away, 1);
}

static void violate(void)
{
	SAYS(pledge("stdio", NULL), 0);
	if (sigsetjmp(away, 1) == 0)
		open("/etc/passwd", O_RDONLY);
	_exit(1);
}

DO(abort_handled)
{
	const struct sigaction action = {.sa_handler = jumps};
	sigaction(SIGABRT, &action, NULL);
	violate();
}

DO(abort_ignored)
{
	signal(SIGABRT, SIG_IGN);
	violate();
}

DO(abort_blocked)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	violate();
}

DO(abort_all)
{
	sigset_t all;
	sigfillset(&all);
	for (int s = 1; s < 32; s++)
		signal(s, SIG_IGN);
	sigprocmask(SIG_SETMASK, &all, NULL);
	violate();
}

void thread_cases(void)
{
	static const struct attempt attempts[] = {
		{"threads that wait", threads_blocked, 0, NULL},
		{"a violation by another thread", thread_violates, ABORTS, "pledge \"rpath\""},
		{"another thread pledges", thread_pledges, ABORTS, "pledge \"rpath\""},
		{"threads that start later", threads_later, 0, NULL},
		{"signal handlers meanwhile", signals_meanwhile, 0, NULL},
		{"an alarm", alarmed, BY_SIGNAL(SIGALRM), NULL},
		{"SIGKILL", killed, BY_SIGNAL(SIGKILL), NULL},
		{"SIGABRT handled", abort_handled, ABORTS, "pledge \"rpath\""},
		{"SIGABRT ignored", abort_ignored, ABORTS, "pledge \"rpath\""},
		{"SIGABRT blocked", abort_blocked, ABORTS, "pledge \"rpath\""},
		{"all signals blocked and ignored", abort_all, ABORTS, "pledge \"rpath\""},
	};
	ATTEMPTS("threads and signals", attempts);
}
