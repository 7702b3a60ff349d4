/* SPDX-License-Identifier: ISC */
/*
 * This file owns calls through shared memory: a word of state that host and target advance in turn, and how long each
 * spins on it before it sleeps. ipc_call_request() runs in the host and believes nothing that it reads here;
 * ipc_call_wait() and ipc_call_reply() run in the target, where no call but futex may be counted on.
 *
 * IDLE --host--> REQUEST --target--> REPLY --host--> IDLE, and DEAD from anywhere, for ever.
 */
#include "ipc/ipc.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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

static inline void pause_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

static uint64_t now_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void futex_wake(_Atomic uint32_t *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *timeout)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, timeout, NULL, 0);
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
		uint64_t from = now_ns();

		for (int i = 0; i < 64; i++)
			pause_cpu();
		uint64_t took = now_ns() - from;
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

/* Whether state left value within limit pauses; *state is what it is then. */
static bool spin(struct ipc_call *c, uint32_t value, uint32_t limit, uint32_t *state)
{
	for (uint32_t i = 0;; i++) {
		*state = atomic_load_explicit(&c->state, memory_order_acquire);
		if (*state != value)
			return true;
		if (i >= limit)
			return false;
		pause_cpu();
	}
}

/* Host: sleeps while state is REQUEST. 0, or -EPIPE when gone. */
static int sleep_for_reply(struct ipc_call *c, bool (*gone)(void *), void *arg, uint32_t *state)
{
	uint64_t asked = now_ns();
	bool told = false;
	int r = 0;

	/* Sequentially consistent, as is the other side's exchange of state and load of this: one of both is seen. */
	atomic_store(&c->host_waits, 1);
	while ((*state = atomic_load(&c->state)) == IPC_CALL_REQUEST) {
		told = atomic_exchange(&c->told, 0) || told;
		const struct timespec slice = {0, told ? TOLD_NS : SLICE_NS};
		futex_wait(&c->state, IPC_CALL_REQUEST, &slice);
		told = atomic_exchange(&c->told, 0) || told;
		/* By the clock and not by ETIMEDOUT: signals and vain wakes may come more often than the slices end. */
		uint64_t now = now_ns();
		if (now - asked < (told ? TOLD_NS : SLICE_NS))
			continue;
		asked = now;
		told = false;
		if (gone && gone(arg) && atomic_load(&c->state) == IPC_CALL_REQUEST) {
			r = -EPIPE;
			break;
		}
	}
	atomic_store_explicit(&c->host_waits, 0, memory_order_relaxed);
	return r;
}

static int await_reply(
	struct ipc_call *c, struct learned *l, bool (*gone)(void *), void *arg, uint32_t max, uint32_t *state)
{
	uint32_t limit = atomic_load_explicit(&l->host, memory_order_relaxed);

	if (same_processor(c))
		return sleep_for_reply(c, gone, arg, state);
	if (limit > max)
		limit = max;
	if (spin(c, IPC_CALL_REQUEST, limit, state)) {
		learn(&l->host, true, max);
		return 0;
	}
	if (limit)
		count_processors();
	uint64_t from = limit ? 0 : now_ns();
	int r = sleep_for_reply(c, gone, arg, state);
	/* Spinning was in vain because it kept the target from running: says nothing about how long it takes. */
	if (!same_processor(c))
		learn(&l->host, !limit && now_ns() - from < SPIN_NS, max);
	return r;
}

/* How long the target shall spin after this call: as it did well to before. */
static void advise_target(struct ipc_call *c, struct learned *l, uint32_t max)
{
	uint32_t limit = atomic_load_explicit(&l->target, memory_order_relaxed);
	uint64_t replied = atomic_load_explicit(&l->replied, memory_order_relaxed);

	if (same_processor(c)) {
		atomic_store_explicit(&c->spin, 0, memory_order_relaxed);
		return;
	}
	/* Below the maximum a sleeping target may still have been asked soon enough to have spun. */
	bool slept = atomic_load_explicit(&c->target_waits, memory_order_relaxed);
	learn(&l->target, !slept || (limit < max && replied && now_ns() - replied < SPIN_NS), max);
	atomic_store_explicit(&c->spin, atomic_load_explicit(&l->target, memory_order_relaxed), memory_order_relaxed);
}

size_t ipc_call_in_offset(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t area(size_t shared)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (shared + page - 1) / page * page;
}

size_t ipc_call_out_offset(size_t shared)
{
	return ipc_call_in_offset() + area(shared);
}

/* 0 for sizes that no memory has; ipc_memfd() and ipc_map() refuse it. */
size_t ipc_call_total(size_t shared)
{
	return shared > SIZE_MAX / 4 ? 0 : ipc_call_in_offset() + 2 * area(shared);
}

