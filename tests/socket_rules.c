/* SPDX-License-Identifier: ISC */
/* What sockets may not, and with which errno. */
#include "tests/socket.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int to(int type, const char *ip, int port)
{
	struct sockaddr_in a = v4(ip, port);
	return type == SOCK_DGRAM ? try_send(type, &a, sizeof(a)) : try_connect(type, &a, sizeof(a));
}

static int to6(int type, const char *ip, int port)
{
	struct sockaddr_in6 a = v6(ip, port);
	return type == SOCK_DGRAM ? try_send(type, &a, sizeof(a)) : try_connect(type, &a, sizeof(a));
}

void rules_ports(void)
{
	MUST(to(SOCK_STREAM, "127.0.0.1", world->tcp), 0);
	MUST(to(SOCK_STREAM, "127.0.0.1", world->forbidden), EACCES);
	MUST(to(SOCK_STREAM, "127.0.0.1", world->tcp - 1), EACCES);
	MUST(to(SOCK_STREAM, "127.0.0.1", world->tcp + 1), EACCES);
	MUST(to(SOCK_STREAM, "127.0.0.1", 0), EACCES);
	MUST(to(SOCK_STREAM, "127.0.0.2", world->tcp), EACCES);
	MUST(to(SOCK_DGRAM, "127.0.0.1", world->udp), 0);
	MUST(to(SOCK_DGRAM, "127.0.0.1", world->forbidden_udp), EACCES);
	MUST(to(SOCK_DGRAM, "127.0.0.1", world->tcp), EACCES);
	MUST(to(SOCK_STREAM, "127.0.0.1", world->udp), EACCES);
	if (world->v6)
		MUST(to6(SOCK_STREAM, "::1", world->tcp6), 0);
	/* What is connected may not be sent elsewhere, in no way. */
	struct sockaddr_in yes = v4("127.0.0.1", world->udp), no = v4("127.0.0.1", world->forbidden_udp);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct iovec v = {"x", 1};
	struct msghdr h = {&no, sizeof(no), &v, 1, NULL, 0, 0};
	struct mmsghdr many[3] = {
		{{&yes, sizeof(yes), &v, 1, NULL, 0, 0}, 0}, {h, 0}, {{&yes, sizeof(yes), &v, 1, NULL, 0, 0}, 0}};
	MUST(connect_to(fd, &no, sizeof(no)), EACCES);
	MUST(connect_to(fd, &yes, sizeof(yes)), 0);
	MUST(errno_of(sendto(fd, "x", 1, 0, (struct sockaddr *)&no, sizeof(no))), EACCES);
	MUST(errno_of(sendmsg(fd, &h, 0)), EACCES);
	MUST(sendmmsg(fd, many, 3, 0), 1);
	MUST(errno_of(sendmmsg(fd, many + 1, 2, 0)), EACCES);
	MUST(connect_to(fd, &no, sizeof(no)), EACCES);
	MUST(try_bind(SOCK_STREAM, &no, sizeof(no)), EACCES);
	close(fd);
}

void rules_spellings(void)
{
	struct sockaddr_in a = v4("127.0.0.1", world->forbidden_udp);
	struct sockaddr_in6 b = v6("::ffff:127.0.0.1", world->forbidden_udp);
	MUST(to6(SOCK_STREAM, "::ffff:127.0.0.1", world->tcp), 0);
	MUST(to6(SOCK_STREAM, "::ffff:127.0.0.1", world->forbidden), EACCES);
	MUST(to6(SOCK_STREAM, "::ffff:0.0.0.0", world->tcp), 0);
	MUST(to6(SOCK_STREAM, "::ffff:0.0.0.0", world->forbidden), EACCES);
	MUST(to6(SOCK_DGRAM, "::ffff:127.0.0.1", world->forbidden_udp), EACCES);
	MUST(to(SOCK_STREAM, "0.0.0.0", world->tcp), 0);
	MUST(to(SOCK_STREAM, "0.0.0.0", world->forbidden), EACCES);
	MUST(to(SOCK_DGRAM, "0.0.0.0", world->udp), 0);
	MUST(to(SOCK_DGRAM, "0.0.0.0", world->forbidden_udp), EACCES);
	MUST(to6(SOCK_STREAM, "::", world->forbidden), EACCES);
	MUST(to6(SOCK_STREAM, "::1", world->forbidden), EACCES);
	if (world->v6)
		MUST(to6(SOCK_STREAM, "::", world->tcp6), 0);
	/* Datagrams of v4 sockets take an address of no family, and v6 ones a v4 address. */
	int fd = socket(AF_INET, SOCK_DGRAM, 0), six = socket(AF_INET6, SOCK_DGRAM, 0);
	MUST(errno_of(sendto(six, "x", 1, 0, (struct sockaddr *)&a, sizeof(a))), EACCES);
	MUST(connect_to(six, &a, sizeof(a)), EACCES);
	a.sin_family = AF_UNSPEC;
	MUST(errno_of(sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a))), EACCES);
	a.sin_port = htons((uint16_t)world->udp);
	MUST(errno_of(sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a))), 0);
	b.sin6_family = AF_UNSPEC;
	MUST(errno_of(sendto(six, "x", 1, 0, (struct sockaddr *)&b, sizeof(b))), EDESTADDRREQ);
	/* It may be dissolved, which leads nowhere. */
	MUST(connect_to(fd, &a, sizeof(a)), 0);
	close(fd);
	close(six);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	MUST(errno_of(sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&a, sizeof(a))), EPERM);
	close(fd);
}

