/* SPDX-License-Identifier: ISC */
/*
 * Targets that write into the shared memory of calls what no target writes. Each attempt states what the host may make of
 * it; above all it goes on, and reads and writes nothing but that memory, its own copies and the caller's buffers.
 */
#include "tests/calls.h"

#include "ipc/ipc.h"
#include "tests/tap.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE(number, stage) ((uint32_t)(number) << 2 | (uint32_t)(stage))
#define GUARD 64

/* ---- in targets ---- */

/* The memory, found by where the bytes of the first call are. */
static struct ipc_call *memory(const void *in)
{
	return (struct ipc_call *)(uintptr_t)((const char *)in - offsetof(struct ipc_call, entry) -
					      offsetof(struct ipc_entry, in));
}

static ssize_t attack(const void *in, size_t len, void *out, size_t cap)
{
	(void)out, (void)cap;
	struct ipc_call *c = memory(in);
	struct ipc_entry *e = &c->entry[0];
	const char *how = in;
	char word[32] = "";
	memcpy(word, how, len < 31 ? len : 31);
	if (strcmp(word, "long result") == 0)
		return (ssize_t)1 << 40;
	if (strcmp(word, "one byte more") == 0)
		return (ssize_t)cap + 1;
	if (strcmp(word, "every field") == 0)
		memset(c, 0x41, sizeof(*c));
	if (strcmp(word, "every bit") == 0)
		memset(c, 0xff, sizeof(*c));
	if (strcmp(word, "zeroes") == 0)
		memset(c, 0, sizeof(*c));
	if (strcmp(word, "offsets") == 0) {
		e->in_at = e->out_at = UINT64_MAX - 8;
		e->cap = e->in_len = UINT64_MAX;
		return 4;
	}
	if (strcmp(word, "state") == 0)
		e->state = 77;
	if (strcmp(word, "backwards") == 0)
		e->state = STATE(0x3fffffe0, IPC_CALL_ANSWERED);
	if (strcmp(word, "others") == 0)
		for (int i = 1; i < IPC_CALL_ENTRIES; i++)
			c->entry[i].state = STATE(i, IPC_CALL_ANSWERED);
	if (strcmp(word, "next answered") == 0)
		c->entry[0].state = STATE(IPC_CALL_ENTRIES, IPC_CALL_ANSWERED);
	if (strcmp(word, "dead") == 0)
		c->dead = 1;
	if (strcmp(word, "long callback") == 0) {
		c->back_len = UINT64_MAX;
		c->back_cap = UINT64_MAX;
		memset(c->back_name, 'x', sizeof(c->back_name));
		e->state = STATE(0, IPC_CALL_BACK);
	}
	if (strcmp(word, "die in it") == 0)
		_exit(3);
	if (strcmp(word, "flood") == 0)
		for (;;)
			airlock_call_host("mirror", "abc", 3, word, 3);
	if (strcmp(word, "flicker") == 0)
		for (;;) {
			e->state = STATE(0, IPC_CALL_BACK_DONE);
			e->state = STATE(0, IPC_CALL_ASKED);
		}
	/* All that is left is to wait for the end. */
	if (strcmp(word, "double") == 0) {
		e->result = 2;
		e->state = STATE(0, IPC_CALL_ANSWERED);
		usleep(200000);
		return 3;
	}
	for (;;)
		sleep(1);
}
AIRLOCK_FUNCTION(attack)

static void *change(void *arg)
{
	struct ipc_call *c = arg;
	for (uint64_t i = 0;; i++) {
		c->back_len = i % 2 ? 16 : UINT64_MAX;
		c->back_cap = i % 3 ? 16 : UINT64_MAX;
		c->entry[0].result = (int64_t)(i % 2 ? 16 : i << 32);
		c->back_result = (int64_t)i << 32;
	}
	return NULL;
}

/* Another thread changes what the host checks, all the while. */
static ssize_t changes(const void *in, size_t len, void *out, size_t cap)
{
	(void)len, (void)cap;
	static pthread_t thread;
	static struct ipc_call *c;
	if (!c) {
		c = memory(in);
		pthread_create(&thread, NULL, change, c);
	}
	for (int i = 0; i < 20; i++)
		airlock_call_host("mirror", "abc", 3, out, 3);
	return 16;
}
AIRLOCK_FUNCTION(changes)

