/* SPDX-License-Identifier: ISC */
/* What the promises alone decide about sockets: what is given up, what none of them gives, and callers that die. */
#include "tests/socket.h"

#include "sandbox/airlock.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

/* ---- narrowing ---- */

static void *connect_tcp(void *arg)
{
	struct sockaddr_in a = v4("127.0.0.1", world->full);
	*(int *)arg = try_connect(SOCK_STREAM, &a, sizeof(a));
	return NULL;
}

static void *connect_local(void *arg)
{
	struct sockaddr_un a;
	socklen_t len = local(&a, "open/full");
	*(int *)arg = try_connect(SOCK_STREAM, &a, len);
	return NULL;
}

void rules_narrowed(void)
{
	pthread_t one, two;
	int first = -1, second = -1;
	struct sockaddr_in a = v4("127.0.0.1", world->tcp);
	int fd = socket(AF_INET, SOCK_STREAM, 0), kept = socket(AF_INET, SOCK_STREAM, 0);
	MUST(connect_to(kept, &a, sizeof(a)), 0);
	pthread_create(&one, NULL, connect_tcp, &first);
	pthread_create(&two, NULL, connect_local, &second);
	usleep(200000);
	MUST(airlock_pledge("stdio rpath", NULL), 0);
	MUST(connect_to(fd, &a, sizeof(a)), EPERM);
	/* What is connected stays so. */
	MUST(send(kept, "x", 1, 0), 1);
	world->mark = MARK_ACCEPT; /* by who is not confined */
	pthread_join(two, NULL);
	pthread_join(one, NULL);
	MUST(second, EPERM);
	MUST(first, EPERM);
}

/* ---- many, and deaths ---- */

void rules_many(void)
{
	struct sockaddr_in a = v4("127.0.0.1", world->udp), closed = v4("127.0.0.1", 1);
	int good = 0;
	for (int i = 0; i < 10000; i++) {
		/* Counted by who may look. */
		if (i == 100 || i == 9999)
			for (world->mark = MARK_COUNT; world->mark;)
				usleep(1000);
		good += i % 10 ? try_connect(SOCK_DGRAM, &a, sizeof(a)) == 0
			       : try_connect(SOCK_STREAM, &closed, sizeof(closed)) == ECONNREFUSED;
	}
	MUST(good, 10000);
}

void rules_killed(void)
{
	struct sockaddr_in a = v4("127.0.0.1", world->full);
	/* Its queue may have been emptied by now. */
	for (int i = 0; i < 4; i++)
		connect_to(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), &a, sizeof(a));
	/* More than the broker has workers for: none may be kept by who is dead. */
	for (int i = 0; i < 300; i++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(try_connect(SOCK_STREAM, &a, sizeof(a)));
		usleep(2000);
		kill(pid, SIGKILL);
		int status;
		MUST(waitpid(pid, &status, 0), pid);
		MUST(status, SIGKILL);
	}
	a = v4("127.0.0.1", world->tcp);
	for (int i = 0; i < 1000 && try_connect(SOCK_STREAM, &a, sizeof(a)); i++)
		usleep(20000);
	MUST(try_connect(SOCK_STREAM, &a, sizeof(a)), 0);
}

/* ---- what no promise gives ---- */

void rules_stdio(void)
{
	int pair[2], fds[1] = {0};
	struct sockaddr_un a;
	socklen_t len = local(&a, "open/dgram");
	_Alignas(16) char control[CMSG_SPACE(sizeof(int))] = {0};
	char c;
	struct iovec v = {&c, 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *m = CMSG_FIRSTHDR(&h);
	*m = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(m), fds, sizeof(fds));
	MUST(errno_of(socket(AF_INET, SOCK_STREAM, 0)), EPERM);
	MUST(errno_of(socket(AF_UNIX, SOCK_STREAM, 0)), EPERM);
	MUST(errno_of(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair)), 0);
	MUST(errno_of(sendmsg(pair[0], &h, 0)), EPERM);
	MUST(connect_to(pair[0], &a, len), EPERM);
	MUST(errno_of(bind(pair[0], (struct sockaddr *)&a, len)), EPERM);
	MUST(errno_of(sendto(pair[0], "x", 1, 0, (struct sockaddr *)&a, len)), EPERM);
	h = (struct msghdr){.msg_name = &a, .msg_namelen = len, .msg_iov = &v, .msg_iovlen = 1};
	MUST(errno_of(sendmsg(pair[0], &h, 0)), EPERM);
	MUST(errno_of(listen(pair[0], 1)), EPERM);
	/* libc's own: the daemon of name services, quietly, and that of the log if there is one. */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(fd >= 0, 1);
	MUST(connect_to(fd, &a, len), EPERM);
	strcpy(a.sun_path, "/var/run/nscd/socket");
	MUST(connect_to(fd, &a, len), ENOENT);
	close(fd);
}

