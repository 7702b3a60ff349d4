/* SPDX-License-Identifier: ISC */
/* Three levels of targets, and each of their processes is killed in turn: what hung on it is gone, and nothing else is. */
#include "tests/nested.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- targets ---- */

/* Each level starts the next and says "." when all below stand; then it waits for its target, and stays. */
static int stands(struct airlock_target *host, int argc, char **argv)
{
	int levels = argc > 0 ? atoi(argv[0]) : 0;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	struct airlock_target *t = NULL;
	char text[16], *next[] = {text, NULL};

	(void)host;
	snprintf(text, sizeof(text), "%d", levels - 1);
	if (levels > 1 && airlock_start(&t, policy_with("stdio proc", ""), "stands", next, NULL)) {
		dprintf(1, "%s\n", airlock_message());
		return 1;
	}
	if (levels == 1)
		dprintf(1, ".\n");
	if (t)
		airlock_wait(t, &status, -1);
	for (;;)
		pause();
}
AIRLOCK_ENTRY(stands)

static ssize_t answers(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	return 0;
}
AIRLOCK_FUNCTION(answers)

/* Brokers and targets come and go; on each byte of standard input that many more. */
static int cycles(struct airlock_target *host, int argc, char **argv)
{
	char n;

	(void)host, (void)argc, (void)argv;
	while (read(0, &n, 1) == 1) {
		int error = 0;
		for (int i = 0; i < n && !error; i++) {
			struct airlock_policy *p = policy_with("stdio", "");
			struct airlock_target *t = NULL;
			error = airlock_start(&t, p, NULL, NULL, NULL);
			if (!error && airlock_call(t, "answers", NULL, 0, NULL, 0))
				error = -EPROTO;
			if (!error)
				airlock_free(t);
			airlock_policy_free(p);
		}
		dprintf(1, "%s\n", error ? airlock_message() : ".");
	}
	return 0;
}
AIRLOCK_ENTRY(cycles)

/* ---- the scene ---- */

enum who { HOST, BROKER, INIT1, TARGET1, BROKER2, INIT2, TARGET2, BROKER3, INIT3, TARGET3, ALL };

struct scene {
	pid_t pids[ALL];
	int in, out;
};

static bool said(int fd, char *buf, size_t len)
{
	size_t n = 0;
	struct pollfd p = {fd, POLLIN, 0};

	buf[0] = 0;
	while (n < len - 1 && poll(&p, 1, 15000) == 1 && read(fd, buf + n, 1) == 1 && buf[n] != '\n')
		n++;
	buf[n] = 0;
	return !strcmp(buf, ".");
}

static bool scene_start(struct scene *s, const char *entry, const char *argument, size_t least)
{
	int in[2], out[2];
	char text[300];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return false;
	s->pids[HOST] = fork();
	if (!s->pids[HOST]) {
		struct airlock_target *t;
		struct airlock_status status = AIRLOCK_STATUS_INIT;
		struct airlock_options o = AIRLOCK_OPTIONS_INIT;
		char *argv[] = {(char *)(uintptr_t)argument, NULL};
		o.stdio[0] = in[0];
		o.stdio[1] = out[1];
		if (airlock_start(&t, policy_with("stdio proc", ""), entry, argv, &o))
			_exit(1);
		close(in[1]);
		close(in[0]);
		close(out[1]);
		airlock_wait(t, &status, -1);
		for (;;)
			pause();
	}
	close(in[0]);
	close(out[1]);
	s->in = in[1];
	s->out = out[0];
	bool ready = !least || said(s->out, text, sizeof(text));
	for (int i = 0; i < 4000 && processes_look() < least; i++)
		nanosleep(&(struct timespec){0, 5000000}, NULL);
	pid_t *p = s->pids;
	p[BROKER] = process_child(processes_root, p[HOST]);
	for (int i = BROKER; i + 2 < ALL; i += 3) {
		p[i + 1] = process_child(p[i], 0);
		p[i + 2] = process_child(p[i + 1], 0);
		if (i + 3 < ALL)
			p[i + 3] = process_child(p[i], p[i + 1]);
	}
	return check(
		ready && (!least || processes_look() == least), "all stand", "%s; below:%s", text, processes_text());
}

static void scene_end(struct scene *s)
{
	close(s->in);
	close(s->out);
	processes_kill();
}

/* What is left when each has been killed, all that is started being ten. */
static const struct {
	const char *name;
	enum who who;
	size_t rest;
} victims[] = {{"the host", HOST, 0}, {"the broker", BROKER, 1}, {"init", INIT1, 2}, {"the target", TARGET1, 2},
	{"the nested broker", BROKER2, 4}, {"the nested init", INIT2, 5}, {"the target in the middle", TARGET2, 5},
	{"the innermost broker", BROKER3, 7}, {"the innermost init", INIT3, 8}, {"the innermost target", TARGET3, 8}};

static void death(size_t i, bool stopped)
{
	struct scene s;
	char prefix[100];

	snprintf(prefix, sizeof(prefix), "nested death: %s%s: ", victims[i].name, stopped ? ", others stopped" : "");
	tap_prefix = prefix;
	if (scene_start(&s, "stands", "3", 10)) {
		/* One of ours that is to be reaped, or looked at. */
		pid_t but = victims[i].who == HOST ? 0 : s.pids[HOST];
		for (enum who w = BROKER2; stopped && w < ALL; w++)
			kill(s.pids[w], SIGSTOP);
		kill(s.pids[victims[i].who], SIGKILL);
		check(processes_shrink_to(victims[i].rest, but), "what hung on it is gone", "below:%s",
			processes_text());
		nanosleep(&(struct timespec){0, 50000000}, NULL);
		processes_look();
		check(process_count == victims[i].rest, "and nothing else", "%zu of %zu; below:%s", process_count,
			victims[i].rest, processes_text());
	}
	scene_end(&s);
}

static size_t descriptors(pid_t pid)
{
	char path[40];
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void come_and_go(void)
{
	struct scene s;
	char text[300];

	tap_prefix = "nested death: two hundred come and go: ";
	if (scene_start(&s, "cycles", "", 0)) {
		bool good = write(s.in, "\2", 1) == 1 && said(s.out, text, sizeof(text));
		processes_shrink_to(4, s.pids[HOST]);
		pid_t broker = process_child(processes_root, s.pids[HOST]), init = process_child(broker, 0);
		size_t before = descriptors(broker), within = descriptors(process_child(init, 0));
		for (int i = 0; i < 2 && good; i++)
			good = write(s.in, "\144", 1) == 1 && said(s.out, text, sizeof(text));
		check(good, "all answer", "%s", text);
		check(processes_shrink_to(4, s.pids[HOST]) && process_count == 4,
			"only host, broker, init, target are left", "below:%s", processes_text());
		if (before) {
			check(descriptors(broker) == before, "the broker leaks no descriptor", "%zu, were %zu",
				descriptors(broker), before);
			check(descriptors(process_child(init, 0)) == within, "the target leaks none", "%zu, were %zu",
				descriptors(process_child(init, 0)), within);
		} else {
			printf("skip nested death: the broker leaks no descriptor: only root may look into it\n");
		}
	}
	scene_end(&s);
}

void deaths(void)
{
	for (size_t i = 0; i < sizeof(victims) / sizeof(victims[0]); i++)
		death(i, false);
	death(HOST, true);
	death(BROKER, true);
	death(INIT1, true);
	death(TARGET1, true);
	come_and_go();
}
