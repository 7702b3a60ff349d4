/* SPDX-License-Identifier: ISC */
/* Violations after pledge(2): every way that a program can try to live on, each in a process of its own; what is said of it,
 * and where; and the same for workers and under `airlock run`. */
#include "sandbox/airlock.h"
#include "sandbox/openbsd.h"
#include "tests/abort.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char self[4096];

static long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct result {
	int status;
	pid_t pid;
	long ms;
	char said[8192];
};

static size_t lines_of(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* What is in the pipe until all have closed it, or for so long. */
static void drain(int fd, char *buf, size_t cap, int ms)
{
	size_t len = 0;
	struct pollfd p = {fd, POLLIN, 0};
	while (len < cap - 1 && poll(&p, 1, ms) == 1) {
		ssize_t n = read(fd, buf + len, cap - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	buf[len] = 0;
}

static pid_t begin(const struct abort_case *c, int err)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	struct rlimit core = {0, 0};
	setrlimit(RLIMIT_CORE, &core);
	if (err >= 0)
		dup2(err, 2);
	_exit(c->run());
}

static void run_case(const struct abort_case *c, struct result *r)
{
	int fds[2];
	memset(r, 0, sizeof(*r));
	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	long began = now_ms();
	r->pid = begin(c, fds[1]);
	close(fds[1]);
	waitpid(r->pid, &r->status, 0);
	r->ms = now_ms() - began;
	drain(fds[0], r->said, sizeof(r->said), 2000);
	close(fds[0]);
}

/* ---- the ways ---- */

static void ways(void)
{
	static struct result r;
	for (const struct abort_case *c = abort_cases; c->name; c++) {
		char pid[32];
		run_case(c, &r);
		/* Where it was is looked for during 20 ms, which may all be somebody else's: then nothing is said of it. */
		for (int i = 0; i < 5 && c->says && strstr(c->says, "+0x") && !strstr(r.said, "+0x"); i++)
			run_case(c, &r);
		snprintf(pid, sizeof(pid), "[%d]: pledge \"", r.pid);
		const char *line = c->lives ? "pledge \"" : pid;
		const bool killed = (c->lines & OR_KILLED) && WIFSIGNALED(r.status) && WTERMSIG(r.status) == SIGKILL &&
				    strstr(r.said, "SIGABRT did not end it: SIGKILL\n");
		if (c->lives)
			check(WIFEXITED(r.status) && WEXITSTATUS(r.status) == 0, c->name, "status %x: %s", r.status,
				r.said);
		else
			check(killed || (WIFSIGNALED(r.status) && WTERMSIG(r.status) == SIGABRT), c->name,
				"status %x: %s", r.status, r.said);
		if (!c->says)
			continue;
		char name[200];
		snprintf(name, sizeof(name), "%s: what is said", c->name);
		check(strstr(r.said, line) && strstr(r.said, c->says) &&
				lines_of(r.said) == c->lines % OR_KILLED + killed,
			name, "'%s'", r.said);
	}
}

/* ---- the exit status, as a shell has it ---- */

static void shell(void)
{
	char *argv[] = {"sh", "-c", "\"$0\" case plain 2>/dev/null; exit $?", self, NULL};
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		close_range(3, ~0u, 0);
		execv("/bin/sh", argv);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 134, "the shell's status is 134", "%x", status);
}

/* ---- who traces it already ---- */

static void traced(const char *name, bool threads, int expected, const char *says)
{
	static char said[4096];
	int fds[2], go[2], status = 0, killed = 0;
	if (pipe2(fds, O_CLOEXEC) < 0 || pipe(go) < 0)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		char byte;
		dup2(fds[1], 2);
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		_exit(threads ? abort_with_threads() : abort_plain());
	}
	close(fds[1]);
	close(go[0]);
	bool seized = ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
	check(write(go[1], "x", 1) == 1 && seized, "a tracer begins", "%s", strerror(errno));
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
		int s = WSTOPSIG(status);
		ptrace(PTRACE_CONT, pid, NULL, (void *)(long)(status >> 16 ? 0 : s));
	}
	killed = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	drain(fds[0], said, sizeof(said), 2000);
	check(killed == expected && strstr(said, says), name, "status %x: %s", status, said);
	close(fds[0]);
	close(go[1]);
}

/* ---- where it is said ---- */

