/* SPDX-License-Identifier: ISC */
/*
 * This file owns what follows each process: directory, umask, what is left of the policy. It runs in the broker.
 *
 * A process carries the number of its state in its RLIMIT_LOCKS soft limit: the kernel copies it on fork (even when
 * the parent is gone before the child's first request), keeps it on exec, ignores it otherwise since 2.4.25, and the
 * filter gives no target a call that sets it. States are never changed, only replaced, and two with the same content
 * are one, so that the table grows with what differs and not with what is called. A number that is not in the table
 * is refused: that is also what happens to a process that is forked just while its number is collected.
 */
#include "broker/zygote.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STATES_MAX 4096
#define RETRIES 8

struct narrowed {
	unsigned users; /* states, and what was unveiled from this; under family.lock */
	struct policy policy;
	struct anchor *anchors;
	struct policy asked; /* what was unveiled so far, in all */
	struct narrowed *from; /* what it was unveiled from: `starts`, or NULL for the broker's own policy */
	bool starts; /* what its process unveils, it unveils from this */
	size_t weight; /* rules of all kinds, and one for itself */
};

/* One counter for all families of this broker: a number is never used twice. */
static _Atomic uint64_t next_tag;

static void narrowed_release(struct family *f, struct narrowed *n)
{
	while (n && --n->users == 0) {
		struct narrowed *from = n->from;
		f->narrow_weight -= n->weight;
		anchors_free(n->anchors, n->policy.unveil_count);
		policy_clear(&n->policy);
		policy_clear(&n->asked);
		free(n);
		n = from;
	}
}

static void state_free(struct family *f, struct state *s)
{
	narrowed_release(f, s->narrowed);
	instance_release(s->instance);
	if (s->cwd >= 0)
		close(s->cwd);
	free(s->exe);
	free(s);
}

static struct state *find(struct family *f, uint64_t tag)
{
	size_t low = 0, high = f->state_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (f->states[middle]->tag < tag)
			low = middle + 1;
		else
			high = middle;
	}
	return low < f->state_count && f->states[low]->tag == tag ? f->states[low] : NULL;
}

/* Who has become somebody else may not be asked by prlimit without CAP_SYS_RESOURCE, which root in a container may lack;
 * anybody may read the same in /proc. */
static int tag_of_other(const struct family *f, pid_t pid, uint64_t *tag)
{
	char text[4096];
	snprintf(text, sizeof(text), "%d/limits", pid);
	int fd = openat(f->broker->proc, text, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	const char *line = strstr(text, "\nMax file locks");
	line = line ? strpbrk(line + 1, "0123456789\n") : NULL;
	if (!line || *line == '\n')
		return -EPERM;
	*tag = strtoull(line, NULL, 10);
	return 0;
}

static int tag_read(const struct family *f, pid_t pid, uint64_t *tag)
{
	struct rlimit64 limit;
	if (prlimit64(pid, RLIMIT_LOCKS, NULL, &limit))
		return errno == EPERM && f->broker->identities ? tag_of_other(f, pid, tag) : -errno;
	*tag = limit.rlim_cur;
	return 0;
}

struct state *state_of(struct family *f, pid_t tid)
{
	uint64_t tag = 0;
	if (tid <= 0 || tag_read(f, tid, &tag))
		return NULL;
	pthread_mutex_lock(&f->lock);
	struct state *s = find(f, tag);
	if (s)
		s->users++;
	pthread_mutex_unlock(&f->lock);
	return s;
}

void state_release(struct family *f, struct state *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&f->lock);
	s->users--;
	pthread_mutex_unlock(&f->lock);
}

bool state_ours(struct family *f, pid_t pid)
{
	struct state *s = state_of(f, pid);
	state_release(f, s);
	return s != NULL;
}

/* Frees the states that no process carries. Under f->lock. */
static void collect(struct family *f, const struct state *keep)
{
	int fd = openat(f->broker->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return; /* the table stays full, and changes are refused */
	}
	for (size_t i = 0; i < f->state_count; i++)
		f->states[i]->seen = f->states[i] == keep || f->states[i]->users > 0;
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		uint64_t tag = 0;
		struct state *s;
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		if (!tag_read(f, (pid_t)strtol(entry->d_name, NULL, 10), &tag) && (s = find(f, tag)))
			s->seen = true;
	}
	closedir(dir);
	size_t kept = 0;
	for (size_t i = 0; i < f->state_count; i++) {
		if (f->states[i]->seen)
			f->states[kept++] = f->states[i];
		else
			state_free(f, f->states[i]);
	}
	f->state_count = kept;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* The state of this content: an old one, or a new one at the table's end (tags only grow). Takes cwd. Under f->lock. */
