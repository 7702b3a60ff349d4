/* SPDX-License-Identifier: ISC */
/* Bodies of live_net.c: AF_UNIX, by path, by abstract name, and what is passed over it. */
#include "tests/net.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

static void one_type(int type)
{
	struct place p = path("./sub/socket"), direct = path("sub/socket"), link = path("link"),
		     none = path("sub/none"), file = path("file");
	char buf[64] = "";
	int server = socket(AF_UNIX, type, 0), fd = socket(AF_UNIX, type, 0), peer = server;
	note("%d: early %s, ", type, name_of(connect_place(fd, &p)));
	note("bind %s, twice %s, ", name_of(bind_place(server, &p)), name_of(bind_place(server, &none)));
	note("taken %s, ", name_of(bind_place(fd, &direct)));
	note("listen %s\n", said(listen(server, 3)));
	note("none %s, file %s, ", name_of(connect_place(fd, &none)), name_of(connect_place(fd, &file)));
	note("link %s\n", name_of(connect_place(fd, &link)));
	struct place peers = {.len = sizeof(peers.to)};
	note("peer %s ", said(getpeername(fd, (struct sockaddr *)&peers.to, &peers.len)));
	note("length %d, ", peers.len > 2);
	struct place own = own_place(fd);
	note("own %d\n", own.len);
	if (type != SOCK_DGRAM) {
		struct place from = {.len = sizeof(from.to)};
		peer = accept(server, (struct sockaddr *)&from.to, &from.len);
		note("accept %s, from %d\n", said(peer), from.len);
		note("again %s\n", name_of(connect_place(fd, &p)));
	}
	note("send %zd ", send(fd, "hello", 5, 0));
	note("came %zd %s, ", recv(peer, buf, sizeof(buf), 0), buf);
	struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
	struct msghdr h = {.msg_iov = v, .msg_iovlen = 2};
	note("sendmsg %zd ", sendmsg(fd, &h, 0));
	h.msg_iov = &(struct iovec){buf, 3};
	h.msg_iovlen = 1;
	note("came %zd flags %x\n", recvmsg(peer, &h, 0), (unsigned)h.msg_flags);
	if (type == SOCK_DGRAM) {
		int other = socket(AF_UNIX, type, 0);
		struct place mine = path("mine"), from = {.len = sizeof(from.to)};
		note("sendto %zd, bind %s, ", sendto(other, "x", 1, 0, (struct sockaddr *)&p.to, p.len),
			name_of(bind_place(other, &mine)));
		note("sendto %zd\n", sendto(other, "yy", 2, 0, (struct sockaddr *)&p.to, p.len));
		recv(server, buf, sizeof(buf), 0);
		note("came %zd ", recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&from.to, &from.len));
		note("from %s %u\n", ((struct sockaddr_un *)&from.to)->sun_path, from.len);
		/* A full queue, with and without waiting. */
		int n = 0, e;
		while (sendto(other, "z", 1, MSG_DONTWAIT, (struct sockaddr *)&p.to, p.len) == 1)
			n++;
		e = errno;
		alarm_in(50, 0);
		note("full after %d: %s, waits %s\n", n > 5, name_of(e),
			said(sendto(other, "z", 1, 0, (struct sockaddr *)&p.to, p.len)));
		unlink("mine");
		close(other);
	}
	close(server);
	note("server gone: %s\n", name_of(connect_place(socket(AF_UNIX, type, 0), &p)));
	note("taken still %s, ", name_of(bind_place(server = socket(AF_UNIX, type, 0), &p)));
	note("unlink %s, ", said(unlink("sub/socket")));
	note("bind %s\n", name_of(bind_place(server, &p)));
	unlink("sub/socket");
	close(server);
	close(fd);
	if (peer != server)
		close(peer);
}

/* A listener's queue: who waits, and who does not. */
static void queue(void)
{
	struct place p = path("queue");
	int server = listener(&p, SOCK_STREAM, 0), fds[4], n = 0;
	p = path("queue");
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		note("%s ", name_of(connect_place(fds[i], &p)));
	}
	struct timeval t = {0, 100000};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	note("limit %s, ", name_of(connect_place(fd, &p)));
	alarm_in(50, 0);
	note("and signal %s\n", name_of(connect_place(fd, &p)));
	pid_t pid = fork();
	if (pid == 0) {
		fcntl(server, F_SETFL, O_NONBLOCK);
		for (int i = 0; i < 10; i++) {
			usleep(30000);
			accept(server, NULL, NULL);
		}
		_exit(0);
	}
	int waits = socket(AF_UNIX, SOCK_STREAM, 0);
	note("let in %s\n", name_of(connect_place(waits, &p)));
	waitpid(pid, NULL, 0);
	/* The listener ends while somebody waits. */
	while (n < 10 && connect_place(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), &p) == 0)
		n++;
	waits = socket(AF_UNIX, SOCK_STREAM, 0);
	pid = fork();
	if (pid == 0) {
		close(server);
		_exit(connect_place(waits, &p));
	}
	usleep(100000);
	close(server);
	int status = -1;
	waitpid(pid, &status, 0);
	note("ended %s\n", name_of(WEXITSTATUS(status)));
	unlink("queue");
}

