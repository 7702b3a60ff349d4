/* SPDX-License-Identifier: ISC */
/*
 * Owns sendto, sendmsg and sendmmsg where they may name an address or carry descriptors, and recvfrom, recvmsg and recvmmsg
 * where descriptors may not be received or it matters who sent. Runs in the broker, which copies what is sent and what came, and does it on the
 * caller's own socket: at once, or, when that would wait, on a slow worker. A filter sees neither the address nor the
 * control data; and memory that it let the kernel read would be changed after it was judged.
 */
#include "broker/carrier.h"
#include "broker/limits.h"
#include "broker/message.h"
#include "broker/names.h"
#include "policy/promises.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define VECTORS_MAX 1024 /* UIO_MAXIOV */
#define DATA_MAX ((size_t)1 << 20) /* of one message; a stream is copied in parts of that size */
#define CALL_MAX ((size_t)0x7ffff000) /* MAX_RW_COUNT: the kernel takes no more at once */
#define MANY_MAX 1024 /* messages of one call */
/* Who has these may send and receive bytes. */
#define SOCKETS (PROMISE_BIT(stdio) | PROMISE_BIT(inet) | PROMISE_BIT(unix) | PROMISE_BIT(dns))

static const struct answer go_on = {.kind = ANSWER_CONTINUE, .fd = -1};

static void message_drop(struct job *job)
{
	struct message *m = (struct message *)job;
	control_drop(m);
	name_close(&m->job.to);
	endpoint_close(&m->job.s);
	free(m->data);
	free(m);
}

/* What the last message of a call was made of. */
static void message_reset(struct message *m)
{
	control_drop(m);
	name_close(&m->job.to);
	m->job.to.len = 0;
	free(m->data);
	m->data = NULL;
	m->len = m->done = m->before = m->left = m->control_len = 0;
	m->ready = m->named = false;
}

/* ---- the header, and what it points to ---- */

static uint64_t header_address(const struct message *m)
{
	return m->where + (uint64_t)m->index * (m->many ? sizeof(struct header_of_many) : 0);
}

/* 0, or what the kernel says of a header; m->vectors are bounded to what one message can have. */
static int header_read(const struct request *r, struct message *m)
{
	struct header *h = &m->header;
	struct iovec raw[VECTORS_MAX];
	size_t sum = 0;
	int e = memory_read(r, header_address(m), h, sizeof(*h));
	if (e < 0)
		return e;
	if (!h->name)
		h->name_len = 0;
	if (h->name_len < 0)
		return -EINVAL;
	if (h->name_len > (int)sizeof(m->job.to.to.room))
		h->name_len = (int)sizeof(m->job.to.to.room);
	if (h->vector_count > VECTORS_MAX)
		return -EMSGSIZE;
	if (h->control_len > INT32_MAX)
		return -ENOBUFS;
	e = memory_read(r, h->vectors, raw, (size_t)h->vector_count * sizeof(*raw));
	m->vector_count = 0;
	for (size_t i = 0; e == 0 && i < h->vector_count; i++) {
		if ((ssize_t)raw[i].iov_len < 0)
			return -EINVAL;
		size_t room = CALL_MAX - sum;
		if (raw[i].iov_len > room)
			raw[i].iov_len = room;
		sum += raw[i].iov_len;
		if (raw[i].iov_len)
			m->vectors[m->vector_count++] = raw[i];
	}
	m->len = sum;
	return e;
}

static bool is_stream(const struct message *m)
{
	return m->job.s.type == SOCK_STREAM;
}

/* The next part of a stream takes the place of this one. */
static void next_part(struct message *m)
{
	size_t gone = m->len, i = 0;
	for (; i < m->vector_count && m->vectors[i].iov_len <= gone; i++)
		gone -= m->vectors[i].iov_len;
	m->vector_count -= i;
	memmove(m->vectors, m->vectors + i, m->vector_count * sizeof(m->vectors[0]));
	m->vectors[0].iov_base = (char *)m->vectors[0].iov_base + gone;
	m->vectors[0].iov_len -= gone;
	m->before += m->len;
	m->len = m->left > DATA_MAX ? DATA_MAX : m->left;
	m->left -= m->len;
	m->done = 0;
}

