/* SPDX-License-Identifier: ISC */
/* How long after a crash or a violation in a target the host has its call back, and the status; with and without a
 * backtrace; beside waitpid() of a child that crashes. */
#include "bench/common.h"

#include <airlock.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 25

static ssize_t nothing(const void *in, size_t len, void *out, size_t cap)
{
	(void)in;
	(void)out;
	(void)len;
	(void)cap;
	return 0;
}
AIRLOCK_FUNCTION(nothing)

/* Where no page is; volatile, so that no compiler knows. */
static char *volatile nowhere = (char *)16;

static ssize_t crash(const void *in, size_t len, void *out, size_t cap)
{
	(void)in;
	(void)len;
	(void)out;
	*nowhere = 0;
	return (ssize_t)cap;
}
AIRLOCK_FUNCTION(crash)

static ssize_t violate(const void *in, size_t len, void *out, size_t cap)
{
	(void)in;
	(void)len;
	(void)out;
	(void)cap;
	return socket(AF_INET, SOCK_STREAM, 0);
}
AIRLOCK_FUNCTION(violate)

static struct samples native;

static void crash_of_a_child(void)
{
	int status;
	uint64_t from = now_ns();
	pid_t pid = fork();

	if (pid == 0)
		crash(NULL, 0, NULL, 0);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFSIGNALED(status))
		fail("fork", "the child did not crash");
	sample(&native, (double)(now_ns() - from));
}

static struct {
	const char *function, *returned, *told, *budget;
	enum airlock_end end;
	bool backtrace;
	struct samples back, status;
} ways[] = {
	{"crash", "crash: call to its return", "crash: call to the status", "1 ms", AIRLOCK_CRASHED, false, {0}, {0}},
	{"crash", NULL, "crash: call to the status with a backtrace", "20 ms", AIRLOCK_CRASHED, true, {0}, {0}},
	{"violate", "violation: call to its return", "violation: call to the status", "1 ms", AIRLOCK_VIOLATED, false,
		{0}, {0}},
};

static void end_of_a_target(struct airlock_policy *policy, size_t way)
{
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	struct airlock_options options = AIRLOCK_OPTIONS_INIT;
	struct airlock_target *t;

	options.backtrace = ways[way].backtrace;
	if (airlock_start(&t, policy, NULL, NULL, &options) < 0 || airlock_call(t, "nothing", "x", 1, NULL, 0) != 0)
		fail("airlock_start", airlock_message());
	uint64_t from = now_ns();
	if (airlock_call(t, ways[way].function, "x", 1, NULL, 0) != -EPIPE)
		fail(ways[way].function, "the call did not fail");
	sample(&ways[way].back, (double)(now_ns() - from));
	if (airlock_wait(t, &status, 5000) < 0 || status.end != ways[way].end)
		fail(ways[way].function, "wrong status");
	sample(&ways[way].status, (double)(now_ns() - from));
	if (ways[way].backtrace && !status.backtrace[0])
		fail(ways[way].function, "no backtrace");
	airlock_free(t);
}

int main(int argc, char **argv)
{
	struct airlock_policy *policy;
	struct airlock_target *keep;
	struct rlimit none = {0, 0};

	if (airlock_init(argc, argv) < 0 || airlock_policy_new(&policy, "stdio") < 0 ||
		airlock_policy_on_violation(policy, AIRLOCK_VIOLATION_KILL) < 0 ||
		airlock_start(&keep, policy, NULL, NULL, NULL) < 0)
		fail("start", airlock_message());
	setrlimit(RLIMIT_CORE, &none);
	for (int round = 0; round < times(ROUNDS, 1); round++) {
		crash_of_a_child();
		for (size_t way = 0; way < sizeof(ways) / sizeof(*ways); way++)
			end_of_a_target(policy, way);
	}
	double base = median(&native);
	report("crash of a child: fork to waitpid's return", base, "", 0, "");
	for (size_t way = 0; way < sizeof(ways) / sizeof(*ways); way++) {
		if (ways[way].returned)
			report(ways[way].returned, median(&ways[way].back), "", 0, ways[way].budget);
		report(ways[way].told, median(&ways[way].status), "", 0, ways[way].budget);
	}
	airlock_free(keep);
	airlock_policy_free(policy);
	return 0;
}
