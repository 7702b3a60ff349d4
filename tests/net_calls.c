/* SPDX-License-Identifier: ISC */
/* Bodies of live_net.c: socket, connect, bind and listen, call by call. */
#include "tests/net.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);
	return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

static void one_socket(int domain, int type, int protocol)
{
	int lowest = dup(0);
	close(lowest);
	int fd = socket(domain, type, protocol);
	note("socket(%d, %#x, %d): ", domain, type, protocol);
	if (fd < 0) {
		note("%s\n", name_of(errno));
		return;
	}
	note("%d %d %#x, %d %d %d\n", fd == lowest, fcntl(fd, F_GETFD), fcntl(fd, F_GETFL),
		option(fd, SOL_SOCKET, SO_DOMAIN), option(fd, SOL_SOCKET, SO_TYPE),
		option(fd, SOL_SOCKET, SO_PROTOCOL));
	close(fd);
}

void net_socket(void)
{
	static const int domains[] = {AF_INET, AF_INET6}, types[] = {SOCK_STREAM, SOCK_DGRAM},
			 flags[] = {0, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK, 0x10000, 0x100};
	for (size_t d = 0; d < COUNT(domains); d++)
		for (size_t t = 0; t < COUNT(types); t++)
			for (size_t f = 0; f < COUNT(flags); f++) {
				one_socket(domains[d], types[t] | flags[f], 0);
				one_socket(domains[d], types[t] | flags[f], types[t] == SOCK_STREAM ? 6 : 17);
			}
	for (size_t f = 0; f < COUNT(flags); f++) {
		one_socket(AF_UNIX, SOCK_STREAM | flags[f], 0);
		one_socket(AF_UNIX, SOCK_DGRAM | flags[f], 0);
		one_socket(AF_UNIX, SOCK_SEQPACKET | flags[f], 0);
	}
	one_socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	/* The lowest number that is free. */
	int holes[4];
	for (size_t i = 0; i < COUNT(holes); i++)
		holes[i] = dup(0);
	close(holes[1]);
	close(holes[2]);
	one_socket(AF_INET, SOCK_STREAM, 0);
	int first = socket(AF_INET6, SOCK_DGRAM, 0), second = socket(AF_INET, SOCK_STREAM, 0);
	note("%d %d\n", first == holes[1], second == holes[2]);
	/* What is not promised fails with EPERM, whatever the kernel would say. */
	static const struct {
		int domain, type, protocol;
	} others[] = {{AF_INET, SOCK_RAW, 1}, {AF_INET, SOCK_RAW, 255}, {AF_INET6, SOCK_RAW, 58},
		{AF_INET, SOCK_STREAM, 262}, {AF_INET, SOCK_STREAM, 132}, {AF_INET, SOCK_SEQPACKET, 132},
		{AF_INET, SOCK_DGRAM, 136}, {AF_INET, SOCK_STREAM, 17}, {AF_INET, SOCK_DGRAM, 6},
		{AF_INET, SOCK_DCCP, 33}, {AF_INET, 0, 0}, {AF_INET, 15, 0}, {AF_UNIX, SOCK_RAW, 0},
		{AF_UNIX, SOCK_STREAM, 1}, {AF_PACKET, SOCK_RAW, 0}, {AF_PACKET, SOCK_DGRAM, 8},
		{AF_NETLINK, SOCK_RAW, 9}, {AF_NETLINK, SOCK_RAW, 16}, {AF_VSOCK, SOCK_STREAM, 0},
		{AF_ALG, SOCK_SEQPACKET, 0}, {44, SOCK_RAW, 0}, {AF_UNSPEC, SOCK_STREAM, 0}, {-1, SOCK_STREAM, 0},
		{INT_MAX, SOCK_DGRAM, 0}};
	for (size_t i = 0; i < COUNT(others); i++) {
		int fd = net->confined ? socket(others[i].domain, others[i].type, others[i].protocol) : -1;
		note("socket(%d, %d, %d): %d %s\n", others[i].domain, others[i].type, others[i].protocol, fd,
			net->confined ? name_of(errno) : "EPERM");
	}
}

