/* SPDX-License-Identifier: ISC */
/* Owns what of AF_NETLINK there is: questions to the kernel about interfaces and their addresses, as getifaddrs() and
 * getaddrinfo() ask them. Runs in the broker. */
#include "broker/socket.h"
#include "policy/promises.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdio.h>

/* What the target writes to such a socket is seen by nobody but the kernel, which changes nothing for somebody without
 * capabilities, but tells of much more: routes, neighbours, rules. So it is the answers that are chosen: each one that
 * arrives is about links or addresses, or ends such a list, or is an error; or it is dropped. The first message of an answer
 * speaks for all that are in it, which are of one list. */
int netlink_listen_only(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWLINK), 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWADDR), 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NLMSG_DONE), 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NLMSG_ERROR), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, ~0u),
	};
	const struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	const int on = 1;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0
		       ? -1
		       : setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on));
}

/* For getifaddrs(): questions to the kernel, and nothing heard from others. What changes anything takes a capability that
 * no target has, and the broker neither. */
int netlink_allow(struct request *r, const struct endpoint *s, const struct name *n, enum use use)
{
	snprintf(r->address, sizeof(r->address), s->protocol == NETLINK_ROUTE ? "netlink:route" : "netlink:%d",
		s->protocol);
	uint64_t routes = PROMISE_BIT(route) | PROMISE_BIT(wroute), held = policy_of(r)->promises;
	if (s->protocol != NETLINK_ROUTE) {
		r->why = "sockets of this protocol are not used";
		return -EACCES;
	}
	if (!(held & (routes | PROMISE_BIT(inet) | PROMISE_BIT(dns))))
		return promised(r, PROMISE_BIT(inet));
	if (n->len < sizeof(sa_family_t))
		return -EINVAL;
	if (use == USE_CONNECT && n->to.any.sa_family == AF_UNSPEC)
		return 0;
	if (n->len < sizeof(n->to.netlink) || n->to.netlink.nl_family != AF_NETLINK)
		return -EINVAL;
	if (use == USE_BIND)
		return n->to.netlink.nl_groups ? promised(r, PROMISE_BIT(route)) : 0;
	if (n->to.netlink.nl_pid == 0 && n->to.netlink.nl_groups == 0)
		return 0;
	r->why = "only the kernel may be asked";
	return -EACCES;
}
