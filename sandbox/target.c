/* SPDX-License-Identifier: ISC */
/* Owns the target object: its descriptor, what its broker tells, messages, waiting; call.c has its calls and ending.c
 * its end. Runs in the host; inside a target the same object, without a broker, is its end of the channel. */
#include "sandbox/ending.h"

#include "broker/names.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define BLIND_MS 50
#define RECORDS_MAX 64 /* that say that there is something to look at, between two looks */

/* Memory that this process made itself, or has from its broker. ipc_map() asks more than a target may. */
int map_own(int fd, size_t len, void **out)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*out = p;
	return 0;
}

int target_new(struct airlock_target **out, int status, int channel, int call_fd, size_t shared)
{
	struct airlock_target *t = calloc(1, sizeof(*t));
	if (!t)
		return fail(-ENOMEM, "out of memory");
	t->status = status;
	t->channel = channel;
	t->shared = shared;
	t->poll = -1;
	t->inside = status < 0;
	void *memory = NULL;
	int r = call_fd < 0 ? 0 : map_own(call_fd, ipc_call_total(shared), &memory);
	if (r < 0) {
		free(t);
		return fail(r, "cannot make a target: %s", strerror(-r));
	}
	t->call = memory;
	t->ring.page = memory;
	t->ring.shared = shared;
	pthread_mutex_init(&t->forcing, NULL);
	*out = t;
	return 0;
}

/* ---- what the broker tells ---- */

/* A target that is being freed has nobody any more. */
static void question_answer(struct airlock_target *t, const struct ipc_message *m)
{
	struct question asked;
	memcpy(&asked, m->data, sizeof(asked));
	asked.address[sizeof(asked.address) - 1] = asked.program[sizeof(asked.program) - 1] = 0;
	const struct airlock_question q = {sizeof(q), asked.address, asked.bind, asked.pid, asked.program};
	struct reply reply = {.id = asked.id, .decision = DECISION_REFUSE};
	if (t->ask) {
		t->busy = true;
		reply.decision = t->ask(t->ask_arg, t, &q);
		t->busy = false;
	}
	ipc_send(t->status, &(struct ipc_message){.type = MESSAGE_ANSWER, .len = sizeof(reply), .data = &reply}, false);
}

bool status_take(struct airlock_target *t, bool answers)
{
	char buffer[IPC_BYTES_MAX + 16];
	struct ipc_message m;
	while (!t->ended && t->status >= 0) {
		if (!answers && ipc_waits(t->status, MESSAGE_ASK))
			return false;
		int r = ipc_recv(t->status, buffer, sizeof(buffer), 0, &m, false);
		if (r == -EAGAIN)
			return false;
		if (r == 1 && m.type == MESSAGE_ASK && m.len == sizeof(struct question)) {
			question_answer(t, &m);
			return true;
		}
		/* Whoever takes this in need not be airlock_dispatch(); and as long as the host has something to read, the
		 * broker does not say that calls are answered. */
		if (r == 1 && (m.type == MESSAGE_ANSWERED || t->ring.live))
			call_force(t, true);
		if (r == 1 && m.type == MESSAGE_ANSWERED)
			return true;
		if (r != 1) {
			t->ended = t->lost = true;
			if (t->call)
				ipc_call_dead(t->call);
		} else if (m.type == MESSAGE_REFUSAL && m.len == sizeof(struct refusal)) {
			struct refusal refusal;
			memcpy(&refusal, m.data, sizeof(refusal));
			ending_refusal(t, &refusal);
		} else if (m.type == MESSAGE_CRASHED && m.len == sizeof(struct crashed)) {
			struct crashed crash;
			memcpy(&crash, m.data, sizeof(crash));
			ending_crash(t, &crash);
		} else if (m.type == MESSAGE_STARTED && m.len == sizeof(struct outcome)) {
			struct outcome outcome;
			memcpy(&outcome, m.data, sizeof(outcome));
			outcome.text[sizeof(outcome.text) - 1] = 0;
			t->layers = outcome.layers;
			t->failed = outcome.error;
			t->starting = false;
			t->ended = t->lost = outcome.error < 0;
			if (t->ended) {
				t->failure = strdup(outcome.text);
				ipc_call_dead(t->call);
			}
		} else if (m.type == MESSAGE_SUSPENDED && m.len == sizeof(struct outcome)) {
			suspended_take(t, &m);
		} else if (m.type == MESSAGE_ENDED && m.len == sizeof(t->end)) {
			memcpy(&t->end, m.data, sizeof(t->end));
			t->ended = true;
		}
	}
	return false;
}

