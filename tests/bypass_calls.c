/* SPDX-License-Identifier: ISC */
/* Connects in disguise, and calls with more than one address. Runs in the target. */
#include "tests/bypass.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

#define FASTOPEN_CONNECT 30

/* ---- fast open ---- */

static int fast_open(const struct net *n, int how)
{
	struct sockaddr_in a = NO(n, tcp);
	struct iovec v = {"x", 1};
	struct mmsghdr h = {{&a, sizeof(a), &v, 1, NULL, 0, 0}, 0};
	int fd = sock(AF_INET, SOCK_STREAM, 0), flags = MSG_FASTOPEN | MSG_NOSIGNAL;
	if (fd < 0 && fd != -EPERM)
		return fd;
	return done(how == 0   ? sendto(fd, "x", 1, flags, (struct sockaddr *)&a, sizeof(a))
		    : how == 1 ? sendmsg(fd, &h.msg_hdr, flags)
			       : sendmmsg(fd, &h, 1, flags));
}

static int fast_open_sendto(const struct net *n)
{
	return fast_open(n, 0);
}

static int fast_open_sendmsg(const struct net *n)
{
	return fast_open(n, 1);
}

static int fast_open_sendmmsg(const struct net *n)
{
	return fast_open(n, 2);
}

/* With the option connect() only notes the address; the first write sends. */
static int fast_open_connect(const struct net *n)
{
	struct sockaddr_in a = NO(n, tcp);
	int one = 1, fd = sock(AF_INET, SOCK_STREAM, 0);
	int e = done(setsockopt(fd, IPPROTO_TCP, FASTOPEN_CONNECT, &one, sizeof(one)));
	if (e == 0)
		e = TO(fd, a);
	return e ? e : done(send(fd, "x", 1, MSG_NOSIGNAL));
}

/* The header's own flags are not the call's. */
static int fast_open_header(const struct net *n)
{
	struct sockaddr_in a = NO(n, tcp);
	struct iovec v = {"x", 1};
	struct msghdr h = {&a, sizeof(a), &v, 1, NULL, 0, MSG_FASTOPEN};
	int fd = sock(AF_INET, SOCK_STREAM, 0);
	return fd < 0 ? fd : done(sendmsg(fd, &h, MSG_NOSIGNAL));
}

/* ---- the peer that a socket has, and another ---- */

static int connected(const struct net *n, int type, int *fd)
{
	struct sockaddr_in a = type == SOCK_STREAM ? YES(n, tcp) : YES(n, udp);
	*fd = sock(AF_INET, type, 0);
	return TO(*fd, a);
}

static int dissolve_connect(const struct net *n, int type)
{
	struct sockaddr_in no = type == SOCK_STREAM ? NO(n, tcp) : NO(n, udp);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd, e = connected(n, type, &fd);
	if (e == 0)
		e = TO(fd, none);
	if (e == 0)
		e = TO(fd, no);
	return e || type == SOCK_STREAM ? e : done(send(fd, "x", 1, 0));
}

static int dissolve_tcp(const struct net *n)
{
	return dissolve_connect(n, SOCK_STREAM);
}

static int dissolve_udp(const struct net *n)
{
	return dissolve_connect(n, SOCK_DGRAM);
}

/* It has a port no more, and listen() would take one. */
static int dissolve_listen(const struct net *n)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd, e = connected(n, SOCK_STREAM, &fd);
	if (e == 0)
		e = TO(fd, none);
	return e ? e : done(listen(fd, 1));
}

