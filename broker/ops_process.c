/* SPDX-License-Identifier: ISC */
/*
 * This file owns the decisions about processes: forking, signalling, scheduling. It runs in the broker. They are decided
 * on registers alone, which is why they may answer CONTINUE.
 */
#include "broker/broker.h"
#include "broker/limits.h"
#include "broker/nest.h"
#include "policy/promises.h"
#include "ipc/ipc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* 6.11 */
#ifndef PIDFD_GET_PID_NAMESPACE
#define PIDFD_GET_PID_NAMESPACE _IO(0xff, 5)
#endif
#ifndef NS_GET_TGID_FROM_PIDNS
#define NS_GET_TGID_FROM_PIDNS _IOR(0xb7, 7, int)
#define NS_GET_TGID_IN_PIDNS _IOR(0xb7, 9, int)
#endif
#ifndef NS_GET_PID_FROM_PIDNS
#define NS_GET_PID_FROM_PIDNS _IOR(0xb7, 6, int)
#endif
#define FORK_MS 50

static const struct answer go_on = {.kind = ANSWER_CONTINUE, .fd = -1};

/* ---- counting ---- */

/* The family's pid namespace, opened once; -1 before 6.11. */
static int namespace_of(struct request *r)
{
	struct family *f = r->family;
	if (f->pidns < 0) {
		int pidfd = (int)syscall(SYS_pidfd_open, r->tid, O_EXCL); /* PIDFD_THREAD */
		if (pidfd >= 0) {
			if (request_alive(r))
				f->pidns = ioctl(pidfd, PIDFD_GET_PID_NAMESPACE, 0);
			close(pidfd);
		}
	}
	return f->pidns;
}

/* Calls each for every process of the family; stops when it says so. -EPERM when /proc cannot be read. */
static int each_process(struct request *r, bool (*each)(struct request *, int proc, pid_t, void *), void *arg)
{
	int fd = openat(r->family->broker->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return -EPERM;
	}
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid > 0 && !each(r, fd, pid, arg))
			break;
	}
	closedir(dir);
	return 0;
}

static bool count_one(struct request *r, int proc, pid_t pid, void *arg)
{
	char name[40];
	struct stat st;
	if (!state_ours(r->family, pid))
		return true;
	/* A task directory has a link for each thread, and two of its own. A zombie counts: it holds a number. */
	snprintf(name, sizeof(name), "%d/task", pid);
	uint64_t *count = arg;
	*count += !fstatat(proc, name, &st, 0) && st.st_nlink > 2 ? st.st_nlink - 2 : 1;
	return true;
}

/* Forks granted a moment ago may not be visible yet: another task's counts as one more for a while. */
static uint64_t in_flight(struct request *r, int64_t now)
{
	uint64_t n = 0;
	struct family *f = r->family;
	for (size_t i = 0; i < sizeof(f->forks) / sizeof(*f->forks); i++)
		n += f->forks[i].tid && f->forks[i].tid != r->tid && now - f->forks[i].when < FORK_MS;
	return n;
}

static void note_fork(struct request *r, int64_t now)
{
	struct family *f = r->family;
	size_t oldest = 0;
	for (size_t i = 0; i < sizeof(f->forks) / sizeof(*f->forks); i++) {
		if (f->forks[i].tid == r->tid) {
			oldest = i;
			break;
		}
		if (f->forks[i].when < f->forks[oldest].when)
			oldest = i;
	}
	f->forks[oldest].tid = r->tid;
	f->forks[oldest].when = now;
}

/* Whether the table lets the call through under the promises, with these very arguments: the filter also sends what it
 * does not, for it to be refused, and flags such as CLONE_PTRACE or CLONE_PARENT no promise covers. */
static bool task_promised(struct request *r)
{
	size_t count;
	const struct promise_row *rows = promise_rows(&count);
	for (size_t i = 0; i < count; i++)
		if (rows[i].kind == ROW_TASK && rows[i].number == r->nr && promise_row_matches(&rows[i], r->args) &&
			(rows[i].need & policy_of(r)->promises) == rows[i].need)
			return true;
	r->missing_promise = promise_for_syscall(r->nr, r->args);
	if (r->missing_promise == PROMISE_COUNT)
		r->why = "no promise allows this";
	return false;
}

struct answer op_task(struct request *r)
{
	uint64_t limit = policy_of(r)->limits[LIMIT_PROCESSES];
	if (!task_promised(r))
		return answer_error(EPERM);
	if (limit == LIMIT_NONE)
		return go_on;
	int64_t now = ipc_now_ms();
	uint64_t count = 0;
	if (each_process(r, count_one, &count))
		return answer_error(EAGAIN);
	/* Targets of its own live in its pid namespace, and count. */
	int64_t all = r->family->nest && namespace_of(r) >= 0 ? nest_count(r->family->broker, namespace_of(r)) : 0;
	if (all > 0 && (uint64_t)all > count)
		count = (uint64_t)all;
	if (count + in_flight(r, now) >= limit || !nest_room(r->family->broker, 1)) {
		r->why = limit_processes;
		return answer_error(EAGAIN);
	}
	note_fork(r, now);
	return go_on;
}