void rules_kinds(void)
{
	static const struct {
		int domain, type, protocol;
	} no[] = {{AF_INET, SOCK_STREAM, 262}, {AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP},
		{AF_INET, SOCK_STREAM, IPPROTO_SCTP}, {AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE},
		{AF_INET, SOCK_RAW, IPPROTO_ICMP}, {AF_PACKET, SOCK_RAW, 0}, {AF_VSOCK, SOCK_STREAM, 0},
		{AF_ALG, SOCK_SEQPACKET, 0}, {AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT},
		{AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER}, {AF_BLUETOOTH, SOCK_RAW, 0}, {44, SOCK_RAW, 0}};
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		MUST(errno_of(socket(no[i].domain, no[i].type, no[i].protocol)), EPERM);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct sockaddr_in a = v4("127.0.0.1", world->tcp);
	MUST(errno_of(setsockopt(fd, SOL_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one))), EPERM);
	MUST(errno_of(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2)), EPERM);
	MUST(errno_of(setsockopt(fd, SOL_SOCKET, SO_MARK, &one, sizeof(one))), EPERM);
	MUST(errno_of(sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&a, sizeof(a))), EPERM);
	close(fd);
	/* What hears others is not to be had by who asks the kernel for addresses. */
	struct sockaddr_nl n = {.nl_family = AF_NETLINK, .nl_groups = 1};
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	MUST(errno_of(bind(fd, (struct sockaddr *)&n, sizeof(n))), EPERM);
	n.nl_groups = 0;
	MUST(errno_of(bind(fd, (struct sockaddr *)&n, sizeof(n))), 0);
	n.nl_pid = 1;
	MUST(errno_of(sendto(fd, "x", 1, 0, (struct sockaddr *)&n, sizeof(n))), EACCES);
	close(fd);
}

void rules_dns(void)
{
	struct sockaddr_in a = v4("127.0.0.1", 53), b = v4("127.0.0.1", world->forbidden_udp), any = v4("0.0.0.0", 0);
	MUST(try_send(SOCK_DGRAM, &a, sizeof(a)), 0);
	MUST(try_connect(SOCK_DGRAM, &a, sizeof(a)), 0);
	MUST(try_connect(SOCK_STREAM, &a, sizeof(a)), ECONNREFUSED);
	MUST(try_send(SOCK_DGRAM, &b, sizeof(b)), EPERM);
	MUST(try_connect(SOCK_DGRAM, &b, sizeof(b)), EACCES);
	b.sin_port = htons((uint16_t)world->forbidden);
	MUST(try_connect(SOCK_STREAM, &b, sizeof(b)), EPERM);
	MUST(try_bind(SOCK_DGRAM, &any, sizeof(any)), 0);
	/* Resolvers do that before they connect; but nobody is listened to. */
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	MUST(errno_of(bind(fd, (struct sockaddr *)&any, sizeof(any))), 0);
	MUST(errno_of(listen(fd, 1)), EPERM);
	close(fd);
	any.sin_port = htons(5353);
	MUST(try_bind(SOCK_STREAM, &any, sizeof(any)), EPERM);
	MUST(try_bind(SOCK_DGRAM, &any, sizeof(any)), EPERM);
	MUST(errno_of(listen(socket(AF_INET, SOCK_STREAM, 0), 1)), EPERM);
}

void rules_log(void)
{
	syslog(LOG_INFO, "said under stdio");
}
