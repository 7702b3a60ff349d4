/* SPDX-License-Identifier: ISC */
/* What is executed by live_exec: it says, in one line, what it was given and what it kept. Is built in several ways, static
 * and by another libc too. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static void list(const char *what, char **words)
{
	unsigned long count = 0, hash = 5381;

	for (; words && words[count]; count++)
		for (const char *c = words[count]; *c; c++)
			hash = hash * 33 + (unsigned char)*c;
	printf(" %s=%lu", what, count);
	if (count > 8 || (count && strlen(words[0]) > 300)) {
		printf("#%lx", hash);
		return;
	}
	for (unsigned long i = 0; i < count; i++)
		if (strlen(words[i]) > 300)
			printf("[%lu long]", (unsigned long)strlen(words[i]));
		else
			printf("[%s]", words[i]);
}

static void signals(void)
{
	sigset_t mask, pending;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigpending(&pending);
	printf(" signals=");
	for (int i = 1; i < 32; i++) {
		struct sigaction a;
		int ignored = sigaction(i, NULL, &a) == 0 && a.sa_handler == SIG_IGN;
		int handled = a.sa_handler != SIG_IGN && a.sa_handler != SIG_DFL;

		if (ignored || handled || sigismember(&mask, i) || sigismember(&pending, i))
			printf("%d%s%s%s%s,", i, ignored ? "i" : "", handled ? "h" : "",
				sigismember(&mask, i) ? "b" : "", sigismember(&pending, i) ? "p" : "");
	}
}

int main(int argc, char **argv)
{
	static char before[40];
	char name[17] = "", cwd[4096] = "?";
	struct rlimit core, files;
	struct itimerval timer;
	mode_t mask = umask(022);

	/* The pid differs by nature: it is compared with its own, and not told. */
	for (char **from = environ, **to = environ; from && (*to = *from); from++)
		if (!strncmp(*from, "PROBE_PID=", 10))
			snprintf(before, sizeof(before), "%.30s", *from + 10);
		else
			to++;
	if (argc > 1 && !strcmp(argv[1], "exit"))
		return argc > 2 ? atoi(argv[2]) : 0;
	if (argc > 1 && !strcmp(argv[1], "pause"))
		for (;;)
			pause();
	prctl(PR_GET_NAME, name);
	printf("probe:");
	list("args", argv);
	list("env", environ);
	signals();
	printf(" open=");
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%d,", fd);
	getrlimit(RLIMIT_CORE, &core);
	getrlimit(RLIMIT_NOFILE, &files);
	getitimer(ITIMER_REAL, &timer);
	printf(" name=%s umask=%o cwd=%s ids=%d core=%ld files=%ld alarm=%d pid=%d\n", name, (unsigned)mask,
		getcwd(cwd, sizeof(cwd)) ? cwd : "?", getuid() == geteuid() && getgid() == getegid(),
		(long)core.rlim_cur, (long)files.rlim_cur, timer.it_value.tv_sec != 0, atoi(before) == getpid());
	return 0;
}
