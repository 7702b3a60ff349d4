/* SPDX-License-Identifier: ISC */
/* Owns the way from a path to an object. First by the text alone: a path without ".." names what lies under its most
 * specific rule, and one openat2() beneath that rule's anchor, which follows no symlink, proves that the text was the
 * truth. Where it was not, walk.c looks at each component. Judged before anything is opened. Runs in the broker, on
 * the target's strings. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef PROC_SUPER_MAGIC
#define PROC_SUPER_MAGIC 0x9fa0
#endif
#define RACES 8 /* how often somebody may swap a component under us before that is the answer */

const struct policy *policy_of(const struct request *r)
{
	return r->state && r->state->policy ? r->state->policy : &r->family->broker->policy;
}

const struct anchor *anchor_of(const struct request *r, const struct unveil *rule)
{
	const struct anchor *anchors = r->state && r->state->policy ? r->state->anchors : r->family->broker->anchors;
	return &anchors[rule - policy_of(r)->unveils];
}

bool is_procfs(int fd)
{
	struct statfs fs;
	return fstatfs(fd, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC;
}

int judge(const struct request *r, const char *path, unsigned need, const struct unveil **rule)
{
	const struct policy *p = policy_of(r);
	const struct unveil *found = NULL;
	if (rule)
		*rule = NULL;
	int e = policy_judge(p, path, need, &found);
	if (rule)
		*rule = found;
	if (!loader_only(found))
		return e;
	if (!request_loading(r))
		return -ENOENT;
	return need & ~(unsigned)PERM_R ? -EACCES : 0;
}

int promised(struct request *r, uint64_t need)
{
	return policy_promised(policy_of(r), need, &r->missing_promise);
}

int refuse(struct request *r, const char *path, unsigned need, int e)
{
	const struct policy *p = policy_of(r);
	const struct unveil *rule = policy_find(p, path);
	snprintf(r->canonical, sizeof(r->canonical), "%s", path);
	r->missing_perms = (need ? need : PERM_R) & ~(rule ? rule->perms : 0u);
	return e;
}

int open_beneath(int base, const char *rest, int flags, mode_t mode, uint64_t more)
{
	struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | more};
	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)
		how.mode = mode;
	/* A rename anywhere during the walk makes it -EAGAIN; so does a lease, which more tries do not break. -EXDEV, where
	 * nobody asked for one mount alone, says that what was found has left the base meanwhile. */
	for (int i = 0;; i++) {
		int fd = (int)syscall(SYS_openat2, base, rest, &how, sizeof(how));
		if (fd >= 0)
			return fd;
		bool left = errno == EXDEV && !(more & RESOLVE_NO_XDEV);
		if ((errno != EAGAIN && !left) || i == RACES)
			return left ? -ENOENT : -errno;
	}
}

int path_collapse(char text[CANONICAL_MAX], size_t len, const char *path, bool *slash)
{
	*slash = false;
	while (*path) {
		size_t n = strcspn(path, "/");
		*slash = path[n] == '/';
		if (n == 2 && path[0] == '.' && path[1] == '.')
			return 1;
		if (n == 1 && path[0] == '.') {
			*slash = true;
		} else if (n) {
			if (len + 1 + n >= CANONICAL_MAX - 1)
				return -ENAMETOOLONG;
			text[len++] = '/';
			memcpy(text + len, path, n);
			len += n;
		}
		path += n + strspn(path + n, "/");
	}
	if (!len)
		text[len++] = '/';
	text[len] = 0;
	return 0;
}

static bool ends_in_dot(const char *path)
{
	size_t n = strlen(path);
	while (n && path[n - 1] == '/')
		n--;
	return n && path[n - 1] == '.' && (n == 1 || path[n - 2] == '/');
}

/* Chooses what to resolve from, for a path whose text was judged well. 1: it must be walked. */
static int choose(struct request *r, int base, const char *base_path, struct place *out)
{
	const struct policy *p = policy_of(r);
	const char *rest;
	bool name = out->rule && out->rule->name;
	out->is_root = out->rule ? !name && strcmp(out->path, out->rule->path) == 0 : !out->path[1];
	if (base >= 0 && !name && policy_find(p, base_path) == out->rule) {
		out->base = base; /* the very object, wherever it is by now */
		rest = path_rest(out->path, base_path);
	} else if (!out->rule) {
		out->base = r->family->broker->root; /* everything is visible, from in place */
		rest = path_rest(out->path, "/");
	} else {
		const struct anchor *a = anchor_of(r, out->rule);
		if (a->fd < 0)
			return -ENOENT;
		out->base = a->fd;
		out->dev = a->dev;
		rest = name ? a->name : path_rest(out->path, out->rule->path);
	}
	if (strlen(rest) + sizeof("/.") > sizeof(out->rest))
		return 1; /* too long for one call, from so far above */
	strcpy(out->rest, rest);
	return 0;
}

