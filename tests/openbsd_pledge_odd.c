/* SPDX-License-Identifier: ISC */
/* pledge(2) in programs without an environment, a directory or a file of their own, with other rights than those of who started
 * them, and under `airlock run`. Runs in children of the test. */
#include "tests/openbsd_pledge.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DO(name) static void name(void)

/* ---- helpers ---- */

static int small(void)
{
	if (pledge("stdio rpath", NULL) < 0)
		return errno;
	return open("/etc/passwd", O_RDONLY) < 0 ? 80 : pledge("stdio rpath wpath", NULL) == 0 ? 81 : 0;
}

int any_bare(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return small();
}

/* With more rights than its starter: a role in its environment counts for nothing. */
int any_secure(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return geteuid() == getuid() ? 82 : small();
}

int any_deleted(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return unlink(program) < 0 ? 83 : small();
}

int any_replaced(int argc, char **argv)
{
	return argc < 1 || rename(argv[0], program) < 0 ? 84 : small();
}

/* Under `airlock run`: within what that gave. */
int any_narrows(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (open("/etc/passwd", O_RDONLY) < 0 || open("/usr/bin/id", O_RDONLY) >= 0 || errno != ENOENT)
		return 85;
	if (unveil("/etc/passwd", "r") < 0 || open("/etc/group", O_RDONLY) >= 0 || open("/etc/passwd", O_RDONLY) < 0)
		return 86;
	if (unveil("/usr", "r") < 0 || open("/usr/bin/id", O_RDONLY) >= 0)
		return 87;
	int e = small();
	return e ? e : pledge("stdio", NULL) < 0 ? 88 : 0;
}

int any_violates(int argc, char **argv)
{
	int e = any_narrows(argc, argv);
	open("/etc/passwd", O_RDONLY);
	return e;
}

/* ---- odd programs ---- */

DO(large)
{
	size_t size = 300000000;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (p == MAP_FAILED)
		skip_case("no 300 MB of memory");
	SAYS(pledge("stdio rpath", NULL), 0);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
}

static void closed(int a, int b, int c)
{
	close(a);
	close(b);
	close(c);
	if (pledge("stdio rpath", NULL) < 0 || open("/etc/passwd", O_RDONLY) != a || (b != a && fcntl(b, F_GETFD) >= 0))
		_exit(1);
	_exit(9);
}

/* What daemons set before they give up the rest. */
static void limited(int which, rlim_t most)
{
	struct rlimit limit, now;
	GIVES(getrlimit((__rlimit_resource_t)which, &limit), 0);
	limit.rlim_cur = most;
	if (which != RLIMIT_NOFILE && which != RLIMIT_FSIZE)
		limit.rlim_max = most;
	GIVES(setrlimit((__rlimit_resource_t)which, &limit), 0);
	SAYS(pledge("stdio rpath", NULL), 0);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
	GIVES(getrlimit((__rlimit_resource_t)which, &now), 0);
	HOLDS(which == RLIMIT_LOCKS || memcmp(&now, &limit, sizeof(now)) == 0);
	SAYS(pledge("stdio rpath wpath", NULL), EPERM);
	SAYS(pledge("stdio", NULL), 0);
}

DO(few_files)
{
	limited(RLIMIT_NOFILE, 24);
}

/* Where there is not even room for a broker, it says so, and nothing is confined. */
DO(no_room)
{
	const struct rlimit none = {0, 0};
	GIVES(setrlimit(RLIMIT_FSIZE, &none), 0);
	SAYS(pledge("stdio", NULL), EFBIG);
	SAYS(unveil("/etc", "r"), EFBIG);
	HOLDS(open("/usr/bin/id", O_RDONLY) >= 0);
}

DO(no_file_size)
{
	limited(RLIMIT_FSIZE, 0);
}

DO(little_memory)
{
	limited(RLIMIT_AS, 200000000);
}

DO(small_stack)
{
	limited(RLIMIT_STACK, 262144);
}

DO(no_locks)
{
	limited(RLIMIT_LOCKS, 100000);
}

DO(no_memory_locks)
{
	limited(RLIMIT_MEMLOCK, 0);
}

DO(few_signals)
{
	limited(RLIMIT_SIGPENDING, 0);
}

DO(not_dumpable)
{
	GIVES(prctl(PR_SET_DUMPABLE, 0), 0);
	SAYS(pledge("stdio rpath", NULL), 0);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
	SAYS(pledge("stdio", NULL), 0);
	open("/etc/passwd", O_RDONLY);
}

DO(children_ignored)
{
	signal(SIGCHLD, SIG_IGN);
	SAYS(pledge("stdio rpath proc", NULL), 0);
	pid_t pid = case_fork();
	if (pid == 0)
		_exit(0);
	FAILS(waitpid(pid, NULL, 0), ECHILD);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
}

/* A directory that may not even be searched. */
DO(directory_shut)
{
	world_make();
	GIVES(mkdir(in_world("shut"), 0700), 0);
	GIVES(chdir(in_world("shut")), 0);
	GIVES(chmod(".", 0), 0);
	SAYS(pledge("stdio rpath", NULL), 0);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
	HOLDS(is_root() || (open("x", O_RDONLY) < 0 && errno == EACCES));
}

DO(no_input)
{
	closed(0, 0, 0);
}

DO(no_standard)
{
	closed(0, 1, 2);
}

DO(directory_gone)
{
	char buf[4096];
	world_make();
	GIVES(mkdir(in_world("gone"), 0755), 0);
	GIVES(chdir(in_world("gone")), 0);
	GIVES(rmdir(in_world("gone")), 0);
	SAYS(pledge("stdio rpath", NULL), 0);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
	FAILS(open("x", O_RDONLY), ENOENT);
	HOLDS(!getcwd(buf, sizeof(buf)) && errno == ENOENT);
	GIVES(chdir("/"), 0);
	HOLDS(open("etc/passwd", O_RDONLY) >= 0);
}

