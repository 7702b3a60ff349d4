/* SPDX-License-Identifier: ISC */
/* What a target may write into a call's shared memory: threads of this program do it while the host reads there. */
#include "tests/ipc_call.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE(number, stage) ((uint32_t)(number) << 2 | (uint32_t)(stage))

/* What a sound target would have found, with one thing changed. */
static void test_call_name_is_cut_and_terminated(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct ipc_serving v = target_of(c);
	struct ipc_work w;

	memset(c->entry[0].name, 'n', sizeof(c->entry[0].name));
	atomic_store(&c->entry[0].state, STATE(0, IPC_CALL_ASKED));
	assert_int_equal(ipc_call_wait(&v, &w), 0);
	assert_int_equal(strlen(w.name), IPC_CALL_NAME_MAX);
	unshare_call(c);
}

static void test_call_ranges_beyond_the_memory_are_refused(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct ipc_entry *e = &c->entry[0];
	const uint64_t total = ipc_call_total(SHARED);
	const struct {
		uint64_t in_at, in_len, out_at, cap;
		int expect;
	} rows[] = {{0, total, 0, total, 0}, {total, 0, total, 0, 0}, {1, total, 0, 0, -EPROTO},
		{0, 0, 1, total, -EPROTO}, {total + 1, 0, 0, 0, -EPROTO}, {UINT64_MAX, 2, 0, 0, -EPROTO},
		{2, UINT64_MAX, 0, 0, -EPROTO}, {0, 0, UINT64_MAX, 2, -EPROTO}, {0, 0, 2, UINT64_MAX, -EPROTO}};

	atomic_store(&e->state, STATE(0, IPC_CALL_ASKED));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ipc_serving v = target_of(c);
		struct ipc_work w;
		atomic_store(&e->in_at, rows[i].in_at);
		atomic_store(&e->in_len, rows[i].in_len);
		atomic_store(&e->out_at, rows[i].out_at);
		atomic_store(&e->cap, rows[i].cap);
		assert_int_equal(ipc_call_wait(&v, &w), rows[i].expect);
	}
	unshare_call(c);
}

/* Of a call that was just published, and that nobody serves but this. */
static void test_call_states_that_no_target_writes(void **unused)
{
	(void)unused;
	const uint32_t states[] = {0, STATE(1, IPC_CALL_ASKED), STATE(1, IPC_CALL_ANSWERED),
		STATE(3, IPC_CALL_ANSWERED), STATE(34, IPC_CALL_ANSWERED), STATE(2, IPC_CALL_ANSWERED) | 1u << 31,
		UINT32_MAX};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		struct ipc_call *c = shared_call();
		struct ipc_ring r = host_of(c);
		struct ipc_slot *s;
		int64_t result = 5;

		r.next = r.oldest = 2;
		assert_int_equal(publish(&r, "f", NULL, 0, 0, &s), 0);
		assert_int_equal(ipc_ring_look(&r), 0);
		atomic_store(&c->entry[2].state, states[i]);
		assert_int_equal(ipc_ring_look(&r), -EPROTO);
		/* It is too late to behave. */
		atomic_store(&c->entry[2].state, STATE(2, IPC_CALL_ANSWERED));
		assert_int_equal(ipc_ring_await(&r, s, 0, never, NULL), -EPROTO);
		assert_false(s->answered);
		assert_int_equal(request(&r, "f", NULL, 0, 0, never, NULL, &result, NULL), -EPROTO);
		assert_int_equal(result, 5);
		unshare_call(c);
	}
}

static void test_call_answered_before_it_was_asked(void **unused)
{
	(void)unused;
	const uint32_t states[] = {STATE(0, IPC_CALL_ASKED), STATE(0, IPC_CALL_BACK), STATE(32, IPC_CALL_ANSWERED), 77};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		struct ipc_call *c = shared_call();
		struct ipc_ring r = host_of(c);
		struct ipc_slot *s;

		atomic_store(&c->entry[0].state, states[i]);
		assert_int_equal(publish(&r, "f", NULL, 0, 0, &s), -EPROTO);
		assert_int_equal(r.live, 0);
		assert_int_equal(publish(&r, "f", NULL, 0, 0, &s), -EPROTO);
		unshare_call(c);
	}
}

