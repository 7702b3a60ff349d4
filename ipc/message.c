/* SPDX-License-Identifier: ISC */
/*
 * This file owns the record format of the control sockets: one SEQPACKET record is a 16 byte header, a payload, and
 * descriptors. Runs in every process; a received record is hostile until ipc_recv() has said 1.
 */
#include "ipc/ipc.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAGIC 0x4b4c4241u

struct header {
	uint32_t magic;
	uint32_t type;
	uint32_t len;
	uint32_t fd_count;
};
_Static_assert(sizeof(struct header) == 16, "callers size their buffers by it");

/* Aligned as the kernel wants it, with room for IPC_FDS_MAX and, as the sizes work out, not one more. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
};
_Static_assert(CMSG_SPACE(sizeof(int) * IPC_FDS_MAX) == CMSG_LEN(sizeof(int) * IPC_FDS_MAX),
	"padding would let the kernel install a descriptor that we do not look at");

/* A socket may have been made O_NONBLOCK by someone else; waiting then means poll. */
static int wait_for(int socket, short events)
{
	struct pollfd p = {socket, events, 0};

	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static void close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0) {
			close(fds[i]);
			fds[i] = -1;
		}
}

/* Moves the record's descriptors into fds (IPC_FDS_MAX of room): how many, or -EPROTO after closing them. */
static ssize_t take_fds(struct msghdr *h, int fds[IPC_FDS_MAX])
{
	size_t count = 0;
	bool bad = h->msg_flags & (MSG_CTRUNC | MSG_TRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0)) {
			bad = true;
			continue;
		}
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (count < IPC_FDS_MAX) {
				fds[count++] = fd;
			} else {
				close(fd);
				bad = true;
			}
		}
	}
	if (bad) {
		close_all(fds, count);
		return -EPROTO;
	}
	return (ssize_t)count;
}

/* recvmsg() says 0 for the end and for an empty record alike. Only at the end has the peer hung up. */
static bool hung_up(int socket)
{
	struct pollfd p = {socket, POLLIN | POLLRDHUP, 0};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL));
}

static bool plain_send, plain_recv;

void ipc_plain(bool send_plain, bool recv_plain)
{
	plain_send = send_plain;
	plain_recv = recv_plain;
}

/* Without descriptors: what came with the record is let go by the kernel. */
static ssize_t receive_once(int socket, struct msghdr *h, bool wait)
{
	if (!plain_recv)
		return recvmsg(socket, h, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
	ssize_t n = recv(socket, h->msg_iov->iov_base, h->msg_iov->iov_len, MSG_TRUNC | (wait ? 0 : MSG_DONTWAIT));
	h->msg_controllen = 0;
	h->msg_flags = n > (ssize_t)h->msg_iov->iov_len ? MSG_TRUNC : 0;
	return n;
}

static ssize_t send_once(int socket, const struct msghdr *h, bool wait)
{
	const int flags = MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT);
	char bytes[sizeof(struct header) + IPC_BYTES_MAX];
	size_t len = 0;
	if (!plain_send || h->msg_control)
		return sendmsg(socket, h, flags);
	for (size_t i = 0; i < h->msg_iovlen; i++) {
		memcpy(bytes + len, h->msg_iov[i].iov_base, h->msg_iov[i].iov_len);
		len += h->msg_iov[i].iov_len;
	}
	return send(socket, bytes, len, flags);
}

static int receive(int socket, struct msghdr *h, bool wait, ssize_t *n)
{
	for (;;) {
		*n = receive_once(socket, h, wait);
		if (*n >= 0)
			return 0;
		if (errno == EAGAIN && wait) {
			int r = wait_for(socket, POLLIN);

			if (r < 0)
				return r;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}

int ipc_pair(int fds[2])
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	fds[0] = pair[0];
	fds[1] = pair[1];
	return 0;
}

int ipc_send(int socket, const struct ipc_message *m, bool wait)
{
	struct header head = {MAGIC, m->type, (uint32_t)m->len, (uint32_t)m->fd_count};
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)m->data, m->len}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = m->len ? 2 : 1};
	union control control;

	if (m->len > IPC_BYTES_MAX || m->fd_count > IPC_FDS_MAX)
		return -EMSGSIZE;
	if (m->fd_count) {
		memset(&control, 0, sizeof(control));
		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * m->fd_count);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * m->fd_count);
		memcpy(CMSG_DATA(c), m->fds, sizeof(int) * m->fd_count);
	}
	for (;;) {
		if (send_once(socket, &h, wait) >= 0)
			return 0;
		if (errno == EAGAIN && wait) {
			int r = wait_for(socket, POLLOUT);

			if (r < 0)
				return r;
		} else if (errno == ECONNRESET || errno == ECONNREFUSED || errno == ENOTCONN) {
			return -EPIPE;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}

int ipc_recv(int socket, void *buf, size_t len, size_t fd_max, struct ipc_message *m, bool wait)
{
	struct header head;
	union control control;
	struct iovec iov = {buf, len};
	struct msghdr h = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int fds[IPC_FDS_MAX];
	ssize_t n;

	if (len < sizeof(head) || fd_max > IPC_FDS_MAX)
		return -EINVAL;
	int r = receive(socket, &h, wait, &n);
	/* The peer closed with our own records unread: said once, and before what it sent, which comes then. */
	if (r == -ECONNRESET)
		r = receive(socket, &h, wait, &n);
	if (r < 0)
		return r;
	ssize_t count = take_fds(&h, fds);
	if (count < 0)
		return -EPROTO;
	if (n == 0 && count == 0 && hung_up(socket))
		return 0;
	if ((size_t)n < sizeof(head))
		goto malformed;
	memcpy(&head, buf, sizeof(head));
	if (head.magic != MAGIC || head.len > IPC_BYTES_MAX || head.len != (size_t)n - sizeof(head))
		goto malformed;
	/* A count that differs: descriptors were lost on the way, or the peer lies. */
	if (head.fd_count != (size_t)count || (size_t)count > fd_max)
		goto malformed;
	m->type = head.type;
	m->len = head.len;
	m->data = (const char *)buf + sizeof(head);
	m->fd_count = (size_t)count;
	for (size_t i = 0; i < IPC_FDS_MAX; i++)
		m->fds[i] = i < (size_t)count ? fds[i] : -1;
	return 1;
malformed:
	close_all(fds, (size_t)count);
	return -EPROTO;
}

ssize_t ipc_peek(int socket, void *buf, size_t len)
{
	ssize_t n = recv(socket, buf, len, MSG_PEEK | MSG_DONTWAIT);
	return n < 0 && errno == ECONNRESET ? recv(socket, buf, len, MSG_PEEK | MSG_DONTWAIT) : n;
}

bool ipc_waits(int socket, uint32_t type)
{
	struct header head;
	return ipc_peek(socket, &head, sizeof(head)) == sizeof(head) && head.type == type;
}

void ipc_message_close(struct ipc_message *m)
{
	close_all(m->fds, m->fd_count < IPC_FDS_MAX ? m->fd_count : IPC_FDS_MAX);
}