/* What may be bound is bound, and let go of with the connection. */
static int dissolve_bound_listen(const struct net *n)
{
	struct sockaddr_in own = v4("127.0.0.1", n->bind_yes), yes = YES(n, tcp), got;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	socklen_t len = sizeof(got);
	int one = 1, fd = sock(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	int e = fd < 0 ? fd : done(bind(fd, (struct sockaddr *)&own, sizeof(own)));
	if (e == 0)
		e = TO(fd, yes);
	if (e == 0)
		e = TO(fd, none);
	if (e == 0)
		e = done(listen(fd, 1));
	if (e)
		return e;
	getsockname(fd, (struct sockaddr *)&got, &len);
	return memcmp(&got.sin_addr, &own.sin_addr, 4) == 0 && got.sin_port == own.sin_port ? HELD : THROUGH;
}

/* A connection from a port that may be bound, which is let go of; the socket tells of it still. Then another is taken. */
static int dissolve_other_port(const struct net *n)
{
	struct sockaddr_in yes = YES(n, tcp), own;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	socklen_t len = sizeof(own);
	uint32_t first = RANGE_LOW | (RANGE_LOW + 10u) << 16, second = 50000u | 50010u << 16;
	int fd = sock(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_IP, 51 /* IP_LOCAL_PORT_RANGE, of 6.3 */, &first, sizeof(first));
	int e = TO(fd, yes);
	if (e == 0)
		e = TO(fd, none);
	setsockopt(fd, SOL_IP, 51, &second, sizeof(second));
	if (e == 0)
		e = done(listen(fd, 1));
	if (e || getsockname(fd, (struct sockaddr *)&own, &len))
		return e;
	return ntohs(own.sin_port) - RANGE_LOW <= 10u ? HELD : THROUGH;
}

static int other_peer(const struct net *n, int type, int how)
{
	struct sockaddr_in no = type == SOCK_STREAM ? NO(n, tcp) : NO(n, udp);
	struct iovec v = {"x", 1};
	struct mmsghdr h = {{&no, sizeof(no), &v, 1, NULL, 0, 0}, 0};
	int fd, e = connected(n, type, &fd);
	if (e)
		return e;
	return how == 0 ? SEND_TO(fd, no) : how == 1 ? done(sendmsg(fd, &h.msg_hdr, 0)) : done(sendmmsg(fd, &h, 1, 0));
}

static int other_udp_sendto(const struct net *n)
{
	return other_peer(n, SOCK_DGRAM, 0);
}

static int other_udp_sendmsg(const struct net *n)
{
	return other_peer(n, SOCK_DGRAM, 1);
}

static int other_udp_sendmmsg(const struct net *n)
{
	return other_peer(n, SOCK_DGRAM, 2);
}

/* A stream has its peer: it sends there, whatever the address. */
static int other_tcp_sendto(const struct net *n)
{
	int e = other_peer(n, SOCK_STREAM, 0);
	return e ? e : HELD;
}

static int other_tcp_sendmsg(const struct net *n)
{
	int e = other_peer(n, SOCK_STREAM, 1);
	return e ? e : HELD;
}

/* The second entry is bad: one is sent. */
static int many_second_bad(const struct net *n)
{
	struct sockaddr_in yes = YES(n, udp), no = NO(n, udp);
	struct iovec v = {"x", 1};
	struct mmsghdr h[3] = {{{&yes, sizeof(yes), &v, 1, NULL, 0, 0}, 0}, {{&no, sizeof(no), &v, 1, NULL, 0, 0}, 0},
		{{&yes, sizeof(yes), &v, 1, NULL, 0, 0}, 0}};
	int fd = sock(AF_INET, SOCK_DGRAM, 0), sent = fd < 0 ? fd : sendmmsg(fd, h, 3, 0);
	return sent < 0 ? -errno : sent == 1 ? HELD : THROUGH;
}

/* With more to come the datagram waits; what is sent with the next has its address. */
static int more_to_come(const struct net *n)
{
	struct sockaddr_in no = NO(n, udp), yes = YES(n, udp);
	int fd = sock(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		return fd;
	int e = done(sendto(fd, "x", 1, MSG_MORE, (struct sockaddr *)&yes, sizeof(yes)));
	return e ? e : SEND_TO(fd, no);
}

/* ---- ports that are taken without bind() ---- */

static int listen_unbound(const struct net *n)
{
	int fd = sock(AF_INET, SOCK_STREAM, 0);
	(void)n;
	return fd < 0 ? fd : done(listen(fd, 1));
}

static int listen_unbound6(const struct net *n)
{
	int fd = sock(AF_INET6, SOCK_STREAM, 0);
	(void)n;
	return fd < 0 ? fd : done(listen(fd, 1));
}

static int bind_at(const char *ip, int port, int type)
{
	struct sockaddr_in a = v4(ip, port);
	int fd = sock(AF_INET, type, 0);
	return fd < 0 ? fd : done(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

static int bind_zero(const struct net *n)
{
	(void)n;
	return bind_at("127.0.0.1", 0, SOCK_STREAM);
}

static int bind_zero_listen(const struct net *n)
{
	struct sockaddr_in a = v4("127.0.0.1", 0);
	int fd = sock(AF_INET, SOCK_STREAM, 0), e = fd < 0 ? fd : done(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	(void)n;
	return e ? e : done(listen(fd, 1));
}

static int bind_any(const struct net *n)
{
	return bind_at("0.0.0.0", n->bind_yes, SOCK_STREAM);
}

static int bind_other(const struct net *n)
{
	return bind_at("127.0.0.2", n->bind_yes, SOCK_STREAM);
}

static int bind_udp(const struct net *n)
{
	return bind_at("127.0.0.1", n->bind_yes, SOCK_DGRAM);
}

/* No family is AF_INET for bind(), and a port is none the less bound. */
static int bind_no_family(const struct net *n)
{
	struct sockaddr_in a = v4("0.0.0.0", n->bind_yes);
	int fd = sock(AF_INET, SOCK_STREAM, 0);
	a.sin_family = AF_UNSPEC;
	return fd < 0 ? fd : done(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

static int bind_allowed(const struct net *n)
{
	int one = 1, fd = sock(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = v4("127.0.0.1", n->bind_yes);
	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	int e = done(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	if (e == 0)
		e = done(listen(fd, 1));
	return e ? e : HELD;
}

/* [::] hears v4, too. */
static int bind_any6(const struct net *n)
{
	struct sockaddr_in6 a = v6("::", n->bind_yes);
	int fd = sock(AF_INET6, SOCK_STREAM, 0);
	return fd < 0 ? fd : done(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

/* The port is chosen with the connection, but the address is bound. */
static int bind_no_port(const struct net *n)
{
	struct sockaddr_in a = v4("127.0.0.2", 0);
	int one = 1, fd = sock(AF_INET, SOCK_STREAM, 0);
	(void)n;
	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return done(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

/* ---- descriptors that came with the start ---- */

static int passed_accept(const struct net *n)
{
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	(void)!getsockname(n->listener, (struct sockaddr *)&own, &len);
	return done(keep(accept4(n->listener, NULL, NULL, SOCK_NONBLOCK)));
}

static int passed_accept_old(const struct net *n)
{
	return done(keep(syscall(SYS_accept, n->listener, NULL, NULL)));
}

static int passed_udp_sendto(const struct net *n)
{
	struct sockaddr_in no = NO(n, udp);
	return SEND_TO(n->datagram, no);
}

static int passed_udp_sendmsg(const struct net *n)
{
	struct sockaddr_in no = NO(n, udp);
	return message_to(n->datagram, &no, sizeof(no), NULL, 0);
}

static int passed_udp_sendmmsg(const struct net *n)
{
	struct sockaddr_in no = NO(n, udp);
	struct iovec v = {"x", 1};
	struct mmsghdr h = {{&no, sizeof(no), &v, 1, NULL, 0, 0}, 0};
	return done(sendmmsg(n->datagram, &h, 1, 0));
}

static int passed_udp_connect(const struct net *n)
{
	struct sockaddr_in no = NO(n, udp);
	return TO(n->datagram, no);
}

/* A local socket of the host's network, by which its abstract names can be reached. */
static int passed_local_sendto(const struct net *n)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, n->name_no);
	return send_to(n->local, &a, len);
}

static int passed_local_sendmsg(const struct net *n)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, n->name_no);
	return message_to(n->local, &a, len, NULL, 0);
}

static int passed_local_connect(const struct net *n)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, n->name_no);
	return to(n->local, &a, len);
}

#define NET "inet:EACCES all:EACCES EPERM"
/* With dns there are sockets, but of UDP a refused connect is nothing to tell of. */
#define DATAGRAM "inet:EACCES all:EACCES dns:EACCES EPERM"
/* Resolvers bind no port in particular, which is not to be listened on. */
#define RESOLVER "inet:EACCES all:THROUGH dns:THROUGH EPERM"
#define STREAM_HELD "inet:HELD all:EACCES EPERM"
#define PASSED "run:ANY nested:ANY executed:ANY "
const struct try tries_calls[] = {
	{"fast_open_sendto", fast_open_sendto, "EPERM", 2},
	{"fast_open_sendmsg", fast_open_sendmsg, "EPERM", 2},
	{"fast_open_sendmmsg", fast_open_sendmmsg, "EPERM", 2},
	{"fast_open_connect", fast_open_connect, "EPERM", 2},
	{"fast_open_header", fast_open_header, "inet:EPIPE all:EPIPE dns:EPIPE EPERM", 0},
	{"dissolve_tcp", dissolve_tcp, NET, 2},
	{"dissolve_udp", dissolve_udp, DATAGRAM, 2},
	{"dissolve_listen", dissolve_listen, NET, 1},
	{"dissolve_other_port", dissolve_other_port, NET, 1},
	{"dissolve_bound_listen", dissolve_bound_listen, STREAM_HELD, 0},
	{"other_udp_sendto", other_udp_sendto, DATAGRAM, 2},
	{"other_udp_sendmsg", other_udp_sendmsg, DATAGRAM, 2},
	{"other_udp_sendmmsg", other_udp_sendmmsg, DATAGRAM, 2},
	{"other_tcp_sendto", other_tcp_sendto, STREAM_HELD, 0},
	{"other_tcp_sendmsg", other_tcp_sendmsg, STREAM_HELD, 0},
	{"many_second_bad", many_second_bad, STREAM_HELD, 2},
	{"more_to_come", more_to_come, NET, 1},
	{"listen_unbound", listen_unbound, NET, 1},
	{"listen_unbound6", listen_unbound6, NET, 1},
	{"bind_zero", bind_zero, RESOLVER, 1},
	{"bind_zero_listen", bind_zero_listen, NET, 1},
	{"bind_any", bind_any, NET, 1},
	{"bind_other", bind_other, NET, 1},
	{"bind_udp", bind_udp, NET, 1},
	{"bind_no_family", bind_no_family, NET, 1},
	{"bind_any6", bind_any6, NET, 1},
	{"bind_no_port", bind_no_port, RESOLVER, 1},
	{"bind_allowed", bind_allowed, STREAM_HELD, 0},
	{"passed_accept", passed_accept, PASSED "stdio:EPERM dns:EPERM send:EPERM EAGAIN", 0},
	{"passed_accept_old", passed_accept_old, PASSED "stdio:EPERM dns:EPERM send:EPERM EAGAIN", 0},
	{"passed_udp_sendto", passed_udp_sendto, PASSED NET, 2},
	{"passed_udp_sendmsg", passed_udp_sendmsg, PASSED NET, 2},
	{"passed_udp_sendmmsg", passed_udp_sendmmsg, PASSED NET, 2},
	{"passed_udp_connect", passed_udp_connect, PASSED DATAGRAM, 1},
	{"passed_local_sendto", passed_local_sendto, PASSED "unix:EACCES all:EACCES EPERM", 2},
	{"passed_local_sendmsg", passed_local_sendmsg, PASSED "unix:EACCES all:EACCES EPERM", 2},
	{"passed_local_connect", passed_local_connect, PASSED "unix:EACCES all:EACCES EPERM", 1},
	{0},
};
