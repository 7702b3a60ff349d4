/* SPDX-License-Identifier: ISC */
/*
 * Owns what a host does to targets that live long: asks whether they answer, stops, suspends and trims them. Runs in the
 * host; pings_take() and wishes_grant() in the target.
 *
 * A wish is a number in the shared memory, which the target copies to another word there when it comes to it: between two
 * calls, or in airlock_dispatch() and airlock_recv(), which a message without content on the channel leads it to. That a
 * target answers says that it wants to be thought alive, and no more.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define SLICE_MS 50
#define KILL_AGAIN_MS 10 /* its broker had no room for being told */
#define SUSPEND_MS 5000 /* the broker answers at once, if it gets to run */

/* ---- in the target ---- */

void wishes_grant(struct ipc_call *c)
{
	uint32_t wish;
	if (!ipc_call_wished(c, &wish))
		return;
	if (wish & IPC_WISH_TRIM)
		malloc_trim(0);
	ipc_call_grant(c, wish);
}

bool pings_take(struct airlock_target *t)
{
	char buffer[64];
	struct ipc_message m;
	while (ipc_waits(t->channel, MESSAGE_PING)) {
		if (ipc_recv(t->channel, buffer, sizeof(buffer), 0, &m, false) == 1 && t->wishes)
			wishes_grant(t->wishes);
	}
	return recv(t->channel, buffer, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* ---- in its host ---- */

uint32_t wish_send(struct airlock_target *t, uint32_t wish)
{
	uint32_t number = ipc_call_wish(t->call, wish);
	/* Full of what the target has not read yet: then it does not answer, and that is what is to be known. */
	if (!t->serves)
		ipc_send(t->channel, &(struct ipc_message){.type = MESSAGE_PING}, false);
	return number;
}

/* Whether it can be spoken to; else why not. */
static int reach(struct airlock_target *t, bool program)
{
	if (t->inside || (!program && (t->program || !t->call)))
		return fail(-EOPNOTSUPP, "%s",
			t->inside ? "this is the host, not a target" : "another program than this one does not answer");
	if (t->busy)
		return fail(-EBUSY, "the target waits for the answer to its question");
	airlock_dispatch(t, 0);
	return t->ended ? fail(-EPIPE, "the target ended") : 0;
}

PUBLIC int airlock_ping(struct airlock_target *target, int timeout_ms)
{
	int r = reach(target, false);
	if (r < 0)
		return r;
	if (target->suspended)
		return fail(-EBUSY, "the target is suspended");
	int64_t deadline = deadline_in(timeout_ms);
	uint32_t number = wish_send(target, IPC_WISH_ANSWER);
	while (!ipc_call_granted(target->call, number)) {
		int left = deadline_left(deadline);
		if (left == 0)
			return fail(-ETIMEDOUT, "the target does not answer");
		ipc_call_await_grant(target->call, number, left < 0 || left > SLICE_MS ? SLICE_MS : left);
		if (!ipc_call_granted(target->call, number))
			airlock_dispatch(target, 0);
		if (target->ended)
			return fail(-EPIPE, "the target ended");
	}
	return 0;
}

int stop_ask(struct airlock_target *t)
{
	if (t->suspended)
		airlock_resume(t);
	if (t->stopping)
		return 0;
	t->stopping = true;
	if (t->program)
		return ipc_send(t->status, &(struct ipc_message){.type = MESSAGE_TERM}, false);
	if (t->serves)
		ipc_call_stop(t->call);
	else if (t->channel >= 0)
		shutdown(t->channel, SHUT_WR);
	return 0;
}

PUBLIC int airlock_stop(struct airlock_target *target, int grace_ms, struct airlock_status *status)
{
	if (status && status->size < sizeof(size_t))
		return fail(-EINVAL, "a size is wrong: use AIRLOCK_STATUS_INIT");
	int r = reach(target, true);
	if (r == -EPIPE)
		return airlock_wait(target, status, 0);
	if (r < 0)
		return r;
	stop_ask(target);
	r = grace_ms == 0 ? -ETIMEDOUT : airlock_wait(target, status, grace_ms);
	while (r == -ETIMEDOUT)
		r = airlock_wait(target, status, airlock_kill(target) < 0 ? KILL_AGAIN_MS : -1);
	return r;
}

/* It may be the answer to what nobody waits for any more: then it says how the target stands, and another one comes. */
void suspended_take(struct airlock_target *t, const struct ipc_message *m)
{
	struct outcome o;
	memcpy(&o, m->data, sizeof(o));
	o.text[sizeof(o.text) - 1] = 0;
	t->suspended = o.suspended != 0;
	if (!t->suspending || (o.error == 0 && t->suspended != t->suspend))
		return;
	t->suspending = false;
	t->suspend_error = o.error < 0 ? fail(o.error, "%s", o.text) : 0;
}

static int suspend(struct airlock_target *t, uint32_t on)
{
	int r = reach(t, true);
	if (r < 0)
		return r;
	t->suspending = true;
	t->suspend = on;
	t->suspend_error = 0;
	struct ipc_message m = {.type = MESSAGE_SUSPEND, .len = sizeof(on), .data = &on};
	r = ipc_send(t->status, &m, true);
	if (r < 0)
		return fail(r, "the broker is gone: %s", strerror(-r));
	int64_t deadline = deadline_in(SUSPEND_MS);
	while (t->suspending && !t->ended) {
		int left = deadline_left(deadline);
		if (left == 0) {
			t->suspending = false;
			return fail(-ETIMEDOUT, "the broker does not answer");
		}
		poll(&(struct pollfd){.fd = t->status, .events = POLLIN}, 1, left);
		airlock_dispatch(t, 0);
	}
	if (t->suspend_error < 0)
		return t->suspend_error;
	return t->ended ? fail(-EPIPE, "the target ended") : 0;
}

PUBLIC int airlock_suspend(struct airlock_target *target)
{
	return suspend(target, 1);
}

PUBLIC int airlock_resume(struct airlock_target *target)
{
	return suspend(target, 0);
}

PUBLIC int airlock_trim(struct airlock_target *target)
{
	int r = reach(target, true);
	if (r < 0)
		return r;
	ipc_send(target->status, &(struct ipc_message){.type = MESSAGE_TRIM}, false);
	if (!target->call)
		return 0;
	/* Of shared memory: what the calls that are under way need stays. */
	if (!target->ring.live && madvise((unsigned char *)target->call + ipc_call_in_offset(),
					  ipc_call_total(target->shared) - ipc_call_in_offset(), MADV_REMOVE) < 0)
		return fail(-errno, "the memory of calls cannot be given back: %s", strerror(errno));
	if (!target->program)
		wish_send(target, IPC_WISH_TRIM);
	return 0;
}