/* 0, negative errno, or 1: it must be walked. */
static int resolve_text(struct request *r, int which, unsigned how, unsigned need, struct place *out)
{
	const char *path = r->path[which];
	char base_path[PATH_MAX] = "";
	size_t len = 0;
	bool own = false, slash = false, removed = false;
	int base = -1, e;
	if ((how & RESOLVE_PARENT) && ends_in_dot(path))
		return 1;
	if (*path != '/') {
		base = base_of(r, r->dirfd[which], base_path, &own, &removed);
		if (base >= 0 && removed && own)
			close(base);
		if (base < 0 || removed)
			return base < 0 ? base : 1;
		len = base_path[1] ? strlen(base_path) : 0;
		memcpy(out->path, base_path, len);
	}
	e = path_collapse(out->path, len, path, &slash);
	/* A refusal is said by the walk, which knows the object. */
	if (e == 0 && (in_proc(out->path) || judge(r, out->path, need, &out->rule) < 0))
		e = 1;
	if (e == 0)
		e = choose(r, base, base_path, out);
	if (e == 0 && (how & RESOLVE_PARENT) && out->is_root)
		e = 1;
	/* path_collapse() left room. "x/." and "x/" are not the same where x is to be made, or is somebody else's link. */
	if (e == 0 && slash && strcmp(out->rest, ".") != 0)
		strcat(out->rest, ends_in_dot(path) ? "/." : "/");
	out->own_base = own && e == 0 && out->base == base;
	if (own && !out->own_base)
		close(base);
	return e;
}

static void place_init(struct place *p)
{
	memset(p, 0, offsetof(struct place, rest));
	p->base = -1;
	p->rest[0] = p->path[0] = 0;
}

/* "/proc/self/fd/3/name" is "name" from the caller's own descriptor: how programs do what has no call with a dirfd (tar,
 * for attributes). */
static bool from_descriptor(struct request *r, int which)
{
	static const char own[] = "/proc/self/fd/";
	const char *number = r->path[which] + sizeof(own) - 1;
	if (strncmp(r->path[which], own, sizeof(own) - 1) != 0 || *number < '0' || *number > '9')
		return false;
	char *end;
	unsigned long n = strtoul(number, &end, 10);
	if (n > INT_MAX || *end != '/' || !end[strspn(end, "/")])
		return false;
	r->dirfd[which] = (int)n;
	r->path[which] = end + strspn(end, "/");
	return true;
}

int resolve(struct request *r, int which, unsigned how, unsigned need, struct place *out)
{
	uint64_t asked = r->op && r->op->how >= 0 ? r->how.resolve : 0;
	place_init(out);
	if (!r->path[which] || !r->path[which][0])
		return -ENOENT;
	if (!asked && from_descriptor(r, which)) {
		int e = resolve(r, which, how, need, out);
		return e == -EBADF ? -ENOENT : e;
	}
	if (!(how & RESOLVE_WALK) && !(asked & (RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_XDEV))) {
		int e = resolve_text(r, which, how, need, out);
		if (e <= 0)
			return e;
		place_init(out);
	}
	return walk(r, which, how, need, out);
}

void place_close(struct place *p)
{
	if (p->own_base && p->base >= 0)
		close(p->base);
	p->base = -1;
	p->own_base = false;
}

bool loader_may(const struct request *r, const struct place *p)
{
	if (!p->rule || !(p->rule->perms & PERM_LOADER) || !p->have_st || !request_loading(r))
		return false;
	const char *name = strrchr(p->path, '/');
	return S_ISREG(p->st.st_mode) && (p->rule->name || (name && strstr(name, ".so")));
}

