/* SPDX-License-Identifier: ISC */
/* Owns calls: airlock_call() and what goes along with it, deadlines, and the functions that a target calls back. Runs in the
 * host. What a target says of a call is ipc/ring.c's business; what is here has been checked. */
#include "sandbox/ending.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define PUBLIC __attribute__((visibility("default")))
#define QUESTIONS_MAX 64 /* between two looks whether a call has been answered */
#define BACKS_MAX 64 /* between two looks at the time */
#define MS UINT64_C(1000000)

/* ---- the descriptor ---- */

/* airlock_fd() is to be readable though nobody wrote anything: the status socket, which can be written to, is watched for
 * that. From any thread. */
void call_force(struct airlock_target *t, bool on)
{
	if (atomic_load(&t->forced) == on)
		return;
	pthread_mutex_lock(&t->forcing);
	struct epoll_event e = {.events = on ? EPOLLIN | EPOLLOUT : EPOLLIN};
	if (atomic_exchange(&t->forced, on) != on && t->poll >= 0)
		epoll_ctl(t->poll, EPOLL_CTL_MOD, t->status, &e);
	pthread_mutex_unlock(&t->forcing);
}

/* ---- deadlines ---- */

static void call_kill(struct airlock_target *t, struct ipc_slot *s)
{
	if (!t->killed)
		t->late = s->why == -ETIMEDOUT;
	s->killed = airlock_kill(t) == 0;
}

/* Whoever is late or cancelled is told, and after its grace the target is killed. */
static void overdue(struct airlock_target *t)
{
	struct ipc_ring *r = &t->ring;
	uint32_t cancels = atomic_load(&r->cancels);
	if (!r->limit && cancels == r->cancels_seen)
		return;
	uint64_t now = ipc_now_ns(), first = 0;
	r->cancels_seen = cancels;
	for (struct ipc_slot *s = r->slot; s < r->slot + IPC_CALL_ENTRIES; s++) {
		if (!s->live || s->answered || s->abandoned || s->killed)
			continue;
		bool due = s->limit && now >= s->limit;
		if (!s->why && (due || s->cancels != cancels)) {
			s->why = due ? -ETIMEDOUT : -ECANCELED;
			s->limit = now + s->grace_ms * MS;
			ipc_ring_tell(r, s);
			due = !s->grace_ms;
		}
		if (due)
			call_kill(t, s);
		if (due && !s->killed)
			s->limit = now + MS; /* its broker does not listen just now */
		if (s->limit && !s->killed && (!first || s->limit < first))
			first = s->limit;
	}
	r->limit = first;
}

int call_due_ms(const struct airlock_target *t, int ms)
{
	if (!t->ring.limit)
		return ms;
	uint64_t now = ipc_now_ns();
	uint64_t left = now >= t->ring.limit ? 0 : (t->ring.limit - now + MS - 1) / MS;
	return ms < 0 || left < (uint64_t)ms ? (int)(left < 1000000 ? left : 1000000) : ms;
}

/* ---- callbacks ---- */

static int64_t back_run(struct airlock_target *t, const char *name, const void *in, size_t len, void *out, size_t cap)
{
	for (size_t i = 0; i < t->callback_count; i++) {
		const struct airlock_callback *b = &t->callbacks[i];
		if (strcmp(b->name, name) != 0)
			continue;
		t->busy = true;
		ssize_t n = b->function(b->arg, in, len, out, cap);
		t->busy = false;
		return n > (ssize_t)cap ? -EPROTO : n;
	}
	return IPC_NO_FUNCTION;
}

/* The callback that waits. The target may change its bytes whenever it likes: the function gets a copy. Once the host knows
 * that a call is over, or wants the target to end, none runs for it: what they use may be gone. */
static int back_serve(struct airlock_target *t)
{
	char name[IPC_CALL_NAME_MAX + 1];
	const struct ipc_slot *s = &t->ring.slot[t->ring.oldest % IPC_CALL_ENTRIES];
	const bool over = t->killed || t->ended || s->abandoned || s->killed;
	const void *in;
	size_t len, cap;
	int64_t result = over ? -ECANCELED : ipc_ring_back(&t->ring, name, &in, &len, &cap);
	unsigned char *copy = result < 0 ? NULL : malloc(len + cap + 1);
	if (copy) {
		memcpy(copy, in, len);
		result = back_run(t, name, copy, len, copy + len, cap);
	} else if (result == 0) {
		result = -ENOMEM;
	}
	int r = ipc_ring_back_done(&t->ring, copy ? copy + len : NULL, result);
	free(copy);
	return r;
}

/* ---- calls ---- */

static bool gone(void *arg)
{
	struct airlock_target *t = arg;
	struct pollfd p = {.fd = t->status, .events = POLLIN};
	for (int i = 0; i < QUESTIONS_MAX && !t->ended && poll(&p, 1, 0) == 1; i++)
		if (!status_take(t, true))
			break;
	return t->ended;
}

