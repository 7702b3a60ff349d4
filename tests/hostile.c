/* SPDX-License-Identifier: ISC */
/*
 * The judge of the hostile attempts. `hostile native` shows (as root) that the attempts are real: they get through
 * where nothing stops them. `hostile inplace`, `hostile worker` and `hostile run AIRLOCK PROGRAM LABEL` run each of
 * them confined, in a process tree of its own, and compare with what the tables say. A further argument picks the
 * attempts whose name begins with it. Output is TAP.
 */
#include "sandbox/airlock.h"
#include "tests/hostile.h"
#include "tests/hostile_judge.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct world world = {.stranger_pipe = -1};
static const char *command, *program;

static void say(struct outcome o)
{
	dprintf(1, o.kind == OUTCOME_RESULT ? "result %d\n" : "end %d %d\n",
		o.kind == OUTCOME_RESULT ? o.value : (int)o.kind, o.value);
}

/* In a target, by airlock_call: in is "NAME\nARGUMENTS". */
static ssize_t hostile_attempt(const void *in, size_t len, void *out, size_t cap)
{
	char text[700];
	const struct attempt *a;
	struct hostile h;
	char *newline;

	if (len >= sizeof(text) || cap < sizeof(int))
		return -1;
	memcpy(text, in, len);
	text[len] = 0;
	newline = strchr(text, '\n');
	if (!newline)
		return -1;
	*newline = 0;
	a = attempt_find(text);
	if (!a || attempt_setup(&h, newline + 1))
		return -1;
	*(int *)out = a->run(&h);
	return sizeof(int);
}
AIRLOCK_FUNCTION(hostile_attempt)

static void promises_of(const struct attempt *a, bool rpath, char *buf, size_t len)
{
	snprintf(buf, len, "stdio%s%s%s", rpath ? " rpath" : "", a->extra ? " " : "", a->extra ? a->extra : "");
}

static struct airlock_policy *policy_of(const struct attempt *a, bool rpath)
{
	struct airlock_policy *p = NULL;
	char promises[128], text[700];
	int error;

	promises_of(a, rpath, promises, sizeof(promises));
	snprintf(text, sizeof(text), "pledge %s\n", promises);
	if (rpath)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "unveil %s/open r\n", world.base);
	if (a->limit)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "limit %.*s %s\n",
			(int)strcspn(a->limit, "="), a->limit, strchr(a->limit, '=') + 1);
	error = airlock_policy_parse(&p, text);
	if (error)
		dprintf(1, "error policy: %s\n", airlock_message());
	return error ? NULL : p;
}

static void host_in_place(const struct attempt *a, bool rpath)
{
	struct airlock_policy *p = policy_of(a, rpath);
	struct hostile h;
	int layers;

	if (!p)
		return;
	layers = airlock_enter(p);
	if (layers < 0) {
		dprintf(1, "error enter: %d %s\n", layers, airlock_message());
		return;
	}
	attempt_setup(&h, world.arguments);
	say((struct outcome){OUTCOME_RESULT, a->run(&h)});
}

static void host_worker(const struct attempt *a, bool rpath)
{
	struct airlock_options options = AIRLOCK_OPTIONS_INIT;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	struct airlock_policy *p = policy_of(a, rpath);
	struct airlock_target *t = NULL;
	char in[700];
	int value = 0;
	ssize_t n;

	options.shared = 65536;
	if (!p)
		return;
	n = airlock_start(&t, p, NULL, NULL, &options);
	if (n) {
		dprintf(1, "error start: %zd %s\n", n, airlock_message());
		return;
	}
	n = snprintf(in, sizeof(in), "%s\n%s", a->name, world.arguments);
	n = airlock_call(t, "hostile_attempt", in, (size_t)n, &value, sizeof(value));
	if (n == sizeof(value)) {
		say((struct outcome){OUTCOME_RESULT, value});
	} else if (airlock_wait(t, &status, 5000)) {
		dprintf(1, "error call: %zd and no end\n", n);
	} else {
		struct outcome o = {OUTCOME_SIGNAL, status.signal};

		if (status.end == AIRLOCK_VIOLATED)
			o.kind = OUTCOME_VIOLATED;
		else if (status.end == AIRLOCK_TIMED_OUT)
			o.kind = OUTCOME_TIMED_OUT;
		else if (status.end == AIRLOCK_EXITED || !status.signal)
			o = (struct outcome){OUTCOME_EXIT, status.code};
		say(o);
	}
	airlock_free(t);
	airlock_policy_free(p);
}

