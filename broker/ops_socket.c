/* SPDX-License-Identifier: ISC */
/*
 * Owns socket, connect, bind and listen. Runs in the broker. The address is copied once, judged, and used on the caller's
 * own socket, of which the broker has a descriptor for as long as that takes: so every later state and error of the socket
 * is the kernel's. What may wait does so on a slow worker, and ends with its caller.
 */
#include "broker/carrier.h"
#include "broker/limits.h"
#include "broker/names.h"
#include "broker/socket.h"
#include "policy/promises.h"
#include "ipc/ipc.h"

#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const struct answer go_on = {.kind = ANSWER_CONTINUE, .fd = -1};

/* ---- what is shared ---- */

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);
	return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

int endpoint_open(const struct request *r, int number, struct endpoint *s)
{
	*s = (struct endpoint){.fd = memory_dup_fd(r, number)};
	if (s->fd < 0)
		return s->fd;
	int flags = fcntl(s->fd, F_GETFL);
	s->domain = option(s->fd, SOL_SOCKET, SO_DOMAIN);
	s->type = option(s->fd, SOL_SOCKET, SO_TYPE);
	s->protocol = option(s->fd, SOL_SOCKET, SO_PROTOCOL);
	s->waits = flags >= 0 && !(flags & O_NONBLOCK);
	int e = s->domain < 0 ? s->domain : s->type < 0 ? s->type : 0;
	if (e < 0)
		endpoint_close(s);
	return e;
}

void endpoint_close(struct endpoint *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

bool endpoint_times_out(const struct endpoint *s, int name)
{
	struct timeval t = {0, 0};
	socklen_t len = sizeof(t);
	return getsockopt(s->fd, SOL_SOCKET, name, &t, &len) == 0 && (t.tv_sec || t.tv_usec);
}

int job_allowed_still(struct request *r, const struct job *j, enum use use)
{
	struct state *asked = r->state, *now = state_of(r->family, r->tid);
	struct name again = j->asked;
	const struct address *rule = r->rule; /* of a policy that r holds */
	int e = now ? 0 : -EPERM;
	if (now && now->narrowed != asked->narrowed) {
		r->state = now;
		e = name_allow(r, &j->s, &again, use);
		r->state = asked;
		r->rule = rule;
		r->unveiled = NULL;
		name_close(&again);
	}
	state_release(r->family, now);
	return e;
}

/* ---- socket: by registers alone ---- */

/* Whether it is this broker that makes the socket. Its targets' own network is empty; abstract names are the network's,
 * too. Questions to the kernel about it (getifaddrs) get a socket that hears the answers to those alone. */
static bool made_here(const struct request *r, int domain)
{
	const struct broker *b = r->family->broker;
	/* libc's to ask for the number of an interface, which are the broker's network's, too. */
	if (b->makes_sockets && domain == AF_UNIX && (int)r->args[1] == (SOCK_DGRAM | SOCK_CLOEXEC) &&
		policy_of(r)->promises & (PROMISE_BIT(inet) | PROMISE_BIT(dns)))
		return true;
	if (domain == AF_NETLINK)
		return b->makes_sockets || !(policy_of(r)->promises & (PROMISE_BIT(route) | PROMISE_BIT(wroute)));
	return b->makes_sockets && (domain != AF_UNIX || local_beyond(policy_of(r)) || !r->family->carrier->goes_on);
}

static struct answer make(const struct request *r)
{
	const int domain = (int)r->args[0], type = (int)r->args[1];
	const bool hears_all = policy_of(r)->promises & (PROMISE_BIT(route) | PROMISE_BIT(wroute));
	int fd = socket(domain, type | SOCK_CLOEXEC, (int)r->args[2]);
	int e = fd < 0 ? errno : 0;
	if (e == 0 && domain == AF_NETLINK && !hears_all && netlink_listen_only(fd) < 0) {
		e = errno;
		close(fd);
	}
	if (e)
		return answer_error(e);
	struct answer a = answer_fd(fd, type & SOCK_CLOEXEC);
	a.sole = true; /* that its end is seen by the peer when the target closes it */
	return a;
}

struct answer op_socket(struct request *r)
{
	size_t count;
	const struct promise_row *row = promise_rows(&count);
	const uint64_t held = policy_of(r)->promises;
	for (; count > 0; count--, row++)
		if (row->number == r->nr && row->need && !(row->need & ~held) && promise_row_matches(row, r->args))
			return made_here(r, (int)r->args[0]) ? make(r) : go_on;
	/* nscd's, as under dns: names that rules have are looked up without. To connect it to anything else takes unix. */
	if ((int)r->args[0] == AF_UNIX && (int)r->args[1] == (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK) &&
		!r->args[2] && (held & PROMISE_BIT(inet)) && policy_has_names(policy_of(r)))
		return made_here(r, AF_UNIX) ? make(r) : go_on;
	return op_refused(r);
}

/* ---- connect ---- */

#define UNTRIED_MS 100

static void connect_drop(struct job *j)
{
	name_close(&j->to);
	endpoint_close(&j->s);
	free(j);
}

/* What a waiting connect has made of the socket although its caller may not any more. */
static void unmake(const struct endpoint *s)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	if (s->domain == AF_UNIX)
		shutdown(s->fd, SHUT_RDWR);
	else
		(void)!connect(s->fd, &none, sizeof(none));
}

