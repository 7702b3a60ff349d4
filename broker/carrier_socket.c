/* SPDX-License-Identifier: ISC */
/*
 * This file owns the broker's half of the second carrier: requests as messages on a socket, for families that run under
 * somebody else's seccomp listener. It runs in the broker, on the family's lane and wherever answers are given.
 *
 * The socket is the family's, and whoever of it is hostile can write anything. Who sent a message is the kernel's word
 * (SCM_CREDENTIALS, SCM_PIDFD); that it is its own socket that waits for the answer too (SO_PEERCRED: the broker must not
 * be made to write to a socket that leads to somebody who trusts it); the thread is looked up in that process. All else is
 * only what that process asks for, and read and judged as ever. An answer that the sender does not take is dropped.
 */
#include "broker/carrier.h"
#include "policy/promises.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SCM_PIDFD /* 6.5 */
#define SCM_PIDFD 4
#endif
#define RECORDS 1024
#define DESCRIPTORS 4 /* one is expected; the kernel closes what has no room here */
#define SIGINFO_BYTES 128

/* A request that has no answer yet. */
struct record {
	uint64_t id; /* 0: free */
	int reply, pidfd; /* reply -1: slot */
	pid_t pid, tid;
	int nr;
	uint64_t args[6];
	uint64_t mask, slot;
	int held[CARRIER_HELD];
	bool busy; /* its answer is being given */
};

struct line {
	pthread_mutex_t lock;
	uint64_t cookie; /* of the family's end */
	uint64_t next; /* ids grow, and tell their slot by the remainder */
	struct record records[RECORDS];
};

static int start(struct family *f)
{
	struct line *l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	/* Written before the target was anybody's but ours. */
	if (recv(f->listener, &l->cookie, sizeof(l->cookie), MSG_DONTWAIT) != sizeof(l->cookie)) {
		free(l);
		return -EPROTO;
	}
	pthread_mutex_init(&l->lock, NULL);
	l->next = RECORDS;
	f->carrier_data = l;
	return 0;
}

static void record_close(struct record *c)
{
	if (c->reply >= 0)
		close(c->reply);
	close(c->pidfd);
	c->id = 0;
}

static void stop(struct family *f)
{
	struct line *l = f->carrier_data;
	if (!l)
		return;
	for (size_t i = 0; i < RECORDS; i++)
		if (l->records[i].id)
			record_close(&l->records[i]);
	pthread_mutex_destroy(&l->lock);
	free(l);
	f->carrier_data = NULL;
}

/* Under the lock. */
static bool record_alive(const struct record *c)
{
	struct pollfd p[2] = {{c->pidfd, POLLIN, 0}, {c->reply, 0, 0}};
	return poll(p, 2, 0) == 0;
}

static struct record *record_of(struct line *l, uint64_t id)
{
	struct record *c = &l->records[id % RECORDS];
	return id && c->id == id ? c : NULL;
}

/* Under the lock. Those who were to die and got no answer are dead by the time their slot is needed. */
static struct record *record_new(struct line *l)
{
	for (size_t i = 0; i < RECORDS; i++) {
		uint64_t id = l->next++;
		struct record *c = &l->records[id % RECORDS];
		if (c->id && !c->busy && !record_alive(c))
			record_close(c);
		if (!c->id) {
			*c = (struct record){.id = id};
			return c;
		}
	}
	return NULL;
}

/* ---- receiving ---- */

struct parcel {
	struct carrier_message m;
	struct ucred sender;
	int pidfd, reply;
};

static void parcel_close(struct parcel *p)
{
	if (p->pidfd >= 0)
		close(p->pidfd);
	if (p->reply >= 0)
		close(p->reply);
}

static void take_descriptors(struct parcel *p, const struct cmsghdr *c)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < n; i++) {
		int fd;
		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		if (p->reply < 0)
			p->reply = fd;
		else
			close(fd);
	}
}

/* The length, 0 for an empty message or the end, or a negative errno. */
static ssize_t take(int socket, struct parcel *p)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int)) +
			   CMSG_SPACE(DESCRIPTORS * sizeof(int))];
	} control;
	struct iovec iov = {&p->m, sizeof(p->m)};
	struct msghdr h = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	p->pidfd = p->reply = -1;
	p->sender.pid = 0;
	ssize_t n = recvmsg(socket, &h, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(sizeof(p->sender)))
			memcpy(&p->sender, CMSG_DATA(c), sizeof(p->sender));
		else if (c->cmsg_type == SCM_PIDFD && c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&p->pidfd, CMSG_DATA(c), sizeof(int));
		else if (c->cmsg_type == SCM_RIGHTS)
			take_descriptors(p, c);
	}
	/* A longer one is no message of ours either. */
	return h.msg_flags & MSG_TRUNC ? (ssize_t)sizeof(p->m) + 1 : n;
}

