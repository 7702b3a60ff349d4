/* SPDX-License-Identifier: ISC */
/*
 * Owns the count of bytes for the limit traffic. Runs in the broker, on its first thread, and on lanes and slow workers where
 * a connection begins.
 *
 * Data goes past the broker, and it must not hold on to its targets' sockets, whose end their peers would never see. But the
 * kernel counts what each TCP connection has sent and received, and tells anybody (NETLINK_SOCK_DIAG) who knows its
 * addresses; it also tells of each socket that is destroyed, with its last count. So the broker remembers which ones were
 * connected or listen, by the cookie that no other socket ever has, asks for their counts ten times a second, and adds what
 * they had at their end. What was accepted is found by the port of who listened. Datagrams that the broker sends itself are
 * counted as they go; the kernel counts none that a target sends on a connected socket or receives.
 */
#include "broker/limits.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LOOK_NS (SECOND / 10)
#define SHARE 50 /* to look takes at most this part of the time */
#define MISSED_MAX 10 /* a closed socket's last bytes leave a while after it, and then its end is told */
#define STATES                                                                                                         \
	(1u << TCP_ESTABLISHED | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT |                    \
		1u << TCP_LAST_ACK | 1u << TCP_LISTEN | 1u << TCP_CLOSING)
/* As in net/tcp_states.h; <netinet/tcp.h> has them and contradicts <linux/tcp.h>. */
enum {
	TCP_ESTABLISHED = 1,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING
};

static const uint32_t unspecified[4];

struct watched {
	struct watched *next;
	struct family *family;
	uint64_t cookie;
	struct inet_diag_sockid id;
	uint8_t domain, missed;
	bool listens;
	uint64_t bytes; /* counted so far */
};

static uint64_t bytes_of(const struct tcp_info *info)
{
	return info->tcpi_bytes_sent + info->tcpi_bytes_received;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	return cookie;
}

static struct watched **find(struct limits *l, uint64_t cookie)
{
	struct watched **w = &l->watched[cookie % HASH];
	while (*w && (*w)->cookie != cookie)
		w = &(*w)->next;
	return w;
}

/* The kernel's count is of one connection: it begins anew with the next one on the same socket. */
static void count_up(struct watched *w, uint64_t bytes)
{
	w->missed = 0;
	limits_charge(w->family, bytes >= w->bytes ? bytes - w->bytes : bytes);
	w->bytes = bytes;
}

/* Of a socket that is at hand: before it is connected anew, and after. Under the lock. */
static void count_now(struct limits *l, int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	struct watched *w = *find(l, cookie_of(fd));
	if (w && !w->listens && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
		count_up(w, bytes_of(&info));
}

/* ---- bytes: what is watched ---- */

static void wake(struct limits *l)
{
	const struct itimerspec often = {{0, LOOK_NS}, {0, LOOK_NS}};
	if (l->awake)
		return;
	l->awake = true;
	for (int group = SKNLGRP_INET_TCP_DESTROY; group <= SKNLGRP_INET6_TCP_DESTROY; group += 2)
		setsockopt(l->events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group));
	timerfd_settime(l->timer, 0, &often, NULL);
}

static void watch_socket(struct limits *l, const struct watched *new)
{
	struct watched **at = find(l, new->cookie), *w = *at;
	if (!w) {
		w = malloc(sizeof(*w));
		if (!w)
			return;
		*w = *new;
		w->next = NULL;
		*at = w;
		l->count++;
	}
	w->family = new->family;
	w->id = new->id;
	w->listens = new->listens;
	w->missed = 0;
	wake(l);
}

static void forget(struct limits *l, struct watched **at)
{
	struct watched *w = *at;
	*at = w->next;
	l->count--;
	free(w);
}

