/* SPDX-License-Identifier: ISC */
/*
 * Owns the brokers of targets that targets start: who may have one, and how it ends. Runs in a broker, on its first thread,
 * save for nested_serve(), which is a lane's. What the fork does that becomes a nested broker is role_nested.c's.
 *
 * A nested broker is a fork of the broker that the asking target has: already confined, with all that starting targets takes
 * (namespaces, image, what the rules hold on to). It confines itself once more, to the narrower policy, and its families
 * begin with that. The fork is done by the first thread, with libc's own fork(), which leaves malloc in order; no lock of
 * ours that a lane may hold is ever taken in the child, which drops all families and begins its own.
 *
 * It stays in the pid namespace of the outer broker, whose /proc it reads. Its targets' namespaces lie in that of the target
 * which asked: when that target's init is gone, so is all that was nested in it, at any depth, by the kernel's doing. The
 * nested broker itself ends when its link or its host's socket is closed, when the asking process ends, and with its parent.
 */
#include "sandbox/role_nested.h"

#include "broker/limits.h"
#include "sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NESTED_OF_TARGET 16 /* brokers that one target has at once */
#define NESTED_TARGETS 64 /* targets of one nested broker */
#define PATIENCE_MS 2000
#define PATIENCE_LAST_MS 300
#define ORPHANS_MS 5000

/* All of it under the lock, save what belongs to the first thread: pid, pidfd, ending, deadline, watch. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct nested *list;
static int wake = -1; /* an eventfd: something waits to be forked */
static struct watch wake_watch;
static int64_t orphans_until;

/* How many brokers may be nested in one target of the outermost broker, at all depths; in all targets of a nested one. Each
 * new one gets a quarter of what is left for those in its own: so there is room for a good many, and for four levels. */
#define NESTED_IN_ALL 256
static unsigned budget = NESTED_IN_ALL;

/* ---- what a lane is asked for ---- */

static void nested_free(struct nested *n)
{
	const int fds[] = {n->control, n->link, n->far_link};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (n->pidfd >= 0)
		unwatch(n->pidfd);
	nest_free(n->nest);
	policy_clear(&n->policy);
	free(n);
}

static const char *missing(const struct nest *n)
{
	if (!(me.b.layers & AIRLOCK_LAYER_PID))
		return "nested targets take the pid layer, which this target does without";
	if (n->processes != LIMIT_NONE && nest_count(&me.b, n->pidns) < 0)
		return "nested targets under a limit of processes take Linux 6.11";
	return NULL;
}

/* 0, or a negative errno: there is no room. Under the lock. */
static int room(const struct child *c, unsigned *share)
{
	unsigned of_child = 0, spent = 0;
	for (struct nested *n = list; n; n = n->next) {
		of_child += n->child == c;
		spent += n->child == c || me.nested ? 1 + n->budget : 0;
	}
	if (spent >= budget)
		return -EUSERS;
	if (of_child >= NESTED_OF_TARGET)
		return -EAGAIN;
	*share = (budget - spent - 1) / 4;
	return 0;
}

static struct answer refused(int error, const char *text)
{
	int pair[2];
	struct outcome o;
	if (ipc_pair(pair) < 0)
		return answer_error(EMFILE);
	outcome_set(&o, error, 0, text);
	ipc_send(pair[1], &(struct ipc_message){.type = MESSAGE_READY, .len = sizeof(o), .data = &o}, false);
	close(pair[1]);
	return answer_fd(pair[0], true);
}