/* Room for the data, and with `fill` what the target has there. */
static int data_make(const struct request *r, struct message *m, bool fill)
{
	if (m->len > DATA_MAX && fill && !is_stream(m))
		return -EMSGSIZE;
	if (m->len > DATA_MAX) {
		m->left = is_stream(m) ? m->len - DATA_MAX : 0;
		m->len = DATA_MAX;
	}
	m->data = malloc(m->len + 1);
	if (!m->data)
		return -ENOBUFS;
	return fill ? memory_gather(r, m->vectors, m->vector_count, m->data, m->len) : 0;
}

/* ---- sending ---- */

static int send_prepare(struct request *r, struct message *m)
{
	uint64_t name = r->args[4], len = r->args[5];
	int e = 0;
	m->len = 0;
	if (m->single) {
		m->vectors[0] = (struct iovec){(void *)(uintptr_t)r->args[1], (size_t)r->args[2]};
		m->vector_count = 1;
		m->len = (size_t)r->args[2] > CALL_MAX ? CALL_MAX : (size_t)r->args[2];
		m->vectors[0].iov_len = m->len;
		m->named = name != 0;
	} else {
		e = header_read(r, m);
		name = m->header.name;
		len = (uint64_t)m->header.name_len;
		m->named = name && len;
	}
	m->job.asked = (struct name){.held = -1};
	if (e == 0 && m->named)
		e = name_read(r, name, len, &m->job.asked);
	m->job.to = m->job.asked;
	if (e == 0 && m->named)
		e = name_allow(r, &m->job.s, &m->job.to, USE_SEND);
	if (e == 0 && m->named)
		e = limits_begin(r, &m->job.s, &m->job.to);
	if (e == 0 && !m->single)
		e = control_take(r, m);
	if (e == 0)
		e = data_make(r, m, true);
	m->ready = e == 0;
	return e;
}

/* The kernel tells the thread that wrote, before the call returns. */
static void broken_pipe(const struct request *r, const struct message *m)
{
	if (is_stream(m) && !(m->flags & MSG_NOSIGNAL) && request_alive(r))
		syscall(SYS_tkill, r->tid, SIGPIPE);
}

/* Bytes, or a negative errno; -EAGAIN on the lane when it would wait. */
static ssize_t send_some(struct request *r, struct message *m)
{
	struct iovec v;
	struct msghdr h = {.msg_name = m->named ? &m->job.to.to : NULL,
		.msg_namelen = m->job.to.len,
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = m->control_len && !m->done && !m->before ? m->control : NULL,
		.msg_controllen = m->done || m->before ? 0 : m->control_len};
	/* The copy is gone when the call returns. */
	int flags = (m->flags & ~MSG_ZEROCOPY) | MSG_NOSIGNAL | (r->slow ? 0 : MSG_DONTWAIT);
	ssize_t n;
	do {
		if (m->left && m->done == m->len) {
			next_part(m);
			if (memory_gather(r, m->vectors, m->vector_count, m->data, m->len) < 0)
				return (ssize_t)m->before;
		}
		v = (struct iovec){m->data + m->done, m->len - m->done};
		n = sendmsg(m->job.s.fd, &h, flags);
		if (n > 0)
			m->done += (size_t)n;
		limits_done(r, &m->job.s, &m->job.to, n);
		h.msg_control = NULL;
		h.msg_controllen = 0;
	} while (n > 0 && (m->done < m->len || m->left) && m->waits && r->slow);
	int e = n < 0 ? errno : 0;
	if (e == EAGAIN && !r->slow && m->waits)
		return -EAGAIN;
	if (!m->done && !m->before && e == EPIPE)
		broken_pipe(r, m);
	if (n >= 0 && (m->done < m->len || m->left) && m->waits && !r->slow)
		return -EAGAIN; /* the rest of a stream */
	return n < 0 && !m->done && !m->before ? -e : (ssize_t)(m->before + m->done);
}

/* ---- receiving ---- */

