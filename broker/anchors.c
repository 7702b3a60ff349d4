/* SPDX-License-Identifier: ISC */
/* Owns what the rules hold on to: for each unveiled directory an O_PATH descriptor, if possible of a private, detached
 * clone of its mount, which leads nowhere above itself; for each name the descriptor of its parent. What is renamed or
 * replaced on disk later changes no grant. Runs in the broker, before it confines itself; narrowing runs after. */
#include "broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef PROC_SUPER_MAGIC
#define PROC_SUPER_MAGIC 0x9fa0
#endif

static int mount_id(int fd, uint64_t *id)
{
	struct statx x;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &x) < 0)
		return -errno;
	*id = x.stx_mnt_id;
	return x.stx_mask & STATX_MNT_ID ? 0 : -ENOSYS;
}

static int mount_add(struct anchor *a, uint64_t id)
{
	for (size_t i = 0; i < a->mount_count; i++)
		if (a->mounts[i] == id)
			return 0;
	uint64_t *more = realloc(a->mounts, (a->mount_count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	a->mounts = more;
	a->mounts[a->mount_count++] = id;
	return 0;
}

/* The length of directory when path lies strictly below it, counted so that path + length is relative; else 0. */
static size_t below(const char *path, const char *directory)
{
	size_t len = strlen(directory);
	if (len == 1)
		return path[1] ? 1 : 0;
	return strncmp(path, directory, len) == 0 && path[len] == '/' && path[len + 1] ? len + 1 : 0;
}

/* mountinfo writes blanks and backslashes as octal escapes. */
static void unescape(char *s)
{
	char *to = s;
	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

/* A recursive clone holds mounts of other ids; their descriptors' paths, too, begin at the clone's root. */
static int submounts(struct broker *b)
{
	int fd = openat(b->proc, "self/mountinfo", O_RDONLY | O_CLOEXEC), r = 0;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t cap = 0;
	if (!f) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && getline(&line, &cap, f) > 0) {
		char *save, *field = strtok_r(line, " ", &save);
		for (int i = 0; field && i < 4; i++)
			field = strtok_r(NULL, " ", &save);
		if (!field || *field != '/')
			continue;
		unescape(field);
		for (size_t i = 0; r == 0 && i < b->policy.unveil_count; i++) {
			struct anchor *a = &b->anchors[i];
			size_t at = a->mount_count ? below(field, b->policy.unveils[i].path) : 0;
			uint64_t id;
			int mount = at ? open_beneath(a->fd, field + at, O_PATH | O_NOFOLLOW, 0, 0) : -1;
			if (mount < 0)
				continue;
			if (mount_id(mount, &id) == 0)
				r = mount_add(a, id);
			close(mount);
		}
	}
	free(line);
	fclose(f);
	return r;
}

static int clone_private(struct anchor *a, const struct unveil *rule)
{
	int fd = (int)syscall(
		SYS_open_tree, a->fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	if (fd < 0)
		return -errno;
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, .propagation = MS_PRIVATE};
	if (!(rule->perms & (PERM_W | PERM_C)))
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	uint64_t id = 0;
	int r = 0;
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		r = -errno;
	if (r == 0)
		r = mount_id(fd, &id);
	if (r == 0)
		r = mount_add(a, id);
	if (r < 0) {
		close(fd);
		return r;
	}
	close(a->fd);
	a->fd = fd;
	return 0;
}

static int is_proc(int fd)
{
	struct statfs fs;
	return fstatfs(fd, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC;
}

/* Opens rule's directory, or parent, as open_at(arg, path) finds it. Only lack of memory is an error. */
static int anchor_open(
	struct anchor *a, const struct unveil *rule, int (*open_at)(const void *arg, const char *path), const void *arg)
{
	char path[PATH_MAX];
	struct stat st;
	*a = (struct anchor){.fd = -1};
	size_t len = strlen(rule->path);
	if (len >= sizeof(path))
		return 0;
	memcpy(path, rule->path, len + 1);
	if (rule->name) {
		char *slash = strrchr(path, '/');
		if (!slash || !slash[1])
			return 0;
		a->name = strdup(slash + 1);
		if (!a->name)
			return -ENOMEM;
		slash[slash == path] = 0;
	}
	a->fd = open_at(arg, path);
	if (a->fd < 0) {
		a->fd = -1;
		return 0;
	}
	/* The /proc of the broker is never a target's: proc.c shows what there is of it. */
	if (fstat(a->fd, &st) < 0 || !S_ISDIR(st.st_mode) || is_proc(a->fd)) {
		close(a->fd);
		a->fd = -1;
		return 0;
	}
	a->dev = st.st_dev;
	return 0;
}

static int open_from_root(const void *arg, const char *path)
{
	const struct broker *b = arg;
	return open_beneath(b->root, path[1] ? path + 1 : ".", O_PATH | O_DIRECTORY, 0, 0);
}

static int open_all(struct broker *b, bool private_mounts)
{
	for (size_t i = 0; i < b->policy.unveil_count; i++) {
		const struct unveil *rule = &b->policy.unveils[i];
		int r = anchor_open(&b->anchors[i], rule, open_from_root, b);
		if (r == 0 && private_mounts && !rule->name && b->anchors[i].fd >= 0)
			r = clone_private(&b->anchors[i], rule);
		if (r < 0)
			return r;
	}
	return private_mounts ? submounts(b) : 0;
}

static void close_all(struct anchor *anchors, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (anchors[i].fd >= 0)
			close(anchors[i].fd);
		free(anchors[i].name);
		free(anchors[i].mounts);
		anchors[i] = (struct anchor){.fd = -1};
	}
}

void anchors_free(struct anchor *anchors, size_t count)
{
	if (!anchors)
		return;
	close_all(anchors, count);
	free(anchors);
}

int broker_anchors_open(struct broker *b, bool private_mounts)
{
	size_t count = b->policy.unveil_count;
	b->private_mounts = false;
	libc_files_open(b, private_mounts);
	interpreters_hold(b);
	b->anchors = calloc(count + 1, sizeof(*b->anchors));
	if (!b->anchors)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		b->anchors[i].fd = -1;
	int r = open_all(b, private_mounts);
	if (r < 0 && r != -ENOMEM && private_mounts) {
		/* All or none: half of them would be no barrier. */
		close_all(b->anchors, count);
		private_mounts = false;
		r = open_all(b, false);
	}
	if (r < 0) {
		broker_anchors_close(b);
		return r;
	}
	b->private_mounts = private_mounts;
	return 0;
}

void broker_anchors_close(struct broker *b)
{
	anchors_free(b->anchors, b->policy.unveil_count);
	b->anchors = NULL;
	libc_files_close(b);
	interpreters_release(b);
}

/* ---- narrowing ---- */

struct from {
	const struct broker *b;
	struct held held;
};

static int open_from_held(const void *arg, const char *path)
{
	const struct from *from = arg;
	const struct unveil *rule = policy_find(from->held.policy, path);
	/* A name's parent may be hidden: the name is what is granted, so it is held from the root. */
	if (!rule || rule->name)
		return open_from_root(from->b, path);
	const struct anchor *a = from->held.anchors ? &from->held.anchors[rule - from->held.policy->unveils] : NULL;
	size_t at = below(path, rule->path);
	if (!a || a->fd < 0)
		return -ENOENT;
	return open_beneath(a->fd, at ? path + at : ".", O_PATH | O_DIRECTORY, 0, 0);
}

/* The hold on this very rule that there is already: what has its path by now may be another object. */
static const struct anchor *anchor_same(struct held held, const struct unveil *rule)
{
	for (size_t i = 0; i < held.policy->unveil_count; i++)
		if (held.policy->unveils[i].name == rule->name && strcmp(held.policy->unveils[i].path, rule->path) == 0)
			return &held.anchors[i];
	return NULL;
}

static int anchor_copy(struct anchor *a, const struct anchor *from)
{
	*a = (struct anchor){.fd = -1, .dev = from->dev};
	if (from->name && !(a->name = strdup(from->name)))
		return -ENOMEM;
	if (from->fd >= 0 && (a->fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 3)) < 0)
		return -ENOMEM;
	return 0;
}

int anchors_narrow(
	const struct broker *b, struct held from, struct held now, const struct policy *narrow, struct anchor **out)
{
	struct from arg = {b, from};
	struct anchor *anchors = calloc(narrow->unveil_count + 1, sizeof(*anchors));
	int r = anchors ? 0 : -ENOMEM;
	for (size_t i = 0; anchors && i < narrow->unveil_count; i++)
		anchors[i].fd = -1;
	for (size_t i = 0; r == 0 && i < narrow->unveil_count; i++) {
		const struct unveil *rule = &narrow->unveils[i];
		const struct anchor *same = anchor_same(now, rule);
		if (!same)
			same = anchor_same(from, rule);
		r = same ? anchor_copy(&anchors[i], same) : anchor_open(&anchors[i], rule, open_from_held, &arg);
	}
	if (r < 0)
		anchors_free(anchors, narrow->unveil_count);
	else
		*out = anchors;
	return r;
}
