/* SPDX-License-Identifier: ISC */
/* Owns the targets of a broker: their start, what their inits say, their end. Runs in the broker, on its first thread; the
 * report callbacks on a lane's. */
#include "sandbox/role_broker.h"

#include "broker/crash.h"
#include "broker/names.h"
#include "broker/zygote.h"
#include "sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a target's start ---- */

void child_report(struct child *c, const struct report *r)
{
	/* What aborts another than the first of its processes does not end the target. */
	struct refusal refusal = {.error = r->error,
		.limit = r->limit,
		.kill = r->kill || (r->abort && (c->zygote || r->pid == c->first))};
	if (!r->text[0])
		return;
	snprintf(refusal.text, sizeof(refusal.text), "%s", r->text);
	snprintf(refusal.missing, sizeof(refusal.missing), "%s", r->missing);
	if (refusal.kill || child_room(c))
		child_tell(c, MESSAGE_REFUSAL, &refusal, sizeof(refusal));
	if (r->kill) {
		atomic_store(&c->why, ENDED_BY_VIOLATION);
		if (c->zygote)
			instance_kill(&c->zygote->family, r->instance);
		else
			syscall(SYS_pidfd_send_signal, c->init_pidfd, SIGKILL, NULL, 0);
	}
}

void child_crash(struct child *c, const struct crash *crash)
{
	struct crashed said = {.signal = crash->signal,
		.code = crash->code,
		.address = crash->address,
		.instruction = crash->instruction};
	snprintf(said.backtrace, sizeof(said.backtrace), "%s", crash->backtrace);
	child_tell(c, MESSAGE_CRASHED, &said, sizeof(said));
}

static void on_crash(void *arg, struct instance *i, const struct crash *crash)
{
	(void)i;
	child_crash(arg, crash);
}

static void on_report(void *arg, const struct report *r)
{
	struct child *c = arg;
	if (r->line && c->err >= 0)
		line_write(c->err, r->line, LINE_MS);
	child_report(c, r);
}

static bool on_ask(void *arg, const struct question *q)
{
	struct child *c = arg;
	if (!child_room(c) ||
		ipc_send(c->status, &(struct ipc_message){.type = MESSAGE_ASK, .len = sizeof(*q), .data = q}, false) <
			0)
		return false;
	if (c->call)
		ipc_call_tell(c->call);
	return true;
}

void child_started(struct child *c, int error, const char *text)
{
	if (atomic_exchange(&c->told, true))
		return;
	struct outcome o;
	outcome_set(&o, error, c->layers, text);
	child_tell(c, MESSAGE_STARTED, &o, sizeof(o));
}

bool child_kill(struct child *c, enum ended_why why)
{
	uint32_t none = ENDED_BY_ITSELF;
	atomic_compare_exchange_strong(&c->why, &none, why);
	if (c->zygote)
		return instance_kill(&c->zygote->family, c->instance);
	if (c->init_pidfd >= 0)
		syscall(SYS_pidfd_send_signal, c->init_pidfd, SIGKILL, NULL, 0);
	return true;
}

/* Whether this target gets the direct trees: not when its working directory is neither in one nor where the broker was
 * started, for then a relative path would mean something else to the kernel. */
static bool direct_at(int cwd, char path[PATH_MAX])
{
	return me.direct.on && canonical_of(NULL, &me.b, cwd, path) == 0 && direct_holds(&me.direct, path);
}

static int setup_make(
	struct setup **out, size_t *out_len, const struct start *start, const char *words, const char *cwd)
{
	unsigned kind = FILTER_OF(start->kind, cwd) | (start->pool == POOL_ZYGOTE ? FILTER_ZYGOTE : 0u);
	int r = filter_for(kind);
	if (r < 0)
		return r;
	size_t filter_bytes = me.filter_len[kind] * sizeof(struct sock_filter);
	size_t len = *out_len = sizeof(struct setup) + filter_bytes + start->words_len;
	int fd = ipc_memfd("airlock-setup", NULL, len, false);
	void *memory;
	if (fd < 0)
		return fd;
	r = ipc_map(fd, len, true, &memory);
	if (r < 0) {
		close(fd);
		return r;
	}
	struct setup *s = memory;
	s->tolerate = broker_policy(&me.b)->tolerate;
	s->given = (me.b.layers & (AIRLOCK_LAYER_USER | AIRLOCK_LAYER_PID)) | AIRLOCK_LAYER_SESSION;
	memcpy(s->limits, broker_policy(&me.b)->limits, sizeof(s->limits));
	s->shared = start->shared;
	s->nofile = me.hello.nofile;
	snprintf(s->cwd, sizeof(s->cwd), "%s", cwd ? cwd : "");
	s->argc = start->argc;
	s->envc = start->envc;
	s->pool = start->pool;
	s->late_environment = start->nested;
	s->words_len = start->words_len;
	s->filter_len = (uint32_t)me.filter_len[kind];
	snprintf(s->title, sizeof(s->title), "%s: airlock %s %s", me.hello.name,
		start->pool == POOL_ZYGOTE ? "zygote" : "target", start->name);
	memcpy(s->filter, me.filter[kind], filter_bytes);
	memcpy((char *)s->filter + filter_bytes, words, start->words_len);
	*out = s;
	return fd;
}

