/* SPDX-License-Identifier: ISC */
/*
 * Owns what a confined process says to its broker by AIRLOCK_SYSCALL: that it gives up promises (pledge) or shows itself
 * fewer paths (unveil), and what others own. Runs in the broker, on the lane, so that what is given up is given up for every thread before the
 * call returns. The sender cannot be forged: it arrives as each request does. The process names what it wants to keep, and
 * keeps what policy_narrow() leaves of that: nothing it says can widen what it has.
 */
#include "broker/crash.h"
#include "broker/zygote.h"
#include "broker/nest.h"
#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* unveil(2) on OpenBSD; paths count without their NUL. */
#define COMPAT_PATH 1023
#define COMPAT_DIRECTORIES 128
#define COMPAT_NAMES 128

static int64_t flags_of(const struct request *r)
{
	const struct policy *p = policy_of(r);
	return (r->family->direct ? AIRLOCK_HAS_DIRECT : 0) |
	       (r->family->broker->narrowable ? AIRLOCK_HAS_NARROWABLE : 0) | (p->pledged ? AIRLOCK_HAS_PLEDGED : 0) |
	       (p->exec_given ? AIRLOCK_HAS_EXEC : 0) | (p->locked ? AIRLOCK_HAS_LOCK : 0) |
	       (p->abort ? AIRLOCK_HAS_ABORT : 0);
}

static struct answer query(struct request *r)
{
	const struct policy *p = policy_of(r);
	switch (r->args[1]) {
	case AIRLOCK_QUERY_FLAGS:
		return answer_value(flags_of(r));
	case AIRLOCK_QUERY_PROMISES:
		return answer_value((int64_t)p->promises);
	case AIRLOCK_QUERY_EXEC:
		return answer_value((int64_t)p->exec_promises);
	case AIRLOCK_QUERY_BELOW:
		return answer_value((int64_t)broker_below(r->family->broker));
	default:
		return answer_error(EINVAL);
	}
}

/* ---- pledge ---- */

/* What a process has left of `has` that asks for `wants`. With the promise `error` what it does not have is left out, and
 * nothing is said: pledge(2). */
static int promises_left(uint64_t has, uint64_t wants, uint64_t *left)
{
	if ((wants & ~has) && !(has & PROMISE_BIT(error)))
		return -EPERM;
	*left = wants & has;
	return 0;
}

/* Registers only: (op, parts, promises, exec promises). Both are judged before either is changed. */
static int pledge(struct request *r, unsigned parts, uint64_t promises, uint64_t exec_promises)
{
	const struct policy *now = policy_of(r);
	struct policy left, asked;
	policy_init(&asked);
	asked.pledged = now->pledged;
	asked.abort = parts & AIRLOCK_PLEDGE_ABORTS;
	parts &= ~(unsigned)AIRLOCK_PLEDGE_ABORTS;
	if (parts & ~(unsigned)(NARROW_PROMISES | NARROW_EXEC) || !parts)
		return -EINVAL;
	if (parts & NARROW_PROMISES) {
		/* A first pledge may ask for anything. What it gets is bounded by what there is: by the policy of a
		 * worker or of `airlock run`, or by what a program was left that executed this one. */
		uint64_t has = now->pledged ? now->promises : now->promises | promises;
		int e = promises_left(has, promises, &asked.promises);
		if (e < 0)
			return e;
		asked.pledged = true;
	}
	if ((parts & NARROW_EXEC) && now->exec_given && (exec_promises & ~now->exec_promises))
		return -EPERM;
	asked.exec_promises = exec_promises;
	asked.exec_given = parts & NARROW_EXEC;
	int e = policy_copy(&left, now);
	if (e < 0)
		return e;
	/* These bring nothing but another answer to violations, and less to see: whoever is bounded may have them. */
	if (!now->pledged)
		left.promises |= asked.promises & (PROMISE_BIT(error) | PROMISE_BIT(unveil));
	e = policy_narrow(&left, &asked, parts);
	struct anchor *anchors = NULL;
	if (e == 0)
		e = anchors_narrow(r->family->broker, state_held(r), state_held(r), &left, &anchors);
	if (e < 0) {
		policy_clear(&left);
		return e;
	}
	return state_narrow(r, &(struct narrowing){.policy = left, .anchors = anchors, .veil = VEIL_KEPT});
}

/* ---- unveil ---- */

void state_unveiled(const struct request *r, struct state *wide)
{
	struct held from;
	state_veil(r, &from);
	*wide = *r->state;
	wide->policy = from.policy;
	wide->anchors = from.anchors;
}

/* What the path leads to, in all that there is to unveil from. */
static int rule_place(struct request *r, struct place *place)
{
	struct state *state = r->state, wide;
	state_unveiled(r, &wide);
	r->state = &wide;
	int e = resolve(r, 0, RESOLVE_CREATE | RESOLVE_WALK, 0, place);
	if (e == 0 && strlen(place->path) >= PATH_MAX) {
		place_close(place);
		e = -ENAMETOOLONG;
	}
	r->state = state;
	return e;
}

