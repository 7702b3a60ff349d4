/* SPDX-License-Identifier: ISC */
/* Checks of live_exec that are not a comparison: pledges in place, brokers that are killed, brokers that have done a lot. */
#include "sandbox/airlock.h"
#include "tests/exec.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAP (2 << 20)

/* ---- what the broker of a worker holds ---- */

static int count_in(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return d ? n : -1;
}

/* The broker is an orphan, whose parent this process is as its subreaper. */
static pid_t broker_find(void)
{
	char path[PATH_MAX], text[200];
	pid_t found = 0;
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && !found && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%.20s/status", e->d_name);
		FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "re") : NULL;
		int parent = 0;
		while (f && fgets(text, sizeof(text), f))
			if (sscanf(text, "PPid: %d", &parent) == 1)
				break;
		if (f)
			fclose(f);
		snprintf(path, sizeof(path), "/proc/%.20s/cmdline", e->d_name);
		int fd = parent == getpid() ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (n > 0 && memmem(text, (size_t)n, "airlock broker", 14))
			found = (pid_t)atoi(e->d_name);
		if (fd >= 0)
			close(fd);
	}
	if (d)
		closedir(d);
	return found;
}

static void broker_look(pid_t broker, int *fds, long *kilobytes)
{
	char path[64], line[200];

	snprintf(path, sizeof(path), "/proc/%d/fd", broker);
	*fds = count_in(path);
	snprintf(path, sizeof(path), "/proc/%d/status", broker);
	FILE *f = fopen(path, "re");
	*kilobytes = -1;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %ld", kilobytes) == 1)
			break;
	if (f)
		fclose(f);
}

/* The same execs again and again: what the first rounds needed is kept, and then nothing more is. (How many of the broker's
 * threads run at once, each with memory of its own, differs from round to round; what leaks grows with each.) */
unsigned exec_growth(struct airlock_target *t, const char *part)
{
	static char out[CAP];
	int fds[2] = {0, 0};
	long kb[2] = {0, 0};
	pid_t broker = broker_find();
	int storms = geteuid() ? 1 : 2; /* root, who sees more, looks closer */

	tap_prefix = "exec: ";
	for (int i = 0; i < 5 && (i < 2 || kb[1] > kb[0] + 400); i++) {
		for (int k = 0; k < storms; k++)
			airlock_call(t, "execs", part, strlen(part) + 1, out, CAP - 1);
		sleep(4); /* threads that have nothing to do end */
		fds[0] = i ? fds[1] : 0;
		kb[0] = kb[1];
		broker_look(broker, &fds[1], &kb[1]);
	}
	if (geteuid() && fds[0] < 0)
		dprintf(1, "skip exec: the broker's descriptors: only root may look at them\n");
	else
		check(broker && fds[0] > 0 && fds[1] <= fds[0] + 1, "the broker's descriptors do not grow",
			"%d, then %d", fds[0], fds[1]);
	check(kb[0] > 0 && kb[1] <= kb[0] + 400, "the broker's memory does not grow", "%ld kB, then %ld", kb[0], kb[1]);
	return tap_failed;
}

/* ---- what only the library's functions do ---- */

/* In place, after the pledges: what exec_try says of opening a file. */
static void pledged(const char *name, const char *const pledges[][2], size_t count, const char *want)
{
	static char out[CAP];
	char try[PATH_MAX + 20];
	int fds[2], r = 0;
	size_t n = 0;
	ssize_t got;

	if (pipe2(fds, O_CLOEXEC))
		return;
	pid_t pid = fork();
	if (!pid) {
		for (size_t i = 0; i < count && r == 0; i++)
			r = airlock_pledge(pledges[i][0], pledges[i][1]);
		dup2(fds[1], 1);
		snprintf(try, sizeof(try), "%s/exec_try", exec_programs);
		if (r)
			dprintf(1, "%s: %s\n", strerrorname_np(-r), airlock_message());
		else
			execl(try, try, "open:/etc/passwd", (char *)NULL);
		_exit(1);
	}
	close(fds[1]);
	while (n < CAP - 1 && (got = read(fds[0], out + n, CAP - 1 - n)) > 0)
		n += (size_t)got;
	out[n] = 0;
	close(fds[0]);
	waitpid(pid, NULL, 0);
	check(strstr(out, want) != NULL, name, "wanted '%s', it says '%.200s'", want, out);
}

static void in_place_promises(void)
{
	static const char all[] = "stdio rpath proc exec";

	pledged("pledge without exec promises", (const char *const[][2]){{all, NULL}}, 1, "open:/etc/passwd yes");
	pledged("pledge with exec promises", (const char *const[][2]){{all, "stdio"}}, 1, "open:/etc/passwd EPERM");
	pledged("exec promises before the first pledge", (const char *const[][2]){{NULL, "stdio"}, {all, NULL}}, 2,
		"open:/etc/passwd EPERM");
	pledged("exec promises after the first pledge", (const char *const[][2]){{all, NULL}, {NULL, "stdio"}}, 2,
		"open:/etc/passwd EPERM");
	pledged("exec promises twice", (const char *const[][2]){{all, "stdio rpath"}, {NULL, "stdio"}}, 2,
		"open:/etc/passwd EPERM");
	pledged("exec promises with another pledge",
		(const char *const[][2]){{all, "stdio rpath"}, {"stdio exec rpath", "stdio"}}, 2,
		"open:/etc/passwd EPERM");
	pledged("exec promises do not grow", (const char *const[][2]){{all, "stdio"}, {NULL, "stdio rpath"}}, 2,
		"EPERM: ");
	pledged("narrower promises go with the exec", (const char *const[][2]){{all, NULL}, {"stdio exec", NULL}}, 2,
		"open:/etc/passwd EPERM");
	pledged("exec promises that the process has not got", (const char *const[][2]){{"stdio exec", "stdio rpath"}},
		1, "open:/etc/passwd EPERM");
}

static int alive(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		;
	return pid == 0; /* as their subreaper this process has all of them for children */
}

/* In the middle of execs the broker is killed: its targets die, all of them. */
static void broker_dies(const char *part)
{
	static char out[CAP];
	int left = 0, answered = 0;

	for (int i = 0; i < 8; i++) {
		struct airlock_policy *policy = NULL;
		struct airlock_target *t = NULL;
		struct airlock_options options = AIRLOCK_OPTIONS_INIT;

		options.shared = CAP;
		if (exec_policy(&policy) || airlock_start(&t, policy, NULL, NULL, &options))
			break;
		pid_t broker = broker_find(), killer = fork();
		if (!killer) {
			usleep(60000 + (useconds_t)i * 7000);
			_exit(kill(broker, SIGKILL));
		}
		answered += airlock_call(t, "execs", part, strlen(part) + 1, out, CAP - 1) >= 0;
		waitpid(killer, NULL, 0);
		airlock_free(t);
		airlock_policy_free(policy);
		for (int k = 0; k < 200 && alive(); k++)
			usleep(10000);
		left += alive();
	}
	check(!left && !answered, "its broker killed, nothing is left", "of 8 times %d left something, %d answered",
		left, answered);
}

unsigned exec_library(const char *part)
{
	tap_prefix = "exec: ";
	in_place_promises();
	broker_dies(part);
	return tap_failed;
}