/* What a guest is told when it runs: as struct setup has it, without what it has behind it. */
static int guest_make(const struct start *start, const char *words)
{
	size_t len = sizeof(struct setup) + start->words_len;
	struct setup *s = calloc(1, len);
	if (!s)
		return -ENOMEM;
	s->state = SETUP_SERVED;
	s->shared = start->shared;
	s->argc = start->argc;
	s->words_len = start->words_len;
	snprintf(s->title, sizeof(s->title), "%s: airlock target %s", me.hello.name, start->name);
	memcpy(s->filter, words, start->words_len);
	int fd = ipc_memfd("airlock-setup", s, len, false);
	free(s);
	return fd;
}

/* Its init has been forked, and waits. What a zygote has a limit of its forks have each, which one cgroup could not keep. */
static void ward(void *arg, struct setup *setup, pid_t init)
{
	struct child *c = arg;
	int r = ward_make(broker_policy(&me.b), init);
	c->unwarded = r < 0;
	if (r <= 0)
		return;
	c->ward = r;
	c->warded = true;
	setup->limits[LIMIT_WEIGHT] = LIMIT_NONE; /* which would be kept by other means */
}

void child_start(struct ipc_message *m)
{
	enum { STATUS, IN, OUT, ERR, CHANNEL, CALL, CWD, WORDS, PASSED };
	struct start start;
	struct child *c = calloc(1, sizeof(*c));
	if (!c || m->len != sizeof(start) || m->fd_count < PASSED) {
		free(c);
		return;
	}
	memcpy(&start, m->data, sizeof(start));
	start.core = start.core && m->fd_count > PASSED;
	start.guest = me.guest;
	*c = (struct child){.status = m->fds[STATUS],
		.init_socket = -1,
		.init_pidfd = -1,
		.err = -1,
		.core = -1,
		.backtrace = start.backtrace,
		.cwd = m->fds[CWD],
		.forks = start.pool == POOL_ZYGOTE,
		.pool = start.pool != POOL_NONE,
		.deadline = -1,
		.again = -1};
	pthread_mutex_init(&c->birth, NULL);
	if (me.b.policy.abort)
		c->err = fcntl(m->fds[ERR], F_DUPFD_CLOEXEC, 3);
	m->fds[STATUS] = m->fds[CWD] = -1;
	c->umask = start.umask;
	if (start.core) {
		c->core = m->fds[m->fd_count - 1];
		m->fds[m->fd_count - 1] = -1;
	}
	int pair[2] = {-1, -1}, r;
	void *words = NULL, *call = NULL;
	const size_t passed = m->fd_count - PASSED - (start.core != 0);
	r = start.kind > START_EXEC || start.pass_count != passed || start.pass_count > PASS_MAX ? -EPROTO : 0;
	/* A guest's image is executed as any other program is. */
	if (r == 0 && me.nested && (start.kind == START_EXEC) != (me.program >= 0 && !me.guest))
		r = -EPROTO;
	if (me.guest)
		start.kind = START_EXEC;
	if (r == 0 && c->forks &&
		(me.b.trap || me.nested || start.kind != START_WORKER ||
			!(me.b.layers & AIRLOCK_LAYER_PID))) /* they end with their init by that alone */
		r = -EOPNOTSUPP;
	if (r == 0 && !nested_may_start())
		r = -EAGAIN;
	/* The first one need not wait for it. */
	if (r == 0 && me.children)
		forker_begin();
	if (r == 0)
		r = ipc_map(m->fds[WORDS], start.words_len ? start.words_len : 1, false, &words);
	if (r == 0 && (r = ipc_map(m->fds[CALL], sizeof(struct ipc_call), true, &call)) == 0)
		c->call = call;
	char cwd[PATH_MAX];
	c->family.direct = direct_at(c->cwd, cwd);
	int setup_fd = r < 0 ? r : setup_make(&c->setup, &c->setup_len, &start, words, c->family.direct ? cwd : NULL);
	r = setup_fd < 0 ? setup_fd : ipc_pair(pair);
	int guest_fd = r == 0 && me.guest ? guest_make(&start, words) : -1;
	if (me.guest && r == 0 && guest_fd < 0)
		r = guest_fd;
	if (r == 0) {
		struct starting s = {.start = &start,
			.words = words,
			.setup = c->setup,
			.setup_len = c->setup_len,
			.setup_fd = setup_fd,
			.call = m->fds[CALL],
			.channel = m->fds[CHANNEL],
			.cwd = c->cwd,
			.image = me.image,
			.program = me.program,
			.stdio = {m->fds[IN], m->fds[OUT], m->fds[ERR]},
			.nursery = &me.nursery,
			.pid_namespace = me.b.layers & AIRLOCK_LAYER_PID,
			.ruleset = me.ruleset,
			.life = me.life,
			.init = pair[1],
			.inside = me.nested ? me.pidns : -1,
			.guest = guest_fd,
			.name = me.hello.name,
			.born = me.warden >= 0 && !c->forks ? ward : NULL,
			.arg = c};
		memcpy(s.pass, m->fds + PASSED, start.pass_count * sizeof(int));
		r = forker_fork(&s, m->fds[WORDS], &c->init_pidfd);
		c->init_pid = r < 0 ? 0 : pid_of(c->init_pidfd);
	}
	if (words)
		munmap(words, start.words_len ? start.words_len : 1);
	if (setup_fd >= 0)
		close(setup_fd);
	if (guest_fd >= 0)
		close(guest_fd);
	if (pair[1] >= 0)
		close(pair[1]);
	c->next = me.children;
	me.children = c;
	atomic_store(&c->family.starting, start.kind == START_EXEC);
	lends_prepare(c);
	c->status_watch = (struct watch){.kind = WATCH_STATUS, .child = c};
	watch(c->status, EPOLLIN, &c->status_watch);
	if (r < 0) {
		char text[200];
		snprintf(text, sizeof(text), "the broker cannot start a target: %s%s", strerror(-r),
			r == -EMFILE ? NO_DESCRIPTORS : "");
		if (pair[0] >= 0)
			close(pair[0]);
		child_started(c, r, text);
		return; /* the host closes status, which ends it */
	}
	c->init_socket = pair[0];
	c->init_watch = (struct watch){.kind = WATCH_INIT, .child = c};
	c->end_watch = (struct watch){.kind = WATCH_INIT_END, .child = c};
	watch(c->init_socket, EPOLLIN, &c->init_watch);
	watch(c->init_pidfd, EPOLLIN, &c->end_watch);
	const uint64_t wall = broker_policy(&me.b)->limits[LIMIT_WALL];
	if (wall != LIMIT_NONE && (!c->pool || c->forks)) /* a zygote's is that of its preparation */
		c->deadline = ipc_now_ms() + (int64_t)wall;
}

