/* SPDX-License-Identifier: ISC */
/*
 * This file owns the host's end of calls through shared memory: entries that host and target advance in turn, and how long
 * each spins before it sleeps. It believes nothing that it reads there: what it wrote into an entry it keeps in a slot of its
 * own, each word that the target writes is read once, and a state that is not the next one of this call (its number is part
 * of it: an answer that comes twice, before it was asked for, or for another one) is the end of all calls.
 */
#include "ipc/bell.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#define SPIN_NS 40000 /* longer waits are cheaper asleep: a sleep and its wake cost about a fifth of this */
#define SLICE_NS 50000000
#define TOLD_NS 1000000 /* the target can say it is told, too: that is not to keep the host busy */
#define SLOTS 64

/*
 * What the host has learned about each of its targets, by a hash of the shared page's address: a collision costs
 * speed, nothing else. Kept here and not in the page because the target writes there. The target spins as long as
 * the host last told it (c->spin), since it has neither a clock nor a count of processors to learn with.
 */
struct learned {
	_Atomic uint32_t host, target; /* pauses to spin: up to spin_max(), 0 after some vain ones */
	_Atomic uint64_t replied; /* when the last call ended; only kept while target is below spin_max() */
};
static struct learned slots[SLOTS];
static _Atomic uint32_t max_pauses; /* what SPIN_NS comes to, + 1; 0: not measured yet */
static atomic_bool alone; /* one processor: the other side cannot run while we spin */

uint64_t ipc_now_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Asked again whenever spinning was in vain, so that a change of affinity is noticed. */
static void count_processors(void)
{
	cpu_set_t set;

	/* More processors than a cpu_set_t has bits for: EINVAL, and surely not one. */
	alone = sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1;
}

/* A pause takes 10 to 150 cycles, by the processor's generation. The least of a few tries was not interrupted. */
static uint32_t measure_pauses(void)
{
	uint64_t least = UINT64_MAX;

	for (int try = 0; try < 4; try++) {
		uint64_t from = ipc_now_ns();

		for (int i = 0; i < 64; i++)
			pause_cpu();
		uint64_t took = ipc_now_ns() - from;
		if (took < least)
			least = took;
	}
	uint64_t pauses = 64ull * SPIN_NS / (least ? least : 64);
	return (uint32_t)(pauses < 64 ? 64 : pauses > 64 * 1024 ? 64 * 1024 : pauses);
}

static uint32_t spin_max(void)
{
	uint32_t max = atomic_load_explicit(&max_pauses, memory_order_relaxed);

	if (!max) {
		count_processors();
		max = measure_pauses() + 1;
		atomic_store_explicit(&max_pauses, max, memory_order_relaxed);
	}
	return atomic_load_explicit(&alone, memory_order_relaxed) ? 0 : max - 1;
}

/*
 * The scheduler may keep both sides on one processor even where others are idle (as it does with tasks that wake each
 * other and have lately kept all processors busy). There each only delays the other by spinning, and a switch between
 * them takes less than a wake across processors. sched_getcpu() reads rseq memory or asks the vDSO.
 */
static bool same_processor(const struct ipc_call *c)
{
	return atomic_load_explicit(&c->target_cpu, memory_order_relaxed) == (uint32_t)sched_getcpu() + 1;
}

static struct learned *learned_of(const struct ipc_call *c)
{
	uintptr_t page = (uintptr_t)c >> 12;

	return &slots[(page ^ page >> 6 ^ page >> 12) % SLOTS];
}

/* One short wait brings back all the spinning, each vain one halves it, and soon there is none. */
static void learn(_Atomic uint32_t *limit, bool was_short, uint32_t max)
{
	uint32_t now = atomic_load_explicit(limit, memory_order_relaxed);
	uint32_t next = was_short ? max : now / 2 < max / 16 ? 0 : now / 2;

	if (next != now)
		atomic_store_explicit(limit, next, memory_order_relaxed);
}

/* How long the target shall spin after this call: as it did well to before. */
static void advise_target(struct ipc_call *c, struct learned *l, uint32_t max)
{
	uint32_t limit = atomic_load_explicit(&l->target, memory_order_relaxed);
	uint64_t replied = atomic_load_explicit(&l->replied, memory_order_relaxed);

	if (same_processor(c)) {
		keep(&c->spin, 0);
		return;
	}
	/* Below the maximum a sleeping target may still have been asked soon enough to have spun. */
	bool slept = atomic_load_explicit(&c->target_waits, memory_order_relaxed);
	learn(&l->target, !slept || (limit < max && replied && ipc_now_ns() - replied < SPIN_NS), max);
	keep(&c->spin, atomic_load_explicit(&l->target, memory_order_relaxed));
}

