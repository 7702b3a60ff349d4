/* SPDX-License-Identifier: ISC */
/* Owns what is put into the root of targets with direct trees: clones of the trees, what libc reads late, links on the way,
 * the directory in which the host stood. Runs in the broker before it confines itself; direct_place() in the nursery's
 * helper. */
#include "sandbox/direct.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From <sys/mount.h>, which this libc's <linux/mount.h> does not suffer beside it. */
#define PROPAGATION_PRIVATE (1 << 18)

/* ---- paths ---- */

bool direct_within(const char *path, const char *directory)
{
	size_t len = directory[1] ? strlen(directory) : 0;
	return strncmp(path, directory, len) == 0 && (path[len] == 0 || path[len] == '/');
}

static bool is_tree(const struct direct_entry *e)
{
	return e->mounted && e->directory;
}

/* The nearest tree that path lies in, or is. */
static const struct direct_entry *tree_of(const struct direct *d, const char *path)
{
	const struct direct_entry *found = NULL;
	for (size_t i = 0; i < d->count; i++)
		if (is_tree(&d->entries[i]) && direct_within(path, d->entries[i].path) &&
			(!found || strlen(d->entries[i].path) > strlen(found->path)))
			found = &d->entries[i];
	return found;
}

bool direct_holds(const struct direct *d, const char *path)
{
	if (tree_of(d, path))
		return true;
	for (size_t i = 0; i < d->count; i++)
		if (!d->entries[i].link && direct_within(d->entries[i].path, path))
			return true;
	return false;
}

/* ---- entries ---- */

/* Keeps the order. Takes mount, and link; -1 and NULL for a directory that is only to be there. */
static int entry_add(struct direct *d, const char *path, char *link, int mount, bool directory, unsigned perms)
{
	size_t at = 0;
	while (at < d->count && strcmp(d->entries[at].path, path) < 0)
		at++;
	bool same = at < d->count && strcmp(d->entries[at].path, path) == 0;
	char *copy = same || d->count == DIRECT_MAX ? NULL : strdup(path);
	if (!copy) {
		free(link);
		if (mount >= 0)
			close(mount);
		return same ? 0 : d->count == DIRECT_MAX ? -E2BIG : -ENOMEM;
	}
	memmove(&d->entries[at + 1], &d->entries[at], (d->count - at) * sizeof(d->entries[0]));
	d->count++;
	d->entries[at] = (struct direct_entry){.path = copy,
		.link = link,
		.mount = mount,
		.mounted = mount >= 0,
		.perms = perms,
		.directory = directory};
	return 0;
}

enum clone_kind { CLONE_READ, CLONE_WRITE, CLONE_DEVICE };

/* A detached copy of the mounts at fd, an O_PATH descriptor. */
static int clone_of(int fd, bool directory, enum clone_kind kind)
{
	unsigned recursive = directory ? AT_RECURSIVE : 0;
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID, .propagation = PROPAGATION_PRIVATE};
	if (kind != CLONE_WRITE)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	attr.attr_set |= kind == CLONE_DEVICE ? MOUNT_ATTR_NOEXEC : MOUNT_ATTR_NODEV;
	int mount = (int)syscall(
		SYS_open_tree, fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive);
	if (mount < 0)
		return -errno;
	if (syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | recursive, &attr, sizeof(attr)) < 0) {
		int e = errno;
		close(mount);
		return -e;
	}
	return mount;
}

