/* SPDX-License-Identifier: ISC */
/* Owns the calls that only look: stat and its kin, access, readlink, statfs. Each opens the object O_PATH, in the same
 * walk that judged it, and asks that descriptor. Runs in the broker. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* What libc calls struct stat is what the kernel writes, on the two architectures, in both libcs. */
#if defined(__x86_64__)
_Static_assert(sizeof(struct stat) == 144, "struct stat is not the kernel's");
#elif defined(__aarch64__)
_Static_assert(sizeof(struct stat) == 128, "struct stat is not the kernel's");
#endif
_Static_assert(sizeof(struct statx) == 256, "struct statx is not the kernel's");
_Static_assert(sizeof(struct statfs) == 120, "struct statfs is not the kernel's");

/* Position of the argument behind dirfd (if the call has one) and path. */
static size_t after_path(const struct request *r)
{
	return (size_t)r->op->path[0] + 1;
}

static bool empty_path(const struct request *r)
{
	return !r->path[0] || !r->path[0][0];
}

/* An O_PATH descriptor of r->path[0], or of the descriptor itself for an empty path; negative errno. */
static int object(struct request *r, bool nofollow, bool empty_ok, unsigned need)
{
	struct place p = {.base = -1};
	if (empty_path(r) && !empty_ok)
		return -ENOENT;
	if (empty_path(r) && r->dirfd[0] != AT_FDCWD)
		return memory_dup_fd(r, r->dirfd[0]); /* what fstat(2) tells it anyway */
	static char here[] = ".";
	if (empty_path(r))
		r->path[0] = here;
	int first = libc_files_first(r, 0, O_PATH, true);
	if (first != LIBC_NONE)
		return first;
	int flags = O_PATH | (nofollow ? O_NOFOLLOW : 0);
	int e = promised(r, PROMISE_BIT(rpath));
	int fd = e;
	if (e == 0 || request_loading(r)) {
		fd = resolve_open(r, 0, nofollow ? RESOLVE_NOFOLLOW_LAST : 0, need, flags, 0, &p);
		if (fd >= 0 && p.proc)
			fd = e < 0 ? e : proc_look(r, p.path, place_flags(&p, flags));
		else if (fd >= 0 && e < 0 && !loader_may(r, &p)) {
			close(fd);
			fd = e;
		}
		place_close(&p);
	}
	if (fd == -ENOENT || fd == -EACCES || fd == -EPERM)
		fd = libc_files_look(r, 0, fd);
	if (fd == -ENOENT || fd == -EACCES || fd == -EPERM)
		fd = tmppath_stat(r, fd);
	return fd;
}

static struct answer give(struct request *r, uint64_t address, const void *bytes, size_t len)
{
	int e = memory_write(r, address, bytes, len);
	return e < 0 ? answer_error(-e) : answer_value(0);
}

/* Whether the call failed because the root is hidden. rm(1) looks at it before it removes anything (its name must not lead
 * there), so it is told what the target's own root is: a directory with nothing in it. In place that would be a lie, and
 * unveil(2) says ENOENT. */
static bool own_root(struct request *r, int e)
{
	if (e != -ENOENT || r->family->broker->in_place || !r->path[0] || !*r->path[0] ||
		r->path[0][strspn(r->path[0], "/")] || r->missing_promise < PROMISE_COUNT)
		return false;
	r->missing_perms = 0;
	return true;
}

struct answer op_stat(struct request *r)
{
	struct stat st = {.st_ino = 1, .st_nlink = 2, .st_mode = S_IFDIR | 0755, .st_blksize = 4096};
	if (r->flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT))
		return answer_error(EINVAL);
	int fd = object(r, r->flags & AT_SYMLINK_NOFOLLOW, r->flags & AT_EMPTY_PATH, PERM_R);
	if (fd < 0 && !own_root(r, fd))
		return answer_error(-fd);
	int e = fd >= 0 && fstat(fd, &st) < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	return e ? answer_error(e) : give(r, r->args[after_path(r)], &st, sizeof(st));
}

