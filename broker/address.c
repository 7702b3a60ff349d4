/* SPDX-License-Identifier: ISC */
/*
 * This file owns the decision about addresses of sockets. It runs in the broker, on lanes and slow workers, on copies of
 * what a target gave. What is judged is what the kernel will do with the copy: an address has many spellings (v4 in v6,
 * no family, unspecified), and all of them are made one before a rule is asked.
 */
#include "broker/names.h"
#include "broker/nameservers.h"
#include "broker/socket.h"
#include "policy/promises.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define V6_LEN_MIN 24 /* SIN6_LEN_RFC2133: without the scope */
#define DNS_PORT 53

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};
static const uint8_t none[16];

/* What kind of socket it is, for the rules. */
struct kind {
	bool tcp, udp, ping;
};

struct place_on_net {
	uint8_t ip[16]; /* v6, or v4-mapped */
	uint16_t port;
	uint32_t scope; /* of a v6 address */
};

int name_read(const struct request *r, uint64_t address, uint64_t len, struct name *n)
{
	int bytes = (int)len; /* as the kernel takes it */
	memset(&n->to, 0, sizeof(n->to));
	n->held = -1;
	n->len = 0;
	if (bytes < 0 || bytes > (int)sizeof(n->to.room))
		return -EINVAL;
	n->len = (socklen_t)bytes;
	return bytes ? memory_read(r, address, &n->to, (size_t)bytes) : 0;
}

void name_close(struct name *n)
{
	if (n->held >= 0)
		close(n->held);
	n->held = -1;
}

static bool mapped(const uint8_t ip[16])
{
	return memcmp(ip, v4_mapped, sizeof(v4_mapped)) == 0;
}

/* 0, or what the kernel says of an address that is none for this socket. */
static int parse(const struct endpoint *s, const struct name *n, enum use use, struct place_on_net *out)
{
	int family = n->to.any.sa_family;
	/* bind() and the datagrams of v4 sockets take no family for AF_INET. */
	if (family == AF_UNSPEC && s->domain == AF_INET && use != USE_CONNECT)
		family = AF_INET;
	if (family == AF_INET) {
		if (n->len < sizeof(n->to.v4))
			return -EINVAL;
		memcpy(out->ip, v4_mapped, sizeof(v4_mapped));
		memcpy(out->ip + sizeof(v4_mapped), &n->to.v4.sin_addr, 4);
		out->port = ntohs(n->to.v4.sin_port);
		out->scope = 0;
		return 0;
	}
	if (n->len < (s->domain == AF_INET ? sizeof(n->to.v4) : V6_LEN_MIN))
		return -EINVAL;
	if (family != AF_INET6 || s->domain != AF_INET6)
		return s->domain == AF_INET6 && use == USE_SEND ? -EINVAL : -EAFNOSUPPORT;
	memcpy(out->ip, &n->to.v6.sin6_addr, 16);
	out->port = ntohs(n->to.v6.sin6_port);
	out->scope = n->to.v6.sin6_scope_id; /* 0 in what is shorter */
	return 0;
}

/* To connect or send to the unspecified address is to speak to this machine: by the address that the socket is bound to,
 * else the loopback one. Which one that is depends on a bind that another thread may be about to make: so it is told to
 * the kernel, which then has nothing to choose. */
static void specify(const struct endpoint *s, struct name *n, struct place_on_net *to)
{
	struct sockaddr_in6 own;
	socklen_t len = sizeof(own);
	uint8_t bound[16] = {0};
	bool v4 = mapped(to->ip);
	if (v4 ? memcmp(to->ip + 12, none, 4) != 0 : memcmp(to->ip, none, 16) != 0)
		return;
	memset(&own, 0, sizeof(own));
	if (getsockname(s->fd, (struct sockaddr *)&own, &len) == 0 && own.sin6_family == AF_INET6) {
		memcpy(bound, &own.sin6_addr, 16);
	} else if (own.sin6_family == AF_INET) {
		memcpy(bound, v4_mapped, sizeof(v4_mapped));
		memcpy(bound + 12, &((struct sockaddr_in *)&own)->sin_addr, 4);
	}
	if (!v4 && mapped(bound)) { /* [::] of a socket that is bound to v4 */
		memcpy(to->ip, v4_mapped, sizeof(v4_mapped));
		v4 = true;
	}
	if (v4) {
		memcpy(to->ip + 12, "\177\0\0\1", 4);
		if (mapped(bound) && memcmp(bound + 12, none, 4) != 0)
			memcpy(to->ip, bound, 16);
	} else {
		memcpy(to->ip, &in6addr_loopback, 16);
	}
	if (n->to.any.sa_family == AF_INET6)
		memcpy(&n->to.v6.sin6_addr, to->ip, 16);
	else
		memcpy(&n->to.v4.sin_addr, to->ip + 12, 4);
}

