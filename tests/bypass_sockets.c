/* SPDX-License-Identifier: ISC */
/* Kinds of sockets, their options, what goes with messages. Runs in the target. */
#include "tests/bypass.h"

#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* ---- families, types, protocols ---- */

/* 0 when one of them can be had; else the errno that all have, or that which differs. */
static int none_of(const int (*list)[3], size_t count, int expected)
{
	for (size_t i = 0; i < count; i++) {
		int e = sock(list[i][0], list[i][1], list[i][2]);
		if (e >= 0 || e != expected)
			return e >= 0 ? THROUGH : e;
	}
	return expected;
}

static int other_families(const struct net *n)
{
	int last = -EPERM;
	(void)n;
	for (int family = 0; family <= 60 && last == -EPERM; family++)
		for (int type = 1; type <= 6 && last == -EPERM; type++)
			if (family != AF_UNIX && family != AF_INET && family != AF_INET6 && family != AF_NETLINK)
				last = sock(family, type, 0);
	return last < 0 ? last : THROUGH;
}

/* SMC makes TCP connections of its own. */
static int other_protocols(const struct net *n)
{
	static const int list[][3] = {{AF_INET, SOCK_STREAM, 262}, {AF_INET6, SOCK_STREAM, 262},
		{AF_INET, SOCK_STREAM, 132}, {AF_INET, SOCK_SEQPACKET, 132}, {AF_INET, SOCK_SEQPACKET, 0},
		{AF_INET, SOCK_DGRAM, 136}, {AF_INET6, SOCK_DGRAM, 136}, {AF_INET, SOCK_DCCP, 33},
		{AF_INET, SOCK_RAW, 1}, {AF_INET, SOCK_RAW, 6}, {AF_INET, SOCK_RAW, 17}, {AF_INET, SOCK_RAW, 255},
		{AF_INET6, SOCK_RAW, 58}, {AF_INET, SOCK_RAW, 0}, {AF_INET, SOCK_PACKET, 0x300},
		{AF_INET, SOCK_STREAM, 256}, {AF_INET, SOCK_STREAM, 17}, {AF_INET, SOCK_DGRAM, 6},
		{AF_INET, SOCK_DGRAM, 115}, {AF_INET, SOCK_STREAM, -1}, {43, SOCK_STREAM, 0}, {43, SOCK_STREAM, 1},
		{AF_UNIX, SOCK_STREAM, 1}, {AF_UNIX, SOCK_RAW, 0}, {AF_INET6, SOCK_DGRAM, 1}};
	(void)n;
	return none_of(list, sizeof(list) / sizeof(list[0]), -EPERM);
}

static int netlink_protocols(const struct net *n)
{
	int last = -EPERM;
	(void)n;
	for (int protocol = 1; protocol <= 40 && last == -EPERM; protocol++)
		last = sock(AF_NETLINK, protocol % 2 ? SOCK_RAW : SOCK_DGRAM, protocol);
	return last < 0 ? last : THROUGH;
}

/* The kernel looks at the lower half alone; so does the filter. */
static int high_bits(const struct net *n)
{
	(void)n;
	int e = keep(syscall(SYS_socket, 0x500000000 | AF_PACKET, 0x100000000 | SOCK_RAW, 0x700000000));
	if (e == -EPERM)
		e = keep(syscall(SYS_socket, 0x500000000 | AF_INET, 0x100000000 | SOCK_STREAM, 0x700000000 | 262));
	return e < 0 ? e : THROUGH;
}

static int high_bits_tcp(const struct net *n)
{
	struct sockaddr_in no = NO(n, tcp);
	int fd = keep(syscall(SYS_socket, 0x500000000 | AF_INET, 0x100000000 | SOCK_STREAM, 0x700000000));
	return TO(fd, no);
}

static int type_garbage(const struct net *n)
{
	(void)n;
	return done(keep(syscall(SYS_socket, AF_INET, SOCK_STREAM | 0x40000, 0)));
}

static int uring(const struct net *n)
{
	char room[256] = {0};
	(void)n;
	return done(keep(syscall(425, 8, room)));
}

/* ---- options ---- */

