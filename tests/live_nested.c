/* SPDX-License-Identifier: ISC */
/*
 * Targets start targets of their own, three levels deep, with less than they have themselves. The lines of a level are
 * said by the process of that level, on the standard output that all share. `live_nested [AIRLOCK]`: with the command's
 * path, the same for programs under `airlock run`.
 */
#include "tests/nested.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *directory;

struct airlock_policy *policy_with(const char *promises, const char *rules)
{
	struct airlock_policy *p = NULL;
	char copy[1024], *save, *word;
	int error = airlock_policy_new(&p, promises);

	snprintf(copy, sizeof(copy), "%s", rules ? rules : "");
	for (word = strtok_r(copy, " ", &save); word && !error; word = strtok_r(NULL, " ", &save)) {
		char *colon = strchr(word, ':');
		*colon = 0;
		error = airlock_policy_unveil(p, colon + 1, word);
	}
	if (error) {
		check(false, "a policy can be made", "%s", airlock_message());
		_exit(1);
	}
	return p;
}

int entry_run(struct airlock_policy *p, const char *entry, const char *argument)
{
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	struct airlock_target *t = NULL;
	char *argv[] = {(char *)(uintptr_t)argument, NULL}, why[400];
	int error = airlock_start(&t, p, entry, argv, NULL);

	if (error) {
		printf("# %s: %s\n", entry, airlock_message());
		return -1;
	}
	error = airlock_wait(t, &status, WAITS);
	if (error || status.end != AIRLOCK_EXITED)
		printf("# %s\n", airlock_explain(t, why, sizeof(why)));
	airlock_free(t);
	return error || status.end != AIRLOCK_EXITED ? -1 : status.code;
}

/* ---- what targets do ---- */

static ssize_t opens(const void *in, size_t len, void *out, size_t cap)
{
	char path[512];
	(void)out, (void)cap;
	snprintf(path, sizeof(path), "%.*s", (int)len, (const char *)in);
	int fd = open(path, O_RDONLY), error = errno;
	if (fd < 0)
		return -error;
	close(fd);
	return 0;
}
AIRLOCK_FUNCTION(opens)

static ssize_t crashes(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	raise(SIGSEGV);
	return 0;
}
AIRLOCK_FUNCTION(crashes)

static ssize_t sleeps(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	for (;;)
		pause();
	return 0;
}
AIRLOCK_FUNCTION(sleeps)

/* How many children can be had at once. */
static ssize_t multiplies(const void *in, size_t len, void *out, size_t cap)
{
	ssize_t n = 0;
	(void)in, (void)len, (void)out, (void)cap;
	while (n < 64) {
		pid_t pid = fork();
		if (pid < 0)
			return n;
		if (pid == 0)
			for (;;)
				pause();
		n++;
	}
	return n;
}
AIRLOCK_FUNCTION(multiplies)

static ssize_t limits(const void *in, size_t len, void *out, size_t cap)
{
	struct rlimit l;
	(void)in, (void)len;
	getrlimit(RLIMIT_AS, &l);
	return snprintf(out, cap, "%llu", (unsigned long long)l.rlim_cur);
}
AIRLOCK_FUNCTION(limits)

static ssize_t variable(const void *in, size_t len, void *out, size_t cap)
{
	(void)len;
	const char *value = getenv(in);
	return value ? snprintf(out, cap, "%s", value) : -1;
}
AIRLOCK_FUNCTION(variable)

static int echoes(struct airlock_target *host, int argc, char **argv)
{
	char bytes[64];
	struct airlock_message m = AIRLOCK_MESSAGE_INIT;
	(void)argc, (void)argv;
	m.data = bytes;
	m.cap = sizeof(bytes);
	if (airlock_dispatch(host, WAITS) != 1 || airlock_recv(host, &m) || airlock_send(host, bytes, m.len, -1))
		return 1;
	/* The host reads it before we are gone. */
	return airlock_dispatch(host, WAITS) == 2 ? 0 : 2;
}
AIRLOCK_ENTRY(echoes)

static int opened(struct airlock_target *t, const char *path)
{
	return (int)airlock_call(t, "opens", path, strlen(path), NULL, 0);
}

/* ---- how nested targets are used ---- */

static bool guest; /* under airlock run */