void net_local(void)
{
	mkdir("sub", 0700);
	close(open("file", O_WRONLY | O_CREAT, 0600));
	if (symlink("sub/socket", "link"))
		note("no link\n");
	for (size_t i = 0; i < COUNT(types); i++)
		one_type(types[i]);
	queue();
	/* A path that fills its room. */
	struct place p = path("sub/");
	struct sockaddr_un *a = (struct sockaddr_un *)&p.to;
	memset(a->sun_path + 4, 'l', sizeof(a->sun_path) - 4);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	note("108 bytes: %s ", name_of(bind_place(fd, &p)));
	note("%s, ", name_of(connect_place(socket(AF_UNIX, SOCK_DGRAM, 0), &p)));
	p.len++;
	note("109: %s\n", name_of(connect_place(socket(AF_UNIX, SOCK_DGRAM, 0), &p)));
	int pair[2];
	struct ucred cred = {-1, 0, 0};
	socklen_t len = sizeof(cred);
	note("pair %s %s %s\n", said(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)),
		said(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair)),
		said(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair)));
	note("peer %s, itself %d\n", said(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &cred, &len)),
		cred.pid == getpid());
	note("bad %s %s\n", said(socketpair(AF_UNIX, 77, 0, pair)),
		said(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, (void *)8)));
}

void net_abstract(void)
{
	struct place p = abstract(""), second = abstract("2");
	for (size_t i = 0; i < COUNT(types); i++) {
		int server = socket(AF_UNIX, types[i], 0), fd = socket(AF_UNIX, types[i], 0),
		    other = socket(AF_UNIX, types[i], 0);
		note("early %s, bind %s, ", name_of(connect_place(fd, &p)), name_of(bind_place(server, &p)));
		note("taken %s, listen %s, ", name_of(bind_place(other, &p)), said(listen(server, 2)));
		note("connect %s, bind %s\n", name_of(connect_place(fd, &p)), name_of(bind_place(other, &second)));
		char buf[8] = "";
		int peer = types[i] == SOCK_DGRAM ? server : accept(server, NULL, NULL);
		note("sent %zd, came %zd\n", send(fd, "abc", 3, 0), recv(peer, buf, sizeof(buf), 0));
		struct place own = own_place(server);
		note("its name %d\n", own.len == p.len && memcmp(&own.to, &p.to, p.len) == 0);
		if (types[i] == SOCK_DGRAM) {
			struct place from = {.len = sizeof(from.to)};
			note("sendto %zd ", sendto(other, "z", 1, 0, (struct sockaddr *)&p.to, p.len));
			recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&from.to, &from.len);
			note("from %d\n", from.len == second.len && memcmp(&from.to, &second.to, from.len) == 0);
		} else {
			close(peer);
		}
		close(server);
		close(fd);
		close(other);
		note("free at once %s\n", name_of(bind_place(fd = socket(AF_UNIX, types[i], 0), &p)));
		close(fd);
	}
}

static ssize_t pass(int to, int type, const void *data, size_t len)
{
	_Alignas(16) char control[CMSG_SPACE(64)] = {0};
	struct iovec v = {"p", 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(len)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	*c = (struct cmsghdr){CMSG_LEN(len), SOL_SOCKET, type};
	memcpy(CMSG_DATA(c), data, len);
	return sendmsg(to, &h, 0);
}

static ssize_t take(int from, int flags)
{
	_Alignas(16) char control[256] = {0};
	char c;
	struct iovec v = {&c, 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(from, &h, flags);
	note("take %zd %s, flags %x:", n, said(n), (unsigned)h.msg_flags & ~(unsigned)MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *m = n < 0 ? NULL : CMSG_FIRSTHDR(&h); m; m = CMSG_NXTHDR(&h, m)) {
		int fds[16];
		memcpy(fds, CMSG_DATA(m), sizeof(fds));
		note(" %d %zu", m->cmsg_type, (size_t)m->cmsg_len);
		for (size_t i = 0; m->cmsg_type == SCM_RIGHTS && i < (m->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			note(" (%d)", fcntl(fds[i], F_GETFD));
			close(fds[i]);
		}
		if (m->cmsg_type == SCM_CREDENTIALS)
			note(" uid %d", ((struct ucred *)fds)->uid == getuid());
	}
	note("\n");
	return n;
}

void net_passing(void)
{
	for (size_t i = 0; i < COUNT(types); i++) {
		int pair[2], fds[2] = {0, 1}, on = 1;
		socketpair(AF_UNIX, types[i], 0, pair);
		note("pass %zd\n", pass(pair[0], SCM_RIGHTS, fds, sizeof(fds)));
		take(pair[1], 0);
		note("pass %zd\n", pass(pair[0], SCM_RIGHTS, fds, sizeof(fds[0])));
		take(pair[1], MSG_CMSG_CLOEXEC);
		setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
		note("said %zd\n", send(pair[0], "x", 1, 0));
		take(pair[1], 0);
		struct ucred own = {getpid(), getuid(), getgid()}, other = {1, getuid() + 1, getgid()};
		/* The broker would have to claim its caller's ids, which it may not. */
		note("own %s\n", net->confined ? said(pass(pair[0], SCM_CREDENTIALS, &own, sizeof(own))) : "EPERM");
		note("another's %s\n",
			said(net->confined || getuid() ? pass(pair[0], SCM_CREDENTIALS, &other, sizeof(other))
						       : (errno = EPERM, -1)));
		take(pair[1], MSG_DONTWAIT);
		close(pair[0]);
		close(pair[1]);
	}
}