static int intern(struct family *f, int cwd, mode_t mask, struct narrowed *n, const char *exe,
	struct instance *instance, struct state **out)
{
	struct stat st;
	if (fstat(cwd, &st)) {
		close(cwd);
		return -ENOMEM;
	}
	for (size_t i = f->state_count; i-- > 0;) {
		struct state *s = f->states[i];
		/* The same directory may be reached through two mounts; which one makes no difference to a target,
		 * whose view of it is decided by the rules and not by mounts. */
		if (s->umask == mask && s->narrowed == n && s->instance == instance && s->where.st_ino == st.st_ino &&
			s->where.st_dev == st.st_dev && same_text(s->exe, exe)) {
			close(cwd);
			*out = s;
			return 0;
		}
	}
	struct state *s = f->state_count < f->state_max ? calloc(1, sizeof(*s)) : NULL;
	char *name = s && exe ? strdup(exe) : NULL;
	if (!s || (exe && !name)) {
		free(s);
		close(cwd);
		return -ENOMEM;
	}
	*s = (struct state){.tag = atomic_fetch_add(&next_tag, 1),
		.cwd = cwd,
		.umask = mask,
		.narrowed = n,
		.instance = instance,
		.exe = name,
		.where = st};
	instance_hold(instance);
	if (n) {
		n->users++;
		s->policy = &n->policy;
		s->anchors = n->anchors;
	}
	f->states[f->state_count++] = s;
	*out = s;
	return 0;
}

/* Moves r's process from state `from` to `to`. -EAGAIN when it was in another one (a sibling was faster). */
static int tag_move(const struct request *r, const struct state *from, const struct state *to)
{
	struct rlimit64 limit, old, unused;
	if (prlimit64(r->tid, RLIMIT_LOCKS, NULL, &limit))
		return -EPERM;
	limit.rlim_cur = to->tag;
	if (limit.rlim_max < to->tag || !request_alive(r))
		return -EPERM;
	if (prlimit64(r->tid, RLIMIT_LOCKS, &limit, &old))
		return -EPERM;
	if (old.rlim_cur == from->tag)
		return 0;
	/* Another thread changed it since, or the caller died and its id is a stranger's: put back what was there. A
	 * stranger in the same state keeps the new one, which the family could have had anyway. */
	prlimit64(r->tid, RLIMIT_LOCKS, &old, &unused);
	return request_alive(r) ? -EAGAIN : -EPERM;
}

/* All borrowed; cwd -1 and NULL: unchanged. */
static int change(
	struct request *r, int cwd, const mode_t *mask, struct narrowed *n, const char *exe, struct instance *i)
{
	struct family *f = r->family;
	int err = -EAGAIN;
	for (int k = 0; k < RETRIES && err == -EAGAIN; k++) {
		struct state *from = state_of(f, r->tid), *to = NULL;
		if (!from)
			return -EPERM;
		/* What a sibling narrowed meanwhile must not come back. */
		if (n && from->narrowed != r->state->narrowed) {
			state_release(f, from);
			return -EPERM;
		}
		int fd = fcntl(cwd >= 0 ? cwd : from->cwd, F_DUPFD_CLOEXEC, 0);
		pthread_mutex_lock(&f->lock);
		if (f->state_count >= f->state_max)
			collect(f, from);
		err = fd < 0 ? -ENOMEM
			     : intern(f, fd, mask ? *mask : from->umask, n ? n : from->narrowed, exe ? exe : from->exe,
				       i ? i : from->instance, &to);
		if (to)
			to->users++;
		pthread_mutex_unlock(&f->lock);
		if (to)
			err = to == from ? 0 : tag_move(r, from, to);
		state_release(f, to);
		state_release(f, from);
	}
	return err == -EAGAIN ? -EPERM : err;
}

int state_change(struct request *r, int cwd, const mode_t *umask)
{
	int err = change(r, cwd, umask, NULL, NULL, NULL);
	if (cwd >= 0)
		close(cwd);
	return err;
}

int state_exec(struct request *r, const char *exe)
{
	return change(r, -1, NULL, NULL, exe, NULL);
}

int state_instance(struct request *r, struct instance *i)
{
	return change(r, -1, NULL, NULL, NULL, i);
}

void state_instance_gone(struct family *f, struct instance *i)
{
	size_t kept = 0;
	pthread_mutex_lock(&f->lock);
	for (size_t k = 0; k < f->state_count; k++) {
		struct state *s = f->states[k];
		if (s->instance == i && !s->users) /* else a slow worker has yet to see that its caller is gone */
			state_free(f, s);
		else
			f->states[kept++] = s;
	}
	f->state_count = kept;
	pthread_mutex_unlock(&f->lock);
}

uint64_t state_promises(struct family *f)
{
	uint64_t promises = 0;
	pthread_mutex_lock(&f->lock);
	collect(f, NULL);
	for (size_t i = 0; i < f->state_count; i++)
		promises |= f->states[i]->policy ? f->states[i]->policy->promises : f->broker->policy.promises;
	pthread_mutex_unlock(&f->lock);
	return promises;
}

struct held state_held(const struct request *r)
{
	const struct broker *b = r->family->broker;
	return r->state->policy ? (struct held){r->state->policy, r->state->anchors}
				: (struct held){&b->policy, b->anchors};
}