/* What chooses another way, speaks for others, or goes by the filter; also where there is no such socket. */
static int options(const struct net *n)
{
	static const int list[][2] = {{SOL_SOCKET, 25 /* BINDTODEVICE */}, {SOL_SOCKET, 62 /* BINDTOIFINDEX */},
		{SOL_SOCKET, 36 /* MARK */}, {SOL_SOCKET, 26 /* ATTACH_FILTER */}, {SOL_SOCKET, 27 /* DETACH_FILTER */},
		{SOL_SOCKET, 44 /* LOCK_FILTER */}, {SOL_SOCKET, 50 /* ATTACH_BPF */},
		{SOL_SOCKET, 51 /* REUSEPORT_CBPF */}, {SOL_SOCKET, 52 /* REUSEPORT_EBPF */},
		{SOL_SOCKET, 12 /* PRIORITY */}, {SOL_SOCKET, 32 /* SNDBUFFORCE */}, {SOL_SOCKET, 33 /* RCVBUFFORCE */},
		{SOL_SOCKET, 42 /* PEEK_OFF */}, {SOL_SOCKET, 60 /* ZEROCOPY */}, {SOL_SOCKET, 61 /* TXTIME */},
		{SOL_SOCKET, 46 /* BUSY_POLL */}, {SOL_SOCKET, 5 /* DONTROUTE */}, {SOL_SOCKET, 1 /* DEBUG */},
		{SOL_SOCKET, 37 /* TIMESTAMPING */}, {SOL_SOCKET, 76 /* PASSPIDFD */},
		{SOL_SOCKET, 70 /* PREFER_BUSY_POLL */}, {SOL_SOCKET, 79 /* DEVMEM */}, {SOL_IP, 4 /* OPTIONS */},
		{SOL_IP, 3 /* HDRINCL */}, {SOL_IP, 15 /* FREEBIND */}, {SOL_IP, 19 /* TRANSPARENT */},
		{SOL_IP, 50 /* UNICAST_IF */}, {SOL_IP, 16 /* IPSEC_POLICY */}, {SOL_IP, 17 /* XFRM_POLICY */},
		{SOL_IP, 22 /* NODEFRAG */}, {SOL_IP, 64 /* iptables */}, {SOL_IP, 5 /* ROUTER_ALERT */},
		{SOL_IPV6, 1 /* ADDRFORM */}, {SOL_IPV6, 57 /* RTHDR */}, {SOL_IPV6, 54 /* HOPOPTS */},
		{SOL_IPV6, 59 /* DSTOPTS */}, {SOL_IPV6, 50 /* PKTINFO */}, {SOL_IPV6, 75 /* TRANSPARENT */},
		{SOL_IPV6, 78 /* FREEBIND */}, {SOL_IPV6, 76 /* UNICAST_IF */}, {SOL_IPV6, 32 /* FLOWLABEL_MGR */},
		{SOL_IPV6, 33 /* FLOWINFO_SEND */}, {SOL_IPV6, 36 /* HDRINCL */}, {SOL_IPV6, 9 /* NEXTHOP */},
		{SOL_IPV6, 34 /* IPSEC_POLICY */}, {IPPROTO_TCP, 30 /* FASTOPEN_CONNECT */},
		{IPPROTO_TCP, 31 /* ULP */}, {IPPROTO_TCP, 19 /* REPAIR */}, {IPPROTO_TCP, 14 /* MD5SIG */},
		{IPPROTO_TCP, 38 /* AO_ADD_KEY */}, {IPPROTO_TCP, 33 /* FASTOPEN_KEY */},
		{IPPROTO_TCP, 34 /* FASTOPEN_NO_COOKIE */}, {IPPROTO_TCP, 26 /* SAVED_SYN */},
		{IPPROTO_UDP, 100 /* ENCAP */}, {IPPROTO_UDP, 1 /* CORK */},
		{270 /* NETLINK */, 1 /* ADD_MEMBERSHIP */}, {270, 3 /* PKTINFO */}, {270, 8 /* LISTEN_ALL_NSID */},
		{270, 12 /* STRICT_CHK */}, {263 /* PACKET */, 1}, {284 /* MPTCP */, 1}, {282 /* TLS */, 1},
		{286 /* SMC */, 1}, {-1, 25}};
	char room[64] = {1};
	int fd = sock(AF_INET, SOCK_STREAM, 0);
	(void)n;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int e = done(setsockopt(fd < 0 ? 0 : fd, list[i][0], list[i][1], room, 4));
		if (e != -EPERM)
			return e;
	}
	return -EPERM;
}

/* The upper half of an argument is no other option. */
static int options_high_bits(const struct net *n)
{
	int one = 1;
	(void)n;
	return done(syscall(SYS_setsockopt, 0, 0x500000000 | SOL_SOCKET, 0x900000000 | SO_BINDTODEVICE, &one, 4));
}

