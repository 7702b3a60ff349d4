/* SPDX-License-Identifier: ISC */
/* Live tests of hostile targets that tell their host so much that there is no room for what matters: how they end. Each
 * attempt must leave the end, its signal and the violation as they are without the flood. */
#include "sandbox/airlock.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NET_MS 60000 /* generous: a slow machine is no failure */
#define CALL_NUMBER 44040 /* by which a target speaks to its broker */
#define OP_ANSWERED 12
#define FLOOD 5000

/* ---- in the target ---- */

static void answered(void)
{
	for (int i = 0; i < FLOOD; i++)
		syscall(CALL_NUMBER, OP_ANSWERED);
}

/* Each is news. */
static void refusals(void)
{
	char path[64];
	for (int i = 0; i < FLOOD; i++) {
		snprintf(path, sizeof(path), "/etc/not-unveiled-%d", i);
		close(open(path, O_RDONLY | O_CLOEXEC));
	}
}

static void crash(void)
{
	raise(SIGSEGV);
}

static ssize_t drown_call(const void *in, size_t len, void *out, size_t cap)
{
	(void)in;
	(void)len;
	(void)out;
	(void)cap;
	answered();
	crash();
	return 0;
}
AIRLOCK_FUNCTION(drown_call)

static int drown(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "answered") == 0)
			answered();
		else if (strcmp(argv[i], "refusals") == 0)
			refusals();
		else if (strcmp(argv[i], "crash") == 0)
			crash();
		else if (strcmp(argv[i], "violate") == 0)
			close(socket(AF_INET, SOCK_STREAM, 0));
	}
	return 7;
}
AIRLOCK_ENTRY(drown)

/* ---- the host ---- */

/* Reads nothing of it before all its processes are gone. */
static struct airlock_status end_of(struct airlock_policy *p, char *const argv[])
{
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	struct airlock_target *t;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(1);
	o.stdio[1] = ends[1];
	int r = airlock_start(&t, p, "drown", argv, &o);
	close(ends[1]);
	if (r < 0) {
		printf("# no start: %s\n", airlock_message());
		close(ends[0]);
		return s;
	}
	struct pollfd gone = {ends[0], 0, 0};
	if (poll(&gone, 1, NET_MS) != 1)
		printf("# it has not ended\n");
	airlock_wait(t, &s, NET_MS);
	airlock_free(t);
	close(ends[0]);
	return s;
}

static void expect(const char *name, struct airlock_status s, enum airlock_end end, int signal, const char *violation)
{
	check(s.end == end && s.signal == signal && strstr(s.violation, violation), name,
		"end %d, signal %d, code %d, %s", s.end, s.signal, s.code, s.violation);
}

int main(int argc, char **argv)
{
	struct airlock_policy *p;
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	struct airlock_pool *pool;
	const struct rlimit none = {0, 0};
	airlock_init(argc, argv);
	setrlimit(RLIMIT_CORE, &none);
	if (airlock_policy_parse(&p, "pledge stdio rpath\nunveil /usr r\non-violation kill\n") < 0) {
		check(false, "a policy", "%s", airlock_message());
		return 1;
	}
	expect("answers that are none, then a crash", end_of(p, (char *[]){"", "answered", "crash", NULL}),
		AIRLOCK_CRASHED, SIGSEGV, "");
	expect("answers that are none, then a violation", end_of(p, (char *[]){"", "answered", "violate", NULL}),
		AIRLOCK_VIOLATED, SIGKILL, "socket");
	expect("refusals, then a crash", end_of(p, (char *[]){"", "refusals", "crash", NULL}), AIRLOCK_CRASHED, SIGSEGV,
		"not-unveiled");
	expect("refusals, then a violation", end_of(p, (char *[]){"", "refusals", "violate", NULL}), AIRLOCK_VIOLATED,
		SIGKILL, "socket");
	expect("both, then an exit", end_of(p, (char *[]){"", "refusals", "answered", NULL}), AIRLOCK_EXITED, 0, "");
	if (airlock_pool_new(&pool, p, NULL) == 0) {
		ssize_t n = airlock_pool_call(pool, "drown_call", NULL, 0, NULL, 0, &s);
		expect("answers that are none, then a crash, in a pool", s, AIRLOCK_CRASHED, SIGSEGV, "");
		check(n == -EPIPE, "and its call failed", "%zd: %s", n, airlock_message());
		airlock_pool_free(pool);
	} else {
		check(false, "a pool", "%s", airlock_message());
	}
	airlock_policy_free(p);
	return tap_failed != 0;
}
