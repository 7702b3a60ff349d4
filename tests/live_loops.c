/* SPDX-License-Identifier: ISC */
/*
 * Live tests of targets in event loops: many of them behind one epoll, by edges and by levels, some of which die; what each
 * costs its host; and that the library leaves no traces in it that a program could trip over.
 * `live_loops [TARGETS]`: 300 if not said otherwise.
 */
#include "sandbox/airlock.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NET_MS 60000 /* nothing here takes so long */

static struct airlock_policy *policy;

/* ---- in targets ---- */

/* Answers each message three times. */
static int echo(struct airlock_target *host, int argc, char **argv)
{
	char text[64];
	(void)argc, (void)argv;
	while (airlock_dispatch(host, -1) == 1) {
		struct airlock_message m = AIRLOCK_MESSAGE_INIT;
		m.data = text;
		m.cap = sizeof(text);
		if (airlock_recv(host, &m) < 0)
			return 0;
		if (m.len == 5 && memcmp(text, "crash", 5) == 0)
			abort();
		if (m.len == 4 && memcmp(text, "quit", 4) == 0)
			return 5;
		if (m.len == 4 && memcmp(text, "mute", 4) == 0) {
			airlock_free(host);
			for (;;)
				pause();
		}
		for (int i = 0; i < 3; i++)
			if (airlock_send(host, text, m.len, -1) < 0)
				return 1;
	}
	return 0;
}
AIRLOCK_ENTRY(echo)

static ssize_t twice(const void *in, size_t len, void *out, size_t cap)
{
	int n;
	if (len != sizeof(n) || cap < sizeof(n))
		return -1;
	memcpy(&n, in, sizeof(n));
	n *= 2;
	memcpy(out, &n, sizeof(n));
	return sizeof(n);
}
AIRLOCK_FUNCTION(twice)

/* ---- in the host ---- */

