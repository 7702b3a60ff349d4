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
#include <sys/syscall.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel's */
#define RACES 8 /* as often as somebody may swap a directory behind us */

struct walker {
	struct request *r;
	const struct policy *policy;
	const struct broker *broker;
	struct place *out;
	uint64_t resolve; /* what the caller of openat2 asked */
	unsigned how, need;
	int cur; /* the directory of out->path; -1 in /proc */
	bool own;
	bool removed; /* cur was removed: there is nothing in it, and nothing can be made there */
	dev_t dev; /* of cur when it was looked at, else 0 */
	size_t len; /* of out->path, where "/" counts as nothing */
	size_t floor; /* len where the walk began, for BENEATH and IN_ROOT */
	size_t stands; /* so much of the text is a directory that the target has in its hand, or one above that */
	int floor_fd; /* IN_ROOT: what stands for "/" */
	dev_t begun; /* NO_XDEV: that of the directory it began in */
	unsigned links;
	bool done;
	bool raced; /* what was walked as a directory has become a link since */
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
	w->removed = false;
}

static void cut(struct walker *w, size_t len)
{
	w->len = len;
	w->stands = len < w->stands ? len : w->stands;
	w->out->path[len] = 0;
}

/* Takes the directory of the text into the hand. */
static int enter(struct walker *w)
{
	if (in_proc(text(w))) {
		if (w->resolve & RESOLVE_NO_XDEV)
			return error(w, -EXDEV);
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
	/* Each rule may have a mount of its own, which the target must not notice: what counts is the file system. */
	struct stat st;
	if (fd >= 0 && (w->resolve & RESOLVE_NO_XDEV) && (fstat(fd, &st) < 0 || st.st_dev != w->begun)) {
		close(fd);
		fd = -EXDEV;
	}
	/* The text has no links in it: what was one of its directories is a link by now. */
	w->raced = fd == -ELOOP;
	if (fd < 0)
		return error(w, fd);
	hold(w, fd, true, 0);
	return 0;
}

/* "." and ".." are looked up in the directory, which takes the right to search it. */
static int searched(struct walker *w)
{
	bool no = w->cur >= 0 && syscall(SYS_faccessat2, w->cur, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0 &&
		  errno == EACCES;
	return no ? error(w, -EACCES) : 0;
}

static int up(struct walker *w, bool asked)
{
	if ((w->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) && w->len == w->floor)
		return w->resolve & RESOLVE_BENEATH ? -EXDEV : 0;
	/* "/hidden/.." must not tell whether /hidden is there, unless a rule below it tells anyway, or where it stands. */
	if (asked && w->len > w->stands && !in_proc(text(w)) && !visible(w) && !policy_below(w->policy, text(w)))
		return refuse(w->r, text(w), w->need, -ENOENT);
	int e = searched(w);
	if (e < 0)
		return e;
	if (!w->len)
		return 0;
	size_t len = w->len;
	while (w->out->path[len - 1] != '/')
		len--;
	cut(w, len - 1);
	return enter(w);
}

/* The kernel's fs.protected_symlinks, which is not asked when it follows nothing: in a directory where anybody may put
 * one, a link at the end of a path leads on only for its owner, or when the directory's owner put it there. */
static bool may_follow(const struct walker *w, int dirfd)
{
	const struct stat *link = &w->out->st;
	struct stat dir;
	char on = '0';
	if (link->st_uid == geteuid() || fstat(dirfd, &dir) < 0)
		return true;
	if ((dir.st_mode & (S_ISVTX | S_IWOTH)) != (S_ISVTX | S_IWOTH) || dir.st_uid == link->st_uid)
		return true;
	int fd = openat(w->broker->proc, "sys/fs/protected_symlinks", O_RDONLY | O_CLOEXEC);
	bool told = fd >= 0 && read(fd, &on, 1) == 1;
	if (fd >= 0)
		close(fd);
	return told && on == '0';
}

/* fd is a symlink at the text, in the directory dirfd; the text without it has parent_len bytes. */
static int follow(struct walker *w, int fd, int dirfd, size_t parent_len, bool last)
{
	char link[PATH_MAX];
	if (w->resolve & RESOLVE_NO_SYMLINKS)
		return error(w, -ELOOP);
	if (++w->links > LINKS_MAX)
		return error(w, -ELOOP);
	if (last && !may_follow(w, dirfd))
		return error(w, -EACCES);
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

/* unveil(2) on OpenBSD holds a directory without keeping it: programs unveil the one that they made for a while, and remove it
 * in the end. Only where nothing is mounted for the rule, and what has the name is what is held. */
static int held(const struct walker *w, int dirfd, const struct anchor *a, const char *name)
{
	struct stat own, now;
	if (!w->policy->abort || w->broker->private_mounts || dirfd < 0 || fstat(a->fd, &own) < 0)
		return -EBUSY;
	if (fstatat(dirfd, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	bool same = now.st_dev == own.st_dev && now.st_ino == own.st_ino;
	return same && w->r->op && w->r->op->handle == op_unlink ? 0 : -EBUSY;
}

static int finish_parent(
	struct walker *w, int dirfd, const struct unveil *rule, const struct anchor *a, const char *name, bool slash)
{
	int e = judge(w->r, text(w), w->need, NULL);
	if (e < 0)
		return refuse(w->r, text(w), w->need, e);
	e = rule && !rule->name ? held(w, dirfd, a, name) : 0; /* like a mount point */
	if (e < 0)
		return e;
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
		e = follow(w, fd, dirfd, parent_len, last);
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

/* A link of /proc leads on to a directory that the process has: the text becomes that one's. */
static int through(struct walker *w, bool last)
{
	char path[PATH_MAX];
	bool own;
	int fd = proc_directory(w->r, text(w), last, &own);
	if (fd < 0 && fd != PROC_ROOT)
		return 0;
	int e = 0;
	if (w->resolve & (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS))
		e = -ELOOP;
	else if (w->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_XDEV))
		e = -EXDEV;
	else if (++w->links > LINKS_MAX)
		e = -ELOOP;
	if (e == 0 && fd == PROC_ROOT) {
		cut(w, 0);
		return enter(w);
	}
	if (e == 0)
		e = canonical_of(w->r->state, w->broker, fd, path);
	if (e < 0) {
		if (own)
			close(fd);
		return e;
	}
	memcpy(w->out->path, path, strlen(path) + 1);
	w->len = path[1] ? strlen(path) : 0;
	w->stands = w->len;
	hold(w, fd, own, 0);
	return 0;
}

static int step(struct walker *w, const char *component, size_t n, bool last, bool slash)
{
	char name[NAME_MAX + 1];
	const struct anchor *a = NULL;
	size_t parent_len = w->len;
	if (n > NAME_MAX || w->len + 1 + n >= CANONICAL_MAX)
		return error(w, -ENAMETOOLONG);
	memcpy(name, component, n);
	name[n] = 0;
	w->out->path[w->len] = '/';
	memcpy(w->out->path + w->len + 1, name, n + 1);
	w->len += 1 + n;
	w->stands = parent_len < w->stands ? parent_len : w->stands;
	if (w->removed)
		return error(w, -ENOENT);
	if (in_proc(w->out->path)) {
		hold(w, -1, false, 0);
		if (last && (w->how & RESOLVE_PARENT || (!slash && w->how & RESOLVE_NOFOLLOW_LAST)))
			return 0;
		return through(w, last && !slash);
	}
	const struct unveil *rule = exact(w, &a);
	if (rule && a->fd < 0)
		return error(w, -ENOENT);
	int dirfd = rule && rule->name ? a->fd : w->cur;
	if (last && (w->how & RESOLVE_PARENT))
		return finish_parent(w, dirfd, rule, a, name, slash);
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
	int fd = base_of(w->r, w->r->dirfd[which], w->out->path, &w->own, &w->removed);
	if (fd < 0) {
		w->own = false;
		return fd;
	}
	w->cur = fd;
	w->len = w->out->path[1] ? strlen(w->out->path) : 0;
	w->floor = w->stands = w->len;
	struct stat st;
	w->begun = fstat(fd, &st) < 0 ? 0 : st.st_dev;
	if (w->resolve & RESOLVE_IN_ROOT) {
		w->floor_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		return w->floor_fd < 0 ? -errno : 0;
	}
	return in_proc(text(w)) ? enter(w) : 0;
}

static int run(struct walker *w)
{
	bool dot = false, slash = false;
	int e = 0;
	while (e == 0 && !w->done) {
		const char *c = w->at + strspn(w->at, "/");
		if (!*c)
			break;
		size_t n = strcspn(c, "/");
		w->at = c + n;
		bool last = !w->at[strspn(w->at, "/")];
		slash = c[n] == '/';
		dot = c[0] == '.' && (n == 1 || (n == 2 && c[1] == '.'));
		if (dot)
			e = n == 2 ? up(w, c >= w->asked) : searched(w);
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
		snprintf(w->out->rest, sizeof(w->out->rest), "%s", slash || dot ? "/" : "");
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

static int walk_once(struct request *r, int which, unsigned how, unsigned need, struct place *out, bool *raced)
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
	*raced = w.raced && e == -ELOOP;
	return e;
}

int walk(struct request *r, int which, unsigned how, unsigned need, struct place *out)
{
	bool raced = true;
	int e = -ELOOP;
	for (int i = 0; raced && i < RACES; i++)
		e = walk_once(r, which, how, need, out, &raced);
	return e;
}
