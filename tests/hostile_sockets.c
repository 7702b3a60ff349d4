/* SPDX-License-Identifier: ISC */
/* Hostile attempts to reach somebody over a socket. Runs in the target. */
#include "tests/hostile.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET(name, domain, type, protocol)                                                                           \
	static int name(const struct hostile *h)                                                                       \
	{                                                                                                              \
		(void)h;                                                                                               \
		return opened(syscall(SYS_socket, domain, type, protocol));                                            \
	}
SOCKET(socket_inet, AF_INET, SOCK_STREAM, 0)
SOCKET(socket_inet_datagram, AF_INET, SOCK_DGRAM, 0)
SOCKET(socket_inet6, AF_INET6, SOCK_STREAM, 0)
SOCKET(socket_raw, AF_INET, SOCK_RAW, IPPROTO_ICMP)
SOCKET(socket_mptcp, AF_INET, SOCK_STREAM, 262)
SOCKET(socket_unix, AF_UNIX, SOCK_STREAM, 0)
SOCKET(socket_netlink, AF_NETLINK, SOCK_RAW, 0)
SOCKET(socket_packet, AF_PACKET, SOCK_RAW, 0x300)
SOCKET(socket_vsock, AF_VSOCK, SOCK_STREAM, 0)
SOCKET(socket_alg, AF_ALG, SOCK_SEQPACKET, 0)
SOCKET(socket_xdp, 44, SOCK_RAW, 0)
SOCKET(socket_sctp, AF_INET, SOCK_STREAM, IPPROTO_SCTP)
SOCKET(socket_udplite, AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)
SOCKET(socket_uevents, AF_NETLINK, SOCK_RAW, 15)
SOCKET(socket_unix_libc, AF_UNIX, SOCK_RAW | SOCK_CLOEXEC, 0)
SOCKET(socket_high_bits, 0x100000000 | AF_INET, 0x100000000 | SOCK_STREAM, 0)

/* A pair is the target's own; with a name it must not become a way to others. */
static int pair(int type)
{
	int fds[2];

	return syscall(SYS_socketpair, AF_UNIX, type, 0, fds) ? -errno : fds[0];
}

static socklen_t unix_address(struct sockaddr_un *a, const struct hostile *h, int abstract)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (!abstract) {
		snprintf(a->sun_path, sizeof(a->sun_path), "%s/secret/socket", h->base);
		return sizeof(*a);
	}
	snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "airlock-hostile-%d", h->host);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a->sun_path + 1));
}

static int pair_connect(const struct hostile *h)
{
	struct sockaddr_un a;
	socklen_t len = unix_address(&a, h, 1);

	return SYS(SYS_connect, pair(SOCK_DGRAM), &a, len);
}

static int pair_bind(const struct hostile *h)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)h;
	return SYS(SYS_bind, pair(SOCK_DGRAM), &a, 2);
}

static int pair_sendto(const struct hostile *h)
{
	struct sockaddr_un a;
	socklen_t len = unix_address(&a, h, 1);

	return SYS(SYS_sendto, pair(SOCK_DGRAM), "x", 1, 0, &a, len);
}

static int pair_sendmsg(const struct hostile *h)
{
	struct sockaddr_un a;
	struct iovec iov = {"x", 1};
	struct msghdr m = {&a, unix_address(&a, h, 1), &iov, 1, NULL, 0, 0};

	/* In a namespace of its own there is nobody to hear it; what must not happen is that it arrives. */
	return SYS(SYS_sendmsg, pair(SOCK_DGRAM), &m, 0);
}

static int unix_connect(const struct hostile *h, int abstract)
{
	struct sockaddr_un a;
	socklen_t len = unix_address(&a, h, abstract);
	long fd = syscall(SYS_socket, AF_UNIX, abstract ? SOCK_DGRAM : SOCK_STREAM, 0);

	return fd < 0 ? -errno : SYS(SYS_connect, fd, &a, len);
}

static int unix_connect_path(const struct hostile *h)
{
	return unix_connect(h, 0);
}

static int unix_connect_abstract(const struct hostile *h)
{
	return unix_connect(h, 1);
}

static int unix_bind_path(const struct hostile *h)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	long fd = syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/open/bound", h->base);
	return fd < 0 ? -errno : SYS(SYS_bind, fd, &a, sizeof(a));
}