/* To hand a request to a worker costs more than such a connection, which is nearly always made before connect() would
 * wait. So the lane makes it with the shortest of time limits, and the target's own is put back at once: a socket that is
 * not connected yet has nobody whom that concerns. -EINPROGRESS: it takes longer; to connect again is to wait for it.
 * -EALREADY: the same, but it was under way before. */
static int connect_soon(const struct endpoint *s, const struct name *n, struct timeval *own)
{
	struct timeval shortest = {0, 1}, now = {1, 0};
	socklen_t len = sizeof(*own);
	*own = (struct timeval){0, 0};
	if (getsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, own, &len) < 0 ||
		setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &shortest, sizeof(shortest)) < 0)
		return -EINPROGRESS;
	int e = connect(s->fd, &n->to.any, n->len) < 0 ? -errno : 0;
	/* Unless another thread has given it another one meanwhile: ours is one tick of the kernel's clock. */
	if (getsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &now, &len) == 0 && !now.tv_sec && now.tv_usec <= 10000)
		setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, own, sizeof(*own));
	return e == -EAGAIN || e == -EINTR ? -EINPROGRESS : e;
}

/* Where many are under way they are looked at now and then, rather than each by a thread. -EAGAIN: it goes on. */
static int connect_parked(struct request *r, struct job *j)
{
	struct pollfd ready = {j->s.fd, POLLOUT, 0};
	struct timeval own;
	if (j->until && poll(&ready, 1, 0) == 0) {
		if (ipc_now_ms() >= j->until)
			return -EALREADY;
		return request_signalled(r) || !request_alive(r) ? -EINTR : -EAGAIN;
	}
	int e = connect_soon(&j->s, &j->to, &own);
	if (e != -EINPROGRESS && e != -EALREADY)
		return e;
	if (!j->until) {
		j->begun = j->begun || e == -EINPROGRESS;
		j->until = own.tv_sec || own.tv_usec ? ipc_now_ms() + own.tv_sec * 1000 + own.tv_usec / 1000
						     : INT64_MAX;
	}
	return -EAGAIN;
}

static struct answer connect_slowly(struct request *r)
{
	struct job *j = r->job;
	r->job = NULL;
	int e = job_allowed_still(r, j, USE_CONNECT);
	if (e == 0) {
		bool parks = j->until || (j->s.domain != AF_UNIX && slow_crowded(r->family));
		e = parks ? connect_parked(r, j) : connect(j->s.fd, &j->to.to.any, j->to.len) < 0 ? -errno : 0;
		if (parks && e == -EAGAIN) {
			r->job = j;
			return answer_slow();
		}
		/* Whose time is over while it waits for what the broker began for it is told that it has begun. */
		if (e == -EALREADY && j->begun)
			e = -EINPROGRESS;
		limits_done(r, &j->s, &j->to, 0);
		r->interrupted = e == -EINTR && endpoint_times_out(&j->s, SO_SNDTIMEO);
		int still = job_allowed_still(r, j, USE_CONNECT);
		if (still < 0) {
			unmake(&j->s);
			e = still;
		}
	}
	connect_drop(j);
	return e < 0 ? answer_error(-e) : answer_value(0);
}

static struct answer connect_later(
	struct request *r, const struct endpoint *s, const struct name *asked, const struct name *to, bool begun)
{
	struct job *j = malloc(sizeof(*j));
	if (!j)
		return answer_error(ENOMEM);
	*j = (struct job){.drop = connect_drop, .s = *s, .asked = *asked, .to = *to, .begun = begun};
	r->job = j;
	return answer_slow();
}

