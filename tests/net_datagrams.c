/* SPDX-License-Identifier: ISC */
/* Bodies of live_net.c: datagrams, with all that may come and go with them. */
#include "tests/net.h"

#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

static int bound(struct place *p)
{
	int fd = socket(p->to.ss_family, SOCK_DGRAM, 0);
	note("bind %s\n", name_of(bind_place(fd, p)));
	*p = own_place(fd);
	return fd;
}

static void hears(int fd, const char *what, const struct place *from)
{
	char buf[64] = "";
	struct place seen = {.len = sizeof(seen.to)};
	wait_for(fd, POLLIN, 2000);
	ssize_t n = recvfrom(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT, (struct sockaddr *)&seen.to, &seen.len);
	note("%s: %zd %s, from the right one %d\n", what, n, n < 0 ? name_of(errno) : buf,
		!from || (from->len == seen.len && memcmp(&from->to, &seen.to, 8) == 0));
}

static void conversation(struct place at, struct place back)
{
	int a = bound(&at), b = bound(&back), n;
	char buf[2][32] = {"", ""};
	struct iovec v[2] = {{"ab", 2}, {"cd", 2}}, in[2] = {{buf[0], 31}, {buf[1], 31}};
	struct msghdr h = {.msg_name = &back.to, .msg_namelen = back.len, .msg_iov = v, .msg_iovlen = 2};
	struct mmsghdr many[4] = {{h, 0}, {h, 0}, {h, 0}, {h, 0}}, got[2];
	note("no peer %s, name of it %s\n", said(send(a, "x", 1, 0)),
		said(getpeername(a, (struct sockaddr *)&at.to, &at.len)));
	note("sendto %zd, ", sendto(a, "one", 3, 0, (struct sockaddr *)&back.to, back.len));
	hears(b, "one", &at);
	note("sendmsg %zd, ", sendmsg(a, &h, 0));
	hears(b, "abcd", &at);
	many[2].msg_hdr.msg_namelen = 3;
	n = sendmmsg(a, many, 4, 0);
	note("sendmmsg %d %u %u, ", n, many[0].msg_len, many[1].msg_len);
	memset(got, 0, sizeof(got));
	for (int i = 0; i < 2; i++) {
		got[i].msg_hdr.msg_iov = &in[i];
		got[i].msg_hdr.msg_iovlen = 1;
	}
	note("recvmmsg %d: %u %s %u %s\n", recvmmsg(b, got, 2, 0, NULL), got[0].msg_len, buf[0], got[1].msg_len,
		buf[1]);
	note("connect %s, again %s, ", name_of(connect_place(a, &back)), name_of(connect_place(a, &back)));
	note("send %zd, none %zd\n", send(a, "two", 3, 0), send(a, NULL, 0, 0));
	hears(b, "two", &at);
	hears(b, "no bytes", &at);
	/* To another than the connected one. */
	struct place third = back;
	((struct sockaddr_in *)&third.to)->sin_port = 0;
	int c = bound(&third);
	note("to a third %zd, ", sendto(a, "three", 5, 0, (struct sockaddr *)&third.to, third.len));
	hears(c, "three", &at);
	note("and from it %zd, ", sendto(c, "no", 2, 0, (struct sockaddr *)&at.to, at.len));
	note("%s\n", said(recv(a, buf[0], 31, MSG_DONTWAIT)));
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	note("dissolved %s, send %s\n", said(connect(a, &none, sizeof(none))), said(send(a, "x", 1, 0)));
	char *big = calloc(1, 70000);
	static const size_t sizes[] = {65507, 65508, 65527, 65528, 70000};
	for (size_t i = 0; i < COUNT(sizes); i++) {
		ssize_t sent = sendto(a, big, sizes[i], MSG_DONTWAIT, (struct sockaddr *)&back.to, back.len);
		note("%zu bytes: %zd %s, ", sizes[i], sent, said(sent));
		v[0] = (struct iovec){big, sizes[i]};
		h.msg_iovlen = 1;
		sent = sendmsg(a, &h, MSG_DONTWAIT);
		note("sendmsg %zd %s, came %zd\n", sent, said(sent), recv(b, big, 70000, MSG_DONTWAIT));
		while (recv(b, big, 1, MSG_DONTWAIT) > 0)
			;
	}
	note("bad bytes %s, ", said(sendto(a, (void *)8, 10, 0, (struct sockaddr *)&back.to, back.len)));
	note("cut off: %zd, %zd\n", sendto(a, big, 100, 0, (struct sockaddr *)&back.to, back.len),
		recv(b, big, 10, MSG_TRUNC));
	free(big);
	close(a);
	close(b);
	close(c);
}

