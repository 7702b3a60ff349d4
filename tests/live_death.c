/* SPDX-License-Identifier: ISC */
/*
 * Families die by every route, and nothing of them is left. This program is the subreaper of all it starts: whoever
 * loses his parent becomes its child, so that the process table below it is the whole truth. The hosts are children
 * of it. `live_death [AIRLOCK]`: with the command's path, the same for `airlock run`.
 */
#include "sandbox/airlock.h"
#include "tests/processes.h"
#include "tests/tap.h"

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

/* ---- in targets ---- */

/* A child that outlives its parent: another session, deaf to what can be ignored. */
static void leave_behind(void)
{
	if (fork())
		return;
	setsid();
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			signal(sig, SIG_IGN);
	if (fork())
		_exit(0);
	for (;;)
		sleep(60);
}

static ssize_t multiply(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	leave_behind();
	return 0;
}
AIRLOCK_FUNCTION(multiply)

static ssize_t stop(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	kill(getpid(), SIGSTOP);
	return 0;
}
AIRLOCK_FUNCTION(stop)

static int leaver(struct airlock_target *host, int argc, char **argv)
{
	(void)host, (void)argc, (void)argv;
	leave_behind();
	return 3;
}
AIRLOCK_ENTRY(leaver)

/* Host as in processes_shrink_to(). */
static void leaves(size_t most, pid_t host, const char *name)
{
	bool yes = processes_shrink_to(most, host);

	check(yes, name, "below:%s", processes_text());
}

/* ---- hosts: one line on the pipe for each step ---- */

static int order, report; /* the host's ends */

static void wait_order(void)
{
	char c;

	if (read(order, &c, 1) != 1)
		_exit(0);
}

static void host(const char *how)
{
	struct airlock_policy *policy = NULL;
	struct airlock_target *target = NULL;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	int error = airlock_policy_new(&policy, "stdio proc");
	bool entry = !strcmp(how, "entry");

	if (!strcmp(how, "inplace")) {
		error = airlock_enter(policy);
		dprintf(report, "ready %d %s\n", error < 0 ? error : 0, error < 0 ? airlock_message() : "");
		wait_order();
		_exit(0);
	}
	if (!error)
		error = airlock_start(&target, policy, entry ? "leaver" : NULL, NULL, NULL);
	if (!error && !entry && airlock_call(target, "multiply", NULL, 0, NULL, 0) != 0)
		error = -EPROTO;
	dprintf(report, "ready %d %s\n", error, error ? airlock_message() : "");
	if (error)
		_exit(1);
	if (!strcmp(how, "stopped"))
		airlock_call(target, "stop", NULL, 0, NULL, 0);
	if (!entry)
		wait_order();
	if (!strcmp(how, "free")) {
		airlock_free(target);
	} else {
		error = airlock_wait(target, &status, 5000);
		dprintf(report, "end %d %d %d %d\n", error, (int)status.end, status.code, status.signal);
		wait_order();
		airlock_free(target);
	}
	errno = 0;
	error = (int)waitpid(-1, NULL, WNOHANG);
	dprintf(report, "freed %d %d\n", error, errno);
	wait_order();
	airlock_policy_free(policy);
	dprintf(report, "gone\n");
	wait_order();
	_exit(0);
}

struct scene {
	pid_t host, broker, init, target;
	int order, report;
};

static bool line(struct scene *s, char *buf, size_t len, int timeout_ms)
{
	size_t n = 0;

	buf[0] = 0;
	while (n < len - 1) {
		struct pollfd p = {s->report, POLLIN, 0};

		if (poll(&p, 1, timeout_ms) <= 0 || read(s->report, buf + n, 1) != 1)
			return false;
		if (buf[n] == '\n')
			break;
		n++;
	}
	buf[n] = 0;
	return true;
}

static void go_on(struct scene *s)
{
	if (write(s->order, "x", 1) != 1)
		fprintf(stderr, "the host does not listen\n");
}

