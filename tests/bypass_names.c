/* SPDX-License-Identifier: ISC */
/* One address in many spellings, and addresses that are not the one that is allowed. Runs in the target. */
#include "tests/bypass.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/syscall.h>

static int tcp4(const char *ip, int port)
{
	struct sockaddr_in a = v4(ip, port);
	return TO(sock(AF_INET, SOCK_STREAM, 0), a);
}

static int tcp6(const char *ip, int port)
{
	struct sockaddr_in6 a = v6(ip, port);
	return TO(sock(AF_INET6, SOCK_STREAM, 0), a);
}

static int udp4(const char *ip, int port)
{
	struct sockaddr_in a = v4(ip, port);
	return SEND_TO(sock(AF_INET, SOCK_DGRAM, 0), a);
}

static int udp6(const char *ip, int port)
{
	struct sockaddr_in6 a = v6(ip, port);
	return SEND_TO(sock(AF_INET6, SOCK_DGRAM, 0), a);
}

#define SPELL(name, call, ip, port)                                                                                    \
	static int name(const struct net *n)                                                                           \
	{                                                                                                              \
		return call(ip, n->port);                                                                              \
	}
#define ALLOWED(name, call, ip, port)                                                                                  \
	static int name(const struct net *n)                                                                           \
	{                                                                                                              \
		int e = call(ip, n->port);                                                                             \
		return e ? e : HELD;                                                                                   \
	}
ALLOWED(tcp_allowed, tcp4, "127.0.0.1", tcp_yes)
ALLOWED(tcp_allowed_zero, tcp4, "0.0.0.0", tcp_yes)
ALLOWED(tcp_allowed_mapped, tcp6, "::ffff:127.0.0.1", tcp_yes)
ALLOWED(tcp6_allowed, tcp6, "::1", tcp6_yes)
ALLOWED(udp_allowed, udp4, "127.0.0.1", udp_yes)
ALLOWED(udp6_allowed, udp6, "::1", udp6_yes)
SPELL(tcp_other_port, tcp4, "127.0.0.1", tcp_no)
SPELL(tcp_zero, tcp4, "0.0.0.0", tcp_no)
SPELL(tcp_second, tcp4, "127.0.0.2", tcp_yes)
SPELL(tcp_last, tcp4, "127.255.255.254", tcp_yes)
SPELL(tcp_mapped, tcp6, "::ffff:127.0.0.1", tcp_no)
SPELL(tcp_mapped_second, tcp6, "::ffff:127.0.0.2", tcp_yes)
SPELL(tcp_mapped_zero, tcp6, "::ffff:0.0.0.0", tcp_no)
SPELL(tcp6_other_port, tcp6, "::1", tcp6_no)
SPELL(tcp6_zero, tcp6, "::", tcp6_no)
SPELL(tcp6_compatible, tcp6, "::127.0.0.1", tcp_yes)
SPELL(tcp6_translated, tcp6, "64:ff9b::127.0.0.1", tcp_yes)
SPELL(tcp6_six_to_four, tcp6, "2002:7f00:1::1", tcp_yes)
SPELL(udp_other_port, udp4, "127.0.0.1", udp_no)
SPELL(udp_zero, udp4, "0.0.0.0", udp_no)
SPELL(udp_second, udp4, "127.0.0.2", udp_yes)
SPELL(udp_mapped, udp6, "::ffff:127.0.0.1", udp_no)
SPELL(udp_mapped_zero, udp6, "::ffff:0.0.0.0", udp_no)
SPELL(udp6_other_port, udp6, "::1", udp6_no)
SPELL(udp6_zero, udp6, "::", udp6_no)
SPELL(udp_broadcast, udp4, "255.255.255.255", udp_yes)
SPELL(udp_net_broadcast, udp4, "127.255.255.255", udp_yes)
SPELL(udp_multicast, udp4, "224.0.0.251", udp_yes)
SPELL(udp6_multicast, udp6, "ff02::fb", udp6_yes)
/* A rule for TCP is none for UDP, and the other way round. */
SPELL(udp_by_tcp_rule, udp4, "127.0.0.1", tcp_yes)
SPELL(tcp_by_udp_rule, tcp4, "127.0.0.1", udp_yes)
/* Servers of names: those of resolv.conf, no others. */
static int other_server(const struct net *n)
{
	(void)n;
	return udp4("127.0.0.1", 53);
}