static void host_run(const struct attempt *a, bool rpath)
{
	char promises[128], unveil[300];
	const char *argv[24];
	int n = 0;

	promises_of(a, rpath, promises, sizeof(promises));
	argv[n++] = command;
	argv[n++] = "run";
	argv[n++] = "-p";
	argv[n++] = promises;
	if (rpath) {
		snprintf(unveil, sizeof(unveil), "r:%s/open", world.base);
		argv[n++] = "-v";
		argv[n++] = unveil;
	}
	if (a->limit) {
		argv[n++] = "-l";
		argv[n++] = a->limit;
	}
	argv[n++] = "--";
	argv[n++] = program;
	argv[n++] = a->name;
	argv[n++] = world.arguments;
	argv[n] = NULL;
	execv(command, (char *const *)argv);
	dprintf(1, "error exec: %s\n", strerror(errno));
}

static void host_native(const struct attempt *a, bool rpath)
{
	struct hostile h;

	(void)rpath;
	attempt_setup(&h, world.arguments);
	say((struct outcome){OUTCOME_RESULT, a->run(&h)});
}

struct mode {
	const char *name;
	void (*host)(const struct attempt *a, bool rpath);
};
static const struct mode modes[] = {
	{"inplace", host_in_place}, {"worker", host_worker}, {"run", host_run}, {"native", host_native}};

static int64_t milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Everything that was written until the last holder of the pipe is gone. ended: when the host ended, or 0. */
struct tree {
	pid_t pid;
	int out;
	char text[4096];
	size_t len;
	int status;
};

static void tree_start(struct tree *t, const struct mode *m, const struct attempt *a, bool rpath)
{
	int fds[2], in, quiet;

	*t = (struct tree){.out = -1};
	if (pipe2(fds, O_CLOEXEC))
		abort();
	t->pid = fork();
	if (!t->pid) {
		setpgid(0, 0);
		in = open(world.scratch, O_RDWR | O_CREAT | O_TRUNC, 0600);
		quiet = getenv("HOSTILE_STDERR") ? 2 : open("/dev/null", O_WRONLY);
		if (dup2(in, 0) < 0 || dup2(fds[1], 1) < 0 || dup2(quiet, 2) < 0)
			_exit(97);
		if (in > 2)
			close(in);
		m->host(a, rpath);
		_exit(0);
	}
	close(fds[1]);
	t->out = fds[0];
}

/* NULL, or what went wrong with the tree itself. */
static const char *tree_end(struct tree *t)
{
	int64_t limit = milliseconds() + 60000;
	bool ended = false, eof = false;

	while (!ended || !eof) {
		struct pollfd p = {t->out, POLLIN, 0};
		ssize_t n;

		if (milliseconds() > limit) {
			kill(-t->pid, SIGKILL);
			kill(t->pid, SIGKILL);
			if (!ended)
				waitpid(t->pid, &t->status, 0);
			return ended ? "something outlives it" : "it hangs";
		}
		if (!ended && waitpid(t->pid, &t->status, WNOHANG) == t->pid) {
			ended = true;
			limit = milliseconds() + 15000;
		}
		if (eof) {
			nanosleep(&(struct timespec){0, 500000}, NULL);
			continue;
		}
		if (poll(&p, 1, 5) <= 0)
			continue;
		n = read(t->out, t->text + t->len, sizeof(t->text) - 1 - t->len);
		if (n <= 0)
			eof = true;
		else if (t->len + (size_t)n < sizeof(t->text) - 1)
			t->len += (size_t)n;
	}
	return NULL;
}

