/* SPDX-License-Identifier: ISC */
/* Owns the calls that give things names: link, symlink, mknod, rename. Names are one component in a parent that the walk
 * opened. A name never brings more rights than the object had where it was: whoever may read a file in one place and
 * write in another shall not write it by moving it there. Runs in the broker, on the target's strings. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RIGHTS (PERM_R | PERM_W | PERM_X | PERM_C)

/* ".", "..", "/" and what is unveiled itself are there. */
static int parent_for_new(struct request *r, int which, struct place *p)
{
	int e = resolve_parent(r, which, PERM_C, p);
	return e == -EISDIR || e == -EBUSY ? -EEXIST : e;
}

/* What grants more at `to` than at `from`, where it was; for directories, also to what lies in them. */
static int keeps_rights(struct request *r, const char *from, const char *to, bool directory)
{
	const struct policy *p = policy_of(r);
	unsigned more = policy_perms_at(p, to) & ~policy_perms_at(p, from);
	if (directory)
		more |= policy_perms_below(p, to) & ~policy_perms_below(p, from);
	more &= RIGHTS;
	return more ? refuse(r, from, more, -EACCES) : 0;
}

/* Each rule's anchor may be a mount of its own, and the kernel links and renames within one mount only. So the same
 * directory is opened once more, in the broker's root, by the path that it has, if that leads to it. */
static int parent_again(const struct request *r, const struct place *p)
{
	const struct broker *b = r->family->broker;
	char path[PATH_MAX];
	struct stat st, again;
	int fd = canonical_of(r->state, b, p->base, path);
	if (fd == 0)
		fd = open_beneath(b->root, path[1] ? path + 1 : ".", O_PATH | O_DIRECTORY, 0, 0);
	if (fd < 0)
		return -EXDEV;
	if (fstat(fd, &again) == 0 && fstat(p->base, &st) == 0 && st.st_dev == again.st_dev &&
		st.st_ino == again.st_ino)
		return fd;
	close(fd);
	return -EXDEV;
}

/* It is by its path that a service's socket is known. */
static int keeps_service(struct request *r, const char *from, mode_t type)
{
	bool is = S_ISSOCK(type) ? policy_service(from) : S_ISDIR(type) && policy_services_below(from);
	if (!is || policy_of(r)->everything)
		return 0;
	r->why = "the sockets of services are not moved";
	return -EACCES;
}

/* ---- rename ---- */