static int other_server_tcp(const struct net *n)
{
	(void)n;
	return tcp4("127.0.0.1", 53);
}

static int other_server_mapped(const struct net *n)
{
	(void)n;
	return udp6("::ffff:127.0.0.1", 53);
}

static int server_allowed(const struct net *n)
{
	int e = udp4("127.0.0.53", 53);
	(void)n;
	return e ? e : HELD;
}

static int server_other_port(const struct net *n)
{
	return udp4("127.0.0.53", n->udp_no);
}

static int scoped(const struct net *n)
{
	struct sockaddr_in6 a = v6("fe80::1", n->tcp6_yes);
	a.sin6_scope_id = 1;
	return TO(sock(AF_INET6, SOCK_STREAM, 0), a);
}

static int scoped_udp(const struct net *n)
{
	struct sockaddr_in6 a = v6("fe80::1", n->udp6_yes);
	a.sin6_scope_id = 1;
	return SEND_TO(sock(AF_INET6, SOCK_DGRAM, 0), a);
}

/* Of an address of v4 a datagram socket of v6 takes no notice otherwise. */
static int v6_to_v4(const struct net *n)
{
	struct sockaddr_in a = NO(n, udp);
	return SEND_TO(sock(AF_INET6, SOCK_DGRAM, 0), a);
}

static int v6_connect_v4(const struct net *n)
{
	struct sockaddr_in a = NO(n, udp);
	int fd = sock(AF_INET6, SOCK_DGRAM, 0), e = TO(fd, a);
	return e ? e : done(send(fd, "x", 1, 0));
}

static int no_family(const struct net *n)
{
	struct sockaddr_in a = NO(n, udp);
	a.sin_family = AF_UNSPEC;
	return SEND_TO(sock(AF_INET, SOCK_DGRAM, 0), a);
}

/* To a socket of v6 an address of no family is none: it has no peer, then. */
static int no_family6(const struct net *n)
{
	struct sockaddr_in6 a = v6("::1", n->udp6_no);
	a.sin6_family = AF_UNSPEC;
	return SEND_TO(sock(AF_INET6, SOCK_DGRAM, 0), a);
}

static int no_family6_short(const struct net *n)
{
	struct sockaddr_in6 a = v6("::1", n->udp6_no);
	a.sin6_family = AF_UNSPEC;
	return send_to(sock(AF_INET6, SOCK_DGRAM, 0), &a, 2);
}

/* Bytes behind the address are the kernel's to ignore, and the broker's. */
static int long_address(const struct net *n)
{
	char room[128] = {0};
	struct sockaddr_in a = NO(n, udp);
	memcpy(room, &a, sizeof(a));
	return send_to(sock(AF_INET, SOCK_DGRAM, 0), room, sizeof(room));
}

static int longer_address(const struct net *n)
{
	char room[256] = {0};
	struct sockaddr_in a = NO(n, udp);
	memcpy(room, &a, sizeof(a));
	int fd = sock(AF_INET, SOCK_DGRAM, 0);
	return fd == -EPERM ? fd : send_to(fd, room, 129);
}

static int short_address(const struct net *n)
{
	struct sockaddr_in a = NO(n, udp);
	return send_to(sock(AF_INET, SOCK_DGRAM, 0), &a, 15);
}

static int short_address6(const struct net *n)
{
	struct sockaddr_in6 a = v6("::1", n->udp6_no);
	return send_to(sock(AF_INET6, SOCK_DGRAM, 0), &a, 24);
}

