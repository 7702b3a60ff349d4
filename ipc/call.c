/* SPDX-License-Identifier: ISC */
/*
 * This file owns the target's end of calls through shared memory, where no call but futex may be counted on, and what
 * the broker says there. That of call n is the (n mod IPC_CALL_ENTRIES)th entry; after n comes n + 1 or, where nothing
 * else is under way, n + IPC_CALL_ENTRIES, which has the same entry. Its state goes ASKED --target--> ANSWERED, with
 * ASKED --target--> BACK --host--> BACK_DONE between for each callback.
 */
#include "ipc/bell.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#define BACKS (2 * IPC_BACK_MAX) /* the areas of callbacks */

static size_t pages(size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (len + page - 1) / page * page;
}

size_t ipc_call_in_offset(void)
{
	return pages(sizeof(struct ipc_call)) + BACKS;
}

size_t ipc_call_out_offset(size_t shared)
{
	return ipc_call_in_offset() + pages(shared);
}

/* 0 for sizes that no memory has; ipc_memfd() and ipc_map() refuse it. */
size_t ipc_call_total(size_t shared)
{
	return shared > SIZE_MAX / 4 ? 0 : ipc_call_in_offset() + 2 * pages(shared);
}

/* The entry of the next call, or NULL: it is that of v->number, or the last one again. */
static struct ipc_entry *asked(struct ipc_serving *v)
{
	for (uint32_t n = v->number;; n += IPC_CALL_ENTRIES - 1) {
		struct ipc_entry *e = &v->page->entry[n % IPC_CALL_ENTRIES];
		if (atomic_load(&e->state) == STATE(n, IPC_CALL_ASKED)) {
			v->number = n & NUMBER_MASK;
			return e;
		}
		if (n != v->number)
			return NULL;
	}
}

/* Sleeps until there is a call, or, in one, until its state is not value. 0, or why not. */
static int target_sleep(struct ipc_serving *v, uint32_t value, uint32_t linger_ms)
{
	struct ipc_call *c = v->page;
	struct ipc_entry *e = v->entry;
	int r = 0;
	uint32_t wish;

	atomic_store(&c->target_waits, 1);
	for (;;) {
		uint32_t heard = atomic_load(&c->target_bell);
		const struct timespec limit = {linger_ms / 1000, (long)(linger_ms % 1000) * 1000000};
		if (e ? atomic_load(&e->state) != value : asked(v) != NULL)
			break;
		if (atomic_load(&c->dead) || (!e && atomic_load(&c->stop)))
			r = -EPIPE;
		else if (!e && ipc_call_wished(c, &wish))
			r = 1;
		else if (syscall(SYS_futex, &c->target_bell, FUTEX_WAIT, heard, linger_ms ? &limit : NULL, NULL, 0) <
				 0 &&
			 errno == ETIMEDOUT && linger_ms && !asked(v))
			r = -ETIMEDOUT;
		if (r)
			break;
	}
	atomic_store_explicit(&c->target_waits, 0, memory_order_relaxed);
	return r;
}

static bool within(const struct ipc_serving *v, uint64_t at, uint64_t len)
{
	uint64_t total = ipc_call_total(v->shared);

	return at <= total && len <= total - at;
}

int ipc_call_wait(struct ipc_serving *v, struct ipc_work *w)
{
	struct ipc_call *c = v->page;
	struct ipc_entry *e;
	uint32_t limit = atomic_load_explicit(&c->spin, memory_order_relaxed);

	for (uint32_t i = 0; !(e = asked(v)); i++) {
		if (i >= limit) {
			int r = target_sleep(v, 0, atomic_load_explicit(&c->linger_ms, memory_order_relaxed));
			if (r)
				return r;
			limit = UINT32_MAX;
		}
		pause_cpu();
	}
	if (atomic_load_explicit(&c->stop, memory_order_relaxed))
		return -EPIPE;
	keep(&c->target_cpu, (uint32_t)sched_getcpu() + 1);
	uint64_t in_at = atomic_load_explicit(&e->in_at, memory_order_relaxed);
	uint64_t out_at = atomic_load_explicit(&e->out_at, memory_order_relaxed);
	w->in_len = atomic_load_explicit(&e->in_len, memory_order_relaxed);
	w->cap = atomic_load_explicit(&e->cap, memory_order_relaxed);
	w->lend_count = e->lend_count;
	if (!within(v, in_at, w->in_len) || !within(v, out_at, w->cap) || w->lend_count > IPC_LENDS_MAX)
		return -EPROTO;
	w->in = (const char *)c + in_at;
	w->out = (char *)c + out_at;
	memcpy(w->name, e->name, IPC_CALL_NAME_MAX);
	w->name[IPC_CALL_NAME_MAX] = 0;
	memcpy(w->lends, e->lends, w->lend_count * sizeof(w->lends[0]));
	v->entry = e;
	return 0;
}

