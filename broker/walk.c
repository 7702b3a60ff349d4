/* SPDX-License-Identifier: ISC */
/* Owns the slow way from a path to an object: one component at a time, one descriptor in the hand, symlinks read and
 * spliced into what is left. The text of where it stands is true by construction; ".." never opens "..", it enters the
 * parent by its text. Hidden directories may be walked through, but whatever fails in one is ENOENT, so that no errno
 * tells what is there. Runs in the broker, on the target's strings. */
#include "broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel's */

struct walker {
	struct request *r;
	const struct policy *policy;
	const struct broker *broker;
	struct place *out;
	uint64_t resolve; /* what the caller of openat2 asked */
	unsigned how, need;
	int cur; /* the directory of out->path; -1 in /proc */
	bool own;
	dev_t dev; /* of cur when it was looked at, else 0 */
	size_t len; /* of out->path, where "/" counts as nothing */
	size_t floor; /* len where the walk began, for BENEATH and IN_ROOT */
	int floor_fd; /* IN_ROOT: what stands for "/" */
	unsigned links;
	bool done;
	const char *at; /* in todo */
	const char *asked; /* in todo: from here on it is what the target asked, before it what a hidden link said */
	char todo[PATH_MAX];
};

static const char *text(const struct walker *w)
{
	return w->len ? w->out->path : "/";
}

static bool visible(const struct walker *w)
{
	return judge(w->r, text(w), 0, NULL) == 0;
}

/* The errno of something that failed at the place the text names. */
static int error(struct walker *w, int e)
{
	return visible(w) ? e : refuse(w->r, text(w), w->need, -ENOENT);
}

static void hold(struct walker *w, int fd, bool own, dev_t dev)
{
	if (w->own)
		close(w->cur);
	w->cur = fd;
	w->own = own;
	w->dev = dev;
}

static void cut(struct walker *w, size_t len)
{
	w->len = len;
	w->out->path[len] = 0;
}

/* Takes the directory of the text into the hand. */
static int enter(struct walker *w)
{
	if (w->resolve & RESOLVE_NO_XDEV)
		return error(w, -EXDEV); /* not known which mounts lie between */
	if (in_proc(text(w))) {
		hold(w, -1, false, 0);
		return 0;
	}
	if ((w->resolve & RESOLVE_IN_ROOT) && w->len == w->floor) {
		hold(w, w->floor_fd, false, 0);
		return 0;
	}
	const struct unveil *rule = policy_find(w->policy, text(w));
	int base = w->broker->root;
	const char *rest = w->len ? w->out->path + 1 : ".";
	if (rule && !rule->name) {
		size_t len = rule->path[1] ? strlen(rule->path) : 0;
		base = anchor_of(w->r, rule)->fd;
		rest = w->len > len ? w->out->path + len + 1 : ".";
	}
	if (base < 0)
		return error(w, -ENOENT);
	int fd = open_beneath(base, rest, O_PATH | O_DIRECTORY, 0, 0);
	if (fd >= 0 && is_procfs(fd)) {
		close(fd);
		fd = -ENOENT;
	}
	if (fd < 0)
		return error(w, fd);
	hold(w, fd, true, 0);
	return 0;
}

static int up(struct walker *w, bool asked)
{
	if ((w->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) && w->len == w->floor)
		return w->resolve & RESOLVE_BENEATH ? -EXDEV : 0;
	/* "/hidden/.." must not tell whether /hidden is there, unless a rule below it tells anyway. */
	if (asked && !in_proc(text(w)) && !visible(w) && !policy_below(w->policy, text(w)))
		return refuse(w->r, text(w), w->need, -ENOENT);
	if (!w->len)
		return 0;
	size_t len = w->len;
	while (w->out->path[len - 1] != '/')
		len--;
	cut(w, len - 1);
	return enter(w);
}

