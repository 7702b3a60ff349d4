/* SPDX-License-Identifier: ISC */
/*
 * Owns the limits about sockets: connections a second, and what becomes of the bytes that traffic.c counts. Runs in the
 * broker, on lanes and slow workers where something begins, and on its first thread.
 */
#include "broker/limits.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

uint64_t limits_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* ---- connections a second ---- */

/* Each takes an nth of a second of a line that may be a second long: at most n at once, and n a second. */
static bool on_time(struct ration *a)
{
	if (a->connects == LIMIT_NONE)
		return true;
	if (a->connects == 0)
		return false;
	const uint64_t now = limits_now(), each = SECOND / a->connects;
	uint64_t due = atomic_load(&a->due), from;
	do {
		from = due > now ? due : now;
		if (from + each - now > SECOND)
			return false;
	} while (!atomic_compare_exchange_weak(&a->due, &due, from + each));
	return true;
}

/* Where datagrams went lately, and (note) go now. */
static bool known(struct family *f, const struct name *to, bool note)
{
	struct recent r = {.used = 1, .port = to->to.v6.sin6_port};
	if (to->to.any.sa_family == AF_INET6)
		memcpy(r.ip, &to->to.v6.sin6_addr, 16);
	else
		memcpy(r.ip, &to->to.v4.sin_addr, 4);
	bool found = false;
	struct budget *b = f->budget;
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < RECENT && !found; i++)
		found = memcmp(&b->recent[i], &r, sizeof(r)) == 0;
	if (!found && note)
		b->recent[b->next++ % RECENT] = r;
	pthread_mutex_unlock(&f->lock);
	return found;
}

void limits_charge(const struct family *f, uint64_t bytes)
{
	for (size_t i = 0; i < f->budget->count; i++)
		atomic_fetch_add(&f->budget->rations[i]->bytes, bytes);
}

static bool is_internet(const struct endpoint *s)
{
	return s->domain == AF_INET || s->domain == AF_INET6;
}

int limits_begin(struct request *r, const struct endpoint *s, const struct name *to)
{
	struct family *f = r->family;
	struct budget *b = f->budget;
	if (!b || (!is_internet(s) && s->domain != AF_UNIX))
		return 0;
	const bool sends = r->op && r->op->handle == op_send;
	if (!sends && b->bytes && s->protocol == IPPROTO_TCP)
		traffic_count(f->broker->limits, s->fd);
	if (!to->len || to->to.any.sa_family == AF_UNSPEC || (sends && s->type != SOCK_DGRAM) || !b->why[0])
		return 0;
	const bool datagram = sends && is_internet(s);
	if (datagram && known(f, to, false))
		return 0;
	for (size_t i = 0; i < b->count; i++) {
		if (on_time(b->rations[i]))
			continue;
		r->why = b->why;
		return -EAGAIN;
	}
	if (datagram)
		known(f, to, true);
	return 0;
}

void limits_done(struct request *r, const struct endpoint *s, const struct name *to, ssize_t bytes)
{
	struct family *f = r->family;
	if (!f->budget || !f->budget->bytes || !is_internet(s))
		return;
	if (bytes > 0 && s->type == SOCK_DGRAM) {
		limits_charge(f, (uint64_t)bytes);
		if (limits_over(f))
			limits_wake(f->broker);
	}
	if (r->op->handle != op_send && s->protocol == IPPROTO_TCP)
		traffic_watch(f, s, to);
}

bool limits_over(const struct family *f)
{
	for (size_t i = 0; f->budget && i < f->budget->count; i++)
		if (atomic_load(&f->budget->rations[i]->bytes) > f->budget->rations[i]->traffic)
			return true;
	return false;
}

/* ---- beginnings and ends ---- */

int limits_start(struct broker *b, const struct budget *outer)
{
	const struct policy *p = broker_policy(b);
	bool bytes = p->limits[LIMIT_TRAFFIC] != LIMIT_NONE || (outer && outer->bytes);
	if (!needs_network(p, promises_all(p)) || (!outer && !bytes && p->limits[LIMIT_CONNECTS] == LIMIT_NONE))
		return 0;
	/* In place its processes are found there, to be ended. */
	if (bytes && b->in_place && b->proc < 0)
		return -EOPNOTSUPP;
	struct limits *l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->events = l->query = l->timer = -1;
	pthread_mutex_init(&l->lock, NULL);
	for (size_t i = 0; outer && i < outer->count && i < OUTER_MAX; i++)
		l->outer[l->outer_count++] = outer->rations[i];
	b->limits = l;
	return bytes ? traffic_start(l) : 0;
}

void limits_forget(struct broker *b)
{
	b->limits = NULL; /* its descriptors are closed with all others; the lock may be a lane's */
}

int budget_start(struct family *f)
{
	const struct limits *l = f->broker->limits;
	const struct policy *p = broker_policy(f->broker);
	if (!l)
		return 0;
	struct budget *b = calloc(1, sizeof(*b));
	void *page = mmap(NULL, sizeof(struct ration), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!b || page == MAP_FAILED) {
		free(b);
		return -ENOMEM;
	}
	b->rations[b->count++] = page;
	b->rations[0]->connects = p->limits[LIMIT_CONNECTS];
	b->rations[0]->traffic = p->limits[LIMIT_TRAFFIC];
	for (size_t i = 0; i < l->outer_count; i++)
		b->rations[b->count++] = l->outer[i];
	uint64_t least = LIMIT_NONE;
	for (size_t i = 0; i < b->count; i++) {
		b->bytes |= b->rations[i]->traffic != LIMIT_NONE;
		if (b->rations[i]->connects < least)
			least = b->rations[i]->connects;
	}
	if (least != LIMIT_NONE)
		snprintf(b->why, sizeof(b->why), "limit connects %llu", (unsigned long long)least);
	f->budget = b;
	return 0;
}

void budget_stop(struct family *f)
{
	if (!f->budget)
		return;
	traffic_forget(f);
	munmap(f->budget->rations[0], sizeof(struct ration));
	free(f->budget);
	f->budget = NULL;
}
