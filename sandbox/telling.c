/* SPDX-License-Identifier: ISC */
/*
 * Owns what is told to hosts by targets' status sockets. Runs in the broker: the end on its first thread, the rest on lanes
 * and slow workers, too.
 *
 * The broker never waits for a host. What a target can bring about often (refusals, questions, that a call is answered) is
 * left out when the host has much unread, so that there is always room for what comes once: a crash, the violation that
 * kills. Its end is told in any case, as soon as there is room: a target must not hide how it ended behind a flood.
 */
#include "sandbox/role_broker.h"

#include "broker/zygote.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct parting {
	struct watch watch;
	int status;
	struct ended ended;
};

static int unread(const struct child *c)
{
	int bytes = 0;
	return ioctl(c->status, SIOCOUTQ, &bytes) < 0 ? 0 : bytes;
}

bool child_room(const struct child *c)
{
	int room = 0;
	socklen_t len = sizeof(room);
	return getsockopt(c->status, SOL_SOCKET, SO_SNDBUF, &room, &len) == 0 && unread(c) < room / 2;
}

void child_tell(struct child *c, enum message_type type, const void *data, size_t len)
{
	ipc_send(c->status, &(struct ipc_message){.type = type, .len = len, .data = data}, false);
}

/* A host that has anything to read looks at its calls when it reads that. */
void child_answered(void *arg, struct instance *i)
{
	struct child *c = arg;
	if (i) {
		pthread_mutex_lock(&i->telling);
		c = i->arg;
	}
	if (c && unread(c) == 0)
		child_tell(c, MESSAGE_ANSWERED, NULL, 0);
	if (i)
		pthread_mutex_unlock(&i->telling);
}

bool ended_tell(int status, const struct ended *ended)
{
	return ipc_send(status, &(struct ipc_message){.type = MESSAGE_ENDED, .len = sizeof(*ended), .data = ended},
		       false) != -EAGAIN;
}

void child_part(struct child *c, const struct ended *ended)
{
	struct parting *p = malloc(sizeof(*p));
	if (!p)
		return;
	*p = (struct parting){.watch = {.kind = WATCH_PARTING, .parting = p}, .status = c->status, .ended = *ended};
	epoll_ctl(me.epoll, EPOLL_CTL_DEL, c->status, NULL);
	c->status = -1;
	watch(p->status, EPOLLOUT, &p->watch);
}

void parting_again(struct parting *p)
{
	if (!ended_tell(p->status, &p->ended))
		return;
	unwatch(p->status);
	free(p);
}
