/* SPDX-License-Identifier: ISC */
/* Calls about sockets, names, and descriptors in messages: see openbsd_do.h. They run in children of the test. */
#include "tests/openbsd_do.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

DO(socket_calls)
{
	char c;
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	int p[2], error;
	struct iovec v = {&c, 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
	GIVES(send(opened.pair[0], "a", 1, 0), 1);
	GIVES(recv(opened.pair[1], &c, 1, 0), 1);
	GIVES(sendto(opened.pair[0], "a", 1, 0, NULL, 0), 1);
	GIVES(recvfrom(opened.pair[1], &c, 1, 0, NULL, NULL), 1);
	GIVES(sendmsg(opened.pair[0], &h, 0), 1);
	GIVES(recvmsg(opened.pair[1], &h, 0), 1);
	GIVES(getsockname(opened.pair[0], (struct sockaddr *)&a, &len), 0);
	len = sizeof(a);
	GIVES(getpeername(opened.pair[0], (struct sockaddr *)&a, &len), 0);
	len = sizeof(error);
	GIVES(getsockopt(opened.pair[0], SOL_SOCKET, SO_ERROR, &error, &len), 0);
	GIVES(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	GIVES(shutdown(opened.pair[0], SHUT_RDWR), 0);
}
DO(sets_owner)
{
	GIVES(fcntl(opened.pair[0], F_SETOWN, getpid()), 0);
}
DO(internet)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    one = 1;
	HOLDS(s >= 0 && c >= 0);
	GIVES(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	GIVES(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	GIVES(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	GIVES(listen(s, 5), 0);
	GIVES(getsockname(s, (struct sockaddr *)&a, &len), 0);
	GIVES(connect(c, (struct sockaddr *)&a, sizeof(a)), 0);
	HOLDS(accept(s, NULL, NULL) >= 0);
	HOLDS(socket(AF_INET6, SOCK_DGRAM, 0) >= 0 || errno == EAFNOSUPPORT);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	GIVES(sendto(s, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)), 1);
}
DO(internet_socket)
{
	HOLDS(socket(AF_INET, SOCK_STREAM, 0) >= 0);
}
DO(raw_socket)
{
	HOLDS(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0);
}
DO(packet_socket)
{
	HOLDS(socket(AF_PACKET, SOCK_RAW, 0) >= 0);
}
DO(multicast)
{
	unsigned char ttl = 1;
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	HOLDS(s >= 0);
	GIVES(setsockopt(s, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, 1), 0);
}
DO(unix_socket)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", in_world("sock"));
	int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
	HOLDS(s >= 0 && c >= 0);
	GIVES(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	GIVES(listen(s, 5), 0);
	GIVES(connect(c, (struct sockaddr *)&a, sizeof(a)), 0);
	HOLDS(accept(s, NULL, NULL) >= 0);
}
DO(name_server)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(53)};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	HOLDS(s >= 0);
	GIVES(connect(s, (struct sockaddr *)&a, sizeof(a)), 0);
	HOLDS(open("/etc/resolv.conf", O_RDONLY) >= 0 || errno == ENOENT);
	HOLDS(open("/etc/hosts", O_RDONLY) >= 0 || errno == ENOENT);
}
/* A socket that may speak to name servers is no violation elsewhere either: it is refused. */
DO(other_server)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(80)};
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	HOLDS(s >= 0);
	FAILS(connect(s, (struct sockaddr *)&a, sizeof(a)), EACCES);
}
DO(user_names)
{
	struct passwd *p = getpwuid(0);
	HOLDS(p && strcmp(p->pw_name, "root") == 0);
}

static void message(struct msghdr *h, int fd, bool sends)
{
	static char c, control[CMSG_SPACE(sizeof(int))];
	static struct iovec v = {&c, 1};
	*h = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	if (!sends)
		return;
	struct cmsghdr *m = CMSG_FIRSTHDR(h);
	m->cmsg_level = SOL_SOCKET;
	m->cmsg_type = SCM_RIGHTS;
	m->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(m), &fd, sizeof(fd));
}
DO(sends_descriptor)
{
	struct msghdr h;
	message(&h, opened.file, true);
	GIVES(sendmsg(opened.pair[0], &h, 0), 1);
}
/* OpenBSD 7.8 ends the process for this; 7.9 has this errno. */
DO(sends_directory)
{
	struct msghdr h;
	message(&h, opened.dir, true);
	FAILS(sendmsg(opened.pair[0], &h, 0), EPERM);
}
/* One has been sent before the pledge. */
DO(receives_descriptor)
{
	struct msghdr h;
	message(&h, -1, false);
	GIVES(recvmsg(opened.pair[1], &h, 0), 1);
	HOLDS(CMSG_FIRSTHDR(&h) && CMSG_FIRSTHDR(&h)->cmsg_type == SCM_RIGHTS);
}