/* unveil(2) wants some access to the object or to its parent. */
static bool accessible(int fd, const char *name, int flags)
{
	static const int modes[] = {R_OK, W_OK, X_OK};
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (faccessat(fd, name, modes[i], flags | AT_EACCESS) == 0)
			return true;
	return false;
}

/* Whether it is a directory, and whether the caller has any business with it. */
static int rule_object(struct place *place, bool *name)
{
	*name = !place->is_root;
	int fd = place->proc ? -ENOENT : place_open(place, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0 && place->proc)
		return 0;
	if (fd == -ENOENT)
		return accessible(place->base, ".", 0) ? 0 : -EPERM;
	if (fd < 0)
		return fd;
	*name = !S_ISDIR(place->st.st_mode);
	bool any = accessible(fd, "", AT_EMPTY_PATH) || accessible(place->base, ".", 0);
	close(fd);
	return any ? 0 : -EPERM;
}

static bool full(const struct policy *asked, const char *path, bool compat)
{
	size_t directories = 0, names = 0;
	for (size_t i = 0; i < asked->unveil_count; i++) {
		if (strcmp(asked->unveils[i].path, path) == 0)
			return false; /* replaced */
		names += asked->unveils[i].name;
		directories += !asked->unveils[i].name;
	}
	return compat && (directories >= COMPAT_DIRECTORIES || names >= COMPAT_NAMES);
}

/* *asked, what was unveiled so far, gets one rule more. */
static int rule_add(struct request *r, struct policy *asked, const char *perms_text, bool compat)
{
	struct place place;
	bool name;
	unsigned perms;
	int e = rule_place(r, &place);
	/* Hidden by who started this program, which OpenBSD would not have kept from it: there is nothing that could be shown,
	 * and the program, which knows of its own unveils alone, is not to give up for that. */
	const bool hidden = compat && e == -ENOENT && r->missing_perms && r->canonical[0] == '/';
	if (e < 0 && !hidden)
		return e;
	if (hidden) {
		name = true;
		snprintf(place.path, sizeof(place.path), "%s", r->canonical);
	}
	e = hidden ? 0 : rule_object(&place, &name);
	place_close(&place);
	/* Only now: unveil(2) looks at the path before it reads the letters. */
	if (e == 0)
		e = policy_perms_parse(perms_text, &perms);
	if (e == 0 && perms & PERM_D)
		e = -EINVAL;
	if (e == 0 && full(asked, place.path, compat))
		e = -E2BIG;
	return e < 0 ? e : policy_unveil(asked, place.path, perms, name);
}

/* *out: asked, and what loaders may read besides, as ever: programs that are executed have libraries. */
static int loaders_kept(const struct policy *from, const struct policy *asked, struct policy *out)
{
	int e = policy_copy(out, asked);
	for (size_t i = 0; e == 0 && i < from->unveil_count; i++) {
		const struct unveil *rule = &from->unveils[i];
		unsigned perms = rule->name ? policy_perms_at(asked, rule->path)
					    : policy_perms_below(asked, rule->path);
		if (rule->perms & PERM_LOADER)
			e = policy_unveil(out, rule->path, perms | PERM_LOADER, rule->name);
	}
	return e;
}

/* *out: what r's process has now, but for what is visible, which is what `from` and `asked` have in common. */
static int policy_veiled(
	const struct request *r, const struct policy *from, const struct policy *asked, struct policy *out)
{
	struct policy view, with_loaders;
	policy_init(&view);
	int e = loaders_kept(from, asked, &with_loaders);
	if (e == 0)
		e = policy_copy(&view, from);
	if (e == 0)
		e = policy_narrow(&view, &with_loaders, NARROW_UNVEILS);
	policy_clear(&with_loaders);
	if (e == 0)
		e = policy_copy(out, policy_of(r));
	if (e == 0) {
		struct unveil *list = out->unveils;
		size_t count = out->unveil_count;
		out->unveils = view.unveils;
		out->unveil_count = view.unveil_count;
		out->everything = view.everything;
		view.unveils = list;
		view.unveil_count = count;
	}
	policy_clear(&view);
	return e;
}

static int veil(struct request *r, const char *perms, bool compat)
{
	struct narrowing n = {.veil = VEIL_ASKED};
	struct held from;
	int e = policy_copy(&n.asked, state_veil(r, &from));
	if (e < 0)
		return e;
	policy_init(&n.policy);
	e = rule_add(r, &n.asked, perms, compat);
	if (e == 0)
		e = policy_veiled(r, from.policy, &n.asked, &n.policy);
	if (e == 0)
		e = anchors_narrow(r->family->broker, from, state_held(r), &n.policy, &n.anchors);
	if (e == 0)
		return state_narrow(r, &n);
	policy_clear(&n.asked);
	policy_clear(&n.policy);
	return e;
}