/* Takes what nest holds. */
static struct answer broker_ask(struct child *c, struct nest *nest)
{
	int control[2] = {-1, -1}, link[2] = {-1, -1};
	struct stat st;
	const char *why = missing(nest);
	if (why)
		return refused(-EOPNOTSUPP, why);
	struct nested *n = calloc(1, sizeof(*n));
	struct nest *kept = n ? nest_take(nest) : NULL;
	if (!kept || ipc_pair(control) < 0 || ipc_pair(link) < 0 || fstat(control[0], &st) < 0) {
		const int fds[] = {control[0], control[1], link[0], link[1]};
		for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
			if (fds[i] >= 0)
				close(fds[i]);
		nest_free(kept);
		free(n);
		return answer_error(ENOMEM);
	}
	*n = (struct nested){.child = c,
		.nest = kept,
		.control = control[1],
		.host_end = st.st_ino,
		.link = link[0],
		.far_link = link[1],
		.pidfd = -1};
	int r = policy_copy(&n->policy, kept->policy);
	pthread_mutex_lock(&lock);
	if (r == 0)
		r = room(c, &n->budget);
	if (r == 0) {
		n->next = list;
		list = n;
	}
	pthread_mutex_unlock(&lock);
	if (r < 0) {
		nested_free(n);
		close(control[0]);
		return r != -EUSERS ? answer_error(-r)
				    : refused(r, "targets are nested too deep, or too many of them: no room is left");
	}
	eventfd_write(wake, 1);
	return answer_fd(control[0], true);
}

static bool is_socket(int fd, int type)
{
	int domain = 0, kind = 0;
	socklen_t len = sizeof(int);
	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &len) == 0 && kind == type;
}

/* What the asker has it may give on, save what leads to more than itself: airlock_policy_pass() says the same. */
static bool may_pass(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && !(flags & O_PATH) && fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode);
}