static void describe(struct request *r, const char *kind, const struct place_on_net *to)
{
	char text[INET6_ADDRSTRLEN];
	bool v4 = mapped(to->ip);
	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? to->ip + 12 : to->ip, text, sizeof(text));
	snprintf(r->address, sizeof(r->address), v4 ? "%s:%s:%u" : "%s:[%s]:%u", kind, text, to->port);
}

/* What the promise dns gives: nameservers. */
static bool resolves(const struct request *r, struct kind k, enum use use, const struct place_on_net *to)
{
	const struct policy *p = policy_of(r);
	if (!(p->promises & PROMISE_BIT(dns)) || k.ping)
		return false;
	if (use == USE_BIND) /* musl's resolver does; to no port, which is not to be listened on */
		return to->port == 0 && (k.udp || (k.tcp && r->nr != SYS_listen));
	return to->port == DNS_PORT && (p->any_address || nameserver_is(r->family->broker, to->ip, to->scope));
}

/* A socket that is bound to [::] hears v4, too, unless it was told not to. */
static bool hears_v4(const struct endpoint *s, const struct place_on_net *to)
{
	int only = 0;
	socklen_t len = sizeof(only);
	return memcmp(to->ip, none, 16) == 0 &&
	       (getsockopt(s->fd, SOL_IPV6, IPV6_V6ONLY, &only, &len) < 0 || only == 0);
}

/* By a rule that says it in numbers, or by one with a name. */
static int by_rule(struct request *r, const struct contact *c)
{
	const struct policy *p = policy_of(r);
	r->decided = p->any_address ? "any" : NULL;
	r->rule = policy_address_rule(p, c->kind, c->bind, c->ip, c->port);
	return r->rule || p->any_address ? 0 : names_judge(r, c);
}

/* To be bound to no address and no port in particular is what befalls any socket that connects or sends, so whoever may do
 * that may ask for it. To listen there is another matter, and so is whether a port that it has is anybody's (unasked). */
static bool as_if_unbound(const struct request *r, const struct contact *c)
{
	const struct policy *p = policy_of(r);
	const bool v4 = mapped(c->ip);
	if (!c->bind || c->port || r->nr == SYS_listen || r->unasked ||
		memcmp(c->ip + (v4 ? 12 : 0), none, v4 ? 4 : 16) != 0)
		return false;
	for (size_t i = 0; i < p->address_count; i++)
		if (p->addresses[i].kind == c->kind && !p->addresses[i].bind)
			return true;
	return false;
}

static int by_rules(struct request *r, const struct endpoint *s, struct kind k, enum use use, struct place_on_net to)
{
	const struct policy *p = policy_of(r);
	bool bind = use == USE_BIND;
	struct contact c = {.kind = k.tcp ? ADDRESS_TCP : ADDRESS_UDP, /* a ping is a datagram, to port 0 */
		.bind = bind,
		.port = k.ping && !bind ? 0 : to.port};
	memcpy(c.ip, to.ip, sizeof(c.ip));
	if (as_if_unbound(r, &c)) {
		r->decided = "connect";
		return 0;
	}
	int e = by_rule(r, &c);
	if (e < 0 && k.udp && !bind && heard_from(r, s, to.ip, to.port)) {
		r->decided = "heard";
		return 0;
	}
	if (e == 0 && bind && s->domain == AF_INET6 && !p->any_address && hears_v4(s, &to)) {
		memcpy(c.ip, v4_mapped, sizeof(v4_mapped));
		e = by_rule(r, &c);
	}
	if (e == 0 || e == DECIDED_LATER)
		return e;
	if (resolves(r, k, use, &to)) {
		r->decided = "dns";
		return 0;
	}
	/* Name lookups order what they found by connecting datagram sockets, which sends nothing, and take a no for "not
	 * reachable". That is nothing to tell of. */
	if (k.udp && use == USE_CONNECT &&
		(policy_judge_address(p, ADDRESS_TCP, false, to.ip, to.port) == 0 || names_known(r, to.ip, to.port)))
		return e;
	describe(r, k.tcp ? "tcp" : "udp", &to);
	e = ask_judge(r, &c);
	if (e != -EACCES)
		return e;
	/* Where rules have names, those need no nameserver: it is the others that were looked for. And a datagram there is a
	 * question. */
	if (to.port == DNS_PORT && !bind && (k.udp || policy_has_names(p)) && promised(r, PROMISE_BIT(dns)) < 0)
		return e;
	r->missing_address = bind ? MISSING_BIND : MISSING_CONNECT;
	return e;
}

