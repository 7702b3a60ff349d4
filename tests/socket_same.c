/* SPDX-License-Identifier: ISC */
/* What sockets do natively and must do confined, note by note. Each body runs twice. */
#include "tests/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* ---- every errno of an address ---- */

static const struct {
	int domain, type;
} sockets[] = {{AF_INET, SOCK_STREAM}, {AF_INET, SOCK_DGRAM}, {AF_INET6, SOCK_STREAM}, {AF_INET6, SOCK_DGRAM},
	{AF_UNIX, SOCK_STREAM}, {AF_UNIX, SOCK_DGRAM}, {AF_UNIX, SOCK_SEQPACKET}};

static void fill_address(struct sockaddr_storage *a, int family, int port)
{
	memset(a, 0, sizeof(*a));
	if (family == AF_UNIX || family == 77) {
		/* Whatever is cut off: nothing has such a name. */
		memset(((struct sockaddr_un *)a)->sun_path, 'n', sizeof(*a) - 2);
	} else if (family == AF_INET6) {
		struct sockaddr_in6 b = v6("::1", port);
		memcpy(a, &b, sizeof(b));
	} else {
		struct sockaddr_in b = v4("127.0.0.1", port);
		memcpy(a, &b, sizeof(b));
	}
	a->ss_family = (sa_family_t)family;
}

static long make_call(int which, int fd, const void *address, int len)
{
	struct iovec v = {"x", 1};
	struct msghdr h = {(void *)(uintptr_t)address, (socklen_t)len, &v, 1, NULL, 0, 0};
	switch (which) {
	case 0:
		return syscall(SYS_connect, fd, address, len);
	case 1:
		return syscall(SYS_bind, fd, address, len);
	case 2:
		return syscall(SYS_sendto, fd, "x", 1, MSG_NOSIGNAL, address, len);
	default:
		return syscall(SYS_sendmsg, fd, &h, MSG_NOSIGNAL);
	}
}

static void one_errno(int which, size_t s, int family, int len, const void *wrong)
{
	static const char *const calls[] = {"connect", "bind", "sendto", "sendmsg"};
	struct sockaddr_storage a;
	bool stream = sockets[s].type == SOCK_STREAM;
	int port = which == 1                     ? 0
		   : sockets[s].domain == AF_INET ? (stream ? world->tcp : world->udp)
						  : (stream ? world->tcp6 : world->udp6);
	int fd = socket(sockets[s].domain, sockets[s].type | SOCK_NONBLOCK, 0);
	fill_address(&a, family, port);
	int e = errno_of(make_call(which, fd, wrong ? wrong : &a, len));
	note("%s socket %d,%d family %d length %d at %p: %s\n", calls[which], sockets[s].domain, sockets[s].type,
		family, len, wrong, name_of(e));
	if (which == 1 && !e && sockets[s].domain == AF_UNIX) {
		struct sockaddr_un own;
		char path[sizeof(own.sun_path) + 1] = "";
		socklen_t own_len = sizeof(own);
		struct stat st;
		getsockname(fd, (struct sockaddr *)&own, &own_len);
		memcpy(path, own.sun_path, sizeof(own.sun_path));
		note("bound to %s, %d, mode %o\n", path, own_len, stat(path, &st) == 0 ? st.st_mode : 0);
		note("again: %s\n", name_of(errno_of(bind(fd, (struct sockaddr *)&own, own_len))));
		unlink(path);
	}
	close(fd);
}

void same_errnos(void)
{
	static const int lengths[] = {
		0, 1, 2, 3, 8, 15, 16, 17, 23, 24, 27, 28, 29, 109, 110, 111, 127, 128, 129, -1, INT_MAX};
	static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX, 77};
	for (int which = 0; which < 4; which++) {
		for (size_t s = 0; s < COUNT(sockets); s++) {
			for (size_t f = 0; f < COUNT(families); f++)
				for (size_t l = 0; l < COUNT(lengths); l++) {
					/* Abstract ones are another matter. */
					bool automatic = which == 1 && sockets[s].domain == AF_UNIX &&
							 families[f] == AF_UNIX && lengths[l] == 2;
					if (!automatic)
						one_errno(which, s, families[f], lengths[l], NULL);
				}
			one_errno(which, s, AF_INET, 16, (void *)1);
			one_errno(which, s, AF_INET, 16, (void *)-4096L);
		}
		for (int fd = -1; fd < 1; fd++) {
			int number = fd ? fd : open("/dev/null", O_RDWR);
			struct sockaddr_in a = v4("127.0.0.1", world->tcp);
			note("%d of no socket: %s\n", which,
				name_of(errno_of(make_call(which, number, &a, sizeof(a)))));
			note("with no address: %s\n",
				name_of(errno_of(make_call(which, number, (void *)1, sizeof(a)))));
			note("with a long one: %s\n", name_of(errno_of(make_call(which, number, &a, 129))));
		}
	}
	note("listen: %s %s\n", name_of(errno_of(listen(-1, 1))), name_of(errno_of(listen(0, 1))));
}

