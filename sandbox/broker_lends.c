/* SPDX-License-Identifier: ISC */
/*
 * Owns what a host lends its targets until they ask for it: descriptors of its buffers (sandbox/buffer.c), each given once
 * and to the one target that it came for, by whose status socket it came. Runs in the broker: what the host sends on its
 * first thread, what the target asks on the lane.
 */
#include "sandbox/role_broker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lends {
	struct {
		uint64_t id;
		int fd; /* -1: given already, or none */
	} slots[LEND_SLOTS];
};

void lends_prepare(struct child *c)
{
	pthread_mutex_init(&c->taking, NULL);
}

void lends_stop(struct child *c)
{
	for (unsigned i = 0; c->lends && i < LEND_SLOTS; i++)
		if (c->lends->slots[i].fd >= 0)
			close(c->lends->slots[i].fd);
	free(c->lends);
	pthread_mutex_destroy(&c->taking);
}

/* Under taking. */
static struct lends *lends_of(struct child *c)
{
	if (c->lends)
		return c->lends;
	c->lends = calloc(1, sizeof(*c->lends));
	for (unsigned i = 0; c->lends && i < LEND_SLOTS; i++)
		c->lends->slots[i].fd = -1;
	return c->lends;
}

/* Under taking. */
static void lend_take(struct child *c, struct ipc_message *m)
{
	struct lent lent;
	struct lends *l = m->len == sizeof(lent) ? lends_of(c) : NULL;
	if (l) {
		memcpy(&lent, m->data, sizeof(lent));
		unsigned i = LEND_SLOT(lent.id);
		if (l->slots[i].fd >= 0)
			close(l->slots[i].fd);
		l->slots[i].id = lent.id;
		l->slots[i].fd = m->fd_count ? m->fds[0] : -1;
		m->fds[0] = -1;
	}
	ipc_message_close(m);
}

int lends_recv(struct child *c, struct ipc_message *m)
{
	/* A host that is a target itself passes no descriptors this way. */
	const size_t fds = c->forks ? 2 : me.nested ? 0 : 1;
	pthread_mutex_lock(&c->taking);
	int r = ipc_recv(c->status, me.buffer, sizeof(me.buffer), fds, m, false);
	if (r == 1 && m->type == MESSAGE_LEND && !me.nested) {
		lend_take(c, m);
		r = -EAGAIN; /* nothing more to be done for it */
	}
	pthread_mutex_unlock(&c->taking);
	return r;
}

/* The host has sent before it called, but this process' first thread may not have been there yet. */
static int lend_find(struct child *c, uint64_t id)
{
	char buffer[256];
	struct ipc_message m;
	for (;;) {
		unsigned i = LEND_SLOT(id);
		if (c->lends && c->lends->slots[i].id == id && c->lends->slots[i].fd >= 0) {
			int fd = c->lends->slots[i].fd;
			c->lends->slots[i].fd = -1;
			return fd;
		}
		if (me.nested || !ipc_waits(c->status, MESSAGE_LEND))
			break;
		if (ipc_recv(c->status, buffer, sizeof(buffer), 1, &m, false) == 1)
			lend_take(c, &m);
	}
	struct pollfd p = {.fd = c->status, .events = POLLIN};
	/* Behind something that the first thread is about to take. */
	return !me.nested && poll(&p, 1, 0) == 1 && (p.revents & POLLIN) && !(p.revents & POLLHUP) ? -EAGAIN : -ENOENT;
}

int lends_attach(void *arg, uint64_t id)
{
	struct child *c = arg;
	pthread_mutex_lock(&c->taking);
	int fd = lend_find(c, id);
	pthread_mutex_unlock(&c->taking);
	return fd;
}
