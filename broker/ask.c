/* SPDX-License-Identifier: ISC */
/*
 * Owns the questions to the host about addresses that no rule covers. Runs in the broker: slow workers ask and wait, the
 * first thread brings answers. A question is open until the host has answered it, whoever still waits: so there are never
 * more than OPEN of a family on their way to a host, however often the target asks and gives up. What it asks for while
 * that many are open, or by more threads than WAITERS, is refused at once: the family's other slow requests need workers,
 * too.
 */
#include "broker/names.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN 64
#define WAITERS 128
#define KEPT 256

enum { FREE, ASKED, REFUSED, ALLOWED };

struct asks {
	pthread_mutex_t lock;
	uint64_t last;
	unsigned waiters;
	struct open {
		_Atomic uint32_t state; /* futex word */
		unsigned waiters;
		uint64_t id;
		char key[ADDRESS_TEXT + 1];
	} open[OPEN];
	/* Rings: the oldest is forgotten, and asked for again. */
	char *kept[KEPT]; /* keys of what is allowed for as long as the target lives */
	uint64_t bound[KEPT]; /* cookies of sockets */
	size_t next_kept, next_bound;
};

static struct asks *asks_of(struct family *f)
{
	pthread_mutex_lock(&f->lock);
	if (!f->asks && (f->asks = calloc(1, sizeof(*f->asks))) != NULL)
		pthread_mutex_init(&f->asks->lock, NULL);
	pthread_mutex_unlock(&f->lock);
	return f->asks;
}

void ask_stop(struct family *f)
{
	for (size_t i = 0; f->asks && i < KEPT; i++)
		free(f->asks->kept[i]);
	free(f->asks);
	f->asks = NULL;
}

/* Under the lock, as all that follows. */
static bool kept(const struct asks *a, const char *key)
{
	for (size_t i = 0; i < KEPT && a->kept[i]; i++)
		if (strcmp(a->kept[i], key) == 0)
			return true;
	return false;
}

static void keep(struct asks *a, const char *key)
{
	char *copy = kept(a, key) ? NULL : strdup(key);
	if (!copy)
		return;
	free(a->kept[a->next_kept]);
	a->kept[a->next_kept] = copy;
	a->next_kept = (a->next_kept + 1) % KEPT;
}

/* The same question, still unanswered; else one that is free; else NULL. */
static struct open *open_find(struct asks *a, const char *key)
{
	struct open *empty = NULL;
	for (struct open *o = a->open; o < a->open + OPEN; o++) {
		if (o->state == ASKED && strcmp(o->key, key) == 0)
			return o;
		if (!empty && o->state == FREE)
			empty = o;
	}
	return empty;
}

static int await(struct request *r, struct asks *a, struct open *o)
{
	bool over = false;
	o->waiters++;
	a->waiters++;
	while (o->state == ASKED && !over) {
		pthread_mutex_unlock(&a->lock);
		/* WAKE_SIGNAL comes again and again to one whose caller is gone or has a signal; one may be left from before. */
		if (syscall(SYS_futex, &o->state, FUTEX_WAIT_PRIVATE, ASKED, NULL, NULL, 0) < 0 && errno == EINTR)
			over = atomic_load(&r->family->stopping) || !request_alive(r) || request_signalled(r);
		pthread_mutex_lock(&a->lock);
	}
	const uint32_t state = o->state;
	a->waiters--;
	if (--o->waiters == 0 && state != ASKED)
		o->state = FREE;
	return state == ASKED ? -EINTR : state == ALLOWED ? 0 : -EACCES;
}

static int ask(struct request *r, struct asks *a, const char *key, struct question *q)
{
	struct open *o = a->waiters < WAITERS ? open_find(a, key) : NULL;
	if (!o || !r->slow)
		return o ? DECIDED_LATER : -EACCES;
	if (o->state == FREE) {
		q->id = ++a->last;
		if (!r->family->on_ask(r->family->arg, q))
			return -EACCES;
		o->id = q->id;
		strcpy(o->key, key);
		o->state = ASKED;
	}
	return await(r, a, o);
}

static int by_host(struct request *r, bool bind)
{
	struct asks *a = r->family->on_ask && !r->unasked ? asks_of(r->family) : NULL;
	struct question q = {.bind = bind};
	char key[sizeof(a->open->key)];
	if (!a)
		return -EACCES;
	snprintf(key, sizeof(key), "%c%s", bind ? 'b' : 'c', r->address);
	if (r->slow) {
		const char *exe = r->state->exe ? r->state->exe : r->family->broker->exe;
		q.pid = request_process(r);
		snprintf(q.address, sizeof(q.address), "%s", r->address);
		if (exe && strlen(exe) < sizeof(q.program))
			decode_escape(q.program, sizeof(q.program), exe);
	}
	pthread_mutex_lock(&a->lock);
	int e = kept(a, key) ? 0 : ask(r, a, key, &q);
	pthread_mutex_unlock(&a->lock);
	if (e == 0)
		r->decided = "asked";
	return e;
}

int ask_judge(struct request *r, const struct contact *to)
{
	return by_host(r, to->bind);
}

void ask_answer(struct family *f, uint64_t id, uint32_t decision)
{
	pthread_mutex_lock(&f->lock);
	struct asks *a = f->asks; /* made before anything was asked */
	pthread_mutex_unlock(&f->lock);
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	for (struct open *o = a->open; o < a->open + OPEN; o++) {
		if (o->state != ASKED || o->id != id)
			continue;
		if (decision == DECISION_TARGET)
			keep(a, o->key);
		const bool yes = decision == DECISION_TARGET || decision == DECISION_ONCE;
		o->state = !o->waiters ? FREE : yes ? ALLOWED : REFUSED;
		syscall(SYS_futex, &o->state, FUTEX_WAKE_PRIVATE, WAITERS, NULL, NULL, 0);
	}
	pthread_mutex_unlock(&a->lock);
}

/* ---- sockets that were bound by an answer: to listen is part of it ---- */

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ? 0 : cookie;
}

void ask_bound(struct request *r, int fd)
{
	struct asks *a = r->family->on_ask ? asks_of(r->family) : NULL;
	const uint64_t cookie = cookie_of(fd);
	if (!a || !cookie)
		return;
	pthread_mutex_lock(&a->lock);
	a->bound[a->next_bound] = cookie;
	a->next_bound = (a->next_bound + 1) % KEPT;
	pthread_mutex_unlock(&a->lock);
}

bool ask_has_bound(struct request *r, int fd)
{
	struct asks *a = r->family->on_ask ? asks_of(r->family) : NULL;
	const uint64_t cookie = cookie_of(fd);
	bool found = false;
	if (!a || !cookie)
		return false;
	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < KEPT && !found; i++)
		found = a->bound[i] == cookie;
	pthread_mutex_unlock(&a->lock);
	if (found)
		r->decided = "asked";
	return found;
}