static int ioctls(const struct net *n)
{
	static const unsigned list[] = {0x8901 /* FIOSETOWN */, 0x8902 /* SIOCSPGRP */, 0x8903, 0x8904,
		0x8906 /* GSTAMP */, 0x8907, 0x890b /* ADDRT */, 0x890c, 0x8911 /* SIFLINK */, 0x8914 /* SIFFLAGS */,
		0x8916 /* SIFADDR */, 0x891c, 0x8922 /* SIFMTU */, 0x8923 /* SIFNAME */, 0x8924 /* SIFHWADDR */, 0x8936,
		0x8943 /* GARP... */, 0x8946 /* ETHTOOL */, 0x8948, 0x8953 /* DARP */, 0x8954, 0x8955 /* SARP */,
		0x8970 /* IFMAP */, 0x8980, 0x8982 /* GIFVLAN */, 0x8983, 0x8990 /* BONDENSLAVE */,
		0x89a0 /* BRADDBR */, 0x89a2 /* BRADDIF */, 0x89b0 /* HWTSTAMP */,
		0x89e0 /* PROTOPRIVATE: GETSOCKNAME of others */, 0x89f0 /* DEVPRIVATE */, 0x894c /* OPENUNIX */};
	char room[256] = "lo";
	int fd = sock(AF_INET, SOCK_DGRAM, 0);
	(void)n;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int e = done(ioctl(fd < 0 ? 0 : fd, list[i], room));
		if (e != -EPERM)
			return e;
	}
	return -EPERM;
}

/* ---- what goes with a message ---- */

union control {
	struct cmsghdr first;
	char room[256];
};

static size_t put(union control *c, size_t at, int level, int type, const void *data, size_t len)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
	memcpy(c->room + at, &h, sizeof(h));
	memcpy(c->room + at + CMSG_LEN(0), data, len);
	return at + CMSG_SPACE(len);
}

static int control_kinds(const struct net *n)
{
	static const struct {
		int level, type;
		size_t len;
	} list[] = {{SOL_IP, 7 /* RETOPTS */, 8}, {SOL_IP, 4 /* OPTIONS */, 8}, {SOL_SOCKET, 36 /* MARK */, 4},
		{SOL_SOCKET, 61 /* TXTIME */, 8}, {SOL_SOCKET, 2 /* CREDENTIALS */, 12}, {SOL_SOCKET, 3, 4},
		{SOL_SOCKET, 4 /* PIDFD */, 4}, {SOL_SOCKET, 37 /* TIMESTAMPING */, 4}, {SOL_SOCKET, 12, 4},
		{SOL_IPV6, 57 /* RTHDR */, 24}, {SOL_IPV6, 5 /* 2292RTHDR */, 24}, {SOL_IPV6, 54 /* HOPOPTS */, 8},
		{SOL_IPV6, 59 /* DSTOPTS */, 8}, {SOL_IPV6, 2 /* 2292PKTINFO */, 20}, {SOL_IPV6, 11 /* FLOWINFO */, 4},
		{SOL_IP, 52 /* PROTOCOL */, 4}, {282 /* TLS */, 1, 1}, {279 /* ALG */, 1, 4}, {IPPROTO_UDP, 104, 4}};
	struct sockaddr_in yes = YES(n, udp);
	int fd = sock(AF_INET, SOCK_DGRAM, 0), pair[2];
	static const char data[32];
	if (fd < 0) { /* what there is */
		(void)!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
		keep(pair[1]);
		fd = keep(pair[0]);
		yes.sin_family = AF_UNSPEC;
	}
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		union control c;
		size_t len = put(&c, 0, list[i].level, list[i].type, data, list[i].len);
		int e = message_to(fd, yes.sin_family ? &yes : NULL, yes.sin_family ? sizeof(yes) : 0, &c, len);
		if (e != -EPERM && (e != -EACCES || !yes.sin_family))
			return e;
	}
	return -EPERM;
}

/* An address that is not this machine's is none to send from. */
static int spoof(const struct net *n)
{
	struct sockaddr_in yes = YES(n, udp);
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(0x08080808)};
	union control c;
	size_t len = put(&c, 0, SOL_IP, IP_PKTINFO, &info, sizeof(info));
	return message_to(sock(AF_INET, SOCK_DGRAM, 0), &yes, sizeof(yes), &c, len);
}