static mode_t type_of(const struct place *p)
{
	char name[NAME_MAX + 1];
	struct stat st;
	size_t n = strcspn(p->rest, "/");
	if (n > NAME_MAX)
		return 0;
	memcpy(name, p->rest, n);
	name[n] = 0;
	return fstatat(p->base, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & S_IFMT : 0;
}

/* A rule is a text: to move a directory that holds a narrower one would move what it hides out from under it. */
static int may_move(struct request *r, const struct place *p)
{
	return policy_below(policy_of(r), p->path) ? -EBUSY : keeps_service(r, p->path, type_of(p));
}

static int rename_across(struct request *r, const struct place *from, const struct place *to, unsigned flags)
{
	int source = parent_again(r, from), e = source;
	int target = e < 0 ? e : parent_again(r, to);
	e = target < 0 ? target : 0;
	/* Before: a descriptor of what is moved must not be judged by its old place for a moment. */
	if (e == 0)
		atomic_store(&r->family->broker->moved, true);
	if (e == 0 && syscall(SYS_renameat2, source, from->rest, target, to->rest, flags) < 0)
		e = -errno;
	if (source >= 0)
		close(source);
	if (target >= 0)
		close(target);
	return e;
}

static int rename_places(struct request *r, const struct place *from, const struct place *to, unsigned flags)
{
	bool exchange = flags & RENAME_EXCHANGE;
	int e = may_move(r, from);
	if (e == 0 && (exchange || policy_below(policy_of(r), to->path)))
		e = may_move(r, to);
	if (e == 0)
		e = keeps_rights(r, from->path, to->path, S_ISDIR(type_of(from)));
	if (e == 0 && exchange)
		e = keeps_rights(r, to->path, from->path, S_ISDIR(type_of(to)));
	if (e < 0)
		return e;
	if (syscall(SYS_renameat2, from->base, from->rest, to->base, to->rest, flags) == 0)
		return 0;
	return errno == EXDEV ? rename_across(r, from, to, flags) : -errno;
}

struct answer op_rename(struct request *r)
{
	struct place from = {.base = -1}, to = {.base = -1};
	unsigned flags = (unsigned)r->flags;
	if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return answer_error(EINVAL);
	int e = promised(r, PROMISE_BIT(rpath) | PROMISE_BIT(cpath));
	if (e == 0)
		e = resolve_parent(r, 0, PERM_R | PERM_C, &from);
	if (e == -EISDIR)
		e = -EBUSY; /* "." or ".." */
	else if (e == 0) {
		e = resolve_parent(r, 1, flags & RENAME_EXCHANGE ? PERM_R | PERM_C : PERM_C, &to);
		if (e == -EISDIR || (e == -EBUSY && (flags & RENAME_NOREPLACE)))
			e = flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	}
	if (e == 0)
		e = rename_places(r, &from, &to, flags);
	place_close(&from);
	place_close(&to);
	return e < 0 ? answer_error(-e) : answer_value(0);
}

/* ---- link ---- */

/* The object by its own descriptor: what was judged is what is linked, whatever has its name by now. */
static int link_object(const struct request *r, int fd, int base, const char *name)
{
	char link[32];
	snprintf(link, sizeof(link), "self/fd/%d", fd);
	return linkat(r->family->broker->proc, link, base, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int link_across(const struct request *r, const struct subject *o, const struct place *to)
{
	const struct broker *b = r->family->broker;
	struct stat st;
	int base = parent_again(r, to), e = base < 0 ? base : -EXDEV;
	int fd = base < 0 || o->held ? -1 : open_beneath(b->root, o->path + 1, O_PATH | O_NOFOLLOW, 0, 0);
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == o->st.st_dev && st.st_ino == o->st.st_ino)
		e = link_object(r, fd, base, to->rest);
	if (fd >= 0)
		close(fd);
	if (base >= 0)
		close(base);
	return e;
}

/* A file without a name (O_TMPFILE) had its rights from the directory that it was made in. */
static int origin_of(struct request *r, struct subject *o)
{
	char path[PATH_MAX];
	if (!o->held)
		return 0;
	int e = last_path_of(r->family->broker, o->fd, path);
	if (e == 0)
		e = judge(r, path, PERM_R, NULL);
	if (e < 0)
		return -ENOENT;
	strcpy(o->path, path);
	return 0;
}

struct answer op_link(struct request *r)
{
	struct place to = {.base = -1};
	struct subject o = {.fd = -1};
	int how = (r->flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW) | (r->flags & AT_EMPTY_PATH);
	if (r->flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return answer_error(EINVAL);
	int e = subject_open(r, 0, how, PERM_R, PROMISE_BIT(rpath) | PROMISE_BIT(cpath), &o);
	if (e == 0)
		e = parent_for_new(r, 1, &to);
	if (e == 0 && in_proc(o.path))
		e = -EXDEV;
	if (e == 0)
		e = origin_of(r, &o);
	if (e == 0)
		e = keeps_rights(r, o.path, to.path, false);
	if (e == 0)
		e = keeps_service(r, o.path, o.st.st_mode);
	if (e == 0)
		e = link_object(r, o.fd, to.base, to.rest);
	if (e == -EXDEV) /* for which Landlock has it, too */
		e = S_ISDIR(o.st.st_mode) ? -EPERM : link_across(r, &o, &to);
	place_close(&to);
	subject_close(&o);
	return e < 0 ? answer_error(-e) : answer_value(0);
}

/* ---- symlink, mknod ---- */

struct answer op_symlink(struct request *r)
{
	struct place p = {.base = -1};
	if (!r->path[0][0])
		return answer_error(ENOENT);
	int e = promised(r, PROMISE_BIT(cpath));
	if (e == 0)
		e = parent_for_new(r, 1, &p);
	if (e == 0 && symlinkat(r->path[0], p.base, p.rest) < 0)
		e = -errno;
	place_close(&p);
	return e < 0 ? answer_error(-e) : answer_value(0);
}

struct answer op_mknod(struct request *r)
{
	struct place p = {.base = -1};
	mode_t type = r->mode & S_IFMT;
	if (type == S_IFDIR)
		return answer_error(EPERM);
	if (type && !S_ISREG(type) && !S_ISFIFO(type) && !S_ISSOCK(type) && !S_ISCHR(type) && !S_ISBLK(type))
		return answer_error(EINVAL);
	int e = promised(r, PROMISE_BIT(dpath));
	if (e == 0)
		e = parent_for_new(r, 0, &p);
	if (e == 0 && (S_ISCHR(type) || S_ISBLK(type))) {
		struct stat st;
		e = fstatat(p.base, p.rest, &st, AT_SYMLINK_NOFOLLOW) == 0 ? -EEXIST
		    : errno == ENAMETOOLONG                                ? -ENAMETOOLONG
									   : -EPERM;
		r->why = e == -EPERM ? "devices are never made" : NULL;
	}
	if (e == 0 && mknodat(p.base, p.rest, type | mode_for(r, r->mode), 0) < 0)
		e = -errno;
	place_close(&p);
	return e < 0 ? answer_error(-e) : answer_value(0);
}