static int descriptors(void)
{
	int n = -3; /* ".", "..", and that of the look itself */
	DIR *d = opendir("/proc/self/fd");
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static long status_number(const char *key)
{
	char line[128];
	long n = -1;
	FILE *f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			n = strtol(line + strlen(key), NULL, 10);
	if (f)
		fclose(f);
	return n;
}

static struct airlock_target *start(const char *entry)
{
	struct airlock_target *t = NULL;
	struct airlock_options options = AIRLOCK_OPTIONS_INIT;
	options.stdio[0] = options.stdio[1] = options.stdio[2] = -2;
	if (airlock_start(&t, policy, entry, NULL, &options) < 0)
		check(false, "a target starts", "%s", airlock_message());
	return t;
}

static bool call_twice(struct airlock_target *t, int n)
{
	int answer = 0;
	return airlock_call(t, "twice", &n, sizeof(n), &answer, sizeof(answer)) == sizeof(answer) && answer == 2 * n;
}

/* ---- many ---- */

enum fate { LIVES, QUITS, CRASHES, KILLED, FATES };
struct one {
	struct airlock_target *target;
	enum fate fate;
	int answers;
	bool ended;
};

static enum airlock_end end_of(struct airlock_target *t, int *code)
{
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	airlock_wait(t, &s, 0);
	*code = s.code;
	return s.end;
}

static bool as_it_must(struct one *o)
{
	int code;
	enum airlock_end end = end_of(o->target, &code);
	switch (o->fate) {
	case LIVES:
		return end == AIRLOCK_RUNNING && o->answers == 6;
	case QUITS:
		return end == AIRLOCK_EXITED && code == 5 && o->answers == 3;
	case CRASHES:
		return end == AIRLOCK_CRASHED && o->answers == 3;
	default:
		return end == AIRLOCK_KILLED && o->answers == 3;
	}
}

/* Takes in all that waits. Whether it is over. */
static bool ready(struct one *o)
{
	char text[64];
	for (;;) {
		struct airlock_message m = AIRLOCK_MESSAGE_INIT;
		m.data = text;
		m.cap = sizeof(text);
		int r = airlock_dispatch(o->target, 0);
		if (r == 0)
			return o->fate == LIVES && o->answers == 6;
		if (r != 1 || airlock_recv(o->target, &m) < 0) {
			o->ended = true;
			return true;
		}
		static const char *const next[FATES] = {"again", "quit", "crash", NULL};
		if (++o->answers != 3)
			continue;
		if (o->fate == KILLED)
			airlock_kill(o->target);
		else
			airlock_send(o->target, next[o->fate], strlen(next[o->fate]), -1);
	}
}

static void loop(struct one *all, int count, bool edges)
{
	char name[100];
	int epoll = epoll_create1(EPOLL_CLOEXEC), left = 0, good = 0, turns = 0;
	for (int i = 0; i < count; i++) {
		all[i].target = start("echo");
		all[i].fate = (enum fate)(i % 7 < FATES ? i % 7 : LIVES);
		struct epoll_event e = {.events = EPOLLIN | (edges ? (uint32_t)EPOLLET : 0u), .data.ptr = &all[i]};
		if (all[i].target && airlock_send(all[i].target, "hello", 5, -1) == 0 &&
			epoll_ctl(epoll, EPOLL_CTL_ADD, airlock_fd(all[i].target), &e) == 0)
			left++;
	}
	snprintf(name, sizeof(name), "%d targets run at once, %s", count, edges ? "edges" : "levels");
	if (!check(left == count, name, "%d of them; %s", left, airlock_message()))
		goto out;
	while (left > 0) {
		struct epoll_event events[32];
		int n = epoll_wait(epoll, events, 32, NET_MS);
		if (n <= 0)
			break;
		turns++;
		for (int i = 0; i < n; i++) {
			struct one *o = events[i].data.ptr;
			if (!ready(o))
				continue;
			left--;
			epoll_ctl(epoll, EPOLL_CTL_DEL, airlock_fd(o->target), NULL);
		}
	}
	for (int i = 0; i < count; i++)
		good += as_it_must(&all[i]);
	snprintf(name, sizeof(name), "each ends or lives as it must, %s", edges ? "edges" : "levels");
	check(left == 0 && good == count, name, "%d of %d, %d left", good, count, left);
	printf("# %d turns of the loop\n", turns);
out:
	for (int i = 0; i < count; i++) {
		airlock_free(all[i].target);
		all[i] = (struct one){NULL, LIVES, 0, false};
	}
	close(epoll);
}

/* What it costs to have one that is only called, and one that is waited for. */
static void cost(struct one *all, int count)
{
	bool good = true;
	struct airlock_target *first = start(NULL); /* with it the broker */
	good = first && call_twice(first, 1);
	int before = descriptors();
	long memory = status_number("RssAnon:");
	for (int i = 0; i < count && good; i++) {
		all[i].target = start(NULL);
		good = all[i].target != NULL;
	}
	int idle = descriptors() - before;
	for (int i = 0; i < count && good; i++)
		good = call_twice(all[i].target, i);
	check(good, "all of them answer calls", "%s", airlock_message());
	long used = status_number("RssAnon:") - memory;
	for (int i = 0; i < count && good; i++)
		good = airlock_fd(all[i].target) >= 0;
	int polled = descriptors() - before;
	printf("# a target costs its host %.2f descriptors, polled %.2f; %.1f KiB\n", (double)idle / count,
		(double)polled / count, (double)used / count);
	check(good && idle <= 2 * count, "at most two descriptors a target", "%d for %d", idle, count);
	check(good && polled <= 3 * count, "three when it is in a loop", "%d for %d", polled, count);
	check(used <= 24 * count, "and little memory", "%ld KiB for %d", used, count);
	for (int i = 0; i < count; i++)
		airlock_free(all[i].target);
	check(descriptors() == before, "all descriptors are given back", "%d, then %d", before, descriptors());
	airlock_free(first);
	memset(all, 0, (size_t)count * sizeof(*all));
}

/* ---- one ---- */

static int readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, ms);
}

/* A target that lets go of its end of the channel, and lives on, does not keep the loop busy. */
static void mute(void)
{
	struct airlock_target *t = start("echo");
	airlock_send(t, "mute", 4, -1);
	readable(airlock_fd(t), NET_MS);
	while (airlock_dispatch(t, 0) != 0)
		;
	check(readable(airlock_fd(t), 50) == 0, "a target without a channel is quiet", "its descriptor stays readable");
	airlock_kill(t);
	check(readable(airlock_fd(t), NET_MS) == 1 && airlock_dispatch(t, NET_MS) == 2, "its end is seen", "it is not");
	check(readable(airlock_fd(t), 0) == 0, "once", "its descriptor stays readable");
	airlock_free(t);
}

/* What waits already when somebody first asks for the descriptor. */
static void late(void)
{
	struct airlock_target *t = start("echo");
	airlock_send(t, "hello", 5, -1);
	bool waits = airlock_dispatch(t, NET_MS) == 1;
	check(waits && readable(airlock_fd(t), 0) == 1, "what came before is seen", "it is not");
	airlock_free(t);
	t = start("echo");
	airlock_kill(t);
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	airlock_wait(t, &s, NET_MS);
	check(airlock_dispatch(t, 0) == 2, "the end, too", "%d", airlock_dispatch(t, 0));
	airlock_free(t);
}