/* ---- entries and slots ---- */

static struct ipc_entry *entry_of(const struct ipc_ring *r, uint32_t number)
{
	return &r->page->entry[number % IPC_CALL_ENTRIES];
}

static int broken(struct ipc_ring *r)
{
	r->broken = true;
	return -EPROTO;
}

/* Where len bytes of one direction's area are free; UINT64_MAX: nowhere. Behind one of those that are there, or at 0. */
static uint64_t place(const struct ipc_ring *r, int direction, uint64_t len)
{
	for (int i = -1; i < IPC_CALL_ENTRIES; i++) {
		const struct ipc_slot *b = i < 0 ? NULL : &r->slot[i];
		uint64_t at = b ? (b->at[direction] + b->len[direction] + 63) & ~UINT64_C(63) : 0;
		bool free = (!b || (b->live && b->len[direction])) && at <= r->shared && len <= r->shared - at;
		for (int k = 0; free && r->live && k < IPC_CALL_ENTRIES; k++) {
			const struct ipc_slot *o = &r->slot[k];
			free = !o->live || !o->len[direction] || at >= o->at[direction] + o->len[direction] ||
			       o->at[direction] >= at + len;
		}
		if (free)
			return at;
	}
	return UINT64_MAX;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

int ipc_ring_publish(struct ipc_ring *r, const struct ipc_request *q, struct ipc_slot **out)
{
	/* Where nothing is under way the next call has the last one's entry, which is in the caches of both sides. */
	if (!r->live && r->used && !r->broken)
		r->next = r->oldest = (r->next + IPC_CALL_ENTRIES - 1) & NUMBER_MASK;
	struct ipc_call *c = r->page;
	struct ipc_entry *e = entry_of(r, r->next);
	struct ipc_slot *s = &r->slot[r->next % IPC_CALL_ENTRIES];
	const size_t len[2] = {q->in_len, q->cap};
	const uint64_t area[2] = {ipc_call_in_offset(), ipc_call_out_offset(r->shared)};
	uint64_t at[2] = {(uint64_t)(e->in - (unsigned char *)c), (uint64_t)(e->out - (unsigned char *)c)};

	if (r->broken)
		return -EPROTO;
	if (atomic_load_explicit(&c->dead, memory_order_relaxed))
		return -EPIPE;
	if (s->live)
		return -EAGAIN;
	for (int i = 0; i < 2; i++) {
		s->len[i] = len[i] > IPC_CALL_INLINE ? len[i] : 0;
		if (!s->len[i])
			continue;
		s->at[i] = place(r, i, len[i]);
		if (s->at[i] == UINT64_MAX)
			return -EAGAIN;
		at[i] = area[i] + s->at[i];
	}
	if (q->in_len)
		memcpy((char *)c + at[0], q->in, q->in_len);
	/* What is there already is not written again. A target that has changed it serves what it likes, as ever. */
	if (r->named != r->next % IPC_CALL_ENTRIES + 1 || strcmp(r->name, q->name) != 0) {
		strcpy(r->name, q->name);
		memcpy(e->name, r->name, sizeof(e->name));
		r->named = r->next % IPC_CALL_ENTRIES + 1;
	}
	atomic_store_explicit(&e->in_len, len[0], memory_order_relaxed);
	atomic_store_explicit(&e->cap, len[1], memory_order_relaxed);
	atomic_store_explicit(&e->in_at, at[0], memory_order_relaxed);
	atomic_store_explicit(&e->out_at, at[1], memory_order_relaxed);
	e->lend_count = q->lend_count;
	if (q->lend_count)
		memcpy(e->lends, q->lends, q->lend_count * sizeof(e->lends[0]));
	s->number = r->next;
	s->out_at = at[1];
	s->cap = q->cap;
	s->answered = s->abandoned = false;
	s->killed = false;
	s->why = 0;
	s->grace_ms = q->grace_ms < 0 ? 0 : (uint32_t)q->grace_ms;
	s->limit = q->timeout_ms < 0 ? 0 : ipc_now_ns() + (uint64_t)q->timeout_ms * 1000000;
	s->cancels = atomic_load(&r->cancels);
	atomic_store_explicit(&e->cancelled, 0, memory_order_relaxed);
	advise_target(c, learned_of(c), spin_max());
	uint32_t *expected = &r->expected[r->next % IPC_CALL_ENTRIES];
	if (atomic_exchange(&e->state, STATE(r->next, IPC_CALL_ASKED)) != *expected)
		return broken(r);
	*expected = STATE(r->next, IPC_CALL_ANSWERED);
	r->limit = earlier(r->limit, s->limit);
	s->live = r->used = true;
	r->live++;
	r->next = (r->next + 1) & NUMBER_MASK;
	bell_ring(&c->target_bell, &c->target_waits);
	*out = s;
	return 0;
}

void ipc_ring_free(struct ipc_ring *r, struct ipc_slot *s)
{
	if (!s->answered) {
		s->abandoned = true;
		return;
	}
	s->live = false;
	r->live--;
	r->ready--;
}

static void answered(struct ipc_ring *r, struct ipc_slot *s)
{
	s->result = atomic_load_explicit(&entry_of(r, s->number)->result, memory_order_relaxed);
	s->answered = true;
	/* The function may have given up before this host saw that it was to. */
	if (!s->why && s->cancels != atomic_load(&r->cancels))
		s->why = -ECANCELED;
	r->ready++;
	r->oldest = (r->oldest + 1) & NUMBER_MASK;
	if (s->abandoned)
		ipc_ring_free(r, s);
}

/* The target works in order: what it has not come to is as the host left it. */
static bool in_order(const struct ipc_ring *r)
{
	for (uint32_t n = r->oldest + 1; ((n ^ r->next) & NUMBER_MASK) != 0; n++)
		if (atomic_load_explicit(&entry_of(r, n)->state, memory_order_acquire) != STATE(n, IPC_CALL_ASKED))
			return atomic_load_explicit(&entry_of(r, r->oldest)->state, memory_order_acquire) ==
			       STATE(r->oldest, IPC_CALL_ANSWERED);
	return true;
}

int ipc_ring_look(struct ipc_ring *r)
{
	while (!r->broken && r->oldest != r->next) {
		uint32_t state = atomic_load_explicit(&entry_of(r, r->oldest)->state, memory_order_acquire);
		r->seen = state;
		if (state == STATE(r->oldest, IPC_CALL_ANSWERED))
			answered(r, &r->slot[r->oldest % IPC_CALL_ENTRIES]);
		else if (state == STATE(r->oldest, IPC_CALL_BACK))
			return 1;
		else if (state != STATE(r->oldest, IPC_CALL_ASKED) && state != STATE(r->oldest, IPC_CALL_BACK_DONE))
			return broken(r);
		else if (in_order(r))
			return 0;
		else if (atomic_load(&entry_of(r, r->oldest)->state) != STATE(r->oldest, IPC_CALL_ANSWERED))
			return broken(r);
	}
	return r->broken ? -EPROTO : 0;
}

/* ---- waiting ---- */

static int over(const struct ipc_ring *r, uint64_t now, uint64_t until)
{
	if (atomic_load(&r->page->dead))
		return -EPIPE;
	if (atomic_load(&r->cancels) != r->cancels_seen)
		return -ECANCELED;
	return until && now >= until ? -ETIMEDOUT : 0;
}

/* While the first call that is not answered stays as it was seen. 0, or why not. */
static int host_sleep(struct ipc_ring *r, uint64_t until, bool (*gone)(void *), void *arg)
{
	struct ipc_call *c = r->page;
	_Atomic uint32_t *state = &entry_of(r, r->oldest)->state;
	uint64_t asked = ipc_now_ns(), now = asked;
	bool told = false;
	int e = 0;

	atomic_store(&c->host_waits, 1);
	for (;;) {
		uint32_t heard = atomic_load(&c->host_bell);
		if (atomic_load(state) != r->seen)
			break;
		told = (atomic_load(&c->told) && atomic_exchange(&c->told, 0)) || told;
		uint64_t slice = told ? TOLD_NS : SLICE_NS;
		/* By the clock and not by ETIMEDOUT: signals and vain wakes may come more often than the slices end. */
		bool due = now - asked >= slice;
		e = due && gone && gone(arg) ? -EPIPE : over(r, now, until);
		if (e < 0)
			break;
		if (due) {
			asked = now;
			told = false;
			slice = SLICE_NS;
		}
		if (until && until > now && until - now < slice)
			slice = until - now;
		const struct timespec limit = {0, (long)slice};
		bell_wait(&c->host_bell, heard, &limit);
		now = ipc_now_ns();
	}
	atomic_store_explicit(&c->host_waits, 0, memory_order_relaxed);
	return e;
}

static int host_wait(struct ipc_ring *r, uint64_t until, bool (*gone)(void *), void *arg)
{
	struct ipc_call *c = r->page;
	struct learned *l = learned_of(c);
	uint32_t max = spin_max(), limit = atomic_load_explicit(&l->host, memory_order_relaxed), state;

	if (same_processor(c))
		return host_sleep(r, until, gone, arg);
	if (limit > max)
		limit = max;
	if (spin(&entry_of(r, r->oldest)->state, r->seen, limit, &state)) {
		learn(&l->host, true, max);
		return 0;
	}
	if (limit)
		count_processors();
	uint64_t from = limit ? 0 : ipc_now_ns();
	int e = host_sleep(r, until, gone, arg);
	/* Spinning was in vain because it kept the target from running: says nothing about how long it takes. */
	if (!same_processor(c))
		learn(&l->host, !limit && ipc_now_ns() - from < SPIN_NS, max);
	return e;
}

int ipc_ring_await(struct ipc_ring *r, struct ipc_slot *s, uint64_t until, bool (*gone)(void *), void *arg)
{
	until = earlier(until, r->limit);
	for (bool again = false;; again = true) {
		int e = ipc_ring_look(r);
		if (e || s->answered)
			return s->answered ? 0 : e;
		/* A state that changes and changes does not keep the host from seeing what time it is. */
		e = again ? over(r, until ? ipc_now_ns() : 0, until) : 0;
		if (e == 0)
			e = host_wait(r, until, gone, arg);
		/* What was answered before all else is answered. */
		if (e < 0 && ipc_ring_look(r) == 0 && s->answered)
			return 0;
		if (e < 0)
			return e;
	}
}

void ipc_ring_polls(struct ipc_ring *r)
{
	atomic_store(&r->page->host_polls, 1);
}

void ipc_ring_tell(struct ipc_ring *r, const struct ipc_slot *s)
{
	atomic_store(&entry_of(r, s->number)->cancelled, 1);
}

void ipc_ring_cancel(struct ipc_ring *r)
{
	atomic_fetch_add(&r->cancels, 1);
	for (int i = 0; i < IPC_CALL_ENTRIES; i++)
		keep(&r->page->entry[i].cancelled, 1);
	bell_ring(&r->page->host_bell, &r->page->host_waits);
}

/* ---- callbacks ---- */

int ipc_ring_back(struct ipc_ring *r, char name[IPC_CALL_NAME_MAX + 1], const void **in, size_t *len, size_t *cap)
{
	struct ipc_call *c = r->page;

	*len = atomic_load_explicit(&c->back_len, memory_order_relaxed);
	*cap = atomic_load_explicit(&c->back_cap, memory_order_relaxed);
	if (*len > IPC_BACK_MAX || *cap > IPC_BACK_MAX)
		return -EMSGSIZE;
	memcpy(name, c->back_name, IPC_CALL_NAME_MAX);
	name[IPC_CALL_NAME_MAX] = 0;
	*in = (const char *)c + ipc_call_in_offset() - 2 * IPC_BACK_MAX;
	return 0;
}

int ipc_ring_back_done(struct ipc_ring *r, const void *out, int64_t result)
{
	struct ipc_call *c = r->page;

	if (result > 0)
		memcpy((char *)c + ipc_call_in_offset() - IPC_BACK_MAX, out, (size_t)result);
	atomic_store_explicit(&c->back_result, result, memory_order_relaxed);
	if (atomic_exchange(&entry_of(r, r->oldest)->state, STATE(r->oldest, IPC_CALL_BACK_DONE)) !=
		STATE(r->oldest, IPC_CALL_BACK))
		return broken(r);
	bell_ring(&c->target_bell, &c->target_waits);
	return 0;
}