static void test_call_answers_out_of_order(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct ipc_ring r = host_of(c);
	struct ipc_slot *s[3];

	for (int i = 0; i < 3; i++)
		assert_int_equal(publish(&r, "f", NULL, 0, 0, &s[i]), 0);
	atomic_store(&c->entry[0].result, 11);
	atomic_store(&c->entry[0].state, STATE(0, IPC_CALL_ANSWERED));
	assert_int_equal(ipc_ring_look(&r), 0);
	assert_true(s[0]->answered && s[0]->result == 11 && r.ready == 1);
	/* A second answer to what has been answered is not looked at. */
	atomic_store(&c->entry[0].result, 12);
	assert_int_equal(ipc_ring_look(&r), 0);
	assert_int_equal(s[0]->result, 11);
	/* Before the one that is its turn. */
	atomic_store(&c->entry[2].state, STATE(2, IPC_CALL_ANSWERED));
	assert_int_equal(ipc_ring_look(&r), -EPROTO);
	assert_false(s[1]->answered || s[2]->answered);
	unshare_call(c);
}

/* A callback of a call that is not its turn is no callback. */
static void test_call_backs_that_nobody_asked(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct ipc_ring r = host_of(c);
	struct ipc_slot *s[2];
	char name[IPC_CALL_NAME_MAX + 1];
	const void *in;
	size_t len, cap;

	assert_int_equal(publish(&r, "f", NULL, 0, 0, &s[0]), 0);
	assert_int_equal(publish(&r, "f", NULL, 0, 0, &s[1]), 0);
	memset(c->back_name, 'x', sizeof(c->back_name));
	atomic_store(&c->back_len, IPC_BACK_MAX);
	atomic_store(&c->back_cap, IPC_BACK_MAX);
	atomic_store(&c->entry[0].state, STATE(0, IPC_CALL_BACK));
	assert_int_equal(ipc_ring_look(&r), 1);
	assert_int_equal(ipc_ring_back(&r, name, &in, &len, &cap), 0);
	assert_true(strlen(name) == IPC_CALL_NAME_MAX && len == IPC_BACK_MAX && cap == IPC_BACK_MAX);
	assert_in_range((uintptr_t)in, (uintptr_t)c, (uintptr_t)c + ipc_call_in_offset() - 2 * IPC_BACK_MAX);
	atomic_store(&c->back_len, IPC_BACK_MAX + 1);
	assert_int_equal(ipc_ring_back(&r, name, &in, &len, &cap), -EMSGSIZE);
	atomic_store(&c->back_len, 0);
	atomic_store(&c->back_cap, UINT64_MAX);
	assert_int_equal(ipc_ring_back(&r, name, &in, &len, &cap), -EMSGSIZE);
	assert_int_equal(ipc_ring_back_done(&r, NULL, -1), 0);
	assert_int_equal(ipc_ring_look(&r), 0);
	/* The target went on before the host had answered. */
	atomic_store(&c->entry[0].state, STATE(0, IPC_CALL_BACK));
	assert_int_equal(ipc_ring_look(&r), 1);
	atomic_store(&c->entry[0].state, STATE(0, IPC_CALL_ASKED));
	assert_int_equal(ipc_ring_back_done(&r, NULL, -1), -EPROTO);
	unshare_call(c);

	c = shared_call();
	r = host_of(c);
	assert_int_equal(publish(&r, "f", NULL, 0, 0, &s[0]), 0);
	assert_int_equal(publish(&r, "f", NULL, 0, 0, &s[1]), 0);
	atomic_store(&c->entry[1].state, STATE(1, IPC_CALL_BACK));
	assert_int_equal(ipc_ring_look(&r), -EPROTO);
	unshare_call(c);
}