static bool scene_start(struct scene *s, const char *how, size_t least)
{
	int orders[2], reports[2];
	char text[256];
	int error = -1;

	*s = (struct scene){.order = -1, .report = -1};
	if (pipe2(orders, O_CLOEXEC) || pipe2(reports, O_CLOEXEC))
		return check(false, "starts", "no pipes: %s", strerror(errno));
	s->order = orders[1];
	s->report = reports[0];
	s->host = fork();
	if (!s->host) {
		order = orders[0];
		report = reports[1];
		close(orders[1]);
		close(reports[0]);
		host(how);
		_exit(0);
	}
	close(orders[0]);
	close(reports[1]);
	bool ready = line(s, text, sizeof(text), 10000) && sscanf(text, "ready %d", &error) == 1 && !error;
	for (int i = 0; ready && i < 2000 && processes_look() < least; i++)
		nanosleep(&(struct timespec){0, 5000000}, NULL);
	s->broker = process_child(processes_root, s->host);
	s->init = s->broker ? process_child(s->broker, 0) : 0;
	s->target = s->init ? process_child(s->init, 0) : 0;
	return check(ready && process_count >= least, "starts", "%s; below:%s", text, processes_text());
}

static void scene_end(struct scene *s)
{
	close(s->order);
	close(s->report);
	processes_kill();
}

static void total_death(const char *name, const char *how, size_t least, size_t victim, int first, int second)
{
	struct scene s;

	tap_prefix = name;
	if (scene_start(&s, how, least)) {
		pid_t pids[] = {s.host, s.broker, s.init, s.target};

		if (first)
			kill(victim == 0 ? s.broker : pids[victim], first);
		kill(second == -1 ? s.host : pids[victim], SIGKILL);
		if (!victim && first)
			kill(s.broker, SIGCONT);
		leaves(0, 0, "leaves nothing");
	}
	scene_end(&s);
}

/* The victim dies; the host lives, learns of it, meets nothing in its wait, and frees. */
static void family_death(const char *name, size_t victim, int sig, size_t rest)
{
	int error = -1, end = -1, code = -1, signal_number = -1, waited = 0, number = 0;
	struct scene s;
	char text[256];

	tap_prefix = name;
	if (scene_start(&s, "wait", 5)) {
		pid_t pids[] = {0, s.broker, s.init, s.target};

		kill(pids[victim], sig);
		leaves(rest, s.host, "leaves nothing");
		go_on(&s);
		line(&s, text, sizeof(text), 6000);
		sscanf(text, "end %d %d %d %d", &error, &end, &code, &signal_number);
		/* Whether the kernel sent it for the want of memory, or somebody, cannot be told from outside. */
		check(!error && (victim == 1 ? end == AIRLOCK_LOST
					     : end == AIRLOCK_KILLED || end == AIRLOCK_OUT_OF_MEMORY ||
							end == AIRLOCK_LOST),
			"is told", "%s", text);
		go_on(&s);
		line(&s, text, sizeof(text), 3000);
		sscanf(text, "freed %d %d", &waited, &number);
		check(waited == -1 && number == ECHILD, "wait meets nothing", "%s", text);
		go_on(&s);
		line(&s, text, sizeof(text), 3000);
		leaves(1, s.host, "leaves the host alone");
	}
	scene_end(&s);
}

static void first_ends(void)
{
	int error = -1, end = -1, code = -1, signal_number = -1;
	struct scene s;
	char text[256];

	tap_prefix = "death: the first process ends and leaves children: ";
	if (scene_start(&s, "entry", 2)) {
		line(&s, text, sizeof(text), 6000);
		sscanf(text, "end %d %d %d %d", &error, &end, &code, &signal_number);
		check(!error && end == AIRLOCK_EXITED && code == 3, "is told its status", "%s", text);
		/* Before the host is told, not two seconds later: the host and the broker are left. */
		processes_look();
		check(process_count <= 2, "they are gone before the host is told", "below:%s", processes_text());
	}
	scene_end(&s);
}

static void freed(const char *name, const char *how, int sig)
{
	struct scene s;
	char text[256];

	tap_prefix = name;
	if (scene_start(&s, how, 5)) {
		kill(s.target, sig);
		go_on(&s);
		line(&s, text, sizeof(text), 5000);
		processes_look();
		/* Nothing of it is left when airlock_free() returns. */
		check(process_count <= 2, "is gone when free returns", "%s; below:%s", text, processes_text());
		go_on(&s);
		line(&s, text, sizeof(text), 3000);
		leaves(1, s.host, "the broker goes with the policy");
	}
	scene_end(&s);
}

/* ---- the command ---- */