static int start_check(const struct nest *nest, struct start *s)
{
	bool seen[FD_PASS_MAX + 1] = {false};
	const size_t fixed = 6; /* status, 0, 1, 2, channel, call */
	if (nest->data_len != sizeof(*s) || nest->fd_count < fixed || nest->fd_count > fixed + PASS_MAX)
		return -EINVAL;
	memcpy(s, nest->data, sizeof(*s));
	s->pass_count = (uint32_t)(nest->fd_count - fixed);
	s->words_len = (uint32_t)nest->text_len;
	s->umask = nest->umask & 0777;
	s->nested = true;
	s->core = 0;
	s->name[sizeof(s->name) - 1] = 0;
	for (char *c = s->name; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (s->pool > POOL_FRESH || !s->words_len || s->argc < 1 || s->argc > 65536 || s->envc > 65536 ||
		s->shared > UINT64_C(1) << 40)
		return -EINVAL;
	for (size_t i = 0; i < s->pass_count; i++) {
		int as = s->pass_as[i];
		if (as < 0 || as > FD_PASS_MAX || (as > 2 && as < 10) || seen[as])
			return -EINVAL;
		seen[as] = true;
	}
	if (!is_socket(nest->fds[0], SOCK_SEQPACKET) || !is_socket(nest->fds[4], SOCK_SEQPACKET))
		return -EINVAL;
	for (size_t i = 1; i < nest->fd_count; i++)
		if (!may_pass(nest->fds[i]))
			return -EISDIR;
	return 0;
}

/* Whether the asker has still all that n was made for: what it gave up since, a target of its own must not bring back. */
static bool still_held(const struct nested *n, const struct policy *now)
{
	const unsigned parts = NARROW_PROMISES | NARROW_EXEC | NARROW_UNVEILS | NARROW_ADDRESSES | NARROW_LIMITS;
	char *was = NULL, *is = NULL;
	struct policy left;
	bool same = policy_copy(&left, &n->policy) == 0 && policy_narrow(&left, now, parts) == 0;
	/* Not what it gave up, but how violations end. */
	left.pledged = n->policy.pledged;
	left.kill = n->policy.kill;
	left.abort = n->policy.abort;
	same = same && policy_format(&n->policy, airlock_layer_name, &was) == 0 &&
	       policy_format(&left, airlock_layer_name, &is) == 0 && strcmp(was, is) == 0;
	policy_clear(&left);
	free(was);
	free(is);
	return same;
}

/* Sends START for the asker: over the link, which no target has. */
static struct answer target_ask(struct child *c, struct nest *nest)
{
	struct start start;
	struct stat st = {0};
	void *call;
	int r = start_check(nest, &start);
	if (r == 0 && ((r = ipc_map(nest->fds[5], ipc_call_total(start.shared), false, &call)) == 0))
		munmap(call, ipc_call_total(start.shared));
	if (r == 0 && fstat(nest->control, &st) < 0)
		r = -EBADF;
	int words = r < 0 ? r : ipc_memfd("airlock-words", nest->text, nest->text_len, true);
	if (words < 0)
		return answer_error(-words);
	struct ipc_message m = {.type = MESSAGE_START, .len = sizeof(start), .data = &start};
	for (size_t i = 0; i < nest->fd_count; i++) {
		if (i == 6) {
			m.fds[m.fd_count++] = nest->cwd;
			m.fds[m.fd_count++] = words;
		}
		m.fds[m.fd_count++] = nest->fds[i];
	}
	if (nest->fd_count == 6) {
		m.fds[m.fd_count++] = nest->cwd;
		m.fds[m.fd_count++] = words;
	}
	r = -EBADF;
	pthread_mutex_lock(&lock);
	for (struct nested *n = list; n; n = n->next)
		if (n->child == c && n->host_end == st.st_ino && S_ISSOCK(st.st_mode) && n->link >= 0)
			r = still_held(n, nest->now) ? ipc_send(n->link, &m, false) : -EPERM;
	pthread_mutex_unlock(&lock);
	close(words);
	return r < 0 ? answer_error(-r) : answer_value(0);
}

static struct answer nested_serve(void *arg, struct nest *nest)
{
	return nest->what == NEST_BROKER ? broker_ask(arg, nest) : target_ask(arg, nest);
}
const struct nest_ops nested_ops = {layer_find, nested_serve};

/* In the fork: the lists are the outer broker's. */
void nested_forget(unsigned share)
{
	pthread_mutex_init(&lock, NULL);
	list = NULL;
	wake = -1;
	orphans_until = 0;
	budget = share;
}

/* ---- the outer broker's first thread ---- */

int nested_prepare(void)
{
	if (wake >= 0)
		return 0;
	wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake < 0)
		return -errno;
	wake_watch = (struct watch){.kind = WATCH_NEST};
	watch(wake, EPOLLIN, &wake_watch);
	/* Whose broker was killed becomes ours, and can be waited for. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return 0;
}

static void unlist(struct nested *n)
{
	pthread_mutex_lock(&lock);
	for (struct nested **p = &list; *p; p = &(*p)->next)
		if (*p == n) {
			*p = n->next;
			break;
		}
	pthread_mutex_unlock(&lock);
}

static void nested_fork(struct nested *n)
{
	pid_t parent = getpid(), pid = -1;
	int go[2] = {-1, -1}, error = pipe2(go, O_CLOEXEC) < 0 ? errno : 0;
	if (!error) {
		report_hold(true);
		exec_hold(true);
		pid = fork();
		error = pid < 0 ? errno : 0;
		exec_hold(false);
		report_hold(false);
	}
	if (pid == 0)
		nested_become(n, parent, go);
	n->pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (!error && n->pidfd < 0)
		error = errno;
	/* The target's limits, and that it stands still, are those of all that it starts. */
	if (!error && n->child->ward)
		error = -ward_add(n->child->ward, pid);
	if (!error)
		(void)!write(go[1], "", 1);
	for (int i = 0; i < 2; i++)
		if (go[i] >= 0)
			close(go[i]);
	if (error) {
		struct outcome o;
		outcome_set(&o, -error, 0, "the broker cannot fork another");
		ipc_send(n->control, &(struct ipc_message){.type = MESSAGE_READY, .len = sizeof(o), .data = &o}, false);
		if (pid > 0) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
		unlist(n);
		nested_free(n);
		return;
	}
	close(n->control);
	close(n->far_link);
	n->control = n->far_link = -1;
	nest_free(n->nest);
	n->nest = NULL;
	n->pid = pid;
	n->deadline = -1;
	limits_wake(&me.b);
	n->watch = (struct watch){.kind = WATCH_NESTED_END, .nested = n};
	watch(n->pidfd, EPOLLIN, &n->watch);
}

/* For this thread, which alone takes anything off the list; lanes add in front of what it sees. */
static struct nested *listed(void)
{
	pthread_mutex_lock(&lock);
	struct nested *n = list;
	pthread_mutex_unlock(&lock);
	return n;
}

bool nested_any(void)
{
	return listed() != NULL;
}