static void use(void)
{
	struct airlock_policy *p = policy_with("stdio rpath", "r:/etc");
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	struct airlock_target *t = NULL;
	char text[400];
	int error = airlock_start(&t, p, NULL, NULL, NULL);

	if (!check(!error, "a target starts", "%s", airlock_message()))
		return;
	check(opened(t, "/etc/passwd") == 0, "it reads what it was shown", "no");
	int hidden = opened(t, "/usr/bin/env");
	check(hidden == -ENOENT, "and not what only its host was", "%d", hidden);
	check(airlock_refusal(t, 0, text, sizeof(text)) == 0 && strstr(text, "/usr/bin/env"), "its host is told so",
		"%s", text);
	check(airlock_call(t, "crashes", NULL, 0, NULL, 0) == -EPIPE, "a crash ends the call", "%s", airlock_message());
	error = airlock_wait(t, &status, WAITS);
	check(!error && status.end == AIRLOCK_CRASHED && status.signal == SIGSEGV && status.refused == 1,
		"and is told as one", "%d %d %llu", (int)status.end, status.signal, (unsigned long long)status.refused);
	/* exec resets one of them. */
	unsigned most = AIRLOCK_LAYERS_ALL & ~(guest ? (unsigned)AIRLOCK_LAYER_DUMPABLE : 0u);
	check((status.layers & most) == most, "it had all layers", "%#x", status.layers);
	airlock_free(t);
	error = airlock_start(&t, p, NULL, NULL, NULL);
	check(!error && opened(t, "/etc/passwd") == 0, "another of the same policy", "%s", airlock_message());
	airlock_free(t);
	airlock_policy_free(p);
}

static void messages(void)
{
	struct airlock_policy *p = policy_with("stdio", "");
	struct airlock_message m = AIRLOCK_MESSAGE_INIT;
	struct airlock_target *t = NULL;
	char bytes[64];
	int error = airlock_start(&t, p, "echoes", NULL, NULL);

	m.data = bytes;
	m.cap = sizeof(bytes);
	if (!error)
		error = airlock_send(t, "hello", 5, -1);
	if (!error && airlock_dispatch(t, WAITS) == 1)
		error = airlock_recv(t, &m);
	check(!error && m.len == 5 && !memcmp(bytes, "hello", 5), "messages without the promise sendfd", "%s",
		airlock_message());
	airlock_free(t);
	airlock_policy_free(p);
}

/* What a target chooses of the environment comes after the loader. */
static void environment(void)
{
	struct airlock_policy *p = policy_with("stdio", "");
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	struct airlock_target *t = NULL;
	char text[64] = "", said[200];
	int fds[2];

	airlock_policy_env(p, "LD_PRELOAD=/no/such/library.so");
	airlock_policy_env(p, "COLOUR=red");
	if (pipe(fds))
		return;
	o.stdio[2] = fds[1];
	int error = airlock_start(&t, p, NULL, NULL, &o);
	ssize_t n = error ? -1 : airlock_call(t, "variable", "COLOUR", 7, text, sizeof(text));
	check(n == 3 && !memcmp(text, "red", 3), "its environment is what its host says", "%s", airlock_message());
	n = error ? -1 : airlock_call(t, "variable", "LD_PRELOAD", 11, text, sizeof(text));
	airlock_free(t);
	close(fds[1]);
	ssize_t noise = read(fds[0], said, sizeof(said));
	check(n > 0 && noise == 0, "but not for its loader", "%.*s", noise > 0 ? (int)noise : 0, said);
	close(fds[0]);
	airlock_policy_free(p);
}

/* ---- programs ---- */

static void programs(void)
{
	struct airlock_policy *p = policy_with("stdio rpath", "r:/etc");
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	struct airlock_target *t = NULL;
	char *argv[] = {"/bin/cat", "/etc/hostname", NULL}, text[300] = "";
	int fds[2];

	if (pipe(fds))
		return;
	o.stdio[1] = fds[1];
	int error = airlock_exec(&t, p, argv, &o);
	close(fds[1]);
	ssize_t n = error ? -1 : read(fds[0], text, sizeof(text) - 1);
	if (!error)
		error = airlock_wait(t, &status, WAITS);
	check(!error && n > 0 && status.end == AIRLOCK_EXITED && status.code == 0, "a program runs as nested target",
		"%d %s: %zd", error, airlock_message(), n);
	airlock_free(t);
	close(fds[0]);
	argv[0] = "/etc/passwd";
	error = airlock_exec(&t, p, argv, NULL);
	check(error == -EACCES || error == -EPERM, "what has no x does not", "%d", error);
	airlock_policy_free(p);
}

/* ---- entries ---- */

static const struct part {
	const char *name;
	void (*run)(void);
} parts[] = {{"use", use}, {"messages", messages}, {"environment", environment}, {"wider", wider},
	{"given_up", given_up}, {"processes", processes}, {"programs", programs}};

static int part(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	for (size_t i = 0; argc > 0 && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(argv[0], parts[i].name)) {
			tap_prefix = argc > 1 ? argv[1] : "nested: ";
			parts[i].run();
			return 0;
		}
	return 1;
}
AIRLOCK_ENTRY(part)

/* Goes down by as many levels as it is told, and uses a target there. */
static int deeper(struct airlock_target *host, int argc, char **argv)
{
	int levels = argc > 0 ? atoi(argv[0]) : 0;
	char text[16];

	(void)host;
	snprintf(text, sizeof(text), "%d", levels - 1);
	if (levels > 1) {
		struct airlock_policy *p = policy_with("stdio rpath", "r:/etc");
		int code = entry_run(p, "deeper", text);
		airlock_policy_free(p);
		return code < 0 ? 1 : code;
	}
	tap_prefix = "nested: the innermost: ";
	use();
	return 40;
}
AIRLOCK_ENTRY(deeper)

