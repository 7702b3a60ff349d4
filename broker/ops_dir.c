/* SPDX-License-Identifier: ISC */
/* Owns the calls that change directories: making and removing entries, and the working directory and umask,
 * which live in the broker because a target's own root is empty. Entries are named by one component in a parent that
 * the walk opened, so that the kernel follows nothing any more. Runs in the broker. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Whether there is something that may be known to be there. */
static bool known(struct request *r, int which)
{
	struct place p = {.base = -1};
	unsigned perms = r->missing_perms;
	int fd = resolve_open(r, which, RESOLVE_NOFOLLOW_LAST, 0, O_PATH | O_NOFOLLOW, 0, &p);
	bool is = fd >= 0 && !p.proc;
	if (is)
		close(fd);
	place_close(&p);
	r->missing_perms = perms;
	return is;
}

struct answer op_mkdir(struct request *r)
{
	struct place p = {.base = -1};
	int e = promised(r, PROMISE_BIT(cpath));
	if (e == 0)
		e = resolve_parent(r, 0, PERM_C, &p);
	if (e == 0)
		e = mkdirat(p.base, p.rest, mode_for(r, r->mode)) < 0 ? -errno : 0;
	place_close(&p);
	if (e == -EISDIR || e == -EBUSY)
		e = -EEXIST; /* ".", "..", "/" and what is unveiled itself */
	/* mkdir -p asks for each directory on the way; those which it may see, or which lead to a rule, are there. */
	if (e == -EACCES && known(r, 0))
		e = -EEXIST;
	if (e == -ENOENT && r->canonical[0] && policy_below(policy_of(r), r->canonical))
		e = -EEXIST;
	if (e == -EEXIST)
		r->missing_perms = 0;
	return e < 0 ? answer_error(-e) : answer_value(0);
}

struct answer op_unlink(struct request *r)
{
	struct place p = {.base = -1};
	bool directory = r->flags & AT_REMOVEDIR;
	if (r->flags & ~AT_REMOVEDIR)
		return answer_error(EINVAL);
	int e = promised(r, PROMISE_BIT(cpath));
	if (e == 0)
		e = resolve_parent(r, 0, PERM_C, &p);
	if (e == 0)
		e = unlinkat(p.base, p.rest, r->flags) < 0 ? -errno : 0;
	place_close(&p);
	if (!directory && (e == -ENOENT || e == -EACCES || e == -EPERM))
		e = tmppath_unlink(r, e);
	if (directory && e == -EISDIR) {
		size_t n = strlen(r->path[0]);
		while (n > 1 && r->path[0][n - 1] == '/')
			n--;
		e = n > 1 && r->path[0][n - 2] == '.' ? -ENOTEMPTY : -EINVAL; /* ".." or "." */
	} else if (!directory && e == -EBUSY) {
		e = -EISDIR;
	}
	return e < 0 ? answer_error(-e) : answer_value(0);
}

/* fd, a directory (taken), becomes the working directory. */
static struct answer enter(struct request *r, int fd)
{
	/* Needs search permission, as chdir(2) does; and an O_PATH descriptor shares nothing with the target's. */
	char path[PATH_MAX];
	int cwd = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Deeper than the kernel can name there would be no way on, since what is named by no path has no rights. */
	int e = cwd < 0 ? -errno : canonical_of(r->state, r->family->broker, cwd, path);
	if (e == -ENAMETOOLONG)
		close(cwd);
	else if (cwd >= 0)
		e = state_change(r, cwd, NULL);
	close(fd);
	return e < 0 ? answer_error(-e) : answer_value(0);
}

/* Whether the path is, by name, where the process stands: going there changes nothing, and getcwd() has told it. */
static bool stands_there(const struct request *r)
{
	char path[PATH_MAX];
	return cwd_path(r, path) == 0 && strcmp(path, r->path[0]) == 0;
}

struct answer op_chdir(struct request *r)
{
	struct place p = {.base = -1};
	int e = promised(r, PROMISE_BIT(rpath));
	if (e < 0)
		return answer_error(-e);
	if (stands_there(r))
		return answer_value(0);
	int fd = resolve_open(r, 0, 0, PERM_R, O_PATH | O_DIRECTORY, 0, &p);
	if (fd >= 0 && p.proc)
		fd = -ENOENT;
	place_close(&p);
	return fd < 0 ? answer_error(-fd) : enter(r, fd);
}

struct answer op_fchdir(struct request *r)
{
	struct stat st;
	int fd = memory_dup_fd(r, (int)r->args[0]);
	if (fd < 0)
		return answer_error(-fd);
	if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode)) {
		close(fd);
		return answer_error(ENOTDIR);
	}
	return enter(r, fd);
}

struct answer op_getcwd(struct request *r)
{
	char path[PATH_MAX];
	uint64_t missing = PROMISE_BIT(rpath);
	if (!(policy_of(r)->promises & PROMISE_BIT(wpath)) && promised(r, missing) < 0)
		return answer_error(EPERM);
	int e = cwd_path(r, path);
	/* Told even when the directory is hidden, as OpenBSD does: it can only be the one that the host started it in, and
	 * find(1) gives up when it learns neither a descriptor nor a name of it. */
	if (e < 0)
		return answer_error(-e);
	size_t len = strlen(path) + 1;
	if (r->args[1] < len)
		return answer_error(ERANGE);
	e = memory_write(r, r->args[0], path, len);
	return e < 0 ? answer_error(-e) : answer_value((int64_t)len);
}

struct answer op_umask(struct request *r)
{
	mode_t old = r->state->umask, mask = (mode_t)r->args[0] & 0777;
	int e = mask == old ? 0 : state_change(r, -1, &mask);
	return e < 0 ? answer_error(-e) : answer_value((int64_t)old);
}
