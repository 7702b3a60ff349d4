/* SPDX-License-Identifier: ISC */
/*
 * This file owns the table of operations and the one reader that copies their arguments. It runs in the broker. A row
 * more is how an operation is added; nothing else reads a target's arguments.
 */
#include "broker/broker.h"
#include "policy/promises.h"
#include "policy/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_setxattrat /* 6.13 */
#define SYS_setxattrat 463
#define SYS_getxattrat 464
#define SYS_listxattrat 465
#define SYS_removexattrat 466
#endif
#define NO -1
#define HOW_MIN 24 /* OPEN_HOW_SIZE_VER0 */
#define HOW_MAX 4096

/* nr, dirfds, paths, flags, mode, how, fixed flags, handler */
#define ROW(name, d0, d1, p0, p1, fl, mo, ho, fixed, handler)                                                          \
	[SYS_##name] = {SYS_##name, #name, {d0, d1}, {p0, p1}, fl, mo, ho, fixed, handler}
#define PLAIN(name, handler) ROW(name, NO, NO, NO, NO, NO, NO, NO, 0, handler)
#define PATH(name, handler) ROW(name, NO, NO, 0, NO, NO, NO, NO, 0, handler)
#define LINK(name, handler) ROW(name, NO, NO, 0, NO, NO, NO, NO, AT_SYMLINK_NOFOLLOW, handler)
#define AT(name, handler) ROW(name, 0, NO, 1, NO, NO, NO, NO, 0, handler)

static const struct operation table[] = {
	ROW(openat, 0, NO, 1, NO, 2, 3, NO, 0, op_open),
	ROW(openat2, 0, NO, 1, NO, NO, NO, 2, 0, op_open),
	ROW(newfstatat, 0, NO, 1, NO, 3, NO, NO, 0, op_stat),
	ROW(statx, 0, NO, 1, NO, 2, NO, NO, 0, op_statx),
	ROW(faccessat, 0, NO, 1, NO, NO, 2, NO, 0, op_access),
	ROW(faccessat2, 0, NO, 1, NO, 3, 2, NO, 0, op_access),
	AT(readlinkat, op_readlink),
	PLAIN(getcwd, op_getcwd),
	PATH(chdir, op_chdir),
	PLAIN(fchdir, op_fchdir),
	PLAIN(umask, op_umask),
	ROW(mkdirat, 0, NO, 1, NO, NO, 2, NO, 0, op_mkdir),
	ROW(unlinkat, 0, NO, 1, NO, 2, NO, NO, 0, op_unlink),
	ROW(renameat2, 0, 2, 1, 3, 4, NO, NO, 0, op_rename),
	PATH(statfs, op_statfs),
	PATH(execve, op_exec),
	ROW(execveat, 0, NO, 1, NO, 4, NO, NO, 0, op_exec),
	PLAIN(mmap, op_prot_exec),
	PLAIN(mprotect, op_prot_exec),
	PLAIN(pkey_mprotect, op_prot_exec),
	PLAIN(socket, op_socket),
	PLAIN(connect, op_connect),
	PLAIN(bind, op_bind),
	PLAIN(listen, op_listen),
	PLAIN(sendto, op_send),
	PLAIN(sendmsg, op_send),
	PLAIN(sendmmsg, op_send),
	PLAIN(recvfrom, op_receive),
	PLAIN(recvmsg, op_receive),
	PLAIN(recvmmsg, op_receive),
	PLAIN(clone, op_task),
	PLAIN(kill, op_signal),
	PLAIN(tkill, op_signal),
	PLAIN(tgkill, op_signal),
	PLAIN(shutdown, op_shutdown),
	PLAIN(rt_sigqueueinfo, op_signal),
	PLAIN(rt_tgsigqueueinfo, op_signal),
	PLAIN(pidfd_open, op_own),
	PLAIN(pidfd_send_signal, op_own),
	PLAIN(setpriority, op_own),
	PLAIN(ioprio_set, op_own),
	PLAIN(sched_setscheduler, op_own),
	PLAIN(sched_setparam, op_own),
	PLAIN(sched_setattr, op_own),
	PLAIN(sched_setaffinity, op_own),
	PLAIN(fcntl, op_own),
	PLAIN(ioctl, op_async),
	ROW(linkat, 0, 2, 1, 3, 4, NO, NO, 0, op_link),
	ROW(symlinkat, NO, 1, 0, 2, NO, NO, NO, 0, op_symlink),
	ROW(mknodat, 0, NO, 1, NO, NO, 2, NO, 0, op_mknod),
	ROW(fchmodat, 0, NO, 1, NO, NO, 2, NO, 0, op_chmod),
	ROW(fchmodat2, 0, NO, 1, NO, 3, 2, NO, 0, op_chmod),
	PLAIN(fchmod, op_fchmod),
	ROW(fchownat, 0, NO, 1, NO, 4, NO, NO, 0, op_chown),
	PLAIN(fchown, op_fchown),
	ROW(utimensat, 0, NO, 1, NO, 3, NO, NO, 0, op_utimens),
	PATH(truncate, op_truncate),
	PATH(getxattr, op_getxattr),
	LINK(lgetxattr, op_getxattr),
	ROW(getxattrat, 0, NO, 1, NO, 2, NO, NO, 0, op_getxattr),
	PATH(listxattr, op_listxattr),
	LINK(llistxattr, op_listxattr),
	ROW(listxattrat, 0, NO, 1, NO, 2, NO, NO, 0, op_listxattr),
	PATH(setxattr, op_setxattr),
	LINK(lsetxattr, op_setxattr),
	PLAIN(fsetxattr, op_setxattr),
	ROW(setxattrat, 0, NO, 1, NO, 2, NO, NO, 0, op_setxattr),
	PATH(removexattr, op_removexattr),
	LINK(lremovexattr, op_removexattr),
	ROW(removexattrat, 0, NO, 1, NO, 2, NO, NO, 0, op_removexattr),
	PLAIN(fremovexattr, op_removexattr),
	ROW(inotify_add_watch, NO, NO, 1, NO, NO, NO, NO, 0, op_add_watch),
#ifdef SYS_renameat
	ROW(renameat, 0, 2, 1, 3, NO, NO, NO, 0, op_rename),
#endif
#ifdef SYS_open /* the old calls, which x86-64 has and musl uses */
	ROW(open, NO, NO, 0, NO, 1, 2, NO, 0, op_open),
	ROW(creat, NO, NO, 0, NO, NO, 1, NO, O_CREAT | O_WRONLY | O_TRUNC, op_open),
	PATH(stat, op_stat),
	ROW(lstat, NO, NO, 0, NO, NO, NO, NO, AT_SYMLINK_NOFOLLOW, op_stat),
	ROW(access, NO, NO, 0, NO, NO, 1, NO, 0, op_access),
	PATH(readlink, op_readlink),
	ROW(mkdir, NO, NO, 0, NO, NO, 1, NO, 0, op_mkdir),
	PATH(unlink, op_unlink),
	ROW(rmdir, NO, NO, 0, NO, NO, NO, NO, AT_REMOVEDIR, op_unlink),
	ROW(rename, NO, NO, 0, 1, NO, NO, NO, 0, op_rename),
	PLAIN(fork, op_task),
	PLAIN(vfork, op_task),
	ROW(link, NO, NO, 0, 1, NO, NO, NO, 0, op_link),
	ROW(symlink, NO, NO, 0, 1, NO, NO, NO, 0, op_symlink),
	ROW(mknod, NO, NO, 0, NO, NO, 1, NO, 0, op_mknod),
	ROW(chmod, NO, NO, 0, NO, NO, 1, NO, 0, op_chmod),
	PATH(chown, op_chown),
	LINK(lchown, op_chown),
	PATH(utime, op_utimens),
	PATH(utimes, op_utimens),
	AT(futimesat, op_utimens),
#endif
};
static const struct operation airlock_row = {AIRLOCK_SYSCALL, "airlock", {NO, NO}, {NO, NO}, NO, NO, NO, 0, op_airlock};

const struct operation *operation_find(int nr)
{
	if (nr == AIRLOCK_SYSCALL)
		return &airlock_row;
	if (nr < 0 || (size_t)nr >= sizeof(table) / sizeof(*table) || !table[nr].handle)
		return NULL;
	return &table[nr];
}

_Static_assert(sizeof(table) / sizeof(*table) <= OPERATIONS, "struct broker has a place for each row");

bool operation_open(const struct broker *b, const struct operation *op)
{
	return op == &airlock_row || !b->closed[op->nr];
}

void operations_close(struct broker *b, uint64_t promises)
{
	size_t count;
	const struct promise_row *rows = promise_rows(&count);
	memset(b->closed, true, sizeof(b->closed));
	for (size_t i = 0; i < count; i++) {
		bool refused = rows[i].kind == ROW_KILL || rows[i].kind == ROW_REFUSE || rows[i].kind == ROW_ABSENT;
		if (!refused && !(rows[i].need & ~promises) && rows[i].number >= 0 && rows[i].number < OPERATIONS)
			b->closed[rows[i].number] = false;
	}
}

static int read_how(struct request *r)
{
	char buf[HOW_MAX];
	uint64_t size = r->args[r->op->how + 1];
	memset(&r->how, 0, sizeof(r->how));
	if (size < HOW_MIN)
		return -EINVAL;
	if (size > HOW_MAX)
		return -E2BIG;
	int err = memory_read(r, r->args[r->op->how], buf, (size_t)size);
	if (err)
		return err;
	/* A larger structure is one of a newer kernel's: fine as long as it asks for nothing new. */
	for (size_t i = sizeof(r->how); i < size; i++) {
		if (buf[i])
			return -E2BIG;
	}
	memcpy(&r->how, buf, size < sizeof(r->how) ? (size_t)size : sizeof(r->how));
	return 0;
}

/* Since 6.11, NULL with AT_EMPTY_PATH is the empty path for these. */
static bool null_is_empty(const struct request *r)
{
	bool stat = r->nr == SYS_newfstatat || r->nr == SYS_statx;
	bool attribute = r->nr >= SYS_setxattrat && r->nr <= SYS_removexattrat;
	return (stat || attribute) && (r->flags & AT_EMPTY_PATH);
}

/* And for these two NULL is no path: they are about the descriptor. */
static bool null_is_none(const struct request *r)
{
	return r->op->handle == op_utimens && r->op->dirfd[0] >= 0;
}

int request_read(struct request *r, char *path0, char *path1)
{
	const struct operation *op = r->op;
	char *const buffers[2] = {path0, path1};
	r->buffer = path0;
	r->dirfd[0] = r->dirfd[1] = AT_FDCWD;
	r->flags = 0;
	r->mode = 0;
	int taken = identity_take(r);
	if (taken < 0 || !op)
		return taken;
	/* int arguments: what is in the upper half of the register does not count. */
	r->flags = op->flags >= 0 ? (int)r->args[op->flags] : op->fixed_flags;
	r->mode = op->mode >= 0 ? (mode_t)r->args[op->mode] : 0;
	if (op->how >= 0) {
		int err = read_how(r);
		if (err)
			return err;
	}
	for (int i = 0; i < 2; i++) {
		if (op->dirfd[i] >= 0)
			r->dirfd[i] = (int)r->args[op->dirfd[i]];
		if (op->path[i] < 0)
			continue;
		uint64_t address = r->args[op->path[i]];
		ssize_t len = 0;
		if (!address && null_is_none(r))
			continue;
		if (!address && null_is_empty(r))
			buffers[i][0] = 0;
		else
			len = memory_read_string(r, address, buffers[i], PATH_MAX);
		if (len >= 0)
			r->path[i] = buffers[i];
		else if (op->handle != op_refused) /* which refuses either way */
			return (int)len;
	}
	return 0;
}
