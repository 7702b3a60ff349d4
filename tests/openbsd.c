/* SPDX-License-Identifier: ISC */
/* Owns how a case of openbsd.h is run and judged. Runs in the test, and in its children. */
#include "tests/openbsd.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 30000

const char *program, *world;
static const char *only, *scratch;
static unsigned worlds;
static char said[8192];

void expect_value(int line, const char *what, long got, long want)
{
	int e = errno;
	if (got == want)
		return;
	dprintf(STDERR_FILENO, "line %d: %s gives %ld (%s), not %ld\n", line, what, got, strerror(e), want);
	_exit(99);
}

void expect_error(int line, const char *what, long got, int error, int want)
{
	if (got == -1 && error == want)
		return;
	dprintf(STDERR_FILENO, "line %d: %s gives %ld (%s), not -1 (%s)\n", line, what, got,
		got == -1 ? strerror(error) : "", strerror(want));
	_exit(99);
}

void expect_call(int line, const char *what, int got, int error, int want)
{
	if (want ? got == -1 && error == want : got == 0 && error == UNTOUCHED)
		return;
	dprintf(STDERR_FILENO, "line %d: %s gives %d and errno %d (%s), not %s\n", line, what, got, error,
		strerror(error), want ? strerror(want) : "0 with errno as it was");
	_exit(99);
}

void skip_case(const char *why)
{
	dprintf(STDERR_FILENO, "%s", why);
	_exit(SKIP);
}

int child_ends(pid_t child)
{
	int status;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : BY_SIGNAL(WTERMSIG(status));
}

pid_t case_fork(void)
{
	pid_t pid = fork();
	if (pid < 0)
		expect_value(__LINE__, "fork()", pid, 0);
	return pid;
}

/* What is there already: the broker of a case has its standard error open for a moment longer. */
static void collect(int fd, size_t *len)
{
	ssize_t n;
	while (*len < sizeof(said) - 1 && (n = read(fd, said + *len, sizeof(said) - 1 - *len)) > 0)
		*len += (size_t)n;
	said[*len] = 0;
}

static int watched(pid_t child, int fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	size_t len = 0;
	struct pollfd p[2] = {{pidfd, POLLIN, 0}, {fd, POLLIN, 0}};
	for (int left = LIMIT_MS; !(p[0].revents & POLLIN); left -= 10) {
		if (poll(p, 2, 10) < 0 || left <= 0)
			kill(child, SIGKILL);
		collect(fd, &len);
		if (p[1].revents & POLLHUP)
			p[1].fd = -1; /* nobody has it open any more */
	}
	close(pidfd);
	int ends = child_ends(child);
	collect(fd, &len);
	return ends;
}

static const char *ending(int ends, char buf[64])
{
	if (ends >= 256)
		snprintf(buf, 64, "SIG%s", sigabbrev_np(ends - 256));
	else
		snprintf(buf, 64, "status %d", ends);
	return buf;
}

bool attempt_run(const char *prefix, const struct attempt *a)
{
	char name[160], got[64], want[64];
	int p[2];
	snprintf(name, sizeof(name), "%s: %s", prefix, a->name);
	if (only && !strstr(name, only))
		return true;
	if (pipe2(p, O_NONBLOCK) < 0)
		return check(false, name, "no pipe");
	fflush(stdout);
	worlds++;
	pid_t child = fork();
	if (child == 0) {
		close(p[0]);
		fcntl(p[1], F_SETFL, 0);
		dup2(p[1], STDERR_FILENO);
		close(p[1]);
		a->run();
		_exit(0);
	}
	close(p[1]);
	int ends = watched(child, p[0]);
	close(p[0]);
	if (ends == SKIP && a->ends != SKIP) {
		printf("skip %s: %s\n", name, said);
		return true;
	}
	bool line = a->line ? strstr(said, a->line) != NULL : !said[0];
	return check(ends == a->ends && line, name, "%s, not %s; it said: %.300s%s%s", ending(ends, got),
		ending(a->ends, want), said, line ? "" : "; and not: ", line || !a->line ? "" : a->line);
}

void attempts_run(const char *prefix, const struct attempt *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		attempt_run(prefix, &table[i]);
}

/* ---- what cases need ---- */

const char *world_make(void)
{
	static char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%u.%d", scratch, worlds, getpid());
	if (mkdir(path, 0755) < 0)
		expect_value(__LINE__, "the world", -1, 0);
	world = path;
	return world;
}

const char *in_world(const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 8];
	snprintf(path, PATH_MAX, "%s%s%s", world, *name ? "/" : "", name);
	return path;
}

void file_make(const char *path, const char *text, unsigned mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		expect_value(__LINE__, path, -1, 0);
	close(fd);
}

char *unended(char *end, const char *text)
{
	char *at = end - strlen(text);
	for (size_t i = 0; text[i]; i++)
		at[i] = text[i];
	return at;
}

size_t descriptors(void)
{
	size_t n = 0;
	for (int i = 0; i < 1024; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

bool is_root(void)
{
	return geteuid() == 0;
}

int helper_ends(const char *what, const char *arg)
{
	pid_t pid = fork();
	if (pid == 0) {
		execv(program, (char *[]){"helper", "--helper", (char *)(uintptr_t)what, (char *)(uintptr_t)arg, NULL});
		_exit(100 + errno % 100);
	}
	return pid < 0 ? -1 : child_ends(pid);
}

int openbsd_main(int argc, char **argv, void (*cases)(void))
{
	static char own[PATH_MAX], directory[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	own[n > 0 ? n : 0] = 0;
	program = own;
	if (argc > 2 && strcmp(argv[1], "--helper") == 0) {
		for (const struct helper *h = helpers; h->name; h++)
			if (strcmp(h->name, argv[2]) == 0)
				return h->run(argc - 3, argv + 3);
		return 98;
	}
	/* Without arguments: the kernel makes one empty one of none. */
	for (const struct helper *h = helpers; (!argc || !argv[0][0]) && h->name; h++)
		if (strcmp(h->name, "bare") == 0)
			return h->run(0, argv);
	only = argc > 1 ? argv[1] : NULL;
	/* Cases end by SIGABRT on purpose. */
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	umask(022);
	snprintf(directory, sizeof(directory), "%s/airlock-openbsd-XXXXXX",
		getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(directory) || chmod(directory, 0755) < 0) {
		printf("not ok %s\n# no directory to work in\n", argv[0]);
		return 1;
	}
	scratch = directory;
	setvbuf(stdout, NULL, _IOLBF, 0);
	cases();
	pid_t child = fork();
	if (child == 0) {
		/* Some cases shut directories. */
		execlp("sh", "sh", "-c", "chmod -R u+rwx \"$0\" && rm -rf \"$0\"", scratch, (char *)NULL);
		_exit(127);
	}
	if (child > 0)
		child_ends(child);
	return tap_failed ? 1 : 0;
}
