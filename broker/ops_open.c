/* SPDX-License-Identifier: ISC */
/* Owns open, openat, openat2 and creat: which promises and permissions the flags ask for, what may be opened, and that
 * no open blocks the lane: what might is opened non-blocking, and again on a slow worker. Runs in the broker. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef __O_SYNC
#define __O_SYNC 04000000
#endif
#define O_KERNEL_LARGEFILE 0100000
#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)
#define FLAGS_PATH (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define FLAGS_KNOWN                                                                                                    \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_ASYNC |      \
		O_DIRECT | O_KERNEL_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE)
#define RESOLVE_KNOWN                                                                                                  \
	(RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT |           \
		RESOLVE_CACHED)

int device_allowed(const struct request *r, const struct place *p)
{
	static const struct {
		unsigned low, high; /* majors */
		uint64_t promise;
	} classes[] = {{4, 5, PROMISE_BIT(tty)}, {136, 143, PROMISE_BIT(tty)}, {14, 14, PROMISE_BIT(audio)},
		{116, 116, PROMISE_BIT(audio)}, {81, 81, PROMISE_BIT(video)}, {226, 226, PROMISE_BIT(drm)},
		{9, 9, PROMISE_BIT(tape)}};
	const unsigned kvm = 232; /* of the many at 10 */
	if (!S_ISCHR(p->st.st_mode) && !S_ISBLK(p->st.st_mode))
		return 0;
	unsigned high = major(p->st.st_rdev), low = minor(p->st.st_rdev);
	if (S_ISCHR(p->st.st_mode) && high == 5 && low == 0)
		return -ENXIO; /* it would be the broker's terminal, or none */
	if (S_ISCHR(p->st.st_mode) && high == 1 && (low == 3 || low == 5 || low == 7 || low == 8 || low == 9))
		return 0; /* null, zero, full, random, urandom */
	if (p->rule && p->rule->name)
		return 0; /* unveiled by its own name */
	const struct policy *policy = policy_of(r);
	for (size_t i = 0; policy->everything && i < sizeof(classes) / sizeof(classes[0]); i++)
		if (S_ISCHR(p->st.st_mode) && high >= classes[i].low && high <= classes[i].high &&
			(policy->promises & classes[i].promise))
			return 0;
	if (policy->everything && S_ISCHR(p->st.st_mode) && high == 10 && low == kvm &&
		(policy->promises & PROMISE_BIT(vmm)))
		return 0;
	if (policy->everything && S_ISBLK(p->st.st_mode) && (policy->promises & PROMISE_BIT(disklabel)))
		return 0;
	return -EACCES;
}

/* The flags as the kernel takes them from openat, which ignores, and openat2, which does not. */
static int flags_check(struct request *r, int *flags, mode_t *mode)
{
	if (!r->op || r->op->how < 0) {
		*flags = r->flags & FLAGS_KNOWN;
		*mode = r->mode & 07777;
		if (*flags & O_PATH)
			*flags &= FLAGS_PATH;
	} else {
		uint64_t how = r->how.flags, resolve = r->how.resolve;
		bool makes = (how & O_CREAT) || (how & O_TMPFILE) == O_TMPFILE;
		if ((how & ~(uint64_t)(unsigned)FLAGS_KNOWN) || (resolve & ~(uint64_t)RESOLVE_KNOWN) ||
			((resolve & RESOLVE_BENEATH) && (resolve & RESOLVE_IN_ROOT)) ||
			(r->how.mode & ~UINT64_C(07777)) || (!makes && r->how.mode) ||
			((how & O_PATH) && (how & ~(uint64_t)(unsigned)FLAGS_PATH)))
			return -EINVAL;
		if (resolve & RESOLVE_CACHED)
			return -EAGAIN; /* what is cached here is not the target's business, and it must be ready for this */
		*flags = (int)how;
		*mode = (mode_t)r->how.mode;
	}
	if ((*flags & TMPFILE_BIT) &&
		((*flags & O_TMPFILE) != O_TMPFILE || !(*flags & O_ACCMODE) || (*flags & O_CREAT)))
		return -EINVAL;
	if ((*flags & O_CREAT) && (*flags & O_DIRECTORY) && !(*flags & TMPFILE_BIT))
		return -EINVAL; /* as newer kernels: older ones made a file of it */
	return 0;
}