static bool same_object(int a, int b)
{
	struct stat x, y;
	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int rule_add(struct direct *d, const struct broker *b, const struct unveil *rule)
{
	const struct anchor *a = &b->anchors[rule - b->policy.unveils];
	bool writable = rule->perms & (PERM_W | PERM_C);
	struct stat st;
	if (a->fd < 0)
		return rule->perms & PERM_R ? -ENOENT : 0;
	/* Not the anchor again: kernels before 6.15 clone only mounts of the caller's own namespace. */
	int fd = open_beneath(b->root, rule->path + 1, O_PATH | O_NOFOLLOW, 0, 0), r = fd;
	int held = fd < 0       ? fd
		   : rule->name ? open_beneath(a->fd, a->name, O_PATH | O_NOFOLLOW, 0, 0)
				: fcntl(a->fd, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0 && (held < 0 || fstat(fd, &st) < 0 || !same_object(fd, held)))
		r = -ESTALE;
	else if (fd >= 0 && !(rule->name ? S_ISREG(st.st_mode) : S_ISDIR(st.st_mode)))
		r = -EINVAL;
	if (r >= 0)
		r = clone_of(fd, !rule->name, writable ? CLONE_WRITE : CLONE_READ);
	if (r >= 0)
		r = entry_add(d, rule->path, NULL, r, !rule->name, rule->perms & PERM_R ? PERM_R : PERM_LOADER);
	for (size_t i = 0; r == 0 && i < d->count; i++)
		if (strcmp(d->entries[i].path, rule->path) == 0)
			d->entries[i].writable = writable;
	if (held >= 0)
		close(held);
	if (fd >= 0)
		close(fd);
	return r;
}

/* What lies in a tree already needs no mount of its own, unless it is to be written and the tree is not, or the other
 * way around. */
static void trees_nest(struct direct *d)
{
	for (size_t i = 0; i < d->count; i++) {
		struct direct_entry *e = &d->entries[i];
		size_t count = d->count;
		d->count = i; /* those before it: what it may lie in */
		const struct direct_entry *tree = tree_of(d, e->path);
		d->count = count;
		e->inside = tree != NULL;
		e->covered = tree && tree->writable == e->writable;
	}
}

/* What libc reads late, and what the machine says of itself in /proc: files that the broker would have served. */
static int file_add(struct direct *d, const char *path, int fd, bool directory, enum clone_kind kind)
{
	/* A loader's tree holds it, but in such a one no directory can be opened, as a part of a locale is. */
	const struct direct_entry *tree = tree_of(d, path);
	if (tree && (!directory || (tree->perms & PERM_R)))
		return 0;
	int mount = clone_of(fd, directory, kind);
	return mount < 0 ? mount : entry_add(d, path, NULL, mount, directory, PERM_R);
}

static int libc_add(struct direct *d, const struct broker *b)
{
	struct libc_file file;
	int r = 0;
	for (size_t i = 0; r == 0 && libc_file_at(b, i, &file); i++)
		if (file.fd >= 0)
			r = file_add(d, file.path, file.fd, file.directory, file.device ? CLONE_DEVICE : CLONE_READ);
	for (size_t i = 0; r == 0; i++) {
		const char *path = proc_machine_file(b, i);
		if (!path)
			break;
		int fd = *path ? open_beneath(b->root, path + 1, O_PATH | O_NOFOLLOW, 0, 0) : -1;
		if (fd >= 0)
			r = file_add(d, path, fd, false, CLONE_READ);
		if (fd >= 0)
			close(fd);
	}
	return r;
}

/* ---- links: paths are asked for as people write them, /lib/... where rules say /usr/lib ---- */

/* name, in directory, is a link: kept when it leads to where there is something. */
static int link_add(struct direct *d, const char *directory, const char *name)
{
	char path[PATH_MAX], real[PATH_MAX];
	struct stat st;
	if (snprintf(path, sizeof(path), "%s/%s", directory[1] ? directory : "", name) >= (int)sizeof(path))
		return 0;
	for (size_t i = 0; i < d->count; i++)
		if (direct_within(d->entries[i].path, path))
			return 0;
	if (!realpath(path, real) || !real[1] || !direct_holds(d, real) || stat(real, &st) < 0)
		return 0;
	/* A loader's files have their names in its directories; that there are links to single ones tells of more. */
	const struct direct_entry *tree = tree_of(d, real);
	if (tree && !(tree->perms & PERM_R) && !S_ISDIR(st.st_mode))
		return 0;
	char *to = strdup(real);
	return to ? entry_add(d, path, to, -1, false, 0) : -ENOMEM;
}

static int links_add(struct direct *d, const struct broker *b, const char *directory)
{
	int fd = open_beneath(b->root, directory[1] ? directory + 1 : ".", O_RDONLY | O_DIRECTORY, 0, 0), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	while (dir && r == 0 && (e = readdir(dir)))
		if (e->d_type == DT_LNK)
			r = link_add(d, directory, e->d_name);
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return r;
}

/* In every directory that the root will have besides the trees. */
static int links_all(struct direct *d, const struct broker *b)
{
	char done[DIRECT_MAX][128], path[PATH_MAX];
	size_t count = 0;
	int r = links_add(d, b, "/");
	/* entry_add() moves entries, and those that it adds are links, which are passed over. */
	for (size_t i = 0; r == 0 && i < d->count; i++) {
		if (d->entries[i].link || d->entries[i].inside || strlen(d->entries[i].path) >= sizeof(path))
			continue;
		strcpy(path, d->entries[i].path);
		for (char *slash; r == 0 && (slash = strrchr(path, '/')) != path;) {
			*slash = 0;
			bool seen = strlen(path) >= sizeof(done[0]) || count == DIRECT_MAX || in_proc(path);
			for (size_t k = 0; k < count && !seen; k++)
				seen = strcmp(done[k], path) == 0;
			if (seen)
				continue;
			strcpy(done[count++], path);
			r = links_add(d, b, path);
		}
	}
	return r;
}

/* ---- all of it ---- */

int direct_entries_make(struct direct *d, const struct broker *b, const char *cwd)
{
	const struct policy *p = &b->policy;
	int r = 0;
	for (size_t i = 0; r == 0 && i < p->unveil_count; i++)
		if (!in_proc(p->unveils[i].path) && (p->unveils[i].perms & (PERM_R | PERM_LOADER)))
			r = rule_add(d, b, &p->unveils[i]);
	if (r == 0)
		r = libc_add(d, b);
	if (r == 0 && cwd && !direct_holds(d, cwd))
		r = entry_add(d, cwd, NULL, -1, true, 0);
	trees_nest(d);
	return r < 0 ? r : links_all(d, b);
}

void direct_entries_free(struct direct *d)
{
	direct_mounts_close(d);
	for (size_t i = 0; i < d->count; i++) {
		free(d->entries[i].path);
		free(d->entries[i].link);
	}
	d->count = 0;
}

void direct_mounts_close(struct direct *d)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->entries[i].mount >= 0) {
			close(d->entries[i].mount);
			d->entries[i].mount = -1;
		}
}