static int deepest(struct airlock_target *host, int argc, char **argv)
{
	struct airlock_policy *p = policy_with("stdio", "");
	char text[16];
	int level = argc > 0 ? atoi(argv[0]) : 0, code;

	(void)host;
	snprintf(text, sizeof(text), "%d", level + 1);
	struct airlock_target *t = NULL;
	char *next[] = {text, NULL};
	int error = airlock_start(&t, p, "deepest", next, NULL);
	if (error) {
		tap_prefix = "nested: as deep as it goes: ";
		check(level >= 3 && *airlock_message(), "ends with a message", "level %d: %s", level,
			airlock_message());
		return level;
	}
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	code = airlock_wait(t, &status, WAITS) ? -1 : status.code;
	airlock_free(t);
	return code;
}
AIRLOCK_ENTRY(deepest)

/* ---- the host ---- */

static void run_part(const char *name, const char *promises, const char *rules, int limit, uint64_t value)
{
	struct airlock_policy *p = policy_with(promises, rules);

	if (limit >= 0)
		airlock_policy_limit(p, (enum airlock_limit)limit, value);
	int code = entry_run(p, "part", name);
	check(code == 0, name, "%d", code);
	airlock_policy_free(p);
}

static void command(const char *airlock, const char *self)
{
	char mine[600], dir[600], rule[700], its[600], *slash;
	int status;

	snprintf(mine, sizeof(mine), "%s", self);
	snprintf(its, sizeof(its), "rx:%s", airlock);
	snprintf(dir, sizeof(dir), "%s", self);
	slash = strrchr(dir, '/');
	if (slash)
		*slash = 0;
	snprintf(rule, sizeof(rule), "rx:%s", slash ? dir : ".");
	const char *const p = "stdio rpath exec proc";
#define VISIBLE                                                                                                        \
	"-v", "rx:/usr", "-v", "rx:/lib", "-v", "rx:/lib64", "-v", "rx:/bin", "-v", "r:/etc", "-v", rule, "-v", its
	const char *const three[] = {airlock, "run", "-p", p, VISIBLE, "--", airlock, "run", "-p", p, VISIBLE, "--",
		airlock, "run", "-p", "stdio rpath", "-v", "r:/etc", "--", "/bin/cat", "/etc/hostname", NULL};
	const char *const inside[] = {airlock, "run", "-p", p, VISIBLE, "--", mine, "inside", NULL};
	const struct {
		const char *name;
		const char *const *argv;
	} runs[] = {{"nested: airlock run in airlock run in airlock run", three},
		{"nested: a program under airlock run has workers", inside}};
	for (size_t i = 0; i < 2; i++) {
		fflush(stdout);
		pid_t pid = fork();
		if (!pid) {
			execv(airlock, (char *const *)(uintptr_t)runs[i].argv);
			_exit(99);
		}
		tap_prefix = "";
		waitpid(pid, &status, 0);
		check(WIFEXITED(status) && WEXITSTATUS(status) == 0, runs[i].name, "%#x", status);
	}
}

int main(int argc, char **argv)
{
	if (airlock_init(argc, argv) < 0)
		return 1;
	setvbuf(stdout, NULL, _IONBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && !strcmp(argv[1], "inside")) {
		tap_prefix = "nested: under airlock run: ";
		guest = true;
		use();
		return tap_failed != 0;
	}
	processes_begin();
	if (argc > 1 && !strcmp(argv[1], "deaths")) {
		deaths();
		return tap_failed != 0;
	}
	if (argc > 1 && !strcmp(argv[1], "hostile")) {
		hostile();
		return tap_failed != 0;
	}
	char scratch[] = "/tmp/airlock-nested-XXXXXX";
	directory = mkdtemp(scratch);
	tap_prefix = "nested: ";
	const char *const both = "r:/etc r:/usr";
	run_part("use", "stdio rpath", both, -1, 0);
	run_part("messages", "stdio", "", -1, 0);
	run_part("environment", "stdio", "", -1, 0);
	run_part("wider", "stdio rpath", both, AIRLOCK_LIMIT_MEMORY, UINT64_C(2) << 30);
	run_part("given_up", "stdio rpath", both, -1, 0);
	run_part("processes", "stdio proc", "", AIRLOCK_LIMIT_PROCESSES, 10);
	run_part("programs", "stdio rpath exec proc", "r:/etc rx:/usr rx:/bin rx:/lib rx:/lib64", -1, 0);

	struct airlock_policy *p = policy_with("stdio rpath", both);
	check(entry_run(p, "deeper", "3") == 40, "three levels deep", "%s", airlock_message());
	airlock_policy_free(p);
	p = policy_with("stdio", "");
	int code = entry_run(p, "deepest", "0");
	check(code >= 3, "no deeper than it can be", "%d", code);
	airlock_policy_free(p);
	check(processes_shrink_to(0, 0), "nothing is left", "%s", processes_text());
	deaths();
	hostile();
	if (argc > 1)
		command(argv[1], argv[0]);
	rmdir(directory);
	return tap_failed != 0;
}
