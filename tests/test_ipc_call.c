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
	struct ipc_serving v = target_of(c);
	struct ipc_work w;
	int r;

	while ((r = ipc_call_wait(&v, &w)) == 0) {
		if (!strcmp(w.name, "sleep"))
			usleep(3000);
		memcpy(w.out, w.in, w.in_len < w.cap ? w.in_len : w.cap);
		ipc_call_reply(&v, (int64_t)(w.in_len + w.cap));
	}
	_exit(r == -EPIPE ? 0 : 1);
}

static void test_call_offsets(void **unused)
{
	(void)unused;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	size_t from = ipc_call_in_offset();

	assert_true(from >= sizeof(struct ipc_call) + 2 * IPC_BACK_MAX);
	assert_int_equal(from % page, 0);
	assert_int_equal(ipc_call_out_offset(1), from + page);
	assert_int_equal(ipc_call_out_offset(page), from + page);
	assert_int_equal(ipc_call_out_offset(page + 1), from + 2 * page);
	assert_int_equal(ipc_call_total(page + 1), from + 4 * page);
	assert_int_equal(ipc_call_total(SIZE_MAX), 0);
	assert_int_equal(ipc_call_total(SIZE_MAX / 2), 0);
	assert_int_equal(sizeof(struct ipc_entry) % 64, 0);
	assert_int_equal(offsetof(struct ipc_call, entry) % 64, 0);
}

static void test_call_round_trips(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct ipc_ring ring = host_of(c);
	pid_t child = fork_peer();
	const void *out;
	int64_t result;

	if (!child)
		serve(c);
	for (uint64_t i = 0; i < 20000; i++) {
		uint64_t in[64] = {i, [63] = ~i}; /* in the entry, and every fourth in the area */
		size_t len = i % 4 ? sizeof(i) : sizeof(in);
		assert_int_equal(request(&ring, "echo", in, len, len + i % 64, never, NULL, &result, &out), 0);
		assert_int_equal(result, 2 * len + i % 64);
		assert_memory_equal(out, in, len);
		if (i % 1000 == 0)
			usleep(2000); /* so that both sides sleep at times */
	}
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(request(&ring, "sleep", NULL, 0, i, never, NULL, &result, NULL), 0);
		assert_int_equal(result, i);
	}
	ipc_call_dead(c);
	reap(child);
	assert_int_equal(request(&ring, "echo", NULL, 0, 0, never, NULL, &result, NULL), -EPIPE);
	unshare_call(c);
}

/* On one processor nothing may depend on spinning. */
static void test_call_on_one_processor(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct ipc_ring ring = host_of(c);
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
		assert_int_equal(request(&ring, "echo", NULL, 0, i, never, NULL, &result, NULL), 0);
	ipc_call_dead(c);
	reap(child);
	assert_int_equal(sched_setaffinity(0, sizeof(old), &old), 0);
	unshare_call(c);
}

static void test_call_gone_ends_the_wait(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct ipc_ring ring = host_of(c);
	struct timespec from;
	int64_t result = 5;
	int count = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(request(&ring, "f", NULL, 0, 0, asked, &count, &result, NULL), -EPIPE);
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
	struct ipc_ring ring = host_of(c);
	struct sigaction sa = {.sa_handler = nothing}, old;
	timer_t timer;
	const struct itimerspec often = {{0, 5000000}, {0, 5000000}};
	int64_t result;
	int count = 0;

	sigaction(SIGALRM, &sa, &old);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
	assert_int_equal(request(&ring, "f", NULL, 0, 0, asked, &count, &result, NULL), -EPIPE);
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
		memset(c, 0, sizeof(*c));
		pid_t child = fork_peer();
		if (!child) {
			usleep(5000);
			clock_gettime(CLOCK_MONOTONIC, died);
			ipc_call_dead(c);
			_exit(0);
		}
		struct ipc_ring ring = host_of(c);
		assert_int_equal(request(&ring, "f", NULL, 0, 0, never, NULL, &result, NULL), -EPIPE);
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
	unshare_call(c);
}