/* A stream waits for its peer's answer, or for room in its queue. Nothing else does. */
static bool may_wait(const struct endpoint *s, const struct name *n)
{
	return s->waits && s->type != SOCK_DGRAM && (s->domain == AF_UNIX || n->to.any.sa_family != AF_UNSPEC) &&
	       s->domain != AF_NETLINK;
}

/* Whom a connection reaches at once if at all: this host. */
static bool near(const struct endpoint *s, const struct name *n)
{
	const uint8_t *ip = (const uint8_t *)&n->to.v6.sin6_addr;
	if (n->to.any.sa_family == AF_INET)
		return s->domain == AF_INET && (ntohl(n->to.v4.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
	return s->domain == AF_UNIX || IN6_IS_ADDR_LOOPBACK(&n->to.v6.sin6_addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&n->to.v6.sin6_addr) && ip[12] == IN_LOOPBACKNET);
}

static bool connected(const struct endpoint *s)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	return getpeername(s->fd, (struct sockaddr *)&peer, &len) == 0;
}

struct answer op_connect(struct request *r)
{
	struct endpoint s;
	struct name asked, to;
	if (r->job)
		return connect_slowly(r);
	int e = endpoint_open(r, (int)r->args[0], &s);
	/* The kernel looks at the address before it asks what the descriptor is. */
	int address = e == 0 || e == -ENOTSOCK ? name_read(r, r->args[1], r->args[2], &asked) : 0;
	if (e == 0 && address < 0)
		endpoint_close(&s);
	if (e < 0 || address < 0)
		return answer_error(address < 0 ? -address : -e);
	to = asked;
	e = name_allow(r, &s, &to, USE_CONNECT);
	/* A stream that is connected says so before it looks at what the address is. */
	if ((e == -EAFNOSUPPORT || (e == -EINVAL && to.len >= sizeof(sa_family_t))) && s.type == SOCK_STREAM &&
		s.domain != AF_UNIX && connected(&s))
		e = -EISCONN;
	if (e == 0)
		e = limits_begin(r, &s, &to);
	bool later = e == DECIDED_LATER;
	if (e == 0 && !may_wait(&s, &to)) {
		e = connect(s.fd, &to.to.any, to.len) < 0 ? -errno : 0;
	} else if (e == 0) {
		struct timeval own;
		bool tries = near(&s, &to) && !slow_crowded(r->family) && ipc_now_ms() >= r->family->no_tries_until;
		e = tries ? connect_soon(&s, &to, &own) : -EALREADY;
		/* It took the lane a tick, some ms. Hundreds of threads that connect to whom is busy must not hold up all others. */
		if (tries && e == -EINPROGRESS)
			r->family->no_tries_until = ipc_now_ms() + UNTRIED_MS;
		if (e == -EINPROGRESS || e == -EALREADY) {
			struct answer a = connect_later(r, &s, &asked, &to, e == -EINPROGRESS);
			if (a.kind == ANSWER_SLOW) /* which has taken s and to */
				return r->slow ? connect_slowly(r) : a;
			e = -a.error;
		}
	}
	if (!later)
		limits_done(r, &s, &to, 0);
	name_close(&to);
	endpoint_close(&s);
	return later ? answer_slow() : e < 0 ? answer_error(-e) : answer_value(0);
}

/* ---- bind, listen ---- */

/* By rules alone, to the port of n or to any. */
static int bound_allow(struct request *r, const struct endpoint *s, struct name n)
{
	struct name any = n;
	*(s->domain == AF_INET ? &any.to.v4.sin_port : &any.to.v6.sin6_port) = 0;
	r->unasked = true;
	int e = name_allow(r, s, &n, USE_BIND);
	if (e != 0 && e != DECIDED_LATER) {
		r->missing_address = MISSING_NONE;
		e = name_allow(r, s, &any, USE_BIND);
	}
	r->unasked = false;
	return e;
}

/* A datagram socket that was told between the decision and bind() to hear v4, too, which is settled then: it hears nothing
 * any more. A stream is judged once more when it is to listen. */
static int hears_more(struct request *r, const struct endpoint *s, struct name n)
{
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog nothing = {1, &code};
	const int on = 1;
	/* The host said so, or it is as if it were not bound. */
	const bool both = r->decided && (strcmp(r->decided, "asked") == 0 || strcmp(r->decided, "connect") == 0);
	if (s->domain != AF_INET6 || s->type != SOCK_DGRAM || both || policy_of(r)->any_address ||
		option(s->fd, SOL_IPV6, IPV6_V6ONLY) == 1 || bound_allow(r, s, n) == 0)
		return 0;
	setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &nothing, sizeof(nothing));
	setsockopt(s->fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on));
	return -EACCES;
}