/* musl connects a datagram socket to this port of loopback to find out whether there is IPv4 or IPv6 (AI_ADDRCONFIG), where
 * EACCES is the end of all, and with which address it would speak. It is told so; but the socket that is connected there is
 * not its own, which gets that address alone. */
static int only_asks(const struct endpoint *s, struct name *n)
{
	struct sockaddr_in6 own = {.sin6_family = AF_UNSPEC};
	socklen_t len = sizeof(own);
	int fd = socket(s->domain, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int e = fd < 0 || connect(fd, &n->to.any, n->len) < 0 ? -errno : 0;
	if (e == 0 && getsockname(fd, (struct sockaddr *)&own, &len) == 0) {
		own.sin6_port = 0; /* where v4 has it, too */
		(void)!bind(s->fd, (struct sockaddr *)&own, len);
	}
	if (fd >= 0)
		close(fd);
	n->to.any.sa_family = AF_UNSPEC;
	n->len = sizeof(n->to.any);
	return e;
}

static int internet(struct request *r, const struct endpoint *s, struct name *n, enum use use)
{
	const struct policy *p = policy_of(r);
	struct kind k = {.tcp = s->type == SOCK_STREAM && s->protocol == IPPROTO_TCP,
		.udp = s->type == SOCK_DGRAM && s->protocol == IPPROTO_UDP,
		.ping = s->type == SOCK_DGRAM &&
			s->protocol == (s->domain == AF_INET ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6)};
	struct place_on_net to;
	if (!k.tcp && !k.udp && !k.ping) {
		r->why = "sockets of this protocol are not used";
		return -EACCES;
	}
	if (!(p->promises & (PROMISE_BIT(inet) | PROMISE_BIT(dns))))
		return promised(r, PROMISE_BIT(inet));
	if (use == USE_SEND && (k.tcp || (n->to.any.sa_family == AF_UNSPEC && s->domain == AF_INET6 && n->len >= 2))) {
		n->len = 0; /* a stream's peer is the one it has; and no address at all */
		return 0;
	}
	if (n->len < sizeof(sa_family_t))
		return -EINVAL;
	if (use == USE_CONNECT && n->to.any.sa_family == AF_UNSPEC)
		return 0; /* dissolves */
	int e = parse(s, n, use, &to);
	if (e < 0)
		return e;
	if (!p->any_address && use != USE_BIND)
		specify(s, n, &to);
	if (r->family->broker->log >= 0)
		describe(r, k.tcp ? "tcp" : "udp", &to);
	if (k.udp && use == USE_CONNECT && to.port == 65535 && !(p->any_address && (p->promises & PROMISE_BIT(inet))) &&
		(memcmp(to.ip, &in6addr_loopback, 16) == 0 || (mapped(to.ip) && to.ip[12] == IN_LOOPBACKNET)) &&
		policy_judge_address(p, ADDRESS_UDP, false, to.ip, to.port) != 0)
		return only_asks(s, n);
	if (p->promises & PROMISE_BIT(inet))
		return by_rules(r, s, k, use, to);
	if (resolves(r, k, use, &to)) {
		r->decided = "dns";
		return 0;
	}
	if (k.udp && use == USE_CONNECT) /* as above */
		return -EACCES;
	describe(r, k.tcp ? "tcp" : "udp", &to);
	return promised(r, PROMISE_BIT(inet));
}

static int decide(struct request *r, const struct endpoint *s, struct name *n, enum use use)
{
	switch (s->domain) {
	case AF_INET:
	case AF_INET6:
		return internet(r, s, n, use);
	case AF_UNIX:
		return local_allow(r, s, n, use);
	case AF_NETLINK:
		return netlink_allow(r, s, n, use);
	default:
		r->why = "sockets of this family are not used";
		return -EACCES;
	}
}

/* Whether r's process has given nothing up since r->state was its state. */
static bool current(struct request *r)
{
	struct state *now = state_of(r->family, r->tid);
	bool same = now && now->narrowed == r->state->narrowed;
	state_release(r->family, now);
	return same;
}

int name_allow(struct request *r, const struct endpoint *s, struct name *n, enum use use)
{
	int e = decide(r, s, n, use);
	/* On a slow worker it may have taken long, and was made by what the caller had when it asked. */
	if (e == 0 && r->slow && !current(r)) {
		name_close(n);
		r->why = "its policy was narrowed meanwhile";
		e = -EACCES;
	}
	return e;
}