static struct sockaddr_in loopback(const struct hostile *h)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t)h->port), .sin_addr.s_addr = htonl(0x7f000001)};
}

static int inet_connect(const struct hostile *h)
{
	struct sockaddr_in a = loopback(h);
	long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? -errno : SYS(SYS_connect, fd, &a, sizeof(a));
}

static int inet_connect_zero(const struct hostile *h)
{
	struct sockaddr_in a = loopback(h);
	long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = 0;
	return fd < 0 ? -errno : SYS(SYS_connect, fd, &a, sizeof(a));
}

static int inet6_connect_mapped(const struct hostile *h)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)h->port)};
	long fd = syscall(SYS_socket, AF_INET6, SOCK_STREAM, 0);

	memcpy(&a.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\377\377\177\0\0\1", 16);
	return fd < 0 ? -errno : SYS(SYS_connect, fd, &a, sizeof(a));
}

static int inet_fast_open(const struct hostile *h)
{
	struct sockaddr_in a = loopback(h);
	long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? -errno : SYS(SYS_sendto, fd, "x", 1, MSG_FASTOPEN, &a, sizeof(a));
}

static int inet_sendto(const struct hostile *h)
{
	struct sockaddr_in a = loopback(h);
	long fd = syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);

	return fd < 0 ? -errno : SYS(SYS_sendto, fd, "x", 1, 0, &a, sizeof(a));
}

static int inet_sendmsg(const struct hostile *h)
{
	struct sockaddr_in a = loopback(h);
	struct iovec iov = {"x", 1};
	struct msghdr m = {&a, sizeof(a), &iov, 1, NULL, 0, 0};
	long fd = syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);

	return fd < 0 ? -errno : SYS(SYS_sendmsg, fd, &m, 0);
}

/* The address in no family, which v4 datagrams take for AF_INET. */
static int inet_sendto_unspecified(const struct hostile *h)
{
	struct sockaddr_in a = loopback(h);
	long fd = syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);

	a.sin_family = AF_UNSPEC;
	return fd < 0 ? -errno : SYS(SYS_sendto, fd, "x", 1, 0, &a, sizeof(a));
}

static int inet6_sendto_v4(const struct hostile *h)
{
	struct sockaddr_in a = loopback(h);
	long fd = syscall(SYS_socket, AF_INET6, SOCK_DGRAM, 0);

	return fd < 0 ? -errno : SYS(SYS_sendto, fd, "x", 1, 0, &a, sizeof(a));
}

/* connect() only notes the address then; the next write sends it. */
static int inet_fast_open_connect(const struct hostile *h)
{
	int one = 1;
	long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

	(void)h;
	return fd < 0 ? -errno : SYS(SYS_setsockopt, fd, IPPROTO_TCP, 30, &one, sizeof(one));
}

static int inet_sendmmsg(const struct hostile *h)
{
	struct sockaddr_in a = loopback(h);
	struct iovec iov = {"x", 1};
	struct mmsghdr m[2] = {{{&a, sizeof(a), &iov, 1, NULL, 0, 0}, 0}, {{&a, sizeof(a), &iov, 1, NULL, 0, 0}, 0}};
	long fd = syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0);

	return fd < 0 ? -errno : SYS(SYS_sendmmsg, fd, m, 2, 0);
}

/* A descriptor to somebody else, and from somebody. */
static int pass_descriptor(const struct hostile *h, int receive)
{
	union {
		struct cmsghdr c;
		char room[CMSG_SPACE(sizeof(int))];
	} u = {.c = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	char c = 'x';
	struct iovec iov = {&c, 1};
	struct msghdr m = {NULL, 0, &iov, 1, &u, sizeof(u), 0};
	int fds[2];

	(void)h;
	memset(CMSG_DATA(&u.c), 0, sizeof(int));
	if (syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, fds))
		return -errno;
	int sent = SYS(SYS_sendmsg, fds[0], &m, 0);
	return sent < 0 || !receive ? sent : SYS(SYS_recvmsg, fds[1], &m, 0);
}

static int pass_descriptor_away(const struct hostile *h)
{
	return pass_descriptor(h, 0);
}

static int pass_descriptor_in(const struct hostile *h)
{
	return pass_descriptor(h, 1);
}