/* ---- what init says ---- */

static bool lacks(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -EAGAIN;
}

/* Of somebody who is killed just now, the kernel says whatever its check meets first; its end follows. On the lane's thread. */
static bool dies(const struct child *c)
{
	struct pollfd p = {c->family.pidfd, POLLIN, 0};
	bool gone = false;
	for (int i = 0; i < 100 && !gone && !atomic_load(&c->family.stopping); i++)
		gone = poll(&p, 1, 20) == 1;
	return gone || atomic_load(&c->family.stopping);
}

static void unserved(struct child *c, int error)
{
	child_started(c, error,
		error == -EMFILE ? "the broker cannot serve the target" NO_DESCRIPTORS
				 : "the broker cannot serve the target");
	child_kill(c, ENDED_BY_HOST);
}

/* On the lane's thread. */
static int on_birth(void *arg)
{
	struct child *c = arg;
	struct setup *s = c->setup; /* whoever takes it away waits for this thread first */
	int listener = -ECHILD;
	while (atomic_load(&s->state) == SETUP_NEW && !atomic_load(&c->family.stopping)) {
		struct timespec slice = {1, 0};
		syscall(SYS_futex, &s->state, FUTEX_WAIT, SETUP_NEW, &slice, NULL, 0);
	}
	if (atomic_load(&s->state) != SETUP_CONFINED)
		return -ECHILD; /* child_ended() tells why */
	c->layers = s->outcome.layers | (me.b.layers & (AIRLOCK_LAYER_USER | AIRLOCK_LAYER_PID)) |
		    (c->warded ? AIRLOCK_LAYER_DELEGATION : 0u);
	listener = (int)syscall(SYS_pidfd_getfd, c->family.pidfd, s->listener, 0);
	if (listener < 0) {
		listener = -errno;
		if (!lacks(listener) && dies(c))
			return -ECHILD;
		unserved(c, listener);
	}
	return listener;
}