/* ---- swaps ---- */

static union {
	struct sockaddr_in v4;
	struct sockaddr_un local;
} swapped;
static atomic_bool over;

static void *swap_port(void *arg)
{
	(void)arg;
	in_port_t yes = htons((uint16_t)world->tcp), no = htons((uint16_t)world->forbidden);
	for (unsigned i = 0; !over; i++) /* each for as long as the other */
		__atomic_store_n(&swapped.v4.sin_port, i / 64 % 2 ? no : yes, __ATOMIC_RELAXED);
	return NULL;
}

void rules_swap(void)
{
	pthread_t thread;
	int allowed = 0, refused = 0, sent = 0;
	swapped.v4 = v4("127.0.0.1", world->tcp);
	pthread_create(&thread, NULL, swap_port, NULL);
	for (int i = 0; i < 3000; i++) {
		int e = try_connect(SOCK_STREAM, &swapped.v4, sizeof(swapped.v4));
		allowed += e == 0;
		refused += e == EACCES;
	}
	MUST(allowed + refused, 3000);
	MUST(allowed > 10 && refused > 10, 1);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct iovec v = {"x", 1};
	struct msghdr h = {&swapped.v4, sizeof(swapped.v4), &v, 1, NULL, 0, 0};
	over = true;
	pthread_join(thread, NULL);
	swapped.v4 = v4("127.0.0.1", world->udp);
	for (int i = 0; i < 100; i++)
		sent += sendmsg(fd, &h, 0) == 1;
	MUST(sent, 100);
	close(fd);
}

/* A process that is not confined swaps what a name leads to. */
void rules_swap_path(void)
{
	struct sockaddr_un a;
	socklen_t len = local(&a, "open/swap");
	char good[100], bad[100], other[100];
	int reached = 0;
	snprintf(good, sizeof(good), "%s/open/stream", world->top);
	snprintf(bad, sizeof(bad), "%s/secret/stream", world->top);
	snprintf(other, sizeof(other), "%s/open/other", world->top);
	pid_t pid = fork();
	if (pid == 0) {
		/* It is confined as its parent is, and may swap links all the same. */
		for (;;) {
			if (symlink(good, other) == 0)
				rename(other, a.sun_path);
			if (symlink(bad, other) == 0)
				rename(other, a.sun_path);
		}
	}
	for (int i = 0; i < 2000; i++)
		reached += try_connect(SOCK_STREAM, &a, len) == 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	MUST(reached > 10, 1);
	unlink(other);
	unlink(a.sun_path);
}

/* ---- local sockets ---- */

static int to_local(const char *name, int type)
{
	struct sockaddr_un a;
	socklen_t len = local(&a, name);
	int e = try_connect(type, &a, len);
	if (type == SOCK_DGRAM)
		MUST(try_send(type, &a, len), e);
	return e;
}