void net_udp(void)
{
	conversation(v4("127.0.0.1", 0), v4("127.0.0.2", 0));
	conversation(v6("::1", 0), v6("::1", 0));
	conversation(v6("::ffff:127.0.0.1", 0), v6("::ffff:127.0.0.1", 0));
}

static void error_queue(int domain, struct place closed)
{
	_Alignas(16) char control[512];
	char buf[16];
	struct sockaddr_storage from;
	struct iovec v = {buf, sizeof(buf)};
	int fd = socket(domain, SOCK_DGRAM, 0), on = 1, v6 = domain == AF_INET6;
	note("recverr %s\n",
		said(setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &on, sizeof(on))));
	note("sendto %zd, events %x, ", sendto(fd, "lost", 4, 0, (struct sockaddr *)&closed.to, closed.len),
		(unsigned)wait_for(fd, POLLIN, 500));
	note("next %s\n", said(recv(fd, buf, sizeof(buf), MSG_DONTWAIT)));
	for (int i = 0; i < 2; i++) {
		struct msghdr h = {.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &v,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT);
		note("queue %zd %s, flags %x, name %u, control %zu", n, said(n), (unsigned)h.msg_flags, h.msg_namelen,
			h.msg_controllen);
		for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
			struct sock_extended_err e;
			memcpy(&e, CMSG_DATA(c), sizeof(e));
			note(" %d %d: %u %u %u %u", c->cmsg_level, c->cmsg_type, e.ee_errno, e.ee_origin, e.ee_type,
				e.ee_code);
		}
		note("\n");
	}
	close(fd);
}

void net_udp_errors(void)
{
	struct place any[] = {v4("127.0.0.1", 0), v6("::1", 0)};
	for (size_t i = 0; i < COUNT(any); i++) {
		struct place closed = any[i];
		char c;
		close(bound(&closed));
		int fd = socket(any[i].to.ss_family, SOCK_DGRAM, 0);
		note("connect %s, send %zd, ", name_of(connect_place(fd, &closed)), send(fd, "x", 1, 0));
		usleep(20000);
		note("next %s, ", said(send(fd, "x", 1, 0)));
		usleep(20000);
		note("recv %s, then %s\n", said(recv(fd, &c, 1, MSG_DONTWAIT)), said(recv(fd, &c, 1, MSG_DONTWAIT)));
		note("send %zd, ", send(fd, "x", 1, 0));
		usleep(20000);
		note("error %s, then %s\n", name_of(socket_error(fd)), name_of(socket_error(fd)));
		close(fd);
		error_queue(any[i].to.ss_family, closed);
	}
	struct place all = v4("255.255.255.255", 9), local = v6("fe80::1", 9);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), d = socket(AF_INET6, SOCK_DGRAM, 0), on = 1;
	note("broadcast %s %s, ", name_of(connect_place(fd, &all)),
		said(sendto(fd, "x", 1, 0, (struct sockaddr *)&all.to, all.len)));
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	note("then %s\n",
		name_of(connect_place(fd, &all)) == name_of(ENETUNREACH) ? "0" : name_of(connect_place(fd, &all)));
	note("link-local without scope %s, ", name_of(connect_place(d, &local)));
	((struct sockaddr_in6 *)&local.to)->sin6_scope_id = 4711;
	note("with a wrong one %s ", name_of(connect_place(d, &local)));
	note("%s\n", said(sendto(d, "x", 1, 0, (struct sockaddr *)&local.to, local.len)));
}

