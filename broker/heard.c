/* SPDX-License-Identifier: ISC */
/*
 * Owns who sent datagrams to sockets that rules let be bound. A server answers whoever asks, as a TCP server does by
 * accept(); a rule for each client that may come would be a rule for everybody. So who was received from, by this very socket,
 * may be answered by it. Runs in the broker, on lanes and slow workers.
 */
#include "broker/socket.h"
#include "broker/zygote.h"

#include <stdlib.h>
#include <string.h>

#define HEARD 512 /* of a family, and of each fork of a zygote: a ring, the oldest go */

struct heard {
	size_t next;
	struct sender {
		uint64_t cookie; /* of the socket; no other ever has it */
		uint8_t ip[16];
		uint16_t port;
	} senders[HEARD];
};

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ? 0 : cookie;
}

/* Whether any rule lets datagram sockets be bound, and the addresses of those who are answered are judged at all. */
static bool serves(const struct policy *p)
{
	for (size_t i = 0; i < p->address_count && !p->any_address; i++)
		if (p->addresses[i].kind == ADDRESS_UDP && p->addresses[i].bind)
			return true;
	return false;
}

static bool is_udp(const struct endpoint *s)
{
	return (s->domain == AF_INET || s->domain == AF_INET6) && s->type == SOCK_DGRAM && s->protocol == IPPROTO_UDP;
}

bool heard_matters(const struct request *r, int number)
{
	struct endpoint s;
	if (!serves(policy_of(r)) || endpoint_open(r, number, &s) < 0)
		return false;
	bool is = is_udp(&s);
	endpoint_close(&s);
	return is;
}

static const struct sender *find(const struct heard *h, const struct sender *s)
{
	for (size_t i = 0; i < HEARD; i++)
		if (h->senders[i].cookie == s->cookie && h->senders[i].port == s->port &&
			memcmp(h->senders[i].ip, s->ip, sizeof(s->ip)) == 0)
			return &h->senders[i];
	return NULL;
}

void heard_note(struct request *r, const struct endpoint *s, const void *from, socklen_t len)
{
	struct family *f = r->family;
	const struct sockaddr_in *v4 = from;
	const struct sockaddr_in6 *v6 = from;
	struct sender sender = {.ip = {[10] = 0xff, [11] = 0xff}};
	if (!from || !serves(policy_of(r)) || !is_udp(s) || len < sizeof(*v4) || !(sender.cookie = cookie_of(s->fd)))
		return;
	if (v4->sin_family == AF_INET)
		memcpy(sender.ip + 12, &v4->sin_addr, 4);
	else if (len >= sizeof(*v6))
		memcpy(sender.ip, &v6->sin6_addr, 16);
	sender.port = ntohs(v4->sin_port); /* where v6 has it, too */
	pthread_mutex_lock(&f->lock);
	/* Its own, so that no fork can have another's forgotten. */
	struct heard **h = r->state->instance ? &r->state->instance->heard : &f->heard;
	if (!*h)
		*h = calloc(1, sizeof(**h));
	if (*h && !find(*h, &sender))
		(*h)->senders[(*h)->next++ % HEARD] = sender;
	pthread_mutex_unlock(&f->lock);
}

bool heard_from(const struct request *r, const struct endpoint *s, const uint8_t ip[16], uint16_t port)
{
	struct family *f = r->family;
	struct sender sender = {.port = port};
	if (!(sender.cookie = cookie_of(s->fd)))
		return false;
	memcpy(sender.ip, ip, sizeof(sender.ip));
	pthread_mutex_lock(&f->lock);
	/* What a fork of a zygote has of it, the zygote heard. */
	const struct heard *own = r->state->instance ? r->state->instance->heard : NULL;
	bool found = (own && find(own, &sender)) || (f->heard && find(f->heard, &sender));
	pthread_mutex_unlock(&f->lock);
	return found;
}

void heard_stop(struct family *f)
{
	free(f->heard);
	f->heard = NULL;
}