/* Room for data is the host's own business: whatever the entries say, no two calls share it. */
static void test_call_areas_do_not_overlap(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct ipc_ring r = host_of(c);
	struct ipc_slot *s[IPC_CALL_ENTRIES];
	static char data[SHARED];
	unsigned n = 0, state = 1;

	for (int round = 0; round < 2000; round++) {
		size_t len = 129 + (state = state * 1103515245u + 12345) / 65536 % 6000;
		int e = publish(&r, "f", data, len, len / 2 + 129, &s[n]);
		assert_true(e == 0 || e == -EAGAIN);
		if (e == 0) {
			/* The target answers, and says what it likes of where things are. */
			struct ipc_entry *entry = &c->entry[s[n]->number % IPC_CALL_ENTRIES];
			atomic_store(&entry->in_at, UINT64_MAX);
			atomic_store(&entry->out_at, UINT64_MAX);
			atomic_store(&entry->cap, UINT64_MAX);
			atomic_store(&entry->state, STATE(s[n]->number, IPC_CALL_ANSWERED));
			n++;
		}
		assert_int_equal(ipc_ring_look(&r), 0);
		for (unsigned i = 0; i < n; i++)
			for (unsigned k = 0; k < i; k++)
				for (int d = 0; d < 2; d++)
					assert_true(s[i]->at[d] >= s[k]->at[d] + s[k]->len[d] ||
						    s[k]->at[d] >= s[i]->at[d] + s[i]->len[d]);
		for (unsigned i = 0; i < n; i++)
			for (int d = 0; d < 2; d++)
				assert_true(s[i]->at[d] + s[i]->len[d] <= SHARED);
		/* Collected in any order. */
		if (e == -EAGAIN || n == IPC_CALL_ENTRIES) {
			unsigned which = state / 131072 % n;
			ipc_ring_free(&r, s[which]);
			s[which] = s[--n];
		}
	}
	unshare_call(c);
}

static atomic_bool stop;

struct answer {
	struct ipc_call *call;
	uint32_t state;
	bool dead;
};

/* A target that writes what it likes once it was asked. */
static void *answer_with(void *arg)
{
	struct answer *a = arg;
	struct ipc_entry *e = &a->call->entry[0];

	while (atomic_load(&e->state) != STATE(0, IPC_CALL_ASKED))
		usleep(100);
	usleep(2000);
	atomic_store(&e->result, INT64_MIN);
	atomic_store(&a->call->dead, a->dead);
	atomic_store(&e->state, a->state);
	return NULL;
}

static void test_call_hostile_answers(void **unused)
{
	(void)unused;
	const struct {
		uint32_t state;
		bool dead;
		int expect;
	} rows[] = {{STATE(0, IPC_CALL_ASKED), true, -EPIPE}, {STATE(0, IPC_CALL_BACK_DONE), true, -EPIPE},
		{99, false, -EPROTO}, {STATE(0, IPC_CALL_ANSWERED), false, 0}, {STATE(0, IPC_CALL_ANSWERED), true, 0}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ipc_call *c = shared_call();
		struct ipc_ring r = host_of(c);
		struct answer a = {c, rows[i].state, rows[i].dead};
		pthread_t peer;
		int64_t result = 5;

		/* It never wakes us: the slice's end has to do. */
		assert_int_equal(pthread_create(&peer, NULL, answer_with, &a), 0);
		int e = request(&r, "f", NULL, 0, 0, never, NULL, &result, NULL);
		pthread_join(peer, NULL);
		assert_int_equal(e, rows[i].expect);
		assert_true(result == (e ? 5 : INT64_MIN));
		unshare_call(c);
	}
}

/* A state that never stays the same does not outlast the deadline. */
static void *flicker(void *arg)
{
	struct ipc_entry *e = arg;

	while (!stop) {
		atomic_store(&e->state, STATE(0, IPC_CALL_BACK_DONE));
		atomic_store(&e->state, STATE(0, IPC_CALL_ASKED));
	}
	return NULL;
}

