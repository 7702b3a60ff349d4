/* SPDX-License-Identifier: ISC */
/*
 * Owns the targets of a pool: where they come from, who gets which, their end. Runs in the host, in whatever thread makes
 * a call: there is none of its own. What takes time is asked for and not waited for: forks are made by the zygote, fresh
 * images by the broker, and the dying die, while the host does something else; whoever comes next looks after them.
 */
#include "sandbox/pool.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define START_TRIES 4 /* to start a target */

/* ---- zygotes ---- */

/* Under the lock. What is left to be freed, outside of it: that may take time. */
static struct source *source_leave(struct source *s)
{
	return s && --s->users == 0 && s->retired ? s : NULL;
}

static struct source *source_retire(struct airlock_pool *p)
{
	struct source *s = p->source;
	p->source = NULL;
	s->retired = true;
	s->users++;
	return source_leave(s);
}

static void source_free(struct source *s)
{
	if (!s)
		return;
	airlock_free(s->zygote);
	free(s);
}

static int cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline)
{
	const struct timespec t = {(time_t)(deadline / 1000), (long)(deadline % 1000) * 1000000};
	return deadline < 0 ? pthread_cond_wait(cond, lock) : pthread_cond_timedwait(cond, lock, &t);
}

static int source_make(struct airlock_pool *p, struct source **out)
{
	struct source *s = calloc(1, sizeof(*s));
	if (!s)
		return fail(-ENOMEM, "out of memory");
	s->users = 1; /* the caller */
	int r = zygote_start(&s->zygote, p->policy, p->o.prepare, &p->o.target);
	if (r < 0)
		free(s);
	else
		*out = s;
	return r;
}

/* Under the lock, but for what takes time. Makes the zygote, or waits for one that is there, until it is ready. One that is
 * not by the deadline is left to whoever comes next. */
static int source_renew(struct airlock_pool *p, int64_t deadline)
{
	struct source *s = p->source, *gone;
	int r = 0;
	p->renewing = true;
	if (s)
		s->users++;
	pthread_mutex_unlock(&p->lock);
	if (!s)
		r = source_make(p, &s);
	if (s)
		r = worker_await(s->zygote, deadline);
	pthread_mutex_lock(&p->lock);
	p->renewing = false;
	if (!s || (r < 0 && r != -ETIMEDOUT)) {
		p->failures++;
		p->error = r;
		snprintf(p->text, sizeof(p->text), "%s", airlock_message());
		if (s)
			s->retired = true;
		p->source = NULL;
	} else {
		s->ready = r == 0;
		if (!s->retired)
			p->source = s;
	}
	pthread_cond_broadcast(&p->renewed);
	if ((gone = source_leave(s))) {
		pthread_mutex_unlock(&p->lock);
		source_free(gone);
		pthread_mutex_lock(&p->lock);
	}
	return r;
}

/* The pool's zygote, kept for the caller until source_leave(). One thread makes it, and what it meets is everybody's. */
static int source_get(struct airlock_pool *p, struct source **out, int64_t deadline)
{
	struct source *old = NULL;
	int r = 0;
	pthread_mutex_lock(&p->lock);
	const uint64_t failures = p->failures;
	if (p->source && p->source->ready && target_ended(p->source->zygote))
		old = source_retire(p);
	while (r == 0 && !(p->source && p->source->ready)) {
		if (failures != p->failures)
			r = fail(p->error, "%s", p->text);
		else if (!p->renewing)
			r = source_renew(p, deadline);
		else if (cond_wait(&p->renewed, &p->lock, deadline) == ETIMEDOUT)
			r = fail(-ETIMEDOUT, "the zygote has not started by the deadline");
	}
	if (r == 0) {
		p->source->users++;
		*out = p->source;
	}
	pthread_mutex_unlock(&p->lock);
	source_free(old);
	return r;
}

/* ---- filling and ending ---- */

static int slot_fork(struct airlock_pool *p, struct slot *s, int64_t deadline)
{
	struct source *gone;
	int r = source_get(p, &s->source, deadline);
	if (r < 0 || !s->source)
		return r;
	r = zygote_fork_one(&s->target, s->source->zygote);
	if (r == 0)
		return 0;
	pthread_mutex_lock(&p->lock);
	gone = source_leave(s->source);
	pthread_mutex_unlock(&p->lock);
	source_free(gone);
	s->source = NULL;
	return r;
}