static int netlink_listen(const struct hostile *h)
{
	unsigned short a[6] = {AF_NETLINK, 0, 0, 0, 1, 0}; /* struct sockaddr_nl, of group 1 */
	long fd = syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0);

	(void)h;
	return fd < 0 ? -errno : SYS(SYS_bind, fd, a, sizeof(a));
}

static int inet_bind(const struct hostile *h)
{
	struct sockaddr_in a = loopback(h);
	long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

	a.sin_port = 0;
	return fd < 0 ? -errno : SYS(SYS_bind, fd, &a, sizeof(a));
}

/* listen() without bind() takes a port of every address. */
static int inet_listen(const struct hostile *h)
{
	long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

	(void)h;
	return fd < 0 ? -errno : SYS(SYS_listen, fd, 1);
}

#define NO "EPERM"
/* No address is allowed: the broker refuses, or the family's own network has nobody in it. */
#define NOBODY "EACCES|EPERM"
const struct attempt attempts_sockets[] = {
	{"socket_inet", socket_inet, NO, 0, 0, 1},
	{"socket_inet_datagram", socket_inet_datagram, NO, 0, 0, 1},
	{"socket_inet6", socket_inet6, NO, 0, 0, 1},
	{"socket_raw", socket_raw, NO, 0, 0, 1},
	{"socket_raw_inet", socket_raw, NO, "inet", 0, 1},
	{"socket_mptcp", socket_mptcp, NO, "inet", 0, 0},
	{"socket_unix", socket_unix, NO, 0, 0, 1},
	{"socket_netlink", socket_netlink, NO, 0, 0, 1},
	{"socket_packet", socket_packet, NO, "inet", 0, 0},
	{"socket_vsock", socket_vsock, NO, "inet", 0, 0},
	{"socket_alg", socket_alg, NO, 0, 0, 0},
	{"socket_xdp", socket_xdp, NO, 0, 0, 0},
	{"socket_sctp", socket_sctp, NO, "inet", 0, 0},
	{"socket_udplite", socket_udplite, NO, "inet", 0, 0},
	{"socket_uevents", socket_uevents, NO, "inet", 0, 1},
	{"socket_unix_libc", socket_unix_libc, NO, 0, 0, 1},
	{"inet_sendto_unspecified", inet_sendto_unspecified, NOBODY, "inet", 0, 1},
	{"inet6_sendto_v4", inet6_sendto_v4, NOBODY, "inet", 0, 1},
	{"inet_fast_open_connect", inet_fast_open_connect, NO, "inet", 0, 1},
	{"inet_sendmmsg", inet_sendmmsg, NOBODY, "inet", 0, 1},
	{"pass_descriptor_away", pass_descriptor_away, NO, "unix", 0, 1},
	{"pass_descriptor_in", pass_descriptor_in, NO, "sendfd", 0, 1},
	{"netlink_listen", netlink_listen, NO, "inet", 0, 1},
	{"socket_high_bits", socket_high_bits, NO, 0, 0, 1},
	{"pair_connect", pair_connect, NO, 0, 0, 1},
	{"pair_bind", pair_bind, NO, 0, 0, 1},
	{"pair_sendto", pair_sendto, NO, 0, 0, 1},
	{"pair_sendmsg", pair_sendmsg, "EPERM|EACCES|ECONNREFUSED", 0, 0, 1},
	{"unix_connect_path", unix_connect_path, "EACCES|EPERM|ENOENT", "unix", 0, 1},
	{"unix_connect_abstract", unix_connect_abstract, NOBODY, "unix", 0, 1},
	{"unix_bind_path", unix_bind_path, "EACCES|EPERM|ENOENT", "unix", 0, 1},
	{"inet_connect", inet_connect, NOBODY, "inet", 0, 1},
	{"inet_connect_zero", inet_connect_zero, NOBODY, "inet", 0, 1},
	{"inet6_connect_mapped", inet6_connect_mapped, NOBODY, "inet", 0, 1},
	{"inet_fast_open", inet_fast_open, NOBODY, "inet", 0, 1},
	{"inet_sendto", inet_sendto, NOBODY, "inet", 0, 1},
	{"inet_sendmsg", inet_sendmsg, NOBODY, "inet", 0, 1},
	{"inet_bind", inet_bind, NOBODY, "inet", 0, 1},
	{"inet_listen", inet_listen, NOBODY, "inet", 0, 1},
	{0},
};