static int lock(struct request *r)
{
	struct narrowing n = {.veil = VEIL_KEPT};
	int e = policy_copy(&n.policy, policy_of(r));
	if (e < 0)
		return e;
	n.policy.locked = true;
	e = anchors_narrow(r->family->broker, state_held(r), state_held(r), &n.policy, &n.anchors);
	if (e < 0) {
		policy_clear(&n.policy);
		return e;
	}
	return state_narrow(r, &n);
}

/* (op, path, permissions, compat): the errors in the order of unveil(2). */
static int unveil(struct request *r)
{
	char *path = r->buffer; /* is there until a refusal is told */
	char perms[8];
	const bool compat = r->args[3];
	const struct policy *now = policy_of(r);
	bool locks = !r->args[1] && !r->args[2];
	ssize_t n = locks ? 0 : memory_read_string(r, r->args[1], path, compat ? COMPAT_PATH + 1 : PATH_MAX);
	r->path[0] = n >= 0 && !locks ? path : NULL;
	r->dirfd[0] = AT_FDCWD;
	if (now->pledged && promised(r, PROMISE_BIT(unveil)) < 0)
		return -EPERM;
	if (locks)
		return now->locked ? 0 : lock(r);
	if (now->locked)
		return -EPERM;
	if (r->family->direct)
		return -EOPNOTSUPP; /* the kernel would go on showing the direct trees */
	/* Four letters, or five with a "d" that is refused below: -ENAMETOOLONG. */
	ssize_t letters = memory_read_string(r, r->args[2], perms, compat ? 5 : 6);
	if (letters < 0 || n <= 0)
		return letters < 0 ? (int)letters : n < 0 ? (int)n : -EINVAL;
	if (!request_alive(r))
		return -EPERM;
	int e = veil(r, perms, compat);
	/* What was looked for and not found is no refusal. */
	r->missing_perms = 0;
	r->canonical[0] = 0;
	return e;
}

void narrow_broker(struct family *f)
{
	struct broker *b = f->broker;
	f->narrowed_since = false;
	/* A broker of workers may be told to start one more, with all of the policy. */
	if (!b->in_place)
		return;
	uint64_t left = state_promises(f);
	if (left == b->promises)
		return;
	b->promises = left;
	operations_close(b, left);
	/* Where that fails, what is decided is decided as before. */
	if (b->confined)
		(void)broker_shrink(b, left | b->policy.exec_promises);
}

/* A fork of a zygote is lent what is its own. */
static struct answer attach(struct request *r)
{
	const struct family *f = r->family;
	struct instance *i = r->state->instance;
	int fd = -ENOENT;
	if (!f->on_attach)
		return answer_error(EINVAL);
	if (!i) {
		fd = f->on_attach(f->arg, r->args[1]);
	} else {
		pthread_mutex_lock(&i->telling);
		if (i->arg)
			fd = f->on_attach(i->arg, r->args[1]);
		pthread_mutex_unlock(&i->telling);
	}
	return fd < 0 ? answer_error(-fd) : answer_fd(fd, true);
}

struct answer op_airlock(struct request *r)
{
	int e;
	switch (r->args[0]) {
	case AIRLOCK_OP_QUERY:
		return query(r);
	case AIRLOCK_OP_PLEDGE:
		e = pledge(r, (unsigned)r->args[1], r->args[2], r->args[3]);
		break;
	case AIRLOCK_OP_UNVEIL:
		e = unveil(r);
		break;
	case AIRLOCK_OP_VIOLATION:
		return op_violation(r);
	case AIRLOCK_OP_NEST:
		return op_nest(r);
	case AIRLOCK_OP_BEGIN:
		return op_begin(r);
	case AIRLOCK_OP_BARREN:
		return op_barren(r);
	case AIRLOCK_OP_ATTACH:
		return attach(r);
	case AIRLOCK_OP_ANSWERED:
		if (r->family->on_answered)
			r->family->on_answered(r->family->arg, r->state->instance);
		return answer_value(0);
	case AIRLOCK_OP_CRASHED:
		return op_crashed(r);
	default:
		e = -EINVAL;
	}
	r->family->narrowed_since = r->family->narrowed_since || e == 0;
	return e < 0 ? answer_error(-e) : answer_value(0);
}

bool promised_direct(const struct request *r)
{
	size_t count;
	const struct promise_row *rows = r->family->broker->narrowable ? promise_rows(&count) : NULL;
	const uint64_t promises = policy_of(r)->promises;
	for (size_t i = 0; rows && i < count; i++)
		if (rows[i].number == r->nr && rows[i].kind == ROW_ALLOW && !(rows[i].need & ~promises) &&
			promise_row_matches(&rows[i], r->args)) {
			identity_note(r);
			return true;
		}
	return false;
}