/* ---- TCP ---- */

static void exchange(int fd, size_t bytes)
{
	char *data = malloc(bytes), *back = calloc(1, bytes);
	size_t sent = 0, got = 0;
	memset(data, 'a', bytes);
	while (got < bytes) {
		ssize_t n = sent < bytes ? send(fd, data + sent, bytes - sent, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
		sent += n > 0 ? (size_t)n : 0;
		n = recv(fd, back + got, bytes - got, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		got += n > 0 ? (size_t)n : 0;
		struct pollfd p = {fd, (short)(POLLIN | (sent < bytes ? POLLOUT : 0)), 0};
		poll(&p, 1, 5000);
	}
	note("%zu bytes there and back: %d\n", bytes, got == bytes && memcmp(data, back, bytes) == 0);
	free(data);
	free(back);
}

static void client(int domain, const void *address, socklen_t len)
{
	int fd = socket(domain, SOCK_STREAM, 0), one = 1;
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);
	note("option %s\n", name_of(errno_of(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)))));
	note("connect %s\n", name_of(connect_to(fd, address, len)));
	note("again %s\n", name_of(connect_to(fd, address, len)));
	getpeername(fd, (struct sockaddr *)&peer, &peer_len);
	note("peer is right: %d\n", peer_len == len && memcmp(&peer, address, 8) == 0);
	exchange(fd, 300000);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	note("dissolved %s\n", name_of(connect_to(fd, &none, sizeof(none))));
	note("peer %s\n", name_of(errno_of(getpeername(fd, (struct sockaddr *)&peer, &peer_len))));
	note("connect %s\n", name_of(connect_to(fd, address, len)));
	note("sendto, with another address %s\n",
		name_of(errno_of(sendto(fd, "x", 1, 0, (struct sockaddr *)&peer, 16))));
	close(fd);
}

static void without_waiting(void)
{
	struct sockaddr_in a = v4("127.0.0.1", world->full), closed = v4("127.0.0.1", 1);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = -1;
	socklen_t len = sizeof(error);
	note("%s, then %s\n", name_of(connect_to(fd, &a, sizeof(a))), name_of(connect_to(fd, &a, sizeof(a))));
	struct pollfd p = {fd, POLLOUT, 0};
	note("writable: %d\n", poll(&p, 1, 50));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	note("refused: %s\n", name_of(connect_to(fd, &closed, sizeof(closed))));
	p.fd = fd;
	poll(&p, 1, 20000);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	note("events %x, error %s\n", p.revents, name_of(error));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	note("refused: %s\n", name_of(connect_to(fd, &closed, sizeof(closed))));
	close(fd);
}

static void server(int domain, const void *address, socklen_t len)
{
	int s = socket(domain, SOCK_STREAM, 0);
	struct sockaddr_storage own;
	socklen_t own_len = sizeof(own);
	note("bind %s\n", name_of(errno_of(bind(s, address, len))));
	note("twice %s\n", name_of(errno_of(bind(s, address, len))));
	note("listen %s\n", name_of(errno_of(listen(s, 5))));
	getsockname(s, (struct sockaddr *)&own, &own_len);
	int taken = socket(domain, SOCK_STREAM, 0);
	note("taken %s\n", name_of(errno_of(bind(taken, (struct sockaddr *)&own, own_len))));
	int c = socket(domain, SOCK_STREAM, 0);
	note("to myself %s\n", name_of(connect_to(c, &own, own_len)));
	int peer = accept(s, NULL, NULL);
	char buf[8] = "";
	send(c, "hello", 5, 0);
	recv(peer, buf, sizeof(buf), 0);
	note("said %s\n", buf);
	close(c);
	note("end %zd\n", recv(peer, buf, sizeof(buf), 0));
	note("shut %s\n", name_of(errno_of(shutdown(s, SHUT_RDWR))));
	close(peer);
	close(taken);
	close(s);
	s = socket(domain, SOCK_STREAM, 0);
	note("listen at any port %s\n", name_of(errno_of(listen(s, 1))));
	close(s);
}