/* A length whose upper half the kernel does not look at. */
static int bits_above(const struct net *n)
{
	struct sockaddr_in a = NO(n, udp);
	int fd = sock(AF_INET, SOCK_DGRAM, 0);
	return fd < 0 ? fd : done(syscall(SYS_sendto, fd, "x", 1, 0, &a, 0xffffffff00000010));
}

#define NET "inet:EACCES all:EACCES EPERM"
#define YES_ONLY "inet:HELD all:EACCES EPERM"
/* Promised dns, it is a datagram and no nameserver. */
const struct try tries_names[] = {
	{"tcp_allowed", tcp_allowed, YES_ONLY, 0},
	{"tcp_allowed_zero", tcp_allowed_zero, YES_ONLY, 0},
	{"tcp_allowed_mapped", tcp_allowed_mapped, YES_ONLY, 0},
	{"tcp6_allowed", tcp6_allowed, YES_ONLY, 0},
	{"udp_allowed", udp_allowed, YES_ONLY, 0},
	{"udp6_allowed", udp6_allowed, YES_ONLY, 0},
	{"tcp_other_port", tcp_other_port, NET, 2},
	{"tcp_zero", tcp_zero, NET, 2},
	{"tcp_second", tcp_second, NET, 2},
	{"tcp_last", tcp_last, NET, 2},
	{"tcp_mapped", tcp_mapped, NET, 2},
	{"tcp_mapped_second", tcp_mapped_second, NET, 2},
	{"tcp_mapped_zero", tcp_mapped_zero, NET, 2},
	{"tcp6_other_port", tcp6_other_port, NET, 2},
	{"tcp6_zero", tcp6_zero, NET, 2},
	{"tcp6_compatible", tcp6_compatible, NET, 0},
	{"tcp6_translated", tcp6_translated, NET, 0},
	{"tcp6_six_to_four", tcp6_six_to_four, NET, 0},
	{"udp_other_port", udp_other_port, NET, 2},
	{"udp_zero", udp_zero, NET, 2},
	{"udp_second", udp_second, NET, 2},
	{"udp_mapped", udp_mapped, NET, 2},
	{"udp_mapped_zero", udp_mapped_zero, NET, 2},
	{"udp6_other_port", udp6_other_port, NET, 2},
	{"udp6_zero", udp6_zero, NET, 2},
	{"udp_broadcast", udp_broadcast, NET, 0},
	{"udp_net_broadcast", udp_net_broadcast, NET, 0},
	{"udp_multicast", udp_multicast, NET, 0},
	{"udp6_multicast", udp6_multicast, NET, 0},
	{"udp_by_tcp_rule", udp_by_tcp_rule, NET, 1},
	{"tcp_by_udp_rule", tcp_by_udp_rule, NET, 0},
	{"other_server", other_server, NET, 2},
	{"other_server_tcp", other_server_tcp, NET, 2},
	{"other_server_mapped", other_server_mapped, NET, 2},
	{"server_allowed", server_allowed, "dns:HELD all:HELD inet:EACCES EPERM", 0},
	{"server_other_port", server_other_port, NET, 1},
	{"scoped", scoped, NET, 0},
	{"scoped_udp", scoped_udp, NET, 0},
	{"v6_to_v4", v6_to_v4, NET, 2},
	{"v6_connect_v4", v6_connect_v4, "dns:EACCES " NET, 2},
	{"no_family", no_family, NET, 2},
	{"no_family6", no_family6, "dns:EDESTADDRREQ inet:EDESTADDRREQ all:EDESTADDRREQ EPERM", 0},
	{"no_family6_short", no_family6_short, "dns:EDESTADDRREQ inet:EDESTADDRREQ all:EDESTADDRREQ EPERM", 0},
	{"long_address", long_address, NET, 2},
	{"longer_address", longer_address, "dns:EINVAL inet:EINVAL all:EINVAL EPERM", 0},
	{"short_address", short_address, "dns:EINVAL inet:EINVAL all:EINVAL EPERM", 0},
	{"short_address6", short_address6, NET, 2},
	{"bits_above", bits_above, NET, 2},
	{0},
};