/* When it begins, and before each call: a target beyond those that are kept ends by itself when nobody calls it for long. */
void slot_linger(struct airlock_pool *p, struct slot *s)
{
	s->lingers = false;
	if (p->o.reuse == 1 || p->o.idle_ms < 0)
		return;
	pthread_mutex_lock(&p->lock);
	if (!s->lasts && p->lasting < p->o.min) {
		s->lasts = true;
		p->lasting++;
	}
	s->lingers = !s->lasts;
	pthread_mutex_unlock(&p->lock);
	ipc_call_linger(s->target->call, s->lingers ? (uint32_t)p->o.idle_ms : 0);
}

static bool lacks(int r)
{
	return r == -ETIMEDOUT || r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOENT || r == -EINVAL;
}

static int slot_fill(struct airlock_pool *p, struct slot *s, int64_t deadline)
{
	int r = -ECHILD;
	/* Whoever is killed while it starts another may say anything, and a broker closes one socket after the other. */
	for (int try = 0; try < START_TRIES && r < 0 && !lacks(r); try++) {
		if (try && deadline >= 0 && ipc_now_ms() >= deadline)
			break;
		if (try)
			nanosleep(&(struct timespec){0, 2000000L << 2 * try}, NULL);
		r = p->forks ? slot_fork(p, s, deadline)
			     : worker_ahead(&s->target, p->policy, p->o.prepare, &p->o.target);
	}
	if (r < 0)
		return r;
	s->calls = 0;
	s->lasts = false;
	pthread_mutex_lock(&p->lock);
	p->stats.started++;
	p->stats.alive++;
	pthread_mutex_unlock(&p->lock);
	slot_linger(p, s);
	return 0;
}

void slot_end(struct slot *s)
{
	airlock_kill(s->target);
}

void slot_clear(struct airlock_pool *p, struct slot *s)
{
	if (!s->target)
		return;
	airlock_free(s->target);
	s->target = NULL;
	pthread_mutex_lock(&p->lock);
	struct source *gone = source_leave(s->source);
	p->stats.alive--;
	p->lasting -= s->lasts;
	pthread_mutex_unlock(&p->lock);
	source_free(gone);
	s->source = NULL;
}

int slot_ready(struct airlock_pool *p, struct slot *s, int64_t deadline)
{
	struct airlock_status ended = {.size = sizeof(ended), .limit = -1};
	/* It may be about to do so just now. */
	if (s->target && s->lingers && ipc_now_ms() - s->since > p->o.idle_ms / 4 * 3) {
		slot_end(s);
		s->ending = true;
	}
	/* One of those that wait for a call may have been killed, or its zygote with it: no call is lost by that. */
	if (s->target && !s->ending && !target_ended(s->target))
		return 0;
	if (s->target && deadline >= 0) {
		slot_end(s);
		s->ending = true;
		if (airlock_wait(s->target, &ended, deadline_left(deadline)) < 0)
			return fail(-ETIMEDOUT, "the last target has not ended by the deadline");
	}
	slot_clear(p, s);
	s->ending = false;
	return slot_fill(p, s, deadline);
}

/* ---- who gets which ---- */

static struct slot *list_pop(struct slots *list)
{
	struct slot *s = TAILQ_FIRST(list);
	if (s)
		TAILQ_REMOVE(list, s, next);
	return s;
}

static struct slot *idle_pop(struct airlock_pool *p)
{
	struct slot *s = list_pop(&p->idle);
	p->idle_count -= s != NULL;
	return s;
}

void slot_give(struct airlock_pool *p, struct slot *s)
{
	struct waiter *w = TAILQ_FIRST(&p->waiters);
	if (w) {
		TAILQ_REMOVE(&p->waiters, w, next);
		p->stats.waiting--;
		w->slot = s;
		pthread_cond_signal(&w->cond);
	} else if (!s->target) {
		TAILQ_INSERT_TAIL(&p->empty, s, next);
	} else if (s->ending) {
		TAILQ_INSERT_TAIL(&p->dying, s, next);
	} else {
		/* What was used last is warm; of those that were not, the oldest is sure to be there. */
		s->since = ipc_now_ms();
		if (s->calls)
			TAILQ_INSERT_HEAD(&p->idle, s, next);
		else
			TAILQ_INSERT_TAIL(&p->idle, s, next);
		p->idle_count++;
	}
}