/* Ends with 3 when it has lingered. */
static pid_t fork_lingering(struct ipc_call *c)
{
	pid_t child = fork_peer();
	struct ipc_serving v = target_of(c);
	struct ipc_work w;
	uint32_t wish;
	int r;

	if (child)
		return child;
	while ((r = ipc_call_wait(&v, &w)) >= 0) {
		if (r == 0)
			ipc_call_reply(&v, 0);
		else if (ipc_call_wished(c, &wish))
			ipc_call_grant(c, wish);
	}
	_exit(r == -ETIMEDOUT ? 3 : 1);
}

/* The host's clock begins before the target's and ends after it: a slow machine makes what is measured longer. */
static void test_call_lingers(void **unused)
{
	(void)unused;
	enum { LINGER_MS = 100 };
	struct ipc_call *c = shared_call();
	struct ipc_ring ring = host_of(c);
	struct timespec from;
	int64_t result;
	int status;
	pid_t child = fork_lingering(c);

	/* Never, unless that is said; not before so long; and from the next wait on, which begins with that answer. */
	for (int i = 0; i < 2; i++) {
		usleep(LINGER_MS * 2000);
		assert_int_equal(request(&ring, "f", NULL, 0, 0, never, NULL, &result, NULL), 0);
		assert_int_equal(waitpid(child, &status, WNOHANG), 0);
		ipc_call_linger(c, FOREVER);
	}
	ipc_call_linger(c, LINGER_MS);
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(request(&ring, "f", NULL, 0, 0, never, NULL, &result, NULL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	assert_in_range(ms_since(&from), LINGER_MS, FOREVER);
	unshare_call(c);
}

static bool ended(void *arg)
{
	siginfo_t info = {0};

	return waitid(P_PID, *(id_t *)arg, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
}

/* From its last call on, not from its first. */
static void test_call_lingers_anew(void **unused)
{
	(void)unused;
	enum { LINGER_MS = 200, TRIES = 50 };
	bool judged = false;

	for (int i = 0; i < TRIES && !judged; i++) {
		struct ipc_call *c = shared_call();
		struct ipc_ring ring = host_of(c);
		struct timespec from;
		int64_t result;
		int status;

		ipc_call_linger(c, LINGER_MS);
		pid_t child = fork_lingering(c);
		int r = request(&ring, "f", NULL, 0, 0, ended, &child, &result, NULL);
		usleep(LINGER_MS * 500);
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (r == 0)
			r = request(&ring, "f", NULL, 0, 0, ended, &child, &result, NULL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
		judged = r == 0; /* else the machine was so slow that it had ended */
		if (judged)
			assert_in_range(ms_since(&from), LINGER_MS, FOREVER);
		unshare_call(c);
	}
	assert_true(judged);
}

/* Two wishes before the target comes to the first: it grants both. What it has granted is not asked for again. */
static void test_call_wishes_add_up(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	uint32_t wish;

	uint32_t trim = ipc_call_wish(c, IPC_WISH_TRIM), answer = ipc_call_wish(c, IPC_WISH_ANSWER);
	assert_int_not_equal(trim, answer);
	assert_true(ipc_call_wished(c, &wish));
	assert_int_equal(wish, answer);
	assert_true(wish & IPC_WISH_TRIM);
	ipc_call_grant(c, wish);
	assert_true(ipc_call_granted(c, answer));
	assert_false(ipc_call_wished(c, &wish));
	answer = ipc_call_wish(c, IPC_WISH_ANSWER);
	assert_false(answer & IPC_WISH_TRIM);
	assert_false(ipc_call_granted(c, answer));
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
		cmocka_unit_test(test_call_lingers),
		cmocka_unit_test(test_call_lingers_anew),
		cmocka_unit_test(test_call_wishes_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