int ipc_call_request(struct ipc_call *c, const char *name, uint64_t in_len, uint64_t cap, bool (*gone)(void *),
	void *arg, int64_t *result)
{
	struct learned *l = learned_of(c);
	uint32_t max = spin_max();
	uint32_t state = atomic_load_explicit(&c->state, memory_order_acquire);

	if (state != IPC_CALL_IDLE)
		return state == IPC_CALL_DEAD ? -EPIPE : -EPROTO;
	size_t len = strnlen(name, IPC_CALL_NAME_MAX);
	memcpy(c->name, name, len);
	c->name[len] = 0;
	atomic_store_explicit(&c->in_len, in_len, memory_order_relaxed);
	atomic_store_explicit(&c->cap, cap, memory_order_relaxed);
	advise_target(c, l, max);
	if (!atomic_compare_exchange_strong(&c->state, &state, IPC_CALL_REQUEST))
		return state == IPC_CALL_DEAD ? -EPIPE : -EPROTO;
	if (atomic_load(&c->target_waits))
		futex_wake(&c->state, 1);
	int r = await_reply(c, l, gone, arg, max, &state);
	if (r < 0)
		return r;
	if (state != IPC_CALL_REPLY)
		return state == IPC_CALL_DEAD ? -EPIPE : -EPROTO;
	int64_t value = atomic_load_explicit(&c->result, memory_order_relaxed);
	/* A target that died after it replied has replied; only the next call fails. */
	if (!atomic_compare_exchange_strong(&c->state, &state, IPC_CALL_IDLE) && state != IPC_CALL_DEAD)
		return -EPROTO;
	if (atomic_load_explicit(&l->target, memory_order_relaxed) < max)
		atomic_store_explicit(&l->replied, now_ns(), memory_order_relaxed);
	*result = value;
	return 0;
}

int ipc_call_wait(struct ipc_call *c, size_t shared, char name[IPC_CALL_NAME_MAX + 1], uint64_t *in_len, uint64_t *cap)
{
	uint32_t limit = atomic_load_explicit(&c->spin, memory_order_relaxed);
	uint32_t state, wish;

	/* Right after a reply the host has yet to take it: REPLY and IDLE are both times to wait. */
	for (uint32_t i = 0;; i++) {
		state = atomic_load_explicit(&c->state, memory_order_acquire);
		if ((state != IPC_CALL_IDLE && state != IPC_CALL_REPLY) || i >= limit)
			break;
		pause_cpu();
	}
	while (state == IPC_CALL_IDLE || state == IPC_CALL_REPLY) {
		atomic_store(&c->target_waits, 1);
		state = atomic_load(&c->state);
		if (ipc_call_wished(c, &wish))
			return 1;
		if (state == IPC_CALL_IDLE || state == IPC_CALL_REPLY)
			futex_wait(&c->state, state, NULL);
		state = atomic_load(&c->state);
	}
	atomic_store_explicit(&c->target_waits, 0, memory_order_relaxed);
	atomic_store_explicit(&c->target_cpu, (uint32_t)sched_getcpu() + 1, memory_order_relaxed);
	if (state != IPC_CALL_REQUEST)
		return state == IPC_CALL_DEAD ? -EPIPE : -EPROTO;
	uint64_t in = atomic_load_explicit(&c->in_len, memory_order_relaxed);
	uint64_t room = atomic_load_explicit(&c->cap, memory_order_relaxed);
	if (in > shared || room > shared)
		return -EPROTO;
	memcpy(name, c->name, IPC_CALL_NAME_MAX);
	name[IPC_CALL_NAME_MAX] = 0;
	*in_len = in;
	*cap = room;
	return 0;
}

void ipc_call_reply(struct ipc_call *c, int64_t result)
{
	uint32_t state = IPC_CALL_REQUEST;

	atomic_store_explicit(&c->result, result, memory_order_relaxed);
	if (atomic_compare_exchange_strong(&c->state, &state, IPC_CALL_REPLY) && atomic_load(&c->host_waits))
		futex_wake(&c->state, 1);
}

/* A waiter sleeps on state, which stays as it is: until it has come to sleep it is woken again and again. */
uint32_t ipc_call_wish(struct ipc_call *c, uint32_t wish)
{
	uint32_t number = (atomic_load(&c->wish) & ~(uint32_t)IPC_WISH_BITS) + IPC_WISH_BITS + 1;
	atomic_store(&c->wish, number | wish);
	futex_wake(&c->state, INT_MAX);
	return number | wish;
}

bool ipc_call_granted(const struct ipc_call *c, uint32_t number)
{
	return atomic_load(&c->granted) == number;
}

void ipc_call_await_grant(struct ipc_call *c, uint32_t number, int ms)
{
	const struct timespec slice = {ms / 1000, ms % 1000 * 1000000};
	uint32_t granted = atomic_load(&c->granted);
	if (granted != number)
		futex_wait(&c->granted, granted, &slice);
	/* Between its look and its sleep the target missed it. */
	if (!ipc_call_granted(c, number))
		futex_wake(&c->state, INT_MAX);
}

bool ipc_call_wished(const struct ipc_call *c, uint32_t *wish)
{
	*wish = atomic_load(&c->wish);
	return *wish != atomic_load(&c->granted);
}

void ipc_call_grant(struct ipc_call *c, uint32_t wish)
{
	atomic_store(&c->granted, wish);
	futex_wake(&c->granted, INT_MAX);
}

void ipc_call_tell(struct ipc_call *c)
{
	atomic_store(&c->told, 1);
	if (atomic_load(&c->host_waits))
		futex_wake(&c->state, INT_MAX);
}

void ipc_call_dead(struct ipc_call *c)
{
	atomic_store(&c->state, IPC_CALL_DEAD);
	futex_wake(&c->state, INT_MAX);
}