static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

int slot_take(struct airlock_pool *p, struct slot **out, int64_t deadline)
{
	struct waiter w = {.slot = NULL};
	struct slot *s;
	int r = 0;
	pthread_mutex_lock(&p->lock);
	if ((s = idle_pop(p)) || (s = list_pop(&p->empty)) || (s = list_pop(&p->dying))) {
		w.slot = s;
	} else {
		cond_init(&w.cond);
		TAILQ_INSERT_TAIL(&p->waiters, &w, next);
		p->stats.waiting++;
		while (!w.slot && r != ETIMEDOUT)
			r = cond_wait(&w.cond, &p->lock, deadline);
		if (!w.slot) {
			TAILQ_REMOVE(&p->waiters, &w, next);
			p->stats.waiting--;
		}
		pthread_cond_destroy(&w.cond);
	}
	p->stats.busy += w.slot != NULL;
	pthread_mutex_unlock(&p->lock);
	if (!w.slot)
		return fail(-ETIMEDOUT, "all %u targets were busy until the deadline", p->o.max);
	*out = w.slot;
	return 0;
}

/* ---- in the background ---- */

/* Under the lock: a slot in which another target may be started at once, when there are too few that wait. */
static struct slot *refill_take(struct airlock_pool *p)
{
	struct slot *s;
	if (p->idle_count + p->ahead >= p->o.min)
		return NULL;
	if (!(s = list_pop(&p->empty))) {
		if (!(s = TAILQ_FIRST(&p->dying)) || !target_ended(s->target))
			return NULL;
		list_pop(&p->dying);
	}
	p->ahead++;
	return s;
}

/* Under the lock: one that is idle for too long, while there are more than should be. */
static struct slot *excess_take(struct airlock_pool *p)
{
	struct slot *s;
	if (p->idle_count <= p->o.min || p->o.idle_ms < 0)
		return NULL;
	s = TAILQ_LAST(&p->idle, slots);
	if (ipc_now_ms() - s->since < p->o.idle_ms)
		return NULL;
	TAILQ_REMOVE(&p->idle, s, next);
	p->idle_count--;
	return s;
}

void pool_refill(struct airlock_pool *p)
{
	struct slot *s;
	int r = 0;
	pthread_mutex_lock(&p->lock);
	while (r == 0 && (s = refill_take(p))) {
		pthread_mutex_unlock(&p->lock);
		r = slot_ready(p, s, 0);
		pthread_mutex_lock(&p->lock);
		p->ahead--;
		slot_give(p, s);
	}
	while ((s = excess_take(p))) {
		s->ending = true;
		slot_end(s);
		slot_give(p, s);
	}
	pthread_mutex_unlock(&p->lock);
}

