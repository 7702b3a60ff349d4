/* SPDX-License-Identifier: ISC */
/* Questions to the kernel about the network, and what would change it. Runs in the target. */
#include "tests/bypass.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>

struct question {
	struct nlmsghdr head;
	union {
		struct rtgenmsg any;
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
		char room[32];
	} body;
	struct rtattr attribute;
	uint32_t value;
};

static int netlink(void)
{
	return sock(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

/* The type of what came, 0 for nothing, or the negative errno that is in it. */
static int asked(int fd, const struct question *q, size_t len, bool by_name)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	union {
		struct nlmsghdr head;
		char room[16384];
	} a;
	ssize_t got = fd < 0    ? fd
		      : by_name ? sendto(fd, q, len, 0, (struct sockaddr *)&kernel, sizeof(kernel))
				: send(fd, q, len, 0);
	if (fd < 0 || got < 0)
		return fd < 0 ? fd : -errno;
	got = recv(fd, &a, sizeof(a), MSG_DONTWAIT);
	if (got < (ssize_t)sizeof(a.head))
		return 0;
	if (a.head.nlmsg_type != NLMSG_ERROR)
		return a.head.nlmsg_type;
	return ((struct nlmsgerr *)NLMSG_DATA(&a.head))->error;
}

/* What tells of more than links and addresses: nothing comes. */
static int netlink_tells(const struct net *n)
{
	static const uint16_t list[] = {RTM_GETROUTE, RTM_GETNEIGH, RTM_GETRULE, RTM_GETNEIGHTBL, RTM_GETQDISC,
		RTM_GETTFILTER, RTM_GETNETCONF, RTM_GETSTATS, RTM_GETNSID, RTM_GETMDB, RTM_GETNEXTHOP, RTM_GETACTION,
		RTM_GETADDRLABEL, RTM_GETDCB, RTM_GETCHAIN, RTM_GETTCLASS, RTM_GETANYCAST};
	(void)n;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int fd = netlink();
		struct question q = {
			.head = {sizeof(q.head) + sizeof(struct rtmsg), list[i], NLM_F_REQUEST | NLM_F_DUMP, 1, 0}};
		if (fd < 0)
			return fd;
		int e = asked(fd, &q, q.head.nlmsg_len, i % 2);
		if (e > 0 && e != NLMSG_DONE)
			return THROUGH;
		/* Nor behind the first. */
		q.head.nlmsg_type = RTM_GETLINK;
		close(fd);
	}
	return HELD;
}

/* Two questions in one message: each answer is chosen for itself. */
static int netlink_two(const struct net *n)
{
	struct question q[2];
	char room[16384];
	ssize_t got;
	int fd = netlink();
	(void)n;
	if (fd < 0)
		return fd;
	memset(q, 0, sizeof(q));
	for (int i = 0; i < 2; i++)
		q[i].head = (struct nlmsghdr){
			sizeof(q[i]), i ? RTM_GETROUTE : RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0};
	(void)!send(fd, q, sizeof(q), 0);
	while ((got = recv(fd, room, sizeof(room), MSG_DONTWAIT)) > 0)
		for (struct nlmsghdr *h = (void *)room; NLMSG_OK(h, (size_t)got); h = NLMSG_NEXT(h, got))
			if (h->nlmsg_type == RTM_NEWROUTE)
				return THROUGH;
	return HELD;
}

/* Neither who opened the socket nor who sends may change anything. */
static int netlink_changes(const struct net *n, bool by_name)
{
	static const uint16_t list[] = {RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWLINK, RTM_NEWRULE, RTM_NEWNEIGH, RTM_DELLINK,
		RTM_DELADDR, RTM_NEWQDISC};
	(void)n;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct question q = {.head = {sizeof(q), list[i], NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0},
			.attribute = {8, IFA_LOCAL},
			.value = htonl(0x5db8d822)};
		q.body.address = (struct ifaddrmsg){AF_INET, 32, 0, 0, 1};
		if (list[i] == RTM_NEWADDR) { /* one that nothing is missing of */
			memcpy(&q.body.room[sizeof(q.body.address)], &q.attribute, 8);
			q.head.nlmsg_len = NLMSG_LENGTH(sizeof(q.body.address)) + 8;
		}
		int e = asked(netlink(), &q, q.head.nlmsg_len, by_name);
		if (e != -EPERM)
			return e;
	}
	return -EPERM;
}

static int netlink_changes_by_name(const struct net *n)
{
	return netlink_changes(n, true);
}

static int netlink_changes_direct(const struct net *n)
{
	return netlink_changes(n, false);
}

/* What others are told. */
static int netlink_group(const struct net *n)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR};
	int fd = netlink();
	(void)n;
	return fd < 0 ? fd : done(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

static int netlink_others(const struct net *n)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_pid = 1};
	int fd = netlink(), e = SEND_TO(fd, a);
	(void)n;
	return e == -EACCES ? TO(fd, a) : e;
}

static int netlink_everybody(const struct net *n)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = 1};
	(void)n;
	return SEND_TO(netlink(), a);
}

static int netlink_unfilter(const struct net *n)
{
	int zero = 0, fd = netlink();
	(void)n;
	return fd < 0 ? fd : done(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof(zero)));
}

/* getifaddrs() works. */
static int interfaces(const struct net *n)
{
	struct ifaddrs *list, *i;
	bool found = false;
	(void)n;
	if (getifaddrs(&list))
		return -errno;
	for (i = list; i; i = i->ifa_next)
		found = found || (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && strcmp(i->ifa_name, "lo") == 0);
	freeifaddrs(list);
	return found ? HELD : -ENODEV;
}

const struct try tries_netlink[] = {
	{"netlink_tells", netlink_tells, "inet:HELD dns:HELD all:ANY EPERM", 1},
	{"netlink_two", netlink_two, "inet:HELD dns:HELD all:ANY EPERM", 0},
	{"netlink_changes_by_name", netlink_changes_by_name, "all+inplace+root:ANY EPERM", 0},
	{"netlink_changes_direct", netlink_changes_direct, "all+inplace+root:ANY EPERM", 0},
	{"netlink_group", netlink_group, "all:THROUGH EPERM", 1},
	{"netlink_others", netlink_others, "inet:EACCES dns:EACCES all:EACCES EPERM", 0},
	{"netlink_everybody", netlink_everybody, "inet:EACCES dns:EACCES all:EACCES EPERM", 0},
	{"netlink_unfilter", netlink_unfilter, "EPERM", 0},
	{"interfaces", interfaces, "inet:HELD dns:HELD all:HELD EPERM", 0},
	{0},
};