static void setup_forget(struct child *c)
{
	if (c->setup)
		munmap(c->setup, c->setup_len);
	c->setup = NULL;
}

/* On the lane's thread. No request is taken before this returns, and the target's end is not told before it. */
static void on_born(void *arg, int error)
{
	struct child *c = arg;
	if (error < 0) {
		unserved(c, error);
		return;
	}
	pthread_mutex_lock(&c->birth);
	atomic_store(&c->setup->state, SETUP_SERVED);
	syscall(SYS_futex, &c->setup->state, FUTEX_WAKE, 16, NULL, NULL, 0);
	/* A zygote has yet to prepare. */
	if (!c->forks)
		child_started(c, 0,
			me.direct.on && !c->family.direct
				? "the working directory is not below a direct path nor where the first "
				  "target began; all is served by the broker"
			: c->unwarded
				? "no cgroup could be made for the target: its limits are kept for each process alone"
				: "");
	setup_forget(c);
	pthread_mutex_unlock(&c->birth);
}

static void serve(struct child *c, struct ipc_message *m)
{
	struct family *f = &c->family;
	f->broker = &me.b;
	f->listener = -1;
	f->pidfd = m->fds[0];
	f->on_birth = on_birth;
	f->on_born = on_born;
	f->on_report = c->forks ? fork_report : on_report;
	f->on_ask = me.b.asks ? on_ask : NULL;
	f->on_answered = child_answered;
	f->on_attach = lends_attach;
	f->arg = c;
	f->backtraces = c->backtrace;
	f->core = c->core;
	/* A program that was executed has no handler of ours. */
	f->on_crash = c->forks ? fork_crash : on_crash;
	if (!c->forks && nested_prepare() == 0)
		f->nest = &nested_ops;
	m->fds[0] = -1;
	pid_t first = c->first = pid_of(f->pidfd); /* as we see it: init knows only its own namespace's number */
	int r = first > 0 ? 0 : first;
	if (r == 0 && c->forks)
		r = zygote_prepare(f, first, fork_barren, forks_ready);
	if (r == 0) {
		int cwd = c->cwd;
		c->cwd = -1;
		r = family_start(f, first, cwd, c->umask);
	} else {
		close(f->pidfd);
		f->pidfd = -1;
	}
	/* It has ended already, which its init will say, and what it left in its setup why. */
	if (r == -ESRCH)
		return;
	if (r < 0) {
		unserved(c, lacks(r) ? r : -ECHILD);
		return;
	}
	c->family_runs = true;
	child_serves(c);
}

void init_says(struct child *c)
{
	struct ipc_message m;
	int r;
	while ((r = ipc_recv(c->init_socket, me.buffer, sizeof(me.buffer), 2, &m, false)) == 1) {
		struct outcome o = {.error = -EPROTO};
		if (m.len == sizeof(o))
			memcpy(&o, m.data, sizeof(o));
		if (m.type == MESSAGE_FIRST && m.fd_count == 1 && !c->family_runs)
			serve(c, &m);
		else if (m.type == MESSAGE_FAILED)
			child_started(c, o.error, o.text);
		else if (m.type == MESSAGE_SUSPENDED)
			child_suspended(c);
		else if (m.type == MESSAGE_END && m.len == sizeof(c->end)) {
			struct end end;
			memcpy(&end, m.data, sizeof(end));
			if (end.pid > 0) {
				fork_ended(c, &end);
			} else {
				c->end = end;
				c->seen = true;
				nested_end_of(c);
			}
		}
		ipc_message_close(&m);
	}
	/* There was no number left for its first process, and who that is does not come again. */
	if (r == -EPROTO && !c->family_runs)
		unserved(c, -EMFILE);
	if (r == 0) {
		epoll_ctl(me.epoll, EPOLL_CTL_DEL, c->init_socket, NULL);
		nested_end_of(c);
	}
}

/* ---- the end of a target: everything of it is gone when the host hears of it ---- */