struct answer op_bind(struct request *r)
{
	struct endpoint s;
	struct name n;
	int e = endpoint_open(r, (int)r->args[0], &s);
	if (e < 0)
		return answer_error(-e);
	e = name_read(r, r->args[1], r->args[2], &n);
	if (e == 0 && s.domain == AF_UNIX) {
		e = local_bind(r, &s, &n);
	} else if (e == 0) {
		e = name_allow(r, &s, &n, USE_BIND);
		if (e == 0 && bind(s.fd, &n.to.any, n.len) < 0)
			e = errno == EACCES ? binder_bind(r->family->broker, s.fd, &n.to.any, n.len) : -errno;
		if (e == 0)
			e = hears_more(r, &s, n);
		if (e == 0 && r->decided && strcmp(r->decided, "asked") == 0)
			ask_bound(r, s.fd);
	}
	endpoint_close(&s);
	return e == DECIDED_LATER ? answer_slow() : e < 0 ? answer_error(-e) : answer_value(0);
}

/* A socket that is not bound takes a port of every address, which is to bind it. One that is bound was judged then, to its
 * port or to any; and one that listens already came so. */
static int may_listen(struct request *r, const struct endpoint *s, struct name *judged)
{
	struct name n = *judged;
	if (option(s->fd, SOL_SOCKET, SO_ACCEPTCONN) == 1)
		return 0;
	if (s->domain == AF_UNIX)
		return local_listen(r, s);
	/* What is no stream the kernel refuses by itself. */
	if (s->type != SOCK_STREAM || (s->domain != AF_INET && s->domain != AF_INET6))
		return 0;
	if (getsockname(s->fd, &n.to.any, &n.len) < 0)
		return -errno;
	*judged = n;
	int e = bound_allow(r, s, n);
	/* Last the host, about the address that it is bound to. */
	return e != -EACCES || !r->family->on_ask ? e : ask_has_bound(r, s->fd) ? 0 : name_allow(r, s, &n, USE_BIND);
}

/* Who holds the socket elsewhere, or its peer, can have it let go of its port between the decision and listen(), which then
 * takes another. It is not to be heard on that one. */
static int listens_elsewhere(struct request *r, const struct endpoint *s, const struct name *judged)
{
	struct name n = {.len = sizeof(n.to.room), .held = -1};
	if ((s->domain != AF_INET && s->domain != AF_INET6) || judged->to.any.sa_family == AF_UNSPEC ||
		getsockname(s->fd, &n.to.any, &n.len) < 0 || memcmp(&n.to, &judged->to, n.len) == 0)
		return 0;
	/* The host was asked about any port of this address. */
	const bool asked = r->decided && strcmp(r->decided, "asked") == 0;
	struct name any = n;
	*(s->domain == AF_INET ? &any.to.v4.sin_port : &any.to.v6.sin6_port) = 0;
	if ((asked && memcmp(&any.to, &judged->to, n.len) == 0) || bound_allow(r, s, n) == 0)
		return 0;
	shutdown(s->fd, SHUT_RDWR);
	return -EACCES;
}

struct answer op_listen(struct request *r)
{
	struct endpoint s;
	struct name judged = {.len = sizeof(judged.to.room), .held = -1};
	const struct policy *p = policy_of(r);
	/* Nothing to be decided by address, and who connects to a local socket sees who listened. */
	if ((p->promises & PROMISE_BIT(inet)) && p->any_address && r->family->carrier->goes_on && !r->family->budget)
		return go_on;
	if (!(p->promises & (PROMISE_BIT(inet) | PROMISE_BIT(unix))))
		return op_refused(r);
	int e = endpoint_open(r, (int)r->args[0], &s);
	if (e < 0)
		return answer_error(-e);
	e = promised(r, s.domain == AF_UNIX ? PROMISE_BIT(unix) : PROMISE_BIT(inet));
	if (e == 0)
		e = may_listen(r, &s, &judged);
	if (e == 0 && listen(s.fd, (int)r->args[1]) < 0)
		e = -errno;
	if (e == 0)
		e = listens_elsewhere(r, &s, &judged);
	if (e == 0)
		limits_done(r, &s, NULL, 0);
	endpoint_close(&s);
	return e == DECIDED_LATER ? answer_slow() : e < 0 ? answer_error(-e) : answer_value(0);
}
