/* SPDX-License-Identifier: ISC */
/*
 * This file owns the first carrier: seccomp notifications. It runs in the broker, on the family's lane, which is blocked in
 * NOTIF_RECV (a poll before it costs as much as three system calls), and wherever answers are given.
 */
#include "broker/carrier.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64) /* 6.6 */
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1
#endif
#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

/* Nothing is allocated for a request. */
struct buffer {
	size_t size;
	struct seccomp_notif notif; /* and what newer kernels have behind it */
};

static int start(struct family *f)
{
	struct seccomp_notif_sizes sizes;
	uint64_t flags = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes))
		return -ENOMEM;
	size_t size = sizes.seccomp_notif > sizeof(struct seccomp_notif) ? sizes.seccomp_notif
									 : sizeof(struct seccomp_notif);
	struct buffer *b = calloc(1, offsetof(struct buffer, notif) + size);
	if (!b)
		return -ENOMEM;
	b->size = size;
	f->carrier_data = b;
	/* Kernels before 6.6 have none; waking is then slower. */
	ioctl(f->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
	return 0;
}

static void stop(struct family *f)
{
	free(f->carrier_data);
	f->carrier_data = NULL;
}

static bool hung_up(const struct family *f)
{
	struct pollfd p = {f->listener, 0, 0};
	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLNVAL | POLLERR));
}

static enum received receive(struct family *f, struct request *r)
{
	struct buffer *b = f->carrier_data;
	struct seccomp_notif *n = &b->notif;
	memset(n, 0, b->size);
	if (ioctl(f->listener, SECCOMP_IOCTL_NOTIF_RECV, n) < 0) {
		/* ENOENT: the request is gone, or (since 6.11) every task. */
		if (errno == ENOENT)
			return hung_up(f) ? RECEIVED_END : RECEIVED_NOTHING;
		return errno == EINTR ? RECEIVED_NOTHING : RECEIVED_END;
	}
	r->id = n->id;
	r->tid = n->data.arch == NATIVE_ARCH ? (pid_t)n->pid : -1;
	r->nr = n->data.nr;
	r->place = r->stands = n->data.instruction_pointer;
	for (int i = 0; i < 6; i++)
		r->args[i] = n->data.args[i];
	return RECEIVED_REQUEST;
}

static void send_value(int listener, uint64_t id, int64_t value, int error, uint32_t flags)
{
	struct seccomp_notif_resp answer = {.id = id, .val = value, .error = -error, .flags = flags};
	/* ENOENT: the caller died or left for a signal; that is no error. */
	while (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) && errno == EINTR)
		;
}

/* The target runs as soon as descriptor and answer are there, and our own copy of the descriptor is closed only when this
 * thread runs again. Where it matters who else holds the file (the other end of a pipe, a lock, a program that is to be
 * executed), the descriptor goes first, then our copy, then the answer: a wake-up more. Since 5.19 no signal comes
 * between; before, one may leave the target with a descriptor that it does not know of. */
static void send_sole(int listener, uint64_t id, struct answer *a)
{
	struct seccomp_notif_addfd add = {
		.id = id, .srcfd = (uint32_t)a->fd, .newfd_flags = a->cloexec ? O_CLOEXEC : 0};
	int number = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add), e = errno;
	close(a->fd);
	a->fd = -1;
	if (number >= 0)
		send_value(listener, id, number, 0, 0);
	else if (e != ENOENT)
		send_value(listener, id, 0, e == EINTR ? EIO : e, 0);
}

static void answer(struct family *f, uint64_t id, struct answer a)
{
	if (a.kind == ANSWER_FD && a.sole) {
		send_sole(f->listener, id, &a);
		return;
	}
	switch (a.kind) {
	case ANSWER_VALUE:
		send_value(f->listener, id, a.value, 0, 0);
		break;
	case ANSWER_CONTINUE:
		send_value(f->listener, id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
		break;
	case ANSWER_FD: {
		struct seccomp_notif_addfd add = {.id = id,
			.flags = SECCOMP_ADDFD_FLAG_SEND,
			.srcfd = (uint32_t)a.fd,
			.newfd_flags = a.cloexec ? O_CLOEXEC : 0};
		/* With SEND, descriptor and answer arrive together or not at all (5.14). EMFILE is the target's. */
		if (ioctl(f->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 && errno != ENOENT)
			send_value(f->listener, id, 0, errno == EINTR ? EIO : errno, 0);
		break;
	}
	case ANSWER_NONE:
		break;
	case ANSWER_ERROR:
	case ANSWER_SLOW: /* has been submitted before */
		send_value(f->listener, id, 0, a.error ? a.error : EPERM, 0);
		break;
	}
	if (a.fd >= 0)
		close(a.fd);
}

static bool alive(const struct family *f, uint64_t id)
{
	return ioctl(f->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static uint64_t blocked(const struct family *f, uint64_t id, uint64_t thread)
{
	(void)f;
	(void)id;
	return thread;
}

static bool held(const struct family *f, uint64_t id, int numbers[CARRIER_HELD])
{
	(void)f;
	(void)id;
	for (int i = 0; i < CARRIER_HELD; i++)
		numbers[i] = -1;
	return true;
}

const struct carrier carrier_listener = {true, start, receive, answer, alive, blocked, held, stop};