/* Whether the host, which sleeps elsewhere, is to be told. */
static bool advance(struct ipc_serving *v, enum ipc_call_stage stage)
{
	struct ipc_call *c = v->page;

	atomic_exchange(&v->entry->state, STATE(v->number, stage));
	bell_ring(&c->host_bell, &c->host_waits);
	return atomic_load(&c->host_polls) && atomic_exchange(&c->host_polls, 0);
}

bool ipc_call_reply(struct ipc_serving *v, int64_t result)
{
	atomic_store_explicit(&v->entry->result, result, memory_order_relaxed);
	bool tell = advance(v, IPC_CALL_ANSWERED);
	v->entry = NULL;
	v->number = (v->number + 1) & NUMBER_MASK;
	return tell;
}

int64_t ipc_call_back(struct ipc_serving *v, const char *name, const void *in, size_t len, const void **out, size_t cap,
	void (*tell)(void))
{
	struct ipc_call *c = v->page;
	struct ipc_entry *e = v->entry;
	uint32_t state, waits = STATE(v->number, IPC_CALL_BACK);

	if (!e)
		return -EPROTO;
	if (len > IPC_BACK_MAX || cap > IPC_BACK_MAX || strlen(name) > IPC_CALL_NAME_MAX)
		return -EMSGSIZE;
	unsigned char *area = (unsigned char *)c + ipc_call_in_offset() - BACKS;
	strcpy(c->back_name, name);
	if (len)
		memcpy(area, in, len);
	atomic_store_explicit(&c->back_len, len, memory_order_relaxed);
	atomic_store_explicit(&c->back_cap, cap, memory_order_relaxed);
	if (advance(v, IPC_CALL_BACK))
		tell();
	if (!spin(&e->state, waits, atomic_load_explicit(&c->spin, memory_order_relaxed), &state)) {
		int r = target_sleep(v, waits, 0);
		if (r < 0)
			return r;
	}
	*out = area + IPC_BACK_MAX;
	return atomic_load_explicit(&c->back_result, memory_order_relaxed);
}

uint32_t ipc_call_wish(struct ipc_call *c, uint32_t wish)
{
	uint32_t last = atomic_load(&c->wish);
	/* What it has not come to yet is still to be done. */
	if (!ipc_call_granted(c, last))
		wish |= last & IPC_WISH_BITS;
	wish |= (last & ~(uint32_t)IPC_WISH_BITS) + IPC_WISH_BITS + 1;
	atomic_store(&c->wish, wish);
	bell_ring(&c->target_bell, &c->target_waits);
	return wish;
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
		bell_wait(&c->granted, granted, &slice);
}

bool ipc_call_wished(const struct ipc_call *c, uint32_t *wish)
{
	*wish = atomic_load(&c->wish);
	return *wish != atomic_load(&c->granted);
}

void ipc_call_grant(struct ipc_call *c, uint32_t wish)
{
	atomic_store(&c->granted, wish);
	syscall(SYS_futex, &c->granted, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void ipc_call_tell(struct ipc_call *c)
{
	atomic_store(&c->told, 1);
	bell_ring(&c->host_bell, &c->host_waits);
}

/* Not only those that say that they wait: this is said once. */
static void everybody(_Atomic uint32_t *bell)
{
	static const _Atomic uint32_t yes = 1;

	bell_ring(bell, &yes);
}

void ipc_call_dead(struct ipc_call *c)
{
	atomic_store(&c->dead, 1);
	everybody(&c->host_bell);
	everybody(&c->target_bell);
}

void ipc_call_stop(struct ipc_call *c)
{
	atomic_store(&c->stop, 1);
	bell_ring(&c->target_bell, &c->target_waits);
}

void ipc_call_linger(struct ipc_call *c, uint32_t ms)
{
	atomic_store(&c->linger_ms, ms);
	bell_ring(&c->target_bell, &c->target_waits);
}
