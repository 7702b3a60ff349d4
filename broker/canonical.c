/* SPDX-License-Identifier: ISC */
/* Owns the way from a descriptor to its path as the rules know it, and with it where relative paths begin: a target's
 * descriptors are of mounts that are private to a rule, whose paths start at the rule's own directory. Runs in the broker. */
#include "broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *path_rest(const char *path, const char *directory)
{
	size_t len = strlen(directory);
	path += len;
	if (len > 1 && *path == '/')
		path++;
	return *path ? path : ".";
}

static bool same_object(int a, int b)
{
	struct stat x, y;
	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Puts the rule's own path before what an anchor's private mount says. A mount does not know what was moved out of it: it
 * goes on to tell a path, of the file system's root. Since nothing but a rename between two anchors does that here, what
 * has been told is asked for again only after one. */
static int prefixed(const struct broker *b, size_t anchor, int fd, char path[PATH_MAX], size_t len, bool prove)
{
	const char *prefix = b->policy.unveils[anchor].path;
	size_t add = prefix[1] ? strlen(prefix) : 0;
	/* Of what anybody moved out of its root a mount tells "/", as of the root itself. */
	if (prove && len == 1 && !same_object(b->anchors[anchor].fd, fd))
		return -ENOENT;
	if (prove && atomic_load(&b->moved)) {
		int found = open_beneath(b->anchors[anchor].fd, len > 1 ? path + 1 : ".", O_PATH | O_NOFOLLOW, 0, 0);
		bool same = found >= 0 && same_object(found, fd);
		if (found >= 0)
			close(found);
		if (!same)
			return -ENOENT;
	}
	if (len == 1 && add)
		len = 0;
	if (len + add >= PATH_MAX)
		return -ENAMETOOLONG;
	memmove(path + add, path, len);
	memcpy(path, prefix, add);
	path[len + add] = 0;
	return 0;
}

static bool of_device(int fd, dev_t device)
{
	struct stat st;
	return fstat(fd, &st) == 0 && st.st_dev == device;
}

static int path_of(const struct broker *b, int fd, char path[PATH_MAX], bool gone)
{
	static const char deleted[] = " (deleted)";
	char name[32];
	struct statx x;
	snprintf(name, sizeof(name), "self/fd/%d", fd);
	ssize_t n = b->proc < 0 ? -1 : readlinkat(b->proc, name, path, PATH_MAX);
	/* In a chroot without /proc the root alone is known: that is where daemons stand. */
	if (n < 0 && b->proc < 0 && same_object(fd, b->root)) {
		path[0] = '/';
		n = 1;
	}
	if (n < 0)
		return b->proc < 0 ? -ENOENT : -errno;
	if (n == PATH_MAX)
		return -ENAMETOOLONG;
	path[n] = 0;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &x) < 0)
		return -errno;
	size_t len = (size_t)n, tail = sizeof(deleted) - 1;
	bool marked = len > tail && (!S_ISDIR(x.stx_mode) || !x.stx_nlink) && strcmp(path + len - tail, deleted) == 0;
	if (path[0] != '/' || (gone ? !marked : x.stx_nlink == 0 || marked))
		return -ENOENT;
	if (gone)
		path[len -= tail] = 0;
	for (size_t i = 0; b->private_mounts && i < b->policy.unveil_count; i++)
		for (size_t k = 0; k < b->anchors[i].mount_count; k++)
			if (b->anchors[i].mounts[k] == x.stx_mnt_id)
				return prefixed(b, i, fd, path, len, !gone);
	/* A direct tree, mounted at its own path. (Its root has directories that only bear the names of others.) */
	if (b->direct_root && !gone && atomic_load(&b->moved) && !of_device(fd, b->direct_root)) {
		int found = open_beneath(b->root, len > 1 ? path + 1 : ".", O_PATH | O_NOFOLLOW, 0, 0);
		bool same = found >= 0 && same_object(found, fd);
		if (found >= 0)
			close(found);
		if (!same)
			return -ENOENT;
	}
	return 0;
}

int canonical_of(const struct state *s, const struct broker *b, int fd, char path[PATH_MAX])
{
	(void)s; /* the descriptors of narrower anchors are of the broker's own mounts */
	return path_of(b, fd, path, false);
}

int last_path_of(const struct broker *b, int fd, char path[PATH_MAX])
{
	return path_of(b, fd, path, true);
}

/* With direct trees the kernel's own idea of it is the truth: it follows chdir(2), which is no request there. What the
 * target's root has besides the trees are empty directories, in the place of those whose names they bear. */
static int cwd_direct(const struct request *r)
{
	const struct broker *b = r->family->broker;
	char name[32], path[PATH_MAX];
	struct stat st;
	snprintf(name, sizeof(name), "%d/cwd", (int)r->tid);
	int fd = openat(b->proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC),
	    e = fd < 0 || fstat(fd, &st) < 0 ? -ENOENT : 0;
	/* The number may be somebody else's by now, if the caller is gone. */
	if (e == 0 && !request_alive(r))
		e = -ENOENT;
	if (e == 0 && st.st_dev == b->direct_root) {
		e = canonical_of(r->state, b, fd, path);
		close(fd);
		return e < 0 ? e : open_beneath(b->root, path[1] ? path + 1 : ".", O_PATH | O_DIRECTORY, 0, 0);
	}
	if (e < 0 && fd >= 0)
		close(fd);
	return e < 0 ? e : fd;
}

int cwd_of(const struct request *r, bool *own)
{
	int fd = r->family->direct ? cwd_direct(r) : r->state->cwd >= 0 ? r->state->cwd : -ENOENT;
	*own = r->family->direct && fd >= 0;
	return fd;
}

int cwd_path(const struct request *r, char path[PATH_MAX])
{
	bool own;
	int fd = cwd_of(r, &own), e = fd < 0 ? fd : canonical_of(r->state, r->family->broker, fd, path);
	if (fd >= 0 && own)
		close(fd);
	return e;
}

/* The same directory by its rule's own mount: links and renames want both their ends on one. fd, of a direct tree, stays
 * when there is none. */
static int by_anchor(const struct request *r, int fd, const char *path, bool *own)
{
	const struct unveil *rule = policy_find(policy_of(r), path);
	int anchor = rule && !rule->name ? anchor_of(r, rule)->fd : -1;
	int again = anchor < 0 ? -1 : open_beneath(anchor, path_rest(path, rule->path), O_PATH | O_DIRECTORY, 0, 0);
	if (again < 0)
		return fd;
	bool same = same_object(again, fd);
	if (!same || *own)
		close(same ? fd : again);
	*own = *own || same;
	return same ? again : fd;
}

int base_of(struct request *r, int dirfd, char path[PATH_MAX], bool *own, bool *removed)
{
	struct stat st;
	int fd = -1;
	*own = *removed = false;
	if (dirfd == AT_FDCWD) {
		fd = cwd_of(r, own);
	} else {
		fd = memory_dup_fd(r, dirfd);
		if (fd < 0)
			return fd;
		*own = true;
	}
	int e = 0;
	if (fd < 0)
		e = -ENOENT;
	else if (*own && fstat(fd, &st) < 0)
		e = -errno;
	else if (*own && !S_ISDIR(st.st_mode))
		e = -ENOTDIR;
	else
		e = canonical_of(r->state, r->family->broker, fd, path);
	if (e == 0 && r->family->direct)
		fd = by_anchor(r, fd, path, own);
	if (e == -ENOENT && fd >= 0) {
		e = last_path_of(r->family->broker, fd, path);
		*removed = e == 0;
	}
	if (e < 0 && *own)
		close(fd);
	return e < 0 ? e : fd;
}