void net_socket_full(void)
{
	int last = -1, fd;
	while ((fd = dup(0)) >= 0)
		last = fd;
	note("full: %s\n", name_of(errno));
	note("tcp %s, v6 %s, ", said(socket(AF_INET, SOCK_STREAM, 0)), said(socket(AF_INET6, SOCK_DGRAM, 0)));
	note("unix %s\n", said(socket(AF_UNIX, SOCK_STREAM, 0)));
	close(last);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	note("the last: %d\n", fd == last);
	struct place p = v4("127.0.0.1", 0);
	note("bind %s, listen %s\n", name_of(bind_place(fd, &p)), said(listen(fd, 1)));
	p = own_place(fd);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	note("again: %d, connect %s\n", fd == last, name_of(connect_place(fd, &p)));
	note("accept %s\n", said(accept(fd, NULL, NULL)));
}

static long connect_raw(int fd, const void *address, long len)
{
	return syscall(SYS_connect, fd, address, len);
}

void net_connect_errors(void)
{
	static const long lengths[] = {0, 1, 2, 3, 8, 15, 16, 17, 24, 27, 28, 29, 110, 128, 129, -1, INT_MIN, 1L << 32};
	static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, 77};
	struct place p = v4("127.0.0.1", 0), q = v6("::1", 0);
	int server = listener(&p, SOCK_STREAM, 100), server6 = listener(&q, SOCK_STREAM, 100);
	for (int v = 0; v < 2; v++)
		for (size_t f = 0; f < COUNT(families); f++)
			for (size_t l = 0; l < COUNT(lengths); l++) {
				struct place to = v ? q : p;
				to.to.ss_family = (sa_family_t)families[f];
				int fd = socket(v ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
				note("v%d family %d length %ld: %s\n", v, families[f], lengths[l],
					said(connect_raw(fd, &to.to, lengths[l])));
				close(fd);
			}
	int null = dup(0), fd = socket(AF_INET, SOCK_STREAM, 0);
	note("no socket %s, closed %s, -1 %s\n", name_of(connect_place(null, &p)), name_of(connect_place(777, &p)),
		name_of(connect_place(-1, &p)));
	note("no socket and no address %s, closed and no address %s\n", said(connect_raw(null, (void *)8, 16)),
		said(connect_raw(777, (void *)8, 16)));
	note("no socket and a long one %s\n", said(connect_raw(null, &p.to, 129)));
	note("no address %s %s %s\n", said(connect_raw(fd, NULL, 16)), said(connect_raw(fd, (void *)8, 16)),
		said(connect_raw(fd, (void *)-1L, 16)));
	note("a high half %s\n", said(syscall(SYS_connect, (1L << 32) | fd, &p.to, (1L << 32) | p.len)));
	note("listening %s\n", name_of(connect_place(server, &p)));
	note("connected %s %s\n", name_of(connect_place(fd, &p)), name_of(connect_place(fd, &q)));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	struct place low = v4("127.0.0.1", 1), none = v4("127.0.0.1", 0);
	note("refused %s, again %s\n", name_of(connect_place(fd, &low)), name_of(connect_place(fd, &low)));
	note("port 0 %s\n", name_of(connect_place(fd, &none)));
	note("then %s\n", name_of(connect_place(fd, &p)));
	close(fd);
	close(server);
	close(server6);
}

static void talk(int client, int server, const char *what)
{
	char buf[16] = "";
	int peer = accept(server, NULL, NULL);
	struct place own = own_place(client), seen = {.len = sizeof(seen.to)}, to = own_place(peer), peers = seen;
	getpeername(peer, (struct sockaddr *)&seen.to, &seen.len);
	getpeername(client, (struct sockaddr *)&peers.to, &peers.len);
	note("%s: names %d %d, sent %zd\n", what, own.len == seen.len && memcmp(&own.to, &seen.to, own.len) == 0,
		to.len == peers.len && memcmp(&to.to, &peers.to, to.len) == 0, send(client, "hello", 5, MSG_NOSIGNAL));
	note("came %zd %s, back %zd\n", recv(peer, buf, sizeof(buf), 0), buf, send(peer, "x", 1, MSG_NOSIGNAL));
	note("came %zd\n", recv(client, buf, sizeof(buf), 0));
	close(peer);
}

