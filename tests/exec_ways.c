/* SPDX-License-Identifier: ISC */
/* The ways to execute a program, and what it keeps: batteries for live_exec. */
#include "tests/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

int run_at(int fd, const char *path, int flags)
{
	char *argv[] = {"given", "one", NULL};

	return syscall(SYS_execveat, fd, path, argv, little_environment(), flags) < 0 ? -errno : 0;
}

/* ---- ways ---- */

static const char *subject; /* the program of the moment */

static int by_path(const void *arg)
{
	char *argv[] = {"given", "one", "", "three", NULL};

	(void)arg;
	return run(subject, argv);
}

static int absolute(const void *arg)
{
	char path[4200], cwd[4096];

	(void)arg;
	snprintf(path, sizeof(path), "%s/%s", getcwd(cwd, sizeof(cwd)), subject);
	return run(path, NULL);
}

static int beneath(const void *arg)
{
	(void)arg;
	return run_at(open(".", O_RDONLY | O_DIRECTORY), subject, 0);
}

static int beneath_closing(const void *arg)
{
	(void)arg;
	return run_at(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), subject, 0);
}

static int empty_path(const void *arg)
{
	return run_at(open(subject, O_RDONLY | *(const int *)arg), "", AT_EMPTY_PATH);
}

static int through_proc(const void *arg)
{
	char path[64];

	snprintf(path, sizeof(path), arg ? "/dev/fd/%d" : "/proc/self/fd/%d", open(subject, O_RDONLY));
	return run(path, NULL);
}

static int no_follow(const void *arg)
{
	(void)arg;
	return run_at(AT_FDCWD, subject, AT_SYMLINK_NOFOLLOW);
}

static int spawned(const void *arg)
{
	char *argv[] = {"given", "spawned", NULL};
	pid_t pid;
	int status = 0;
	/* Searched for in PATH, which has the working directory. */
	int e = arg ? posix_spawnp(&pid, subject, NULL, NULL, argv, little_environment())
		    : posix_spawn(&pid, subject, NULL, NULL, argv, little_environment());

	if (e)
		return -e;
	waitpid(pid, &status, 0);
	exit(WEXITSTATUS(status));
}

static int forked_virtually(const void *arg)
{
	static volatile int failed;
	int status = 0;
	pid_t pid = vfork();

	(void)arg;
	if (!pid) {
		failed = run(subject, NULL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	return failed ? failed : WEXITSTATUS(status) ? -EIO : -ECANCELED;
}

static int by_shell(const void *arg)
{
	char line[300];

	snprintf(line, sizeof(line), "%s./%s a 'b c'", arg ? "exec " : "", subject);
	int status = system(line);
	exit(WEXITSTATUS(status));
}

static int by_pipe(const void *arg)
{
	char line[300];
	FILE *f;

	(void)arg;
	snprintf(line, sizeof(line), "./%s a b", subject);
	f = popen(line, "r");
	while (f && fgets(line, sizeof(line), f))
		fputs(line, stdout);
	fflush(stdout);
	exit(f ? WEXITSTATUS(pclose(f)) : 1);
}

static int checked(const void *arg)
{
	int r;

	(void)arg;
	r = run_at(AT_FDCWD, subject, 0x10000); /* AT_EXECVE_CHECK */
	if (r == 0)
		printf("may be executed\n");
	fflush(stdout);
	return r;
}

static int itself(const void *arg)
{
	char *argv[] = {"itself", "probe", NULL};

	(void)arg;
	return run("/proc/self/exe", argv);
}

void exec_ways(struct battery *b)
{
	static const char *const subjects[] = {"probe", "probe_static", "probe_pie", "probe_musl", "script", "link",
		"dir/up", "dir-link", "absolute", "script-link", "script-sh", "suid", "dir/script", "plain", "dangling",
		"loop", "dir", "fifo", "garbage", "empty", "probe/", "./probe", "dir/../probe", "gone/probe",
		"probe/probe", "dir//up", "nested-3", "script-bare"};
	static const int none, closes = O_CLOEXEC, path = O_PATH;
	char name[80];

	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		const struct {
			const char *name;
			int (*act)(const void *);
			const void *arg;
		} ways[] = {{"execve", by_path, NULL}, {"absolute", absolute, NULL}, {"beneath", beneath, NULL},
			{"beneath, close-on-exec", beneath_closing, NULL}, {"descriptor", empty_path, &none},
			{"descriptor, close-on-exec", empty_path, &closes}, {"O_PATH", empty_path, &path},
			{"/proc/self/fd", through_proc, NULL}, {"/dev/fd", through_proc, ""},
			{"nofollow", no_follow, NULL}, {"posix_spawn", spawned, NULL}, {"posix_spawnp", spawned, ""},
			{"vfork", forked_virtually, NULL}, {"system", by_shell, NULL}, {"system, exec", by_shell, ""},
			{"popen", by_pipe, NULL}, {"AT_EXECVE_CHECK", checked, NULL}};

		subject = subjects[i];
		if (!strcmp(subject, "probe_musl") && access(subject, F_OK))
			continue;
		for (size_t k = 0; k < sizeof(ways) / sizeof(ways[0]); k++) {
			/* A FIFO would be waited for, and is not handed over as a name alone. */
			if (!strcmp(subject, "fifo") &&
				(strstr(ways[k].name, "fd") || strstr(ways[k].name, "desc") || k == 6))
				continue;
			snprintf(name, sizeof(name), "%s, %s", subject, ways[k].name);
			child(b, name, ways[k].act, ways[k].arg);
		}
	}
	child(b, "itself", itself, NULL);
}

/* ---- what is kept ---- */

static void caught(int signal)
{
	(void)signal;
}

static int keep_signals(const void *arg)
{
	sigset_t set;

	(void)arg;
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, caught);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, caught);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGTERM);
	raise(SIGUSR2);
	raise(SIGUSR1);
	kill(getpid(), SIGCHLD);
	return run("./probe", NULL);
}