static void child_free(struct child *c, const struct ended *untold)
{
	for (struct child **p = &me.children; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	if (c->ward)
		ward_end(c->ward);
	if (c->instance)
		instance_end(&c->zygote->family, c->instance);
	if (c->family_runs)
		family_stop(&c->family);
	setup_forget(c);
	if (c->call)
		munmap(c->call, sizeof(*c->call));
	lends_stop(c);
	/* Nobody else tells anything any more. */
	if (untold)
		child_part(c, untold);
	const int fds[] = {c->status, c->init_socket, c->init_pidfd, c->err, c->cwd, c->core};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			unwatch(fds[i]);
	free(c);
}

/* Unless it did start. */
static void end_before_start(struct child *c)
{
	struct outcome o = {.error = -ECHILD, .text = "it ended while it prepared"};
	pthread_mutex_lock(&c->birth);
	if (c->setup && atomic_load(&c->setup->state) == SETUP_NEW)
		snprintf(o.text, sizeof(o.text), "the target ended before it was confined");
	if (c->setup && atomic_load(&c->setup->state) == SETUP_FAILED)
		memcpy(&o, &c->setup->outcome, sizeof(o));
	pthread_mutex_unlock(&c->birth);
	child_started(c, o.error, o.text);
}

void child_ended(struct child *c)
{
	siginfo_t info;
	init_says(c);
	/* init is the last of its pid namespace: when it can be waited for, the kernel has ended all others. */
	while (waitid(P_PIDFD, (id_t)c->init_pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	/* It stays open until the lanes have ended: one of them may be about to kill by it, and its number be another's. */
	epoll_ctl(me.epoll, EPOLL_CTL_DEL, c->init_pidfd, NULL);
	uint32_t by_itself = ENDED_BY_ITSELF;
	if (c->ward && ward_end(c->ward) > 0 && (!c->seen || (c->end.code != CLD_EXITED && c->end.status == SIGKILL)))
		atomic_compare_exchange_strong(&c->why, &by_itself, ENDED_BY_MEMORY);
	c->ward = 0;
	end_before_start(c);
	c->gone = true;
	forks_gone(c);
	if (!nested_end_of(c))
		child_finish(c);
}

void child_finish(struct child *c)
{
	if (c->call)
		ipc_call_dead(c->call);
	struct ended ended = {.end = c->end,
		.seen = c->seen,
		.why = atomic_load(&c->why),
		.requests = c->instance ? c->instance->requests : c->family.requests,
		.refused = c->instance ? c->instance->refused : c->family.refused};
	child_free(c, ended_tell(c->status, &ended) ? NULL : &ended);
}

/* The host answers a question; or says kill, or has let go of the target: then it is to die. */
void status_says(struct child *c)
{
	struct ipc_message m;
	struct reply reply;
	uint32_t on;
	int r = lends_recv(c, &m);
	/* There was no number left for what came along, which is gone: the host sees it of a fork's status socket, a target of
	 * what it was lent. */
	if (r == -EAGAIN || (r == -EPROTO && !me.nested))
		return;
	if (r == 1 && m.type == MESSAGE_FORK && c->forks) {
		fork_start(c, &m);
		ipc_message_close(&m);
		return;
	}
	if (r == 1 && m.type == MESSAGE_TRIM) {
		if (c->ward)
			ward_trim(c->ward);
		return;
	}
	if (r == 1 && m.type == MESSAGE_TERM) {
		child_term(c);
		return;
	}
	if (r == 1 && m.type == MESSAGE_SUSPEND && m.len == sizeof(on)) {
		memcpy(&on, m.data, sizeof(on));
		child_suspend(c, on);
		return;
	}
	if (r == 1 && m.type == MESSAGE_ANSWER && m.len == sizeof(reply)) {
		memcpy(&reply, m.data, sizeof(reply));
		if (c->family_runs)
			ask_answer(&c->family, reply.id, reply.decision);
		return;
	}
	if (c->zygote) {
		if (!child_kill(c, ENDED_BY_HOST))
			child_finish(c);
		else if (r != 1)
			epoll_ctl(me.epoll, EPOLL_CTL_DEL, c->status, NULL);
		return;
	}
	child_kill(c, ENDED_BY_HOST);
	if (r != 1)
		epoll_ctl(me.epoll, EPOLL_CTL_DEL, c->status, NULL);
	if (c->init_pidfd < 0 && !c->gone)
		child_free(c, NULL); /* never started */
}