/* Whether the answer goes nowhere but to the sender. Asked in a way that no file system's daemon has a say in. */
static bool reply_ours(const struct parcel *p)
{
	struct ucred peer = {.pid = 0};
	int domain = 0, type = 0;
	socklen_t domain_len = sizeof(domain), type_len = sizeof(type), peer_len = sizeof(peer);
	return p->reply >= 0 && getsockopt(p->reply, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) == 0 &&
	       domain == AF_UNIX && getsockopt(p->reply, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 &&
	       type == SOCK_SEQPACKET && getsockopt(p->reply, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) == 0 &&
	       peer.pid == p->sender.pid;
}

/* The thread of process that calls itself tid in its own pid namespace. -1. */
static pid_t thread_inside(const struct broker *b, pid_t process, pid_t tid)
{
	char name[64], text[2048];
	pid_t found = -1;
	snprintf(name, sizeof(name), "%d/task", process);
	int fd = openat(b->proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (fd >= 0 && !dir)
		close(fd);
	for (struct dirent *e; found < 0 && dir && (e = readdir(dir));) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		snprintf(name, sizeof(name), "%.16s/status", e->d_name);
		int status = openat(dirfd(dir), name, O_RDONLY | O_CLOEXEC);
		ssize_t n = status >= 0 ? read(status, text, sizeof(text) - 1) : -1;
		if (status >= 0)
			close(status);
		text[n > 0 ? n : 0] = 0;
		char *line = strstr(text, "\nNSpid:");
		if (!line)
			continue;
		line[strcspn(line + 1, "\n") + 1] = 0;
		const char *last = strrchr(line, '\t');
		if (last && strtol(last, NULL, 10) == tid)
			found = (pid_t)strtol(e->d_name, NULL, 10);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The sender's thread, as we see it; -1 for none of its own. */
static pid_t thread_of(const struct family *f, const struct parcel *p)
{
	pid_t process = p->sender.pid, tid = p->m.tid;
	if (tid == p->m.pid)
		return process;
	if (!f->broker->in_place)
		return thread_inside(f->broker, process, tid);
	/* The kernel looks whether it is one of this process before it asks whether we may. */
	return tid > 0 && (syscall(SYS_tgkill, process, tid, 0) == 0 || errno == EPERM) ? tid : -1;
}

static bool accept_parcel(struct family *f, struct parcel *p, struct request *r)
{
	struct line *l = f->carrier_data;
	pid_t tid = -1;
	if (p->sender.pid > 0 && (p->m.slot ? p->reply < 0 : reply_ours(p)))
		tid = thread_of(f, p);
	if (tid > 0 &&
		p->pidfd < 0) /* before 6.5; that it is the sender's, the answer's socket says: it is open there */
		p->pidfd = (int)syscall(SYS_pidfd_open, p->sender.pid, 0);
	if (tid <= 0 || p->pidfd < 0)
		return false;
	pthread_mutex_lock(&l->lock);
	struct record *c = record_new(l);
	if (c) {
		c->reply = p->reply;
		c->pidfd = p->pidfd;
		c->pid = p->sender.pid;
		c->tid = tid;
		c->nr = p->m.nr;
		c->mask = p->m.mask;
		c->slot = p->m.slot;
		memcpy(c->held, p->m.held, sizeof(c->held));
		memcpy(c->args, p->m.args, sizeof(c->args));
		r->id = c->id;
	}
	pthread_mutex_unlock(&l->lock);
	r->tid = tid;
	r->nr = p->m.nr;
	r->place = p->m.place;
	r->stands = p->m.stands;
	memcpy(r->args, p->m.args, sizeof(r->args));
	return c != NULL;
}

static bool hung_up(const struct family *f)
{
	struct pollfd p = {f->listener, POLLRDHUP, 0};
	return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLNVAL | POLLERR));
}

static enum received receive(struct family *f, struct request *r)
{
	struct parcel p;
	ssize_t n = take(f->listener, &p);
	if (n < 0)
		return n == -EINTR ? RECEIVED_NOTHING : RECEIVED_END;
	if (n == (ssize_t)sizeof(p.m) && accept_parcel(f, &p, r))
		return RECEIVED_REQUEST;
	parcel_close(&p);
	/* What is no request is only thrown away. An empty message looks like the end. */
	return n == 0 && hung_up(f) ? RECEIVED_END : RECEIVED_NOTHING;
}

/* shutdown of a copy of the family's own socket would be the end of all requests of the family. */
struct answer op_shutdown(struct request *r)
{
	const struct line *l = r->family->carrier_data;
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	if (promised(r, PROMISE_BIT(stdio)))
		return answer_error(EPERM);
	int fd = memory_dup_fd(r, (int)r->args[0]);
	if (fd < 0)
		return answer_error(-fd);
	int e = getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ? errno : cookie == l->cookie ? EBADF : 0;
	if (e == 0 && shutdown(fd, (int)r->args[1]) < 0)
		e = errno;
	close(fd);
	return e ? answer_error(e) : answer_value(0);
}

/* ---- answering ---- */

static void send_answer(int reply, const struct carrier_answer *a, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {(void *)(uintptr_t)a, sizeof(*a)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		h.msg_control = &control;
		h.msg_controllen = sizeof(control);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(reply, &h, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || fd < 0)
		return;
	/* The descriptor does not go: too many are on their way already. */
	const struct carrier_answer error = {.kind = CARRIER_VALUE, .value = -ENFILE};
	send_answer(reply, &error, -1);
}

/* Real, effective and saved. */
static bool users_of(const struct broker *b, pid_t pid, unsigned users[3])
{
	char name[32], text[1024];
	snprintf(name, sizeof(name), "%d/status", pid);
	int fd = openat(b->proc, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	char *at = strstr(text, "\nUid:");
	if (!at)
		return false;
	at += strlen("\nUid:");
	for (int i = 0; i < 3; i++)
		users[i] = (unsigned)strtoul(at, &at, 10);
	return true;
}

/* What the kernel asks of a sender without capabilities: we may have more of them than it. */
static bool users_allow(const struct family *f, const struct record *c, pid_t process)
{
	unsigned from[3], to[3];
	if (process == c->pid)
		return true;
	if (!users_of(f->broker, c->pid, from))
		return false;
	if (process < 0) /* a group: as if of our own user, as long as nobody has left it */
		return from[0] == geteuid() && from[1] == from[0];
	return users_of(f->broker, process, to) &&
	       (from[0] == to[0] || from[0] == to[2] || from[1] == to[0] || from[1] == to[2]);
}

struct aim {
	pid_t process, tid; /* as we see them; process negative: a group; tid 0: none */
	int signal;
	uint64_t info; /* siginfo, or 0 */
};

static bool aim_take(struct family *f, const struct record *c, struct aim *aim)
{
	struct request r = {.family = f, .id = c->id, .tid = c->tid};
	const bool here = f->broker->in_place;
	const pid_t id = (pid_t)c->args[0];
	const bool thread = c->nr == SYS_tgkill || c->nr == SYS_rt_tgsigqueueinfo;
	*aim = (struct aim){.signal = (int)c->args[thread ? 2 : 1]};
	if (c->nr == SYS_rt_sigqueueinfo || c->nr == SYS_rt_tgsigqueueinfo)
		aim->info = c->args[thread ? 3 : 2];
	if (c->nr == SYS_kill && id <= 0) {
		pid_t group = id ? -id : getpgid(c->pid);
		aim->process = -group;
		return group > 1;
	}
	if (c->nr == SYS_tkill) {
		aim->process = c->pid; /* another process' thread is looked for by number only in place */
		aim->tid = here ? id : thread_inside(f->broker, c->pid, id);
		if (here && syscall(SYS_tgkill, c->pid, id, 0) < 0 && errno == ESRCH)
			aim->process = id;
		return aim->tid > 0;
	}
	aim->process = here ? id : process_outside(&r, id);
	if (thread)
		aim->tid = here ? (pid_t)c->args[1] : thread_inside(f->broker, aim->process, (pid_t)c->args[1]);
	return aim->process > 0 && (!thread || aim->tid > 0);
}

/* A signal that the caller was told to send: we send it, for what its handler could do by itself any code of it could do
 * unasked. It arrives when the handler returns. That it was sent by us is what its receiver sees. */
static int64_t perform_signal(struct family *f, const struct record *c)
{
	const struct request r = {.family = f, .id = c->id, .tid = c->tid};
	unsigned char info[SIGINFO_BYTES];
	struct aim aim;
	long n;
	if (!aim_take(f, c, &aim))
		return -ESRCH;
	if (!users_allow(f, c, aim.process))
		return -EPERM;
	if (aim.info && memory_read(&r, aim.info, info, sizeof(info)) < 0)
		return -EFAULT;
	if (aim.info && aim.tid)
		n = syscall(SYS_rt_tgsigqueueinfo, aim.process, aim.tid, aim.signal, info);
	else if (aim.info)
		n = syscall(SYS_rt_sigqueueinfo, aim.process, aim.signal, info);
	else if (c->nr == SYS_tgkill)
		n = syscall(SYS_tgkill, aim.process, aim.tid, aim.signal);
	else if (aim.tid)
		n = syscall(SYS_tkill, aim.tid, aim.signal);
	else
		n = kill(aim.process, aim.signal);
	return n < 0 ? -errno : 0;
}

static bool is_signal(int nr)
{
	return nr == SYS_kill || nr == SYS_tkill || nr == SYS_tgkill || nr == SYS_rt_sigqueueinfo ||
	       nr == SYS_rt_tgsigqueueinfo;
}

static struct carrier_answer said(struct family *f, const struct record *c, const struct answer *a)
{
	struct carrier_answer say = {.kind = CARRIER_VALUE, .cloexec = a->cloexec};
	switch (a->kind) {
	case ANSWER_VALUE:
		say.value = a->value;
		break;
	case ANSWER_FD:
		say.kind = a->sole ? CARRIER_FD_WAIT : CARRIER_FD;
		break;
	case ANSWER_CONTINUE:
		if (is_signal(c->nr))
			say.value = perform_signal(f, c);
		else
			say.kind = CARRIER_GO;
		break;
	default:
		say.value = a->error ? -a->error : -EPERM;
	}
	return say;
}

/* The sender has no descriptors left, so none can be given either. */
static void slot_write(struct family *f, const struct record *c, const struct carrier_answer *say)
{
	const struct request r = {.family = f, .id = c->id, .tid = c->tid};
	const int64_t value = say->kind == CARRIER_VALUE ? say->value : say->kind == CARRIER_GO ? -EPERM : -EMFILE;
	const uint32_t done = 1;
	if (memory_write(&r, c->slot + offsetof(struct carrier_slot, value), &value, sizeof(value)) == 0)
		memory_write(&r, c->slot + offsetof(struct carrier_slot, done), &done, sizeof(done));
}

static void socket_write(const struct record *c, struct carrier_answer say, struct answer *a)
{
	send_answer(c->reply, &say, a->fd);
	if (say.kind != CARRIER_FD_WAIT)
		return;
	close(a->fd);
	a->fd = -1;
	say = (struct carrier_answer){.kind = CARRIER_VALUE};
	send_answer(c->reply, &say, -1);
}

static void answer(struct family *f, uint64_t id, struct answer a)
{
	struct line *l = f->carrier_data;
	pthread_mutex_lock(&l->lock);
	struct record *c = record_of(l, id), taken = {.id = 0};
	if (c) {
		c->busy = true;
		taken = *c;
	}
	pthread_mutex_unlock(&l->lock);
	if (c && a.kind != ANSWER_NONE) {
		struct carrier_answer say = said(f, &taken, &a);
		if (taken.reply < 0)
			slot_write(f, &taken, &say);
		else
			socket_write(&taken, say, &a);
	}
	pthread_mutex_lock(&l->lock);
	if (record_of(l, id))
		record_close(&l->records[id % RECORDS]);
	pthread_mutex_unlock(&l->lock);
	if (a.fd >= 0)
		close(a.fd);
}

static bool alive(const struct family *f, uint64_t id)
{
	struct line *l = f->carrier_data;
	pthread_mutex_lock(&l->lock);
	const struct record *c = record_of(l, id);
	bool yes = c && record_alive(c);
	pthread_mutex_unlock(&l->lock);
	return yes;
}

/* The handler blocks all; what the program had blocked it says itself, and fools itself alone. */
static uint64_t blocked(const struct family *f, uint64_t id, uint64_t thread)
{
	struct line *l = f->carrier_data;
	pthread_mutex_lock(&l->lock);
	const struct record *c = record_of(l, id);
	uint64_t mask = c ? c->mask : thread;
	pthread_mutex_unlock(&l->lock);
	return mask;
}

/* As it says; who lies has fewer descriptors than it has. */
static bool held(const struct family *f, uint64_t id, int numbers[CARRIER_HELD])
{
	struct line *l = f->carrier_data;
	for (int i = 0; i < CARRIER_HELD; i++)
		numbers[i] = -1;
	pthread_mutex_lock(&l->lock);
	const struct record *c = record_of(l, id);
	if (c)
		memcpy(numbers, c->held, sizeof(c->held));
	bool room = !c || c->reply >= 0;
	pthread_mutex_unlock(&l->lock);
	return room;
}

const struct carrier carrier_socket = {false, start, receive, answer, alive, blocked, held, stop};