PUBLIC int airlock_pool_trim(struct airlock_pool *pool)
{
	struct slots ended = TAILQ_HEAD_INITIALIZER(ended);
	struct source *gone = NULL;
	struct slot *s;
	int count = 0;
	pthread_mutex_lock(&pool->lock);
	while ((s = idle_pop(pool))) {
		s->ending = true;
		slot_end(s);
		TAILQ_INSERT_TAIL(&ended, s, next);
		count++;
	}
	while ((s = list_pop(&pool->dying)))
		TAILQ_INSERT_TAIL(&ended, s, next);
	/* Those that are in a call keep it alive until they have ended; there will be another one. */
	if (pool->source) {
		count++;
		gone = source_retire(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	source_free(gone);
	while ((s = list_pop(&ended))) {
		slot_clear(pool, s);
		s->ending = false;
		pthread_mutex_lock(&pool->lock);
		slot_give(pool, s);
		pthread_mutex_unlock(&pool->lock);
	}
	return count;
}

PUBLIC int airlock_pool_stats(struct airlock_pool *pool, struct airlock_pool_stats *stats)
{
	if (stats->size < sizeof(size_t))
		return fail(-EINVAL, "stats.size is wrong: use AIRLOCK_POOL_STATS_INIT");
	pthread_mutex_lock(&pool->lock);
	struct airlock_pool_stats s = pool->stats;
	s.idle = pool->idle_count;
	s.forks = pool->forks;
	pthread_mutex_unlock(&pool->lock);
	s.size = stats->size < sizeof(s) ? stats->size : sizeof(s);
	memcpy(stats, &s, s.size);
	return 0;
}

/* ---- its beginning and end ---- */

static int options_read(struct airlock_pool_options *o, const struct airlock_pool_options *given)
{
	/* What a newer one adds to its last member goes beyond the end of ours. */
	const size_t at = offsetof(struct airlock_pool_options, target);
	_Static_assert(offsetof(struct airlock_pool_options, target) + sizeof(struct airlock_options) ==
			       sizeof(struct airlock_pool_options),
		"target is the last");
	*o = (struct airlock_pool_options)AIRLOCK_POOL_OPTIONS_INIT;
	int r = given ? options_copy(o, sizeof(*o), given, "AIRLOCK_POOL_OPTIONS_INIT") : 0;
	if (r < 0)
		return r;
	if (given && given->size > at) {
		const size_t room = given->size - at;
		if (room < sizeof(size_t) || given->target.size > room)
			return fail(-EINVAL, "options.target.size is wrong: use AIRLOCK_POOL_OPTIONS_INIT");
		r = start_options(&o->target, &given->target);
	}
	if (r < 0)
		return r;
	const long processors = sysconf(_SC_NPROCESSORS_ONLN);
	if (!o->min)
		o->min = o->max == 1 ? 1 : 2;
	if (!o->max)
		o->max = processors * 2 > (long)o->min ? (unsigned)processors * 2 : o->min;
	if (!o->reuse)
		o->reuse = 1;
	if (!o->idle_ms)
		o->idle_ms = 10000;
	return o->min > o->max || o->max > 1u << 20 ? fail(-EINVAL, "options.max is less than min, or too large") : 0;
}

PUBLIC int airlock_pool_new(
	struct airlock_pool **out, const struct airlock_policy *policy, const struct airlock_pool_options *options)
{
	struct airlock_pool_options o;
	const char *why = NULL;
	int r = options_read(&o, options);
	if (r < 0)
		return r;
	struct airlock_pool *p = calloc(1, sizeof(*p));
	struct slot *slots = calloc((size_t)o.max + 1, sizeof(*slots));
	if (!p || !slots) {
		free(p);
		free(slots);
		return fail(-ENOMEM, "out of memory");
	}
	pthread_mutex_init(&p->lock, NULL);
	cond_init(&p->renewed);
	p->policy = policy;
	p->o = o;
	p->slot = slots;
	const uint64_t wall = policy->p.limits[LIMIT_WALL];
	if (wall < INT_MAX && (o.wall_ms < 0 || (uint64_t)o.wall_ms > wall))
		p->o.wall_ms = (int)wall;
	p->forks = !o.fresh && zygote_fits(policy, &why);
	TAILQ_INIT(&p->idle);
	TAILQ_INIT(&p->dying);
	TAILQ_INIT(&p->empty);
	TAILQ_INIT(&p->waiters);
	for (unsigned i = 0; i < o.max; i++)
		TAILQ_INSERT_TAIL(&p->empty, &slots[i], next);
	/* The first one, waited for, says whether there can be any. */
	struct slot *s = list_pop(&p->empty);
	r = slot_ready(p, s, -1);
	if (r == -EOPNOTSUPP && p->forks) {
		why = "nothing can wait to be forked where requests go by signals";
		p->forks = false;
		r = slot_ready(p, s, -1);
	}
	if (r == 0)
		r = p->forks ? 0 : worker_await(s->target, -1);
	slot_give(p, s);
	if (r < 0) {
		char text[400];
		snprintf(text, sizeof(text), "%s", airlock_message());
		airlock_pool_free(p);
		return fail(r, "%s", text);
	}
	pool_refill(p);
	fail(0, "%s%s", why ? "targets are fresh images: " : "", why ? why : "");
	*out = p;
	return 0;
}

PUBLIC void airlock_pool_free(struct airlock_pool *pool)
{
	if (!pool)
		return;
	/* All of them are told before one is waited for. */
	for (unsigned i = 0; i < pool->o.max; i++)
		if (pool->slot[i].target && !pool->slot[i].ending)
			slot_end(&pool->slot[i]);
	for (unsigned i = 0; i < pool->o.max; i++)
		slot_clear(pool, &pool->slot[i]);
	if (pool->source)
		source_free(source_retire(pool));
	pthread_cond_destroy(&pool->renewed);
	pthread_mutex_destroy(&pool->lock);
	free(pool->slot);
	free(pool);
}