/* fd is a symlink at the text; name is its last component, of length n. */
static int follow(struct walker *w, int fd, size_t parent_len)
{
	char link[PATH_MAX];
	if (w->resolve & RESOLVE_NO_SYMLINKS)
		return error(w, -ELOOP);
	if (++w->links > LINKS_MAX)
		return error(w, -ELOOP);
	ssize_t n = readlinkat(fd, "", link, sizeof(link));
	if (n < 0)
		return error(w, -errno);
	size_t left = strlen(w->at);
	if ((size_t)n + left >= sizeof(w->todo))
		return error(w, -ENAMETOOLONG);
	bool absolute = n && link[0] == '/';
	if (absolute && (w->resolve & RESOLVE_BENEATH))
		return error(w, -EXDEV);
	/* The target may have made a link that it can see; one that it cannot see says nothing of the target's. */
	size_t hidden_left = w->asked > w->at ? (size_t)(w->asked - w->at) : 0;
	w->asked = visible(w) ? w->todo : w->todo + (size_t)n + hidden_left;
	memmove(w->todo + n, w->at, left + 1);
	memcpy(w->todo, link, (size_t)n);
	w->at = w->todo;
	if (!absolute) {
		cut(w, parent_len);
		return 0;
	}
	cut(w, w->resolve & RESOLVE_IN_ROOT ? w->floor : 0);
	return enter(w);
}

/* The walk ends at name in dirfd (borrowed): it is what place_open() opens. */
static int finish(struct walker *w, int dirfd, const char *name, bool slash)
{
	struct place *out = w->out;
	int e = judge(w->r, text(w), w->need, &out->rule);
	if (e < 0)
		return refuse(w->r, text(w), w->need, e);
	if (dirfd == w->cur) {
		out->own_base = w->own;
		w->own = false;
	}
	out->base = dirfd;
	out->dev = 0;
	snprintf(out->rest, sizeof(out->rest), "%s%s", name, slash ? "/" : "");
	w->done = true;
	return 0;
}

/* The rule of just this text, and its anchor. */
static const struct unveil *exact(const struct walker *w, const struct anchor **a)
{
	const struct unveil *rule = policy_find(w->policy, text(w));
	if (!rule || strcmp(rule->path, text(w)) != 0)
		return NULL;
	*a = anchor_of(w->r, rule);
	return rule;
}

static int finish_parent(struct walker *w, int dirfd, const struct unveil *rule, const char *name, bool slash)
{
	int e = judge(w->r, text(w), w->need, NULL);
	if (e < 0)
		return refuse(w->r, text(w), w->need, e);
	if (rule && !rule->name)
		return -EBUSY; /* it is held, like a mount point */
	return finish(w, dirfd, name, slash);
}

/* What was found under name: st, fd (taken). */
static int found(struct walker *w, int dirfd, const char *name, int fd, size_t parent_len, bool last, bool slash)
{
	struct stat *st = &w->out->st;
	int e = fstat(fd, st) < 0 ? -errno : 0;
	if (e == 0 && st->st_dev != w->dev && is_procfs(fd))
		e = -ENOENT;
	if (e == 0 && S_ISLNK(st->st_mode) && !(last && !slash && (w->how & RESOLVE_NOFOLLOW_LAST))) {
		e = follow(w, fd, parent_len);
	} else if (e == 0 && last) {
		w->out->have_st = true;
		e = finish(w, dirfd, name, slash);
	} else if (e == 0 && !S_ISDIR(st->st_mode)) {
		e = error(w, -ENOTDIR);
	} else if (e == 0) {
		hold(w, fd, true, st->st_dev);
		return 0;
	} else {
		e = error(w, e);
	}
	close(fd);
	return e;
}

