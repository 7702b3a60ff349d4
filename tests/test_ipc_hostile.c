/* SPDX-License-Identifier: ISC */
/* What a target, or a host, may write into a call's shared memory: threads of this program do it while the call is read. */
#include "tests/ipc_call.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_call_name_is_cut_and_terminated(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	char name[IPC_CALL_NAME_MAX + 1];
	uint64_t in_len, cap;

	memset(c->name, 'n', sizeof(c->name));
	atomic_store(&c->state, IPC_CALL_REQUEST);
	assert_int_equal(ipc_call_wait(c, SHARED, name, &in_len, &cap), 0);
	assert_int_equal(strlen(name), IPC_CALL_NAME_MAX);
	unshare_call(c);
}

static void test_call_lengths_beyond_the_area_are_refused(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	char name[IPC_CALL_NAME_MAX + 1];
	uint64_t in_len = 77, cap = 77;
	const uint64_t bad[][2] = {{SHARED + 1, 0}, {0, SHARED + 1}, {UINT64_MAX, 0}, {0, UINT64_MAX}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		atomic_store(&c->in_len, bad[i][0]);
		atomic_store(&c->cap, bad[i][1]);
		atomic_store(&c->state, IPC_CALL_REQUEST);
		assert_int_equal(ipc_call_wait(c, SHARED, name, &in_len, &cap), -EPROTO);
		assert_int_equal(in_len, 77);
		assert_int_equal(cap, 77);
	}
	atomic_store(&c->in_len, SHARED);
	atomic_store(&c->cap, SHARED);
	assert_int_equal(ipc_call_wait(c, SHARED, name, &in_len, &cap), 0);
	unshare_call(c);
}

static atomic_bool stop;

static void *flip_lengths(void *arg)
{
	struct ipc_call *c = arg;

	while (!stop) {
		atomic_store_explicit(&c->in_len, 1, memory_order_relaxed);
		atomic_store_explicit(&c->in_len, UINT64_MAX, memory_order_relaxed);
		atomic_store_explicit(&c->cap, UINT64_MAX, memory_order_relaxed);
		atomic_store_explicit(&c->cap, 1, memory_order_relaxed);
	}
	return NULL;
}

static void test_call_fields_that_change_while_read(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	char name[IPC_CALL_NAME_MAX + 1];
	pthread_t peer;
	int fine = 0;

	stop = false;
	atomic_store(&c->state, IPC_CALL_REQUEST);
	assert_int_equal(pthread_create(&peer, NULL, flip_lengths, c), 0);
	for (int i = 0; i < 200000; i++) {
		uint64_t in_len = 0, cap = 0;
		int r = ipc_call_wait(c, SHARED, name, &in_len, &cap);

		assert_true(r == 0 || r == -EPROTO);
		assert_true(in_len <= SHARED && cap <= SHARED);
		fine += !r;
	}
	stop = true;
	pthread_join(peer, NULL);
	(void)fine;
	unshare_call(c);
}

static void test_call_state_unknown_is_refused(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	char name[IPC_CALL_NAME_MAX + 1];
	uint64_t in_len, cap;
	int64_t result = 5;
	const uint32_t states[] = {IPC_CALL_REQUEST, IPC_CALL_REPLY, IPC_CALL_DEAD + 1, UINT32_MAX};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		atomic_store(&c->state, states[i]);
		assert_int_equal(ipc_call_request(c, "f", 0, 0, never, NULL, &result), -EPROTO);
	}
	atomic_store(&c->state, IPC_CALL_DEAD + 1);
	assert_int_equal(ipc_call_wait(c, SHARED, name, &in_len, &cap), -EPROTO);
	assert_int_equal(result, 5);
	unshare_call(c);
}

struct answer {
	struct ipc_call *call;
	uint32_t state;
};

/* A target that writes what it likes once it was asked. */
static void *answer_with(void *arg)
{
	struct answer *a = arg;

	while (atomic_load(&a->call->state) != IPC_CALL_REQUEST)
		usleep(100);
	usleep(2000);
	atomic_store(&a->call->result, INT64_MIN);
	atomic_store(&a->call->state, a->state);
	return NULL;
}

static void test_call_hostile_answers(void **unused)
{
	(void)unused;
	const struct {
		uint32_t state;
		int expect;
	} rows[] = {{IPC_CALL_IDLE, -EPROTO}, {IPC_CALL_DEAD, -EPIPE}, {99, -EPROTO}, {IPC_CALL_REPLY, 0}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ipc_call *c = shared_call();
		struct answer a = {c, rows[i].state};
		pthread_t peer;
		int64_t result = 5;

		/* It never wakes us: the slice's end has to do. */
		assert_int_equal(pthread_create(&peer, NULL, answer_with, &a), 0);
		assert_int_equal(ipc_call_request(c, "f", 0, 0, never, NULL, &result), rows[i].expect);
		pthread_join(peer, NULL);
		assert_true(result == (rows[i].expect ? 5 : INT64_MIN));
		unshare_call(c);
	}
}

static void *scribble(void *arg)
{
	unsigned seed = 1;

	while (!stop) {
		struct ipc_call *c = arg;

		atomic_store(&c->spin, (uint32_t)rand_r(&seed));
		atomic_store(&c->host_waits, (uint32_t)rand_r(&seed));
		atomic_store(&c->target_waits, (uint32_t)rand_r(&seed));
		atomic_store(&c->state, (uint32_t)rand_r(&seed) % 6);
	}
	return NULL;
}

static void test_call_survives_a_scribbling_target(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	pthread_t peer;
	int64_t result;

	stop = false;
	assert_int_equal(pthread_create(&peer, NULL, scribble, c), 0);
	for (int i = 0; i < 20000; i++) {
		int r = ipc_call_request(c, "f", 0, 0, never, NULL, &result);

		assert_true(r == 0 || r == -EPROTO || r == -EPIPE);
	}
	stop = true;
	pthread_join(peer, NULL);
	unshare_call(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_name_is_cut_and_terminated),
		cmocka_unit_test(test_call_lengths_beyond_the_area_are_refused),
		cmocka_unit_test(test_call_fields_that_change_while_read),
		cmocka_unit_test(test_call_state_unknown_is_refused),
		cmocka_unit_test(test_call_hostile_answers),
		cmocka_unit_test(test_call_survives_a_scribbling_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