static void command(const char *airlock, const char *name, size_t victim)
{
	pid_t pid = fork();
	int status = 0;

	tap_prefix = name;
	if (!pid) {
		setpgid(0, 0);
		close(2);
		open("/dev/null", O_WRONLY);
		execl(airlock, airlock, "run", "-p", "stdio proc", "--", "/bin/sleep", "60", (char *)NULL);
		_exit(125);
	}
	for (int i = 0; i < 4000 && processes_look() < 4; i++)
		nanosleep(&(struct timespec){0, 5000000}, NULL);
	/* Let the loader finish: sleep sleeps. */
	nanosleep(&(struct timespec){0, 100000000}, NULL);
	processes_look();
	/* The command's broker is a fork of it. */
	pid_t broker = process_child(pid, 0), init = process_child(broker, 0), target = process_child(init, 0);
	pid_t pids[] = {pid, broker, init, target};

	if (check(broker && init && target, "starts", "below:%s", processes_text())) {
		kill(pids[victim], SIGKILL);
		leaves(victim ? 1 : 0, victim ? pid : 0, "leaves nothing");
		if (victim)
			check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
					(WEXITSTATUS(status) == 137 || (victim == 1 && WEXITSTATUS(status) == 125)),
				"says so by its status", "%#x", status);
	}
	processes_kill();
}

static size_t descriptors(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void cycles(void)
{
	struct airlock_policy *policy = NULL;
	struct airlock_target *target = NULL;
	char broker_dir[64] = "";
	size_t before = 0, broker_before = 0, broker_after;
	int error = airlock_policy_new(&policy, "stdio proc");

	tap_prefix = "death: fifty targets come and go: ";
	for (int i = 0; i < 50 && !error; i++) {
		error = airlock_start(&target, policy, NULL, NULL, NULL);
		if (!error && airlock_call(target, "multiply", NULL, 0, NULL, 0) != 0)
			error = -EPROTO;
		airlock_free(target);
		target = NULL;
		if (i == 1) {
			before = descriptors("/proc/self/fd");
			processes_look();
			snprintf(broker_dir, sizeof(broker_dir), "/proc/%d/fd", process_child(processes_root, 0));
			broker_before = descriptors(broker_dir);
		}
	}
	check(!error, "all answer", "%s", airlock_message());
	check(descriptors("/proc/self/fd") == before, "the host leaks no descriptor", "%zu, were %zu",
		descriptors("/proc/self/fd"), before);
	/* It lets go of the last one after it has told the host. */
	for (int i = 0; (broker_after = descriptors(broker_dir)) > broker_before && i < 4000; i++)
		nanosleep(&(struct timespec){0, 5000000}, NULL);
	if (!broker_before)
		printf("skip death: the broker leaks no descriptor: only root may look into it\n");
	else
		check(broker_after <= broker_before, "the broker leaks no descriptor", "%zu, were %zu", broker_after,
			broker_before);
	processes_look();
	check(process_count <= 1, "only the broker is left", "below:%s", processes_text());
	airlock_policy_free(policy);
	leaves(0, 0, "nothing is left");
	processes_kill();
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IONBF, 0);
	processes_begin();
	signal(SIGPIPE, SIG_IGN);
	total_death("death: host killed: ", "wait", 5, 0, 0, -1);
	total_death("death: host killed while the target is stopped: ", "wait", 5, 3, SIGSTOP, -1);
	total_death("death: host killed while the broker was stopped: ", "wait", 5, 0, SIGSTOP, -1);
	total_death("death: host killed while init is stopped: ", "wait", 5, 2, SIGSTOP, -1);
	total_death("death: a process confined in place is killed: ", "inplace", 2, 0, 0, -1);
	family_death("death: broker killed: ", 1, SIGKILL, 1);
	family_death("death: init killed: ", 2, SIGKILL, 2);
	family_death("death: target killed: ", 3, SIGKILL, 2);
	first_ends();
	freed("death: freed: ", "free", SIGCONT);
	freed("death: stopped, then freed: ", "free", SIGSTOP);
	cycles();
	if (argc > 1) {
		command(argv[1], "death: run: command killed: ", 0);
		command(argv[1], "death: run: broker killed: ", 1);
		command(argv[1], "death: run: init killed: ", 2);
		command(argv[1], "death: run: program killed: ", 3);
	}
	return tap_failed != 0;
}
