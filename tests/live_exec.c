/* SPDX-License-Identifier: ISC */
/* Programs that execute programs: batteries of cases, run natively and then behind the door, as a worker, in place and under
 * `airlock run`. Every line of the results must be the same; and a broker that has served them all has grown by nothing. */
#include "sandbox/airlock.h"
#include "tests/exec.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAP (2 << 20)
#define PROMISES "stdio rpath wpath cpath proc exec"
#define SHOWN 12

static const struct {
	const char *name;
	void (*run)(struct battery *b);
} parts[] = {{"ways", exec_ways}, {"kept", exec_kept}, {"errors", exec_errors}, {"scripts", exec_scripts},
	{"threads", exec_threads}, {"storms", exec_storms}};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

char exec_top[200], exec_programs[PATH_MAX];
static char self[PATH_MAX];
static unsigned more_failed;
static const char *command;

void say(struct battery *b, const char *name, const char *format, ...)
{
	va_list args;

	if (b->len + 2 * PATH_MAX > b->cap)
		return;
	b->len += (size_t)snprintf(b->out + b->len, b->cap - b->len, "%s: ", name);
	va_start(args, format);
	b->len += (size_t)vsnprintf(b->out + b->len, PATH_MAX, format, args);
	va_end(args);
	b->out[b->len++] = '\n';
	b->out[b->len] = 0;
}

char **little_environment(void)
{
	static char pid[40], *env[] = {pid, "PATH=.:/bin:/usr/bin", NULL};

	snprintf(pid, sizeof(pid), "PROBE_PID=%d", getpid());
	return env;
}

int run(const char *path, char *const argv[])
{
	char *only[] = {(char *)path, NULL};

	execve(path, argv ? argv : only, little_environment());
	return -errno;
}

static void child_body(int out, int (*act)(const void *), const void *arg)
{
	sigset_t none;

	dup2(out, 1);
	dup2(1, 2);
	close_range(3, ~0u, 0);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	environ = little_environment();
	int e = act(arg);
	const char *name = e ? strerrorname_np(-e) : "0";
	dprintf(1, "it returned %s", name ? name : "?");
	_exit(0);
}

