/* SPDX-License-Identifier: ISC */
/* Owns the calls that change what an object is: chmod, chown, the times, and truncate, by path or by descriptor. Each
 * acts on a descriptor of what was judged. The broker may have more authority than the target (root's has), so what the
 * kernel would ask of an unprivileged caller is asked here. Runs in the broker, on the target's strings. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#define AT_OBJECT (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)
#define ATTRIBUTES (PROMISE_BIT(fattr) | PROMISE_BIT(rpath))

/* Position of the argument behind dirfd (if the call has one) and path. */
static size_t after_path(const struct request *r)
{
	return (size_t)r->op->path[0] + 1;
}

static struct answer done(struct subject *o, int e)
{
	subject_close(o);
	return e < 0 ? answer_error(-e) : answer_value(0);
}

/* What a call that takes a descriptor works on: one that was opened O_PATH is none to it. */
static int open_descriptor(struct request *r, uint64_t promises, struct subject *o)
{
	*o = (struct subject){.fd = -1};
	int e = promised(r, promises);
	if (e == 0)
		e = subject_descriptor(r, (int)r->args[0], PERM_W, o);
	if (e == 0 && (fcntl(o->fd, F_GETFL) & O_PATH))
		e = -EBADF;
	return e;
}

/* ---- modes ---- */

/* As on OpenBSD, a file's set-id bits are dropped and nothing is said, also those that it has: its owner's kernel may have
 * just taken them off because the target wrote to it, and here they would come back. A directory's give nobody a right:
 * they say whose group is inherited. */
static mode_t mode_allowed(const struct subject *o, mode_t mode)
{
	return mode & (S_ISDIR(o->st.st_mode) ? 07777 : 01777);
}

