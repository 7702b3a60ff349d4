/* SPDX-License-Identifier: ISC */
/* Calls between a host and targets that keep to the rules, and how the death of one reaches the other. */
#include "tests/ipc_call.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FOREVER 1000000 /* far above what any wait here may take, in ms */

static bool asked(void *arg)
{
	++*(int *)arg;
	return true;
}

static long ms_since(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

static pid_t fork_peer(void)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child;
}

static void reap(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* Answers with in_len + cap; "sleep" answers late. */
static void serve(struct ipc_call *c)
{
	char name[IPC_CALL_NAME_MAX + 1];
	uint64_t in_len, cap;
	int r;

	while ((r = ipc_call_wait(c, SHARED, name, &in_len, &cap)) == 0) {
		if (!strcmp(name, "sleep"))
			usleep(3000);
		memcpy((char *)c + ipc_call_out_offset(SHARED), (char *)c + ipc_call_in_offset(), in_len);
		ipc_call_reply(c, (int64_t)(in_len + cap));
	}
	_exit(r == -EPIPE ? 0 : 1);
}

static void test_call_offsets(void **unused)
{
	(void)unused;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	assert_int_equal(ipc_call_in_offset(), page);
	assert_int_equal(ipc_call_out_offset(1), 2 * page);
	assert_int_equal(ipc_call_out_offset(page), 2 * page);
	assert_int_equal(ipc_call_out_offset(page + 1), 3 * page);
	assert_int_equal(ipc_call_total(page + 1), 5 * page);
	assert_int_equal(ipc_call_total(SIZE_MAX), 0);
	assert_int_equal(ipc_call_total(SIZE_MAX / 2), 0);
	assert_true(sizeof(struct ipc_call) <= page);
}

static void test_call_round_trips(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	pid_t child = fork_peer();
	int64_t result;

	if (!child)
		serve(c);
	for (uint64_t i = 0; i < 20000; i++) {
		memcpy((char *)c + ipc_call_in_offset(), &i, sizeof(i));
		assert_int_equal(ipc_call_request(c, "echo", sizeof(i), i, never, NULL, &result), 0);
		assert_int_equal(result, sizeof(i) + i);
		assert_memory_equal((char *)c + ipc_call_out_offset(SHARED), &i, sizeof(i));
		if (i % 1000 == 0)
			usleep(2000); /* so that both sides sleep at times */
	}
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(ipc_call_request(c, "sleep", 0, i, never, NULL, &result), 0);
		assert_int_equal(result, i);
	}
	ipc_call_dead(c);
	reap(child);
	assert_int_equal(ipc_call_request(c, "echo", 0, 0, never, NULL, &result), -EPIPE);
	unshare_call(c);
}

/* On one processor nothing may depend on spinning. */
static void test_call_on_one_processor(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	cpu_set_t old, one;
	int64_t result;

	assert_int_equal(sched_getaffinity(0, sizeof(old), &old), 0);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &old))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	pid_t child = fork_peer();
	if (!child)
		serve(c);
	for (uint64_t i = 0; i < 2000; i++)
		assert_int_equal(ipc_call_request(c, "echo", 0, i, never, NULL, &result), 0);
	ipc_call_dead(c);
	reap(child);
	assert_int_equal(sched_setaffinity(0, sizeof(old), &old), 0);
	unshare_call(c);
}

static void test_call_gone_ends_the_wait(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct timespec from;
	int64_t result = 5;
	int count = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(ipc_call_request(c, "f", 0, 0, asked, &count, &result), -EPIPE);
	assert_int_equal(count, 1);
	assert_int_equal(result, 5);
	assert_in_range(ms_since(&from), 0, 5000);
	unshare_call(c);
}

static void nothing(int signal)
{
	(void)signal;
}

/* A host with a fast interval timer must still come to ask. */
static void test_call_gone_is_asked_despite_signals(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct sigaction sa = {.sa_handler = nothing}, old;
	timer_t timer;
	const struct itimerspec often = {{0, 5000000}, {0, 5000000}};
	int64_t result;
	int count = 0;

	sigaction(SIGALRM, &sa, &old);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
	assert_int_equal(ipc_call_request(c, "f", 0, 0, asked, &count, &result), -EPIPE);
	assert_int_equal(count, 1);
	timer_delete(timer);
	sigaction(SIGALRM, &old, NULL);
	unshare_call(c);
}

/* Whoever learns of the death says so, and the host's call returns at once, not at the end of a slice. */
static void test_call_death_wakes_the_host(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct timespec *died = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t result;
	long best = FOREVER;

	for (int i = 0; i < 5 || (best > 20 && i < 100); i++) {
		atomic_store(&c->state, IPC_CALL_IDLE);
		pid_t child = fork_peer();
		if (!child) {
			usleep(5000);
			clock_gettime(CLOCK_MONOTONIC, died);
			ipc_call_dead(c);
			_exit(0);
		}
		assert_int_equal(ipc_call_request(c, "f", 0, 0, never, NULL, &result), -EPIPE);
		long took = ms_since(died);
		best = took < best ? took : best;
		reap(child);
	}
	assert_in_range(best, 0, 20); /* a slice is 50 */
	munmap(died, 4096);
	unshare_call(c);
}

static void test_call_death_wakes_the_target(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	pid_t child = fork_peer();

	if (!child)
		serve(c);
	usleep(5000);
	ipc_call_dead(c);
	reap(child);
	/* A reply that comes too late does not raise the dead. */
	ipc_call_reply(c, 1);
	assert_int_equal(atomic_load(&c->state), IPC_CALL_DEAD);
	unshare_call(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_offsets),
		cmocka_unit_test(test_call_round_trips),
		cmocka_unit_test(test_call_on_one_processor),
		cmocka_unit_test(test_call_gone_ends_the_wait),
		cmocka_unit_test(test_call_gone_is_asked_despite_signals),
		cmocka_unit_test(test_call_death_wakes_the_host),
		cmocka_unit_test(test_call_death_wakes_the_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