void child(struct battery *b, const char *name, int (*act)(const void *), const void *arg)
{
	static char text[65536];
	size_t n = 0;
	ssize_t got;
	int fds[2], status = 0;

	if (pipe2(fds, O_CLOEXEC))
		return;
	fflush(stdout);
	pid_t pid = fork();
	if (!pid)
		child_body(fds[1], act, arg);
	close(fds[1]);
	while ((got = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	close(fds[0]);
	text[n] = 0;
	waitpid(pid, &status, 0);
	for (char *c = text; *c; c++)
		if (*c == '\n')
			*c = '|';
	/* A descriptor's number is no secret, and the only thing that one line may differ in. */
	say(b, name, "%.1500s; %s %d", text, WIFEXITED(status) ? "exit" : "signal",
		WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

/* ---- the battery, wherever it runs ---- */

static size_t battery(size_t part, const char *where, char *out, size_t cap)
{
	struct battery b = {.out = out, .cap = cap, .top = where};
	struct rlimit core = {0, 0}, files = {1024, 1024};

	setrlimit(RLIMIT_CORE, &core);
	setrlimit(RLIMIT_NOFILE, &files);
	if (chdir(where))
		say(&b, "chdir", "%s", strerror(errno));
	umask(022);
	parts[part].run(&b);
	return b.len;
}

static ssize_t execs(const void *in, size_t len, void *out, size_t cap)
{
	const char *text = in;

	if (len < 2 || (size_t)(text[0] - '0') >= PARTS)
		return -1;
	return (ssize_t)battery((size_t)(text[0] - '0'), text + 1, out, cap);
}
AIRLOCK_FUNCTION(execs)

/* ---- where it runs ---- */

int exec_policy(struct airlock_policy **policy)
{
	static const char *const runs[] = {"/bin", "/usr/bin"};

	if (airlock_policy_new(policy, PROMISES) || airlock_policy_unveil(*policy, "/", "r") ||
		airlock_policy_unveil(*policy, exec_top, "rwxc") || airlock_policy_unveil(*policy, exec_programs, "rx"))
		return -1;
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		if (airlock_policy_unveil(*policy, runs[i], "rx"))
			return -1;
	return 0;
}

static size_t from(int fd, char *out)
{
	size_t n = 0;
	ssize_t got;

	while (n < CAP - 1 && (got = read(fd, out + n, CAP - 1 - n)) > 0)
		n += (size_t)got;
	out[n] = 0;
	close(fd);
	return n;
}

static bool all_out(int fd, const char *out, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t done = write(fd, out + at, n - at);

		if (done <= 0)
			return false;
		at += (size_t)done;
	}
	return true;
}

static size_t in_child(size_t part, char *out, bool enter)
{
	struct airlock_policy *policy;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return 0;
	pid_t pid = fork();
	if (!pid) {
		if (enter && (exec_policy(&policy) || airlock_enter(policy) < 0)) {
			dprintf(fds[1], "cannot enter: %s\n", airlock_message());
			_exit(1);
		}
		all_out(fds[1], out, battery(part, exec_top, out, CAP));
		_exit(0);
	}
	close(fds[1]);
	size_t n = from(fds[0], out);
	waitpid(pid, NULL, 0);
	return n;
}

static size_t natively(size_t part, char *out)
{
	return in_child(part, out, false);
}

static size_t in_place(size_t part, char *out)
{
	return in_child(part, out, true);
}

static size_t as_worker(size_t part, char *out)
{
	struct airlock_policy *policy = NULL;
	struct airlock_target *t = NULL;
	struct airlock_options options = AIRLOCK_OPTIONS_INIT;
	char in[256];
	ssize_t n;

	options.shared = CAP;
	snprintf(in, sizeof(in), "%zu%s", part, exec_top);
	if (exec_policy(&policy) || airlock_start(&t, policy, NULL, NULL, &options)) {
		n = snprintf(out, CAP, "cannot start: %s\n", airlock_message());
	} else {
		n = airlock_call(t, "execs", in, strlen(in) + 1, out, CAP - 1);
		if (n < 0)
			n = snprintf(out, CAP, "the call failed: %s\n", airlock_message());
		if (part == PARTS - 1)
			more_failed = exec_growth(t, in);
	}
	out[n] = 0;
	airlock_free(t);
	airlock_policy_free(policy);
	return (size_t)n;
}

static size_t under_run(size_t part, char *out)
{
	char number[8], unveil[256], own[PATH_MAX + 8];
	int fds[2];

	snprintf(number, sizeof(number), "%zu", part);
	snprintf(unveil, sizeof(unveil), "rwxc:%s", exec_top);
	snprintf(own, sizeof(own), "rx:%s", exec_programs);
	if (pipe2(fds, O_CLOEXEC))
		return 0;
	pid_t pid = fork();
	if (!pid) {
		dup2(fds[1], 1);
		execl(command, command, "run", "-p", PROMISES, "-v", "r:/", "-v", "rx:/bin", "-v", "rx:/usr/bin", "-v",
			unveil, "-v", own, "--", self, "battery", number, exec_top, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	size_t n = from(fds[0], out);
	waitpid(pid, NULL, 0);
	return n;
}

/* ---- comparing ---- */

static char *line_of(char **at)
{
	char *line = *at, *end = strchr(line, '\n');

	if (!*line)
		return NULL;
	if (end)
		*end++ = 0;
	*at = end ? end : line + strlen(line);
	return line;
}

static void compare(const char *part, const char *where, char *want, char *got)
{
	unsigned same = 0, different = 0;
	char name[80], *a, *b;

	for (;;) {
		a = line_of(&want);
		b = line_of(&got);
		if (!a || !b)
			break;
		if (!strcmp(a, b))
			same++;
		else if (different++ < SHOWN)
			dprintf(1, "# natively  %.700s\n# here      %.700s\n", a, b);
	}
	snprintf(name, sizeof(name), "%s, %s, %u results", part, where, same + different);
	check(!different && !a && !b && same > 3, name, "%u of them differ; a line more: %.200s", different,
		a   ? a
		: b ? b
		    : "none");
}

static const struct {
	const char *name;
	size_t (*run)(size_t part, char *out);
} places[] = {{"as a worker", as_worker}, {"in place", in_place}, {"under airlock run", under_run}};

int main(int argc, char **argv)
{
	static char want[CAP], got[CAP], copied[CAP];
	const char *dir = getenv("TMPDIR"), *only = getenv("PART"), *place = getenv("PLACE");

	/* The program executes itself, too. */
	if (argc && (!strcmp(argv[0], "itself") || !strcmp(argv[0], "/proc/self/exe"))) {
		printf("it is itself: %d %s %s\n", argc, argv[0], argc > 1 ? argv[1] : "");
		return 0;
	}
	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc == 4 && !strcmp(argv[1], "battery"))
		return !all_out(1, got, battery((size_t)atoi(argv[2]), argv[3], got, sizeof(got)));
	if (argc != 2) {
		fprintf(stderr, "usage: live_exec AIRLOCK\n");
		return 2;
	}
	command = argv[1];
	tap_prefix = "exec: ";
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	snprintf(exec_top, sizeof(exec_top), "%s/airlock-exec-XXXXXX", dir ? dir : "/tmp");
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (!mkdtemp(exec_top) || n < 0) {
		perror("live_exec");
		return 1;
	}
	self[n] = 0;
	memcpy(exec_programs, self, sizeof(self));
	dirname(exec_programs);
	for (size_t i = 0; i < PARTS; i++) {
		if (only && !strstr(only, parts[i].name))
			continue;
		if (exec_tree(exec_top, exec_programs)) {
			check(false, "its tree", "%s", strerror(errno));
			break;
		}
		natively(i, want);
		for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
			if (place && !strstr(places[k].name, place))
				continue;
			places[k].run(i, got);
			memcpy(copied, want, sizeof(want));
			compare(parts[i].name, places[k].name, copied, got);
		}
	}
	if (!only || strstr(only, "library")) {
		exec_tree(exec_top, exec_programs);
		snprintf(got, sizeof(got), "%zu%s", PARTS - 1, exec_top);
		more_failed = exec_library(got);
	}
	(void)!chdir("/");
	exec_tree_remove(exec_top);
	return tap_failed + more_failed != 0;
}
