/* SPDX-License-Identifier: ISC */
/*
 * Owns what a target asks for that wants targets of its own: everything of it is copied here, once, and judged by what the
 * asking process has; descriptors are taken out of it by their numbers. What is handed on is a policy that grants nothing
 * which the asker does not have. Runs in the broker, on the lane. Nothing of this comes over a socket: who asks cannot be
 * forged, and a target needs no promise to send descriptors for it.
 */
#include "broker/nest.h"

#include "broker/program.h"
#include "policy/promises.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 6.11 */
#ifndef PIDFD_GET_PID_NAMESPACE
#define PIDFD_GET_PID_NAMESPACE _IO(0xff, 5)
#endif
#ifndef NS_GET_TGID_IN_PIDNS
#define NS_GET_TGID_IN_PIDNS _IOR(0xb7, 9, int)
#endif
#define RULE_PERMS (PERM_R | PERM_W | PERM_X | PERM_C)

/* ---- counting ---- */

int64_t nest_count(const struct broker *b, int pidns)
{
	int fd = openat(b->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	int64_t count = 0;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return -EPERM;
	}
	while (count >= 0 && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		char name[40];
		struct stat st;
		int inside = pid > 0 ? ioctl(pidns, NS_GET_TGID_IN_PIDNS, pid) : -1;
		if (pid > 0 && inside < 0 && errno == ENOTTY)
			count = -EOPNOTSUPP;
		/* Its own init is a part of the broker. One of a target that is nested in it counts. */
		if (inside < 2 || count < 0)
			continue;
		snprintf(name, sizeof(name), "%d/task", pid);
		count += !fstatat(fd, name, &st, 0) && st.st_nlink > 2 ? (int64_t)st.st_nlink - 2 : 1;
	}
	closedir(dir);
	return count;
}

bool nest_room(const struct broker *b, uint64_t more)
{
	for (size_t i = 0; i < b->outer_count; i++) {
		int64_t count = nest_count(b, b->outer[i].pidns);
		if (count < 0 || (uint64_t)count + more > b->outer[i].processes)
			return false;
	}
	return true;
}

/* ---- the policy ---- */