void net_connect(void)
{
	struct place any[] = {v4("127.0.0.1", 0), v6("::1", 0), v6("::ffff:127.0.0.1", 0), v4("127.7.7.7", 0)};
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	for (size_t i = 0; i < COUNT(any); i++)
		for (int flags = 0; flags <= SOCK_NONBLOCK; flags += SOCK_NONBLOCK) {
			struct place p = any[i];
			int server = listener(&p, SOCK_STREAM, 5), fd = socket(p.to.ss_family, SOCK_STREAM | flags, 0);
			int e = connect_place(fd, &p);
			note("%zu %#x: %s\n", i, flags, name_of(e));
			note("events %x, error %s\n", (unsigned)wait_for(fd, POLLOUT, 1000), name_of(socket_error(fd)));
			e = connect_place(fd, &p);
			note("again %s, again %s\n", name_of(e), name_of(connect_place(fd, &p)));
			fcntl(fd, F_SETFL, 0);
			talk(fd, server, "first");
			note("dissolved %s ", said(connect(fd, &none, sizeof(none))));
			note("%s\n", said(send(fd, "x", 1, MSG_NOSIGNAL)));
			note("reconnected %s\n", name_of(connect_place(fd, &p)));
			talk(fd, server, "second");
			close(fd);
			close(server);
		}
	/* To itself. */
	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		struct place p = any[0];
		char c = 0;
		note("bind %s\n", name_of(bind_place(fd, &p)));
		p = own_place(fd);
		note("to itself %s, ", name_of(connect_place(fd, &p)));
		note("sent %zd, came %zd\n", send(fd, "s", 1, 0), recv(fd, &c, 1, 0));
		close(fd);
	}
	/* v4 only, v6 only. */
	struct place p = any[2];
	int server = listener(&p, SOCK_STREAM, 5), on = 1, fd = socket(AF_INET6, SOCK_STREAM, 0);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	note("v6 only to v4 %s\n", name_of(connect_place(fd, &p)));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	struct place q = v4("127.0.0.1", ntohs(((struct sockaddr_in6 *)&p.to)->sin6_port));
	note("v4 to mapped %s\n", name_of(connect_place(fd, &q)));
	talk(fd, server, "mapped");
	close(fd);
	close(server);
}

static void options_of(int fd)
{
	note("%d %d %d %d %d %d %d %d\n", option(fd, SOL_SOCKET, SO_KEEPALIVE), option(fd, SOL_SOCKET, SO_REUSEADDR),
		option(fd, SOL_SOCKET, SO_REUSEPORT), option(fd, IPPROTO_TCP, TCP_NODELAY),
		option(fd, IPPROTO_TCP, TCP_KEEPIDLE), option(fd, IPPROTO_TCP, TCP_KEEPINTVL),
		option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), option(fd, SOL_SOCKET, SO_SNDBUF));
	struct timeval t[2] = {{0, 0}, {0, 0}};
	socklen_t len = sizeof(t[0]);
	note("%s ", said(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t[0], &len)));
	note("%s %ld.%06ld ", said(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t[1], &len)), (long)t[0].tv_sec,
		(long)t[0].tv_usec);
	note("%ld.%06ld %d %d\n", (long)t[1].tv_sec, (long)t[1].tv_usec, option(fd, IPPROTO_IP, IP_TOS),
		option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT));
}