static bool shares_one(struct request *r, int proc, pid_t pid, void *arg)
{
	(void)proc;
	bool *shares = arg;
	/* 0: the same table. What cannot be compared counts as that. */
	*shares = pid != r->tid && state_ours(r->family, pid) && syscall(SYS_kcmp, r->tid, pid, KCMP_FILES, 0, 0) <= 0;
	return !*shares;
}

bool descriptors_shared(struct request *r)
{
	bool shares = true;
	char name[40];
	struct stat st;
	snprintf(name, sizeof(name), "%d/task", (int)r->tid);
	if (fstatat(r->family->broker->proc, name, &st, 0) < 0 || st.st_nlink != 3)
		return true;
	if (!(policy_of(r)->promises & PROMISE_BIT(proc)))
		return false; /* nobody can have been made to share them with */
	return each_process(r, shares_one, &shares) < 0 || shares;
}

/* ---- signals ---- */

/* The last number of a line of /proc/TID/status: "NStgid" gives the innermost namespace's. -1. */
static pid_t status_number(const struct request *r, const char *key)
{
	char name[40], text[2048];
	snprintf(name, sizeof(name), "%d/status", r->tid);
	int fd = openat(r->family->broker->proc, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	char *line = strstr(text, key);
	if (!line)
		return -1;
	line[strcspn(line + 1, "\n") + 1] = 0;
	char *last = strrchr(line, '\t');
	return last ? (pid_t)strtol(last, NULL, 10) : -1;
}

/* The caller's process id as it knows it itself. */
static pid_t own_id(struct request *r)
{
	int ns = namespace_of(r);
	int id = ns >= 0 ? ioctl(ns, NS_GET_TGID_IN_PIDNS, r->tid) : -1;
	return id > 0 ? id : status_number(r, "\nNStgid:");
}

/* The process of a process or thread id that the caller names, as the broker sees it. -1: there is none, or unknown. */
pid_t process_outside(struct request *r, pid_t id)
{
	int ns = namespace_of(r);
	int out = ns >= 0 ? ioctl(ns, NS_GET_TGID_FROM_PIDNS, id) : -1;
	if (out > 0)
		return out;
	return ns < 0 && r->family->broker->in_place ? id : -1;
}

pid_t thread_outside(struct request *r, pid_t id)
{
	int ns = namespace_of(r);
	int out = ns >= 0 ? ioctl(ns, NS_GET_PID_FROM_PIDNS, id) : -1;
	if (out > 0)
		return out;
	return ns < 0 && r->family->broker->in_place ? id : -1;
}

static bool foreign_member(struct request *r, int proc, pid_t pid, void *arg)
{
	(void)proc;
	pid_t *group = arg;
	if (getpgid(pid) != *group || state_ours(r->family, pid))
		return true;
	*group = -1;
	return false;
}

/* kill(0), kill(-1), kill(-group). In its own pid namespace a target reaches nobody else. In place, the group must be
 * the family's alone: a shell's job is often more. */
static bool group_ours(struct request *r, pid_t id)
{
	if (r->state->instance) /* a zygote's other forks are in its group, and in its namespace */
		return false;
	if (!r->family->broker->in_place)
		return true;
	if (id == -1)
		return false;
	pid_t group = id ? -id : getpgid(r->tid);
	return group > 0 && !each_process(r, foreign_member, &group) && group > 0;
}

/* Whether the one process that the caller names is of its family. A process that ends just now may have its number
 * taken by another before the signal goes: CONTINUE cannot pin it, and reuse takes a whole round of numbers. */
static bool process_ours(struct request *r, pid_t id)
{
	if (r->state->instance)
		return id == own_id(r);
	bool private = !r->family->broker->in_place;
	/* init is a part of the broker. */
	if (private && id == 1)
		return false;
	pid_t outside = process_outside(r, id);
	if (outside < 0)
		return private && namespace_of(r) < 0; /* before 6.11: nobody else is in there */
	return state_ours(r->family, outside);
}

/* The promise proc of pledge(2) lets a process signal whom its user may, as daemons and pkill(1) do. Never the broker, which
 * is of the same user. */
static bool signals_others(struct request *r, pid_t id)
{
	const struct policy *p = policy_of(r);
	if (!r->family->broker->in_place || !p->abort || !(p->promises & PROMISE_BIT(proc)) || id == -1)
		return false;
	if (id <= 0)
		return id != -getpgrp() && (id || getpgid(r->tid) != getpgrp());
	pid_t outside = process_outside(r, id);
	return outside > 0 && outside != getpid();
}

struct answer op_signal(struct request *r)
{
	pid_t id = (pid_t)r->args[0], own = own_id(r);
	bool group = r->nr == SYS_kill && id <= 0;
	bool self = own > 0 && id == own;
	/* tkill names a thread: its process decides. */
	if (r->nr == SYS_tkill && own > 0) {
		pid_t outside = process_outside(r, id);
		self = self || (outside > 0 && outside == process_outside(r, own));
	}
	if (self && !(policy_of(r)->promises & (PROMISE_BIT(stdio) | PROMISE_BIT(proc))) &&
		!(r->nr == SYS_tgkill && (int)r->args[2] == SIGABRT)) {
		r->missing_promise = PROMISE_stdio;
		return answer_error(EPERM);
	}
	if (self)
		return go_on;
	/* pledge(2)'s stdio may signal its own group. That it is nobody else's, too, is asked below. */
	bool own_group = r->nr == SYS_kill && id == 0 && (policy_of(r)->promises & PROMISE_BIT(stdio));
	if (!own_group && promised(r, PROMISE_BIT(proc)))
		return answer_error(EPERM);
	if (!group && id <= 0)
		return answer_error(EINVAL);
	if (group ? group_ours(r, id) : process_ours(r, id))
		return go_on;
	if (signals_others(r, id))
		return go_on;
	if (!group && process_outside(r, id) < 0 && namespace_of(r) >= 0)
		return answer_error(ESRCH);
	r->why = "only its own processes may be signalled";
	return answer_error(EPERM);
}

/* ---- other calls that name a process by its number ---- */

/* What a pidfd of the broker's stands for; -1. */
static pid_t process_of_pidfd(const struct request *r, int fd)
{
	char name[40], text[1024];
	snprintf(name, sizeof(name), "self/fdinfo/%d", fd);
	int info = openat(r->family->broker->proc, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = info >= 0 ? read(info, text, sizeof(text) - 1) : -1;
	if (info >= 0)
		close(info);
	if (n <= 0)
		return -1;
	text[n] = 0;
	const char *line = strstr(text, "\nPid:");
	return line ? (pid_t)strtol(line + 5, NULL, 10) : -1;
}

/* Who is meant, and whether by a group's number; false for what takes more than registers to know, or means users. */
static bool target_of(const struct request *r, pid_t *id, bool *group)
{
	const int which = (int)r->args[0];
	*group = false;
	*id = (pid_t)r->args[0];
	switch (r->nr) {
	case SYS_setpriority: /* PRIO_PROCESS, PRIO_PGRP, PRIO_USER */
		*id = (pid_t)r->args[1];
		*group = which == PRIO_PGRP;
		return which == PRIO_PROCESS || which == PRIO_PGRP;
	case SYS_ioprio_set: /* the same from 1 */
		*id = (pid_t)r->args[1];
		*group = which == 2;
		return which == 1 || which == 2;
	case SYS_fcntl:
		*id = (pid_t)r->args[2];
		*group = *id < 0;
		return (int)r->args[1] == F_SETOWN && *id != INT_MIN;
	default:
		return true;
	}
}

static bool target_ours(struct request *r, bool others)
{
	pid_t id, own = own_id(r);
	bool group;
	if (r->nr == SYS_pidfd_send_signal) {
		int fd = memory_dup_fd(r, (int)r->args[0]);
		pid_t pid = fd >= 0 ? process_of_pidfd(r, fd) : -1;
		if (fd >= 0)
			close(fd);
		/* With a flag it may be the whole group that is meant. */
		return pid > 0 && !r->args[3] &&
		       (r->state->instance ? pid == request_process(r) : state_ours(r->family, pid));
	}
	/* To ask who gets a descriptor's signals tells a number, which only the kernel can fill in. */
	if (r->nr == SYS_fcntl && (int)r->args[1] == F_GETOWN_EX)
		return true;
	if (!target_of(r, &id, &group))
		return false;
	if (group)
		return others && group_ours(r, r->nr == SYS_fcntl ? id : -id);
	if (id == 0 || id == own)
		return true;
	pid_t outside = id > 0 ? process_outside(r, id) : -1;
	if (own > 0 && outside > 0 && outside == process_outside(r, own)) /* a thread of its own */
		return true;
	return others && id > 0 && process_ours(r, id);
}

struct answer op_own(struct request *r)
{
	size_t count;
	const struct promise_row *rows = promise_rows(&count);
	const uint64_t held = policy_of(r)->promises;
	bool may = false, others = false;
	for (size_t i = 0; i < count; i++) {
		const struct promise_row *row = &rows[i];
		if (row->number != r->nr || (row->need & ~held) || !promise_row_matches(row, r->args))
			continue;
		if (row->kind == ROW_ALLOW)
			return go_on;
		may = may || row->kind == ROW_OWN;
		/* Under stdio it is the process itself, with its threads. */
		others = others || (row->kind == ROW_OWN && row->need != PROMISE_BIT(stdio));
	}
	if (!may)
		return op_refused(r);
	if (target_ours(r, others))
		return go_on;
	if (!others)
		r->missing_promise = PROMISE_proc;
	else
		r->why = "only its own processes may be named";
	return answer_error(EPERM);
}