static int keep_blocked(const void *arg)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return run(arg, NULL);
}

static int keep_ignored(const void *arg)
{
	for (int i = 1; i < 32; i++)
		signal(i, SIG_IGN);
	return keep_blocked(arg);
}

static int keep_trap_ignored(const void *arg)
{
	signal(SIGTRAP, SIG_IGN);
	return run(arg, NULL);
}

static int keep_files(const void *arg)
{
	(void)arg;
	if (open("probe", O_RDONLY) != 3 || open("probe", O_RDONLY | O_CLOEXEC) != 4 || dup2(3, 7) != 7 ||
		fcntl(3, F_DUPFD_CLOEXEC, 9) != 9 || dup2(3, 900) != 900)
		return -EBADF;
	return run("./probe", NULL);
}

static int keep_rest(const void *arg)
{
	struct rlimit core = {12345, 12345}, files = {777, 777};

	(void)arg;
	umask(0137);
	alarm(1000);
	setrlimit(RLIMIT_CORE, &core);
	setrlimit(RLIMIT_NOFILE, &files);
	return chdir("dir") ? -errno : run("../probe", NULL);
}

static int many_arguments(const void *arg)
{
	size_t count = *(const size_t *)arg;
	char **argv = calloc(count + 1, sizeof(*argv));

	for (size_t i = 0; i < count; i++)
		argv[i] = i % 7 ? "argument" : "a";
	return run("./script", argv);
}

static int long_argument(const void *arg)
{
	size_t len = *(const size_t *)arg;
	char *text = malloc(len + 1);
	char *argv[] = {"short", text, NULL};

	memset(text, 'x', len);
	text[len] = 0;
	return run("./probe", argv);
}

static int large_environment(const void *arg)
{
	size_t count = *(const size_t *)arg;
	char **env = calloc(count + 1, sizeof(*env)), *argv[] = {"probe", NULL};

	for (size_t i = 0; i < count; i++)
		if (asprintf(&env[i], "VARIABLE_%zu=%0100zu", i, i) < 0)
			return -ENOMEM;
	execve("./probe", argv, env);
	return -errno;
}

static int no_arguments(const void *arg)
{
	char *none[] = {NULL};

	return syscall(SYS_execve, arg, NULL, NULL) < 0 && syscall(SYS_execve, arg, none, none) < 0 ? -errno : 0;
}

static int empty_arguments(const void *arg)
{
	char *none[] = {NULL};

	return syscall(SYS_execve, arg, none, none) < 0 ? -errno : 0;
}

/* After a failure everything is as it was: descriptors, signals, memory. */
static int after_failure(const void *arg)
{
	char *argv[] = {"x", NULL};
	struct sigaction a;
	sigset_t set, left;
	int fd = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGUSR1, caught);
	for (int i = 0; i < 20; i++) {
		int e = run(arg, argv);

		fd = dup(1);
		close(fd);
		sigprocmask(SIG_SETMASK, NULL, &left);
		if (fd != 3 || memcmp(&set, &left, sizeof(unsigned long)) != 0 || sigaction(SIGUSR1, NULL, &a) ||
			a.sa_handler != caught) {
			printf("descriptor %d, mask %lx\n", fd, *(unsigned long *)(void *)&left);
			fflush(stdout);
			return e;
		}
		if (raise(SIGUSR1))
			return -EIO;
	}
	errno = 0;
	return run(arg, argv);
}

void exec_kept(struct battery *b)
{
	static const size_t few[] = {1, 2, 3, 9, 500, 5000, 60000}, sizes[] = {100, 4095, 131070, 131071, 131072},
			    variables[] = {1, 1000, 9000};
	static const char *const failing[] = {"./garbage", "./empty", "./elf-short", "./elf-interp", "./plain",
		"./nowhere", "./nested-missing", "./script-not-x", "./nested-6"};
	static const char *const programs[] = {"./probe", "./script", "./probe_static", "./script-sh"};
	char name[80];

	child(b, "signals", keep_signals, NULL);
	for (size_t i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "everything blocked, %s", programs[i]);
		child(b, name, keep_blocked, programs[i]);
		snprintf(name, sizeof(name), "everything ignored, too, %s", programs[i]);
		child(b, name, keep_ignored, programs[i]);
		snprintf(name, sizeof(name), "traps ignored, %s", programs[i]);
		child(b, name, keep_trap_ignored, programs[i]);
	}
	child(b, "descriptors", keep_files, NULL);
	child(b, "umask, directory, limits, alarm", keep_rest, NULL);
	for (size_t i = 0; i < sizeof(few) / sizeof(few[0]); i++) {
		snprintf(name, sizeof(name), "script with %zu arguments", few[i]);
		child(b, name, many_arguments, &few[i]);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(name, sizeof(name), "argument of %zu bytes", sizes[i]);
		child(b, name, long_argument, &sizes[i]);
	}
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		snprintf(name, sizeof(name), "%zu variables", variables[i]);
		child(b, name, large_environment, &variables[i]);
	}
	for (size_t i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "no arguments, %s", programs[i]);
		child(b, name, no_arguments, programs[i]);
		snprintf(name, sizeof(name), "empty arguments, %s", programs[i]);
		child(b, name, empty_arguments, programs[i]);
	}
	for (size_t i = 0; i < sizeof(failing) / sizeof(failing[0]); i++) {
		snprintf(name, sizeof(name), "after failing with %s", failing[i]);
		child(b, name, after_failure, failing[i]);
	}
}