static struct nested *waiting(const struct child *of)
{
	struct nested *n;
	pthread_mutex_lock(&lock);
	for (n = list; n && (!n->nest || (of && n->child != of)); n = n->next)
		;
	pthread_mutex_unlock(&lock);
	return n;
}

void nested_wake(void)
{
	eventfd_t count;
	struct nested *n;
	eventfd_read(wake, &count);
	while ((n = waiting(NULL)))
		nested_fork(n);
}

static void nested_end(struct nested *n)
{
	if (n->ending)
		return;
	n->ending = true;
	/* What is frozen with its target does not see that. */
	n->deadline = ipc_now_ms() + (n->child->suspended && n->child->ward ? 0 : PATIENCE_MS);
	pthread_mutex_lock(&lock);
	close(n->link); /* its sign to end */
	n->link = -1;
	pthread_mutex_unlock(&lock);
}

bool nested_end_of(const struct child *c)
{
	struct nested *n;
	bool any = false;
	while ((n = waiting(c))) {
		unlist(n);
		nested_free(n);
	}
	for (n = listed(); n; n = n->next)
		if (n->child == c) {
			nested_end(n);
			any = true;
		}
	return any;
}

void orphans_expect(void)
{
	orphans_until = ipc_now_ms() + ORPHANS_MS;
}

void nested_ended(struct nested *n)
{
	siginfo_t info = {0};
	struct child *c = n->child;
	while (waitid(P_PIDFD, (id_t)n->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	/* One that was killed left its children to us, and they die now. */
	if (info.si_code != CLD_EXITED)
		orphans_expect();
	unlist(n);
	nested_free(n);
	if (c->gone && !nested_end_of(c))
		child_finish(c);
}

static bool ours(pid_t pid)
{
	for (struct child *c = me.children; c; c = c->next)
		if (c->init_pid == pid)
			return true;
	for (struct nested *n = listed(); n; n = n->next)
		if (n->pid == pid)
			return true;
	return false;
}

static void orphans_reap(void)
{
	siginfo_t info = {0};
	/* Not what other threads trace. */
	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WNOTHREAD | __WALL) == 0 && info.si_pid > 0 &&
		!ours(info.si_pid)) {
		waitid(P_PID, (id_t)info.si_pid, NULL, WEXITED | WNOHANG | __WALL);
		info.si_pid = 0;
	}
}

int64_t nested_tick(int64_t now)
{
	int64_t first = -1;
	for (struct nested *n = listed(); n; n = n->next) {
		if (n->pidfd < 0 || !n->ending || n->deadline < 0)
			continue;
		if (n->deadline <= now) {
			syscall(SYS_pidfd_send_signal, n->pidfd, SIGKILL, NULL, 0);
			n->deadline = -1;
		} else if (first < 0 || n->deadline < first) {
			first = n->deadline;
		}
	}
	if (now >= orphans_until)
		return first;
	orphans_reap();
	return now + 20;
}

void nested_end_all(void)
{
	for (struct nested *n = listed(); n; n = n->next) {
		nested_end(n);
		n->deadline = ipc_now_ms() + PATIENCE_LAST_MS;
	}
}

void nested_await_all(void)
{
	for (struct nested *n = listed(); n; n = n->next) {
		struct pollfd p = {n->pidfd, POLLIN, 0};
		if (n->pidfd < 0)
			continue;
		int64_t left = n->deadline - ipc_now_ms();
		if (poll(&p, 1, left > 0 ? (int)left : 0) != 1)
			syscall(SYS_pidfd_send_signal, n->pidfd, SIGKILL, NULL, 0);
		waitid(P_PIDFD, (id_t)n->pidfd, NULL, WEXITED);
	}
}

void nested_await(int init_pidfd)
{
	struct pollfd p = {init_pidfd, POLLIN, 0};
	/* It cannot end before those that a killed broker left to us are reaped. */
	while (poll(&p, 1, 5) != 1)
		orphans_reap();
	waitid(P_PIDFD, (id_t)init_pidfd, NULL, WEXITED);
}

bool nested_may_start(void)
{
	size_t count = 0;
	for (struct child *c = me.children; c; c = c->next)
		count++;
	/* Its init and its first process. */
	return !me.nested || (count < NESTED_TARGETS && nest_room(&me.b, 2));
}