/* ---- traces ---- */

static volatile sig_atomic_t children;
static void on_child(int sig)
{
	(void)sig;
	children++;
}

struct traces {
	void (*handlers[65])(int);
	int flags[65];
	sigset_t mask;
	long threads;
	mode_t umask;
	struct rlimit files;
	char cwd[4096];
};

static void traces_of(struct traces *t)
{
	memset(t, 0, sizeof(*t));
	for (int sig = 1; sig < 65; sig++) {
		struct sigaction a = {.sa_handler = NULL};
		sigaction(sig, NULL, &a);
		t->handlers[sig] = a.sa_handler;
		t->flags[sig] = a.sa_flags;
	}
	sigprocmask(SIG_SETMASK, NULL, &t->mask);
	t->threads = status_number("Threads:");
	t->umask = umask(077);
	umask(t->umask);
	getrlimit(RLIMIT_NOFILE, &t->files);
	if (!getcwd(t->cwd, sizeof(t->cwd)))
		t->cwd[0] = 0;
}

/* Nothing of the process is the library's: what it makes has a name that its owner has asked for. */
static void no_traces(void)
{
	static struct traces before, after;
	struct airlock_policy *own;
	struct sigaction count = {.sa_handler = on_child};
	sigaction(SIGCHLD, &count, NULL);
	int open = descriptors();
	traces_of(&before);
	struct airlock_target *t = NULL, *crashed = NULL;
	struct airlock_pool *pool = NULL;
	struct airlock_buffer *buffer = NULL;
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	int n = 21, answer = 0;
	bool good = airlock_policy_new(&own, "stdio") == 0 && airlock_start(&t, own, NULL, NULL, NULL) == 0 &&
		    airlock_start(&crashed, own, "echo", NULL, NULL) == 0 && call_twice(t, 21) &&
		    airlock_pool_new(&pool, own, NULL) == 0 && airlock_buffer_new(&buffer, 4096) == 0 &&
		    airlock_pool_call(pool, "twice", &n, sizeof(n), &answer, sizeof(answer), NULL) == sizeof(answer) &&
		    answer == 42;
	traces_of(&after);
	check(good, "one of each is made", "%s", airlock_message());
	int differs = 0;
	for (int sig = 1; sig < 65; sig++)
		if (before.handlers[sig] != after.handlers[sig] || before.flags[sig] != after.flags[sig])
			differs = sig;
	check(!differs, "no signal handler", "that of signal %d has changed", differs);
	check(memcmp(&before.mask, &after.mask, 8) == 0, "no signal is blocked or let through", "it is");
	check(after.threads == 1, "no thread", "there are %ld", after.threads);
	check(before.umask == after.umask && strcmp(before.cwd, after.cwd) == 0 &&
			memcmp(&before.files, &after.files, sizeof(before.files)) == 0,
		"umask, directory and limits are the program's", "%o %o, %s %s", before.umask, after.umask, before.cwd,
		after.cwd);
	if (good) {
		airlock_send(crashed, "crash", 5, -1);
		airlock_wait(crashed, &s, NET_MS);
	}
	check(s.end == AIRLOCK_CRASHED && call_twice(t, 4), "a crash is nobody else's", "%d", s.end);
	airlock_free(crashed);
	airlock_free(t);
	check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "there is no child to wait for", "there is");
	airlock_pool_free(pool);
	airlock_buffer_free(buffer);
	airlock_policy_free(own);
	check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD && children == 0, "there never was one", "%d signals",
		(int)children);
	traces_of(&after);
	check(after.threads == 1 && descriptors() == open, "nothing is left", "%ld threads, %d descriptors and %d",
		after.threads, open, descriptors());
	signal(SIGCHLD, SIG_DFL);
}

int main(int argc, char **argv)
{
	if (airlock_init(argc, argv) < 0)
		return 1;
	int count = argc > 1 ? atoi(argv[1]) : 300;
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct one *all = calloc((size_t)count, sizeof(*all));
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < (rlim_t)count * 3 + 64) {
		files.rlim_cur = (rlim_t)count * 3 + 64 < files.rlim_max ? (rlim_t)count * 3 + 64 : files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (!all || airlock_policy_new(&policy, "stdio") < 0)
		return 1;
	no_traces();
	mute();
	late();
	cost(all, count);
	loop(all, count, true);
	loop(all, count / 4, false);
	airlock_policy_free(policy);
	free(all);
	return tap_failed != 0;
}