void rules_paths(void)
{
	struct sockaddr_un a;
	struct stat st;
	socklen_t len;
	MUST(to_local("open/stream", SOCK_STREAM), 0);
	MUST(to_local("open/link", SOCK_STREAM), 0);
	MUST(to_local("open/../open/stream", SOCK_STREAM), 0);
	MUST(to_local("open/dgram", SOCK_DGRAM), EACCES);
	MUST(to_local("secret/stream", SOCK_STREAM), ENOENT);
	MUST(to_local("secret/dgram", SOCK_DGRAM), ENOENT);
	MUST(to_local("open/../secret/stream", SOCK_STREAM), ENOENT);
	MUST(to_local("secret/none", SOCK_STREAM), ENOENT);
	len = local(&a, "native/new");
	MUST(try_bind(SOCK_STREAM, &a, len), EACCES);
	local(&a, "secret/new");
	MUST(try_bind(SOCK_STREAM, &a, len), ENOENT);
	local(&a, "open/new");
	umask(027);
	MUST(try_bind(SOCK_STREAM, &a, len), 0);
	MUST(stat(a.sun_path, &st), 0);
	MUST(st.st_mode, S_IFSOCK | 0750);
	MUST(try_bind(SOCK_STREAM, &a, len), EADDRINUSE);
	unlink(a.sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(errno_of(bind(fd, (struct sockaddr *)&a, len)), 0);
	MUST(errno_of(listen(fd, 1)), 0);
	struct sockaddr_un own;
	socklen_t own_len = sizeof(own);
	getsockname(fd, (struct sockaddr *)&own, &own_len);
	MUST(strcmp(own.sun_path, a.sun_path), 0);
	MUST(try_connect(SOCK_STREAM, &a, len), 0);
	unlink(a.sun_path);
	close(fd);
	local(&a, "open/sub");
	MUST(mkdir(a.sun_path, 0700), 0);
	local(&a, "open/sub/new");
	MUST(try_bind(SOCK_STREAM, &a, len), 0);
	MUST(unlink(a.sun_path), 0);
	local(&a, "open/sub");
	MUST(rmdir(a.sun_path), 0);
}

void rules_ruled(void)
{
	struct sockaddr_un a, own;
	socklen_t len = local(&a, "native/ruled"), own_len = sizeof(own);
	MUST(to_local("open/stream", SOCK_STREAM), 0);
	MUST(to_local("open/link", SOCK_STREAM), ENOENT);
	MUST(to_local("open/dgram", SOCK_DGRAM), ENOENT);
	MUST(to_local("secret/stream", SOCK_STREAM), ENOENT);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(errno_of(bind(fd, (struct sockaddr *)&a, len)), 0);
	MUST(errno_of(listen(fd, 1)), 0);
	getsockname(fd, (struct sockaddr *)&own, &own_len);
	MUST(strcmp(own.sun_path, a.sun_path), 0);
	MUST(try_bind(SOCK_STREAM, &a, len), EADDRINUSE);
	MUST(try_connect(SOCK_STREAM, &a, len), ENOENT); /* that is another rule */
	local(&a, "native/other");
	MUST(try_bind(SOCK_STREAM, &a, len), ENOENT);
}

static socklen_t abstract(struct sockaddr_un *a, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	int n = snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, name, getppid());
	return (socklen_t)(sizeof(sa_family_t) + 1 + (size_t)n);
}

void rules_abstract(void)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, "airlock-yes-%d");
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(errno_of(bind(s, (struct sockaddr *)&a, len)), 0);
	MUST(errno_of(listen(s, 4)), 0);
	MUST(try_connect(SOCK_STREAM, &a, len), 0);
	MUST(try_connect(SOCK_STREAM, &a, len - 1), EACCES);
	MUST(try_connect(SOCK_STREAM, &a, len + 1), EACCES); /* with a NUL behind */
	len = abstract(&a, "airlock-no-%d");
	MUST(try_connect(SOCK_STREAM, &a, len), EACCES);
	MUST(try_bind(SOCK_STREAM, &a, len), EACCES);
	MUST(try_send(SOCK_DGRAM, &a, len), EACCES);
	MUST(try_bind(SOCK_STREAM, &a, sizeof(sa_family_t)), EACCES);
	MUST(try_connect(SOCK_STREAM, &a, sizeof(sa_family_t)), EINVAL);
}

void rules_no_abstract(void)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, "airlock-yes-%d");
	MUST(try_connect(SOCK_STREAM, &a, len), EACCES);
	MUST(try_bind(SOCK_STREAM, &a, len), EACCES);
	MUST(try_send(SOCK_DGRAM, &a, len), EACCES);
	MUST(try_bind(SOCK_STREAM, &a, sizeof(sa_family_t)), EACCES);
}

/* ---- bind ---- */