static bool status_read(struct airlock_target *t)
{
	return status_take(t, true);
}

bool target_ended(struct airlock_target *t)
{
	status_take(t, false);
	return t->ended;
}

int target_busy(const struct airlock_target *t)
{
	return t->busy ? fail(-EBUSY, "the target waits for what the host answers just now") : 0;
}

/* A target that has let go of its end would keep the descriptor readable for ever: it is looked at no more. */
static bool message_waits(struct airlock_target *t)
{
	char byte;
	if (t->channel < 0 || t->silent)
		return false;
	ssize_t n = ipc_peek(t->channel, &byte, 1);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return n > 0;
	t->silent = true;
	if (t->poll >= 0)
		epoll_ctl(t->poll, EPOLL_CTL_DEL, t->channel, NULL);
	return false;
}

/* What says that calls are to be looked at, and nothing else. Whether there was any. */
static bool records_take(struct airlock_target *t)
{
	char buffer[IPC_BYTES_MAX + 16];
	struct ipc_message m;
	int n = 0;
	while (n < RECORDS_MAX && t->call && ipc_waits(t->channel, MESSAGE_ANSWERED) &&
		ipc_recv(t->channel, buffer, sizeof(buffer), 0, &m, false) == 1)
		n++;
	return n > 0;
}

PUBLIC int airlock_fd(const struct airlock_target *target)
{
	struct airlock_target *t = (struct airlock_target *)(uintptr_t)target;
	if (t->inside || t->channel < 0 || t->poll >= 0)
		return t->poll >= 0 ? t->poll : t->inside ? t->channel : t->status;
	pthread_mutex_lock(&t->forcing);
	struct epoll_event e = {.events = EPOLLIN}, s = {.events = EPOLLIN | (t->forced ? EPOLLOUT : 0)};
	int fd = epoll_create1(EPOLL_CLOEXEC), r = 0;
	if (fd < 0 || (!t->concluded && epoll_ctl(fd, EPOLL_CTL_ADD, t->status, &s) < 0) ||
		(!t->silent && epoll_ctl(fd, EPOLL_CTL_ADD, t->channel, &e) < 0)) {
		r = -errno;
		if (fd >= 0)
			close(fd);
	} else {
		t->poll = fd;
	}
	pthread_mutex_unlock(&t->forcing);
	return r < 0 ? fail(r, "no descriptor to wait by: %s", strerror(-r)) : fd;
}

/* Inside a target there is the channel alone; its end is the host's, which may have closed but one direction. */
static int dispatch_inside(struct airlock_target *t, int timeout_ms)
{
	int64_t deadline = deadline_in(timeout_ms);
	for (;;) {
		if (pings_take(t))
			return 1;
		struct pollfd p = {.fd = t->channel, .events = POLLIN | POLLRDHUP};
		int ms = deadline_left(deadline), r = poll(&p, 1, ms);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) && !pings_take(t))
			return 2;
		if (r < 1 && (ms == 0 || r < 0))
			return 0;
	}
}

/* Said once: from then on the descriptor is not readable for it any more. */
static int conclude(struct airlock_target *t)
{
	t->concluded = true;
	if (t->poll >= 0)
		epoll_ctl(t->poll, EPOLL_CTL_DEL, t->status, NULL);
	return 2;
}

PUBLIC int airlock_dispatch(struct airlock_target *target, int timeout_ms)
{
	if (target->inside)
		return dispatch_inside(target, timeout_ms);
	if (target->busy)
		return target_busy(target);
	int64_t deadline = deadline_in(timeout_ms);
	for (;;) {
		bool answered = status_read(target), message = message_waits(target);
		if (message && records_take(target)) {
			answered = true;
			message = message_waits(target);
		}
		/* After the records: what is answered from now on is told by another one. */
		if (call_work(target))
			return 3;
		if (message)
			return 1;
		if (target->ended)
			return conclude(target);
		int ms = deadline_left(deadline), wake = target->ring.live ? airlock_fd(target) : -1; /* call_force() */
		struct pollfd p[3] = {{.fd = target->status, .events = POLLIN},
			{.fd = target->silent ? -1 : target->channel, .events = POLLIN},
			{.fd = wake, .events = POLLIN}};
		if (answered && ms == 0)
			return 0;
		int due = call_due_ms(target, ms);
		/* There is no descriptor left to be woken by: that another thread cancels is seen all the same. */
		if (wake < 0 && target->ring.live && (due < 0 || due > BLIND_MS))
			due = BLIND_MS;
		int r = poll(p, 3, due);
		if (r < 0 && errno != EINTR)
			return fail(-errno, "cannot wait: %s", strerror(errno));
		if (r <= 0 && ms == 0)
			return 0;
	}
}