static struct outcome tree_outcome(const struct tree *t)
{
	struct outcome o = {OUTCOME_NONE, t->status};
	const char *line = strstr(t->text, "result ");
	int kind;

	if (line && sscanf(line, "result %d", &o.value) == 1)
		o.kind = OUTCOME_RESULT;
	else if ((line = strstr(t->text, "end ")) && sscanf(line, "end %d %d", &kind, &o.value) == 2)
		o.kind = (enum outcome_kind)kind;
	else if (strstr(t->text, "error "))
		return o;
	else if (WIFSIGNALED(t->status))
		o = (struct outcome){OUTCOME_SIGNAL, WTERMSIG(t->status)};
	else if (WEXITSTATUS(t->status) > 128)
		o = (struct outcome){OUTCOME_SIGNAL, WEXITSTATUS(t->status) - 128};
	else
		o = (struct outcome){OUTCOME_EXIT, WEXITSTATUS(t->status)};
	return o;
}

/* Runs one attempt in one situation. Whether it came out as stated. */
static bool judge(const struct mode *m, const char *label, const struct attempt *a, bool rpath)
{
	bool native = m->host == host_native;
	struct situation s = {m->name, rpath, geteuid() == 0};
	uint64_t before;
	char clause[200], got[64];
	const char *wrong;
	struct outcome o;
	struct tree t;

	expect_clause(a->expect, &s, clause, sizeof(clause));
	if (native ? !a->proven : !strcmp(clause, "ANY"))
		return true;
	before = world_snapshot(&world);
	tree_start(&t, m, a, rpath);
	wrong = tree_end(&t);
	close(t.out);
	o = tree_outcome(&t);
	if (!native && !wrong)
		wrong = world_snapshot(&world) != before ? "the tree was changed" : world_reached(&world);
	if (!wrong && !native && (strstr(t.text, "SECRET") || strstr(t.text, "got a shell")))
		wrong = "a secret was printed";
	if (!wrong && (native ? o.kind != OUTCOME_RESULT || o.value : !expect_met(clause, o)))
		wrong = native ? "does not get through natively" : "another outcome";
	if (native || wrong)
		world_reset(&world);
	printf("%sok hostile %s %s %s\n", wrong ? "not " : "", label, rpath ? "rpath" : "stdio", a->name);
	if (wrong)
		printf("# %s: stated %s, was %s; said: %.200s\n", wrong, native ? "success" : clause,
			outcome_text(o, got, sizeof(got)), t.len ? t.text : "nothing");
	if (native)
		world_reached(&world);
	fflush(stdout);
	return !wrong;
}

int main(int argc, char **argv)
{
	const struct mode *m = NULL;
	const struct attempt *a;
	const char *label = argc > 1 ? argv[1] : "", *prefix = argc > 2 ? argv[2] : "";
	unsigned failed = 0;

	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (argc > 1 && !strcmp(argv[1], modes[i].name))
			m = &modes[i];
	if (!m || (m->host == host_run && argc < 5)) {
		fprintf(stderr, "usage: hostile native|inplace|worker|run AIRLOCK PROGRAM LABEL [PREFIX]\n");
		return 2;
	}
	if (m->host == host_run) {
		command = argv[2];
		program = argv[3];
		label = argv[4];
		prefix = argc > 5 ? argv[5] : "";
	}
	if (m->host == host_native && geteuid()) {
		printf("skip hostile native: it takes root to show what would get through\n");
		return 0;
	}
	umask(022);
	signal(SIGPIPE, SIG_IGN);
	if (world_make(&world)) {
		perror("not ok hostile: cannot make its world");
		return 1;
	}
	for (unsigned i = 0; (a = attempt_at(i)); i++)
		for (int rpath = 0; rpath < 2; rpath++)
			if (!strncmp(a->name, prefix, strlen(prefix)) && (m->host != host_native || !rpath))
				failed += !judge(m, label, a, rpath);
	world_end(&world);
	return failed != 0;
}