/* fd is what the place leads to, or a negative errno. */
static int place_opened(struct place *p, int fd)
{
	if (fd < 0)
		return fd;
	p->have_st = fstat(fd, &p->st) == 0;
	if (!p->have_st || (p->st.st_dev != p->dev && is_procfs(fd))) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

int place_open(struct place *p, int flags, mode_t mode)
{
	return place_opened(p, open_beneath(p->base, p->rest, flags, mode, p->resolve));
}

/* Whether the text leads through a name that is hidden though what lies around it is not: then no errno may tell. */
static bool through_hidden(const struct request *r, const struct place *p)
{
	char prefix[CANONICAL_MAX];
	if (!p->rule)
		return false;
	size_t len = strlen(p->rule->path);
	for (size_t i = len; p->path[i]; i++) {
		if (i == len || p->path[i] != '/')
			continue;
		memcpy(prefix, p->path, i);
		prefix[i] = 0;
		if (judge(r, prefix, 0, NULL) == -ENOENT)
			return true;
	}
	return false;
}

/* To open a device can have an effect already (a watchdog, a tape). Private mounts have none to open; elsewhere those
 * of /dev are looked at first. */
static int before_device(const struct request *r, struct place *p, int flags)
{
	if ((flags & O_PATH) || r->family->broker->private_mounts || strncmp(p->path, "/dev/", 5) != 0)
		return 0;
	int fd = place_open(p, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd == -ENOENT && (flags & O_CREAT) ? 0 : fd;
	close(fd);
	return device_allowed(r, p);
}

int resolve_open(struct request *r, int which, unsigned how, unsigned need, int flags, mode_t mode, struct place *out)
{
	for (int races = 0;; races++) {
		int e = resolve(r, which, how, need, out);
		if (e < 0)
			return e;
		if (out->proc)
			return 0;
		bool is_link = out->walked && out->have_st && S_ISLNK(out->st.st_mode);
		int fd = before_device(r, out, flags);
		if (fd == 0)
			fd = place_open(out, flags, mode);
		/* Our own Landlock domain: another object has the name than at the start. */
		if (fd == -EACCES && out->rule && out->rule->name && !(flags & O_PATH))
			fd = place_opened(out, opener_open(r->family->broker, out->rule, flags));
		/* A directory that was unveiled, and has been removed since: what holds it does not bring it back. */
		if (fd >= 0 && out->is_root && out->rule && S_ISDIR(out->st.st_mode) && !out->st.st_nlink &&
			r->path[which][0] == '/') {
			close(fd);
			fd = -ENOENT;
		}
		if (fd >= 0 && loader_only(out->rule) && !loader_may(r, out)) {
			close(fd);
			fd = refuse(r, out->path, need, -ENOENT);
		}
		if (fd >= 0)
			return fd;
		if (fd != -ENOENT && !out->walked && through_hidden(r, out))
			fd = refuse(r, out->path, need, -ENOENT);
		place_close(out);
		if (fd != -ELOOP || is_link || races == RACES)
			return fd;
		how |= RESOLVE_WALK;
	}
}

int resolve_parent(struct request *r, int which, unsigned need, struct place *out)
{
	for (int races = 0;; races++) {
		int e = resolve(r, which, RESOLVE_PARENT | (races ? RESOLVE_WALK : 0), need, out);
		if (e < 0 || out->walked)
			return e;
		size_t len = strlen(out->rest), n = len;
		while (n > 1 && out->rest[n - 1] == '/')
			n--;
		while (n && out->rest[n - 1] != '/')
			n--;
		/* rest is now directory/name: n is where the name begins. */
		int parent;
		if (n) {
			out->rest[n - 1] = 0;
			parent = open_beneath(out->base, out->rest, O_PATH | O_DIRECTORY, 0, 0);
		} else {
			parent = fcntl(out->base, F_DUPFD_CLOEXEC, 3);
			parent = parent < 0 ? -errno : parent;
		}
		if (parent < 0 && parent != -ENOENT && through_hidden(r, out))
			parent = refuse(r, out->path, need, -ENOENT);
		if (parent == -ELOOP && races < RACES) {
			place_close(out);
			continue;
		}
		if (parent >= 0 && is_procfs(parent)) {
			close(parent);
			parent = -ENOENT;
		}
		place_close(out);
		if (parent < 0)
			return parent;
		memmove(out->rest, out->rest + n, len - n + 1);
		out->base = parent;
		out->own_base = true;
		return 0;
	}
}