static unsigned needed(int flags)
{
	if (flags & O_PATH)
		return PERM_R;
	static const unsigned by_mode[4] = {PERM_R, PERM_W, PERM_R | PERM_W, PERM_R | PERM_W};
	unsigned need = by_mode[flags & O_ACCMODE];
	if (flags & O_TRUNC)
		need |= PERM_W;
	if (flags & O_CREAT)
		need |= PERM_C;
	if (flags & TMPFILE_BIT)
		need |= PERM_C | PERM_W;
	return need;
}

uint64_t promises_for(unsigned need)
{
	return (need & PERM_R ? PROMISE_BIT(rpath) : 0) | (need & PERM_W ? PROMISE_BIT(wpath) : 0) |
	       (need & PERM_C ? PROMISE_BIT(cpath) : 0);
}

/* Who only reads a file does not mind that the broker holds it for a moment longer, unless he locks it. */
static struct answer give(const struct request *r, int fd, const struct place *p, int flags)
{
	struct answer a = answer_fd(fd, flags & O_CLOEXEC);
	a.sole = (flags & O_ACCMODE) != O_RDONLY || S_ISFIFO(p->st.st_mode) ||
		 (policy_of(r)->promises & PROMISE_BIT(flock));
	return a;
}

/* A blocking open of a FIFO for reading waits for a writer. The lane's reading end is kept meanwhile, and is what the
 * target gets: to let go of it would break the pipe under a writer who came just then. One who came and left before
 * this waits would not be noticed by waiting: so the watcher interrupts now and then, and what is left is looked at. */
static struct answer wait_for_writer(struct request *r, bool cloexec)
{
	int held = r->held - 1, e;
	r->held = 0;
	do {
		struct pollfd p = {held, POLLIN, 0};
		bool came = poll(&p, 1, 0) > 0;
		int fd = came ? -EEXIST : fd_reopen(r->family->broker, held, O_RDONLY | O_NOCTTY);
		e = came || fd >= 0 ? 0 : fd;
		if (fd >= 0)
			close(fd);
	} while (e == -EINTR && !atomic_load(&r->family->stopping) && request_alive(r) && !request_signalled(r));
	if (e == 0 && fcntl(held, F_SETFL, fcntl(held, F_GETFL) & ~O_NONBLOCK) < 0)
		e = -errno;
	if (e == 0) {
		struct answer a = answer_fd(held, cloexec);
		a.sole = true;
		return a;
	}
	close(held);
	return answer_error(-e);
}

/* fd was opened non-blocking, and not asked so. */
static struct answer opened(struct request *r, int fd, const struct place *p, int flags)
{
	if (S_ISFIFO(p->st.st_mode) && (flags & O_ACCMODE) == O_RDONLY) {
		r->held = fd + 1;
		return answer_slow();
	}
	/* O_ASYNC has been set since the open, which makes nobody an owner; to change it would make us one. */
	if (fcntl(fd, F_SETFL, flags & (O_APPEND | O_DIRECT | O_NOATIME | O_ASYNC)) < 0) {
		int e = errno;
		close(fd);
		return answer_error(e);
	}
	return give(r, fd, p, flags);
}

/* Whether the promises, or the needs of a loader, let p be read; fd is closed when not. */
static int permitted(struct request *r, const struct place *p, int e, int fd)
{
	if (fd < 0 || e == 0 || loader_may(r, p)) {
		if (fd >= 0)
			r->missing_promise = PROMISE_COUNT;
		return fd;
	}
	close(fd);
	return e;
}