static void id_fill(const struct sockaddr_in6 *a, __be16 *port, __be32 ip[4])
{
	*port = a->sin6_port; /* in the same place in both */
	if (a->sin6_family == AF_INET6)
		memcpy(ip, &a->sin6_addr, 16);
	else
		memcpy(ip, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
}

void traffic_watch(struct family *f, const struct endpoint *s, const struct name *to)
{
	struct sockaddr_in6 own = {0}, peer = {0};
	socklen_t own_len = sizeof(own), peer_len = sizeof(peer);
	struct watched w = {.family = f, .domain = (uint8_t)s->domain, .listens = !to};
	if (getsockname(s->fd, (struct sockaddr *)&own, &own_len) < 0 || !own.sin6_port)
		return;
	w.cookie = cookie_of(s->fd);
	id_fill(&own, &w.id.idiag_sport, w.id.idiag_src);
	memcpy(w.id.idiag_cookie, &w.cookie, sizeof(w.cookie));
	/* While it is being connected it has no peer to ask for. */
	if (to && getpeername(s->fd, (struct sockaddr *)&peer, &peer_len) < 0)
		peer = to->to.v6;
	if (to)
		id_fill(&peer, &w.id.idiag_dport, w.id.idiag_dst);
	if (to && memcmp(w.id.idiag_dst, unspecified, sizeof(unspecified)) == 0)
		memcpy(w.id.idiag_dst, w.id.idiag_src, sizeof(w.id.idiag_dst));
	if (own.sin6_family == AF_INET6)
		w.id.idiag_if = own.sin6_scope_id;
	struct limits *l = f->broker->limits;
	pthread_mutex_lock(&l->lock);
	watch_socket(l, &w);
	count_now(l, s->fd);
	pthread_mutex_unlock(&l->lock);
}

/* ---- bytes: asking for them ---- */

struct answer_of_diag {
	struct nlmsghdr header;
	struct inet_diag_msg message;
};

/* The count that an answer or event has; false when it has none. */
static bool count_in(const struct nlmsghdr *h, uint64_t *bytes)
{
	struct tcp_info info;
	size_t left = h->nlmsg_len - sizeof(struct answer_of_diag);
	const char *at = (const char *)h + sizeof(struct answer_of_diag);
	struct nlattr a;
	for (; left >= sizeof(a); at += NLA_ALIGN(a.nla_len), left -= NLA_ALIGN(a.nla_len)) {
		memcpy(&a, at, sizeof(a));
		if (a.nla_len < sizeof(a) || (size_t)NLA_ALIGN(a.nla_len) > left)
			return false;
		size_t len = a.nla_len - sizeof(a);
		if (a.nla_type != INET_DIAG_INFO)
			continue;
		memset(&info, 0, sizeof(info));
		memcpy(&info, at + sizeof(a), len < sizeof(info) ? len : sizeof(info));
		*bytes = bytes_of(&info);
		return true;
	}
	return false;
}

/* Who listens where this connection came in. */
static const struct watched *listener_of(const struct limits *l, const struct inet_diag_msg *m)
{
	for (size_t i = 0; i < HASH; i++)
		for (const struct watched *w = l->watched[i]; w; w = w->next)
			if (w->listens && w->domain == m->idiag_family && w->id.idiag_sport == m->id.idiag_sport &&
				(memcmp(w->id.idiag_src, unspecified, sizeof(unspecified)) == 0 ||
					memcmp(w->id.idiag_src, m->id.idiag_src, sizeof(unspecified)) == 0))
				return w;
	return NULL;
}

/* What an answer (ended: an event) says of a socket. Under the lock. */
static void take_in(struct limits *l, const struct nlmsghdr *h, bool ended)
{
	const struct answer_of_diag *a = (const struct answer_of_diag *)(const void *)h;
	uint64_t cookie, bytes;
	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || h->nlmsg_len < sizeof(*a) || !count_in(h, &bytes))
		return;
	memcpy(&cookie, a->message.id.idiag_cookie, sizeof(cookie));
	struct watched **w = find(l, cookie);
	const struct watched *listener = *w ? NULL : listener_of(l, &a->message);
	if (listener) {
		struct watched new = {.family = listener->family,
			.cookie = cookie,
			.id = a->message.id,
			.domain = a->message.idiag_family};
		watch_socket(l, &new);
		w = find(l, cookie);
	}
	if (!*w)
		return;
	count_up(*w, (*w)->listens ? 0 : bytes);
	if (ended && !(*w)->listens)
		forget(l, w);
}

/* Everything that waits on the socket. Under the lock. */
static void read_all(struct limits *l, int fd, bool ended)
{
	_Alignas(struct nlmsghdr) char buffer[16384];
	ssize_t n;
	/* The kernel has answered when send() returns. What it had no room to tell of (ENOBUFS) is found by looking. */
	while ((n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0 || (n < 0 && errno == ENOBUFS)) {
		size_t left = n > 0 ? (size_t)n : 0, len;
		for (const char *at = buffer; left >= sizeof(struct nlmsghdr); at += len, left -= len) {
			const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)at;
			len = NLMSG_ALIGN((size_t)h->nlmsg_len);
			if (h->nlmsg_len < sizeof(*h) || len > left)
				break;
			take_in(l, h, ended);
		}
	}
}