void net_options(void)
{
	struct place p = v4("127.0.0.1", 0), from = v4("127.0.0.9", 0);
	int server = listener(&p, SOCK_STREAM, 5), on = 1, idle = 77, tos = 0x10;
	for (int with = 0; with < 2; with++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		struct timeval t = {3, 248000}, u = {2, 0};
		options_of(fd);
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof(idle));
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &idle, sizeof(idle));
		setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
		if (with) {
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &u, sizeof(u));
			note("no port %s\n",
				said(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on))));
			note("bind %s, ", name_of(bind_place(fd, &from)));
			struct place own = own_place(fd);
			note("port is 0: %d\n", ((struct sockaddr_in *)&own.to)->sin_port == 0);
		}
		options_of(fd);
		note("connect %s\n", name_of(connect_place(fd, &p)));
		options_of(fd);
		talk(fd, server, "options");
		struct place own = own_place(fd);
		note("from %x\n", with ? ntohl(((struct sockaddr_in *)&own.to)->sin_addr.s_addr) : 0);
		close(fd);
	}
	/* A range of local ports: IP_LOCAL_PORT_RANGE */
	uint32_t range = 40100 | 40120u << 16;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	note("range %s, ", said(setsockopt(fd, IPPROTO_IP, 51, &range, sizeof(range))));
	note("connect %s, ", name_of(connect_place(fd, &p)));
	struct place own = own_place(fd);
	int port = ntohs(((struct sockaddr_in *)&own.to)->sin_port);
	note("within %d\n", port >= 40100 && port <= 40120);
	close(fd);
	/* Two listeners of one port. */
	struct place at = v4("127.0.0.1", 0);
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(a, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	note("bind %s, ", name_of(bind_place(a, &at)));
	at = own_place(a);
	note("taken %s, ", name_of(bind_place(b, &at)));
	setsockopt(b, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	note("shared %s, listen %s %s\n", name_of(bind_place(b, &at)), said(listen(a, 1)), said(listen(b, 1)));
	close(a);
	close(b);
	close(server);
}

void net_bind(void)
{
	struct place any[] = {
		v4("127.0.0.1", 0), v6("::1", 0), v4("0.0.0.0", 0), v6("::", 0), v6("::ffff:127.0.0.1", 0)};
	for (size_t i = 0; i < COUNT(any); i++) {
		int fd = socket(any[i].to.ss_family, SOCK_STREAM, 0),
		    other = socket(any[i].to.ss_family, SOCK_STREAM, 0);
		note("%zu: bind %s, ", i, name_of(bind_place(fd, &any[i])));
		note("twice %s, ", name_of(bind_place(fd, &any[i])));
		struct place own = own_place(fd);
		note("length %d, family %d, taken %s, ", own.len, own.to.ss_family,
			i < 2 ? name_of(bind_place(other, &own)) : "");
		note("listen %s, again %s, ", said(listen(fd, 3)), said(listen(fd, -1)));
		note("bind %s, accepting %d, again %s\n", name_of(bind_place(fd, &any[i])),
			option(fd, SOL_SOCKET, SO_ACCEPTCONN), said(listen(fd, INT_MAX)));
		fcntl(fd, F_SETFL, O_NONBLOCK);
		note("nobody %s\n", said(accept(fd, NULL, NULL)));
		close(fd);
		/* Nothing of it is left. */
		note("at once %s\n", i < 2 ? name_of(bind_place(other, &own)) : "");
		close(other);
	}
	struct place not_ours = v4("192.0.2.1", 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0), d = socket(AF_INET, SOCK_DGRAM, 0);
	note("not ours %s, no stream %s, not bound: accept %s\n", name_of(bind_place(fd, &not_ours)),
		said(listen(d, 1)), said(accept(fd, NULL, NULL)));
	note("listen without bind %s\n", said(listen(fd, 1)));
	struct place own = own_place(fd);
	note("has a port: %d\n", ((struct sockaddr_in *)&own.to)->sin_port != 0);
	note("no descriptor %s %s, no socket %s %s\n", said(listen(-1, 1)), name_of(bind_place(-1, &any[0])),
		said(listen(0, 1)), name_of(bind_place(0, &any[0])));
	note("no address %s, short %s\n", said(syscall(SYS_bind, d, (void *)8, 16)),
		said(syscall(SYS_bind, d, &any[0].to, 15)));
}