void same_tcp(void)
{
	struct sockaddr_in a = v4("127.0.0.1", world->tcp), any = v4("127.0.0.1", 0);
	struct sockaddr_in6 b = v6("::1", world->tcp6), any6 = v6("::1", 0), m = v6("::ffff:127.0.0.1", world->tcp);
	client(AF_INET, &a, sizeof(a));
	client(AF_INET6, &m, sizeof(m));
	without_waiting();
	server(AF_INET, &any, sizeof(any));
	if (world->v6) {
		client(AF_INET6, &b, sizeof(b));
		server(AF_INET6, &any6, sizeof(any6));
	}
	a = v4("0.0.0.0", world->tcp);
	note("this host: %s\n", name_of(try_connect(SOCK_STREAM, &a, sizeof(a))));
	a = v4("127.0.0.1", 80);
	note("a low port: %s\n", name_of(try_bind(SOCK_STREAM, &a, sizeof(a))));
	a = v4("192.0.2.1", 80);
	note("not ours: %s\n", name_of(try_bind(SOCK_STREAM, &a, sizeof(a))));
	struct ifaddrs *list = NULL;
	int n = 0;
	note("interfaces: %d\n", getifaddrs(&list));
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		n++;
	note("%d addresses\n", n);
}

/* ---- UDP ---- */

static void hears(int fd, const char *what)
{
	char buf[32] = "";
	struct pollfd p = {fd, POLLIN, 0};
	poll(&p, 1, 20000);
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
	note("%s: %zd %s, from length %d\n", what, n, buf, len);
}

static void datagrams(int domain, const void *address, socklen_t len)
{
	int fd = socket(domain, SOCK_DGRAM, 0);
	struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
	struct msghdr h = {(void *)(uintptr_t)address, len, v, 2, NULL, 0, 0};
	struct mmsghdr many[3] = {{h, 0}, {h, 0}, {h, 0}};
	note("send without address %s\n", name_of(errno_of(send(fd, "x", 1, 0))));
	note("sendto %zd\n", sendto(fd, "one", 3, 0, address, len));
	hears(fd, "one");
	note("sendmsg %zd\n", sendmsg(fd, &h, 0));
	hears(fd, "abcd");
	many[1].msg_hdr.msg_namelen = 3;
	note("sendmmsg %d, %u\n", sendmmsg(fd, many, 3, 0), many[0].msg_len);
	hears(fd, "the first of many");
	many[1].msg_hdr.msg_namelen = len;
	note("sendmmsg %d, %u %u %u\n", sendmmsg(fd, many, 3, 0), many[0].msg_len, many[1].msg_len, many[2].msg_len);
	for (int i = 0; i < 3; i++)
		hears(fd, "many");
	note("none %d\n", sendmmsg(fd, many, 0, 0));
	note("connect %s\n", name_of(connect_to(fd, address, len)));
	note("send %zd\n", send(fd, "two", 3, 0));
	hears(fd, "two");
	note("sendto over it %zd\n", sendto(fd, "three", 5, 0, address, len));
	hears(fd, "three");
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	note("dissolved %s\n", name_of(connect_to(fd, &none, sizeof(none))));
	note("send %s\n", name_of(errno_of(send(fd, "x", 1, 0))));
	char *big = calloc(1, 70000);
	note("70000 bytes: %s\n", name_of(errno_of(sendto(fd, big, 70000, 0, address, len))));
	note("60000 bytes: %zd\n", sendto(fd, big, 60000, 0, address, len));
	note("a bad buffer: %s\n", name_of(errno_of(sendto(fd, (void *)1, 10, 0, address, len))));
	note("no bytes: %zd\n", sendto(fd, NULL, 0, 0, address, len));
	free(big);
	close(fd);
}

void same_udp(void)
{
	struct sockaddr_in a = v4("127.0.0.1", world->udp);
	struct sockaddr_in6 b = v6("::1", world->udp6), m = v6("::ffff:127.0.0.1", world->udp);
	datagrams(AF_INET, &a, sizeof(a));
	datagrams(AF_INET6, &m, sizeof(m));
	datagrams(AF_INET6, &a, sizeof(a));
	if (world->v6)
		datagrams(AF_INET6, &b, sizeof(b));
	a = v4("255.255.255.255", 9);
	note("broadcast: %s\n", name_of(try_send(SOCK_DGRAM, &a, sizeof(a))));
}