struct answer op_statx(struct request *r)
{
	struct statx stx;
	int sync = r->flags & AT_STATX_SYNC_TYPE;
	unsigned mask = (unsigned)r->args[3];
	if ((r->flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE)) ||
		sync == AT_STATX_SYNC_TYPE || (mask & STATX__RESERVED))
		return answer_error(EINVAL);
	int fd = object(r, r->flags & AT_SYMLINK_NOFOLLOW, r->flags & AT_EMPTY_PATH, PERM_R);
	if (fd < 0 && !own_root(r, fd))
		return answer_error(-fd);
	memset(&stx, 0, sizeof(stx));
	stx.stx_mask = STATX_BASIC_STATS;
	stx.stx_ino = 1;
	stx.stx_nlink = 2;
	stx.stx_mode = S_IFDIR | 0755;
	stx.stx_blksize = 4096;
	int e = fd >= 0 && statx(fd, "", AT_EMPTY_PATH | sync, mask, &stx) < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	return e ? answer_error(e) : give(r, r->args[4], &stx, sizeof(stx));
}

struct answer op_access(struct request *r)
{
	int mode = (int)r->args[after_path(r)];
	int known = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_EACCESS;
	if ((mode & ~(R_OK | W_OK | X_OK)) || (r->flags & ~known))
		return answer_error(EINVAL);
	unsigned need = PERM_R | (mode & W_OK ? PERM_W : 0u);
	int fd = object(r, r->flags & AT_SYMLINK_NOFOLLOW, r->flags & AT_EMPTY_PATH, need);
	if (fd < 0)
		return answer_error(-fd);
	/* Our real ids are the target's, so the kernel's answer is the one it would get. */
	int flags = AT_EMPTY_PATH | (r->flags & AT_EACCESS);
	int e = syscall(SYS_faccessat2, fd, "", mode, flags) < 0 ? errno : 0;
	close(fd);
	return e ? answer_error(e) : answer_value(0);
}

struct answer op_readlink(struct request *r)
{
	char buf[PATH_MAX];
	size_t at = after_path(r);
	int size = (int)r->args[at + 1];
	ssize_t n;
	if (size <= 0)
		return answer_error(EINVAL);
	struct place p = {.base = -1};
	if (empty_path(r)) {
		if (r->op->dirfd[0] < 0 || r->dirfd[0] == AT_FDCWD)
			return answer_error(ENOENT);
		int fd = memory_dup_fd(r, r->dirfd[0]);
		n = fd < 0 ? fd : readlinkat(fd, "", buf, sizeof(buf));
		if (fd >= 0 && n < 0)
			n = -errno;
		if (fd >= 0)
			close(fd);
	} else {
		int e = promised(r, PROMISE_BIT(rpath));
		int fd = e < 0 && strncmp(r->path[0], "/proc/self/", 11) != 0
				 ? e
				 : resolve_open(r, 0, RESOLVE_NOFOLLOW_LAST, PERM_R, O_PATH | O_NOFOLLOW, 0, &p);
		if (fd < 0) {
			n = fd;
		} else if (p.proc) {
			r->missing_promise = PROMISE_COUNT;
			/* Which asks for the promises again. */
			n = p.rest[0] ? proc_look(r, p.path, place_flags(&p, O_PATH)) : proc_readlink(r, p.path, buf);
			if (p.rest[0] && n >= 0) {
				close((int)n);
				n = -EINVAL;
			}
		} else {
			n = e < 0 ? e : readlinkat(fd, "", buf, sizeof(buf));
			n = n < 0 && e == 0 ? (errno == ENOENT ? -EINVAL : -errno)
					    : n; /* ENOENT: no link, by this way */
			close(fd);
		}
		place_close(&p);
	}
	/* realpath(3) asks this of each directory on the way. A rule below says that it is one, and no link. */
	if (n == -ENOENT && r->missing_perms && policy_below(policy_of(r), r->canonical)) {
		r->missing_perms = 0;
		n = -EINVAL;
	}
	if (n < 0)
		return answer_error((int)-n);
	if (n > size)
		n = size;
	int e = memory_write(r, r->args[at], buf, (size_t)n);
	return e < 0 ? answer_error(-e) : answer_value(n);
}

struct answer op_statfs(struct request *r)
{
	struct statfs fs;
	struct state *state = r->state, wide;
	/* For programs of OpenBSD nothing is hidden from this one. */
	if (policy_of(r)->abort && promised(r, PROMISE_BIT(rpath)) == 0) {
		state_unveiled(r, &wide);
		r->state = &wide;
	}
	int fd = object(r, false, false, 0);
	r->state = state;
	if (fd < 0)
		return answer_error(-fd);
	int e = fstatfs(fd, &fs) < 0 ? errno : 0;
	close(fd);
	return e ? answer_error(e) : give(r, r->args[after_path(r)], &fs, sizeof(fs));
}