static void full_pipe(void)
{
	static char zeros[65536];
	int fds[2], status = 0;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	while (write(fds[1], zeros, sizeof(zeros)) > 0)
		;
	while (write(fds[1], zeros, 1) > 0)
		;
	fcntl(fds[1], F_SETFL, 0);
	const struct abort_case plain = {.run = abort_plain}, twice = {.run = abort_refused_first};
	long began = now_ms();
	waitpid(begin(&plain, fds[1]), &status, 0);
	long took = now_ms() - began;
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && took < 20000,
		"standard error is a pipe that nobody reads", "%x after %ld ms", status, took);
	began = now_ms();
	waitpid(begin(&twice, fds[1]), &status, 0);
	took = now_ms() - began;
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0 && took < 20000,
		"and requests are served while nobody reads", "%x after %ld ms", status, took);
	close(fds[0]);
	close(fds[1]);
}

static void no_stdio_terminal(void)
{
	static char said[4096];
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), status = 0;
	char slave[64];
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || ptsname_r(master, slave, sizeof(slave))) {
		dprintf(1, "skip closed standard error, with a terminal: no pseudo terminals\n");
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		setsid();
		if (open(slave, O_RDWR) < 0) /* it becomes the controlling terminal */
			_exit(1);
		close_range(0, 2, 0);
		_exit(abort_plain());
	}
	waitpid(pid, &status, 0);
	drain(master, said, sizeof(said), 1000);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, "pledge \"rpath\""),
		"closed standard error: the line is on the terminal", "%x '%s'", status, said);
	close(master);
}

static void no_stdio_log(void)
{
	struct sockaddr_un log = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	static char said[4096];
	int status = 0, s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (access("/dev/log", F_OK) == 0 || bind(s, (struct sockaddr *)&log, sizeof(log)) < 0) {
		dprintf(1, "skip closed standard error, no terminal: /dev/log is there, or cannot be made\n");
		close(s);
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		setsid();
		close_range(0, 2, 0);
		_exit(abort_plain());
	}
	waitpid(pid, &status, 0);
	drain(s, said, sizeof(said), 1000);
	unlink("/dev/log");
	close(s);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strncmp(said, "<11>", 4) == 0 &&
			strstr(said, "pledge \"rpath\"") && !strchr(said, '\n'),
		"closed standard error, no terminal: the line is in the log", "%x '%s'", status, said);
}

/* A program that closed its standard error may have a database at that number. */
static void database(void)
{
	char path[] = "/tmp/abort-XXXXXX";
	int fd = mkstemp(path), status = 0;
	struct stat st = {.st_size = -1};
	pid_t pid = fork();
	if (pid == 0) {
		setsid();
		dup2(fd, 2);
		_exit(abort_plain());
	}
	waitpid(pid, &status, 0);
	check(WIFSIGNALED(status) && fstat(fd, &st) == 0 && st.st_size == 0,
		"nothing is written to a file of the program's", "%x, %ld bytes", status, (long)st.st_size);
	close(fd);
	unlink(path);
}

static void daemon_role(void)
{
	static char said[4096];
	int fds[2], status = 0;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	pid_t pid = fork(), grandchild = 0;
	if (pid == 0) {
		if (fork())
			_exit(0);
		setsid();
		dup2(fds[1], 2);
		close(0);
		close(1);
		_exit(abort_role());
	}
	close(fds[1]);
	waitpid(pid, NULL, 0);
	/* The daemon says how the role ended that it forked before it pledged. Its broker is ours to wait for, too. */
	for (pid_t p; !grandchild && (p = waitpid(-1, &status, 0)) > 0;)
		if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
			grandchild = p;
	drain(fds[0], said, sizeof(said), 2000);
	check(grandchild > 0 && WIFEXITED(status) && WEXITSTATUS(status) == SIGABRT && strstr(said, "pledge \"rpath\""),
		"a daemon's role", "%x '%s'", status, said);
	close(fds[0]);
}

/* ---- a core ---- */

