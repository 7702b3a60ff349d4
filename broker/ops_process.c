/* SPDX-License-Identifier: ISC */
/*
 * This file owns the decisions about processes: forking, signalling, narrowing. It runs in the broker. Except for
 * narrowing these are decided on registers alone, which is why they may answer CONTINUE.
 */
#include "broker/broker.h"
#include "policy/promises.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
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
#define TEXT_MAX 65536
#define FORK_MS 50

static const struct answer go_on = {.kind = ANSWER_CONTINUE, .fd = -1};

/* ---- counting ---- */

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
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t now = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
	uint64_t count = 0;
	if (each_process(r, count_one, &count))
		return answer_error(EAGAIN);
	if (count + in_flight(r, now) >= limit) {
		r->why = "limit processes";
		return answer_error(EAGAIN);
	}
	note_fork(r, now);
	return go_on;
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
	bool private = !r->family->broker->in_place;
	/* init is a part of the broker. */
	if (private && id == 1)
		return false;
	pid_t outside = process_outside(r, id);
	if (outside < 0)
		return private && namespace_of(r) < 0; /* before 6.11: nobody else is in there */
	return state_ours(r->family, outside);
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
	if (self)
		return go_on;
	if (promised(r, PROMISE_BIT(proc)))
		return answer_error(EPERM);
	if (!group && id <= 0)
		return answer_error(EINVAL);
	if (group ? group_ours(r, id) : process_ours(r, id))
		return go_on;
	if (!group && process_outside(r, id) < 0 && namespace_of(r) >= 0)
		return answer_error(ESRCH);
	r->why = "only its own processes may be signalled";
	return answer_error(EPERM);
}

/* ---- narrowing ---- */

static unsigned no_layers(const char *word)
{
	(void)word;
	return 0; /* "tolerate" has no meaning here, and is an error */
}

/* Whether the family began with everything visible and nothing has locked it: then, as in unveil(2), each unveil adds
 * a path; the broker's own policy bounds it all. */
static bool may_add(const struct request *r)
{
	return r->family->broker->policy.everything && !policy_of(r)->locked;
}

/* A rule asked for by its own path: what the path leads to now. */
static int canonical_rule(struct request *r, const struct unveil *rule, char path[PATH_MAX], bool *name)
{
	struct place place;
	struct state *state = r->state, wide = *state;
	if (strlen(rule->path) >= PATH_MAX)
		return -ENAMETOOLONG;
	/* What is added is looked for in all there is to add from. */
	wide.policy = NULL;
	wide.anchors = NULL;
	if (may_add(r))
		r->state = &wide;
	r->path[0] = rule->path;
	r->dirfd[0] = AT_FDCWD;
	int err = resolve(r, 0, RESOLVE_CREATE | RESOLVE_WALK, 0, &place);
	if (!err && strlen(place.path) >= PATH_MAX) {
		place_close(&place);
		err = -ENAMETOOLONG;
	}
	if (!err) {
		strcpy(path, place.path);
		*name = place.have_st ? !S_ISDIR(place.st.st_mode) : !place.is_root;
	}
	if (!err && !place.have_st && !place.proc) {
		int fd = place_open(&place, O_PATH | O_CLOEXEC, 0);
		if (fd >= 0) {
			*name = !S_ISDIR(place.st.st_mode);
			close(fd);
		}
	}
	if (!err)
		place_close(&place);
	r->path[0] = NULL;
	r->state = state;
	return err;
}

/* asked's rules by what they lead to. A rule that grants more than there is makes the whole request fail. */
static int canonical_rules(struct request *r, const struct policy *asked, struct policy *out)
{
	const struct policy *now = policy_of(r);
	for (size_t i = 0; i < asked->unveil_count; i++) {
		const struct unveil *rule = &asked->unveils[i];
		char path[PATH_MAX];
		bool name;
		int err = canonical_rule(r, rule, path, &name);
		if (err == -ENOENT && !now->everything && !may_add(r))
			return -EPERM; /* hidden: whether it exists is not told */
		if (!err && !now->everything && !may_add(r) && judge(r, path, rule->perms, NULL))
			err = -EPERM;
		if (!err)
			err = policy_unveil(out, path, rule->perms, name);
		if (err)
			return err;
	}
	return 0;
}

/* *out becomes what is left of r's policy after asked. */
static int narrow(struct request *r, const struct policy *asked, unsigned parts, struct policy *out)
{
	const struct policy *now = policy_of(r);
	struct policy rules;
	if (((parts & NARROW_PROMISES) && (asked->promises & ~now->promises)) ||
		((parts & (NARROW_UNVEILS | NARROW_LOCK)) && !(now->promises & PROMISE_BIT(unveil))) ||
		((parts & NARROW_EXEC) && now->exec_given && (asked->exec_promises & ~now->exec_promises)))
		return -EPERM;
	if ((parts & NARROW_UNVEILS) && now->locked)
		return -EPERM;
	if ((parts & NARROW_UNVEILS) && r->family->direct)
		return -EOPNOTSUPP; /* the kernel would go on showing the direct trees */
	int err = policy_copy(&rules, asked);
	if (err)
		return err;
	err = policy_copy(out, now);
	if (!err && (parts & NARROW_UNVEILS) && may_add(r) && !now->everything) {
		err = canonical_rules(r, asked, out);
		parts &= ~(unsigned)NARROW_UNVEILS;
	} else if (!err && (parts & NARROW_UNVEILS)) {
		for (size_t i = 0; i < rules.unveil_count; i++)
			free(rules.unveils[i].path);
		rules.unveil_count = 0;
		err = canonical_rules(r, asked, &rules);
	}
	if (!err)
		err = policy_narrow(out, &rules, parts);
	policy_clear(&rules);
	if (err)
		policy_clear(out);
	return err;
}

static int narrow_by_text(struct request *r, const char *text, unsigned parts)
{
	struct policy asked, left;
	struct anchor *anchors = NULL;
	char message[160];
	policy_init(&asked);
	int err = policy_parse(&asked, text, no_layers, message, sizeof(message));
	if (err) {
		policy_clear(&asked);
		return err == -ENOMEM ? err : -EINVAL;
	}
	err = narrow(r, &asked, parts, &left);
	policy_clear(&asked);
	if (err)
		return err;
	err = anchors_narrow(r->family->broker, r->state, &left, &anchors);
	if (err) {
		policy_clear(&left);
		return err;
	}
	return state_narrow(r, &left, anchors);
}

struct answer op_airlock(struct request *r)
{
	if (r->args[0] == AIRLOCK_OP_QUERY)
		return answer_value(r->family->direct);
	if (r->args[0] != AIRLOCK_OP_NARROW)
		return answer_error(EINVAL);
	uint64_t len = r->args[2];
	if (len > TEXT_MAX)
		return answer_error(E2BIG);
	char *text = malloc((size_t)len + 1);
	if (!text)
		return answer_error(ENOMEM);
	int err = memory_read(r, r->args[1], text, (size_t)len);
	text[len] = 0;
	if (!err && (!request_alive(r) || memchr(text, 0, (size_t)len)))
		err = -EINVAL;
	if (!err)
		err = narrow_by_text(r, text, (unsigned)r->args[3]);
	free(text);
	return err ? answer_error(-err) : answer_value(0);
}