static void test_call_deadline_of_a_state_that_changes(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	struct ipc_ring r = host_of(c);
	struct ipc_slot *s;
	pthread_t peer;

	stop = false;
	assert_int_equal(publish(&r, "f", NULL, 0, 0, &s), 0);
	assert_int_equal(pthread_create(&peer, NULL, flicker, &c->entry[0]), 0);
	uint64_t from = ipc_now_ns();
	assert_int_equal(ipc_ring_await(&r, s, from + 50000000, never, NULL), -ETIMEDOUT);
	assert_in_range(ipc_now_ns() - from, 50000000, 20000000000);
	ipc_ring_cancel(&r);
	assert_int_equal(ipc_ring_await(&r, s, 0, never, NULL), -ECANCELED);
	stop = true;
	pthread_join(peer, NULL);
	unshare_call(c);
}

static void *scribble(void *arg)
{
	unsigned seed = 1;
	struct ipc_call *c = arg;

	while (!stop) {
		struct ipc_entry *e = &c->entry[rand_r(&seed) % IPC_CALL_ENTRIES];
		atomic_store(&c->spin, (uint32_t)rand_r(&seed));
		atomic_store(&c->host_waits, (uint32_t)rand_r(&seed));
		atomic_store(&c->target_waits, (uint32_t)rand_r(&seed));
		atomic_store(&c->target_cpu, (uint32_t)rand_r(&seed) % 3);
		atomic_store(&c->host_bell, (uint32_t)rand_r(&seed));
		atomic_store(&e->in_at, (uint64_t)rand_r(&seed) << 40);
		atomic_store(&e->result, (int64_t)((uint64_t)rand_r(&seed) << 40));
		/* The right answer at times, so that calls end that way, too. */
		atomic_store(&e->state,
			rand_r(&seed) % 64 ? atomic_load(&e->state) & ~UINT32_C(3) : (uint32_t)rand_r(&seed));
	}
	return NULL;
}

static void test_call_survives_a_scribbling_target(void **unused)
{
	(void)unused;
	struct ipc_call *c = shared_call();
	char name[IPC_CALL_NAME_MAX + 1];
	pthread_t peer;
	unsigned ends[2] = {0, 0};

	stop = false;
	assert_int_equal(pthread_create(&peer, NULL, scribble, c), 0);
	for (int i = 0; i < 4000; i++) {
		struct ipc_ring r = host_of(c);
		struct ipc_slot *s;
		const void *in;
		size_t len, cap;
		for (int k = 0; k < IPC_CALL_ENTRIES; k++)
			r.expected[k] = atomic_load(&c->entry[k].state);
		int e = publish(&r, "f", &i, sizeof(i), 200, &s);
		while (e == 0 && (e = ipc_ring_await(&r, s, ipc_now_ns() + 20000000, never, NULL)) == 1) {
			assert_true(ipc_ring_back(&r, name, &in, &len, &cap) == 0 || len > IPC_BACK_MAX ||
				    cap > IPC_BACK_MAX);
			e = ipc_ring_back_done(&r, NULL, -1);
		}
		assert_true(e == 0 || e == -EPROTO || e == -EPIPE || e == -ETIMEDOUT);
		ends[e != 0]++;
	}
	stop = true;
	pthread_join(peer, NULL);
	assert_true(ends[0] > 0); /* else nothing was tried */
	unshare_call(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_name_is_cut_and_terminated),
		cmocka_unit_test(test_call_ranges_beyond_the_memory_are_refused),
		cmocka_unit_test(test_call_states_that_no_target_writes),
		cmocka_unit_test(test_call_answered_before_it_was_asked),
		cmocka_unit_test(test_call_answers_out_of_order),
		cmocka_unit_test(test_call_backs_that_nobody_asked),
		cmocka_unit_test(test_call_areas_do_not_overlap),
		cmocka_unit_test(test_call_hostile_answers),
		cmocka_unit_test(test_call_deadline_of_a_state_that_changes),
		cmocka_unit_test(test_call_survives_a_scribbling_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