static const struct policy nothing_asked;

const struct policy *state_veil(const struct request *r, struct held *from)
{
	struct narrowed *n = r->state->narrowed, *base = n && n->starts ? n : n ? n->from : NULL;
	*from = base ? (struct held){&base->policy, base->anchors}
		     : (struct held){&r->family->broker->policy, r->family->broker->anchors};
	return n ? &n->asked : &nothing_asked;
}

/* Takes the content of n. False when it does not fit into the family's table. Under f->lock. */
static bool narrowed_fill(struct request *r, const struct narrowing *n, struct narrowed *out)
{
	struct family *f = r->family;
	struct narrowed *now = r->state->narrowed;
	*out = (struct narrowed){.users = 1, .policy = n->policy, .anchors = n->anchors};
	bool copied = true;
	if (n->veil == VEIL_ASKED)
		out->asked = n->asked;
	else if (n->veil == VEIL_KEPT && now)
		copied = policy_copy(&out->asked, &now->asked) == 0;
	out->starts = n->veil == VEIL_ANEW || (n->veil == VEIL_KEPT && now && now->starts);
	if (!out->starts && now)
		out->from = now->starts ? now : now->from;
	if (out->from)
		out->from->users++;
	out->weight = 1 + out->policy.unveil_count + out->asked.unveil_count + out->policy.address_count +
		      out->policy.env_count;
	if (f->narrow_weight + out->weight > f->state_max)
		collect(f, r->state);
	bool room = f->narrow_weight + out->weight <= f->state_max;
	f->narrow_weight += out->weight;
	return copied && room;
}

int state_narrow(struct request *r, struct narrowing *n)
{
	struct family *f = r->family;
	pthread_mutex_lock(&f->lock);
	struct narrowed *new = calloc(1, sizeof(*new));
	bool made = new &&narrowed_fill(r, n, new);
	if (!new) {
		anchors_free(n->anchors, n->policy.unveil_count);
		policy_clear(&n->policy);
		policy_clear(&n->asked);
	} else if (!made) {
		narrowed_release(f, new);
	}
	pthread_mutex_unlock(&f->lock);
	if (!made)
		return -ENOMEM;
	int err = change(r, -1, NULL, new, NULL, NULL);
	pthread_mutex_lock(&f->lock);
	narrowed_release(f, new);
	pthread_mutex_unlock(&f->lock);
	return err;
}

/* What the families of a nested broker have from the start. NULL in *out: the broker's own policy. */
static int state_begin(struct family *f, struct narrowed **out)
{
	const struct broker *b = f->broker;
	const struct held held = {b->begin, b->begin_anchors};
	*out = NULL;
	if (!b->begin)
		return 0;
	struct narrowed *n = calloc(1, sizeof(*n));
	int err = n ? policy_copy(&n->policy, b->begin) : -ENOMEM;
	if (!err)
		err = anchors_narrow(b, held, held, &n->policy, &n->anchors);
	if (err) {
		if (n)
			policy_clear(&n->policy);
		free(n);
		return err;
	}
	n->users = 1;
	n->starts = true;
	*out = n;
	return 0;
}

void state_forget(void)
{
	atomic_store(&next_tag, 0);
}

int state_start(struct family *f, pid_t first, int cwd, mode_t umask)
{
	/* A family may hold a quarter of the broker's descriptors, so that it starves no other: a thousand processes that
	 * stand in directories of their own, where the hard limit is 4096. */
	struct rlimit64 files, limit;
	uint64_t share = getrlimit64(RLIMIT_NOFILE, &files) ? 0 : files.rlim_cur / 4;
	f->state_max = share > STATES_MAX ? STATES_MAX : share < 32 ? 32 : (size_t)share;
	f->states = calloc(f->state_max, sizeof(struct state *));
	int err = f->states ? 0 : -ENOMEM;
	if (!err && prlimit64(first, RLIMIT_LOCKS, NULL, &limit))
		err = -errno;
	if (err) {
		close(cwd);
		return err;
	}
	uint64_t none = 0, base = (uint64_t)f->broker->tag_base << 28 | 1;
	if (limit.rlim_max != RLIM64_INFINITY)
		base = base % (limit.rlim_max / 2 + 1) + 1;
	atomic_compare_exchange_strong(&next_tag, &none, base);
	struct state *s;
	struct narrowed *begin;
	err = state_begin(f, &begin);
	if (err) {
		close(cwd);
		return err;
	}
	err = intern(f, cwd, umask, begin, NULL, NULL, &s);
	narrowed_release(f, begin);
	if (err)
		return err;
	if (limit.rlim_max < s->tag)
		return -ERANGE;
	limit.rlim_cur = s->tag;
	return prlimit64(first, RLIMIT_LOCKS, &limit, NULL) ? -errno : 0;
}

void state_stop(struct family *f)
{
	for (size_t i = 0; i < f->state_count; i++)
		state_free(f, f->states[i]);
	free(f->states);
	f->states = NULL;
	f->state_count = 0;
}