void net_udp_control(void)
{
	struct place any = v4("0.0.0.0", 0), to = v4("127.0.0.1", 0), any6 = v6("::", 0);
	int server = bound(&any), on = 1, fd = socket(AF_INET, SOCK_DGRAM, 0);
	_Alignas(16) char control[256] = {0};
	char buf[4000] = "";
	struct iovec v = {"info", 4}, w = {buf, sizeof(buf)};
	((struct sockaddr_in *)&to.to)->sin_port = ((struct sockaddr_in *)&any.to)->sin_port;
	note("options %s ", said(setsockopt(server, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on))));
	note("%s ", said(setsockopt(server, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on))));
	note("%s\n", said(setsockopt(server, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on))));
	/* From another address, with another time to live. */
	struct msghdr h = {
		.msg_name = &to.to, .msg_namelen = to.len, .msg_iov = &v, .msg_iovlen = 1, .msg_control = control};
	h.msg_controllen = CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int));
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(0x7f000005)};
	*c = (struct cmsghdr){CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO};
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	c = CMSG_NXTHDR(&h, c);
	int ttl = 9;
	*c = (struct cmsghdr){CMSG_LEN(sizeof(ttl)), IPPROTO_IP, IP_TTL};
	memcpy(CMSG_DATA(c), &ttl, sizeof(ttl));
	note("sendmsg %s\n", said(sendmsg(fd, &h, 0)));
	struct sockaddr_in from;
	struct msghdr r = {.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &w,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	note("recvmsg %zd from %x\n", recvmsg(server, &r, 0), ntohl(from.sin_addr.s_addr));
	for (c = CMSG_FIRSTHDR(&r); c; c = CMSG_NXTHDR(&r, c))
		note("%d %d %zu %x\n", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len, CMSG_DATA(c)[0]);
	/* Too little room for it. */
	sendmsg(fd, &h, 0);
	r.msg_controllen = 5;
	note("no room: %zd, %zu, flags %x\n", recvmsg(server, &r, 0), r.msg_controllen, (unsigned)r.msg_flags);
	/* One that the kernel does not take. */
	h.msg_controllen = CMSG_LEN(2);
	c = CMSG_FIRSTHDR(&h);
	*c = (struct cmsghdr){CMSG_LEN(2), IPPROTO_IP, IP_PKTINFO};
	note("too short %s\n", said(sendmsg(fd, &h, 0)));
	/* Segments. */
	uint16_t size = 100;
	v = (struct iovec){buf, 950};
	h.msg_controllen = CMSG_SPACE(sizeof(size));
	c = CMSG_FIRSTHDR(&h);
	*c = (struct cmsghdr){CMSG_LEN(sizeof(size)), IPPROTO_UDP, 103};
	memcpy(CMSG_DATA(c), &size, sizeof(size));
	note("segments %zd:", sendmsg(fd, &h, 0));
	for (int i = 0; i < 10; i++)
		note(" %zd", recv(server, buf, sizeof(buf), MSG_DONTWAIT));
	note("\n");
	close(server);
	close(fd);
	/* v6, and v4 to it. */
	server = bound(&any6);
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	setsockopt(server, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	setsockopt(server, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof(on));
	static const char *const ips[] = {"::1", "::ffff:127.0.0.1"};
	for (int i = 0; i < 2; i++) {
		struct place p = v6(ips[i], ntohs(((struct sockaddr_in6 *)&any6.to)->sin6_port));
		note("to %s %zd, ", ips[i], sendto(fd, "six", 3, 0, (struct sockaddr *)&p.to, p.len));
		r.msg_controllen = sizeof(control);
		r.msg_name = NULL;
		r.msg_namelen = 55;
		note("came %zd, name %u:", recvmsg(server, &r, 0), r.msg_namelen);
		for (c = CMSG_FIRSTHDR(&r); c; c = CMSG_NXTHDR(&r, c))
			note(" %d %d %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
		note("\n");
	}
}

void net_multicast(void)
{
	struct place p = v4("239.255.77.1", 0);
	int fd = bound(&p), loop = 1;
	struct ip_mreq join = {.imr_interface.s_addr = htonl(INADDR_LOOPBACK)};
	join.imr_multiaddr = ((struct sockaddr_in *)&p.to)->sin_addr;
	note("join %s, ", said(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join))));
	note("twice %s\n", said(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join))));
	int sender = socket(AF_INET, SOCK_DGRAM, 0);
	note("out of %s, ", said(setsockopt(sender, IPPROTO_IP, IP_MULTICAST_IF, &join.imr_interface, 4)));
	note("loop %s\n", said(setsockopt(sender, IPPROTO_IP, IP_MULTICAST_LOOP, &loop, sizeof(loop))));
	note("sent %zd, ", sendto(sender, "group", 5, 0, (struct sockaddr *)&p.to, p.len));
	hears(fd, "group", NULL);
	note("leave %s\n", said(setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof(join))));
	close(fd);
	close(sender);
}

/* It answers whom it hears, without a rule for each. */
void net_udp_server(void)
{
	struct place at = v4("127.0.0.1", 0);
	int fd = bound(&at);
	net->port = ntohs(((struct sockaddr_in *)&at.to)->sin_port);
	for (int i = 0; i < 3; i++) {
		char buf[64] = "";
		struct place from = {.len = sizeof(from.to)};
		struct iovec v = {buf, sizeof(buf)};
		struct msghdr h = {.msg_name = &from.to, .msg_namelen = from.len, .msg_iov = &v, .msg_iovlen = 1};
		net->mark = MARK_ASK;
		if (i < 2)
			note("heard %zd, ", recvfrom(fd, buf, i ? 3 : sizeof(buf), i ? MSG_TRUNC : 0,
						    (struct sockaddr *)&from.to, &from.len));
		else
			note("heard %zd, ", recvmsg(fd, &h, 0));
		from.len = i == 2 ? h.msg_namelen : from.len;
		note("'%s' from %d bytes, ", buf, (int)from.len);
		note("answered %zd\n", sendto(fd, "answer", (size_t)i + 1, 0, (struct sockaddr *)&from.to, from.len));
		mark_awaited(); /* not asked for again: it may have been done already */
		note("got %d\n", net->answer);
	}
	close(fd);
}