static void core(void)
{
	char pattern[256] = "", dir[] = "/tmp/abort-XXXXXX", path[64];
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC), status = 0;
	ssize_t n = read(fd, pattern, sizeof(pattern) - 1);
	struct rlimit all;
	struct stat st;
	close(fd);
	getrlimit(RLIMIT_CORE, &all);
	all.rlim_cur = all.rlim_max;
	if (n <= 0 || strcmp(pattern, "core\n") != 0 || all.rlim_max == 0) {
		dprintf(1, "skip core dumps: core_pattern is not a plain file, or they are forbidden\n");
		return;
	}
	if (!mkdtemp(dir))
		return;
	pid_t pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &all);
		if (chdir(dir))
			_exit(1);
		_exit(abort_core());
	}
	waitpid(pid, &status, 0);
	snprintf(path, sizeof(path), "%s/core", dir);
	if (stat(path, &st) < 0) {
		snprintf(path, sizeof(path), "%s/core.%d", dir, pid);
		if (stat(path, &st) < 0)
			st.st_size = 0;
	}
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && WCOREDUMP(status) && st.st_size > 0,
		"it leaves a core", "%x, %ld bytes", status, (long)st.st_size);
	unlink(path);
	rmdir(dir);
}

/* ---- workers and airlock run ---- */

static int worker_violates(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	(void)argc;
	(void)argv;
	return abort_open();
}
AIRLOCK_ENTRY(worker_violates);

static void worker(void)
{
	struct airlock_policy *policy;
	struct airlock_target *target;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	if (airlock_policy_new(&policy, "stdio") < 0 ||
		airlock_policy_on_violation(policy, AIRLOCK_VIOLATION_ABORT) < 0 ||
		airlock_start(&target, policy, "worker_violates", NULL, NULL) < 0) {
		check(false, "a worker starts", "%s", airlock_message());
		return;
	}
	int r = airlock_wait(target, &status, 10000);
	check(r == 0 && status.end == AIRLOCK_VIOLATED && status.signal == SIGABRT &&
			strstr(status.violation, "promise rpath"),
		"a worker", "%d: end %d, signal %d, '%s'", r, status.end, status.signal, status.violation);
	airlock_free(target);
	airlock_policy_free(policy);
}

static void command(const char *airlock)
{
	static const struct {
		const char *name, *script, *says;
		int status;
	} cases[] = {
		{"airlock run", "exec cat /etc/hostname >/dev/null; chmod 600 /nonexistent/x", "pledge", 134},
		{"airlock run, a child", "(chmod 600 /etc) ; test $? = 134", "pledge \"fattr\": fchmodat", 0},
		{"airlock run, what no promise allows", "unshare -U true; test $? = 134", "pledge \"\": unshare(", 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static char said[8192];
		int fds[2], status = 0;
		if (pipe2(fds, O_CLOEXEC) < 0)
			return;
		pid_t pid = fork();
		if (pid == 0) {
			dup2(fds[1], 2);
			execl(airlock, airlock, "run", "--on-violation", "abort", "-p",
				i ? "stdio rpath proc exec" : "stdio exec", "-v", "rx:/", "--", "/bin/sh", "-c",
				cases[i].script, NULL);
			_exit(1);
		}
		close(fds[1]);
		waitpid(pid, &status, 0);
		drain(fds[0], said, sizeof(said), 2000);
		close(fds[0]);
		check(WIFEXITED(status) && WEXITSTATUS(status) == cases[i].status && strstr(said, cases[i].says),
			cases[i].name, "status %x '%s'", status, said);
	}
}

/* From the call to the death, as the parent sees it, with the backtrace: rough. */
static void timing(void)
{
	static struct result r;
	long best = 1000000;
	const struct abort_case *c = abort_cases;
	for (int i = 0; i < 5; i++) {
		run_case(c, &r);
		best = r.ms < best ? r.ms : best;
	}
	check(best < 1000, "it does not take long", "%ld ms", best);
	dprintf(1, "# from fork to death, pledge() and its broker's start included: %ld ms\n", best);
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "case") == 0)
		return abort_plain();
	if (airlock_init(argc, argv) < 0)
		return 1;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = 0;
	signal(SIGPIPE, SIG_IGN);
	if (argc > 2 && strcmp(argv[1], "only") == 0) {
		static struct result r;
		for (const struct abort_case *c = abort_cases; c->name; c++)
			if (strcmp(c->name, argv[2]) == 0) {
				run_case(c, &r);
				printf("%x %ld ms: %s", r.status, r.ms, r.said);
			}
		return 0;
	}
	ways();
	shell();
	traced("traced by somebody else", false, SIGABRT, "pledge \"rpath\"");
	traced("traced by somebody else, with threads", true, SIGKILL, "SIGKILL");
	full_pipe();
	no_stdio_terminal();
	no_stdio_log();
	database();
	daemon_role();
	core();
	worker();
	if (argc > 1)
		command(argv[1]);
	else
		dprintf(1, "skip airlock run: its path was not given\n");
	timing();
	return tap_failed != 0;
}