/* ---- local ---- */

void same_local(void)
{
	struct sockaddr_un a, own, peer;
	socklen_t len = local(&a, "open/stream"), peer_len = sizeof(peer);
	client(AF_UNIX, &a, len);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	local(&a, "open/link");
	note("by a link %s\n", name_of(connect_to(fd, &a, len)));
	getpeername(fd, (struct sockaddr *)&peer, &peer_len);
	note("its name %s\n", strrchr(peer.sun_path, '/'));
	struct ucred cred;
	socklen_t cred_len = sizeof(cred);
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len);
	note("server of uid %d\n", cred.uid);
	close(fd);
	static const char *const names[] = {"open/stream", "open/dgram", "open/seqpacket", "open", "open/none",
		"open/none/x", "open/stream/x", "open/link/", "stderr", "open/../open/dgram"};
	for (int type = 0; type < 3; type++)
		for (size_t i = 0; i < COUNT(names); i++) {
			static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
			local(&a, names[i]);
			note("%d to %s: %s %s\n", types[type], names[i], name_of(try_connect(types[type], &a, len)),
				name_of(try_send(types[type], &a, len)));
			if (i != 4)
				note("bind: %s\n", name_of(try_bind(types[type], &a, len)));
		}
	local(&a, "open/dgram");
	int d = socket(AF_UNIX, SOCK_DGRAM, 0);
	memset(&own, 0, sizeof(own));
	own.sun_family = AF_UNIX;
	strcpy(own.sun_path, "mine");
	note("bind %s\n", name_of(errno_of(bind(d, (struct sockaddr *)&own, sizeof(own)))));
	note("sendto %zd\n", sendto(d, "dg", 2, 0, (struct sockaddr *)&a, len));
	close(d);
	unlink("mine");
	/* A path of 108 bytes without a NUL. */
	memset(own.sun_path, '/', sizeof(own.sun_path));
	memcpy(own.sun_path, a.sun_path, strlen(a.sun_path) - 10);
	memcpy(own.sun_path + sizeof(own.sun_path) - 10, "open/dgram", 10);
	note("108 bytes: %s\n", name_of(try_connect(SOCK_DGRAM, &own, sizeof(own))));
}

/* What bind() makes, and what the socket is called then. */
void same_names(void)
{
	static const char *const names[] = {"plain", "./dot", "sub/inner", "../open/up", "sub/", "sub", "plain"};
	struct sockaddr_un a = {.sun_family = AF_UNIX}, own;
	mkdir("sub", 0700);
	for (size_t i = 0; i < 2 * COUNT(names); i++) {
		struct stat st = {.st_mode = 0};
		socklen_t len = sizeof(own);
		const char *name = names[i % COUNT(names)];
		umask(i < COUNT(names) ? 022 : 077);
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		memset(a.sun_path, 0, sizeof(a.sun_path));
		strcpy(a.sun_path, name);
		int e = errno_of(bind(fd, (struct sockaddr *)&a, sizeof(a)));
		note("bind %s: %s, then %s\n", name, name_of(e), name_of(errno_of(listen(fd, 1))));
		stat(name, &st);
		note("mode %o, connect %s\n", st.st_mode, name_of(try_connect(SOCK_STREAM, &a, sizeof(a))));
		memset(&own, 0, sizeof(own));
		getsockname(fd, (struct sockaddr *)&own, &len);
		if (!strchr(name, '/')) /* in place of others their last component may stand */
			note("called %s\n", own.sun_path);
		close(fd);
		if (i % COUNT(names) == COUNT(names) - 1)
			for (size_t k = 0; k < COUNT(names); k++)
				unlink(names[k]);
	}
	char full[PATH_MAX];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(full, sizeof(full), "%s/open/absolute", world->top);
	memset(a.sun_path, 0, sizeof(a.sun_path));
	strcpy(a.sun_path, full);
	note("absolute %s\n", name_of(errno_of(bind(fd, (struct sockaddr *)&a, sizeof(a)))));
	memset(&own, 0, sizeof(own));
	socklen_t len = sizeof(own);
	getsockname(fd, (struct sockaddr *)&own, &len);
	note("called so: %d\n", strcmp(own.sun_path, full) == 0);
	unlink(full);
	rmdir("sub");
}