static int step(struct walker *w, const char *component, size_t n, bool last, bool slash)
{
	char name[NAME_MAX + 1];
	const struct anchor *a = NULL;
	size_t parent_len = w->len;
	if (n > NAME_MAX || w->len + 1 + n >= PATH_MAX)
		return error(w, -ENAMETOOLONG);
	memcpy(name, component, n);
	name[n] = 0;
	w->out->path[w->len] = '/';
	memcpy(w->out->path + w->len + 1, name, n + 1);
	w->len += 1 + n;
	if (in_proc(w->out->path)) {
		hold(w, -1, false, 0);
		return 0;
	}
	const struct unveil *rule = exact(w, &a);
	if (rule && a->fd < 0)
		return error(w, -ENOENT);
	int dirfd = rule && rule->name ? a->fd : w->cur;
	if (last && (w->how & RESOLVE_PARENT))
		return finish_parent(w, dirfd, rule, name, slash);
	if (rule && !rule->name) {
		/* Held since the beginning: what has this name by now does not matter. */
		if (w->resolve & RESOLVE_NO_XDEV)
			return error(w, -EXDEV);
		hold(w, a->fd, false, a->dev);
		return 0;
	}
	int fd = open_beneath(dirfd, name, O_PATH | O_NOFOLLOW, 0, w->resolve & RESOLVE_NO_XDEV);
	if (fd == -ENOENT && last && (w->how & RESOLVE_CREATE))
		return finish(w, dirfd, name, slash);
	if (fd < 0)
		return error(w, fd);
	return found(w, dirfd, name, fd, parent_len, last, slash);
}

static int begin(struct walker *w, int which)
{
	const char *path = w->r->path[which];
	size_t len = strlen(path);
	if (len >= sizeof(w->todo))
		return -ENAMETOOLONG;
	memcpy(w->todo, path, len + 1);
	w->at = w->asked = w->todo;
	if (*path == '/' && !(w->resolve & RESOLVE_IN_ROOT)) {
		if (w->resolve & (RESOLVE_BENEATH | RESOLVE_NO_XDEV))
			return -EXDEV;
		cut(w, 0);
		return enter(w);
	}
	int fd = base_of(w->r, w->r->dirfd[which], w->out->path, &w->own);
	if (fd < 0) {
		w->own = false;
		return fd;
	}
	w->cur = fd;
	w->len = w->out->path[1] ? strlen(w->out->path) : 0;
	w->floor = w->len;
	if (w->resolve & RESOLVE_IN_ROOT) {
		w->floor_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		return w->floor_fd < 0 ? -errno : 0;
	}
	return in_proc(text(w)) ? enter(w) : 0;
}

static int run(struct walker *w)
{
	bool dot = false;
	int e = 0;
	while (e == 0 && !w->done) {
		const char *c = w->at + strspn(w->at, "/");
		if (!*c)
			break;
		size_t n = strcspn(c, "/");
		w->at = c + n;
		bool slash = c[n] == '/', last = !w->at[strspn(w->at, "/")];
		dot = c[0] == '.' && (n == 1 || (n == 2 && c[1] == '.'));
		if (dot)
			e = n == 2 ? up(w, c >= w->asked) : 0;
		else
			e = step(w, c, n, last, slash);
	}
	if (e < 0 || w->done)
		return e;
	w->out->path[w->len ? w->len : 1] = 0;
	if (!w->len)
		w->out->path[0] = '/';
	if (in_proc(w->out->path)) {
		w->out->proc = true;
		return w->how & RESOLVE_PARENT ? error(w, -EACCES) : 0;
	}
	if (w->how & RESOLVE_PARENT) {
		w->need = 0;
		e = finish(w, w->cur, ".", false);
		return e < 0 ? e : dot ? -EISDIR : -EBUSY;
	}
	w->out->is_root = true;
	return finish(w, w->cur, ".", false);
}

int walk(struct request *r, int which, unsigned how, unsigned need, struct place *out)
{
	struct walker w = {.r = r,
		.policy = policy_of(r),
		.broker = r->family->broker,
		.out = out,
		.resolve = r->op && r->op->how >= 0 ? r->how.resolve : 0,
		.how = how,
		.need = need,
		.cur = -1,
		.floor_fd = -1};
	out->walked = true;
	out->resolve = w.resolve & RESOLVE_NO_XDEV;
	int e = begin(&w, which);
	if (e == 0)
		e = run(&w);
	/* IN_ROOT's floor may be what the place resolves from. */
	if (e == 0 && w.floor_fd >= 0 && out->base == w.floor_fd) {
		out->own_base = true;
		w.floor_fd = -1;
	}
	if (w.own)
		close(w.cur);
	if (w.floor_fd >= 0)
		close(w.floor_fd);
	if (e < 0)
		place_close(out);
	return e;
}
