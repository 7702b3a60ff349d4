/* SPDX-License-Identifier: ISC */
/* Processes: spawning, shells, waiting, handlers around fork. */
#include "checks.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wordexp.h>

extern char **environ;

static void status_of(pid_t pid)
{
	int status = 0;
	pid_t got;
	while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		;
	say("%d %x", got == pid, (unsigned)status);
}

static void spawning(void)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)"echo spawned; exit 3", NULL};
	pid_t pid = -1;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	fflush(stdout);
	int e = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);
	if (!e)
		status_of(pid);
	say("%s", e ? errno_name(e) : "yes");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	fflush(stdout);
	e = posix_spawnp(&pid, "sh", &actions, &attributes, argv, environ);
	if (!e)
		status_of(pid);
	say("%s", e ? errno_name(e) : "yes");
	e = posix_spawnp(&pid, "no-such-program", NULL, NULL, argv, environ);
	say("%s", errno_name(e));
}

static void shells(void)
{
	char line[64] = "";
	fflush(stdout);
	int status = system("echo from a shell; exit 5");
	say("%x %d", (unsigned)status, system(NULL) != 0);
	FILE *f = popen("echo one; echo two", "r");
	while (f && fgets(line, sizeof(line), f))
		say("> %s", line);
	say("%x", f ? (unsigned)pclose(f) : 0);
	fflush(stdout);
	f = popen("while read x; do echo \"< $x\"; done", "w");
	if (f)
		fprintf(f, "to the shell\n");
	say("%x", f ? (unsigned)pclose(f) : 0);
	wordexp_t w;
	int e = wordexp("a $(echo b c) ${HOME:-d}", &w, 0);
	say("%d", e);
	for (size_t i = 0; !e && i < w.we_wordc; i++)
		say("%s", w.we_wordv[i]);
	e = wordexp("~root/x *.nothing", &w, WRDE_NOCMD);
	for (size_t i = 0; !e && i < w.we_wordc; i++)
		say("%s", w.we_wordv[i]);
}

static int *shared;

static void before(void)
{
	shared[0]++;
}

static void after(void)
{
	shared[1]++;
}

static void at_end(void)
{
	say("at the end");
	shared[2]++;
}

static void forking(void)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_atfork(before, after, after);
	atexit(at_end);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		say("child");
		exit(7);
	}
	status_of(pid);
	pid = vfork();
	if (pid == 0)
		_exit(9);
	status_of(pid);
	pid = fork();
	if (pid == 0) {
		raise(SIGTERM);
		_exit(1);
	}
	status_of(pid);
	say("%d %d", shared[0], shared[1]);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	kill(pid, SIGKILL);
	siginfo_t info;
	memset(&info, 0, sizeof(info));
	say("%d %d %d", waitid(P_PID, (id_t)pid, &info, WEXITED), info.si_code, info.si_status);
	say("%d", shared[2]);
	errno = 0;
	say("%d %d", waitpid(-1, NULL, 0), errno == ECHILD);
}

static void executing(void)
{
	fflush(stdout);
	pid_t pid = vfork();
	if (pid == 0) {
		execlp("sh", "sh", "-c", "echo by way of PATH; exit 2", (char *)NULL);
		_exit(127);
	}
	status_of(pid);
	pid = fork();
	if (pid == 0) {
		setenv("PATH", "/nowhere:/bin:/usr/bin", 1);
		execlp("sh", "sh", "-c", "echo further on", (char *)NULL);
		_exit(127);
	}
	status_of(pid);
	pid = fork();
	if (pid == 0) {
		execlp("no-such-program", "x", (char *)NULL);
		_exit(errno == ENOENT ? 44 : 45);
	}
	status_of(pid);
	errno = 0;
	execl("/usr/share/zoneinfo/Europe/Berlin", "x", (char *)NULL);
	say("%s", errno == EACCES || errno == ENOENT ? "not to be executed" : errno_name(errno));
}

const struct libc_check process_checks[] = {
	{"posix_spawn", "stdio rpath wpath proc exec", "rx:/bin rx:/usr/bin", 0, spawning},
	{"system-popen-wordexp", "stdio rpath wpath proc exec getpw", "rx:/bin rx:/usr/bin r:@", 0, shells},
	{"fork-atexit", "stdio proc", NULL, 0, forking},
	{"execvp", "stdio rpath proc exec", "rx:/bin rx:/usr/bin r:/usr/share/zoneinfo !/nowhere !/usr/share/zoneinfo",
		0, executing},
	{NULL, NULL, NULL, 0, NULL},
};