/* Opens through the rules. A descriptor, negative errno, or p->proc. */
static int open_object(struct request *r, int flags, mode_t mode, unsigned need, struct place *p)
{
	unsigned how = (flags & O_NOFOLLOW) || ((flags & O_CREAT) && (flags & O_EXCL)) ? RESOLVE_NOFOLLOW_LAST : 0;
	if (flags & O_CREAT)
		how |= RESOLVE_CREATE;
	int e = promised(r, promises_for(need));
	if (e < 0 && !(need == PERM_R && request_loading(r)))
		return e;
	int extra = flags & O_PATH ? 0 : O_NOCTTY | (r->slow ? 0 : O_NONBLOCK);
	bool makes = flags & (O_CREAT | TMPFILE_BIT);
	int fd = resolve_open(r, 0, how, need, flags | extra, makes ? mode_for(r, mode) : 0, p);
	if (fd < 0)
		return fd;
	if (p->proc)
		return e < 0 ? e : proc_open(r, p->path, place_flags(p, flags));
	fd = permitted(r, p, e, fd);
	int device = fd < 0 || (flags & O_PATH) ? 0 : device_allowed(r, p);
	if (device < 0) {
		close(fd);
		fd = device;
	}
	return fd;
}

/* The kernel hands no O_PATH descriptor to another process with a notification's answer (EBADF, as of 6.18), so a
 * directory or file asked for by O_PATH is given open for reading, which its rule allows anyway, and in place of what
 * cannot be opened without effect a stand-in. Of a link nothing is given: libc opens one only to change its mode, which
 * then fails as it should. Takes fd. */
static int surrogate(const struct request *r, int fd, const char *path)
{
	struct stat st;
	int again = fstat(fd, &st) < 0 ? -errno : 0;
	if (again == 0 && S_ISLNK(st.st_mode))
		again = -EOPNOTSUPP;
	else if (again == 0 && !S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		again = standin_make(path);
	else if (again == 0)
		again = fd_reopen(r->family->broker, fd, O_RDONLY | O_NONBLOCK);
	close(fd);
	if (again >= 0)
		fcntl(again, F_SETFL, 0);
	return again;
}

struct answer op_open(struct request *r)
{
	struct place p = {.base = -1};
	int flags;
	mode_t mode;
	if (r->slow && r->held)
		return wait_for_writer(r, r->op && r->op->how >= 0 ? r->how.flags & O_CLOEXEC : r->flags & O_CLOEXEC);
	int e = flags_check(r, &flags, &mode);
	if (e < 0)
		return answer_error(-e);
	/* The kernel takes the number first. Here it comes last: what would be made or emptied by then must not be. */
	if ((flags & (O_CREAT | O_TRUNC)) && r->path[0] && r->path[0][0] && descriptors_full(r))
		return answer_error(EMFILE);
	int fd = libc_files_first(r, 0, flags, false);
	if (fd == LIBC_LATER)
		return answer_slow();
	const bool first = fd != LIBC_NONE;
	if (!first)
		fd = open_object(r, flags, mode, needed(flags), &p);
	bool by_rule = fd >= 0 && !p.proc && !first;
	place_close(&p);
	/* ENXIO: a terminal, as the broker would see it */
	if (!first && (fd == -ENOENT || fd == -EACCES || fd == -EPERM || fd == -ENXIO))
		fd = libc_files_else(r, 0, flags, fd);
	if (fd == -ENOENT || fd == -EACCES || fd == -EPERM)
		fd = tmppath_open(r, flags, mode, fd);
	if (fd >= 0 && (flags & O_PATH))
		fd = surrogate(r, fd, p.path);
	bool asked = flags & (O_NONBLOCK | O_PATH);
	/* No reader of a FIFO yet, or a lease to be broken: what waits natively waits on a worker. */
	if ((fd == -ENXIO || fd == -EAGAIN) && !asked && !r->slow && !(fd == -ENXIO && (flags & O_ACCMODE) != O_WRONLY))
		return answer_slow();
	if (fd < 0)
		return answer_error(-fd);
	if (by_rule && !asked && !r->slow)
		return opened(r, fd, &p, flags);
	return give(r, fd, &p, flags);
}