/* ---- in the nursery ---- */

/* One component further, made when it is missing and the directory is ours to make things in. */
static int step(int dir, const char *name, bool ours, bool last, const struct direct_entry *e)
{
	/* Nothing of the way can be listed: only what was unveiled says what it holds. We may lack CAP_DAC_OVERRIDE. */
	if (ours && (!last || e->directory) && mkdirat(dir, name, 0311) < 0 && errno != EEXIST)
		return -errno;
	if (ours && last && !e->directory) {
		int fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int entry_place(const struct direct_entry *e, int root)
{
	char name[256];
	int dir = fcntl(root, F_DUPFD_CLOEXEC, 0), r = dir < 0 ? -errno : 0;
	for (const char *p = e->path; r == 0 && *p;) {
		p += strspn(p, "/");
		size_t len = strcspn(p, "/");
		if (len == 0 || len >= sizeof(name)) {
			r = -EINVAL;
			break;
		}
		memcpy(name, p, len);
		name[len] = 0;
		p += len;
		if (!*p && e->link) {
			r = symlinkat(e->link, dir, name) < 0 ? -errno : 0;
			break;
		}
		int next = step(dir, name, !e->inside, !*p, e);
		close(dir);
		dir = next;
		r = next < 0 ? next : 0;
	}
	if (r == 0 && e->mount >= 0 && e->inside && !same_object(dir, e->mount))
		r = -ESTALE;
	if (r == 0 && e->mount >= 0 &&
		syscall(SYS_move_mount, e->mount, "", dir, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		r = -errno;
	if (dir >= 0)
		close(dir);
	return r;
}

int direct_place(struct direct *d, int root)
{
	struct stat st;
	int r = fstat(root, &st) < 0 ? -errno : 0;
	d->root = st.st_dev;
	for (size_t i = 0; r == 0 && i < d->count; i++)
		if (!d->entries[i].covered)
			r = entry_place(&d->entries[i], root);
	return r;
}