static int header_write(const struct request *r, const struct message *m, const struct msghdr *h)
{
	uint64_t at = header_address(m), control_len = h->msg_controllen;
	uint32_t flags = (uint32_t)(h->msg_flags & ~(MSG_CMSG_CLOEXEC & ~m->flags));
	socklen_t room = (socklen_t)m->header.name_len, name_len = h->msg_namelen;
	int e = 0;
	if (m->header.name) {
		e = memory_write(r, m->header.name, h->msg_name, name_len < room ? name_len : room);
		if (e == 0)
			e = memory_write(r, at + offsetof(struct header, name_len), &name_len, sizeof(name_len));
	}
	if (e == 0)
		e = memory_write(r, at + offsetof(struct header, flags), &flags, sizeof(flags));
	if (e == 0 && control_len)
		e = memory_write(r, m->header.control, m->control, (size_t)control_len);
	if (e == 0)
		e = memory_write(r, at + offsetof(struct header, control_len), &control_len, sizeof(control_len));
	return e;
}

static int sender_write(const struct request *r, const struct message *m, const struct msghdr *h)
{
	socklen_t room = (socklen_t)m->header.name_len, len = h->msg_namelen;
	int e = memory_write(r, m->header.name, h->msg_name, len < room ? len : room);
	return e < 0 ? e : memory_write(r, r->args[5], &len, sizeof(len));
}

/* recvfrom(), as if it had a header. */
static int receive_prepare(struct request *r, struct message *m)
{
	m->header = (struct header){.name = r->args[4]};
	m->vectors[0] = (struct iovec){(void *)(uintptr_t)r->args[1], (size_t)r->args[2]};
	if (m->vectors[0].iov_len > CALL_MAX)
		m->vectors[0].iov_len = CALL_MAX;
	m->vector_count = m->vectors[0].iov_len > 0;
	m->len = m->vectors[0].iov_len;
	int e = m->header.name ? memory_read(r, r->args[5], &m->header.name_len, sizeof(m->header.name_len)) : 0;
	return e < 0 ? e : m->header.name_len < 0 ? -EINVAL : 0;
}

