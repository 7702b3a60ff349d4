/* SPDX-License-Identifier: ISC */
/* Owns the targets that are forks of a zygote: what the host asks for, and their end. Runs in the broker, on its first
 * thread; the reports on a lane's. */
#include "sandbox/role_broker.h"

#include "broker/zygote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

void fork_start(struct child *zygote, struct ipc_message *m)
{
	enum { STATUS, CALL };
	struct child *c = m->fd_count == 2 ? calloc(1, sizeof(*c)) : NULL;
	void *call;
	if (!c)
		return; /* the host sees its status socket closed */
	*c = (struct child){.zygote = zygote,
		.status = m->fds[STATUS],
		.init_socket = -1,
		.init_pidfd = -1,
		.err = -1,
		.core = -1,
		.cwd = -1,
		.told = true,
		.deadline = -1,
		.again = -1};
	m->fds[STATUS] = -1;
	if (ipc_map(m->fds[CALL], sizeof(struct ipc_call), true, &call) == 0)
		c->call = call;
	lends_prepare(c);
	int fd = m->fds[CALL];
	m->fds[CALL] = -1;
	if (zygote->family_runs && c->call)
		c->instance = zygote_fork(&zygote->family, fd, c);
	else
		close(fd);
	if (!c->instance) {
		if (c->call)
			munmap(c->call, sizeof(*c->call));
		close(c->status);
		lends_stop(c);
		free(c);
		return;
	}
	c->next = me.children;
	me.children = c;
	c->status_watch = (struct watch){.kind = WATCH_STATUS, .child = c};
	watch(c->status, EPOLLIN, &c->status_watch);
}

void fork_ended(struct child *zygote, const struct end *end)
{
	struct child *c = me.children;
	if (!zygote->family_runs)
		return;
	/* Either it has begun, or it never will. */
	pthread_mutex_lock(&zygote->family.zygote->lock);
	while (c && !(c->zygote == zygote && atomic_load(&c->instance->pid_inside) == end->pid))
		c = c->next;
	if (!c)
		zygote_lost(&zygote->family, end->pid);
	pthread_mutex_unlock(&zygote->family.zygote->lock);
	if (c) {
		c->end = *end;
		c->seen = true;
		child_finish(c);
	}
}

void forks_gone(struct child *zygote)
{
	for (struct child *c = me.children, *next; c; c = next) {
		next = c->next;
		if (c->zygote == zygote)
			child_finish(c);
	}
}

/* Its line goes where the zygote's would. */
void fork_report(void *arg, const struct report *r)
{
	struct child *zygote = arg;
	struct instance *i = r->instance;
	if (r->line && zygote->err >= 0)
		line_write(zygote->err, r->line, LINE_MS);
	if (!i) { /* the zygote's own, while it prepares */
		child_report(zygote, r);
		return;
	}
	pthread_mutex_lock(&i->telling);
	if (i->arg)
		child_report(i->arg, r);
	pthread_mutex_unlock(&i->telling);
}

void fork_crash(void *arg, struct instance *i, const struct crash *crash)
{
	if (!i) { /* the zygote, while it prepares */
		child_crash(arg, crash);
		return;
	}
	pthread_mutex_lock(&i->telling);
	if (i->arg)
		child_crash(i->arg, crash);
	pthread_mutex_unlock(&i->telling);
}

void fork_barren(struct instance *i, int error)
{
	struct outcome o;
	outcome_set(&o, -error, 0, "the zygote cannot be forked");
	pthread_mutex_lock(&i->telling);
	if (i->arg)
		child_tell(i->arg, MESSAGE_STARTED, &o, sizeof(o));
	pthread_mutex_unlock(&i->telling);
}

void forks_ready(void *arg)
{
	child_started(arg, 0, "");
}