static int call_failed(struct airlock_target *t, int r)
{
	struct airlock_status s = {.size = sizeof(s), .limit = -1};
	char why[400];
	t->faulty = true;
	if (r != -EPIPE)
		return fail(r, "the call failed: %s", strerror(-r));
	/* The shared memory died first; the reason follows on the socket. */
	airlock_wait(t, &s, 2000);
	return fail(-EPIPE, "%s", airlock_explain(t, why, sizeof(why)));
}

static int call_begin(
	struct airlock_target *t, struct ipc_request *q, const struct airlock_call_options *o, struct ipc_slot **s)
{
	struct ipc_lend lends[IPC_LENDS_MAX], *kept = NULL;
	if (t->inside || !t->call || !t->serves)
		return fail(-EINVAL, "%s does not serve calls", t->inside ? "the host" : t->name);
	if (strlen(q->name) > IPC_CALL_NAME_MAX)
		return fail(-EINVAL, "no such call");
	if (t->busy)
		return target_busy(t);
	if (q->in_len > t->shared || q->cap > t->shared)
		return fail(-EMSGSIZE, "a call moves at most %zu bytes each way; see options.shared", t->shared);
	if (t->ended)
		return call_failed(t, -EPIPE);
	if (t->suspended && q->timeout_ms < 0) /* nobody could end that while it is waited for */
		return fail(-EBUSY, "the target is suspended");
	int r = t->lends || (o && o->lend_count) ? buffers_lend(t, o ? o->lends : NULL, o ? o->lend_count : 0, lends)
						 : 0;
	if (r < 0)
		return r;
	if (r > 0 && !(kept = malloc((size_t)r * sizeof(*kept)))) {
		buffers_returned(t, lends, (unsigned)r, false);
		return fail(-ENOMEM, "out of memory");
	}
	q->lends = lends;
	q->lend_count = (unsigned)r;
	if (kept)
		memcpy(kept, lends, (size_t)r * sizeof(*kept));
	r = ipc_ring_publish(&t->ring, q, s);
	q->lends = NULL;
	if (r == 0) {
		(*s)->lends = kept;
		(*s)->lend_count = q->lend_count;
		return 0;
	}
	buffers_returned(t, lends, q->lend_count, false);
	free(kept);
	if (r == -EAGAIN)
		return fail(r, "%u calls are under way, or their data fills options.shared", t->ring.live);
	return call_failed(t, r);
}

/* 0: answered. -EINPROGRESS: not until then (0: waits). Or why it never will be. */
static int call_await(struct airlock_target *t, struct ipc_slot *s, uint64_t until)
{
	for (;;) {
		int r = ipc_ring_await(&t->ring, s, until, gone, t);
		if (r == 1)
			r = back_serve(t);
		else if (r == 0)
			return 0;
		if (r < 0 && r != -ETIMEDOUT && r != -ECANCELED)
			return s->killed ? s->why : r;
		overdue(t);
		if (s->killed)
			return s->why;
		if (until && ipc_now_ns() >= until)
			return t->ended ? -EPIPE : -EINPROGRESS;
	}
}

static int call_late(struct ipc_slot *s, int why)
{
	return fail(why, "the call was %s: %s", why == -ETIMEDOUT ? "too slow" : "cancelled",
		s->killed ? "its target is killed" : "it returned in time to be spared");
}

/* r: what call_await() said. The slot is free then. */
static ssize_t call_finish(
	struct airlock_target *t, struct ipc_slot *s, int r, const char *function, void *out, size_t cap)
{
	int64_t result = s->result;
	if (s->lends)
		buffers_returned(
			t, s->lends, s->lend_count, r == 0 && result != IPC_NOT_LENT && result != IPC_NO_FUNCTION);
	free(s->lends);
	s->lends = NULL;
	ipc_ring_free(&t->ring, s);
	if (s->why && (r == 0 || r == s->why))
		return call_late(s, s->why);
	if (r < 0)
		return call_failed(t, r);
	if (result == IPC_NO_FUNCTION)
		return fail(-ENOSYS, "the program has no AIRLOCK_FUNCTION(%s)", function);
	if (result == IPC_NOT_LENT)
		return fail(-ENOMEM, "the target could not map what it was lent");
	t->faulty |= result > (int64_t)s->cap || result < INT32_MIN;
	if (result > (int64_t)s->cap || result < INT32_MIN)
		return fail(-EPROTO, "%s says that it wrote %lld bytes of %zu", function, (long long)result,
			(size_t)s->cap);
	if (result > (int64_t)cap)
		return fail(-EMSGSIZE, "%s wrote %lld bytes", function, (long long)result);
	if (result > 0)
		memcpy(out, (unsigned char *)t->call + s->out_at, (size_t)result);
	return (ssize_t)result;
}