static ssize_t receive_some(struct request *r, struct message *m)
{
	struct sockaddr_storage from;
	struct iovec v = {m->data, m->len};
	size_t room = m->header.control ? (size_t)m->header.control_len : 0;
	struct msghdr h = {.msg_name = m->header.name ? &from : NULL,
		.msg_namelen = m->header.name ? sizeof(from) : 0,
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = room ? m->control : NULL,
		.msg_controllen = room < sizeof(m->control) ? room : sizeof(m->control)};
	int flags = m->flags & ~MSG_WAITFORONE;
	if (!r->slow || (m->index && (m->flags & MSG_WAITFORONE)))
		flags |= MSG_DONTWAIT;
	ssize_t n = recvmsg(m->job.s.fd, &h, flags | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	if (control_came(&h))
		return promised(r, PROMISE_BIT(recvfd));
	heard_note(r, &m->job.s, h.msg_name, h.msg_namelen);
	size_t have = (size_t)n < m->len ? (size_t)n : m->len;
	int e = memory_scatter(r, m->vectors, m->vector_count, m->data, have);
	bool all = (flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL && m->waits && r->slow;
	while (e == 0 && all && n > 0 && (size_t)n == m->len && m->left) {
		next_part(m);
		n = recv(m->job.s.fd, m->data, m->len, flags);
		e = n > 0 ? memory_scatter(r, m->vectors, m->vector_count, m->data, (size_t)n) : 0;
	}
	if (e == 0 && m->single)
		e = m->header.name ? sender_write(r, m, &h) : 0;
	else if (e == 0)
		e = header_write(r, m, &h);
	return e < 0 ? e : (ssize_t)m->before + (n > 0 ? n : 0);
}

/* ---- calls of one or many messages ---- */

static bool would_wait(const struct request *r, const struct message *m, ssize_t n)
{
	bool only_first = m->receives && m->index && (m->flags & MSG_WAITFORONE);
	return n == -EAGAIN && !r->slow && m->waits && !only_first;
}

static ssize_t one(struct request *r, struct message *m)
{
	int e = 0;
	if (!m->ready && m->receives) {
		e = m->single ? receive_prepare(r, m) : header_read(r, m);
		if (e == 0)
			e = data_make(r, m, false);
		m->ready = e == 0;
	} else if (!m->ready) {
		e = send_prepare(r, m);
	}
	if (e < 0)
		return e;
	/* All of it, or until a signal: for that the whole call must wait in one place. */
	if (m->receives && (m->flags & MSG_WAITALL) && m->waits && is_stream(m) && !r->slow)
		return -EAGAIN;
	return m->receives ? receive_some(r, m) : send_some(r, m);
}

static bool late(const struct message *m)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return m->timed &&
	       (now.tv_sec > m->until.tv_sec || (now.tv_sec == m->until.tv_sec && now.tv_nsec >= m->until.tv_nsec));
}

/* Takes m, unless it is to wait: then r has it. */
static struct answer messages(struct request *r, struct message *m)
{
	ssize_t n = 0;
	while (m->index < m->count) {
		n = one(r, m);
		if (n == DECIDED_LATER || would_wait(r, m, n)) {
			r->job = &m->job;
			return answer_slow();
		}
		if (m->many && !m->receives && (n >= 0 || m->index))
			report_message(r, n);
		uint32_t len = (uint32_t)n;
		if (n >= 0 && m->many) {
			int e = memory_write(
				r, header_address(m) + offsetof(struct header_of_many, len), &len, sizeof(len));
			n = e < 0 ? e : n;
		}
		if (n < 0)
			break;
		m->index++;
		message_reset(m);
		if (m->receives && late(m))
			break;
	}
	if (n == -EINTR)
		r->interrupted = endpoint_times_out(&m->job.s, m->receives ? SO_RCVTIMEO : SO_SNDTIMEO);
	int64_t done = m->many ? (int64_t)m->index : n;
	/* What came before the one that failed is told; a refusal among it is told of all the same. */
	bool told = m->many && m->index;
	message_drop(&m->job);
	return n < 0 && !told ? answer_error((int)-n) : answer_value(done);
}

static struct answer messages_slowly(struct request *r)
{
	struct message *m = (struct message *)r->job;
	r->job = NULL;
	int e = m->ready && m->named ? job_allowed_still(r, &m->job, USE_SEND) : 0;
	if (e < 0) {
		message_drop(&m->job);
		return answer_error(-e);
	}
	return messages(r, m);
}

static struct answer start(struct request *r, int flags, bool receives)
{
	struct message *m = calloc(1, sizeof(*m));
	if (!m)
		return answer_error(ENOBUFS);
	m->job.drop = message_drop;
	m->job.to.held = -1;
	m->flags = flags;
	m->receives = receives;
	m->single = r->nr == SYS_sendto || r->nr == SYS_recvfrom;
	m->many = r->nr == SYS_sendmmsg || r->nr == SYS_recvmmsg;
	m->where = r->args[1];
	m->count = m->many ? (unsigned)r->args[2] : 1;
	if (m->count > MANY_MAX)
		m->count = MANY_MAX;
	int e = endpoint_open(r, (int)r->args[0], &m->job.s);
	m->waits = m->job.s.waits && !(flags & MSG_DONTWAIT);
	if (e == 0 && r->nr == SYS_recvmmsg && r->args[4]) {
		struct timespec t;
		e = memory_read(r, r->args[4], &t, sizeof(t));
		if (e == 0 && (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec > 999999999))
			e = -EINVAL;
		clock_gettime(CLOCK_MONOTONIC, &m->until);
		m->until.tv_sec += t.tv_sec;
		m->until.tv_nsec += t.tv_nsec;
		m->timed = true;
	}
	if (e < 0) {
		message_drop(&m->job);
		return answer_error(-e);
	}
	return messages(r, m);
}

struct answer op_send(struct request *r)
{
	if (r->slow)
		return messages_slowly(r);
	int flags = (int)r->args[r->nr == SYS_sendmsg ? 2 : 3];
	/* A connect in disguise, which no row of the table has; and there are those that promised nothing of the kind. */
	if ((flags & MSG_FASTOPEN) || !(policy_of(r)->promises & (SOCKETS | PROMISE_BIT(sendfd))))
		return op_refused(r);
	return start(r, flags, false);
}

struct answer op_receive(struct request *r)
{
	if (r->slow)
		return messages_slowly(r);
	const uint64_t held = policy_of(r)->promises;
	/* Then it is told from registers alone that the kernel may do it. */
	bool passes = r->nr == SYS_recvfrom ? (held & SOCKETS) != 0 : (held & PROMISE_BIT(recvfd)) != 0;
	if (passes && r->family->carrier->goes_on && !heard_matters(r, (int)r->args[0]))
		return go_on;
	if (!(held & SOCKETS))
		return op_refused(r);
	return start(r, (int)r->args[r->nr == SYS_recvmsg ? 2 : 3], true);
}