/* A copy of this program, which is run as a helper in an environment. */
static int copy_ends(const char *what, unsigned mode, char *const *environment)
{
	char command[8192];
	snprintf(command, sizeof(command), "cp %s %s && cp %s %s", program, in_world("copy"), program,
		in_world("other"));
	GIVES(system(command), 0);
	GIVES(chmod(in_world("copy"), mode), 0);
	pid_t pid = case_fork();
	if (pid == 0) {
		if (mode & S_ISUID)
			leave_root();
		execve(in_world("copy"),
			(char *[]){"copy", "--helper", (char *)(uintptr_t)what, (char *)(uintptr_t)in_world("other"),
				NULL},
			environment);
		_exit(100);
	}
	return child_ends(pid);
}

DO(file_deleted)
{
	world_make();
	GIVES(copy_ends("deleted", 0755, environ), 0);
}

DO(file_replaced)
{
	world_make();
	GIVES(copy_ends("replaced", 0755, environ), 0);
}

DO(secure)
{
	if (!is_root())
		skip_case("only root makes programs of other users");
	if (getenv("LD_LIBRARY_PATH"))
		skip_case("its libraries are not found");
	/* Its ids differ, so that only who may pass limits may mark it. */
	if (prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) != 1)
		skip_case("root has no CAP_SYS_RESOURCE here");
	world_make();
	GIVES(copy_ends("secure", 04755, (char *[]){"AIRLOCK_ROLE=broker", NULL}), 0);
}

/* An environment of somebody hostile: what it names is started, and serves nobody. */
DO(roles_in_environment)
{
	GIVES(setenv("AIRLOCK_ROLE", "target", 1), 0);
	GIVES(helper_ends("bare", NULL), 0);
	GIVES(setenv("AIRLOCK_ROLE", "nothing", 1), 0);
	GIVES(helper_ends("bare", NULL), 0);
	GIVES(setenv("AIRLOCK_ROLE", "guest", 1), 0);
	GIVES(helper_ends("bare", NULL), 0);
	GIVES(setenv("AIRLOCK_ROLE", "broker", 1), 0);
	GIVES(helper_ends("bare", NULL), 1);
}

static void bare(char *const *argv)
{
	static char library[4096];
	char *environment[2] = {NULL, NULL};
	if (getenv("LD_LIBRARY_PATH")) {
		snprintf(library, sizeof(library), "LD_LIBRARY_PATH=%s", getenv("LD_LIBRARY_PATH"));
		environment[0] = library;
	}
	pid_t pid = case_fork();
	if (pid == 0) {
		execve(program, argv, environment);
		_exit(100);
	}
	GIVES(child_ends(pid), 0);
}

DO(no_environment)
{
	bare((char *[]){"x", "--helper", "bare", NULL});
}

DO(no_arguments)
{
	bare((char *[]){NULL});
}

/* Under `airlock run`, which stands beside this program. */
static int run_ends(const char *what)
{
	char airlock[4096], own[4200];
	snprintf(airlock, sizeof(airlock), "%.*s/airlock", (int)(strrchr(program, '/') - program), program);
	if (access(airlock, X_OK) < 0)
		skip_case("airlock(1) is not beside this program");
	snprintf(own, sizeof(own), "rx:%s", program);
	pid_t pid = case_fork();
	if (pid == 0) {
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		execl(airlock, airlock, "run", "-e", "LD_LIBRARY_PATH", "-p", "stdio rpath unveil proc", "-v", "r:/etc",
			"-v", own, "--", program, "--helper", what, (char *)NULL);
		_exit(100);
	}
	return child_ends(pid);
}

DO(under_run)
{
	if (getenv("LD_LIBRARY_PATH"))
		skip_case("its libraries are not shown");
	GIVES(run_ends("narrows"), 0);
}

DO(under_run_violation)
{
	if (getenv("LD_LIBRARY_PATH"))
		skip_case("its libraries are not shown");
	GIVES(run_ends("violates"), 128 + SIGABRT);
}

void odd_cases(void)
{
	static const struct attempt attempts[] = {
		{"300 MB", large, 0, NULL},
		{"few descriptors", few_files, 0, NULL},
		{"no file may be written", no_file_size, 0, NULL},
		{"no file may ever be written", no_room, 0, NULL},
		{"200 MB of addresses", little_memory, 0, NULL},
		{"a small stack", small_stack, 0, NULL},
		{"a limit of locks", no_locks, 0, NULL},
		{"no locked memory", no_memory_locks, 0, NULL},
		{"no pending signals", few_signals, 0, NULL},
		{"not dumpable", not_dumpable, ABORTS, "pledge \"rpath\""},
		{"SIGCHLD ignored", children_ignored, 0, NULL},
		{"in a directory that is shut", directory_shut, 0, NULL},
		{"without standard input", no_input, 9, NULL},
		{"without input, output and error", no_standard, 9, NULL},
		{"in a directory that is gone", directory_gone, 0, NULL},
		{"its file is gone", file_deleted, 0, NULL},
		{"its file is another", file_replaced, 0, NULL},
		{"a set-user-id program, and a role in its environment", secure, 0, NULL},
		{"roles in the environment", roles_in_environment, 0, NULL},
		{"without an environment", no_environment, 0, NULL},
		{"without arguments", no_arguments, 0, NULL},
		{"under airlock run", under_run, 0, NULL},
		{"under airlock run, and a violation", under_run_violation, 0, NULL},
	};
	ATTEMPTS("odd programs", attempts);
}