/* Whether the object that a rule's path leads to is none for the whole tree below it. */
static bool named(const struct request *r, struct place *place)
{
	struct stat st;
	if (place->proc && !place->path[5])
		return false;
	if (place->proc)
		return fstatat(r->family->broker->proc, place->path + 6, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		       !S_ISDIR(st.st_mode);
	int fd = place_open(place, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return !place->is_root;
	close(fd);
	return !S_ISDIR(place->st.st_mode);
}

/* One rule, as the asker wrote it, by what its path leads to for the asker now. */
static int rule_copy(struct request *r, const struct unveil *rule, struct policy *out)
{
	struct place place;
	const unsigned perms = rule->perms & RULE_PERMS; /* nothing is direct: the root is one of the outer target's */
	if (strlen(rule->path) >= PATH_MAX)
		return -ENAMETOOLONG;
	r->path[0] = rule->path;
	r->dirfd[0] = AT_FDCWD;
	int e = resolve(r, 0, RESOLVE_CREATE | RESOLVE_WALK, 0, &place);
	r->path[0] = NULL;
	if (e == -ENOENT && !perms) {
		r->missing_perms = 0;
		return 0; /* hidden already */
	}
	if (e < 0)
		return e;
	if (strlen(place.path) >= PATH_MAX)
		e = -ENAMETOOLONG;
	else if (perms && judge(r, place.path, perms, NULL) < 0)
		e = refuse(r, place.path, perms, -EPERM);
	if (e == 0)
		e = policy_unveil(out, place.path, perms, named(r, &place));
	place_close(&place);
	return e;
}

static int rules_copy(struct request *r, const struct policy *text, struct policy *out)
{
	int e = policy_copy(out, text);
	for (size_t i = 0; e == 0 && i < out->unveil_count; i++)
		free(out->unveils[i].path);
	out->unveil_count = 0;
	for (size_t i = 0; e == 0 && i < text->unveil_count; i++)
		e = rule_copy(r, &text->unveils[i], out);
	return e;
}

/* What loaders may read, in a policy under which programs are loaded: as far as the asker's have it. */
static int loaders_copy(const struct policy *now, struct policy *out)
{
	int e = 0;
	for (size_t i = 0; e == 0 && i < now->unveil_count; i++) {
		const struct unveil *rule = &now->unveils[i], *above = policy_find(out, rule->path);
		if (rule->perms & PERM_LOADER)
			e = policy_unveil(out, rule->path, (above ? above->perms : 0u) | PERM_LOADER, rule->name);
	}
	return e;
}

/* Whether p's addresses are all in what now has. */
static int addresses_within(const struct policy *now, const struct policy *p)
{
	struct policy own, common;
	char a[512], b[512];
	int e = policy_copy(&own, p);
	if (e < 0)
		return e;
	e = policy_copy(&common, p);
	if (e == 0)
		e = policy_narrow(&own, p, NARROW_ADDRESSES); /* the list as narrowing leaves it */
	if (e == 0)
		e = policy_narrow(&common, now, NARROW_ADDRESSES);
	if (e == 0 && (p->any_address ? !now->any_address : own.address_count != common.address_count))
		e = -EPERM;
	for (size_t i = 0; e == 0 && i < own.address_count; i++) {
		bool found = false;
		policy_address_format(&own.addresses[i], a, sizeof(a));
		for (size_t k = 0; k < common.address_count && !found; k++)
			found = own.addresses[i].bind == common.addresses[k].bind &&
				strcmp(a, policy_address_format(&common.addresses[k], b, sizeof(b))) == 0;
		e = found ? 0 : -EPERM;
	}
	policy_clear(&own);
	policy_clear(&common);
	return e;
}

static int promises_within(struct request *r, const struct policy *now, const struct policy *asked)
{
	uint64_t more = asked->promises & ~now->promises;
	if (!more && asked->exec_given && now->exec_given)
		more = asked->exec_promises & ~now->exec_promises;
	if (more)
		r->missing_promise = (unsigned)__builtin_ctzll(more);
	return more ? -EPERM : 0;
}

/* *out grants what the asker has and asks for. It is refused to ask for more, lest it goes unnoticed; but limits that were
 * not set, and layers that may be missing, are the outer ones. */
static int policy_asked(struct request *r, const struct policy *text, bool program, struct policy *out)
{
	const unsigned parts = NARROW_PROMISES | NARROW_EXEC | NARROW_UNVEILS | NARROW_ADDRESSES | NARROW_LIMITS;
	const struct policy *now = policy_of(r);
	struct policy asked;
	policy_init(&asked);
	int e = promises_within(r, now, text);
	if (e == 0)
		e = addresses_within(now, text);
	if (e == -EPERM && r->missing_promise == PROMISE_COUNT)
		r->why = "an address that it does not have itself";
	if (e == 0)
		e = rules_copy(r, text, &asked);
	if (e == 0 && (program || policy_executes(&asked)))
		e = loaders_copy(now, &asked);
	if (e == 0)
		e = policy_copy(out, now);
	if (e == 0) {
		e = policy_narrow(out, &asked, parts);
		out->tolerate &= asked.tolerate;
		out->locked = asked.locked;
		out->pledged = asked.pledged;
	}
	policy_clear(&asked);
	return e;
}

static int policy_read(struct request *r, struct nest *n, bool program)
{
	char message[200];
	struct policy text, out;
	policy_init(&text);
	policy_init(&out);
	n->policy = calloc(1, sizeof(*n->policy));
	int e = n->policy ? policy_parse(&text, n->text, r->family->nest->layer_find, message, sizeof(message))
			  : -ENOMEM;
	if (e == 0)
		e = policy_asked(r, &text, program, &out);
	policy_clear(&text);
	struct held held = state_held(r);
	if (e == 0)
		e = anchors_narrow(r->family->broker, held, held, &out, &n->anchors);
	if (e < 0)
		policy_clear(&out);
	else
		*n->policy = out;
	return e;
}

/* ---- the asker ---- */

/* Its process, which need not be its thread. */
static int process_of(const struct request *r)
{
	char name[40], text[2048];
	snprintf(name, sizeof(name), "%d/status", (int)r->tid);
	int fd = openat(r->family->broker->proc, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	const char *line = strstr(text, "\nTgid:");
	pid_t process = line ? (pid_t)strtol(line + 6, NULL, 10) : 0;
	return process > 0 ? (int)syscall(SYS_pidfd_open, process, 0) : -1;
}

static int asker_look(struct request *r, struct nest *n)
{
	char name[40];
	n->pidfd = process_of(r);
	if (n->pidfd < 0)
		return -ESRCH;
	n->pidns = ioctl(n->pidfd, PIDFD_GET_PID_NAMESPACE, 0);
	if (n->pidns < 0) { /* before 6.11 */
		snprintf(name, sizeof(name), "%d/ns/pid", (int)r->tid);
		n->pidns = openat(r->family->broker->proc, name, O_RDONLY | O_CLOEXEC);
	}
	/* Both are the asker's if it lives still. */
	if (n->pidns < 0 || !request_alive(r))
		return -ESRCH;
	n->processes = policy_of(r)->limits[LIMIT_PROCESSES];
	return 0;
}

static int cwd_copy(const struct request *r, struct nest *n)
{
	bool own;
	int fd = cwd_of(r, &own);
	n->umask = r->state->umask;
	n->cwd = fd < 0 || own ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return n->cwd < 0 ? -ENOENT : 0;
}

/* The program to be started first: what the asker could execute itself. */
static int program_read(struct request *r, const struct nest_ask *ask, struct nest *n)
{
	const char *runs = r->state->exe;
	n->guest = !ask->program && (runs || r->family->broker->programs);
	/* Without a path, what runs as the family's first program is known above. */
	if (!ask->program)
		return runs ? program_open(r, runs, n->path, &n->program) : 0;
	ssize_t len = memory_read_string(r, ask->program, n->path, sizeof(n->path));
	if (len < 0)
		return (int)len;
	if (!request_alive(r))
		return -ESRCH;
	n->program_asked = true;
	int e = promised(r, PROMISE_BIT(exec));
	if (e == 0)
		e = program_open(r, n->path, n->path, &n->program);
	return e;
}

/* ---- all of it ---- */

static const struct nest nest_none = {.control = -1, .cwd = -1, .program = -1, .pidfd = -1, .pidns = -1};

struct nest *nest_take(struct nest *n)
{
	struct nest *own = malloc(sizeof(*own));
	if (own) {
		*own = *n;
		*n = nest_none;
	}
	return own;
}

void nest_free(struct nest *n)
{
	if (!n)
		return;
	const int own[] = {n->control, n->cwd, n->program, n->pidfd, n->pidns};
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (own[i] >= 0)
			close(own[i]);
	for (size_t i = 0; i < n->fd_count; i++)
		if (n->fds[i] >= 0)
			close(n->fds[i]);
	if (n->policy) {
		anchors_free(n->anchors, n->policy->unveil_count);
		policy_clear(n->policy);
		free(n->policy);
	}
	free(n->text);
	free(n);
}

static int bytes_read(struct request *r, const struct nest_ask *ask, struct nest *n)
{
	size_t max = n->what == NEST_BROKER ? NEST_POLICY_MAX : NEST_WORDS_MAX;
	if (ask->text_len > max || ask->data_len > sizeof(n->data))
		return -E2BIG;
	n->text_len = (size_t)ask->text_len;
	n->data_len = (size_t)ask->data_len;
	n->text = malloc(n->text_len + 1);
	if (!n->text)
		return -ENOMEM;
	int e = memory_read(r, ask->text, n->text, n->text_len);
	n->text[n->text_len] = 0;
	if (e == 0)
		e = memory_read(r, ask->data, n->data, n->data_len);
	if (e == 0 && n->what == NEST_BROKER && memchr(n->text, 0, n->text_len))
		e = -EINVAL;
	return e;
}

static int descriptors_read(struct request *r, const struct nest_ask *ask, struct nest *n)
{
	n->control = memory_dup_fd(r, ask->control);
	if (n->control < 0)
		return n->control;
	for (; n->fd_count < ask->fd_count; n->fd_count++) {
		int fd = memory_dup_fd(r, ask->fds[n->fd_count]);
		if (fd < 0)
			return fd;
		n->fds[n->fd_count] = fd;
	}
	return 0;
}

static int nest_read(struct request *r, const struct nest_ask *ask, struct nest *n)
{
	if (ask->version != NEST_VERSION || ask->what > NEST_START || ask->fd_count > NEST_FDS)
		return -EINVAL;
	n->what = ask->what;
	n->now = policy_of(r);
	int e = bytes_read(r, ask, n);
	if (e == 0 && !request_alive(r))
		e = -ESRCH;
	if (e == 0)
		e = cwd_copy(r, n);
	if (e == 0 && n->what == NEST_START)
		return descriptors_read(r, ask, n);
	if (e == 0)
		e = program_read(r, ask, n);
	if (e == 0)
		e = policy_read(r, n, n->program_asked || n->guest);
	if (e == 0)
		e = asker_look(r, n);
	return e;
}

struct answer op_nest(struct request *r)
{
	struct nest_ask ask;
	if (!r->family->nest || r->args[2] != sizeof(ask))
		return answer_error(r->family->nest ? EINVAL : EOPNOTSUPP);
	int e = memory_read(r, r->args[1], &ask, sizeof(ask));
	struct nest *n = e == 0 ? malloc(sizeof(*n)) : NULL;
	if (!n)
		return answer_error(e ? -e : ENOMEM);
	*n = nest_none;
	e = request_alive(r) ? nest_read(r, &ask, n) : -ESRCH;
	struct answer a = e < 0 ? answer_error(-e) : r->family->nest->serve(r->family->arg, n);
	nest_free(n);
	return a;
}