/* About w itself; or, of who listens, about all that use its port: a lookup would give any of those that share it. */
static int question_send(const struct limits *l, const struct watched *w)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 what;
	} q = {
		.header = {.nlmsg_len = sizeof(q),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | (w->listens ? NLM_F_DUMP : 0)},
		.what = {.sdiag_family = w->domain,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_ext = 1 << (INET_DIAG_INFO - 1),
			.idiag_states = STATES,
			.id = w->id},
	};
	return send(l->query, &q, sizeof(q), MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* One hash chain. Who listens is asked first about what he accepted, and has said himself that he is still there. */
static void look_at(struct limits *l, struct watched **chain, bool listens)
{
	for (struct watched **at = chain, *w; (w = *at) != NULL;) {
		struct watched asked = *w;
		bool gone = false;
		if (w->listens == listens) {
			w->missed++;
			if (question_send(l, &asked) == 0)
				read_all(l, l->query, false);
			gone = w->missed > (listens ? 0 : MISSED_MAX);
		}
		if (gone)
			forget(l, at);
		else
			at = &w->next;
	}
}

bool limits_look(struct broker *b)
{
	struct limits *l = b->limits;
	uint64_t times, began = limits_now();
	pthread_mutex_lock(&l->lock);
	read_all(l, l->events, true);
	if (read(l->timer, &times, sizeof(times)) != sizeof(times)) {
		pthread_mutex_unlock(&l->lock);
		return true;
	}
	/* Lanes wait for the lock no longer than a part of it takes. */
	for (size_t i = 0; i < 2 * HASH; i++) {
		look_at(l, &l->watched[i % HASH], i < HASH);
		pthread_mutex_unlock(&l->lock);
		pthread_mutex_lock(&l->lock);
	}
	uint64_t took = (limits_now() - began) * SHARE, wait = took > LOOK_NS ? took : LOOK_NS;
	const struct itimerspec again = {{0, LOOK_NS}, {(time_t)(wait / SECOND), (long)(wait % SECOND)}};
	timerfd_settime(l->timer, 0, &again, NULL);
	bool any = l->count > 0;
	pthread_mutex_unlock(&l->lock);
	return any;
}

void limits_wake(struct broker *b)
{
	if (!b->limits || b->limits->timer < 0)
		return;
	pthread_mutex_lock(&b->limits->lock);
	wake(b->limits);
	pthread_mutex_unlock(&b->limits->lock);
}

void limits_rest(struct broker *b)
{
	struct limits *l = b->limits;
	pthread_mutex_lock(&l->lock);
	if (!l->count) {
		const struct itimerspec never = {0};
		timerfd_settime(l->timer, 0, &never, NULL);
		for (int group = SKNLGRP_INET_TCP_DESTROY; group <= SKNLGRP_INET6_TCP_DESTROY; group += 2)
			setsockopt(l->events, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof(group));
		l->awake = false;
	}
	pthread_mutex_unlock(&l->lock);
}

int limits_descriptors(const struct broker *b, int fds[2])
{
	if (!b->limits || b->limits->timer < 0)
		return 0;
	fds[0] = b->limits->timer;
	fds[1] = b->limits->events;
	return 2;
}

/* Whether the kernel tells of TCP sockets: the part that does may be missing, or a module that cannot be loaded. Asked for
 * who listens on a port where nobody does, it says that this was all; or that there is no such thing. */
static bool tells(struct limits *l)
{
	struct {
		struct nlmsghdr header;
		int32_t error;
	} end = {.error = -1};
	struct watched w = {.domain = AF_INET, .listens = true, .id.idiag_sport = htons(1)};
	question_send(l, &w);
	ssize_t n = recv(l->query, &end, sizeof(end), MSG_DONTWAIT);
	read_all(l, l->query, false);
	if (n > 0 && end.header.nlmsg_type == SOCK_DIAG_BY_FAMILY)
		return true; /* somebody does */
	return n >= (ssize_t)sizeof(end) && end.header.nlmsg_type == NLMSG_DONE && end.error == 0;
}

int traffic_start(struct limits *l)
{
	const int room = 4 << 20;
	/* Who has no number yet is taken for the kernel, and told nothing. */
	const struct sockaddr_nl own = {.nl_family = AF_NETLINK};
	l->events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	l->query = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->events < 0 || l->query < 0 || l->timer < 0 ||
		bind(l->events, (const struct sockaddr *)&own, sizeof(own)) < 0 || !tells(l))
		return -EOPNOTSUPP;
	if (setsockopt(l->events, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		setsockopt(l->events, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return 0;
}

void traffic_forget(const struct family *f)
{
	struct limits *l = f->broker->limits;
	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < HASH; i++)
		for (struct watched **w = &l->watched[i]; *w;) {
			if ((*w)->family == f)
				forget(l, w);
			else
				w = &(*w)->next;
		}
	pthread_mutex_unlock(&l->lock);
}

void traffic_count(struct limits *l, int fd)
{
	pthread_mutex_lock(&l->lock);
	count_now(l, fd);
	pthread_mutex_unlock(&l->lock);
}