static int spoof6(const struct net *n)
{
	struct sockaddr_in6 yes = v6("::1", n->udp6_yes);
	struct in6_pktinfo info = {.ipi6_addr = v6("2001:db8::1", 0).sin6_addr};
	union control c;
	size_t len = put(&c, 0, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	return message_to(sock(AF_INET6, SOCK_DGRAM, 0), &yes, sizeof(yes), &c, len);
}

/* Another one beside it, of which the last bytes are not there: what the kernel reads, the judge must have read. The number
 * is none of ours: if it is taken for the broker's, its descriptor is what is sent. */
static int pass(int number, bool second, bool cut)
{
	int pair[2], zero = 0;
	union control c;
	memset(&c, 0, sizeof(c));
	size_t at = second ? put(&c, 0, SOL_IP, IP_TTL, &zero, sizeof(zero)) : 0;
	size_t len = put(&c, at, SOL_SOCKET, SCM_RIGHTS, &number, sizeof(number));
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		return -errno;
	keep(pair[0]);
	keep(pair[1]);
	return message_to(pair[0], NULL, 0, &c, cut ? at + CMSG_LEN(sizeof(number)) : len);
}

static int pass_none(const struct net *n)
{
	(void)n;
	return pass(200, false, false);
}

static int pass_second_cut(const struct net *n)
{
	(void)n;
	for (int number = 3; number < 40; number++) {
		int e = pass(number + 200, true, true);
		if (e == 0)
			return THROUGH;
		if (number == 39)
			return e;
	}
	return -EPERM;
}

static int pass_own(const struct net *n)
{
	int fds[2];
	(void)n;
	(void)!pipe(fds);
	keep(fds[0]);
	keep(fds[1]);
	int e = pass(fds[0], false, false);
	return e ? e : HELD;
}

/* Somebody else's descriptors, which may not come in; here they are its own. With credentials in front and room that ends
 * with the descriptor. */
static int receive(int how)
{
	int pair[2], fds[2], one = 1;
	char c;
	union control in, out;
	struct iovec v = {&c, 1};
	struct mmsghdr h = {{NULL, 0, &v, 1, &in, CMSG_SPACE(12) + CMSG_LEN(sizeof(int)), 0}, 0};
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) || pipe(fds))
		return -errno;
	keep(pair[0]);
	keep(pair[1]);
	keep(fds[0]);
	keep(fds[1]);
	if (how == 2)
		setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
	else
		h.msg_hdr.msg_controllen = CMSG_LEN(sizeof(int));
	int e = message_to(pair[0], NULL, 0, &out, put(&out, 0, SOL_SOCKET, SCM_RIGHTS, &fds[0], sizeof(int)));
	if (e == 0)
		e = done(how == 1 ? recvmmsg(pair[1], &h, 1, MSG_DONTWAIT, NULL)
				  : recvmsg(pair[1], &h.msg_hdr, MSG_DONTWAIT));
	return e ? e : HELD;
}

static int receive_one(const struct net *n)
{
	(void)n;
	return receive(0);
}

static int receive_many(const struct net *n)
{
	(void)n;
	return receive(1);
}

static int receive_second_cut(const struct net *n)
{
	(void)n;
	return receive(2);
}

const struct try tries_sockets[] = {
	{"other_families", other_families, "EPERM", 0},
	{"other_protocols", other_protocols, "EPERM", 0},
	{"netlink_protocols", netlink_protocols, "EPERM", 0},
	{"high_bits", high_bits, "EPERM", 0},
	{"high_bits_tcp", high_bits_tcp, "inet:EACCES all:EACCES EPERM", 2},
	{"type_garbage", type_garbage, "inet:EINVAL all:EINVAL dns:EINVAL EPERM", 0},
	{"uring", uring, "ENOSYS", 0},
	{"options", options, "EPERM", 0},
	{"options_high_bits", options_high_bits, "EPERM", 0},
	{"ioctls", ioctls, "all:ANY EPERM", 0},
	{"control_kinds", control_kinds, "EPERM", 0},
	{"spoof", spoof, "inet:ENETUNREACH all:EACCES EPERM", 0},
	{"spoof6", spoof6, "inet:EINVAL all:EACCES EPERM", 0},
	{"pass_none", pass_none, "all:EBADF send:EBADF EPERM", 0},
	{"pass_second_cut", pass_second_cut, "all:EBADF send:EBADF EPERM", 0},
	{"pass_own", pass_own, "all:HELD send:HELD EPERM", 0},
	{"receive_one", receive_one, "all:HELD EPERM", 0},
	{"receive_many", receive_many, "all:HELD EPERM", 0},
	{"receive_second_cut", receive_second_cut, "all:HELD EPERM", 0},
	{0},
};
