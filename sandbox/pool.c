/* SPDX-License-Identifier: ISC */
/* Owns the calls of a pool: each on a target of its own, and each returns once. Runs in the host, in any of its threads. */
#include "sandbox/pool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))
#define END_MS 5000
#define CALL_TRIES 3 /* of a call, with targets that had ended before they could take it */

static void count(struct airlock_pool_stats *stats, enum airlock_end end)
{
	uint64_t *const counters[] = {[AIRLOCK_CRASHED] = &stats->crashed,
		[AIRLOCK_VIOLATED] = &stats->violated,
		[AIRLOCK_TIMED_OUT] = &stats->timed_out,
		[AIRLOCK_LOST] = &stats->lost,
		[AIRLOCK_KILLED] = &stats->lost};
	if (end < sizeof(counters) / sizeof(counters[0]) && counters[end])
		(*counters[end])++;
}

static void status_give(struct airlock_status *to, const struct airlock_status *from)
{
	if (!to)
		return;
	size_t size = to->size < sizeof(*from) ? to->size : sizeof(*from);
	memcpy(to, from, size);
	to->size = size;
}

/* Whether the target ended without having seen a call that was made at `made`: then another one can have it. Not by what the
 * call itself can bring about, or a job that takes its target over would be run again, callbacks and all. So: there was no
 * start or no fork; init saw its end before; or the ground under it is gone, its broker or its init, which no target can
 * reach: only then the word of the shared memory counts that says whether it ever took one. */
static bool unseen(const struct airlock_target *t, uint64_t made)
{
	if (!t->ended || t->killed)
		return false;
	if (t->failed || (!t->lost && t->end.seen))
		return t->failed || t->end.end.at <= made;
	return (t->lost || t->end.why == ENDED_BY_ITSELF) && !atomic_load(&t->call->target_cpu);
}

/* One try, on a target that is there or is being started. Whether it could not take the call. */
static bool try_call(struct slot *s, const char *function, const void *in, size_t len, void *out, size_t cap,
	const struct airlock_call_options *options, ssize_t *result)
{
	const uint64_t made = ipc_now_ns();
	*result = airlock_call_with(s->target, function, in, len, out, cap, options);
	return *result == -EPIPE && unseen(s->target, made);
}

/* What is left of the caller's time, and no more than the pool gives each call, however often it is tried. Whether it is the
 * pool's. */
static bool time_left(int64_t deadline, int64_t wall, int *timeout_ms)
{
	const bool ours = wall >= 0 && (deadline < 0 || wall < deadline);
	*timeout_ms = deadline_left(ours ? wall : deadline);
	return ours;
}

/* What became of the target; r: there was none. The message is the call's. */
static ssize_t call_end(
	struct airlock_pool *pool, struct slot *s, int r, ssize_t result, bool walled, struct airlock_status *status)
{
	struct airlock_status ended = {.size = sizeof(ended), .limit = -1};
	ended.end = r == -ETIMEDOUT ? AIRLOCK_TIMED_OUT : AIRLOCK_LOST;
	if (r == 0) {
		char text[400] = "";
		if (result < 0)
			snprintf(text, sizeof(text), "%s", airlock_message());
		/* One that was too late has been told to end. */
		airlock_wait(s->target, &ended, s->target->killed ? END_MS : 0);
		if (walled && result == -ETIMEDOUT && ended.end == AIRLOCK_TIMED_OUT) {
			ended.limit = AIRLOCK_LIMIT_WALL;
			ended.limit_value = (uint64_t)pool->o.wall_ms;
		}
		if (result < 0)
			fail(0, "%s", text);
		s->calls++;
		s->ending = ended.end != AIRLOCK_RUNNING || s->target->faulty || s->target->ring.broken ||
			    s->calls >= pool->o.reuse;
		if (s->ending)
			slot_end(s);
	}
	pthread_mutex_lock(&pool->lock);
	pool->stats.calls++;
	pool->stats.busy--;
	count(&pool->stats, ended.end);
	slot_give(pool, s);
	pthread_mutex_unlock(&pool->lock);
	status_give(status, &ended);
	return r < 0 ? r : result;
}

PUBLIC ssize_t airlock_pool_call_with(struct airlock_pool *pool, const char *function, const void *in, size_t len,
	void *out, size_t cap, const struct airlock_call_options *options, struct airlock_status *status)
{
	struct airlock_call_options o = AIRLOCK_CALL_OPTIONS_INIT;
	struct airlock_status ended = {.size = sizeof(ended), .limit = -1};
	struct slot *s;
	ssize_t result = 0;
	int r = options ? options_copy(&o, sizeof(o), options, "AIRLOCK_CALL_OPTIONS_INIT") : 0;
	if (r < 0)
		return r;
	if (status && status->size < sizeof(size_t))
		return fail(-EINVAL, "a size is wrong: use AIRLOCK_STATUS_INIT");
	bool walled = false;
	int64_t wall = -1;
	const int64_t deadline = o.timeout_ms < 0 ? -1 : ipc_now_ms() + o.timeout_ms;
	r = slot_take(pool, &s, deadline);
	if (r < 0) {
		ended.end = AIRLOCK_TIMED_OUT;
		status_give(status, &ended);
		return r;
	}
	for (int try = 0;; try++) {
		r = slot_ready(pool, s, deadline);
		if (r < 0)
			break;
		if (try == 0) {
			pool_refill(pool);
			wall = pool->o.wall_ms < 0 ? -1 : ipc_now_ms() + pool->o.wall_ms;
		}
		walled = time_left(deadline, wall, &o.timeout_ms);
		slot_linger(pool, s);
		if (!try_call(s, function, in, len, out, cap, &o, &result) || try + 1 == CALL_TRIES)
			break;
	}
	return call_end(pool, s, r, result, walled, status);
}

PUBLIC ssize_t airlock_pool_call(struct airlock_pool *pool, const char *function, const void *in, size_t len, void *out,
	size_t cap, struct airlock_status *status)
{
	return airlock_pool_call_with(pool, function, in, len, out, cap, NULL, status);
}