/* ---- in the host ---- */

struct guarded {
	unsigned char before[GUARD], out[GUARD], after[GUARD];
};

static bool guards_stand(const struct guarded *g)
{
	for (size_t i = 0; i < GUARD; i++)
		if (g->before[i] != 0xa5 || g->after[i] != 0xa5)
			return false;
	return true;
}

static void attempt(const struct airlock_policy *p, const char *how, ssize_t expect, ssize_t next)
{
	struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
	struct airlock_target *t = calls_start(p);
	struct guarded g;
	memset(&g, 0xa5, sizeof(g));
	o.timeout_ms = expect == -ETIMEDOUT ? 300 : 20000;
	ssize_t r = airlock_call_with(t, "attack", how, strlen(how), g.out, GUARD, &o);
	o.timeout_ms = next == -ETIMEDOUT || next == 0 ? 300 : 20000; /* however long its end takes */
	ssize_t again = airlock_call_with(t, "echo", "abc", 3, g.out, GUARD, &o);
	bool fine = r == expect && (again == next || next == 0) && guards_stand(&g);
	check(fine, how, "%zd, then %zd: %s", r, again, airlock_message());
	airlock_free(t);
}

static void attempts(const struct airlock_policy *p)
{
	const struct {
		const char *how;
		ssize_t expect;
		ssize_t next; /* of a call after that; 0: whatever it is */
	} rows[] = {{"long result", -EPROTO, 3}, {"one byte more", -EPROTO, 3}, {"offsets", 4, 3},
		{"every field", -EPROTO, -EPROTO}, {"every bit", -EPROTO, -EPROTO}, {"zeroes", 0, -ETIMEDOUT},
		{"state", -EPROTO, -EPROTO}, {"backwards", -EPROTO, -EPROTO}, {"others", -ETIMEDOUT, 0},
		{"next answered", -EPROTO, -EPROTO}, {"dead", -EPIPE, 0}, {"long callback", -ETIMEDOUT, -EPIPE},
		{"die in it", -EPIPE, -EPIPE}, {"flood", -ETIMEDOUT, -EPIPE}, {"flicker", -ETIMEDOUT, -EPIPE},
		{"double", 2, 0}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		attempt(p, rows[i].how, rows[i].expect, rows[i].next);
}

/* By airlock_dispatch(), which has other things to do as well. */
static void flood_in_dispatch(const struct airlock_policy *p)
{
	struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
	struct airlock_target *t = calls_start(p);
	o.timeout_ms = 300;
	int r = 0, ticket = airlock_call_begin(t, "attack", "flood", 5, 0, &o);
	check(airlock_dispatch(t, 0) == 0, "a flood of callbacks lets airlock_dispatch() return", "it does not");
	while ((r = airlock_dispatch(t, 20000)) == 0)
		;
	check(r == 3 && airlock_call_end(t, ticket, NULL, 0, 0) == -ETIMEDOUT, "and its deadline ends it", "%d, %s", r,
		airlock_message());
	airlock_free(t);
}

static void changing(const struct airlock_policy *p)
{
	struct airlock_target *t = calls_start(p);
	struct guarded g;
	unsigned fine = 0, other = 0;
	bool stands = true;
	memset(&g, 0xa5, sizeof(g));
	for (int i = 0; i < 100; i++) {
		ssize_t r = airlock_call(t, "changes", "x", 1, g.out, GUARD);
		fine += r >= 0 && r <= GUARD;
		other += r == -EPROTO;
		stands &= guards_stand(&g);
	}
	check(fine + other == 100 && stands, "fields that change while they are checked",
		"%u, %u of 100, guards %d: %s", fine, other, stands, airlock_message());
	airlock_free(t);
}

void calls_hostile(const struct airlock_policy *p)
{
	attempts(p);
	flood_in_dispatch(p);
	changing(p);
}