static int options_read(struct ipc_request *q, struct airlock_call_options *o, const struct airlock_call_options *given)
{
	*o = (struct airlock_call_options)AIRLOCK_CALL_OPTIONS_INIT;
	int r = given ? options_copy(o, sizeof(*o), given, "AIRLOCK_CALL_OPTIONS_INIT") : 0;
	q->timeout_ms = o->timeout_ms;
	q->grace_ms = o->grace_ms;
	return r;
}

PUBLIC ssize_t airlock_call_with(struct airlock_target *target, const char *function, const void *in, size_t len,
	void *out, size_t cap, const struct airlock_call_options *options)
{
	struct ipc_request q = {.name = function, .in = in, .in_len = len, .cap = cap, .timeout_ms = -1};
	struct airlock_call_options o;
	struct ipc_slot *s = NULL;
	int r = options ? options_read(&q, &o, options) : 0;
	if (r == 0)
		r = call_begin(target, &q, options ? &o : NULL, &s);
	return r < 0 || !s ? r : call_finish(target, s, call_await(target, s, 0), function, out, cap);
}

PUBLIC ssize_t airlock_call(
	struct airlock_target *target, const char *function, const void *in, size_t len, void *out, size_t cap)
{
	return airlock_call_with(target, function, in, len, out, cap, NULL);
}

void call_forget(struct airlock_target *t)
{
	for (struct ipc_slot *s = t->ring.slot; s < t->ring.slot + IPC_CALL_ENTRIES; s++)
		free(s->lends);
	pthread_mutex_destroy(&t->forcing);
}

/* ---- calls that are not waited for ---- */

PUBLIC int airlock_call_begin(struct airlock_target *target, const char *function, const void *in, size_t len,
	size_t cap, const struct airlock_call_options *options)
{
	struct ipc_request q = {.name = function, .in = in, .in_len = len, .cap = cap};
	struct airlock_call_options o;
	struct ipc_slot *s = NULL;
	int r = options_read(&q, &o, options);
	if (r == 0)
		r = call_begin(target, &q, &o, &s);
	if (r < 0 || !s)
		return r;
	/* Whoever polls the descriptor before airlock_dispatch() is woken, too; if it was answered already, by ourselves. */
	ipc_ring_polls(&target->ring);
	if (ipc_ring_look(&target->ring) != 0 || target->ring.ready)
		call_force(target, true);
	return (int)s->number + 1;
}

/* For airlock_dispatch(): whether a call is answered, or never will be. Callbacks are served, deadlines kept. */
bool call_work(struct airlock_target *t)
{
	struct ipc_ring *r = &t->ring;
	int news = 0;
	overdue(t);
	for (int i = 0; i < BACKS_MAX && r->live; i++) {
		/* First asked to be told, then looked: what is answered after that, it tells. */
		ipc_ring_polls(r);
		news = ipc_ring_look(r);
		if (news != 1 || back_serve(t) < 0)
			break;
	}
	bool found = false;
	for (const struct ipc_slot *s = r->slot; s < r->slot + IPC_CALL_ENTRIES && r->live; s++)
		found |= s->live && !s->abandoned && (s->answered || s->killed || r->broken || t->ended);
	/* Nothing says so a second time. */
	call_force(t, found || news == 1);
	/* A cancel that came since overdue() found the descriptor forced, perhaps, and it is not any more. */
	if (atomic_load(&r->cancels) != r->cancels_seen)
		call_force(t, true);
	return found;
}

PUBLIC ssize_t airlock_call_end(struct airlock_target *target, int ticket, void *out, size_t cap, int timeout_ms)
{
	struct ipc_ring *ring = &target->ring;
	uint32_t number = (uint32_t)ticket - 1;
	struct ipc_slot *s = &ring->slot[number % IPC_CALL_ENTRIES];
	if (target->busy)
		return target_busy(target);
	if (ticket < 1 || !s->live || s->abandoned || s->number != number)
		return fail(-EINVAL, "no call has this ticket");
	uint64_t until = timeout_ms < 0 ? 0 : ipc_now_ns() + (uint64_t)timeout_ms * MS;
	int r = 0;
	overdue(target);
	if (timeout_ms == 0 && ipc_ring_look(ring) == 0 && !s->answered && !s->killed && !gone(target))
		r = -EINPROGRESS;
	else if (!s->answered)
		r = s->killed ? s->why : call_await(target, s, until);
	if (r == -EINPROGRESS)
		return fail(r, "the call is not answered yet");
	ssize_t n = call_finish(target, s, r, "the function", out, cap);
	if (atomic_load(&target->forced))
		call_work(target); /* perhaps there is nothing any more */
	return n;
}

PUBLIC void airlock_cancel(struct airlock_target *target)
{
	if (!target->call || target->inside)
		return;
	ipc_ring_cancel(&target->ring);
	call_force(target, true);
}