static int chmod_object(const struct broker *b, const struct subject *o, mode_t mode)
{
	char name[32];
	if (S_ISLNK(o->st.st_mode))
		return -EOPNOTSUPP;
	if (syscall(SYS_fchmodat2, o->fd, "", mode, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOSYS) /* 6.6 */
		return -errno;
	snprintf(name, sizeof(name), "self/fd/%d", o->fd);
	return fchmodat(b->proc, name, mode, 0) < 0 ? -errno : 0;
}

struct answer op_chmod(struct request *r)
{
	struct subject o;
	if (r->flags & ~AT_OBJECT)
		return answer_error(EINVAL);
	int e = subject_open(r, 0, r->flags, PERM_W, ATTRIBUTES, &o);
	if (e == 0)
		e = chmod_object(r->family->broker, &o, mode_allowed(&o, r->mode));
	return done(&o, e);
}

struct answer op_fchmod(struct request *r)
{
	struct subject o;
	int e = open_descriptor(r, PROMISE_BIT(fattr), &o);
	if (e == 0)
		e = chmod_object(r->family->broker, &o, mode_allowed(&o, (mode_t)r->args[1]));
	return done(&o, e);
}

/* ---- owners ---- */

static bool own_group(const struct credentials *ids, gid_t gid)
{
	bool is = gid == ids->gid || gid == ids->group;
	for (size_t i = 0; i < ids->count && !is; i++)
		is = ids->groups[i] == gid;
	return is;
}

static int chown_object(struct request *r, const struct subject *o, uid_t uid, gid_t gid)
{
	struct credentials ids;
	bool any = (policy_of(r)->promises & PROMISE_BIT(chown)) && !o->held;
	if (!any && (uid != (uid_t)-1 || gid != (gid_t)-1)) {
		int e = credentials_of(r, &ids);
		if (e < 0)
			return e;
		if ((uid != (uid_t)-1 && uid != ids.uid && uid != ids.effective) ||
			(gid != (gid_t)-1 && !own_group(&ids, gid))) {
			r->why = o->held ? "no rule shows the file" : "other owners take the promise chown";
			return -EPERM;
		}
	}
	if (fchownat(o->fd, "", uid, gid, AT_EMPTY_PATH) == 0)
		return 0;
	/* An id that the broker's user namespace does not know is one that this user cannot give a file to. */
	return errno == EINVAL ? -EPERM : -errno;
}

static uint64_t owner_promise(const struct request *r)
{
	return policy_of(r)->promises & PROMISE_BIT(chown) ? PROMISE_BIT(chown) : PROMISE_BIT(fattr);
}

struct answer op_chown(struct request *r)
{
	struct subject o;
	size_t at = after_path(r);
	if (r->flags & ~AT_OBJECT)
		return answer_error(EINVAL);
	int e = subject_open(r, 0, r->flags, PERM_W, owner_promise(r) | PROMISE_BIT(rpath), &o);
	if (e == 0)
		e = chown_object(r, &o, (uid_t)r->args[at], (gid_t)r->args[at + 1]);
	return done(&o, e);
}

struct answer op_fchown(struct request *r)
{
	struct subject o;
	int e = open_descriptor(r, owner_promise(r), &o);
	if (e == 0)
		e = chown_object(r, &o, (uid_t)r->args[1], (gid_t)r->args[2]);
	return done(&o, e);
}

/* ---- times ---- */

/* Copies the times in the form that the call has them. *now: there are none. */
static int times_read(const struct request *r, struct timespec times[2], bool *now)
{
	union {
		struct timespec specs[2];
		struct timeval values[2];
		struct utimbuf old;
	} in;
	uint64_t address = r->args[after_path(r)];
	bool old = false, values = r->nr != SYS_utimensat;
#ifdef SYS_utime
	old = r->nr == SYS_utime;
#endif
	*now = !address;
	if (*now)
		return 0;
	int e = memory_read(r, address, &in, old ? sizeof(in.old) : sizeof(in.specs));
	if (e < 0 || !request_alive(r))
		return e < 0 ? e : -EPERM;
	for (int i = 0; i < 2; i++) {
		if (old) {
			times[i] = (struct timespec){i ? in.old.modtime : in.old.actime, 0};
		} else if (!values) {
			times[i] = in.specs[i];
		} else {
			if (in.values[i].tv_usec < 0 || in.values[i].tv_usec >= 1000000)
				return -EINVAL;
			times[i] = (struct timespec){in.values[i].tv_sec, in.values[i].tv_usec * 1000};
		}
	}
	return 0;
}

struct answer op_utimens(struct request *r)
{
	struct timespec times[2];
	struct subject o = {.fd = -1};
	bool now;
	int e = times_read(r, times, &now);
	if (e < 0)
		return answer_error(-e);
	if (r->nr == SYS_utimensat && !now && times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
		return answer_value(0);
	if (r->path[0]) {
		if (r->flags & ~AT_OBJECT)
			return answer_error(EINVAL);
		e = subject_open(r, 0, r->flags, PERM_W, ATTRIBUTES, &o);
	} else if (r->dirfd[0] == AT_FDCWD) {
		return answer_error(EFAULT);
	} else {
		if (r->flags)
			return answer_error(EINVAL);
		e = open_descriptor(r, PROMISE_BIT(fattr), &o);
	}
	if (e == 0 && syscall(SYS_utimensat, o.fd, "", now ? NULL : times, AT_EMPTY_PATH) < 0)
		e = -errno;
	return done(&o, e);
}

/* ---- truncate ---- */

/* The file's size is the broker's to set, but the limit is the target's, and so is the signal. */
static int limit_check(const struct request *r, const struct subject *o, off_t length)
{
	struct rlimit limit;
	if (length <= o->st.st_size)
		return 0;
	if (prlimit(r->tid, RLIMIT_FSIZE, NULL, &limit) < 0 || !request_alive(r))
		return -EPERM;
	if (limit.rlim_cur == RLIM_INFINITY || (rlim_t)length <= limit.rlim_cur)
		return 0;
	syscall(SYS_tkill, r->tid, SIGXFSZ);
	return -EFBIG;
}

/* A descriptor that can be written, as the kernel would have opened the file; -EAGAIN while a lease is broken. */
static int open_to_write(const struct request *r, const struct subject *o)
{
	if (!S_ISREG(o->st.st_mode))
		return S_ISDIR(o->st.st_mode) ? -EISDIR : S_ISLNK(o->st.st_mode) ? -ELOOP : -EINVAL;
	if (o->held) {
		int flags = fcntl(o->fd, F_GETFL), fd = -1;
		if ((flags & O_ACCMODE) != O_RDONLY)
			fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 3);
		return fd < 0 ? -EACCES : fd;
	}
	return fd_reopen(r->family->broker, o->fd, O_WRONLY | O_NOCTTY | (r->slow ? 0 : O_NONBLOCK));
}

struct answer op_truncate(struct request *r)
{
	struct subject o;
	off_t length = (off_t)r->args[1];
	if (length < 0)
		return answer_error(EINVAL);
	/* OpenBSD asks for fattr and rpath as well. Programs here do not know that, and wpath alone can do the same by
	 * open() and ftruncate(). */
	int e = subject_open(r, 0, 0, PERM_W, PROMISE_BIT(wpath), &o);
	int fd = e < 0 ? e : open_to_write(r, &o);
	e = fd < 0 ? fd : limit_check(r, &o, length);
	/* SIGXFSZ for a limit of the broker's own is blocked on its threads. */
	if (e == 0 && ftruncate(fd, length) < 0)
		e = -errno;
	if (fd >= 0)
		close(fd);
	if (fd == -EAGAIN && !r->slow) {
		subject_close(&o);
		return answer_slow();
	}
	return done(&o, e);
}