void rules_bind(void)
{
	struct sockaddr_in a = v4("127.0.0.1", 0), any = v4("0.0.0.0", 0), b = v4("127.0.0.1", 54321);
	struct sockaddr_in6 six = v6("::", 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	MUST(try_bind(SOCK_STREAM, &b, sizeof(b)), EACCES);
	MUST(try_bind(SOCK_STREAM, &any, sizeof(any)), EACCES);
	MUST(try_bind(SOCK_STREAM, &six, sizeof(six)), EACCES);
	MUST(errno_of(listen(fd, 1)), EACCES); /* would take any port of any address */
	a.sin_family = AF_UNSPEC;
	MUST(errno_of(bind(fd, (struct sockaddr *)&a, sizeof(a))), EACCES == 0 ? 0 : EAFNOSUPPORT);
	a.sin_family = AF_INET;
	MUST(errno_of(bind(fd, (struct sockaddr *)&a, sizeof(a))), 0);
	MUST(errno_of(listen(fd, 1)), 0);
	MUST(errno_of(listen(fd, 2)), 0);
	MUST(try_bind(SOCK_DGRAM, &a, sizeof(a)), 0);
	MUST(try_bind(SOCK_DGRAM, &any, sizeof(any)), EACCES);
	close(fd);
}

void rules_nothing(void)
{
	MUST(to(SOCK_STREAM, "127.0.0.1", world->tcp), EACCES);
	MUST(to(SOCK_DGRAM, "127.0.0.1", world->udp), EACCES);
	MUST(to6(SOCK_STREAM, "::ffff:127.0.0.1", world->tcp), EACCES);
	MUST(to_local("open/stream", SOCK_STREAM), ENOENT);
	struct sockaddr_in a = v4("127.0.0.1", 0);
	MUST(try_bind(SOCK_STREAM, &a, sizeof(a)), EACCES);
	rules_no_abstract();
}

/* Receives what MARK_SEND sends. */
static void hear(int fd, struct sockaddr_in *from, int how)
{
	char byte[8];
	struct iovec v = {byte, sizeof(byte)};
	struct msghdr h = {.msg_name = from, .msg_namelen = sizeof(*from), .msg_iov = &v, .msg_iovlen = 1};
	struct mmsghdr many = {.msg_hdr = h};
	socklen_t len = sizeof(*from);
	memset(from, 0, sizeof(*from));
	for (world->mark = MARK_SEND; world->mark;)
		usleep(1000);
	if (how == 0)
		MUST(recvfrom(fd, byte, sizeof(byte), 0, (struct sockaddr *)from, &len), 5);
	else if (how == 1)
		MUST(recvmsg(fd, &h, 0), 5);
	else
		MUST(recvmmsg(fd, &many, 1, 0, NULL), 1);
	MUST(ntohs(from->sin_port), world->stranger);
}

void rules_answer(void)
{
	for (int how = 0; how < 3; how++) {
		struct sockaddr_in own = v4("127.0.0.1", 0), from, other;
		socklen_t len = sizeof(own);
		int fd = socket(AF_INET, SOCK_DGRAM, 0), another = socket(AF_INET, SOCK_DGRAM, 0);
		MUST(bind(fd, (struct sockaddr *)&own, len), 0);
		MUST(bind(another, (struct sockaddr *)&own, len), 0);
		MUST(getsockname(fd, (struct sockaddr *)&own, &len), 0);
		world->heard = ntohs(own.sin_port);
		from = v4("127.0.0.1", world->udp);
		MUST(errno_of(sendto(fd, "x", 1, 0, (struct sockaddr *)&from, len)), EACCES);
		hear(fd, &from, how);
		MUST(sendto(fd, "x", 1, 0, (struct sockaddr *)&from, len), 1);
		other = from;
		other.sin_port = htons((uint16_t)world->udp);
		MUST(errno_of(sendto(fd, "x", 1, 0, (struct sockaddr *)&other, len)), EACCES);
		other = from;
		other.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
		MUST(errno_of(sendto(fd, "x", 1, 0, (struct sockaddr *)&other, len)), EACCES);
		MUST(errno_of(sendto(another, "x", 1, 0, (struct sockaddr *)&from, len)), EACCES);
		MUST(connect_to(another, &from, len), EACCES);
		MUST(connect_to(fd, &from, len), 0);
		MUST(send(fd, "x", 1, 0), 1);
		close(another);
		close(fd);
	}
}

void rules_unbound(void)
{
	struct sockaddr_in any = v4("0.0.0.0", 0), own = v4("127.0.0.1", 0), here = v4("127.0.0.1", world->tcp);
	struct sockaddr_in6 six = v6("::", 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	MUST(errno_of(bind(fd, (struct sockaddr *)&any, sizeof(any))), 0);
	MUST(errno_of(listen(fd, 1)), EACCES);
	MUST(connect_to(fd, &here, sizeof(here)), 0);
	close(fd);
	MUST(try_bind(SOCK_STREAM, &six, sizeof(six)), 0);
	MUST(try_bind(SOCK_STREAM, &own, sizeof(own)), EACCES); /* an address is another matter, and so is a port */
	any.sin_port = htons(54321);
	MUST(try_bind(SOCK_STREAM, &any, sizeof(any)), EACCES);
	any.sin_port = 0;
	MUST(try_bind(SOCK_DGRAM, &any, sizeof(any)), EACCES); /* the rule is one for TCP */
}