/* ---- messages ---- */

PUBLIC int airlock_send(struct airlock_target *peer, const void *data, size_t len, int fd)
{
	struct ipc_message m = {.type = MESSAGE_DATA, .len = len, .data = data, .fd_count = fd >= 0};
	if (len > IPC_BYTES_MAX)
		return fail(-EMSGSIZE, "a message has at most %d bytes", IPC_BYTES_MAX);
	m.fds[0] = fd;
	if (peer->inside)
		life_check();
	int r = ipc_send(peer->channel, &m, false);
	return r < 0 ? fail(r, "cannot send: %s", strerror(-r)) : 0;
}

PUBLIC int airlock_recv(struct airlock_target *peer, struct airlock_message *message)
{
	char buffer[IPC_BYTES_MAX + 16];
	struct ipc_message m;
	/* As it was in the first version; what comes later is only told to who has room for it. */
	if (message->size < offsetof(struct airlock_message, fd) + sizeof(message->fd))
		return fail(-EINVAL, "message.size is wrong: use AIRLOCK_MESSAGE_INIT");
	if (peer->inside)
		pings_take(peer);
	else if (records_take(peer))
		call_force(peer, true);
	int r = ipc_recv(peer->channel, buffer, sizeof(buffer), 1, &m, false);
	if (r == 0)
		return fail(-EPIPE, "the other side is gone");
	if (r < 0)
		return fail(r, "cannot receive: %s", strerror(-r));
	if (m.type != MESSAGE_DATA || m.len > message->cap) {
		r = m.type != MESSAGE_DATA ? -EPROTO : -EMSGSIZE;
		ipc_message_close(&m);
		return fail(r, r == -EPROTO ? "the other side sent nonsense" : "the message is longer than the buffer");
	}
	memcpy(message->data, m.data, m.len);
	message->len = m.len;
	message->fd = m.fd_count ? m.fds[0] : -1;
	return 0;
}

/* ---- the end ---- */

PUBLIC int airlock_wait(struct airlock_target *target, struct airlock_status *status, int timeout_ms)
{
	if (target->inside)
		return fail(-EINVAL, "this is the host, not a target");
	if (status && status->size < sizeof(size_t))
		return fail(-EINVAL, "a size is wrong: use AIRLOCK_STATUS_INIT");
	if (target->busy)
		return target_busy(target);
	int64_t deadline = deadline_in(timeout_ms);
	for (;;) {
		bool answered = status_read(target);
		if (target->ended)
			break;
		int ms = deadline_left(deadline);
		struct pollfd p = {.fd = target->status, .events = POLLIN};
		if ((answered || poll(&p, 1, ms) <= 0) && ms == 0) {
			ending_status(target, status);
			return fail(-ETIMEDOUT, "the target still runs");
		}
	}
	ending_status(target, status);
	return 0;
}

PUBLIC int airlock_kill(struct airlock_target *target)
{
	if (target->inside)
		return fail(-EINVAL, "this is the host, not a target");
	if (target->ended || target->killed)
		return 0;
	int r = ipc_send(target->status, &(struct ipc_message){.type = MESSAGE_KILL}, false);
	target->killed = r == 0;
	return r == -EPIPE ? 0 : r;
}

PUBLIC void airlock_free(struct airlock_target *target)
{
	if (!target)
		return;
	if (!target->inside) {
		struct airlock_status s = {.size = sizeof(s), .limit = -1};
		char said[512]; /* a start that failed ends here, too, and its reason is to be read after this */
		airlock_kill(target);
		if (target->busy) /* whoever asked it goes on with it */
			return;
		target->ask = NULL;
		snprintf(said, sizeof(said), "%s", airlock_message());
		/* The broker answers when the last process is gone; when it is gone itself, so are they. */
		airlock_wait(target, &s, 10000);
		fail(0, "%s", said);
		if (target->poll >= 0)
			close(target->poll);
		close(target->status);
	}
	if (target->call)
		munmap(target->call, ipc_call_total(target->shared));
	if (target->channel >= 0)
		close(target->channel);
	call_forget(target);
	buffers_forget(target);
	broker_handle_free(target->broker);
	free(target->refusals);
	free(target->crash);
	free(target->failure);
	free(target);
}
