/* SPDX-License-Identifier: ISC */
/* This file owns what goes with messages beside their data: descriptors, which take the promises sendfd and recvfd, and
 * where a datagram leaves from. It runs in the broker, on a copy of the control data. */
#include "broker/message.h"
#include "policy/promises.h"

#include <errno.h>
#include <unistd.h>

/* What goes with data and is neither a descriptor nor a claim: where it leaves from, and how. */
static bool harmless(int level, int type)
{
	static const struct {
		int level, type;
	} list[] = {{SOL_IP, IP_TOS}, {SOL_IP, IP_TTL}, {SOL_IP, IP_PKTINFO}, {SOL_IPV6, IPV6_PKTINFO},
		{SOL_IPV6, IPV6_HOPLIMIT}, {SOL_IPV6, IPV6_TCLASS}, {SOL_IPV6, IPV6_DONTFRAG},
		{IPPROTO_UDP, 103}}; /* UDP_SEGMENT */
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (list[i].level == level && list[i].type == type)
			return true;
	return false;
}

/* As the kernel steps through them. The macros of C libraries differ about a last one that ends with the buffer; and what
 * the kernel sees and the judge does not would name descriptors of the broker. c's own length fits. */
static struct cmsghdr *next(const struct msghdr *h, struct cmsghdr *c)
{
	size_t at = (size_t)((char *)c - (char *)h->msg_control) + CMSG_ALIGN(c->cmsg_len);
	if (c->cmsg_len < sizeof(*c) || at + sizeof(*c) > h->msg_controllen)
		return NULL;
	return (struct cmsghdr *)(void *)((char *)h->msg_control + at);
}

/* The target's descriptors become ours. Directories are not passed, as pledge(2) has it: they lead to all that is in them,
 * whatever the receiver may see. */
static int descriptors_take(struct request *r, struct message *m, struct cmsghdr *c)
{
	size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	int *numbers = (int *)(void *)CMSG_DATA(c), e = promised(r, PROMISE_BIT(sendfd));
	if (e == 0 && count > MESSAGE_FDS - m->fd_count)
		e = -EINVAL;
	/* They are the broker's as long as the message waits, and the kernel has such a limit, too. */
	if (e == 0) {
		m->family = r->family;
		m->passing += count;
		if (atomic_fetch_add(&r->family->passing, count) + count > r->family->state_max)
			e = -ETOOMANYREFS;
	}
	for (size_t i = 0; e == 0 && i < count; i++) {
		struct stat st;
		int fd = memory_dup_fd(r, numbers[i]);
		if (fd < 0)
			return fd;
		m->fds[m->fd_count++] = numbers[i] = fd;
		if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
			r->why = "directories are not passed";
			e = -EPERM;
		}
	}
	return e;
}

void control_drop(struct message *m)
{
	for (unsigned i = 0; i < m->fd_count; i++)
		close(m->fds[i]);
	m->fd_count = 0;
	if (m->passing)
		atomic_fetch_sub(&m->family->passing, m->passing);
	m->passing = 0;
}

int control_take(struct request *r, struct message *m)
{
	const struct header *h = &m->header;
	struct msghdr all = {.msg_control = m->control};
	if (!h->control_len)
		return 0;
	if (h->control_len > sizeof(m->control))
		return -ENOBUFS;
	int e = memory_read(r, h->control, m->control, (size_t)h->control_len);
	m->control_len = all.msg_controllen = (size_t)h->control_len;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&all); e == 0 && c; c = next(&all, c)) {
		if (c->cmsg_len < CMSG_LEN(0) || c->cmsg_len > all.msg_controllen - (size_t)((char *)c - m->control))
			return -EINVAL;
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			e = descriptors_take(r, m, c);
		} else if (!harmless(c->cmsg_level, c->cmsg_type)) {
			r->why = "control data of this kind is not sent";
			e = -EPERM;
		}
	}
	return e;
}

bool control_came(struct msghdr *h)
{
	bool passed = false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = next(h, c)) {
		/* SCM_PIDFD, of 6.5, has the number 4 */
		if (c->cmsg_level != SOL_SOCKET || (c->cmsg_type != SCM_RIGHTS && c->cmsg_type != 4))
			continue;
		const int *fds = (const int *)(const void *)CMSG_DATA(c);
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
			close(fds[i]);
		passed = true;
	}
	return passed;
}
